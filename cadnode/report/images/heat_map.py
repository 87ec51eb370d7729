"""Secondary Capture of a view with its heat map painted over it: for viewers of every kind."""

import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, SecondaryCaptureImageStorage

from cadnode.domain import ExamResult, Finding, FloatImage, HeatMap, ViewScore
from cadnode.errors import ReportError
from cadnode.exam.exam import Mammogram
from cadnode.explain.overlay import overlay
from cadnode.report import codes
from cadnode.report.edition import DISCLAIMER, ENSEMBLE, Edition
from cadnode.report.identity import (
    contributing_equipment,
    file_meta,
    patient_and_study,
    stamp,
)
from cadnode.report.images.outlines import draw_outlines, label
from cadnode.report.scores import (
    ScoringSystem,
    assessment_scorer,
    finding_scorer,
    phantom_systems,
    view_scorer,
)

SERIES_NUMBER: Final = 902
SERIES_DESCRIPTION: Final = "cadnode heat maps"
SMALL_SERIES_NUMBER: Final = 909
SMALL_SERIES_DESCRIPTION: Final = "cadnode small heat maps"
JPEG_QUALITY: Final = 92
MOST_LINES: Final = 5
_CHROMA_422: Final = 1


@dataclass(frozen=True, slots=True)
class Size:
    """How large the pictures are, and the series that holds them.

    Each size has a series of its own: in one series a viewer would hang every view twice.
    """

    name: str
    series_number: int
    description: str
    longest_side: int | None


def full(edition: Edition) -> Size:
    """For reading."""
    return Size("heatmap", SERIES_NUMBER, SERIES_DESCRIPTION, edition.longest_side)


def small(longest_side: int) -> Size:
    """For slow lines, previews and pages. The size is part of its UIDs' names."""
    name = f"small-{longest_side}-heatmap"
    return Size(name, SMALL_SERIES_NUMBER, SMALL_SERIES_DESCRIPTION, longest_side)


@dataclass(frozen=True, slots=True)
class Picture:
    """What one sees: a JPEG stream, and its rows and columns."""

    jpeg: bytes
    rows: int
    columns: int


def heat_map_picture(
    edition: Edition, view: ViewScore, heat_map: HeatMap, image: FloatImage, size: Size
) -> Picture:
    """The view with its heat map, outlines and caption. Nothing of pydicom: for any thread.

    `image` is the view's source image, `(H, W) float32 in [0, 1]`.

    Raises
    ------
    ReportError
        The view is not in the exam, or the image is not of the size in its header.
    """
    mammogram = edition.mammogram(view.sop_instance_uid)
    if mammogram is None or image.shape != (mammogram.rows, mammogram.columns):
        raise ReportError("a heat map and the image it belongs to do not fit each other")
    found = _numbered(edition, view.sop_instance_uid)
    caption = _caption(edition, view, heat_map, found)
    canvas = overlay(image, heat_map, caption=caption, longest_side=size.longest_side)
    labelled = [(label(edition.result, n, f), f) for n, f in found]
    draw_outlines(canvas, labelled, (mammogram.rows, mammogram.columns))
    return Picture(_jpeg(canvas), canvas.height, canvas.width)


def heat_map_image(
    edition: Edition, view: ViewScore, picture: Picture, number: int, size: Size
) -> Dataset:
    """The picture as a JPEG baseline Secondary Capture, ready to be written.

    `number` is the instance number, counted from 1 in hanging order. PS3.3 A.8.1; the
    lossy compression of a picture that repeats another image is stated (C.7.6.1.1.5).

    Raises
    ------
    ReportError
        The view is not in the exam.
    """
    mammogram = edition.mammogram(view.sop_instance_uid)
    if mammogram is None:
        raise ReportError("a heat map is of a view that is not in the exam")
    ds = patient_and_study(edition.reference)
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.SOPInstanceUID = edition.uid(size.name, number)
    ds.Modality = "OT"
    ds.SeriesInstanceUID = edition.uid(f"{size.name}-series")
    ds.InstanceNumber = number
    stamp(
        ds,
        made_at=edition.made_at,
        series_number=size.series_number,
        description=size.description,
    )
    _add_view(ds, mammogram)
    _add_derivation(ds, mammogram)
    _add_pixels(ds, picture, mammogram)
    ds.ContributingEquipmentSequence = contributing_equipment(
        mammogram.header, edition.made_at, edition.exam.content
    )
    ds.file_meta = file_meta(ds.SOPClassUID, ds.SOPInstanceUID, JPEGBaseline8Bit)
    return ds


def _numbered(edition: Edition, sop_instance_uid: str) -> list[tuple[int, Finding]]:
    """The view's findings with the numbers that they have in the whole exam."""
    numbered = enumerate(edition.result.findings, start=1)
    return [(n, f) for n, f in numbered if f.sop_instance_uid == sop_instance_uid]


def _caption(
    edition: Edition,
    view: ViewScore,
    heat_map: HeatMap,
    findings: Sequence[tuple[int, Finding]],
) -> list[str]:
    """What is burned in: whose map, view and score, each finding, and that it is for research."""
    model = edition.model(heat_map.algorithm)
    result = edition.result
    lines = [
        f"{n}: {f.probability:.2f}  {f.algorithm}"
        f"{_phantoms(finding_scorer(result, f))}{_beside(result, f)}"
        for n, f in findings
    ]
    scored = _phantoms(view_scorer(result, view.algorithm))
    more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return [
        f"cadnode · {model.name} {model.version}"
        if model
        else f"cadnode · {_map_name(result, heat_map)}",
        f"{view.laterality} {view.view} · score {view.score:.2f} ({view.algorithm}{scored})",
        *lines[:MOST_LINES],
        *more,
        *_wrapped(_drawable(edition.disclaimer), 40),
    ]


