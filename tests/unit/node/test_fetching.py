"""The fetch step: what becomes of a request when its source is away, unknown or nobody asks."""

import errno
from pathlib import Path

import pytest

from cadnode.demo.archive import free_port
from cadnode.node.fetching import Fetcher, spool_folder
from cadnode.node.workflow_steps import FetchAnswer
from cadnode.receive.fetch import requests
from cadnode.receive.fetch.fetch import Stopped
from cadnode.receive.fetch.requests import Ended, FetchCode, Request
from cadnode.settings import Settings, Source, StorageSection

STUDY = "1.2.826.0.1.77777.1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    dead = f"http://127.0.0.1:{free_port()}"
    return Settings(
        storage=StorageSection(folder=tmp_path, min_free_gb=0),
        sources=(Source(name="away", kind="orthanc", url=dead, give_up_after_h=1.0),),
    )


def ask(settings: Settings, source: str = "away") -> tuple[str, str]:
    """Key and ticket of a request."""
    folder = spool_folder(settings)
    key = requests.save(folder, Request(STUDY, source))
    return key, requests.ticket(folder, key)


def test_a_source_that_is_away_is_tried_again_and_the_request_stays(settings: Settings) -> None:
    key, ticket = ask(settings)
    fetching = Fetcher(settings, lambda: False)
    answer = fetching.fetch(key, "", 0.0)
    folder = spool_folder(settings)
    assert answer == FetchAnswer("retry", requests.ticket(folder, key))
    assert answer.ticket != ticket
    assert requests.ended(folder, key) == Ended(FetchCode.SOURCE_UNREACHABLE, is_final=False)
    assert requests.waiting(folder) == [key]
    again = requests.take(folder, key)
    assert again is not None  # nobody holds it
    again.release()


def test_a_source_that_is_away_for_too_long_is_given_up(settings: Settings) -> None:
    key, ticket = ask(settings)
    answer = Fetcher(settings, lambda: False).fetch(key, ticket, 3600.0)
    assert answer == FetchAnswer("failed", ticket)  # and there is nothing to consider
    folder = spool_folder(settings)
    assert requests.ended(folder, key) == Ended(FetchCode.GIVEN_UP, is_final=True)
    assert requests.waiting(folder) == []


def test_a_source_that_the_configuration_does_not_name_is_final(settings: Settings) -> None:
    key, ticket = ask(settings, "nobody")
    assert Fetcher(settings, lambda: False).fetch(key, "", 0.0) == FetchAnswer("failed", ticket)
    ended = requests.ended(spool_folder(settings), key)
    assert ended == Ended(FetchCode.UNKNOWN_SOURCE, is_final=True)


def test_the_tries_of_an_older_request_leave_a_newer_one_alone(settings: Settings) -> None:
    key, old = ask(settings)
    _, new = ask(settings)
    fetching = Fetcher(settings, lambda: False)
    assert fetching.fetch(key, old, 0.0) == FetchAnswer("nothing_asked")
    assert fetching.fetch(key, new, 0.0).status == "retry"
    assert fetching.fetch(key, new, 0.0) == FetchAnswer("nothing_asked")  # it has a next try
    assert fetching.fetch("0" * 16, "", 0.0) == FetchAnswer("nothing_asked")


def test_a_node_that_stops_leaves_the_request_for_its_next_start(settings: Settings) -> None:
    def stops() -> bool:
        raise Stopped

    key, _ = ask(settings)
    fetching = Fetcher(settings, lambda: False)
    fetching._from_source = lambda request: stops()  # type: ignore[assignment,method-assign,return-value]
    answer = fetching.fetch(key, "", 0.0)
    folder = spool_folder(settings)
    assert answer == FetchAnswer("interrupted", requests.ticket(folder, key))
    assert requests.ended(folder, key) == Ended(FetchCode.INTERRUPTED, is_final=False)


def test_the_sweep_starts_each_request_once(settings: Settings) -> None:
    key, _ = ask(settings)
    fetching = Fetcher(settings, lambda: False)
    started: list[str] = []
    fetching.sweep(started.append)
    fetching.sweep(started.append)
    assert started == [key]
    fetching.fetch(key, "", 0.0)  # in vain, and the next try is on its way
    fetching.sweep(started.append)
    assert started == [key]
    ask(settings)
    fetching.sweep(started.append)
    assert started == [key, key]


def test_whatever_breaks_a_fetch_it_is_tried_again(settings: Settings) -> None:
    def breaks(request: Request) -> None:
        raise RuntimeError(STUDY)

    key, _ = ask(settings)
    fetching = Fetcher(settings, lambda: False)
    fetching._from_source = breaks  # type: ignore[assignment,method-assign]
    folder = spool_folder(settings)
    assert fetching.fetch(key, "", 0.0) == FetchAnswer("retry", requests.ticket(folder, key))
    assert requests.ended(folder, key) == Ended(FetchCode.FETCH_FAILED, is_final=False)
    assert fetching.fetch(key, "", 3600.0).status == "failed"
    assert requests.ended(folder, key) == Ended(FetchCode.GIVEN_UP, is_final=True)


def test_a_fetch_whose_end_cannot_be_written_is_started_by_the_next_sweep(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    key, _ = ask(settings)
    fetching = Fetcher(settings, lambda: False)
    started: list[str] = []
    fetching.sweep(started.append)
    monkeypatch.setattr(requests, "write_whole", full)
    with pytest.raises(OSError, match="full"):
        fetching.fetch(key, "", 0.0)
    fetching.sweep(started.append)
    assert started == [key, key]
