"""Training of ROI networks at toy size: recipes, stages, resuming, export, evaluation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from cadnode.domain import System
from cadnode.errors import DataError, ModelError, SettingsError
from cadnode.models import engine, loading, store
from cadnode.models.roi import RoiModel
from cadnode.models.weights import pack
from cadnode.networks import cnn
from cadnode.networks.cnn import ArchitectureFacts, Cells, CnnConfig
from cadnode_training.data.rois import RoiRecord, RoiSet
from cadnode_training.data.sets.phantom_rois import parse
from cadnode_training.engine.loop import HISTORY
from cadnode_training.engine.machine import Machine
from cadnode_training.engine.protocol import Standing
from cadnode_training.papers.helsinki_dtl import config as helsinki
from cadnode_training.papers.helsinki_dtl import evaluate, train
from cadnode_training.papers.kang2021 import config as kang
from cadnode_training.papers.roi_cnn import config, saliency, stage
from cadnode_training.papers.roi_cnn import train as roi_train
from cadnode_training.papers.roi_cnn.stage import head_for, one_cycle, take_over
from tests.training import paper_toy

RECIPE = """
[input]
size = 64
spacing_mm = 0.5
[augmentation]
copies = 1
translation_px = 4
[optimizer]
average = true
[[stages]]
name = "intermediate"
task = "joint"
init = "scratch"
size = 64
epochs = 2
steps = 2
batch = 4
[[stages]]
name = "target"
init = "previous"
classifier = "kept"
epochs = 2
steps = 2
learning_rate = 1e-3
schedule = "one-cycle"
[[members]]
network = "resnext50_32x4d"
batch = 4
"""
DATA = ["phantom:24/16/16"]
SMALL = ArchitectureFacts("test_resnet", "", 0.449, 0.226, Cells(0.5, 32))


@pytest.fixture(scope="module", autouse=True)
def _small_network() -> Any:
    """In the place of ResNeXt-50 timm's network for tests: half a million weights."""
    torch.set_num_threads(1)
    patch = pytest.MonkeyPatch()
    patch.setitem(cnn.FACTS, "resnext50_32x4d", SMALL)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("roi-cnn")
    (root / "recipe.toml").write_text(RECIPE)
    return root


@pytest.fixture(scope="module")
def trained(toy: Path) -> dict[str, Any]:
    return _train(toy, toy / "whole")


def _train(toy: Path, out: Path, **options: Any) -> dict[str, Any]:
    return train.run(
        DATA, out, config=toy / "recipe.toml", cache=toy / "rois", quiet=True, **options
    )


def test_training_writes_a_model_that_the_node_reads_with(trained: dict[str, Any]) -> None:
    folder = Path(trained["models"][0]["folder"])

    model = loading.load(folder)

    assert isinstance(model, RoiModel)
    assert (model.card.name, model.card.system) == ("helsinki-resnext50", System.HELSINKI_DTL)
    assert model.card.stored_as == "int8"
    assert model.card.metrics[0].n_pos + model.card.metrics[0].n_neg == 16
    assert any("phantom alone" in limit for limit in model.card.limits)
    assert store.seen_women(folder) == {"0:train:0", "0:train:23", "0:validation:0",
                                        "0:validation:15"}  # fmt: skip


