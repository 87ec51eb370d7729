"""What `cadnode train` has just written is added by `cadnode models add`, once and once more."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.models import store
from cadnode.networks import cnn
from cadnode_training.papers.wang2016 import phantom_regions
from tests.training import test_roi_cnn, test_wang2016, toy
from tests.training.test_detection import write_pisa
from tests.training.test_detection_data import write_mias

SYSTEMS = ("kim2018", "kang2021", "helsinki_dtl", "detection", "wang2016")


def data(system: str, folder: Path) -> list[str]:
    """The arguments of a training of a few steps."""
    if system == "kim2018":
        films, views = toy.ddsm_exams(folder / "ddsm"), toy.rsna_views(folder / "rsna")
        kinds = [f"ddsm-exams:{films}", f"rsna-views:{views}"]
        return [*_each(kinds), "--config", str(toy.recipe(folder))]
    if system == "detection":
        mias, pisa = write_mias(folder / "mias"), write_pisa(folder / "pisa")
        kinds = [f"mini-mias:{mias}", f"pisa-calcifications:{pisa}"]
        (folder / "quick.toml").write_text("epochs = 1\nper_epoch = 128\n")
        return [*_each(kinds), "--config", str(folder / "quick.toml"), "--licensed"]
    if system == "wang2016":
        (folder / "quick.toml").write_text("pretrain_updates = 10\nupdates = 10\nepochs = 3\n")
        words = ["--data", "phantom:24", "--scenario", "both", "--folds", "0"]
        return [*words, "--config", str(folder / "quick.toml")]
    (folder / "roi.toml").write_text(test_roi_cnn.RECIPE)
    return ["--data", "phantom:8/8/8", "--config", str(folder / "roi.toml")]


def _each(kinds: list[str]) -> list[str]:
    return [word for kind in kinds for word in ("--data", kind)]


def run(*words: object) -> Any:
    result = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_trainings_folder_is_added_and_the_next_trainings_counts_up(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cnn.FACTS, "resnext50_32x4d", test_roi_cnn.SMALL)
    monkeypatch.setattr(phantom_regions, "draw", test_wang2016.toy_region)
    config = tmp_path / "node.toml"
    config.write_text(f"[storage]\nfolder = '{tmp_path / 'data'}'\n")
    given = data(system, tmp_path)
    outs = [tmp_path / "run-1", tmp_path / "run-2"]
    for seed, out in enumerate(outs):
        run("train", system, *given, "--out", out, "--seed", seed)

    rows = [run("models", "add", out, "--config", config) for out in outs]

    written = sorted(c.parent for c in outs[0].glob(f"*/*/{store.CARD}"))
    assert len(rows[0]) == len(rows[1]) == len(written) > 0
    present = run("models", "list", "--config", config)["models"]
    for first, second in zip(*rows, strict=True):
        name = first["name"]
        assert first["version"] != second["version"]
        assert (first["was_there"], second["was_there"]) == (False, False)
        assert {first["version"], second["version"]} <= {
            m["version"] for m in present if m["name"] == name and m["origin"] == "own"
        }
        spec = f"{name}@{second['version']}"
        # `activate` examines it: checksum, shapes, an answer
        active = run("models", "activate", spec, "--config", config)["active_version"]
        assert active == second["version"]
