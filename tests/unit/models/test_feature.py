"""How a stored feature model reads: like the one that was trained, whatever comes with it."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cadnode.detect.features import FEATURE_NAMES
from cadnode.errors import ModelError
from cadnode.models import loading, store
from cadnode.models.card import Scenario
from cadnode.models.feature import FeatureModel, Features
from cadnode_training.papers.wang2016.fitting import HIDDEN
from tests.unit import feature_model_cases as cases


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("models") / "toy-features"
    store.save(place, cases.card(), cases.fitted().state(), {"train": [], "validation": []})
    return place


@pytest.fixture(scope="module")
def model(folder: Path) -> FeatureModel:
    loaded = loading.load(folder)
    assert isinstance(loaded, FeatureModel)
    return loaded


def test_a_stored_model_reads_as_the_fitted_one() -> None:
    torch.manual_seed(0)
    fitted = cases.fitted()
    state = {name: value.clone() for name, value in fitted.state().items()}
    model = FeatureModel(cases.card(), state)
    x, _ = cases.values(20, seed=1)

    readings = model.read([cases.features(row) for row in x])

    expected = fitted.probabilities(x)
    np.testing.assert_allclose([r.probability for r in readings], expected["sae"], atol=1e-6)
    for name in ("svm", "knn", "lda"):
        np.testing.assert_allclose([r.beside[name] for r in readings], expected[name], atol=1e-6)


def test_the_probability_is_the_calibrated_log_odds(model: FeatureModel) -> None:
    reading = model.score(cases.features([3.0, 4.0, 5.0]))

    assert reading.probability == pytest.approx(1 / (1 + np.exp(-(1.5 * reading.logit - 0.25))))
    assert set(reading.beside) == {"svm", "knn", "lda"}
    assert all(0 <= p <= 1 for p in reading.beside.values())


def test_a_reading_does_not_depend_on_the_other_regions(model: FeatureModel) -> None:
    x, _ = cases.values(9, seed=2)
    several = model.read([cases.features(row) for row in x])

    for row, together in zip(x, several, strict=True):
        alone = model.score(cases.features(row))
        assert alone.probability == pytest.approx(together.probability, abs=1e-6)
        assert alone.beside == pytest.approx(together.beside, abs=1e-9)


def test_features_are_found_by_name_and_further_ones_are_ignored(model: FeatureModel) -> None:
    plain = cases.features([3.0, 4.0, 5.0])
    shuffled = Features(
        ("mass_area_mm2", "calc_mean_grey", "calc_number", "calc_area_mm2"),
        np.array([99.0, 5.0, 3.0, 4.0]),
    )

    assert model.score(shuffled) == model.score(plain)


def test_a_missing_feature_is_named(model: FeatureModel) -> None:
    with pytest.raises(ModelError, match="calc_mean_grey"):
        model.score(Features(("calc_number", "calc_area_mm2"), np.array([1.0, 2.0])))


def test_nothing_segmented_is_read_too(model: FeatureModel) -> None:
    reading = model.score(cases.features([0.0, 0.0, 0.0]))

    assert 0 <= reading.probability <= 1
    assert model.read([]) == []


def test_weights_of_other_features_are_refused() -> None:
    torch.manual_seed(0)
    two = cases.card(("calc_number", "calc_area_mm2"))

    with pytest.raises(ModelError, match="do not fit"):
        FeatureModel(two, cases.fitted().state())


def test_weights_without_a_classifier_are_refused() -> None:
    state = cases.fitted().state()
    del state["knn.labels"]

    with pytest.raises(ModelError, match=r"knn\.labels"):
        FeatureModel(cases.card(), state)


def test_the_operating_point_is_the_cards(folder: Path) -> None:
    model = loading.load(folder, operating_point="sensitivity=0.9")

    assert isinstance(model, FeatureModel)
    assert model.operating_point.threshold == 0
    assert model.sha256 == store.read_card(folder).weights_sha256


def test_named_values_must_be_as_many_as_names() -> None:
    with pytest.raises(ValueError, match="as many"):
        Features(("a", "b"), np.zeros(3))


@pytest.mark.parametrize("scenario", ["calcifications", "masses", "both"])
def test_the_packaged_models_read_the_features_of_their_scenario(scenario: Scenario) -> None:
    folder = next(f for f in store.available() if f.parent.name == f"wang2016-{scenario}")
    model = loading.load(folder)

    assert isinstance(model, FeatureModel)
    assert model.card.scenario == scenario
    # The model of calcifications alone is of 1.0.0, and has no lines that run towards a mass.
    assert set(model.card.features) <= set(FEATURE_NAMES[scenario])
    assert len(model.card.features) == {"calcifications": 15, "masses": 38, "both": 53}[scenario]
    assert model.card.architecture.hidden == HIDDEN[scenario]
    assert store.weights_file(folder, model.sha256).stat().st_size < 5_000_000
    nothing = Features(FEATURE_NAMES[scenario], np.zeros(len(FEATURE_NAMES[scenario])))
    assert 0 < model.score(nothing).probability < 1
