"""The workflow of one delivery: a try, and when it did not arrive, the next one with a delay.

A try that did not arrive ends its workflow and starts another, in another queue: however many
results wait, a fresh one goes first, and the next try of a study that an archive does not take
delays no other. The next try's identifier is made of a token.
"""

import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from typing import Any

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

from cadnode.log import get_logger
from cadnode.node import resubmission, retry
from cadnode.node.deliveries import again_of
from cadnode.node.delivery_schedule import Waited, next_delivery, next_question
from cadnode.node.job_database import StepFailed
from cadnode.node.jobs import DeliveryStatus, again_id, deliver_id
from cadnode.node.shadow_workflow import cast_shadow
from cadnode.node.workflow_steps import DeliveryNote, bound

log = get_logger("jobs")


def delivery_queue(destination: str) -> str:
    """Each destination has a queue of its own: a dead one delays no other."""
    return f"deliver-{destination}"


def retry_queue(destination: str, one_at_a_time: Collection[str]) -> str:
    """The queue of later tries; their own one, but where only one is to be on its way at a time."""
    return delivery_queue(destination) if destination in one_at_a_time else f"retry-{destination}"


@DBOS.step(name="deliver")
def _deliver(
    study: str, content: str, destination: str, give_up_after_s: float, before: Waited, old: str
) -> dict[str, Any]:
    """One try, and what follows it: `_Followed`."""
    steps = bound()
    if known := _known_end(study, content, destination, before):
        status, after = DeliveryStatus(known), None
    else:
        status, after = _one_try(study, content, destination, give_up_after_s, before)
    job = again_id(secrets.token_hex(6), study, content, destination) if after else ""
    pause_s = after.next_s if after else None
    steps.note(DeliveryNote(study, content, destination, status, pause_s, job))
    if old:
        resubmission.forget_ended(old)
    return {"status": status.value, "job": job, "after": asdict(after) if after else None}


def _known_end(study: str, content: str, destination: str, before: Waited) -> str:
    """How the delivery is known to have ended, so that nothing is sent; else "".

    A first try may be asked for of what arrived long ago. What arrived since its job was made was
    this job's own try, by a worker that died before it could say so.
    """
    if before.attempt > 1:
        return bound().settled(study, content, destination)
    jobs = DBOS.list_workflows(
        workflow_ids=[DBOS.workflow_id or ""], load_input=False, load_output=False
    )
    made_at_ms = jobs[0].created_at if jobs else None
    if made_at_ms is None:
        return ""
    return bound().arrived_since(study, content, destination, made_at_ms / 1000)


@DBOS.workflow(name="deliver", max_recovery_attempts=None)
def deliver(
    study: str,
    content: str,
    destination: str,
    give_up_after_s: float,
    before: dict[str, Any] | None = None,
    old: str = "",
) -> str:
    """Try once to deliver a content's results; returns the `DeliveryStatus` that it came to.

    `before` are the values of a `Waited`, None at the first try; `old` is the job of the last one.
    """
    waited = Waited(**before) if before else Waited()
    answer = _delivery_answer(study, content, destination, give_up_after_s, waited, old)
    status = DeliveryStatus(answer["status"])
    if answer["after"] is not None:
        after = Waited(**answer["after"])
        with (
            SetWorkflowID(answer["job"]),
            # Those that failed seldom go before those that failed often.
            SetEnqueueOptions(delay_seconds=after.next_s, priority=after.attempt),
        ):
            DBOS.enqueue_workflow(
                retry_queue(destination, bound().one_at_a_time),
                deliver, study, content, destination, give_up_after_s, asdict(after),
                (DBOS.workflow_id or "") if before else "",
            )  # fmt: skip
    if status not in (DeliveryStatus.RETRY, DeliveryStatus.AWAITING_COMMITMENT):
        log.info(
            "delivery_ended", study=study, destination=destination, status=status.value,
            attempt=waited.attempt,
        )  # fmt: skip
    if status is not DeliveryStatus.RETRY:
        cast_shadow(study, content)
    return status.value


def _delivery_answer(
    study: str, content: str, destination: str, give_up_after_s: float, before: Waited, old: str
) -> dict[str, Any]:
    """What `_deliver` answers. Version 0.1.0 answered with a word and slept here between tries."""
    strategy = retry.DELIVERY.until(give_up_after_s)
    waited_s = 0.0
    for attempt in count(1):
        answer: object = DeliveryStatus.RETRY.value
        with suppress(StepFailed):  # as that version recorded a try that broke
            answer = _deliver(study, content, destination, give_up_after_s, before, old)
        if isinstance(answer, dict):
            return answer
        pause_s = strategy.pause_s(attempt, waited_s)
        if answer != DeliveryStatus.RETRY or pause_s is None:
            is_over = answer == DeliveryStatus.RETRY
            return {
                "status": DeliveryStatus.GIVEN_UP.value if is_over else answer,
                "job": "",
                "after": None,
            }
        DBOS.sleep(pause_s)
        waited_s += pause_s
    raise AssertionError


def _one_try(
    study: str, content: str, destination: str, give_up_after_s: float, before: Waited
) -> tuple[DeliveryStatus, Waited | None]:
    try:
        answer = DeliveryStatus(bound().deliver(study, content, destination))
    except Exception as error:
        # A delivery that breaks does not disappear: it is tried until it is given up.
        log.error("delivery_failed", study=study, destination=destination, error=error)
        answer = DeliveryStatus.RETRY
    if answer.is_settled:
        return answer, None
    if answer is DeliveryStatus.AWAITING_COMMITMENT:
        delay_s = bound().commitment_pause_s(study, content, destination)
        followed = next_question(before, delay_s)
    else:
        followed = next_delivery(again_of(answer), before, give_up_after_s)
    if followed.status is DeliveryStatus.GIVEN_UP:
        log.error("delivery_given_up", study=study, destination=destination)
    return followed.status, followed.after


def send_to(study: str, content: str, chosen: Sequence[str]) -> None:
    """The first try for each of these destinations; once per content, whoever asks first."""
    for destination, give_up_after_s in bound().destinations:
        if destination in chosen:
            with SetWorkflowID(deliver_id(study, content, destination)):
                DBOS.enqueue_workflow(
                    delivery_queue(destination),
                    deliver, study, content, destination, give_up_after_s,
                )  # fmt: skip


def send_again(study: str, content: str, destination: str) -> None:
    """A further try, of a delivery whose last one is forgotten."""
    for name, give_up_after_s in bound().destinations:
        if name == destination:
            with SetWorkflowID(again_id(secrets.token_hex(6), study, content, name)):
                DBOS.enqueue_workflow(
                    delivery_queue(name), deliver, study, content, name, give_up_after_s
                )
