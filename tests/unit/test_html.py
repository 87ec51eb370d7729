"""The base of all pages: one look, nothing fetched, nothing unescaped, nothing forgotten."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from cadnode.domain import System
from cadnode.html.environment import BY_PREFERENCE, ON_SCREENS, environment
from cadnode.page.content import PageContent
from cadnode.page.exam_page import exam_page
from cadnode_training.results import report
from tests.report_cases import digital_exam, image_of, result_of
from tests.training import score_cases
from tests.web_cases import Told, served

DARK = re.compile(r"@media ([^{]+) \{\s*:root \{\s*color-scheme:dark;")


def of_an_exam(folder: Path) -> str:
    exam = digital_exam()
    picture = partial(image_of, exam)
    return exam_page(PageContent("t", "s", "d", exam, result_of(exam, "systems"), picture))


def of_an_evaluation(folder: Path) -> str:
    report.write(folder / "page.html", score_cases.drawn(20), System.KIM2018)
    return (folder / "page.html").read_text()


@pytest.mark.parametrize(
    ("page", "dark"), [(of_an_exam, ON_SCREENS), (of_an_evaluation, BY_PREFERENCE)]
)
def test_a_page_that_is_a_file_holds_the_shared_style_and_fetches_nothing(
    page: Callable[[Path], str], dark: str, tmp_path: Path
) -> None:
    source = page(tmp_path)

    assert DARK.findall(source) == [dark]
    assert re.findall(r"<link|@import|src=\"(?!data:)|url\((?!data:)|href=", source) == []
    assert "{{" not in source
    assert "{%" not in source


def test_the_nodes_pages_link_the_shared_style_before_their_own() -> None:
    with served(Told()) as client:
        page = client.get("/").text
        style = client.get("/static/base.css")

    assert page.index("/static/base.css") < page.index("/static/cadnode.css")
    assert "<style" not in page  # their Content-Security-Policy would not let it count
    assert DARK.findall(style.text) == [ON_SCREENS]
    assert style.headers["Content-Type"].startswith("text/css")


def test_values_are_escaped_and_a_forgotten_one_is_an_error() -> None:
    templates = environment("cadnode.web", dark=ON_SCREENS)

    assert templates.from_string("{{ name }}").render(name="<b>") == "&lt;b&gt;"
    with pytest.raises(UndefinedError):
        templates.from_string("{{ name }}").render()
