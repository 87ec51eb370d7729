"""What became of each try to deliver a content, beside its result: it outlives the job database.

    RESULTS/<study_key>/<fingerprint>/deliveries.jsonl   a line a try, the last one last

The job database decides what runs; this file is what is known when that database is lost, replaced
by an older one, or asked by nobody: which destination has the result, and why another has not. It
names destinations and our own reasons, nothing of the patient. A line that a crash cut is ignored.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.files import sync_folder
from cadnode.node.jobs import DeliveryStatus

FILE: Final = "deliveries.jsonl"


@dataclass(frozen=True, slots=True)
class DeliveryTry:
    """One try: `status` is how it ended, `reason` why it did not arrive (one of our sentences).

    `at` is in seconds since the epoch.
    """

    destination: str
    status: DeliveryStatus
    at: float
    reason: str = ""


def record(folder: Path, one: DeliveryTry) -> None:
    """Add a try to the record of the content in `folder`, durably.

    Raises
    ------
    OSError
        The disk is full, or the result was removed.
    """
    document = {
        "destination": one.destination,
        "status": one.status.value,
        "at": round(one.at, 3),
        "reason": one.reason,
    }
    path = folder / FILE
    is_new = not path.exists()
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o640)
    try:
        # A line stands between two ends of line: what a crash leaves before or after it, even
        # zeros where the next line was to be, does not reach it.
        os.write(descriptor, f"\n{json.dumps(document)}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        sync_folder(folder)


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
            )
