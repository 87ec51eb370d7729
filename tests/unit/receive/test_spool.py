"""The spool: whole files or none, nothing lost, keys instead of identifiers."""

import errno
import os
import threading

import pytest

from cadnode.domain import SkipReason
from cadnode.errors import NotProcessable
from cadnode.log import hashed
from cadnode.receive.spool import Received, Spool
from tests.spool_cases import add_file
from tests.synthetic import MARK, view_dataset, write, write_exam


@pytest.fixture
def spool(tmp_path):
    return Spool(tmp_path / "spool")


def all_files(spool):
    return [p for p in spool._studies.parent.rglob("*") if p.is_file()]


def test_an_instance_is_found_under_hashed_keys_with_its_bytes(spool, tmp_path):
    ds = view_dataset()
    source = write(ds, tmp_path / "a.dcm")

    stored = add_file(spool, source)

    assert stored.received is Received.STORED
    assert stored.study_key == hashed(ds.StudyInstanceUID)
    assert stored.path.name == f"{hashed(ds.SOPInstanceUID)}.dcm"
    assert stored.path.read_bytes() == source.read_bytes()
    assert stored.n_bytes == source.stat().st_size
    assert spool.studies() == [stored.study_key]
    assert spool.instances(stored.study_key) == [stored.path]


def test_no_identifier_is_in_a_name(spool, tmp_path):
    ds = view_dataset()
    add_file(spool, write(ds, tmp_path / "a.dcm"))
    names = "\n".join(str(p) for p in all_files(spool))
    assert MARK not in names.replace(str(tmp_path), "")
    assert ds.StudyInstanceUID not in names
    assert ds.SOPInstanceUID not in names


def test_a_re_sent_instance_changes_nothing(spool, tmp_path):
    source = write(view_dataset(), tmp_path / "a.dcm")
    first = add_file(spool, source)
    before = spool.fingerprint([first.path])
    inode = first.path.stat().st_ino

    again = add_file(spool, source)

    assert again.received is Received.ALREADY_HERE
    assert first.path.stat().st_ino == inode
    assert spool.fingerprint(spool.instances(first.study_key)) == before
    assert len(all_files(spool)) == 1


def test_a_re_sent_instance_is_recognised_whatever_its_file_meta_says(spool, tmp_path):
    ds = view_dataset()
    add_file(spool, write(ds, tmp_path / "a.dcm"))
    ds.file_meta.SourceApplicationEntityTitle = "ELSEWHERE"
    assert add_file(spool, write(ds, tmp_path / "b.dcm")).received is Received.ALREADY_HERE


def test_another_object_of_the_same_uid_takes_the_name_and_the_older_one_is_kept(spool, tmp_path):
    ds = view_dataset()
    first = add_file(spool, write(ds, tmp_path / "a.dcm"))
    older = first.path.read_bytes()
    before = spool.fingerprint([first.path])
    ds.SeriesDescription = "corrected"
    source = write(ds, tmp_path / "b.dcm")

    second = add_file(spool, source)

    assert second.received is Received.REPLACED
    assert second.path == first.path
    assert second.path.read_bytes() == source.read_bytes()
    assert spool.instances(first.study_key) == [first.path]
    [kept] = first.path.parent.glob("*.old")
    assert kept.read_bytes() == older
    assert spool.fingerprint([second.path]) != before


def test_the_fingerprint_depends_on_the_content_and_not_on_order_or_restart(spool, tmp_path):
    paths = [add_file(spool, p).path for p in write_exam(tmp_path / "exam")]
    whole = spool.fingerprint(paths)
    restarted = Spool(tmp_path / "spool")
    assert restarted.fingerprint(paths[::-1]) == whole
    assert restarted.fingerprint(paths[1:]) != whole


def test_files_that_are_no_dicom_are_refused_and_leave_nothing(spool, tmp_path):
    source = tmp_path / "noise"
    source.write_bytes(os.urandom(4096))
    with pytest.raises(NotProcessable) as refused:
        add_file(spool, source)
    assert refused.value.reason is SkipReason.NOT_DICOM
    assert all_files(spool) == []


def test_a_disk_that_fails_while_writing_leaves_nothing(spool, tmp_path, monkeypatch):
    source = write(view_dataset(), tmp_path / "a.dcm")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("cadnode.receive.spool.os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        add_file(spool, source)
    assert all_files(spool) == []


def test_leftovers_are_cleared_and_files_being_written_are_not(spool):
    leftover = spool._incoming / "0.part"
    leftover.write_bytes(b"half")
    writing = spool.open()
    writing.write(b"more to come")

    assert spool.clear_incoming() == 1

    assert not leftover.exists()
    assert writing.path.exists()
    writing.drop()
    assert all_files(spool) == []


def test_a_discarded_study_is_gone_and_may_come_again(spool, tmp_path):
    source = write(view_dataset(), tmp_path / "a.dcm")
    stored = add_file(spool, source)
    spool.discard(stored.study_key)
    assert spool.studies() == []
    assert all_files(spool) == []
    assert add_file(spool, source).received is Received.STORED
    spool.discard("never-seen")


def test_room_is_measured_against_the_minimum(tmp_path):
    assert Spool(tmp_path, min_free_bytes=0).has_room()
    assert not Spool(tmp_path, min_free_bytes=1 << 60).has_room()


def test_a_study_is_quiet_since_its_last_change(spool, tmp_path):
    stored = add_file(spool, write(view_dataset(), tmp_path / "a.dcm"))
    assert 0 <= spool.quiet_s(stored.study_key) < 60
    an_hour_ago = stored.path.stat().st_mtime - 3600
    os.utime(stored.path.parent, (an_hour_ago, an_hour_ago))
    assert spool.quiet_s(stored.study_key) >= 3599
    assert spool.quiet_s("never-seen") == 0


def test_the_same_instance_from_several_threads_is_stored_once(spool, tmp_path):
    source = write(view_dataset(), tmp_path / "a.dcm")
    received = []
    threads = [
        threading.Thread(target=lambda: received.append(add_file(spool, source).received))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(received) == [Received.ALREADY_HERE] * 5 + [Received.STORED]
    assert len(all_files(spool)) == 1
