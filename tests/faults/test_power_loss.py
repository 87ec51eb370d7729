"""A power cut at any moment: what was answered is found whole, and nothing half is taken for it."""

import hashlib
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pytest

from cadnode.domain import Box, ExamResult, HeatMap
from cadnode.files import write_whole
from cadnode.node import delivery_record, results
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.header_index import HeaderIndex
from cadnode.node.jobs import DeliveryStatus
from cadnode.receive.identity import InstanceIdentity, read_file_identity
from cadnode.receive.spool import Spool
from tests.faults.crash_states import CrashState, RecordedDisk, crash_states
from tests.spool_cases import add_file
from tests.synthetic import view_dataset, write

SOP_CLASS = "1.2.840.10008.5.1.4.1.1.1.2"


def part10(text: str) -> bytes:
    """A file that is cut short when any of its bytes is missing."""
    meta = b"\x02\x00\x00\x00UL\x04\x00" + struct.pack("<I", 8) + b"metameta"
    data = hashlib.sha256(text.encode()).digest() * 3
    return bytes(128) + b"DICM" + meta + data


def receive(spool: Spool, study: str, instance: str, data: bytes) -> None:
    """As the listener does: in pieces, then published."""
    incoming = spool.open()
    try:
        for k in range(0, len(data), 100):
            incoming.write(data[k : k + 100])
        spool.publish(incoming, InstanceIdentity(SOP_CLASS, instance, study))
    finally:
        incoming.drop()


def every_state(
    disk: RecordedDisk, scratch: Path, check: Callable[[Path, CrashState], None], **kw: int
) -> int:
    """Check each state in a folder of its own; returns how many there were."""
    states = crash_states(disk, **kw)
    for state in states:
        folder = state.build(scratch / "after")
        try:
            check(folder, state)
        except AssertionError as error:
            raise AssertionError(f"after {state.after!r}: {error}\n{names(folder)}") from error
        finally:
            shutil.rmtree(folder)
    return len(states)


def names(folder: Path) -> list[str]:
    return [str(p.relative_to(folder)) for p in sorted(folder.rglob("*"))]


def synced_root(disk: RecordedDisk) -> None:
    """The node's folders were made long ago."""
    for thing in disk._things.values():
        if hasattr(thing, "sync"):
            thing.sync()


ONE, OTHER, CORRECTED, LAST = map(part10, ("one", "other", "corrected", "last"))
WHOLE = {ONE, OTHER, CORRECTED, LAST}


def check_spool(folder: Path, state: CrashState) -> None:
    spool = Spool(folder)
    found: dict[str, set[bytes]] = {}
    for study in spool.studies():
        files = [*spool.instances(study), *spool.replaced(study)]
        found[study] = {path.read_bytes() for path in files}
        for path in files:
            assert path.read_bytes() in WHOLE, f"half a file is taken for a whole: {path.name}"
        spool.changed_at(study), spool.fingerprint(spool.instances(study))
    everything = set().union(*found.values())
    for promised in state.promised:
        assert promised in everything, "what was answered Success is gone"
    spool.clear_incoming()
    assert not list((folder / "incoming").iterdir())
    receive(spool, "9.9", "9.9.9", LAST)  # and it goes on


