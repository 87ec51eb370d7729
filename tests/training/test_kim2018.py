"""Training and evaluation of DIB-MG on toy folders."""

import json
from pathlib import Path
from typing import Any, cast
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from cadnode.domain import Acquisition
from cadnode.errors import DataError, ModelError, SettingsError
from cadnode.models import store
from cadnode.models.loading import load_view_model
from cadnode.models.view import ViewModel
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.sources import open_source
from cadnode_training.engine.loop import CHECKPOINT, HISTORY, Training
from cadnode_training.engine.machine import Machine
from cadnode_training.engine.protocol import Standing, differences
from cadnode_training.papers.kim2018 import config, evaluate, points, served, train
from cadnode_training.papers.kim2018.loss import cosine, location_loss, pair_loss
from cadnode_training.papers.kim2018.readings import contrast_auc
from cadnode_training.results import reading
from tests.training import toy

MODELS = ("dib-mg-digital", "dib-mg-film")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("toy")
    rsna, ddsm = toy.rsna_views(root / "rsna", 40), toy.ddsm_exams(root / "ddsm", 40)
    data = [f"rsna-views:{rsna}", f"ddsm-exams:{ddsm}"]
    return {"root": root, "data": data, "config": toy.recipe(root)}


@pytest.fixture(scope="module")
def trained(folders: dict[str, Any]) -> Path:
    out = folders["root"] / "trained"
    train.run(folders["data"], out, config=folders["config"], quiet=True)
    return out


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / MODELS[0] / "1.0.0" / store.WEIGHTS)


def test_training_writes_a_model_for_each_kind_of_data(trained: Path) -> None:
    for name in MODELS:
        loaded = load_view_model(trained / name / "1.0.0")
        assert loaded.card.name == name
        assert len(loaded.card.metrics) >= 2
        assert store.seen_women(trained / name / "1.0.0")
    history = [json.loads(line) for line in (trained / HISTORY).read_text().splitlines()]
    assert [row["epoch"] for row in history] == [0, 1]
    assert 0 <= history[1]["rsna-views"] <= 1


def test_a_card_has_a_curve_of_exams_where_the_data_have_exams_of_both_classes(
    trained: Path,
) -> None:
    """The toy films of the validation part all have a cancer: they are pairs, and no more."""
    digital, film = (load_view_model(trained / name / "1.0.0").card for name in MODELS)

    assert digital.exam is not None
    assert [m.unit for m in digital.metrics] == ["breasts", "exams"] * 2
    assert film.exam is None
    assert [m.unit for m in film.metrics] == ["breasts", "breasts", "exams"]
    assert film.breast.contralateral_weight == 0


def test_the_card_names_no_folder_of_this_machine(trained: Path, folders: dict[str, Any]) -> None:
    card = (trained / MODELS[0] / "1.0.0" / store.CARD).read_text()

    assert str(folders["root"]) not in card


