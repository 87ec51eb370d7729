"""What a reader does in OHIF: open a study, open a series, look."""

import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.peers import wait_until
from tests.viewers.webdriver import Browser

Picture = NDArray[np.uint8]
PATIENCE_S = 240.0  # for one step on a busy machine; on an idle one it takes about three seconds
TRIES = 6

_TOURS = '["basicViewerTour"]'
_FIND = """
const fits = e => e.children.length == 0 && e.textContent.trim() == arguments[0];
const found = [...document.querySelectorAll('body *')].filter(fits);
if (!found.length) return null;
found[0].scrollIntoView({block: 'center'});
const box = found[0].getBoundingClientRect();
return [box.x + box.width / 2, box.y + box.height / 2];
"""
_ELEMENT = """
const fits = e => !arguments[1] || e.textContent.trim() == arguments[1];
const found = [...document.querySelectorAll(arguments[0])].find(fits);
const box = found && found.getBoundingClientRect();
return box && box.width ? [box.x + box.width / 2, box.y + box.height / 2] : null;
"""
_TOOLS = "[data-cy=MeasurementTools-split-button-secondary] button"
_HELD = """
const shut = !document.querySelector('[role=menu]');
const held = document.querySelector(`[data-cy=${arguments[0]}-btn], [data-cy=${arguments[0]}]`);
return shut && !!held && getComputedStyle(document.body).pointerEvents != 'none';
"""
_PANEL = "[data-cy=trackedMeasurements-panel]"
_CANVAS = """
const canvas = document.querySelector('.cornerstone-canvas');
if (!canvas) return null;
const box = canvas.getBoundingClientRect();
return [box.x, box.y, box.width, box.height];
"""
_MEASURED = "return document.querySelectorAll('[data-cy=data-row]').length"
_OVERLAYS = "return [...document.querySelectorAll('.viewport-overlay')].map(e => e.innerText)"
_LABELS = "return [...document.querySelectorAll('svg.svg-layer text')].map(e => e.textContent)"
_PAPER = """
const paper = document.querySelector('object[type="application/pdf"]');
if (!paper || !paper.data.startsWith('blob:')) return null;
const hex = bytes => [...new Uint8Array(bytes)].map(b => b.toString(16).padStart(2, '0')).join('');
if (window.paper === undefined) {
  window.paper = null;
  fetch(paper.data).then(answer => answer.arrayBuffer())
    .then(bytes => crypto.subtle.digest('SHA-256', bytes))
    .then(digest => { window.paper = hex(digest); });
}
return window.paper;
"""


