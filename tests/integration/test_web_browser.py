"""The pages in a real browser: logging in, a page that follows its study, a report kept apart."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cadnode.web.access import Access
from cadnode.web.study import State
from tests.integration.node import wait_until
from tests.viewers.webdriver import Browser, chromium
from tests.web_cases import DONE, TOKEN, UID, Told, served

REPORT = """<!DOCTYPE html><meta charset="utf-8"><title>report</title><p id="p">no script ran</p>
<script>
document.getElementById("p").textContent = "its script ran";
fetch("/api/studies").then(() => parent.postMessage("reached", "*"),
                           () => parent.postMessage("kept out", "*"));
</script>"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "chromium", (1300, 1000)) as window:
        yield window


def text(browser: Browser) -> str:
    return str(browser.run("return document.body.innerText"))


def test_a_person_logs_in_once_and_comes_to_the_page_that_was_asked_for(browser: Browser) -> None:
    with served(Told(), Access(TOKEN)) as client:
        browser.open(f"{client.url}/studies/{UID}")
        assert "Log in" in text(browser)
        browser.run(
            "document.querySelector('#token').value = arguments[0];"
            "document.querySelector('button').click()",
            TOKEN,
        )
        wait_until(lambda: "Roe, Jane" in text(browser), "the study's page")
        assert browser.run("return location.pathname") == f"/studies/{UID}"
        assert browser.run("return document.cookie") == "", "scripts cannot read the session"
        browser.open(f"{client.url}/")
        assert "Recent studies" in text(browser)


def test_a_link_in_an_archive_elsewhere_leads_a_person_who_is_logged_in_to_the_page(
    browser: Browser,
) -> None:
    with served(Told(), Access(TOKEN)) as client, served(Told()) as elsewhere:
        browser.open(f"{client.url}/login")
        browser.run(
            "document.querySelector('#token').value = arguments[0];"
            "document.querySelector('button').click()",
            TOKEN,
        )
        wait_until(lambda: "Recent studies" in text(browser), "the session has begun")
        other_site = elsewhere.url.replace("127.0.0.1", "localhost")
        browser.open(f"{other_site}/login")
        browser.run("location.href = arguments[0]", f"{client.url}/studies/{UID}")
        wait_until(lambda: "Roe, Jane" in text(browser), "the study's page")


def test_a_page_follows_its_study_until_it_is_done_without_being_loaded_again(
    browser: Browser,
) -> None:
    reading = replace(DONE, state=State.READING, outcome=None, n_findings=None)
    told = Told({UID: reading})
    with served(told) as client:
        browser.open(f"{client.url}/studies/{UID}")
        assert "The models are reading the study" in text(browser)
        browser.run("window.wasHere = true")
        told.states[UID] = DONE
        wait_until(lambda: "every destination has the result" in text(browser), "it is done")
        assert browser.run("return window.wasHere") is True
        assert browser.run("return document.querySelector('main').dataset.refreshS ?? null") is None
    assert browser.console() == []


def test_a_page_says_when_the_node_does_not_answer_any_more(browser: Browser) -> None:
    told = Told({UID: replace(DONE, state=State.READING)})
    with served(told) as client:
        browser.open(f"{client.url}/studies/{UID}")
        assert browser.run("return document.body.className") == ""
    wait_until(lambda: browser.run("return document.body.className") == "stale", "it says so")


def test_the_report_runs_its_own_script_and_reaches_nothing_of_the_node(
    browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_text(REPORT)
    with served(Told(page=tmp_path / "report.html")) as client:
        browser.open(f"{client.url}/studies/{UID}/report")
        wait_until(lambda: "its script ran" in text(browser), "the report's script")
        browser.open(f"{client.url}/")
        browser.run(
            "window.heard = ''; addEventListener('message', e => { window.heard = e.data });"
            "const frame = document.createElement('iframe'); frame.src = arguments[0];"
            "document.body.append(frame)",
            f"/studies/{UID}/report",
        )
        wait_until(lambda: browser.run("return window.heard") != "", "the report has tried")
        assert browser.run("return window.heard") == "kept out"
