"""The HTTP interface: what programs are told, and what they are told when they are wrong."""

import json
from pathlib import Path

import pytest

from cadnode.identity.refusal import Refusal
from cadnode.log import configure, hashed
from cadnode.web.login import OPENID_REASONS
from cadnode.web.node import Notice, UnknownSource, jobs_away
from cadnode.web.rights import RIGHTS
from cadnode.web.study import STATE_MEANINGS, State, StudyState
from cadnode.web.way import Way
from tests.web_cases import ILL, KEY, TOKEN, UID, Told, known, served

ORTHANC_ID = "6b9e19d9-62094390-5f9ddb01-4a191ae7-9766b715"
NOTICE = {"study_instance_uid": UID, "source": "orthanc", "orthanc_id": ORTHANC_ID, "at_once": True}


def test_no_answer_leads_to_the_host_that_a_request_names() -> None:
    with served(Told(), known()) as client:
        named = {"Host": "evil.example", "Authorization": f"Bearer {TOKEN}"}
        for path in ("/api/studies/", "/health/", f"/studies/{UID}/"):
            answer = client.get(path, **named)
            assert (answer.status_code, "evil" in str(answer.headers)) == (404, False)


def test_a_notice_is_passed_on_and_answered_with_the_state_and_the_page() -> None:
    told = Told({UID: StudyState(KEY, UID, State.FETCHING)})
    with served(told) as client:
        answer = client.post("/api/studies", NOTICE)
    assert answer.status_code == 202
    assert answer.json() == {
        "study_instance_uid": UID,
        "state": "fetching",
        "url": f"/studies/{UID}",
    }
    assert told.notices == [Notice(UID, "orthanc", ORTHANC_ID, True)]


def test_a_notice_needs_neither_the_sources_name_of_the_study_nor_hurry() -> None:
    told = Told()
    with served(told) as client:
        client.post("/api/studies", {"study_instance_uid": UID, "source": "orthanc"})
    assert told.notices == [Notice(UID, "orthanc", "", False)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"study_instance_uid": "1.2.x"}, "study_instance_uid"),
        ({"study_instance_uid": "../../etc"}, "study_instance_uid"),
        ({"study_instance_uid": "1" * 65}, "study_instance_uid"),
        ({"source": ""}, "source"),
        ({"orthanc_id": "../instances"}, "orthanc_id"),
        ({"at_once": "perhaps"}, "at_once"),
        ({"more": 1}, "more"),
    ],
)
def test_a_bad_field_is_named_and_its_value_is_not_repeated(
    change: dict[str, object], field: str
) -> None:
    told = Told()
    with served(told) as client:
        answer = client.post("/api/studies", {**NOTICE, **change})
    assert answer.status_code == 422
    assert set(answer.json()) == {"error", "hint"}
    assert answer.json()["error"].startswith(f"{field}: ")
    (value,) = change.values()
    assert not value or len(str(value)) < 5 or str(value) not in answer.text
    assert told.notices == []


def test_a_body_that_is_no_json_is_refused() -> None:
    with served(Told()) as client:
        headers = {"Content-Type": "application/json"}
        answer = client.session.post(f"{client.url}/api/studies", data="{", headers=headers)
        assert answer.status_code == 422


def test_a_body_that_no_browser_would_ask_leave_for_is_refused() -> None:
    """A page elsewhere may post text/plain without asking; JSON it may not."""
    told = Told()
    with served(told) as client:
        answer = client.session.post(
            f"{client.url}/api/studies", data=json.dumps(NOTICE),
            headers={"Content-Type": "text/plain"},
        )  # fmt: skip
    assert answer.status_code == 422
    assert told.notices == []


def test_a_long_body_is_refused() -> None:
    with served(Told()) as client:
        assert client.post("/api/studies", {"source": "x" * 20_000}).status_code == 413


def test_an_unknown_source_is_404_and_the_configured_ones_are_named() -> None:
    with served(Told(refusal=UnknownSource(("orthanc", "pacs")))) as client:
        answer = client.post("/api/studies", {**NOTICE, "source": "ortanc"})
    assert answer.status_code == 404
    assert "ortanc" in answer.json()["error"]
    assert answer.json()["hint"] == "configured: orthanc, pacs"


@pytest.mark.parametrize("path", ["/api/studies", f"/api/studies/{UID}"])
def test_a_job_database_that_is_away_is_503(path: str) -> None:
    with served(Told(error=jobs_away())) as client:
        answers = [client.get(path), client.post("/api/studies", NOTICE)]
    for answer in answers:
        assert answer.status_code == 503
        assert "job database" in answer.json()["error"]


