"""storescu → Orthanc with the plugin → node → results in Orthanc: once, whatever happens."""

import json
import socket
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import requests
from pydicom.uid import CTImageStorage

from cadnode import settings
from cadnode.demo.archive import free_port
from cadnode.node.checks import CheckVerdict
from cadnode.orthanc_setup import check
from cadnode.orthanc_setup.check import OrthancAddress
from tests.integration.node import wait_until
from tests.integration.orthanc_host import OrthancHost
from tests.integration.orthanc_site import ONE_VIEW, TOKEN, Site, running_site, uid_of
from tests.synthetic import view_dataset, write, write_exam
from tests.viewers.webdriver import chromium

READ = ["MG", "OT", "SR"]  # one view, its heat map, and the report
PICTURES = Path(__file__).parents[2] / "build" / "orthanc"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as one:
        yield one


@pytest.fixture(scope="module", params=["pull", "store"])
def site(running: Site, request: pytest.FixtureRequest) -> Site:
    """The site in each of the plugin's modes, one after the other."""
    running.use(request.param)
    return running


@pytest.fixture
def pull_site(running: Site) -> Site:
    running.use("pull")
    return running


def test_results_come_back_once_and_the_study_says_so(site: Site, tmp_path: Path) -> None:
    files, before = site.exam(tmp_path), site.node.events("study_read")
    uid = uid_of(files[0])
    site.orthanc.send(*files)
    wait_until(lambda: site.is_read(uid), "the study is read")
    site.settle()  # our own results came back: Orthanc called the study stable once more
    assert site.orthanc.modalities(uid) == READ
    status = site.orthanc.status(uid)
    assert status["is_final"]
    assert status["outcome"] in ("findings", "no_findings")
    assert status["url"] == f"http://127.0.0.1:{site.node.web_port}/studies/{uid}"
    study = site.orthanc.study_id(uid)
    answer = site.orthanc.request("GET", f"/studies/{study}/metadata/cadnode")
    assert json.loads(answer.text)["state"] == "done"
    assert site.node.events("study_read") == before + 1
    site.orthanc.send(*files)  # the same study again: Orthanc has it all
    answer = site.orthanc.request("POST", f"/cadnode/studies/{study}/read")
    assert answer.status_code == 202
    wait_until(lambda: site.orthanc.status(uid)["state"] == "done", "it is still done")
    site.settle()
    assert site.orthanc.modalities(uid) == READ
    assert site.node.events("study_read") == before + 1


def test_a_study_in_two_halves_is_read_again_and_the_new_report_names_the_old_one(
    site: Site, tmp_path: Path
) -> None:
    first, second = site.exam(tmp_path, (("L", "CC"), ("R", "CC")))
    uid = uid_of(first)
    site.orthanc.send(first)
    wait_until(lambda: site.is_read(uid), "the first half is read")
    site.orthanc.send(second)
    wait_until(lambda: site.orthanc.modalities(uid).count("SR") == 2, "a second report")
    wait_until(lambda: site.orthanc.status(uid)["state"] == "done", "the study is done")
    site.settle()
    assert site.orthanc.modalities(uid).count("SR") == 2
    reports = [h for h in headers(site.orthanc, uid) if h.Modality == "SR"]
    (newer,) = [h for h in reports if "PredecessorDocumentsSequence" in h]
    (older,) = [h for h in reports if h is not newer]
    named = newer.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == older.SOPInstanceUID


def headers(orthanc: OrthancHost, uid: str) -> list[pydicom.Dataset]:
    instances = orthanc.get(f"/studies/{orthanc.study_id(uid)}/instances")
    files = [orthanc.request("GET", f"/instances/{i['ID']}/file").content for i in instances]
    return [pydicom.dcmread(BytesIO(data), stop_before_pixels=True) for data in files]


