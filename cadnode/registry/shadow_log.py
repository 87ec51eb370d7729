"""Shadow mode: another version reads beside the active one, and only the admin sees its scores.

The active models' result is reported and delivered as if there were no shadow. What the shadow
would have given goes to `shadow.json` of the result's folder: scores alone, no identifiers.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from cadnode.domain import ExamResult, ModelUse, System, in_order

FILE: Final = "shadow.json"
SCHEMA: Final = 2
EXAM: Final = "exam"


class ShadowStatus(StrEnum):
    """How a reading in shadow mode ended."""

    READ = "read"
    UNAFFECTED = "unaffected"  # no shadow reads such images: there is nothing to compare
    FAILED = "failed"


class Failure(StrEnum):
    """Why a shadow did not read; the code in logs and `shadow.json`."""

    SETTINGS = "settings"  # what is to be the shadow is not installed, or named twice
    MODEL = "model"  # its card or weights are damaged
    INPUTS_GONE = "inputs_gone"  # the images are not there any more
    OUT_OF_TIME = "out_of_time"
    CRASHED = "crashed"  # its process died: memory, or a fault of a library
    ERROR = "error"  # anything else


@dataclass(frozen=True, slots=True)
class Pair:
    """One score of both, by one system: of the exam, or of a breast (`R`, `L`).

    Systems that score views score exams and breasts; of the other systems the exam's score is the
    highest probability among its regions. A score is None where that side gave none. `called`
    states whether it reached its own operating point; None where that is unknown.
    """

    system: System
    what: str
    active: float | None
    shadow: float | None
    active_called: bool | None
    shadow_called: bool | None


def pairs(active: ExamResult, shadow: ExamResult, systems: Collection[System]) -> tuple[Pair, ...]:
    """Of each system the exam, of one that scores views then right and left breast, as both do.

    A shadow that scores views is compared with what scored them for the report, whose system may be
    another: the pair names the shadow's.
    """
    found: list[Pair] = []
    of_views = _scored_views(shadow) | {System.KIM2018}
    for system in in_order(systems):
        found += (
            _of_breasts(system, active, shadow)
            if system in of_views
            else [_of_regions(system, active, shadow)]
        )
    return tuple(found)


def _scored_views(result: ExamResult) -> set[System | None]:
    """The systems of the models that scored views."""
    names = {view.algorithm for view in result.views}
    return {model.system for model in result.models if model.name in names}


def document(
    active: ExamResult,
    shadow: ExamResult,
    by: Sequence[ModelUse],
    systems: Collection[System],
    *,
    wanted: Sequence[str],
    missing: Sequence[str] = (),
    seconds: float,
) -> dict[str, Any]:
    """Content of `shadow.json` after a reading.

    `by` are the shadows that read such images, of all that were `wanted` (`NAME@VERSION`);
    `missing` are those that could not be asked.
    `marks` are the regions that detection marked.
    """
    names = {m.name for m in by}
    return {
        "schema_version": SCHEMA,
        "status": ShadowStatus.READ.value,
        "wanted": list(wanted),
        "missing": list(missing),
        "active": [_used(m) for m in active.models if m.name in names],
        "shadow": [_used(m) for m in by],
        "scores": [asdict(p) for p in pairs(active, shadow, systems)],
        "marks": {"active": _marks(active), "shadow": _marks(shadow)},
        "seconds": round(seconds, 2),
    }


def without_reading(
    status: ShadowStatus,
    specs: Sequence[str],
    reason: Failure | None = None,
    *,
    missing: Sequence[str] = (),
) -> dict[str, Any]:
    """Content of `shadow.json` where the shadow, `NAME@VERSION` each, did not read.

    `missing` are further ones that could not be asked.
    """
    return {
        "schema_version": SCHEMA,
        "status": status.value,
        "reason": reason.value if reason else "",
        "wanted": list(specs),
        "missing": list(missing),
    }


def agreement(exams: Iterable[Pair]) -> dict[str, int]:
    """Exams by who would have called them: `both`, `active`, `shadow`, `neither`, `incomplete`."""
    names = {(True, True): "both", (True, False): "active", (False, True): "shadow"}
    counts = Counter(dict.fromkeys((*names.values(), "neither", "incomplete"), 0))
    for pair in exams:
        if pair.active_called is None or pair.shadow_called is None:
            counts["incomplete"] += 1
        else:
            counts[names.get((pair.active_called, pair.shadow_called), "neither")] += 1
    return dict(counts)


def _of_breasts(system: System, active: ExamResult, shadow: ExamResult) -> list[Pair]:
    sides = sorted({b.laterality for r in (active, shadow) for b in r.breasts}, reverse=True)
    rows = [_pair(system, EXAM, active, shadow, active.exam_score, shadow.exam_score)]
    for side in sides:
        one, other = (
            next((b.score for b in r.breasts if b.laterality == side), None)
            for r in (active, shadow)
        )
        rows.append(_pair(system, side.value, active, shadow, one, other))
    return rows


def _pair(
    system: System,
    what: str,
    active: ExamResult,
    shadow: ExamResult,
    one: float | None,
    other: float | None,
) -> Pair:
    return Pair(system, what, one, other, _called(active, one), _called(shadow, other))


def _called(result: ExamResult, score: float | None) -> bool | None:
    if score is None or result.operating_point is None:
        return None
    return score >= result.operating_point


def _of_regions(system: System, active: ExamResult, shadow: ExamResult) -> Pair:
    (one, one_called), (other, other_called) = _highest(active, system), _highest(shadow, system)
    return Pair(system, EXAM, one, other, one_called, other_called)


def _highest(result: ExamResult, system: System) -> tuple[float | None, bool | None]:
    """Highest probability of a system's regions, and whether one is suspicious.

    An exam that was read and has no region of the system is not called.
    """
    assessments = [a for f in result.findings for a in f.assessments if a.system is system]
    if not assessments:
        return None, False if result.views else None
    return max(a.probability for a in assessments), any(a.suspicious for a in assessments)


def _marks(result: ExamResult) -> int:
    return sum(f.certainty is not None for f in result.findings)


def _used(model: ModelUse) -> dict[str, str]:
    return {"name": model.name, "version": model.version, "sha256": model.sha256}
