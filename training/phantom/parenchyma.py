"""What is drawn inside the breast: dense tissue, ligaments, ducts, vessels, muscle, skin."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from cadnode.domain import FloatImage
from cadnode_training.phantom.anatomy import Breast, Geometry
from cadnode_training.phantom.texture import band, power_law, smooth_step, threads

_TILE_MM: Final = 0.4
_POLAR_RADIUS_MM: Final = 60.0
# (width between streaks in mm, their length to width, brightness). Choice: by eye.
_STREAKS: Final = ((9.0, 4.0, 0.07), (4.5, 5.0, 0.11), (2.2, 7.0, 0.14))


@dataclass(frozen=True, eq=False, slots=True)
class Tissue:
    """Inside of a breast on the coarse grid.

    `values` is `(h, w) float32`, display values without skin, roll-off and noise; `dense` is
    `(h, w) float32 in [0, 1]`; `vessels` are `(n, 2)` polylines, (row, column) in mm.
    """

    values: FloatImage
    dense: FloatImage
    vessels: tuple[NDArray[np.float64], ...]


def tissue(rng: Generator, breast: Breast, view: Geometry) -> Tissue:
    """The inside of one breast in one view."""
    radial = _Radial.about(view)
    dense = _dense(rng, breast, view, radial)
    values = breast.fat + (breast.gland - breast.fat) * dense * _lobules(rng, view, radial)
    values += breast.threads * _threads(rng, view, radial, dense)
    vessels = _vessels(rng, view)
    values += _draw_vessels(rng, view, vessels)
    values = _with_muscle(rng, values, dense, view, breast)
    return Tissue(np.asarray(values, np.float32), dense, vessels)


@dataclass(frozen=True, eq=False, slots=True)
class _Radial:
    """Distance (mm) and angle about the nipple, `(h, w) float32` each."""

    distance: FloatImage
    angle: FloatImage

    @classmethod
    def about(cls, view: Geometry) -> "_Radial":
        shape = view.skin_mm.shape
        rows = (np.arange(shape[0], dtype=np.float32) + 0.5) * view.spacing_mm - view.nipple[0]
        cols = (np.arange(shape[1], dtype=np.float32) + 0.5) * view.spacing_mm - view.nipple[1]
        x = np.broadcast_to(-cols[None, :], shape).astype(np.float32)  # angle 0: to the chest wall
        y = np.broadcast_to(rows[:, None], shape).astype(np.float32)
        distance, angle = cv2.cartToPolar(x, y)
        return cls(distance, np.where(angle > np.pi, angle - 2 * np.pi, angle).astype(np.float32))

    def noise(
        self, rng: Generator, wavelength_mm: float, stretch: float, twist: float = 0.0
    ) -> FloatImage:
        """`(h, w) float32`: band noise drawn out along the lines that meet at the nipple.

        With a `twist` these lines are spirals: at any place they run at an angle of
        arctan(twist) to the radius.
        """
        tall = int(float(self.distance.max()) / stretch / _TILE_MM) + 3
        wide = int(2 * np.pi * _POLAR_RADIUS_MM / _TILE_MM)
        tile = band(rng, (tall, wide), _TILE_MM, wavelength_mm)
        turned = self.angle + np.float32(np.pi)
        if twist:
            turned = turned + np.float32(twist) * np.log(self.distance + 5) - np.float32(4 * twist)
        x = turned * np.float32(_POLAR_RADIUS_MM / _TILE_MM)
        y = self.distance * np.float32(1 / stretch / _TILE_MM)
        return np.asarray(cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))


def _dense(rng: Generator, breast: Breast, view: Geometry, radial: _Radial) -> FloatImage:
    """`(h, w) float32 in [0, 1]`: the dense share of the area is the breast's."""
    shape = view.skin_mm.shape
    rows = (np.arange(shape[0], dtype=np.float32) + 0.5) * view.spacing_mm - view.nipple[0]
    cols = view.nipple[1] - (np.arange(shape[1], dtype=np.float32) + 0.5) * view.spacing_mm
    opening = rng.uniform(0.40, 0.62)
    cone = 1.25 - np.abs(rows)[:, None] / (opening * np.clip(cols, 0, None)[None, :] + 14)
    deep = smooth_step(view.skin_mm, 3, 20)
    behind = smooth_step(cols[None, :], 0, 15) * (1 - 0.5 * smooth_step(cols[None, :], 60, 110))
    envelope = np.clip(cone, -0.5, 0.8) * deep * behind
    clumps = 0.42 * power_law(rng, (shape[0], shape[1]), view.spacing_mm, 4.2)
    for wavelength, height in ((16.0, 0.20), (7.0, 0.13), (3.5, 0.08)):
        clumps += height * radial.noise(rng, wavelength, 2.2)
    score = 1.7 * envelope + clumps * deep + 0.5 * deep - 1.0 * view.pectoral
    sample = score[::4, ::4][(view.skin_mm > 0)[::4, ::4] & (view.pectoral < 0.5)[::4, ::4]]
    threshold = float(np.quantile(sample, 1 - breast.dense_share)) if sample.size else 0.0
    return smooth_step(score, threshold - 0.75, threshold + 0.85) * deep


