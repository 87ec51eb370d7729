"""One line of `cadnode check`: what was looked at, how it is, and what to do."""

from dataclasses import asdict, dataclass
from enum import StrEnum


class CheckVerdict(StrEnum):
    """How a check ended; only `FAILED` makes `cadnode check` exit non-zero."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing checked, with its verdict."""

    name: str
    verdict: CheckVerdict
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)
