"""Candidates of masses: where gradients point to one centre, outlined where they do so best.

Candidates: the convergence index of gradient vectors (Kobatake & Murakami 1996, ICIP, "adaptive
filter to detect rounded convex regions: iris filter"; here with fixed rings of several radii).
Outline: the radial gradient index of Kupinski & Giger 1998 (IEEE Trans Med Imaging 17:510).

Where a node has the learned detector (`models.mass_finder`), its boxes take the candidates' place
(`learned_masses`).
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from cadnode.detect.certainty import mass_certainty
from cadnode.detect.frame import DetectionFrame
from cadnode.detect.regions import BoolMask, Region
from cadnode.domain import FindingKind, FloatImage

Floats = NDArray[np.float64]

SPACING_MM: Final = 0.6
_RADII_MM: Final = (4.0, 7.0, 11.0)
# The ring that gradients are taken from, and their smoothness, in radii.
_RING: Final = (0.5, 1.3)
_SMOOTHER: Final = 0.25
# Outlines are drawn at this smoothness.
SMOOTH_MM: Final = 1.2
_BACKGROUND_MM: Final = 14.0
_DEPTH_MM: Final = 4.0
_APART_MM: Final = 9.0
_MOST: Final = 12
# Kupinski & Giger 1998: the window that favours what lies near the seed, σ = 12.5 mm.
_WINDOW_MM: Final = 12.5
_REACH_MM: Final = 26.0
_LEVELS: Final = 24
_LEAST_MM2: Final = 12.0

STATISTICS: Final = ("convergence", "radial_gradient", "contrast", "log_area", "compactness",
                     "depth", "brightness")  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class MassCandidate:
    """A possible mass: `mask` is `(h, w) bool` of the coarse image, `STATISTICS` as named."""

    mask: BoolMask
    point: tuple[float, float]
    statistics: Floats


def coarse(frame: DetectionFrame) -> FloatImage:
    """`(h', w') float32`: the frame with pixels of about 0.6 mm."""
    scale = frame.spacing_mm / SPACING_MM
    size = [max(8, round(n * scale)) for n in frame.image.shape]
    return np.asarray(cv2.resize(frame.image, size[::-1], interpolation=cv2.INTER_AREA))


def find_masses(frame: DetectionFrame) -> list[MassCandidate]:
    """At most 12 candidates, those with the most convergent gradients first."""
    image = coarse(frame)
    depth = cv2.resize(frame.depth_mm, image.shape[::-1], interpolation=cv2.INTER_AREA)
    valid = np.asarray(depth > _DEPTH_MM, np.bool_)
    if valid.sum() < 50:
        return []
    flat = flattened(image, depth > 0)
    smooth = cv2.GaussianBlur(flat, (0, 0), SMOOTH_MM / SPACING_MM, borderType=cv2.BORDER_REPLICATE)
    index = convergence(flat, depth > 0)
    index[~valid] = -1
    size = int(_APART_MM / SPACING_MM) | 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    peaks = np.argwhere((index >= cv2.dilate(index, disc)) & (index > 0.1))
    values = index[peaks[:, 0], peaks[:, 1]]
    found = []
    for row, col in peaks[np.argsort(-values, kind="stable")[:_MOST]]:
        outlined = outline(smooth, (int(row), int(col)), depth > 0)
        if outlined is None:
            continue
        mask, gradient = outlined
        measures = _statistics(smooth, image, mask, depth, float(index[row, col]), gradient)
        found.append(MassCandidate(mask, (row + 0.5, col + 0.5), measures))
    return found


def convergence(image: FloatImage, breast: BoolMask) -> FloatImage:
    """`(h, w) float32 in [-1, 1]`: how well gradients around each pixel point to it.

    Each radius sees gradients at its own smoothness, so that texture inside of a large mass does
    not hide its edge.
    """
    best = np.full(image.shape, -1, np.float32)
    for radius in (r / SPACING_MM for r in _RADII_MM):
        sigma = _SMOOTHER * radius
        smooth = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        best = np.maximum(best, _converging_in_ring(smooth, breast, radius))
    return best


def _converging_in_ring(smooth: FloatImage, breast: BoolMask, radius: float) -> FloatImage:
    """Mean cosine of gradients in a ring with the way to its centre, weak ones counting less."""
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)
    right = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)
    size = cv2.magnitude(down, right)
    usual = float(np.median(size[breast])) + 1e-6 if breast.any() else 1.0
    unit = breast / (size + usual)
    reach = int(np.ceil(_RING[1] * radius))
    rows, cols = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    away = np.hypot(rows, cols)
    ring = (away >= _RING[0] * radius) & (away <= _RING[1] * radius)
    ring_share = ring / np.maximum(away, 1) / max(int(ring.sum()), 1)
    border = cv2.BORDER_CONSTANT
    return np.asarray(
        cv2.filter2D(down * unit, -1, -rows * ring_share, borderType=border)
        + cv2.filter2D(right * unit, -1, -cols * ring_share, borderType=border),
        np.float32,
    )


def outline(
    smooth: FloatImage, seed: tuple[int, int], breast: BoolMask
) -> tuple[BoolMask, float] | None:
    """The region around a seed whose edge has the highest radial gradient index, and that index.

    Kupinski & Giger 1998: thresholds of the image under a Gaussian window centred on the seed. None
    where the seed lies outside the breast, or no threshold gives a region of at least 12 mm².
    """
    reach = int(_REACH_MM / SPACING_MM)
    row0, col0 = max(seed[0] - reach, 0), max(seed[1] - reach, 0)
    window = smooth[row0 : seed[0] + reach + 1, col0 : seed[1] + reach + 1]
    inside = breast[row0 : seed[0] + reach + 1, col0 : seed[1] + reach + 1]
    here = (seed[0] - row0, seed[1] - col0)
    if not inside[here]:
        return None
    rows, cols = np.mgrid[: window.shape[0], : window.shape[1]]
    rows, cols = rows - here[0], cols - here[1]
    near = np.exp(-(rows**2 + cols**2) / 2 / (_WINDOW_MM / SPACING_MM) ** 2)
    raised = (window - window[inside].min()) * near * inside
    down = cv2.Sobel(window, cv2.CV_32F, 0, 1)
    right = cv2.Sobel(window, cv2.CV_32F, 1, 0)
    towards = -(down * rows + right * cols) / np.maximum(np.hypot(rows, cols), 1)
    size = cv2.magnitude(down, right)
    best: tuple[float, BoolMask] | None = None
    for level in np.linspace(0.3, 0.98, _LEVELS) * raised[here]:
        _, labels = cv2.connectedComponents(np.asarray(raised >= level, np.uint8), connectivity=4)
        region = np.asarray(labels == labels[here], np.uint8)
        area = region.sum() * SPACING_MM**2
        if area < _LEAST_MM2 or labels[here] == 0:
            continue
        edge = (region > 0) & (cv2.erode(region, np.ones((3, 3), np.uint8)) == 0)
        index = float(towards[edge].sum() / max(float(size[edge].sum()), 1e-9))
        if best is None or index > best[0]:
            best = index, _filled(region)
    if best is None:
        return None
    mask = np.zeros(smooth.shape, np.bool_)
    mask[row0 : row0 + window.shape[0], col0 : col0 + window.shape[1]] = best[1]
    return mask, best[0]


def _filled(region: NDArray[np.uint8]) -> BoolMask:
    """The region without its holes and thin bridges."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    opened = cv2.morphologyEx(region, cv2.MORPH_OPEN, disc)
    contours, _ = cv2.findContours(
        opened if opened.any() else region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    largest = max(contours, key=cv2.contourArea)
    return np.asarray(cv2.drawContours(np.zeros_like(region), [largest], -1, 1, -1) > 0, np.bool_)


def flattened(image: FloatImage, breast: BoolMask) -> FloatImage:
    """The image less its background: the mean of the breast around each pixel."""
    weight = breast.astype(np.float32)
    sigma = _BACKGROUND_MM / SPACING_MM
    total = cv2.GaussianBlur(image * weight, (0, 0), sigma)
    share = cv2.GaussianBlur(weight, (0, 0), sigma)
    return np.asarray((image - total / np.maximum(share, 1e-3)) * weight, np.float32)


def _statistics(
    smooth: FloatImage, image: FloatImage, mask: BoolMask, depth: FloatImage,
    converging: float, gradient: float,
) -> Floats:  # fmt: skip
    """`(7,) float64` as `STATISTICS` names them."""
    binary = mask.astype(np.uint8)
    wide = int(4 / SPACING_MM) | 1
    around = cv2.dilate(binary, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide)))
    ring = (around > 0) & ~mask & (depth > 0)
    outside = smooth[ring] if ring.any() else smooth
    contrast = float(smooth[mask].mean() - outside.mean())
    spread = float(smooth[depth > 0].std()) + 1e-6
    contours, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    length = max(float(cv2.arcLength(max(contours, key=cv2.contourArea), True)), 1.0)
    area = float(mask.sum())
    return np.array([
        converging, gradient, contrast / spread, np.log(area * SPACING_MM**2),
        4 * np.pi * area / length**2, min(float(depth[mask].mean()), 40.0),
        float((image[depth > 0] < image[mask].mean()).mean()),
    ])  # fmt: skip


