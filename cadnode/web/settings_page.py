"""The page of settings: each value with where it comes from. Nothing is changed here."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from cadnode.phrases import N_
from cadnode.settings.provenance import SettingShown, SettingsShown
from cadnode.web.caller import caller_of
from cadnode.web.node import Node, Unavailable
from cadnode.web.templating import Templates


def routes(node: Node, templates: Templates) -> APIRouter:
    """The page's routes, and that of programs."""
    router = APIRouter()

    @router.get("/settings", include_in_schema=False)
    def settings(request: Request, stated: str = "") -> Response:
        shown = _shown(node)
        rows = [row for row in shown.rows if row.is_stated or not stated]
        sections: dict[str, list[SettingShown]] = {}
        for row in rows:
            sections.setdefault(row.section, []).append(row)
        return templates.page(
            "settings.html.jinja", caller_of(request), shown=shown, sections=list(sections.items()),
            is_narrowed=bool(stated), n_stated=sum(row.is_stated for row in shown.rows),
        )  # fmt: skip

    @router.get("/api/settings")
    def listed() -> JSONResponse:
        """Each setting, its value and where it comes from, without secrets; what has changed."""
        shown = _shown(node)
        return JSONResponse(
            {
                "file": shown.file,
                "settings": [row.as_dict() for row in shown.rows],
                "changed": list(shown.changed),
                "problem": shown.problem,
            }
        )

    return router


def _shown(node: Node) -> SettingsShown:
    if node.settings is None:
        raise Unavailable(
            N_("this node tells nothing about its settings"), N_("ask the node itself")
        )
    return node.settings()
