"""The table of assessments in a real browser: places, verdicts and operating points."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cadnode.log import hashed
from cadnode.web.node import StudyReading
from cadnode.web.operating_points import RecentScore
from tests.integration.node import wait_until
from tests.report_cases import digital_exam, result_of
from tests.unit.web.test_assessment import with_curves
from tests.viewers.webdriver import Browser, chromium
from tests.web_cases import UID, Told, known, served

RESULT = with_curves(result_of(digital_exam(), "systems"))
MODEL = RESULT.views[0].algorithm
LISTEN = (
    "window.told = []; for (const name of ['cadnode:go-to', 'cadnode:operating-point'])"
    " document.addEventListener(name, event => window.told.push([name, event.detail]))"
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "chromium", (1300, 1000)) as window:
        yield window


def told() -> Told:
    recent = tuple(RecentScore(score, (MODEL,)) for score in (0.1, 0.4, 0.65, 0.9))
    return Told(readings=(StudyReading("abc", 1, RESULT),), recent=recent)


def test_a_finding_that_is_chosen_is_told_to_the_viewer(browser: Browser) -> None:
    with served(told()) as client:
        browser.open(f"{client.url}/studies/{UID}")
        browser.run(LISTEN)
        browser.run("document.querySelector('tr[data-n=\"1\"] .pick').click()")
        browser.run("document.querySelector('tr[data-n=\"2\"] td.score').click()")
        events = browser.run("return window.told")
        chosen = browser.run("return document.querySelector('#assessment tr.on').dataset.n")
    for (name, detail), finding in zip(events, RESULT.findings[:2], strict=True):
        y0, x0, y1, x1 = finding.box
        view = hashed(finding.sop_instance_uid)
        assert (name, detail) == (
            "cadnode:go-to", {"view": view, "x0": x0, "y0": y0, "x1": x1, "y1": y1},
        )  # fmt: skip
    assert chosen == "2"


def test_a_verdict_is_kept_without_leaving_the_page(browser: Browser) -> None:
    node = told()
    with served(node, known()) as client:
        browser.open(f"{client.url}/studies/{UID}")
        browser.run(
            "document.querySelector('#name').value = 'vera';"
            "document.querySelector('#password').value = arguments[0];"
            "document.querySelector('main button').click()",
            "walnut tide 41 lanterns",
        )
        wait_until(lambda: browser.run("return !!document.querySelector('#assessment')"), "table")
        browser.run("window.stays = 1")
        row = 'tr[data-n="1"]'
        browser.run(f"document.querySelector('{row} button[value=rejected]').click()")
        said = f"return (document.querySelector('{row} .badge') || {{}}).innerText"
        wait_until(lambda: browser.run(said) == "rejected", "the verdict on the page")
        browser.run(f"document.querySelector('{row} button[value=withdrawn]').click()")
        wait_until(lambda: browser.run(said) is None, "the verdict taken back")
        assert browser.run("return window.stays") == 1
        assert browser.run("return document.activeElement.closest('tr').dataset.n") == "1"
    assert [one.word.value for one in node.said] == ["rejected", "withdrawn"]
    assert browser.console() == []


def test_a_slider_says_what_would_change_and_changes_nothing(browser: Browser) -> None:
    node = told()
    with served(node) as client:
        browser.open(f"{client.url}/studies/{UID}")
        browser.run(LISTEN)
        browser.run("document.querySelector('details.points').open = true")
        words = "return document.querySelector('article.point').innerText"
        assert "2 of 4 would be recalled" in str(browser.run(words))
        browser.run(
            "const slider = document.querySelector('article.point input'); slider.value = 2;"
            "slider.dispatchEvent(new Event('input', { bubbles: true }))"
        )
        moved = str(browser.run(words))
        events = browser.run("return window.told")
        browser.run("document.querySelector('article.point .reset').click()")
        back = str(browser.run(words))
    assert "3 of 4 would be recalled" in moved
    assert "80 % (49 to 94 %)" in moved
    assert "Not what is set" in moved
    detail = {"system": "kim2018", "model": MODEL, "patient": "1", "threshold": 0.3, "below": []}
    assert events[-1] == ["cadnode:operating-point", detail]
    assert "2 of 4 would be recalled" in back
    assert "Not what is set" not in back
    assert node.said == []
    assert node.orders == []


def test_an_earlier_result_offers_no_verdicts_that_would_be_refused(browser: Browser) -> None:
    earlier = StudyReading("abc", 1, replace(RESULT, findings=()), is_current=False)
    with served(Told(readings=(earlier,))) as client:
        browser.open(f"{client.url}/studies/{UID}/assessment")
        assert "There is no finding" in str(browser.run("return document.body.innerText"))
        assert browser.run("return document.querySelectorAll('form.verdict').length") == 0
