"""Which studies a person has pinned: of these nothing is removed.

STORAGE/pins/<study_key>.json   why, since when and until when
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cadnode.files import sync_folder, write_whole

FOLDER: Final = "pins"


@dataclass(frozen=True, slots=True)
class Pin:
    """A pinned study. Times are seconds since the epoch; `until` None: for good."""

    study: str
    why: str = ""
    since: float = 0.0
    until: float | None = None

    def holds(self, now: float) -> bool:
        """Whether the study is still pinned."""
        return self.until is None or now < self.until


def pin(storage: Path, one: Pin) -> None:
    """Pin a study, or change its pin. Raises `OSError`."""
    write_whole(storage / FOLDER / f"{one.study}.json", json.dumps(asdict(one)).encode())


def unpin(storage: Path, study: str) -> bool:
    """Whether the study was pinned; now it is not. Raises `OSError`."""
    try:
        (storage / FOLDER / f"{study}.json").unlink()
    except FileNotFoundError:
        return False
    sync_folder(storage / FOLDER)
    return True


def pinned(storage: Path, now: float | None = None) -> dict[str, Pin]:
    """The pins that hold, by study. A pin that cannot be read holds: somebody wanted it."""
    at = time.time() if now is None else now
    found = (_read(path) for path in sorted((storage / FOLDER).glob("*.json")))
    return {one.study: one for one in found if one.holds(at)}


def is_pinned(storage: Path, study: str, now: float | None = None) -> bool:
    """Whether a study is pinned at this moment."""
    path = storage / FOLDER / f"{study}.json"
    return path.exists() and _read(path).holds(time.time() if now is None else now)


def _read(path: Path) -> Pin:
    try:
        document = json.loads(path.read_bytes())
        until = document["until"]
        return Pin(
            path.stem,
            str(document["why"]),
            float(document["since"]),
            None if until is None else float(until),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return Pin(path.stem, "this pin's file cannot be read")
