"""A node of this version goes on where an older one was killed: over its folders and database.

`tests/golden/state-VERSION` are such folders (`tests.golden.make_state`). A version that reads them
otherwise than these tests say breaks the nodes that are running now.
"""

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from cadnode.audit.verify import verify
from cadnode.backup.creation import BackupWish, create
from cadnode.backup.restoration import restore
from cadnode.node import delivery_record
from cadnode.settings import load
from tests.golden import make_state
from tests.golden.make_state import node_in, restored, study_key
from tests.golden.names import targets
from tests.integration.node import Node, wait_until

GOLDEN = Path(make_state.__file__).parent
STATES = sorted(GOLDEN.glob("state-*"))
BUNDLES = sorted(GOLDEN.glob("bundle-*"))


@dataclass(frozen=True)
class Upgraded:
    """A node that has gone on over an older one's state until nothing was left to do."""

    state: Path
    node: Node
    archive: Path

    def result(self, which: str) -> Path:
        """The only result of one of the studies."""
        (folder,) = (self.node.folder / "data/results" / study_key(self.state, which)).iterdir()
        return folder

    def events(self, event: str, which: str) -> int:
        """How often the log says this of the study."""
        lines = [json.loads(line) for line in self.node.log.splitlines() if line.startswith("{")]
        key = study_key(self.state, which)
        return sum(line["event"] == event and line.get("study") == key for line in lines)


@pytest.fixture(scope="module", params=STATES, ids=lambda path: path.name)
def upgraded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Upgraded]:
    state, folder = request.param, tmp_path_factory.mktemp("node")
    restored(state, folder / "data")
    archive = folder / "archive"
    node = node_in(folder, archive, quiet_s=1.0)
    assert (node.jobs("deliver"), node.jobs("deliver", "PENDING")) == (1, 1)
    try:
        node.start()
        # The message that announced the received study is still delayed: nothing waits for it.
        wait_until(lambda: node.jobs("shadow") == 3, "all is delivered")
        for which in make_state.SEEDS:
            key = study_key(state, which)
            wait_until(partial(is_final, node, key), f"{which}: its end")
        yield Upgraded(state, node, archive)
    finally:
        node.stop()


def test_there_is_a_state_to_go_on_from() -> None:
    assert STATES
    assert BUNDLES


def test_the_received_study_is_read_once_and_delivered(upgraded: Upgraded) -> None:
    result = upgraded.result("received")

    assert json.loads((result / "result.json").read_bytes())["outcome"] != "not_read"
    assert upgraded.events("study_read", "received") == 1
    assert upgraded.events("delivery_ended", "received") == 1
    assert_delivered(upgraded, "received")


def test_the_undelivered_study_is_delivered_once_as_it_was_made(upgraded: Upgraded) -> None:
    assert upgraded.events("study_read", "undelivered") == 0
    assert upgraded.events("delivery_ended", "undelivered") == 1
    assert_delivered(upgraded, "undelivered")
    assert_unchanged(upgraded, "undelivered")


def test_the_delivered_study_is_neither_read_nor_sent_again(upgraded: Upgraded) -> None:
    assert upgraded.events("study_read", "delivered") == 0
    assert upgraded.events("delivery_ended", "delivered") == 0
    assert {path.name for path in upgraded.archive.iterdir()} == {
        study_key(upgraded.state, which) for which in ("undelivered", "received")
    }
    assert_unchanged(upgraded, "delivered")


@pytest.mark.parametrize("which", ["delivered", "undelivered", "received"])
def test_the_study_and_its_page_are_shown(upgraded: Upgraded, which: str) -> None:
    key = study_key(upgraded.state, which)
    report = (upgraded.result(which) / "report.html").read_text()

    state = told(upgraded.node, key)
    page = got(upgraded.node, f"/studies/{key}")
    shown = got(upgraded.node, f"/studies/{key}/report")

    assert (state["state"], state["is_final"]) == ("done", True)
    assert state["deliveries"] == {make_state.DESTINATION: "delivered"}
    assert (page.status_code, shown.status_code) == (200, 200)
    assert shown.text == report


def test_a_backup_of_the_running_node_is_restored_with_all_that_it_has(
    upgraded: Upgraded, tmp_path: Path
) -> None:
    data, elsewhere = upgraded.node.folder / "data", tmp_path / "elsewhere"
    config = tmp_path / "node.toml"
    text = upgraded.node.config.read_text()
    config.write_text(text.replace(f'folder = "{data}"', f'folder = "{elsewhere}"'))

    wish = BackupWish(load(upgraded.node.config), upgraded.node.config)
    made = create(wish, tmp_path / "node.tar")
    with (tmp_path / "node.tar").open("rb") as stream:
        done = restore(stream, config)

    assert (made.n_files, done.has_jobs) == (done.n_files + 1, True)  # and the settings
    for kept in ("spool/studies", "results", "removed"):
        assert contents(elsewhere / kept) == contents(data / kept)
    assert verify(elsewhere / "audit").is_whole
    node = replace(upgraded.node, folder=tmp_path)
    (tmp_path / "data").symlink_to(elsewhere)
    assert node.jobs("shadow") == 3


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_components_that_an_exported_bundle_names_are_there(bundle: Path) -> None:
    files = sorted((bundle / "configs").glob("*.json"))
    named = {target for file in files for target in targets(json.loads(file.read_bytes()))}

    assert len(named) > 5
    for target in named:
        # The one name that moved; docs/bundles.md says how such a bundle is evaluated.
        renamed = re.sub(r"^training\.", "cadnode_training.", target)
        module, _, name = renamed.rpartition(".")
        assert callable(getattr(importlib.import_module(module), name)), target


def contents(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Every file below a folder: bytes, time of last write, mode."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), at.st_mtime_ns, at.st_mode)
        for path in folder.rglob("*")
        if path.is_file() and (at := path.stat())
    }


def got(node: Node, path: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(f"http://127.0.0.1:{node.web_port}{path}", timeout=10)


def told(node: Node, key: str) -> dict[str, Any]:
    """What the node says of a study."""
    return dict(got(node, f"/api/studies/{key}").json())


def is_final(node: Node, key: str) -> bool:
    return bool(told(node, key)["is_final"])


def assert_delivered(upgraded: Upgraded, which: str) -> None:
    """The archive holds the objects of the result, byte for byte, and no others."""
    sent = upgraded.archive / study_key(upgraded.state, which)
    made = {p.name: p.read_bytes() for p in upgraded.result(which).glob("*.dcm")}
    assert {p.name: p.read_bytes() for p in sent.iterdir()} == made
    assert "sr.dcm" in made


def assert_unchanged(upgraded: Upgraded, which: str) -> None:
    """The result is what the older version left; only what became of its deliveries is added."""
    result = upgraded.result(which)
    kept = upgraded.state / result.relative_to(upgraded.node.folder / "data")
    there = {p.name: p.read_bytes() for p in result.iterdir() if p.name != delivery_record.FILE}
    assert there == {p.name: p.read_bytes() for p in kept.iterdir()}
