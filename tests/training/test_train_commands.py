"""`cadnode train X`: five systems with the same options, and what `--dry-run` tells."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.errors import SettingsError
from cadnode.models import store
from cadnode_training.engine import recipe as recipes
from cadnode_training.engine.command_line import command_line
from cadnode_training.engine.protocol import Standing
from cadnode_training.engine.recipe import Recipes, read
from cadnode_training.papers.detection.config import RECIPES as DETECTION
from cadnode_training.papers.detection.config import FilterSchedule
from cadnode_training.papers.kang2021.config import PROTOCOL
from cadnode_training.papers.wang2016 import config as wang
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe
from tests.training import toy
from tests.training.test_detection_data import write_mias
from tests.training.test_wang2016 import pisa

SYSTEMS = ("kim2018", "kang2021", "helsinki_dtl", "wang2016", "detection")
COMMON = (
    "--data", "--out", "--config", "--epochs", "--seed", "--resume", "--deterministic",
    "--precision", "--workers", "--dry-run", "--json", "--tensorboard", "--mlflow",
)  # fmt: skip


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["train", *words], env={"COLUMNS": "200", "TERM": "dumb"})


def dry(system: str, out: Path, *words: str) -> dict[str, Any]:
    found = run(system, "--out", str(out), "--dry-run", "--json", *words)
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_training_has_the_common_options(system: str) -> None:
    text = run(system, "--help").stdout

    assert [option for option in COMMON if option not in text] == []


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_dry_run_tells_data_differences_steps_and_files_and_writes_nothing(
    system: str, tmp_path: Path
) -> None:
    shown = dry(system, tmp_path / "out", "--epochs", "2")

    assert shown["system"] == system
    assert sum(sum(row["classes"].values()) for row in shown["data"]) > 100
    assert shown["differences"]
    assert shown["steps"] == sum(p["epochs"] * p["steps_per_epoch"] for p in shown["phases"]) > 0
    assert any(str(tmp_path / "out") in text for text in shown["writes"])
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_is_printed_for_people_too(tmp_path: Path) -> None:
    text = run("kang2021", "--out", str(tmp_path / "out"), "--dry-run", "--config", "paper").stdout

    assert "240 ROIs" in text
    assert "densenet201, target" in text
    assert "Nothing was written" in text


@pytest.mark.parametrize("system", SYSTEMS[:4])
def test_a_dry_run_of_the_papers_recipe_shows_its_protocol(system: str, tmp_path: Path) -> None:
    shown = dry(system, tmp_path, "--config", "paper")["protocol"]

    assert len(shown) > 20
    assert {"topic", "paper", "section", "run", "standing"} == shown[0].keys()
    assert all(point["section"] for point in shown)
    text = run(system, "--out", str(tmp_path), "--config", "paper", "--dry-run").stdout
    assert "Protocol of the paper" in text
    assert "what is run" in text


def test_a_dry_run_of_the_papers_exams_counts_them_and_their_strata(tmp_path: Path) -> None:
    exams = toy.ddsm_exams(tmp_path / "ddsm", 42, size=16)

    shown = dry("kim2018", tmp_path / "out", "--data", f"ddsm-exams:{exams}", "--config", "paper")

    counts = {row["part"]: row["classes"] for row in shown["data"]}
    assert counts["train"] == {"exams with cancer": 20, "without": 10}
    assert counts["validation"] == counts["test"] == {"exams with cancer": 4, "without": 2}
    assert shown["steps"] == 30 * (30 // 16)
    assert {c["column"] for c in shown["strata"]["ddsm-exams"]["cancers"]} >= {"age", "size"}
    by_data = {p["topic"] for p in shown["protocol"] if p["standing"] == "differs by the data"}
    assert {d["topic"] for d in shown["differences"]} == by_data
    assert not (tmp_path / "out").exists()


def test_without_a_gpu_the_small_recipe_is_taken_unless_the_papers_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    assert dry("kang2021", tmp_path)["recipe"] == "cpu.toml"
    papers = dry("kang2021", tmp_path, "--config", "paper")
    assert papers["recipe"] == "recipe.toml"
    # Five networks, 200 epochs of 5 × 240 ROIs in minibatches of 16, 32, 32, 16 and 8.
    assert papers["steps"] == 200 * (75 + 37 + 37 + 75 + 150)
    assert dry("kang2021", tmp_path, "--config", "paper", "--members", "xception")["steps"] == 7400


def test_real_data_are_counted_by_part_and_class(tmp_path: Path) -> None:
    exams = toy.ddsm_exams(tmp_path / "ddsm", 30, size=16)

    shown = dry("kim2018", tmp_path / "out", "--data", f"ddsm-exams:{exams}")

    counts = {row["part"]: row["classes"] for row in shown["data"]}
    assert sum(one["breasts with cancer"] for one in counts.values()) == 20
    assert sum(one["without"] for one in counts.values()) == 40
    assert counts["train"]["without"] > counts["test"]["without"]


def test_regions_and_views_are_counted_by_class(tmp_path: Path) -> None:
    masses = dry(
        "wang2016", tmp_path / "out", "--licensed", "--scenario", "masses", "--data",
        f"pisa-masses:{pisa(tmp_path / 'pisa', women=8)}",
    )  # fmt: skip
    views = dry("detection", tmp_path / "out", "--data", f"mini-mias:{write_mias(tmp_path / 'm')}")

    assert sum(row["classes"]["malignant"] for row in masses["data"]) == 8
    assert sum(row["classes"]["benign"] for row in masses["data"]) == 8
    assert sum(views["data"][0]["classes"].values()) > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--precision", "int8"), "--precision must be auto, bf16, fp16, fp32"),
        (("--config", "nowhere.toml"), "there is no recipe nowhere.toml"),
        (("--data", "nonsense"), "--data must be"),
    ],
)
@pytest.mark.parametrize("system", ["kang2021", "wang2016"])
def test_what_is_wrong_is_said_in_a_line(
    system: str, words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    found = run(system, "--out", str(tmp_path / "out"), "--dry-run", *words)

    assert found.exit_code == SettingsError.exit_code
    assert message in found.stderr.replace("\n", " ")


def test_the_small_networks_are_trained_in_float32_alone(tmp_path: Path) -> None:
    for system in ("wang2016", "detection"):
        found = run(system, "--out", str(tmp_path / "out"), "--dry-run", "--precision", "bf16")
        assert found.exit_code == SettingsError.exit_code
        assert "float32" in found.stderr


def test_committed_recipes_are_the_defaults_of_their_dataclasses() -> None:
    assert read(wang.RECIPE, AutoencoderRecipe) == AutoencoderRecipe()
    assert wang.RECIPES.of(None) == wang.RECIPES.of(None, "cpu") == wang.RECIPE
    assert read(DETECTION.paper, FilterSchedule) == FilterSchedule()


def test_a_recipe_is_named_by_paper_cpu_file_or_device() -> None:
    both, one = PROTOCOL.recipes, Recipes(Path("r.toml"))

    assert both.of(None, "cuda") == both.of(Path(recipes.PAPER), "cpu") == both.paper
    assert both.of(None, "cpu") == both.of(Path(recipes.CPU), "cuda") == both.cpu
    assert one.of(None, "cpu") == one.of(Path(recipes.CPU)) == Path("r.toml")
    assert one.of(Path("own.toml")) == Path("own.toml")
    assert both.note(None, "cpu")
    assert not both.note(Path("paper"), "cpu") + both.note(None, "cuda") + one.note(None, "cpu")


def test_what_the_autoencoders_training_does_otherwise_is_named() -> None:
    shown = {p.topic: p for p in wang.protocol(AutoencoderRecipe(), "both", 5)}
    papers = {p.topic: p for p in wang.protocol(wang.load(Path("paper"), None), "both", 10)}

    assert shown["fine-tuning"].standing == Standing.CHOSEN
    assert {"class" in shown["SVM"].run, "Ledoit" in shown["LDA"].run} == {True}
    apart = {t for t, p in shown.items() if p.standing == Standing.DIFFERS}
    kept = {t for t, p in papers.items() if p.standing == Standing.DIFFERS}
    assert apart - kept == {"features", "network", "cross-validation"}
    assert kept == {"images", "segmentation"}
    assert (papers["hidden layers"].paper, papers["KNN"].paper) == ("400, 400", "N = 6")


def test_a_card_names_no_folder_of_the_machine() -> None:
    line = command_line(
        "kang2021", ["target=mini-mias:/home/x/mias", "phantom:9/8/7,manifest:/d/m.csv"],
        Path("/home/x/out"), {"--members": ["a", "b"], "--epochs": None, "--seed": 3},
    )  # fmt: skip

    assert line == (
        "cadnode train kang2021 --data target=mini-mias:mias --data "
        "phantom:9/8/7,manifest:m.csv --out out --members a --members b --seed 3"
    )


def test_a_folder_left_by_a_failed_start_is_no_model(tmp_path: Path) -> None:
    found = run("detection", "--out", str(tmp_path), "--data", "phantom:3", "--json")

    assert found.exit_code == SettingsError.exit_code
    assert not list(tmp_path.rglob(store.CARD))
