"""Fetching from a real Orthanc, by REST and by DICOMweb: whole, cut, grown, refused."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    UltrasoundImageStorage,
)

from cadnode.log import hashed
from cadnode.receive.fetch import sources
from cadnode.receive.fetch.compression import Line
from cadnode.receive.fetch.fetch import Fetched, FetchFailure, Stopped, fetch
from cadnode.receive.fetch.requests import FetchCode, Request
from cadnode.receive.spool import Spool
from tests.integration.http_peers import (
    KINDS,
    PASSWORD,
    USER,
    cut_line,
    data_set,
    values_of,
    web_orthanc,
)
from tests.peers import Orthanc, free_port
from tests.spool_cases import add_file
from tests.synthetic import MARK, encode, uid, view_dataset, write, write_exam

VIEWS = (("R", "CC"), ("L", "CC"), ("R", "MLO"), ("L", "MLO"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with web_orthanc(tmp_path_factory.mktemp("orthanc")) as peer:
        yield peer


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with web_orthanc(tmp_path_factory.mktemp("guarded"), password=PASSWORD) as peer:
        yield peer


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def store(archive: Orthanc, files: Sequence[Path]) -> str:
    """The study's UID, once the archive holds the files."""
    for file in files:
        archive.post("/instances", file.read_bytes())
    return str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


def fetched(
    archive: Orthanc, kind: str, spool: Spool, study: str, *, port: int = 0, **request: str
) -> Fetched:
    values = values_of(archive, kind, port=port, timeout_s=5.0)
    with sources.opened(kind, values) as source:
        return fetch(Request(study, "archive", **request), source, spool)


def failure(archive: Orthanc, kind: str, spool: Spool, study: str, port: int = 0) -> FetchFailure:
    with pytest.raises(FetchFailure) as failed:
        fetched(archive, kind, spool, study, port=port)
    assert study not in str(failed.value)
    return failed.value


def beside(study: str, sop_class: str, modality: str, **more: str) -> Dataset:
    """Another object of the study, in a series of its own."""
    values = {
        "SOPClassUID": sop_class, "Modality": modality, "BodyPartExamined": None,
        "SOPInstanceUID": uid("beside", study, modality),
        "SeriesInstanceUID": uid("series beside", study, modality), **more,
    }  # fmt: skip
    return view_dataset(study_uid=study, rows=32, columns=32, **values)


def in_spool(spool: Spool, study: str) -> set[bytes]:
    return {data_set(path) for path in spool.instances(hashed(study))}


def test_every_data_set_arrives_bit_for_bit_as_it_is_stored(
    archive: Orthanc, kind: str, spool: Spool, tmp_path: Path
) -> None:
    syntaxes = (None, JPEG2000Lossless, JPEGLSLossless, RLELossless)
    files = []
    for (side, view), syntax in zip(VIEWS, syntaxes, strict=True):
        ds = view_dataset(side, view, seed=11)
        files.append(write(encode(ds, syntax) if syntax else ds, tmp_path / f"{side}{view}.dcm"))
    for number, syntax in enumerate((ExplicitVRBigEndian, ImplicitVRLittleEndian)):
        ds = view_dataset(seed=11, SOPInstanceUID=uid("native", number))
        files.append(write(encode(ds, syntax), tmp_path / f"native{number}.dcm"))
    study = store(archive, files)
    assert fetched(archive, kind, spool, study) == Fetched(6, 6)
    assert in_spool(spool, study) == {data_set(f) for f in files}
    syntax_of = {
        pydicom.dcmread(p, stop_before_pixels=True).file_meta.TransferSyntaxUID
        for p in spool.instances(hashed(study))
    }
    assert len(syntax_of) == 6


def test_what_is_here_already_is_not_fetched_again_and_a_grown_study_brings_the_rest(
    archive: Orthanc, kind: str, spool: Spool, tmp_path: Path
) -> None:
    files = write_exam(tmp_path / "exam", seed=21, study_uid=uid("grows", kind))
    study = store(archive, files[:2])
    assert fetched(archive, kind, spool, study) == Fetched(2, 2)
    before = [p.stat().st_mtime_ns for p in spool.instances(hashed(study))]
    assert fetched(archive, kind, spool, study) == Fetched(2, 0)
    assert [p.stat().st_mtime_ns for p in spool.instances(hashed(study))] == before
    store(archive, files[2:])
    assert fetched(archive, kind, spool, study) == Fetched(4, 2)
    assert in_spool(spool, study) == {data_set(f) for f in files}


