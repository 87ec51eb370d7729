"""UIDs that are derived, never drawn: from what went in and how it ended, not from scores."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from cadnode.domain import ExamResult, ModelUse

# The one namespace of everything this software makes (PS3.5 section B.2: UUID derived UIDs).
NAMESPACE: Final = uuid.UUID("5b1b2c64-6a2f-5f0c-9d3e-0f5d1a7c9e21")


def object_uid(
    *,
    study_instance_uid: str,
    source_uids: Sequence[str],
    models: Sequence[str],
    fingerprint: str,
    kind: str,
    index: int = 0,
) -> str:
    """UID `2.25.<integer of a version 5 UUID>` of an object, series or region.

    It depends on all arguments and on nothing else; the order of `source_uids` and of
    `models` does not matter. `kind` distinguishes objects of one reading ("sr", "heatmap",
    "sr-series" …), `index` those of one kind.
    """
    parts = [study_instance_uid, sorted(source_uids), sorted(models), fingerprint, kind, index]
    name = json.dumps(parts, separators=(",", ":"), ensure_ascii=True)
    return f"2.25.{uuid.uuid5(NAMESPACE, name).int}"


def fingerprint(result: ExamResult, *given: object) -> str:
    """Sha256 over what went into a result, how its reading ended, and what else is `given`.

    No score, finding or map counts: they are computed, and differ in their last digits between
    processors, thread counts and versions of libraries. Two results of one fingerprint differ in
    such digits alone, or in a finding at the very edge of a threshold.

    `given` are values that JSON knows.
    """
    parts = [_ending(result), _makers(result), given]
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()


def identifying_models(result: ExamResult) -> list[ModelUse]:
    """Models that took part whatever was found: those that scored the views.

    All that a result names where it does not state what it was read with (`read_with`).
    """
    scorers = {view.algorithm for view in result.views}
    return [m for m in result.models if not result.read_with or m.name in scorers]


def _ending(result: ExamResult) -> list[object]:
    """What was read, what was not and why not, and which systems took part."""
    return [
        result.study_instance_uid,
        sorted((v.sop_instance_uid, v.laterality, v.view, v.algorithm) for v in result.views),
        sorted((s.sop_instance_uid, s.reason, s.detail) for s in result.skipped),
        sorted((s.system, s.active, s.models, s.reason, s.failed) for s in result.systems),
    ]


def _identity(model: ModelUse) -> dict[str, object]:
    """All that reports name of a model; without a scanner's calibration as before there was any."""
    left_out = {"scores_as"} if model.calibration else {"scores_as", "calibration"}
    return {name: value for name, value in asdict(model).items() if name not in left_out}


def _makers(result: ExamResult) -> list[object]:
    """What it was read with; of a result that does not state it, whatever it names."""
    maps = sorted((m.sop_instance_uid, m.algorithm) for m in result.heat_maps)
    return [
        result.read_with,
        sorted(json.dumps(_identity(model)) for model in identifying_models(result)),
        result.operating_point,
        [] if result.read_with else maps,
    ]