def test_a_spool_loses_nothing_that_it_has_answered_and_shows_nothing_half(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    root.mkdir()
    with RecordedDisk(root) as disk:
        spool = Spool(root)
        synced_root(disk)
        receive(spool, "1.1", "1.1.1", ONE)
        disk.promise(ONE)
        receive(spool, "1.1", "1.1.1", ONE)  # sent again
        receive(spool, "1.1", "1.1.2", OTHER)
        disk.promise(OTHER)
        receive(spool, "1.2", "1.2.1", LAST)
        disk.promise(LAST)
        spool.clear_incoming()
        disk.withdraw(LAST)
        spool.discard(spool.studies()[0] if _holds(spool, 0, LAST) else spool.studies()[1])
    assert every_state(disk, tmp_path, check_spool) > 50


def _holds(spool: Spool, number: int, data: bytes) -> bool:
    (*_, path) = spool.instances(spool.studies()[number])
    return path.read_bytes() == data


def test_a_corrected_instance_costs_neither_version(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    root.mkdir()
    with RecordedDisk(root) as disk:
        spool = Spool(root)
        synced_root(disk)
        receive(spool, "1.1", "1.1.1", ONE)
        disk.promise(ONE)
        receive(spool, "1.1", "1.1.1", CORRECTED)
        disk.promise(CORRECTED)
    assert every_state(disk, tmp_path, check_spool) > 30


def test_the_first_study_of_a_new_node_is_as_safe_as_any(tmp_path: Path) -> None:
    root = tmp_path / "spool"
    root.mkdir()
    with RecordedDisk(root) as disk:
        receive(Spool(root), "1.1", "1.1.1", ONE)
        disk.promise(ONE)
    every_state(disk, tmp_path, check_spool)


def test_a_file_written_whole_is_the_old_one_or_the_new_one(tmp_path: Path) -> None:
    root = tmp_path / "results"
    root.mkdir()
    with RecordedDisk(root) as disk:
        write_whole(root / "result.json", b"the first reading")
        disk.promise(b"the first reading")
        disk.withdraw(b"the first reading")
        write_whole(root / "result.json", b"another one")
        disk.promise(b"another one")

    def check(folder: Path, state: CrashState) -> None:
        place = folder / "result.json"
        found = place.read_bytes() if place.exists() else b""
        assert found in (b"", b"the first reading", b"another one"), "half a file"
        if "rename" not in state.after and len(state.promised):
            assert found in state.promised

    assert every_state(disk, tmp_path, check) > 10


def test_a_file_written_whole_into_new_folders_is_there_once_it_is_written(tmp_path: Path) -> None:
    root = tmp_path / "results"
    root.mkdir()
    with RecordedDisk(root) as disk:
        write_whole(root / "study" / "content" / "reading.json", b"the reading")
        disk.promise(b"the reading")

    def check(folder: Path, state: CrashState) -> None:
        place = folder / "study" / "content" / "reading.json"
        if state.promised:
            assert place.exists()
        if place.exists():
            assert place.read_bytes() == b"the reading"

    every_state(disk, tmp_path, check)


def test_a_record_of_deliveries_keeps_each_try_that_it_has_taken(tmp_path: Path) -> None:
    root = tmp_path / "content"
    root.mkdir()
    tries = [
        DeliveryTry("archive", DeliveryStatus.RETRY, 1.0, "is out of resources (A700)"),
        DeliveryTry("other", DeliveryStatus.DELIVERED, 2.0),
        DeliveryTry("archive", DeliveryStatus.DELIVERED, 3.0),
    ]
    with RecordedDisk(root) as disk:
        for one in tries:
            delivery_record.record(root, one)
            disk.promise(one)

    def check(folder: Path, state: CrashState) -> None:
        found = delivery_record.tries(folder)
        assert all(one in tries for one in found), "a try that was never made"
        assert found[: len(state.promised)] == list(state.promised)
        delivery_record.record(folder, tries[0])  # and it goes on
        assert delivery_record.tries(folder)[-1] == tries[0]

    assert every_state(disk, tmp_path, check) > 10


def test_a_header_index_that_a_power_cut_damaged_changes_nothing_of_what_is_known(
    tmp_path: Path,
) -> None:
    sent = [
        write(view_dataset(side, "CC", rows=24, columns=16), tmp_path / f"{side}.dcm")
        for side in "LR"
    ]
    study = read_file_identity(sent[0]).study_instance_uid
    root = tmp_path / "spool"
    root.mkdir()
    with RecordedDisk(root) as disk:
        spool = Spool(root)
        index = HeaderIndex(spool)
        for path in sent:
            add_file(spool, path)
            (key,) = spool.studies()
            index.files(key)
    assert study
    real = spool.header_index(key).read_bytes()
    expected = [(f.path.name, f.view, f.instance) for f in index.files(key)]

    def check(folder: Path, _state: CrashState) -> None:
        whole = Spool(folder)
        for path in sent:
            add_file(whole, path)
        found = HeaderIndex(whole).files(key)
        assert [(f.path.name, f.view, f.instance) for f in found] == expected

    assert real.count(b"\n") == len(sent)
    assert every_state(disk, tmp_path, check, most=20) > 20


def reading(name: str, value: float) -> ExamResult:
    """A reading with one map, all of whose pixels are `value`."""
    values = np.full((2, 2), value, np.float32)
    maps = (HeatMap("1.2.3", values, Box(0, 0, 2, 2), "model"),)
    return ExamResult("1.2", value, (), (), (), (), (), heat_maps=maps, read_with=name)


def test_a_reading_is_never_the_half_of_two(tmp_path: Path) -> None:
    root = tmp_path / "content"
    root.mkdir()
    with RecordedDisk(root) as disk:
        results.keep_reading(root, reading("first", 0.25))
        disk.promise("first")
        results.first_made_at(root, "the time of the first")
        disk.withdraw("first")
        results.keep_reading(root, reading("second", 0.75))
        disk.promise("second")

    def check(folder: Path, state: CrashState) -> None:
        try:
            found = results.load_reading(folder)
        except (OSError, ValueError, LookupError, BadZipFile):
            assert not state.promised, "the reading that was kept is gone"
            return  # it is read again
        assert found.exam_score == found.heat_maps[0].values[0, 0], "maps of another reading"
        assert not state.promised or found.read_with in state.promised
        results.keep_reading(folder, reading("second", 0.75))  # and it goes on

    assert every_state(disk, tmp_path, check, most=100) > 20


@pytest.mark.parametrize("synced", [True, False])
def test_the_record_of_the_disk_sees_a_file_that_was_not_synced(
    tmp_path: Path, synced: bool
) -> None:
    """What these tests rest on: code that does not sync is found out."""
    import os

    root = tmp_path / "root"
    root.mkdir()
    with RecordedDisk(root) as disk:
        with (root / "file").open("wb") as file:
            file.write(b"all of it")
            file.flush()
            if synced:
                os.fsync(file.fileno())
        folder = os.open(root, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        disk.promise("file")
    found = {s.tree.get("file") for s in crash_states(disk) if s.promised}
    assert found == ({b"all of it"} if synced else {b"all of it", b"", b"all ", b"all \0\0\0\0\0",
                                                    bytes(9)})  # fmt: skip
