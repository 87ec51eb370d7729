"""What a result page says in sentences, what it shows first, and what it leaves out."""

import re
from pathlib import Path

import numpy as np
import pytest

from cadnode.statistics.auc import Auc
from cadnode.statistics.binary import wilson
from cadnode_training.results import comparison_page, meaning, plots, probabilities, report
from cadnode_training.results.compare import compare
from cadnode_training.statistics import curves
from tests.training import score_cases


def of(n_pos: int, n_neg: int) -> "score_cases.Scored":
    labels = [True] * n_pos + [False] * n_neg
    return score_cases.made(labels, {"a": np.linspace(1, 0, n_pos + n_neg).tolist()})


def test_an_auc_is_said_as_pairs_with_its_interval() -> None:
    said = meaning.ranking(of(3, 5), "x@1.0.0", Auc(0.843, (0.79, 0.884), 3, 5, "DeLong"))

    assert said == (
        "Of 100 pairs of a positive and a negative ROI, x@1.0.0 ranks the positive one higher in "
        "84 (79–88); guessing does in 50."
    )


def test_an_interval_that_includes_guessing_is_called_so() -> None:
    said = meaning.ranking(of(3, 5), "x@1.0.0", Auc(0.6, (0.45, 0.75), 3, 5, "DeLong"))

    assert said.endswith("The interval includes guessing.")


def test_calls_are_said_of_100_of_each_class() -> None:
    said = meaning.calls(of(3, 5), wilson(42, 100), wilson(80, 100))

    assert said == "At its cut-off it calls 42 (33–52) of 100 positive and 20 (13–29) of 100 " \
        "negative ROIs."  # fmt: skip


@pytest.mark.parametrize(
    ("ci", "end"),
    [
        ((-0.01, 0.07), "(95 % interval 1 fewer to 7 more). Chance alone can explain this "
         "difference."),
        ((0.02, 0.04), "(95 % interval 2 more to 4 more). Chance alone is an unlikely "
         "explanation."),
        (None, "How sure that is cannot be stated on these women."),
    ],
)  # fmt: skip
def test_a_difference_is_said_in_pairs(ci: tuple[float, float] | None, end: str) -> None:
    said = meaning.difference(of(50, 50), "old", "new", (0.81, 0.84), ci)

    assert "A (old) ranks the positive one higher in 81 and B (new) in 84: 3 more" in said
    assert said.endswith(end)


def test_a_difference_is_that_of_the_figures_beside_it() -> None:
    said = meaning.difference(of(50, 50), "old", "new", (0.844, 0.868), (-0.01, 0.07))

    assert "in 84 and B (new) in 87: 3 more" in said


def test_of_few_cases_no_interval_excludes_chance() -> None:
    said = meaning.difference(of(3, 5), "old", "new", (0.81, 0.84), (0.02, 0.04))

    assert said.endswith("On so few cases that does not exclude chance.")


def test_few_cases_and_mixed_scanners_are_named_among_the_limits() -> None:
    few, many = of(49, 200), of(50, 200)

    assert any("Few cases (49 positive, 200 negative)" in line for line in meaning.limits(few))
    assert not any("Few cases" in line for line in meaning.limits(many))
    assert "more than one vendor" in " ".join(meaning.limits(score_cases.drawn(40)))
    assert "more than one" not in " ".join(meaning.limits(few))


def test_a_calibration_is_shown_from_50_cases_of_each_class_on(tmp_path: Path) -> None:
    few, many = of(49, 60), of(50, 60)

    assert [len(report.curve_figures(cases)) for cases in (few, many)] == [1, 2]
    assert set(probabilities.table(few).rows[0].cells) == {"average precision"}
    assert set(probabilities.table(many).rows[0].cells) == set(probabilities.COLUMNS)
    report.write(tmp_path / "r.html", few, report.System.KIM2018)
    assert "here are 49 positive and 60 negative ones" in (tmp_path / "r.html").read_text()


def test_the_page_opens_with_its_result_and_all_else_is_folded(tmp_path: Path) -> None:
    cases = score_cases.drawn(60)
    tables = report.write(tmp_path / "r.html", cases.only("a"), report.System.KIM2018)
    comparison_page.write(
        tmp_path / "c.html", compare(cases.only("a"), cases.only("b"), replicates=20)
    )

    for name in ("r.html", "c.html"):
        text = (tmp_path / name).read_text()
        ahead, _, folded = text.partition("<details>")
        assert ahead.count("<svg") == ahead.count("<table>") == 1
        assert "Of 100 pairs" in ahead
        assert "Before you use these numbers" in ahead
        assert folded.count("<table>") >= 3
        assert re.search(r"<h1>.* on toys</h1>", ahead)
        assert "30 women · " in ahead
    assert all(table.title for table in tables)  # what the lead repeats is not among them


def test_curves_differ_in_more_than_colour_and_only_two_bands_are_drawn() -> None:
    cases = score_cases.drawn(60, noise=(0.4, 0.9, 0.6))
    drawn = [
        plots.DrawnCurve(
            s.spec, curves.roc(cases.labels, cases.scores(s.spec), cases.women, replicates=20),
            Auc(0.8, (0.7, 0.9), 1, 1, ""),
        )
        for s in cases.scorers
    ]  # fmt: skip

    two, three = plots.roc(drawn[:2]), plots.roc(drawn)

    assert two.count("<polygon") == 1  # the first band is filled, the second hatched
    assert two.count("<polyline") > 40
    assert three.count("<polygon") == 0
    lines = re.findall(r'<polyline [^>]*stroke="(var[^"]+)"[^>]*stroke-width="2"([^>]*)>', three)
    assert len({colour for colour, _ in lines}) == 3
    assert len({dash for _, dash in lines}) == 3
    assert re.findall(r">([A-Z])</text>", three) == ["A", "B", "C"]
