"""How strongly bright lines run towards a mass: spicules, in the mass, around it, in both.

Karssemeijer N, te Brake GM. Detection of stellate distortions in mammograms. IEEE Trans Med Imaging
15:611-619 (1996): the orientation of lines, by second derivatives of a Gaussian, against the way to
the centre. Choice: lines weigh by their strength in place of a threshold, and two widths are
measured, because spicules are a few tenths of a millimetre wide.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cadnode.detect.regions import BoolMask
from cadnode.domain import FloatImage

Floats = NDArray[np.float64]

SIGMAS_MM: Final = (0.3, 0.6)
# What is no film or no breast has no lines.
_AIR: Final = 0.01
_WIDTHS: Final = ("fine", "coarse")
_ZONES: Final = ("inside", "rim", "all")
STELLATE_FEATURES: Final = tuple(
    f"mass_{what}_{zone}_{width}"
    for width in _WIDTHS
    for zone in _ZONES
    for what in ("line_strength", "radial_lines")
)


@dataclass(frozen=True, eq=False, slots=True)
class _Lines:
    """`(h, w)` strength of bright lines, and how radially they run: cos² of the angle."""

    strength: Floats
    radial: Floats


def measure(
    image: FloatImage, mask: BoolMask, distance_mm: Floats, spacing_mm: float, rim_mm: float
) -> list[tuple[str, float]]:
    """`STELLATE_FEATURES` of a mass, by name; the rim is what lies within `rim_mm` outside.

    The share of radial lines is ½ where lines run anywhere, or where there are none.
    """
    seen = image > _AIR
    rim = (distance_mm > 0) & (distance_mm <= rim_mm) & seen
    zones = (mask, rim if rim.any() else mask, rim | mask)
    centre = np.argwhere(mask).mean(0)
    values = []
    for sigma_mm in SIGMAS_MM:
        lines = _lines(image.astype(np.float64), centre, sigma_mm / spacing_mm)
        for zone in zones:
            strength = lines.strength[zone]
            total = float(strength.sum())
            share = float((strength * lines.radial[zone]).sum()) / total if total > 1e-9 else 0.5
            values += [float(strength.mean()), share]
    return list(zip(STELLATE_FEATURES, values, strict=True))


def _lines(image: Floats, centre: Floats, sigma: float) -> _Lines:
    """Of the Hessian's eigenvalues λ₁ ≥ λ₂: strength σ² (−λ₂ − |λ₁|) where positive.

    A bright line runs across the direction of λ₂.
    """
    rows, both, cols = (
        ndimage.gaussian_filter(image, sigma, order=order, mode="nearest") * sigma**2
        for order in ((2, 0), (1, 1), (0, 2))
    )
    half = np.hypot((rows - cols) / 2, both)
    middle = (rows + cols) / 2
    strength = np.maximum(half - middle - np.abs(middle + half), 0)
    # The direction of λ₁, along the line: (cos, sin) in rows and columns.
    along = 0.5 * np.arctan2(2 * both, rows - cols)
    to_row, to_col = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float64)
    to_row, to_col = to_row - centre[0], to_col - centre[1]
    far = np.maximum(np.hypot(to_row, to_col), 1e-6)
    cosine = (np.cos(along) * to_row + np.sin(along) * to_col) / far
    return _Lines(strength, cosine**2)
