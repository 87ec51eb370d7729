"""What one command reads is read once: numbers and page share it, and it ends with the command."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_KEPT: ContextVar[dict[Hashable, dict[Any, Any]] | None] = ContextVar("kept", default=None)


@contextmanager
def remembering() -> Iterator[None]:
    """Inside this block `kept` gives the same dictionary to whoever names the same thing."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def kept(of: Hashable) -> dict[Any, Any]:
    """What is known of a thing already; outside of `remembering` nothing is.

    `of` must name everything that the values depend on, but for the files, which do not change
    while a command runs.
    """
    known = _KEPT.get()
    return {} if known is None else known.setdefault(of, {})
