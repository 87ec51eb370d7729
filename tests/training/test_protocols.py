"""The papers' protocols: how points stand to what is run, and the tables of docs/training.md."""

from pathlib import Path

import pytest

from cadnode.errors import DataError
from cadnode_training.engine.protocol import (
    NOT_STATED,
    PaperPoint,
    Standing,
    beside,
    differences,
    sentences,
)
from cadnode_training.results import protocol_tables

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
STATED = (
    PaperPoint("rate", "0.1", "Methods"), PaperPoint("batch", "8", "Methods"),
    PaperPoint("loss", NOT_STATED, "Methods"), PaperPoint("data", "theirs", "Data"),
)  # fmt: skip


def test_a_point_stands_as_stated_chosen_by_the_data_or_differs() -> None:
    found = beside(STATED, {"batch": "4", "loss": "squared"}, {"data": "ours"})

    assert [(p.topic, p.run, p.standing) for p in found] == [
        ("rate", "0.1", Standing.AS_STATED), ("batch", "4", Standing.DIFFERS),
        ("loss", "squared", Standing.CHOSEN), ("data", "ours", Standing.DATA),
    ]  # fmt: skip
    assert differences(found) == [("batch", "8", "4"), ("data", "theirs", "ours")]
    assert sentences(found)[0] == "batch: the paper has 8; here 4"


def test_the_pages_tables_are_current() -> None:
    """`python -m cadnode_training.results.protocol_tables docs/training.md`."""
    page = PAGE.read_text()

    assert protocol_tables.written_into(page) == page


def test_the_tables_show_every_point_with_its_section() -> None:
    text = protocol_tables.tables()

    assert text.count("### ") == 4
    assert (
        "| optimizer | SGD, momentum 0.9, weight decay 0.0005 | Training Set-up | the same |"
        in text
    )
    assert "| LDA | not stated | Results | *chosen:* covariance shrunk" in text
    assert text.count("**differs:**") == 2  # Wang's: views of 1024 × 1024, the segmentation


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(DataError, match="no marks"):
        protocol_tables.written_into("# Training\n")
