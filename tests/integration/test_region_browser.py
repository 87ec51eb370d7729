"""A region drawn on a study's page, in a real browser: sent, awaited, shown, and drawn again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cadnode.web.regions import RegionList, RegionRefused
from tests.integration.node import wait_until
from tests.integration.test_web_browser import log_in, text
from tests.viewers.webdriver import Browser, chromium
from tests.web_cases import ASSESSED, UID, VIEW, Told, known, served

LISTEN = """
window.told = [];
for (const name of ["cadnode:show-outlines", "cadnode:go-to"])
  document.addEventListener(name, event => window.told.push([name, event.detail]));
"""
DRAW = """
document.dispatchEvent(new CustomEvent("cadnode:region-drawn", {detail: arguments[0]}));
"""
SHOWN = (
    'document.dispatchEvent(new CustomEvent("cadnode:view-shown", {detail: {view: arguments[0]}}))'
)
THERE = "return document.querySelector('#regions') !== null"
STATUS = "return document.getElementById('regions-status').textContent"
BOX = {"view": VIEW, "x0": 100.2, "y0": 200, "x1": 180, "y1": 260}


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "chromium", (1300, 1000)) as window:
        yield window


def assessed(told: Told) -> None:
    """The answer comes."""
    waiting = told.regions.regions[0]
    done = replace(ASSESSED, identifier=waiting.identifier, points=waiting.points)
    told.regions = replace(told.regions, regions=(done, *told.regions.regions[1:]))


def outlines(browser: Browser) -> list[Any]:
    told = browser.run("return window.told")
    return [detail for name, detail in told if name == "cadnode:show-outlines"]


def test_what_is_drawn_is_sent_its_answer_appears_and_it_is_drawn_where_it_was(
    browser: Browser,
) -> None:
    told = Told()
    with served(told, known()) as client:
        browser.open(f"{client.url}/studies/{UID}")
        log_in(browser, "vera")
        wait_until(lambda: browser.run(THERE), "the study's page")
        browser.run(LISTEN)
        browser.run(SHOWN, VIEW)
        browser.run(DRAW, BOX)
        wait_until(lambda: "being assessed" in str(browser.run(STATUS)), "it is being assessed")
        wait_until(lambda: "region 1" in text(browser), "it is in the table")
        assert told.asked[0][1].view == VIEW
        assert told.asked[0][1].points[0] == (100.0, 200.0), "whole pixels"
        assert told.asked[0][2].startswith("vera")
        assessed(told)
        wait_until(lambda: "is assessed" in str(browser.run(STATUS)), "it is assessed")
        assert "0.81" in text(browser)
        assert "trained on phantoms" in text(browser)
        (shown,) = outlines(browser)[-1]["outlines"]
        assert (shown["label"], shown["kind"], len(shown["points"])) == ("Region 1", "asked", 4)
        browser.run("document.querySelector('#regions-list [data-show]').click()")
        gone_to = [d for n, d in browser.run("return window.told") if n == "cadnode:go-to"]
        assert gone_to == [{"view": VIEW, "x0": 100, "y0": 200, "x1": 180, "y1": 260}]
    assert browser.console() == []


def test_a_refusal_is_told_in_words_and_the_form_with_numbers_asks_too(browser: Browser) -> None:
    told = Told(refusal=RegionRefused(422, "the region has no area", "draw it in the breast"))
    with served(told) as client:
        browser.open(f"{client.url}/studies/{UID}")
        wait_until(lambda: browser.run(THERE), "the study's page")
        browser.run(DRAW, BOX)
        wait_until(lambda: "the region has no area" in str(browser.run(STATUS)), "why")
        told.refusal = None
        browser.run(
            "document.querySelector('.ask-region').open = true;"
            "const form = document.querySelector('.region-form');"
            "['x0', 'y0', 'x1', 'y1'].forEach((n, i) => form.elements[n].value = arguments[0][i]);"
            "form.querySelector('button').click()",
            [100, 200, 180, 260],
        )  # fmt: skip
        wait_until(lambda: len(told.asked) == 1, "it is asked")
        wait_until(lambda: "being assessed" in str(browser.run(STATUS)), "it is being assessed")
        assert browser.run("return location.pathname") == f"/studies/{UID}"


def test_regions_of_before_are_drawn_when_their_view_is_shown(browser: Browser) -> None:
    told = Told(regions=RegionList((ASSESSED,), ((VIEW, "L CC"), ("2" * 16, "R CC"))))
    with served(told) as client:
        browser.open(f"{client.url}/studies/{UID}")
        wait_until(lambda: browser.run(THERE), "the study's page")
        assert browser.run("return document.querySelector('[data-show]').hidden"), "no viewer yet"
        browser.run(LISTEN)
        browser.run(SHOWN, "2" * 16)
        assert outlines(browser)[-1] == {"view": "2" * 16, "outlines": []}
        browser.run(SHOWN, VIEW)
        assert len(outlines(browser)[-1]["outlines"]) == 1
        assert not browser.run("return document.querySelector('[data-show]').hidden")
