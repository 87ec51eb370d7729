"""The pages in a real browser: logging in, a page that follows its study, a report kept apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from cadnode.web.study import State
from tests.integration.node import wait_until
from tests.viewers.webdriver import Browser, chromium
from tests.web_cases import DONE, PASSWORDS, UID, Told, known, served

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


@contextmanager
def files_of(folder: Path) -> Iterator[str]:
    """The address of a web server of somebody else's, on another port of this machine."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def log_in(browser: Browser, name: str, password: str = "") -> None:
    """Fill in the form of the page that is open, and send it."""
    browser.run(
        "document.querySelector('#name').value = arguments[0];"
        "document.querySelector('#password').value = arguments[1];"
        "document.querySelector('main button').click()",
        name, password or PASSWORDS[name],
    )  # fmt: skip


def click(browser: Browser, words: str) -> None:
    """Press the button that says so."""
    browser.run(
        "[...document.querySelectorAll('button')].find(b => b.innerText === arguments[0]).click()",
        words,
    )


def test_a_person_logs_in_sees_a_study_logs_out_and_the_back_button_shows_nothing(
    browser: Browser,
) -> None:
    with served(Told(), known()) as client:
        browser.open(f"{client.url}/studies/{UID}")
        assert "Log in" in text(browser)
        log_in(browser, "vera")
        wait_until(lambda: "Roe, Jane" in text(browser), "the study's page")
        assert browser.run("return location.pathname") == f"/studies/{UID}"
        assert "vera viewer" in text(browser)
        assert browser.run("return document.cookie") == "", "scripts cannot read the session"
        browser.open(f"{client.url}/")
        assert "Recent studies" in text(browser)
        click(browser, "Log out")
        wait_until(lambda: browser.run("return location.pathname") == "/login", "logged out")
        for _ in range(2):
            browser.call("POST", "/back", {})
            wait_until(lambda: "Log in" in text(browser), "the log-in, and no page")
            assert "Jane" not in str(browser.run("return document.documentElement.outerHTML"))
    assert all("Clear-Site-Data" in line for line in browser.console())  # it says that it obeys


def test_a_wrong_password_is_told_and_leaves_the_form_for_another_try(browser: Browser) -> None:
    with served(Told(), known()) as client:
        browser.open(f"{client.url}/studies/{UID}")
        log_in(browser, "vera", "walnut tide 42 lanterns")
        wait_until(lambda: "do not belong together" in text(browser), "it is told")

        def is_in() -> bool:
            if browser.run("return !!document.querySelector('#name')"):
                log_in(browser, "vera")
            return "Roe, Jane" in text(browser)

        wait_until(is_in, "the study's page")
        assert browser.run("return location.pathname") == f"/studies/{UID}"


def test_an_operator_orders_with_a_button_that_a_viewer_does_not_see(browser: Browser) -> None:
    refused = replace(DONE, state=State.REFUSED, deliveries=(("archive", "refused"),))
    told = Told({UID: refused})
    with served(told, known()) as client:
        browser.open(f"{client.url}/studies/{UID}")
        log_in(browser, "vera")
        wait_until(lambda: "Roe, Jane" in text(browser), "the study's page")
        assert browser.run("return document.querySelectorAll('.orders form').length") == 0
        click(browser, "Log out")
        wait_until(lambda: "Log in" in text(browser), "logged out")
        browser.open(f"{client.url}/studies/{UID}")
        log_in(browser, "otto")
        wait_until(lambda: "Try again now" in text(browser), "the button")
        click(browser, "Try again now")
        wait_until(lambda: "It is tried again now." in text(browser), "the order is taken")
        browser.run("document.querySelector('.orders details').open = true")
        browser.run("document.querySelector('.orders details [name=reason]').value = 'a test'")
        click(browser, "Give up")
        wait_until(lambda: "It is given up." in text(browser), "this one, too")
    assert told.orders[0] == ("retry", UID, "")
    assert told.orders[1] == ("drop", UID, "archive", "otto, HTTP from 127.0.0.1", "a test")


