"""A node that fetches from Orthanc and gives back: once, also killed, cut off and asked again."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path

import pydicom
import pytest

from cadnode.log import hashed
from cadnode.node.workflow import Announcer
from cadnode.receive.fetch import requests
from cadnode.receive.fetch.requests import FetchCode, Request
from tests.integration.http_peers import PASSWORD, USER, CutLine, cut_line, web_orthanc
from tests.integration.node import CONFIG, Node, views_alone, wait_until
from tests.peers import Orthanc, free_port
from tests.synthetic import IDENTIFIERS, MARK, uid, view_dataset, write, write_exam

CT = "1.2.840.10008.5.1.4.1.1.2"
PEERS = """
[[destinations]]
name = "rest"
kind = "orthanc"
url = "{url}"
username = "{user}"
password_file = "{secret}"

[[destinations]]
name = "web"
kind = "stow"
url = "{url}/dicom-web"
username = "{user}"
password_file = "{secret}"

[[sources]]
name = "orthanc"
kind = "orthanc"
url = "{source}"
username = "{user}"
password_file = "{secret}"

[[sources]]
name = "web"
kind = "dicomweb"
url = "{source}/dicom-web"
username = "{user}"
password_file = "{secret}"
"""


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Orthanc]:
    with web_orthanc(tmp_path / "orthanc", password=PASSWORD) as peer:
        yield peer


@contextmanager
def fetching_node(folder: Path, archive: Orthanc, source_port: int) -> Iterator[Node]:
    """A node that fetches from the archive and delivers to it in three ways."""
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    port, web_port = free_port(), free_port()
    peers = PEERS.format(
        url=f"http://127.0.0.1:{archive.http_port}", source=f"http://127.0.0.1:{source_port}",
        user=USER, secret=secret,
    )  # fmt: skip
    node_part = CONFIG.format(
        port=port, web_port=web_port, folder=folder / "data", quiet_s=3.0,
        archive_port=archive.dicom_port,
    )  # fmt: skip
    config = folder / "node.toml"
    config.write_text(node_part + peers)
    node = Node(folder, port, config, web_port)
    views_alone(folder / "data")
    node.start()
    try:
        yield node
    finally:
        node.stop()


def ask(node: Node, study: str, source: str, *, at_once: bool = True) -> str:
    """Key of a study that is asked for as the HTTP side does it."""
    key = requests.save(spool(node), Request(study, source, at_once=at_once))
    announcer = Announcer(f"sqlite:///{node.folder / 'data' / 'jobs.sqlite'}")
    announcer.fetch(key)
    announcer.close()
    return key


def spool(node: Node) -> Path:
    return node.folder / "data" / "spool"


def ended(node: Node, key: str) -> FetchCode | None:
    """How the study's fetch ended, once nothing of it waits."""
    how = requests.ended(spool(node), key)
    return how.code if how and how.is_final and not requests.waiting(spool(node)) else None


def is_idle(node: Node) -> bool:
    open_ones = ("ENQUEUED", "DELAYED", "PENDING")
    return node.is_idle() and not any(node.jobs("fetch", status) for status in open_ones)


def store(archive: Orthanc, files: list[Path]) -> str:
    for file in files:
        archive.post("/instances", file.read_bytes())
    return str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)


def modalities(archive: Orthanc, study: str) -> list[str]:
    found = archive.post("/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": study}})
    files = (BytesIO(archive.get_bytes(f"/instances/{i}/file")) for i in found)
    return sorted(pydicom.dcmread(f, stop_before_pixels=True).Modality for f in files)


def traces(node: Node) -> str:
    """Everything that logs and the job database say."""
    database = node.folder / "data" / "jobs.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        return node.log + "\n".join(connection.iterdump())


def test_a_fetched_study_is_read_once_and_its_results_return_once_by_all_three_ways(
    tmp_path: Path, archive: Orthanc
) -> None:
    study = store(archive, write_exam(tmp_path / "exam"))
    ct = uid("a ct")
    other = view_dataset(
        study_uid=ct, rows=32, columns=32, SOPClassUID=CT, Modality="CT", BodyPartExamined=None
    )
    store(archive, [write(other, tmp_path / "ct.dcm")])
    with fetching_node(tmp_path, archive, archive.http_port) as node:
        key = ask(node, study, "orthanc")
        assert key == hashed(study)
        wait_until(lambda: node.jobs("deliver") == 3, "three deliveries")
        for again in ("web", "orthanc"):  # our own outputs lie in the study now
            ask(node, study, again, at_once=again == "web")
            wait_until(lambda: ended(node, key), "the study is fetched again")
        ignored, nobodys = ask(node, ct, "web"), ask(node, uid("nobody's"), "orthanc")
        wait_until(lambda: ended(node, ignored) and ended(node, nobodys), "both are decided")
        wait_until(lambda: is_idle(node), "nothing is left to do")
        assert ended(node, key) is FetchCode.FETCHED
        assert ended(node, ignored) is FetchCode.NO_MAMMOGRAMS
        assert ended(node, nobodys) is FetchCode.UNKNOWN_STUDY
        assert node.events("study_read") == 1
        assert node.jobs("deliver") == 3
        assert len(list((spool(node) / "studies" / key).iterdir())) == 4
        said = traces(node)
    assert modalities(archive, study) == ["MG"] * 4 + ["OT"] * 4 + ["SR"]
    marked = (*IDENTIFIERS, MARK, study, ct, "2.25.", PASSWORD, USER + ":")
    assert [text for text in marked if text in said] == []


def test_a_node_killed_in_the_middle_of_a_fetch_whose_source_then_is_away_goes_on_with_the_rest(
    tmp_path: Path, archive: Orthanc
) -> None:
    files = write_exam(tmp_path / "exam")
    study = store(archive, files[:3])
    with (
        cut_line(archive.http_port) as line,
        fetching_node(tmp_path, archive, line.port) as node,
    ):
        line.after = 700_000  # the second of 411 kB instances is on its way
        line.is_open.clear()
        key = ask(node, study, "web", at_once=False)
        here = spool(node) / "studies" / key
        wait_until(lambda: list(here.glob("*.dcm")), "the first instance is here")
        (first,) = here.glob("*.dcm")
        written_at = first.stat().st_mtime_ns
        node.kill()
        away(line, free_port())
        store(archive, files[3:])  # the study grows meanwhile
        node.start()
        wait_until(lambda: node.events("study_not_fetched"), "the source is seen to be away")
        line.to_port = archive.http_port
        wait_until(lambda: ended(node, key) is FetchCode.FETCHED, "the study is here")
        wait_until(lambda: node.jobs("deliver") == 3, "three deliveries")
        wait_until(lambda: is_idle(node), "nothing is left to do")
        assert len(list(here.glob("*.dcm"))) == 4
        assert first.stat().st_mtime_ns == written_at  # it was not fetched again
        assert list((spool(node) / "incoming").iterdir()) == []
        assert node.events("study_read") == 1
    assert modalities(archive, study) == ["MG"] * 4 + ["OT"] * 4 + ["SR"]


def away(line: CutLine, port: int) -> None:
    """The line leads nowhere, and lets go of whom it kept waiting."""
    line.to_port = port
    line.is_open.set()
