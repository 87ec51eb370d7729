"""Maps as they are shown: no blocks, no hard edges, and nothing that the system did not say."""

import numpy as np
import pytest

from cadnode.domain import Box, HeatMap
from cadnode.explain.maps import ensemble_map
from cadnode.explain.smooth import BEYOND, shown

VIEW = (900, 600)


def of(values: object, box: Box) -> HeatMap:
    return HeatMap("1.2", np.asarray(values, np.float32), box, "m")


def jump(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
    """The largest difference between neighbouring pixels."""
    return float(max(np.abs(np.diff(values, axis=axis)).max() for axis in (0, 1)))


@pytest.mark.parametrize("of_region", [False, True])
@pytest.mark.parametrize(
    "box", [Box(200, 100, 700, 500), Box(0, 0, 900, 600), Box(60, 9, 860, 593)]
)
@pytest.mark.parametrize("seed", range(3))
def test_no_two_neighbours_differ_by_more_than_a_small_share_of_the_range(
    of_region: bool, box: Box, seed: int
) -> None:
    random = np.random.default_rng(seed)
    cells = random.integers(0, 2, (10, 8)).astype(np.float32)  # nothing is rougher than 0 and 1
    found = shown(of(cells, box), VIEW, VIEW, of_region=of_region)
    narrowest = min((box.row1 - box.row0) / 10, (box.col1 - box.col0) / 8)
    # Between two centres a monotone cubic with level ends is at most 1.5 times as steep as a line;
    # where it also fades, over 5 % of the box's side at least, both add up.
    shortest = BEYOND * min(box.row1 - box.row0, box.col1 - box.col0)
    assert jump(found) <= 1.5 / narrowest + 1.5 / shortest
    assert jump(found) < 0.12


@pytest.mark.parametrize("gap", [0, 5, 14])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_map_that_ends_just_before_the_chest_wall_goes_on_to_it(gap: int, side: str) -> None:
    box = Box(100, gap, 800, 450) if side == "left" else Box(100, 150, 800, 600 - gap)
    found = shown(of(np.full((9, 6), 0.7), box), VIEW, VIEW)
    wall = found[:, 0] if side == "left" else found[:, -1]
    assert wall[150:750] == pytest.approx(0.7)


def test_a_whole_breasts_map_hides_nothing_and_a_regions_says_nothing_beyond_it() -> None:
    box = Box(300, 200, 500, 400)
    flat = of(np.full((4, 4), 0.8), box)
    whole, region = shown(flat, VIEW, VIEW), shown(flat, VIEW, VIEW, of_region=True)
    inside = np.zeros(VIEW, bool)
    inside[300:500, 200:400] = True
    assert whole[inside] == pytest.approx(0.8)
    assert region[~inside].max() == 0
    assert region[330:470, 230:370] == pytest.approx(0.8)
    far = ~inside
    far[280:520, 180:420] = False
    assert whole[far].max() == 0


def test_a_cells_centre_keeps_its_value_and_nothing_is_higher_or_lower() -> None:
    cells = np.random.default_rng(5).random((9, 6)).astype(np.float32)
    found = shown(of(cells, Box(0, 0, 900, 600)), VIEW, (9 * 11, 6 * 11))
    assert found[5::11, 5::11] == pytest.approx(cells, abs=1e-6)
    assert found.max() <= cells.max() + 1e-6
    assert found.min() >= cells.min() - 1e-6


def test_left_and_right_are_shown_alike() -> None:
    cells = np.random.default_rng(6).random((9, 6)).astype(np.float32)
    one = shown(of(cells, Box(100, 100, 700, 400)), VIEW, VIEW)
    other = shown(of(cells[:, ::-1], Box(100, 200, 700, 500)), VIEW, VIEW)
    assert other[:, ::-1] == pytest.approx(one, abs=1e-5)


@pytest.mark.parametrize("window", [Box(300, 200, 500, 400), Box(-50, -40, 150, 160)])
@pytest.mark.parametrize("of_region", [False, True])
def test_a_window_shows_what_the_view_shows_there(window: Box, of_region: bool) -> None:
    cells = np.random.default_rng(7).random((9, 6)).astype(np.float32)
    heat_map = of(cells, Box(250, 150, 700, 450))
    size = (window.row1 - window.row0, window.col1 - window.col0)
    alone = shown(heat_map, VIEW, size, window, of_region=of_region)
    whole = shown(heat_map, VIEW, VIEW, of_region=of_region)
    top, left = max(window.row0, 0), max(window.col0, 0)
    part = alone[top - window.row0 :, left - window.col0 :]
    assert part == pytest.approx(whole[top : window.row1, left : window.col1], abs=1e-6)


def test_a_map_of_one_cell_is_flat() -> None:
    found = shown(of([[0.4]], Box(0, 0, 900, 600)), VIEW, (30, 20))
    assert found == pytest.approx(np.full((30, 20), 0.4, np.float32))


def test_the_joint_map_has_no_square_of_a_region_in_it() -> None:
    dib = of(np.zeros((9, 6)), Box(0, 0, 900, 600))
    joint = ensemble_map(VIEW, dib, [of(np.full((8, 8), 0.9), Box(300, 200, 700, 500))])
    assert joint is not None
    assert jump(shown(joint, VIEW, VIEW)) < 0.06
