"""An exam's page tells what each system says of each finding, and why another says nothing."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from html.parser import HTMLParser
from typing import Any

import pytest

from cadnode.domain import Calcification, ExamResult, FloatImage, SkipReason, System, SystemStatus
from cadnode.errors import NotProcessable
from cadnode.exam.patient import Patient
from cadnode.models.card import ModelCard, TrainingData
from cadnode.page.content import Aside, PageContent
from cadnode.page.exam_page import css_text, exam_page
from cadnode.page.panels import halves
from tests.report_cases import CNNS, digital_exam, image_of, result_of
from tests.unit.model_cases import card


class Text(HTMLParser):
    """Text and attributes of a page, by the class of the innermost element that has one."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: dict[str, list[str]] = {}
        self.attributes: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        named = {k: v or "" for k, v in attrs}
        self.attributes.append((tag, named))
        if tag not in {"img", "input", "meta", "polygon", "ellipse", "br"}:
            self.open.append(named.get("class", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"polygon", "ellipse"}:
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip():
            innermost = next((c for c in reversed(self.open) if c), "")
            self.words.setdefault(innermost, []).append(data.strip())


def phantom_card(system: System, name: str) -> ModelCard:
    sets = TrainingData(name="phantom", terms="-", n_women=9, n_views=9, n_cancer_breasts=4)
    update = {"system": system, "name": name, "training_sets": (sets,), "training_data": "phantom"}
    return card().model_copy(update=update)


def page(result: ExamResult, cards: Sequence[ModelCard] = (), **more: Any) -> tuple[str, Text]:
    """The page's source, and what it says."""
    exam = digital_exam()
    values: dict[str, Any] = {
        "title": "demo exam", "subtitle": "made", "disclaimer": "Research use only",
        "exam": exam, "result": result, "image": partial(image_of, exam), "cards": cards,
    }  # fmt: skip
    source = exam_page(PageContent(**(values | more)))
    text = Text()
    text.feed(source)
    assert text.open == []  # every element is closed
    return source, text


def cells(text: Text, number: int) -> list[dict[str, str]]:
    """Attributes of the systems' cells in the row of a finding."""
    rows = [i for i, (tag, a) in enumerate(text.attributes) if a.get("class") == "finding"]
    ends = [*rows[1:], len(text.attributes)]
    row = text.attributes[rows[number - 1] : ends[number - 1]]
    return [a for tag, a in row if tag == "td" and "data-system" in a]


def test_each_finding_has_a_cell_for_every_system_and_the_counting_one_is_marked() -> None:
    _, text = page(result_of(digital_exam(), "systems"))

    first, second = cells(text, 1), cells(text, 2)

    assert [c["data-system"] for c in first] == [s.value for s in System]
    assert ["counts" in c["class"] for c in first] == [False, True, False, False]
    assert ["counts" in c["class"] for c in second] == [False, False, False, True]
    assert first[1]["title"] == "kang2021 (kang2021-resnet101 0.62, kang2021-inception-v3 0.88)"


def test_scores_are_shown_with_a_mark_from_the_operating_point_on() -> None:
    source, _ = page(result_of(digital_exam(), "systems"))

    row = source.split('<tr class="finding" data-n="1">')[1].split("</tr>")[0]
    shown = re.findall(r'data-system="(\w+)"[^>]*><span>([\d.]+)<i class="up">(.*?)</i>', row)

    assert [(system, number, "▲" in mark) for system, number, mark in shown] == [
        ("kim2018", "0.69", True),
        ("kang2021", "0.75", True),
        ("helsinki_dtl", "0.25", False),
        ("wang2016", "0.50", True),
    ]


def test_a_system_that_is_not_active_says_why() -> None:
    source, text = page(result_of(digital_exam(), "marked"))

    (silent,) = (c for c in cells(text, 1) if c["data-system"] == "helsinki_dtl")

    assert silent["title"] == "not active: no model"
    assert "cadnode train" not in source
    assert "○ not active" in text.words["state"]


def test_a_reason_cannot_write_into_the_page() -> None:
    bad = SystemStatus(System.WANG2016, False, (), "<script>alert(1)</script> <b>")
    result = replace(result_of(digital_exam(), "none"), systems=(bad,))

    source, _ = page(result)

    assert "<script>alert" not in source
    assert "&lt;/script&gt; &lt;b&gt;" in source


def test_a_cluster_is_described_and_a_drawn_region_is_said_to_be() -> None:
    source, text = page(result_of(digital_exam(), "marked"))

    assert "fine pleomorphic · grouped · 12 · 8 mm" in text.words["what"]
    assert "drawn by a person" in source
    assert "marked region" in text.words["what"]


def test_scores_of_phantoms_are_called_so() -> None:
    result = result_of(digital_exam(), "systems")

    plain, _ = page(result, [card()])
    marked, text = page(result, [card(), phantom_card(System.KANG2021, CNNS[0])])

    assert "trained on phantoms" not in plain
    assert "<b>kang2021: trained on phantoms</b>, computed images with drawn lesions" in marked
    assert marked.index("trained on phantoms") < marked.index("<main>")  # on paper: first sheet
    assert "probabilit" not in marked.lower().replace("no probability", "")
    assert text.words["badge"] == ["phantom", "phantom"]  # the column and the panel


def test_systems_panels_tell_what_the_models_learnt_from_and_how_good_they_are() -> None:
    result = result_of(digital_exam(), "systems")

    source, text = page(result, [phantom_card(System.KANG2021, CNNS[0])])

    assert text.words["state"] == ["● took part"] * 4
    assert "0.50 (0.00–1.00)" in text.words["model"]
    assert "phantoms" in text.words["model"]
    assert f"Active, not used for this exam: {CNNS[1]}" in source


def test_a_result_without_systems_still_shows_what_counts() -> None:
    source, text = page(result_of(digital_exam(), "findings"))

    assert [c["data-system"] for c in cells(text, 1)] == ["kim2018"]
    assert ">0.81</td>" in source


@pytest.mark.parametrize("outcome", ["none", "failed", "partial", "one_view"])
def test_every_outcome_makes_a_page(outcome: str) -> None:
    _, text = page(result_of(digital_exam(), outcome))

    pictures = [a["alt"] for tag, a in text.attributes if tag == "img" and a["class"] == "view"]
    assert {"RCC", "LCC", "RMLO", "LMLO"} <= set(pictures)


def test_the_patient_and_the_study_stand_in_the_page_and_on_each_sheet_of_paper() -> None:
    patient = Patient(
        names=("Hong, Gildong", "洪 吉洞"), patient_id='<"7\\\'>', birth_date=date(1961, 2, 3),
        study_date=date(2026, 3, 4),
    )  # fmt: skip

    source, text = page(result_of(digital_exam(), "none"), patient=patient)

    assert "Hong, Gildong · 洪 吉洞" in text.words["patient"]
    assert {"1961-02-03", "2026-03-04"} <= set(text.words["patient"])
    headline = source.split('@top-left { content:"')[1].split('"')[0]
    first, second, *_ = headline.split("\N{FIRST STRONG ISOLATE}")[1:]
    assert first == r"Hong\2C \20 Gildong" + "\N{POP DIRECTIONAL ISOLATE}" + r"\20 ·\20 "
    assert second.startswith(r"\3C \22 7\5C \27 \3E ")


def test_text_in_a_style_sheet_ends_neither_the_string_nor_the_sheet() -> None:
    assert css_text('a"</style>é') == r"a\22 \3C \2F style\3E é"


def test_a_view_whose_pixels_cannot_be_shown_is_said_to_be_so() -> None:
    exam = digital_exam()
    lost = exam.mammograms[1].sop_instance_uid

    def image(uid: str) -> FloatImage:
        if uid == lost:
            raise NotProcessable(SkipReason.PIXELS_CORRUPT)
        return image_of(exam, uid)

    source, text = page(result_of(exam, "failed"), image=image)

    pictures = [a["alt"] for tag, a in text.attributes if tag == "img" and a["class"] == "view"]
    assert pictures == ["RCC", "RMLO", "LMLO"]
    assert "<b>LCC</b>not scored" in source


def test_what_a_caller_knows_besides_stands_beside_the_views() -> None:
    asides = (
        Aside("Truth", "a benign mass", first=True),
        Aside("Timings", rows=(("read", "2 s"),)),
    )

    source, _ = page(result_of(digital_exam(), "none"), asides=asides)

    assert source.index("a benign mass") < source.index("Timings") < source.index("2 s")


def test_single_calcifications_are_circled_in_the_zoom_only() -> None:
    result = result_of(digital_exam(), "systems")
    one = Calcification(row=200.0, col=190.0, area_mm2=0.03, diameter_mm=0.2, contrast=0.1)
    first = replace(result.findings[0], calcifications=(one,))
    result = replace(result, findings=(first, *result.findings[1:]))

    source, _ = page(result)

    assert source.count('class="speck"') == 1
    assert 'class="speck" cx="190.0" cy="200.0"' in source


def test_the_page_needs_nothing_from_elsewhere() -> None:
    _, text = page(result_of(digital_exam(), "systems"), [card()])

    links = [a[k] for _, a in text.attributes for k in ("src", "href") if k in a]
    assert links
    assert all(link.startswith("data:image/") for link in links)


def test_panels_are_split_where_both_columns_of_the_paper_are_about_as_long() -> None:
    short, long = {"text": "a" * 10}, {"text": "a" * 100}

    assert halves([long, short, short, short]) == [[long], [short, short, short]]
    assert halves([short, short, long]) == [[short, short], [long]]
    assert halves([short]) == [[short]]
    assert halves([]) == []
