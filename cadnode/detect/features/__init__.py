"""The 15 + 26 features of Wang et al. 2016; `docs/features.md` has their table."""

from cadnode.detect.features.masses import MASS_FEATURES, mass_features
from cadnode.detect.features.microcalcifications import (
    MICROCALCIFICATION_FEATURES,
    microcalcification_features,
)
from cadnode.detect.features.scenario import FEATURE_NAMES, features_of
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
