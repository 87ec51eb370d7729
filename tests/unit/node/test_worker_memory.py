"""What a worker holds for good is no work for the garbage collector; what it let go of is."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from cadnode.node.active_models import settled
from cadnode.reading import Readers


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_loaded_models_are_kept_out_of_collections_until_others_are_loaded() -> None:
    class Model:
        """Refers to itself, as modules of networks may."""

        def __init__(self) -> None:
            self.itself = self

    old = Model()
    seen = weakref.ref(old)
    readers = Readers()
    assert settled(lambda: readers) is readers
    assert gc.get_freeze_count() > 0

    del old
    gc.collect()
    assert seen() is not None  # frozen

    settled(Readers)
    assert seen() is None