def test_a_study_is_told_as_documented() -> None:
    with served(Told()) as client:
        told = client.get(f"/api/studies/{UID}").json()
        assert told.pop("way") == Way().as_dict()
        assert told == {
            "study_instance_uid": UID,
            "state": "done",
            "is_final": True,
            "outcome": "findings",
            "is_complete": True,
            "n_findings": 2,
            "exam_score": 0.75,
            "reasons": [
                {"code": "implant", "meaning": "The breast has an implant that was not displaced"}
            ],
            "deliveries": {"archive": "delivered"},
            "n_instances": 4,
            "priority": "screening",
            "updated_at": "2026-03-04T15:06:07+00:00",
            "url": f"/studies/{UID}",
        }


def test_a_study_that_was_never_heard_of_is_404_with_its_state() -> None:
    with served(Told()) as client:
        answer = client.get("/api/studies/1.2.3")
    assert answer.status_code == 404
    assert answer.json()["state"] == "unknown"
    assert answer.json()["is_final"] is False
    assert "hint" in answer.json()


def test_the_list_names_no_study_by_its_uid() -> None:
    with served(Told()) as client:
        answer = client.get("/api/studies")
        assert client.get("/api/studies?limit=0").status_code == 422
        assert client.get("/api/studies?limit=501").status_code == 422
    assert answer.json()["studies"] == [
        {
            "key": KEY,
            "state": "done",
            "is_final": True,
            "needs_you": False,
            "priority": "screening",
            "outcome": "findings",
            "reasons": [
                {"code": "implant", "meaning": "The breast has an implant that was not displaced"}
            ],
            "updated_at": "2026-03-04T15:06:07+00:00",
        }
    ]
    assert UID not in answer.text


def test_health_is_503_while_something_is_failing() -> None:
    with served(Told(health=ILL)) as client:
        answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "degraded"
    assert answer.json()["api"] == 1
    assert answer.json()["problems"] == [
        {"code": "role_down", "meaning": "It is down", "hint": "look", "severity": "failing"}
    ]


def test_health_may_be_asked_for_by_head() -> None:
    with served(Told(health=ILL)) as client:
        answer = client.session.head(f"{client.url}/health", timeout=10)
    assert (answer.status_code, answer.content) == (503, b"")


@pytest.mark.parametrize("path", ["/nothing", "/static/api.py", "/api/nothing"])
def test_an_unknown_route_is_404(path: str) -> None:
    with served(Told()) as client:
        assert client.get(path).status_code == 404


def test_a_wrong_method_is_405_and_told_as_json() -> None:
    with served(Told()) as client:
        answer = client.session.delete(f"{client.url}/api/studies", timeout=10)
    assert answer.status_code == 405
    assert set(answer.json()) == {"error", "hint"}


def test_the_log_tells_of_each_request_without_its_identifiers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("INFO")
    with served(Told()) as client:
        client.get(f"/api/studies/{UID}?patient=Roe")
        client.post("/api/studies", NOTICE)
        client.get(f"/studies/{UID}")
        client.get("/nothing/Roe")
    written = capsys.readouterr()
    lines = written.out + written.err
    for identifier in (UID, "Roe", "Jane", ORTHANC_ID):
        assert identifier not in lines
    assert [json.loads(line).get("study") for line in lines.splitlines()] == [
        hashed(UID), hashed(UID), hashed(UID), None,
    ]  # fmt: skip
    assert "web_answered" in lines
    assert "/api/studies/{name}" in lines


def test_an_unforeseen_error_is_500_and_its_text_is_told_to_nobody(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure("INFO")
    with served(Told(error=RuntimeError("Roe^Jane"))) as client:
        answer = client.get(f"/api/studies/{UID}")
    assert answer.status_code == 500
    assert set(answer.json()) == {"error", "hint"}
    written = capsys.readouterr()
    assert "RuntimeError" in written.out + written.err
    assert "Roe" not in answer.text + written.out + written.err


def test_the_documentation_names_every_route_with_its_role_and_every_state() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "web.md").read_text()
    for (method, path), right in RIGHTS.items():
        role = "anybody" if right.role is None else right.role.word
        assert f"| `{method} {path}` | {role} |" in documented
    for state, meaning in STATE_MEANINGS.items():
        assert f"| `{state}` | {meaning}" in documented


def test_every_way_to_be_refused_an_openid_log_in_is_said_in_words() -> None:
    assert {*OPENID_REASONS, "wrong", "locked"} >= {*Refusal}
