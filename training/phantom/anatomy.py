"""Where skin, nipple and pectoral muscle lie, in a view whose chest wall is on the left.

Right views are drawn as left ones and mirrored at the end, so that both sides are alike by
construction. Everything smooth is drawn on a coarse grid of 0.2 mm or the image's pixels, if
these are larger.
"""

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from cadnode.domain import FloatImage, ViewPosition
from cadnode_training.phantom.descriptors import BreastDensity

COARSE_MM: Final = 0.2
BreastProfile = NDArray[np.float64]

# Dense share of the breast's area, fewest and most. Choice: the 4th edition's quartiles, moved
# together at the ends, because in the 5th edition the areas are no longer stated.
DENSE_SHARE: Final[dict[BreastDensity, tuple[float, float]]] = {
    BreastDensity.A: (0.03, 0.10),
    BreastDensity.B: (0.12, 0.30),
    BreastDensity.C: (0.35, 0.55),
    BreastDensity.D: (0.60, 0.80),
}
# Choice: about as in screening; Sprague 2014, J Natl Cancer Inst 106:dju255: 43 % are c or d.
_DENSITY_SHARES: Final = (0.10, 0.43, 0.40, 0.07)


@dataclass(frozen=True, slots=True)
class Breast:
    """One breast, as far as its two views share it.

    Parameters
    ----------
    density, dense_share
        BI-RADS composition and the share of the area that is dense.
    depth, height
        Chest wall to nipple as a share of the image's width, and the half height of the CC view
        as a share of the image's height.
    nipple
        Where the nipple lies in the MLO view, as a share of the image's height.
    pectoral_width, pectoral_height
        Legs of the muscle's triangle in the MLO view, shares of the breast's depth and of the
        image's height.
    fat, gland
        Display values of fat and of dense tissue.
    threads
        How strongly ligaments and ducts are drawn.
    """

    density: BreastDensity
    dense_share: float
    depth: float
    height: float
    nipple: float
    pectoral_width: float
    pectoral_height: float
    fat: float
    gland: float
    threads: float


@dataclass(frozen=True, eq=False, slots=True)
class Geometry:
    """A view's shape on the coarse grid.

    `skin_mm` is `(h, w) float32`, the distance to the skin, 0 outside; `pectoral` is
    `(h, w) float32 in [0, 1]`; `nipple` is (row, column) in mm.
    """

    spacing_mm: float
    skin_mm: FloatImage
    pectoral: FloatImage
    nipple: tuple[float, float]


def draw_breast(rng: Generator) -> Breast:
    """A breast of a random woman."""
    density = tuple(BreastDensity)[int(rng.choice(4, p=_DENSITY_SHARES))]
    return Breast(
        density=density,
        dense_share=rng.uniform(*DENSE_SHARE[density]),
        depth=rng.uniform(0.38, 0.62),
        height=rng.uniform(0.34, 0.44),
        nipple=rng.uniform(0.54, 0.62),
        pectoral_width=rng.uniform(0.40, 0.62),
        pectoral_height=rng.uniform(0.45, 0.66),
        fat=rng.uniform(0.20, 0.29),
        gland=rng.uniform(0.48, 0.66),
        threads=rng.uniform(0.7, 1.3),
    )


def sister(rng: Generator, breast: Breast) -> Breast:
    """The same woman's other breast: a little different."""
    return replace(
        breast,
        dense_share=float(np.clip(breast.dense_share * np.exp(rng.normal(0, 0.06)), 0.02, 0.85)),
        depth=breast.depth * np.exp(rng.normal(0, 0.02)),
        height=breast.height * np.exp(rng.normal(0, 0.02)),
        nipple=breast.nipple + rng.normal(0, 0.005),
    )


def geometry(
    rng: Generator,
    breast: Breast,
    view: ViewPosition,
    field_mm: tuple[float, float],
    spacing_mm: float = COARSE_MM,
) -> Geometry:
    """The view's shape; `field_mm` is (height, width) of the detector."""
    step = max(COARSE_MM, spacing_mm)
    shape = int(np.ceil(field_mm[0] / step)), int(np.ceil(field_mm[1] / step))
    rows = (np.arange(shape[0], dtype=np.float64) + 0.5) * step
    cols = (np.arange(shape[1], dtype=np.float32) + 0.5) * step
    if view == ViewPosition.CC:
        width, nipple_row = _cc(rng, breast, rows, field_mm)
        pectoral = np.zeros(shape, np.float32)
    else:
        width, nipple_row = _mlo(rng, breast, rows, field_mm)
        pectoral = _pectoral(rng, breast, rows, cols, field_mm)
    width = width + _nipple_bump(rng, rows, nipple_row)
    inside = cols[None, :] < width[:, None]
    nipple = (nipple_row, float(np.interp(nipple_row, rows, width)))
    return Geometry(step, _skin_distance(inside, step), pectoral, nipple)


