"""The durable workflow, on DBOS: a killed worker goes on after the last finished step.

    request ──> fetch(study) ─┐            (cadnode.node.fetch_workflow)
    arrival ──debounced──> consider(study) ──once per content──> read ─> report ─> deliver × N
                                                                       after the first └─> shadow

- `consider` looks at what the spool holds now and starts `process` under an identifier made of
  the study and its content: the same content is read once, however often it is announced.
- `process` reads, reports and starts one `deliver` per destination. What fails is tried again
  later under a new identifier, holding up nobody meanwhile. When somebody asks for the study at
  once, `consider` first forgets attempts that came to no result, and deliveries that were refused
  or given up: they begin anew (`cadnode.node.resubmission`).
- `deliver` tries until the destination has taken the objects, has refused for good, or the
  configured time is over. Between tries it sleeps durably.
- `shadow` reads once more with other versions, when a destination has taken the result (or there
  is none): nothing waits for it, and its failure ends with it.

Arguments and results are keys, codes and counts: nothing of the patient enters the database.
"""

from collections.abc import Sequence

from dbos import (
    DBOS,
    DBOSConfig,
    DebouncerClient,
    SetEnqueueOptions,
    SetWorkflowID,
)
from sqlalchemy.exc import SQLAlchemyError

from cadnode.errors import SettingsError
from cadnode.log import get_logger
from cadnode.node import fetch_workflow, job_database, resubmission, retry
from cadnode.node.fetch_workflow import FETCHES
from cadnode.node.job_database import JsonSerializer, client_of
from cadnode.node.jobs import deliver_id, process_id
from cadnode.node.workflow_steps import Start, Steps

ARRIVALS = "arrivals"
STUDIES = "studies"
SHADOWS = "shadows"
JOBS_VERSION = "1"  # raise when a workflow's steps change: old jobs then finish on old code only

log = get_logger("jobs")


def config(database_url: str) -> DBOSConfig:
    """DBOS configuration of a worker."""
    return {
        "name": "cadnode",
        "system_database_url": database_url,
        "application_version": JOBS_VERSION,
        "executor_id": "worker",
        "serializer": JsonSerializer(),
        "log_level": "CRITICAL",  # its texts may quote arguments; our own lines tell what happened
        "notification_listener_polling_interval_sec": 0.5,
    }


def delivery_queue(destination: str) -> str:
    """Each destination has a queue of its own: a dead one holds up no other."""
    return f"deliver-{destination}"


