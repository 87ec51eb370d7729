"""Which benign calcifications are no lesion: vessels, skin, fibroadenomas, single ones.

They are drawn whether the breast has a malignant lesion or not, so they carry no information on it.
"""

from itertools import pairwise

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cadnode.domain import CalcificationType, FloatImage
from cadnode_training.phantom import calcifications

VesselPath = NDArray[np.float64]


def sprinkle(
    rng: Generator,
    image: FloatImage,
    ground: NDArray[np.float64],
    spacing_mm: float,
    *,
    often: float = 1.0,
) -> None:
    """Draw single benign calcifications at random positions out of `ground`, in place.

    `ground` is `(n, 2)`, the positions (row, column) in pixels to choose from; `often` scales
    how many there are, 1 is usual for a whole view.
    """
    usual = (
        (_single, 1.6 * often),
        (_skin, 0.5 * often),
        (_macro, 0.15 * often),
    )
    for kind, mean in usual:
        for _ in range(int(rng.poisson(mean)) if len(ground) else 0):
            at = ground[int(rng.integers(len(ground)))] + rng.random(2)
            kind(rng, image, at, spacing_mm)


def vascular(rng: Generator, image: FloatImage, path: VesselPath, spacing_mm: float) -> None:
    """Calcified walls along a part of a vessel, in place: two parallel, broken lines.

    `path` is `(n, 2)`, (row, column) in mm.
    """
    n = len(path)
    start, end = sorted(rng.choice(np.arange(n), 2, replace=False))
    part = path[start : max(end, min(start + 12, n))]
    if len(part) < 3:
        return
    tangent = np.gradient(part, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    normal /= np.maximum(np.hypot(*normal.T), 1e-6)[:, None]
    layer, half = np.zeros_like(image), rng.uniform(0.5, 1.1)
    for side in (-half, half):
        wall = np.round((part + side * normal)[:, ::-1] / spacing_mm * 8).astype(np.int32)
        for a, b in pairwise(wall):
            if rng.random() < 0.65:
                bright = float(rng.uniform(0.08, 0.3))
                cv2.line(layer, a, b, bright, max(round(0.3 / spacing_mm), 1), cv2.LINE_8, 3)
    image += cv2.GaussianBlur(layer, (0, 0), max(0.10 / spacing_mm, 0.3))


def _single(rng: Generator, image: FloatImage, at: VesselPath, spacing_mm: float) -> None:
    kind = CalcificationType.ROUND if rng.random() < 0.5 else CalcificationType.PUNCTATE
    _draw(rng, image, at, kind, spacing_mm)


def _macro(rng: Generator, image: FloatImage, at: VesselPath, spacing_mm: float) -> None:
    _draw(rng, image, at, CalcificationType.COARSE, spacing_mm)


def _skin(rng: Generator, image: FloatImage, at: VesselPath, spacing_mm: float) -> None:
    """A ring with a lucent centre, 0.8–1.8 mm."""
    radius = rng.uniform(0.4, 0.9) / spacing_mm
    half = int(radius + 4)
    row, col = np.floor(at).astype(int)
    r0, c0 = max(row - half, 0), max(col - half, 0)
    part = image[r0 : row + half + 1, c0 : col + half + 1]
    rows, cols = np.ogrid[: part.shape[0], : part.shape[1]]
    distance = np.hypot(rows + r0 + 0.5 - at[0], cols + c0 + 0.5 - at[1])
    wall = max(0.15 / spacing_mm, 0.6)
    bright = rng.uniform(0.12, 0.3)
    part += (bright * np.exp(-(((distance - radius) / wall) ** 2))).astype(np.float32)


def _draw(
    rng: Generator, image: FloatImage, at: VesselPath, kind: CalcificationType, spacing_mm: float
) -> None:
    calcifications.draw(
        rng, image, (float(at[0]), float(at[1])), kind, spacing_mm=spacing_mm, direction=0.0,
        strength=float(rng.uniform(0.6, 1.6)),
    )  # fmt: skip
