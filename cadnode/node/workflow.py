"""The durable workflow, on DBOS: a killed worker continues after the last finished step.

    request ──> fetch(study) ─┐
    arrival ──debounced──> consider(study) ──once per content──> read ─> report ─> deliver × N
                                                                       after the first └─> shadow

- `fetch` tries once. A try that failed ends its workflow and starts another with a delay: a
  study that waits for a dead source delays no other. A further try carries the ticket that the
  request got for it, and its identifier is made of that: any other try under way for the study
  finds that its own ticket is void. Two tries never run at the same time; the second finds
  nothing asked for.
- `consider` reads what the spool holds now and starts `process` under an identifier made of
  the study and its content: the same content is read once, however often it is announced.
- What waits to be read is read by priority (`node.priority`), then in the order in which it came; a
  job that waits already is brought forward when somebody states a more urgent one.
- `process` reads, reports and starts one `deliver` per destination. What fails is tried again
  later under a new identifier, delaying no other study. When the study is requested at
  once, or its images are sent again, `consider` first forgets attempts that gave no result, and
  deliveries that did not arrive: they start again (`cadnode.node.resubmission`).
- `deliver` tries once, and starts its next try with a delay (`cadnode.node.delivery_workflow`).
- `answer` reports a content as not read, once, when it could not be read in the promised time; the
  reading that follows replaces that report.
- `region` assesses one region that somebody asks about, before the next view of an exam is read,
  and has the answer delivered; `marks` asks about those that came in objects of a study that is
  read (`cadnode.node.region_workflow`).
- `shadow` reads once more with other versions, when a destination has taken the result (or there
  is none): nothing waits for it, and its failure ends with it (`cadnode.node.shadow_workflow`).

Arguments and results are keys, codes and counts: nothing of the patient enters the database. What
a step does is bound at `launch` (`workflow_steps.Steps`, by `node.worker_steps`); the waits between
tries are in `node.retry`.
"""

from dataclasses import asdict
from typing import Any

from dbos import (
    DBOS,
    DBOSConfig,
    Debouncer,
    DebouncerClient,
    SetEnqueueOptions,
    SetWorkflowID,
)
from sqlalchemy.exc import SQLAlchemyError

from cadnode.errors import SettingsError
from cadnode.log import get_logger
from cadnode.node import job_database, poison, resubmission, retry
from cadnode.node.delivery_workflow import delivery_queue, retry_queue, send_again, send_to
from cadnode.node.job_database import Client, JsonSerializer
from cadnode.node.jobs import ANSWER_WITHIN_S, REGIONS, FetchStatus, ProcessStatus, process_id
from cadnode.node.region_workflow import POLLED_EVERY_S, marks, start_region
from cadnode.node.shadow_workflow import SHADOWS, cast_shadow
from cadnode.node.workflow_steps import FetchAnswer, Start, Steps, bind, bound

FETCHES = "fetches"
ARRIVALS = "arrivals"
STUDIES = "studies"
ANSWERS = "answers"
JOBS_VERSION = "1"  # raise when a workflow's steps change: old jobs then finish on old code only

log = get_logger("jobs")


def config(database_url: str, executor: str = "worker") -> DBOSConfig:
    """DBOS configuration of a worker; `executor` names it among others (`node.worker_lease`)."""
    return {
        "name": "cadnode",
        "system_database_url": database_url,
        "application_version": JOBS_VERSION,
        "executor_id": executor,
        "serializer": JsonSerializer(),
        "log_level": "CRITICAL",  # its texts may quote arguments; our own lines report events
        "notification_listener_polling_interval_sec": 0.5,
    }


@DBOS.step(name="fetch")
def _fetch(study: str, ticket: str, waited_s: float) -> dict[str, Any]:
    return asdict(bound().fetch(study, ticket, waited_s))


@DBOS.step(name="fingerprint")
def _fingerprint(study: str) -> str:
    return bound().fingerprint(study)


@DBOS.step(name="read")
def _read(study: str, content: str) -> bool:
    return bound().read(study, content)


@DBOS.step(name="predecessor")
def _predecessor(study: str, content: str) -> str:
    return bound().predecessor(study, content)


@DBOS.step(name="now")
def _now() -> str:
    return bound().now().isoformat()


@DBOS.step(name="report")
def _report(study: str, content: str, old: str, made_at: str) -> int:
    return bound().report(study, content, old, made_at)


@DBOS.step(name="undelivered")
def _undelivered(study: str, content: str) -> list[str]:
    return resubmission.undelivered(study, content, bound())


