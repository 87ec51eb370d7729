import os
from pathlib import Path

import pytest

from cadnode.files import is_locked, lock, locked, write_whole, written_whole


def test_a_file_appears_whole_in_a_folder_made_for_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "new" / "a", b"content")
    assert (tmp_path / "new" / "a").read_bytes() == b"content"


def test_after_an_error_the_old_file_is_as_it_was_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, b"old")
    with pytest.raises(ZeroDivisionError):
        fail_half_way(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def fail_half_way(path: Path) -> None:
    with written_whole(path) as file:
        file.write(b"half")
        raise ZeroDivisionError


def test_the_file_is_not_there_before_the_block_ends(tmp_path: Path) -> None:
    with written_whole(tmp_path / "a") as file:
        file.write(b"half")
        assert not (tmp_path / "a").exists()


def test_a_file_is_locked_within_the_block_and_keeps_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("of an old node")
    with locked(path):
        assert is_locked(path, when_missing=False)
    assert not is_locked(path, when_missing=True)
    assert path.read_text() == "of an old node"


def test_a_lock_file_is_made_with_the_mode_that_is_asked_for(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", mode=0o600):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_several_hold_a_shared_lock_and_nobody_else_one_beside_them(tmp_path: Path) -> None:
    path = tmp_path / "role.lock"
    with locked(path, shared=True), locked(path, shared=True):
        assert is_locked(path, when_missing=False)
    assert not is_locked(path, when_missing=True)


def test_who_does_not_wait_is_refused_while_another_holds_a_folder(tmp_path: Path) -> None:
    one, other = (os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY) for _ in range(2))
    assert lock(one)
    assert not lock(other, wait=False)
    os.close(one)
    assert lock(other, wait=False)
    os.close(other)


@pytest.mark.parametrize("answer", [True, False])
def test_of_a_file_that_is_missing_the_caller_says_what_it_means(
    tmp_path: Path, *, answer: bool
) -> None:
    assert is_locked(tmp_path / "a", when_missing=answer) is answer