def test_an_instance_that_was_sent_to_the_node_is_not_fetched_as_well(
    archive: Orthanc, kind: str, spool: Spool, tmp_path: Path
) -> None:
    files = write_exam(tmp_path / "exam", seed=22)
    study = store(archive, files)
    add_file(spool, files[0])
    assert fetched(archive, kind, spool, study) == Fetched(4, 3)


def test_mammograms_and_marked_regions_come_and_ct_ultrasound_and_our_own_outputs_stay(
    archive: Orthanc, kind: str, spool: Spool, tmp_path: Path
) -> None:
    files = write_exam(tmp_path / "exam", seed=31, views=VIEWS[:2])
    study = store(archive, files)
    marked = beside(study, ComprehensiveSRStorage, "SR")
    ours = beside(study, ComprehensiveSRStorage, "SR", Manufacturer="cadnode")
    ours.SOPInstanceUID = ours.file_meta.MediaStorageSOPInstanceUID = uid("ours")
    others = [
        beside(study, CTImageStorage, "CT"),
        beside(study, UltrasoundImageStorage, "US"),
        ours,
    ]
    written = [write(ds, tmp_path / f"{n}.dcm") for n, ds in enumerate([marked, *others])]
    store(archive, written)
    assert fetched(archive, kind, spool, study) == Fetched(3, 3)
    wanted = {data_set(f) for f in [*files, written[0]]}
    assert in_spool(spool, study) == wanted


def test_a_ct_study_brings_nothing_and_says_so(
    archive: Orthanc, kind: str, spool: Spool, tmp_path: Path
) -> None:
    study = uid("ct", kind)
    store(archive, [write(beside(study, CTImageStorage, "CT"), tmp_path / "ct.dcm")])
    failed = failure(archive, kind, spool, study)
    assert (failed.code, failed.retryable) == (FetchCode.NO_MAMMOGRAMS, False)
    assert spool.studies() == []


def test_a_study_that_the_source_does_not_know_is_a_coded_failure(
    archive: Orthanc, kind: str, spool: Spool
) -> None:
    failed = failure(archive, kind, spool, uid("nobody's"))
    assert (failed.code, failed.retryable) == (FetchCode.UNKNOWN_STUDY, False)


def test_orthancs_own_identifier_is_used_and_a_wrong_one_does_no_harm(
    archive: Orthanc, spool: Spool, tmp_path: Path
) -> None:
    files = write_exam(tmp_path / "exam", seed=41, views=VIEWS[:1])
    study = store(archive, files)
    other = store(archive, write_exam(tmp_path / "other", seed=42, views=VIEWS[:1]))
    ids = {
        archive.get(f"/studies/{i}")["MainDicomTags"]["StudyInstanceUID"]: i
        for i in archive.get("/studies")
    }
    for named in (ids[study], ids[other], "0" * 8, "../system"):
        fetched(archive, "orthanc", spool, study, source_id=named)
    assert spool.studies() == [hashed(study)]


def test_a_line_cut_in_the_middle_of_an_instance_leaves_nothing_half_and_the_rest_comes_later(
    archive: Orthanc, kind: str, spool: Spool, tmp_path: Path
) -> None:
    files = write_exam(tmp_path / "exam", seed=51)
    study = store(archive, files)
    with cut_line(archive.http_port) as line:
        line.after, line.n_cuts = 700_000, 1  # the second of 411 kB instances is on its way
        failed = failure(archive, kind, spool, study, port=line.port)
        assert (failed.code, failed.retryable) == (FetchCode.SOURCE_UNREACHABLE, True)
        whole = in_spool(spool, study)
        assert len(whole) == failed.n_new == 1
        assert whole < {data_set(f) for f in files}
        assert list((tmp_path / "spool" / "incoming").iterdir()) == []
        assert fetched(archive, kind, spool, study, port=line.port) == Fetched(4, 3)
    assert in_spool(spool, study) == {data_set(f) for f in files}


