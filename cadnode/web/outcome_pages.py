"""The page of outcomes: AUC, sensitivity and recall rate from what became of the women."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from cadnode.page import outcome_figures
from cadnode.phrases import N_
from cadnode.quality.grouping import Grouping
from cadnode.quality.performance import FEWEST, SystemPerformance
from cadnode.web.caller import caller_of
from cadnode.web.language import current
from cadnode.web.node import Node, Unavailable
from cadnode.web.templating import Templates

_BY = {
    Grouping.SCANNER: N_("By scanner"),
    Grouping.VENDOR: N_("By vendor"),
    Grouping.MONTH: N_("By month of reading"),
}


def routes(node: Node, templates: Templates) -> APIRouter:
    """The page's routes, and that of programs."""
    router = APIRouter()

    @router.get("/quality/outcomes", include_in_schema=False)
    def page(request: Request) -> Response:
        return templates.page(
            "outcomes.html.jinja", caller_of(request), systems=_figures(node), by=_BY,
            draw=outcome_figures, say=current().text, fewest=FEWEST, month=Grouping.MONTH,
            n_waiting=node.outcomes_waiting(),
        )  # fmt: skip

    @router.get("/api/quality/outcomes")
    def listed() -> JSONResponse:
        """Figures of each system from the outcomes that were imported; no patients.

        Shares and AUCs have 95 % intervals (Wilson, DeLong); null where there are too few cases.
        `waiting` counts exams that have outcomes and have not come.
        """
        figures = [one.as_dict() for one in _figures(node)]
        return JSONResponse(
            {
                "schema_version": 1,
                "fewest_cases": FEWEST,
                "waiting": node.outcomes_waiting(),
                "systems": figures,
            }
        )

    return router


def _figures(node: Node) -> list[SystemPerformance]:
    if node.outcomes is None:
        raise Unavailable(N_("this node keeps no outcomes"), N_("ask the node itself"))
    return list(node.outcomes())
