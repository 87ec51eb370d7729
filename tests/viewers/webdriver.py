"""A headless Chromium, driven over W3C WebDriver by Debian's `chromedriver`."""

import base64
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.peers import free_port, wait_for_port

FLAGS = [
    "--headless=new", "--no-sandbox", "--no-first-run", "--disable-quic", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]  # fmt: skip

HARMLESS = ("Ignoring tile %s loaded before reset",)
"""OpenSeadragon's remark that a tile arrived after its view was put away: a matter of timing."""


_DOWN = {"type": "pointerDown", "button": 0}
_UP = {"type": "pointerUp", "button": 0}


def _move(x: float, y: float) -> dict[str, Any]:
    return {"type": "pointerMove", "x": round(x), "y": round(y), "duration": 0}


@dataclass(frozen=True)
class Browser:
    """One window of a running browser."""

    url: str
    http: requests.Session

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """The value that a WebDriver command returns; fails the test on a WebDriver error."""
        answer = self.http.request(method, self.url + path, json=body, timeout=120)
        value = answer.json()["value"]
        assert answer.ok, f"{path}: {value.get('error')}: {value.get('message', '')[:500]}"
        return value

    def open(self, address: str) -> None:
        """Load a page and wait until it has loaded."""
        self.call("POST", "/url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """What the body of a JavaScript function returns; `arguments[0]` … are its arguments."""
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def picture(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self.call("GET", "/screenshot"))

    def click(self, x: float, y: float, times: int = 1) -> None:
        """Click at a place of the window, in CSS pixels."""
        self._mouse([_move(x, y), *[_DOWN, _UP] * times])

    def drag(self, x: float, y: float) -> None:
        """Drag from there by two pixels, and back."""
        self._mouse([_move(x, y), _DOWN, _move(x, y + 2), _move(x, y), _UP])

    def draw(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag from one place of the window to another."""
        self._mouse([_move(*start), _DOWN, _move(*end), _UP])

    def _mouse(self, actions: list[dict[str, Any]]) -> None:
        mouse = {"type": "pointer", "id": "mouse", "actions": actions}
        self.call("POST", "/actions", {"actions": [mouse]})
        self.call("DELETE", "/actions")

    def double_click(self, x: float, y: float) -> None:
        """Click twice at a place of the window."""
        self.click(x, y, times=2)

    def console(self) -> list[str]:
        """What the page wrote to its console since the last call, without `HARMLESS`."""
        said = [str(e["message"]) for e in self.call("POST", "/se/log", {"type": "browser"})]
        return [line for line in said if not any(words in line for words in HARMLESS)]


@contextmanager
def chromium(folder: Path, size: tuple[int, int]) -> Iterator[Browser]:
    """A window of `size` (width, height) with a fresh profile under `folder`."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert browser, "Chromium is missing: deploy/system-packages.sh test"
    assert driver, "chromedriver is missing: deploy/system-packages.sh test"
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "chromedriver.log").open("wb") as log:
        process = subprocess.Popen([driver, f"--port={port}"], stdout=log, stderr=log)
    http = requests.Session()
    http.trust_env = False  # a proxy of the environment has no business on loopback
    try:
        wait_for_port(port)
        window = _open(f"http://127.0.0.1:{port}/session", http, _options(browser, folder, size))
        yield window
        window.call("DELETE", "")
    finally:
        http.close()
        process.terminate()
        process.wait(timeout=30)


def _options(browser: str, folder: Path, size: tuple[int, int]) -> dict[str, Any]:
    """Capabilities of the session."""
    profile = f"--user-data-dir={folder / 'profile'}"
    arguments = [*FLAGS, profile, f"--window-size={size[0]},{size[1]}"]
    chrome = {"binary": browser, "args": arguments}
    wanted = {"goog:chromeOptions": chrome, "goog:loggingPrefs": {"browser": "ALL"}}
    return {"capabilities": {"alwaysMatch": wanted}}


def _open(url: str, http: requests.Session, capabilities: dict[str, Any]) -> Browser:
    answer = http.post(url, json=capabilities, timeout=120)
    assert answer.ok, answer.text[:500]
    return Browser(f"{url}/{answer.json()['value']['sessionId']}", http)
