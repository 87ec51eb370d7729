"""`cadnode models` as people and scripts use it."""

import json
import zipfile
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from rich.console import Console
from typer.testing import CliRunner

from cadnode.cli.model_output import curve, print_card, print_overview
from cadnode.cli.models import models_app
from cadnode.models import store
from cadnode.models.card import FoundShare
from cadnode.models.operating_point import Roc
from cadnode.node.model_overview import Overview
from tests.unit import store_cases
from tests.unit.models.test_mass_finder import card as mass_card

PACKAGED = ("dib-mg-digital", "dib-mg-film")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "cadnode.toml"
    file.write_text(f"[storage]\nfolder = '{tmp_path / 'data'}'\n")
    return file


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new"


def run(config: Path, *arguments: object) -> Result:
    words = [str(a) for a in arguments]
    env = {"COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(models_app, [*words, "--config", str(config)], env=env)


def as_json(config: Path, *arguments: object, code: int = 0) -> object:
    result = run(config, *arguments, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def state(config: Path) -> dict[str, str | None]:
    """Active version by name; None where no version is."""
    found = as_json(config, "list")
    assert isinstance(found, dict)
    active = {m["name"]: m["version"] for m in found["models"] if m["active"]}
    return {m["name"]: active.get(m["name"]) for m in found["models"]}


def test_the_list_shows_models_and_which_systems_are_active_and_why_not(config: Path) -> None:
    result = run(config, "list")

    assert result.exit_code == 0
    for word in (*PACKAGED, "0.66 (0.57–0.75; 65+120)", "ddsm-exams", "3.4 MB"):
        assert word in result.output
    for system in ("kim2018", "kang2021", "helsinki_dtl", "wang2016"):
        assert system in result.output


def test_a_model_comes_is_switched_back_and_forth_and_off(config: Path, new: Path) -> None:
    first = store_cases.made(new, "1.0.0")
    second = store_cases.made(new, "1.1.0", seed=1)

    assert "It is active" in run(config, "add", first).output
    assert "toy@1.0.0 stays active" in run(config, "add", second).output
    assert state(config)["toy"] == "1.0.0"
    assert "toy@1.1.0 is active" in run(config, "activate", "toy@1.1.0").output
    assert state(config)["toy"] == "1.1.0"
    assert "toy@1.0.0 is active" in run(config, "rollback", "toy").output
    assert run(config, "activate", "toy", "1.1.0").exit_code == 0
    assert "switched off" in run(config, "deactivate", "toy").output
    assert state(config)["toy"] is None
    assert as_json(config, "rollback", "toy") == {"name": "toy", "active_version": "1.1.0"}
    history = as_json(config, "show", "toy")
    assert isinstance(history, dict)
    assert [c["action"] for c in history["history"]] == [
        "activate", "activate", "rollback", "activate", "deactivate", "rollback",
    ]  # fmt: skip
    assert all(c["by"] and c["at"] for c in history["history"])


def test_a_packaged_model_that_is_switched_off_leaves_its_images_unread(config: Path) -> None:
    run(config, "deactivate", "dib-mg-film")

    found = as_json(config, "list")
    assert isinstance(found, dict)
    kim = found["systems"][0]
    assert kim["models"] == ["dib-mg-digital"]
    assert "film" in kim["reason"]
    assert "`cadnode models activate dib-mg-film`" in kim["reason"]


def test_a_dry_run_says_what_would_be_and_leaves_no_trace(config: Path, new: Path) -> None:
    result = run(config, "add", store_cases.made(new), "--dry-run")

    assert "whole and works; it would be added" in result.output
    assert "toy" not in state(config)


def test_a_zip_file_is_added_with_activate(config: Path, new: Path) -> None:
    folder = store_cases.made(new)
    with zipfile.ZipFile(new / "toy.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"toy/0.0.1/{file.name}")

    (added,) = as_json(config, "add", new / "toy.zip", "--activate")  # type: ignore[misc]
    assert (added["name"], added["active_version"], added["was_there"]) == ("toy", "0.0.1", False)


def test_a_refused_model_ends_with_exit_code_4_and_one_line(config: Path, new: Path) -> None:
    folder = store_cases.made(new)
    (folder / store.WEIGHTS).write_bytes(b"damaged")

    result = run(config, "add", folder)

    assert result.exit_code == 4
    assert "sha256" in result.stderr
    assert "Traceback" not in result.output


def test_an_unknown_model_ends_with_exit_code_2_and_the_known_ones(config: Path) -> None:
    for words in (("show", "tay"), ("activate", "tay"), ("deactivate", "tay"), ("verify", "tay")):
        result = run(config, *words)
        assert result.exit_code == 2, words
        assert "dib-mg-film" in result.stderr


def test_the_card_shows_all_that_must_be_known(config: Path) -> None:
    text = run(config, "show", "dib-mg-film").output

    for word in (
        "Not a medical device", "1845 women", "0.79 (0.75–0.82; 504+504)", "Apache-2.0",
        "stretch_to 299", "calcifications cannot be resolved", "youden", "sensitivity=0.95",
        "specificity=0.8", "1 − specificity",
    ):  # fmt: skip
        assert word in text, word


def test_operating_points_in_json_are_those_of_the_stored_curve(config: Path, new: Path) -> None:
    run(config, "add", store_cases.made(new))

    shown = as_json(config, "show", "toy@0.0.1")
    assert isinstance(shown, dict)
    points = {p["choice"]: p for p in shown["operating_points"]}
    assert points["youden"]["threshold"] == 0.5  # 0.8 + 0.8 is the highest of the three points
    assert points["sensitivity=0.9"]["threshold"] == 0.0
    assert points["specificity=0.95"]["threshold"] == 1.0
    assert shown["card"]["intended_use"] == "tests"


def test_an_operating_point_that_the_curve_does_not_reach_is_marked(
    config: Path, new: Path
) -> None:
    curve_ends = Roc(points=((0.9, 0.2, 0.85), (0.5, 0.7, 0.8)), measured_on="x", n_pos=5, n_neg=5)
    run(config, "add", store_cases.made(new, roc=curve_ends))

    lines = run(config, "show", "toy").output.splitlines()
    marked = [line.split()[0] for line in lines if "not reached" in line]
    assert marked == [
        "sensitivity=0.8", "sensitivity=0.9", "sensitivity=0.95", "specificity=0.9",
        "specificity=0.95",
    ]  # fmt: skip


def test_markup_in_a_card_is_shown_as_it_is_written(config: Path, new: Path) -> None:
    run(config, "add", store_cases.made(new, intended_use="[red]tests[/] [link=x]"))

    assert "[red]tests[/] [link=x]" in run(config, "show", "toy").output


def test_verify_finds_damage_and_says_so_by_its_exit_code(config: Path, new: Path) -> None:
    run(config, "add", store_cases.made(new))
    assert run(config, "verify").exit_code == 0

    (blob,) = (config.parent / "data" / "models" / store.BLOBS).iterdir()
    blob.write_bytes(blob.read_bytes()[:-1])
    found = as_json(config, "verify", "toy", code=4)
    assert isinstance(found, list)
    assert [(f["name"], f["ok"]) for f in found] == [("toy", False)]
    assert "sha256" in found[0]["problem"]
    text = run(config, "verify")
    assert text.exit_code == 4
    assert "dib-mg-film 1.1.0: whole and working" in text.output


def test_the_list_goes_on_beside_a_damaged_card(config: Path, new: Path) -> None:
    run(config, "add", store_cases.made(new))
    (config.parent / "data" / "models" / "toy" / "0.0.1" / store.CARD).write_text("{}")

    result = run(config, "list")
    assert result.exit_code == 0
    assert "not valid" in result.output
    assert run(config, "show", "toy").exit_code == 4


def test_folders_of_the_settings_are_listed_and_verified(config: Path, new: Path) -> None:
    folder = store_cases.made(new)
    config.write_text(config.read_text() + f"[reading]\nmodel_folders = ['{folder}']\n")

    found = as_json(config, "verify", "toy")
    assert isinstance(found, list)
    assert (found[0]["origin"], found[0]["active"], found[0]["ok"]) == ("settings", True, True)
    assert state(config)["toy"] == "0.0.1"
    assert "settings" in run(config, "show", "toy").output


def test_a_detector_of_masses_shows_its_input_and_the_share_that_it_finds() -> None:
    share = FoundShare(
        data="women left out", contrast="one false mark an image", n_lesions=211, n_images=200,
        n_women=117, sensitivity=0.68, interval=(0.61, 0.76),
    )  # fmt: skip
    card = mass_card().model_copy(update={"found": (share,)})
    row: Any = SimpleNamespace(
        card=card, active=True, size=1, problem="", signed=None, whose="-",
        entry=SimpleNamespace(folder="-", origin=SimpleNamespace(value="added")),
    )  # fmt: skip
    shown = Console(width=200, file=StringIO())
    print_card(shown, row, ())
    print_overview(shown, Overview((row,), ()))
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "68% (61%–76%); 211 lesions, 200 images, 117 women; women left out" in text
    assert "height 64, width 48" in text
    assert "finds 68% (61%–76%)" in text


def test_the_curve_of_a_perfect_and_of_a_blind_model() -> None:
    perfect = Roc(points=((1.0, 1.0, 1.0), (0.0, 1.0, 0.0)), measured_on="x", n_pos=1, n_neg=1)
    blind = Roc(points=((1.0, 0.0, 1.0), (0.0, 1.0, 0.0)), measured_on="x", n_pos=1, n_neg=1)

    high, low = curve(perfect, 4, 2), curve(blind, 4, 2)

    # Risen at once at the left edge, along the top; risen at the right edge. Dots between them
    # are the diagonal.
    assert high[:2] == ["1 ┤⡏⠉⠉⠋", "0 ┤⡇⠈⠀⠀"]
    assert low[0] == "1 ┤⠀⠀⠀⢺"
