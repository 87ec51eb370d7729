"""The durable workflow that fetches a study, on DBOS.

    request on disk ──> fetch(study) ──> consider(study), as for a study that was sent to us
                          └── later, as often as the source is away ──> fetch(study) …

A try that failed ends its workflow and starts another with a delay: whoever waits for a dead
source holds up nobody. A further try carries the ticket that the request got for it, and its
identifier is made of that: whatever else was on its way for the study finds that its own ticket
is void. Two tries never run at the same time; who comes second is told that nothing is asked.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from dbos import DBOS, Debouncer, SetEnqueueOptions, SetWorkflowID

from cadnode.node import retry

FETCHES = "fetches"


@dataclass(frozen=True, slots=True)
class FetchAnswer:
    """What one try came to.

    `status` is "fetched", "nothing_asked" (somebody else serves the request), "failed" (for
    good), "retry" or "interrupted" (the node stops); `ticket` is that of the next try. `wait_s` is
    the quiet time after which the study is considered, negative when there is nothing to consider.
    `again`: somebody wants it now, so that what ended badly with it is tried once more.
    """

    status: str
    ticket: str = ""
    wait_s: float = -1.0
    again: bool = False


Fetch = Callable[[str, str, float], FetchAnswer]  # study, ticket ("": any), seconds waited so far


def register(
    fetch_study: Fetch, consider: Callable[[str, bool], str], arrivals: str
) -> Callable[[str], None]:
    """Register the workflow with DBOS; returns what starts it in this process.

    `consider` is the workflow that looks at what has arrived, `arrivals` its queue.
    """
    debouncer = Debouncer.create(consider, queue=arrivals)

    @DBOS.step(name="fetch")
    def fetch_once(study: str, ticket: str, waited_s: float) -> dict[str, Any]:
        return asdict(fetch_study(study, ticket, waited_s))

    @DBOS.workflow(name="fetch")
    def fetch(study: str, ticket: str = "", waited_s: float = 0.0, pause_s: float = 0.0) -> str:
        answer = FetchAnswer(**fetch_once(study, ticket, waited_s))
        if answer.status in ("retry", "interrupted"):
            pause_s = retry.FETCH.pause_after_s(pause_s)
            delay_s = pause_s if answer.status == "retry" else 0.0
            with (
                SetWorkflowID(f"fetch-{study}-{answer.ticket}"),
                SetEnqueueOptions(delay_seconds=delay_s),
            ):
                DBOS.enqueue_workflow(
                    FETCHES, fetch, study, answer.ticket, waited_s + delay_s, pause_s
                )
        elif answer.wait_s > 0:
            debouncer.debounce(study, answer.wait_s, study, False)
        elif answer.wait_s == 0:
            DBOS.enqueue_workflow(arrivals, consider, study, answer.again)
        return answer.status

    def start(study: str) -> None:
        DBOS.enqueue_workflow(FETCHES, fetch, study)

    return start
