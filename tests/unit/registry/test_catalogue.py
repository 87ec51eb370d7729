"""Two stores, and which of their models are active."""

import json
from pathlib import Path

import pytest

from cadnode.errors import ModelError, SettingsError
from cadnode.models import store
from cadnode.registry import history
from cadnode.registry.catalogue import ModelOrigin, conflict, open_stores, parse
from cadnode.registry.history import Activation
from tests.unit import store_cases


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


@pytest.fixture
def packaged(tmp_path: Path) -> Path:
    store_cases.made(tmp_path / "packaged", "0.9.0")
    return tmp_path / "packaged"


def active_folders(own: Path | None, packaged: Path) -> list[Path]:
    return [entry.folder for entry in open_stores(own, packaged).active()]


def test_the_newest_version_of_both_stores_is_active(own: Path, packaged: Path) -> None:
    assert active_folders(own, packaged) == [packaged / "toy" / "0.9.0"]

    newer = store_cases.made(own, "0.10.0")
    assert active_folders(own, packaged) == [newer]
    assert active_folders(None, packaged) == [packaged / "toy" / "0.9.0"]


def test_what_is_chosen_is_active_and_what_is_switched_off_is_not(
    own: Path, packaged: Path
) -> None:
    store_cases.made(own, "0.10.0")
    other = store_cases.made(own, name="other")

    history.write(own, Activation(active={"toy": "0.9.0"}))
    assert active_folders(own, packaged) == [other, packaged / "toy" / "0.9.0"]

    history.write(own, Activation(active={"toy": None}))
    assert active_folders(own, packaged) == [other]


def test_an_active_version_that_is_not_there_is_refused(own: Path, packaged: Path) -> None:
    own.mkdir()
    history.write(own, Activation(active={"toy": "3.0.0"}))

    with pytest.raises(ModelError, match=r"toy@3\.0\.0 is active but not installed"):
        active_folders(own, packaged)


def test_a_model_that_was_removed_with_all_its_versions_is_not_missed(
    own: Path, packaged: Path
) -> None:
    own.mkdir()
    history.write(own, Activation(active={"gone": "3.0.0"}))

    assert len(active_folders(own, packaged)) == 1


def test_the_same_model_in_both_stores_is_read_from_the_nodes_own(
    own: Path, packaged: Path
) -> None:
    folder = store_cases.made(own, "0.9.0")

    (entry,) = open_stores(own, packaged).active()
    assert (entry.folder, entry.origin) == (folder, ModelOrigin.OWN)
    assert conflict(entry) == ""


def test_another_model_of_a_packaged_name_and_version_is_refused(own: Path, packaged: Path) -> None:
    store_cases.made(own, "0.9.0", seed=1)

    with pytest.raises(ModelError, match="packaged with cadnode and another model"):
        active_folders(own, packaged)


def test_other_settings_of_the_same_weights_are_another_model(own: Path, packaged: Path) -> None:
    folder = store_cases.made(own, "0.9.0")
    card = json.loads((folder / store.CARD).read_text())
    card["calibration"]["slope"] = 2.0
    (folder / store.CARD).write_text(json.dumps(card))

    with pytest.raises(ModelError, match="another model"):
        active_folders(own, packaged)


def test_a_model_is_found_by_name_and_version(own: Path, packaged: Path) -> None:
    store_cases.made(own, "0.10.0")
    catalogue = open_stores(own, packaged)

    assert catalogue.find(*parse("toy@0.9.0")).spec == "toy@0.9.0"
    assert catalogue.find(*parse("toy")).spec == "toy@0.10.0"
    with pytest.raises(SettingsError, match=r"installed: 0\.9\.0, 0\.10\.0"):
        catalogue.find("toy", "2.0.0")
    with pytest.raises(SettingsError, match="installed: toy"):
        catalogue.find("tay")


def test_hidden_and_oddly_named_folders_are_no_models(own: Path) -> None:
    folder = store_cases.made(own)
    for name in ("latest", "1.0", "1.0.0-rc"):
        (own / "toy" / name).mkdir()
        (own / "toy" / name / store.CARD).write_bytes((folder / store.CARD).read_bytes())

    assert store.folders(own) == [folder]
