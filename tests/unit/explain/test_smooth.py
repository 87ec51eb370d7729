"""Maps as they are shown: no blocks, no hard edges, and nothing that the system did not say."""

import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

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


@pytest.mark.parametrize("above", [0.0019, 0.15, 0.6])
@pytest.mark.parametrize("window", [None, Box(150, 120, 500, 470), Box(-40, 500, 310, 850)])
@pytest.mark.parametrize("shape", [(12, 9), (2, 2), (1, 5), (5, 1), (1, 1), (3, 40)])
@pytest.mark.parametrize("seed", range(3))
def test_what_is_above_a_value_is_the_same_to_the_bit_when_only_that_is_wanted(
    above: float, window: Box | None, shape: tuple[int, int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    cells = np.clip(random.normal(-0.5, 1, shape), 0, 1)  # most of it is 0
    drawn = of(cells, Box(60, 40, 860, 560))
    size = VIEW if window is None else (224, 200)

    whole = shown(drawn, VIEW, size, window)
    wanted = shown(drawn, VIEW, size, window, above=above)

    seen = whole > np.float32(above)
    assert np.array_equal(wanted[seen], whole[seen])
    assert (wanted[~seen] <= np.float32(above)).all()


@pytest.mark.parametrize("shape", [(12, 9), (2, 3), (1, 5), (5, 1)])
def test_a_map_is_scipys_pchip_down_and_then_across(shape: tuple[int, int]) -> None:
    cells = np.random.default_rng(5).random(shape).astype(np.float32)

    found = shown(of(cells, Box(0, 0, *VIEW)), VIEW, (450, 300))

    plain = np.asarray(cells, np.float64)
    for axis, size in ((0, 450), (1, 300)):
        n = plain.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * n / size - 0.5, 0, n - 1)
        if n == 1:
            plain = np.repeat(plain, size, axis=axis)
        else:
            plain = PchipInterpolator(np.arange(n), plain, axis=axis)(at)
    assert found == pytest.approx(plain, abs=1e-6)


def test_of_a_map_that_is_nowhere_above_a_value_nothing_is_shown() -> None:
    low = of(np.full((4, 4), 0.1), Box(100, 100, 700, 500))

    assert shown(low, VIEW, VIEW).max() == pytest.approx(0.1)
    assert not shown(low, VIEW, VIEW, above=0.15).any()
