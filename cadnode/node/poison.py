"""Which studies kill or hang the worker: weighed before each is read, so that none does for ever.

    STORAGE/roles/worker.hand     the content that the worker reads or reports just now; of a
                                  further worker, `worker-2.hand` and so on
    STORAGE/roles/deaths.json     the last deaths of the node's processes, and what was in hand
    STORAGE/set_aside/<study>-<content>.json   a content that is not read again by itself, and why

Whoever starts the worker notes how it ended before. A crash, a hang and the kernel's want of memory
are the study's that was in hand. A `kill -9`, and a node that ended as a whole, may be so: they
are held against a study unless they also struck when it was not in hand. A death in hand makes the
attempt to read fail, which is tried again later (`retry.READING`), so that other studies are read
meanwhile; `SET_ASIDE_AFTER` of them set the study aside, until somebody asks for it again.
"""

import json
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from cadnode.errors import CadnodeError
from cadnode.files import locked, make_folder, write_whole
from cadnode.log import get_logger
from cadnode.node.in_place import InPlace
from cadnode.phrases import N_

SET_ASIDE_AFTER: Final = 3
ALIBI_S: Final = 3600.0  # deaths elsewhere speak for a study when they are this close
_KEPT: Final = 60
_CRASHES: Final = frozenset(
    -number.value
    for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
)
_NO_HAND: Final = ""

log = get_logger("worker")


class Cause(StrEnum):
    """How a process ended that should not have."""

    CRASHED = "crashed"
    HUNG = "hung"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    NODE_ENDED = "node_ended"  # all of it at once: power, container, supervisor

    @property
    def is_proof(self) -> bool:
        """Whether the study in hand caused it, whatever else happens on the machine."""
        return self in (Cause.CRASHED, Cause.HUNG, Cause.OUT_OF_MEMORY)


@dataclass(frozen=True, slots=True)
class Death:
    """A process that ended unasked. `hand` is "<study>-<content>" of what it read, or "".

    `is_answered`: an attempt to read has failed for it.
    """

    at: float
    role: str
    cause: Cause
    hand: str = _NO_HAND
    is_answered: bool = False


class ContentVerdict(StrEnum):
    """What is done with a content that is to be read."""

    READ = "read"
    LATER = "later"  # this attempt has failed
    SET_ASIDE = "set_aside"


class WorkerDied(CadnodeError):
    """The worker ended while it read this content: the attempt has failed."""


class StudySetAside(CadnodeError):
    """The worker died or hung each time it read this content: it is not read again by itself."""


class SetAsideCode(StrEnum):
    """Why a study was set aside, as the page, the API and `/health` say it."""

    KILLS = "reading_kills_worker"
    HANGS = "reading_hangs_worker"
    MEMORY = "reading_needs_memory"

    @property
    def meaning(self) -> str:
        """For people."""
        return {
            SetAsideCode.KILLS: N_(
                "The worker died each time it read this study; it was set aside"
            ),
            SetAsideCode.HANGS: N_("Reading this study did not end in time; it was set aside"),
            SetAsideCode.MEMORY: N_("Reading this study took all memory; it was set aside"),
        }[self]


def cause_of(exit_code: int, *, hung: bool = False, memory_ran_out: bool = False) -> Cause:
    """How a process ended, from its exit code (`subprocess.Popen.returncode`)."""
    if hung:
        return Cause.HUNG
    if exit_code == -signal.SIGKILL and memory_ran_out:
        return Cause.OUT_OF_MEMORY
    if exit_code in _CRASHES or exit_code > 0:
        return Cause.CRASHED
    return Cause.KILLED


def weigh(hand: str, deaths: Sequence[Death]) -> ContentVerdict:
    """Whether a content is read now, by the deaths that are known."""
    own = [death for death in deaths if death.hand == hand]
    against = [death for death in own if death.cause.is_proof or not _alibi(death, deaths)]
    if len(against) >= SET_ASIDE_AFTER:
        return ContentVerdict.SET_ASIDE
    new = [death for death in own if not death.is_answered]
    # One death that may be anybody's is no reason to wait: it is most often a machine's restart.
    if any(death.cause.is_proof for death in new) or (new and len(own) > 1):
        return ContentVerdict.LATER
    return ContentVerdict.READ


def _alibi(death: Death, deaths: Sequence[Death]) -> bool:
    """Whether processes also ended so while other things were in hand."""
    return any(
        other.hand != death.hand and not other.cause.is_proof and abs(other.at - death.at) < ALIBI_S
        for other in deaths
    )


def code_of(hand: str, deaths: Sequence[Death]) -> SetAsideCode:
    """The reason for a content that was set aside: its last death's."""
    causes = [death.cause for death in deaths if death.hand == hand]
    last = causes[-1] if causes else Cause.CRASHED
    codes = {Cause.HUNG: SetAsideCode.HANGS, Cause.OUT_OF_MEMORY: SetAsideCode.MEMORY}
    return codes.get(last, SetAsideCode.KILLS)


