"""`cadnode compare`, `cadnode report` and the promotion that rests on them, on toys."""

import csv
import json
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from cadnode.cli import compare
from cadnode.cli.models import models_app
from cadnode.models import store
from cadnode.registry import installation
from cadnode.registry.installation import Stores
from cadnode_training.results import scored_file
from tests.training import toy
from tests.unit import store_cases

app = typer.Typer()
app.command()(compare.compare)
app.command()(compare.report)


def run(which: typer.Typer, *words: object) -> Result:
    env = {"COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(which, [str(w) for w in words], env=env)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Settings of a node where toy 0.0.1 is active and 0.0.2 is there."""
    stores = Stores(tmp_path / "data" / "models")
    for version in ("0.0.1", "0.0.2"):
        made = store_cases.made(tmp_path / "new", version, seed=int(version[-1]))
        installation.add(made, stores, store_cases.ANNA, store.read_card)
    file = tmp_path / "cadnode.toml"
    file.write_text(f"[storage]\nfolder = '{tmp_path / 'data'}'\n")
    return file


def test_a_version_is_compared_promoted_and_taken_back(node: Path, tmp_path: Path) -> None:
    data = f"rsna-views:{toy.rsna_views(tmp_path / 'rsna', 16)}"
    out, page, cases = (tmp_path / n for n in ("c.json", "c.html", "c.csv"))

    done = run(
        app, "compare", "toy@0.0.1", "toy@0.0.2", "--data", data, "--json", out, "--html", page,
        "--scored", cases, "-c", node,
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert "toy@0.0.2 has an AUC of" in done.output
    assert json.loads(out.read_text())["whole"]["n_women"] == 16
    assert page.read_text().startswith("<!doctype html>")
    assert len(scored_file.read(cases)) == 24

    # When the rule bears anything, as toys are no better than guessing
    rule = tmp_path / "rule.toml"
    rule.write_text("least_auc = 0\nmost_drop = 1\nmost_drop_in_stratum = 1\nleast_n = 5\n")
    words = ("promote", "toy@0.0.2", "--evidence", out, "--rule", rule, "-c", node)
    promoted = run(models_app, *words)
    assert promoted.exit_code == 0, promoted.output
    assert "toy@0.0.2 is active" in promoted.output
    assert "compared with toy@0.0.1" in run(models_app, *words).output  # it is no longer active
    assert run(models_app, "rollback", "toy", "-c", node).exit_code == 0


def test_a_comparison_has_the_strata_that_the_report_has(node: Path, tmp_path: Path) -> None:
    folder = toy.rsna_views(tmp_path / "rsna", 16)
    with (folder / "views.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for row in rows:
        row["age"] = "45.0" if int(row["woman"]) < 8 else "61.0"
        row["BIRADS"] = "0" if row["cancer"] == "1" else "1"
    with (folder / "views.csv").open("w", newline="") as lines:
        table = csv.DictWriter(lines, rows[0])
        table.writeheader()
        table.writerows(rows)
    out = tmp_path / "c.json"

    done = run(
        app, "compare", "toy@0.0.1", "toy@0.0.2", "--data", f"rsna-views:{folder}",
        "--json", out, "-c", node,
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    strata = {(row["fact"], row["stratum"]) for row in json.loads(out.read_text())["strata"]}
    assert {("age", "40–49"), ("age", "60–69"), ("birads", "0"), ("birads", "1")} <= strata


def test_the_report_of_a_folder(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path / "new")
    data = f"rsna-views:{toy.rsna_views(tmp_path / 'rsna', 12)}"
    page, out, table, lines = (tmp_path / n for n in ("r.html", "r.json", "r.md", "r.csv"))

    done = run(
        app, "report", folder, "--data", data, "--html", page, "--json", out, "--markdown", table,
        "--csv", lines,
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    first = json.loads(out.read_text())["tables"][0]["rows"]
    assert [row["model"] for row in first] == ["toy@0.0.1", "paper: test", "paper: validation"]
    assert "| *paper: test* |" in table.read_text()
    assert "Kim et al. 2018" in lines.read_text()
    assert "paper: test" in page.read_text()


def test_what_cannot_be_compared_ends_with_2(node: Path, tmp_path: Path) -> None:
    data = f"rsna-views:{toy.rsna_views(tmp_path / 'rsna', 4)}"

    unknown = run(app, "compare", "toy@0.0.1", "toy@9.9.9", "--data", data, "-c", node)
    same = run(app, "compare", "toy@0.0.1", "toy@0.0.1", "--data", data, "-c", node)

    assert (unknown.exit_code, same.exit_code) == (2, 2)
    assert "twice" in same.output
