"""What an audit trail is told of the HTTP side: who did what with which study, from where.

It is recorded before the answer begins: nothing is shown that is not in the trail. What `rights`
calls a route's use is recorded with the answer's outcome; what does not pass is `REFUSED`. A page
refreshes itself and a program asks again and again: the same reading by the same caller, and the
same refusal, are recorded once in `SAME_S`, with how many were like it when they are recorded next.

Strangers fill no trail: what one is refused counts by the network of an address, and of more than
`MOST_STRANGERS` in that time the others are one, without an address. Wrong passwords alone are a
line each; `identity.attempts` bounds how many there can be.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cadnode.audit.event import Action, Actor, ActorKind, Event, EventOutcome, Recorder
from cadnode.identity.refusal import Refusal
from cadnode.identity.role import Identity
from cadnode.receive.admission import origin, plain_address
from cadnode.web.caller import Caller
from cadnode.web.study import key_of
from cadnode.web.threads import TRAIL, Threads

SAME_S: Final = 600.0
MOST_STRANGERS: Final = 200
_MOST_REMEMBERED: Final = 10_000
_FOLDED: Final = frozenset(
    {Action.QUERIED, Action.VIEWED, Action.EXPORTED, Action.REFUSED, Action.RECEIVED}
)
_UNKNOWN: Final = "unknown"


class NoRecorder:
    """Records nothing."""

    def record(self, event: Event) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Note:
    """What only the route knows: who logged in, or whose name was tried and why that failed."""

    identity: Identity | None = None
    detail: str | None = None
    name: str = ""


def note(
    request: Request, identity: Identity | None = None, detail: str | None = None, name: str = ""
) -> None:
    """Leave for the trail who it was, or why it failed: a code of ours, never foreign text."""
    request.state.note = Note(identity, detail, name)


class Folding:
    """Which events are like one that was recorded a short while ago. One thread uses it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known = _Recorded(_MOST_REMEMBERED)
        self._strangers = _Recorded(_MOST_REMEMBERED)
        self._n_strangers, self._count_ends = 0, 0.0

    def folded(self, event: Event) -> Event | None:
        """The event to record, with how many were like it; None where it is one of these."""
        is_refused_log_in = event.action is Action.LOG_IN_REFUSED and event.detail != Refusal.WRONG
        if event.action not in _FOLDED and not is_refused_log_in:
            return event
        now = self._clock()
        if event.actor.role is not None:
            return self._known.folded(event, event, now)
        return self._of_stranger(event, now)

    def _of_stranger(self, event: Event, now: float) -> Event | None:
        if now >= self._count_ends:
            self._n_strangers, self._count_ends = 0, now + SAME_S
        key = replace(event, actor=replace(event.actor, address=_network(event.actor.address)))
        if self._n_strangers >= MOST_STRANGERS and not self._strangers.is_recent(key, now):
            event = key = replace(event, actor=replace(event.actor, name=_UNKNOWN, address=None))
        found = self._strangers.folded(event, key, now)
        self._n_strangers += found is not None
        return found


class _Recorded:
    """What was recorded when, and how many like it were not, since; at most `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Event, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def is_recent(self, key: Event, now: float) -> bool:
        """Whether one was recorded lately."""
        return key in self._kept and now - self._kept[key][0] < SAME_S

    def folded(self, event: Event, key: Event, now: float) -> Event | None:
        """`event`, with how many of this `key` there were; None: one was recorded lately."""
        at, n = self._kept.get(key, (now - SAME_S, 0))
        if now - at < SAME_S:
            self._kept[key] = at, n + 1
            return None
        self._kept[key] = now, 0
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:  # forgotten is recorded again
            self._kept.popitem(last=False)
        if not n:
            return event
        detail = f"{event.detail}, and {n} like it" if event.detail else f"and {n} like it"
        return replace(event, detail=detail)


class Recording:
    """ASGI middleware that tells a recorder of each request which is somebody's act."""

    def __init__(
        self, app: ASGIApp, recorder: Recorder, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._recorder = recorder
        self._folding = Folding(clock)
        self._threads = Threads(TRAIL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what it was is recorded when its answer begins."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        was_recorded = False

        async def record(status: int) -> None:
            nonlocal was_recorded
            was_recorded = True
            for one in events_of(scope, status):
                if (event := self._folding.folded(one)) is not None:
                    await self._threads.run(partial(self._recorder.record, event))

        async def recorded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await record(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, recorded_send)
        except Exception:
            if not was_recorded:
                await record(500)
            raise


def note_each(request: Request, acts: Iterable[tuple[str, EventOutcome]]) -> None:
    """Leave for the trail what became of each of several studies, by their keys."""
    request.state.acts = list(acts)


def events_of(scope: Scope, status: int) -> list[Event]:
    """What a request is in an audit trail: of one that is about several studies an event each."""
    event, acts = event_of(scope, status), scope.get("state", {}).get("acts", ())
    if event is None:
        return []
    return [replace(event, study=key, outcome=how) for key, how in acts] or [event]


def event_of(scope: Scope, status: int) -> Event | None:
    """What a request that is answered with `status` is in an audit trail; None: nothing."""
    state = scope.get("state", {})
    right, denied, told = state.get("right"), state.get("denied"), state.get("note", Note())
    if right is None or (right.action is None and denied is None):
        return None
    action, outcome = right.action or Action.REFUSED, _outcome(status)
    if denied is not None:
        action, outcome = Action.REFUSED, EventOutcome.FAILURE
    elif action is Action.LOGGED_IN and outcome is not EventOutcome.SUCCESS:
        action = Action.LOG_IN_REFUSED
    elif action is Action.EXPORTED and Headers(scope=scope).get("sec-fetch-dest") == "iframe":
        action = Action.VIEWED  # in the study's page, which shows it
    name = state.get("study") or scope.get("path_params", {}).get("name")
    detail = told.detail or (denied.value if denied is not None else None)
    study = key_of(name) if name and denied is None else None
    return Event(action, outcome, _actor(scope, told, action), study, None, detail)


def _actor(scope: Scope, told: Note, action: Action) -> Actor:
    """Who a request is from: who logged in or tried to, else the caller that the gate found."""
    caller, address = scope["state"].get("caller"), (scope.get("client") or ("",))[0] or None
    if action is Action.LOG_IN_REFUSED:  # of a name that nobody has: it may be a password
        return Actor(ActorKind.PERSON, told.name or _UNKNOWN, None, address)
    identity = told.identity or (caller.identity if isinstance(caller, Caller) else None)
    if identity is None:
        return Actor(ActorKind.MACHINE, _UNKNOWN, None, address)
    kind = ActorKind.PERSON if identity.is_person else ActorKind.MACHINE
    return Actor(kind, identity.name, identity.role.word, address)


def _network(address: str | None) -> str | None:
    """Whose an address is: in IPv6 a host has a network of them."""
    try:
        return origin(plain_address(address or ""))
    except ValueError:
        return address


def _outcome(status: int) -> EventOutcome:
    if status < 400:
        return EventOutcome.SUCCESS
    return EventOutcome.FAILURE if status < 500 else EventOutcome.SERIOUS
