"""What the tests with real peers share."""

from collections.abc import Iterator
from functools import cache

import pytest

from cadnode.node import readers


@pytest.fixture(scope="module")
def models_loaded_once() -> Iterator[None]:
    """The first command that reads in this process loads the models for all, as a node does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readers, "load", cache(readers.load))
        yield
