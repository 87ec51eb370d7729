"""What is wrong with the audit trail: events that are lost, a repository that does not get it."""

import time
from collections.abc import Iterator
from typing import Any, Final

from cadnode.audit import files
from cadnode.audit.forwarder import Backlog, backlog
from cadnode.settings import Settings
from cadnode.web.node import HealthProblem

LATE_S: Final = 3600.0
LOOKS_BACK_S: Final = 86400.0


def audit_as_dict(settings: Settings) -> dict[str, Any]:
    """For JSON: what is lost and what waits; nothing where there is neither nor a repository."""
    folder = settings.storage.folder / files.FOLDER
    lost, waiting = files.lost_of(folder).waiting, _backlog(settings)
    if not lost and settings.audit.syslog_host is None:
        return {}
    return {"lost": lost, "waiting": waiting.waiting, "oldest_s": round(_age_s(waiting))}


def audit_problems(settings: Settings) -> Iterator[HealthProblem]:
    """What is wrong with the trail now."""
    lost = files.lost_of(settings.storage.folder / files.FOLDER)
    if lost.waiting:
        yield HealthProblem(
            "audit_lost", f"Events that the audit trail lacks: {lost.waiting}",
            "is the disk of storage.folder full or failing, or STORAGE/audit not the node's? the "
            "trail says how many when it can be written again", failing=False, lasting=True,
        )  # fmt: skip
    elif time.time() - lost.at < LOOKS_BACK_S:
        yield HealthProblem(
            "audit_lost", "Events of the last day are missing in the audit trail",
            "`cadnode audit show` says how many and where (events lost)",
            failing=False, lasting=True,
        )  # fmt: skip
    waiting = _backlog(settings)
    if (age_s := _age_s(waiting)) > LATE_S:
        why = f": {waiting.problem}" if waiting.problem else ""
        yield HealthProblem(
            "audit_not_forwarded",
            f"The audit repository has not had the trail for {age_s / 3600:.0f} h; lines that "
            f"wait: {waiting.waiting}{why}",
            "is it running, and are audit.syslog_host, syslog_ca_file and our certificate right? "
            "nothing is lost meanwhile", failing=False, lasting=True,
        )  # fmt: skip


def _backlog(settings: Settings) -> Backlog:
    if settings.audit.syslog_host is None:
        return Backlog()
    try:
        return backlog(settings.storage.folder / files.FOLDER)
    except OSError:  # the disk is away: it is a problem of its own
        return Backlog()


def _age_s(waiting: Backlog) -> float:
    return 0.0 if waiting.oldest_at is None else max(0.0, time.time() - waiting.oldest_at)
