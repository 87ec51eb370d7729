"""What is to be erased, noted before it begins, and what was, noted at its end.

STORAGE/erasures/open/<hash>.json    an erasure that has begun: a crash leaves it, and the same
                                     command takes it up; it holds the patient's identifiers
                 <time>-<hash>.json  the record of an erasure that has ended: counts, no identifier

<hash> stands for the patient and is keyed (`study_gate.StudyGate.hashed`).
"""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cadnode.files import make_folder, sync_folder, write_whole
from cadnode.node.erasure.patient import Identifiers
from cadnode.node.study_gate import FOLDER

_OPEN: Final = "open"


@dataclass(slots=True)
class Plan:
    """An erasure under way. `elsewhere` is what was delivered; `removed` counts by place.

    `studies` are those that are hers alone; `shared` those that hold others' images, too.
    """

    patient: str
    begun_at: float
    studies: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    contents: set[tuple[str, str]] = field(default_factory=set)
    identifiers: Identifiers = field(default_factory=Identifiers, repr=False)
    elsewhere: list[dict[str, Any]] = field(default_factory=list)
    removed: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, n: int) -> None:
        """So many more of a kind of thing are removed."""
        if n:
            self.removed[what] = self.removed.get(what, 0) + n

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to erase."""
        return not (self.studies or self.shared)


class Plans:
    """The plans and records of one storage folder."""

    def __init__(self, storage: Path) -> None:
        self._folder = storage / FOLDER

    def path_of(self, patient: str) -> Path:
        """Where the plan of a patient is, while it is open."""
        return self._folder / _OPEN / f"{patient}.json"

    def load(self, patient: str) -> Plan | None:
        """The plan that a crash has left; None when there is none. Raises `OSError`."""
        with suppress(FileNotFoundError, ValueError, KeyError, TypeError):
            found = json.loads(self.path_of(patient).read_bytes())
            return Plan(
                patient,
                float(found["begun_at"]),
                set(found["studies"]),
                set(found["shared"]),
                {(study, content) for study, content in found["contents"]},
                Identifiers.from_json(found["identifiers"]),
                list(found["elsewhere"]),
                {str(what): int(n) for what, n in found["removed"].items()},
            )
        return None

    def save(self, plan: Plan) -> None:
        """Note it, durably, for the node's own user alone. Raises `OSError`."""
        document = {
            "begun_at": plan.begun_at,
            "studies": sorted(plan.studies),
            "shared": sorted(plan.shared),
            "contents": sorted(plan.contents),
            "identifiers": plan.identifiers.as_json(),
            "elsewhere": plan.elsewhere,
            "removed": plan.removed,
        }
        make_folder(self._folder / _OPEN)
        (self._folder / _OPEN).chmod(0o700)
        write_whole(self.path_of(plan.patient), json.dumps(document).encode())

    def close(self, plan: Plan, record: dict[str, Any], stamp: str) -> Path:
        """Write the record, then remove the plan; the record's file. Raises `OSError`."""
        path = self._folder / f"{stamp}-{plan.patient[:8]}.json"
        write_whole(path, json.dumps(record, indent=2).encode() + b"\n")
        self.path_of(plan.patient).unlink(missing_ok=True)
        sync_folder(self._folder / _OPEN)
        return path

    def n_open(self) -> int:
        """Number of erasures that were broken off."""
        return sum(1 for _ in (self._folder / _OPEN).glob("*.json"))
