"""Work that is done beside one's own: in a thread, and given up when its result is not wanted."""

from collections.abc import Iterator
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
