"""What a source lists and does not give: vanished meanwhile, or missing."""

from pathlib import Path

import pytest

from cadnode.receive.fetch.fetch import Fetched, FetchFailure, Sink, fetch
from cadnode.receive.fetch.listing import Listed
from cadnode.receive.fetch.requests import FetchCode, Request
from cadnode.receive.spool import Spool
from tests.synthetic import view_dataset, write

VIEWS = (("R", "CC"), ("L", "CC"))


class Source:
    """Gives files that it lists, except those in `missing`; what is in `vanished` goes away."""

    def __init__(self, folder: Path) -> None:
        data = [view_dataset(side, view, seed=5) for side, view in VIEWS]
        self.study = str(data[0].StudyInstanceUID)
        self.files = {
            str(ds.SOPInstanceUID): write(ds, folder / f"{n}.dcm") for n, ds in enumerate(data)
        }
        self.missing: set[str] = set()
        self.vanished: set[str] = set()

    def check(self) -> str:
        return "here"

    def instances(self, request: Request) -> list[Listed]:
        return [Listed(uid, uid, modality="MG") for uid in self.files]

    def stream(self, instance: Listed, sink: Sink) -> bool:
        uid = instance.sop_instance_uid
        if uid in self.vanished:
            del self.files[uid]
            return False
        if uid in self.missing:
            return False
        sink(self.files[uid].read_bytes())
        return True


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


def failure(source: Source, spool: Spool) -> FetchFailure:
    with pytest.raises(FetchFailure) as failed:
        fetch(Request(source.study, "archive"), source, spool)
    return failed.value


def test_an_instance_that_is_listed_and_not_given_is_asked_for_again(
    source: Source, tmp_path: Path
) -> None:
    spool = Spool(tmp_path / "spool")
    source.missing = {next(iter(source.files))}
    failed = failure(source, spool)
    assert (failed.code, failed.retryable, failed.n_new) == (FetchCode.INSTANCE_MISSING, True, 1)
    source.missing = set()
    assert fetch(Request(source.study, "archive"), source, spool) == Fetched(2, 1)


def test_an_instance_that_is_no_longer_listed_is_passed_over(
    source: Source, tmp_path: Path
) -> None:
    source.vanished = {next(iter(source.files))}
    request = Request(source.study, "archive")
    assert fetch(request, source, Spool(tmp_path / "spool")) == Fetched(1, 1)


def test_a_study_that_vanishes_while_it_is_fetched_is_unknown_and_not_without_mammograms(
    source: Source, tmp_path: Path
) -> None:
    source.vanished = set(source.files)
    failed = failure(source, Spool(tmp_path / "spool"))
    assert (failed.code, failed.retryable) == (FetchCode.UNKNOWN_STUDY, False)


def test_a_source_that_gives_nothing_of_what_it_lists_has_not_been_fetched(
    source: Source, tmp_path: Path
) -> None:
    source.missing = set(source.files)
    failed = failure(source, Spool(tmp_path / "spool"))
    assert (failed.code, failed.retryable) == (FetchCode.INSTANCE_MISSING, True)
