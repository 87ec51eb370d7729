"""The prior exams of a study in a real browser: listed, fetched, shown by click and by key."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cadnode.log import hashed
from cadnode.web.node import Node
from tests.integration.http_peers import web_orthanc
from tests.integration.node import wait_until
from tests.prior_cases import LONG_AGO, PRESENT, YEAR_AGO, PriorNode, exam_files
from tests.viewers.webdriver import Browser, chromium
from tests.web_cases import Client, Told, served

PRIOR, STUDY = hashed(YEAR_AGO), hashed(PRESENT)
TAKES = """
window.told = [];
document.addEventListener("cadnode:show-prior", event => {
  window.told.push(event.detail);
  if (arguments[0]) event.preventDefault();
});
"""


@dataclass
class Asked(Told):
    """A node whose priors are real ones."""

    of: PriorNode | None = None

    def node(self) -> Node:
        from dataclasses import replace

        assert self.of is not None
        return replace(super().node(), priors=self.of.priors.desk())


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "chromium", (1300, 1000)) as window:
        yield window


@contextmanager
def page(browser: Browser, tmp_path: Path, **settings: Any) -> Iterator[tuple[Client, PriorNode]]:
    """The page of a study with a prior of long ago in the spool, open."""
    node = PriorNode(tmp_path / "data", **settings)
    node.receive(exam_files(tmp_path, PRESENT))
    node.receive(exam_files(tmp_path, LONG_AGO, views=4))
    with served(Asked(of=node)) as client:
        browser.open(f"{client.url}/studies/{STUDY}/priors")
        yield client, node


def text(browser: Browser) -> str:
    return str(browser.run("return document.querySelector('#prior-exams').innerText"))


def press(browser: Browser, key: str) -> None:
    browser.run(
        "document.activeElement.dispatchEvent("
        "new KeyboardEvent('keydown', {key: arguments[0], bubbles: true}))",
        key,
    )


def n_pictures(browser: Browser) -> int:
    """How many pictures are whole."""
    script = "return [...document.images].filter(i => i.complete && i.naturalWidth > 0).length"
    return int(browser.run(script))


def test_key_p_shows_the_newest_prior_in_hanging_order_and_hides_it(
    browser: Browser, tmp_path: Path
) -> None:
    with page(browser, tmp_path):
        assert "3 years before" in text(browser)
        browser.run("document.activeElement.blur()")
        press(browser, "p")  # of nobody who has the focus elsewhere
        browser.run("document.querySelector('[data-show]').focus()")
        assert n_pictures(browser) == 0
        press(browser, "p")
        wait_until(lambda: n_pictures(browser) == 4, "four pictures")
        order = "return [...document.querySelectorAll('figcaption b')].map(b => b.innerText)"
        assert browser.run(order) == ["RCC", "LCC", "RMLO", "LMLO"]
        press(browser, "P")
        wait_until(lambda: n_pictures(browser) == 0, "no picture")
        browser.run("document.querySelector('[data-show]').click()")
        wait_until(lambda: n_pictures(browser) == 4, "four pictures")
        browser.run("document.querySelector('[data-hide]').click()")
        wait_until(lambda: n_pictures(browser) == 0, "no picture")
    assert browser.console() == []


def test_a_viewer_that_takes_a_prior_is_told_its_views_and_no_previews_are_shown(
    browser: Browser, tmp_path: Path
) -> None:
    with page(browser, tmp_path):
        browser.run(TAKES, True)
        press(browser, "p")
        wait_until(lambda: browser.run("return window.told.length") == 1, "it is told")
        (told,) = browser.run("return window.told")
        assert told["prior"] == hashed(LONG_AGO)
        assert [view["name"] for view in told["views"]] == ["RCC", "LCC", "RMLO", "LMLO"]
        start = f"/studies/{STUDY}/priors/{hashed(LONG_AGO)}/views/"
        assert all(view["url"] == start + view["view"] for view in told["views"])
        wait_until(lambda: browser.run("return !!document.querySelector('[data-hide]')"), "marked")
        assert n_pictures(browser) == 0
        press(browser, "p")
        wait_until(lambda: browser.run("return window.told.length") == 2, "it is taken away")
        assert browser.run("return window.told[1]") == {"prior": None, "views": [], "label": ""}
    assert browser.console() == []


def test_a_prior_is_fetched_from_orthanc_with_a_button_and_shown_when_it_has_come(
    browser: Browser, tmp_path: Path
) -> None:
    with web_orthanc(tmp_path / "orthanc") as archive:
        for file in exam_files(tmp_path, YEAR_AGO, views=4):
            archive.post("/instances", file.read_bytes())
        url = f"http://127.0.0.1:{archive.http_port}"
        sources = [{"name": "pacs", "kind": "orthanc", "url": url}]
        with page(browser, tmp_path, sources=sources) as (_, node):
            assert "at pacs" in text(browser)
            browser.run("document.querySelector('[data-fetch] button').click()")
            wait_until(lambda: n_pictures(browser) == 4, "it has come and is shown")
            assert "at pacs" not in text(browser)
            assert len(node.store.images(STUDY, PRIOR)) == 4
            assert node.spool.studies() == sorted([STUDY, hashed(LONG_AGO)])
    assert browser.console() == []


def test_a_page_that_renews_itself_keeps_the_list_and_its_pictures(
    browser: Browser, tmp_path: Path
) -> None:
    with page(browser, tmp_path):
        press(browser, "p")
        wait_until(lambda: n_pictures(browser) == 4, "four pictures")
        browser.run(
            "document.querySelector('[data-hide]').focus();"
            "window.kept = document.images[0];"
            "const empty = document.createElement('section');"
            "empty.dataset.priors = '/studies/x/priors';"
            "document.querySelector('#prior-exams').replaceWith(empty)"
        )
        wait_until(lambda: n_pictures(browser) == 4, "it is there again")
        assert browser.run("return document.images[0] === window.kept")
        assert browser.run("return document.activeElement.hasAttribute('data-hide')")
