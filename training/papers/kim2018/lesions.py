"""How lesions are simulated in real breasts, so that their place is known exactly.

A few hundred weakly labelled cancers teach a network from scratch nothing; masses, calcifications
and distortions drawn into breasts without cancer give it something to look for, with its place.
The shapes follow the words of BI-RADS: irregular or lobulated masses with a blurred or spiculated
margin, clusters of microcalcifications, architectural distortion.

Images are `(H, W) float32 in [0, 1]`, 0 outside the breast, and are changed in place; targets are
`(H, W) float32`, 1 where the lesion is. Sizes are shares of the breast's height.
"""

from typing import Final

import cv2
import numpy as np
from numpy.random import Generator

from cadnode.domain import FloatImage

_PATCH: Final = 96
_OUTSIDE: Final = 0.004
# What the others are not is a distortion.
_MASSES, _CALCIFICATIONS = 0.65, 0.18


def mass_shape(rng: Generator) -> FloatImage:
    """`(96, 96) float32 in [0, 1]`: density of an irregular mass, six in ten with spicules."""
    rows, cols = np.mgrid[:_PATCH, :_PATCH] / (_PATCH / 2) - 1
    radius, angle = np.hypot(rows, cols), np.arctan2(rows, cols)
    lobes = np.arange(2, 9)
    heights = rng.normal(0, 1, 7) / lobes * rng.uniform(0.1, 0.6)
    phases = rng.uniform(0, 2 * np.pi, 7)
    waves = (h * np.cos(k * angle + p) for h, k, p in zip(heights, lobes, phases, strict=True))
    edge = np.clip(0.42 * (1 + sum(waves)), 0.15, 0.75)
    density = 1 / (1 + np.exp((radius - edge) / rng.uniform(0.04, 0.25) * 2))
    if rng.random() < 0.6:
        core = rng.uniform(0.5, 1) if rng.random() < 0.8 else 0.3
        density = np.maximum(core * density, rng.uniform(0.3, 0.9) * _spicules(rng, radius))
    coarse = rng.normal(0, 1, (8, 8)).astype(np.float32)
    texture = cv2.resize(coarse, (_PATCH, _PATCH), interpolation=cv2.INTER_CUBIC)
    density = density * np.clip(1 + 0.2 * texture, 0.3, 1.5) * np.clip((1 - radius) / 0.1, 0, 1)
    return np.asarray(np.clip(density, 0, 1), np.float32)


def _spicules(rng: Generator, radius: FloatImage) -> FloatImage:
    """Thin curved lines from the centre, fading outwards."""
    lines, centre = np.zeros((_PATCH, _PATCH), np.float32), _PATCH / 2
    for _ in range(rng.integers(6, 24)):
        angle, length, bend = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.98), rng.normal(0, 0.25)
        steps = np.linspace(0.1, length, 6)
        turned = angle + bend * steps
        points = centre * (1 + steps * (np.cos(turned), np.sin(turned))).T
        cv2.polylines(
            lines, [points.round().astype(np.int32)], False, float(rng.uniform(0.4, 1)),
            int(rng.integers(1, 4)), cv2.LINE_AA,
        )  # fmt: skip
    blurred = cv2.GaussianBlur(lines, (0, 0), rng.uniform(0.8, 2))
    return np.asarray(blurred * np.clip(1.15 - radius, 0, 1), np.float32)


class LesionSimulator:
    """Draws lesions into breasts.

    Parameters
    ----------
    seed
        Of the bank of mass shapes.
    bank
        Number of mass shapes drawn beforehand; they are turned, mirrored and scaled when used.
    """

    def __init__(self, seed: int, bank: int = 1500) -> None:
        rng = np.random.default_rng([seed, 1])
        self._shapes = [mass_shape(rng) for _ in range(bank)]

    def draw(
        self, rng: Generator, image: FloatImage, *, share: float = 0.65, strength: float = 1.0
    ) -> FloatImage:
        """Target of the image, into which one or two lesions were drawn with probability `share`.

        `strength` scales their contrast.
        """
        target = np.zeros_like(image)
        if rng.random() < share:
            for _ in range(1 + int(rng.random() < 0.25)):
                self._draw_one(rng, image, target, strength)
        return target

    def _draw_one(
        self, rng: Generator, image: FloatImage, target: FloatImage, strength: float
    ) -> None:
        kind, centre = rng.random(), _place(rng, image)
        if centre is None:
            return
        if kind < _MASSES:
            self._mass(rng, image, target, centre, strength)
        elif kind < _MASSES + _CALCIFICATIONS:
            _cluster(rng, image, target, centre, strength)
        else:
            _distortion(rng, image, target, centre, strength)

    def _mass(
        self,
        rng: Generator,
        image: FloatImage,
        target: FloatImage,
        centre: tuple[int, int],
        strength: float,
    ) -> None:
        """A mass replaces the tissue it grew into and adds density of its own."""
        size = np.exp(rng.uniform(np.log(0.072), np.log(0.448))) * image.shape[0]
        shape = (
            max(int(size * rng.uniform(0.8, 1.2)), 12),
            max(int(size * rng.uniform(0.85, 1.3)), 12),
        )
        here, part = _overlap(image, centre, shape)
        density, tissue = self._shape(rng, shape)[part], image[here]
        inside = tissue > _OUTSIDE
        dense = np.percentile(tissue[inside], 75) if inside.any() else 0.4
        level = float(np.clip(dense, 0.15, 0.9))
        contrast = rng.uniform(0.06, 0.30) * (0.6 + 0.6 * level) * strength
        replaced = rng.uniform(0.2, 0.7) * density
        changed = tissue * (1 - replaced) + replaced * level + contrast * density
        image[here] = np.where(inside, np.clip(changed, 0, 1), tissue)
        target[here] = np.maximum(target[here], (density > 0.35) & inside)

    def _shape(self, rng: Generator, size: tuple[int, int]) -> FloatImage:
        shape = self._shapes[rng.integers(len(self._shapes))]
        if rng.random() < 0.5:
            shape = shape.T
        shape = shape[:: rng.choice((-1, 1)), :: rng.choice((-1, 1))]
        return np.asarray(
            cv2.resize(np.ascontiguousarray(shape), size[::-1], interpolation=cv2.INTER_AREA)
        )


