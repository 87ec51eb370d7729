"""Which models `cadnode evaluate` and `compare` take, and what they say where one does not fit."""

from pathlib import Path

import numpy as np
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from cadnode.cli import compare
from cadnode.cli.evaluate import evaluate_app
from cadnode.statistics import auc, draws
from tests.training import film_layouts

app = typer.Typer()
app.command()(compare.compare)
app.command()(compare.report)


def run(which: typer.Typer, *words: object) -> Result:
    return CliRunner().invoke(which, [str(w) for w in words], env={"COLUMNS": "300"})


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Settings of a node that has the packaged models alone."""
    file = tmp_path / "cadnode.toml"
    file.write_text(f"[storage]\nfolder = '{tmp_path / 'data'}'\n")
    return file


def test_models_of_two_kinds_are_refused_with_those_that_can_be_compared(node: Path) -> None:
    done = run(app, "compare", "dib-mg-film", "wang2016-masses", "--data", "phantom:8", "-c", node)

    assert done.exit_code == 2
    assert "reads views and wang2016-masses" in done.output
    assert "With dib-mg-film can be: dib-mg-digital@" in done.output


@pytest.mark.parametrize("models", [(), ("dib-mg-film",), ("a", "b", "--model", "c")])
def test_a_comparison_takes_two_models(models: tuple[str, ...], node: Path) -> None:
    done = run(app, "compare", *models, "--data", "phantom:8", "-c", node)

    assert done.exit_code == 2
    assert "takes two models, A and B" in done.output


def test_a_scenario_names_the_model_of_wang2016(node: Path) -> None:
    words = ("--model", "wang2016@1.1.0", "--model", "wang2016@9.9.9", "--scenario", "masses")

    done = run(app, "compare", *words, "--data", "phantom:8", "-c", node)

    assert done.exit_code == 2
    assert "no version 9.9.9 of wang2016-masses" in done.output


def test_a_model_of_another_system_is_refused_with_the_command_that_measures_it(
    node: Path,
) -> None:
    words = ("--data", "phantom:8", "--model", "wang2016-masses", "-c", node)

    done = run(evaluate_app, "kim2018", *words)

    assert done.exit_code == 2
    assert "`cadnode evaluate wang2016 --model wang2016-masses`" in done.output


def test_a_scenario_that_the_model_does_not_read_is_refused(node: Path) -> None:
    words = ("--data", "phantom:8", "--model", "wang2016-masses", "--scenario", "both", "-c", node)

    done = run(evaluate_app, "wang2016", *words)

    assert done.exit_code == 2
    assert "wang2016-masses reads masses" in done.output


def test_numbers_and_page_go_into_one_folder(
    node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cadnode.cli import evaluate

    asked: list[object] = []

    class Step:
        @staticmethod
        def run(data: str, **options: object) -> dict[str, object]:
            asked.append((data, options["model"], draws.seed_or(None)))
            return {"auc": 0.5}

        @staticmethod
        def show(console: object, result: object) -> None:
            """Prints nothing."""

    monkeypatch.setattr("cadnode.export.papers.step_of", lambda system, step: Step)
    monkeypatch.setattr(
        "cadnode_training.results.evaluation_page.of_command",
        lambda file, *others: file.write_text("page"),
    )

    done = run(evaluate_app, "model", "dib-mg-film", "--data", "phantom:8", "-o", tmp_path / "out",
               "--html", tmp_path / "p.html", "--seed", "7", "-c", node)  # fmt: skip

    assert done.exit_code == 0, done.output
    assert (tmp_path / "out" / evaluate.NUMBERS).read_text() == '{\n  "auc": 0.5,\n  "seed": 7\n}\n'
    assert (tmp_path / "out" / evaluate.PAGE).read_text() == "page"
    assert (tmp_path / "p.html").read_text() == "page"
    ((data, folder, seed),) = asked
    assert (data, seed) == ("phantom:8", 7)
    assert draws.seed_or(None) == 0
    assert "dib-mg-film" in str(folder)


def test_a_dry_run_counts_what_would_be_read_and_writes_nothing(node: Path, tmp_path: Path) -> None:
    folder = film_layouts.mini_mias(tmp_path / "mias", women=8)
    before = sorted(tmp_path.rglob("*"))

    done = run(evaluate_app, "kang2021", "--data", f"mini-mias:{folder}", "--out",
               tmp_path / "out", "--seed", "3", "--dry-run", "-c", node)  # fmt: skip

    assert done.exit_code == 0, done.output
    rows = {cells[0].strip(): cells[1].strip() for line in done.output.splitlines()
            if len(cells := line.strip("│ ").split("│")) == 2}  # fmt: skip
    assert (rows["women"], rows["regions malignant"], rows["regions benign"]) == ("8", "4", "4")
    assert "seed 3" in done.output
    assert str(tmp_path / "out" / "result.html") in done.output
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_of_a_comparison_refuses_what_the_comparison_refuses(node: Path) -> None:
    words = ("dib-mg-film", "dib-mg-digital", "--data", "mini-mias:/nowhere", "--dry-run")

    done = run(app, "compare", *words, "-c", node)

    assert done.exit_code == 2
    assert "findings.csv" in done.output


def test_an_interval_by_woman_follows_the_seed_of_the_command() -> None:
    rng = np.random.default_rng(1)
    labels, women = np.arange(60) % 2 == 0, np.arange(60) // 2
    scores = rng.random(60) + labels * 0.3

    def ends(seed: int) -> tuple[float, float]:
        with draws.seeded(seed):
            return auc.clustered(labels, scores, women).bounds

    assert ends(0) == auc.clustered(labels, scores, women).bounds
    assert ends(5) == auc.clustered(labels, scores, women, seed=5).bounds != ends(0)
