"""When a new value of a setting is taken up: with a reload, or only when the node is restarted."""

from collections.abc import Iterable
from fnmatch import fnmatch
from typing import Final

FIXED: Final = ("storage.folder", "jobs.database_url", "web.enabled")
"""What a running node cannot change: a reload with another value of these is refused."""
OF_THE_SUPERVISOR: Final = ("audit.*", "log.keep_mb")
"""What it takes up with its next start alone; its roles do at once."""


def is_one_of(key: str, patterns: Iterable[str]) -> bool:
    """Whether a key, such as `log.level`, is among patterns such as `log.*`."""
    return any(fnmatch(key, pattern) for pattern in patterns)


def asks_for_restart(key: str) -> bool:
    """Whether a new value is taken up as a whole only when the node is restarted."""
    return is_one_of(key, (*FIXED, *OF_THE_SUPERVISOR))