def _lobules(rng: Generator, view: Geometry, radial: _Radial) -> FloatImage:
    """`(h, w) float32` about 1: dense tissue is uneven, and drawn towards the nipple."""
    shape = view.skin_mm.shape
    uneven = 0.6 * radial.noise(rng, 9.0, 2.2) + 0.5 * radial.noise(rng, 3.5, 2.5)
    blobs = band(rng, (shape[0], shape[1]), view.spacing_mm, 11.0)
    return np.asarray(np.clip(1 + 0.16 * uneven + 0.14 * blobs, 0.4, 1.6), np.float32)


def _threads(rng: Generator, view: Geometry, radial: _Radial, dense: FloatImage) -> FloatImage:
    """`(h, w) float32`: Cooper's ligaments and ducts.

    Streaks along and across the way to the nipple, short and fine to long and wide, and a few
    arcs.
    """
    shape = (view.skin_mm.shape[0], view.skin_mm.shape[1])
    total = np.zeros(shape, np.float32)
    for wavelength, stretch, height in _STREAKS:
        for twist in rng.normal(0, 0.45, 3):
            streaks = smooth_step(radial.noise(rng, wavelength, stretch, float(twist)), 0.7, 3.2)
            total += height * streaks
    for wavelength in (24.0, 13.0):
        noise = radial.noise(rng, wavelength, 2.5) + 0.3 * radial.noise(rng, wavelength / 3, 2.0)
        present = smooth_step(band(rng, shape, view.spacing_mm, 30.0), 0.0, 1.8)
        total += 0.10 * present * threads(noise, 0.09)
    for wavelength, height in ((7.0, 0.045), (3.5, 0.055), (1.8, 0.05)):
        noise = band(rng, shape, view.spacing_mm, wavelength)
        present = smooth_step(band(rng, shape, view.spacing_mm, 4 * wavelength), -0.6, 1.4)
        total += height * present * threads(noise, 0.22) * (0.35 + 0.65 * dense)
    near = smooth_step(view.skin_mm, 1.5, 12) * (0.7 + 0.3 * dense)
    return np.asarray(total * near * (1 - 0.7 * view.pectoral), np.float32)


def _vessels(rng: Generator, view: Geometry) -> tuple[NDArray[np.float64], ...]:
    """Two to six vessels that run from the chest wall towards the nipple, winding."""
    found = []
    low, high = np.flatnonzero((view.skin_mm > 8).any(1))[[0, -1]] * view.spacing_mm
    for _ in range(int(rng.integers(2, 7))):
        start = np.array([rng.uniform(0.85 * low + 0.15 * high, 0.15 * low + 0.85 * high), 0.0])
        aim = np.arctan2(*(np.asarray(view.nipple) - start)) + rng.normal(0, 0.35)
        steps = int(rng.uniform(30, 75))
        turns = (
            aim
            + np.cumsum(rng.normal(0, 0.05, steps))
            + 0.25 * np.sin(np.arange(steps) / rng.uniform(2, 5) + rng.uniform(0, 6))
        )
        path = np.cumsum(np.stack([np.sin(turns), np.cos(turns)], 1), 0) * 1.2
        found.append(start + path)
    return tuple(found)


def _draw_vessels(
    rng: Generator, view: Geometry, vessels: tuple[NDArray[np.float64], ...]
) -> FloatImage:
    """`(h, w) float32`: bands 1–2.5 mm wide, a little brighter than the tissue."""
    total = np.zeros(view.skin_mm.shape, np.float32)
    for path in vessels:
        points = np.round(path[:, ::-1] / view.spacing_mm * 8).astype(np.int32)
        thickness = max(round(rng.uniform(1.0, 2.5) / view.spacing_mm), 1)
        layer = np.zeros_like(total)
        cv2.polylines(layer, [points], False, rng.uniform(0.02, 0.06), thickness, cv2.LINE_8, 3)
        total = np.maximum(total, layer)
    soft = cv2.GaussianBlur(total, (0, 0), 0.35 / view.spacing_mm)
    return np.asarray(soft * smooth_step(view.skin_mm, 2, 10), np.float32)


def _with_muscle(
    rng: Generator, values: FloatImage, dense: FloatImage, view: Geometry, breast: Breast
) -> FloatImage:
    """The tissue with the pectoral muscle behind it: bright, with stripes along its edge."""
    if not view.pectoral.any():
        return values
    shape = (view.skin_mm.shape[0], view.skin_mm.shape[1])
    level = breast.fat + rng.uniform(0.75, 1.1) * (breast.gland - breast.fat)
    stripes = cv2.GaussianBlur(band(rng, shape, view.spacing_mm, 7.0), (0, 0), 4.0, sigmaY=40.0)
    muscle = level + 0.015 * stripes / max(float(stripes.std()), 1e-6)
    added = np.maximum(muscle - breast.fat, 0) * (1 - 0.4 * dense)
    return np.asarray(values + view.pectoral * added, np.float32)
