"""One map of a view from all systems' maps."""

import numpy as np
import pytest

from cadnode.domain import Box, HeatMap
from cadnode.explain.maps import ensemble_map
from cadnode.explain.overlay import place

VIEW = (800, 640)


def flat(value: float, box: Box, algorithm: str) -> HeatMap:
    return HeatMap("1.2", np.full((4, 4), value, np.float32), box, algorithm)


def at(joint: HeatMap, row: float, col: float) -> float:
    rows, cols = joint.values.shape
    return float(joint.values[int(row * rows / VIEW[0]), int(col * cols / VIEW[1])])


def test_the_highest_of_the_systems_values_is_shown_at_each_place() -> None:
    dib = flat(0.6, Box(0, 0, 800, 320), "dib")
    kang = flat(0.9, Box(200, 200, 400, 400), "kang2021")
    helsinki = flat(0.3, Box(200, 200, 400, 400), "helsinki_dtl")

    joint = ensemble_map(VIEW, dib, [kang, helsinki])

    assert joint is not None
    assert joint.box == Box(0, 0, 800, 640)
    assert joint.sop_instance_uid == "1.2"
    assert at(joint, 100, 100) == pytest.approx(0.6)  # the DIB alone
    assert at(joint, 300, 250) == pytest.approx(0.9)
    assert at(joint, 300, 350) == pytest.approx(0.9)
    assert at(joint, 700, 600) == 0  # nobody


def test_a_system_that_sees_nothing_hides_nothing() -> None:
    dib = flat(0.8, Box(0, 0, 800, 640), "dib")
    kang = flat(0.0, Box(200, 200, 400, 400), "kang2021")

    joint = ensemble_map(VIEW, dib, [kang])

    assert joint is not None
    assert joint.values == pytest.approx(np.full_like(joint.values, 0.8))


@pytest.mark.parametrize(("shape", "cells"), [((4500, 2800), (320, 199)), ((800, 640), (100, 80))])
def test_the_map_stays_small(shape: tuple[int, int], cells: tuple[int, int]) -> None:
    joint = ensemble_map(shape, flat(0.5, Box(0, 0, *shape), "dib"), [])

    assert joint is not None
    assert joint.values.shape == cells
    assert joint.values.dtype == np.float32


def test_the_peak_stays_where_it_was() -> None:
    values = np.zeros((64, 64), np.float32)
    values[20, 40] = 0.9
    cam = HeatMap("1.2", values, Box(1000, 500, 1512, 1012), "kang2021")

    joint = ensemble_map((3328, 2560), None, [cam])

    assert joint is not None
    full = place(joint, (3328, 2560), (3328, 2560))
    row, col = np.unravel_index(int(full.argmax()), full.shape)
    # The cell (20, 40) of 8 pixels lies around (1164, 824); a cell of the joint map is 10.
    assert abs(row - 1164) <= 10
    assert abs(col - 824) <= 10


def test_no_map_is_no_map() -> None:
    assert ensemble_map(VIEW, None, []) is None
