"""How a ROI is changed at random (Kang 2021, Image Preprocessing), in one resampling."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cadnode.domain import FloatImage
from cadnode_training.papers.roi_cnn.config import Augmentation

Point = tuple[float, float]


def augment(
    rng: Generator,
    stored: NDArray[np.uint8],
    size: int,
    how: Augmentation,
    about: Point | None = None,
) -> tuple[FloatImage, NDArray[np.float32]]:
    """`(size, size) float32 in [0, 1]`: flipped, turned, moved, cut around `about` or the middle.

    Beside it the `(2, 3)` matrix that leads from its (x, y) to the stored image's. `stored` is
    `(S, S) uint8`. What lies beyond its edge is its mirror image: a turned square has no corners
    of its own, and black ones would be seen by the network.
    """
    affine = _affine(rng, about or _middle(stored), size, how)
    cut = cv2.warpAffine(
        stored, affine, (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    image = np.asarray(cut, np.float32) / np.float32(255)
    return (_regraded(rng, image, how.grey) if how.grey else image), affine


def centre(stored: NDArray[np.uint8], size: int, about: Point | None = None) -> FloatImage:
    """`(size, size) float32 in [0, 1]`: the square around `about` or the middle, unchanged.

    Where it would reach beyond the stored image it is moved inside.
    """
    most = stored.shape[0] - size
    row, col = (min(max(int(x - size / 2), 0), most) for x in about or _middle(stored))
    cut = stored[row : row + size, col : col + size]
    return np.asarray(cut, np.float32) / np.float32(255)


def _middle(stored: NDArray[np.uint8]) -> Point:
    return stored.shape[0] / 2, stored.shape[1] / 2


def _affine(rng: Generator, about: Point, size: int, how: Augmentation) -> NDArray[np.float32]:
    """`(2, 3)` matrix from the output's (x, y) to the stored image's."""
    any_angle = rng.random() < how.rotation_share
    degrees = rng.uniform(1, 359) if any_angle else 90 * rng.integers(4)
    angle = np.deg2rad(degrees)
    flips = rng.choice((-1, 1), 2) if how.flips else np.ones(2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * flips
    moved = rng.integers(-how.translation_px, how.translation_px + 1, 2)
    middle = (size - 1) / 2
    shift = np.array(about[::-1]) - 0.5 + moved - turn @ np.array([middle, middle])
    return np.asarray(np.column_stack([turn, shift]), np.float32)


def _regraded(rng: Generator, image: FloatImage, spread: float) -> FloatImage:
    """Contrast, brightness and power law changed by about `spread`; 0 stays 0 (padding)."""
    power, contrast = np.exp(rng.normal(0, spread, 2))
    graded = (np.clip(image, 0, 1) ** power - 0.5) * contrast + 0.5 + rng.normal(0, spread / 3)
    return np.where(image > 0, np.clip(graded, 0, 1), 0).astype(np.float32)
