"""What detection finds in a view, and what segmentation makes of a region."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Box, Calcification, ClusterDescription, FindingKind, FloatImage

Labels = NDArray[np.int32]
BoolMask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Region:
    """A cluster or a mass that was detected in a view.

    Parameters
    ----------
    kind
        `CALCIFICATION_CLUSTER` or `MASS`.
    box, outline
        In source pixels; the outline is a closed polygon of (row, column), the first point not
        repeated.
    certainty
        In [0, 1]: that there is such a thing, not that it is malignant.
    cluster
        Estimated descriptors of a cluster.
    calcifications
        Those that make the cluster.
    """

    kind: FindingKind
    box: Box
    outline: tuple[tuple[float, float], ...]
    certainty: float
    cluster: ClusterDescription | None = None
    calcifications: tuple[Calcification, ...] = ()


@dataclass(frozen=True, slots=True)
class Detections:
    """All regions of a view, the most certain first, and every accepted calcification."""

    regions: tuple[Region, ...]
    calcifications: tuple[Calcification, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Segmentation:
    """What is segmented inside a box of a view: the input of the features (Wang 2016).

    Parameters
    ----------
    image
        `(h, w) float32 in [0, 1]`: the box's part of the view, with isotropic pixels.
    spacing_mm
        Of `image`, in the plane of the breast.
    calcifications
        `(h, w) int32`: 0 background, 1 … n the calcifications.
    mass
        `(h, w) bool`: the mass, None where none was found.
    box
        The part of the source image that `image` shows.
    """

    image: FloatImage
    spacing_mm: float
    calcifications: Labels
    mass: BoolMask | None
    box: Box
