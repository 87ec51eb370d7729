"""The page on paper: the same bytes, nothing fetched, no character as an empty box."""

import builtins
import logging
import re
import zlib
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import weasyprint

from cadnode.domain import ExamResult, TrainingMaterial
from cadnode.errors import ReportError
from cadnode.exam.patient import Patient
from cadnode.page.content import PageContent
from cadnode.page.exam_page import exam_page
from cadnode.page.pdf import pdf_of
from tests.report_cases import MADE_AT, digital_exam, image_of, result_of

UNKNOWN = "\N{EGYPTIAN HIEROGLYPH A001}"  # no font of a server has it


def page(name: str = "Müller, Änne", outcome: str = "findings") -> str:
    exam = digital_exam()
    return exam_page(
        PageContent(
            "exam", "", "Research use only", exam, result_of(exam, outcome),
            partial(image_of, exam), patient=Patient((name,), "ID-42"), made_at=MADE_AT,
        )
    )  # fmt: skip


def sheets(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b(?!s)", pdf + _inflated(pdf)))


def _inflated(pdf: bytes) -> bytes:
    """Content of all compressed streams."""
    parts = []
    for match in re.finditer(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        try:
            parts.append(zlib.decompress(match[1]))
        except zlib.error:
            continue
    return b"\n".join(parts)


def test_the_same_page_gives_the_same_bytes_of_an_even_number() -> None:
    one, again = pdf_of(page()), pdf_of(page())

    assert one.data == again.data
    assert one.data.startswith(b"%PDF-")
    assert len(one.data) % 2 == 0
    assert one.fonts_wanted == ()
    assert b"CreationDate" not in one.data + _inflated(one.data)


def test_an_outcome_with_findings_takes_several_sheets() -> None:
    assert sheets(pdf_of(page(outcome="systems")).data) >= 2


def test_a_character_without_a_font_is_a_number_and_a_notice_and_in_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        pdf = pdf_of(page(name=f"Müller, {UNKNOWN}"))

    assert pdf.fonts_wanted == ("fonts-noto-core",)
    assert pdf.data != pdf_of(page()).data
    told = "".join(record.getMessage() for record in caplog.records)
    assert UNKNOWN not in told
    assert "13000" not in told


def test_nothing_from_elsewhere_comes_onto_paper() -> None:
    outside = '<img src="file:///etc/hostname" alt=""><main>'

    assert pdf_of(page().replace("<main>", outside, 1)).data  # drawn without it


def test_a_missing_renderer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **more: Any) -> Any:
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango'")
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(ReportError, match="pango"):
        pdf_of(page())


def test_what_learnt_from_phantoms_is_said_on_the_first_sheet() -> None:
    exam, result = digital_exam(), result_of(digital_exam(), "systems")
    phantom = tuple(replace(m, trained_on=(TrainingMaterial.PHANTOMS,)) for m in result.models)

    def first_sheet(result: ExamResult) -> str:
        content = PageContent("exam", "", "", exam, result, partial(image_of, exam))
        sheet, *_ = weasyprint.HTML(string=exam_page(content)).render().pages
        boxes = sheet._page_box.descendants()
        return " ".join(text for box in boxes if (text := getattr(box, "text", "")))

    assert "trained on phantoms" in first_sheet(replace(result, models=phantom))
    assert "phantom" not in first_sheet(result)
