"""Work that is done beside one's own, in threads that end with a block."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def beside(name: str, threads: int = 1) -> Iterator[ThreadPoolExecutor]:
    """Threads for the block. At its end they are waited for, and what has not begun is left out.

    For what spends its time in libraries that let other threads work meanwhile (NumPy, OpenCV,
    Pillow's encoders). pydicom's settings and Python's filters of warnings belong to all threads
    at once: nothing that changes them (`exam.dicom_file.tolerant`) runs beside.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def kept_running(
    run: Callable[[threading.Event], object], name: str, *, within_s: float | None = 5.0
) -> Iterator[None]:
    """Within the block `run` goes on in a thread of that name; at the end it is told to stop.

    Parameters
    ----------
    run
        Returns soon after the event that it gets is set.
    name
        Of the thread.
    within_s
        How long its end is waited for; None: until it comes.
    """
    stopping = threading.Event()
    thread = threading.Thread(target=run, args=(stopping,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(within_s)
