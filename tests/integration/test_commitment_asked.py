"""A node that asks archives to commit: late, in part, never, forged, and a real Orthanc."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from pydicom import dcmread
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.log import hashed
from cadnode_training.phantom import PhantomSpec, exam
from cadnode_training.phantom.dicom import write_dicom
from tests.commitment_peers import CommittingArchive, report
from tests.golden.code import free_port
from tests.integration.node import Node, views_alone, wait_until
from tests.integration.orthanc_host import OrthancHost

CONFIG = """\
[listener]
host = "0.0.0.0"
port = {port}

[storage]
folder = "{storage}"
min_free_gb = 0.05

[study]
wanted_views = ["R CC"]
settle_s = 0.2
quiet_s = 5.0
sweep_s = 2.0

[reading]
device = "cpu"
threads = 1

[web]
port = {web_port}
"""
DESTINATION = """
[[destinations]]
name = "{name}"
port = {port}
ae_title = "{title}"
timeout_s = 5.0
commit = true
commit_within_h = {within_h}
"""


@dataclass
class Site:
    """A node, its archives, and the study that all of them get."""

    node: Node
    archives: dict[str, CommittingArchive]
    orthanc: OrthancHost
    study: str

    def word(self, name: str) -> str:
        try:
            found = self.ask(f"/api/studies/{self.study}").json()
        except (requests.ConnectionError, requests.Timeout):  # it is still starting
            return ""
        return str(found.get("deliveries", {}).get(name, ""))

    def ask(self, path: str) -> requests.Response:
        with requests.Session() as session:
            session.trust_env = False
            return session.get(f"http://127.0.0.1:{self.node.web_port}{path}", timeout=20)

    def health(self) -> dict[str, Any]:
        return dict(self.ask("/health").json())

    def reaches(self, name: str, word: str) -> None:
        wait_until(lambda: self.word(name) == word, f"{name}: {word}")

    def command(self, *arguments: str) -> Any:
        words = [*arguments, "--json", "--config", str(self.node.config)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


def one_view(folder: Path) -> tuple[Path, str]:
    """A file of one view, and its study's key."""
    spec = PhantomSpec(0.9, rows=240, columns=200)
    paths = write_dicom(exam(7, spec), folder, compressed=False)
    path = next(one for one in paths if one.stem == "RCC")
    return path, hashed(str(dcmread(path).StudyInstanceUID))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    port, web_port = free_port(), free_port()
    file, study = one_view(folder / "views")
    archives = {
        name: CommittingArchive(name.upper(), at_once=at_once, offers=name != "without")
        for name, at_once in {
            "late": None,
            "partly": None,
            "silent": None,
            "without": None,
            "atonce": lambda ds: report(ds.TransactionUID, _named(ds), [], 0),
        }.items()
    }
    orthanc = OrthancHost(folder / "orthanc", {"Plugins": []})
    orthanc.configure(DicomModalities={"cadnode": ["CADNODE", "127.0.0.1", port]})
    with ExitStack() as stack:
        for one in archives.values():
            stack.enter_context(one.listening())
        orthanc.start()
        stack.callback(orthanc.stop)
        peers = {name: (one.port, one.ae_title) for name, one in archives.items()}
        peers["orthanc"] = (orthanc.dicom_port, "ARCHIVE")
        config = folder / "node.toml"
        config.write_text(
            CONFIG.format(port=port, web_port=web_port, storage=folder / "data")
            + "".join(
                DESTINATION.format(
                    name=name, port=where, title=title, within_h=0.003 if name == "silent" else 1.0
                )
                for name, (where, title) in peers.items()
            )
        )
        node = Node(folder, port, config, web_port)
        views_alone(folder / "data")
        stack.callback(node.stop)
        node.start()
        node.send(file)
        found = Site(node, archives, orthanc, study)
        wait_until(lambda: archives["late"].asked, "it was asked")
        yield found


def _named(ds: Any) -> list[tuple[str, str]]:
    items = ds.ReferencedSOPSequence
    return [(str(i.ReferencedSOPClassUID), str(i.ReferencedSOPInstanceUID)) for i in items]


