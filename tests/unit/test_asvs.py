"""docs/asvs.md answers each point of ASVS 4.0.3, level 1 and 2, once, with one of four words."""

import re
from collections import Counter
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "asvs.md"
ANSWERS = {"met", "by outside", "not met", "not applicable"}

# The last point of each section; then those that 4.0.3 has deleted, or that are of level 3 alone.
LAST = {
    "1.1": 7, "1.2": 4, "1.4": 5, "1.5": 4, "1.6": 4, "1.7": 2, "1.8": 2, "1.9": 2, "1.10": 1,
    "1.11": 2, "1.12": 2, "1.14": 6,
    "2.1": 12, "2.2": 3, "2.3": 3, "2.4": 5, "2.5": 7, "2.6": 3, "2.7": 6, "2.8": 7, "2.9": 3,
    "2.10": 4,
    "3.1": 1, "3.2": 4, "3.3": 4, "3.4": 5, "3.5": 3, "3.7": 1,
    "4.1": 5, "4.2": 2, "4.3": 3,
    "5.1": 5, "5.2": 8, "5.3": 10, "5.4": 3, "5.5": 4,
    "6.1": 3, "6.2": 6, "6.3": 2, "6.4": 2,
    "7.1": 4, "7.2": 2, "7.3": 4, "7.4": 3,
    "8.1": 4, "8.2": 3, "8.3": 8,
    "9.1": 3, "9.2": 4,
    "10.2": 2, "10.3": 3,
    "11.1": 8,
    "12.1": 3, "12.2": 1, "12.3": 6, "12.4": 2, "12.5": 2, "12.6": 1,
    "13.1": 5, "13.2": 6, "13.3": 2, "13.4": 2,
    "14.1": 4, "14.2": 6, "14.3": 3, "14.4": 7, "14.5": 4,
}  # fmt: skip
LEFT_OUT = {"1.4.2", "1.4.3", "1.12.1", "4.1.4", "7.3.2", "13.1.2", "13.2.4", "14.3.1"}


def rows() -> list[list[str]]:
    lines = [line for line in DOCUMENT.read_text("utf-8").splitlines() if line[:3].strip("| ")]
    found = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in found if re.fullmatch(r"\|?\s*\d[\d., ]*", row[0])]


def test_each_point_of_level_2_is_answered_once() -> None:
    asked = {f"{at}.{n}" for at, last in LAST.items() for n in range(1, last + 1)} - LEFT_OUT
    answered = Counter(point for row in rows() for point in re.findall(r"\d+\.\d+\.\d+", row[0]))

    assert set(answered) ^ asked == set()
    assert [point for point, count in answered.items() if count > 1] == []


def test_each_answer_is_one_of_four_and_says_where_or_why() -> None:
    for row in rows():
        assert len(row) == 4, row
        assert row[2] in ANSWERS, row
        assert row[3].strip(" |"), row