def test_a_page_from_elsewhere_orders_nothing_with_the_session_of_its_visitor(
    browser: Browser, tmp_path: Path
) -> None:
    told = Told({UID: replace(DONE, state=State.FAILED)})
    with served(told, known()) as client, files_of(tmp_path) as elsewhere:
        browser.open(f"{client.url}/login")
        log_in(browser, "otto")
        wait_until(lambda: "Recent studies" in text(browser), "the session has begun")
        csrf = browser.run("return document.querySelector('[name=csrf]').value")
        (tmp_path / "evil.html").write_text(
            f'<form method="post" action="{client.url}/studies/{UID}/retry">'
            f'<input name="csrf" value="{csrf}"><button>Win a car</button></form>'
        )
        # The same host on another port is the same site: SameSite withholds nothing.
        browser.open(f"{elsewhere}/evil.html")
        click(browser, "Win a car")
        wait_until(lambda: "This is not allowed" in text(browser), "it is refused")
        assert told.orders == []


def test_a_page_whose_session_ends_gives_way_to_the_log_in(browser: Browser) -> None:
    now = [1000.0]
    told = Told({UID: replace(DONE, state=State.READING)})
    with served(told, known(clock=lambda: now[0])) as client:
        browser.open(f"{client.url}/studies/{UID}")
        log_in(browser, "vera")
        wait_until(lambda: "The models are reading the study" in text(browser), "the page")
        now[0] += 31 * 60
        wait_until(lambda: "Your session has ended" in text(browser), "the log-in")
        assert "Jane" not in text(browser)
        log_in(browser, "vera")
        wait_until(lambda: "Roe, Jane" in text(browser), "the same page again")


def test_a_link_in_an_archive_elsewhere_leads_a_person_who_is_logged_in_to_the_page(
    browser: Browser,
) -> None:
    with served(Told(), known()) as client, served(Told()) as elsewhere:
        browser.open(f"{client.url}/login")
        log_in(browser, "vera")
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


def test_the_list_renews_itself_and_leaves_what_is_being_entered(browser: Browser) -> None:
    told = Told({UID: replace(DONE, state=State.READING)})
    with served(told) as client:
        browser.open(f"{client.url}/")
        browser.run("document.querySelector('.search [name=text]').value = 'half a na'")
        told.states[UID] = DONE
        badge = "return document.querySelector('#list tbody .badge').innerText"
        wait_until(lambda: browser.run(badge) == "done", "the line is renewed")
        entered = browser.run("return document.querySelector('.search [name=text]').value")
        assert entered == "half a na"
        browser.run("document.querySelector('.search [name=text]').value = 'Roe Jane'")
        click(browser, "Search")
        wait_until(lambda: "show all" in text(browser), "what was found")
        assert browser.run("return location.pathname + location.search") == "/search"
    assert told.filters[-1].text == "Roe Jane"
    assert browser.console() == []


def test_an_operator_has_all_tried_again_after_an_outage(browser: Browser) -> None:
    refused = replace(DONE, state=State.REFUSED, deliveries=(("archive", "refused"),))
    keys = [f"{n:016x}" for n in range(50)]
    told = Told({key: replace(refused, key=key) for key in keys})
    with served(told, known()) as client:
        browser.open(f"{client.url}/needs-you")
        log_in(browser, "otto")
        wait_until(lambda: "Try all again" in text(browser), "the button")
        click(browser, "Try all again …")
        wait_until(lambda: "Try 50 studies again?" in text(browser), "it asks before")
        assert told.orders == []
        click(browser, "Yes, try again")
        wait_until(lambda: "50 studies are tried again now." in text(browser), "they are")
        told.states.clear()
        wait_until(lambda: "Nothing: no study is refused" in text(browser), "what is mended leaves")
    assert [words[1] for words in told.orders] == keys
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
