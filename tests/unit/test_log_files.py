"""The kept log: bounded, by role, read back by filter and cursor, and rid of a patient in place."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cadnode import log, log_files
from cadnode.log_files import LogFilter, LogWriter, blank, read, segments

KEY = "aaaabbbbccccdddd"
BEGUN = datetime(2026, 3, 4, 15, 0, tzinfo=UTC)


def at(second: int) -> str:
    return (BEGUN + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def line(second: int, event: str = "read", level: str = "info", **fields: object) -> str:
    return json.dumps({"event": event, "level": level, "timestamp": at(second), **fields})


def writer(folder: Path, role: str = "worker", most_bytes: int = 10_000_000) -> LogWriter:
    return LogWriter(folder, role, most_bytes, lambda: BEGUN)


def filled(folder: Path) -> None:
    """Four lines of the worker, one of the web between them."""
    worker, web = writer(folder), writer(folder, "web")
    worker(line(1, "queued", study=KEY))
    worker(line(2, "read_failed", "error", job=f"process-{KEY}-c-1"))
    web(line(3, "web_answered", "debug", status=200))
    worker(line(4, "delivered", destination="archive", study="1" * 16))
    worker(line(5, "tick"))


def seen(folder: Path, **wanted: object) -> list[str]:
    page = read(folder, LogFilter(**wanted))  # type: ignore[arg-type]
    return [one.event for one in page.lines]


def test_lines_of_all_roles_are_read_the_newest_first(tmp_path: Path) -> None:
    filled(tmp_path)
    assert seen(tmp_path) == ["tick", "delivered", "web_answered", "read_failed", "queued"]
    (first, *_) = read(tmp_path, LogFilter()).lines
    assert (first.role, first.level, first.time) == ("worker", "info", BEGUN + timedelta(seconds=5))


@pytest.mark.parametrize(
    ("wanted", "events"),
    [
        ({"study": KEY}, ["read_failed", "queued"]),  # of its jobs, too
        ({"event": "deliver"}, ["delivered"]),
        ({"level": "error"}, ["read_failed"]),
        ({"level": "info"}, ["tick", "delivered", "read_failed", "queued"]),
        ({"role": "web"}, ["web_answered"]),
        ({"since": at(4)}, ["tick", "delivered"]),
        ({"until": at(2)}, ["queued"]),
        ({"study": "9" * 16}, []),
    ],
)
def test_each_filter_lets_its_lines_pass(
    tmp_path: Path, wanted: dict[str, object], events: list[str]
) -> None:
    filled(tmp_path)
    assert seen(tmp_path, **wanted) == events


def test_a_cursor_goes_on_where_a_page_ended_however_much_comes(tmp_path: Path) -> None:
    write = writer(tmp_path)
    for second in range(20):
        write(line(second // 2, f"e{second}"))  # two lines a moment
    found, after = [], ""
    for _ in range(10):
        page = read(tmp_path, LogFilter(after=after, limit=3))
        found += [one.event for one in page.lines]
        write(line(100, "later"))
        after = page.after
        if not after:
            break
    assert found == [f"e{n}" for n in range(19, -1, -1)]
    assert read(tmp_path, LogFilter(limit=100, level="error")).after == ""


def test_files_turn_by_size_and_the_oldest_go(tmp_path: Path) -> None:
    ticks = iter(range(1000))
    write = LogWriter(tmp_path, "web", 16 * 65536, lambda: BEGUN + timedelta(seconds=next(ticks)))
    for n in range(8000):
        write(line(n, "e" * 50))
    files = segments(tmp_path)
    assert len(files) == 4
    assert all(path.stat().st_size <= 65536 for path in files)
    assert read(tmp_path, LogFilter(limit=1)).lines[0].at == at(7999)
    assert stat.S_IMODE(files[-1].stat().st_mode) & 0o137 == 0


def test_a_new_process_goes_on_in_the_newest_file_and_leaves_other_roles_alone(
    tmp_path: Path,
) -> None:
    writer(tmp_path, "listener")(line(1, "first"))
    writer(tmp_path, "listener")(line(2, "second"))
    writer(tmp_path)(line(3))
    assert len(segments(tmp_path, "listener")) == 1
    assert seen(tmp_path, role="listener") == ["second", "first"]


def test_what_cannot_be_written_is_left_out_and_what_is_damaged_passed_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    writer(tmp_path / "file" / "log")(line(1))  # no folder can be there
    filled(tmp_path)
    (path,) = segments(tmp_path, "web")
    path.write_bytes(b'{"event": 1}\n[1]\n\xff\n{"cut' + b"\n" + line(9, "whole").encode())
    assert seen(tmp_path, role="web") == ["whole"]
    assert read(tmp_path / "nowhere", LogFilter()).lines == ()


def test_a_patients_lines_are_emptied_while_the_file_is_written(tmp_path: Path) -> None:
    write = writer(tmp_path)
    write(line(1, "mine", study=KEY))
    write(line(2, "others"))
    (path,) = segments(tmp_path)
    before = path.stat()
    assert blank(path, lambda text: KEY in text) == 1
    write(line(3, "after"))
    assert KEY not in path.read_text()
    assert path.stat().st_ino == before.st_ino
    assert seen(tmp_path) == ["after", "others"]
    assert blank(path, lambda text: KEY in text) == 0


def test_the_logger_gives_each_line_to_the_file_with_allowed_fields_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("INFO", human=True, also=writer(tmp_path))
    log.get_logger("test").info("stored", count=4, patient_name="DOE^JANE", study=KEY)
    log.get_logger("test").debug("unseen")
    (found,) = read(tmp_path, LogFilter()).lines
    assert (found.event, found.fields) == ("stored", {"room": "test", "count": 4, "study": KEY})
    assert "stored" in capsys.readouterr().err
    assert "DOE" not in segments(tmp_path)[0].read_text()


def test_a_file_that_was_closed_behind_the_writer_is_opened_again(tmp_path: Path) -> None:
    write = writer(tmp_path)
    write(line(1, "one"))
    os.close(write._descriptor)
    write(line(2, "lost"))
    write(line(3, "three"))
    assert seen(tmp_path) == ["three", "one"]
    assert log_files.severity("nonsense") == log_files.severity("info")
