"""What the durable workflows ask for at each step: `Steps`, which `node.worker_steps` has done.

`workflow`, `delivery_workflow` and `shadow_workflow` are functions of a module, as DBOS wants them;
what they do in this process is bound here, once, at the launch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cadnode.node.jobs import DeliveryStatus


@dataclass(frozen=True, slots=True)
class FetchAnswer:
    """The outcome of one attempt to fetch a study.

    `status` is one of `jobs.FetchStatus`; `ticket` is that of the next try. `wait_s` is the quiet
    time after which the study is considered, negative when there is nothing to consider. `again`:
    it was requested now, so that its failed jobs are tried once more.
    """

    status: str
    ticket: str = ""
    wait_s: float = -1.0
    again: bool = False


@dataclass(frozen=True, slots=True)
class DeliveryNote:
    """What followed a try that did not arrive, or that it did.

    `pause_s` is the time until the next try, by the job `job`; None: there is none by itself.
    """

    study: str
    content: str
    destination: str
    status: DeliveryStatus
    pause_s: float | None = None
    job: str = ""


Fetch = Callable[[str, str, float], FetchAnswer]  # study, ticket ("": any), seconds waited so far


@dataclass(frozen=True, slots=True)
class Steps:
    """What the workflow does at each step; the worker binds them to spool, models and destinations.

    `fetch(study, ticket, waited_s)` fetches a study that was asked for;
    `fingerprint(study)` is the spool's content now ("" when there is nothing to read);
    `read(study, fingerprint)` returns False when the content has changed meanwhile;
    `predecessor(study, fingerprint)` is the fingerprint last reported for the study, or "";
    `report(study, fingerprint, predecessor, made_at)` returns the number of outputs made that a
    destination may get: with none of them, nothing is delivered;
    `deliver(study, fingerprint, destination)` returns one of `jobs.DeliveryStatus`, which is never
    "given_up";
    `priority(study)` is its place in the queue of those that are to be read, the lowest first;
    `settled(study, fingerprint, destination)` returns how it is known to have ended, or "";
    `arrived_since(study, fingerprint, destination, since)` returns how a try at that time (seconds
    since the epoch) or later arrived, or "";
    `commitment_pause_s(study, fingerprint, destination)` returns the seconds until a destination is
    asked again to confirm what it stored, None when it is not asked any more;
    `note(note)` keeps what followed a try, for those who ask what is undelivered;
    `waiting(study, fingerprint)` returns the jobs of further tries, by destination, of what did not
    arrive ("": it is not tried again by itself);
    `answer(study, fingerprint, has_failed)` reports that a content is not read in time and returns
    the fingerprint of that report, "" when it is read or has changed meanwhile;
    `shadow(study, fingerprint)` returns how it ended: "interrupted" when it must be restarted;
    `has_result(study, fingerprint)` returns whether this content is reported;
    `assess_region(study, region)` returns how it ended ("assessed": there is something to deliver);
    `give_up_region(study, region)` answers that it failed each time;
    `mark_regions(study)` keeps what people drew in objects of a study that is read, as regions to
    assess, and returns their names and how often each was asked about;
    `n_at_once` is how many studies may be under way to their reading at the same time;
    `answer_takers` are the destinations that get the answers to regions;
    `destinations` are names, and for how many seconds each may be away;
    `one_at_a_time` names those that are to get one study's results after the other's.
    """

    fetch: Fetch
    fingerprint: Callable[[str], str]
    read: Callable[[str, str], bool]
    predecessor: Callable[[str, str], str]
    report: Callable[[str, str, str, str], int]
    deliver: Callable[[str, str, str], str]
    answer: Callable[[str, str, bool], str]
    shadow: Callable[[str, str], str]
    has_result: Callable[[str, str], bool]
    now: Callable[[], datetime]
    destinations: tuple[tuple[str, float], ...]
    priority: Callable[[str], int] = lambda study: 0
    settled: Callable[[str, str, str], str] = lambda study, content, destination: ""
    arrived_since: Callable[[str, str, str, float], str] = lambda s, c, d, since: ""
    commitment_pause_s: Callable[[str, str, str], float | None] = lambda s, c, d: None
    note: Callable[[DeliveryNote], None] = lambda note: None
    waiting: Callable[[str, str], Mapping[str, str]] = lambda study, content: {}
    one_at_a_time: frozenset[str] = frozenset()
    assess_region: Callable[[str, str], str] = lambda study, region: ""
    give_up_region: Callable[[str, str], None] = lambda study, region: None
    mark_regions: Callable[[str], Sequence[tuple[str, int]]] = lambda study: ()
    answer_takers: tuple[str, ...] = ()
    n_at_once: int = 1

    def names(self) -> list[str]:
        """The destinations' names, in their order."""
        return [name for name, _ in self.destinations]


@dataclass(frozen=True, slots=True)
class Start:
    """Starts workflows for a study from the worker's own process."""

    consider: Callable[[str], None]
    fetch: Callable[[str], None]
    deliver: Callable[[str, str, Sequence[str]], None]  # study, content, destinations
    deliver_again: Callable[[str, str, str], None]  # study, content, destination
    answer: Callable[[str, str], None]
    region: Callable[[str, str, int], None] = lambda study, region, tries: None


_bound: Steps | None = None


def bind(steps: Steps) -> None:
    """Have the workflows of this process do these."""
    global _bound
    _bound = steps


def bound() -> Steps:
    """The steps that this process launched the workflows with."""
    if _bound is None:
        raise RuntimeError("no workflow runs in this process")
    return _bound
