"""`result.json`: what a reading found, for programs; docs/result.schema.json is its schema.

It names images by SOP Instance UID and holds no patient data.
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cadnode import __version__
from cadnode.domain import (
    NO_AGE_SCORE_MEANINGS,
    SKIP_MEANINGS,
    Assessment,
    ClusterDescription,
    Correspondence,
    ExamResult,
    Finding,
    HeatMap,
    ImageAndAge,
    ImageEvidence,
    Laterality,
    ModelUse,
    RoiReference,
    Skipped,
    SystemStatus,
    ViewScore,
)
from cadnode.errors import ReportError
from cadnode.files import write_whole
from cadnode.report.sr.measurement_groups import summary

SCHEMA_VERSION: Final = "1.3"


def to_json(
    result: ExamResult,
    *,
    made_at: datetime | None = None,
    timings: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The result as `docs/result.schema.json` describes it; only JSON types in it.

    Scores are null where nothing was read. `timings` are seconds per stage.

    Raises
    ------
    ReportError
        A number is not finite: JSON has no word for it, and no reader should guess.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        "software": {"name": "cadnode", "version": __version__},
        "made_at": made_at.isoformat() if made_at else None,
        "outcome": result.outcome.value,
        "complete": result.complete,
        "summary": {"code": summary(result).value, "meaning": summary(result).meaning},
        "calibrated": False,
        "exam": {
            "study_instance_uid": result.study_instance_uid,
            "score": result.exam_score,
            "operating_point": result.operating_point,
        },
        "breasts": {side.value: _breast(result, side) for side in Laterality},
        **({"image_and_age": _image_and_age(both)} if (both := result.image_and_age) else {}),
        "views": [_view(view) for view in result.views],
        "findings": [_finding(finding) for finding in result.findings],
        "correspondences": [_correspondence(pair) for pair in result.correspondences],
        "skipped": [_skipped(skipped) for skipped in result.skipped],
        "evidence": [_evidence(image) for image in result.evidence],
        "models": [_model(used) for used in result.models],
        "systems": [_system(status) for status in result.systems],
        "heat_maps": [_heat_map(heat_map) for heat_map in result.heat_maps],
        "timings_s": {stage: round(float(s), 3) for stage, s in (timings or {}).items()},
    }
    if not _finite(document):
        raise ReportError("a score is not a finite number")
    return document


def write_result(
    path: Path,
    result: ExamResult,
    *,
    made_at: datetime | None = None,
    timings: Mapping[str, float] | None = None,
) -> Path:
    """`path`, now holding what `to_json` gives; it appears whole or not at all.

    Raises
    ------
    ReportError
        A number is not finite, or the file cannot be written.
    """
    document = to_json(result, made_at=made_at, timings=timings)
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise ReportError(f"result.json could not be written (errno {error.errno})") from None
    return path


def _breast(result: ExamResult, side: Laterality) -> dict[str, Any]:
    """Score of one breast and the number of its views; null and 0 when it was not read."""
    imaged = result.shows(side)
    for breast in result.breasts:
        if breast.laterality == side:
            return {"score": float(breast.score), "n_views": breast.n_views, "imaged": imaged}
    return {"score": None, "n_views": 0, "imaged": imaged}


def _image_and_age(both: ImageAndAge) -> dict[str, Any]:
    """The scores of image and age, or why there are none; absent where none were asked for."""
    scores = {breast.laterality: float(breast.score) for breast in both.breasts}
    return {
        "algorithm": both.algorithm,
        "exam": None if both.exam_score is None else float(both.exam_score),
        "breasts": {side.value: scores.get(side) for side in Laterality},
        "reason": both.reason.value if both.reason else None,
        "meaning": NO_AGE_SCORE_MEANINGS[both.reason] if both.reason else None,
    }


def _view(view: ViewScore) -> dict[str, Any]:
    return {
        "sop_instance_uid": view.sop_instance_uid,
        "laterality": view.laterality.value,
        "view": view.view.value,
        "score": float(view.score),
        "algorithm": view.algorithm,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    """A finding; box and outline are in (row, column) source pixels."""
    return {
        "sop_instance_uid": finding.sop_instance_uid,
        "box": [int(edge) for edge in finding.box],
        "outline": [[round(float(r), 2), round(float(c), 2)] for r, c in finding.outline],
        "kind": str(finding.kind),
        "probability": float(finding.probability),
        "algorithm": finding.algorithm,
        "certainty": None if finding.certainty is None else float(finding.certainty),
        "cluster": _cluster(finding.cluster) if finding.cluster else None,
        "assessments": [_assessment(assessment) for assessment in finding.assessments],
        "marked_by": _marked_by(finding.marked_by) if finding.marked_by else None,
    }


def _cluster(cluster: ClusterDescription) -> dict[str, Any]:
    return {
        "distribution": cluster.distribution.value,
        "type": cluster.type.value,
        "count": int(cluster.count),
        "diameter_mm": float(cluster.diameter_mm),
        "diameter_estimated": cluster.diameter_estimated,
    }


def _assessment(assessment: Assessment) -> dict[str, Any]:
    """One system's assessment, and the models that its probability is made of."""
    return {
        "system": assessment.system.value,
        "algorithm": assessment.algorithm,
        "probability": float(assessment.probability),
        "suspicious": bool(assessment.suspicious),
        "members": [{"algorithm": name, "probability": float(p)} for name, p in assessment.members],
    }


