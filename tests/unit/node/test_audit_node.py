"""The node's side of the audit trail: health, checks, the supervisor's thread, what is recorded."""

import time
from pathlib import Path
from typing import Any

import pytest

from cadnode.audit.event import Action, Event, EventOutcome
from cadnode.audit.files import entries
from cadnode.audit.trail import Trail
from cadnode.audit.verify import verify
from cadnode.node import audit_keeper
from cadnode.node import delivery_tries as tries_room
from cadnode.node.audit_checks import audit_checks
from cadnode.node.audit_health import AuditState
from cadnode.node.check import CheckVerdict
from cadnode.node.deliveries import TryEnd
from cadnode.node.delivery_tries import DeliveryTries
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.results import Results
from cadnode.settings import Settings
from tests.certificates import Authority
from tests.peers import wait_until
from tests.syslog_server import running
from tests.unit.audit.cases import Clock, month, viewed


def values(folder: Path, **audit: Any) -> Settings:
    destination = {"name": "archive", "kind": "folder", "folder": "/nowhere"}
    return Settings(storage={"folder": folder}, destinations=[destination], audit=audit)


def repository(authority: Authority, port: int) -> dict[str, Any]:
    ours = authority.sign("node")
    ours.key.chmod(0o640)
    return {
        "syslog_host": "127.0.0.1", "syslog_port": port, "syslog_ca_file": authority.path,
        "certificate_file": ours.certificate, "key_file": ours.key,
    }  # fmt: skip


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def codes(settings: Settings) -> list[str]:
    return [problem.code for problem in AuditState.of(settings).problems()]


def test_a_trail_that_has_everything_is_no_problem(tmp_path: Path) -> None:
    settings = values(tmp_path)
    assert codes(settings) == []
    Trail.of(settings).record(viewed())
    assert codes(settings) == []
    assert AuditState.of(settings).as_dict() == {}


def test_lost_events_degrade_health_with_their_count_and_for_a_day_after(tmp_path: Path) -> None:
    settings = values(tmp_path)
    trail = Trail.of(settings)
    trail.record(viewed())
    (trail.folder / "lock").unlink()
    (trail.folder / "lock").mkdir()  # nothing can be written, as on a disk that fails
    trail.record(viewed())
    trail.record(viewed())
    (problem,) = AuditState.of(settings).problems()
    assert (problem.code, problem.severity) == ("audit_lost", "degraded")
    assert "2" in problem.meaning
    assert AuditState.of(settings).as_dict()["lost"] == 2
    (trail.folder / "lock").rmdir()
    trail.record(viewed())
    assert codes(settings) == ["audit_lost"]
    old = (trail.folder / "lost.json").read_text().replace(str(int(time.time()))[:6], "100000")
    (trail.folder / "lost.json").write_text(old)
    assert codes(settings) == []


def test_a_repository_that_is_away_for_an_hour_degrades_health(tmp_path: Path) -> None:
    settings = values(tmp_path, syslog_host="127.0.0.1")
    Trail(tmp_path / "audit").record(viewed())
    assert codes(settings) == []
    assert AuditState.of(settings).as_dict()["waiting"] == 1
    Trail(tmp_path / "second" / "audit", clock=Clock(time.time() - 7300)).record(viewed())
    late = values(tmp_path / "second", syslog_host="127.0.0.1")
    (problem,) = AuditState.of(late).problems()
    assert (problem.code, problem.severity) == ("audit_not_forwarded", "degraded")
    assert "2 h" in problem.meaning
    assert AuditState.of(late).as_dict()["oldest_s"] > 7200


def verdicts(settings: Settings) -> dict[str, CheckVerdict]:
    return {check.name: check.verdict for check in audit_checks(settings)}


