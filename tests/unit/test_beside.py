"""Work beside one's own: it runs, and what has not begun is left out at the block's end."""

import threading
from concurrent.futures import Future

import pytest

from cadnode.beside import beside, kept_running


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


def test_what_is_kept_running_is_told_to_stop_and_waited_for() -> None:
    began, ended = threading.Event(), threading.Event()

    def run(stopping: threading.Event) -> None:
        began.set()
        stopping.wait(30)
        ended.set()

    with kept_running(run, "a thread", within_s=None):
        assert began.wait(30)
        assert "a thread" in {thread.name for thread in threading.enumerate()}
        assert not ended.is_set()
    assert ended.is_set()


def test_what_is_kept_running_stops_when_the_block_fails() -> None:
    ended = threading.Event()

    def run(stopping: threading.Event) -> None:
        stopping.wait(30)
        ended.set()

    with pytest.raises(ValueError, match="mine"), kept_running(run, "a thread", within_s=None):
        raise ValueError("mine")
    assert ended.is_set()
