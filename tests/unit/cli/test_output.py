"""What the command line prints of a reading, on a terminal of eighty columns and on a wide one."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from cadnode.cli.output import print_checks, print_result
from cadnode.domain import ExamResult
from cadnode.node.check import Check, CheckVerdict
from tests.report_cases import digital_exam, result_of


def printed(result: ExamResult, width: int = 110) -> list[str]:
    """The lines without colours."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    print_result(console, result)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def row(lines: list[str], start: str) -> list[str]:
    """The words of the first line that begins so."""
    return next(line.split() for line in lines if line.startswith(start))


def test_a_finding_shows_every_systems_probability_and_which_reach_their_operating_point() -> None:
    lines = printed(result_of(digital_exam(), "systems"))

    assert row(lines, "#") == [
        "#", "view", "finding", "kim2018", "kang2021", "helsinki_dtl", "wang2016",
    ]  # fmt: skip
    assert row(lines, "1  RCC") == [
        "1", "RCC", "calcification", "cluster", "0.69", "▲", "0.75", "▲", "0.25", "0.50", "▲",
    ]  # fmt: skip
    assert row(lines, "2  RMLO") == ["2", "RMLO", "mass", "0.69", "▲", "–", "–", "0.50", "▲"]


def test_descriptors_and_who_drew_a_region_stand_below_it() -> None:
    text = "\n".join(printed(result_of(digital_exam(), "marked")))

    assert "fine pleomorphic · grouped · 12 · 8 mm" in text
    assert text.count("drawn by a person") == 2


def test_the_systems_state_is_told_with_the_reason_and_its_command() -> None:
    lines = printed(result_of(digital_exam(), "marked"))

    assert row(lines, "kim2018") == ["kim2018", "●", "active", "kim2018"]
    assert row(lines, "helsinki_dtl")[1:4] == ["○", "not", "active"]
    assert "no model: `cadnode train helsinki`" in "\n".join(lines)


def test_brackets_in_a_reason_are_text_and_no_markup() -> None:
    result = result_of(digital_exam(), "marked")
    told = replace(result.systems[2], reason="pip install 'cadnode[train]'")

    assert "cadnode[train]" in "\n".join(printed(replace(result, systems=(told,))))


@pytest.mark.parametrize("outcome", ["findings", "none", "failed"])
def test_a_result_without_systems_is_printed_without_their_columns(outcome: str) -> None:
    lines = printed(result_of(digital_exam(), outcome))

    assert "kang2021" not in "\n".join(lines)
    assert "▲" not in "\n".join(lines)
    if outcome == "findings":
        assert row(lines, "1  RCC")[-2:] == ["0.81", "kim2018"]


def test_probabilities_are_whole_on_eighty_columns() -> None:
    lines = printed(result_of(digital_exam(), "systems"), width=80)

    assert all(len(line) <= 80 for line in lines)
    assert row(lines, "1  RCC")[-7:] == ["0.69", "▲", "0.75", "▲", "0.25", "0.50", "▲"]


def test_checks_fit_80_columns_and_the_worst_comes_first() -> None:
    checks = [
        Check("storage", CheckVerdict.OK, "61.4 GB free"),
        Check("viewer", CheckVerdict.WARNING, "is not installed", "install it"),
        Check("destination archive-of-the-breast-centre", CheckVerdict.FAILED, "refused " * 20,
              "is it running?"),
    ]  # fmt: skip
    console = Console(file=io.StringIO(), width=80, color_system=None)

    print_checks(console, checks)

    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    signs = [line[0] for line in lines if line[:1] in "✗!✓" and line]
    assert signs == ["✗", "!", "✓"]
    assert "…" not in "".join(lines)
    assert "→ is it running?" in "".join(lines)
    assert lines[-1] == "1 failed, 1 to look at, 1 in order"
