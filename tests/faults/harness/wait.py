"""Waiting for conditions: nothing in here sleeps for a fixed time."""

import socket
import time
from collections.abc import Callable
from typing import Any


class NotReached(AssertionError):
    """A condition did not come true in time."""


def until(condition: Callable[[], Any], what: str, within_s: float, every_s: float = 0.1) -> Any:
    """The first true value of `condition`. Raises `NotReached` with `what`."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise NotReached(f"not within {within_s:.0f} s: {what}")
        time.sleep(every_s)
    return value


def comes_true(condition: Callable[[], Any], within_s: float, every_s: float = 0.1) -> bool:
    """Whether `condition` comes true in time."""
    try:
        until(condition, "", within_s, every_s)
    except NotReached:
        return False
    return True


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
