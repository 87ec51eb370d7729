"""Which words describe a planted lesion: BI-RADS descriptors as closed sets."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Box, CalcificationType, Distribution, FindingKind


class MassShape(StrEnum):
    """Shape of a mass, ACR BI-RADS 5th edition."""

    ROUND = "round"
    OVAL = "oval"
    IRREGULAR = "irregular"


class MassMargin(StrEnum):
    """Margin of a mass, ACR BI-RADS 5th edition."""

    CIRCUMSCRIBED = "circumscribed"
    OBSCURED = "obscured"
    MICROLOBULATED = "microlobulated"
    INDISTINCT = "indistinct"
    SPICULATED = "spiculated"


class MassDensity(StrEnum):
    """Density of a mass beside as much fibroglandular tissue, ACR BI-RADS 5th edition.

    Choice: fat-containing masses are not planted, because they are always benign.
    """

    HIGH = "high"
    EQUAL = "equal"
    LOW = "low"


class BreastDensity(StrEnum):
    """Composition of the breast, ACR BI-RADS 5th edition."""

    A = "a"
    B = "b"
    C = "c"
    D = "d"


@dataclass(frozen=True, slots=True)
class ClusterDescriptors:
    """What a cluster of calcifications looks like."""

    type: CalcificationType
    distribution: Distribution


@dataclass(frozen=True, slots=True)
class MassDescriptors:
    """What a mass looks like."""

    shape: MassShape
    margin: MassMargin
    density: MassDensity


Descriptors = ClusterDescriptors | MassDescriptors


def describe(lesion: "PlantedLesion") -> str:
    """In words, e.g. `grouped amorphous calcifications, benign`."""
    look = lesion.descriptors
    if isinstance(look, ClusterDescriptors):
        words = f"{look.distribution} {look.type} calcifications".replace("_", " ")
    else:
        words = f"{look.shape} {look.margin} mass of {look.density} density"
    return f"{words}, {'malignant' if lesion.malignant else 'benign'}"


@dataclass(frozen=True, slots=True)
class PhantomCase:
    """A lesion before it is drawn: its look, whether it is malignant, and how likely that was."""

    descriptors: Descriptors
    malignant: bool
    p_malignant: float

    @property
    def kind(self) -> FindingKind:
        """CALCIFICATION_CLUSTER or MASS."""
        if isinstance(self.descriptors, ClusterDescriptors):
            return FindingKind.CALCIFICATION_CLUSTER
        return FindingKind.MASS


@dataclass(frozen=True, eq=False, slots=True)
class PlantedLesion:
    """A lesion in one image, and everything that is known of it.

    Parameters
    ----------
    kind
        CALCIFICATION_CLUSTER or MASS.
    descriptors
        From which alone the malignancy was drawn.
    malignant, p_malignant
        What was drawn, and the probability it was drawn with: the best possible score.
    centre
        (row, column) in pixels of the image.
    box, mask
        Where the lesion is: half-open box, and `(box height, box width) bool` inside of it.
    calcifications
        `(n, 2) float64` centres of the single calcifications, (row, column); empty for masses.
    number
        Identifies a lesion within the breast; equal in the two views of one lesion.
    """

    kind: FindingKind
    descriptors: Descriptors
    malignant: bool
    p_malignant: float
    centre: tuple[float, float]
    box: Box
    mask: NDArray[np.bool_]
    calcifications: NDArray[np.float64]
    number: int = 0
