"""A reader's and an admin's whole way by the pages of a real node: from the list to the archive."""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import requests
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, StoragePresentationContexts, evt

from cadnode.log import hashed
from cadnode.web.library import library_file
from cadnode_training.phantom import PhantomSpec, exam
from cadnode_training.phantom.dicom import write_dicom
from tests.integration.node import CONFIG, Node, wait_until
from tests.integration.test_reading_room import FIRST, part, press, says, steady
from tests.integration.test_web_browser import click, log_in, text
from tests.integration.test_web_users import users_file
from tests.peers import free_port, storescp
from tests.prior_cases import YEAR_AGO, exam_files
from tests.viewers.axe import violations
from tests.viewers.webdriver import Browser, chromium
from tests.web_cases import PASSWORDS

SPEC = PhantomSpec(rows=1147, columns=957, spacing_mm=0.2)
SECOND = """
[[destinations]]
name = "second"
port = {port}
ae_title = "SECOND"
"""
SHOWN = (
    "return [...document.querySelectorAll('.cell:not([hidden])')].map(e => "
    "['b', '.remark'].map(what => e.querySelector(what)?.textContent ?? ''))"
)
PAGES = (
    "/", "/needs-you", "/studies/{key}", "/studies/{key}/assessment", "/studies/{key}/priors",
    "/models", "/destinations", "/log", "/upload", "/studies/0000000000000000",
)  # fmt: skip


@dataclass
class Picky:
    """An archive that takes associations for one AE title alone: at first not the one we call."""

    port: int = field(default_factory=free_port)
    kept: list[str] = field(default_factory=list)
    server: Any = None

    def listen(self, ae_title: str) -> None:
        if self.server is not None:
            self.server.shutdown()
        ae = AE(ae_title)
        ae.require_called_aet = True
        for context in StoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax or "", ALL_TRANSFER_SYNTAXES)

        def keep(event: Any) -> int:
            self.kept.append(str(event.request.AffectedSOPInstanceUID))
            return 0

        self.server = ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)]
        )


