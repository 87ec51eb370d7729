"""The HTTP side of real node processes: a study from arrival to its page, and what is refused."""

import os
import signal
import socket
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pydicom
import pytest
import requests

from cadnode.demo.archive import AE_TITLE, DemoArchive, Orthanc, find_orthanc, orthanc
from cadnode.log import hashed
from cadnode.node import supervise
from tests.integration.node import Node, running_node, wait_until
from tests.integration.prometheus import (
    Prometheus,
    dashboard_queries,
    metrics_of,
    prometheus,
)
from tests.integration.web_role import TOKEN, answers, certified, get, post, token_file, web_role
from tests.synthetic import IDENTIFIERS, MARK, write_exam

# What a node has none of that reads without a GPU, has not failed, and has read but one exam.
MAY_BE_ABSENT = {
    "cadnode_drift_called_ratio", "cadnode_drift_psi",
    "cadnode_gpu_memory_used_bytes", "cadnode_gpu_memory_size_bytes", "cadnode_failures_total",
    "cadnode_images_skipped_total", "cadnode_fetches_total", "cadnode_uncommitted_results",
    "cadnode_problems",
}  # fmt: skip


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Orthanc]:
    executable = find_orthanc()
    assert executable, "Orthanc is missing: deploy/system-packages.sh test"
    with orthanc(tmp_path / "orthanc", executable=executable, aet=AE_TITLE) as running:
        yield running


def archive_of(peer: Orthanc) -> DemoArchive:
    return DemoArchive(
        "Orthanc", peer.aet, peer.dicom_port, lambda: len(peer.get("/instances")), lambda: iter(())
    )


def study_uid(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID)


def url_of(node: Node, path: str = "") -> str:
    return f"http://127.0.0.1:{node.web_port}{path}"


def watched(node: Node, uid: str) -> list[str]:
    """The states that a client sees from before the study comes to a final one, each once."""
    seen: list[str] = []

    def is_final() -> bool:
        answer = get(url_of(node, f"/api/studies/{uid}"))
        if answer.status_code == 404:
            return False
        study = answer.json()
        if study["state"] not in seen[-1:]:
            seen.append(study["state"])
        return bool(study["is_final"])

    wait_until(is_final, "a final state")
    return seen


def monitored(scraper: Prometheus) -> None:
    """Prometheus knows what became of the one study, and can ask all that deploy/ asks."""
    wait_until(lambda: scraper.value('cadnode_deliveries_total{status="delivered"}') == 1,
               "Prometheus sees the delivery")  # fmt: skip
    wait_until(lambda: all(r["health"] == "ok" for r in scraper.rules()), "rules are evaluated")
    assert len(scraper.rules()) >= 16
    firing = {rule["name"] for rule in scraper.rules() if rule["state"] == "firing"}
    assert firing <= {"CadnodeReadingSlow"}  # on a slow machine
    for expression, expected in (
        ('cadnode_studies_total{state="read"}', 1), ('cadnode_studies_total{state="reported"}', 1),
        ('sum(cadnode_received_images_total{peer="other"})', 4),
        ('sum(cadnode_exams_total{outcome="findings"})', 1), ("cadnode_reading_seconds_count", 1),
        ("cadnode_view_reading_seconds_count", 4), ("cadnode_received_to_read_seconds_count", 1),
        ("sum(cadnode_read_to_delivered_seconds_count)", 1), ("sum(cadnode_role_up)", 3),
        ('sum(cadnode_score_count{system="kim2018"})', 4), ('cadnode_studies{state="done"}', 1),
        ("sum(cadnode_ready)", 4), ('max(cadnode_drift_state{system="kim2018"})', 0),
    ):  # fmt: skip
        wait_until(lambda e=expression, n=expected: scraper.value(e) == n,  # type: ignore[misc]
                   f"{expression} is {expected}, not {scraper.value(expression)}", 10)  # fmt: skip
    for query in dashboard_queries():
        if not metrics_of(query) & MAY_BE_ABSENT:  # a rate needs a second scrape
            wait_until(lambda q=query: scraper.query(q), query, 10)  # type: ignore[misc]