def test_a_training_taken_up_again_ends_as_one_that_was_not_stopped(
    trained: Path, folders: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, end_epoch = folders["root"] / "resumed", Training._end_epoch

    def killed(self: Training, *arguments: Any) -> None:
        end_epoch(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "_end_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        train.run(folders["data"], out, config=folders["config"], quiet=True)
    monkeypatch.undo()
    train.run(folders["data"], out, config=folders["config"], resume=True, quiet=True)

    expected, found = weights(trained), weights(out)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def test_a_folder_of_another_training_is_not_taken_up(
    trained: Path, folders: dict[str, Any]
) -> None:
    with pytest.raises(DataError, match="other data, recipe or seed"):
        train.run(
            folders["data"], trained, config=folders["config"], seed=7, resume=True, quiet=True
        )


def test_a_damaged_checkpoint_is_said_to_be_unfit(
    trained: Path, folders: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_bytes((trained / "run.json").read_bytes())
    torch.save({"network": {}}, tmp_path / CHECKPOINT)

    with pytest.raises(DataError, match="start from scratch"):
        train.run(folders["data"], tmp_path, config=folders["config"], resume=True, quiet=True)


def test_of_folds_each_woman_is_measured_by_the_network_that_never_saw_her(
    folders: dict[str, Any], tmp_path: Path
) -> None:
    text = toy.RECIPE.replace("[schedule]", "[schedule]\nfolds = 2\nmembers = 2", 1)
    digital = folders["data"][0]

    found = train.run([digital], tmp_path, config=toy.recipe(tmp_path, text), quiet=True)

    (model,) = found["models"]
    folder = Path(model["folder"])
    assert {m["name"] for m in model["metrics"]} == {
        "AUC, women left out", "AUC of exams, women left out",
    }  # fmt: skip
    women = {store.woman_key(r.dataset, r.woman) for r in open_source(digital).records}
    first, second = store.read_folds(folder)
    assert first | second == women == store.seen_women(folder)
    assert not first & second
    measured = evaluate.run(digital, model=folder)
    assert measured["women_out_of_fold"] == len(women)
    assert measured["women_left_out_as_seen_in_training"] == 0
    of_breasts = next(m for m in model["metrics"] if m["unit"] == "breasts")
    assert measured["auc"] == pytest.approx(of_breasts["auc"], abs=0.01)  # of 8-bit tensors
    loaded = load_view_model(folder)
    view = torch.rand(1, 1, 64, 48)
    maps = [loaded.by_member(k).run(view)[0] for k in range(2)]
    np.testing.assert_allclose(loaded.run(view)[0], np.mean(maps, 0), rtol=1e-4, atol=1e-5)
    assert not np.allclose(*maps)
    scored = reading.of_views([folder], digital)
    assert len(scored.cases) == measured["n_pos"] + measured["n_neg"]
    for number, fold in enumerate((first, second)):
        history = (tmp_path / f"fold-{number}" / HISTORY).read_text()
        assert len(history.splitlines()) == 2
        assert fold


@pytest.mark.parametrize(
    "schedule", ["folds = 1", "folds = 2\nmembers = 3", "members = 2", "folds = 3\nmembers = 0"]
)
def test_folds_that_cannot_be_are_refused(tmp_path: Path, schedule: str) -> None:
    text = toy.RECIPE.replace("[schedule]", f"[schedule]\n{schedule}", 1)

    with pytest.raises(SettingsError, match=r"schedule|network"):
        config.load(toy.recipe(tmp_path, text))


@pytest.mark.parametrize("kind", [0, 1])
def test_evaluation_gives_the_promised_keys(
    trained: Path, folders: dict[str, Any], kind: int
) -> None:
    model = trained / MODELS[kind] / "1.0.0"

    result = evaluate.run(folders["data"][kind], model=model, split="all")

    assert result.keys() >= {"auc", "auc_ci", "n_pos", "n_neg", "contrast"}
    assert result["auc_ci"][0] <= result["auc"] <= result["auc_ci"][1]
    assert result["women_left_out_as_seen_in_training"] == 0
    strata = {"by_machine", "by_site"} if kind == 0 else {"by_digitizer", "by_lesion"}
    assert strata <= result.keys()
    if kind == 1:
        assert result["n_pos"] == result["n_neg"] == result["pairs"]
        assert result["digitizer_only"]["auc"] == 0.5
    json.dumps(result)


def test_women_of_the_training_are_left_out(trained: Path, folders: dict[str, Any]) -> None:
    model = trained / MODELS[0] / "1.0.0"

    everybody = evaluate.run(folders["data"][0], model=model, split="all")
    unseen = evaluate.run(folders["data"][0], model=model)

    assert unseen["women_left_out_as_seen_in_training"] > 0
    assert unseen["women"] + unseen["women_left_out_as_seen_in_training"] == everybody["women"]


def test_a_folder_of_new_women_is_used_whole(trained: Path, tmp_path: Path) -> None:
    folder = toy.rsna_views(tmp_path / "new", 6, seed=9)
    text = (folder / "views.csv").read_text()
    (folder / "views.csv").write_text(text.replace("png,", "png,new"))

    result = evaluate.run(f"rsna-views:{folder}", model=trained / MODELS[0] / "1.0.0")

    assert result["women_left_out_as_seen_in_training"] == 0
    assert (result["n_pos"], result["n_neg"]) == (3, 6)


def test_a_folder_of_seen_women_has_no_area_and_says_why(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = toy.rsna_views(tmp_path / "known", 4)
    known = frozenset(store.woman_key("rsna-views", str(n)) for n in range(4))
    monkeypatch.setattr(store, "seen_women", lambda _: known)

    result = evaluate.run(f"rsna-views:{folder}", model=trained / MODELS[0] / "1.0.0")

    assert (result["auc"], result["auc_ci"], result["n_pos"]) == (None, None, 0)
    assert result["women_left_out_as_seen_in_training"] == 4
    assert "--split all" in result["message"]


def test_one_pair_has_an_area_and_no_interval(trained: Path, tmp_path: Path) -> None:
    folder = toy.ddsm_exams(tmp_path / "one", 1)

    result = evaluate.run(f"ddsm-exams:{folder}", model=trained / MODELS[1] / "1.0.0", split="all")

    assert (result["n_pos"], result["n_neg"], result["auc_ci"]) == (1, 1, None)
    assert result["auc"] in (0, 0.5, 1)
    assert "too few women" in result["message"]
    evaluate.show(Console(quiet=True), result)


def test_numbers_and_page_of_one_command_read_each_view_once(
    trained: Path, folders: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_view_model(trained / MODELS[0] / "1.0.0")
    records = open_source(folders["data"][0]).records[:6]
    run, read = type(model).run, []

    def counted(self: ViewModel, views: torch.Tensor, **how: Any) -> Any:
        read.append(len(views))
        return run(self, views, **how)

    monkeypatch.setattr(ViewModel, "run", counted)
    cache = ReadCache()
    first, _ = served.scores_of(model, records[:4], cache)
    both, _ = served.scores_of(model, records, cache)

    assert (both[:4], len(both), sum(read)) == (first, 6, 6)
    served.scores_of(model, records)
    assert sum(read) == 12


def test_excluded_women_are_in_no_part(folders: dict[str, Any], tmp_path: Path) -> None:
    recipe = toy.recipe(tmp_path, toy.RECIPE + '[data]\nexclude = ["rsna-views:0"]\n')

    train.run(folders["data"][:1], tmp_path / "out", config=recipe, quiet=True)

    split = json.loads((tmp_path / "out" / MODELS[0] / "1.0.0" / store.SPLIT).read_text())
    key = store.woman_key("rsna-views", "0")
    assert split["excluded"] == [key]
    assert key not in split["train"] + split["validation"]


def test_what_cannot_be_evaluated_is_said(folders: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unseen or all"):
        evaluate.run(folders["data"][0], split="test")
    with pytest.raises(ModelError, match=r"card\.json"):
        evaluate.run(folders["data"][0], model=tmp_path)


def test_the_committed_recipe_is_valid_and_its_differences_are_named() -> None:
    found = points.protocol(config.load())

    assert {"input", "grey levels", "pooling", "label", "optimizer", "output", "data"} <= {
        topic for topic, _, _ in differences(found)
    }
    assert {p.topic for p in found if p.standing == Standing.AS_STATED} == {"network"}


@pytest.mark.parametrize(
    ("text", "message"),
    [("[network]\nwidth = 3", "unknown key network.width"), ("[net]\na = 1", "unknown key net"),
     ("[schedule]\npatience = 'x'", "must be of type int"), ("a =", "not a TOML file"),
     ("[network]\nwidths = [1, 2]", "not possible"), ("network = 3", "must be a table")],
)  # fmt: skip
def test_a_wrong_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        config.load(toy.recipe(tmp_path, text))


def test_fewer_epochs_keep_both_phases() -> None:
    short = config.load().with_epochs(4)

    assert short.epochs == 4
    assert short.schedule.pretrain_epochs >= 1
    assert short.schedule.finetune_epochs >= 1


def test_a_pair_in_the_right_order_costs_less() -> None:
    right = torch.tensor([[[2.0, 2.0], [-2.0, -2.0]]])

    assert pair_loss(right) < pair_loss(torch.zeros(1, 2, 2)) < pair_loss(right.flip(1))


def test_margins_of_lesions_are_left_out_of_the_loss() -> None:
    maps, margin = torch.zeros(1, 2, 2), torch.full((1, 2, 2), 0.1)

    assert location_loss(maps, margin).item() == 0
    assert location_loss(maps, torch.zeros(1, 2, 2)).item() == pytest.approx(np.log(2))


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [cosine(p, 1.0, warm_up=0.1) for p in (0.0, 0.1, 0.5, 0.999)]

    assert rates[0] < 0.05
    assert rates[1] == max(rates)
    assert rates[3] < 0.05


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", None), ("bf16", torch.bfloat16)])
def test_epochs_are_compared_at_the_precision_that_was_asked_for(
    precision: str, dtype: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, asked = config.load(), []

    def read(*_: Any, dtype: torch.dtype | None, **how: Any) -> float:
        asked.append(dtype)
        return 0.5

    monkeypatch.setattr(train, "contrast_auc", read)
    plan = train._plan(recipe, [cast(Any, Mock())], Machine.here(precision=precision))

    plan.validate(torch.nn.Identity(), recipe.epochs - 1)

    assert asked == [dtype]


def test_the_transfer_recipe_is_named_and_builds_the_packaged_network() -> None:
    recipe = config.load(config.RECIPES.of(Path("transfer")))

    # 1.1.2 has its weights: recalibrated as 1.1.1, then with a prior by age.
    packaged = store.read_card(store.PACKAGED / "dib-mg-digital" / "1.1.2")
    assert recipe.export.version == "1.1.0"
    assert recipe.architecture() == packaged.architecture
    assert recipe.preprocess(Acquisition.DIGITAL) == packaged.preprocess


def test_offline_the_transfer_recipe_says_which_file_it_wants(
    folders: dict[str, Any], tmp_path: Path
) -> None:
    text = toy.RECIPE.replace("[network]", '[network]\ntrunk = "tf_efficientnet_lite0"', 1)
    text = text.replace("[network]", '[network]\nstart = "nowhere.pth"', 1)

    with pytest.raises(ModelError, match="nothing else is read, because a pickle"):
        train.run(folders["data"], tmp_path, config=toy.recipe(tmp_path, text), quiet=True)


def test_only_an_imagenet_trunk_starts_from_weights(
    folders: dict[str, Any], tmp_path: Path
) -> None:
    text = toy.RECIPE.replace("[network]", '[network]\nstart = "imagenet"', 1)

    with pytest.raises(SettingsError, match=r"network\.start"):
        train.run(folders["data"], tmp_path, config=toy.recipe(tmp_path, text), quiet=True)


def test_a_part_without_a_view_to_compare_has_no_auc() -> None:
    assert contrast_auc(Mock(), Mock(records=()), [], device="cpu", dtype=None) is None
