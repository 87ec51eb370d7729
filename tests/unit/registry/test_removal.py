"""A version that nothing needs leaves the store, with weights that are its alone."""

from pathlib import Path

import pytest

from cadnode.errors import SettingsError
from cadnode.models import store
from cadnode.registry import history, installation, shadow_set
from cadnode.registry.history import grounds
from cadnode.registry.installation import Stores
from cadnode.registry.removal import remove
from tests.unit import store_cases
from tests.unit.store_cases import ANNA


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """0.0.1 of a toy is active; 0.0.2 has its weights, 0.0.3 others; 0.0.9 is packaged."""
    store_cases.made(tmp_path / "packaged", "0.0.9", name="other")
    found = Stores(tmp_path / "own", tmp_path / "packaged")
    for version, seed in (("0.0.1", 1), ("0.0.2", 1), ("0.0.3", 3)):
        made = store_cases.made(tmp_path / "new", version, seed=seed)
        installation.add(made, found, ANNA, store.read_card)
    return found


def blobs(stores: Stores) -> int:
    return len(list((stores.own / store.BLOBS).iterdir()))


def test_weights_go_with_the_last_version_that_has_them(stores: Stores) -> None:
    assert blobs(stores) == 2

    small = remove(stores, "toy@0.0.2", ANNA)
    assert blobs(stores) == 2
    large = remove(stores, "toy@0.0.3", ANNA)
    assert blobs(stores) == 1

    assert stores.catalogue().versions("toy") == ("0.0.1",)
    assert large > 10 * small > 0
    assert store.read_weights(stores.own / "toy" / "0.0.1")
    assert not list(stores.own.glob(".*.part"))


def test_the_history_says_who_removed_it_and_why(stores: Stores) -> None:
    remove(stores, "toy@0.0.3", ANNA, why=grounds("it was a trial"))

    last = history.read(stores.own).history[-1]
    assert (last.action, last.from_version, last.to_version) == ("remove", "0.0.3", None)
    assert (last.by, last.reason) == ("anna", "it was a trial")


def test_a_dry_run_says_how_much_and_changes_nothing(stores: Stores) -> None:
    before = history.read(stores.own)

    size = remove(stores, "toy@0.0.3", ANNA, dry_run=True)

    assert stores.catalogue().versions("toy") == ("0.0.1", "0.0.2", "0.0.3")
    assert history.read(stores.own) == before
    assert size == remove(stores, "toy@0.0.3", ANNA)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("toy", "wants NAME@VERSION"),
        ("toy@0.0.1", "is active"),
        ("other@0.0.9", "is packaged"),
        ("toy@0.0.8", "no version 0.0.8"),
    ],
)
def test_what_is_needed_is_not_removed(stores: Stores, spec: str, words: str) -> None:
    for dry_run in (True, False):
        with pytest.raises(SettingsError, match=words):
            remove(stores, spec, ANNA, dry_run=dry_run)


def test_a_shadow_is_not_removed_whoever_made_it_one(stores: Stores) -> None:
    with pytest.raises(SettingsError, match="shadow mode"):
        remove(stores, "toy@0.0.2", ANNA, shadows=[("toy", "0.0.2")])

    shadow_set.start(stores, "toy@0.0.3", (), ANNA, store.read_card)
    with pytest.raises(SettingsError, match="shadow mode"):
        remove(stores, "toy@0.0.3", ANNA)


def test_a_card_that_cannot_be_read_keeps_all_weights(stores: Stores) -> None:
    (stores.own / "toy" / "0.0.2" / store.CARD).write_text("{}")

    remove(stores, "toy@0.0.3", ANNA)

    assert blobs(stores) == 2
