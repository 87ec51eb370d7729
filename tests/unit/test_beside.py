"""Work beside one's own: it runs, and what has not begun is left out at the block's end."""

import threading
from concurrent.futures import Future

import pytest

from cadnode.beside import beside


def test_work_is_done_in_another_thread() -> None:
    with beside("drawing") as pool:
        name = pool.submit(lambda: threading.current_thread().name).result()

    assert name.startswith("drawing")


def test_after_an_error_what_runs_is_waited_for_and_what_has_not_begun_is_left_out() -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []
    later: list[Future[None]] = []

    def slow() -> None:
        begun.set()
        go_on.wait(30)
        done.append("slow")

    def fail() -> None:
        with beside("drawing") as pool:
            pool.submit(slow)
            later.append(pool.submit(done.append, "later"))
            begun.wait(30)
            threading.Timer(0.2, go_on.set).start()
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()

    assert done == ["slow"]
    assert later[0].cancelled()