def test_orthanc_killed_before_the_study_is_stable_and_stopped_while_it_is_read(
    site: Site, tmp_path: Path
) -> None:
    files, read = site.exam(tmp_path), site.node.events("study_read")
    uid = uid_of(files[0])
    site.orthanc.send(*files)
    site.orthanc.kill()  # it never calls this study stable
    site.orthanc.start()
    waits = ("unknown", "waiting")
    wait_until(lambda: site.orthanc.status(uid)["state"] not in waits, "told", at_most_s=0.05)
    took_s = site.orthanc.stop()
    assert took_s < 15
    site.orthanc.start()
    wait_until(lambda: site.is_read(uid), "the study is read")
    site.settle()
    assert site.orthanc.modalities(uid) == READ
    assert site.node.events("study_read") == read + 1


def test_a_node_that_is_down_for_a_while_gets_the_study_when_it_is_back(
    pull_site: Site, tmp_path: Path
) -> None:
    files, read = pull_site.exam(tmp_path), pull_site.node.events("study_read")
    uid = uid_of(files[0])
    pull_site.node.kill()
    pull_site.orthanc.send(*files)
    wait_until(
        lambda: pull_site.orthanc.status(uid).get("problem"), "the plugin says what is wrong"
    )
    health = pull_site.orthanc.request("GET", "/cadnode/health")
    assert health.status_code == 503
    assert health.json()["queue"]["length"] == 1
    assert health.json()["problems"][0]["hint"]
    pull_site.node.start()
    wait_until(lambda: pull_site.is_read(uid), "the study is read")
    pull_site.settle()
    assert pull_site.orthanc.modalities(uid) == READ
    assert pull_site.orthanc.status(uid)["problem"] is None
    assert pull_site.node.events("study_read") == read + 1


def test_ten_studies_at_once_are_each_read_once(pull_site: Site, tmp_path: Path) -> None:
    read = pull_site.node.events("study_read")
    exams = [pull_site.exam(tmp_path / str(number)) for number in range(10)]
    uids = [uid_of(files[0]) for files in exams]
    pull_site.orthanc.send(*[file for files in exams for file in files])
    for uid in uids:
        wait_until(lambda uid=uid: pull_site.is_read(uid), "every study is read")
    pull_site.settle()
    assert [pull_site.orthanc.modalities(uid) for uid in uids] == [READ] * 10
    assert pull_site.node.events("study_read") == read + 10


def test_a_ct_study_is_nobodys_business(pull_site: Site, tmp_path: Path) -> None:
    ct = view_dataset("L", "CC", seed=9, rows=64, columns=64)
    ct.SOPClassUID = ct.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ct.Modality = "CT"
    uid = str(ct.StudyInstanceUID)
    pull_site.orthanc.send(write(ct, tmp_path / "ct.dcm"))
    pull_site.orthanc.send(
        *pull_site.exam(tmp_path / "mg")
    )  # a mammogram after it, to know when to look
    later = uid_of(tmp_path / "mg" / "01-L-CC.dcm")
    wait_until(lambda: pull_site.is_read(later), "the mammogram is read")
    assert pull_site.orthanc.status(uid)["state"] == "unknown"
    assert pull_site.orthanc.modalities(uid) == ["CT"]
    path = f"/cadnode/studies/{pull_site.orthanc.study_id(uid)}/read"
    answer = pull_site.orthanc.request("POST", path)
    assert answer.status_code == 422
    assert answer.json()["hint"]
    asked = requests.get(
        f"http://127.0.0.1:{pull_site.node.web_port}/api/studies/{uid}",
        headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10,
    )  # fmt: skip
    assert asked.status_code == 404


