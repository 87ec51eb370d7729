"""The pages' templates, with escaping on, and who is logged in at the top of each."""

import re
from typing import Final

from fastapi.responses import HTMLResponse
from markupsafe import Markup, escape

from cadnode.html.environment import ON_SCREENS, environment
from cadnode.web.caller import Caller
from cadnode.web.study import DELIVERY_MEANINGS

_STYLES: Final = ("base.css", "cadnode.css", "viewer.css")
_SCRIPTS: Final = (
    "cadnode.js", "viewer.js", "viewer_cell.js", "viewer_drawing.js", "viewer_keys.js",
    "viewer_layers.js", "viewer_pixels.js", "viewer_priors.js",
)  # fmt: skip
STATIC: Final = {**dict.fromkeys(_STYLES, "text/css"), **dict.fromkeys(_SCRIPTS, "text/javascript")}


class Templates:
    """The templates of `cadnode/web/templates`."""

    def __init__(self) -> None:
        self._templates = environment("cadnode.web", dark=ON_SCREENS)
        self._templates.filters["with_code"] = _with_code
        self._templates.globals["delivery_meanings"] = DELIVERY_MEANINGS

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
