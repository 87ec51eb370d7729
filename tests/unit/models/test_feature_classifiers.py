"""Scaling, SVM, KNN and LDA: by hand, and scikit-learn's own inference beside."""

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from cadnode.errors import ModelError
from cadnode.models.feature_classifiers import Knn, Scaler, Svm
from cadnode_training.papers.wang2016 import rivals


def cases(n: int = 150, d: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    malignant = rng.random(n) < 0.4
    x = rng.random((n, d)) + 0.3 * malignant[:, None] * (np.arange(d) < 3)
    return (x / 1.3).astype(np.float32), malignant


X, MALIGNANT = cases()
NEW = cases(60, seed=1)[0].astype(np.float64)


def test_svm_agrees_with_scikit_learn() -> None:
    theirs = SVC(C=3.0, gamma=0.7, class_weight="balanced").fit(X.astype(np.float64), MALIGNANT)

    ours = rivals.fit_svm(X, MALIGNANT, 3.0, 0.7)

    np.testing.assert_allclose(ours.decision(NEW), theirs.decision_function(NEW), atol=1e-6)


@pytest.mark.parametrize("neighbours", [1, 6, 8])
def test_knn_agrees_with_scikit_learn(neighbours: int) -> None:
    theirs = KNeighborsClassifier(neighbours).fit(X.astype(np.float64), MALIGNANT)

    ours = rivals.fit_knn(X, MALIGNANT, neighbours)

    np.testing.assert_allclose(ours.probability(NEW), theirs.predict_proba(NEW)[:, 1], atol=1e-6)


def test_lda_agrees_with_scikit_learn() -> None:
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    theirs.fit(X.astype(np.float64), MALIGNANT)

    ours = rivals.fit_lda(X, MALIGNANT)

    np.testing.assert_allclose(ours.probability(NEW), theirs.predict_proba(NEW)[:, 1], atol=1e-6)


def test_the_svm_of_one_support_vector_is_known_by_hand() -> None:
    one = Svm(
        np.zeros((1, 2)), np.array([2.0]), np.array(-1.0), np.array(0.5), np.array([3.0, 1.0])
    )

    decision = one.decision(np.array([[1.0, 1.0]]))

    assert decision == pytest.approx(2 * np.exp(-0.5 * 2) - 1)
    assert one.probability(np.array([[1.0, 1.0]])) == pytest.approx(
        1 / (1 + np.exp(-(3 * decision + 1)))
    )


def test_the_nearest_neighbours_vote() -> None:
    knn = Knn(np.array([[0.0], [0.1], [0.2], [5.0]]), np.array([1.0, 1, 0, 0]), np.array(3.0))

    np.testing.assert_allclose(knn.probability(np.array([[0.05]])), 2 / 3)


def test_more_neighbours_than_cases_are_all_cases() -> None:
    knn = Knn(np.zeros((4, 1)), np.array([1.0, 0, 0, 0]), np.array(8.0))

    np.testing.assert_allclose(knn.probability(np.array([[0.3]])), 0.25)


def test_scaling_is_known_by_hand() -> None:
    scaler = Scaler(np.array([2.0, 1.0]), np.array([0.0, -1.0]), np.array([np.log(4), 1.0]))

    scaled = scaler(np.array([[2.0, 0.0], [6.0, -100.0], [1e9, 100.0]]))

    # ln(1 + 2 / 2) / ln 4 = ½; ln(1 + 6 / 2) = ln 4; far values are clipped
    np.testing.assert_allclose(scaled, [[0.5, 0.5], [1, 0], [1, 1]], atol=1e-6)
    assert scaled.dtype == np.float32


def test_scaling_takes_the_training_data_into_the_unit_interval() -> None:
    values = np.random.default_rng(0).lognormal(3, 2, (500, 3))
    values[:, 2] = 7.0  # says nothing

    scaler = rivals.fit_scaler(values)
    scaled = scaler(values)

    assert scaled.min() == 0
    assert scaled.max() <= 1
    assert 0.005 <= (scaled[:, 0] == 0).mean() <= 0.015  # the lowest percentile is clipped
    assert np.isfinite(scaled).all()


def test_a_feature_that_is_always_zero_is_scaled_too() -> None:
    scaler = rivals.fit_scaler(np.zeros((10, 2)))

    assert np.isfinite(scaler(np.array([[0.0, 3.0]]))).all()


def test_arrays_come_back_as_they_were_stored() -> None:
    svm = rivals.fit_svm(X, MALIGNANT, 1.0, 0.3)

    again = Svm.read(svm.arrays("svm"), "svm")

    np.testing.assert_array_equal(again.decision(NEW), svm.decision(NEW))


def test_a_missing_array_is_named() -> None:
    arrays = rivals.fit_svm(X, MALIGNANT, 1.0, 0.3).arrays("svm")
    del arrays["svm.gamma"]

    with pytest.raises(ModelError, match=r"svm\.gamma"):
        Svm.read(arrays, "svm")


def test_calibration_makes_frequencies_of_scores() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1, 4000)
    malignant = rng.random(4000) < 1 / (1 + np.exp(-(2 * scores - 1)))

    slope, intercept = rivals.platt(scores, malignant)

    assert slope == pytest.approx(2, rel=0.1)
    assert intercept == pytest.approx(-1, abs=0.1)


def test_scores_that_point_the_wrong_way_are_not_turned_round() -> None:
    slope, intercept = rivals.platt(np.arange(10.0), np.arange(10) < 3)

    assert 0 < slope < 0.01
    assert 1 / (1 + np.exp(-intercept)) == pytest.approx(0.3)
