"""The pages of models: what is active and how good it is, shadows; an admin's changes."""

import re
from collections.abc import Callable
from functools import partial
from typing import Final, get_args

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from markupsafe import Markup

from cadnode.domain import SYSTEM_NAME, System
from cadnode.identity.role import Role
from cadnode.phrases import N_
from cadnode.web import model_figures
from cadnode.web.caller import by_whom, caller_of
from cadnode.web.cross_site import form_of
from cadnode.web.models import (
    SHARED,
    ModelAct,
    ModelDone,
    ModelOrder,
    ModelRefused,
    Models,
    ModelShown,
    ModelsShown,
)
from cadnode.web.node import Node, Unavailable
from cadnode.web.recording import note
from cadnode.web.templating import Templates
from cadnode.web.threads import Threads

LOOKS: Final = 2
ORDERS: Final = 1  # changes wait for each other
MOST_REASON: Final = 500
SYSTEMS: Final = (*(system.value for system in System), SHARED)
ACTS: Final = frozenset(get_args(ModelAct))
PROMOTION: Final = frozenset({"judge", "promote"})
SPECIFIC: Final = frozenset({"judge", "promote", "shadow_start"})
FIGURES: Final[dict[str, Callable[..., Markup]]] = {
    "roc": model_figures.roc,
    "calibration": model_figures.calibration,
    "measured": model_figures.measured,
    "scatter": model_figures.scatter,
    "bland_altman": model_figures.bland_altman,
}
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")
_VERSION: Final = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}")


def routes(node: Node, templates: Templates) -> APIRouter:
    """The pages' routes, and that of programs."""
    router, desk = APIRouter(), _Desk(node, templates)

    @router.get("/api/models")
    async def listed() -> JSONResponse:
        """Models with their cards, systems, history and shadows, as `cadnode models` shows them."""
        try:
            return JSONResponse((await desk.look()).as_dict())
        except ModelRefused as refused:
            return JSONResponse({"error": str(refused), "hint": "`cadnode models list`"}, 409)

    @router.get("/models", include_in_schema=False)
    async def models(request: Request) -> Response:
        try:
            shown = await desk.known()
        except (ModelRefused, Unavailable) as error:
            return desk.not_shown(request, error)
        if shown is None:
            return desk.not_yet(request)
        return templates.page(
            "models.html.jinja",
            caller_of(request),
            shown=shown,
            systems=_systems(shown),
            draw=FIGURES,
        )

    @router.get("/models/{system}", include_in_schema=False)
    async def one(system: str, request: Request) -> Response:
        query = request.query_params
        asked = _order(request, query.get("act", ""), dict(query)) if "act" in query else None
        return await desk.page(request, system, asked=asked, has_changed="changed" in query)

    _add_changes(router, desk)
    return router


def _add_changes(router: APIRouter, desk: "_Desk") -> None:
    """What an admin does with a button or form of a system's page, which is shown again."""

    async def ordered(request: Request, system: str, allowed: frozenset[str], act: str) -> Response:
        form = form_of(await request.body())
        order = _order(request, act or form.get("act", ""), form)
        try:
            shown = await desk.look()
            is_known = order is not None and _is_known(order, shown.of_system(system))
            if order is None or order.act not in allowed or not is_known:
                return await desk.page(
                    request, system, wrong=N_("There is no such model or change.")
                )
            note(request, detail=_told(order))
            done = await desk.carry_out(order)
        except (ModelRefused, Unavailable) as error:
            return await desk.page(request, system, wrong=str(error))
        if done.is_done:
            return RedirectResponse(f"/models/{system}?changed=1", 303)
        return await desk.page(request, system, judged=(order, done))

    @router.post("/models/{system}/change", include_in_schema=False)
    async def change(system: str, request: Request) -> Response:
        return await ordered(request, system, ACTS - PROMOTION, "")

    @router.post("/models/{system}/judge", include_in_schema=False)
    async def judge(system: str, request: Request) -> Response:
        return await ordered(request, system, frozenset({"judge"}), "judge")

    @router.post("/models/{system}/promote", include_in_schema=False)
    async def promote(system: str, request: Request) -> Response:
        return await ordered(request, system, frozenset({"promote"}), "promote")


def _told(order: ModelOrder) -> str:
    """What the trail is told: a model that the node knows, and a word of ours."""
    words = {"judge": "asked the rule, changed nothing"}.get(order.act, order.act)
    return f"{words} {order.spec}{' against the rule' if order.forced else ''}"


