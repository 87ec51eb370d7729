"""What archives were asked to commit, and what they answered: durable, whatever process dies.

    STORAGE/commitments/asked/<key>.json      one a transaction: which delivery it is of
    STORAGE/commitments/answered/<key>.json   what the archive answered; not taken up yet
    RESULT/commitment.<destination>.json      how far a delivery is: stored, asked, committed

The worker asks and notes; the listener only answers. A transaction is on the disk before it is
asked, an answer before it is acknowledged. An answer is taken from the archive that was asked and
from nobody else (`Archives`), and from that one as often as it repeats it.
"""

import hashlib
import json
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

from cadnode.errors import SettingsError
from cadnode.files import make_folder, write_whole
from cadnode.log import get_logger
from cadnode.node import retry
from cadnode.receive.admission import plain_address
from cadnode.receive.commitment_data import CommitmentReport, Reference
from cadnode.receive.commitment_requests import Sender
from cadnode.settings import Destination, Settings
from cadnode.settings.section import is_loopback
from cadnode.settings.sections import ListenerPeer

FOLDER: Final = "commitments"
REPEATED_FOR_S: Final = 7 * 86400.0  # an archive may repeat an answer of which ours was lost

log = get_logger("commitment")

Key = tuple[str, str, str]  # study, content, destination


@dataclass(frozen=True, slots=True)
class Asked:
    """A transaction: the delivery that it is of, and when it was asked (epoch, s)."""

    study: str
    content: str
    destination: str
    at: float
    settled_at: float | None = None

    @property
    def key(self) -> Key:
        """Which delivery it is of."""
        return self.study, self.content, self.destination


@dataclass(frozen=True, slots=True)
class CommitmentAnswer:
    """What an archive answered, by SOP instance: committed, with its class, or why not."""

    at: float
    committed: dict[str, str]
    failed: dict[str, int]


