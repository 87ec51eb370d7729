"""Lists that renew themselves in a real browser, under the hands of who uses them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cadnode.web.study import Reason, State, StudyState
from tests.integration.node import wait_until
from tests.viewers.webdriver import Browser, chromium
from tests.web_cases import Told, served

REASON = Reason("undelivered", "archive does not have the result: no room")
N = 40


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "chromium", (1300, 700)) as window:
        yield window


def studies() -> dict[str, StudyState]:
    at = datetime(2026, 3, 4, 15, 6, 7, tzinfo=UTC)
    found = {}
    for n in range(N):
        key = f"{n:016x}"
        found[key] = StudyState(
            key, "", State.REFUSED, "findings", True, 1, reasons=(REASON,),
            deliveries=(("archive", "refused"),), n_instances=4, updated_at=at,
        )  # fmt: skip
    return found


ROW = "document.querySelector('[data-key=\"' + arguments[0] + '\"]')"


def test_rows_change_and_focus_scroll_ticks_and_selection_stay(browser: Browser) -> None:
    told = Told(studies())
    keys = list(told.states)
    with served(told) as client:
        browser.open(f"{client.url}/needs-you?did=retry&n=1")  # renews itself every 3 s
        browser.run(f"{ROW}.querySelector('input').click()", keys[20])
        browser.run(f"{ROW}.querySelector('input').focus({{preventScroll: true}})", keys[21])
        browser.run("scrollTo(0, 900)")
        browser.run(
            f"const cell = {ROW}.querySelector('.todo');"
            "getSelection().selectAllChildren(cell); window.cell = cell;"
            "window.row = cell.parentNode",
            keys[22],
        )
        words = browser.run("return getSelection().toString()")
        del told.states[keys[0]]
        told.states[keys[30]] = replace(told.states[keys[30]], state=State.FAILED)
        moved = told.states.pop(keys[35])
        told.states = {"f" * 16: replace(moved, key="f" * 16), moved.key: moved, **told.states}

        wait_until(lambda: browser.run(f"return !{ROW}", keys[0]), "the first row is gone")

        assert browser.run(f"return {ROW}.innerText", keys[30]).count("failed") == 1
        shown = browser.run(
            "return [...document.querySelectorAll('tr[data-key]')].map(r => r.dataset.key)"
        )
        assert shown == list(told.states)
        assert browser.run(f"return {ROW}.querySelector('input').checked", keys[20])
        assert browser.run(
            f"return document.activeElement === {ROW}.querySelector('input')", keys[21]
        )
        assert browser.run("return document.querySelectorAll(':checked[name=study]').length") == 1
        assert browser.run("return window.row.isConnected && window.cell.isConnected")
        assert browser.run("return getSelection().toString()") == words
        assert words
        assert abs(browser.run("return scrollY") - 900) < 250  # one row less, one or two more


def test_what_is_unfolded_stays_so_while_the_page_follows_its_study(browser: Browser) -> None:
    key = "0" * 16
    reading = StudyState(key, "", State.READING, n_instances=4)
    told = Told({key: reading})
    with served(told) as client:
        browser.open(f"{client.url}/studies/{key}")
        browser.run(
            "document.querySelector('main').insertAdjacentHTML('beforeend', "
            "'<details id=mine open><summary>x</summary></details>')"
        )
        told.states[key] = replace(
            reading, state=State.REFUSED, deliveries=(("archive", "refused"),)
        )
        wait_until(
            lambda: browser.run("return document.querySelectorAll('.orders details').length") == 1,
            "the orders are there",
        )
        browser.run("document.querySelector('.orders details').open = true")
        assert "refused" in browser.run("return document.querySelector('.state').innerText")
