"""A feature model fitted on toy features, with a valid card."""

from datetime import date

import numpy as np

from cadnode.domain import Acquisition, System
from cadnode.models.card import Calibration, FeatureCard, TrainingData
from cadnode.models.feature import Features
from cadnode.models.operating_point import Roc
from cadnode.networks.autoencoder import StackedAutoencoder, StackedAutoencoderConfig
from cadnode_training.papers.wang2016 import rivals
from cadnode_training.papers.wang2016.fitting import FittedClassifiers

NAMES = ("calc_number", "calc_area_mm2", "calc_mean_grey")


def values(n: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """`(n, 3)` features and `(n,)` labels."""
    rng = np.random.default_rng(seed)
    malignant = rng.random(n) < 0.5
    x = rng.lognormal(1, 0.5, (n, 3)) * np.where(malignant, 2.0, 1.0)[:, None]
    return x, malignant


def fitted() -> FittedClassifiers:
    """SVM, KNN and LDA learnt, the autoencoder at random: a test needs no training."""
    x, malignant = values()
    scaler = rivals.fit_scaler(x)
    scaled = scaler(x)
    return FittedClassifiers(
        scaler,
        StackedAutoencoder(StackedAutoencoderConfig(inputs=3, hidden=(8, 6))).eval(),
        rivals.fit_svm(scaled, malignant, 1.0, 1.0),
        rivals.fit_knn(scaled, malignant, 8),
        rivals.fit_lda(scaled, malignant),
        (1.5, -0.25),
    )


def card(names: tuple[str, ...] = NAMES) -> FeatureCard:
    """The card of `fitted`."""
    return FeatureCard(
        name="toy-features", version="0.0.1", system=System.WANG2016, paper="none",
        algorithm="toy", intended_use="tests", licence="Apache-2.0",
        applies_to=(Acquisition.DIGITAL,), training_data="nothing",
        training_sets=(
            TrainingData(name="none", terms="none", n_women=0, n_views=0, n_cancer_breasts=0),
        ),
        split="none", metrics=(),
        roc=Roc(
            points=((1.0, 0.0, 1.0), (0.5, 0.8, 0.8), (0.0, 1.0, 0.0)),
            measured_on="nothing", n_pos=5, n_neg=5,
        ),
        calibration=Calibration(slope=1.5, intercept=-0.25, fitted_on="nothing", prevalence=0.5),
        limits=(), weights_sha256="0" * 64, seed=0, command="none",
        trained_on=date(2026, 1, 1), scenario="calcifications", features=names,
        architecture=StackedAutoencoderConfig(inputs=len(names), hidden=(8, 6)),
    )  # fmt: skip


def features(row: np.ndarray) -> Features:
    """One region's features."""
    return Features(NAMES, np.asarray(row, np.float64))
