"""A training in a process of its own that is killed in the middle of a step."""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import pytest


def killed_at(step: int, owner: Any, name: str, train: Callable[[], Any]) -> None:
    """Run `train` in a fork that kills itself (SIGKILL) when `owner.name` is called the n-th time.

    What the training wrote before stays; nothing is flushed, closed or tidied up.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads, Python 3.12
        child = os.fork()
    if child == 0:
        _killed(step, owner, name, train)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the training ended before it was killed"
    assert os.WTERMSIG(status) == signal.SIGKILL


def _killed(step: int, owner: Any, name: str, train: Callable[[], Any]) -> None:
    calls, whole = [], getattr(owner, name)

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(None)
        if len(calls) == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(*arguments, **options)

    try:
        pytest.MonkeyPatch().setattr(owner, name, counted)
        train()
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(3)
