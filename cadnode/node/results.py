"""Results on disk: one folder per study and content, written atomically, found again after a crash.

RESULTS/<study_key>/<fingerprint>/reading.json   what the models said (an `ExamResult`)
                                  maps.npz       the heat maps' values
                                  made_at        when this reading was first reported
                                  result.json    the documented result, for machines
                                  *.dcm          the objects that destinations get
                                  report.html    the report as a page
                                  report.pdf, fhir.json   where a destination wants them
                                  inputs.json    names of the spool's files that were read

A study that holds images of several patients has the same in a folder `1`, `2` … for each; only
`inputs.json` stands above them.
"""

import json
from collections.abc import Sequence, Set
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
from pydantic import TypeAdapter

from cadnode.domain import (
    Box,
    BreastScore,
    Correspondence,
    ExamResult,
    Finding,
    HeatMap,
    ImageEvidence,
    ModelUse,
    Skipped,
    SystemStatus,
    ViewScore,
)
from cadnode.files import write_whole, written_whole
from cadnode.report.uids import fingerprint

RESULT: Final = "result.json"
PAGE: Final = "report.html"
PDF: Final = "report.pdf"
BUNDLE: Final = "fhir.json"
MADE_AT: Final = "made_at"

_TUPLES: Final[dict[str, type]] = {
    "breasts": BreastScore,
    "views": ViewScore,
    "findings": Finding,
    "skipped": Skipped,
    "models": ModelUse,
    "systems": SystemStatus,
    "correspondences": Correspondence,
    "evidence": ImageEvidence,
}


def folders_for(folder: Path, n_exams: int) -> list[Path]:
    """Where the exams of one content are written, of `n_exams` patients."""
    return [folder] if n_exams == 1 else [folder / str(n) for n in range(1, n_exams + 1)]


def exam_folders(folder: Path) -> list[Path]:
    """Where the exams of one content are: the folder itself, or one in it for each patient."""
    parts = [p for p in folder.glob("[1-9]*") if p.name.isdecimal()]
    return sorted(parts, key=lambda p: int(p.name)) or [folder]


def has_result(folder: Path) -> bool:
    """Whether this content is reported, of every patient."""
    return all((part / RESULT).exists() for part in exam_folders(folder))


def reported_before(folder: Path, instances: Set[str]) -> list[Path]:
    """The folders of an earlier content's exams that share an image with these instances.

    By SOP Instance UID, whoever was then taken for the patient; a report of which no image is here
    is another patient's and is not replaced.
    """
    return [part for part in exam_folders(folder) if instances & _instances(part)]


def _instances(folder: Path) -> frozenset[str]:
    """SOP Instance UIDs of all that a reading scored or skipped."""
    try:
        document = json.loads((folder / "reading.json").read_bytes())
    except OSError:
        return frozenset()
    return frozenset(
        item["sop_instance_uid"] for name in ("views", "skipped") for item in document[name]
    )


def keep_reading(folder: Path, result: ExamResult) -> bool:
    """Save a reading, unless `folder` holds one that only rounding tells from it: the first stands.

    What was made of that one may be on its way already; made of another, the same objects would
    have other bytes under the same UIDs. Returns whether `result` was saved.
    """
    try:
        first = load_reading(folder)
    except (OSError, ValueError, LookupError, TypeError, EOFError, BadZipFile):
        first = None  # none is there, or one that an older version wrote otherwise
    if first is not None and fingerprint(first) == fingerprint(result):
        return False
    for name in (
        "reading.json",
        MADE_AT,
    ):  # a crash now leaves no reading, not half of two
        (folder / name).unlink(missing_ok=True)
    save_reading(folder, result)
    return True


def first_made_at(folder: Path, made_at: str) -> str:
    """When the reading in `folder` was first reported: `made_at`, if it was not before.

    Reported again, be it after a crash, a reading keeps its time, and its objects their bytes.
    """
    path = folder / MADE_AT
    if not path.exists():
        write_whole(path, made_at.encode("ascii"))
    return path.read_text("ascii")


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
    """The `ExamResult` that `save_reading` wrote into `folder`.

    Fields that an older version did not write yet have their defaults.
    """
    document = json.loads((folder / "reading.json").read_bytes())
    with np.load(folder / "maps.npz", allow_pickle=False) as values:
        heat_maps = tuple(
            HeatMap(values=values[str(i)], **{**m, "box": Box(*m["box"])})
            for i, m in enumerate(document["heat_maps"])
        )
    parts = {name: _parts(kind, document.get(name, ())) for name, kind in _TUPLES.items()}
    return ExamResult(
        study_instance_uid=document["study_instance_uid"],
        exam_score=document["exam_score"],
        operating_point=document["operating_point"],
        heat_maps=heat_maps,
        read_with=document.get("read_with", ""),
        **parts,
    )


def _parts(kind: type, values: Sequence[Any]) -> tuple[Any, ...]:
    """The values as dataclasses of that kind, with their enumerations, boxes and tuples."""
    adapter: TypeAdapter[tuple[Any, ...]] = TypeAdapter(tuple[kind, ...])  # type: ignore[valid-type]
    return adapter.validate_python(values)
