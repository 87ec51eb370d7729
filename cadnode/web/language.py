"""The languages of the pages: their catalogs, and the one that the request at hand is answered in.

Catalogs are the `.po` files in `cadnode/web/locale`, read once. A message that a catalog does not
translate stays English.
"""

import gettext
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final

from babel.dates import format_timedelta
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

from cadnode.phrases import Phrase

NAMES: Final = {
    "en": "English",
    "de": "Deutsch",
    "es": "Español",
    "fr": "Français",
    "ja": "日本語",
}
"""The languages that pages have, each by its own name."""
DOMAIN: Final = "cadnode"
FOLDER: Final = "cadnode.web.locale"
_OF_SCRIPTS: Final = (
    ".js", "/uploaded.py", "/uploads.py", "/region_desk.py", "/region_pages.py", "/view_pixels.py",
)  # fmt: skip
"""Sources of what scripts say: their own, and what the routes that they ask answer."""
_ONE_OF_ENGLISH: Final = "n != 1"


@dataclass(frozen=True, slots=True)
class Language:
    """A language and its messages.

    Parameters
    ----------
    code
        A key of `NAMES`: BCP 47, as in `<html lang>`.
    messages
        Context ("" for none) and English text, to the forms of the translation.
    plural
        The rule for which form a number takes, as gettext writes it.
    of_scripts
        The English texts that scripts of pages show.
    """

    code: str
    messages: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    plural: str = _ONE_OF_ENGLISH
    of_scripts: frozenset[str] = frozenset()

    def text(self, message: str, context: str = "") -> str:
        """A message translated, its placeholders still in it."""
        return self.messages.get((context, message), (message,))[0]

    def plural_text(self, one: str, many: str, n: int, context: str = "") -> str:
        """The form of a message that `n` things take, its placeholders still in it."""
        forms = self.messages.get((context, one))
        if forms is None:
            return one if n == 1 else many
        return forms[min(_form(self.plural, n), len(forms) - 1)]

    def said(self, text: str) -> str:
        """What a room below has marked: a constant, or a phrase with its values."""
        if not isinstance(text, Phrase):
            return self.text(text) if text else text
        values = {name: self._value(value) for name, value in text.values.items()}
        n = text.values.get("n", 0)
        if text.plural:
            return self.plural_text(text.template, text.plural, n) % values
        return self.text(text.template) % values

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.said(value) if isinstance(value, Phrase) else value
        return value

    def number(self, value: float, places: int = 0) -> str:
        """A number with so many places, with the language's decimal sign and no grouping."""
        pattern = "0." + "0" * places if places else "0"
        return format_decimal(value, pattern, locale=self.code)

    def duration(self, seconds: float) -> str:
        """A time to wait, as people say it: in seconds up to a minute and a half, then minutes."""
        if seconds > 90:
            whole = timedelta(minutes=-(-seconds // 60))
            return format_timedelta(whole, granularity="minute", threshold=999, locale=self.code)
        whole = timedelta(seconds=-(-seconds // 1))
        return format_timedelta(whole, granularity="second", threshold=999, locale=self.code)

    def for_scripts(self) -> str:
        """JSON for a page's scripts: language, messages, and the form that 0, 1 and more take."""
        texts = {
            text: list(forms) for (_, text), forms in self.messages.items()
            if text in self.of_scripts
        }  # fmt: skip
        forms = [_form(self.plural, n) for n in (0, 1, 2)]
        found = {"language": self.code, "forms": forms, "texts": texts}
        return json.dumps(found, ensure_ascii=False).replace("<", "\\u003c")


@cache
def _rule(plural: str) -> Any:
    return gettext.c2py(plural)


def _form(plural: str, n: int) -> int:
    return int(_rule(plural)(n))


@cache
def language(code: str) -> Language:
    """One of `NAMES` with its catalog; English for any other code."""
    if code not in NAMES or code == "en":
        return Language("en")
    text = files(FOLDER) / code / "LC_MESSAGES" / f"{DOMAIN}.po"
    with text.open("rb") as file:
        catalog = read_po(file, locale=code)
    messages: dict[tuple[str, str], tuple[str, ...]] = {}
    scripted: set[str] = set()
    for message in catalog:
        if not message.id:
            continue
        one = str(message.id if isinstance(message.id, str) else message.id[0])
        said = message.string or ""
        forms = (said,) if isinstance(said, str) else tuple(said)
        if any(name.endswith(_OF_SCRIPTS) for name, _ in message.locations):
            scripted.add(one)
        if all(forms) and not message.fuzzy:
            messages[message.context or "", one] = tuple(str(form) for form in forms)
    return Language(code, messages, catalog.plural_expr, frozenset(scripted))


_ENGLISH: Final = Language("en")
_CURRENT: ContextVar[Language] = ContextVar("language", default=_ENGLISH)
_PLACE: ContextVar[str] = ContextVar("place", default="/")


def current() -> Language:
    """The language of the request at hand; English outside of requests."""
    return _CURRENT.get()


def place() -> str:
    """The page that the request at hand is of, to which a change of language returns."""
    return _PLACE.get()


@contextmanager
def answering_in(chosen: Language, of_page: str = "/") -> Iterator[None]:
    """Let what is rendered within be in that language."""
    kept, kept_place = _CURRENT.set(chosen), _PLACE.set(of_page)
    try:
        yield
    finally:
        _CURRENT.reset(kept)
        _PLACE.reset(kept_place)
