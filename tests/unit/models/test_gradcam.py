"""Grad-CAM: known answers, an independent implementation, and its place in the region."""

import numpy as np
import pytest
import torch
from monai.visualize import GradCAM
from torch import Tensor, nn

from cadnode.models import gradcam
from cadnode.networks.cnn import Cells, CnnConfig, RoiNetwork, network
from tests.unit.roi_cases import toy


def _grad_cam(cnn: RoiNetwork, rois: Tensor) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        features = cnn.trunk(rois)
    return gradcam.grad_cam(cnn, features)


def test_the_map_of_a_known_network_is_known() -> None:
    rois = torch.rand(2, 1, 8, 8)

    log_odds, cam = _grad_cam(toy(gain=40), rois)

    # The malignant logit is 40 · mean(x): a pixel's weight is 40 / 64 in the map of x, 0 in 1 − x.
    torch.testing.assert_close(log_odds, 40 * rois.mean((1, 2, 3)))
    torch.testing.assert_close(cam, 40 / 64 * rois[:, 0])


def test_the_lesion_is_the_maximum() -> None:
    rois = torch.full((1, 1, 16, 16), 0.2)
    rois[0, 0, 5, 11] = 0.9

    _, cam = _grad_cam(toy(), rois)

    assert np.unravel_index(int(cam[0].argmax()), (16, 16)) == (5, 11)


def test_what_speaks_against_malignancy_is_below_zero() -> None:
    rois = torch.rand(1, 1, 8, 8)

    _, cam = _grad_cam(toy(gain=-40), rois)

    torch.testing.assert_close(cam, -40 / 64 * rois[:, 0])


def test_it_equals_monais_before_monais_post_processing() -> None:
    class LogOdds(nn.Module):
        def __init__(self, cnn: RoiNetwork) -> None:
            super().__init__()
            self.cnn = cnn

        def forward(self, x: Tensor) -> Tensor:
            return self.cnn.log_odds(self.cnn(x))[:, None]

    torch.manual_seed(3)
    cnn = network(CnnConfig(name="resnext50_32x4d")).eval()
    for module in cnn.modules():  # timm starts each block's last scale at 0
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    roi = torch.rand(1, 1, 96, 96)

    _, ours = _grad_cam(cnn, roi)
    theirs = GradCAM(
        LogOdds(cnn), "cnn.body.layer4", upsampler=lambda x: x, postprocessing=lambda x: x
    ).compute_map(roi, class_idx=0)

    assert ours.max() > 0
    torch.testing.assert_close(ours, theirs[:, 0].detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("cells", "count"), [(Cells(0.5, 32), 16), (Cells(37.5, 32), 14), (Cells(14.5, 32), 16)]
)
@pytest.mark.parametrize("which", [1, 7, 12])
def test_a_cell_appears_where_it_looks(cells: Cells, count: int, which: int) -> None:
    cams = torch.zeros(1, count, count)
    cams[0, which, 4] = 1

    brought = gradcam.aligned(cams, cells, 512)[0]

    row, col = np.unravel_index(int(brought.argmax()), brought.shape)
    assert brought.shape == (64, 64)
    # A point of the map is 8 pixels.
    assert 8 * (row + 0.5) == pytest.approx(cells.first + 32 * which, abs=4)
    assert 8 * (col + 0.5) == pytest.approx(cells.first + 32 * 4, abs=4)


def test_between_the_cells_the_map_is_a_straight_line() -> None:
    cams = torch.tensor([[[0.0, 1.0, 2.0, 3.0]] * 4])

    brought = gradcam.aligned(cams, Cells(0.5, 4), 16)[0]

    # Points at 0.5, 1.5, … 15.5 and cells at 0.5, 4.5, 8.5, 12.5; beyond the last it stays 3.
    expected = [min(k / 4, 3) for k in range(16)]
    np.testing.assert_allclose(brought[0], expected, atol=1e-5)


def test_the_highest_value_shown_is_the_probability() -> None:
    evidence = np.array([[-8.0, 5.0], [10.0, 2.5]], np.float32)

    def painted(probability: float) -> np.ndarray:
        return gradcam.shown(evidence, probability, malignant=True)

    np.testing.assert_allclose(painted(0.8), [[0, 0.4], [0.8, 0.2]])
    assert painted(0.05).max() == pytest.approx(0.05)


def test_a_region_called_benign_shows_what_spoke_for_benign() -> None:
    evidence = np.array([[-8.0, 5.0], [10.0, -2.0]], np.float32)

    painted = gradcam.shown(evidence, 0.1, malignant=False)

    np.testing.assert_allclose(painted, [[0.1, 0], [0, 0.025]], rtol=1e-6)


@pytest.mark.parametrize("malignant", [True, False])
def test_without_evidence_for_its_call_a_region_shows_nothing(malignant: bool) -> None:
    against = np.full((2, 2), -3.0 if malignant else 3.0, np.float32)

    assert gradcam.shown(against, 0.9, malignant=malignant).max() == 0
