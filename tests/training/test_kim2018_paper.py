"""`cadnode train kim2018 --config paper`: Kim's protocol, point by point, on toy exams."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import chi2_contingency

from cadnode.domain import Acquisition, Laterality
from cadnode.errors import DataError, SettingsError
from cadnode.imaging import view_chain
from cadnode.models import store
from cadnode.models.card import DibMgCard
from cadnode.models.loading import load_view_model
from cadnode.networks.dib_mg import DibMg, DibMgConfig, convolutions, network
from cadnode_training.data.sources import open_source
from cadnode_training.data.views import ViewRecord, ViewSet
from cadnode_training.engine import memory
from cadnode_training.engine.machine import Machine
from cadnode_training.engine.protocol import Standing, differences
from cadnode_training.papers.kim2018 import (
    config,
    evaluate,
    exam_tables,
    exam_training,
    points,
    train,
)
from cadnode_training.papers.kim2018.exam_batches import ExamBatch, exam_loss, perturb
from cadnode_training.papers.kim2018.prepared import PreparedViews
from cadnode_training.papers.kim2018.readings import ViewsRead
from tests.training import paper_toy, toy
from tests.training.test_exam_split import exam

PAPER = config.RECIPES.of(Path("paper"))


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("paper")
    data = [f"ddsm-exams:{toy.ddsm_exams(root / 'ddsm', 42, size=64)}"]
    return {"root": root, "data": data, "config": paper_toy.kim_recipe(root)}


@pytest.fixture(scope="module")
def trained(folders: dict[str, Any]) -> dict[str, Any]:
    out = folders["root"] / "trained"
    result = train.run(folders["data"], out, config=folders["config"], quiet=True)
    json.dumps(result)
    return result


def test_the_recipe_is_the_papers() -> None:
    """Training Set-up, each number."""
    recipe = config.load(PAPER)
    how = recipe.exams

    assert (recipe.input.height, recipe.input.width, recipe.input.whole) == (1600, 1600, True)
    assert [how.rate(epoch) for epoch in (0, 9, 10, 19, 20, 29)] == pytest.approx(
        [1e-3, 1e-3, 2e-4, 2e-4, 4e-5, 4e-5]
    )
    assert (recipe.epochs, 4 * how.batch, how.momentum, how.weight_decay) == (30, 64, 0.9, 5e-4)
    assert (how.contrast, how.brightness, how.ratio) == (0.1, 0.1, (5, 1, 1))
    assert convolutions(network(recipe.architecture())) == 19
    assert recipe.network.pooling == "gap"
    for acquisition in Acquisition:
        assert recipe.preprocess(acquisition) == view_chain.PAPER


def test_what_it_does_otherwise_is_the_datas_alone() -> None:
    found = points.protocol(config.load(PAPER))

    assert [topic for topic, _, _ in differences(found)] == ["data", "women left out"]
    assert {p.standing for p in found} == {Standing.AS_STATED, Standing.CHOSEN, Standing.DATA}
    assert all(p.section for p in found)


def test_without_a_recipe_the_packaged_weights_is_taken_on_every_machine() -> None:
    assert config.RECIPES.of(None) == config.RECIPES.of(None, "cpu") == config.RECIPE
    assert config.RECIPES.note(None, "cpu") == ""


def test_what_the_data_decide_is_said_of_the_exams_that_are_used(tmp_path: Path) -> None:
    """Two machines; the benign exam and the excluded woman's do not count."""
    exams = toy.ddsm_exams(tmp_path / "ddsm", 12, size=16)
    table = (exams / "exams.csv").read_text().replace("E0002,normal", "E0002,benign")
    (exams / "exams.csv").write_text(table)
    recipe = config.load(PAPER)
    recipe = replace(recipe, data=config.DataRecipe(exclude=("ddsm-exams:E0000",)))

    found = exam_tables.protocol_of(recipe, [open_source(f"ddsm-exams:{exams}")])

    run = {p.topic: p.run for p in found if p.standing == Standing.DATA}
    assert run["data"] == "ddsm-exams: 7 exams with cancer, 3 without"
    assert (
        "manufacturer (the digitizer); the data do not tell apart by age"
        in (run["parts of cancers are even in"])
    )
    assert run["size of the images"] == "16: enlarged"
    assert "classes" not in run


