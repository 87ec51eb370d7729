"""What is answered while slow pages hold all threads that routes share."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from cadnode.web.deliveries import OrderRefused
from cadnode.web.node import Node
from cadnode.web.study import StudyState
from tests.web_cases import DONE, OPERATORS_TOKEN, UID, Client, Told, Trail, known, served

BEARER = {"Authorization": f"Bearer {OPERATORS_TOKEN}"}
AT_ONCE_S = 5.0  # the slow ones take longer


class Slow(Told):
    """A node whose states of studies come when `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.go, self.n_waiting = threading.Event(), 0

    def node(self) -> Node:
        def state_of(_name: str) -> StudyState:
            self.n_waiting += 1
            self.go.wait(30)
            return DONE

        return replace(super().node(), state_of=state_of)


@contextmanager
def crowded(trail: Trail) -> Iterator[Client]:
    """A node on which fifty programs wait for a page that does not come."""
    slow = Slow()
    with served(slow, known(), trail) as client, ThreadPoolExecutor(50) as asking:
        for n in range(50):
            asking.submit(client.get, f"/api/studies/1.2.{n}", **BEARER)
        until = time.monotonic() + 10
        while slow.n_waiting < 40 and time.monotonic() < until:
            time.sleep(0.01)
        try:
            assert slow.n_waiting >= 40, "the threads are not full"
            yield client
        finally:
            slow.go.set()


def test_health_the_log_in_and_the_trail_have_threads_that_slow_pages_cannot_take() -> None:
    trail = Trail()
    with crowded(trail) as client:
        began = time.monotonic()
        assert client.get("/health").status_code == 200
        assert client.get("/login").status_code == 200
        assert client.get("/static/base.css").status_code == 200
        assert client.log_in("vera").status_code == 303
        assert client.get("/nothing").status_code == 404
        assert time.monotonic() - began < AT_ONCE_S
        assert trail.lines == [("log-in", "success", "vera", None)]


def test_an_order_that_is_refused_does_not_hold_the_event_loop() -> None:
    slow = Slow()
    slow.refusal = OrderRefused("nothing is undelivered", "look")
    with served(slow, known()) as client, ThreadPoolExecutor(1) as asking:
        client.log_in("otto")
        csrf = client.csrf()
        page = asking.submit(client.send, f"/studies/{UID}/retry", {"csrf": csrf})
        while not slow.n_waiting:
            time.sleep(0.01)
        try:
            began = time.monotonic()
            assert client.get("/health").status_code == 200
            assert time.monotonic() - began < AT_ONCE_S
        finally:
            slow.go.set()
        assert page.result().status_code == 404
