"""Killed in the middle of an epoch and resumed, each training ends with the same bits."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from cadnode.models import store
from cadnode.networks import cnn
from cadnode.networks.cnn import ArchitectureFacts, Cells
from cadnode_training.engine import phase_loop
from cadnode_training.engine.loop import Training
from cadnode_training.papers.detection import train as detection
from cadnode_training.papers.detection.config import FilterSchedule
from cadnode_training.papers.helsinki_dtl import train as helsinki
from cadnode_training.papers.kang2021 import train as kang
from cadnode_training.papers.kim2018 import train as kim
from cadnode_training.papers.roi_cnn.stage import RoiTraining
from cadnode_training.papers.wang2016 import fitting, phantom_regions
from cadnode_training.papers.wang2016 import train as wang
from tests.training import test_roi_cnn, test_wang2016, toy
from tests.training.killed import killed_at
from tests.training.test_detection_data import write_mias, write_pisa

SMALL = ArchitectureFacts("test_resnet", "", 0.449, 0.226, Cells(0.5, 32))
KANG = test_roi_cnn.RECIPE.replace("resnext50_32x4d", "inception_v3")


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and regions as quick as a test needs them."""
    torch.set_num_threads(1)
    for name in ("resnext50_32x4d", "inception_v3"):
        monkeypatch.setitem(cnn.FACTS, name, SMALL)
    monkeypatch.setattr(phantom_regions, "draw", test_wang2016.toy_region)
    monkeypatch.setattr(fitting.rivals, "COSTS", (1.0,))
    monkeypatch.setattr(fitting.rivals, "GAMMAS", (0.3,))


def _weights(result: dict[str, Any]) -> list[dict[str, torch.Tensor]]:
    return [load_file(Path(m["folder"]) / store.WEIGHTS) for m in result["models"]]


def _same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for expected, found in zip(_weights(one), _weights(other), strict=True):
        assert expected.keys() == found.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def _checked(
    tmp_path: Path, owner: Any, name: str, step: int, train: Callable[..., dict[str, Any]]
) -> dict[str, Any]:
    """Given a whole training, and one killed before a step ends; when resumed, it is the same."""
    whole = train(tmp_path / "whole")
    killed_at(step, owner, name, lambda: train(tmp_path / "killed"))
    assert not list((tmp_path / "killed").rglob("card.json"))
    resumed = train(tmp_path / "killed", resume=True)
    _same(whole, resumed)
    return resumed


def test_kim2018_killed_in_its_second_epoch(tmp_path: Path) -> None:
    data = [f"ddsm-exams:{toy.ddsm_exams(tmp_path / 'ddsm', 40)}"]
    recipe = toy.recipe(tmp_path)

    def train(out: Path, **options: Any) -> dict[str, Any]:
        return kim.run(data, out, config=recipe, quiet=True, **options)

    # Three steps an epoch: the fifth is the second epoch's second.
    _checked(tmp_path, Training, "_update_average", 5, train)


@pytest.mark.parametrize(
    ("system", "recipe", "step"), [(kang, KANG, 3), (helsinki, test_roi_cnn.RECIPE, 7)]
)
def test_networks_of_rois_killed_in_a_stage(
    tmp_path: Path, system: Any, recipe: str, step: int
) -> None:
    (tmp_path / "recipe.toml").write_text(recipe)

    def train(out: Path, **options: Any) -> dict[str, Any]:
        return system.run(
            test_roi_cnn.DATA, out, config=tmp_path / "recipe.toml", cache=tmp_path / "rois",
            quiet=True, **options,
        )  # fmt: skip

    # Two stages of two epochs of two steps: the last epoch of the first, or of the second.
    _checked(tmp_path, RoiTraining, "_update_average", step, train)


def test_wang2016_killed_while_a_fold_is_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(test_wang2016.QUICK, members=1)
    monkeypatch.setattr(wang, "_EVERY", 1)

    def train(out: Path, **options: Any) -> dict[str, Any]:
        return wang.run(
            "phantom:24", out, scenario="masses", quiet=True, recipe=recipe, folds=3, **options
        )

    # One step an epoch: 10 + 10 + 10 of the network and of each fold: 75 is in fold 2.
    whole = train(tmp_path / "whole")
    killed_at(75, phase_loop, "_save", lambda: train(tmp_path / "killed"))
    states = tmp_path / "killed" / wang.STATES / "training-part"
    assert sorted(p.name for p in states.iterdir()) == ["fold-1.npz", "fold-2"]
    resumed = train(tmp_path / "killed", resume=True)

    _same(whole, resumed)
    crossed = [one["models"][0]["cross_validation"] for one in (whole, resumed)]
    assert crossed[0] == crossed[1]
    assert crossed[0][0]["folds"] == 3


def test_detection_killed_in_its_second_fold(tmp_path: Path) -> None:
    mias, pisa = write_mias(tmp_path / "mias", women=3), write_pisa(tmp_path / "pisa")
    data = [f"mini-mias:{mias}", f"pisa-calcifications:{pisa}"]
    schedule = FilterSchedule(epochs=2, per_epoch=128)

    def train(out: Path, **options: Any) -> dict[str, Any]:
        return detection.run(data, out, schedule=schedule, quiet=True, **options)

    # Two networks a fold, two epochs each: the sixth is the second fold's.
    _checked(tmp_path, phase_loop, "_save", 6, train)
