"""Shadow mode: a second version reads beside the active one, and nobody is told but the admin.

The active models' result is reported and delivered as if there were no shadow. What the shadow
would have said goes to `shadow.json` of the result's folder: scores alone, no identifiers.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cadnode.domain import ExamResult, ModelUse
from cadnode.errors import SettingsError
from cadnode.models.activation import Catalogue, parse

FILE: Final = "shadow.json"
EXAM: Final = "exam"


@dataclass(frozen=True, slots=True)
class Pair:
    """One score of both: of the exam, or of a breast (`R`, `L`).

    A score is None where that side gave none; `called` says whether it reached its own operating
    point, None without a score or a point.
    """

    what: str
    active: float | None
    shadow: float | None
    active_called: bool | None
    shadow_called: bool | None


def folders(catalogue: Catalogue, specs: Sequence[str]) -> list[Path]:
    """Folders the shadow reads with: the active models, those of `specs` in their namesakes' place.

    Raises
    ------
    SettingsError
        A spec has no version, is not installed, is active itself, or a name occurs twice.
    ModelError
        As `Catalogue.active`.
    """
    chosen = {}
    for spec in specs:
        name, version = parse(spec)
        if version is None:
            raise SettingsError(f"reading.shadow wants NAME@VERSION, not {spec!r}")
        if name in chosen:
            raise SettingsError(f"reading.shadow names {name} twice")
        if catalogue.active_version(name) == version:
            raise SettingsError(f"reading.shadow names {spec}, which is the active version")
        chosen[name] = catalogue.find(name, version).folder
    kept = [e.folder for e in catalogue.active() if e.name not in chosen]
    return [*chosen.values(), *kept]


def pairs(active: ExamResult, shadow: ExamResult) -> tuple[Pair, ...]:
    """The exam, then right and left breast, as both score them."""
    sides = sorted({b.laterality for r in (active, shadow) for b in r.breasts}, reverse=True)
    rows = [_pair(EXAM, active, shadow, active.exam_score, shadow.exam_score)]
    for side in sides:
        one, other = (
            next((b.score for b in r.breasts if b.laterality == side), None)
            for r in (active, shadow)
        )
        rows.append(_pair(side.value, active, shadow, one, other))
    return tuple(rows)


def as_dict(active: ExamResult, shadow: ExamResult) -> dict[str, Any]:
    """Content of `shadow.json`."""
    used = {m.name: m for m in active.models}
    return {
        "schema_version": 1,
        "active": [_used(m) for m in active.models if m not in shadow.models],
        "shadow": [_used(m) for m in shadow.models if used.get(m.name) != m],
        "scores": [
            {
                "what": p.what,
                "active": p.active,
                "shadow": p.shadow,
                "active_called": p.active_called,
                "shadow_called": p.shadow_called,
            }
            for p in pairs(active, shadow)
        ],
    }


def agreement(exams: Iterable[Sequence[Pair]]) -> dict[str, int]:
    """Exams by who would have called them: `both`, `active`, `shadow`, `neither`, `incomplete`."""
    names = {(True, True): "both", (True, False): "active", (False, True): "shadow"}
    counts = Counter(dict.fromkeys((*names.values(), "neither", "incomplete"), 0))
    for rows in exams:
        exam = next((p for p in rows if p.what == EXAM), None)
        if exam is None or exam.active_called is None or exam.shadow_called is None:
            counts["incomplete"] += 1
        else:
            counts[names.get((exam.active_called, exam.shadow_called), "neither")] += 1
    return dict(counts)


def _pair(
    what: str, active: ExamResult, shadow: ExamResult, one: float | None, other: float | None
) -> Pair:
    return Pair(what, one, other, _called(active, one), _called(shadow, other))


def _called(result: ExamResult, score: float | None) -> bool | None:
    if score is None or result.operating_point is None:
        return None
    return score >= result.operating_point


def _used(model: ModelUse) -> dict[str, str]:
    return {"name": model.name, "version": model.version, "sha256": model.sha256}
