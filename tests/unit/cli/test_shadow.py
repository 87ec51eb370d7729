"""`cadnode models shadow`, `history` and `remove` as people and scripts use them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cadnode.cli.models import models_app
from cadnode.cli.shadow import sparkline
from tests.unit import store_cases


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A node with a toy 0.0.1, which is active, and its 0.0.2."""
    file = tmp_path / "cadnode.toml"
    file.write_text(f"[storage]\nfolder = '{tmp_path / 'data'}'\n")
    for version in ("0.0.1", "0.0.2"):
        made = store_cases.made(tmp_path / "new", version, seed=int(version[-1]))
        assert run(file, "add", made).exit_code == 0
    return file


def run(config: Path, *arguments: object) -> Result:
    words = [str(a) for a in arguments]
    env = {"COLUMNS": "220", "TERM": "dumb"}
    return CliRunner().invoke(models_app, [*words, "--config", str(config)], env=env)


def wrote(config: Path, study: str, active: float, shadow: float, content: str = "a") -> None:
    """The node's `shadow.json` of a study."""
    folder = config.parent / "data" / "results" / study / content
    folder.mkdir(parents=True)
    row = {
        "system": "kim2018", "what": "exam", "active": active, "shadow": shadow,
        "active_called": active >= 0.5, "shadow_called": shadow >= 0.5,
    }  # fmt: skip
    told = {
        "schema_version": 2, "status": "read", "wanted": ["toy@0.0.2"],
        "active": [{"name": "toy", "version": "0.0.1", "sha256": "a" * 64}],
        "shadow": [{"name": "toy", "version": "0.0.2", "sha256": "b" * 64}],
        "scores": [row], "marks": {"active": 0, "shadow": 0}, "seconds": 1.0,
    }  # fmt: skip
    (folder / "shadow.json").write_text(json.dumps(told))


def summary(config: Path, *arguments: object) -> dict[str, Any]:
    result = run(config, "shadow", *arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_shadow_starts_is_shown_cannot_be_removed_and_stops(config: Path) -> None:
    assert summary(config)["shadows"] == []

    begun = CliRunner().invoke(
        models_app,
        ["shadow", "start", "toy@0.0.2", "--reason", "a trial", "--config", str(config)],
    )
    assert begun.exit_code == 0, begun.output
    assert summary(config)["shadows"] == ["toy@0.0.2"]
    assert run(config, "remove", "toy@0.0.2").exit_code == 2
    assert run(config, "shadow", "stop").exit_code == 0
    assert summary(config)["shadows"] == []

    would = run(config, "remove", "toy@0.0.2", "--dry-run")
    assert "would be removed" in would.output
    assert run(config, "remove", "toy@0.0.2", "--reason", "done").exit_code == 0
    told = run(config, "history", "toy").output
    for words in ("0.0.2 reads in shadow mode", "a trial", "0.0.2 no longer", "remove 0.0.2"):
        assert words in told
    changes = json.loads(run(config, "history", "toy", "--json").stdout)
    assert [c["action"] for c in changes] == [
        "activate", "shadow_start", "shadow_stop", "remove",
    ]  # fmt: skip


def test_the_summary_says_who_calls_what_and_how_far_scores_lie_apart(config: Path) -> None:
    for number, (active, shadow) in enumerate([(0.6, 0.7), (0.2, 0.3), (0.4, 0.5), (0.8, 0.4)]):
        wrote(config, f"study{number}", active, shadow)
    (config.parent / "data" / "results" / "study0" / "a" / "result.json").write_text("{}")

    (row,) = summary(config)["agreement"]
    assert row["counts"] == {"both": 1, "active": 1, "shadow": 1, "neither": 1, "incomplete": 0}
    assert row["mean_difference"] == pytest.approx(-0.025)
    text = run(config, "shadow").output
    for words in ("toy@0.0.2", "toy@0.0.1", "-0.025", "4 exams were read"):
        assert words in text
    page = config.parent / "page.html"
    run(config, "shadow", "--html", page)
    assert page.read_text().count("<circle") == 2 * 4
    assert "http" not in page.read_text()
    assert summary(config, "--only", "toy@0.0.3")["n_read"] == 0


def test_a_study_that_grew_counts_once_and_a_damaged_file_is_told(config: Path) -> None:
    wrote(config, "study", 0.6, 0.7, "a")
    wrote(config, "study", 0.6, 0.7, "b")
    wrote(config, "other", 0.6, 0.7)
    (config.parent / "data" / "results" / "other" / "a" / "shadow.json").write_text("{")

    found = summary(config)

    assert (found["n_read"], found["n_damaged_files"]) == (1, 1)


def test_a_shadow_of_the_configuration_reads_and_what_is_wrong_with_it_is_shown(
    config: Path,
) -> None:
    config.write_text(config.read_text() + "[reading]\nshadow = ['toy@0.0.2', 'tay@1.0.0']\n")

    found = summary(config)

    assert found["shadows"] == ["toy@0.0.2"]
    assert "no model 'tay'" in found["problems"][0]
    assert run(config, "shadow", "stop", "toy").exit_code == 2


def test_bars_are_as_high_as_their_counts() -> None:
    assert sparkline([0, 1, 4, 8]) == " ▁▄█"
    assert sparkline([0, 0]) == "  "
