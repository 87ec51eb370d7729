"""The 15 + 26 features of Wang et al. 2016, and twelve beside; `docs/features.md` has them."""

from collections.abc import Mapping
from typing import Final

from cadnode.detect.features.calcifications import (
    MICROCALCIFICATION_FEATURES,
    microcalcification_features,
)
from cadnode.detect.features.masses import MASS_FEATURES, mass_features
from cadnode.detect.regions import Segmentation
from cadnode.models.card import Scenario
from cadnode.models.feature import Features

__all__ = [
    "FEATURE_NAMES",
    "MASS_FEATURES",
    "MICROCALCIFICATION_FEATURES",
    "Features",
    "features_of",
    "mass_features",
    "microcalcification_features",
]

FEATURE_NAMES: Final[Mapping[Scenario, tuple[str, ...]]] = {
    "calcifications": MICROCALCIFICATION_FEATURES,
    "masses": MASS_FEATURES,
    "both": MICROCALCIFICATION_FEATURES + MASS_FEATURES,
}


def features_of(segmentation: Segmentation, scenario: Scenario) -> Features:
    """The features of a scenario, in the order of `FEATURE_NAMES`."""
    if scenario == "calcifications":
        return microcalcification_features(segmentation)
    if scenario == "masses":
        return mass_features(segmentation)
    return microcalcification_features(segmentation) + mass_features(segmentation)
