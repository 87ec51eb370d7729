"""The gate: steps pass together, an erasure waits for them, and hashes need the node's key."""

import errno
import multiprocessing
import os
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from cadnode.files import make_folder
from cadnode.node import study_gate
from cadnode.node.study_gate import StudyBusy, StudyGate

STUDY, BESIDE, FAR = "0123456789abcdef", "01ffffffffffffff", "ff23456789abcdef"


def hold(storage: Path, entered: Event, leave: Event) -> None:
    with StudyGate(storage).passing(STUDY):
        entered.set()
        leave.wait(60)


def test_an_erasure_waits_for_a_step_of_another_process(tmp_path: Path) -> None:
    gate = StudyGate(tmp_path)
    gate.prepare()
    context = multiprocessing.get_context("spawn")
    entered, leave = context.Event(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, entered, leave))
    other.start()
    try:
        assert entered.wait(60)
        with gate.passing(STUDY), gate.passing(FAR):
            pass  # steps do not wait for each other
        with gate.closed(FAR, 0.0):
            pass
        with pytest.raises(StudyBusy), gate.closed(BESIDE, 0.2):
            pass
        leave.set()
        with gate.closed(STUDY, 60.0):
            pass
    finally:
        leave.set()
        other.join(60)


def test_before_anything_was_prepared_steps_pass_and_nothing_is_erased(tmp_path: Path) -> None:
    gate = StudyGate(tmp_path)

    with gate.passing(STUDY):
        assert not gate.is_erased(STUDY, "c")
    assert list(tmp_path.iterdir()) == []


def test_what_is_marked_is_known_to_every_process_and_named_by_its_keyed_hash(
    tmp_path: Path,
) -> None:
    first, second = StudyGate(tmp_path), StudyGate(tmp_path)
    first.prepare()
    second.prepare()  # another process draws no other key

    first.mark_erased(STUDY, "c")

    assert second.is_erased(STUDY, "c")
    assert not second.is_erased(STUDY, "d")
    (name,) = (path.name for path in (tmp_path / "erasures" / "gone").iterdir())
    assert STUDY not in name
    elsewhere = StudyGate(tmp_path / "elsewhere")
    elsewhere.prepare()
    assert elsewhere.hashed("content", STUDY, "c") != name


def test_a_key_that_finds_no_room_leaves_nothing_behind_and_is_drawn_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("gone", "locks"):
        make_folder(tmp_path / "erasures" / name)
    gate = StudyGate(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            gate.prepare()
    assert [path for path in tmp_path.rglob("*") if path.suffix == ".part"] == []
    assert not gate.has_key()

    gate.prepare()

    assert len((tmp_path / "erasures" / "key").read_bytes()) == 32


def test_two_workers_never_report_one_study_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = StudyGate(tmp_path), StudyGate(tmp_path)
    first.prepare()
    monkeypatch.setattr(study_gate, "_REPORTED_WITHIN_S", 0.0)
    with first.reporting(STUDY):
        with pytest.raises(StudyBusy), second.reporting(STUDY):
            pass
        with second.passing(STUDY), second.reporting(FAR):
            pass  # its other steps, and other studies, go on
    with second.reporting(STUDY):
        pass