def test_routes_answer_wrong_requests_with_the_right_status_and_a_hint(pull_site: Site) -> None:
    gone = "00000000-00000000-00000000-00000000-00000000"
    for method, path, status in (
        ("GET", f"/cadnode/studies/{gone}/status", 404),
        ("POST", f"/cadnode/studies/{gone}/read", 404),
        ("POST", "/cadnode/studies/..%2f..%2fsystem/read", 404),
        ("GET", f"/cadnode/studies/{gone}/read", 405),
        ("POST", "/cadnode/health", 405),
    ):
        answer = pull_site.orthanc.request(method, path)
        assert answer.status_code == status, path
        if status == 404 and "%2f" not in path:
            assert answer.json()["hint"]


def test_orthanc_stops_in_time_although_its_node_never_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        section = {"Url": url, "QuietSeconds": 0, "TimeoutSeconds": 3}
        host = OrthancHost(tmp_path / "orthanc", {"Cadnode": section})
        host.start()
        try:
            host.send(*write_exam(tmp_path / "exam", ONE_VIEW, rows=64, columns=64))
            wait_until(lambda: host.health()["queue"]["phases"].get("announce"), "it asks")
            asked = time.monotonic()
            assert host.get("/system")  # nothing of Orthanc waits for the node
            assert time.monotonic() - asked < 1
        finally:
            took_s = host.stop()
    assert took_s < 12
    assert "has stopped" in host.log


def test_orthanc_check_finds_nothing_wrong_and_says_what_to_do_when_something_is(
    pull_site: Site, tmp_path: Path
) -> None:
    node = settings.load(pull_site.node.config)
    checks = list(check.run(OrthancAddress(pull_site.orthanc.url), node))
    assert [c for c in checks if c.verdict is CheckVerdict.FAILED] == []
    assert list(dict.fromkeys(c.name for c in checks)) == [
        "orthanc", "clock", "python plugin", "cadnode plugin", "node, from Orthanc", "rights",
        "source orthanc", "destination orthanc",
    ]  # fmt: skip
    nobody = OrthancAddress(f"http://127.0.0.1:{free_port()}")
    (failed,) = check.run(nobody, node)
    assert failed.verdict is CheckVerdict.FAILED
    assert failed.advice


def test_orthanc_explorer_has_a_button_and_a_badge_that_ends_as_done(
    pull_site: Site, tmp_path: Path
) -> None:
    pull_site.orthanc.stop()
    pull_site.orthanc.configure(StableAge=600)  # nothing is read unless somebody asks
    pull_site.orthanc.start()
    files = pull_site.exam(tmp_path, (("L", "CC"), ("L", "MLO")))
    uid = uid_of(files[0])
    pull_site.orthanc.send(*files)
    study = pull_site.orthanc.study_id(uid)
    PICTURES.mkdir(parents=True, exist_ok=True)
    with chromium(tmp_path / "browser", (1280, 900)) as browser:
        badge = "return (document.getElementById('cadnode-badge') || {}).textContent"
        series = "return document.getElementById('list-series').textContent"
        browser.open(f"{pull_site.orthanc.url}/app/explorer.html#study?uuid={study}")
        wait_until(lambda: browser.run(badge) == "not read", "the badge says that it is not read")
        (PICTURES / "before.png").write_bytes(browser.picture())
        place = browser.run(
            "var r = document.getElementById('cadnode-read').getBoundingClientRect();"
            "return [r.left + r.width / 2, r.top + r.height / 2]"
        )
        browser.click(*place)
        seen = set()

        def is_done() -> bool:
            text = str(browser.run(badge))
            seen.add(text)
            return text.startswith("done")

        wait_until(is_done, "the badge says that the study is read")
        wait_until(lambda: "Modality: SR" in browser.run(series), "the results are listed")
        (PICTURES / "done.png").write_bytes(browser.picture())
        link = browser.run("return document.getElementById('cadnode-page').href")
        errors = [line for line in browser.console() if "cadnode" in line]
    assert link == f"http://127.0.0.1:{pull_site.node.web_port}/studies/{uid}"
    assert len(seen) > 1, "it went straight to done"
    assert not errors
    assert pull_site.orthanc.modalities(uid) == ["MG", "MG", "OT", "OT", "SR"]
