"""Results on disk: one folder per study and content, written atomically, found again after a crash.

RESULTS/<study_key>/<fingerprint>/reading.json   what the models said (an `ExamResult`)
                                  maps.npz       the heat maps' values
                                  result.json    the documented result, for machines
                                  *.dcm          the objects that destinations get
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from cadnode.domain import (
    Box,
    BreastScore,
    ExamResult,
    Finding,
    HeatMap,
    Laterality,
    ModelUse,
    Skipped,
    SkipReason,
    ViewPosition,
    ViewScore,
)
from cadnode.files import write_whole, written_whole


def save_reading(folder: Path, result: ExamResult) -> None:
    """Write `reading.json` and `maps.npz` into `folder`; `reading.json` last."""
    with written_whole(folder / "maps.npz") as file:
        arrays = {str(i): m.values for i, m in enumerate(result.heat_maps)}
        np.savez_compressed(file, allow_pickle=False, **arrays)
    document = asdict(replace(result, heat_maps=()))
    document["heat_maps"] = [
        {"sop_instance_uid": m.sop_instance_uid, "box": list(m.box), "algorithm": m.algorithm}
        for m in result.heat_maps
    ]
    write_whole(folder / "reading.json", json.dumps(document).encode())


def load_reading(folder: Path) -> ExamResult:
    """The `ExamResult` that `save_reading` wrote into `folder`."""
    document = json.loads((folder / "reading.json").read_bytes())
    with np.load(folder / "maps.npz", allow_pickle=False) as values:
        heat_maps = tuple(
            HeatMap(values=values[str(i)], **{**m, "box": Box(*m["box"])})
            for i, m in enumerate(document["heat_maps"])
        )
    return ExamResult(
        study_instance_uid=document["study_instance_uid"],
        exam_score=document["exam_score"],
        breasts=tuple(
            BreastScore(**{**b, "laterality": Laterality(b["laterality"])})
            for b in document["breasts"]
        ),
        views=tuple(_view(v) for v in document["views"]),
        findings=tuple(_finding(f) for f in document["findings"]),
        skipped=tuple(
            Skipped(**{**s, "reason": SkipReason(s["reason"])}) for s in document["skipped"]
        ),
        models=tuple(ModelUse(**m) for m in document["models"]),
        operating_point=document["operating_point"],
        heat_maps=heat_maps,
    )


def _view(values: dict[str, Any]) -> ViewScore:
    sides = {"laterality": Laterality(values["laterality"]), "view": ViewPosition(values["view"])}
    return ViewScore(**{**values, **sides})


def _finding(values: dict[str, Any]) -> Finding:
    outline: Sequence[Sequence[float]] = values["outline"]
    shape = {
        "box": Box(**values["box"]),
        "outline": tuple((float(row), float(column)) for row, column in outline),
    }
    return Finding(**{**values, **shape})
