"""The pages' templates: escaped, in the reader's language, and who is logged in at the top."""

import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape

from cadnode.html.environment import ON_SCREENS, environment
from cadnode.phrases import N_
from cadnode.web.caller import Caller
from cadnode.web.language import NAMES, current, place
from cadnode.web.navigation import places_of
from cadnode.web.study import DELIVERY_MEANINGS
from cadnode.web.way import OBJECT_MEANINGS

_TYPES: Final = {".css": "text/css", ".js": "text/javascript"}
STATIC: Final = {
    file.name: _TYPES[file.suffix]
    for folder in ("cadnode.html", "cadnode.web")
    for file in sorted(Path(str(files(folder) / "templates")).iterdir())
    if file.suffix in _TYPES
}
"""The pages' own styles and scripts, by name, with their media types."""


class Templates:
    """The templates of `cadnode/web/templates`."""

    def __init__(self) -> None:
        self._templates = environment("cadnode.web", dark=ON_SCREENS)
        self._templates.filters |= _FILTERS
        self._templates.install_gettext_callables(  # type: ignore[attr-defined]
            lambda text: current().text(text),
            lambda one, many, n: current().plural_text(one, many, n),
            newstyle=True,
            pgettext=lambda context, text: current().text(text, context),
            npgettext=lambda context, one, many, n: current().plural_text(one, many, n, context),
        )
        self._templates.globals["places_of"] = places_of
        self._templates.globals["delivery_meanings"] = DELIVERY_MEANINGS
        self._templates.globals["object_meanings"] = OBJECT_MEANINGS
        self._templates.globals["languages"] = NAMES
        self._templates.globals["script_texts"] = lambda: Markup(current().for_scripts())

    def text(self, template: str, **values: object) -> str:
        """A template with its values."""
        shared = {"lang": current().code, "place": place()}
        return self._templates.get_template(template).render(shared | values)

    def page(
        self, template: str, caller: Caller | None, status: int = 200, **values: object
    ) -> HTMLResponse:
        """A page made of a template, for who asks."""
        return HTMLResponse(self.text(template, visitor=caller, **values), status)


def _translated(text: str) -> str:
    """What Python gives a page, in the page's language, as far as a room has marked it."""
    return current().said(text)


def _sentence(text: str) -> str:
    """The same with a capital letter."""
    said = _translated(text)
    opening = said[: len(said) - len(said.lstrip("¿¡"))]
    return opening + said[len(opening) :][:1].upper() + said[len(opening) + 1 :]


def _ended(text: str) -> str:
    """The same with a full stop, where it does not end in a mark of its own."""
    said = _translated(text)
    return (
        said if said.endswith(_ENDS) else current().text(N_("%(sentence)s.")) % {"sentence": said}
    )


def _and_hint(error: str, hint: str) -> str:
    """What is wrong, and what to do: one text that begins with a capital and has an end."""
    both = {"error": _sentence(error), "hint": _ended(hint)}
    return current().text(N_("%(error)s: %(hint)s")) % both


def _with_code(text: str) -> Markup:
    """HTML of a sentence, what is between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(_translated(text)))))


def _word(code: str) -> str:
    """A word of a state or an answer (`web.words`), such as "given up" of `given_up`."""
    return current().text(code.replace("_", " "))


def _number(value: float, places: int = 0) -> str:
    return current().number(value, places)


_ENDS: Final = (".", "?", "!", "。", "？", "！")
_FILTERS: Final[dict[str, Callable[..., str]]] = {
    "tr": _translated,
    "sentence": _sentence,
    "ended": _ended,
    "and_hint": _and_hint,
    "with_code": _with_code,
    "word": _word,
    "number": _number,
}
