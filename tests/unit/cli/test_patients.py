"""`cadnode patients` as people and scripts use it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cadnode import log
from cadnode.cli.patients import patients_app
from cadnode.log import hashed
from cadnode.node import pins
from cadnode.node.workflow import prepare
from tests.erasure_cases import ANN, OF_ANN, ErasureNode, hits_of, images, make_two
from tests.synthetic import uid

ANNS = hashed(uid("erasure", "ann"))
ID = ("--patient-id", ANN["PatientID"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("patients")
    make_two(folder)
    prepare(f"sqlite:///{folder / 'data' / 'jobs.sqlite'}")
    return folder


@pytest.fixture
def node(tmp_path: Path, made: Path) -> ErasureNode:
    log.configure("ERROR")
    node = ErasureNode(tmp_path / "node", made)
    (tmp_path / "cadnode.toml").write_text(
        f"[storage]\nfolder = '{node.folder}'\nmin_free_gb = 0.0\n"
        "[[destinations]]\nname = 'out'\nkind = 'folder'\n"
        f"folder = '{node.folder.parent / 'out'}'\nprofile = 'all'\n"
    )
    return node


def run(node: ErasureNode, *arguments: str, typed: str | None = None) -> Result:
    config = str(node.folder.parent.parent / "cadnode.toml")
    env = {"COLUMNS": "200", "TERM": "dumb"}
    return CliRunner().invoke(patients_app, [*arguments, "--config", config], env=env, input=typed)


def document(result: Result, code: int = 0) -> dict[str, Any]:
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_find_shows_what_there_is_and_what_was_delivered_and_changes_nothing(
    node: ErasureNode,
) -> None:
    before = node.snapshot()

    shown = document(run(node, "find", *ID, "--json"))
    text = run(node, "find", *ID).output

    (study,) = shown["studies"]
    assert (study["study"], study["images"], study["results"], study["whole"]) == (ANNS, 4, 1, True)
    assert shown["delivered"][0]["destination"] == "out"
    assert "4 images and 1 result in 1 study" in text
    assert "delete the study's folder in" in text
    assert "backups" in text
    assert not any(word in text for word in OF_ANN)
    assert node.snapshot() == before


def test_erase_says_what_went_and_proves_it(node: ErasureNode) -> None:
    shown = document(run(node, "erase", *ID, "--yes", "--json"))

    assert shown["removed"]["images"] == 4
    assert shown["search"]["found"] == 0
    assert Path(shown["record"]).exists()
    assert hits_of(node.folder, (*OF_ANN, ANNS)) == []
    again = run(node, "erase", *ID, "--yes")
    assert again.exit_code == 0
    assert "Erased: nothing." in again.output
    assert "identifiers: 0 found." in " ".join(again.output.split())


def test_a_dry_run_changes_nothing(node: ErasureNode) -> None:
    before = node.snapshot()

    assert document(run(node, "erase", *ID, "--dry-run", "--json"))["dry_run"] is True
    assert node.snapshot() == before


def test_the_id_may_come_from_standard_input(node: ErasureNode) -> None:
    typed = f"{ANN['PatientID']}\n"
    shown = document(run(node, "find", "--patient-id", "-", "--json", typed=typed))

    assert len(shown["studies"]) == 1


def test_what_is_found_elsewhere_ends_with_one_and_says_where(node: ErasureNode) -> None:
    (node.folder / "copy.txt").write_text(f"{ANN['PatientID']}\n")

    result = run(node, "erase", *ID, "--yes")

    assert result.exit_code == 1
    assert "copy.txt  patient ID" in result.output
    assert "repeat the command" in result.output


def test_a_pinned_study_needs_a_word_more(node: ErasureNode) -> None:
    pins.pin(node.folder, pins.Pin(ANNS))
    before = node.snapshot()

    result = run(node, "erase", *ID, "--yes")

    assert result.exit_code == 2
    assert ANNS in result.output
    assert "--pinned-too" in result.output
    assert node.snapshot() == before
    assert run(node, "erase", *ID, "--yes", "--pinned-too").exit_code == 0


def test_what_is_not_read_needs_a_word_more(node: ErasureNode) -> None:
    node.receive(images(ANN, "unread", seed=5))

    result = run(node, "erase", *ID, "--yes")

    assert result.exit_code == 2
    assert f"{hashed(uid('erasure', 'unread'))} (not read)" in " ".join(result.output.split())
    assert run(node, "erase", *ID, "--yes", "--undelivered-too").exit_code == 0
    assert hits_of(node.folder, OF_ANN) == []


def test_manifests_and_caches_are_erased_too(node: ErasureNode, tmp_path: Path) -> None:
    table, cache = tmp_path / "outcomes.csv", tmp_path / "cache"
    table.write_text(f"patient_id,label\n{ANN['PatientID']},benign\nOTHER-1,normal\n")
    cache.mkdir()
    (cache / "notes.json").write_text(f'{{"of": "{ANN["PatientID"]}"}}')
    places = ("--manifest", str(table), "--cache", str(cache))

    shown = document(run(node, "erase", *ID, *places, "--yes", "--json"))

    assert shown["removed"]["rows of manifests"] == 1
    assert shown["removed"]["cached files"] == 1
    assert table.read_text() == "patient_id,label\nOTHER-1,normal\n"
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("erase", *ID), "add --yes"),
        (("erase",), "whose?"),
        (("find", "--patient-id", "A\\B"), "1 to 64 characters"),
        (("find", *ID, "--study", "no uid"), "--study is a Study Instance UID"),
        (("find", *ID, "--manifest", "nowhere.csv"), "no CSV or Parquet file"),
        (("find", *ID, "--cache", "nowhere"), "no folder"),
    ],
)
def test_wrong_arguments_end_with_two_and_say_what_to_do(
    node: ErasureNode, arguments: tuple[str, ...], said: str
) -> None:
    before = node.snapshot()

    result = run(node, *arguments)

    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert node.snapshot() == before


def test_a_folder_that_is_no_nodes_is_refused(node: ErasureNode, tmp_path: Path) -> None:
    (tmp_path / "cadnode.toml").write_text(f"[storage]\nfolder = '{tmp_path / 'empty'}'\n")

    result = run(node, "find", *ID)

    assert result.exit_code == 2
    assert "no node's storage folder" in " ".join(result.output.split())