def test_contrast_and_brightness_change_within_a_tenth_and_nothing_else() -> None:
    how, image = config.load(PAPER).exams, np.linspace(0.2, 0.8, 48, dtype=np.float32)[None]
    rng = np.random.default_rng(0)
    gains, shifts = [], []
    for _ in range(300):
        changed = perturb(rng, image, how)
        gain, shift = np.polyfit(image[0] - 0.5, changed[0] - 0.5, 1)
        np.testing.assert_allclose(changed[0], gain * (image[0] - 0.5) + 0.5 + shift, atol=1e-5)
        gains, shifts = [*gains, gain], [*shifts, shift]

    for found, middle in ((gains, 1.0), (shifts, 0.0)):
        assert np.abs(np.array(found) - middle).max() <= 0.1 + 1e-5
        assert min(found) < middle - 0.08
        assert max(found) > middle + 0.08


def test_the_loss_is_the_cross_entropy_of_the_two_pooled_maps() -> None:
    """The paper's y_pred is a vector of two: softmax of what pooling makes of both maps."""
    torch.manual_seed(0)
    made = DibMg(DibMgConfig(widths=(4, 4, 8, 8, 8, 8), pooling="gap")).eval()
    views, cancer = torch.rand(8, 1, 32, 32), torch.tensor([[1.0, 0.0], [0.0, 0.0]])

    found = exam_loss(made, made.logit_map(views), ExamBatch(views, cancer))

    pooled = made(views).mean((2, 3)).view(2, 2, 2, 2).mean(2)
    wanted = 1 - cancer.long().flatten()
    expected = torch.nn.functional.cross_entropy(pooled.flatten(0, 1), wanted)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_training_writes_the_model_its_tables_and_its_differences(
    trained: dict[str, Any], folders: dict[str, Any]
) -> None:
    (model,) = trained["models"]
    card = store.read_card(Path(model["folder"]))

    assert isinstance(card, DibMgCard)
    assert (card.calibration.slope, card.calibration.intercept) == (1, 0)
    assert (card.breast.slope, card.breast.contralateral_weight) == (1, 0)
    assert card.exam is not None
    topics = [one.split(":")[0] for one in card.differences]
    assert {"data", "images", "grey levels", "epochs", "input"} <= set(topics)
    tables = model["tables"]
    assert tables["threshold"] == 0.5
    for part in ("validation", "test"):
        whole = tables["parts"][part]
        assert whole["sensitivity"]["n"] == 4
        assert whole["specificity"]["n"] == 2
        assert whole["n_pos"] == 4
        assert [one["column"] for one in whole["by"]] == [
            "age", "manufacturer", "density", "feature", "cancer type", "size"
        ]  # fmt: skip
    cancers = {c["column"]: c for c in model["strata"]["cancers"]}
    assert cancers["manufacturer"]["counts"] == {"A": [10, 2, 2], "B": [10, 2, 2]}
    assert cancers["manufacturer"]["p"] == 1.0


def test_the_node_reads_with_the_papers_network(
    trained: dict[str, Any], folders: dict[str, Any]
) -> None:
    folder = Path(trained["models"][0]["folder"])
    loaded = load_view_model(folder)

    result = evaluate.run(folders["data"][0], model=folder)

    assert loaded.card.preprocess == view_chain.PAPER.model_copy(update={"height": 64, "width": 64})
    assert result["women_left_out_as_seen_in_training"] == 30 + 6
    assert result["women"] == 4
    assert loaded.card.architecture.pooling == "gap"


