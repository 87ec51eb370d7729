"""Names in the job database: identifiers of jobs, and the states that DBOS gives them."""

from typing import Final

MOST_ATTEMPTS: Final = 5  # 15 s, 1, 4, 16, 64 min: a full disk may have room again by then
OPEN: Final = ("ENQUEUED", "DELAYED", "PENDING")
FAILED: Final = ("ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


def process_id(study: str, content: str, attempt: int) -> str:
    """Identifier of one attempt to read one content of a study."""
    return f"process-{study}-{content}-{attempt}"


def process_ids(study: str, content: str) -> list[str]:
    """Identifiers of the attempts to read one content of a study, in order."""
    return [process_id(study, content, attempt) for attempt in range(MOST_ATTEMPTS + 1)]


def deliver_id(study: str, content: str, destination: str) -> str:
    """Identifier of the delivery of one content of a study."""
    return f"deliver-{study}-{content}-{destination}"
