"""Files of secrets: whose rights are too wide, and what happens when they change."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from cadnode import log
from cadnode.errors import SettingsError
from cadnode.identity.secret_file import NOT_OTHERS, Followed, SecretFileError, first_line, read
from tests.unit.identity.cases import secret_file


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_a_file_for_its_owner_and_group_is_read(tmp_path: Path, mode: int) -> None:
    lines, _ = read(secret_file(tmp_path / "f", "one", "two", mode=mode), "web.users_file")
    assert lines == ["one", "two"]


@pytest.mark.parametrize(
    ("mode", "wrong"),
    [
        (0o644, "everybody"), (0o641, "everybody"), (0o642, "everybody"),
        (0o660, "changed by its group"), (0o740, "0640 at most"), (0o650, "0640 at most"),
    ],
)  # fmt: skip
def test_a_file_that_others_reach_is_refused_with_what_to_do(
    tmp_path: Path, mode: int, wrong: str
) -> None:
    with pytest.raises(SecretFileError, match=wrong) as raised:
        read(secret_file(tmp_path / "f", "hush", mode=mode), "web.users_file")
    assert "`chmod" in str(raised.value)
    assert raised.value.code == "rights"
    assert "hush" not in str(raised.value)


def test_a_file_of_somebody_elses_is_only_kept_from_others(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "f", " s3cret ", "more", mode=0o660)
    assert read(path, "key", NOT_OTHERS)[0] == [" s3cret ", "more"]
    assert first_line(path, "key", "advice") == "s3cret"


@pytest.mark.parametrize("content", [b"", b"\n", b" \nx", "é".encode(), b"a\x07b"])
def test_a_first_line_that_is_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    path = secret_file(tmp_path / "f")
    path.write_bytes(content)
    with pytest.raises(SecretFileError, match="the provider gives it"):
        first_line(path, "key", "the provider gives it")


def test_what_is_no_text_file_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    binary = secret_file(tmp_path / "binary", mode=0o600)
    binary.write_bytes(b"\xff\xfe")
    large = secret_file(tmp_path / "large", "x" * (1 << 20), mode=0o600)
    for path in (pipe, binary, large, tmp_path, tmp_path / "none"):
        with pytest.raises(SecretFileError):
            read(path, "key")


def number(lines: Sequence[str]) -> int:
    try:
        return int(lines[0])
    except (IndexError, ValueError):
        raise SettingsError("no number") from None


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "f", "1")
    followed = Followed(path, "key", number)
    assert followed.now() == 1
    secret_file(path, "22")
    assert followed.now() == 22
    other = secret_file(tmp_path / "g", "33")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)  # same size, same time: another file
    assert followed.now() == 33


@pytest.mark.parametrize("damage", ["content", "rights", "gone"])
def test_a_broken_new_version_keeps_the_old_and_is_said_once(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("INFO")
    path = secret_file(tmp_path / "f", "1")
    followed = Followed(path, "web.users_file", number)
    if damage == "gone":
        path.unlink()
    else:
        secret_file(path, "x" if damage == "content" else "5")
        path.chmod(0o640 if damage == "content" else 0o644)
    assert [followed.now() for _ in range(5)] == [1] * 5
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "secret_file_refused" in lines[0]
    assert "web.users_file" in lines[0]
    secret_file(path, "77")
    assert followed.now() == 77


def test_mended_rights_alone_are_seen(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "f", "1")
    followed = Followed(path, "key", number)
    secret_file(path, "22", mode=0o644)
    assert followed.now() == 1
    path.chmod(0o640)
    assert followed.now() == 22


def test_a_file_that_cannot_be_used_at_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        Followed(secret_file(tmp_path / "f", "x"), "key", number)
