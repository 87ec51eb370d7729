"""What DIB-MG's area is seen beside."""

from pathlib import Path

import pytest

from cadnode.domain import Laterality
from cadnode_training.data.views import ViewRecord
from cadnode_training.papers.kim2018 import baselines
from cadnode_training.papers.kim2018.breasts import BreastScored


def breast(woman: int, age: str, score: float, *, cancer: bool) -> BreastScored:
    record = ViewRecord(
        "set", str(woman), Laterality.RIGHT, "CC", Path("v.png"), cancer, "", "1",
        facts=(("age", age),),
    )  # fmt: skip
    return BreastScored(str(woman), Laterality.RIGHT, cancer, score, record)


def test_the_age_alone_orders_breasts_beside_the_model_on_the_same_breasts() -> None:
    # Ages: 70 > 50, 70 > 60, 55 > 50, 55 < 60: 3 of 4; scores: 0.9 and 0.4 over 0.5, 0.1: 3 of 4;
    # the breast of unknown age, which no score could beat, takes no part.
    breasts = [
        breast(1, "70.0", 0.9, cancer=True), breast(2, "55.0", 0.4, cancer=True),
        breast(3, "50.0", 0.5, cancer=False), breast(4, "60.0", 0.1, cancer=False),
        breast(5, "", 1.0, cancer=False),
    ]  # fmt: skip
    found = baselines.age(breasts)["age_only"]
    assert found["auc"] == pytest.approx(0.75)
    assert (found["n_pos"], found["n_neg"]) == (2, 2)
    assert found["model"]["auc"] == pytest.approx(0.75)


def test_without_ages_there_is_no_age_baseline() -> None:
    assert baselines.age([breast(1, "", 0.9, cancer=True), breast(2, "50", 0, cancer=False)]) == {}
