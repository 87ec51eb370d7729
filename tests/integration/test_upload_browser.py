"""A folder that a person brings by the page, in a real browser: it is in the spool, and told."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.integration.node import wait_until
from tests.unit.node.test_uploads import Site, zipped
from tests.viewers.webdriver import chromium
from tests.web_cases import Told, known, served

CHOOSE = """
const data = new DataTransfer();
for (const [name, text] of arguments[0])
  data.items.add(new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], name));
const field = document.getElementById("files");
field.files = data.files;
field.dispatchEvent(new Event("change"));
"""
LOG_IN = """
document.querySelector('#name').value = arguments[0];
document.querySelector('#password').value = arguments[1];
document.querySelector('main button').click()
"""


def test_files_and_an_archive_are_sent_one_by_one_and_told(tmp_path: Path) -> None:
    from base64 import b64encode

    from tests.web_cases import PASSWORDS

    site = Site(tmp_path)
    loose = {path.name: path.read_bytes() for path in site.views[:2]}
    archive = zipped({path.name: path.read_bytes() for path in site.views[2:]})
    files = {**loose, "cd.zip": archive, "autorun.inf": b"[autorun]", "viewer.exe": b"MZ"}

    class Here(Told):
        def node(self) -> Any:
            return replace(super().node(), uploads=site.uploads)

    with (
        served(Here(), known()) as client,
        chromium(tmp_path / "chromium", (1024, 900)) as browser,
    ):
        browser.open(f"{client.url}/upload")
        browser.run(LOG_IN, "otto", PASSWORDS["otto"])
        wait_until(
            lambda: browser.run("return !!document.getElementById('upload')"), "the page is shown"
        )
        browser.run(CHOOSE, [[name, b64encode(data).decode()] for name, data in files.items()])
        wait_until(
            lambda: "All 5 files were sent" in browser.run("return document.body.innerText"),
            "all are sent",
        )
        shown = str(browser.run("return document.querySelector('main').innerText"))
        link = browser.run("return document.querySelector('#studies a').getAttribute('href')")
    assert link == f"/studies/{site.study}"
    assert "2 × is not DICOM" in shown
    counts = [line for line in shown.split("\n") if line.strip().isdigit()]
    assert counts == [str(len(site.views)), "0", "2"]
    assert len(site.spool.instances(site.study)) == len(site.views)
