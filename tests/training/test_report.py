"""Tables beside the papers' and the numbers behind them, against counts and worked examples."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_estimating_equations import GEE

from cadnode.domain import System
from cadnode.errors import DataError
from cadnode.models.operating_point import roc as card_roc
from cadnode.statistics.binary import Measure, wilson
from cadnode_training.data.facts import decade
from cadnode_training.papers.wang2016.measure import PAPER
from cadnode_training.results import measures, published, scored_file
from cadnode_training.results import scored as scores
from cadnode_training.results.papers_tables import (
    all_tables,
    by_stratum,
    pairs,
    performance,
    published_rows,
)
from tests.training import score_cases


@pytest.mark.parametrize("name", ["s.json", "s.csv"])
def test_scores_are_read_as_they_were_written(tmp_path: Path, name: str) -> None:
    cases = score_cases.drawn(20)

    scored_file.write(tmp_path / name, cases)

    assert scored_file.read(tmp_path / name) == cases


@pytest.mark.parametrize("name", ["s.json", "s.csv"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    with pytest.raises(DataError, match="missing"):
        scored_file.read(file)
    for text in ("{}", "", "# {}\nid,woman\n", "\xff"):
        file.write_text(text)
        with pytest.raises(DataError):
            scored_file.read(file)


def test_no_name_of_a_woman_is_written(tmp_path: Path) -> None:
    cases = score_cases.made([True, False], {"a": [0.1, 0.2]}, women=["Anna Muster", "PID4711"])

    scored_file.write(tmp_path / "s.csv", cases)

    text = (tmp_path / "s.csv").read_text()
    assert "Anna" not in text
    assert "4711" not in text


@pytest.mark.parametrize(("age", "group"), [("50.0", "50–59"), ("59", "50–59"), ("", ""),
                                            ("93", "90 or more"), ("x", "")])  # fmt: skip
def test_ages_are_decades(age: str, group: str) -> None:
    assert decade(age) == group


def test_cases_must_be_whole() -> None:
    with pytest.raises(DataError, match="as many scores"):
        score_cases.made([True, False], {"a": [0.1]})
    with pytest.raises(DataError, match="finite"):
        score_cases.made([True, False], {"a": [0.1, float("nan")]})
    one = score_cases.made([True, False], {"a": [0.1, 0.2]})
    other = score_cases.made([False, True], {"b": [0.1, 0.2]})
    with pytest.raises(DataError, match="truth"):
        scores.join(one, other)
    with pytest.raises(DataError, match="twice"):
        scores.join(one, one)
    with pytest.raises(DataError, match="nothing was scored by c"):
        one.scores("c")


def test_cut_offs_are_those_of_the_cards_curve() -> None:
    # Given a validation curve where 0.6 is best and 0.3 finds nine of ten
    labels = [True] * 10 + [False] * 10
    values = [0.9] * 3 + [0.6] * 5 + [0.3] + [0.1] + [0.7] + [0.2] * 9
    curve = card_roc(labels, values, "validation part")

    found = {c.choice: c.threshold for c in scores.cutoffs(curve)}

    assert found == {"youden": 0.3, "sensitivity=0.9": 0.3, "specificity=0.9": 0.3}


@pytest.mark.parametrize("row", published.KANG_ROWS.values(), ids=lambda row: row.name)
def test_kangs_rows_follow_from_whole_numbers_of_cases(row: published.PaperRow) -> None:
    # Table 1: 97 malignant and 163 benign; every share is one of counts, to two digits of percent.
    shares = {name: number.value for name, number in row.numbers.items()}
    hits, cleared = round(shares["sensitivity"] * 97), round(shares["specificity"] * 163)
    derived = {
        "sensitivity": hits / 97,
        "specificity": cleared / 163,
        "accuracy": (hits + cleared) / 260,
        "ppv": hits / (hits + 163 - cleared),
        "npv": cleared / (cleared + 97 - hits),
    }

    assert {k: round(v, 4) for k, v in derived.items()} == {k: shares[k] for k in derived}
    for number in row.numbers.values():
        assert number.ci is not None
        assert sum(number.ci) / 2 == pytest.approx(number.value, abs=0.001)


def test_wangs_rows_are_those_that_its_evaluation_prints() -> None:
    keys = ("accuracy", "sensitivity", "specificity", "auc")
    for scenario, rows in published.WANG_ROWS.items():
        for name, row in rows.items():
            assert tuple(row.numbers[k].value for k in keys) == PAPER[scenario][name]


def test_the_table_has_our_row_with_its_counts_and_the_papers_beneath() -> None:
    # Kang 2021, DenseNet-201: 80 of 97 and 113 of 163 called right.
    labels = [True] * 97 + [False] * 163
    values = [0.9] * 80 + [0.1] * 17 + [0.1] * 113 + [0.9] * 50
    cases = score_cases.made(labels, {"kang2021-densenet201": values})

    table = performance(cases, published.KANG_ROWS)

    ours, paper = table.rows[:2]
    for name in ("sensitivity", "specificity", "accuracy", "ppv", "npv"):
        assert round(ours.cells[name].value or 0, 4) == paper.cells[name].value
    assert ours.cells["sensitivity"].ci == wilson(80, 97).ci
    # The area of two values is the mean of sensitivity and specificity.
    assert ours.cells["auc"].value == pytest.approx((80 / 97 + 113 / 163) / 2)
    assert paper.name == "paper: DenseNet-201"
    assert paper.paper == published.KANG
    assert len(table.rows) == 1 + 6


def test_intervals_are_by_woman_where_a_woman_has_several_cases() -> None:
    labels = [True] * 40 + [False] * 40
    values = [0.9] * 30 + [0.1] * 40 + [0.9] * 10
    alone = score_cases.made(labels, {"a": values})
    in_fours = score_cases.made(labels, {"a": values}, women=[str(i // 4) for i in range(80)])

    one, four = (performance(c).rows[0].cells["sensitivity"].ci for c in (alone, in_fours))

    assert one == wilson(30, 40).ci
    assert one is not None
    assert four is not None
    assert four[1] - four[0] > 1.5 * (one[1] - one[0])
    assert "GEE by woman" in performance(in_fours).note


def test_each_cut_off_is_applied_as_it_was_chosen() -> None:
    cases = score_cases.made([True, True, False, False], {"a": [0.9, 0.4, 0.45, 0.1]})

    strict = performance(cases).rows[0]

    assert strict.cutoff == "≥ 0.5"
    assert strict.cells["sensitivity"].value == 0.5
    assert strict.cells["specificity"].value == 1.0


def test_strata_are_of_their_own_cases_and_one_without_a_class_has_no_area() -> None:
    labels = [True, True, False, False, False]
    facts = [{"vendor": "Siemens"}] * 4 + [{"vendor": "GE"}]
    cases = score_cases.made(labels, {"a": [0.9, 0.6, 0.7, 0.1, 0.8]}, facts=facts)

    rows = {row.name: row for row in by_stratum(cases, "a", System.KIM2018).rows}

    assert rows["vendor: Siemens"].cells["auc"].value == 0.75
    assert rows["vendor: Siemens"].cases == "2 + 2"
    assert rows["vendor: GE"].cells["auc"].value is None
    assert rows["vendor: GE"].cells["specificity"].value == 0.0
    assert rows["paper: Siemens"].cells["sensitivity"].value == 0.888


def test_pairs_of_like_models_have_a_p_of_one() -> None:
    labels, values = [True, False] * 10, [0.8, 0.2] * 8 + [0.3, 0.7] * 2
    cases = score_cases.made(labels, {"a": values, "b": values})

    row = pairs(cases).rows[-1]

    assert row.name == "a@1.0.0 – b@1.0.0"
    assert {c.text for c in row.cells.values()} == {"1.0000"}


def test_tables_are_written_three_ways_with_the_same_numbers() -> None:
    table = performance(score_cases.drawn(40), published.KANG_ROWS)

    ours = table.rows[0].cells["auc"]
    rows = list(csv.DictReader(io.StringIO(table.csv())))
    first = next(r for r in rows if r["column"] == "auc")
    assert float(first["value"]) == ours.value
    assert first["source"] == "measured"
    cell = json.loads(json.dumps(table.as_dict()))["rows"][0]["cells"]["auc"]
    assert cell["value"] == round(ours.value or 0, 4)
    lines = table.markdown().splitlines()
    assert lines[2].startswith("| model | cases | cut-off | AUC |")
    assert f"{ours.value:.3f}" in lines[4]
    assert sum("*paper: " in line for line in lines) == 6


def test_every_paper_has_rows_beneath_ours() -> None:
    cases = score_cases.made([True, False] * 10, {"any": [0.8, 0.2] * 9 + [0.3, 0.7]})
    wanted = {System.KANG2021: 6, System.WANG2016: 4, System.HELSINKI_DTL: 2, System.KIM2018: 2}

    for system, count in wanted.items():
        scenario = "masses" if system is System.WANG2016 else None
        rows = performance(cases, published_rows(system, scenario)).rows
        assert sum(bool(row.paper) for row in rows) == count
    with pytest.raises(DataError, match="one of three"):
        published_rows(System.WANG2016)


def test_which_table_a_system_is_reported_in() -> None:
    found = all_tables(score_cases.drawn(40), System.KANG2021)

    assert [t.first for t in found] == ["model", "model", "model", "pair", "stratum"]
    assert "paper: all together" in [row.name for row in found[3].rows]
    assert found[3].rows[0].cells["auc"].value is not None
    assert "degrees of freedom" in found[3].note


def independent(outcome: np.ndarray, design: np.ndarray, groups: np.ndarray) -> Any:
    """Statsmodels' GEE with an independent working correlation."""
    order = np.argsort(groups, kind="stable")
    model = GEE(outcome[order], design[order], groups[order], family=Binomial())
    return model.fit()