def test_resumed_after_its_first_epoch_it_ends_with_the_same_bits(
    trained: dict[str, Any], folders: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, end_epoch = folders["root"] / "resumed", train.Training._end_epoch

    def killed(self: train.Training, *arguments: Any) -> None:
        end_epoch(self, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(train.Training, "_end_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            train.run(folders["data"], out, config=folders["config"], quiet=True)
    again = train.run(folders["data"], out, config=folders["config"], resume=True, quiet=True)

    expected, found = (
        load_file(Path(r["models"][0]["folder"]) / store.WEIGHTS) for r in (trained, again)
    )
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def test_where_memory_is_short_blocks_are_recomputed_and_the_result_is_the_same(
    trained: dict[str, Any], folders: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def tight(rows: int, parts: int, kept: tuple[int, int], free: int, **_: Any) -> Any:
        plain, recomputed = kept
        assert recomputed < plain
        at_a_time = -(-rows // parts)
        return whole(rows, parts, kept, 2 * at_a_time * recomputed)

    whole = memory.plan
    monkeypatch.setattr(memory, "plan", tight)
    out = folders["root"] / "tight"

    again = train.run(folders["data"], out, config=folders["config"], quiet=True)

    expected, found = (
        load_file(Path(r["models"][0]["folder"]) / store.WEIGHTS) for r in (trained, again)
    )
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def test_a_minibatch_that_fits_no_memory_is_divided_further_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = config.load(PAPER)
    recipe = replace(recipe, input=replace(recipe.input, height=64, width=64))
    made, said = network(recipe.architecture()), []
    monkeypatch.setattr(memory, "free_bytes", lambda device: 6 << 20)

    found = exam_training.fitted_into_memory(made, recipe, 64, Machine(), said.append)

    assert found.recompute
    assert found.parts > 8
    assert "same numbers" in said[0]
    assert f"batch normalisation sees {-(-64 // found.parts)} images" in said[1]


def test_tests_between_strata_are_of_their_counts() -> None:
    """Twelve cancers, eight of them called; masses and calcifications overlap by exam."""
    records, logits, exams = [], [], []
    for number in range(24):
        ill, called = number < 12, number % 3 != 0
        exams.append(
            exam(number, cancer=ill, density="AB"[number % 2], mass="yes",
                 microcalcification="yes" if number in (0, 3, 4) else "no")
        )  # fmt: skip
        name = "set" if number < 20 else "another set of the manifest"
        exams[-1] = replace(exams[-1], woman=f"{name}:{number}")
        records.append(ViewRecord(name, str(number), Laterality.LEFT, "CC", Path(), ill, "x", "m"))
        logits.append(1.0 if called else -1.0)
    read = ViewsRead(records, np.array(logits, np.float32), np.zeros(24, np.float32))
    prepared = PreparedViews(ViewSet("set", Acquisition.FILM, tuple(records), ()), None, {},  # type: ignore[arg-type]
                             {"test": exams})  # fmt: skip

    found = exam_tables.measured(prepared, {"validation": read, "test": read})["tables"]

    test = found["parts"]["test"]
    assert (test["sensitivity"]["hits"], test["specificity"]["hits"]) == (8, 4)
    density = next(one for one in test["by"] if one["column"] == "density")
    hits = [row["sensitivity"]["hits"] for row in density["rows"]]
    expected = chi2_contingency([[hits[0], 6 - hits[0]], [hits[1], 6 - hits[1]]], correction=False)
    assert density["p"]["sensitivity"] == pytest.approx(expected.pvalue, abs=1e-4)
    feature = next(one for one in test["by"] if one["column"] == "feature")
    assert [row["sensitivity"]["n"] for row in feature["rows"]] == [12, 3]
    assert 0 < feature["p"]["sensitivity"] < 1
    assert found["validation_against_test_auc"] == {"chi_square": 0.0, "p": 1.0}


def test_data_without_four_views_a_woman_are_refused_with_the_reason(tmp_path: Path) -> None:
    rsna = toy.rsna_views(tmp_path / "rsna", 4, size=32)
    cancers = [r for r in open_source(f"rsna-views:{rsna}").records if r.cancer]
    assert {r.laterality for r in cancers} == {Laterality.LEFT}

    with pytest.raises(DataError, match="too few to train"):
        train.run([f"rsna-views:{rsna}"], tmp_path / "out", config=paper_toy.kim_recipe(tmp_path),
                  quiet=True)  # fmt: skip


@pytest.mark.parametrize("line", ["ratio = [5, 1]", "ratio = [5, 0, 1]", "every = 0"])
def test_an_impossible_schedule_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "r.toml"
    file.write_text(f"[exams]\nbatch = 2\n{line}\n")

    with pytest.raises(SettingsError, match=r"\[exams\] is not possible"):
        config.load(file)


def test_a_shorter_training_keeps_the_steps_of_the_learning_rate() -> None:
    short = config.load(PAPER).with_epochs(12)

    assert (short.epochs, short.exams.rate(10)) == (12, pytest.approx(2e-4))