def _correspondence(pair: Correspondence) -> dict[str, Any]:
    """The numbers, from 1, of two findings that are taken for one lesion."""
    return {
        "cc": pair.cc + 1,
        "mlo": pair.mlo + 1,
        "nipple_mm": [round(float(mm), 2) for mm in pair.nipple_mm],
        "nipple_estimated": pair.nipple_estimated,
        "certainty": float(pair.certainty),
    }


def _marked_by(reference: RoiReference) -> dict[str, Any]:
    return {
        "sop_class_uid": reference.sop_class_uid,
        "sop_instance_uid": reference.sop_instance_uid,
        "by_person": reference.by_person,
    }


def _model(used: ModelUse) -> dict[str, Any]:
    """A model that took part; `calibration` where that of a scanner was used."""
    local = {"calibration": used.calibration} if used.calibration else {}
    return {
        "name": used.name,
        "version": used.version,
        "sha256": used.sha256,
        "trained_on": [material.value for material in used.trained_on],
        **local,
    }


def _system(status: SystemStatus) -> dict[str, Any]:
    return {
        "system": status.system.value,
        "active": status.active,
        "models": list(status.models),
        "reason": status.reason,
    }


def _heat_map(heat_map: HeatMap) -> dict[str, Any]:
    """Which map of which view, and the part of the source image it covers; no pixels."""
    return {
        "sop_instance_uid": heat_map.sop_instance_uid,
        "algorithm": heat_map.algorithm,
        "box": [int(edge) for edge in heat_map.box],
    }


def _skipped(skipped: Skipped) -> dict[str, Any]:
    return {
        "sop_instance_uid": skipped.sop_instance_uid,
        "reason": skipped.reason.value,
        "meaning": SKIP_MEANINGS[skipped.reason],
        "detail": skipped.detail,
    }


def _evidence(image: ImageEvidence) -> dict[str, Any]:
    """What each source states of an image; `counts`: it is among those that decided."""
    return {
        "sop_instance_uid": image.sop_instance_uid,
        "sources": [
            {
                "about": e.about,
                "source": e.source,
                "level": e.level.value,
                "says": e.says,
                "counts": e.counts,
            }
            for e in image.evidence
        ],
    }


def _finite(value: Any) -> bool:
    """Whether all numbers in a tree of JSON values are finite."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_finite, value.values()))
    return not isinstance(value, list) or all(map(_finite, value))
