"""The process that reads in shadow mode: how the worker waits for it, and what it says of it."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cadnode.models import store
from cadnode.node import shadow_process
from cadnode.registry import installation, shadow_log, shadow_set
from cadnode.registry.installation import Stores
from cadnode.settings import Settings, StorageSection
from tests.unit import store_cases
from tests.unit.store_cases import ANNA

STUDY = "0123456789abcdef"


@pytest.fixture
def values(tmp_path: Path) -> Settings:
    return Settings(storage=StorageSection(folder=tmp_path / "data"))


@pytest.fixture
def stores(values: Settings, tmp_path: Path) -> Stores:
    """A toy 0.0.1 is active; its 0.0.2 reads in shadow mode."""
    found = Stores(values.storage.folder / "models")
    for version in ("0.0.1", "0.0.2"):
        made = store_cases.made(tmp_path / "new", version, seed=int(version[-1]))
        installation.add(made, found, ANNA, store.read_card)
    shadow_set.start(found, "toy@0.0.2", (), ANNA, store.read_card)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A result's folder."""
    (tmp_path / "result").mkdir()
    return tmp_path / "result"


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Any]]:
    """Puts a few lines of Python in the place of the process; gives the processes started."""

    def put(code: str) -> list[Any]:
        started: list[Any] = []

        def start(*_: Any) -> subprocess.Popen[bytes]:
            started.append(subprocess.Popen([sys.executable, "-c", code]))
            return started[-1]

        monkeypatch.setattr(shadow_process, "_child", start)
        return started

    return put


def run(values: Settings, folder: Path, **options: Any) -> str:
    return shadow_process.run(values, STUDY, folder, options.pop("stopping", bool), **options)


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / shadow_log.FILE).read_bytes())
    return found


def test_where_nothing_reads_in_shadow_mode_no_process_is_started(
    values: Settings, folder: Path, child: Callable[[str], list[Any]]
) -> None:
    started = child("")

    assert run(values, folder) == "off"
    assert started == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(4)", "model"),
        ("raise SystemExit(3)", "inputs_gone"),
        ("raise SystemExit(1)", "error"),
        ("import os; os.kill(os.getpid(), 9)", "crashed"),
    ],
)
def test_however_it_dies_there_is_a_code_and_no_exception(
    values: Settings, stores: Stores, folder: Path, child: Callable[[str], list[Any]],
    code: str, reason: str,
) -> None:  # fmt: skip
    child(code)

    assert run(values, folder) == "done"
    assert told(folder) == {
        "schema_version": 2, "status": "failed", "reason": reason, "wanted": ["toy@0.0.2"],
        "missing": [],
    }  # fmt: skip


def test_one_that_takes_too_long_is_ended(
    values: Settings, stores: Stores, folder: Path, child: Callable[[str], list[Any]]
) -> None:
    started = child("import time; time.sleep(600)")

    assert run(values, folder, longest_s=0.0) == "done"
    assert told(folder)["reason"] == "out_of_time"
    assert started[0].returncode is not None


def test_a_node_that_stops_ends_it_and_it_begins_again_later(
    values: Settings, stores: Stores, folder: Path, child: Callable[[str], list[Any]]
) -> None:
    started = child("import time; time.sleep(600)")

    before = time.monotonic()
    assert run(values, folder, stopping=lambda: True) == "interrupted"
    assert time.monotonic() - before < 60
    assert started[0].returncode is not None
    assert list(folder.iterdir()) == []


def test_an_exam_is_read_once_by_the_same_shadow_and_again_by_another(
    values: Settings, stores: Stores, folder: Path, child: Callable[[str], list[Any]]
) -> None:
    started = child("raise SystemExit(4)")
    run(values, folder)
    assert run(values, folder) == "done"
    assert len(started) == 1

    shadow_set.stop(stores, None, (), ANNA)
    installation.activate(stores, "toy", "0.0.2", ANNA, store.read_card)
    shadow_set.start(stores, "toy@0.0.1", (), ANNA, store.read_card)
    run(values, folder)
    assert len(started) == 2
    assert told(folder)["wanted"] == ["toy@0.0.1"]


def test_a_damaged_store_is_no_exception_either(
    values: Settings, stores: Stores, folder: Path
) -> None:
    (stores.own / "active.json").write_text("{")

    assert run(values, folder) == "done"


def test_images_that_are_gone_are_said_to_be_gone(values: Settings, folder: Path) -> None:
    (folder / "inputs.json").write_text('["1.dcm"]')

    with pytest.raises(FileNotFoundError):
        shadow_process.read_one(values, STUDY, folder)


def with_shadow(values: Settings, *specs: str) -> Settings:
    return values.model_copy(
        update={"reading": values.reading.model_copy(update={"shadow": specs})}
    )


def test_a_shadow_that_is_not_installed_is_counted_as_a_failure(
    values: Settings, folder: Path, child: Callable[[str], list[Any]]
) -> None:
    started = child("")

    assert run(with_shadow(values, "gone@1.0.0"), folder) == "done"

    assert started == []
    assert told(folder) == {
        "schema_version": 2, "status": "failed", "reason": "settings", "wanted": [],
        "missing": ["gone@1.0.0"],
    }  # fmt: skip


def test_once_it_is_installed_the_study_is_read(
    values: Settings, stores: Stores, folder: Path, child: Callable[[str], list[Any]]
) -> None:
    shadow_set.stop(stores, None, (), ANNA)
    run(with_shadow(values, "toy@0.0.9"), folder)
    started = child("")

    run(with_shadow(values, "toy@0.0.2"), folder)

    assert len(started) == 1


def test_the_active_version_is_no_failure_of_a_shadow(
    values: Settings, stores: Stores, folder: Path
) -> None:
    shadow_set.stop(stores, None, (), ANNA)

    assert run(with_shadow(values, "toy@0.0.1"), folder) == "off"
    assert list(folder.iterdir()) == []


def test_a_damaged_store_is_counted_and_keeps_what_was_read(
    values: Settings, stores: Stores, folder: Path
) -> None:
    (stores.own / "active.json").write_text("{")

    run(values, folder)
    assert (told(folder)["status"], told(folder)["reason"]) == ("failed", "model")

    (folder / shadow_log.FILE).write_text("read")
    run(values, folder)
    assert (folder / shadow_log.FILE).read_text() == "read"
