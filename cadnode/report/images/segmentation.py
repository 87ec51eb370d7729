"""Segmentation of a view's detected calcifications."""

from collections.abc import Sequence
from math import pi, sqrt
from typing import Final

import numpy as np
from highdicom import AlgorithmIdentificationSequence, PixelMeasuresSequence
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
from highdicom.seg.enum import SegmentationTypeValues
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code

from cadnode import __version__
from cadnode.domain import Calcification, Finding, FindingKind
from cadnode.exam.exam import Mammogram
from cadnode.imaging.spacing import Spacing, spacing_of
from cadnode.report import codes
from cadnode.report.edition import Edition
from cadnode.report.highdicom_sources import owned, unnamed
from cadnode.report.identity import MANUFACTURER
from cadnode.report.sr.group_parts import detection

SERIES_NUMBER: Final = 904
SERIES_DESCRIPTION: Final = "cadnode calcifications"
NOMINAL_THICKNESS_MM: Final = 1.0
_MAGENTA: Final = CIELabColor(60.0, 98.0, -61.0)  # no anatomy is; OHIF complains of none
_ALTERED: Final = Code("49755003", "SCT", "Morphologically Altered Structure")  # CID 7150
_FAMILY: Final = Code("123110", "DCM", "Artificial Intelligence")  # CID 7162


def segmentations(edition: Edition) -> list[Dataset]:
    """One segmentation for each finding with detected calcifications, in the order of findings.

    PS3.3 A.51: binary, one segment, one frame of the view's size. A mammogram has no frame of
    reference, so the frame lies on its source image pixel by pixel. Each object has a series of
    its own, as OHIF shows a series' last segmentation only, and belongs to its view's study. Its
    tracking UID is that of the finding's group in the reports.

    Choice: a calcification is a disc of the area that it was measured to have, because a result
    holds each one's centre and area, and its mask no longer.
    Choice: a nominal slice thickness of 1 mm beside the pixel spacing. A projection has none, but
    highdicom 0.28 refuses to read a spacing without one; a volume in mm³ is then the area in mm².
    Choice: an object for each finding instead of a segment, because each segment is a frame, and
    Orthanc refuses frames of one bit a pixel that do not end on a byte.
    """
    made: list[Dataset] = []
    for number, finding in enumerate(edition.result.findings, start=1):
        mammogram = edition.mammogram(finding.sop_instance_uid)
        if mammogram is not None and finding.calcifications:
            made.append(_segmentation(edition, mammogram, finding, number))
    return made


def _segmentation(edition: Edition, mammogram: Mammogram, finding: Finding, number: int) -> Dataset:
    """The segmentation of finding `number` (from 1)."""
    spacing = spacing_of(mammogram)
    shape = (mammogram.rows, mammogram.columns)
    mask = calcification_mask(finding.calcifications, shape, spacing)
    stated = None
    if not spacing.estimated:
        stated = PixelMeasuresSequence(spacing.mm, slice_thickness=NOMINAL_THICKNESS_MM)
    made = Segmentation(
        source_images=[unnamed(mammogram.header)],
        pixel_array=mask.astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_described(edition, finding, number)],
        pixel_measures=stated,
        series_instance_uid=edition.uid("segmentation-series", number),
        series_number=SERIES_NUMBER,
        sop_instance_uid=edition.uid("segmentation", number),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="cadnode",
        software_versions=__version__,
        device_serial_number=MANUFACTURER,  # Type 1; a program has no number of its own
        content_label="CALCIFICATIONS",
        content_description="Detected calcifications, each a disc of its area",
    )
    _name_dimensions(made, edition.uid("segmentation-dimensions", number))
    orientation = mammogram.header.get("PatientOrientation") or []
    two = not isinstance(orientation, str) and len(orientation) == 2
    made.PatientOrientation = list(orientation) if two else []
    return owned(
        made,
        edition,
        mammogram.header,
        series_number=SERIES_NUMBER,
        description=f"{SERIES_DESCRIPTION} {mammogram.laterality} {mammogram.view}",
    )


def _name_dimensions(made: Dataset, uid: str) -> None:
    """Put a derived UID where highdicom drew one at random: the same reading, the same object."""
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _described(edition: Edition, finding: Finding, number: int) -> SegmentDescription:
    """Item of the Segment Sequence (0062,0002); the label names the finding.

    The algorithm is the one that the reports name beside the finding's certainty.
    """
    by = detection(edition, finding)
    weights = {"weights": by.parameters[0]} if by.parameters else None
    return SegmentDescription(
        segment_number=1,
        segment_label=f"calcifications of finding {number}",
        segmented_property_category=_ALTERED,
        segmented_property_type=codes.FINDING_KINDS[FindingKind.CALCIFICATION_CLUSTER],
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=AlgorithmIdentificationSequence(
            by.name, _FAMILY, by.version, parameters=weights
        ),
        tracking_uid=edition.uid("tracking-region", number - 1),
        tracking_id=f"finding {number}",
        display_color=_MAGENTA,
    )


def calcification_mask(
    calcifications: Sequence[Calcification], shape: tuple[int, int], spacing: Spacing
) -> NDArray[np.bool_]:
    """`(rows, columns) bool`: true where a pixel's centre lies in a calcification's disc.

    The pixel that holds a calcification's centre is always true.
    """
    mask = np.zeros(shape, np.bool_)
    for one in calcifications:
        radius_mm = sqrt(one.area_mm2 / pi)
        reach = (radius_mm / spacing.row_mm, radius_mm / spacing.col_mm)
        rows = _around(one.row, reach[0], shape[0])
        cols = _around(one.col, reach[1], shape[1])
        down = (rows + 0.5 - one.row) * spacing.row_mm
        right = (cols + 0.5 - one.col) * spacing.col_mm
        inside = down[:, None] ** 2 + right[None, :] ** 2 <= radius_mm**2
        mask[np.ix_(rows, cols)] |= inside
        mask[min(int(one.row), shape[0] - 1), min(int(one.col), shape[1] - 1)] = True
    return mask


def _around(centre: float, reach: float, size: int) -> NDArray[np.intp]:
    """Indices of the pixels that [centre - reach, centre + reach] touches, inside [0, size)."""
    return np.arange(max(int(centre - reach), 0), min(int(centre + reach) + 1, size))
