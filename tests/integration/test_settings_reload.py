"""New settings are taken up by a running node, and no association is lost by it."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import DigitalMammographyXRayImageStorageForPresentation
from pynetdicom import AE
from pynetdicom.association import Association

from cadnode.node import role_status, settings_reload
from cadnode.settings import load
from cadnode_training.phantom import PhantomSpec, exam
from cadnode_training.phantom.dicom import write_dicom
from tests.golden.make_state import node_in
from tests.integration.node import Node, views_alone, wait_until
from tests.integration.web_role import answers, get, web_role

KNOWN = '[[listener.peers]]\naddress = "127.0.0.1"\nae_title = "{}"\n'


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    node = node_in(folder, folder / "archive", quiet_s=86400.0)
    node.config.write_text(node.config.read_text() + KNOWN.format("OLD") + KNOWN.format("ECHOSCU"))
    views_alone(folder / "data")
    node.start()
    try:
        yield node
    finally:
        node.stop()


def associated(node: Node, title: str) -> Association:
    ae = AE(title)
    ae.add_requested_context(DigitalMammographyXRayImageStorageForPresentation)
    return ae.associate("127.0.0.1", node.port, ae_title="CADNODE")


def images(folder: Path) -> list[pydicom.Dataset]:
    return [
        pydicom.dcmread(p)
        for p in write_dicom(exam(5, PhantomSpec(0.9, rows=60, columns=50)), folder)
    ]


def reload(node: Node, *, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cadnode", "settings", "reload", "--config", str(node.config)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_new_peer_is_let_in_while_an_association_goes_on(node: Node, tmp_path: Path) -> None:
    first, *others = images(tmp_path)
    going_on = associated(node, "OLD")
    assert going_on.send_c_store(first).Status == 0
    refused = associated(node, "NEW")
    assert refused.is_rejected

    node.config.write_text(node.config.read_text() + KNOWN.format("NEW"))
    assert "listener.peers" in reload(node)

    def is_let_in() -> bool:
        new = associated(node, "NEW")
        let_in = new.is_established
        new.release() if let_in else new.abort()
        return let_in

    wait_until(is_let_in, "the new peer is let in")
    for ds in others:  # on the association that was open all the while
        assert going_on.send_c_store(ds).Status == 0
    going_on.release()
    assert going_on.is_released
    received = node.folder / "data/spool/studies"
    assert len(list(received.glob("*/*.dcm"))) == 1 + len(others)


def test_a_wrong_file_changes_nothing_and_is_said(node: Node) -> None:
    good, storage = node.config.read_text(), node.folder / "data"
    applied = (storage / settings_reload.APPLIED).read_bytes()
    try:
        node.config.write_text(good + "[retention]\nimages_days = 'many'\n")
        assert "images_days" in reload(node, code=2)
        node.config.write_text(good.replace("/data", "/elsewhere"))
        assert "no node runs in" in reload(node, code=2)

        assert node.process is not None
        node.process.send_signal(signal.SIGHUP)  # as systemctl reload does: nobody has looked
        wait_until(
            lambda: "storage.folder cannot change" in problem(storage), "the node has refused it"
        )
        assert (storage / settings_reload.APPLIED).read_bytes() == applied
        associated(node, "OLD").release()
    finally:
        node.config.write_text(good)


def test_worker_and_pages_are_started_again_once_and_count_as_no_deaths(node: Node) -> None:
    storage = node.folder / "data"
    before = {role: role_status.look(storage, role).pid for role in ("worker", "web", "listener")}
    node.config.write_text(node.config.read_text() + "[retention]\nimages_days = 3\n")
    said = reload(node)
    assert "retention.images_days" in said
    assert "web, worker" in said

    def renewed() -> bool:
        now = {role: role_status.look(storage, role) for role in before}
        return all(
            now[r].is_up and now[r].works and now[r].pid != before[r] for r in ("worker", "web")
        )

    wait_until(renewed, "both are started again")
    assert role_status.look(storage, "listener").pid == before["listener"]
    assert node.events("role_died") == 0
    assert "Nothing to take up" in reload(node)


def test_a_role_that_runs_by_itself_begins_again_in_its_own_process(tmp_path: Path) -> None:
    with web_role(tmp_path, supervised=False) as web:
        wait_until(lambda: answers(web.url("/")), "it answers")
        config, storage = tmp_path / "web.toml", load(tmp_path / "web.toml").storage.folder
        config.write_text(config.read_text().replace("[web]", "[web]\nlanguage = 'de'"))
        command = [sys.executable, "-m", "cadnode", "settings", "reload", "--config", str(config)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "web.language" in said

        def speaks_german() -> bool:
            return answers(web.url("/")) and 'lang="de"' in get(web.url("/login")).text

        wait_until(speaks_german, "the pages are in German")
        assert web.process.poll() is None
        assert role_status.look(storage, "web").pid == web.process.pid


def problem(storage: Path) -> str:
    return str(json.loads((storage / settings_reload.ANSWER).read_bytes())["problem"])