@DBOS.step(name="forget")
def _forget(study: str, content: str) -> int:
    return resubmission.forget_failures(study, content, bound())


@DBOS.step(name="answer")
def _answer(study: str, content: str, has_failed: bool) -> str:
    return bound().answer(study, content, has_failed)


@DBOS.step(name="has_failed")
def _has_failed(study: str, content: str) -> bool:
    return resubmission.has_failed(study, content)


@DBOS.workflow(name="fetch")
def fetch(study: str, ticket: str = "", waited_s: float = 0.0, pause_s: float = 0.0) -> str:
    """Try once to fetch a study that was asked for; returns a `FetchStatus`.

    A try that failed starts the next one, which knows the pauses so far by its arguments.
    """
    answer = FetchAnswer(**_fetch(study, ticket, waited_s))
    if answer.status in (FetchStatus.RETRY, FetchStatus.INTERRUPTED):
        pause_s = retry.FETCH.pause_after_s(pause_s)
        delay_s = pause_s if answer.status == FetchStatus.RETRY else 0.0
        with (
            SetWorkflowID(f"fetch-{study}-{answer.ticket}"),
            SetEnqueueOptions(delay_seconds=delay_s),
        ):
            DBOS.enqueue_workflow(FETCHES, fetch, study, answer.ticket, waited_s + delay_s, pause_s)
    elif answer.wait_s > 0:
        Debouncer.create(consider, queue=ARRIVALS).debounce(study, answer.wait_s, study, False)
    elif answer.wait_s == 0:
        DBOS.enqueue_workflow(ARRIVALS, consider, study, answer.again)
    if answer.status == FetchStatus.FETCHED:
        DBOS.enqueue_workflow(REGIONS, marks, study)
    return answer.status


@DBOS.workflow(name="consider")
def consider(study: str, afresh: bool = False) -> str:
    """Have the study's content read, once; returns its fingerprint.

    When it runs is decided before: the announcement waits as `readiness` says. `afresh`: the
    study's failed jobs are forgotten first.
    """
    content = _fingerprint(study)
    if content:
        if afresh:
            to_send = _undelivered(study, content)
            _forget(study, content)
            send_to(study, content, to_send)
        # No step: what it says now decides, also where this is done once more after a crash.
        place = bound().priority(study)
        job = process_id(study, content, 0)
        with SetWorkflowID(job), SetEnqueueOptions(priority=place or None):
            DBOS.enqueue_workflow(STUDIES, process, study, content, 0)
        resubmission.bring_forward(job, place)
    return content


@DBOS.workflow(name="process")
def process(study: str, content: str, attempt: int) -> str:
    """Read and report a content, and have it delivered; returns a `ProcessStatus`."""
    try:
        return _read_and_report(study, content)
    except Exception as error:
        # The worker loop: whatever failed with one study, the next one is read.
        log.error("study_failed", study=study, error=error, attempt=attempt)
        pause_s = retry.READING.pause_s(attempt + 1)
        if pause_s is None or poison.is_final(error):
            raise
        with (
            SetWorkflowID(process_id(study, content, attempt + 1)),
            SetEnqueueOptions(delay_seconds=pause_s, priority=bound().priority(study) or None),
        ):
            DBOS.enqueue_workflow(STUDIES, process, study, content, attempt + 1)
        return ProcessStatus.TRIED_AGAIN_LATER.value


def _read_and_report(study: str, content: str) -> str:
    if not _read(study, content):
        return ProcessStatus.CHANGED_MEANWHILE.value
    if _report(study, content, _predecessor(study, content), _now()):
        send_to(study, content, bound().names())
        if not bound().destinations:
            cast_shadow(study, content)
    return ProcessStatus.REPORTED.value


@DBOS.workflow(name="answer")
def answer(study: str, content: str, attempt: int) -> str:
    """Report a content as not read in time; returns the fingerprint of that report, or ""."""
    try:
        late = _answer(study, content, _has_failed(study, content))
    except Exception as error:
        # The promise stands: whatever failed, it is tried again.
        log.error("answer_failed", study=study, error=error, attempt=attempt)
        _start_answering(study, content, attempt + 1, retry.ANSWER.pause_s(attempt + 1))
        return ""
    if late:
        send_to(study, late, bound().names())
    return late


