"""`cadnode models keygen`, `sign`, `trust` and `export`: a model goes from one node to another."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cadnode.cli.models import models_app
from cadnode.models import store
from cadnode.node import checks
from cadnode.registry import signature, signing
from cadnode.settings import ModelsSection, Settings, StorageSection
from tests.unit import store_cases
from tests.unit.signing_cases import zipped

pytestmark = pytest.mark.usefixtures("models_loaded_once")


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The configuration of the node where the model is made."""
    return configuration(tmp_path / "here")


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The configuration of another node."""
    return configuration(tmp_path / "there")


def configuration(folder: Path, more: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / "cadnode.toml"
    file.write_text(f"[storage]\nfolder = '{folder / 'data'}'\n{more}")
    return file


def run(*arguments: object, given: str = "", code: int = 0) -> Result:
    env = {"COLUMNS": "250", "TERM": "dumb"}
    result = CliRunner().invoke(models_app, [str(a) for a in arguments], env=env, input=given)
    assert result.exit_code == code, result.output
    return result


def as_json(*arguments: object) -> object:
    return json.loads(run(*arguments, "--json").stdout)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A private key; the public one is beside it."""
    run("keygen", tmp_path / "maker")
    return tmp_path / "maker.key"


def rows(config: Path) -> dict[str, object]:
    found = as_json("list", "--config", config)
    assert isinstance(found, dict)
    return {row["name"]: row["signed_by"] for row in found["models"]}


def test_a_model_goes_signed_from_one_node_to_another(
    here: Path, there: Path, tmp_path: Path, key: Path
) -> None:
    run("add", store_cases.made(tmp_path / "new"), "--config", here)
    file = tmp_path / "toy.zip"
    exported = run(
        "export", "toy", "--zip", file, "--key", key, "--signer", "Dr. Doe", "--config", here
    )
    assert "it is signed" in exported.output

    refused = run("add", file, "--config", there, code=4)
    assert "which this node does not trust" in refused.stderr
    trusted = as_json("trust", "add", key.with_suffix(".pub"), "--config", there)
    assert isinstance(trusted, dict)
    assert trusted["name"] == "maker"
    added = run("add", file, "--config", there).output
    since = trusted["since"][:10]
    words = f"signed by maker ({trusted['key_id']}), trusted since {since}"
    assert f"It is {words}. It is active." in added

    assert rows(there)["dib-mg-film"] is None
    by = rows(there)["toy"]
    assert isinstance(by, dict)
    assert (by["name"], by["key_id"], by["signer"]) == ("maker", trusted["key_id"], "Dr. Doe")
    shown = run("show", "toy", "--config", there).output
    assert f"{words}; in the signer's words: Dr. Doe" in shown
    assert f"toy@0.0.1: {words}" in run("list", "--config", there).output
    assert "packaged with cadnode" in run("show", "dib-mg-film", "--config", there).output
    assert "not signed: nothing proves" in run("show", "toy", "--config", here).output


def test_a_bundle_is_signed_as_a_whole_and_added(
    here: Path, there: Path, tmp_path: Path, key: Path
) -> None:
    run("add", store_cases.made(tmp_path / "new"), "--config", here)
    folder = tmp_path / "bundle"
    run("export", "toy", "--bundle", folder, "--key", key, "--config", here)
    pub = key.with_suffix(".pub")
    key_id = signature.key_id(signing.public_key(pub))
    run("trust", "add", pub, "--name", "Doe", "--key-id", key_id.upper(), "--config", there)

    assert "signed by Doe" in run("add", folder, "--dry-run", "--config", there).output
    run("export", folder, "--zip", tmp_path / "again.zip", "--config", here)
    (folder / "docs" / "README.md").write_text("other words")
    assert "'docs/README.md' was changed" in run("add", folder, "--config", there, code=4).stderr


def test_what_cannot_be_signed_is_not_written(here: Path, tmp_path: Path, key: Path) -> None:
    file, folder = tmp_path / "film.zip", tmp_path / "film"
    signed = ("--key", key, "--signer", "a\nb", "--config", here)

    run("export", "dib-mg-film", "--zip", file, *signed, code=2)
    run("export", "dib-mg-film", "--bundle", folder, *signed, code=2)

    assert not file.exists()
    assert not folder.exists()


def test_what_is_written_unsigned_says_so_and_is_signed_later(
    here: Path, there: Path, tmp_path: Path, key: Path
) -> None:
    run("add", store_cases.made(tmp_path / "new"), "--config", here)
    file = tmp_path / "toy.zip"
    assert "not signed" in run("export", "toy", "--zip", file, "--config", here).output
    assert "It is not signed" in run("add", file, "--dry-run", "--config", there).output
    assert as_json("sign", file, "--key", key) == {
        "key_id": as_json("trust", "add", key.with_suffix(".pub"), "--config", there)["key_id"],  # type: ignore[index]
        "models": ["toy@0.0.1"],
        "files": 3,
    }
    (added,) = as_json("add", file, "--config", there)  # type: ignore[misc]
    assert added["signed_by"]["name"] == "maker"


