"""The loss that asks for evidence inside the lesion: known cells, known values, real networks."""

import math

import numpy as np
import pytest
import torch

from cadnode.networks.cnn import Cells, CnnConfig, network
from cadnode_training.papers.roi_cnn import attention
from cadnode_training.papers.roi_cnn.augment import augment
from cadnode_training.papers.roi_cnn.config import Augmentation

UNCHANGED = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
CELLS = Cells(2.0, 4.0)  # of a 16 × 16 ROI: centres at 2, 6, 10, 14


def inside(box: tuple[float, float, float, float], affine: torch.Tensor = UNCHANGED) -> np.ndarray:
    found = attention.inside(CELLS, 16, affine, torch.tensor([box]))
    return found.view(4, 4).numpy()


def test_cells_with_their_centre_in_the_box_or_half_a_cell_beside_it_are_the_lesions() -> None:
    found = inside((5, 9, 7, 13))

    # Rows 3 to 9 hold the centre 6; columns 7 to 15 hold the centres 10 and 14.
    np.testing.assert_array_equal(np.argwhere(found), [[1, 2], [1, 3]])


def test_the_lesion_is_followed_through_a_mirrored_and_moved_image() -> None:
    # x of the stored image = 15 - x + 4: mirrored, then moved by four pixels.
    mirrored = torch.tensor([[[-1.0, 0, 19], [0, 1, 0]]])

    found = inside((5, 9, 7, 13), mirrored)

    # Stored columns 7 to 15 are 5 to 13 here: the centres 6 and 10.
    np.testing.assert_array_equal(np.argwhere(found), [[1, 1], [1, 2]])


def test_what_augmentation_did_to_the_image_it_says_of_the_cells() -> None:
    stored = np.zeros((64, 64), np.uint8)
    stored[20:28, 36:44] = 255
    how = Augmentation(flips=True, rotation_share=1.0, translation_px=6, grey=0.0)

    for seed in range(8):
        image, affine = augment(np.random.default_rng(seed), stored, 48, how)
        found = attention.inside(
            Cells(0.5, 1.0), 48 * 48, torch.from_numpy(affine)[None],
            torch.tensor([[20.0, 36, 28, 44]]),
        )  # fmt: skip
        bright = image > 0.5
        assert (found.view(48, 48).numpy() & bright).sum() >= 0.98 * bright.sum()


def test_a_roi_without_a_box_has_no_cell_and_does_not_count() -> None:
    nowhere = attention.inside(CELLS, 16, UNCHANGED, torch.full((1, 4), torch.nan))

    assert not nowhere.any()
    assert attention.loss(torch.randn(1, 16), nowhere) == 0


def test_the_loss_is_that_of_a_peak_in_the_lesion() -> None:
    evidence = torch.tensor([[-3.0, 1.0, 1.0, 1.0]])
    lesion = torch.tensor([[True, False, False, False]])

    # |evidence| 3, 1, 1, 1 over its spread 1.
    expected = -math.log(math.exp(3) / (math.exp(3) + 3 * math.exp(1)))
    assert attention.loss(evidence, lesion).item() == pytest.approx(expected, rel=1e-5)


def test_learning_by_it_moves_the_evidence_into_the_lesion() -> None:
    torch.manual_seed(0)
    evidence = torch.randn(3, 16, requires_grad=True)
    lesion = torch.zeros(3, 16, dtype=torch.bool)
    lesion[:, 5] = True

    for _ in range(60):
        loss = attention.loss(evidence, lesion)
        (gradient,) = torch.autograd.grad(loss, evidence)
        evidence = (evidence - gradient).detach().requires_grad_()

    assert evidence.abs().argmax(1).tolist() == [5, 5, 5]


@pytest.mark.parametrize("name", ["inception_v3", "resnext50_32x4d", "densenet201"])
def test_the_evidence_of_all_cells_is_the_log_odds(name: str) -> None:
    torch.manual_seed(1)
    cnn = network(CnnConfig(name=name)).eval()  # type: ignore[arg-type]
    rois = torch.rand(2, 1, 96, 96)

    with torch.no_grad():
        found = attention.with_evidence(cnn, rois)
        bias = cnn.body.get_classifier().bias

    logits, evidence = found[:, :2], found[:, 2:]
    from_cells = evidence.mean(1) + bias[1] - bias[0]
    torch.testing.assert_close(from_cells, logits[:, 1] - logits[:, 0], rtol=1e-4, atol=1e-5)
