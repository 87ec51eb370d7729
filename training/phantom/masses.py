"""How masses are drawn, by BI-RADS shape, margin and density."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cadnode.domain import Box, FloatImage
from cadnode_training.phantom.cluster import Site
from cadnode_training.phantom.descriptors import (
    MassDensity,
    MassDescriptors,
    MassMargin,
    MassShape,
    PhantomCase,
    PlantedLesion,
)

Angles = NDArray[np.float64]
_ANGLES: Final = 720
_ROOM: Final = 2.4  # half side of the canvas, in radii: spicules reach beyond the body
# Contrast above the tissue, in shares of the display range. Choice: by eye beside real masses.
_CONTRAST: Final[Mapping[MassDensity, tuple[float, float]]] = {
    MassDensity.HIGH: (0.20, 0.30),
    MassDensity.EQUAL: (0.12, 0.17),
    MassDensity.LOW: (0.06, 0.09),
}


@dataclass(frozen=True, eq=False, slots=True)
class _Polar:
    """A canvas seen from the mass's centre.

    `radius` and `angle` are `(side, side) float32`; `edge` is the body's radius at each angle,
    `(720,)`, `size` their usual value, all in pixels.
    """

    radius: FloatImage
    angle: FloatImage
    edge: Angles
    size: float
    spacing_mm: float

    def at(self, values: Angles) -> FloatImage:
        """`(side, side) float32`: a function of the angle, `(720,)`, looked up for each pixel."""
        index = (self.angle * (_ANGLES / (2 * np.pi))).astype(np.int32)
        return np.asarray(values.astype(np.float32)[np.clip(index, 0, _ANGLES - 1)])


def plant(
    rng: Generator,
    image: FloatImage,
    site: Site,
    case: PhantomCase,
    number: int = 0,
) -> PlantedLesion:
    """The mass of 6–25 mm that was drawn into the image, in place."""
    assert isinstance(case.descriptors, MassDescriptors)
    descriptors = case.descriptors
    wanted_mm = np.exp(rng.uniform(np.log(3.0), np.log(12.5)))
    radius_mm = min(wanted_mm, 0.45 * site.reach_mm, 0.6 * site.skin_mm)
    polar, first = _canvas(rng, site, descriptors, radius_mm / site.spacing_mm)
    profile = _MARGINS[descriptors.margin](rng, polar)
    low = np.maximum(first, 0)
    high = np.minimum(first + profile.shape, image.shape[:2])
    part = tuple(slice(a, b) for a, b in zip(low - first, high - first, strict=True))
    here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    _add(image[here], profile[part], float(rng.uniform(*_CONTRAST[descriptors.density])))
    body = np.asarray(polar.radius < polar.at(polar.edge))[part]
    box, mask = _tight(body, low)
    centre = (float(site.centre[0]), float(site.centre[1]))
    return PlantedLesion(
        case.kind, descriptors, case.malignant, case.p_malignant, centre, box, mask,
        np.empty((0, 2)), number,
    )  # fmt: skip


def _canvas(
    rng: Generator, site: Site, descriptors: MassDescriptors, size: float
) -> tuple[_Polar, NDArray[np.int64]]:
    """The canvas, and its first row and column in the image."""
    half = int(np.ceil(_ROOM * size)) + 2
    middle = np.floor(site.centre).astype(np.int64)
    first = middle - half
    row, col = np.asarray(site.centre) - first - 0.5
    rows = np.arange(2 * half + 1, dtype=np.float32)[:, None] - np.float32(row)
    cols = np.arange(2 * half + 1, dtype=np.float32)[None, :] - np.float32(col)
    radius, angle = cv2.cartToPolar(
        np.broadcast_to(cols, (2 * half + 1,) * 2).copy(),
        np.broadcast_to(rows, (2 * half + 1,) * 2).copy(),
    )
    edge = size * _outline(rng, descriptors)
    return _Polar(radius, angle, edge, size, site.spacing_mm), first


def _outline(rng: Generator, descriptors: MassDescriptors) -> Angles:
    """`(720,) float64` radius of the body by angle, in units of its usual radius."""
    angle = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    turned = angle - rng.uniform(0, 2 * np.pi)
    if descriptors.shape == MassShape.ROUND:
        outline = 1 + _waves(rng, angle, range(2, 5), 0.012)
    elif descriptors.shape == MassShape.OVAL:
        ratio = rng.uniform(1.35, 1.8)
        ellipse = 1 / np.sqrt(np.cos(turned) ** 2 / ratio + np.sin(turned) ** 2 * ratio)
        lobes = rng.choice((0.0, 0.06)) * np.cos(3 * turned)
        outline = ellipse * (1 + lobes + _waves(rng, angle, range(2, 5), 0.012))
    else:
        outline = 1 + _waves(rng, angle, range(2, 4), 0.15) + _waves(rng, angle, range(4, 8), 0.05)
    if descriptors.margin == MassMargin.MICROLOBULATED:
        number = rng.integers(9, 17)
        phase = number * angle + rng.uniform(0, 2 * np.pi) + _waves(rng, angle, range(1, 6), 0.9)
        height = rng.uniform(0.08, 0.13) * np.clip(1 + _waves(rng, angle, range(1, 4), 0.4), 0.2, 2)
        outline = outline * (1 + height * (np.abs(np.cos(phase / 2)) - 0.5))
    return np.clip(outline, 0.45, 1.7)


def _waves(rng: Generator, angle: Angles, orders: range, height: float) -> Angles:
    """Sum of harmonics of random phase, each of about `height`."""
    phases = rng.uniform(0, 2 * np.pi, len(orders))
    heights = rng.normal(0, height, len(orders))
    return np.asarray(heights @ np.cos(np.outer(orders, angle) + phases[:, None]))


def _solid(polar: _Polar, soft: float | FloatImage) -> FloatImage:
    """`(side, side) float32 in [0, 1]`: a flattened dome whose edge is `soft` pixels wide."""
    edge = polar.at(polar.edge)
    dome = np.sqrt(np.clip(1 - 0.85 * (polar.radius / edge) ** 2, 0.12, 1))
    inside = 0.5 + 0.5 * np.tanh((edge - polar.radius) / np.maximum(soft, 0.7))
    return np.asarray(dome * inside, np.float32)


def _circumscribed(rng: Generator, polar: _Polar) -> FloatImage:
    return _solid(polar, rng.uniform(0.15, 0.3) / polar.spacing_mm)


def _obscured(rng: Generator, polar: _Polar) -> FloatImage:
    """Sharp on one side; on 35–60 % of its border it fades into tissue that lies over it."""
    angle = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    away = np.cos(angle - rng.uniform(0, 2 * np.pi)) - np.cos(np.pi * rng.uniform(0.35, 0.6))
    hidden = polar.at(1 / (1 + np.exp(-away / 0.12)))
    sharp = 0.25 / polar.spacing_mm
    profile = _solid(polar, sharp + hidden * 0.45 * polar.size)
    tissue = _solid(polar, 0.7 * polar.size) * hidden * _mottle(rng, polar.radius.shape)
    return np.asarray(profile * (1 - 0.3 * hidden) + 0.5 * tissue, np.float32)


def _microlobulated(rng: Generator, polar: _Polar) -> FloatImage:
    return _solid(polar, rng.uniform(0.15, 0.3) / polar.spacing_mm)


def _indistinct(rng: Generator, polar: _Polar) -> FloatImage:
    """No edge anywhere: it fades over a quarter to half of the radius."""
    mottle = _mottle(rng, polar.radius.shape)
    soft = polar.size * rng.uniform(0.28, 0.5)
    return np.asarray(_solid(polar, soft) * (0.8 + 0.4 * mottle), np.float32)


def _spiculated(rng: Generator, polar: _Polar) -> FloatImage:
    """A core and 14–32 lines that radiate from it, tapering."""
    lines = np.zeros_like(polar.radius)
    centre = np.unravel_index(int(np.argmin(polar.radius)), polar.radius.shape)
    for _ in range(int(rng.integers(14, 33))):
        _spicule(rng, lines, np.asarray(centre, np.float64), polar)
    fine = cv2.GaussianBlur(lines, (0, 0), max(0.12 / polar.spacing_mm, 0.5))
    fading = np.clip((_ROOM - polar.radius / polar.size) / 0.6, 0, 1)
    core = _solid(polar, polar.size * rng.uniform(0.08, 0.18))
    return np.asarray(np.maximum(core, fine * fading), np.float32)


def _spicule(rng: Generator, lines: FloatImage, centre: Angles, polar: _Polar) -> None:
    angle, bend = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.18)
    reach = polar.size * rng.uniform(1.2, _ROOM)
    steps = np.linspace(0.5 * polar.size, reach, 7)
    turned = angle + bend * (steps / reach) ** 2
    points = centre[::-1] + steps[:, None] * np.stack([np.cos(turned), np.sin(turned)], 1)
    fixed = np.round(points * 16).astype(np.int32)
    bright = rng.uniform(0.4, 0.85)
    width = rng.uniform(0.2, 0.6) / polar.spacing_mm
    for index in range(6):
        taper = 1 - index / 7
        thickness = max(round(width * taper), 1)
        cv2.line(
            lines, fixed[index], fixed[index + 1], bright * (0.35 + 0.65 * taper), thickness,
            cv2.LINE_8, 4,
        )  # fmt: skip


def _mottle(rng: Generator, shape: tuple[int, ...]) -> FloatImage:
    """`shape float32` about 0.5: smooth irregular patches."""
    coarse = rng.normal(0.5, 0.3, (9, 9)).astype(np.float32)
    resized = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(resized, 0, 1))


def _add(tissue: FloatImage, profile: FloatImage, contrast: float) -> None:
    """A mass replaces a part of the tissue it grew into and adds its own density, in place."""
    weight = np.clip(profile, 0, 1) * np.float32(0.35)
    level = np.float32((tissue * weight).sum() / max(float(weight.sum()), 1e-6))
    tissue += weight * (level - tissue) + np.float32(contrast) * profile


def _tight(body: NDArray[np.bool_], first: NDArray[np.int64]) -> tuple[Box, NDArray[np.bool_]]:
    """Bounding box of the body in the image, and the body within; `first` is its corner."""
    rows, cols = np.flatnonzero(body.any(1)), np.flatnonzero(body.any(0))
    r0, r1, c0, c1 = int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1
    row, col = int(first[0]), int(first[1])
    return Box(row + r0, col + c0, row + r1, col + c1), body[r0:r1, c0:c1].copy()


_MARGINS: Final[Mapping[MassMargin, Callable[[Generator, _Polar], FloatImage]]] = {
    MassMargin.CIRCUMSCRIBED: _circumscribed,
    MassMargin.OBSCURED: _obscured,
    MassMargin.MICROLOBULATED: _microlobulated,
    MassMargin.INDISTINCT: _indistinct,
    MassMargin.SPICULATED: _spiculated,
}
