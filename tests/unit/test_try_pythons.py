"""`deploy/try-pythons.sh` with Pythons that only pretend: what is tried, shown and returned."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "try-pythons.sh"
STEPS = ("install", "check", "demo", "train", "add", "activate")
# Answers what the script asks of an interpreter; `FAIL` is a line "3.12 demo".
PYTHON = """#!/usr/bin/env bash
number=@NUMBER@ here=$(dirname "$0")
echo "python $number $*" >>"$CALLS"
case "$1 $2" in
  "-c import sys;"*) echo "${number%.*}" ;;
  "-c import platform,"*) echo "$number 3.40.1" ;;
  "-c import socket;"*) echo 12345 ;;
  "-c import json;"*) echo "a@1.0.1" ;;
  "-m venv")
    mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && cp "${0%/*}/cadnode$number" "$4/bin/cadnode" ;;
  "-m pip")
    [ "$3" = wheel ] && [ "$FAIL" = wheel ] && exit 1
    [ "$3" = wheel ] && mkdir -p "$7" && touch "$7/cadnode-1-py3-none-any.whl"
    [ "$3" = install ] && [ "$FAIL" = "${number%.*} install" ] && exit 1
    exit 0 ;;
esac
"""
CADNODE = """#!/usr/bin/env bash
number=@NUMBER@
echo "cadnode $number $* PYTHONPATH=${PYTHONPATH-}" >>"$CALLS"
case "$1 $2" in models*) step=$2 ;; *) step=$1 ;; esac
[ "$FAIL" = "${number%.*} $step" ] && { echo "no luck"; exit 1; }
case "$step" in
  demo) mkdir -p demo && [ "$FAIL" != page ] && echo page >demo/index.html || true ;;
  add) echo '[{"name": "a", "version": "1.0.1"}]' ;;
esac
exit 0
"""


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def python(folder: Path, name: str, number: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / name, PYTHON.replace("@NUMBER@", number))
    write(folder / f"cadnode{number}", CADNODE.replace("@NUMBER@", number))


class Tried:
    """One run of the script with the Pythons in `tmp_path`."""

    def __init__(self, tmp_path: Path, *words: str, fail: str = "") -> None:
        self.work, calls = tmp_path / "work", tmp_path / "calls"
        calls.write_text("")
        done = subprocess.run(
            [str(SCRIPT), *words], capture_output=True, text=True, check=False,
            env={
                "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path),
                "PYENV_ROOT": str(tmp_path / "pyenv"), "TRY_IN": str(self.work),
                "CALLS": str(calls), "FAIL": fail, "PYTHONPATH": "/somewhere",
            },
        )  # fmt: skip
        self.code, self.errors = done.returncode, done.stderr
        self.text = done.stdout
        lines = [line.split() for line in done.stdout.replace(" s", "s").splitlines()]
        self.table = {line[0].rstrip(":"): line[1:] for line in lines if line}
        self.calls = calls.read_text()


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Python 3.12 on the path, 3.13 of pyenv."""
    python(tmp_path / "bin", "python3.12", "3.12.9")
    python(tmp_path / "pyenv/versions/3.13.4/bin", "python", "3.13.4")
    return tmp_path


def test_every_python_that_is_found_takes_all_steps(two: Path) -> None:
    tried = Tried(two, "3.12", "3.13")

    assert tried.code == 0, tried.errors
    assert tried.table["Python"] == ["SQLite", *STEPS]
    for number in ("3.12.9", "3.13.4"):
        sqlite, *cells = tried.table[number]
        assert sqlite == "3.40.1"
        assert len(cells) == len(STEPS)
        assert all(cell.endswith("s") for cell in cells)
        assert f"cadnode {number} models activate a@1.0.1" in tried.calls
    assert "/somewhere" not in tried.calls
    assert not (tried.work / "3.12.9/venv").exists()


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_is_named_the_next_are_left_out_and_other_pythons_go_on(
    step: str, two: Path
) -> None:
    tried = Tried(two, "3.12", "3.13", fail=f"3.12 {step}")

    at = STEPS.index(step)
    cells = tried.table["3.12.9"][1:]
    assert tried.code == 1
    assert cells[at:] == ["FAILED", *["-"] * (len(STEPS) - at - 1)]
    assert all(cell.endswith("s") for cell in cells[:at])
    assert all(cell.endswith("s") for cell in tried.table["3.13.4"][1:])
    assert f"{step} failed" in tried.errors


def test_a_demo_without_its_page_has_failed(two: Path) -> None:
    assert Tried(two, "3.12", fail="page").table["3.12.9"][1:4][-1] == "FAILED"


def test_a_version_that_is_not_there_has_a_line_and_is_no_failure(two: Path) -> None:
    tried = Tried(two, "3.12", "3.99")

    assert tried.code == 0
    assert tried.table["3.99"] == ["not", "found"]


def test_a_shim_that_stands_for_nothing_is_passed_over(two: Path) -> None:
    write(
        two / "bin/python3.13",
        "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n",
    )

    assert Tried(two, "3.13").table["3.13.4"][0] == "3.40.1"


def test_the_newest_of_pyenv_is_taken(two: Path) -> None:
    python(two / "pyenv/versions/3.13.11/bin", "python", "3.13.11")

    assert set(Tried(two, "3.13").table) == {"Python", "3.13.11"}


@pytest.mark.parametrize(
    ("words", "fail", "said"),
    [
        (("3.99",), "", "None of Python 3.99 was found"),
        (("3.12",), "wheel", "The wheel cannot be built"),
    ],
)
def test_when_nothing_can_be_tried_the_reason_is_said(
    words: tuple[str, ...], fail: str, said: str, two: Path
) -> None:
    tried = Tried(two, *words, fail=fail)

    assert tried.code == 2
    assert said in tried.errors


def test_keep_leaves_the_environments(two: Path) -> None:
    assert (Tried(two, "--keep", "3.12").work / "3.12.9/venv/bin/cadnode").exists()


def test_an_unknown_word_prints_what_there_is(two: Path) -> None:
    tried = Tried(two, "--what")

    assert tried.code == 2
    assert "deploy/try-pythons.sh [--keep]" in tried.text
    assert tried.text.rstrip().endswith("2 when no step ran.")
    assert tried.calls == ""
