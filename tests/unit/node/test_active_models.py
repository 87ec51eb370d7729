"""A running node takes up changed models before a study, and keeps the old ones when it must."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cadnode.domain import ModelUse
from cadnode.errors import ModelError, SignatureError, SignatureProblem
from cadnode.models import store
from cadnode.node import checks, outputs, worker_state
from cadnode.node.active_models import ActiveModels
from cadnode.node.readers import load_readers
from cadnode.reading import Readers
from cadnode.registry import installation, signature
from cadnode.registry.installation import Stores
from cadnode.settings import Settings, StorageSection
from tests.unit import store_cases
from tests.unit.store_cases import ANNA


class Loader:
    """Stands for loading: counts, and fails when it is told to."""

    def __init__(self) -> None:
        self.given: list[Readers | None] = []
        self.fails: Exception | None = None

    def __call__(self, old: Readers | None) -> Readers:
        self.given.append(old)
        if self.fails is not None:
            raise self.fails
        return Readers()


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def values(tmp_path: Path) -> Settings:
    return Settings(storage=StorageSection(folder=tmp_path))


@pytest.fixture
def stores(values: Settings, tmp_path: Path) -> Stores:
    found = Stores(values.storage.folder / "models", tmp_path / "nothing")
    for version in ("0.0.1", "0.0.2"):
        made = store_cases.made(tmp_path / "new", version, seed=int(version[-1]))
        installation.add(made, found, ANNA, store.read_card)
    return found


def activate(stores: Stores, version: str) -> None:
    installation.activate(stores, "toy", version, ANNA, store.read_card)


def test_models_are_loaded_once_while_nothing_changes(
    values: Settings, stores: Stores, loader: Loader
) -> None:
    models = ActiveModels(values, loader)
    first = models.start()

    assert models.current() is first
    assert models.current() is first
    assert loader.given == [None]


def test_a_change_is_seen_before_the_next_study_and_the_old_models_are_at_hand(
    values: Settings, stores: Stores, loader: Loader
) -> None:
    models = ActiveModels(values, loader)
    first = models.start()

    activate(stores, "0.0.2")
    second = models.current()

    assert second is not first
    assert models.current() is second
    assert loader.given == [None, first]


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ModelError("toy is damaged"), "model", "toy is damaged"),
        (MemoryError(), "memory", "not enough memory"),
        (ValueError("John^Doe"), "error", "ValueError"),
    ],
)
def test_a_set_that_does_not_work_leaves_the_old_one_and_a_word_for_the_admin(
    values: Settings, stores: Stores, loader: Loader, error: Exception, code: str, words: str
) -> None:
    models = ActiveModels(values, loader)
    first = models.start()
    activate(stores, "0.0.2")
    loader.fails = error

    assert models.current() is first
    state = worker_state.read(values.storage.folder)
    assert state is not None
    assert state.runs
    assert state.problem is not None
    assert state.problem.code == code
    assert words in state.problem.message
    assert "John" not in state.problem.message

    loader.fails = None
    assert models.current() is not first  # mended: tried again without another change
    state = worker_state.read(values.storage.folder)
    assert state is not None
    assert state.problem is None


def test_a_signature_that_does_not_hold_has_a_code_of_its_own(
    values: Settings, stores: Stores, loader: Loader
) -> None:
    models = ActiveModels(values, loader)
    models.start()
    activate(stores, "0.0.2")
    loader.fails = SignatureError(SignatureProblem.FILES, "card.json is not what was signed")

    models.current()

    state = worker_state.read(values.storage.folder)
    assert state is not None
    assert state.problem is not None
    assert (state.problem.code, state.problem.message) == (
        "signature", "card.json is not what was signed",
    )  # fmt: skip


def test_a_model_that_is_refused_is_not_read_with_and_still_named_in_reports(
    values: Settings, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before the refusal is reported with the card of the model that read it."""
    monkeypatch.setattr("cadnode.node.outputs.stores", lambda values: stores)
    folder = stores.own / "toy" / "0.0.1"
    assert outputs.model_folders(values) == (folder,)
    (folder / signature.FILE).write_text("{}")

    with pytest.raises(SignatureError):
        outputs.model_folders(values)
    result: Any = SimpleNamespace(models=(ModelUse("toy", "0.0.1", "0" * 64),))
    assert outputs.folders_of(values, result) == (folder,)


def test_a_node_whose_models_do_not_work_at_all_does_not_start(
    values: Settings, loader: Loader
) -> None:
    loader.fails = ModelError("no model")

    with pytest.raises(ModelError):
        ActiveModels(values, loader).start()


def test_only_what_changed_is_loaded_and_looked_at_again(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(storage=StorageSection(folder=tmp_path))
    monkeypatch.setattr("cadnode.node.outputs.stores", lambda values: stores)
    installation.add(store_cases.made_detector(tmp_path / "new"), stores, ANNA, store.read_card)
    seen: list[Path] = []
    before = load_readers(settings, "cpu")

    activate(stores, "0.0.2")
    after = load_readers(settings, "cpu", loaded=before, look_at=seen.append)

    assert after.detector is before.detector
    assert after.views[0].card.version == "0.0.2"
    assert seen == [stores.own / "toy" / "0.0.2"]


def test_without_word_or_with_a_damaged_one_nothing_is_known(tmp_path: Path) -> None:
    assert worker_state.read(tmp_path) is None
    (tmp_path / worker_state.FILE).write_text("{")
    assert worker_state.read(tmp_path) is None


def test_a_refused_change_fails_the_check_of_a_node_that_runs_and_of_no_other(
    values: Settings, stores: Stores, loader: Loader
) -> None:
    models = ActiveModels(values, loader)
    models.start()
    (running,) = checks._worker(values)
    assert running.verdict is checks.CheckVerdict.OK

    activate(stores, "0.0.2")
    loader.fails = ModelError("toy is damaged")
    models.current()
    (running,) = checks._worker(values)
    assert running.verdict is checks.CheckVerdict.FAILED
    assert "(model): toy is damaged" in running.found

    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    worker_state.write(
        values.storage.folder, worker_state.NodeState(pid=gone.pid, models=(), problem=None)
    )
    assert list(checks._worker(values)) == []
