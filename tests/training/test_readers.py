"""The radiologist beside models: ordinal BI-RADS, cut-offs, paired tests, against peers."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar as peers_mcnemar

from cadnode.domain import System
from cadnode.errors import DataError
from cadnode.statistics.auc import delong_test
from cadnode.statistics.binary import Measure, wilson
from cadnode_training.results import reader_section, readers
from cadnode_training.results.scored import Scored
from tests.training import score_cases


def assessed(words: str, labels: list[bool], values: list[float]) -> Scored:
    facts = [{"birads": word.replace("-", "")} for word in words.split()]
    return score_cases.made(labels, {"a": values}, facts=facts)


def drawn() -> Scored:
    """200 women, a model and a reader who agree in part."""
    rng = np.random.default_rng(3)
    labels = rng.random(200) < 0.4
    truth = labels + rng.normal(0, 0.7, 200)
    words = [("1", "2", "3", "4A", "4B", "5")[int(np.clip(t * 2 + 2, 0, 5))]
             for t in truth + rng.normal(0, 0.7, 200)]  # fmt: skip
    values = 1 / (1 + np.exp(-(truth + rng.normal(0, 0.7, 200))))
    return assessed(" ".join(words), labels.tolist(), values.tolist())


def test_an_incomplete_assessment_lies_between_3_and_4_and_4_among_its_letters() -> None:
    order = sorted(readers.LEVELS, key=readers.LEVELS.__getitem__)

    assert order[:5] == ["1", "2", "3", "0", "4A"]
    assert readers.LEVELS["4A"] < readers.LEVELS["4"] == readers.LEVELS["4B"]


def test_cases_without_an_assessment_or_with_known_histology_take_no_part() -> None:
    cases = assessed("1 4 - 6 5 2", [False, True, True, True, True, False], [0.1] * 6)

    both = readers.with_reader(cases)

    assert len(both) == 4
    assert readers.without(cases) == {
        "no assessment": 1,
        "category 6, the histology was known": 1,
    }
    assert both.scores(readers.NAME).tolist() == [1.0, 4.3, 5.0, 2.0]


def test_only_cut_offs_that_call_other_cases_are_listed() -> None:
    labels = [True, True, False, False]
    screening = readers.with_reader(assessed("0 0 0 1", labels, [0.5] * 4))
    diagnostic = readers.with_reader(assessed("5 4A 3 2", labels, [0.5] * 4))

    assert [c.choice for c in screening.scorer(readers.NAME).cutoffs] == ["BI-RADS ≥ 3, or 0"]
    assert len(diagnostic.scorer(readers.NAME).cutoffs) == 3


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(DataError, match="both classes"):
        readers.with_reader(assessed("4 5 -", [True, True, False], [0.5] * 3))


def test_the_readers_area_is_scikit_learns_and_its_test_delongs() -> None:
    both = readers.with_reader(drawn())

    found = readers.differences(both)["a@1.0.0"]

    assert found.a is not None
    assert found.a.value == pytest.approx(roc_auc_score(both.labels, both.scores(readers.NAME)))
    expected = delong_test(both.labels, both.scores("a"), both.scores(readers.NAME))
    assert found.delong == expected
    assert found.value == pytest.approx(expected.value)


@pytest.mark.parametrize("counts", [(3, 12), (8, 8), (0, 5), (1, 2), (40, 21)])
def test_mcnemars_p_is_that_of_statsmodels(counts: tuple[int, int]) -> None:
    one, other = counts
    peer = peers_mcnemar([[10, one], [other, 10]], exact=True).pvalue

    assert readers.mcnemar(one, other) == pytest.approx(min(peer, 1.0))


def test_without_a_discordant_pair_nothing_differs() -> None:
    assert readers.mcnemar(0, 0) == 1.0


def test_the_model_is_held_at_the_readers_specificity() -> None:
    # The reader clears 2 of 4 negatives and finds 1 of 3; above the second highest negative
    # (0.6) the model finds two.
    labels = [True, True, True, False, False, False, False]
    cases = assessed("5 2 1 4 3 1 2", labels, [0.7, 0.95, 0.3, 0.9, 0.6, 0.5, 0.1])
    both = readers.with_reader(cases)
    cut = both.scorer(readers.NAME).cutoffs[0]

    found = readers.matched(both, "a", cut, Measure.SPECIFICITY)

    assert found.value == 0.5
    assert found.threshold == 0.6
    assert (found.of_model.hits, found.of_reader.hits) == (2, 1)
    assert found.of_model.ci == wilson(2, 3).ci
    assert (found.only_model, found.only_reader) == (1, 0)
    assert found.tested is Measure.SENSITIVITY


@pytest.mark.parametrize("held", [Measure.SPECIFICITY, Measure.SENSITIVITY])
def test_what_is_held_does_not_fall_below_the_readers(held: Measure) -> None:
    both = readers.with_reader(drawn())
    labels, values = both.labels, both.scores("a")

    for cut in both.scorer(readers.NAME).cutoffs:
        found = readers.matched(both, "a", cut, held)

        called = values >= found.threshold
        among, right = held.members(labels, called)
        assert right[among].mean() >= found.value
        # The next cut-off would lose it: nothing was given away.
        step = -1 if held is Measure.SPECIFICITY else 1
        levels = [*np.unique(values), np.inf]
        beyond = values >= levels[levels.index(found.threshold) + step]
        among, right = held.members(labels, beyond)
        assert right[among].mean() < found.value


def test_the_section_tells_numbers_tests_and_biases() -> None:
    (section,) = reader_section.sections(drawn(), System.HELSINKI_DTL)

    tables = {t.title: t for t in section.tables}
    rows = tables["On the same cases"].rows
    assert [row.name for row in rows] == [
        "a@1.0.0", "radiologist, BI-RADS ≥ 3, or 0", "radiologist, BI-RADS ≥ 4",
        "radiologist, BI-RADS 5", "paper: Radiologist, BI-RADS",
    ]  # fmt: skip
    assert len({row.cells["auc"].value for row in rows[1:4]}) == 1
    assert rows[4].cells["specificity"].value == 0.30
    assert len(tables["At the radiologist's own specificity and sensitivity"].rows) == 3 * 2
    assert "verification bias" in section.text
    svg = section.figures[0].svg
    assert "BI-RADS ≥ 4" in svg
    assert svg.count("<polygon") == 1 + 3  # the band, and a diamond a cut-off


def test_a_reader_of_one_class_is_reported_and_not_compared() -> None:
    cases = assessed("4 5 - -", [True, True, False, False], [0.5] * 4)

    (section,) = reader_section.sections(cases, System.KIM2018)

    assert "No comparison: 2 of 4 cases" in section.text
    assert not section.tables
    assert reader_section.sections(score_cases.drawn(20), System.KIM2018) == []
