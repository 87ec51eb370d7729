"""Which versions read in shadow mode, and how that is changed."""

from pathlib import Path

import pytest

from cadnode.errors import ModelError, SettingsError
from cadnode.models import store
from cadnode.models.card import ModelCard
from cadnode.registry import history, installation, shadow_set
from cadnode.registry.installation import Stores
from tests.unit import store_cases
from tests.unit.store_cases import ANNA


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    """Version 0.0.1 of a toy is active, 0.0.2 and 0.0.3 are there; a detector is active as well."""
    found = Stores(tmp_path / "own", tmp_path / "nothing")
    for made in (
        store_cases.made(tmp_path / "new", "0.0.1"),
        store_cases.made(tmp_path / "new", "0.0.2", seed=2),
        store_cases.made(tmp_path / "new", "0.0.3", seed=3),
        store_cases.made_detector(tmp_path / "new"),
    ):
        installation.add(made, found, ANNA, store.read_card)
    return found


def start(stores: Stores, spec: str, *configured: str) -> None:
    shadow_set.start(stores, spec, configured, ANNA, store.read_card)


def now(stores: Stores, *configured: str) -> tuple[str, ...]:
    return shadow_set.resolve(stores.catalogue(), configured).specs


def test_of_one_name_one_version_reads_along_the_last_that_was_started(stores: Stores) -> None:
    start(stores, "toy@0.0.2")
    start(stores, "toy@0.0.3")

    assert now(stores) == ("toy@0.0.3",)
    said = [(c.action, c.from_version, c.to_version) for c in history.read(stores.own).history[-2:]]
    assert said == [("shadow_start", None, "0.0.2"), ("shadow_start", "0.0.2", "0.0.3")]


def test_what_is_active_does_not_change(stores: Stores) -> None:
    start(stores, "toy@0.0.2")

    assert stores.catalogue().active_version("toy") == "0.0.1"


def test_the_settings_count_beside_what_was_started_and_before_it(stores: Stores) -> None:
    start(stores, "toy@0.0.2")

    assert now(stores, "toy@0.0.3") == ("toy@0.0.3",)
    with pytest.raises(SettingsError, match="names another version of toy"):
        start(stores, "toy@0.0.2", "toy@0.0.3")


def test_stop_ends_one_or_all_and_says_which(stores: Stores) -> None:
    start(stores, "toy@0.0.2")

    with pytest.raises(SettingsError, match="toy-detector does not read in shadow mode"):
        shadow_set.stop(stores, "toy-detector", (), ANNA)
    assert shadow_set.stop(stores, "toy@0.0.2", (), ANNA) == ("toy",)
    assert now(stores) == ()
    assert shadow_set.stop(stores, None, (), ANNA) == ()


def test_what_the_settings_name_cannot_be_stopped_by_a_command(stores: Stores) -> None:
    with pytest.raises(SettingsError, match="remove it there"):
        shadow_set.stop(stores, "toy", ("toy@0.0.3",), ANNA)


def test_a_shadow_that_became_the_active_version_casts_none_and_says_so(stores: Stores) -> None:
    installation.activate(stores, "toy", "0.0.3", ANNA, store.read_card)

    found = shadow_set.resolve(stores.catalogue(), ["toy@0.0.3"])

    assert found.entries == ()
    assert "is the active version" in found.problems[0]


@pytest.mark.parametrize(
    ("configured", "words"),
    [
        (["toy@0.0.2", "toy@0.0.3"], "names a model again"),
        (["toy@9.9.9"], "no version 9.9.9"),
        (["tay@1.0.0"], "no model"),
    ],
)
def test_wrong_settings_are_told_and_the_rest_reads(
    stores: Stores, configured: list[str], words: str
) -> None:
    found = shadow_set.resolve(stores.catalogue(), configured)

    assert any(words in problem for problem in found.problems)
    assert found.specs in ((), ("toy@0.0.2",))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("toy", "is NAME@VERSION"),
        ("toy@0.0.1", "is the active version"),
        ("toy@9.9.9", "no version 9.9.9"),
    ],
)
def test_a_shadow_that_cannot_be_is_refused(stores: Stores, spec: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        start(stores, spec)
    assert now(stores) == ()


def test_a_model_that_does_not_work_does_not_start(stores: Stores) -> None:
    def refuse(folder: Path) -> ModelCard:
        raise ModelError("it does not work")

    with pytest.raises(ModelError):
        shadow_set.start(stores, "toy@0.0.2", (), ANNA, refuse)
    assert now(stores) == ()
