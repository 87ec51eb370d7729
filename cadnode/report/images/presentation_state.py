"""Presentation states: the findings' outlines over the views, to be switched on and off."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from highdicom import PresentationLUTTransformation
from highdicom.color import CIELabColor
from highdicom.enum import PresentationLUTShapeValues
from highdicom.pr import (
    AnnotationUnitsValues,
    GraphicAnnotation,
    GraphicLayer,
    GraphicObject,
    GraphicTypeValues,
    GrayscaleSoftcopyPresentationState,
    TextJustificationValues,
    TextObject,
)
from numpy.typing import NDArray
from pydicom import Dataset

from cadnode import __version__
from cadnode.domain import Finding
from cadnode.exam.attributes import numbers
from cadnode.exam.exam import Mammogram
from cadnode.report.edition import Edition
from cadnode.report.highdicom_sources import owned, unnamed
from cadnode.report.identity import MANUFACTURER
from cadnode.report.images.outlines import label
from cadnode.report.sr.finding_groups import polyline

SERIES_NUMBER: Final = 905
SERIES_DESCRIPTION: Final = "cadnode outlines"
_LAYER: Final = "CADNODE"
_YELLOW: Final = CIELabColor(97.0, -21.0, 94.0)
_FOOT: Final = (0.02, 0.96, 0.98, 0.99)
_PIXEL: Final = AnnotationUnitsValues.PIXEL
_VOI_FUNCTIONS: Final = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def presentation_states(edition: Edition) -> list[Dataset]:
    """One Grayscale Softcopy Presentation State for each view with findings.

    PS3.3 A.33.1. Each finding is a POLYLINE with its number and score beside it, on one graphic
    layer; the disclaimer stands at the foot of the displayed area. Window and modality LUT are
    the view's own. Each object belongs to the study that its view is in: a presentation state
    cannot refer to another.
    """
    made: list[Dataset] = []
    for place, mammogram in enumerate(edition.exam.mammograms, start=1):
        numbered = enumerate(edition.result.findings, start=1)
        uid = mammogram.sop_instance_uid
        found = [(n, f) for n, f in numbered if f.sop_instance_uid == uid]
        if found:
            made.append(_state(edition, mammogram, found, len(made) + 1, place))
    return made


def _state(
    edition: Edition,
    mammogram: Mammogram,
    found: Sequence[tuple[int, Finding]],
    number: int,
    place: int,
) -> Dataset:
    """The state of the view at `place` in the exam; its UID depends on `place`, not on `number`."""
    image = _displayable(mammogram.header)
    layer = GraphicLayer(_LAYER, 1, "Computer-aided detection", _YELLOW)
    objects = [_outline(edition, mammogram, finding, name) for name, finding in found]
    pairs = zip(found, objects, strict=True)
    texts = [_caption(edition, finding, name, line.graphic_data) for (name, finding), line in pairs]
    made = GrayscaleSoftcopyPresentationState(
        referenced_images=[image],
        series_instance_uid=edition.uid(
            # A series lies in one study; of film each view has its own.
            f"outlines-series-{mammogram.laterality}",
            after=str(image.StudyInstanceUID),
        ),
        series_number=SERIES_NUMBER,
        sop_instance_uid=edition.uid("outlines", place),
        instance_number=number,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="cadnode",
        software_versions=__version__,
        device_serial_number=MANUFACTURER,
        content_label="CAD_OUTLINES",
        content_description=f"{mammogram.laterality} {mammogram.view}: outlines of findings",
        graphic_layers=[layer],
        graphic_annotations=[
            GraphicAnnotation([image], layer, graphic_objects=objects, text_objects=texts),
            GraphicAnnotation([image], layer, text_objects=[_disclaimer(edition)]),
        ],
        presentation_lut_transformation=PresentationLUTTransformation(_shape(image)),
    )
    made.Laterality = mammogram.laterality.value  # Type 2C of the series, hence one a breast
    ds = owned(
        made,
        edition,
        mammogram.header,
        series_number=SERIES_NUMBER,
        description=f"{SERIES_DESCRIPTION} {mammogram.laterality}",
        texts=[edition.disclaimer],
    )
    ds.PresentationCreationDate, ds.PresentationCreationTime = ds.ContentDate, ds.ContentTime
    del ds.ContentDate, ds.ContentTime  # a presentation state has none
    return ds


def _displayable(header: Dataset) -> Dataset:
    """The header with the one VOI transformation that a state may hold (PS3.3 C.11.2)."""
    image = unnamed(header)
    centres, widths = numbers(image, "WindowCenter"), numbers(image, "WindowWidth")
    whole = 0 < len(centres) == len(widths) and min(widths) >= 1
    dropped = ["VOILUTSequence"] if whole else ["WindowCenter", "WindowWidth"]
    dropped.append("WindowCenterWidthExplanation")
    if image.get("VOILUTFunction") not in _VOI_FUNCTIONS:
        dropped.append("VOILUTFunction")
    for keyword in dropped:
        image.pop(keyword, None)
    return image


def _outline(edition: Edition, mammogram: Mammogram, finding: Finding, name: int) -> GraphicObject:
    """The closed outline in pixels; (0, 0) is the first pixel's corner (PS3.3 C.10.5.1.2)."""
    return GraphicObject(
        GraphicTypeValues.POLYLINE,
        polyline(finding, mammogram.rows, mammogram.columns).astype(np.float64),
        _PIXEL,
        tracking_id=f"finding {name}",
        tracking_uid=edition.uid("tracking-region", name - 1),
    )


def _caption(
    edition: Edition, finding: Finding, name: int, points: NDArray[np.float64]
) -> TextObject:
    """Number and score, anchored at the outline's topmost point."""
    top = points[np.argmin(points[:, 1])]
    return TextObject(
        label(edition.result, name, finding),
        _PIXEL,
        anchor_point=(float(top[0]), float(top[1])),
        anchor_point_visible=False,
    )


def _disclaimer(edition: Edition) -> TextObject:
    return TextObject(
        edition.disclaimer,
        AnnotationUnitsValues.DISPLAY,
        bounding_box=_FOOT,
        text_justification=TextJustificationValues.LEFT,
    )


def _shape(image: Dataset) -> PresentationLUTShapeValues:
    """INVERSE for MONOCHROME1: a state's shape replaces what the image implies (C.11.6.1.2)."""
    inverse = image.PhotometricInterpretation == "MONOCHROME1"
    return PresentationLUTShapeValues.INVERSE if inverse else PresentationLUTShapeValues.IDENTITY
