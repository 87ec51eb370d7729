"""The mean of several models' readings of one region, and from where on it is suspicious."""

from collections.abc import Sequence

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from cadnode.models.card import CARDS, CnnCard, ValidationScores
from cadnode.models.ensemble import curve, ensemble, operating_point
from cadnode.models.operating_point import roc
from cadnode.models.roi import RoiReading
from tests.unit import roi_cases


def reading(probability: float, cam: np.ndarray | None = None) -> RoiReading:
    return RoiReading(probability, 0.0, cam)


def test_the_ensembles_probability_is_the_mean_and_the_members_keep_theirs() -> None:
    together = ensemble({"b": reading(0.2), "a": reading(0.9), "c": reading(0.1)})

    assert together.probability == pytest.approx(0.4)
    assert together.members == (("b", 0.2), ("a", 0.9), ("c", 0.1))
    assert together.cam is None


def test_maps_of_one_resolution_are_averaged() -> None:
    a, b = np.array([[0.0, 0.8]], np.float32), np.array([[0.4, 0.0]], np.float32)

    together = ensemble({"a": reading(0.8, a), "b": reading(0.4, b), "c": reading(0.3)})

    np.testing.assert_allclose(together.cam, [[0.2, 0.4]])


def test_maps_of_other_resolutions_meet_at_the_finest() -> None:
    coarse = np.full((2, 2), 0.6, np.float32)
    fine = np.zeros((4, 4), np.float32)
    fine[1, 2] = 0.4

    together = ensemble({"a": reading(0.6, coarse), "b": reading(0.4, fine)})

    assert together.cam is not None
    assert together.cam.shape == (4, 4)
    assert together.cam[1, 2] == pytest.approx(0.5)
    assert together.cam[3, 0] == pytest.approx(0.3)


def test_one_model_is_its_own_ensemble() -> None:
    cam = np.array([[0.1, 0.7]], np.float32)

    alone = ensemble({"a": reading(0.7, cam)})

    assert alone.probability == 0.7
    np.testing.assert_array_equal(alone.cam, cam)


def member(
    name: str, labels: Sequence[int], scores: Sequence[float], cases: str = "0" * 16
) -> CnnCard:
    """A card with the validation scores of a toy network, and its own curve."""
    held = ValidationScores(
        data="toys", cases=cases, malignant="".join(map(str, labels)), scores=tuple(scores)
    )
    own = roc([bool(label) for label in labels], scores, "toys")
    return roi_cases.card().model_copy(update={"name": name, "roc": own, "validation": held})


def youden_by_search(labels: Sequence[int], scores: Sequence[float]) -> float:
    """The cut-off as scikit-learn's curve has it; of several, the most sensitive."""
    false, hits, cuts = roc_curve(labels, scores, drop_intermediate=False)
    index = np.round(hits - false, 5)
    return float(cuts[np.flatnonzero(index == index.max())[-1]])


# By hand: "a" is best cut at 0.30; "b" at 0.70, where a benign case is called as well. Their mean
# is 0.90, 0.50, 0.45, 0.15: best cut at 0.50, where nothing is called wrongly.
LABELS = (1, 1, 0, 0)
A, B = (0.90, 0.30, 0.20, 0.10), (0.90, 0.70, 0.70, 0.20)


def test_the_ensembles_cut_off_is_where_its_own_youden_index_is_highest() -> None:
    members = [member("a", LABELS, A), member("b", LABELS, B)]

    point = operating_point(members, "youden")

    assert [card.roc.at().threshold for card in members] == [0.30, 0.70]
    assert point.threshold == pytest.approx(0.50)
    assert (point.sensitivity, point.specificity) == (1.0, 1.0)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n_members", [2, 3, 5])
def test_the_ensembles_cut_off_agrees_with_a_search_over_another_curve(
    seed: int, n_members: int
) -> None:
    rng = np.random.default_rng([seed, n_members])
    labels = [int(i < 30) for i in range(80)]
    columns = np.clip(rng.normal(0.4, 0.2, (n_members, 80)) + 0.2 * np.array(labels), 0, 1)
    members = [member(f"m{i}", labels, c.round(6).tolist()) for i, c in enumerate(columns)]

    point = operating_point(members, "youden")

    assert point.threshold == pytest.approx(youden_by_search(labels, columns.round(6).mean(0)))


@pytest.mark.parametrize("choice", ["youden", "sensitivity=0.9", "specificity=0.8"])
def test_one_members_operating_points_are_its_cards(choice: str) -> None:
    alone = member("a", LABELS, A)
    without = alone.model_copy(update={"validation": None})

    assert operating_point([alone], choice) == alone.roc.at(choice)
    assert operating_point([without], choice) == without.roc.at(choice)


@pytest.mark.parametrize("other", ["older card", "other cases"])
def test_members_without_common_cases_are_read_at_the_mean_of_their_cut_offs(other: str) -> None:
    first, second = member("a", LABELS, A), member("b", LABELS, B, cases="f" * 16)
    if other == "older card":
        second = second.model_copy(update={"validation": None})

    point = operating_point([first, second], "youden")

    assert curve([first, second]) is None
    assert point.threshold == pytest.approx((0.30 + 0.70) / 2)
    assert "mean of the members' own" in point.chosen


def test_the_order_of_the_members_does_not_matter() -> None:
    members = [member("a", LABELS, A), member("b", LABELS, B)]

    assert operating_point(members, "youden").threshold == pytest.approx(
        operating_point(members[::-1], "youden").threshold
    )


def test_a_card_without_validation_scores_loads_as_before() -> None:
    content = roi_cases.card().model_dump(mode="json")
    del content["validation"]

    assert CARDS.validate_python(content) == roi_cases.card()


@pytest.mark.parametrize("malignant", ["11", "110", "1111"])
def test_scores_that_do_not_fit_their_labels_are_no_validation(malignant: str) -> None:
    with pytest.raises(ValueError, match="not one score for each case"):
        ValidationScores(data="", cases="0" * 16, malignant=malignant, scores=(0.1, 0.2, 0.3, 0.4))
