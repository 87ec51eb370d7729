"""`cadnode models import` as an administrator uses it."""

import json
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from cadnode import extras
from cadnode.cli.models import models_app
from cadnode.domain import Laterality, ViewPosition
from cadnode.models import onnx_child, onnx_gate, onnx_trial, store
from tests.unit import onnx_cases


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process of its own and no drawn exam, which take seconds; both have their tests."""
    monkeypatch.setattr(onnx_child, "brought", onnx_gate.brought)
    monkeypatch.setattr(
        onnx_child, "tried", lambda folder, name, views=(): onnx_trial.tried(folder, views)
    )
    row, col = np.mgrid[:160, :120]
    views = []
    for level, side in ((0.4, Laterality.RIGHT), (0.8, Laterality.LEFT)):
        image = np.where(np.hypot(row - 80, col) < 70, level, 0).astype(np.float32)
        shown = image if side is Laterality.LEFT else image[:, ::-1].copy()
        views.append(SimpleNamespace(image=shown, laterality=side, view=ViewPosition.CC))
    drawing = import_module("cadnode_training.phantom.exam")
    monkeypatch.setattr(drawing, "exam", lambda seed: SimpleNamespace(views=views))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "cadnode.toml"
    file.write_text(f"[storage]\nfolder = '{tmp_path / 'data'}'\n")
    return file


def run(config: Path, *words: object) -> Result:
    env = {"COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(models_app, [*map(str, words), "--config", str(config)], env=env)


def brought(tmp_path: Path, **changes: Any) -> list[object]:
    file, spec, card = onnx_cases.written(tmp_path / "brought", **changes)
    return ["import", file, "--kind", "view", "--spec", spec, "--card", card]


def listed(config: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(config, "list", "--json").stdout)
    return found


def test_a_dry_run_shows_what_would_be_served_and_changes_nothing(
    config: Path, tmp_path: Path
) -> None:
    result = run(config, *brought(tmp_path, spec=onnx_cases.spec_text(of="grad_cam")), "--dry-run")

    assert result.exit_code == 0, result.output
    assert "brought, system maker: reads whole views, digital" in result.stdout
    assert "map     grad_cam, 8 × 8" in result.stdout
    assert "phantom exam: RCC 0." in result.stdout
    assert "limit   it was never trained" in result.stdout
    assert "Nothing was changed." in result.stdout
    assert not (tmp_path / "data" / "models" / "brought").exists()


def test_it_is_listed_with_its_system_activated_and_rolled_back(
    config: Path, tmp_path: Path
) -> None:
    first = run(config, *brought(tmp_path))
    assert "brought@1.0.0 is added and switched off" in first.stdout

    off = listed(config)
    assert run(config, "activate", "brought").exit_code == 0
    on = listed(config)
    assert run(config, "rollback", "brought").exit_code == 0

    states = [
        next(s["active"] for s in found["systems"] if s["system"] == "maker")
        for found in (off, on, listed(config))
    ]
    assert states == [False, True, False]
    shown = run(config, "show", "brought@1.0.0").stdout
    assert "input (name image" in shown
    assert "it was never trained" in shown
    assert "seed" not in shown
    again = run(config, *brought(tmp_path))
    assert "brought@1.0.0 was there already" in again.stdout


def test_another_network_of_its_name_gets_the_next_version_and_says_so_as_json(
    config: Path, tmp_path: Path
) -> None:
    run(config, *brought(tmp_path), "--activate")
    other = run(config, *brought(tmp_path, spec=onnx_cases.spec_text(of="occlusion")), "--json")

    found = json.loads(other.stdout)
    assert (found["model"], found["active_version"]) == ("brought@1.0.1", "1.0.0")
    assert found["trial"]["map_cells"] == [12, 8]
    assert set(found["phantom"]) == {"RCC", "LCC"}


def test_its_folder_is_written_for_a_signature(config: Path, tmp_path: Path) -> None:
    target = tmp_path / "folder"
    result = run(config, *brought(tmp_path), "--out", target)

    assert result.exit_code == 0, result.output
    assert store.read_card(target).name == "brought"
    assert "maker" not in {s["system"] for s in listed(config)["systems"]}
    full = run(config, *brought(tmp_path), "--out", target)
    assert (full.exit_code, "holds something already" in full.stderr) == (2, True)


def test_what_is_refused_ends_with_its_reason_and_nothing_is_there(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    loud = run(config, *brought(tmp_path, model=onnx_cases.network(last="Identity")), "--out", out)
    assert (loud.exit_code, "is no probability" in loud.stderr) == (4, True)
    assert not out.exists()
    taken = run(config, *brought(tmp_path, name="wang2016-masses"))
    assert (taken.exit_code, "of the system wang2016: give yours" in taken.stderr) == (4, True)
    both = run(config, *brought(tmp_path), "--activate", "--dry-run")
    assert (both.exit_code, "--dry-run and --out do not" in both.stderr) == (2, True)
    monkeypatch.setattr(extras, "_is_there", lambda name: name != "onnx")
    bare = run(config, *brought(tmp_path))
    assert (bare.exit_code, "pip install 'cadnode[onnx]'" in bare.stderr) == (2, True)
    assert not (tmp_path / "data" / "models" / "brought").exists()