class Transactions:
    """The transactions of one storage folder. Threads and processes may share it."""

    def __init__(self, storage: Path, clock: Callable[[], float] = time.time) -> None:
        self._asked = storage / FOLDER / "asked"
        self._answered = storage / FOLDER / "answered"
        self._clock = clock

    def begin(self, transaction_uid: str, key: Key) -> None:
        """Note a transaction before it is asked. Raises `OSError`."""
        self._write(_name(transaction_uid), Asked(*key, self._clock()))

    def find(self, transaction_uid: str) -> Asked | None:
        """The transaction; None: this node knows of none."""
        return _asked(self._asked / f"{_name(transaction_uid)}.json")

    def take(self, report: CommitmentReport) -> None:
        """Keep an archive's answer durably; the first one stands. Raises `OSError`."""
        asked, name = self.find(report.transaction_uid), _name(report.transaction_uid)
        path = self._answered / f"{name}.json"
        if asked is None or asked.settled_at is not None or path.exists():
            return
        document = {
            "at": self._clock(),
            "committed": {r.sop_instance_uid: r.sop_class_uid for r in report.committed},
            "failed": {r.sop_instance_uid: reason for r, reason in report.failed},
        }
        write_whole(path, json.dumps(document).encode())

    def answer(self, transaction_uid: str) -> CommitmentAnswer | None:
        """What was answered; None: nothing yet."""
        return _answer(self._answered / f"{_name(transaction_uid)}.json")

    def settle(self, transaction_uid: str) -> None:
        """The answer is taken up, or needed no more; a repeated one is still accepted."""
        self.settle_named(_name(transaction_uid))

    def settle_named(self, name: str) -> None:
        """`settle`, by the name that `answered` gives."""
        asked = _asked(self._asked / f"{name}.json")
        if asked is not None and asked.settled_at is None:
            self._write(name, replace(asked, settled_at=self._clock()))
        (self._answered / f"{name}.json").unlink(missing_ok=True)

    def answered(self) -> Iterator[tuple[str, float, Asked]]:
        """(name, when, transaction) of each answer that was not taken up."""
        for path in sorted(self._answered.glob("*.json")):
            asked, answer = _asked(self._asked / path.name), _answer(path)
            if asked is None or answer is None or asked.settled_at is not None:
                path.unlink(missing_ok=True)  # a crash has left it
            else:
                yield path.stem, answer.at, asked

    def forget_old(self, is_known: Callable[[Asked], bool]) -> None:
        """Remove what was settled long ago, and what no delivery knows of (a crash left it)."""
        now = self._clock()
        for path in self._asked.glob("*.json"):
            asked = _asked(path)
            if asked is not None and asked.settled_at is None and is_known(asked):
                continue
            at = 0.0 if asked is None else asked.settled_at or asked.at
            if now - at > REPEATED_FOR_S:
                path.unlink(missing_ok=True)

    def _write(self, name: str, asked: Asked) -> None:
        write_whole(self._asked / f"{name}.json", json.dumps(asdict(asked)).encode())


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a delivery is to an archive that is asked to commit it.

    Objects are named by SOP Instance UID. `stored` are those that the archive took, and has not
    said since that it lacks; `failed` those that its last answer did not commit, with the reason.
    `n_failures` counts such answers in a row, `n_unanswered` what was asked since an answer came.
    """

    stored: tuple[str, ...] = ()
    committed: tuple[str, ...] = ()
    failed: dict[str, int] = field(default_factory=dict)
    transactions: tuple[str, ...] = ()
    n_unverified: int = 0
    n_failures: int = 0
    n_unanswered: int = 0
    unanswered_since: float | None = None

    def has_committed(self, objects: Iterable[Reference]) -> bool:
        """Whether the archive has confirmed all of these."""
        return {one.sop_instance_uid for one in objects} <= set(self.committed)

    def to_store(self, objects: Iterable[Reference]) -> list[Reference]:
        """Objects that the archive is to be sent."""
        has = {*self.stored, *self.committed}
        return [one for one in objects if one.sop_instance_uid not in has]

    def to_commit(self, objects: Iterable[Reference]) -> list[Reference]:
        """Objects that it has not confirmed."""
        return [one for one in objects if one.sop_instance_uid not in self.committed]

    def having_stored(self, objects: Iterable[Reference], n_unverified: int) -> "Progress":
        """The progress after it took these."""
        stored = dict.fromkeys([*self.stored, *(one.sop_instance_uid for one in objects)])
        return replace(self, stored=tuple(stored), n_unverified=n_unverified or self.n_unverified)

    def having_asked(self, now: float) -> "Progress":
        """The progress after the archive promised an answer."""
        return replace(
            self,
            n_unanswered=self.n_unanswered + 1,
            unanswered_since=now if self.unanswered_since is None else self.unanswered_since,
        )

    def answered(self, answer: CommitmentAnswer, asked_for: Iterable[Reference]) -> "Progress":
        """The progress after an answer to a request for these objects.

        An object that the answer does not name, or under another SOP class, is not committed.
        """
        committed, failed = dict.fromkeys(self.committed), dict(answer.failed)
        missing: dict[str, int] = {}
        for one in asked_for:
            uid = one.sop_instance_uid
            if uid not in failed and answer.committed.get(uid) == one.sop_class_uid:
                committed[uid] = None
            elif uid not in committed:
                missing[uid] = failed.get(uid, _NOT_NAMED)
        return replace(
            self,
            stored=tuple(uid for uid in self.stored if uid not in missing),
            committed=tuple(committed),
            failed=missing,
            n_failures=self.n_failures + 1 if missing else 0,
            n_unanswered=0,
            unanswered_since=None,
        )

    def next_question_s(self, within_s: float) -> float | None:
        """Seconds until the archive is asked again; None: it is not any more."""
        n_asked = max(1, self.n_unanswered)
        strategy = retry.commitment(within_s)
        waited_s = sum(filter(None, map(strategy.pause_s, range(1, n_asked))))
        return strategy.pause_s(n_asked, waited_s)


_NOT_NAMED: Final = 0x0110


def progress(result: Path, destination: str) -> Progress:
    """How far a delivery is; none where nothing is noted, or it cannot be read."""
    try:
        found = json.loads(_progress_file(result, destination).read_bytes())
        return Progress(
            stored=tuple(map(str, found["stored"])),
            committed=tuple(map(str, found["committed"])),
            failed={str(uid): int(reason) for uid, reason in found["failed"].items()},
            transactions=tuple(map(str, found["transactions"])),
            n_unverified=int(found["n_unverified"]),
            n_failures=int(found["n_failures"]),
            n_unanswered=int(found["n_unanswered"]),
            unanswered_since=found["unanswered_since"],
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return Progress()


def save(result: Path, destination: str, state: Progress) -> None:
    """Note how far a delivery is, durably. Raises `OSError`."""
    if not result.is_dir():
        raise FileNotFoundError("result")
    write_whole(_progress_file(result, destination), json.dumps(asdict(state)).encode())


def forget(result: Path, destination: str, transactions: Transactions) -> None:
    """Have the next delivery begin at the beginning. Raises `OSError`."""
    for uid in progress(result, destination).transactions:
        transactions.settle(uid)
    _progress_file(result, destination).unlink(missing_ok=True)


class Archives:
    """Takes the reports of archives for one node: each from the one that was asked."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._transactions = Transactions(settings.storage.folder)

    def take(self, sender: Sender, report: CommitmentReport) -> bool:
        """Whether the report is of a transaction that this very archive was asked for. `OSError`.

        Who does not get in learns nothing: an unknown transaction and another's are alike.
        """
        asked = self._transactions.find(report.transaction_uid)
        if asked is None or not self._is(sender, asked.destination):
            return False
        self._transactions.take(report)
        log.info(
            "commitment_answered", study=asked.study, destination=asked.destination,
            count=len(report.committed), skipped=len(report.failed),
        )  # fmt: skip
        return True

    def _is(self, sender: Sender, name: str) -> bool:
        """Whether the sender is that destination, by AE title and address.

        The address is its host's, or one that `[[listener.peers]]` names for its AE title. The
        title is the one that was asked, the archive's own, or one that such a block puts beside
        these.
        """
        try:
            archive = self._settings.destination(name)
        except SettingsError:
            return False
        blocks = _blocks(self._settings, archive)
        known = {*_titles(archive), *(title for block in blocks for title in block.titles)}
        if not archive.commit or sender.ae_title not in known:
            return False
        where = ip_address(sender.address)
        if any(
            b.has(sender.ae_title) and where in ip_network(b.address, strict=False) for b in blocks
        ):
            return True
        return sender.address in _addresses(archive)


