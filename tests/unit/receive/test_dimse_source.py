"""An archive that is asked by C-FIND and C-MOVE and never comes to an end."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import Dataset

from cadnode.receive.fetch import dimse
from cadnode.receive.fetch.dimse import DimseSource
from cadnode.receive.fetch.fetch import FetchFailure
from cadnode.receive.fetch.listing import Listed
from cadnode.receive.fetch.requests import FetchCode, Request

PENDING = 0xFF00


class Endless:
    """An association whose peer says again and again that it is at work."""

    def __init__(self) -> None:
        self.asked, self.is_aborted = 0, False

    @contextmanager
    def associated(self, _contexts: Any) -> Iterator[Any]:
        try:
            yield self
        except BaseException:
            self.is_aborted = True
            raise

    def _answers(self) -> Iterator[tuple[Dataset, None]]:
        status = Dataset()
        status.Status = PENDING
        for _ in itertools.repeat(None, 1000):
            self.asked += 1
            yield status, None

    def send_c_move(self, *_: Any) -> Iterator[tuple[Dataset, None]]:
        return self._answers()

    def send_c_find(self, *_: Any) -> Iterator[tuple[Dataset, None]]:
        return self._answers()


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Endless:
    clock = itertools.count(0.0, 10.0)
    monkeypatch.setattr(dimse, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    return Endless()


def test_an_archive_that_is_moving_for_ever_is_left(peer: Endless) -> None:
    source = DimseSource("pacs", peer.associated, "CADNODE")
    with pytest.raises(FetchFailure, match="pacs did not end C-MOVE in time") as raised:
        source.move(Request("1.2.3", "pacs"), [Listed("1.2.3.4", "1.2.3.5")], 100.0)
    assert raised.value.code is FetchCode.SOURCE_UNREACHABLE
    assert raised.value.retryable
    assert peer.asked < 20
    assert peer.is_aborted


def test_an_archive_that_is_searching_for_ever_is_left(peer: Endless) -> None:
    source = DimseSource("pacs", peer.associated, "CADNODE")
    with pytest.raises(FetchFailure, match="pacs did not end C-FIND in time"):
        source.studies_of("4711")
    assert peer.asked < 20
    assert peer.is_aborted
