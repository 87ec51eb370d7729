"""What one command has already read, shared by its numbers and its page."""

from collections.abc import Hashable
from typing import Any


class ReadCache:
    """A dictionary for each thing that was read.

    Passed from an evaluation to its page, so that images are read once.
    """

    def __init__(self) -> None:
        self._read: dict[Hashable, dict[Any, Any]] = {}

    def of(self, what: Hashable) -> dict[Any, Any]:
        """The entries of `what`, to be added to.

        `what` must name everything that the values depend on, but for the files, which do not
        change while a command runs.
        """
        return self._read.setdefault(what, {})