def _cc(
    rng: Generator, breast: Breast, rows: BreastProfile, field_mm: tuple[float, float]
) -> tuple[BreastProfile, float]:
    """Width of the breast at each row, and the nipple's row: a rounded half ellipse."""
    middle = field_mm[0] * (0.5 + rng.normal(0, 0.012))
    up, down = field_mm[0] * breast.height * np.exp(rng.normal(0, 0.03, 2))
    share = np.abs(rows - middle) / np.where(rows < middle, up, down)
    round_off = rng.uniform(1.9, 2.3)
    width = field_mm[1] * breast.depth * np.clip(1 - share**round_off, 0, None) ** (1 / 1.9)
    smooth = gaussian_filter1d(width, 1.5 / (rows[1] - rows[0]))
    return smooth, float(middle + rng.normal(0, 3.0))


def _mlo(
    rng: Generator, breast: Breast, rows: BreastProfile, field_mm: tuple[float, float]
) -> tuple[BreastProfile, float]:
    """As `_cc`: from the axilla over the nipple to the fold below the breast."""
    height, depth = field_mm[0], field_mm[1] * breast.depth
    nipple = height * (breast.nipple + rng.normal(0, 0.008))
    down = height * breast.height * rng.uniform(0.72, 0.82)
    at = [0, 0.25 * height, 0.42 * height, nipple, nipple + 0.5 * down, nipple + 0.82 * down]
    wide = depth * np.array(
        [rng.uniform(0.55, 0.75), rng.uniform(0.74, 0.84), 0.93, 1.0, 0.86, 0.5]
    )
    fold = min(nipple + 1.04 * down, 0.975 * height)
    at += [fold, height * 1.01]
    width = PchipInterpolator(at, [*wide, depth * rng.uniform(0.08, 0.16), depth * 0.10])(rows)
    smooth = gaussian_filter1d(width, 4.0 / (rows[1] - rows[0]), mode="nearest")
    return smooth, float(nipple)


def _nipple_bump(rng: Generator, rows: BreastProfile, row: float) -> BreastProfile:
    """Some millimetres of nipple in profile."""
    height, width = rng.uniform(1.5, 6.0), rng.uniform(3.5, 5.5)
    return np.asarray(height * np.exp(-(((rows - row) / width) ** 4)))


def _pectoral(
    rng: Generator,
    breast: Breast,
    rows: BreastProfile,
    cols: FloatImage,
    field_mm: tuple[float, float],
) -> FloatImage:
    """`(h, w) float32 in [0, 1]`: the muscle's triangle in the upper corner at the chest wall."""
    wide = breast.pectoral_width * breast.depth * field_mm[1] * np.exp(rng.normal(0, 0.05))
    high = breast.pectoral_height * field_mm[0] * np.exp(rng.normal(0, 0.05))
    share = np.clip(1 - rows / high, 0, None)
    waviness = 1.2 * np.sin(rows / rng.uniform(12, 25) + rng.uniform(0, 6))
    edge = wide * share ** rng.uniform(0.8, 1.15) + waviness * (share > 0)
    soft = rng.uniform(0.8, 2.0)
    distance = (edge.astype(np.float32)[:, None] - cols[None, :]) / np.float32(soft)
    return np.asarray(np.clip(0.5 + 0.5 * distance, 0, 1) * (rows < high)[:, None], np.float32)


def _skin_distance(inside: NDArray[np.bool_], step: float) -> FloatImage:
    """Distance (mm) to the skin; the image's borders are no skin."""
    border = 8
    padded = np.pad(inside.astype(np.uint8), border, mode="edge")
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 5)
    smooth = np.maximum(cv2.GaussianBlur(distance, (0, 0), 1.2) - 0.5, 0)  # no stairs at the edge
    return np.asarray(smooth[border:-border, border:-border] * step, np.float32)
