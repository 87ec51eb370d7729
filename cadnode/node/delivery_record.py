"""What became of each try to deliver a content, beside its result: it outlives the job database.

    RESULTS/<study_key>/<fingerprint>/deliveries.jsonl   a line a try, the last one last

Of very many tries the first and the last of each destination are kept, the last `KEPT` of all, and
how many there were between.

The job database decides what runs; this file is what is known when that database is lost, replaced
by an older one, or asked by nobody: which destination has the result, and why another has not. It
names destinations and our own reasons, nothing of the patient. A line that a crash cut is ignored.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cadnode.files import lock, sync_folder, write_whole
from cadnode.node.jobs import DeliveryStatus

FILE: Final = "deliveries.jsonl"
KEPT: Final = 100
_MOST_BYTES: Final = 48 << 10  # of a record, before lines are left out


@dataclass(frozen=True, slots=True)
class DeliveryTry:
    """One try: `status` is how it ended, `reason` why it did not arrive (one of our sentences).

    `at` is in seconds since the epoch. `n_left_out` tries were made before it since the one before
    of the same destination, and are not kept.
    """

    destination: str
    status: DeliveryStatus
    at: float
    reason: str = ""
    n_left_out: int = 0


def record(folder: Path, one: DeliveryTry) -> None:
    """Add a try to the record of the content in `folder`, durably.

    Raises
    ------
    OSError
        The disk is full, or the result was removed.
    """
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        lock(place)  # else a line that comes while others are left out would be left out, too
        path = folder / FILE
        is_new = not path.exists()
        descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o640)
        try:
            os.write(descriptor, _line(one))
            os.fsync(descriptor)
            n_bytes = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if is_new:
            sync_folder(folder)
        if n_bytes > _MOST_BYTES:
            write_whole(path, b"".join(map(_line, _shortened(tries(folder)))))
    finally:
        os.close(place)


def _line(one: DeliveryTry) -> bytes:
    """A line stands between two ends of line.

    What a crash leaves before or after it, even zeros where the next line was to be, does not
    reach it.
    """
    document = {
        "destination": one.destination,
        "status": one.status.value,
        "at": round(one.at, 3),
        "reason": one.reason,
    }
    left_out = {"n_left_out": one.n_left_out} if one.n_left_out else {}
    return f"\n{json.dumps(document | left_out)}\n".encode()


def _shortened(found: Sequence[DeliveryTry]) -> Iterator[DeliveryTry]:
    """The tries that are kept of many; each knows how many were left out before it."""
    first: dict[str, int] = {}
    for at, one in enumerate(found):
        first.setdefault(one.destination, at)
    last = {one.destination: at for at, one in enumerate(found)}
    kept = {*first.values(), *last.values(), *range(max(0, len(found) - KEPT), len(found))}
    left_out: Counter[str] = Counter()
    for at, one in enumerate(found):
        if at in kept:
            yield replace(one, n_left_out=one.n_left_out + left_out.pop(one.destination, 0))
        else:
            left_out[one.destination] += 1 + one.n_left_out


def tries(folder: Path) -> list[DeliveryTry]:
    """Every recorded try of the content in `folder`, the first one first; [] without a record."""
    try:
        lines = (folder / FILE).read_bytes().splitlines()
    except OSError:
        return []
    return list(_parsed(lines))


def last_tries(folder: Path) -> dict[str, DeliveryTry]:
    """The last try for each destination that one was made for."""
    return {one.destination: one for one in tries(folder)}


def _parsed(lines: list[bytes]) -> Iterator[DeliveryTry]:
    for line in lines:
        with suppress(ValueError, TypeError, KeyError):
            found = json.loads(line)
            yield DeliveryTry(
                str(found["destination"]),
                DeliveryStatus(found["status"]),
                float(found["at"]),
                str(found["reason"]),
                int(found.get("n_left_out", 0)),
            )
