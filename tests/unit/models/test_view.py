"""How a model reads views."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cadnode.domain import Box
from cadnode.errors import ModelError, NotProcessable
from cadnode.imaging.geometry import Placement
from cadnode.models.loading import load_view_model
from cadnode.models.view import ViewModel, hot_regions
from tests.unit import model_cases
from tests.unit.imaging.test_geometry import view


@pytest.fixture
def model(tmp_path: Path) -> ViewModel:
    model_cases.saved(tmp_path)
    return load_view_model(tmp_path)


def test_scores_and_maps_lie_between_0_and_1(model: ViewModel) -> None:
    (reading,) = model.score([(view(), "L")])

    assert 0 <= reading.score <= 1
    assert reading.cancer_map.dtype == np.float32
    assert 0 <= reading.cancer_map.min() <= reading.cancer_map.max() <= 1
    assert reading.map_box.row1 <= 300


def test_a_reading_does_not_depend_on_the_other_views(model: ViewModel) -> None:
    views = [(view(), "L"), (view(right=True), "R"), (view(200, 200), "L")]

    together = [r.score for r in model.score(views, batch_size=2)]

    assert together == pytest.approx([model.score([v])[0].score for v in views], abs=1e-6)


def test_a_mirrored_view_has_the_mirrored_map(model: ViewModel) -> None:
    left, right = model.score([(view(), "L"), (view(right=True), "R")])

    assert left.score == pytest.approx(right.score, abs=1e-5)
    np.testing.assert_allclose(left.cancer_map, right.cancer_map[:, ::-1], atol=1e-5)


def test_a_blank_view_is_refused(model: ViewModel) -> None:
    with pytest.raises(NotProcessable):
        model.score([(np.zeros((80, 60), np.float32), "L")])


def test_no_views_have_no_readings(model: ViewModel) -> None:
    assert model.score([]) == []


def test_a_batch_that_does_not_fit_is_halved(
    model: ViewModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, sizes = model._forward, []

    def small_device(part: torch.Tensor) -> object:
        sizes.append(len(part))
        if len(part) > 2:
            raise torch.OutOfMemoryError
        return forward(part)

    monkeypatch.setattr(model, "_forward", small_device)
    assert len(model.score([(view(), "L")] * 5, batch_size=5)) == 5
    assert sizes == [5, 2, 2, 1]


def test_a_view_that_never_fits_is_a_model_error(
    model: ViewModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_device(part: torch.Tensor) -> object:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(model, "_forward", no_device)
    with pytest.raises(ModelError, match="memory"):
        model.score([(view(), "L")])


@pytest.mark.parametrize("flipped", [False, True])
def test_a_hot_region_lies_on_the_hot_cell(flipped: bool) -> None:
    crop = Box(100, 200, 740, 600)
    placement = Placement((800, 800), crop, flipped, (64, 40), Box(0, 0, 64, 40))
    cells = np.zeros((16, 10), np.float32)
    cells[4, 2] = 0.9

    (region,) = hot_regions(cells, placement, 0.5, most=3)

    column = 600 - 2.5 * 40 if flipped else 200 + 2.5 * 40
    assert region.box.row0 < 100 + 4.5 * 40 < region.box.row1
    assert region.box.col0 < column < region.box.col1
    assert region.box.row1 - region.box.row0 <= 80
    assert region.probability == pytest.approx(0.9)
    assert all(region.box.row0 <= row <= region.box.row1 for row, _ in region.outline)


def test_the_highest_regions_come_first_and_not_too_many() -> None:
    placement = Placement((160, 100), Box(0, 0, 160, 100), False, (64, 40), Box(0, 0, 64, 40))
    cells = np.zeros((16, 10), np.float32)
    cells[2, 2], cells[8, 7], cells[13, 2] = 0.7, 0.95, 0.8

    regions = hot_regions(cells, placement, 0.5, most=2)

    assert [round(r.probability, 1) for r in regions] == [0.9, 0.8]


def test_nothing_hot_gives_no_region() -> None:
    placement = Placement((160, 100), Box(0, 0, 160, 100), False, (64, 40), Box(0, 0, 64, 40))

    assert hot_regions(np.full((16, 10), 0.2, np.float32), placement, 0.5, most=3) == ()
