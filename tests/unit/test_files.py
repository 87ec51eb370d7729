from pathlib import Path

import pytest

from cadnode.files import write_whole, written_whole


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
