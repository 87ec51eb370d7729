"""A real node beside archives that refuse, hang, abort and reject: nothing lost, nobody held up."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from typer.testing import CliRunner

from cadnode.cli.app import app
from cadnode.log import hashed
from cadnode_training.phantom import PhantomSpec, exam
from cadnode_training.phantom.dicom import write_dicom
from tests.faults.archives import Archive, archive
from tests.golden.code import free_port
from tests.integration.node import Node, views_alone, wait_until

# The archives are pynetdicom's, in this process: cut from both sides at once, one leaves its socket
# to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"
)

CONFIG = """\
[listener]
host = "127.0.0.1"
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
ae_title = "ARCHIVE"
timeout_s = {timeout_s}
"""


@dataclass
class Site:
    """A node and its archives."""

    node: Node
    archives: dict[str, Archive]
    views: Path

    def send(self, patient: str) -> str:
        """Send a study of one view; its key."""
        file = self.view(patient)
        self.node.send(file)
        return hashed(str(pydicom.dcmread(file).StudyInstanceUID))

    def view(self, patient: str) -> Path:
        file = self.views / f"{patient}.dcm"
        if not file.exists():
            seed = 100 + len(list(self.views.glob("*.dcm")))
            folder = self.views / patient
            spec = PhantomSpec(0.9, rows=240, columns=200)
            paths = write_dicom(exam(seed, spec), folder, compressed=False)
            ds = pydicom.dcmread(next(path for path in paths if path.stem == "RCC"))
            ds.PatientID = patient
            ds.save_as(file)
        return file

    def ask(self, path: str, body: Any = None) -> Any:
        with requests.Session() as session:
            session.trust_env = False
            method, url = (
                "GET" if body is None else "POST",
                f"http://127.0.0.1:{self.node.web_port}",
            )
            return session.request(method, url + path, json=body, timeout=20)

    def is_up(self) -> bool:
        try:
            return bool(self.ask("/health").json()["roles"]["worker"] == "up")
        except (requests.ConnectionError, requests.Timeout):  # it is still starting
            return False

    def words(self, key: str) -> dict[str, str]:
        return dict(self.ask(f"/api/studies/{key}").json().get("deliveries", {}))

    def has(self, key: str, **words: str) -> bool:
        found = self.words(key)
        return all(found.get(name) == word for name, word in words.items())

    def command(self, *arguments: str, code: int = 0) -> Any:
        """What the command line prints, as JSON."""
        words = [*arguments, "--json", "--config", str(self.node.config)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "views").mkdir()
    with ExitStack() as stack:
        archives = {
            "archive": stack.enter_context(archive(answers={"BAD1": 0xA700, "BAD2": "hang"})),
            "hangs": stack.enter_context(archive(otherwise="hang")),
            "aborts": stack.enter_context(archive(otherwise="abort")),
            "stranger": stack.enter_context(archive(knows=["SOMEBODY"])),
        }
        port, web_port = free_port(), free_port()
        config = folder / "node.toml"
        config.write_text(
            CONFIG.format(port=port, web_port=web_port, storage=folder / "data")
            + "".join(
                DESTINATION.format(name=name, port=one.port, timeout_s=3.0)
                for name, one in archives.items()
            )
        )
        node = Node(folder, port, config, web_port)
        views_alone(folder / "data")
        try:
            node.start()
            yield Site(node, archives, folder / "views")
        finally:
            node.stop()


def test_two_bad_studies_and_bad_destinations_hold_up_no_other(site: Site) -> None:
    bad = [site.send(patient) for patient in ("BAD1", "BAD2")]
    wait_until(lambda: site.archives["archive"].asked["BAD2"] >= 1, "both were tried")
    wait_until(lambda: site.archives["archive"].asked["BAD1"] >= 1, "both were tried")
    good = [site.send(patient) for patient in ("GOOD1", "GOOD2")]

    for key in good:
        wait_until(lambda key=key: site.has(key, archive="delivered"), f"{key} is delivered")

    for key in bad:
        waits = {"archive": "waiting", "hangs": "waiting", "aborts": "waiting"}
        wait_until(lambda key=key, waits=waits: site.has(key, **waits), f"{key} waits")
    for key in (*bad, *good):  # the tests below count them
        wait_until(lambda key=key: site.has(key, stranger="refused"), f"{key} was refused")
    # No workflow sleeps: what waits is not at work.
    wait_until(lambda: site.node.jobs("deliver", "DELAYED") >= 8, "they wait without a slot")


def test_health_names_what_is_refused_and_serves_on(site: Site) -> None:
    answer = site.ask("/health")
    found = answer.json()
    assert (answer.status_code, found["status"]) == (200, "degraded")
    assert found["queue"]["undelivered"] == {"stranger": 4}
    (problem,) = (p for p in found["problems"] if p["code"] == "delivery_refused")
    assert problem["severity"] == "degraded"
    assert "stranger refused 4 results" in problem["meaning"]
    assert "calling AE title" in problem["meaning"]


def test_the_command_line_and_the_interface_list_what_did_not_arrive(site: Site) -> None:
    rows = site.command("deliveries", "list", "--state", "refused", "--to", "stranger")
    assert len(rows) == 4
    assert all(row["next_try"] and "AE title" in row["reason"] for row in rows)
    assert site.command("deliveries", "list", "--older-than-h", "1") == []
    listed = site.ask("/api/deliveries?state=refused&destination=stranger").json()
    assert listed["count"] == 4
    assert {row["study"] for row in listed["deliveries"]} == {row["study"] for row in rows}
    shown = site.command("studies", "show", rows[0]["study"])
    assert any(reason["code"] == "undelivered" for reason in shown["reasons"])


def test_what_an_archive_refused_is_sent_on_request_once_it_lets_us_in(site: Site) -> None:
    stranger = site.archives["stranger"]
    planned = site.command("studies", "retry", "--all-refused", "--to", "stranger", "--dry-run")
    assert (planned["dry_run"], len(planned["studies"])) == (True, 4)
    assert stranger.got.total() == 0
    stranger.ae.require_calling_aet = []
    done = site.command("studies", "retry", "--all-refused", "--to", "stranger")
    keys = [one["study"] for one in done["studies"]]
    assert len(keys) == 4

    for key in keys:
        wait_until(lambda key=key: site.has(key, stranger="delivered"), f"{key} is delivered")

    assert set(stranger.got) == {"BAD1", "BAD2", "GOOD1", "GOOD2"}
    assert site.ask("/health").json()["queue"]["undelivered"] == {}


def test_images_that_are_sent_again_and_a_request_redeliver_what_waits(site: Site) -> None:
    site.archives["archive"].answers.clear()
    key = site.send("BAD1")
    wait_until(lambda: site.has(key, archive="delivered"), "it is delivered")
    uid = str(pydicom.dcmread(site.view("BAD2")).StudyInstanceUID)
    assert site.ask("/api/studies", {"study_instance_uid": uid}).status_code == 202
    wait_until(lambda: site.has(hashed(uid), archive="delivered"), "it is delivered")
    unknown = site.ask("/api/studies", {"study_instance_uid": "1.2.3.4"})
    assert (unknown.status_code, "never received" in unknown.json()["error"]) == (404, True)


def test_a_result_that_an_archive_lost_is_sent_again(site: Site) -> None:
    stranger, key = site.archives["stranger"], hashed_of(site, "GOOD1")
    n_before = stranger.got["GOOD1"]
    site.command("studies", "redeliver", key, "--to", "stranger")
    wait_until(lambda: stranger.got["GOOD1"] >= 2 * n_before, "it is sent again")
    refused = site.command("studies", "redeliver", key, "--to", "nobody", code=2)
    assert "nobody" in refused["studies"][0]["error"]


def test_what_is_dropped_is_neither_tried_nor_counted_also_on_a_stopped_node(site: Site) -> None:
    keys = [hashed_of(site, patient) for patient in ("BAD1", "BAD2", "GOOD1", "GOOD2")]
    why = ["--reason", "taken down", "--yes"]
    site.command("studies", "drop", *keys[:2], "--to", "aborts", *why)
    wait_until(lambda: site.has(keys[0], aborts="dropped"), "it is dropped")
    site.node.stop()
    done = site.command("studies", "drop", *keys, "--to", "hangs", *why)
    assert {one["worker"] for one in done["studies"]} == {"stopped"}
    assert len(site.command("deliveries", "list", "--state", "dropped")) == 6
    n_before = site.archives["hangs"].asked.total()
    site.node.start()
    wait_until(site.is_up, "it is up")
    wait_until(lambda: site.has(keys[3], aborts="waiting"), "it goes on")
    assert site.archives["hangs"].asked.total() == n_before
    assert site.has(keys[0], aborts="dropped", hangs="dropped")


def hashed_of(site: Site, patient: str) -> str:
    return hashed(str(pydicom.dcmread(site.view(patient)).StudyInstanceUID))