def may_answer(settings: Settings, archive: Destination) -> bool:
    """Whether the listener lets the archive in, by what the settings say of both."""
    listener, titles = settings.listener, _titles(archive)
    if listener.calling_ae_titles and not titles & {*listener.calling_ae_titles}:
        return False
    addresses = [ip_address(one) for one in _addresses(archive)]
    if is_loopback(listener.host) and not any(one.is_loopback for one in addresses):
        return False
    return (
        not listener.peers
        or any(
            any(map(peer.has, titles)) and one in ip_network(peer.address, strict=False)
            for peer in listener.peers
            for one in addresses
        )
        or bool(_blocks(settings, archive))
    )


def _titles(archive: Destination) -> set[str]:
    """The AE titles under which an archive may answer, by its own block."""
    return {title for title in (archive.ae_title, archive.commit_ae_title) if title}


def _blocks(settings: Settings, archive: Destination) -> list[ListenerPeer]:
    """The blocks of `[[listener.peers]]` that name one of the archive's AE titles."""
    titles = _titles(archive)
    return [peer for peer in settings.listener.peers if titles & {*peer.titles}]


def _addresses(archive: Destination) -> set[str]:
    with suppress(OSError, UnicodeError):
        found = socket.getaddrinfo(archive.host, None, type=socket.SOCK_STREAM)
        return {plain_address(str(where[0])) for *_, where in found}
    return set()


def prepare(storage: Path) -> None:
    """Make the folders. Raises `OSError`."""
    for name in ("asked", "answered"):
        make_folder(storage / FOLDER / name)


def _progress_file(result: Path, destination: str) -> Path:
    return result / f"commitment.{destination}.json"


def _name(transaction_uid: str) -> str:
    return hashlib.sha256(transaction_uid.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _asked(path: Path) -> Asked | None:
    try:
        found = json.loads(path.read_bytes())
        settled_at = found["settled_at"]
        return Asked(
            str(found["study"]),
            str(found["content"]),
            str(found["destination"]),
            float(found["at"]),
            None if settled_at is None else float(settled_at),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _answer(path: Path) -> CommitmentAnswer | None:
    try:
        found = json.loads(path.read_bytes())
        return CommitmentAnswer(
            float(found["at"]),
            {str(uid): str(sop_class) for uid, sop_class in found["committed"].items()},
            {str(uid): int(reason) for uid, reason in found["failed"].items()},
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