def register(steps: Steps) -> Start:
    """Register the workflows with DBOS."""

    @DBOS.step(name="fingerprint")
    def fingerprint(study: str) -> str:
        return steps.fingerprint(study)

    @DBOS.step(name="read")
    def read(study: str, content: str) -> bool:
        return steps.read(study, content)

    @DBOS.step(name="predecessor")
    def predecessor(study: str, content: str) -> str:
        return steps.predecessor(study, content)

    @DBOS.step(name="now")
    def now() -> str:
        return steps.now().isoformat()

    @DBOS.step(name="report")
    def report(study: str, content: str, old: str, made_at: str) -> int:
        return steps.report(study, content, old, made_at)

    @DBOS.step(name="deliver")
    def deliver_once(study: str, content: str, destination: str) -> str:
        return steps.deliver(study, content, destination)

    names = [name for name, _ in steps.destinations]

    @DBOS.step(name="undelivered")
    def undelivered(study: str, content: str) -> list[str]:
        return resubmission.undelivered(study, content, names, steps.has_result)

    @DBOS.step(name="forget")
    def forget(study: str, content: str) -> int:
        return resubmission.forget_failures(study, content, names, steps.has_result)

    @DBOS.step(name="shadow")
    def shadow_once(study: str, content: str) -> str:
        return steps.shadow(study, content)

    @DBOS.workflow(name="shadow")
    def shadow(study: str, content: str, attempt: int) -> str:
        try:
            answer = shadow_once(study, content)
        except Exception as error:
            # Nobody waits for a shadow: it ends here, and the next exam has another.
            log.error("shadow_failed", study=study, reason="error", error=error)
            return "failed"
        if answer == "interrupted":
            cast_shadow(study, content, attempt + 1)
        return answer

    def cast_shadow(study: str, content: str, attempt: int = 0) -> None:
        """Once per content and attempt, whoever asks first."""
        with SetWorkflowID(f"shadow-{study}-{content}-{attempt}"):
            DBOS.enqueue_workflow(SHADOWS, shadow, study, content, attempt)

    @DBOS.workflow(name="deliver")
    def deliver(study: str, content: str, destination: str, give_up_after_s: float) -> str:
        answer = delivered(study, content, destination, give_up_after_s)
        cast_shadow(study, content)
        return answer

    def delivered(study: str, content: str, destination: str, give_up_after_s: float) -> str:
        strategy = retry.DELIVERY.until(give_up_after_s)
        waited_s, attempt = 0.0, 1
        while (answer := one_try(study, content, destination)) == "retry":
            pause_s = strategy.pause_s(attempt, waited_s)
            if pause_s is None:
                log.error("delivery_given_up", study=study, destination=destination)
                return "given_up"
            DBOS.sleep(pause_s)
            waited_s, attempt = waited_s + pause_s, attempt + 1
        log.info(
            "delivery_ended", study=study, destination=destination, status=answer, attempt=attempt
        )
        return answer

    def one_try(study: str, content: str, destination: str) -> str:
        try:
            return deliver_once(study, content, destination)
        except Exception as error:
            # A delivery that breaks does not disappear: it is tried until it is given up.
            log.error("delivery_failed", study=study, destination=destination, error=error)
            return "retry"

    def send_to(study: str, content: str, chosen: Sequence[str]) -> None:
        for destination, give_up_after_s in steps.destinations:
            if destination in chosen:
                with SetWorkflowID(deliver_id(study, content, destination)):
                    DBOS.enqueue_workflow(
                        delivery_queue(destination),
                        deliver, study, content, destination, give_up_after_s,
                    )  # fmt: skip

    def read_and_report(study: str, content: str) -> str:
        if not read(study, content):
            return "changed_meanwhile"
        if report(study, content, predecessor(study, content), now()):
            send_to(study, content, names)
            if not steps.destinations:
                cast_shadow(study, content)
        return "reported"

    @DBOS.workflow(name="process")
    def process(study: str, content: str, attempt: int) -> str:
        try:
            return read_and_report(study, content)
        except Exception as error:
            # The worker loop: whatever went wrong with one study, the next one is read.
            log.error("study_failed", study=study, error=error, attempt=attempt)
            pause_s = retry.READING.pause_s(attempt + 1)
            if pause_s is None:
                raise
            with (
                SetWorkflowID(process_id(study, content, attempt + 1)),
                SetEnqueueOptions(delay_seconds=pause_s),
            ):
                DBOS.enqueue_workflow(STUDIES, process, study, content, attempt + 1)
            return "tried_again_later"

    @DBOS.workflow(name="consider")
    def consider(study: str, anew: bool = False) -> str:
        content = fingerprint(study)
        if content:
            if anew:
                to_send = undelivered(study, content)
                forget(study, content)
                send_to(study, content, to_send)
            with SetWorkflowID(process_id(study, content, 0)):
                DBOS.enqueue_workflow(STUDIES, process, study, content, 0)
        return content

    def start(study: str) -> None:
        DBOS.enqueue_workflow(ARRIVALS, consider, study)

    return Start(start, fetch_workflow.register(steps.fetch, consider, ARRIVALS))


def launch(steps: Steps, database_url: str) -> Start:
    """Start DBOS in this process with the workflows and queues."""
    job_database.mend()
    DBOS(config=config(database_url))
    start = register(steps)
    DBOS.launch()
    DBOS.register_queue(FETCHES, worker_concurrency=2, polling_interval_sec=0.25)
    DBOS.register_queue(ARRIVALS, worker_concurrency=4, polling_interval_sec=0.25)
    DBOS.register_queue(STUDIES, worker_concurrency=1, polling_interval_sec=0.25)
    DBOS.register_queue(SHADOWS, worker_concurrency=1, polling_interval_sec=1.0)
    for destination, _ in steps.destinations:
        DBOS.register_queue(
            delivery_queue(destination),
            worker_concurrency=1 if destination in steps.one_at_a_time else 2,
            polling_interval_sec=0.25,
        )
    return start


def stop(within_s: float) -> None:
    """Take up no more jobs and let running steps end for a while; the rest goes on next time."""
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
    except SQLAlchemyError as error:
        kind = type(error).__name__
        raise SettingsError(
            f"the job database (jobs.database_url) cannot be used: {kind}"
        ) from None


class Announcer:
    """The listener's side: tells the job database that something of a study has arrived.

    Arrivals are debounced: `consider` runs once the study has been quiet. Needs no workflow code.
    """

    def __init__(self, database_url: str) -> None:
        self._client = client_of(database_url)
        self._debouncer = DebouncerClient(
            self._client, {"workflow_name": "consider", "queue_name": ARRIVALS}
        )

    def announce(self, study: str, quiet_s: float) -> None:
        """Have `study` considered once nothing more was announced for `quiet_s` seconds."""
        self._debouncer.debounce(study, quiet_s, study)

    def fetch(self, study: str) -> None:
        """Have `study` fetched: its request is on disk already (`receive.fetch.requests`)."""
        self._client.enqueue({"workflow_name": "fetch", "queue_name": FETCHES}, study)

    def close(self) -> None:
        """Let go of the database."""
        self._client.destroy()