def test_an_answer_on_the_same_association_and_a_real_orthanc_s_deliver(site: Site) -> None:
    site.reaches("atonce", "delivered")
    site.reaches("orthanc", "delivered")
    assert set(site.archives["atonce"].stored.values()) == {1}


def test_an_archive_without_the_class_never_counts_as_delivered(site: Site) -> None:
    site.reaches("without", "refused")
    assert set(site.archives["without"].stored.values()) == {1}
    (row,) = site.command("deliveries", "list", "--to", "without")
    assert "does not offer storage commitment" in row["reason"]
    problems = [p["code"] for p in site.health()["problems"]]
    assert "delivery_refused" in problems


def test_what_waits_is_shown_apart_and_holds_no_slot(site: Site) -> None:
    site.reaches("late", "awaiting_commitment")
    assert site.ask(f"/api/studies/{site.study}").json()["state"] == "delivering"
    (row,) = site.command("deliveries", "list", "--state", "awaiting_commitment", "--to", "late")
    assert row["next_try"]

    def n_waiting() -> tuple[int, int]:
        found = site.health()["queue"]["committing"]["late"]
        return found["waiting"], found["overdue"]

    wait_until(lambda: n_waiting() == (1, 0), "health counts it")
    wait_until(lambda: site.node.jobs("deliver", "PENDING") == 0, "nothing that waits is at work")


def test_a_forged_answer_is_refused_and_changes_nothing(site: Site) -> None:
    late, port = site.archives["late"], site.node.port
    site.reaches("late", "awaiting_commitment")

    assert late.answer(port, ae_title="STRANGER") == 0x0115
    assert late.answer(port, source="127.0.0.9") == 0x0115
    assert late.answer(port, ae_title="PARTLY") == 0x0115
    assert late.answer(port, transaction="2.25.1") == 0x0115

    assert not list((site.node.folder / "data/commitments/answered").glob("*.json"))
    assert site.word("late") == "awaiting_commitment"


def test_what_was_not_committed_is_stored_again_and_asked_for_again(site: Site) -> None:
    partly, port = site.archives["partly"], site.node.port
    site.reaches("partly", "awaiting_commitment")
    _, objects = partly.of(0)
    n_objects = len(objects)

    assert partly.answer(port, failed=1) == 0
    wait_until(lambda: len(partly.asked) == 2, "it is asked again")

    assert partly.stored[objects[0][1]] == 2
    assert sum(partly.stored.values()) == n_objects + 1
    assert partly.of()[1] == objects[:1]
    assert partly.of()[0] != partly.of(0)[0]
    assert partly.answer(port) == 0
    site.reaches("partly", "delivered")


def test_an_archive_that_never_answers_is_overdue_and_asked_again(site: Site) -> None:
    silent = site.archives["silent"]
    wait_until(lambda: len(silent.asked) >= 2, "it is asked again")

    def is_overdue() -> bool:
        problems = site.health()["problems"]
        return any(
            p["code"] == "commitment_overdue" and p["meaning"].startswith("silent ")
            for p in problems
        )

    wait_until(is_overdue, "health names it")
    assert site.word("silent") == "awaiting_commitment"
    assert set(silent.stored.values()) == {1}
    assert silent.answer(site.node.port, n=0) == 0  # of the first request, late
    site.reaches("silent", "delivered")
    wait_until(lambda: not is_overdue(), "health names it no longer")


def test_an_answer_after_a_crash_and_a_removed_job_database_delivers(site: Site) -> None:
    late, node = site.archives["late"], site.node
    site.reaches("late", "awaiting_commitment")
    node.kill()
    for path in (node.folder / "data").glob("jobs.sqlite*"):
        path.unlink()

    node.start()
    wait_until(lambda: late.answer(node.port, n=0) == 0, "the answer is taken")
    site.reaches("late", "delivered")

    assert set(late.stored.values()) == {1}
    assert late.answer(node.port, n=0) == 0  # repeated: its archive had not seen our answer
