import re
from pathlib import Path

import pytest

from cadnode.receive.commitment import CommitmentStatus
from cadnode.receive.commitment_data import PUSH_MODEL, FailureReason
from cadnode.receive.scp import STORAGE_CLASSES, TRANSFER_SYNTAXES
from cadnode.receive.stream import StorageStatus

STATEMENT = (Path(__file__).parents[3] / "docs" / "conformance.md").read_text()


def section(title: str) -> str:
    return re.split(r"\n##+ ", STATEMENT.split(title, 1)[1], maxsplit=1)[0]


@pytest.mark.parametrize(
    ("title", "offered"),
    [
        ("### SOP classes received", {"1.2.840.10008.1.1", *STORAGE_CLASSES}),
        ("### Transfer syntaxes received", set(TRANSFER_SYNTAXES)),
    ],
)
def test_the_statement_lists_exactly_what_the_listener_takes(title: str, offered: set[str]) -> None:
    assert set(re.findall(r"`([\d.]+)`", section(title))) == {str(uid) for uid in offered}


def test_every_status_the_listener_answers_is_explained() -> None:
    answered = {
        StorageStatus.SUCCESS, StorageStatus.OUT_OF_RESOURCES,
        StorageStatus.DATA_SET_DOES_NOT_MATCH_SOP_CLASS,
        StorageStatus.CANNOT_UNDERSTAND, StorageStatus.PROCESSING_FAILURE,
    }  # fmt: skip
    listed = set(re.findall(r"^\| ([0-9A-F]{4}) \|", section("### Status"), re.MULTILINE))
    assert listed == {f"{status:04X}" for status in answered}


def test_storage_commitment_is_stated_with_every_reason_and_status() -> None:
    text = section("### Storage commitment for senders")
    told = {*FailureReason, *CommitmentStatus} - {
        CommitmentStatus.SUCCESS,
        CommitmentStatus.NO_SUCH_EVENT_TYPE,  # to an archive's report
    }
    assert PUSH_MODEL in text
    assert [f"{one:04X}" for one in sorted(told) if f"{one:04X}" not in text] == []
