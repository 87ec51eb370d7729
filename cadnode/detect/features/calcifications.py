"""The 15 features of the microcalcifications in a region (Wang et al. 2016, Methods).

The paper names twelve and keeps their formulas in an appendix that is not public. Choice: the
definitions here, because they follow the names and the BI-RADS words; the last three complete the
fifteen with what BI-RADS asks for besides: extent and distribution of the cluster, pleomorphism.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cadnode.detect.features import shape
from cadnode.detect.features.shape import Shape
from cadnode.detect.regions import BoolMask, Labels, Segmentation
from cadnode.domain import FloatImage
from cadnode.models.feature import Features

MICROCALCIFICATION_FEATURES: Final = (
    "calc_number",
    "calc_average_diameter_mm",
    "calc_area_mm2",
    "calc_density_per_cm2",
    "calc_circularity",
    "calc_circularity_proportion",
    "calc_solidity",
    "calc_spiculation",
    "calc_sandy_proportion",
    "calc_linear_proportion",
    "calc_volume_ratio",
    "calc_mean_grey",
    "calc_cluster_diameter_mm",
    "calc_cluster_elongation",
    "calc_diameter_variation",
)
# From which circularity on a calcification counts as round.
ROUND_FROM: Final = 0.85
# Below which diameter it counts as sand; its axes from which ratio and length on as linear.
SANDY_BELOW_MM: Final = 0.3
LINEAR_FROM_RATIO: Final = 2.5
LINEAR_FROM_MM: Final = 0.5
# The cluster's hull grows by this much, so that one or two calcifications have an area too.
HALO_MM: Final = 0.5
# How far the tissue beside a calcification counts as its background.
_BACKGROUND_SIGMA_MM: Final = 1.0
_BLUR_MM: Final = 0.15


def microcalcification_features(segmentation: Segmentation) -> Features:
    """The fifteen features; all 0 where no calcification was segmented."""
    labels, spacing = segmentation.calcifications, segmentation.spacing_mm
    shapes = _shapes(labels)
    if not shapes:
        zeros = np.zeros(len(MICROCALCIFICATION_FEATURES))
        return Features(MICROCALCIFICATION_FEATURES, zeros)
    values = (*_single(shapes, spacing), *_grey(segmentation), *_cluster(labels, shapes, spacing))
    named = dict(values)
    return Features(
        MICROCALCIFICATION_FEATURES,
        np.array([named[name] for name in MICROCALCIFICATION_FEATURES], np.float64),
    )


def background(image: FloatImage, calcified: BoolMask, spacing_mm: float) -> FloatImage:
    """`(h, w) float32`: the tissue's grey without the calcifications, smoothed over 1 mm.

    A mean of the pixels around, weighted by a Gaussian; pixels of calcifications and of their
    blurred edge weigh nothing. Where no other pixel is near, the mean of those there are.
    """
    reach = 2 * round(_BLUR_MM / spacing_mm) + 1
    edge = cv2.dilate(calcified.astype(np.uint8), np.ones((reach, reach), np.uint8))
    free = np.asarray(edge == 0, np.float32)
    sigma = _BACKGROUND_SIGMA_MM / spacing_mm
    weight = cv2.GaussianBlur(free, (0, 0), sigma)
    total = cv2.GaussianBlur(image * free, (0, 0), sigma)
    anywhere = np.float32((image[free > 0] if free.any() else image).mean())
    return np.where(weight > 1e-3, total / np.maximum(weight, np.float32(1e-3)), anywhere)


def _shapes(labels: Labels) -> list[Shape]:
    found = ndimage.find_objects(labels)
    return [
        shape.measure(labels[part] == label)
        for label, part in enumerate(found, start=1)
        if part is not None
    ]


def _single(shapes: list[Shape], spacing_mm: float) -> list[tuple[str, float]]:
    """What is measured on each calcification by itself: numbers, sums, means and shares."""
    diameters = np.array([s.diameter for s in shapes]) * spacing_mm
    circular = np.array([s.circularity for s in shapes])
    linear = [
        s.major >= LINEAR_FROM_RATIO * s.minor and s.major * spacing_mm >= LINEAR_FROM_MM
        for s in shapes
    ]
    return [
        ("calc_number", float(len(shapes))),
        ("calc_average_diameter_mm", float(diameters.mean())),
        ("calc_area_mm2", sum(s.area for s in shapes) * spacing_mm**2),
        ("calc_circularity", float(circular.mean())),
        ("calc_circularity_proportion", float((circular >= ROUND_FROM).mean())),
        ("calc_solidity", float(np.mean([s.solidity for s in shapes]))),
        ("calc_spiculation", float(np.mean([s.roughness for s in shapes]))),
        ("calc_sandy_proportion", float((diameters < SANDY_BELOW_MM).mean())),
        ("calc_linear_proportion", float(np.mean(linear))),
        ("calc_diameter_variation", float(diameters.std() / diameters.mean())),
    ]


def _grey(segmentation: Segmentation) -> list[tuple[str, float]]:
    """Grey of the calcifications, and how much of it stands above the tissue."""
    calcified = segmentation.calcifications > 0
    tissue = background(segmentation.image, calcified, segmentation.spacing_mm)
    grey = float(segmentation.image[calcified].mean())
    above = grey - float(tissue[calcified].mean())
    ratio = above / grey if grey > 1e-6 else 0.0
    return [("calc_mean_grey", grey), ("calc_volume_ratio", float(np.clip(ratio, 0, 1)))]


def _cluster(labels: Labels, shapes: list[Shape], spacing_mm: float) -> list[tuple[str, float]]:
    """Extent, density and form of all calcifications together."""
    points = np.argwhere(labels > 0)
    hull = shape.hull(points)
    area_mm2 = (
        hull.area * spacing_mm**2
        + HALO_MM * hull.perimeter * spacing_mm
        + np.pi * HALO_MM**2
    )  # fmt: skip
    return [
        ("calc_density_per_cm2", float(100 * len(shapes) / area_mm2)),
        ("calc_cluster_diameter_mm", hull.feret * spacing_mm),
        ("calc_cluster_elongation", _elongation(_centres(labels) * spacing_mm)),
    ]


def _centres(labels: Labels) -> NDArray[np.float64]:
    """`(n, 2)` centroids in pixels."""
    present = np.flatnonzero(np.bincount(labels[labels > 0]))
    return np.array(ndimage.center_of_mass(labels > 0, labels, present), np.float64)


def _elongation(centres_mm: NDArray[np.float64]) -> float:
    """1 − √(λ₂ / λ₁) of the centres' covariance, each centre being a disc of the halo's radius."""
    covariance = np.cov(centres_mm.T, bias=True).reshape(2, 2) + np.eye(2) * HALO_MM**2 / 4
    least, most = np.linalg.eigvalsh(covariance)
    return float(1 - np.sqrt(least / most))