def _order(request: Request, act: str, fields: dict[str, str]) -> ModelOrder | None:
    """The order that a form states; None where it makes no sense."""
    name, version = fields.get("name", ""), fields.get("version", "")
    is_named = _NAME.fullmatch(name) and (not version or _VERSION.fullmatch(version))
    if act not in ACTS or not is_named:
        return None
    return ModelOrder.model_validate(
        {
            "act": act, "name": name, "version": version, "by": by_whom(request),
            "reason": fields.get("reason", "")[: MOST_REASON + 1],
            "forced": fields.get("forced", "")[: MOST_REASON + 1],
            # Browsers send ends of lines as CRLF; the history keeps the file's own sum.
            "evidence": fields.get("evidence", "").replace("\r\n", "\n"),
            "rule": fields.get("rule", "").replace("\r\n", "\n"),
        }
    )  # fmt: skip


class _Desk:
    """What the routes share: threads of their own, and the page of a system."""

    def __init__(self, node: Node, templates: Templates) -> None:
        self._node, self._templates = node, templates
        self._looking, self._ordering = Threads(LOOKS), Threads(ORDERS)
        self._knowing = Threads(LOOKS)  # never behind those that wait for a process

    @property
    def _models(self) -> Models:
        if self._node.models is None:
            raise Unavailable(
                N_("this node tells nothing about its models"), N_("ask the node itself")
            )
        return self._node.models

    async def look(self) -> ModelsShown:
        """What there is of models now."""
        return await self._looking.run(self._models.look)

    async def known(self) -> ModelsShown | None:
        """The same where that is known already."""
        return await self._knowing.run(self._models.known)

    async def carry_out(self, order: ModelOrder) -> ModelDone:
        """What became of an order."""
        return await self._ordering.run(partial(self._models.order, order))

    async def page(
        self, request: Request, system: str, *, asked: ModelOrder | None = None, wrong: str = "",
        judged: tuple[ModelOrder, ModelDone] | None = None, has_changed: bool = False,
    ) -> Response:  # fmt: skip
        """A system's page; with what is to be confirmed, or what the rule says, or what failed."""
        is_answer = bool(wrong) or judged is not None  # of an order: shown once, whatever it takes
        try:
            shown = await self.look() if is_answer else await self.known()
        except (ModelRefused, Unavailable) as error:
            return self.not_shown(request, error)
        may_be = re.fullmatch(SYSTEM_NAME, system) if shown is None else system in _systems(shown)
        if not may_be:
            return self._page_of_error(
                request, 404, N_("there is no such system"), N_("see all models")
            )
        if shown is None:
            return self.not_yet(request)
        caller, models = caller_of(request), shown.of_system(system)
        may_change = caller is not None and caller.may(Role.ADMIN)
        names = dict.fromkeys(model.name for model in models)
        if asked is not None and not _is_offered(asked, models):
            asked = None
        return self._templates.page(
            "model_system.html.jinja", caller, 409 if wrong else 200,
            system=system,
            state=shown.state_of(system),
            shown=shown,
            families={name: [m for m in models if m.name == name] for name in names},
            changes={name: [c for c in shown.history if c.name == name][::-1] for name in names},
            can_go_back={name: _can_go_back(name, shown) for name in names},
            may_change=may_change,
            asked=asked if may_change else None,
            judged=judged, wrong=wrong, has_changed=has_changed,
            draw=FIGURES,
        )  # fmt: skip

    def not_shown(self, request: Request, error: ModelRefused | Unavailable) -> Response:
        """The page that says that nothing can be said about models, and why."""
        hint = (
            error.hint if isinstance(error, Unavailable) else N_("`cadnode models list` says more")
        )
        status = 503 if isinstance(error, Unavailable) else 409
        return self._page_of_error(request, status, str(error), hint)

    def not_yet(self, request: Request) -> Response:
        """The page that asks for itself again until the models have been looked at."""
        return self._templates.page("models_not_yet.html.jinja", caller_of(request))

    def _page_of_error(self, request: Request, status: int, error: str, hint: str) -> Response:
        values = {"error": error, "hint": hint}
        return self._templates.page("not_shown.html.jinja", caller_of(request), status, **values)


def _systems(shown: ModelsShown) -> tuple[str, ...]:
    """The four, those of networks that were brought, and what all share."""
    named = {*(one.system for one in shown.systems), *(one.system for one in shown.models)}
    brought = named - {*SYSTEMS, ""}
    return (*SYSTEMS[:-1], *sorted(brought), SHARED)


def _can_go_back(name: str, shown: ModelsShown) -> bool:
    """Whether a change of what is active may be taken back; the order itself knows for sure."""
    forward = {"activate", "deactivate", "promote"}
    return any(change.name == name and change.action in forward for change in shown.history)


def _is_offered(order: ModelOrder, models: tuple[ModelShown, ...]) -> bool:
    """Whether a page has a button for an order: its model is there."""
    return order.act not in PROMOTION and _is_known(order, models)


def _is_known(order: ModelOrder, models: tuple[ModelShown, ...]) -> bool:
    """Whether a model is there; without a version where the order needs none."""
    versions = {m.version for m in models if m.name == order.name}
    return bool(versions) and order.version in {*versions, *(() if order.act in SPECIFIC else [""])}
