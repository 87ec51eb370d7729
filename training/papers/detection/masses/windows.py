"""How minibatches are drawn: windows of augmented views, with the targets of their cells."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from cadnode.domain import FloatImage
from cadnode.networks.mass_map import STRIDE
from cadnode_training.data.boxes import Boxes
from cadnode_training.papers.detection.masses.config import MassAugmentation, MassInput
from cadnode_training.papers.detection.masses.material import MassViews

# A mass's target is a Gaussian of this share of its box, at least so many cells wide.
_SIGMA, _LEAST_CELLS = 1 / 6, 0.6
# A box counts in a window that holds at least this share of it.
_SEEN = 0.4


@dataclass(frozen=True, eq=False, slots=True)
class MassBatch:
    """A minibatch.

    Parameters
    ----------
    windows
        `(B, 1, h, w) float32 in [0, 1]`.
    centres
        `(B, h/8, w/8) float32 in [0, 1]`: 1 at masses' centres, falling to their edges.
    sizes
        `(B, 2, h/8, w/8) float32`: logarithms of height and width in shares of a view's tensor,
        of the mass that is nearest.
    views
        `(B,)` which views they show.
    """

    windows: Tensor
    centres: Tensor
    sizes: Tensor
    views: NDArray[np.intp]


def draw(
    views: MassViews, chosen: NDArray[np.intp], rng: Generator, size: MassInput,
    how: MassAugmentation,
) -> MassBatch:  # fmt: skip
    """One augmented window of each chosen view."""
    windows, centres, sizes = [], [], []
    for index in chosen:
        window, boxes = augmented(views.pixels[index], views.boxes[index], rng, size, how)
        heat, logs = targets(boxes, window.shape, (size.height, size.width))
        windows.append(window)
        centres.append(heat)
        sizes.append(logs)
    return MassBatch(
        torch.from_numpy(np.stack(windows))[:, None], torch.from_numpy(np.stack(centres)),
        torch.from_numpy(np.stack(sizes)), chosen,
    )  # fmt: skip


def augmented(
    pixels: NDArray[np.uint8], boxes: Boxes, rng: Generator, size: MassInput, how: MassAugmentation
) -> tuple[FloatImage, Boxes]:
    """A window `(h, w) float32 in [0, 1]` of a view, and the boxes that it holds, in its pixels."""
    shape = (size.window_height, size.window_width)
    matrix = _transform(boxes, rng, size, how)
    window = cv2.warpAffine(
        pixels, matrix, shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    ).astype(np.float32) / np.float32(255)  # fmt: skip
    inside = window > 0
    window = np.clip(window, 0, 1) ** np.exp(rng.normal(0, how.exponent))
    window = window * np.exp(rng.normal(0, how.gain))
    window += rng.normal(0, rng.uniform(0, how.noise) + 1e-9, shape)
    window = np.where(inside, np.clip(window, 1 / 255, 1), 0)
    return np.asarray(window, np.float32), _moved(boxes, matrix, shape)


def _transform(
    boxes: Boxes, rng: Generator, size: MassInput, how: MassAugmentation
) -> NDArray[np.float64]:
    """`(2, 3)` from (column, row) of the view to those of the window."""
    scale = np.exp(rng.uniform(-how.scale, how.scale))
    axes = scale * np.exp(rng.uniform(-how.stretch, how.stretch, 2))
    if rng.random() < 0.5:
        axes[0] *= -1  # upside down; the chest wall stays on the left
    angle = np.deg2rad(rng.uniform(-how.turn_degrees, how.turn_degrees))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag(axes[::-1])
    whole = np.array([size.width, size.height], float)
    window = np.array([size.window_width, size.window_height], float)
    spread = np.maximum(np.abs(linear) @ whole - window, 0) / 2
    middle = linear @ (whole / 2) + rng.uniform(-1, 1, 2) * spread
    if len(boxes) and rng.random() < how.on_mass:
        box = boxes[rng.integers(len(boxes))]
        centre = linear @ np.array([box[1] + box[3], box[0] + box[2]]) / 2
        middle = centre + rng.uniform(-0.4, 0.4, 2) * window
    return np.column_stack([linear, window / 2 - middle])


def _moved(boxes: Boxes, matrix: NDArray[np.float64], shape: tuple[int, int]) -> Boxes:
    """The boxes in the window: turned ones keep their height and width; those it lacks are gone."""
    if not len(boxes):
        return boxes
    centre = np.stack([boxes[:, 1] + boxes[:, 3], boxes[:, 0] + boxes[:, 2]], 1) / 2
    placed = centre @ matrix[:, :2].T + matrix[:, 2]
    scale = np.linalg.norm(matrix[:, :2], axis=0)
    half = np.stack([boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]], 1) * scale[::-1] / 2
    low, high = placed[:, ::-1] - half, placed[:, ::-1] + half
    seen = np.clip(np.minimum(high, shape) - np.maximum(low, 0), 0, None).prod(1)
    kept = seen >= _SEEN * (high - low).prod(1)
    return np.asarray(np.concatenate([low, high], 1)[kept], np.float32)


def targets(
    boxes: Boxes, shape: tuple[int, ...], whole: tuple[int, int]
) -> tuple[FloatImage, FloatImage]:
    """`(h/8, w/8)` centres and `(2, h/8, w/8)` logarithmic sizes of the cells of a window.

    Parameters
    ----------
    boxes
        `(k, 4)` in pixels of the window.
    shape
        Rows and columns of the window.
    whole
        Of a view's tensor, which sizes are shares of.
    """
    rows, cols = shape[0] // STRIDE, shape[1] // STRIDE
    heat = np.zeros((rows, cols), np.float32)
    logs = np.zeros((2, rows, cols), np.float32)
    row, col = np.mgrid[:rows, :cols] + 0.5
    for row0, col0, row1, col1 in boxes / STRIDE:
        height, width = row1 - row0, col1 - col0
        down, right = (max(_SIGMA * s, _LEAST_CELLS) for s in (height, width))
        # The cell that holds the centre is 1, wherever in it the centre lies.
        middle = np.floor((row0 + row1) / 2) + 0.5, np.floor((col0 + col1) / 2) + 0.5
        near = np.exp(-0.5 * (((row - middle[0]) / down) ** 2 + ((col - middle[1]) / right) ** 2))
        mine = near > heat
        heat[mine] = near[mine]
        logs[0][mine] = np.log(height * STRIDE / whole[0])
        logs[1][mine] = np.log(width * STRIDE / whole[1])
    return heat, logs
