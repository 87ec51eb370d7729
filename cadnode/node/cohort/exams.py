"""One exam of a cohort: its images without identities, and a record of them.

    OUT/images/<woman>/<exam>/<side><view>.dcm
    OUT/exams/<exam>.json                        what there is of an exam: written last

Women and exams go by keyed hashes, dates are moved: nothing in OUT names a patient.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Final

from cadnode.domain import Laterality, SkipReason
from cadnode.errors import NotProcessable
from cadnode.exam.attributes import text
from cadnode.exam.exam import Exam, Mammogram
from cadnode.exam.read import read_study
from cadnode.files import file_sha256, write_whole
from cadnode.imaging import pixels
from cadnode.node.cohort.cases import Case, NotCollected
from cadnode.node.cohort.plan import is_same_id
from cadnode.report.pseudonyms.key import PseudonymKey
from cadnode.report.pseudonyms.pseudonymised import (
    CannotPseudonymise,
    age_of,
    date_of,
    moved,
    write_pseudonymised,
)

IMAGES: Final = "images"
RECORDS: Final = "exams"
# What lies beside images and is none: not worth a line in a report.
_NO_IMAGE: Final = frozenset({SkipReason.NOT_AN_IMAGE, SkipReason.OWN_OUTPUT})


@dataclass(frozen=True, slots=True)
class CollectedImage:
    """An image without identity. `file` is relative to the cohort's folder, spacing in mm."""

    file: str
    sha256: str
    laterality: str
    view: str
    age: int | None
    vendor: str
    spacing_mm: float | None


@dataclass(frozen=True, slots=True)
class CollectedExam:
    """What there is of an exam, and how many of its images were left out for which reason.

    `sides` are the breasts that were asked for; `burned_in_not_stated` counts images whose header
    does not say whether text is burned in.
    """

    exam: str
    woman: str
    exam_date: str
    sides: tuple[str, ...]
    images: tuple[CollectedImage, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)
    burned_in_not_stated: int = 0


def collect_exam(
    files: Sequence[Path], cases: Sequence[Case], key: PseudonymKey, out: Path
) -> CollectedExam | NotCollected:
    """Write an exam's images without identities, and its record; or why there is nothing to write.

    Images that the node would read, of breasts of which a case speaks.

    Raises
    ------
    OSError
        The disk is full; no record is there.
    """
    exam = _exam_of(files, cases)
    if isinstance(exam, NotCollected):
        return exam
    header = exam.reference
    patient_id = "" if header is None else text(header, "PatientID")
    day = None if header is None else date_of(text(header, "StudyDate"))
    if header is None or not patient_id or not _are_of(cases, header):
        return NotCollected.ANOTHER_PATIENT
    if day is None:
        return NotCollected.EXAM_WITHOUT_DATE
    made = _write(exam, sides_of(cases), key, out, moved(day, patient_id, key))
    data = json.dumps(asdict(made), indent=1, sort_keys=True)
    write_whole(out / RECORDS / f"{made.exam}.json", data.encode() + b"\n")
    return made


def record_of(exam: str, sides: Iterable[str], out: Path) -> CollectedExam | None:
    """What an earlier run left of an exam, whole and of these breasts; None where it is not."""
    try:
        found = json.loads((out / RECORDS / f"{exam}.json").read_bytes())
        found["images"] = tuple(CollectedImage(**one) for one in found["images"])
        found["sides"] = tuple(found["sides"])
        record = CollectedExam(**found)
        are_whole = all(file_sha256(out / one.file) == one.sha256 for one in record.images)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return record if are_whole and record.sides == tuple(sides) else None


def remove_others(kept: Sequence[CollectedExam], out: Path, beyond: Iterable[str] = ()) -> int:
    """Number of exams removed that are in `out` and not among those kept.

    Exams `beyond` the limit of this run stay: fetching them took hours, and lines lead to them.
    """
    left = frozenset(beyond)
    exams = {one.exam for one in kept} | left
    folders = {f"{one.woman}/{one.exam}" for one in kept if one.images}
    records = [path for path in (out / RECORDS).glob("*.json") if path.stem not in exams]
    for path in records:
        path.unlink()
    for place in (out / IMAGES).glob("*/*"):
        if f"{place.parent.name}/{place.name}" not in folders and place.name not in left:
            shutil.rmtree(place)
    for woman in (out / IMAGES).glob("*"):
        if woman.is_dir() and not any(woman.iterdir()):
            woman.rmdir()
    return len(records)


def sides_of(cases: Iterable[Case]) -> tuple[str, ...]:
    """The breasts that cases speak of, in order."""
    return tuple(sorted({side.value for case in cases for side in case.sides}))


def _exam_of(files: Sequence[Path], cases: Sequence[Case]) -> Exam | NotCollected:
    """The exam of the cases' woman in a study's files."""
    exams = read_study(files, checks=pixels.CHECKS)
    named = {case.patient_id for case in cases if case.patient_id}
    if len(exams) > 1 and not named:
        return NotCollected.SEVERAL_PATIENTS
    for exam in exams:
        stated = "" if exam.reference is None else text(exam.reference, "PatientID")
        if all(is_same_id(stated, one) for one in named):
            return exam
    return NotCollected.ANOTHER_PATIENT


def _are_of(cases: Iterable[Case], header: object) -> bool:
    """Whether the header has the accession number that the source was asked for."""
    numbers = {case.value for case in cases if case.keyword == "AccessionNumber"}
    return all(is_same_id(text(header, "AccessionNumber"), one) for one in numbers)  # type: ignore[arg-type]


def _write(
    exam: Exam, sides: Sequence[str], key: PseudonymKey, out: Path, day: date
) -> CollectedExam:
    header = exam.mammograms[0].header if exam.mammograms else exam.reference
    assert header is not None  # an exam without a reference was refused
    name, woman = key.exam(str(header.StudyInstanceUID)), key.woman(text(header, "PatientID"))
    place = out / IMAGES / woman / name
    if place.exists():
        shutil.rmtree(place)  # of a run that was broken off
    left_out: Counter[str] = Counter(
        one.reason.value for one in exam.skipped if one.reason not in _NO_IMAGE
    )
    images, unstated = [], 0
    for view in exam.mammograms:
        if view.laterality.value not in sides:
            left_out[NotCollected.OTHER_BREAST.value] += 1
            continue
        path = place / f"{view.laterality.value}{view.view.value}.dcm"
        try:
            pixels.load(view)
            write_pseudonymised(view, key, path)
        except NotProcessable as error:
            left_out[error.reason.value] += 1
        except CannotPseudonymise as error:
            left_out[error.reason.value] += 1
        else:
            images.append(_image(view, path, out))
            unstated += not text(view.header, "BurnedInAnnotation")
    return CollectedExam(
        name, woman, day.isoformat(), tuple(sides), tuple(images), dict(sorted(left_out.items())),
        unstated,
    )  # fmt: skip


def _image(view: Mammogram, path: Path, out: Path) -> CollectedImage:
    laterality: Laterality = view.laterality
    return CollectedImage(
        file=path.relative_to(out).as_posix(),
        sha256=file_sha256(path),
        laterality=laterality.value,
        view=view.view.value,
        age=age_of(view.header),
        vendor=view.vendor,
        spacing_mm=None if view.spacing_mm is None else round(sum(view.spacing_mm) / 2, 6),
    )
