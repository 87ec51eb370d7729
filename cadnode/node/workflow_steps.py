"""What the durable workflow does at each step, and what starts it: bound by `cadnode.node`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cadnode.node.fetch_workflow import Fetch


@dataclass(frozen=True, slots=True)
class Steps:
    """What the workflow does at each step; `app` binds them to spool, models and destinations.

    `fetch(study, ticket, waited_s)` fetches a study that was asked for (`node.fetch_workflow`);
    `fingerprint(study)` is the spool's content now ("" when there is nothing to read);
    `read(study, fingerprint)` returns False when the content has changed meanwhile;
    `predecessor(study, fingerprint)` is the fingerprint last reported for the study, or "";
    `report(study, fingerprint, predecessor, made_at)` returns the number of things made that a
    destination may get: with none of them, nothing is delivered;
    `deliver(study, fingerprint, destination)` returns "delivered", "unverified", "retry" or
    "refused";
    `shadow(study, fingerprint)` says how it ended: "interrupted" when it must begin again;
    `has_result(study, fingerprint)` tells whether this content is reported;
    `one_at_a_time` names destinations that are to get one study's results after the other's.
    """

    fetch: Fetch
    fingerprint: Callable[[str], str]
    read: Callable[[str, str], bool]
    predecessor: Callable[[str, str], str]
    report: Callable[[str, str, str, str], int]
    deliver: Callable[[str, str, str], str]
    shadow: Callable[[str, str], str]
    has_result: Callable[[str, str], bool]
    now: Callable[[], datetime]
    destinations: tuple[tuple[str, float], ...]
    one_at_a_time: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Start:
    """Starts workflows for a study from the worker's own process."""

    consider: Callable[[str], None]
    fetch: Callable[[str], None]
