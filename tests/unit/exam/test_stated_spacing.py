"""The size of pixels and the magnification that headers state (PS3.3 10.7, C.8.11.5)."""

import pytest
from pydicom import Dataset

from cadnode.exam.spacing import magnification_of, stated_spacing

FACTOR = "EstimatedRadiographicMagnificationFactor"
DISTANCES = "DistanceSourceToDetector"


def header(**attributes: object) -> Dataset:
    """A header of a 3328 × 2560 view; `sid` and `sod` are the two distances."""
    short = {"sid": DISTANCES, "sod": "DistanceSourceToPatient", "factor": FACTOR}
    ds = Dataset()
    ds.Rows, ds.Columns = 3328, 2560
    for name, value in attributes.items():
        setattr(ds, short.get(name, name), value)
    return ds


@pytest.mark.parametrize(
    ("stated", "factor", "source"),
    [
        ({"factor": "1.076"}, 1.076, FACTOR),
        ({"factor": "1"}, 1.0, FACTOR),
        ({"factor": "1.8", "sid": "650", "sod": "600"}, 1.8, FACTOR),
        ({"sid": "650", "sod": "361"}, 650 / 361, DISTANCES),
        ({"sid": "660", "sod": "660"}, 1.0, DISTANCES),
        ({"factor": "0", "sid": "700", "sod": "350"}, 2.0, DISTANCES),
        ({"factor": "0.93", "sid": "700", "sod": "350"}, 2.0, DISTANCES),
        ({"factor": "", "sid": "700", "sod": "350"}, 2.0, DISTANCES),
        ({"factor": "11"}, 1.0, ""),
        ({"factor": "-1.5"}, 1.0, ""),
        ({"sid": "600", "sod": "650"}, 1.0, ""),
        ({"sid": "650", "sod": "0"}, 1.0, ""),
        ({"sid": "650"}, 1.0, ""),
        ({"sid": "-650", "sod": "-361"}, 1.0, ""),
        ({"sid": "650", "sod": "6.5"}, 1.0, ""),
        ({}, 1.0, ""),
    ],
)
def test_magnification_is_the_stated_factor_else_the_ratio_of_distances(
    stated: dict[str, str], factor: float, source: str
) -> None:
    assert magnification_of(header(**stated)) == (pytest.approx(factor), source)


@pytest.mark.parametrize("kind", ["FIDUCIAL", "GEOMETRY"])
@pytest.mark.parametrize("geometry", [{}, {"factor": "1.25"}, {"sid": "650", "sod": "520"}])
def test_a_calibrated_pixel_spacing_lies_in_the_breast_already(
    kind: str, geometry: dict[str, str]
) -> None:
    ds = header(
        PixelSpacing=["0.056", "0.057"], PixelSpacingCalibrationType=kind,
        ImagerPixelSpacing=["0.07", "0.07"], **geometry,
    )  # fmt: skip

    assert stated_spacing(ds) == ((0.056, 0.057), "PixelSpacing")


@pytest.mark.parametrize(
    "geometry",
    [
        {"factor": "1.25"},
        {"sid": "650", "sod": "520"},
        {"factor": "0", "sid": "650", "sod": "520"},
    ],
)
@pytest.mark.parametrize("pixel", [None, ["0.10", "0.20"], ["0.1", "0.2000001"], ["0.095", "0.19"]])
def test_imager_pixel_spacing_is_taken_from_the_detector_to_the_breast(
    geometry: dict[str, str], pixel: list[str] | None
) -> None:
    ds = header(ImagerPixelSpacing=["0.10", "0.20"], **geometry)
    ds.Rows, ds.Columns = 1664, 1280
    if pixel:
        ds.PixelSpacing = pixel

    assert stated_spacing(ds) == (pytest.approx((0.08, 0.16)), "ImagerPixelSpacing")


def test_an_uncorrected_pixel_spacing_without_geometry_is_the_detectors() -> None:
    ds = header(ImagerPixelSpacing=["0.07", "0.07"], PixelSpacing=["0.07", "0.07"])

    assert stated_spacing(ds) == ((0.07, 0.07), "ImagerPixelSpacing")


def test_a_pixel_spacing_corrected_in_an_unknown_way_is_better_than_the_detectors() -> None:
    ds = header(ImagerPixelSpacing=["0.07", "0.07"], PixelSpacing=["0.065", "0.065"])

    assert stated_spacing(ds) == ((0.065, 0.065), "PixelSpacing")


def test_the_first_value_is_between_rows() -> None:
    ds = header(ImagerPixelSpacing=["0.05", "0.10"])
    assert stated_spacing(ds)[0] == (0.05, 0.10)

    ds.ImagerPixelSpacing = ["0.10", "0.05"]
    assert stated_spacing(ds)[0] == (0.10, 0.05)


def test_a_films_scanner_measures_in_the_plane_of_the_film() -> None:
    ds = header(NominalScannedPixelSpacing=["0.05", "0.05"])
    assert stated_spacing(ds) == ((0.05, 0.05), "NominalScannedPixelSpacing")

    ds.DistanceSourceToDetector, ds.DistanceSourceToPatient = "650", "520"
    assert stated_spacing(ds)[0] == pytest.approx((0.04, 0.04))


def test_a_lone_pixel_spacing_is_taken_as_it_is() -> None:
    ds = header(PixelSpacing=["0.05", "0.06"], factor="1.25")

    assert stated_spacing(ds) == ((0.05, 0.06), "PixelSpacing")


@pytest.mark.parametrize(
    "absurd",
    [
        ["70", "70"],  # micrometres
        ["0.00007", "0.00007"],  # metres
        ["1", "1"],  # a placeholder: the image would be 3.3 m long
        ["0", "0"],
        ["-0.07", "-0.07"],
        ["0.07", "0"],
        ["0.07", "0.7"],
        ["0.07", "0.07", "0.07"],
    ],
)
@pytest.mark.parametrize(
    "keyword", ["ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing"]
)
def test_what_no_mammogram_can_have_is_as_good_as_absent(absurd: list[str], keyword: str) -> None:
    ds = header(**{keyword: absurd}, PixelSpacingCalibrationType="GEOMETRY")
    assert stated_spacing(ds) == (None, "")

    other = "PixelSpacing" if keyword == "ImagerPixelSpacing" else "ImagerPixelSpacing"
    setattr(ds, other, ["0.08", "0.08"])
    assert stated_spacing(ds) == ((0.08, 0.08), other)
