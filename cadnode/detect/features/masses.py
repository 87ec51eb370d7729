"""The 26 features of a mass (Wang et al. 2016, Methods), and twelve of the lines around it.

The paper names twenty and keeps their formulas in an appendix that is not public. Choice: the
definitions here, because they follow the names; the last six complete the list with what BI-RADS
asks for besides, form and margin, and with the two of Haralick's features that are missing.
Everything is measured on a copy with pixels of 0.2 mm, so that texture and margin mean the same
for every pixel size, and on an outline that is found again at that resolution (`outline`): form and
margin are in its detail, and the segmentation's is a rough one.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cadnode.detect.features import outline, shape, stellate, texture
from cadnode.detect.regions import BoolMask, Segmentation
from cadnode.domain import FloatImage
from cadnode.models.feature import Features

MASS_FEATURES: Final = (
    "mass_area_mm2",
    "mass_solidity",
    "mass_elongation",
    "mass_axis_ratio",
    "mass_heterogeneity",
    "mass_spiculation",
    "mass_volume_ratio",
    "mass_convexity",
    "mass_mean_grey",
    "mass_maximum_grey",
    "mass_grey_relativity",
    "mass_entropy",
    "mass_inverse_difference_moment",
    "mass_difference_entropy",
    "mass_correlation",
    "mass_difference_variance",
    "mass_sum_average",
    "mass_sum_variance",
    "mass_energy",
    "mass_mutual_information",
    "mass_circularity",
    "mass_radial_length_sd",
    "mass_margin_sharpness_per_mm",
    "mass_margin_variation",
    "mass_contrast",
    "mass_sum_entropy",
    *stellate.STELLATE_FEATURES,
)
SPACING_MM: Final = 0.2
# Pairs of the co-occurrence matrix lie this many pixels, 0.4 mm, apart.
_PAIRS_APART: Final = 2
# The tissue around: from where the blurred margin ends to where other structures begin.
_AROUND_MM: Final = (0.6, 4.0)
# Spicules are looked for within this distance outside of the outline, the margin on both sides.
_RIM_MM: Final = 4.0
_MARGIN_MM: Final = 0.5
_SIGMA_MM: Final = 0.4
# Contrast and deviations below these are taken as these: they divide.
_LEAST_CONTRAST: Final = 0.02
_LEAST_SD: Final = 0.005


@dataclass(frozen=True, eq=False, slots=True)
class _Patch:
    """A mass at the working spacing.

    Parameters
    ----------
    image, mask
        `(h, w) float32 in [0, 1]` and `(h, w) bool` with at least one pixel.
    spacing_mm
        0.2, or the segmentation's if that is coarser.
    distance_mm
        `(h, w)`: from the outline, positive outside.
    """

    image: FloatImage
    mask: BoolMask
    spacing_mm: float
    distance_mm: NDArray[np.float64]


def mass_features(segmentation: Segmentation) -> Features:
    """The features of the segmented mass; all 0 where there is none.

    Its outline is found again at the working spacing, around the segmentation's rough one.
    """
    if segmentation.mass is None or not segmentation.mass.any():
        return Features(MASS_FEATURES, np.zeros(len(MASS_FEATURES)))
    image, mask, spacing_mm = _at_working_spacing(
        segmentation.image, segmentation.mass, segmentation.spacing_mm
    )
    return _measured(image, outline.refined(image, mask, spacing_mm), spacing_mm)


def features_of_mask(image: FloatImage, mask: BoolMask, spacing_mm: float) -> Features:
    """The features of a mass whose outline is given, such as by a person: taken as it is."""
    return _measured(*_at_working_spacing(image, mask, spacing_mm))


def refined_mask(segmentation: Segmentation) -> BoolMask | None:
    """`(h, w) bool` of the segmentation's size: the outline that `mass_features` measures."""
    if segmentation.mass is None or not segmentation.mass.any():
        return None
    image, mask, spacing_mm = _at_working_spacing(
        segmentation.image, segmentation.mass, segmentation.spacing_mm
    )
    fine = outline.refined(image, mask, spacing_mm).astype(np.float32)
    back = cv2.resize(fine, segmentation.mass.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(back >= 0.5, np.bool_)


def _measured(image: FloatImage, mask: BoolMask, spacing_mm: float) -> Features:
    patch = _Patch(image, mask, spacing_mm, _distance(mask) * spacing_mm)
    named = dict((*_form(patch), *_grey(patch), *_texture(patch)))
    named |= dict(_margin(patch, contrast=named["contrast_to_tissue"]))
    named |= dict(stellate.measure(image, mask, patch.distance_mm, spacing_mm, _RIM_MM))
    return Features(MASS_FEATURES, np.array([named[name] for name in MASS_FEATURES], np.float64))


def _at_working_spacing(
    image: FloatImage, mask: BoolMask, spacing_mm: float
) -> tuple[FloatImage, BoolMask, float]:
    """Image, mask and spacing at 0.2 mm; coarser ones stay as they are."""
    factor = spacing_mm / SPACING_MM
    if factor < 0.99:
        rows, cols = (max(1, round(n * factor)) for n in image.shape)
        share = cv2.resize(mask.astype(np.float32), (cols, rows), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (cols, rows), interpolation=cv2.INTER_AREA)
        # A mass of less than half a pixel stays where most of it is.
        mask = share >= min(0.5, float(share.max()))
        spacing_mm = SPACING_MM
    return np.asarray(image, np.float32), np.asarray(mask, np.bool_), spacing_mm


def _distance(mask: BoolMask) -> NDArray[np.float64]:
    """`(h, w)` pixels from the outline, positive outside; the patch's edge is no outline."""
    if mask.all():
        return np.full(mask.shape, -float(sum(mask.shape)))
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    return np.asarray(np.where(mask, 0.5 - inside, outside - 0.5), np.float64)


def _form(patch: _Patch) -> list[tuple[str, float]]:
    form = shape.measure(patch.mask)
    return [
        ("mass_area_mm2", form.area * patch.spacing_mm**2),
        ("mass_solidity", form.solidity),
        ("mass_elongation", form.elongation),
        ("mass_axis_ratio", form.axis_ratio),
        ("mass_convexity", form.convexity),
        ("mass_circularity", form.circularity),
        ("mass_radial_length_sd", form.radial_sd),
    ]


def _grey(patch: _Patch) -> list[tuple[str, float]]:
    """Grey inside, and against the tissue around."""
    inside = patch.image[patch.mask].astype(np.float64)
    around = patch.image[(patch.distance_mm > _AROUND_MM[0]) & (patch.distance_mm < _AROUND_MM[1])]
    tissue = around.astype(np.float64) if around.size else inside
    mean, sd = float(inside.mean()), float(inside.std())
    contrast = mean - float(tissue.mean())
    return [
        ("mass_mean_grey", mean),
        ("mass_maximum_grey", float(inside.max())),
        ("mass_heterogeneity", sd / mean if mean > 1e-6 else 0.0),
        ("mass_volume_ratio", float(np.clip(contrast / mean, 0, 1)) if mean > 1e-6 else 0.0),
        ("mass_grey_relativity", contrast / max(float(tissue.std()), _LEAST_SD)),
        ("contrast_to_tissue", contrast),
    ]


def _texture(patch: _Patch) -> list[tuple[str, float]]:
    levels = texture.quantize(patch.image, patch.mask)
    matrix = texture.cooccurrence(levels, patch.mask, _PAIRS_APART, texture.LEVELS)
    found = texture.haralick(matrix)
    return [
        ("mass_entropy", found.entropy),
        ("mass_inverse_difference_moment", found.inverse_difference_moment),
        ("mass_difference_entropy", found.difference_entropy),
        ("mass_correlation", found.correlation),
        ("mass_difference_variance", found.difference_variance),
        ("mass_sum_average", found.sum_average),
        ("mass_sum_variance", found.sum_variance),
        ("mass_energy", found.energy),
        ("mass_mutual_information", found.mutual_information),
        ("mass_contrast", found.contrast),
        ("mass_sum_entropy", found.sum_entropy),
    ]


def _margin(patch: _Patch, *, contrast: float) -> list[tuple[str, float]]:
    """How sharp the margin is, how evenly so, and how much of the rim runs outwards (spicules)."""
    outwards, along = _derivatives(patch)
    rim = (patch.distance_mm > 0) & (patch.distance_mm <= _RIM_MM)
    total = float((outwards[rim] ** 2 + along[rim] ** 2).sum())
    band = np.abs(patch.distance_mm) <= _MARGIN_MM
    fall = -outwards[band if band.any() else patch.mask]
    mean = float(fall.mean())
    return [
        ("mass_spiculation", float((along[rim] ** 2).sum()) / total if total > 1e-12 else 0.0),
        ("mass_margin_sharpness_per_mm", mean / max(contrast, _LEAST_CONTRAST)),
        ("mass_margin_variation", float(fall.std()) / max(abs(mean), _LEAST_SD)),
    ]


def _derivatives(patch: _Patch) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`(h, w)` derivatives of the grey per mm: away from the outline, and along it."""
    sigma = _SIGMA_MM / patch.spacing_mm
    smooth = ndimage.gaussian_filter(patch.image.astype(np.float64), sigma, mode="nearest")
    away = ndimage.gaussian_filter(patch.distance_mm, sigma, mode="nearest")
    d_row, d_col = _gradient(smooth, patch.spacing_mm)
    n_row, n_col = _gradient(away, patch.spacing_mm)
    length = np.maximum(np.hypot(n_row, n_col), 1e-6)
    n_row, n_col = n_row / length, n_col / length
    return d_row * n_row + d_col * n_col, d_row * n_col - d_col * n_row


def _gradient(
    values: NDArray[np.float64], spacing_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Central differences per mm along rows and columns; 0 along an axis of one pixel."""
    return tuple(  # type: ignore[return-value]  # two axes, two arrays
        np.gradient(values, spacing_mm, axis=axis) if n > 1 else np.zeros_like(values)
        for axis, n in enumerate(values.shape)
    )
