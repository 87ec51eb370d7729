"""The page on paper: HTML to PDF by WeasyPrint (`pip install 'cadnode[pdf]'`)."""

import logging
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from cadnode.errors import ReportError
from cadnode.extras import advice

NO_RENDERER: Final = f"WeasyPrint cannot be used: {advice('pdf')}, and the system's pango"
SAMPLE: Final = "<main>Ä Ł Я Ω ب א 漢 か 한"  # one letter of each script that patients often have
_CJK: Final = frozenset({"CJK", "HANGUL", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC"})
_NOTICE: Final = (
    '<p class="warning">This computer has no font for some characters of this page; they are shown'
    " by their Unicode numbers, such as U+AC00. The fonts are in the Debian package {packages}.</p>"
)


@dataclass(frozen=True, slots=True)
class Pdf:
    """A PDF of an even number of bytes, and Debian's packages of the fonts that it lacks."""

    data: bytes
    fonts_wanted: tuple[str, ...] = ()


def pdf_of(page: str) -> Pdf:
    """The page as A4 sheets; the same page gives the same bytes, with the same fonts installed.

    Characters that no font of this computer has are never drawn as boxes: they are written by their
    Unicode numbers, and a notice at the top explains it.

    Raises
    ------
    ReportError
        WeasyPrint or a library that it needs is not installed, or it fails.
    """
    data, missing = _rendered(page)
    packages = tuple(sorted({_package(character) for character in missing}))
    if missing:
        table = str.maketrans({c: f"[U+{ord(c):04X}]" for c in missing})
        notice = _NOTICE.format(packages=" and ".join(packages))
        data, _ = _rendered(page.translate(table).replace("<main>", f"{notice}<main>", 1))
    # An odd one would get a null byte in DICOM (PS3.5 6.2, OB) and not come back as it was.
    return Pdf(data if len(data) % 2 == 0 else data + b"\n", packages)


def _package(character: str) -> str:
    """The Debian package that has a font for the character."""
    script = unicodedata.name(character, "").split(" ")[0].split("-")[0]
    return "fonts-noto-cjk" if script in _CJK else "fonts-noto-core"


def _rendered(page: str) -> tuple[bytes, frozenset[str]]:
    """The PDF, and the characters in it that no font has."""
    try:
        import weasyprint
        from weasyprint.urls import URLFetcher
    except (ImportError, OSError):  # OSError: the package is there, pango is not
        raise ReportError(NO_RENDERER) from None
    inside_only = URLFetcher(allowed_protocols={"data"})
    with _complaints() as complaints:
        try:
            document = weasyprint.HTML(string=page, url_fetcher=inside_only)
            data: bytes = document.write_pdf()
        except Exception as error:
            # Its layout raises whatever a page leads to; the text may quote the page.
            raise ReportError(f"WeasyPrint failed ({type(error).__name__})") from None
    return data, complaints.missing


class _Complaints(logging.Handler):
    """Collects the characters that WeasyPrint has no glyph for; keeps its messages from logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._missing: set[str] = set()

    @property
    def missing(self) -> frozenset[str]:
        """Characters without a glyph."""
        return frozenset(self._missing)

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a character."""
        arguments: Any = record.args
        if "notdef" in str(record.msg) and arguments:
            self._missing.add(str(arguments[0]))


@contextmanager
def _complaints() -> Iterator[_Complaints]:
    """WeasyPrint's warnings within the block; kept from the logs, because they quote the page."""
    logger = logging.getLogger("weasyprint")
    handler, propagate = _Complaints(), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
