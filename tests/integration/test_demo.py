"""`cadnode demo` as a newcomer runs it, with the embedded archive (`make demo` takes Orthanc)."""

import json
import shutil
import subprocess
from pathlib import Path

import pydicom
import pytest
from typer.testing import CliRunner

from cadnode.cli.app import app

CHROMIUM = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def test_the_demo_ends_with_objects_in_the_archive_and_a_page_that_shows_them(
    tmp_path: Path,
) -> None:
    result = CliRunner().invoke(
        app, ["demo", "--archive", "embedded", "--exam", "benign", "--out", str(tmp_path), "--json"]
    )
    assert result.exit_code == 0, result.output
    shown = json.loads(result.stdout)
    assert shown["objects"] == 5
    assert 0 < shown["result"]["exam"]["score"] < 1
    names = {p.name for p in tmp_path.glob("*.dcm")}
    assert names == {"sr.dcm"} | {f"heat-map-{v}.dcm" for v in ("rcc", "lcc", "rmlo", "lmlo")}
    studies = {
        pydicom.dcmread(tmp_path / n, stop_before_pixels=True).StudyInstanceUID for n in names
    }
    assert studies == {shown["result"]["exam"]["study_instance_uid"]}
    dom = rendered(tmp_path / "index.html", tmp_path)
    for view in ("RCC", "LCC", "RMLO", "LMLO"):
        assert f'alt="heat map of {view}"' in dom
    assert "Research use only" in dom


def rendered(page: Path, folder: Path) -> str:
    """The page's DOM after a real browser has loaded it."""
    browser = shutil.which("chromium")
    assert browser, "Chromium is missing: deploy/system-packages.sh test"
    command = [
        browser,
        *CHROMIUM,
        f"--user-data-dir={folder / 'profile'}",
        "--dump-dom",
        page.as_uri(),
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.mark.parametrize(("option", "value"), [("--exam", "lost"), ("--archive", "tape")])
def test_a_demo_that_does_not_exist_is_explained(tmp_path: Path, option: str, value: str) -> None:
    result = CliRunner().invoke(app, ["demo", option, value, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert value in result.stderr
