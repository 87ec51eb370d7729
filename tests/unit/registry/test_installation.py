"""Models are added to the node's own store, activated, switched off, rolled back."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cadnode.errors import ModelError, SettingsError
from cadnode.models import store
from cadnode.models.card import ModelCard
from cadnode.registry import history, installation
from cadnode.registry.catalogue import ModelOrigin
from cadnode.registry.installation import Stores
from tests.unit import store_cases
from tests.unit.store_cases import ANNA


def accept(folder: Path) -> ModelCard:
    """Examination has its own tests."""
    return store.read_card(folder)


def refuse(folder: Path) -> ModelCard:
    raise ModelError("it does not work")


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    store_cases.made(tmp_path / "packaged", "0.9.0")
    return Stores(tmp_path / "own", tmp_path / "packaged")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new"


def active(stores: Stores, name: str = "toy") -> str | None:
    return stores.catalogue().active_version(name)


def test_a_new_name_is_active_and_complete(stores: Stores, new: Path) -> None:
    source = store_cases.made(new, name="other")

    (added,) = installation.add(source, stores, ANNA, accept)

    target = stores.own / "other" / "0.0.1"
    assert (added.there, added.active) == (None, "0.0.1")
    assert [p.name for p in sorted(target.iterdir())] == [store.CARD, store.SPLIT]
    assert store.blob(stores.own, added.card.weights_sha256).exists()
    assert store.read_weights(target)[0] == store.read_card(source)
    assert store.seen_women(target) == store.seen_women(source)
    assert not list(stores.own.glob(".*.part"))


def test_a_further_version_waits_until_it_is_activated(stores: Stores, new: Path) -> None:
    (added,) = installation.add(store_cases.made(new, "1.0.0"), stores, ANNA, accept)

    assert added.active == "0.9.0"
    assert active(stores) == "0.9.0"
    assert installation.activate(stores, "toy", None, ANNA, accept) == "1.0.0"
    assert active(stores) == "1.0.0"
    assert installation.rollback(stores, "toy", ANNA, accept) == "0.9.0"
    assert active(stores) == "0.9.0"
    actions = [c.action for c in history.read(stores.own).history]
    assert actions == ["keep", "activate", "rollback"]


def test_added_and_activated_at_once_it_can_be_rolled_back(stores: Stores, new: Path) -> None:
    source = store_cases.made(new, "1.0.0")

    (added,) = installation.add(source, stores, ANNA, accept, activate=True)

    assert added.active == active(stores) == "1.0.0"
    assert installation.rollback(stores, "toy", ANNA, accept) == "0.9.0"


def test_a_model_that_is_switched_off_stays_so_when_a_version_comes(
    stores: Stores, new: Path
) -> None:
    installation.deactivate(stores, "toy", ANNA)
    installation.add(store_cases.made(new, "1.0.0"), stores, ANNA, accept)

    assert active(stores) is None
    assert stores.catalogue().active() == ()
    assert installation.rollback(stores, "toy", ANNA, accept) == "0.9.0"


def test_a_dry_run_changes_nothing(stores: Stores, new: Path) -> None:
    (added,) = installation.add(store_cases.made(new, "1.0.0"), stores, ANNA, accept, dry_run=True)

    assert (added.there, added.active) == (None, "0.9.0")
    assert not stores.own.exists()


def test_a_model_that_does_not_work_is_neither_added_nor_activated(
    stores: Stores, new: Path
) -> None:
    source = store_cases.made(new, "1.0.0")
    with pytest.raises(ModelError, match="does not work"):
        installation.add(source, stores, ANNA, refuse)
    assert not stores.own.exists()

    installation.add(source, stores, ANNA, accept)
    with pytest.raises(ModelError, match="does not work"):
        installation.activate(stores, "toy", "1.0.0", ANNA, refuse)
    assert active(stores) == "0.9.0"


def test_one_model_that_does_not_work_keeps_out_the_others_beside_it(
    stores: Stores, new: Path
) -> None:
    for name in ("one", "two"):
        store_cases.made(new, name=name)
    (new / "two" / "0.0.1" / store.CARD).write_text("{}")

    with pytest.raises(ModelError, match="not valid"):
        installation.add(new, stores, ANNA, accept)
    assert not stores.own.exists()


def test_cards_with_the_same_weights_share_one_file(stores: Stores, new: Path) -> None:
    for name in ("one", "two"):
        store_cases.made(new, name=name)

    installation.add(new, stores, ANNA, accept)

    assert len(list((stores.own / store.BLOBS).iterdir())) == 1
    assert {store.read_weights(e.folder)[0].name for e in stores.catalogue().entries} == {
        "one", "two", "toy",
    }  # fmt: skip


def test_several_versions_of_a_new_name_leave_the_newest_active(stores: Stores, new: Path) -> None:
    for version in ("0.9.0", "0.10.0"):
        store_cases.made(new, version, name="other")

    added = installation.add(new, stores, ANNA, accept)

    assert [a.card.version for a in added] == ["0.9.0", "0.10.0"]
    assert {a.active for a in added} == {active(stores, "other")} == {"0.10.0"}


def test_the_same_model_again_is_no_change(stores: Stores, new: Path) -> None:
    installation.add(store_cases.made(new, "1.0.0"), stores, ANNA, accept)
    before = sorted(stores.own.rglob("*")), history.read(stores.own)

    (added,) = installation.add(new, stores, ANNA, accept)
    (packaged,) = installation.add(stores.packaged, stores, ANNA, accept)

    assert (added.there, packaged.there) == (ModelOrigin.OWN, ModelOrigin.PACKAGED)
    assert (sorted(stores.own.rglob("*")), history.read(stores.own)) == before


def test_weights_that_were_damaged_are_replaced_when_the_model_is_added_again(
    stores: Stores, new: Path
) -> None:
    source = store_cases.made(new, "1.0.0")
    installation.add(source, stores, ANNA, accept)
    blob = store.blob(stores.own, store.read_card(source).weights_sha256)
    blob.write_bytes(b"damaged")

    installation.add(source, stores, ANNA, accept)

    assert store.read_weights(stores.own / "toy" / "1.0.0")


@pytest.mark.parametrize("origin", list(ModelOrigin)[:2])
def test_other_weights_of_a_name_and_version_are_refused(
    stores: Stores, new: Path, origin: ModelOrigin
) -> None:
    version = "0.9.0" if origin == ModelOrigin.PACKAGED else "1.0.0"
    if origin == ModelOrigin.OWN:
        installation.add(store_cases.made(new / "a", version), stores, ANNA, accept)

    with pytest.raises(ModelError, match=f"in the {origin.value} store already.*another version"):
        installation.add(store_cases.made(new / "b", version, seed=1), stores, ANNA, accept)


def test_a_name_that_the_store_needs_itself_is_refused(stores: Stores, new: Path) -> None:
    with pytest.raises(ModelError, match="cannot be named blobs"):
        installation.add(store_cases.made(new, name="blobs"), stores, ANNA, accept)


def test_what_is_handed_over_twice_is_refused(stores: Stores, new: Path) -> None:
    folder = store_cases.made(new)
    shutil.copytree(folder, new / "toy" / "copy")

    with pytest.raises(ModelError, match="occurs twice"):
        installation.add(new, stores, ANNA, accept)


def test_a_crash_while_the_folder_is_written_leaves_the_store_as_it_was(
    stores: Stores, new: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = store_cases.made(new, "1.0.0")

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", no_room)
    with pytest.raises(SettingsError, match="No space left"):
        installation.add(source, stores, ANNA, accept, activate=True)

    assert active(stores) == "0.9.0"
    assert stores.catalogue().versions("toy") == ("0.9.0",)
    assert not list(stores.own.glob(".*.part"))


def test_a_model_that_is_not_there_is_named_with_those_that_are(stores: Stores) -> None:
    with pytest.raises(SettingsError, match="installed: toy"):
        installation.deactivate(stores, "tay", ANNA)
    with pytest.raises(SettingsError, match="installed: toy"):
        installation.activate(stores, "tay", None, ANNA, accept)


def test_to_go_back_to_a_version_that_was_removed_is_refused(stores: Stores, new: Path) -> None:
    for version in ("1.0.0", "2.0.0"):
        installation.add(
            store_cases.made(new / version, version), stores, ANNA, accept, activate=True
        )
    shutil.rmtree(stores.own / "toy" / "1.0.0")

    with pytest.raises(SettingsError, match=r"no version 1\.0\.0 of toy"):
        installation.rollback(stores, "toy", ANNA, accept)
    assert active(stores) == "2.0.0"


def test_many_changes_at_once_leave_a_valid_file_with_all_of_them(
    stores: Stores, new: Path
) -> None:
    versions = [f"1.0.{n}" for n in range(8)]
    for version in versions:
        store_cases.made(new, version)
    installation.add(new, stores, ANNA, accept)
    together = threading.Barrier(len(versions))

    def switch(version: str) -> None:
        together.wait()
        installation.activate(stores, "toy", version, ANNA, accept)

    with ThreadPoolExecutor(len(versions)) as pool:
        list(pool.map(switch, versions))

    content = json.loads((stores.own / history.FILE).read_text())
    steps = [c for c in content["history"] if c["action"] == "activate"]
    assert sorted(c["to_version"] for c in steps) == versions
    chain = [(c["from_version"], c["to_version"]) for c in steps]
    assert [start for start, _ in chain[1:]] == [end for _, end in chain[:-1]]
    assert content["active"]["toy"] == chain[-1][1]
