"""The pages' templates, with escaping on, and who is logged in at the top of each."""

import re
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape

from cadnode.html.environment import ON_SCREENS, environment
from cadnode.web.caller import Caller
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
        self._templates.filters["with_code"] = _with_code
        self._templates.globals["places_of"] = places_of
        self._templates.globals["delivery_meanings"] = DELIVERY_MEANINGS
        self._templates.globals["object_meanings"] = OBJECT_MEANINGS

    def text(self, template: str, **values: object) -> str:
        """A template with its values."""
        return self._templates.get_template(template).render(values)

    def page(
        self, template: str, caller: Caller | None, status: int = 200, **values: object
    ) -> HTMLResponse:
        """A page made of a template, for who asks."""
        return HTMLResponse(self.text(template, visitor=caller, **values), status)


def _with_code(text: str) -> Markup:
    """HTML of a sentence, what is between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
