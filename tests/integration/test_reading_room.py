"""The images of a study's page in a real browser: stored pixels, windows, keys, layers, access."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cadnode.web.library import library_file
from tests.integration import node
from tests.view_cases import HANGING, KEY, Held, image, key_of, read, viewer
from tests.viewers.axe import violations
from tests.viewers.webdriver import Browser, chromium
from tests.web_cases import DONE, Client, Told, served

PIXELS = """
const cell = document.querySelector(arguments[0]);
const drawn = cell.querySelector("canvas");
const {matrix} = cell.querySelector(".layers g").transform.baseVal[0];
const {data, width, height} = drawn.getContext("2d").getImageData(0, 0, drawn.width, drawn.height);
const grey = [];
for (let n = 0; n < data.length; n += 4) grey.push(data[n]);
return {grey, width, height, x: matrix.e, y: matrix.f, scale: matrix.a};
"""
WITHIN_S = 30.0
FIRST = ".cell[data-shown]:not([hidden])"


def wait_until(reached: Callable[[], object], what: str) -> None:
    node.wait_until(reached, what, WITHIN_S)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with chromium(tmp_path / "chromium", (1300, 1000)) as window:
        yield window


@contextmanager
def room(
    browser: Browser, folder: Path, images: list[Any], held: Held | None = None
) -> Iterator[Client]:
    """The page of a study with these images, when the first tiles are drawn."""
    assert library_file(), "OpenSeadragon is missing: deploy/page-viewer.sh"
    told = Told({KEY: DONE}, viewing=viewer(folder, images, held).viewing(library_file()))
    with served(told) as client:
        browser.open(f"{client.url}/studies/{KEY}")
        wait_until(lambda: is_drawn(browser, min(len(images), 4)), "the views are drawn")
        yield client


def is_drawn(browser: Browser, count: int) -> bool:
    return int(browser.run("return document.querySelectorAll('.cell.drawn').length")) >= count


def press(browser: Browser, key: str, shift: bool = False) -> None:
    """A key as it is pressed where the focus is."""
    browser.run(
        "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', "
        "{key: arguments[0], shiftKey: arguments[1], bubbles: true, cancelable: true}))",
        key, shift,
    )  # fmt: skip


def says(browser: Browser) -> str:
    return str(browser.run(f"return document.querySelector('{FIRST} .says').textContent"))


def pixels(browser: Browser) -> tuple[NDArray[np.uint8], dict[str, float]]:
    """The greys of the first cell that is shown, and where the image lies in it."""
    found = browser.run(PIXELS, FIRST)
    grey = np.array(found["grey"], np.uint8).reshape(found["height"], found["width"])
    return grey, {name: float(found[name]) for name in ("x", "y", "scale")}


def part(stored: NDArray[Any], grey: NDArray[np.uint8], at: dict[str, float]) -> Any:
    """What of the image is shown at 1:1, and the greys there."""
    x, y = round(at["x"]), round(at["y"])
    top, left = max(0, -y), max(0, -x)
    bottom, right = (
        min(stored.shape[0], grey.shape[0] - y), min(stored.shape[1], grey.shape[1] - x),
    )  # fmt: skip
    return stored[top:bottom, left:right], grey[top + y : bottom + y, left + x : right + x]


def steady(browser: Browser) -> tuple[NDArray[np.uint8], dict[str, float]]:
    """The greys once two looks are the same."""
    before, at = pixels(browser)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        now, at = pixels(browser)
        if now.any() and np.array_equal(before, now):
            return now, at
        before = now
    raise AssertionError("it does not come to rest")


def test_a_12_bit_ramp_at_width_64_shows_64_greys_and_1_to_1_shows_each_stored_pixel(
    browser: Browser, tmp_path: Path
) -> None:
    # Each row starts elsewhere: a pixel that is moved or mixed with its neighbour is seen.
    rows, columns = np.mgrid[:1300, :1100]
    stored = (1536 + (columns + 7 * rows) % 1024).astype(np.uint16)
    ramp = image(stored, laterality="L", view="CC", WindowCenter="2048", WindowWidth="128")
    with room(browser, tmp_path, [ramp]):
        press(browser, "Enter")
        press(browser, "a")
        wait_until(lambda: "100 %" in says(browser), "1:1")
        browser.run(
            "const choice = document.querySelector('[data-tool=preset]'); choice.value = 'half';"
            "choice.dispatchEvent(new Event('change'))"
        )
        wait_until(lambda: "W 64" in says(browser), "the width")
        grey, at = steady(browser)
        assert at["scale"] == pytest.approx(1)
        assert (at["x"] % 1, at["y"] % 1) == pytest.approx((0, 0), abs=1e-6)
        values, shown = part(stored, grey, at)
        assert shown.size > 300_000
        # PS3.3 C.11.2.1.2.1 with center 2048 and width 64
        wanted = np.clip((values - 2047.5) / 63 + 0.5, 0, 1)
        assert np.array_equal(shown, np.floor(255 * wanted + 0.5).astype(np.uint8))
        assert len(np.unique(shown)) == 64


def test_four_views_hang_back_to_back_and_a_film_stored_the_other_way_is_mirrored(
    browser: Browser, tmp_path: Path
) -> None:
    images = [image(laterality=side, view=view) for side, view in HANGING]
    images[0].PatientOrientation = ["A", "R"]  # its rows run away from the chest wall
    with room(browser, tmp_path, images):
        names = browser.run(
            "return [...document.querySelectorAll('.cell b')].map(e => e.textContent)"
        )
        assert names == ["RCC", "LCC", "RMLO", "LMLO"]
        places = browser.run(
            "return [...document.querySelectorAll('.cell')].map(e => {"
            " const box = e.getBoundingClientRect();"
            " const m = e.querySelector('.layers g').transform.baseVal[0].matrix;"
            " const wide = JSON.parse(e.dataset.shown).columns;"
            " const ends = [m.e, m.e + m.a * wide];"
            " return [box.left, box.width, Math.min(...ends), Math.max(...ends), m.a]; })"
        )
        for n, (_, width, low, high, across) in enumerate(places):
            assert (across < 0) == (n == 0)
            edge = (width - high) if n % 2 == 0 else low
            assert edge == pytest.approx(0, abs=1.5), "the chest wall is at the middle"
        assert places[0][0] < places[1][0]
        assert "mirrored" in says(browser)
    assert browser.console() == []


def test_everything_is_done_by_keys_and_only_while_the_images_have_the_focus(
    browser: Browser, tmp_path: Path
) -> None:
    images = [image(laterality=side, view=view) for side, view in HANGING]
    held = read(tmp_path, images)
    with room(browser, tmp_path, images, held):
        hidden = "return document.querySelectorAll('.cell[hidden]').length"
        small = says(browser).split()[0]
        press(browser, "3")
        assert browser.run(hidden) == 3
        wait_until(lambda: says(browser).split()[0] != small, "it fills the screen")
        assert "RMLO" in browser.run(f"return document.querySelector('{FIRST}').innerText")
        before = says(browser)
        press(browser, "+")
        wait_until(lambda: says(browser) != before, "nearer")
        press(browser, "f")
        wait_until(lambda: says(browser) == before, "the whole image")
        press(browser, "]")
        assert "W 4710" in says(browser)
        press(browser, "d")
        assert "W 4096" in says(browser)
        press(browser, "i")
        assert "inverted" in says(browser)
        shown = "return !!document.querySelector('.cell:not([hidden]) .heat image')"
        assert browser.run(shown) is True
        press(browser, "h")
        assert browser.run(shown) is False
        press(browser, "Escape")
        assert browser.run(hidden) == 0
        press(browser, "l")
        press(browser, "+")
        zooms = "return [...document.querySelectorAll('.says')].map(e => parseInt(e.textContent))"
        least = int(small) + 1
        wait_until(
            lambda: min(browser.run(zooms)) > least and len(set(browser.run(zooms))) == 1, "all"
        )
        press(browser, "?")
        assert browser.run("return document.querySelector('#room-keys').open") is True
        browser.run("document.querySelector('#room-keys').close()")
        browser.run("document.activeElement.blur()")
        press(browser, "3")
        assert browser.run(hidden) == 0, "the focus is elsewhere"
    assert browser.console() == []


def test_findings_are_outlined_a_region_is_told_to_the_page_and_others_add_outlines(
    browser: Browser, tmp_path: Path
) -> None:
    images = [image(laterality=side, view=view) for side, view in HANGING]
    with room(browser, tmp_path, images, read(tmp_path, images)):
        assert (
            browser.run("return document.querySelector('.labels text').textContent") == "1 · 0.62"
        )
        browser.run(
            "document.addEventListener('cadnode:region-drawn', e => { window.told = e.detail })"
        )
        for key in ("r", "ArrowLeft", "ArrowRight"):
            press(browser, key)
        press(browser, "ArrowDown", shift=True)
        press(browser, "Enter")
        told = browser.run("return window.told")
        assert told["view"] == key_of(images[0])
        assert all(isinstance(told[name], int) for name in ("x0", "y0", "x1", "y1"))
        assert 0 <= told["x0"] < told["x1"] <= images[0].Columns
        assert 0 <= told["y0"] < told["y1"] <= images[0].Rows
        hers = {"id": "a", "label": "hers", "points": [[1, 1], [9, 1], [9, 9]], "kind": "region"}
        detail = {"view": key_of(images[1]), "outlines": [hers]}
        fire = "document.dispatchEvent(new CustomEvent(arguments[0], {detail: arguments[1]}))"
        browser.run(fire, "cadnode:show-outlines", detail)
        texts = "return [...document.querySelectorAll('.labels text')].map(e => e.textContent)"
        # Also "Region 1" once the page has asked about what was drawn.
        assert {"1 · 0.62", "hers"} <= {*browser.run(texts)}
        box = {"view": key_of(images[1]), "x0": 10, "y0": 10, "x1": 40, "y1": 40}
        browser.run(fire, "cadnode:go-to", box)
        assert "LCC" in browser.run(f"return document.querySelector('{FIRST}').innerText")
    assert browser.console() == []


def test_a_prior_hangs_beside_the_same_view_until_the_four_are_asked_for(
    browser: Browser, tmp_path: Path
) -> None:
    images = [image(laterality=side, view=view) for side, view in HANGING]
    with room(browser, tmp_path, images) as client:
        views = client.get(f"/studies/{KEY}/views").json()["views"][:3]
        fire = (
            "document.dispatchEvent(new CustomEvent('cadnode:show-prior', {detail: arguments[0]}))"
        )
        browser.run(fire, {"prior": "x", "views": views, "label": "2024-03-01"})
        shown = (
            "return [...document.querySelectorAll('.cell:not([hidden])')].map(e => "
            "['b', '.remark'].map(what => e.querySelector(what)?.textContent ?? ''))"
        )
        assert browser.run(shown) == [["RCC", ""], ["RCC", "2024-03-01"]]
        wait_until(lambda: is_drawn(browser, 5), "the prior is drawn")
        press(browser, "3")
        assert browser.run(shown) == [["RMLO", ""], ["RMLO", "2024-03-01"]]
        press(browser, "4")
        assert browser.run(shown) == [["LMLO", ""]], "there is no prior of it"
        press(browser, "0")
        assert [name for name, _ in browser.run(shown)] == ["RCC", "LCC", "RMLO", "LMLO"]
        browser.run(fire, {"prior": "x", "views": []})
        assert browser.run("return document.querySelectorAll('.cell').length") == 4
    assert browser.console() == []


def test_the_page_meets_wcag_and_shows_an_image_within_the_second(
    browser: Browser, tmp_path: Path
) -> None:
    images = [image(laterality=side, view=view) for side, view in HANGING]
    with room(browser, tmp_path, images, read(tmp_path, images)) as client:
        assert violations(browser) == []
        press(browser, "?")
        assert violations(browser) == []
        browser.open(f"{client.url}/studies/{KEY}")
        first = browser.run(
            "return Math.min(...performance.getEntriesByType('resource')"
            ".filter(one => one.name.endsWith('/preview')).map(one => one.responseEnd))"
        )
        assert first < 1000
        scripts = browser.run("return [...document.scripts].map(one => one.src)")
        assert any(re.search(r"/static/openseadragon-[\d.]+\.min\.js$", one) for one in scripts)


def test_without_the_library_the_page_shows_plain_images_and_says_so(
    browser: Browser, tmp_path: Path
) -> None:
    images = [image(laterality=side, view=view) for side, view in HANGING]
    told = Told({KEY: DONE}, viewing=viewer(tmp_path, images).viewing(""))
    with served(told) as client:
        browser.open(f"{client.url}/studies/{KEY}")
        loaded = "return [...document.querySelectorAll('.cell img')].map(e => e.naturalWidth > 100)"
        wait_until(lambda: browser.run(loaded) == [True] * 4, "the pictures")
        assert "library is not installed" in browser.run("return document.body.innerText")
        assert browser.run("return document.querySelector('.tools').hidden") is True
    assert browser.console() == []