@dataclass
class Site:
    """A node that has read a woman's exam, and one of a year ago; and its archives."""

    node: Node
    picky: Picky
    images: dict[str, Path]
    key: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.node.web_port}"

    @property
    def study(self) -> str:
        return f"{self.url}/studies/{self.key}"

    @contextmanager
    def person(self, name: str) -> Iterator[requests.Session]:
        """Somebody who is logged in without a browser."""
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Origin"] = self.url
            fields = {"name": name, "password": PASSWORDS[name]}
            assert session.post(f"{self.url}/login", fields, timeout=30).ok
            yield session

    def sent(self, destination: str) -> int:
        """How often a destination has taken this study's result."""
        words = (f'"study": "{self.key}"', f'"destination": "{destination}"', '"delivered"')
        return sum(
            '"delivery_ended"' in line and all(word in line for word in words)
            for line in self.node.log.splitlines()
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    assert library_file(), "OpenSeadragon is missing: deploy/page-viewer.sh"
    folder = tmp_path_factory.mktemp("site")
    files = write_dicom(exam(1, SPEC), folder / "exam")
    header = pydicom.dcmread(files[0], stop_before_pixels=True)
    hers = {word: header.get(word, "") for word in ("PatientName", "PatientID", "PatientBirthDate")}
    priors = exam_files(folder, YEAR_AGO, **hers)
    port, picky = free_port(), Picky()
    picky.listen("OTHER")
    with storescp(folder / "archive", aet="ARCHIVE") as archive:
        config = folder / "node.toml"
        web_port = free_port()
        text = CONFIG.format(
            port=port, web_port=web_port, folder=folder / "data", quiet_s=1.0,
            archive_port=archive.port,
        )  # fmt: skip
        users = f'[web]\nusers_file = "{users_file(folder)}"\n'
        config.write_text(text.replace("[web]\n", users) + SECOND.format(port=picky.port))
        node = Node(folder, port, config, web_port)
        node.start()
        key = hashed(str(header.StudyInstanceUID))
        try:
            node.send(*files)
            node.send(*priors)
            made = Site(node, picky, {path.stem: path for path in files}, key)
            ended = f'"study": "{key}", "destination": "second"'
            wait_until(lambda: ended in node.log, "both archives have answered")
            wait_until(lambda: made.sent("archive") == 1, "one has the result")
            wait_until(lambda: node.events("study_read") == 2, "the prior exam is here")
            yield made
        finally:
            node.stop()
            picky.server.shutdown()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Iterator[Browser]:
    """An operator's browser."""
    with chromium(tmp_path_factory.mktemp("chromium"), (1400, 1000)) as browser:
        browser.open(site.url)
        log_in(browser, "otto")
        wait_until(lambda: "Recent studies" in text(browser), "logged in")
        yield browser


@pytest.fixture
def browser(window: Browser) -> Iterator[Browser]:
    """The same one; nothing on its console at the end of a test."""
    window.console()
    yield window
    # The tests read what is drawn; nobody else does.
    assert [line for line in window.console() if "willReadFrequently" not in line] == []


def drawn(browser: Browser, count: int) -> None:
    script = "return document.querySelectorAll('.cell.drawn:not([hidden])').length"
    wait_until(lambda: browser.run(script) >= count, "the views are drawn")


def test_from_the_list_to_a_view_at_full_resolution_and_its_heat_map(
    browser: Browser, site: Site
) -> None:
    browser.open(site.url)
    wait_until(lambda: "refused" in text(browser), "the list is up to date")
    browser.run(f"document.querySelector('a[href=\"/studies/{site.key}\"]').click()")
    wait_until(lambda: browser.run("return !!document.querySelector('#room')"), "its page")
    drawn(browser, 4)
    assert [name for name, _ in browser.run(SHOWN)] == ["RCC", "LCC", "RMLO", "LMLO"]
    room = browser.run("const b = document.querySelector('#room').getBoundingClientRect();"
                       "return [b.top, b.bottom, innerHeight]")  # fmt: skip
    assert room[0] < 150
    assert room[1] > 0.9 * room[2], "images fill the screen"
    press(browser, "2")
    press(browser, "a")
    wait_until(lambda: "100 %" in says(browser), "1:1")
    layer = f"return document.querySelectorAll('{FIRST} .heat image').length"
    assert browser.run(layer) == 1
    press(browser, "h")
    assert browser.run(layer) == 0
    grey, at = steady(browser)
    assert at["scale"] == pytest.approx(1)
    stored, shown = part(pydicom.dcmread(site.images["LCC"]).pixel_array, grey, at)
    assert shown.size > 300_000
    assert np.array_equal(shown, brightness(browser, site)[stored])
    press(browser, "h")
    assert browser.run(layer) == 1
    scale = "return [...document.querySelectorAll('#room .ramp text')].map(e => e.textContent)"
    assert browser.run(scale) == ["0", "0.25", "0.5", "0.75", "1"]


def brightness(browser: Browser, site: Site) -> Any:
    """Of each stored value, as the node says it of the view that is shown."""
    url = browser.run(f"return JSON.parse(document.querySelector('{FIRST}').dataset.shown).url")
    with site.person("vera") as session:
        content = session.get(f"{site.url}{url}/grey", timeout=30).content
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    return np.frombuffer(content, np.uint8, 4096, 4 * 4096)


def test_a_region_that_is_drawn_is_answered_beside_the_images(browser: Browser, site: Site) -> None:
    browser.open(site.study)
    drawn(browser, 4)
    press(browser, "r")
    box = browser.run(
        f"const b = document.querySelector('{FIRST} .stage').getBoundingClientRect();"
        "return [b.right, b.top + b.height / 2]"
    )
    browser.draw((box[0] - 90, box[1]), (box[0] - 40, box[1] + 50))
    told = "return document.querySelector('#room-asked').textContent"
    wait_until(lambda: "Region 1 in R CC is assessed" in str(browser.run(told)), "the answer")
    labels = "return [...document.querySelectorAll('.labels .added')].map(e => e.textContent)"
    wait_until(lambda: browser.run(labels) == ["Region 1"], "its outline")
    assert browser.run("return document.querySelectorAll('#room .region rect').length") == 0
    assert "R CC" in browser.run("return document.querySelector('#regions-list').innerText")
    browser.open(site.study)
    drawn(browser, 4)
    wait_until(lambda: browser.run(labels) == ["Region 1"], "it is there when the page is again")


def test_a_slider_dashes_the_outlines_that_would_not_be_called(
    browser: Browser, site: Site
) -> None:
    browser.open(site.study)
    drawn(browser, 4)
    dashed = "return document.querySelectorAll('.line.below').length"
    assert browser.run(dashed) == 0
    curve = browser.run(
        "const all = [...document.querySelectorAll('article.point')];"
        "window.point = all.find(e => !JSON.parse(e.dataset.curve).of_breasts);"
        "const curve = JSON.parse(window.point.dataset.curve);"
        "const slider = window.point.querySelector('input');"
        "const least = curve.steps.map(step => step[0]);"
        "slider.value = least.indexOf(Math.max(...least));"
        "slider.dispatchEvent(new Event('input', {bubbles: true})); return curve"
    )
    highest = max(step[0] for step in curve["steps"])
    assert browser.run(dashed) == sum(score < highest for _, score in curve["scores"]) > 0
    browser.run("window.point.querySelector('.reset').click()")
    assert browser.run(dashed) == 0


def test_the_prior_hangs_beside_the_same_view(browser: Browser, site: Site) -> None:
    browser.open(site.study)
    drawn(browser, 4)
    listed = "return document.querySelectorAll('#prior-exams [data-show]').length"
    wait_until(lambda: browser.run(listed) == 1, "the list of priors")
    press(browser, "p")
    wait_until(lambda: len(browser.run(SHOWN)) == 2, "a pair")
    (name, _), (then, label) = browser.run(SHOWN)
    assert (name, then) == ("LCC", "LCC"), "no RCC was taken then"
    assert label.startswith("Prior 2023-05-10, ")
    drawn(browser, 2)
    press(browser, "p")
    wait_until(lambda: len(browser.run(SHOWN)) == 4, "the four again")


def test_a_viewer_sees_the_study_and_may_order_nothing(site: Site) -> None:
    with site.person("vera") as session:
        page = session.get(site.study, timeout=30).text
        assert 'id="room"' in page
        assert "What you can order" not in page
        answer = session.post(f"{site.study}/redeliver", {"destination": "archive"}, timeout=30)
        assert answer.status_code == 403
        assert session.get(f"{site.url}/log", timeout=30).status_code == 403


def test_every_page_meets_wcag(browser: Browser, site: Site) -> None:
    found = {}
    for page in PAGES:
        browser.open(site.url + page.format(key=site.key))
        if problems := violations(browser):
            found[page] = problems
    browser.console()  # the study that does not exist is a 404 there
    assert found == {}


def test_a_refused_delivery_is_mended_and_sent_from_the_page_and_sent_again(
    browser: Browser, site: Site
) -> None:
    browser.open(f"{site.url}/needs-you")
    assert "called AE title" in text(browser)
    site.picky.listen("SECOND")
    browser.open(site.study)
    click(browser, "Try again now")
    wait_until(lambda: site.sent("second") >= 1, "it is delivered")
    assert site.picky.kept
    badge = "return document.querySelector('#head .badge')?.innerText"
    wait_until(lambda: browser.run(badge) == "done", "the page says so")
    folder = site.node.folder / "archive"
    before = {path: os.stat(path).st_mtime_ns for path in folder.iterdir()}
    n_before = site.sent("archive")
    browser.open(site.study)
    click(browser, "Send again to archive")
    wait_until(lambda: site.sent("archive") > n_before, "it is sent again")
    after = {path: os.stat(path).st_mtime_ns for path in folder.iterdir()}
    mine = {path for path in after if after[path] != before.get(path)}
    assert mine
    assert set(after) == set(before), "the very same objects"
