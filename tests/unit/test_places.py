"""Where nothing can be written, a command says so before it works, in one sentence, with exit 2."""

import os
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cadnode import places
from cadnode.cli.app import app
from cadnode.errors import SettingsError

FOLDER_COMMANDS = [
    "read {exam} --out {place}",
    "phantom --out {place}",
    "demo --out {place}",
    *(f"train {name} --out {{place}}" for name in
      ("kim2018", "kang2021", "helsinki_dtl", "wang2016", "detection")),
    "train kim2018 --out {place} --dry-run",
    "models export dib-mg-film --bundle {place}",
]  # fmt: skip
FILE_COMMANDS = [
    *(f"evaluate {name} --data phantom:4 {option} {{place}}"
      for name in ("kim2018", "kang2021", "helsinki_dtl", "wang2016", "detection")
      for option in ("--json", "--html")),
    "models export dib-mg-film --onnx {place}",
    "models shadow --html {place}",
    "data manifest {exam} --out {place}",
    "data split {exam} --out {place}",
    *(f"compare a b --data phantom:4 {option} {{place}}"
      for option in ("--json", "--html", "--scored")),
    *(f"report a --data phantom:4 --html {{exam}}/p.html {option} {{place}}"
      for option in ("--json", "--scored", "--markdown", "--csv")),
    "report a --data phantom:4 --html {place}",
]  # fmt: skip


def refused(command: str, exam: Path, place: Path) -> str:
    """What a command says of a place; it has not begun to work."""
    words = shlex.split(command.format(exam=exam, place=place))
    result = CliRunner().invoke(app, words, env={"COLUMNS": "400"})
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert str(place) in result.stderr
    assert "cannot be written" in result.stderr
    return result.stderr


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    (tmp_path / "exam").mkdir()
    return tmp_path / "exam"


@pytest.fixture
def occupied(tmp_path: Path) -> Path:
    (tmp_path / "occupied").write_text("mine")
    return tmp_path / "occupied"


@pytest.mark.parametrize("command", FOLDER_COMMANDS)
def test_a_folder_that_is_a_file_is_refused_before_the_work(
    command: str, exam: Path, occupied: Path
) -> None:
    assert "it is no folder" in refused(command, exam, occupied)
    assert f"{occupied} is no folder" in refused(command, exam, occupied / "below")
    assert occupied.read_text() == "mine"


@pytest.mark.parametrize("command", FILE_COMMANDS)
def test_a_file_that_is_a_folder_or_below_a_file_is_refused_before_the_work(
    command: str, exam: Path, occupied: Path
) -> None:
    assert "it is a folder" in refused(command, exam, exam)
    assert "is no folder" in refused(command, exam, occupied / "below.json")
    assert list(exam.iterdir()) == []


@pytest.mark.parametrize("place", ["/proc/cadnode", "/proc/a/b", "/dev/null/x", "{0}/" + "x" * 300])
def test_a_place_where_even_root_cannot_write_is_refused(place: str, tmp_path: Path) -> None:
    for trial in (places.folder, places.file):
        with pytest.raises(SettingsError, match=r"^--out .* cannot be written: .+"):
            trial(Path(place.format(tmp_path)), "--out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SettingsError, match="Permission denied"):
        places.folder(tmp_path / "a", "--out")
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("place", ["new", "new/deeper/still", ".", "[x]"])
def test_a_trial_takes_what_can_be_made_and_leaves_nothing(place: str, tmp_path: Path) -> None:
    places.folder(tmp_path / place, "--out")
    places.file(tmp_path / place / "a.json", "--json")

    assert list(tmp_path.iterdir()) == []


def test_a_relative_place_is_tried_where_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    places.folder(Path("out/demo"), "--out")
    places.file(Path("a.json"), "--json")
    Path("out").write_text("a file")

    with pytest.raises(SettingsError, match="--out out/demo cannot be written: out is no folder"):
        places.folder(Path("out/demo"), "--out")


def test_a_file_that_is_there_may_be_written_again_and_a_device_may(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")

    places.file(tmp_path / "a.json", "--json")
    places.file(Path("/dev/null"), "--json")

    assert (tmp_path / "a.json").read_text() == "old"


def test_a_link_that_leads_nowhere_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")

    with pytest.raises(SettingsError, match="it is no folder"):
        places.folder(tmp_path / "link", "--out")