@dataclass(frozen=True)
class Shown:
    """What the viewport shows: `(h, w, 3) uint8`, and the labels that are drawn on it."""

    picture: Picture
    labels: tuple[str, ...]

    def place(self, points: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
        """`(n, 2)` picture (row, column) of (row, column) source points: fitted and centred."""
        height, width = self.picture.shape[:2]
        return placed(points, (rows, columns), (height, width))


def placed(
    points: NDArray[np.float64], source: tuple[int, int], shown: tuple[float, float]
) -> NDArray[np.float64]:
    """Where (row, column) points of an image are, shown as large as fits into (height, width)."""
    scale = min(shown[0] / source[0], shown[1] / source[1])
    corner = (np.array(shown) - scale * np.array(source)) / 2
    result: NDArray[np.float64] = corner + scale * points
    return result


@dataclass
class Reader:
    """Somebody who looks at one study; pictures are kept in `folder`."""

    browser: Browser
    folder: Path
    said: list[str] = field(default_factory=list)
    _address: str = ""

    def open_study(self, site: str, study_uid: str) -> None:
        """Open the study, past the tour that OHIF offers to newcomers."""
        self.browser.open(f"{site}/app-config.js")
        self.browser.run("localStorage.setItem('shownTours', arguments[0])", _TOURS)
        self._address = f"{site}/viewer?StudyInstanceUIDs={study_uid}"
        self._load()

    def _load(self) -> None:
        self.said.clear()
        self.browser.open(self._address)
        wait_until(lambda: self.hears("studyToFirstImage"), PATIENCE_S)

    def open_series(self, description: str, reached: Callable[[], Any]) -> None:
        """Double-click a series in the list until `reached`: a list that moves misses a click.

        A page on which two double-clicks have shown nothing is loaded anew.
        """
        for tried in range(TRIES):
            if tried and tried % 2 == 0:
                self._load()
            place = wait_until(lambda: self.browser.run(_FIND, description), PATIENCE_S)
            self.said.clear()
            self.browser.double_click(*place)
            with suppress(AssertionError):
                wait_until(reached, PATIENCE_S / TRIES)
                return
        (self.folder / "failed.png").write_bytes(self.browser.picture())
        raise AssertionError(f"{description} did not open; see {self.folder / 'failed.png'}")

    def decline(self) -> None:
        """Say no to what the viewer offers above the image, if it does."""
        if place := self.browser.run(_FIND, "No"):
            self.browser.click(*place)
            wait_until(lambda: self.browser.run(_FIND, "No") is None, PATIENCE_S)

    def measure(self, tool: str, source: tuple[int, int], line: NDArray[np.float64]) -> None:
        """Draw with one of the viewer's tools, with the mouse, and keep what is measured.

        `line` is from where to where, `(2, 2)` (row, column) points of the image, which has
        `source` (rows, columns).
        """
        if not self.browser.run(_ELEMENT, _PANEL, ""):
            self._press("#trackedMeasurements-btn")
            wait_until(lambda: self.browser.run(_ELEMENT, _PANEL, ""), PATIENCE_S)
        n_before = self.browser.run(_MEASURED)
        self._press(_TOOLS)
        self._press(f"#{tool}")
        wait_until(lambda: self.browser.run(_HELD, tool), PATIENCE_S)
        for _ in range(TRIES):  # a tool that was just taken misses the first drag now and then
            x, y, width, height = wait_until(self._steady_canvas, PATIENCE_S)
            (row0, col0), (row1, col1) = placed(line, source, (height, width))
            self.browser.draw((x + col0, y + row0), (x + col1, y + row1))
            with suppress(AssertionError):
                wait_until(lambda: self._has_drawn(n_before), PATIENCE_S / TRIES)
                break
        if not n_before:
            self._press("button", "Yes")  # to the question whether they are to be kept
        wait_until(lambda: self.browser.run(_MEASURED) > n_before, PATIENCE_S)

    def _has_drawn(self, n_before: int) -> bool:
        """Whether there is one measurement more, or the question whether to keep the first."""
        is_asked = not n_before and self.browser.run(_ELEMENT, "button", "Yes")
        return bool(is_asked or self.browser.run(_MEASURED) > n_before)

    def save(self) -> None:
        """Have the viewer write its measurements as SR and store it in the archive."""
        self._press("button", "Create SR")
        self._press("button", "Save")

    def _press(self, selector: str, words: str = "") -> None:
        """Press the element, with these words, once it is there."""
        place = wait_until(lambda: self.browser.run(_ELEMENT, selector, words), PATIENCE_S)
        self.browser.click(*place)

    def _steady_canvas(self) -> list[float] | None:
        """Where the image is shown; None while that changes, as beside a panel that opens."""
        before, now = self.browser.run(_CANVAS), self.browser.run(_CANVAS)
        return list(now) if now and before == now else None

    def hears(self, words: str) -> str | None:
        """The first line of the page's console with these words, since the last double-click."""
        self.said += self.browser.console()
        return next((line for line in self.said if words in line), None)

    def titled(self, words: str) -> bool:
        """Whether the viewport's own text has these words."""
        return any(words in text for text in self.browser.run(_OVERLAYS))

    def labelled(self, words: str) -> bool:
        """Whether a drawn label has these words."""
        there = any(words in label for label in self._labels())
        return there or self.touch()

    def paper(self) -> str | None:
        """Sha256 of the PDF that the viewer was given, once there is one; the window is kept."""
        digest = self.browser.run(_PAPER)
        (self.folder / "paper.png").write_bytes(self.browser.picture())
        return str(digest) if digest else None

    def touch(self) -> bool:
        """Drag the window tool there and back, and say False: look again.

        OHIF 3.13.2 may leave a view black, or without its report's regions, until it is drawn the
        next time; a reader's first touch does that.
        """
        if box := self.browser.run(_CANVAS):
            self.browser.drag(box[0] + box[2] / 2, box[1] + box[3] / 2)
        return False

    def look(
        self, name: str, until: Callable[[Picture], Any], within_s: float = PATIENCE_S
    ) -> Shown:
        """The viewport, once `until` is true of it and it no longer changes."""
        pictures: list[Picture] = []

        def settled() -> bool:
            pictures.append(self._viewport(name))
            first, last = pictures[-2:][0], pictures[-1]
            same = len(pictures) > 1 and first.shape == last.shape and bool((first == last).all())
            return same and (bool(until(last)) or self.touch())

        wait_until(settled, within_s)
        return Shown(pictures[-1], tuple(self._labels()))

    def _viewport(self, name: str) -> Picture:
        """Picture of the viewport; the whole window is kept as `name`.png."""
        png = self.browser.picture()
        (self.folder / f"{name}.png").write_bytes(png)
        x, y, width, height = wait_until(lambda: self.browser.run(_CANVAS), PATIENCE_S)
        window = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
        return window[round(y) : round(y + height), round(x) : round(x + width)]

    def _labels(self) -> list[str]:
        return [str(text) for text in self.browser.run(_LABELS)]
