"""How long people wait for pages: until the first pixels of a study's images, and of the list.

    python -m benchmarks.pages [--exam malignant] [--runs 10] [--out benchmarks/pages.md]

A whole node (listener, worker, web) reads the demo's exam and delivers it to DCMTK's storescp. Its
pages are then opened in headless Chromium, without a cache. *Text*: first contentful paint.
*First image*: one of the small pictures is whole. *First view*, *four views*: stored pixels are
drawn through their window. The first look comes when the node has decoded nothing yet.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.ingest import machine
from cadnode.demo.exam import KINDS, write_exam
from cadnode.exam.dicom_file import open_file
from cadnode.log import hashed
from tests.integration.node import Node, running_node, wait_until
from tests.peers import storescp
from tests.viewers.webdriver import Browser, chromium

SEEN = """
window.seen = {};
const look = () => {
  const now = performance.now(), drawn = document.querySelectorAll(".cell.drawn").length;
  const isWhole = image => image.complete && image.naturalWidth > 0;
  if ([...document.querySelectorAll(".cell img")].some(isWhole)) seen.image ??= now;
  if (drawn >= 1) seen.view ??= now;
  if (drawn >= 4) seen.four ??= now;
  requestAnimationFrame(look);
};
look();
"""
TEXT = (
    "return performance.getEntriesByType('paint')"
    ".find(one => one.name === 'first-contentful-paint')?.startTime ?? null"
)
Times = dict[str, float]


def opened(browser: Browser, url: str, wanted: Callable[[], bool]) -> Times:
    """Milliseconds from the click to what is seen."""
    browser.open("about:blank")
    browser.open(url)
    until = time.monotonic() + 120
    while not wanted() or browser.run(TEXT) is None:
        if time.monotonic() > until:
            raise SystemExit(f"{url} did not come")
    return {"text": float(browser.run(TEXT)), **browser.run("return window.seen")}


def measure(node: Node, key: str, folder: Path, runs: int) -> dict[str, list[Times]]:
    """Times of each page's looks."""
    url = f"http://127.0.0.1:{node.web_port}"
    with chromium(folder / "chromium", (1600, 1000)) as browser:
        for command, how in (
            ("Network.enable", {}),
            ("Network.setCacheDisabled", {"cacheDisabled": True}),
            ("Page.addScriptToEvaluateOnNewDocument", {"source": SEEN}),
        ):
            browser.call("POST", "/goog/cdp/execute", {"cmd": command, "params": how})

        def four() -> bool:
            return "four" in browser.run("return window.seen")

        def study() -> Times:
            return opened(browser, f"{url}/studies/{key}", four)

        def queue() -> Times:
            return opened(browser, url, lambda: True)

        first = study()
        return {
            "study, first look": [first],
            "study": [study() for _ in range(runs)],
            "queue": [queue() for _ in range(runs)],
        }


def run(exam: str, runs: int) -> tuple[int, dict[str, list[Times]]]:
    """Files of the exam, and the times."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_exam(folder / "exam", exam).files
        key = hashed(open_file(files[0]).header.StudyInstanceUID)
        with (
            storescp(folder / "archive", aet="ARCHIVE") as archive,
            running_node(folder, archive) as node,
        ):
            send = ["send", str(folder / "exam"), "--to", f"CADNODE@127.0.0.1:{node.port}"]
            subprocess.run([sys.executable, "-m", "cadnode", *send], check=True)
            wait_until(lambda: node.jobs("deliver") == 1, "it is read", within_s=300)
            wait_until(node.is_idle, "nothing is left to do", within_s=300)
            return len(files), measure(node, key, folder, runs)


def report(exam: str, n_files: int, times: dict[str, list[Times]]) -> str:
    """The table."""
    lines = [
        "# Time to the first pixels of a page",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {machine()}. `python -m benchmarks.pages --exam {exam}`: "
        f"{n_files} images in the study; headless Chromium and the node on the same machine.",
        "",
        "Milliseconds from opening the page, median (slowest).",
        "",
        "| page | looks | text | first image | first view | four views |",
        "|---|---|---|---|---|---|",
    ]
    for page, looks in times.items():
        cells = []
        for what in ("text", "image", "view", "four"):
            found = [look[what] for look in looks if what in look]
            cells.append(f"{statistics.median(found):.0f} ({max(found):.0f})" if found else "–")
        lines.append(f"| {page} | {len(looks)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--exam", choices=KINDS, default="malignant", help="of the demo's exams")
    parser.add_argument("--runs", type=int, default=10, help="looks at each page")
    parser.add_argument("--out", type=Path, help="write the table there")
    asked = parser.parse_args()
    text = report(asked.exam, *run(asked.exam, asked.runs))
    print(text)
    if asked.out:
        asked.out.write_text(text)


if __name__ == "__main__":
    main()
