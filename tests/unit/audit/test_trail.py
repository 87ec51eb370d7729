"""The trail: what is added to it, by whom, and what becomes of it on a disk that fails."""

import fcntl
import json
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cadnode.audit import files
from cadnode.audit import trail as trail_module
from cadnode.audit.entry import GENESIS, Remark, RemarkKind
from cadnode.audit.event import Action, Event, EventOutcome
from cadnode.audit.files import LostEvents, lost_of
from cadnode.audit.trail import Trail
from cadnode.audit.verify import verify
from tests.unit.audit.cases import AT, PERSON, STUDY, Clock, month, trail, viewed, written


def remarks(made: Trail) -> list[Remark]:
    return [entry.said for entry in written(made) if isinstance(entry.said, Remark)]


def test_an_event_is_one_line_of_canonical_json_with_the_node_and_the_hash(tmp_path: Path) -> None:
    made = Trail(tmp_path / "audit", "NODE", lambda: AT)
    made.record(Event(Action.EXPORTED, EventOutcome.SUCCESS, PERSON, STUDY, "pacs", "all"))
    (line,) = month(made).read_bytes().splitlines()
    found = json.loads(line)
    assert month(made).name == "2026-03.jsonl"
    assert line == json.dumps(found, sort_keys=True, separators=(",", ":")).encode()
    assert found["hash"] == written(made)[0].hash_after(GENESIS)
    assert {k: v for k, v in found.items() if k not in ("hash", "version")} == {
        "sequence": 1, "at": "2026-03-04T04:53:20.000000Z", "node": "NODE",
        "action": "study exported", "outcome": "success", "study": STUDY, "peer": "pacs",
        "detail": "all",
        "actor": {"kind": "person", "name": "ann", "role": "admin", "address": "10.0.0.7"},
    }  # fmt: skip


def test_events_come_back_as_they_were_recorded(tmp_path: Path) -> None:
    made = trail(tmp_path, 3)
    assert [entry.said for entry in written(made)] == [viewed(f"{n:016x}") for n in range(3)]
    assert [entry.sequence for entry in written(made)] == [1, 2, 3]


def test_only_the_nodes_user_and_group_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made = trail(tmp_path, 1)
    finally:
        os.umask(before)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in made.folder.iterdir()}
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o750
    assert set(modes.values()) == {0o640}
    assert set(modes) == {"2026-03.jsonl", "head.json", "lost.json", "lock"}


