"""What happened to a study on its way: few lines, in order, and never in anybody's way."""

import json
from pathlib import Path

from cadnode.receive.way_log import FOLDER, KEPT, Passed, WayEntry, WayLog

STUDY = "0123456789abcdef"


def test_lines_come_back_in_order_with_what_they_said(tmp_path: Path) -> None:
    log = WayLog(tmp_path)
    assert log.entries(STUDY) == ([], 0)
    told = [
        WayEntry(10.0, Passed.ARRIVED, "MODALITY", n=4),
        WayEntry(11.0, Passed.READ, how="MemoryError"),
        WayEntry(12.0, Passed.READ, n=4, seconds=1.5),
    ]
    for one in told:
        log.record(STUDY, one)
    assert log.entries(STUDY) == (told, 0)
    assert oct((tmp_path / FOLDER / f"{STUDY}.jsonl").stat().st_mode)[-3:] == "640"


def test_of_very_many_lines_the_last_are_kept_and_the_others_counted(tmp_path: Path) -> None:
    log = WayLog(tmp_path)
    n = 3000
    for at in range(1, n + 1):
        log.record(STUDY, WayEntry(float(at), Passed.FETCH, "orthanc", "source_unreachable"))
    kept, n_left_out = log.entries(STUDY)
    assert kept[-1].at == n
    assert len(kept) >= KEPT
    assert len(kept) + n_left_out == n
    assert [one.at for one in kept] == [float(at) for at in range(n_left_out + 1, n + 1)]
    assert (tmp_path / FOLDER / f"{STUDY}.jsonl").stat().st_size < 40_000


def test_a_line_that_is_cut_or_of_another_version_costs_that_line_only(tmp_path: Path) -> None:
    log = WayLog(tmp_path)
    log.record(STUDY, WayEntry(1.0, Passed.ARRIVING, "A"))
    with (tmp_path / FOLDER / f"{STUDY}.jsonl").open("a") as file:
        file.write('{"at": 2\n' + json.dumps({"at": 3.0, "what": "beamed"}) + "\n[1]\n")
        for wrong in ({"at": None}, {"at": "noon"}, {"at": 1e300}, {"at": 5.0, "n": "four"}):
            file.write(json.dumps({"what": "read", **wrong}) + "\n")
    log.record(STUDY, WayEntry(4.0, Passed.ARRIVED, "A", n=1))
    assert [one.at for one in log.entries(STUDY)[0]] == [1.0, 4.0]


def test_a_folder_that_cannot_be_written_holds_up_nobody(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file has its name")
    WayLog(tmp_path).record(STUDY, WayEntry(1.0, Passed.READ))
    assert WayLog(tmp_path).entries(STUDY) == ([], 0)


def test_studies_that_nobody_knows_any_more_lose_their_way_after_a_while(tmp_path: Path) -> None:
    log, other = WayLog(tmp_path), "f" * 16
    for key in (STUDY, other):
        log.record(key, WayEntry(1.0, Passed.READ))
    assert log.forget_others({STUDY}, before=0.0) == 0
    assert log.forget_others({STUDY}, before=4e9) == 1
    assert log.entries(STUDY)[0]
    assert not log.entries(other)[0]
