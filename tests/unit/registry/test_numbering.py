"""A model whose version another model has counts up, in the store, its card and the history."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.errors import ModelError, SettingsError
from cadnode.models import store
from cadnode.registry import history, installation
from cadnode.registry.installation import Added, Stores
from cadnode.registry.numbering import COUNT_UP, Numbering, chosen
from tests.unit import store_cases
from tests.unit.store_cases import ANNA


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    store_cases.made(tmp_path / "packaged", "1.1.0")
    return Stores(tmp_path / "own", tmp_path / "packaged")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return tmp_path / "new"


def add(
    path: Path, stores: Stores, numbering: Numbering = COUNT_UP, *, activate: bool = False
) -> tuple[Added, ...]:
    return installation.add(
        path, stores, ANNA, store.read_card, activate=activate, numbering=numbering
    )


def versions(stores: Stores) -> tuple[str, ...]:
    return stores.catalogue().versions("toy")


def reasons(stores: Stores) -> list[str]:
    return [change.reason for change in history.read(stores.own).history]


def test_a_version_that_a_packaged_model_has_counts_up(stores: Stores, new: Path) -> None:
    source = store_cases.made(new, "1.1.0", seed=1)

    (added,) = add(source, stores)

    target = stores.own / "toy" / "1.1.1"
    card, weights = store.read_weights(target)
    assert (added.card.version, added.came_as, added.active) == ("1.1.1", "1.1.0", "1.1.0")
    assert card.model_copy(update={"version": "1.1.0"}) == store.read_card(source)
    assert weights.keys() == store.read_weights(source)[1].keys()
    assert store.seen_women(target) == store.seen_women(source)
    assert versions(stores) == ("1.1.0", "1.1.1")
    assert store.read_card(source).version == "1.1.0"


@pytest.mark.parametrize(
    ("present", "given", "expected"),
    [
        (["1.1.1"], "1.1.0", "1.1.2"),
        (["1.1.2"], "1.1.0", "1.1.1"),
        (["1.1.9"], "1.1.9", "1.1.10"),
        (["2.0.0"], "2.0.0", "2.0.1"),
        (["2.0.0"], "1.1.0", "1.1.1"),
        (["2.0.0"], "1.2.0", "1.2.0"),
        (["0.0.1"], "0.0.1", "0.0.2"),
    ],
)
def test_the_next_version_that_is_free_is_taken(
    present: list[str], given: str, expected: str, stores: Stores, new: Path
) -> None:
    for seed, version in enumerate(present, start=5):
        add(store_cases.made(new / version, version, seed=seed), stores)

    (added,) = add(store_cases.made(new / "given", given, seed=1), stores)

    assert added.card.version == expected
    assert store.read_card(stores.own / "toy" / expected).version == expected


def test_trainings_one_after_the_other_all_find_their_place(stores: Stores, new: Path) -> None:
    for seed in range(1, 5):
        add(store_cases.made(new / str(seed), "1.1.0", seed=seed), stores, activate=True)

    assert versions(stores) == ("1.1.0", "1.1.1", "1.1.2", "1.1.3", "1.1.4")
    assert stores.catalogue().active_version("toy") == "1.1.4"
    sums = {store.read_card(e.folder).weights_sha256 for e in stores.catalogue().entries}
    assert len(sums) == 5


def test_the_same_training_added_again_is_known_by_its_content(stores: Stores, new: Path) -> None:
    source = store_cases.made(new, "1.1.0", seed=1)
    add(source, stores)
    before = (sorted(stores.own.rglob("*")), history.read(stores.own))

    (again,) = add(source, stores)

    assert (again.card.version, again.there) == ("1.1.1", installation.ModelOrigin.OWN)
    assert (sorted(stores.own.rglob("*")), history.read(stores.own)) == before


@pytest.mark.parametrize("activate", [True, False])
def test_the_history_says_which_version_the_card_had(
    activate: bool, stores: Stores, new: Path
) -> None:
    add(store_cases.made(new / "a", "1.1.0", seed=1), stores, activate=activate)
    add(store_cases.made(new / "b", "1.1.0", seed=2), stores, activate=activate)

    assert reasons(stores) == [
        "added as 1.1.1; its own card says 1.1.0",
        "added as 1.1.2; its own card says 1.1.0",
    ]


def test_a_rollback_skips_what_was_only_added(stores: Stores, new: Path) -> None:
    add(store_cases.made(new / "a", "1.1.0", seed=1), stores, activate=True)
    add(store_cases.made(new / "b", "1.1.0", seed=2), stores)

    assert installation.rollback(stores, "toy", ANNA, store.read_card) == "1.1.0"


def test_a_version_that_was_removed_is_not_given_to_another_model(
    stores: Stores, new: Path
) -> None:
    add(store_cases.made(new / "a", "1.1.0", seed=1), stores, activate=True)
    installation.rollback(stores, "toy", ANNA, store.read_card)
    shutil.rmtree(stores.own / "toy" / "1.1.1")

    (added,) = add(store_cases.made(new / "b", "1.1.0", seed=2), stores)

    assert added.card.version == "1.1.2"


def test_a_damaged_card_beside_it_keeps_no_good_model_out(stores: Stores, new: Path) -> None:
    add(store_cases.made(new / "a", "1.1.0", seed=1), stores)
    (stores.own / "toy" / "1.1.1" / store.CARD).write_text("{")

    (added,) = add(store_cases.made(new / "b", "1.1.0", seed=2), stores)

    assert added.card.version == "1.1.2"


def test_several_models_of_one_folder_do_not_meet_each_other(stores: Stores, new: Path) -> None:
    store_cases.made(new, "1.1.0", seed=1)
    store_cases.made(new, "1.1.1", seed=2)

    assert {a.card.version for a in add(new, stores)} == {"1.1.1", "1.1.2"}
    assert versions(stores) == ("1.1.0", "1.1.1", "1.1.2")


def test_a_version_that_a_person_chooses_is_taken(stores: Stores, new: Path) -> None:
    source = store_cases.made(new, "1.1.0", seed=1)

    (added,) = add(source, stores, chosen("3.0.0"), activate=True)

    assert (added.card.version, added.active) == ("3.0.0", "3.0.0")
    assert store.read_weights(stores.own / "toy" / "3.0.0")[0].version == "3.0.0"
    assert reasons(stores) == ["added as 3.0.0; its own card says 1.1.0"]


def test_a_chosen_version_that_another_model_has_is_refused(stores: Stores, new: Path) -> None:
    with pytest.raises(ModelError, match=r"toy@1\.1\.0 is in the packaged store already"):
        add(store_cases.made(new, "2.0.0", seed=1), stores, chosen("1.1.0"))
    assert versions(stores) == ("1.1.0",)


def test_one_version_for_several_models_of_a_name_is_refused(stores: Stores, new: Path) -> None:
    store_cases.made(new, "2.0.0", seed=1)
    store_cases.made(new, "2.1.0", seed=2)

    with pytest.raises(SettingsError, match="one by one"):
        add(new, stores, chosen("3.0.0"))


@pytest.mark.parametrize("text", ["1", "1.2", "v1.2.3", "1.2.3.4", "1.02.3", "../1.2.3", "1.2.x",
                                  "", "1.2.3\n", "١.٢.٣"])  # fmt: skip
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="three numbers"):
        chosen(text)


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["models", *map(str, words)], env={"COLUMNS": "300"})
    return result.exit_code, result.output


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "cadnode.toml"
    file.write_text(f"[storage]\nfolder = '{tmp_path / 'data'}'\n")
    return file


def test_the_command_counts_up_by_itself_and_says_so(config: Path, new: Path) -> None:
    first = store_cases.made(new / "a", "1.1.0", seed=1)
    second = store_cases.made(new / "b", "1.1.0", seed=2)
    assert run("add", first, "--config", config)[0] == 0

    code, text = run("add", second, "--config", config, "--activate")

    assert (code, "toy@1.1.1 is added" in text) == (0, True)
    assert "Its own card says 1.1.0; here it is 1.1.1" in text
    assert "added as 1.1.1; its own card says 1.1.0" in run("history", "--config", config)[1]
    assert "toy 1.1.1" in run("show", "toy", "--config", config)[1]
    assert run("verify", "toy", "--config", config)[0] == 0


def test_the_command_takes_a_version(config: Path, new: Path) -> None:
    source = store_cases.made(new, "1.1.0", seed=1)

    dry = run("add", source, "--version", "5.6.7", "--dry-run", "--json", "--config", config)
    done = run("add", source, "--version", "5.6.7", "--config", config)
    wrong = run("add", source, "--version", "five", "--config", config)

    (row,) = json.loads(dry[1])
    assert (row["version"], row["card_version"]) == ("5.6.7", "1.1.0")
    assert (done[0], "toy@5.6.7 is added" in done[1]) == (0, True)
    assert (wrong[0], "three numbers" in wrong[1]) == (2, True)


def test_a_dry_run_says_which_version_it_would_be(config: Path, new: Path) -> None:
    run("add", store_cases.made(new / "a", "1.1.0", seed=1), "--config", config)

    code, text = run(
        "add", store_cases.made(new / "b", "1.1.0", seed=2), "--dry-run", "--config", config
    )

    assert (code, "toy@1.1.1 is whole and works; it would be added" in text) == (0, True)
