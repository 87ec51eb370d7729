"""Every reading leaves a page beside its result, and a page costs nobody the report."""

import json
from pathlib import Path

import pytest
from pydicom import dcmread

from cadnode.domain import ExamResult, ModelUse, Profile
from cadnode.errors import ReportError
from cadnode.exam.exam import Exam
from cadnode.models import store
from cadnode.node import outputs
from cadnode.node.outputs import cards_of, installation_uid, write_outputs
from cadnode.page.content import PageContent
from cadnode.page.pdf import Pdf
from cadnode.report.edition import OFFLINE_OBSERVER_UID, observer_uid
from cadnode.settings import ReportSection
from tests.report_cases import MADE_AT, MODEL, OUTCOMES, digital_exam, result_of, with_marker

SAID = {
    "findings": "All algorithms succeeded; with findings",
    "none": "All algorithms succeeded; without findings",
    "failed": "No algorithms succeeded; without findings",
    "partial": "Not all algorithms succeeded; with findings",
    "one_view": "Not all algorithms succeeded; with findings",
    "systems": "All algorithms succeeded; with findings",
    "marked": "All algorithms succeeded; with findings",
}
PLAIN = ReportSection(profile="tid1500")  # type: ignore[arg-type]  # a word, as in the file


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_page_says_how_the_reading_ended_also_where_no_picture_can_be_shown(
    tmp_path: Path, outcome: str
) -> None:
    exam = with_marker(digital_exam())  # its files do not exist

    write_outputs(exam, result_of(exam, outcome), tmp_path, PLAIN, made_at=MADE_AT)

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert SAID[outcome] in page
    assert "Müller, Änne" in page
    assert (tmp_path / "sr.dcm").exists()


def test_an_exam_without_any_dicom_has_a_page_too(tmp_path: Path) -> None:
    nothing = Exam("", (), (), None, {})
    result = ExamResult("", None, (), (), (), (), ())

    assert write_outputs(nothing, result, tmp_path, PLAIN, made_at=MADE_AT) == ()

    assert "The exam could not be read." in (tmp_path / "report.html").read_text()


def test_no_page_is_left_of_an_earlier_reading_when_none_is_wanted(tmp_path: Path) -> None:
    exam = digital_exam()
    (tmp_path / "report.html").write_text("another woman's")

    without = PLAIN.model_copy(update={"page": False})
    write_outputs(exam, result_of(exam, "failed"), tmp_path, without, made_at=MADE_AT)

    assert not (tmp_path / "report.html").exists()


def test_a_page_that_cannot_be_made_costs_nobody_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_content: PageContent) -> str:
        raise ReportError("no picture")

    monkeypatch.setattr(outputs, "exam_page", broken)
    exam = digital_exam()

    write_outputs(exam, result_of(exam, "failed"), tmp_path, PLAIN, made_at=MADE_AT)

    assert json.loads((tmp_path / "result.json").read_bytes())["outcome"] == "not_read"
    assert (tmp_path / "sr.dcm").exists()


def test_cards_are_those_of_the_models_that_took_part(tmp_path: Path) -> None:
    card = store.read_card(store.available()[0])
    (tmp_path / "card.json").write_text("{")  # damaged
    used = ModelUse(card.name, card.version, card.weights_sha256)
    result = ExamResult("", None, (), (), (), (), (used, MODEL))

    found = cards_of([tmp_path, *store.available()], result)

    assert [(c.name, c.version) for c in found] == [(card.name, card.version)]


def test_the_pdf_lies_beside_its_object_and_a_missing_font_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = Pdf(b"%PDF-1.7", ("fonts-noto-cjk",))
    monkeypatch.setattr(outputs, "pdf_of", lambda _page: paper)
    exam = digital_exam()

    (path,) = write_outputs(
        exam, result_of(exam, "failed"), tmp_path, PLAIN, made_at=MADE_AT, profiles=[Profile.PDF]
    )

    assert (tmp_path / "report.pdf").read_bytes() == paper.data
    assert dcmread(path).EncapsulatedDocument == paper.data
    told = capsys.readouterr()
    assert "font_missing" in told.out + told.err
    assert "fonts-noto-cjk" in told.out + told.err


def test_a_bundle_and_a_pdf_of_an_earlier_profile_do_not_stay(tmp_path: Path) -> None:
    exam = digital_exam()
    for name in ("fhir.json", "report.pdf"):
        (tmp_path / name).write_text("an earlier reading's")

    write_outputs(exam, result_of(exam, "failed"), tmp_path, PLAIN, made_at=MADE_AT)

    assert {p.name for p in tmp_path.iterdir()} == {"sr.dcm", "report.html", "result.json"}


def test_an_installation_has_one_observer_uid_for_good(tmp_path: Path) -> None:
    first = installation_uid(tmp_path / "one")
    again, other = installation_uid(tmp_path / "one"), installation_uid(tmp_path / "other")

    assert first == again
    assert len({first, other, OFFLINE_OBSERVER_UID}) == 3
    assert first.startswith("2.25.")
    assert len(first) <= 64
    assert [p.name for p in (tmp_path / "one").iterdir()] == ["installation-id"]


def test_an_installation_that_is_known_keeps_its_identifier(tmp_path: Path) -> None:
    (tmp_path / "installation-id").write_text("known\n")

    assert installation_uid(tmp_path) == observer_uid("known")
