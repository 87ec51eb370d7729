"""What a header states of the size of its pixels, and of the magnification of the breast.

PS3.3 10.7 (basic pixel spacing calibration macro), C.8.11.3 and C.8.11.5 (DX detector and DX
positioning). Nothing is estimated here; `cadnode.imaging.spacing` does that.
"""

from collections.abc import Iterator
from typing import Final, TypeGuard

from pydicom import Dataset

from cadnode.exam.attributes import number, numbers, text

# Source to detector over source to breast. Below 1 the breast would lie behind the detector.
_MAGNIFICATIONS: Final = (1.0, 10.0)
# Pixels of detectors and film scanners are 0.04 to 0.1 mm; copies of them are coarser.
_PIXELS_MM: Final = (0.01, 2.0)
# The longest side of a cassette is 43 cm; with 1 mm pixels a mammogram would be over 2 m long.
_LONGEST_SIDE_MM: Final = 500.0
_MOST_OBLONG: Final = 4.0
_CALIBRATED: Final = ("FIDUCIAL", "GEOMETRY")


def magnification_of(header: Dataset) -> tuple[float, str]:
    """How much larger the breast is on the detector, and the attribute that states it.

    Estimated Radiographic Magnification Factor (0018,1114), else what it is defined as
    (PS3.3 C.8.11.5): Distance Source to Detector over Distance Source to Patient. The source is
    then "DistanceSourceToDetector". A factor outside 1 to 10 is no magnification; (1.0, "") where
    neither is stated.
    """
    return next(stated_magnifications(header), (1.0, ""))


def stated_magnifications(header: Dataset) -> Iterator[tuple[float, str]]:
    """Every magnification that the header states, as `magnification_of` has it, the best first."""
    factor = number(header, "EstimatedRadiographicMagnificationFactor")
    if _within(factor, _MAGNIFICATIONS):
        yield factor, "EstimatedRadiographicMagnificationFactor"
    to_detector = number(header, "DistanceSourceToDetector")
    to_breast = number(header, "DistanceSourceToPatient")
    if to_detector and to_breast and to_breast > 0:
        factor = to_detector / to_breast
        if _within(factor, _MAGNIFICATIONS):
            yield factor, "DistanceSourceToDetector"


def stated_spacing(header: Dataset) -> tuple[tuple[float, float] | None, str]:
    """(row, column) spacing in mm in the plane of the breast, and its keyword; (None, "") if none.

    In this order (PS3.3 10.7.1.1 to 10.7.1.3):

    1. Pixel Spacing whose Pixel Spacing Calibration Type is FIDUCIAL or GEOMETRY: it lies in the
       breast already.
    2. Imager Pixel Spacing by the magnification factor: it is measured at the detector.
    3. Pixel Spacing as it is, where no Imager Pixel Spacing is stated.
    4. Nominal Scanned Pixel Spacing of a film, by the factor: a film is a detector.

    Choice: a Pixel Spacing of no type that differs from Imager Pixel Spacing was corrected or
    calibrated, and nothing states for which depth. It is preferred to the detector's plane, but
    not to a factor that the header states. One that equals it was not corrected.
    """
    pixel = _pair(header, "PixelSpacing")
    imager = _pair(header, "ImagerPixelSpacing")
    factor, known = magnification_of(header)
    if pixel and text(header, "PixelSpacingCalibrationType") in _CALIBRATED:
        return pixel, "PixelSpacing"
    if imager and (known or pixel is None or _equal(pixel, imager)):
        return (imager[0] / factor, imager[1] / factor), "ImagerPixelSpacing"
    if pixel:
        return pixel, "PixelSpacing"
    scanned = _pair(header, "NominalScannedPixelSpacing")
    if scanned:
        return (scanned[0] / factor, scanned[1] / factor), "NominalScannedPixelSpacing"
    return None, ""


def _pair(header: Dataset, keyword: str) -> tuple[float, float] | None:
    """(between rows, between columns) in mm (PS3.3 10.7.1.3); None for what no mammogram has.

    One value stands for both.
    """
    values = numbers(header, keyword)
    if not 1 <= len(values) <= 2 or not all(_within(value, _PIXELS_MM) for value in values):
        return None
    row, col = values[0], values[-1]
    sides = (number(header, "Rows") or 0) * row, (number(header, "Columns") or 0) * col
    oblong = max(row, col) / min(row, col)
    return None if max(sides) > _LONGEST_SIDE_MM or oblong > _MOST_OBLONG else (row, col)


def _within(value: float | None, bounds: tuple[float, float]) -> TypeGuard[float]:
    return value is not None and bounds[0] <= value <= bounds[1]


def _equal(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two spacings are the same but for the digits they were written with."""
    return all(abs(a - b) <= 1e-3 * b for a, b in zip(one, other, strict=True))
