"""What the senders were answered and what the archive got: written by them, not by the node.

WORK/answers.jsonl    a line an answer that a sender got
WORK/archive.jsonl    a line an object that the archive was sent, and what it answered
"""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What a sender was answered for one file; `status` is None when no answer came."""

    sop_instance_uid: str
    digest: str
    status: int | None
    at: float

    @property
    def is_success(self) -> bool:
        """Whether the node has taken responsibility for the file."""
        return self.status == 0


@dataclass(frozen=True, slots=True)
class Arrived:
    """An object that the archive was sent.

    `is_held`: the archive has stored it. `uids` are all UIDs that stand in it, `refers_to` the
    instances that it is made of. `problem` says why it could not be parsed.
    """

    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    patient_id: str
    accession: str
    digest: str
    status: int
    is_held: bool
    at: float
    refers_to: tuple[str, ...] = ()
    uids: tuple[str, ...] = ()
    problem: str = ""


class Answers:
    """The senders' side. Threads may share it; an interrupted run goes on with what it holds."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self.all: list[Answer] = [Answer(**line) for line in lines(path)]
        self._taken = {a.digest for a in self.all if a.is_success}
        self._file = path.open("a")

    def note(self, answer: Answer) -> None:
        with self._lock:
            self.all.append(answer)
            if answer.is_success:
                self._taken.add(answer.digest)
            self._file.write(json.dumps(asdict(answer)) + "\n")
            self._file.flush()

    def is_taken(self, digest: str) -> bool:
        """Whether the node has answered Success for a file with that data set."""
        return digest in self._taken

    def taken(self) -> list[Answer]:
        """The first Success for each data set."""
        with self._lock:
            first = {a.digest: a for a in reversed(self.all) if a.is_success}
        return list(first.values())

    def close(self) -> None:
        self._file.close()


class Archived:
    """The archive's side, read while it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.all: list[Arrived] = []

    def read(self) -> list[Arrived]:
        """Everything up to now."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._offset += len(whole)
            self.all += [arrived(json.loads(line)) for line in whole.splitlines() if line]
        return self.all

    def held(self) -> list[Arrived]:
        """What the archive has stored."""
        return [one for one in self.read() if one.is_held]

    def lied_about(self) -> set[str]:
        """UIDs that the archive answered Success for and never stored."""
        held = {one.sop_instance_uid for one in self.held()}
        lied = {o.sop_instance_uid for o in self.all if not o.is_held and o.status == 0}
        return lied - held


def arrived(line: dict[str, object]) -> Arrived:
    """A line of the archive's record."""
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in line.items()}
    return Arrived(**values)  # type: ignore[arg-type]


def lines(path: Path) -> Iterator[dict[str, object]]:
    """The whole lines of a file; none when it is missing."""
    if path.exists():
        data = path.read_bytes()
        for line in data[: data.rfind(b"\n") + 1].splitlines():
            yield json.loads(line)


def now() -> float:
    """The time of an entry."""
    return round(time.time(), 3)
