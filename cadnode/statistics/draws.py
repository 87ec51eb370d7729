"""Which seed bootstraps and folds draw with: 0, or that of the command that is running."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_SEED: Final[ContextVar[int]] = ContextVar("seed", default=0)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block, of this thread, everything that is given no seed of its own draws with it.

    A bootstrap is far below the command whose option it is, behind statistics that have no other
    use for it.
    """
    token = _SEED.set(seed)
    try:
        yield
    finally:
        _SEED.reset(token)


def seed_or(given: int | None) -> int:
    """The seed that was given, else that of the block one is in; 0 outside of any."""
    return _SEED.get() if given is None else given
