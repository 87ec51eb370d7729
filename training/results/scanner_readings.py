"""A data set's exams as one view model reads them, by scanner: `cadnode calibrate --data`."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.domain import Laterality
from cadnode.errors import DataError, ModelError, NotProcessable
from cadnode.exam.exam import Exam
from cadnode.exam.read import read_exams
from cadnode.exam.scanner import Scanner, scanner_of
from cadnode.imaging import pixels
from cadnode.models import store
from cadnode.models.view import ViewModel
from cadnode.quality.calibrating import GeneralReading
from cadnode.reading.verdict import model_for
from cadnode.reading.views import load_view, score_view
from cadnode_training.data.manifest import MALIGNANT, UNKNOWN, ManifestRow
from cadnode_training.data.sources import open_manifest

_NO_DATE: Final = "exam_without_date"
_IN_TRAINING: Final = "women_of_the_training"
_NO_MODEL: Final = "not_of_this_model"


@dataclass(frozen=True, slots=True)
class ReadDataSet:
    """Readings by scanner, and how many exams or views were left out, by reason.

    `women` are the keys of those whose exams were read (`store.woman_key`).
    """

    readings: list[tuple[Scanner, GeneralReading]]
    women: tuple[str, ...]
    left_out: Mapping[str, int]


def readings_of(
    data: str, model: ViewModel, seen: frozenset[str], tick: Callable[[], None] = lambda: None
) -> ReadDataSet:
    """The exams of `KIND:PATH` or a manifest's file, scored by the card's own calibration.

    The views are those of the data, read as the node reads them; a breast has cancer where a row
    on it or a lesion in it is malignant. Exams of the women in `seen` (`store.seen_women`) are left
    out, and so are those without a date: a calibration states its months.

    Raises
    ------
    DataError
        The data cannot be read, or holds no DICOM file: only those state their scanner.
    """
    by_path: dict[Path, list[ManifestRow]] = defaultdict(list)
    for row in open_manifest(data).rows:
        by_path[row.image].append(row)
    left_out: Counter[str] = Counter()
    found, women = [], set[str]()
    for exam in read_exams(by_path):
        if exam.reference is None:
            continue
        tick()
        rows = [row for m in exam.mammograms for row in by_path.get(m.path, ())]
        whose = {store.woman_key(*row.key) for row in rows}
        if whose & seen:
            left_out[_IN_TRAINING] += 1
            continue
        month = _month(exam, rows)
        left_out.update(skipped.reason.value for skipped in exam.skipped)
        breasts = _breasts(exam, model, left_out)
        if not month:
            left_out[_NO_DATE] += 1
        elif breasts:
            outcomes = _outcomes(exam, by_path)
            woman = min(whose, default="")
            reading = GeneralReading(exam.study_instance_uid, month, breasts, outcomes, woman)
            found.append((scanner_of(exam.reference), reading))
            women |= whose
    if not found and not left_out:
        raise DataError("none of the images is a DICOM file: only those state their scanner")
    return ReadDataSet(found, tuple(sorted(women)), dict(left_out))


def _breasts(exam: Exam, model: ViewModel, left_out: Counter[str]) -> dict[Laterality, float]:
    """The breasts' scores by the card's own calibration, from the views that can be read."""
    logits: dict[Laterality, list[float]] = defaultdict(list)
    for mammogram in exam.mammograms:
        if model_for(mammogram, (model,)) is None:
            left_out[_NO_MODEL] += 1
            continue
        try:
            scored = score_view(load_view(mammogram, pixels.load), model)
        except NotProcessable as why:
            left_out[why.reason.value] += 1
        except ModelError:
            left_out["model_failed"] += 1
        else:
            logits[mammogram.laterality].append(scored.reading.logit)
    return model.card.breast.scores(logits) if logits else {}


def _outcomes(exam: Exam, by_path: Mapping[Path, Iterable[ManifestRow]]) -> dict[Laterality, bool]:
    """Whether a breast has cancer, of those of which the data states it."""
    found: dict[Laterality, bool] = {}
    for mammogram in exam.mammograms:
        for row in by_path.get(mammogram.path, ()):
            if row.label != UNKNOWN:
                had = found.get(mammogram.laterality, False)
                found[mammogram.laterality] = had or row.label == MALIGNANT
    return found


def _month(exam: Exam, rows: Iterable[ManifestRow]) -> str:
    """`YYYY-MM` of the exam, by its rows or its header; "" where neither has it."""
    for row in rows:
        if len(row.exam_date) >= len("2026-05"):
            return row.exam_date[:7]
    stated = str(getattr(exam.reference, "StudyDate", "") or "")
    is_date = len(stated) == len("20260504") and stated.isascii() and stated.isdigit()
    return f"{stated[:4]}-{stated[4:6]}" if is_date else ""