def test_checks_tell_a_broken_trail_and_that_there_is_no_copy(tmp_path: Path) -> None:
    settings = values(tmp_path)
    trail = Trail.of(settings)
    trail.record(viewed())
    trail.record(viewed())
    assert verdicts(settings) == {
        "audit trail": CheckVerdict.OK, "audit repository": CheckVerdict.WARNING,
    }  # fmt: skip
    path = month(trail)
    path.write_bytes(path.read_bytes().replace(b"success", b"failure", 1))
    assert verdicts(settings)["audit trail"] is CheckVerdict.FAILED


def test_checks_reach_the_repository_by_tls(tmp_path: Path, authority: Authority) -> None:
    with running(authority.files(authority.sign("repository"))) as server:
        settings = values(tmp_path, **repository(authority, server.port))
        assert verdicts(settings)["audit repository"] is CheckVerdict.OK
    assert server.messages == []  # nothing is sent for a check
    assert verdicts(settings)["audit repository"] is CheckVerdict.FAILED
    other = Authority(tmp_path / "other")
    with running(other.files(other.sign("repository"))) as server:
        settings = values(tmp_path, **repository(authority, server.port))
        (_, check) = audit_checks(settings)
    assert "not trusted" in check.found


def test_a_node_that_runs_has_its_start_and_end_in_the_trail_and_in_the_repository(
    tmp_path: Path, authority: Authority
) -> None:
    with running(authority.files(authority.sign("repository"))) as server:
        settings = values(tmp_path, **repository(authority, server.port))
        with audit_keeper.running(settings, was_killed=True):
            wait_until(lambda: len(server.messages) == 1)
        wait_until(lambda: len(server.messages) == 2)
    said = [entry.said for entry, _ in entries(tmp_path / "audit")]
    assert [one.action for one in said if isinstance(one, Event)] == [
        Action.STARTED, Action.STOPPED,
    ]  # fmt: skip
    assert isinstance(said[0], Event)
    assert said[0].detail == "killed before"
    assert "110120" in server.text
    assert "110121" in server.text


def test_months_go_in_their_time_and_not_before_they_were_sent_on(
    tmp_path: Path, authority: Authority
) -> None:
    old = Clock(time.time() - 100 * 86400)
    Trail(tmp_path / "audit", clock=old).record(viewed())
    with running(authority.files(authority.sign("repository"))) as server:
        settings = values(tmp_path, keep_days=30.0, **repository(authority, server.port))
        with audit_keeper.running(settings):
            wait_until(lambda: len(list((tmp_path / "audit").glob("*.jsonl"))) == 1)
    assert len(server.messages) >= 2  # the removed line was sent on first
    assert verify(tmp_path / "audit").is_whole
    assert verify(tmp_path / "audit").first == 2


def test_of_tries_that_all_end_alike_the_first_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, content = "0123456789abcdef", "a" * 16
    ends = [DeliveryStatus.RETRY, DeliveryStatus.RETRY, DeliveryStatus.REFUSED_FOR_NOW,
            DeliveryStatus.REFUSED, DeliveryStatus.DELIVERED, DeliveryStatus.DELIVERED]  # fmt: skip
    settings = values(tmp_path)
    folder = tmp_path / "results" / study / content
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{}")
    tries = DeliveryTries(settings, Results.in_storage(tmp_path))
    for end in ends:
        monkeypatch.setattr(
            tries_room, "attempt", lambda *_, end=end: TryEnd(end, "Roe^Jane said no")
        )
        tries.deliver(study, content, "archive")
    said = [entry.said for entry, _ in entries(tmp_path / "audit")]
    found = [(one.action, one.outcome, one.detail) for one in said if isinstance(one, Event)]
    not_there, there = Action.NOT_DELIVERED, Action.DELIVERED
    assert found == [
        (not_there, EventOutcome.FAILURE, "retry"), (not_there, EventOutcome.FAILURE, "refused"),
        (there, EventOutcome.SUCCESS, "delivered"), (there, EventOutcome.SUCCESS, "delivered"),
    ]  # fmt: skip
    assert {(one.study, one.peer) for one in said if isinstance(one, Event)} == {(study, "archive")}
    assert "Roe" not in str(said)