def test_a_study_that_is_sent_can_be_followed_to_its_end_and_names_nobody_in_the_log(
    tmp_path: Path, peer: Orthanc
) -> None:
    exam = write_exam(tmp_path / "exam")
    uid = study_uid(exam[0])
    with (
        running_node(
            tmp_path, archive_of(peer), quiet_s=3.0, more="[quality]\nevery_s = 1.0\n"
        ) as node,
        prometheus(tmp_path / "prometheus", node.web_port) as scraper,
    ):
        wait_until(lambda: answers(url_of(node, "/health")), "the HTTP side answers")
        assert get(url_of(node, f"/api/studies/{uid}")).status_code == 404
        with ThreadPoolExecutor(1) as beside:
            watching = beside.submit(watched, node, uid)
            node.send(*exam)
            way = watching.result()
        study = get(url_of(node, f"/api/studies/{uid}")).json()
        page = get(url_of(node, study["url"])).text
        listed = get(url_of(node, "/api/studies")).json()["studies"]
        front = get(url_of(node, "/")).text
        wait_until(lambda: get(url_of(node, "/health")).status_code == 200, "the node is well")
        health = get(url_of(node, "/health")).json()
        monitored(scraper)
        metrics = get(url_of(node, "/metrics")).text
        ready = get(url_of(node, "/readyz"))
        log = node.log
    order = ["receiving", "queued", "reading", "delivering", "done"]
    assert way == [state for state in order if state in way]
    assert {"receiving", "reading", "done"} <= {*way}
    assert study["deliveries"] == {"archive": "delivered"}
    assert (study["outcome"], study["n_instances"]) == ("findings", 4)
    assert study["n_findings"] >= 1
    assert 0 <= study["exam_score"] <= 1
    assert "ZZQ-ID-0001" in page
    assert [row["key"] for row in listed] == [hashed(uid)]
    assert f'href="/studies/{hashed(uid)}"' in front  # the list holds no UIDs
    assert health["roles"] == {"listener": "up", "worker": "up", "web": "up"}
    with closing(sqlite3.connect(tmp_path / "data" / "jobs.sqlite")) as database:
        dump = "\n".join(database.iterdump())
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    assert hashed(uid) not in metrics
    for identifier in (*IDENTIFIERS, MARK, uid):
        assert identifier not in log
        assert identifier not in dump
        assert identifier not in metrics
    assert f'"study": "{hashed(uid)}"' in log


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An archive that the node of these tests fetches from, and delivers to."""
    executable = find_orthanc()
    assert executable, "Orthanc is missing: deploy/system-packages.sh test"
    folder = tmp_path_factory.mktemp("source")
    with orthanc(folder, executable=executable, aet=AE_TITLE) as running:
        yield running


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory, source: Orthanc) -> Iterator[Node]:
    """A node with that source, which answers."""
    section = f'[[sources]]\nname = "pacs"\nurl = "http://127.0.0.1:{source.http_port}"\n'
    with running_node(tmp_path_factory.mktemp("node"), archive_of(source), more=section) as node:
        wait_until(lambda: answers(url_of(node, "/health")), "the HTTP side answers")
        yield node


def test_a_study_that_is_asked_for_is_fetched_and_read_once_however_often_it_is_asked_for(
    tmp_path: Path, source: Orthanc, fetching: Node
) -> None:
    exam, node = write_exam(tmp_path / "exam"), fetching
    uid = study_uid(exam[0])
    for path in exam:
        source.post("/instances", path.read_bytes())
    body = {"study_instance_uid": uid, "source": "pacs", "at_once": True}
    accepted = post(url_of(node, "/api/studies"), body)
    assert accepted.status_code == 202
    assert accepted.json()["url"] == f"/studies/{uid}"
    assert watched(node, uid)[-1] == "done"
    assert post(url_of(node, "/api/studies"), body).status_code == 202
    assert watched(node, uid)[-1] == "done"
    wait_until(node.is_idle, "nothing is left to do")
    assert node.events("study_read") == 1
    wrong = post(url_of(node, "/api/studies"), {**body, "source": "nowhere"})
    assert (wrong.status_code, wrong.json()["hint"]) == (404, "configured: pacs")
    assert uid not in node.log


def test_a_worker_that_is_killed_is_named_by_health_and_comes_back(fetching: Node) -> None:
    node = fetching
    wait_until(lambda: get(url_of(node, "/health")).status_code == 200, "the node is well")
    worker = int((node.folder / "data" / "roles" / "worker.pid").read_text())
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: get(url_of(node, "/health")).status_code == 503, "health tells")
    health = get(url_of(node, "/health")).json()
    assert health["status"] == "degraded"
    assert health["roles"]["worker"] in ("down", "restarting")
    assert [p["code"] for p in health["problems"]] == ["role_down"]
    wait_until(lambda: get(url_of(node, "/health")).status_code == 200, "it is back")
    assert [p["code"] for p in get(url_of(node, "/health")).json()["problems"]] == ["role_died"]


def test_the_token_in_the_file_is_needed_for_all_but_health(tmp_path: Path) -> None:
    with web_role(tmp_path, f'token_file = "{token_file(tmp_path)}"\n') as web:
        wait_until(lambda: answers(web.url("/health")), "the HTTP side answers")
        assert get(web.url("/api/studies")).status_code == 401
        assert get(web.url("/")).status_code == 401
        right = {"Authorization": f"Bearer {TOKEN}"}
        wrong = {"Authorization": f"Bearer {TOKEN[:-1]}0"}
        body = {"study_instance_uid": "1.2.3", "source": "x"}
        assert post(web.url("/api/studies"), body, headers=wrong).status_code == 401
        assert post(web.url("/api/studies"), body, headers=right).status_code == 404
        # The worker and the job database are away, and it says so.
        assert get(web.url("/health")).status_code == 503
        assert TOKEN not in web.log


def test_https_is_served_with_a_certificate_of_the_admins_own(tmp_path: Path) -> None:
    certificate, key = certified(tmp_path)
    tls = f'certificate_file = "{certificate}"\nkey_file = "{key}"\n'
    with web_role(tmp_path, tls) as web:
        health = web.url("/health", "https")
        wait_until(lambda: answers(health, verify=str(certificate)), "the HTTP side answers")
        assert get(health, verify=str(certificate)).json()["api"] == 1
        with pytest.raises(requests.exceptions.SSLError):
            get(health)  # nobody vouches for it but the admin
        with pytest.raises(requests.ConnectionError):
            get(web.url("/health"))


def test_a_port_that_is_taken_is_told_once_and_tried_until_it_is_free(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with web_role(tmp_path, port=port) as web:
            wait_until(lambda: "web_cannot_listen" in web.log, "the log tells of it")
            taken.close()
            wait_until(lambda: answers(web.url("/health")), "the HTTP side answers")
            assert web.log.count("web_cannot_listen") == 1
            assert '"reason": "port_taken"' in web.log
            assert web.process.poll() is None


def test_a_job_database_that_is_away_is_503_and_comes_back_by_itself(tmp_path: Path) -> None:
    away = {"CADNODE_JOBS__DATABASE_URL": f"sqlite:///{tmp_path}/not-there/jobs.sqlite"}
    source = '[[sources]]\nname = "pacs"\nurl = "http://127.0.0.1:9"\n'
    body = {"study_instance_uid": "1.2.3", "source": "pacs"}
    with web_role(tmp_path, source, environment=away) as web:
        wait_until(lambda: answers(web.url("/health")), "the HTTP side answers")
        assert post(web.url("/api/studies"), body).status_code == 503
        health = get(web.url("/health"))
        assert health.status_code == 503
        assert "jobs_away" in [p["code"] for p in health.json()["problems"]]
        (tmp_path / "not-there").mkdir()
        supervise.prepare(away["CADNODE_JOBS__DATABASE_URL"])
        assert post(web.url("/api/studies"), body).status_code == 202
        assert get(web.url("/api/studies/1.2.3")).json()["state"] == "fetching"
        assert "Traceback" not in web.log


def test_a_token_that_cannot_be_used_ends_the_role_with_one_line_that_says_what_to_do(
    tmp_path: Path,
) -> None:
    empty = tmp_path / "token"
    empty.write_text("\n")
    empty.chmod(0o600)
    with web_role(tmp_path, f'token_file = "{empty}"\n') as web:
        assert web.process.wait(timeout=60) == 2
        assert "is empty" in web.log
        assert "openssl rand -hex 32" in web.log
        assert "Traceback" not in web.log
