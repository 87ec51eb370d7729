"""The page of the node's own log: what happened, by study, event, level, time and process."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from cadnode.log_files import CURSOR, LEVELS, ROLES, LogFilter, LogPage
from cadnode.phrases import N_, phrase
from cadnode.web.caller import caller_of
from cadnode.web.node import Node, Unavailable
from cadnode.web.queue import FilterWrong
from cadnode.web.study import KEY
from cadnode.web.templating import Templates
from cadnode.web.threads import Threads

READERS: Final = 2
LISTED: Final = 100
MOST_LINES: Final = 1000
_FIELDS: Final = ("study", "event", "level", "role", "since", "until")
_EVENT: Final = re.compile(r"[a-z0-9_]{0,64}")
_REFRESH_S: Final = 5


def routes(node: Node, templates: Templates) -> APIRouter:
    """The page's routes, and that of programs."""
    router, reading = APIRouter(), Threads(READERS)

    async def read(wanted: LogFilter) -> LogPage:
        log = node.log
        if log is None:
            raise Unavailable(N_("this node keeps no log"), N_("log.keep_mb says how much is kept"))
        return await reading.run(lambda: log(wanted))

    @router.get("/log", include_in_schema=False)
    async def page(request: Request) -> Response:
        fields = {name: request.query_params.get(name, "").strip() for name in (*_FIELDS, "after")}
        wrong: FilterWrong | None = None
        try:
            wanted = filter_of(fields, is_local=True)
        except FilterWrong as error:
            wanted, wrong = LogFilter(), error
        found = LogPage(()) if wrong else await read(wanted)
        return templates.page(
            "log.html.jinja", caller_of(request), 422 if wrong else 200,
            page=found, wanted=wanted, fields=fields, wrong=wrong, levels=LEVELS, roles=ROLES,
            newest=_address({**fields, "after": ""}),
            older=_address({**fields, "after": found.after}) if found.after else "",
            refresh_s=0 if wrong or wanted.after else _REFRESH_S,
        )  # fmt: skip

    @router.get("/api/log")
    async def lines(
        study: Annotated[str, Query(max_length=16)] = "",
        event: Annotated[str, Query(max_length=64)] = "",
        level: Annotated[str, Query(max_length=8)] = "",
        role: Annotated[str, Query(max_length=16)] = "",
        since: Annotated[str, Query(max_length=40)] = "",
        until: Annotated[str, Query(max_length=40)] = "",
        after: Annotated[str, Query(pattern=f"^({CURSOR})?$")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_LINES)] = LISTED,
    ) -> JSONResponse:
        """Lines of the log, the newest first; nothing in them names a patient.

        `study` is a key; `event` a part of an event's name; `level` the least severe one; `since`
        and `until` are times in UTC; `after` is that of the answer before.
        """
        fields = {"study": study, "event": event, "level": level, "role": role}
        fields |= {"since": since, "until": until, "after": after}
        found = await read(filter_of(fields, limit))
        return JSONResponse(
            {"lines": [line.as_dict() for line in found.lines], "after": found.after or None}
        )

    return router


def filter_of(
    fields: Mapping[str, str], limit: int = LISTED, *, is_local: bool = False
) -> LogFilter:
    """The filter that fields state; `is_local`: times without a zone are the node's, else UTC.

    Raises
    ------
    FilterWrong
        A field has a value that it cannot have.
    """
    study, event = fields.get("study", ""), fields.get("event", "")
    if study and not KEY.fullmatch(study):
        raise FilterWrong(
            N_("that is no study's key"),
            N_("it has 16 hexadecimal digits and stands in the address of the study's page"),
        )
    if not _EVENT.fullmatch(event):
        raise FilterWrong(N_("that is no event"), N_("events are words such as delivery_refused"))
    for name, known in (("level", LEVELS), ("role", ROLES)):
        if fields.get(name) and fields[name] not in known:
            raise FilterWrong(
                N_("there is no such level") if name == "level" else N_("there is no such process"),
                phrase("one of %(known)s", known=", ".join(known)),
            )
    after = fields.get("after", "")
    if after and not re.fullmatch(CURSOR, after):
        raise FilterWrong(N_("after is no place in the log"), N_("take it from the answer before"))
    return LogFilter(
        study, event, fields.get("level", ""), fields.get("role", ""),
        _time("since", fields.get("since", ""), is_local=is_local),
        _time("until", fields.get("until", ""), is_local=is_local),
        after, limit,
    )  # fmt: skip


def _time(name: str, word: str, *, is_local: bool) -> str:
    """A time as lines have it; "" without one."""
    if not word:
        return ""
    try:
        when = datetime.fromisoformat(word)
        if when.tzinfo is None:
            when = when.astimezone() if is_local else when.replace(tzinfo=UTC)
        return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (ValueError, OverflowError, OSError):
        raise FilterWrong(
            phrase("%(name)s is no time", name=name), N_("write a time as 2026-03-04T15:06")
        ) from None


def _address(fields: Mapping[str, str]) -> str:
    return "/log?" + urlencode({name: word for name, word in fields.items() if word})
