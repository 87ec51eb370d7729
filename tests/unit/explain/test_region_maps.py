"""Maps of regions in their view."""

import numpy as np
import pytest

from cadnode.domain import Box
from cadnode.explain import maps
from cadnode.imaging import roi_chain
from cadnode.imaging.geometry import Placement
from cadnode.imaging.roi_chain import RoiSpec
from tests.unit.roi_cases import peak


def test_the_peak_is_the_middle_of_the_highest_cell() -> None:
    placement = Placement((2000, 2000), Box(100, 200, 1124, 1224), False, (512, 512),
                          Box(0, 0, 512, 512))  # fmt: skip
    cam = np.zeros((64, 64), np.float32)
    cam[10, 3] = 0.4

    # 10.5 cells of 8 pixels of the region, of two pixels of the view each.
    assert peak(cam, placement) == pytest.approx((100 + 168, 200 + 56))


@pytest.mark.parametrize("centre", [(150.0, 130.0), (4.0, 6.0), (297.0, 255.0)])
def test_the_map_covers_what_was_cut_and_keeps_its_peak(centre: tuple[float, float]) -> None:
    view = np.full((300, 260), 0.4, np.float32)
    ready = roi_chain.cut(view, centre, (0.1, 0.1), RoiSpec(size=64, spacing_mm=0.2))
    position = ready.placement.to_output(np.array([centre]))[0]
    cam = np.zeros((32, 32), np.float32)
    cam[int(position[0] / 2), int(position[1] / 2)] = 0.7

    heat_map = maps.heat_map(cam, ready.placement, "1.2.3", "kang2021")

    assert heat_map.box == ready.placement.crop
    assert (heat_map.sop_instance_uid, heat_map.algorithm) == ("1.2.3", "kang2021")
    cells = heat_map.values.shape
    row, col = np.unravel_index(int(heat_map.values.argmax()), cells)
    box = heat_map.box
    found = (
        box.row0 + (row + 0.5) * (box.row1 - box.row0) / cells[0],
        box.col0 + (col + 0.5) * (box.col1 - box.col0) / cells[1],
    )
    assert peak(cam, ready.placement) == pytest.approx(found)
    # A cell of the map is four pixels of the view.
    assert found == pytest.approx(centre, abs=4)


def test_a_peak_beyond_the_edge_of_the_view_is_brought_into_it() -> None:
    view = np.full((300, 260), 0.4, np.float32)
    ready = roi_chain.cut(view, (150.0, 5.0), (0.1, 0.1), RoiSpec(size=64, spacing_mm=0.2))
    cam = np.zeros((32, 32), np.float32)
    cam[16, :16] = 0.7  # the view begins at column 30 of the region, cell 15 of the map
    cam[16, 10] = 0.8

    row, col = peak(cam, ready.placement)

    assert 148 <= row <= 156
    assert 0 <= col <= 4
