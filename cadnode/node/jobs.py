"""What jobs are called and how they end, and what the job database records of them.

The HTTP side reads it and runs none of them. Only indexed look-ups, by identifier or by status: as
quick with a million finished jobs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy.exc import SQLAlchemyError

from cadnode.node import retry
from cadnode.node.job_database import Client, answer_within

ANSWER_WITHIN_S: Final = 5.0
OPEN: Final = ("ENQUEUED", "DELAYED", "PENDING")
REGIONS: Final = "regions"  # the queue of regions that somebody asks about
FAILED: Final = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


class FetchStatus(StrEnum):
    """The outcome of one attempt to fetch a study."""

    FETCHED = "fetched"
    NOTHING_ASKED = "nothing_asked"  # another attempt serves the request
    FAILED = "failed"  # permanently
    RETRY = "retry"
    INTERRUPTED = "interrupted"  # the node stops


class ProcessStatus(StrEnum):
    """How one attempt to read and report a content ended."""

    REPORTED = "reported"
    CHANGED_MEANWHILE = "changed_meanwhile"
    TRIED_AGAIN_LATER = "tried_again_later"


class DeliveryStatus(StrEnum):
    """The outcome of one attempt at a delivery, or of all of them."""

    DELIVERED = "delivered"
    UNVERIFIED = "unverified"
    """Delivered, too: the destination had objects of these UIDs already, and it could not be
    checked whether they are ours (`deliver.held`)."""
    RETRY = "retry"
    AWAITING_COMMITMENT = "awaiting_commitment"
    """Stored by the destination, which has not confirmed yet that it keeps it."""
    REFUSED = "refused"
    REFUSED_FOR_NOW = "refused_for_now"
    """Of one attempt: refused for a cause that can pass (`deliver.answers`); then "refused"."""
    GIVEN_UP = "given_up"
    SUPERSEDED = "superseded"
    """Not sent any more: the study was read again, and the newer result goes instead."""
    DROPPED = "dropped"
    """Given up on purpose: the record says by whom, and why."""

    @property
    def has_arrived(self) -> bool:
        """Whether the destination has the result."""
        return self in (DeliveryStatus.DELIVERED, DeliveryStatus.UNVERIFIED)

    @property
    def is_settled(self) -> bool:
        """Whether nothing is owed to the destination any more."""
        return self.has_arrived or self in (DeliveryStatus.SUPERSEDED, DeliveryStatus.DROPPED)


class RegionStatus(StrEnum):
    """How one attempt to assess a region ended."""

    ASSESSED = "assessed"
    FAILED = "failed"
    GONE = "gone"  # with its study
    TRIED_AGAIN_LATER = "tried_again_later"


class ShadowEnd(StrEnum):
    """How a reading in shadow mode ended."""

    OFF = "off"
    DONE = "done"
    INTERRUPTED = "interrupted"  # it will be restarted
    FAILED = "failed"


def process_id(study: str, content: str, attempt: int) -> str:
    """Identifier of one attempt to read one content of a study."""
    return f"process-{study}-{content}-{attempt}"


def process_ids(study: str, content: str) -> list[str]:
    """Identifiers of the attempts to read one content of a study, in order."""
    return [process_id(study, content, attempt) for attempt in retry.READING.attempts()]


def deliver_id(study: str, content: str, destination: str) -> str:
    """Identifier of the delivery of one content of a study."""
    return f"deliver-{study}-{content}-{destination}"


def delivery_of(identifier: str) -> tuple[str, str, str]:
    """(study, content, destination) of any job of a delivery."""
    _, study, content, destination = identifier.split("-", 3)
    return study, content, destination


def region_id(study: str, region: str, tries: int, attempt: int = 0) -> str:
    """Identifier of one attempt to assess a region that was asked about for the `tries`th time."""
    return f"region-{study}-{region}-{tries}-{attempt}"


def again_id(token: str, study: str, content: str, destination: str) -> str:
    """Identifier of a later try of a delivery; `token`, hexadecimal digits, is only its own."""
    return f"again{token}-{study}-{content}-{destination}"


class JobsUnavailable(Exception):
    """The job database does not answer."""


@dataclass(frozen=True, slots=True)
class Job:
    """One workflow. Times are seconds since the epoch; `output` is None until it has ended."""

    identifier: str
    name: str
    status: str
    output: str | None
    created_at: float
    updated_at: float

    @property
    def is_open(self) -> bool:
        """Whether the job still waits or runs."""
        return self.status in OPEN

    @property
    def is_running(self) -> bool:
        """Whether the job has started and not ended."""
        return self.status == "PENDING"

    @property
    def has_failed(self) -> bool:
        """Whether the job failed and is not retried."""
        return self.status in FAILED


class JobLookup:
    """The job database, read-only. Threads may share it. It connects on first use."""

    def __init__(self, database_url: str) -> None:
        self._client = Client(database_url)

    def find(self, identifiers: Iterable[str]) -> dict[str, Job]:
        """Those of these jobs that exist, by identifier. Raises `JobsUnavailable`."""
        wanted = list(identifiers)
        return {j.identifier: j for j in self._list(workflow_ids=wanted)} if wanted else {}

    def open_jobs(self, *names: str) -> list[Job]:
        """Jobs of these names that wait or run, the oldest first. Raises `JobsUnavailable`."""
        return self._list(name=list(names), status=list(OPEN), load_output=False)

    def failed_since(self, since: datetime, *names: str) -> list[Job]:
        """Jobs of these names that failed permanently since then. Raises `JobsUnavailable`."""
        return self._list(
            name=list(names), status=list(FAILED), completed_after=since.isoformat(),
            load_output=False,
        )  # fmt: skip

    def ended_since(self, since: datetime, *names: str) -> list[Job]:
        """Jobs of these names that ended since then, with outputs. Raises `JobsUnavailable`."""
        return self._list(name=list(names), status="SUCCESS", completed_after=since.isoformat())

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _list(self, **wanted: Any) -> list[Job]:
        try:
            client = self._client.current()
            found = answer_within(
                ANSWER_WITHIN_S, lambda: client.list_workflows(load_input=False, **wanted)
            )
        except (SQLAlchemyError, TimeoutError) as error:
            raise JobsUnavailable(type(error).__name__) from None
        return [
            Job(
                identifier=status.workflow_id,
                name=status.name,
                status=status.status,
                output=status.output if isinstance(status.output, str) else None,
                created_at=(status.created_at or 0) / 1000,
                updated_at=(status.updated_at or 0) / 1000,
            )
            for status in found
        ]