def mass_regions(frame: DetectionFrame, least: float) -> list[Region]:
    """Masses whose certainty is at least `least`; of overlapping ones the more certain."""
    found = find_masses(frame)
    if not found:
        return []
    certainties = mass_certainty(np.stack([m.statistics for m in found]))
    kept: list[MassCandidate] = []
    regions = []
    for i in np.argsort(-certainties, kind="stable"):
        if certainties[i] < least:
            break
        if any(_covered(found[i], other) for other in kept):
            continue
        kept.append(found[i])
        regions.append(_region(frame, found[i], float(certainties[i])))
    return regions


def _covered(one: MassCandidate, other: MassCandidate) -> bool:
    """Whether one of the two lies for more than a half in the other."""
    both = int((one.mask & other.mask).sum())
    return both > 0.5 * min(int(one.mask.sum()), int(other.mask.sum()))


def _region(frame: DetectionFrame, candidate: MassCandidate, certainty: float) -> Region:
    contours, _ = cv2.findContours(
        candidate.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1
    )
    contour = max(contours, key=cv2.contourArea)[:, 0, ::-1]
    scale = np.array(frame.image.shape) / np.array(candidate.mask.shape)
    outline, box = frame.outlined((contour + 0.5) * scale)
    return Region(kind=FindingKind.MASS, box=box, outline=outline, certainty=certainty)
