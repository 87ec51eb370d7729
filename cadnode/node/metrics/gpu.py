"""The memory of the GPU that a worker reads on, as its driver says."""

import threading
from collections.abc import Callable
from typing import Final

from cadnode.node.metrics import table
from cadnode.node.metrics.counts import Counts

_EVERY_S: Final = 5.0

Memory = Callable[[], tuple[int, int]]
"""(free, size) in bytes."""


def watched(counts: Counts, name: str, memory: Memory) -> Callable[[threading.Event], None]:
    """A loop that sets the gauges of a GPU until its event is set; a driver that fails ends it."""

    def look(stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                free, size = memory()
            except RuntimeError:  # of CUDA: the reading itself says what is wrong
                return
            counts.set(table.GPU_USED, size - free, name)
            counts.set(table.GPU_TOTAL, size, name)
            stopping.wait(_EVERY_S)

    return look
