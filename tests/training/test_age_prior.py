"""A prior by age: fitted on whom the network did not see, measured beside the image's own score."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from cadnode.domain import Laterality
from cadnode.errors import DataError
from cadnode.models.age_prior import AgePrior
from cadnode.models.breast import BreastScoring
from cadnode_training.data.views import ViewRecord
from cadnode_training.papers.kim2018 import baselines
from cadnode_training.papers.kim2018.age_prior import of_breasts
from cadnode_training.papers.kim2018.aged_breasts import AgedBreasts, aged, evaluated, measured
from tests.unit import model_cases

ALONE = BreastScoring(
    contralateral_weight=0, contralateral_mean=0, slope=1, intercept=0, fitted_on="toys"
)


def drawn(n: int, seed: int) -> AgedBreasts:
    """Women with one breast: log-odds of cancer = image + 0.6 · (age − 60) / 10 − 0.3."""
    rng = np.random.default_rng(seed)
    image, age = rng.normal(0, 1, n), rng.integers(40, 81, n)
    odds = image + 0.6 * (age - 60) / 10 - 0.3
    cancer = rng.random(n) < 1 / (1 + np.exp(-odds))
    women = np.array([f"{seed}-{i}" for i in range(n)])
    return AgedBreasts(cancer, image, age, women, np.array(["21", "29"] * (n // 2)))


def fitted(whose: AgedBreasts, unseen: AgedBreasts) -> AgePrior:
    return of_breasts(whose, unseen, data="toys", command="none", on=date(2026, 1, 1))


@pytest.fixture(scope="module")
def prior() -> AgePrior:
    return fitted(drawn(6000, 1), drawn(3000, 2))


def test_the_term_of_age_and_the_level_are_those_of_the_data(prior: AgePrior) -> None:
    # Of age alone the slope is a little below 0.6, as a logistic model without the image has it.
    low, high = prior.per_decade_ci
    assert low < prior.per_decade < high
    assert prior.per_decade == pytest.approx(0.52, abs=0.06)
    assert prior.intercept == pytest.approx(-0.3, abs=0.12)
    assert prior.slope == 1
    assert (prior.youngest, prior.oldest) == (40, 80)
    assert (prior.n_women, prior.n_intercept_women) == (6000, 3000)


def test_the_image_s_scores_of_women_of_the_training_do_not_count(prior: AgePrior) -> None:
    whose = drawn(6000, 1)
    too_good = AgedBreasts(
        whose.cancer, np.where(whose.cancer, 9.0, -9.0), whose.age, whose.women, whose.machines
    )

    assert fitted(too_good, drawn(3000, 2)) == prior


def test_both_together_order_more_and_the_difference_is_paired(prior: AgePrior) -> None:
    rows = measured(prior, drawn(800, 3), data="toys", contrasts={"breasts": "b", "exams": "e"})

    assert [(row.unit, "one machine" in row.contrast) for row in rows] == [
        ("breasts", False), ("breasts", True), ("exams", False), ("exams", True),
    ]  # fmt: skip
    first = rows[0]
    assert first.image_and_age.auc > max(first.image.auc, first.age.auc)
    assert first.gain == pytest.approx(first.image_and_age.auc - first.image.auc, abs=1e-3)
    # Paired: narrower than the two intervals of one AUC apiece would make it.
    width = [high - low for low, high in (first.gain_ci, first.image.auc_ci)]
    assert first.gain_ci[0] > 0
    assert width[0] < width[1]


def test_women_outside_of_the_ages_are_not_measured(prior: AgePrior) -> None:
    narrow = prior.model_copy(update={"youngest": 50, "oldest": 60})
    breasts = drawn(800, 3)

    first, *_ = measured(narrow, breasts, data="toys", contrasts={"breasts": "b", "exams": "e"})

    assert first.n_pos + first.n_neg == int(((breasts.age >= 50) & (breasts.age <= 60)).sum())


@pytest.mark.parametrize("cancer", [True, False])
def test_a_part_of_one_class_is_refused(cancer: bool) -> None:
    some = drawn(100, 4)
    of_one_class = some.where(some.cancer == cancer)

    with pytest.raises(DataError, match="no women of known age"):
        fitted(some, of_one_class)


def view(woman: int, side: Laterality, age: str, *, cancer: bool) -> ViewRecord:
    return ViewRecord(
        "set", str(woman), side, "CC", Path(f"{woman}{side}.png"), cancer, "", "1",
        facts=(("age", age),),
    )  # fmt: skip


def test_an_exam_counts_once_by_its_higher_breast() -> None:
    left, right = Laterality.LEFT, Laterality.RIGHT
    views = [
        view(1, left, "50", cancer=False), view(1, right, "50", cancer=True),
        view(2, left, "62.0", cancer=False), view(3, left, "", cancer=False),
    ]  # fmt: skip

    breasts, without_age = aged(views, [0.5, 2.0, -1.0, 9.0], ALONE)

    assert without_age == 1
    exams = breasts.exams()
    assert exams.cancer.tolist() == [True, False]
    assert exams.image.tolist() == pytest.approx([2.0, -1.0])
    assert exams.age.tolist() == [50, 62]


def test_an_evaluation_has_it_where_the_card_has_a_prior(prior: AgePrior) -> None:
    card = model_cases.card()
    views = [
        view(number, Laterality.LEFT, age, cancer=number % 2 == 0)
        for number, age in enumerate(["70", "50", "66", "58", "30", ""] * 4)
    ]
    logits = np.linspace(-1, 1, len(views)).tolist()
    assert evaluated(card, views, logits) == {}

    found = evaluated(card.model_copy(update={"age_prior": prior}), views, logits)["image_and_age"]

    assert (found["women_without_age"], found["women_out_of_range"]) == (4, 4)
    assert (found["n_pos"], found["n_neg"]) == (8, 8)
    assert found["auc"] > found["image_only"]["auc"]
    (sentence, *_, last) = baselines._of_image_and_age(found)
    assert sentence.startswith("Image and age, a separate score, breasts: AUC ")
    assert last.endswith("4 outside 40 to 80 years are left out.")
