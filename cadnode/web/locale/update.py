"""Brings the catalogs up to the messages that code, templates and scripts have now.

`python -m cadnode.web.locale.update` rewrites `cadnode.pot` and the catalogs in place: what is
translated stays, what is new is empty, what is gone is left out. Nothing is guessed: no message is
ever fuzzy. Places are named by file alone, so that a moved line changes no catalog.
"""

import io
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from cadnode.web.language import DOMAIN, NAMES
from cadnode.web.locale.hints import HINTS

ROOT: Final = Path(__file__).resolve().parents[2]
_HERE: Final = Path(__file__).resolve().parent
_TEMPLATES: Final = ("html/templates", "web/templates")
_MARKS: Final[dict[str, Any]] = {
    "N_": None,
    "_": None,
    "_say": None,
    "phrase": None,
    "nphrase": (1, 2),
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
    "t": None,
    "tn": (1, 2),
}
_JINJA: Final = {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}
_MARKED: Final = re.compile(r"from cadnode\.phrases import|current\(\)\.text")
_DULL: Final = (
    b'"POT-Creation-Date', b'"PO-Revision-Date', b'"Generated-By', b'"Report-Msgid',
    b'"Last-Translator', b'"Language-Team', b'"Project-Id-Version',
)  # fmt: skip
_COMMENT: Final = ["translators:"]


@cache
def _messages() -> tuple[tuple[str, list[Any]], ...]:
    return tuple(_extracted())


def template() -> Catalog:
    """All messages, untranslated, in the order of their files."""
    found = Catalog(charset="utf-8", fuzzy=False)
    for name, messages in _messages():
        for _, message, comments, context in messages:
            found.add(message, None, [(name, 0)], auto_comments=comments, context=context)
    for message in found:
        one = message.id[0] if isinstance(message.id, tuple) else message.id
        if one in HINTS:
            message.auto_comments.append(f"translators: {HINTS[one]}")
    return found


def _extracted() -> Iterator[tuple[str, list[Any]]]:
    for file in _sources():
        name = file.relative_to(ROOT.parent).as_posix()
        method = {".py": "python", ".js": "javascript"}.get(file.suffix, "jinja2")
        if method == "jinja2":
            method = "jinja2.ext:babel_extract"
        options = _JINJA if file.suffix == ".jinja" else {}
        yield name, list(extract_from_file(method, file, _MARKS, _COMMENT, options))


def _sources() -> Iterator[Path]:
    for folder in _TEMPLATES:
        for file in sorted((ROOT / folder).iterdir()):
            if file.suffix in (".jinja", ".js"):
                yield file
    for file in sorted(ROOT.rglob("*.py")):
        if _HERE not in file.parents and _MARKED.search(file.read_text("utf-8")):
            yield file


def path_of(code: str) -> Path:
    """The catalog of a language."""
    return _HERE / code / "LC_MESSAGES" / f"{DOMAIN}.po"


def updated(code: str) -> bytes:
    """A language's catalog as it should be: what it translates, of the messages that there are."""
    found = template()
    found.locale = code
    if path_of(code).exists():
        with path_of(code).open("rb") as file:
            kept = read_po(file, locale=code)
        found.header_comment = kept.header_comment
        for message in found:
            old = kept.get(message.id, message.context) if message.id else None
            if old is not None and old.string and len(old.id) == len(message.id):
                message.string = old.string
                message.user_comments = old.user_comments
    return _text(found)


def _text(catalog: Catalog) -> bytes:
    written = io.BytesIO()
    catalog.header_comment = f"# {NAMES.get(str(catalog.locale), 'Messages')} of cadnode's pages."
    write_po(written, catalog, width=96, omit_header=False, include_lineno=False)
    return b"".join(
        line for line in written.getvalue().splitlines(keepends=True) if not line.startswith(_DULL)
    )


def wanted() -> dict[Path, bytes]:
    """Each file of messages, with what it should hold."""
    found = {_HERE / f"{DOMAIN}.pot": _text(template())}
    return found | {path_of(code): updated(code) for code in NAMES if code != "en"}


def main() -> None:
    """Write the files."""
    for path, text in wanted().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


if __name__ == "__main__":
    main()