def test_each_stage_keeps_its_history(toy: Path, trained: dict[str, Any]) -> None:
    stages = sorted((toy / "whole" / "resnext50_32x4d-0").iterdir())

    assert [s.name for s in stages] == ["1-intermediate", "2-target"]
    rows = [json.loads(line) for line in (stages[0] / HISTORY).read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [0, 1]
    assert {"loss", "val_loss", "type", "distribution", "auc"} <= rows[0].keys()


def test_a_folder_of_another_training_is_not_taken_up(toy: Path, trained: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="other data, recipe or seed"):
        _train(toy, toy / "whole", resume=True, seed=5)


def test_the_first_stage_starts_from_any_checkpoint(toy: Path, trained: dict[str, Any]) -> None:
    before = toy / "whole" / "resnext50_32x4d-0" / "1-intermediate" / "weights.safetensors"

    again = _train(toy, toy / "from", init=before, epochs=1)

    assert 0 <= again["models"][0]["test"]["auc"] <= 1


def test_imagenets_weights_may_come_from_a_folder(toy: Path, tmp_path: Path) -> None:
    body = cnn.network(CnnConfig(name="resnext50_32x4d")).body
    member, stage = config.Member("resnext50_32x4d"), config.Stage(init=str(tmp_path))
    save_file(body.state_dict(), tmp_path / "resnext50_32x4d.safetensors")

    network = roi_train._start(member, stage, None)

    torch.testing.assert_close(network.body.layer1[0].conv1.weight, body.layer1[0].conv1.weight)
    assert not torch.equal(network.body.fc.weight, body.fc.weight)


def test_weights_of_imagenet_that_cannot_be_fetched_are_done_without_and_it_is_said(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(weights: str) -> Path:
        raise ModelError("no network")

    monkeypatch.setattr(cnn.imagenet, "download", offline)
    console = Console(record=True, width=200)
    member, stage = config.Member("resnext50_32x4d"), config.Stage(init=config.IMAGENET)

    network = roi_train._start(member, stage, None, console)

    assert sum(p.numel() for p in network.parameters()) > 0
    assert "cannot be fetched, it starts from scratch (--init FILE" in console.export_text()


def test_the_papers_recipe_makes_an_ensemble_of_the_networks_own_outputs(
    tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Helsinki study's: several networks, averaged, each through both transfers."""

    def offline(weights: str) -> Path:
        raise ModelError("no network")

    monkeypatch.setattr(cnn.imagenet, "download", offline)
    recipe = paper_toy.roi_recipe(tmp_path, helsinki.PROTOCOL)

    result = train.run(DATA, tmp_path / "out", config=recipe, cache=toy / "rois", quiet=True)

    cards = [loading.load(Path(model["folder"])).card for model in result["models"]]
    assert [card.name for card in cards] == ["helsinki-resnext50", "helsinki-resnext50-1"]
    for card in cards:
        assert (card.calibration.slope, card.calibration.intercept) == (1, 0)
        assert "first weights: at random, because ImageNet's could not be fetched" in (
            card.differences
        )
    together = result["ensemble"]
    assert together["members"] == 2
    assert together["n_pos"] + together["n_neg"] == 16
    assert together["auc_difference"]["aucs"] == 3
    assert 0 <= together["auc_difference"]["p"] <= 1
    lowest, highest = sorted(model["test"]["auc"] for model in result["models"])
    assert lowest - 0.2 <= together["auc"] <= highest + 0.2
    assert {p["standing"] for p in result["protocol"]} >= {"as stated", "not stated, chosen here"}


def test_a_missing_start_is_said(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        _train(toy, tmp_path / "x", init=tmp_path / "none.safetensors")


def test_the_small_recipe_is_called_cpu() -> None:
    assert kang.PROTOCOL.recipe_of(Path("cpu")) == kang.CPU_RECIPE
    assert kang.PROTOCOL.recipe_of(None) == kang.PROTOCOL.recipe


def test_stages_may_have_data_of_their_own(toy: Path) -> None:
    with pytest.raises(DataError, match="no stage other"):
        train.run(["other=phantom:tiny"], toy / "x", config=toy / "recipe.toml", quiet=True)
    with pytest.raises(DataError, match="nothing for stage intermediate"):
        train.run(["target=phantom:tiny"], toy / "x", config=toy / "recipe.toml", quiet=True)


def test_evaluation_gives_the_promised_keys(toy: Path, trained: dict[str, Any]) -> None:
    folder = Path(trained["models"][0]["folder"])

    result = evaluate.run(DATA[0], model=folder, peaks=4)

    keys = {"auc", "auc_ci", "n_pos", "n_neg", "contrast", "best_auc_on_these", "share_of_best"}
    assert keys <= result.keys()
    assert {row["stratum"] for row in result["by_acquisition"]} == {"digital", "film"}
    assert result["map_peaks"]["helsinki-resnext50"]["all"]["in_box"]["n"] <= 4
    json.dumps(result)
    console = Console(record=True, width=120)
    evaluate.show(console, result)
    assert "share of its distance from guessing" in console.export_text().replace("\n", " ")


def test_the_served_network_scores_the_test_part_as_the_training_measured_it(
    trained: dict[str, Any],
) -> None:
    measured = trained["models"][0]

    served = evaluate.run(DATA[0], model=Path(measured["folder"]), peaks=0)

    # The training's copy of the images is rounded to bytes.
    assert served["auc"] == pytest.approx(measured["test"]["auc"], abs=0.05)


def test_peaks_are_counted_on_lesions_cut_off_centre(trained: dict[str, Any]) -> None:
    model = loading.load(Path(trained["models"][0]["folder"]))
    assert isinstance(model, RoiModel)

    found = saliency.measure(model, parse(DATA[0]), count=6, shift_px=8)

    assert found["all"]["in_box"]["n"] == 6
    assert found["rightly_read"]["in_box"]["n"] + found["wrongly_read"]["in_box"]["n"] == 6
    assert 0 < found["all"]["by_chance"] < 1


@pytest.mark.parametrize(
    ("precision", "has_bf16", "dtype"),
    [("fp32", True, None), ("auto", True, torch.bfloat16), ("auto", False, None),
     ("bf16", False, torch.bfloat16)],
)  # fmt: skip
def test_epochs_are_compared_at_the_precision_that_was_asked_for(
    precision: str, has_bf16: bool, dtype: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "has_bf16", lambda: has_bf16)
    recipe = config.load(kang.CPU_RECIPE)
    assert recipe.optimizer.amp
    asked: list[torch.dtype | None] = []

    def read(*_: Any, **how: Any) -> np.ndarray:
        asked.append(how["dtype"])
        return np.zeros((2, 2), np.float32)

    monkeypatch.setattr(stage, "logits_of", read)
    records = RoiRecord("v", False, "film"), RoiRecord("w", True, "film")
    rois = RoiSet("toy", np.zeros((2, 8, 8), np.uint8), records)
    machine = Machine.here(precision=precision)
    plan = stage._plan(recipe.stages[-1], recipe, rois, 1, machine)

    plan.validate(torch.nn.Identity(), 0)

    assert asked == [dtype]


def test_the_papers_recipes_differ_from_the_papers_in_their_data_alone() -> None:
    recipe = config.load(kang.PROTOCOL.recipe)

    found = [p.standing for p in kang.PROTOCOL.points(recipe)]
    assert set(found) == {Standing.AS_STATED, Standing.CHOSEN, Standing.DATA}
    assert {topic for topic, _, _ in kang.PROTOCOL.differences(recipe)} == set(
        kang.PROTOCOL.by_data
    )
    assert [m.network for m in recipe.members] == [
        "resnet101", "xception", "inception_v3", "inception_resnet_v2", "densenet201"
    ]  # fmt: skip
    recipe = config.load(helsinki.PROTOCOL.recipe)
    found = helsinki.PROTOCOL.points(recipe)
    assert not [p.topic for p in found if p.standing == Standing.DIFFERS]
    assert len(recipe.members) == 3
    stages = recipe.stages
    assert [(s.init, s.task) for s in stages] == [
        ("imagenet", "descriptors"), ("previous", "malignancy")
    ]  # fmt: skip


@pytest.mark.parametrize("paper", [kang, helsinki])
def test_the_differences_of_the_small_recipe_are_named(paper: Any) -> None:
    recipe = config.load(paper.CPU_RECIPE)

    found = paper.PROTOCOL.points(recipe)
    apart = {p.topic for p in found if p.standing != Standing.AS_STATED}
    topics = {topic for topic, _, _ in paper.PROTOCOL.differences(recipe)}

    assert {"stages", "optimizer", "learning rate", "precision", "data"} <= apart
    assert {"stages", "data", "ensemble"} <= topics
    assert paper.PROTOCOL.table(recipe).row_count == len(topics)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[input]\nsides = 3", "unknown key input.sides"), ("a =", "not a TOML file"),
     ("[input]\nsize = 'x'", "must be of type int"), ("[net]\na = 1", "unknown key net"),
     ("input = 3", "must be a table"), ("[input]\nsize = 8", "not possible"),
     ("[[stages]]\ntask = 'guess'", "stages.task must be one of"),
     ("[[stages]]\ninit = 'previous'", "no previous one"),
     ("[[stages]]\ntask = 'descriptors'", "must learn malignancy"),
     ("[[stages]]\nsize = 600", "larger than input.size"),
     ("stages = 3", "must be a list"), ("[input]\nsize = -1", "must not be negative")],
)  # fmt: skip
def test_a_wrong_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(text)

    with pytest.raises(SettingsError, match=message):
        config.load(file)


def test_members_are_chosen_by_name() -> None:
    recipe = config.load(kang.PROTOCOL.recipe)

    assert [m.batch for m in recipe.with_members(["densenet201", "xception"]).members] == [32, 8]
    with pytest.raises(SettingsError, match="no member vgg"):
        recipe.with_members(["vgg"])


def test_a_new_classifier_is_random_and_a_kept_one_is_its_first_outputs(tmp_path: Path) -> None:
    config = CnnConfig(name="resnext50_32x4d")
    before = head_for(cnn.network(config), 15)
    (tmp_path / "w.safetensors").write_bytes(pack(before.state_dict()))
    fresh, kept = cnn.network(config), cnn.network(config)

    left = take_over(fresh, tmp_path / "w.safetensors", classifier=False)
    nothing = take_over(kept, tmp_path / "w.safetensors", classifier=True)

    assert left == ["body.fc.bias", "body.fc.weight"]
    assert nothing == []
    torch.testing.assert_close(kept.body.fc.weight, before.body.fc.weight[:2])
    assert not torch.equal(fresh.body.fc.weight, before.body.fc.weight[:2])
    torch.testing.assert_close(fresh.body.conv1[0].weight, before.body.conv1[0].weight)


def test_a_foreign_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(pack({"other": torch.ones(2)}))

    with pytest.raises(DataError, match="holds no weights"):
        take_over(
            cnn.network(CnnConfig(name="resnext50_32x4d")), tmp_path / "w.safetensors",
            classifier=True,
        )  # fmt: skip


def test_the_learning_rate_rises_for_a_tenth_and_falls_to_nothing() -> None:
    rates = [one_cycle(p) for p in np.linspace(0, 1, 11)]

    assert rates[0] == pytest.approx(0.04)
    assert rates[1] == max(rates) == 1
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] == pytest.approx(0)
