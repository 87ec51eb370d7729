"""What is wrong with the audit trail: events that are lost, a repository that does not get it."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from cadnode.audit import files
from cadnode.audit.files import LostEvents
from cadnode.audit.forwarder import Backlog, backlog
from cadnode.settings import Settings
from cadnode.web.node import HealthProblem

LATE_S: Final = 3600.0
LOOKS_BACK_S: Final = 86400.0


@dataclass(frozen=True, slots=True)
class AuditState:
    """The events that the trail lacks, and those that a repository lacks, where there is one."""

    lost: LostEvents
    waiting: Backlog
    has_repository: bool

    @staticmethod
    def of(settings: Settings) -> "AuditState":
        """As the files are now."""
        lost = files.lost_of(settings.storage.folder / files.FOLDER)
        return AuditState(lost, _backlog(settings), settings.audit.syslog_host is not None)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what is lost, what waits; nothing without either and without a repository."""
        if not self.lost.waiting and not self.has_repository:
            return {}
        return {
            "lost": self.lost.waiting,
            "waiting": self.waiting.waiting,
            "oldest_s": round(_age_s(self.waiting)),
        }

    def problems(self) -> Iterator[HealthProblem]:
        """What is wrong with the trail."""
        if self.lost.waiting:
            yield HealthProblem(
                "audit_lost", f"Events that the audit trail lacks: {self.lost.waiting}",
                "is the disk of storage.folder full or failing, or STORAGE/audit not the node's? "
                "the trail says how many when it can be written again", failing=False,
                lasting=True,
            )  # fmt: skip
        elif time.time() - self.lost.at < LOOKS_BACK_S:
            yield HealthProblem(
                "audit_lost", "Events of the last day are missing in the audit trail",
                "`cadnode audit show` says how many and where (events lost)",
                failing=False, lasting=True,
            )  # fmt: skip
        if (age_s := _age_s(self.waiting)) > LATE_S:
            why = f": {self.waiting.problem}" if self.waiting.problem else ""
            yield HealthProblem(
                "audit_not_forwarded",
                f"The audit repository has not had the trail for {age_s / 3600:.0f} h; lines that "
                f"wait: {self.waiting.waiting}{why}",
                "is it running, and are audit.syslog_host, syslog_ca_file and our certificate "
                "right? nothing is lost meanwhile", failing=False, lasting=True,
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