def test_of_what_root_makes_the_owner_of_the_storage_folder_is_the_owner(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        assert trail(tmp_path, 1).folder.stat().st_uid == os.geteuid()
        return
    os.chown(tmp_path, 1234, 1235)
    made = trail(tmp_path, 1)
    owners = {(p.stat().st_uid, p.stat().st_gid) for p in (made.folder, *made.folder.iterdir())}
    assert owners == {(1234, 1235)}


_ADDS = """\
import sys
from pathlib import Path
from tests.unit.audit.cases import viewed
from cadnode.audit.trail import Trail
made = Trail(Path(sys.argv[1]))
for n in range(40):
    made.record(viewed(f"{sys.argv[2]}-{n}"))
"""


def test_processes_and_threads_add_to_one_chain_and_no_line_is_lost(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    running = [
        subprocess.Popen([sys.executable, "-c", _ADDS, str(folder), str(n)]) for n in range(3)
    ]
    made = Trail(folder)
    threads = [
        threading.Thread(target=lambda: [made.record(viewed("t")) for _ in range(20)])
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.wait(60) for one in running] == [0, 0, 0]
    found = verify(folder)
    assert (found.is_whole, found.n_lines) == (True, 180), found
    studies = [entry.said.study for entry in written(made) if isinstance(entry.said, Event)]
    own = [study for study in studies if study and study.startswith("1-")]
    assert own == [f"1-{n}" for n in range(40)]  # each process's in its order


@pytest.mark.parametrize("n_bytes", [1, 30, 200])
def test_a_line_that_a_power_cut_left_torn_is_closed_by_one_that_says_so(
    tmp_path: Path, n_bytes: int
) -> None:
    made = trail(tmp_path, 3)
    path = month(made)
    whole = path.read_bytes()
    torn = whole.splitlines(keepends=True)[-1][:n_bytes]
    path.write_bytes(whole + torn)
    found = verify(made.folder)
    assert found.is_whole
    assert "cut off" in found.notes[-1]
    made.record(viewed())
    assert remarks(made) == [Remark(RemarkKind.CUT_OFF, n_bytes)]
    found = verify(made.folder)
    assert (found.is_whole, found.last) == (True, 5), found
    assert f"cut off after {n_bytes} bytes" in found.notes[0]


def test_zeros_after_a_power_cut_are_such_a_line(tmp_path: Path) -> None:
    made = trail(tmp_path, 2)
    with month(made).open("ab") as file:
        file.write(bytes(4096))
    made.record(viewed())
    assert remarks(made) == [Remark(RemarkKind.CUT_OFF, 4096)]
    assert verify(made.folder).is_whole


def test_a_torn_first_line_of_a_month_goes_on_from_the_month_before(tmp_path: Path) -> None:
    made = trail(tmp_path, 2)
    (made.folder / "2026-04.jsonl").write_bytes(b'{"act')
    made.record(viewed())
    assert [entry.sequence for entry in written(made)] == [1, 2, 3, 4]
    assert verify(made.folder).is_whole


def test_a_power_cut_between_line_and_head_is_no_tampering(tmp_path: Path) -> None:
    made = trail(tmp_path, 2)
    head = (made.folder / "head.json").read_bytes()
    made.record(viewed())
    (made.folder / "head.json").write_bytes(head)
    assert verify(made.folder).is_whole
    made.record(viewed())
    found = verify(made.folder)
    assert (found.is_whole, found.last, found.notes) == (True, 4, [])


def test_a_month_has_a_file_and_the_chain_goes_on_in_the_next(tmp_path: Path) -> None:
    clock = Clock()
    made = trail(tmp_path, 2, clock)
    clock.at += 40 * 86400
    made.record(viewed())
    assert [p.name for p in files.months(made.folder)] == ["2026-03.jsonl", "2026-04.jsonl"]
    assert verify(made.folder).last == 3


def test_a_clock_that_is_set_back_is_said_and_the_newest_file_goes_on(tmp_path: Path) -> None:
    clock = Clock()
    made = trail(tmp_path, 2, clock)
    clock.at -= 40 * 86400
    made.record(viewed())
    made.record(viewed())
    assert [one.kind for one in remarks(made)] == [RemarkKind.CLOCK]
    assert remarks(made)[0].count == 40 * 86400 - 1
    assert [p.name for p in files.months(made.folder)] == ["2026-03.jsonl"]
    found = verify(made.folder)
    assert found.is_whole
    assert "set back" in found.notes[0]


def test_clocks_that_differ_by_less_than_a_second_are_no_clock_set_back(tmp_path: Path) -> None:
    times = iter([AT, AT - 0.4, AT + 1])
    made = Trail(tmp_path / "audit", clock=lambda: next(times))
    for _ in range(3):
        made.record(viewed())
    assert remarks(made) == []
    assert verify(made.folder).is_whole


def test_a_disk_that_fails_costs_the_act_nothing_and_is_told_when_it_is_well_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trail(tmp_path, 2)
    before = month(made).read_bytes()

    def fails(_: int) -> None:
        raise OSError(5, "input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(trail_module.os, "fsync", fails)
        made.record(viewed())
        made.record(viewed())
    assert month(made).read_bytes() == before
    assert lost_of(made.folder).waiting == 2
    Trail(made.folder, clock=Clock(AT + 100)).record(viewed())  # another process
    assert remarks(made) == [Remark(RemarkKind.LOST, 2)]
    assert lost_of(made.folder).waiting == 0
    assert lost_of(made.folder).at > AT  # health says it for a day
    assert verify(made.folder).is_whole


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = trail(tmp_path, 2)
    before, write = month(made).read_bytes(), os.write
    with monkeypatch.context() as full:
        full.setattr(trail_module.os, "write", lambda fd, data: write(fd, data[:20]))
        made.record(viewed())
    assert month(made).read_bytes() == before
    made.record(viewed())
    assert remarks(made) == [Remark(RemarkKind.LOST, 1)]


def test_what_cannot_even_be_counted_on_the_disk_is_counted_in_memory(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("no folder")
    made = Trail(tmp_path / "audit")
    made.record(viewed())
    made.record(viewed())
    (tmp_path / "audit").unlink()
    made.record(viewed())
    made.record(viewed())
    assert remarks(made) == [Remark(RemarkKind.LOST, 2)]


def test_a_lock_that_is_never_let_go_of_holds_an_act_up_once_and_not_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail_module, "_LOCK_WITHIN_S", 0.3)
    made = trail(tmp_path, 1)
    with (made.folder / "lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        begun = time.monotonic()
        other = Trail(made.folder)
        other.record(viewed())
        first_s = time.monotonic() - begun
        other.record(viewed())
        second_s = time.monotonic() - begun - first_s
    assert 0.2 < first_s < 2.0
    assert second_s < first_s
    assert lost_of(made.folder).waiting == 2


def test_foreign_text_of_any_length_stays_one_line(tmp_path: Path) -> None:
    made = trail(tmp_path)
    made.record(viewed(name="a\n\x00\ud800 b" * 10_000))
    made.record(viewed(name="Jürgen"))
    assert [len(entry.said.actor.name) for entry in written(made)] == [200, 6]  # type: ignore[union-attr]
    assert verify(made.folder).is_whole


def test_months_whose_time_is_over_go_and_the_chain_says_where_they_ended(tmp_path: Path) -> None:
    clock = Clock()
    made = trail(tmp_path, 3, clock)
    clock.at += 31 * 86400
    made.record(viewed())
    clock.at += 31 * 86400
    made.record(viewed())
    assert made.close_months(40, sent=2) == 0  # its last line was not sent on yet
    assert made.close_months(400) == 0
    assert made.close_months(32, sent=5) == 1
    assert [p.name for p in files.months(made.folder)] == ["2026-04.jsonl", "2026-05.jsonl"]
    (said,) = remarks(made)
    assert (said.kind, said.detail, said.end and said.end[0]) == (
        RemarkKind.REMOVED, "2026-03", 3,
    )  # fmt: skip
    found = verify(made.folder)
    assert (found.is_whole, found.first, found.last) == (True, 4, 6), found


def test_the_newest_month_is_never_removed(tmp_path: Path) -> None:
    clock = Clock()
    made = trail(tmp_path, 3, clock)
    clock.at += 1000 * 86400
    assert made.close_months(1) == 0


def test_lost_is_nothing_where_the_file_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "lost.json").write_text("[]")
    assert lost_of(tmp_path) == LostEvents()
