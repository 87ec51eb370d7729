"""The size of a pixel, stated or estimated."""

from pathlib import Path

import pytest
from pydicom import Dataset

from cadnode.domain import Acquisition, Intent, Laterality, ViewPosition
from cadnode.exam.exam import Mammogram
from cadnode.imaging import spacing
from cadnode.imaging.spacing import Spacing, spacing_of


def mammogram(
    rows: int, columns: int, acquisition: Acquisition, *,
    stated: tuple[float, float] | None = None, magnification: float = 1.0,
) -> Mammogram:  # fmt: skip
    return Mammogram(
        path=Path(), header=Dataset(), sop_instance_uid="1", sop_class_uid="", vendor="",
        transfer_syntax_uid="", laterality=Laterality.LEFT, view=ViewPosition.CC,
        modifiers=frozenset(), paddle="", intent=Intent.PRESENTATION, acquisition=acquisition,
        rows=rows, columns=columns, spacing_mm=stated, magnification=magnification,
        implant=False, partial=False,
    )  # fmt: skip


def test_what_the_header_states_is_taken() -> None:
    given = mammogram(3328, 2560, Acquisition.DIGITAL, stated=(0.065, 0.066))

    assert spacing_of(given) == Spacing(0.065, 0.066, estimated=False)
    assert spacing_of(given).mm == (0.065, 0.066)


@pytest.mark.parametrize(
    ("rows", "columns", "pitch"),
    [
        (3328, 2560, 0.07), (4096, 3328, 0.07), (2294, 1914, 0.1), (3062, 2394, 0.1),
        (3518, 2800, 0.085), (5928, 4728, 0.05), (2394, 3062, 0.1),
    ],
)  # fmt: skip
def test_a_detector_is_known_by_its_size(rows: int, columns: int, pitch: float) -> None:
    found = spacing_of(mammogram(rows, columns, Acquisition.DIGITAL))

    assert found == Spacing(pitch, pitch, estimated=True)


def test_every_detector_is_as_large_as_detectors_are() -> None:
    for (longer, shorter), pitch in spacing._DETECTORS.items():
        assert 225 <= longer * pitch <= 310
        assert 175 <= shorter * pitch <= 245


def test_the_detectors_pitch_is_taken_to_the_breast() -> None:
    found = spacing_of(mammogram(3328, 2560, Acquisition.DIGITAL, magnification=1.08))

    assert found.row_mm == pytest.approx(0.0648, abs=1e-4)


def test_an_unknown_detector_is_24_cm_long() -> None:
    found = spacing_of(mammogram(1200, 900, Acquisition.DIGITAL))

    assert found == Spacing(0.2, 0.2, estimated=True)


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (4500, 2800, 0.05),  # CBIS-DDSM: trimmed to the breast, 240 / 4500 = 0.053 is too coarse
        (4800, 3600, 0.05),  # a whole film of 18 × 24 cm on a Lumisys
        (5517, 4100, 0.0435),  # the same on a Howtek
        (6000, 4800, 0.05),  # 24 × 30 cm: 240 / 6000 is finer than any scanner
        (5400, 4400, 0.05),  # 240 / 5400 · 4400 = 196 mm is wider than the small film
        (1200, 900, 0.2),  # a copy that was made smaller
        (1500, 1200, 0.2),  # the same of a large film: 192 mm wide if it were the small one
    ],
)
def test_a_films_pixels_follow_from_what_films_and_scanners_there_are(
    rows: int, columns: int, expected: float
) -> None:
    found = spacing_of(mammogram(rows, columns, Acquisition.FILM))

    assert found.row_mm == pytest.approx(expected, abs=2e-4)
    assert found.estimated
    assert spacing_of(mammogram(columns, rows, Acquisition.FILM)) == found