def test_a_node_that_requires_signatures_says_so_and_refuses_the_rest(
    there: Path, tmp_path: Path, key: Path
) -> None:
    folder = store_cases.made(tmp_path / "new")
    run("add", folder, "--config", there)
    strict = configuration(tmp_path / "there", "[models]\nrequire_signature = true\n")

    assert "models.require_signature wants" in run("add", folder, "--config", strict, code=4).stderr
    assert "is not signed" in run("verify", "toy", "--config", strict, code=4).output
    assert "are refused" in run("trust", "list", "--config", strict).output
    run("recalibrate", "--data", "phantom:8", "--config", strict, code=2)
    run("trust", "add", key.with_suffix(".pub"), "--config", strict)
    run("sign", folder, "--key", key)
    run("add", folder, "--config", strict)
    assert run("verify", "toy", "--config", strict).exit_code == 0


def test_a_key_that_is_trusted_no_longer_names_what_it_takes_away(
    there: Path, tmp_path: Path, key: Path
) -> None:
    assert "No key is trusted" in run("trust", "list", "--config", there).output
    run("trust", "add", key.with_suffix(".pub"), "--config", there)
    folder = store_cases.made(tmp_path / "new")
    run("sign", folder, "--key", key)
    run("add", folder, "--config", there)
    listed = as_json("trust", "list", "--config", there)
    assert isinstance(listed, dict)
    (row,) = listed["keys"]
    assert (row["name"], listed["required"]) == ("maker", False)
    assert row["key_id"] in run("trust", "list", "--config", there).output

    removed = run("trust", "remove", row["key_id"], "--config", there).output
    assert "Refused from now on: toy@0.0.1 (active)" in removed
    assert "does not trust" in run("list", "--config", there).output
    run("trust", "remove", row["key_id"], "--config", there, code=2)


def test_a_key_with_a_passphrase_signs_with_it_alone(tmp_path: Path) -> None:
    folder = store_cases.made(tmp_path / "new")
    made = run("keygen", tmp_path / "k", "--passphrase-stdin", given="secret\n").output
    assert "no passphrase" not in made
    key = tmp_path / "k.key"

    run("sign", folder, "--key", key, code=2)
    run("sign", folder, "--key", key, "--passphrase-stdin", given="wrong\n", code=2)
    assert not (folder / signature.FILE).exists()
    run("sign", folder, "--key", key, "--passphrase-stdin", given="secret\n")
    for given in ("", "\n", "x" * 1001 + "\n"):
        run("keygen", tmp_path / "l", "--passphrase-stdin", given=given, code=2)
    assert "It has no passphrase" in run("keygen", tmp_path / "l").output


def test_wrong_files_end_with_exit_code_2_and_one_line(
    there: Path, tmp_path: Path, key: Path
) -> None:
    folder = store_cases.made(tmp_path / "new")
    for words in (
        ("sign", folder),
        ("sign", folder, "--key", tmp_path / "none"),
        ("sign", folder, "--key", key.with_suffix(".pub")),
        ("sign", tmp_path / "none", "--key", key),
        ("sign", folder, "--key", key, "--signer", "a\tb"),
        ("keygen", tmp_path / "maker"),
        ("keygen", tmp_path / "none" / "maker"),
        ("trust", "add", key, "--config", there),
        ("trust", "add", key.with_suffix(".pub"), "--key-id", "0" * 16, "--config", there),
        ("trust", "add", folder / store.CARD, "--config", there),
        ("export", "dib-mg-film", "--onnx", tmp_path / "x", "--key", key, "--config", there),
        ("export", "dib-mg-film", "--config", there),
    ):
        result = run(*words, code=2)
        assert result.stderr.startswith("cadnode: "), words
        assert "Traceback" not in result.output


def test_the_check_says_whose_each_model_is_and_refuses_one_that_was_changed(
    there: Path, tmp_path: Path, key: Path
) -> None:
    folder = store_cases.made(tmp_path / "new")
    run("trust", "add", key.with_suffix(".pub"), "--config", there)
    run("sign", folder, "--key", key)
    run("add", zipped(folder, tmp_path / "toy.zip"), "--config", there)
    values = Settings(storage=StorageSection(folder=there.parent / "data"))

    found = {c.found for c in checks._reading(values)}
    assert any(f.startswith("toy 0.0.1") and "signed by maker" in f for f in found)
    assert any(f.startswith("dib-mg-film") and "packaged" in f for f in found)

    split = there.parent / "data" / "models" / "toy" / "0.0.1" / store.SPLIT
    split.write_text('{"train": [], "validation": []}')
    failed = [c for c in checks._reading(values) if c.verdict is checks.CheckVerdict.FAILED]
    assert ["trust list" in c.advice and "split.json" in c.found for c in failed] == [True]


def test_a_folder_of_the_settings_is_held_to_its_signature_too(tmp_path: Path, key: Path) -> None:
    folder = store_cases.made(tmp_path / "new")
    storage = StorageSection(folder=tmp_path / "data")
    strict = Settings(
        storage=storage,
        models=ModelsSection(require_signature=True),
        reading={"model_folders": (folder,)},  # type: ignore[arg-type]
    )
    config = configuration(tmp_path)

    assert any("is not signed" in c.found for c in checks._reading(strict))
    run("sign", folder, "--key", key)
    run("trust", "add", key.with_suffix(".pub"), "--config", config)
    assert any("signed by maker" in c.found for c in checks._reading(strict))
