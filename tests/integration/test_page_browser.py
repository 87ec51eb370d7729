"""An exam's page in a real browser: it opens on the finding and the map that its address names."""

import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from cadnode.page.content import PageContent
from cadnode.page.exam_page import exam_page
from tests.integration.test_demo import CHROMIUM
from tests.report_cases import digital_exam, image_of, result_of

SIZES = {"desk": "1100,900", "phone": "390,844"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an exam with three findings."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    exam = digital_exam()
    content = PageContent(
        title="t", subtitle="s", disclaimer="d", exam=exam, result=result_of(exam, "systems"),
        image=partial(image_of, exam),
    )  # fmt: skip
    path.write_text(exam_page(content), encoding="utf-8")
    return path


def chromium(page: Path, address: str, *options: str) -> str:
    """What the browser prints after it has loaded the page."""
    browser = shutil.which("chromium")
    assert browser, "Chromium is missing: deploy/system-packages.sh test"
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [browser, *CHROMIUM, profile, *options, page.as_uri() + address]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def shown(dom: str, kind: str) -> list[str]:
    """Numbers of the elements of that class that are switched on."""
    return re.findall(rf'class="{kind} on" data-n="(\d)"', dom)


def test_it_opens_on_the_first_finding_without_a_map(page: Path) -> None:
    dom = chromium(page, "", "--dump-dom")

    assert shown(dom, "finding") == shown(dom, "crop") == shown(dom, "mark") == ["1"]
    assert 'class="map on"' not in dom
    assert dom.count('aria-pressed="true"') == 1


def test_its_address_chooses_a_finding_and_a_map(page: Path) -> None:
    dom = chromium(page, "#finding=3&map=ensemble", "--dump-dom")

    assert shown(dom, "crop") == shown(dom, "voice") == ["3"]
    on = re.findall(r'class="map on" data-map="([^"]+)"', dom)
    assert set(on) == {"ensemble"}


@pytest.mark.parametrize("size", SIZES)
def test_it_is_drawn_without_an_error(page: Path, size: str, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"

    chromium(page, "", f"--screenshot={picture}", f"--window-size={SIZES[size]}")

    assert picture.stat().st_size > 20_000  # an empty page has about 5,000 bytes
