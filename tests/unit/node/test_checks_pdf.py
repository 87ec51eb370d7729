"""`cadnode check` says before the first patient whether the report on paper can be drawn."""

from pathlib import Path

import pytest

from cadnode.errors import ReportError
from cadnode.node import checks
from cadnode.node.checks import CheckVerdict
from cadnode.page.pdf import Pdf
from cadnode.settings import ReportSection, Settings, StorageSection


def found(tmp_path: Path, profile: str = "pdf") -> list[checks.Check]:
    settings = Settings(
        report=ReportSection(profile=profile),  # type: ignore[arg-type]  # a word, as in the file
        storage=StorageSection(folder=tmp_path),
    )
    return list(checks.paper(settings))


def test_without_a_renderer_the_check_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_page: str) -> Pdf:
        raise ReportError("WeasyPrint cannot be used")

    monkeypatch.setattr(checks, "pdf_of", broken)

    (check,) = found(tmp_path)

    assert (check.verdict, check.found) == (CheckVerdict.FAILED, "WeasyPrint cannot be used")


def test_missing_fonts_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "pdf_of", lambda _page: Pdf(b"", ("fonts-noto-cjk",)))

    (check,) = found(tmp_path)

    assert check.verdict is CheckVerdict.WARNING
    assert "fonts-noto-cjk" in check.advice


def test_it_draws_where_somebody_gets_a_pdf_and_only_there(tmp_path: Path) -> None:
    (check,) = found(tmp_path)

    assert check.verdict in (CheckVerdict.OK, CheckVerdict.WARNING)  # by the fonts of this computer
    assert found(tmp_path, "standard") == []
