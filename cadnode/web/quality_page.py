"""The page of quality: does each scanner's scores stay what they were, and what to do if not."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from cadnode.page import quality_figures
from cadnode.phrases import N_
from cadnode.quality import wording
from cadnode.quality.overview import DriftOverview, ScannerDrift, SystemDrift
from cadnode.web.caller import caller_of
from cadnode.web.language import current
from cadnode.web.node import Node, Unavailable
from cadnode.web.templating import Templates


def routes(node: Node, templates: Templates) -> APIRouter:
    """The page's routes, and that of programs."""
    router = APIRouter()

    @router.get("/quality", include_in_schema=False)
    def quality(request: Request) -> Response:
        return templates.page(
            "quality.html.jinja", caller_of(request), shown=_shown(node), wording=wording,
            draw=quality_figures, say=current().text, state_words=wording.STATE_WORDS,
        )  # fmt: skip

    @router.get("/api/quality")
    def listed() -> JSONResponse:
        """Each scanner's scores against its baseline, as the worker saw them last; no patients."""
        return JSONResponse(as_dict(_shown(node)))

    return router


def as_dict(overview: DriftOverview | None) -> dict[str, Any]:
    """For JSON; without scanners before the first look."""
    return {
        "schema_version": 1,
        "made_at": overview.made_at.isoformat(timespec="seconds") if overview else None,
        "baseline_exams": overview.rule.baseline if overview else None,
        "window_exams": overview.rule.window if overview else None,
        "scanners": [_scanner(one) for one in overview.scanners] if overview else [],
    }


def _scanner(one: ScannerDrift) -> dict[str, Any]:
    return {
        "scanner": one.key,
        "name": one.name,
        "state": one.state.value,
        "first_seen": one.first_seen.isoformat(timespec="seconds"),
        "last_seen": one.last_seen.isoformat(timespec="seconds"),
        "exams": one.n_exams,
        "not_read": one.n_not_read,
        "is_new": one.is_new,
        "is_silent": one.is_silent,
        "remarks": [str(text) for text in wording.remarks_of(one)],
        "advice": str(wording.advice_of(one)),
        "systems": [_system(found) for found in one.systems],
    }


def _system(one: SystemDrift) -> dict[str, Any]:
    last = one.last
    return {
        "system": one.system,
        "models": list(one.models),
        "state": one.state.value,
        "meaning": str(wording.meaning_of(one)),
        "exams": one.n_exams,
        "exams_wanted": one.n_wanted,
        "drifts_since": one.since.isoformat(timespec="seconds") if one.since else None,
        "exams_after_baseline": last.n_after if last else None,
        "threshold": one.threshold,
        "card_specificity": one.specificity,
        "called": {
            "baseline": last.called.reference.share,
            "now": last.called.now.share,
            "interval": list(last.called.now.interval),
            "p": last.called.p,
        }
        if last
        else None,
        "positions": [
            {
                "view": moved.position,
                "mean_baseline": moved.mean_reference,
                "mean_now": moved.mean_now,
                "psi": moved.psi,
                "ks": moved.test.distance,
                "p": moved.test.p,
            }
            for moved in (last.positions if last else ())
        ],
    }


def _shown(node: Node) -> DriftOverview | None:
    if node.quality is None:
        raise Unavailable(N_("this node tells nothing about its scores"), N_("ask the node itself"))
    return node.quality()