def test_shares_by_woman_are_those_of_statsmodels() -> None:
    # Given calls for which an exchangeable fit runs away to a logit of −2515
    cases = score_cases.drawn()
    labels, called = cases.labels, cases.scores("b") >= 0.5
    counts, women = called[labels].astype(float), cases.women[labels]

    found = measures.by_woman(called[labels], women)

    fitted = independent(counts, np.ones((len(counts), 1)), women)
    low, high = 1 / (1 + np.exp(-fitted.conf_int()[0]))
    assert found.value == pytest.approx(26 / 41)
    assert found.ci == pytest.approx((low, high), abs=1e-6)


def test_the_interval_holds_the_share_also_when_the_number_of_cases_tells_the_outcome() -> None:
    # Women with one case always count, women with three do in one of three.
    counts = np.array([True] * 20 + [True, False, False] * 20)
    women = [f"one {i}" for i in range(20)] + [f"three {i // 3}" for i in range(60)]

    found = measures.by_woman(counts, women)

    assert found.value == 0.5
    assert found.ci is not None
    assert sum(found.ci) / 2 == pytest.approx(0.5)


def test_the_test_between_readers_is_that_of_statsmodels() -> None:
    cases = score_cases.drawn(noise=(0.4, 0.9, 0.6))
    calls = {n: cases.scores(n) >= 0.5 for n in "abc"}

    found = measures.compared(Measure.ACCURACY, cases.labels, calls, cases.women)

    right = np.concatenate([(c == cases.labels).astype(float) for c in calls.values()])
    reader, women = np.repeat(np.arange(3), len(cases)), np.tile(cases.women, 3)
    design = np.column_stack([np.ones(len(right)), reader == 1, reader == 2]).astype(float)
    fitted = independent(right, design, women)
    assert found.overall_p == pytest.approx(
        float(fitted.wald_test(np.eye(3)[1:], scalar=True).pvalue), rel=1e-4
    )
    assert found.pairwise_p["a", "b"] == pytest.approx(fitted.pvalues[1], rel=1e-4)


def test_a_share_of_one_is_counted_by_women_and_cannot_be_compared() -> None:
    found = measures.by_woman(np.ones(12, bool), np.repeat(np.arange(6), 2))

    assert found.ci == wilson(6, 6).ci
    labels, women = np.ones(4, bool), ["a", "a", "b", "b"]
    calls = {"x": [True] * 4, "y": [True, False, True, True]}
    assert measures.compared(Measure.SENSITIVITY, labels, calls, women).overall_p is None
