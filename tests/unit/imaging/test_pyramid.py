"""Levels of stored values: halves of halves, padding apart, tiles that overlap."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cadnode.imaging.pyramid import OVERLAP, TILE, n_levels, pyramid_of

NO_PADDING = np.zeros(4096, np.bool_)


def image(rows: int, columns: int, seed: int = 0) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 4096, (rows, columns)).astype(np.uint16)


@pytest.mark.parametrize(
    ("size", "levels"), [((1, 1), 1), ((512, 512), 1), ((513, 9), 2), ((4096, 3328), 4)]
)
def test_levels_halve_until_one_tile_holds_them(size: tuple[int, int], levels: int) -> None:
    assert n_levels(*size) == levels
    built = pyramid_of(np.zeros(size, np.uint16), 12, signed=False, padding=NO_PADDING)
    assert len(built.levels) == levels
    assert max(built.levels[0].shape) <= TILE


def test_the_last_level_is_what_is_stored_and_tiles_put_it_together_again() -> None:
    stored = image(1100, 700)
    built = pyramid_of(stored, 12, signed=False, padding=NO_PADDING)
    together = np.zeros_like(stored)
    for row in range(3):
        for column in range(2):
            tile = built.tile(len(built.levels) - 1, column, row)
            assert tile is not None
            top, left = (0 if n == 0 else OVERLAP for n in (row, column))
            own = tile[top : top + TILE, left : left + TILE]
            together[row * TILE : row * TILE + own.shape[0],
                     column * TILE : column * TILE + own.shape[1]] = own  # fmt: skip
    assert np.array_equal(together, stored)
    assert np.array_equal(built.levels[-1], stored)


@pytest.mark.parametrize("place", [(-1, 0, 0), (9, 0, 0), (0, 1, 0), (0, 0, 1), (0, -1, 0)])
def test_there_is_no_tile_outside(place: tuple[int, int, int]) -> None:
    built = pyramid_of(image(600, 600), 12, signed=False, padding=NO_PADDING)
    assert built.tile(*place) is None


def test_a_smaller_level_is_the_mean_of_two_by_two_and_repeats_an_odd_edge() -> None:
    stored = np.full((3, 1025), 100, np.uint16)
    stored[0, :2], stored[1, :2] = (10, 20), (30, 40)
    built = pyramid_of(stored, 12, signed=False, padding=NO_PADDING)
    half = built.levels[-2]
    assert half.shape == (2, 513)
    assert half[0, 0] == 25
    assert half[1, 512] == 100


def test_signed_values_are_averaged_in_the_order_of_their_values() -> None:
    stored = np.full((2, 514), 0xFFE, np.uint16)  # -2 in 12 bits
    stored[0, :] = 2
    built = pyramid_of(stored, 12, signed=True, padding=NO_PADDING)
    assert set(np.unique(built.levels[-2])) == {0}


def test_padding_is_no_part_of_a_mean_and_stays_padding_where_it_outweighs() -> None:
    padding = NO_PADDING.copy()
    padding[4000] = True
    stored = np.full((2, 514), 100, np.uint16)
    stored[0, 0] = 4000  # one of four
    stored[:, 2:4] = 4000  # all four
    stored[:, 5], stored[0, 4] = 4000, 4000  # three of four
    half = pyramid_of(stored, 12, signed=False, padding=padding).levels[-2]
    assert list(half[0, :4]) == [100, 4000, 4000, 100]