def _place(rng: Generator, image: FloatImage) -> tuple[int, int] | None:
    """A random position well inside the breast; None when twenty tries find none."""
    rows, cols = image.shape
    for _ in range(20):
        row, col = int(rng.uniform(0.08, 0.92) * rows), int(rng.uniform(0.03, 0.85) * cols)
        around = image[max(row - 8, 0) : row + 9, max(col - 8, 0) : col + 9]
        if image[row, col] > 0.08 and around.min() > 0.01:
            return row, col
    return None


def _overlap(
    image: FloatImage, centre: tuple[int, int], shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a patch of `shape` around `centre` lies in the image, and which part of it does."""
    here, part = [], []
    for middle, size, limit in zip(centre, shape, image.shape, strict=True):
        first = middle - size // 2
        low, high = max(first, 0), min(first + size, limit)
        here.append(slice(low, high))
        part.append(slice(low - first, high - first))
    return (here[0], here[1]), (part[0], part[1])


def _cluster(
    rng: Generator,
    image: FloatImage,
    target: FloatImage,
    centre: tuple[int, int],
    strength: float,
) -> None:
    """Four to thirty bright specks in an elongated cluster."""
    size = int(rng.uniform(0.02, 0.10) * image.shape[0])
    side, middle = 2 * size + 9, size + 4
    specks = np.zeros((side, side), np.float32)
    narrow, angle = rng.uniform(0.3, 1), rng.uniform(0, np.pi)
    for _ in range(rng.integers(4, 30)):
        along, across = rng.normal(0, 0.4, 2) * size * (1, narrow)
        col = int(along * np.cos(angle) - across * np.sin(angle)) + middle
        row = int(along * np.sin(angle) + across * np.cos(angle)) + middle
        if 1 <= row < side - 1 and 1 <= col < side - 1:
            bright = rng.uniform(0.3, 1)
            specks[row, col] += bright
            if rng.random() < 0.4:
                specks[row + rng.integers(-1, 2), col + rng.integers(-1, 2)] += 0.7 * bright
    specks = cv2.GaussianBlur(specks, (0, 0), rng.uniform(0.4, 0.9))
    specks /= specks.max() + 1e-6
    here, part = _overlap(image, centre, (side, side))
    inside = image[here] > _OUTSIDE
    brighter = image[here] + specks[part] * rng.uniform(0.12, 0.55) * strength
    image[here] = np.where(inside, np.clip(brighter, 0, 1), image[here])
    dense = cv2.GaussianBlur((specks > 0.2).astype(np.float32), (0, 0), max(size / 4, 2))
    dense /= dense.max() + 1e-6
    target[here] = np.maximum(target[here], (dense[part] > 0.35) & inside)


def _distortion(
    rng: Generator,
    image: FloatImage,
    target: FloatImage,
    centre: tuple[int, int],
    strength: float,
) -> None:
    """Tissue drawn towards a point, with radiating lines and no mass."""
    size = int(rng.uniform(0.08, 0.25) * image.shape[0])
    here, _ = _overlap(image, centre, (2 * (size // 2), 2 * (size // 2)))
    tissue = np.ascontiguousarray(image[here])
    rows, cols = np.mgrid[: tissue.shape[0], : tissue.shape[1]].astype(np.float32)
    row, col = centre[0] - here[0].start, centre[1] - here[1].start
    down, right = rows - row, cols - col
    radius = np.hypot(down, right) / (size / 2)
    fading = np.clip(1 - radius, 0, 1)
    pull = 1 + rng.uniform(0.5, 1.0) * strength * np.exp(-((radius / 0.5) ** 2)) * fading
    drawn = cv2.remap(
        tissue, (col + right * pull).astype(np.float32), (row + down * pull).astype(np.float32),
        cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    number, twist, phase = rng.integers(6, 14), rng.normal(0, 0.5), rng.uniform(0, 2 * np.pi)
    rays = np.cos(number * np.arctan2(down, right) + twist * radius + phase) ** 8
    rays = rays * fading * np.clip(radius * 4, 0, 1) * rng.uniform(0.05, 0.18) * strength
    inside = tissue > _OUTSIDE
    image[here] = np.where(inside, np.clip(drawn + rays, 0, 1), tissue)
    target[here] = np.maximum(target[here], (radius < 0.55) & inside)