def _start_answering(
    study: str, content: str, attempt: int = 0, pause_s: float | None = 0.0
) -> None:
    """Once per content and attempt, whoever asks first."""
    if pause_s is not None:
        with (
            SetWorkflowID(f"answer-{study}-{content}-{attempt}"),
            SetEnqueueOptions(delay_seconds=pause_s or None),
        ):
            DBOS.enqueue_workflow(ANSWERS, answer, study, content, attempt)


def _start_considering(study: str) -> None:
    DBOS.enqueue_workflow(ARRIVALS, consider, study)


def _start_fetching(study: str) -> None:
    DBOS.enqueue_workflow(FETCHES, fetch, study)


def launch(
    steps: Steps, database_url: str, *, reads: bool = True, executor: str = "worker"
) -> Start:
    """Start DBOS in this process with the queues, and the workflows bound to `steps`.

    Unless it `reads`, what is to be read stays queued. What the worker `executor` left is taken up.
    """
    bind(steps)
    job_database.mend()
    dbos = DBOS(config=config(database_url, executor))
    if not reads:  # the queues stand in the database, of an earlier life or of other workers
        names = steps.names()
        later = [retry_queue(name, steps.one_at_a_time) for name in names]
        dbos.listen_queues([FETCHES, ARRIVALS, ANSWERS, *map(delivery_queue, names), *later])
    DBOS.launch()
    DBOS.register_queue(FETCHES, worker_concurrency=2, polling_interval_sec=0.25)
    DBOS.register_queue(ARRIVALS, worker_concurrency=4, polling_interval_sec=0.25)
    DBOS.register_queue(ANSWERS, worker_concurrency=1, polling_interval_sec=0.5)
    if reads:
        DBOS.register_queue(STUDIES, worker_concurrency=steps.n_at_once, polling_interval_sec=0.25)
        DBOS.register_queue(REGIONS, worker_concurrency=2, polling_interval_sec=POLLED_EVERY_S)
        DBOS.register_queue(SHADOWS, worker_concurrency=1, polling_interval_sec=1.0)
    several = job_database.is_shared(database_url)
    for destination, _ in steps.destinations:
        DBOS.register_queue(
            delivery_queue(destination),
            worker_concurrency=1 if destination in steps.one_at_a_time else 2,
            # Also of all workers together, where there may be several.
            global_concurrency=1 if several and destination in steps.one_at_a_time else None,
            polling_interval_sec=0.25,
        )
        if destination not in steps.one_at_a_time:
            DBOS.register_queue(
                retry_queue(destination, ()), worker_concurrency=2, polling_interval_sec=1.0
            )
    return Start(
        _start_considering, _start_fetching, send_to, send_again, _start_answering, start_region
    )


def stop(within_s: float) -> None:
    """Start no more jobs and let running steps end for a while; the rest continues next time."""
    DBOS.destroy(workflow_completion_timeout_sec=int(within_s))


def prepare(database_url: str) -> None:
    """Make the job database's tables when they are missing.

    Raises
    ------
    SettingsError
        The database cannot be reached or its tables cannot be made.
    """
    job_database.mend()
    try:
        DBOS.migrate(database_url)
        job_database.index_states(database_url)
    except SQLAlchemyError as error:
        kind = type(error).__name__
        raise SettingsError(
            f"the job database (jobs.database_url) cannot be used: {kind}"
        ) from None


class Announcer:
    """The listener's side: announces to the job database that something of a study has arrived.

    Arrivals are debounced: `consider` runs once the study has been quiet. Needs no workflow code.
    """

    def __init__(self, database_url: str) -> None:
        self._client = Client(database_url)

    def announce(self, study: str, quiet_s: float) -> None:
        """Have `study` considered once nothing more was announced for `quiet_s` seconds.

        Images that were sent again ask for what failed, too: it is tried once more.
        """
        debouncer = DebouncerClient(
            self._client.current(), {"workflow_name": "consider", "queue_name": ARRIVALS}
        )
        debouncer.debounce(study, quiet_s, study, True)

    def mark(self, study: str) -> None:
        """Have assessed what somebody drew in an object that has just come."""
        options: Any = {"workflow_name": "marks", "queue_name": REGIONS}
        self._client.current().enqueue(options, study)

    def fetch(self, study: str) -> None:
        """Have `study` fetched: its request is on disk already (`receive.fetch.requests`).

        Raises
        ------
        TimeoutError
            The job database does not answer.
        """
        client = self._client.current()
        job_database.answer_within(
            ANSWER_WITHIN_S,
            lambda: client.enqueue({"workflow_name": "fetch", "queue_name": FETCHES}, study),
        )

    def close(self) -> None:
        """Let go of the database."""
        self._client.close()
