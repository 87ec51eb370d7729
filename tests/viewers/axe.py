"""axe-core in a page: what of it does not meet WCAG 2.2 AA."""

import json
import time
from pathlib import Path

from tests.viewers.webdriver import Browser

_ROOT = Path(__file__).parents[2]
_PINNED = json.loads((_ROOT / "tests/viewers/axe.json").read_text())
_FILE = _ROOT / "build/viewers" / f"axe-{_PINNED['version']}" / "axe.min.js"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
_RUN = """
window.axeFound = null;
axe.run(document, {runOnly: arguments[0]}).then(found => {
  window.axeFound = found.violations.map(
    ({id, impact, nodes}) => `${id} (${impact}): ${nodes.map(one => one.html.slice(0, 150))}`);
});
"""


def violations(browser: Browser) -> list[str]:
    """What axe-core finds against WCAG 2.2 A and AA in the page that is open."""
    assert _FILE.is_file(), "axe-core is missing: deploy/viewers.sh"
    if not browser.run("return typeof window.axe === 'object'"):
        browser.run(_FILE.read_text() + ";window.axe = axe;")
    browser.run(_RUN, _TAGS)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = browser.run("return window.axeFound")
        if found is not None:
            return list(found)
    raise AssertionError("axe-core did not answer")
