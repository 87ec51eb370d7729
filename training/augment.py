"""Random changes of a preprocessed view that leave its label as it is."""

import cv2
import numpy as np
from numpy.random import Generator

from cadnode.domain import FloatImage


def augment(rng: Generator, image: FloatImage) -> FloatImage:
    """The view slightly turned, scaled, sheared and moved, perhaps upside down, regraded.

    Contrast ±15 % and brightness ±8 % (Kim 2018: ±10 % each), a power law, and now and then blur
    or noise. `image` is `(H, W) float32 in [0, 1]`, 0 outside the breast, and stays so.
    """
    moved = _move(rng, image)
    if rng.random() < 0.5:
        moved = moved[::-1]
    inside = moved > 0.002
    graded = np.clip(moved, 0, 1) ** np.exp(rng.normal(0, 0.2))
    graded = graded * rng.uniform(0.85, 1.15) + rng.uniform(-0.08, 0.08)
    if rng.random() < 0.2:
        sharp = np.ascontiguousarray(graded, dtype=np.float32)
        graded = cv2.GaussianBlur(sharp, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.3:
        graded = graded + rng.normal(0, rng.uniform(0.005, 0.03), graded.shape)
    return np.where(inside, np.clip(graded, 1 / 255, 1), 0).astype(np.float32)


def _move(rng: Generator, image: FloatImage) -> FloatImage:
    rows, cols = image.shape
    angle = np.deg2rad(rng.normal(0, 6))
    tall, wide = np.exp(rng.normal(0, 0.07, 2))
    shear = rng.normal(0, 0.05)
    turn = np.array(
        [[np.cos(angle) * wide, shear - np.sin(angle)], [np.sin(angle), np.cos(angle) * tall]]
    )
    centre = np.array([cols / 2, rows / 2])
    shift = centre - turn @ centre + rng.normal(0, 0.03, 2) * (cols, rows)
    affine = np.column_stack([turn, shift]).astype(np.float32)
    return np.asarray(cv2.warpAffine(image, affine, (cols, rows), flags=cv2.INTER_LINEAR))