class Casualties:
    """The notes in one storage folder, with what the worker of that name has in hand."""

    def __init__(self, storage: Path, worker: str = "worker") -> None:
        self._hand = InPlace(storage / "roles" / f"{worker}.hand", 256)
        self._deaths = storage / "roles" / "deaths.json"
        self._lock = storage / "roles" / "deaths.lock"
        self._aside = storage / "set_aside"

    @contextmanager
    def in_hand(self, study: str, content: str) -> Iterator[None]:
        """Within the block the content is in the worker's hand: its death there is noted."""
        self._hand.write(f"{study}-{content}".encode())
        try:
            yield
        finally:
            self._hand.write(b"")

    def take(self, study: str, content: str) -> None:
        """The content is in hand again, within its block: something else was for a while."""
        self._hand.write(f"{study}-{content}".encode())

    def let_go(self) -> None:
        """Nothing is in hand: the worker ended because it was asked to."""
        if self._hand.read():
            self._hand.write(b"")

    def note_leftover(self) -> None:
        """Note the death of a worker that nobody watched, from what it had in hand."""
        if self._hand.read():
            self.note("worker", Cause.KILLED)

    def note(self, role: str, cause: Cause) -> Death:
        """Note a death, with what was in hand if it was the worker's or the whole node's."""
        reads = role in ("worker", "node")
        hand = self._hand.read().decode("ascii", "replace") if reads else _NO_HAND
        death = Death(time.time(), role, cause, hand)
        if hand or cause is not Cause.CRASHED:  # one that cannot start would drive out the others
            self._change(lambda deaths: [*deaths, death])
        if hand:
            self._hand.write(b"")
            study, _, _ = hand.partition("-")
            log.error("study_ended_worker", study=study, reason=cause.value)
        return death

    def deaths(self) -> list[Death]:
        """The last deaths, the first one first."""
        with suppress(OSError, ValueError, TypeError):
            found = json.loads(self._deaths.read_bytes())
            return [Death(**{**one, "cause": Cause(one["cause"])}) for one in found]
        return []

    def admit(self, study: str, content: str) -> None:
        """Return when the content may be read.

        Raises
        ------
        WorkerDied
            This attempt has failed; the next one may read it.
        StudySetAside
            It is not read any more until somebody asks for it; that is noted.
        """
        hand = f"{study}-{content}"
        if self.set_aside(study, content) is not None:  # its jobs were forgotten: somebody asked
            self.forgive(study, content)
            return
        deaths = self.deaths()
        verdict = weigh(hand, deaths)
        if verdict is ContentVerdict.LATER:
            self._change(
                lambda now: [replace(d, is_answered=True) if d.hand == hand else d for d in now]
            )
            raise WorkerDied("the worker ended while it read the study")
        if verdict is ContentVerdict.SET_ASIDE:
            code = code_of(hand, deaths)
            write_whole(self._note_of(study, content), json.dumps({"code": code.value}).encode())
            log.error("study_set_aside", study=study, reason=code.value)
            raise StudySetAside(code.value)

    def set_aside(self, study: str, content: str) -> SetAsideCode | None:
        """Why a content was set aside; None when it was not."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            return SetAsideCode(json.loads(self._note_of(study, content).read_bytes())["code"])
        return None

    def all_set_aside(self) -> list[tuple[str, SetAsideCode]]:
        """Keys of the studies that are set aside, with the reason."""
        found = []
        for path in sorted(self._aside.glob("*.json")):
            study, _, content = path.stem.partition("-")
            if (code := self.set_aside(study, content)) is not None:
                found.append((study, code))
        return found

    def forgive(self, study: str, content: str) -> None:
        """Forget what is held against a content."""
        hand = f"{study}-{content}"
        self._change(lambda deaths: [death for death in deaths if death.hand != hand])
        self._note_of(study, content).unlink(missing_ok=True)

    def forget_study(self, study: str) -> None:
        """Forget what stands against a study: it is reported, or its images are gone."""
        for note in self._aside.glob(f"{study}-*.json"):
            note.unlink(missing_ok=True)

    def keep_only(self, studies: Iterable[str]) -> None:
        """Forget studies that are not in the spool any more."""
        for study in {study for study, _ in self.all_set_aside()} - set(studies):
            self.forget_study(study)

    def _note_of(self, study: str, content: str) -> Path:
        return self._aside / f"{study}-{content}.json"

    def _change(self, changed: Callable[[list[Death]], list[Death]]) -> None:
        try:
            make_folder(self._lock.parent)
            with locked(self._lock, mode=0o640):  # workers beside each other note theirs
                document = [asdict(death) for death in changed(self.deaths())[-_KEPT:]]
                write_whole(self._deaths, json.dumps(document).encode())
        except OSError as error:
            log.warning("presence_not_written", error=error)


def is_final(error: BaseException) -> bool:
    """Whether no further attempt follows an attempt that ended so, also one that was recorded.

    The job database records a step's error by its class's name (`job_database.StepFailed`).
    """
    return StudySetAside.__name__ in (type(error).__name__, str(error))


def memory_kills() -> int:
    """How many processes the kernel has killed for want of memory, here and in this container."""
    total = 0
    for path, field in (
        ("/proc/vmstat", "oom_kill"), ("/sys/fs/cgroup/memory.events", "oom_kill"),
    ):  # fmt: skip
        with suppress(OSError, ValueError):
            rows = (line.split() for line in Path(path).read_text().splitlines())
            total += sum(int(row[1]) for row in rows if row[0] == field)
    return total
