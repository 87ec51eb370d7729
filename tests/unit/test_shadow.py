"""What the shadow would have said, beside what was reported."""

import json
from pathlib import Path

import pytest

from cadnode.domain import BreastScore, ExamResult, Laterality, ModelUse
from cadnode.errors import SettingsError
from cadnode.models import installation, shadow, store
from cadnode.models.installation import Stores
from tests.unit import store_cases
from tests.unit.store_cases import ANNA

R, L = Laterality.RIGHT, Laterality.LEFT


def result(version: str, point: float | None, **scores: float) -> ExamResult:
    breasts = tuple(BreastScore(Laterality(side), score, 2) for side, score in scores.items())
    models = (ModelUse("toy", version, version * 8), ModelUse("other", "1.0.0", "0" * 8))
    exam = max(scores.values(), default=None)
    return ExamResult("1.2.3.4711", exam, breasts, (), (), (), models, point)


def test_each_is_called_at_its_own_operating_point() -> None:
    active, other = result("1", 0.5, R=0.6, L=0.2), result("2", 0.3, R=0.25, L=0.3)

    rows = shadow.pairs(active, other)

    assert rows == (
        shadow.Pair("exam", 0.6, 0.3, True, True),
        shadow.Pair("R", 0.6, 0.25, True, False),
        shadow.Pair("L", 0.2, 0.3, False, True),
    )


def test_what_one_side_cannot_read_is_not_called() -> None:
    rows = shadow.pairs(result("1", 0.5, R=0.6), result("2", None))

    assert rows[0] == shadow.Pair("exam", 0.6, None, True, None)
    assert rows[1] == shadow.Pair("R", 0.6, None, True, None)
    assert shadow.agreement([rows])["incomplete"] == 1


def test_the_file_names_the_models_that_differ_and_no_study() -> None:
    told = shadow.as_dict(result("1", 0.5, R=0.6), result("2", 0.5, R=0.7))

    assert told["active"] == [{"name": "toy", "version": "1", "sha256": "1" * 8}]
    assert told["shadow"] == [{"name": "toy", "version": "2", "sha256": "2" * 8}]
    assert "4711" not in json.dumps(told)


def test_exams_are_counted_by_who_would_have_called_them() -> None:
    def exam(active: float, other: float) -> tuple[shadow.Pair, ...]:
        return shadow.pairs(result("1", 0.5, R=active), result("2", 0.5, R=other))

    found = shadow.agreement([exam(0.9, 0.9), exam(0.9, 0.1), exam(0.1, 0.9), exam(0.1, 0.2)])

    assert found == {"both": 1, "active": 1, "shadow": 1, "neither": 1, "incomplete": 0}


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """Version 0.0.1 of a toy is active, 0.0.2 is there; a detector is active as well."""
    found = Stores(tmp_path / "own", tmp_path / "nothing")
    for made in (
        store_cases.made(tmp_path / "new", "0.0.1"),
        store_cases.made(tmp_path / "new", "0.0.2", seed=2),
        store_cases.made_detector(tmp_path / "new"),
    ):
        installation.add(made, found, ANNA, store.read_card)
    return found


def test_the_shadow_reads_with_the_other_active_models(stores: Stores) -> None:
    found = shadow.folders(stores.catalogue(), ["toy@0.0.2"])

    assert [f"{f.parent.name}@{f.name}" for f in found] == ["toy@0.0.2", "toy-detector@0.0.1"]


@pytest.mark.parametrize(
    ("specs", "words"),
    [
        (["toy"], "wants NAME@VERSION"),
        (["toy@0.0.1"], "is the active version"),
        (["toy@0.0.2", "toy@0.0.2"], "names toy twice"),
        (["toy@9.9.9"], "no version 9.9.9"),
    ],
)
def test_a_shadow_that_cannot_be_is_refused(stores: Stores, specs: list[str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        shadow.folders(stores.catalogue(), specs)
