"""The page of the log: for operators, filtered, page by page; no UID in an address."""

from datetime import datetime

import pytest

from cadnode.log_files import LogFilter, LogLine, LogPage
from cadnode.web.log_page import filter_of
from cadnode.web.queue import FilterWrong
from tests.web_cases import KEY, OPERATORS_TOKEN, VIEWERS_TOKEN, Told, known, served

CURSOR = "2026-03-04T15:06:07.000000Z~worker~1772636767000000~120"
LINE = LogLine(
    "2026-03-04T15:06:07.000000Z", "worker", "error", "read_failed",
    {"study": KEY, "reason": "<no> pixels", "count": None},
)  # fmt: skip
BEARER = {"Authorization": f"Bearer {OPERATORS_TOKEN}"}


def test_the_page_shows_lines_and_asks_for_what_the_fields_state() -> None:
    told = Told(log=LogPage((LINE,), CURSOR))
    with served(told) as client:
        page = client.get(f"/log?study={KEY}&level=warning&role=worker&event=read").text
    assert told.log_filters == [LogFilter(KEY, "read", "warning", "worker")]
    for said in ("read_failed", "&lt;no&gt; pixels", f'href="/studies/{KEY}"', "Older", "show all"):
        assert said in page
    assert "None" not in page
    assert f"study={KEY}&amp;event=read" in page  # the next part is of the same lines


def test_a_program_gets_lines_and_the_place_of_the_next() -> None:
    told = Told(log=LogPage((LINE,), CURSOR))
    with served(told, known()) as client:
        answer = client.get(f"/api/log?after={CURSOR}&limit=7", **BEARER).json()
        assert client.get("/api/log?after=x", **BEARER).status_code == 422
    assert answer["after"] == CURSOR
    assert answer["lines"][0]["process"] == "worker"
    assert answer["lines"][0]["study"] == KEY
    assert told.log_filters[0] == LogFilter(after=CURSOR, limit=7)


@pytest.mark.parametrize(
    "query", ["study=1.2.840.99.1", "level=loud", "role=other", "since=x", "event=<b>", "after=x"]
)
def test_what_makes_no_sense_is_said_and_asks_for_nothing(query: str) -> None:
    told = Told()
    with served(told) as client:
        answer = client.get(f"/log?{query}")
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
        assert "<b>" not in answer.text.split("<main")[1].split("<form")[0]
        assert client.get(f"/api/log?{query}").status_code == 422
    assert told.log_filters == []


def test_times_are_the_nodes_on_the_page_and_utc_for_programs() -> None:
    local = datetime(2026, 3, 4, 15, 6).astimezone().timestamp()
    for is_local in (True, False):
        found = filter_of({"since": "2026-03-04T15:06"}, is_local=is_local).since
        stamp = datetime.fromisoformat(found).timestamp()
        assert stamp == (local if is_local else 1772636760)
    assert filter_of({"until": "2026-03-04T15:06+01:00"}).until == "2026-03-04T14:06:00.000000Z"
    with pytest.raises(FilterWrong):
        filter_of({"until": "0001-01-01T00:00+14:00"})


def test_a_viewer_sees_no_log() -> None:
    told = Told(log=LogPage((LINE,)))
    with served(told, known()) as client:
        client.log_in("vera")
        assert client.get("/log").status_code == 403
        assert 'href="/log"' not in client.get("/").text
        assert client.get("/api/log", Authorization=f"Bearer {VIEWERS_TOKEN}").status_code == 403
        client.log_in("otto")
        assert "read_failed" in client.get("/log").text
    assert len(told.log_filters) == 1
