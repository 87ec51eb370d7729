"""Simulated lesions and augmentation."""

import numpy as np
import pytest
import torch

from cadnode.networks.dib_mg import DibMg, DibMgConfig
from cadnode_training.papers.kim2018.batches import ViewBatch, augment, augmented
from cadnode_training.papers.kim2018.lesions import LesionSimulator, mass_shape
from cadnode_training.papers.kim2018.loss import loss_of


def breast() -> np.ndarray:
    rows, cols = np.mgrid[:192, :112] / np.array([192, 112])[:, None, None]
    inside = ((rows - 0.5) / 0.48) ** 2 + (cols / 0.9) ** 2 < 1
    return np.where(inside, 0.35 + 0.05 * np.sin(30 * rows), 0).astype(np.float32)


def test_a_mass_is_densest_within_and_gone_at_its_patchs_edge() -> None:
    for seed in range(10):
        shape = mass_shape(np.random.default_rng(seed))
        assert 0 <= shape.min() <= shape.max() <= 1
        assert shape[0].max() == shape[:, 0].max() == 0


def test_a_lesion_is_drawn_where_its_target_says() -> None:
    simulator, rng = LesionSimulator(0, bank=20), np.random.default_rng(5)
    drawn = brighter = 0
    for _ in range(40):
        image = breast()
        target = simulator.draw(rng, image, share=1.0)
        change = image - breast()
        assert (image[breast() == 0] == 0).all()
        assert (image >= 0).all()
        assert (image <= 1).all()
        if target.any():
            drawn += 1
            brighter += change[target > 0].mean() > change[target == 0].mean()
    assert drawn > 30
    assert brighter / drawn > 0.9


def test_without_a_lesion_the_view_stays_as_it_is() -> None:
    image = breast()

    target = LesionSimulator(0, bank=2).draw(np.random.default_rng(0), image, share=0.0)

    assert not target.any()
    np.testing.assert_array_equal(image, breast())


def test_a_seed_draws_the_same_lesions() -> None:
    images = [breast(), breast()]
    for image in images:
        LesionSimulator(3, bank=5).draw(np.random.default_rng(1), image, share=1.0)

    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("seed", range(6))
def test_augmented_views_keep_their_range_and_their_outside(seed: int) -> None:
    changed = augment(np.random.default_rng(seed), breast())

    assert changed.shape == (192, 112)
    assert changed.dtype == np.float32
    assert (changed >= 0).all()
    assert (changed <= 1).all()
    assert changed[0, -1] == 0
    assert 0.5 < (changed > 0).mean() / (breast() > 0).mean() < 1.5


@pytest.mark.parametrize("seed", range(6))
def test_a_box_moves_with_its_view(seed: int) -> None:
    image = np.full((192, 112), 0.3, np.float32)
    image[60:90, 30:60] = 0.9

    changed, target = augmented(
        np.random.default_rng(seed), image, np.array([[60, 30, 90, 60]], np.float32)
    )

    inside = target > 0.5
    # The ellipse in the square, 79 % of it, sheared and scaled.
    assert 0.6 < inside.sum() / 30**2 < 1.05
    outside = (target == 0) & (changed > 0)
    assert changed[inside].mean() > 1.5 * changed[outside].mean()
    assert changed[inside].std() < 0.5 * changed[changed > 0].std() + 0.03


def test_augmenting_without_boxes_draws_the_same_view() -> None:
    alone = augment(np.random.default_rng(4), breast())
    boxed, _ = augmented(np.random.default_rng(4), breast(), np.array([[1, 1, 9, 9]], np.float32))

    np.testing.assert_array_equal(alone, boxed)


@pytest.mark.parametrize(("known", "gains"), [(True, True), (False, False)])
def test_a_map_that_is_right_in_the_box_costs_less_where_the_box_is_known(
    known: bool, gains: bool
) -> None:
    network = DibMg(DibMgConfig(widths=(16, 16, 16, 16, 16, 16), top_cells=1))
    target = torch.zeros(4, 4, 4)
    target[:2, 1, 1] = 1.0
    batch = ViewBatch(
        torch.zeros(5, 1, 64, 64), 1, torch.zeros(1, 4, 4), target, torch.tensor([known] * 4)
    )
    right, wrong = (torch.full((5, 4, 4), -3.0) for _ in range(2))
    right[:2, 1, 1] = wrong[:2, 3, 3] = 3.0

    costs = [loss_of(network, maps, batch, boxes=2.0).item() for maps in (right, wrong)]

    assert (costs[0] < costs[1] - 0.1) == gains
    assert loss_of(network, right, batch).item() == loss_of(network, wrong, batch).item()