def test_an_orthanc_that_dies_and_comes_back_gives_the_rest(
    kind: str, spool: Spool, tmp_path: Path
) -> None:
    files = write_exam(tmp_path / "exam", seed=61)
    with web_orthanc(tmp_path / "orthanc") as archive, cut_line(archive.http_port) as line:
        study = store(archive, files)
        line.after, line.n_cuts = 1_000_000, 1
        assert failure(archive, kind, spool, study, port=line.port).n_new == 2
    assert failure(archive, kind, spool, study).code is FetchCode.SOURCE_UNREACHABLE
    with web_orthanc(tmp_path / "orthanc") as archive:
        assert fetched(archive, kind, spool, study) == Fetched(4, 2)
    assert in_spool(spool, study) == {data_set(f) for f in files}


def test_a_node_that_stops_lets_go_in_the_middle_of_an_instance(
    archive: Orthanc, kind: str, spool: Spool, tmp_path: Path
) -> None:
    study = store(archive, write_exam(tmp_path / "exam", seed=71))
    asked = 0

    def stopping() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    with (
        sources.opened(kind, values_of(archive, kind)) as source,
        pytest.raises(Stopped),
    ):
        fetch(Request(study, "archive"), source, spool, stopping)
    assert list((tmp_path / "spool" / "incoming").iterdir()) == []
    assert len(spool.instances(hashed(study))) < 4


def test_a_slow_line_brings_the_same_bits_compressed(
    archive: Orthanc, kind: str, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_exam(tmp_path / "exam", seed=73, rows=1024, columns=800)
    study = store(archive, files)
    every_line_is_slow = partial(Line, slow_bytes_per_s=float("inf"))
    monkeypatch.setattr("cadnode.receive.fetch.orthanc.Line", every_line_is_slow)
    monkeypatch.setattr("cadnode.receive.fetch.dicomweb.Line", every_line_is_slow)
    asked: list[str] = []
    note = Line.note

    def noted(line: Line, encoding: str, n_bytes: int, seconds: float) -> None:
        asked.append(encoding)
        note(line, encoding, n_bytes, seconds)

    monkeypatch.setattr(Line, "note", noted)
    assert fetched(archive, kind, spool, study) == Fetched(4, 4)
    assert asked[:2] == ["identity", "gzip"]
    assert in_spool(spool, study) == {data_set(f) for f in files}


def test_a_full_disk_is_told_and_tried_again(archive: Orthanc, kind: str, tmp_path: Path) -> None:
    study = store(archive, write_exam(tmp_path / "exam", seed=72, views=VIEWS[:1]))
    full = Spool(tmp_path / "spool", min_free_bytes=1 << 60)
    failed = failure(archive, kind, full, study)
    assert (failed.code, failed.retryable) == (FetchCode.NO_ROOM, True)


@pytest.mark.parametrize("wrong", ["password", "user", "nothing"])
def test_wrong_credentials_are_told_and_the_right_ones_are_read_from_their_file(
    guarded: Orthanc, kind: str, spool: Spool, tmp_path: Path, wrong: str
) -> None:
    study = store(guarded, write_exam(tmp_path / "exam", seed=81, views=VIEWS[:1]))
    secret = write_text(tmp_path / "secret", f"{PASSWORD}\nsecond lines do not count\n")
    told = {
        "password": {"username": USER, "password_file": write_text(tmp_path / "wrong", "x")},
        "user": {"username": "someone", "password_file": secret},
        "nothing": {},
    }[wrong]
    with (
        pytest.raises(FetchFailure, match="archive refuses the user, password or token") as no,
        sources.opened(kind, values_of(guarded, kind, **told)) as source,
    ):
        fetch(Request(study, "archive"), source, spool)
    assert (no.value.code, no.value.retryable) == (FetchCode.SOURCE_REFUSED, True)
    assert MARK not in str(no.value)
    right = values_of(guarded, kind, username=USER, password_file=secret)
    with sources.opened(kind, right) as source:
        assert source.check() in ("Orthanc 1.10.1", "answered QIDO-RS")
        assert fetch(Request(study, "archive"), source, spool) == Fetched(1, 1)


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_source_that_is_down_or_is_something_else_is_told_apart(
    archive: Orthanc, kind: str, spool: Spool
) -> None:
    down = failure(archive, kind, spool, "1.2.3", port=free_port())
    assert (down.code, down.retryable) == (FetchCode.SOURCE_UNREACHABLE, True)
    (other,) = set(KINDS) - {kind}
    with (
        pytest.raises(FetchFailure) as wrong,
        sources.opened(kind, values_of(archive, other)) as source,
    ):
        source.check()
    assert (wrong.value.code, wrong.value.retryable) == (FetchCode.SOURCE_NOT_UNDERSTOOD, False)
