"""The table of what answers mean, row by row as the Standard and archives have them."""

import errno
import os
from pathlib import Path

import pytest

from cadnode.association_failures import of_rejection
from cadnode.deliver import answers, folder
from cadnode.deliver.answers import NEVER, SLOWLY, SOON, of_failure, of_http, of_status
from cadnode.deliver.outcome import Delivered, RefusedObject, all_taken, outcome_of
from cadnode.deliver.over_http import delivering
from cadnode.errors import (
    Again,
    DeliveryError,
    PassingRefusal,
    PermanentDeliveryError,
    TransientDeliveryError,
    not_taken,
)
from cadnode.http import HttpFailure, HttpPeerValues


@pytest.mark.parametrize(
    ("status", "again"),
    [
        (0xA700, SOON), (0xA7FF, SOON), (0x0210, SOON), (0x0213, SOON),
        (0x0110, SLOWLY), (0x0112, SLOWLY), (0x0118, SLOWLY), (0x0122, SLOWLY), (0x0124, SLOWLY),
        (0x0211, SLOWLY), (0x0212, SLOWLY), (0xA801, SLOWLY), (0xC000, SLOWLY), (0xCFFF, SLOWLY),
        (0xFE00, SLOWLY), (0xFF00, SLOWLY), (0xFF01, SLOWLY), (0x0FFF, SLOWLY), (0x7777, SLOWLY),
        (0x0105, NEVER), (0x0106, NEVER), (0x0115, NEVER), (0x0117, NEVER), (0x0119, NEVER),
        (0x0120, NEVER), (0x0121, NEVER), (0xA900, NEVER), (0xA9FF, NEVER),
    ],
)  # fmt: skip
def test_a_status_of_failure_is_tried_again_as_the_table_says(status: int, again: Again) -> None:
    assert of_status(status).again is again
    outcome = outcome_of(status, "archive")
    assert (outcome.again, f"{status:04X}" in outcome.refusal) == (again, True)


@pytest.mark.parametrize(
    "status", [0x0000, 0x0001, 0x0107, 0x0111, 0x0116, 0xB000, 0xB006, 0xB007, 0xBFFF]
)
def test_success_warnings_and_duplicates_are_no_refusal(status: int) -> None:
    outcome = outcome_of(status, "archive")
    assert (outcome.refusal, outcome.is_warning) == ("", status != 0)
    assert outcome.is_duplicate is (status == 0x0111)


def test_no_status_is_without_a_meaning() -> None:
    for status in range(0x10000):
        outcome = outcome_of(status, "archive")
        assert bool(outcome.refusal) is not (answers.is_taken(status) or status == 0x0111)


@pytest.mark.parametrize("source", [1, 2, 3])
@pytest.mark.parametrize("reason", range(11))
def test_a_rejection_is_tried_again_daily_and_a_transient_one_or_congestion_soon(
    source: int, reason: int
) -> None:
    is_congestion = source == 3 and reason in (1, 2)
    failure = of_rejection(source, reason)
    assert of_failure(failure, "archive").again is (SOON if is_congestion else SLOWLY)
    assert of_failure(failure, "archive", SOON).again is SOON


@pytest.mark.parametrize(
    ("status", "again"),
    [
        (400, SLOWLY), (401, SOON), (403, SOON), (404, SLOWLY), (409, SLOWLY), (410, SLOWLY),
        (412, SLOWLY), (413, SLOWLY), (415, SLOWLY), (422, NEVER), (423, SOON), (425, SOON),
        (429, SOON), (500, SOON), (501, SLOWLY), (502, SOON), (503, SOON), (504, SOON),
        (507, SOON), (521, SOON), (301, SLOWLY), (302, SLOWLY), (308, SLOWLY), (418, SLOWLY),
        (None, SLOWLY),
    ],
)  # fmt: skip
def test_an_http_answer_is_tried_again_as_the_table_says(status: int | None, again: Again) -> None:
    assert of_http(status) is again


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (HttpFailure("x", retryable=True, status=401), TransientDeliveryError),
        (HttpFailure("x", retryable=True), TransientDeliveryError),
        (HttpFailure("x", retryable=False, status=523), TransientDeliveryError),
        (HttpFailure("x", retryable=False, status=404), PassingRefusal),
        (HttpFailure("a page of a proxy", retryable=False), PassingRefusal),
        (HttpFailure("x", retryable=False, status=422), PermanentDeliveryError),
    ],
)
def test_a_failure_over_http_is_an_error_of_its_class(
    failure: HttpFailure, error: type[DeliveryError]
) -> None:
    with pytest.raises(DeliveryError) as raised, delivering(HttpPeerValues("a", "http://a")):
        raise failure
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("number", "again"),
    [
        (errno.ENOSPC, SOON), (errno.EDQUOT, SOON), (errno.ESTALE, SOON), (errno.EIO, SOON),
        (errno.ENOENT, SOON), (errno.EHOSTDOWN, SOON), (errno.EACCES, SLOWLY),
        (errno.EPERM, SLOWLY), (errno.EROFS, SLOWLY), (errno.ENOTDIR, SLOWLY),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_be_written_is_tried_again_as_the_table_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, again: Again
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DeliveryError) as raised:
        folder.deliver([], tmp_path / "out")
    assert raised.value.again is again


def test_a_folder_behind_a_link_that_leads_nowhere_is_away_and_one_that_is_a_file_is_wrong(
    tmp_path: Path,
) -> None:
    (tmp_path / "nas").symlink_to(tmp_path / "not mounted")
    (tmp_path / "file").touch()
    for name, again in (("nas", SOON), ("file", SLOWLY)):
        with pytest.raises(DeliveryError) as raised:
            folder.deliver([], tmp_path / name / "study")
        assert raised.value.again is again


def test_a_result_is_tried_again_as_soon_as_one_of_its_objects_is() -> None:
    never, slowly, soon = (RefusedObject(again.value, again) for again in (NEVER, SLOWLY, SOON))
    for refusals, again in (
        ([never], NEVER), ([never, slowly], SLOWLY), ([soon, never, slowly], SOON),
    ):  # fmt: skip
        with pytest.raises(DeliveryError, match="took 2 of") as raised:
            all_taken(2, 0, refusals, "archive")
        assert raised.value.again is again
        assert type(raised.value) is type(not_taken(again, ""))
    assert all_taken(2, 1, [], "archive") == Delivered(2, 1)