def _map_name(result: ExamResult, heat_map: HeatMap) -> str:
    """What map it is; an ensemble's name mentions systems trained on phantoms."""
    if heat_map.algorithm != ENSEMBLE:
        return heat_map.algorithm
    return "ensemble map" + (", in part trained on phantoms" if phantom_systems(result) else "")


def _phantoms(scorer: ScoringSystem) -> str:
    return f", {scorer.training}" if scorer.phantoms_only else ""


def _beside(result: ExamResult, finding: Finding) -> str:
    """How many of the systems that assessed the finding call it suspicious.

    Systems trained on phantoms alone are counted separately.
    """
    assessments = finding.assessments
    if len(assessments) < 2:
        return ""
    phantoms = [a for a in assessments if assessment_scorer(result, a).phantoms_only]
    others = [a for a in assessments if a not in phantoms]
    counts = [(others, "systems" if len(others) != 1 else "system")] if others else []
    counts += [(phantoms, "trained on phantoms")] if phantoms else []
    shares = (f"{sum(a.suspicious for a in few)} of {len(few)} {what}" for few, what in counts)
    return f", suspicious to {', '.join(shares)}"


def _drawable(disclaimer: str) -> str:
    """The disclaimer without accents; the English one where it is in another script.

    Pillow's own font has ASCII and little else, and burned in boxes warn nobody.
    """
    parts = unicodedata.normalize("NFKD", disclaimer)
    plain = "".join(part for part in parts if not unicodedata.combining(part))
    return plain if plain.isascii() else DISCLAIMER


def _wrapped(text: str, width: int) -> list[str]:
    """The disclaimer in at most three lines of about `width` characters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines if len(lines) <= 3 else [*lines[:2], f"{lines[2]} …"]


def _add_view(ds: Dataset, mammogram: Mammogram) -> None:
    """Side, view and orientation: those of the source, whose geometry the picture keeps."""
    ds.ImageLaterality = mammogram.laterality.value
    ds.BodyPartExamined = "BREAST"
    view = codes.code_item(codes.VIEWS[mammogram.view])
    if mammogram.modifiers:
        modifiers = [codes.VIEW_MODIFIERS[m] for m in sorted(mammogram.modifiers)]
        view.ViewModifierCodeSequence = [codes.code_item(modifier) for modifier in modifiers]
    ds.ViewCodeSequence = [view]
    orientation = mammogram.header.get("PatientOrientation") or []
    two = not isinstance(orientation, str) and len(orientation) == 2
    ds.PatientOrientation = list(orientation) if two else []
    ds.ImageComments = f"{mammogram.laterality} {mammogram.view} heat map"


def _add_derivation(ds: Dataset, mammogram: Mammogram) -> None:
    """What the picture was made from and how, PS3.3 C.7.6.1.1.3 and C.7.6.1.1.4."""
    source = Dataset()
    source.ReferencedSOPClassUID = mammogram.sop_class_uid
    source.ReferencedSOPInstanceUID = mammogram.sop_instance_uid
    source.PurposeOfReferenceCodeSequence = [codes.code_item(codes.SOURCE_OF_PROCESSING)]
    ds.SourceImageSequence = [source]
    ds.ImageType = ["DERIVED", "SECONDARY"]
    ds.ConversionType = "WSD"
    ds.BurnedInAnnotation = "YES"
    ds.DerivationDescription = "Resampled; CAD heat map, outlines and text burned in; JPEG"
    ds.DerivationCodeSequence = [
        codes.code_item(codes.SPATIAL_RESAMPLING),
        codes.code_item(codes.LOSSY_COMPRESSION),
    ]


def _add_pixels(ds: Dataset, picture: Picture, mammogram: Mammogram) -> None:
    """Pixel module of a JPEG baseline colour image (PS3.5 section 8.2.1) and its spacing."""
    jpeg, height, width = picture.jpeg, picture.rows, picture.columns
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = "YBR_FULL_422"
    ds.PlanarConfiguration = 0
    ds.Rows, ds.Columns = height, width
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit = 7
    ds.PixelRepresentation = 0
    if mammogram.spacing_mm is not None:
        ds.PixelSpacing = [
            float(f"{mammogram.spacing_mm[0] * mammogram.rows / height:.8g}"),
            float(f"{mammogram.spacing_mm[1] * mammogram.columns / width:.8g}"),
        ]
        ds.PixelSpacingCalibrationType = "GEOMETRY"
        ds.PixelSpacingCalibrationDescription = "In the plane of the breast"
    ds.LossyImageCompression = "01"
    ratio = float(f"{3 * height * width / len(jpeg):.3f}")
    old_ratios, old_methods = _earlier_compression(mammogram.header)
    ds.LossyImageCompressionRatio = [*old_ratios, ratio]
    ds.LossyImageCompressionMethod = [*old_methods, "ISO_10918_1"]
    ds.PixelData = encapsulate([jpeg])
    ds["PixelData"].VR = "OB"


def _jpeg(canvas: Image.Image) -> bytes:
    """Baseline JPEG, chroma halved horizontally by YBR_FULL_422; no EXIF, no time."""
    buffer = io.BytesIO()
    canvas.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=_CHROMA_422, optimize=False)
    return buffer.getvalue()


def _earlier_compression(header: Dataset) -> tuple[list[float], list[str]]:
    """Ratios and methods of the lossy steps the source went through before."""
    ratios = header.get("LossyImageCompressionRatio")
    methods = header.get("LossyImageCompressionMethod")
    ratios = [] if ratios is None else np.atleast_1d(ratios).tolist()
    methods = [methods] if isinstance(methods, str) else list(methods or [])
    return (list(map(float, ratios)), methods) if len(ratios) == len(methods) else ([], [])
