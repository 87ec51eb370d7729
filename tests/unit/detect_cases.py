"""Simple breasts with specks and masses whose place is known."""

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]


def breast(rows: int = 600, cols: int = 420, *, seed: int = 0, noise: float = 0.01) -> FloatImage:
    """`(rows, cols) float32`: a half ellipse at the left edge with smooth tissue and noise."""
    rng = np.random.default_rng(seed)
    row, col = np.mgrid[:rows, :cols] / np.array([rows, cols])[:, None, None]
    inside = ((row - 0.5) / 0.45) ** 2 + (col / 0.8) ** 2 < 1
    coarse = rng.normal(0, 0.05, (12, 9)).astype(np.float32)
    tissue = 0.45 + cv2.resize(coarse, (cols, rows), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (rows, cols)).astype(np.float32), (0, 0), 0.7)
    image = np.where(inside, tissue + noise * grain / grain.std(), 0)
    return np.clip(image, 0, 1).astype(np.float32)


def add_specks(
    image: FloatImage, points: list[tuple[float, float]], *, sigma: float, contrast: float
) -> FloatImage:
    """A copy with Gaussian specks of that standard deviation (pixels) at (row, column)."""
    rows, cols = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    specks = sum(np.exp(-((rows - r) ** 2 + (cols - c) ** 2) / (2 * sigma**2)) for r, c in points)
    return np.clip(image + contrast * specks, 0, 1).astype(np.float32)


def group(
    row: float, col: float, *, n: int = 9, spread: float = 12, seed: int = 1
) -> list[tuple[float, float]]:
    """N positions around (row, col), at least some pixels apart."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < n:
        r, c = rng.normal((row, col), spread)
        if all(np.hypot(r - a, c - b) > 6 for a, b in found):
            found.append((float(r), float(c)))
    return found


def add_mass(
    image: FloatImage, row: float, col: float, *, radius: float, contrast: float
) -> FloatImage:
    """A copy with a bright disc whose edge is two pixels soft."""
    rows, cols = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    away = np.hypot(rows - row, cols - col)
    disc = 1 / (1 + np.exp((away - radius) / 2))
    return np.clip(image + contrast * disc, 0, 1).astype(np.float32)
