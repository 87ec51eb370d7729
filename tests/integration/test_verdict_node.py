"""The whole way of readers' verdicts: clicked at a node, stored by a DCMTK archive as an SR."""

import re
from pathlib import Path
from typing import Any

import pydicom
import requests
from pydicom import Dataset

from cadnode.log import hashed
from cadnode.report.sr.verdict_report import SERIES_DESCRIPTION, evidence_of, named_before
from tests.golden.code import free_port
from tests.integration.node import Node, wait_until
from tests.integration.test_commitment_asked import CONFIG
from tests.integration.test_web_users import users_file
from tests.peers import storescp
from tests.synthetic import write, write_exam
from tests.unit.region_cases import tid1500
from tests.unit.report.test_region_answer import items
from tests.validators import dciodvfy, dsrdump
from tests.web_cases import PASSWORDS

MORE = """\
users_file = "{users}"

[report]
verdicts_after_s = 2.0

[[destinations]]
name = "away"
port = {away}
ae_title = "AWAY"
timeout_s = 2.0
verdicts = true

[[destinations]]
name = "archive"
port = {archive}
ae_title = "DCMTK"
verdicts = true
"""
DRAWN = [("POLYLINE", [(120, 90), (180, 90), (180, 150), (120, 150), (120, 90)])]


class Reader:
    """A person who is logged in at the node."""

    def __init__(self, node: Node, study: str) -> None:
        self._url = f"http://127.0.0.1:{node.web_port}"
        self._study = study
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Origin"] = self._url

    def log_in(self, name: str) -> bool:
        try:
            answer = self._session.post(
                f"{self._url}/login", {"name": name, "password": PASSWORDS[name]},
                allow_redirects=False, timeout=20,
            )  # fmt: skip
        except (requests.ConnectionError, requests.Timeout):  # it is still starting
            return False
        return answer.status_code == 303

    def content(self) -> Any:
        found = self._session.get(f"{self._url}/api/studies/{self._study}/verdicts", timeout=20)
        return found.json().get("content")

    def says(self, word: str) -> None:
        body = {"finding": 1, "verdict": word, "content": self.content()}
        at = f"{self._url}/api/studies/{self._study}/verdicts"
        page = self._session.get(f"{self._url}/studies/{self._study}/assessment", timeout=20)
        (token, *_) = re.findall('name="csrf" value="([^"]+)"', page.text)
        answer = self._session.post(at, json=body, headers={"X-CSRF-Token": token}, timeout=20)
        assert answer.status_code == 201, answer.text


def documents(folder: Path) -> list[tuple[Path, Dataset]]:
    """The verdicts that the archive has, in order of their numbers."""
    found = [(path, pydicom.dcmread(path, force=True)) for path in folder.iterdir()]
    ours = [one for one in found if one[1].get("SeriesDescription") == SERIES_DESCRIPTION]
    return sorted(ours, key=lambda one: int(one[1].InstanceNumber))


def words(ds: Dataset) -> list[str]:
    return [item.ConceptCodeSequence[0].CodeValue for item in items(ds, "READER_VERDICT")]


def test_verdicts_reach_the_archive_once_each_whatever_another_destination_does(
    tmp_path: Path,
) -> None:
    port, web_port, kept = free_port(), free_port(), tmp_path / "archive"
    (file,) = write_exam(tmp_path / "views", (("R", "CC"),), seed=77, rows=256, columns=200)
    image = pydicom.dcmread(file)
    drawn = write(tid1500(DRAWN, image, sop="drawn"), tmp_path / "drawn.dcm")
    config = tmp_path / "node.toml"
    node = Node(tmp_path, port, config, web_port)
    with storescp(kept) as archive:
        config.write_text(
            CONFIG.format(port=port, web_port=web_port, storage=tmp_path / "data")
            + MORE.format(users=users_file(tmp_path), away=free_port(), archive=archive.port)
        )
        try:
            node.start()
            node.send(drawn, file)
            reader = Reader(node, hashed(str(image.StudyInstanceUID)))
            wait_until(lambda: reader.log_in("vera"), "she is logged in")
            wait_until(reader.content, "the study is read")

            reader.says("rejected")
            reader.says("accepted")
            wait_until(lambda: documents(kept), "the archive has the verdict")
            reader.says("withdrawn")
            node.kill()
            node.start()
            wait_until(lambda: len(documents(kept)) > 1, "it has what was said before the crash")
            wait_until(lambda: node.events("verdicts_sent") > 1, "both were sent")
        finally:
            node.stop()
    (path, first), (_, second) = documents(kept)
    assert (words(first), words(second)) == (["ACCEPTED"], ["WITHDRAWN"])
    assert named_before(second) == {first.SOPInstanceUID}
    assert [item.TextValue for item in items(first, "128774")] == ["vera"]
    reports = {str(pydicom.dcmread(one, force=True).SOPInstanceUID) for one in kept.iterdir()}
    assert (evidence_of(first) - {image.SOPInstanceUID}) & reports, "the report that it names"
    assert (first.PatientID, first.StudyInstanceUID) == (image.PatientID, image.StudyInstanceUID)
    assert dciodvfy(path) == dsrdump(path) == []
    assert "vera" not in node.log
