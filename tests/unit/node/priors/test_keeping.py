"""Priors beside a study: they go with it and with their patient, and shut nobody's study out."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from cadnode.files import lock
from cadnode.log import hashed
from cadnode.node.erasure.places import files_below, place_of
from cadnode.receive.command import CommandField, DimseRequest
from cadnode.receive.identity import read_file_identity
from cadnode.receive.prior_store import AwaitedPriors, PriorNote, PriorShelf, PriorStore
from cadnode.receive.spool import Received, Spool
from cadnode.settings import Settings
from tests.erasure_cases import ANN, BEA, OF_ANN, ErasureNode, hits_of, images, make_two
from tests.prior_cases import PRESENT, YEAR_AGO, exam_files
from tests.retention_cases import Place, made_once
from tests.synthetic import uid, write

ANNS, BEAS = hashed(uid("erasure", "ann")), hashed(uid("erasure", "bea"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory)


def shelve(storage: Path, spool: Spool, study: str, files: list[Path]) -> str:
    """Key of the prior that these files are, now beside a study."""
    store = PriorStore(storage)
    for file in files:
        identity = read_file_identity(file)
        prior = hashed(identity.study_instance_uid)
        incoming = spool.open()
        incoming.write(file.read_bytes())
        PriorShelf(store, spool, study, prior).publish(incoming, identity)
    store.note(study, prior, PriorNote("fetched", "pacs", time.time()))
    return prior


def test_priors_go_with_the_studys_images_and_are_counted_until_then(
    tmp_path: Path, made: Path
) -> None:
    place = Place(tmp_path, made)
    prior = shelve(place.folder, place.spool, place.study, exam_files(tmp_path / "p", YEAR_AGO))
    store = PriorStore(place.folder)
    place.deliver()
    assert place.clean(13.9) == []
    assert len(store.images(place.study, prior)) == 2
    assert all(
        place_of(path.relative_to(place.folder)) for path in files_below(place.folder / "priors")
    )
    (gone,) = place.clean(14.1)
    assert gone.study == place.study
    assert store.studies() == []
    assert not (place.folder / "priors" / place.study).exists()


def test_priors_of_a_study_that_is_no_longer_here_are_tidied_away(
    tmp_path: Path, made: Path
) -> None:
    place = Place(tmp_path, made)
    orphan = hashed(uid("gone"))
    shelve(place.folder, place.spool, orphan, exam_files(tmp_path / "p", YEAR_AGO))
    shelve(place.folder, place.spool, place.study, exam_files(tmp_path / "p", YEAR_AGO))
    place.retention().tidy(time.time())
    assert PriorStore(place.folder).studies() == [place.study]


def test_an_erased_patients_priors_go_and_leave_no_trace(tmp_path: Path) -> None:
    make_two(tmp_path / "node")
    node = ErasureNode(tmp_path / "node")
    of_ann = [write(ds, tmp_path / f"{n}.dcm") for n, ds in enumerate(images(ANN, "prior"))]
    of_bea = [write(ds, tmp_path / f"b{n}.dcm") for n, ds in enumerate(images(BEA, "prior b"))]
    shelve(node.folder, node.spool, ANNS, of_ann)
    kept = shelve(node.folder, node.spool, BEAS, of_bea)
    erased = node.erase()
    assert erased.search.is_clean, erased.search.hits
    assert erased.plan.removed["prior images"] == 4
    assert hits_of(node.folder, (*OF_ANN, ANNS, uid("erasure", "prior"))) == []
    assert len(PriorStore(node.folder).images(BEAS, kept)) == 4


def test_a_prior_that_lies_beside_another_womans_study_is_erased_with_its_patient(
    tmp_path: Path,
) -> None:
    """As after a correction: the study is Bea's now, and what was fetched for it is Ann's."""
    make_two(tmp_path / "node")
    node = ErasureNode(tmp_path / "node")
    files = [write(ds, tmp_path / f"{n}.dcm") for n, ds in enumerate(images(ANN, "prior"))]
    shelve(node.folder, node.spool, BEAS, files)
    erased = node.erase()
    assert erased.search.is_clean, erased.search.hits
    assert PriorStore(node.folder).studies() == []
    assert len(node.spool.instances(BEAS)) == 4
    assert hits_of(node.folder, OF_ANN) == []


def asked(identity: Any, originator: str) -> DimseRequest:
    return DimseRequest(
        CommandField.C_STORE_RQ, 1, True, identity.sop_class_uid, identity.sop_instance_uid,
        move_originator=originator,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("originator", "is_expected", "is_taken"),
    [
        ("CADNODE", True, True),
        ("", True, True),  # some archives do not name it
        ("READER", True, False),
        ("CADNODE", False, False),
        ("", False, False),
    ],
)
def test_only_what_was_asked_for_is_set_aside(
    tmp_path: Path, originator: str, is_expected: bool, is_taken: bool
) -> None:
    spool, store = Spool(tmp_path / "spool"), PriorStore(tmp_path)
    (file, _) = exam_files(tmp_path / "p", YEAR_AGO)
    identity, study, prior = read_file_identity(file), hashed(PRESENT), hashed(YEAR_AGO)
    if is_expected:
        store.expect(study, prior, 60.0, [hashed(identity.sop_instance_uid)])
    incoming = spool.open()
    incoming.write(file.read_bytes())
    taken = AwaitedPriors(store, "CADNODE")(asked(identity, originator), identity, incoming)
    assert (taken is not None) is is_taken
    assert incoming.path.exists() is not is_taken
    assert len(store.images(study, prior)) == is_taken
    if taken is not None:
        assert (taken.received, taken.study_key) == (Received.ASIDE, prior)
    incoming.drop()


@pytest.mark.parametrize("originator", ["", "CADNODE"])
def test_what_was_not_asked_for_by_name_or_came_already_is_left_to_be_read(
    tmp_path: Path, originator: str
) -> None:
    """Somebody sends the very study to be read, while it is fetched as a prior."""
    spool, store = Spool(tmp_path / "spool"), PriorStore(tmp_path)
    study, prior = hashed(PRESENT), hashed(YEAR_AGO)
    wanted, other = map(read_file_identity, files := exam_files(tmp_path / "p", YEAR_AGO))
    store.expect(study, prior, 60.0, [hashed(wanted.sop_instance_uid)])
    awaited, taken = AwaitedPriors(store, "CADNODE"), list[bool]()
    for file, identity in ((files[1], other), (files[0], wanted), (files[0], wanted)):
        incoming = spool.open()
        incoming.write(file.read_bytes())
        taken.append(awaited(asked(identity, originator), identity, incoming) is not None)
        assert incoming.path.exists() is not taken[-1]
        incoming.drop()
    assert taken == [False, True, False]


def test_where_all_has_come_nothing_is_expected_and_the_next_study_need_not_wait(
    tmp_path: Path,
) -> None:
    store = PriorStore(tmp_path)
    store.expect(hashed(PRESENT), hashed(YEAR_AGO), 60.0, [hashed("an instance")])
    store.expect(hashed(PRESENT), hashed(YEAR_AGO), 60.0, [])
    assert store.expected_by(hashed(YEAR_AGO)) is None
    assert list((tmp_path / "priors" / "expected").iterdir()) == []


def test_whoever_looks_whether_a_prior_is_fetched_keeps_nobody_from_fetching_it(
    tmp_path: Path,
) -> None:
    """A page of one process looks while another begins: a look holds the lock for a moment."""
    store, study, prior = PriorStore(tmp_path), hashed(PRESENT), hashed(YEAR_AGO)
    with store.fetching(study, prior) as is_ours, store.fetching(study, prior) as is_theirs:
        assert (is_ours, is_theirs, store.is_fetching(study, prior)) == (True, False, True)
    look = os.open(tmp_path / "priors" / study / prior, os.O_RDONLY)
    assert lock(look, shared=True)
    assert not store.is_fetching(study, prior), "two that look are in nobody's way"
    threading.Timer(0.05, os.close, [look]).start()
    with store.fetching(study, prior) as is_ours:
        assert is_ours


def test_an_expectation_ends_with_its_time_and_with_the_study(tmp_path: Path) -> None:
    store = PriorStore(tmp_path)
    some = [hashed("an instance")]
    store.expect(hashed(PRESENT), hashed(YEAR_AGO), -1.0, some)
    assert store.expected_by(hashed(YEAR_AGO)) is None
    store.expect(hashed(PRESENT), hashed(YEAR_AGO), 60.0, some)
    assert store.expected_by(hashed(YEAR_AGO)) == hashed(PRESENT)
    store.remove(hashed(PRESENT))
    assert store.expected_by(hashed(YEAR_AGO)) is None
    (tmp_path / "priors" / "expected" / f"{hashed(YEAR_AGO)}.json").write_text("[")
    assert store.expected_by(hashed(YEAR_AGO)) is None


def test_a_source_of_kind_dicom_needs_its_address_and_others_a_url() -> None:
    good = {"name": "a", "kind": "dicom", "port": 104, "ae_title": "PACS"}
    assert Settings(sources=[good]).source("a").where == "PACS at 127.0.0.1:104"
    for wrong in (
        {"name": "a", "kind": "dicom"},
        {**good, "token_file": "/t"},
        {**good, "username": "u", "password_file": "/p"},
        {**good, "certificate_file": "/c"},
        {**good, "tls": True, "certificate_file": "/c"},
        {**good, "crl_file": "/c"},
        {"name": "a", "kind": "orthanc"},
        {"name": "a", "kind": "orthanc", "url": "http://x", "port": 104},
    ):
        with pytest.raises(ValueError, match="sources"):
            Settings(sources=[wrong])
