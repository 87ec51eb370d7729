"""Whatever is done to the lines of a trail, `verify` finds the first place that does not fit."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadnode.audit.entry import Remark, RemarkKind, TrailEntry, parsed
from cadnode.audit.files import end_of, lost_of
from cadnode.audit.verify import verify
from tests.unit.audit.cases import Clock, month, trail, viewed

N = 6
Lines = list[bytes]


def changed(lines: Lines, at: int) -> Lines:
    return [*lines[:at], lines[at].replace(b'"success"', b'"failure"'), *lines[at + 1 :]]


def removed(lines: Lines, at: int) -> Lines:
    return [*lines[:at], *lines[at + 1 :]]


def doubled(lines: Lines, at: int) -> Lines:
    return [*lines[:at], lines[at], *lines[at:]]


def swapped(lines: Lines, at: int) -> Lines:
    return [*lines[:at], lines[at + 1], lines[at], *lines[at + 2 :]]


def rubbish(lines: Lines, at: int) -> Lines:
    return [*lines[:at], b"rubbish\n", *lines[at + 1 :]]


def spaced(lines: Lines, at: int) -> Lines:
    return [*lines[:at], lines[at].replace(b":", b": ", 1), *lines[at + 1 :]]


def forged(lines: Lines, at: int) -> Lines:
    """Changed, with a hash that fits the line itself."""
    entry, before = parsed(changed(lines, at)[at]), parsed(lines[at - 1])
    assert entry is not None
    assert before is not None
    document = entry.as_dict() | {"hash": entry.hash_after(before.hash)}
    line = json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    return [*lines[:at], line, *lines[at + 1 :]]


@pytest.mark.parametrize("change", [changed, removed, doubled, swapped, rubbish, spaced, forged])
@pytest.mark.parametrize("at", [1, 3])
def test_a_line_that_is_tampered_with_is_found_at_its_place(
    tmp_path: Path, change: Callable[[Lines, int], Lines], at: int
) -> None:
    made = trail(tmp_path, N)
    path = month(made)
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True), at)))
    found = verify(made.folder)
    assert found.broken is not None
    assert found.broken.file == path.name
    # A line that was forged with its own hash is found at the next one, which is bound to it.
    first = {doubled: at + 2, forged: at + 2}.get(change, at + 1)
    assert found.broken.line == first
    made.record(viewed())  # the chain goes on, and the place stays found
    assert verify(made.folder).broken == found.broken


def test_the_first_line_is_bound_to_the_beginning(tmp_path: Path) -> None:
    made = trail(tmp_path, N)
    path = month(made)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(changed(lines, 0)))
    assert verify(made.folder).broken is not None
    path.write_bytes(b"".join(lines[1:]))
    found = verify(made.folder).broken
    assert found is not None
    assert "before line 2 are gone" in found.meaning


@pytest.mark.parametrize("n_left", [0, 1, N - 1])
def test_a_cut_end_is_found_and_stays_found(tmp_path: Path, n_left: int) -> None:
    made = trail(tmp_path, N)
    path = month(made)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:n_left]))
    found = verify(made.folder).broken
    assert found is not None
    assert found.meaning == f"lines {n_left + 1} to {N} were cut off at the end"
    made.record(viewed())
    after = verify(made.folder).broken
    assert after is not None
    made.record(viewed())
    assert verify(made.folder).broken == after


def test_a_cut_end_of_which_the_head_was_removed_is_found(tmp_path: Path) -> None:
    made = trail(tmp_path, N)
    (made.folder / "head.json").unlink()
    assert "cannot be told" in str(verify(made.folder).broken)
    made.record(viewed())
    assert "head.json" in str(verify(made.folder).broken)


def test_a_last_line_that_was_replaced_is_found(tmp_path: Path) -> None:
    made = trail(tmp_path, N)
    path = month(made)
    path.write_bytes(b"".join(forged(path.read_bytes().splitlines(keepends=True), N - 1)))
    assert "not the one that was written" in str(verify(made.folder).broken)


def test_a_removed_month_that_no_line_tells_of_is_found(tmp_path: Path) -> None:
    clock = Clock()
    made = trail(tmp_path, 3, clock)
    clock.at += 40 * 86400
    made.record(viewed())
    shutil.copy(month(made), tmp_path / "kept")
    (made.folder / "2026-03.jsonl").unlink()
    assert "before line 4 are gone" in str(verify(made.folder).broken)


def test_a_line_of_another_month_removed_between_two_is_found(tmp_path: Path) -> None:
    clock = Clock()
    made = trail(tmp_path, 2, clock)
    for _ in range(2):
        clock.at += 31 * 86400
        made.record(viewed())
    (made.folder / "2026-04.jsonl").unlink()
    found = verify(made.folder).broken
    assert found is not None
    assert (found.file, found.line) == ("2026-05.jsonl", 1)
    assert "line 4 follows line 2" in found.meaning


def test_time_that_goes_back_without_a_line_that_says_so_is_found(tmp_path: Path) -> None:
    made = trail(tmp_path, 2)
    path = month(made)
    first, second = path.read_bytes().splitlines(keepends=True)
    entry, before = parsed(second.replace(b"2026-03", b"2026-02")), parsed(first)
    assert entry is not None
    assert before is not None
    document = entry.as_dict() | {"hash": entry.hash_after(before.hash)}
    line = json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    path.write_bytes(first + line)
    assert "time" in str(verify(made.folder).broken)


def test_nothing_there_yet_is_whole(tmp_path: Path) -> None:
    found = verify(tmp_path / "audit")
    assert (found.is_whole, found.n_lines) == (True, 0)


def test_all_files_removed_but_the_head_are_found(tmp_path: Path) -> None:
    made = trail(tmp_path, 3)
    month(made).unlink()
    assert "lines 1 to 3 were cut off" in str(verify(made.folder).broken)


@given(data=st.data())
def test_no_byte_of_a_line_can_be_changed_unseen(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    made = trail(tmp_path_factory.mktemp("trail"), 3)
    path = month(made)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255).filter(lambda byte: byte != content[at]))
    path.write_bytes(content)
    assert not verify(made.folder).is_whole


@pytest.mark.parametrize("number", ["1e999", "1" * 5000, "-1e999", "null", "[]", '"x"'])
@pytest.mark.parametrize("file", ["head.json", "lost.json", "month"])
def test_a_number_that_is_none_ends_nothing(tmp_path: Path, file: str, number: str) -> None:
    made = trail(tmp_path, N)
    path = month(made) if file == "month" else made.folder / file
    word = "waiting" if file == "lost.json" else "sequence"
    lines = path.read_text().splitlines(keepends=True)
    lines[-1] = re.sub(rf'"{word}": ?\d+', f'"{word}":{number}', lines[-1])
    path.write_text("".join(lines))
    assert verify(made.folder).is_whole is (file == "lost.json")
    assert lost_of(made.folder).waiting == 0
    made.record(viewed())  # and the trail goes on
    assert end_of(made.folder).last is not None


def test_a_line_of_the_trail_itself_whose_detail_is_no_text_is_none(tmp_path: Path) -> None:
    made = trail(tmp_path, N)
    entry = TrailEntry(7, "2026-03-04T05:06:07.000000Z", "CADNODE", "1", Remark(RemarkKind.LOST, 1))
    said = {**entry.as_dict(), "detail": {"a": 1}, "hash": "0" * 64}
    assert parsed(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()) is None
    assert verify(made.folder).is_whole
