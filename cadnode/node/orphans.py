"""Ends a process whose parent is gone, whatever it does at that moment: no role outlives its node.

Three ways, because none covers every moment. The kernel kills the child when its parent dies
(`PR_SET_PDEATHSIG`, prctl(2); Linux), also while a library computes for minutes or holds Python's
lock. Standard input, of which the parent holds the other end, tells that the parent had died
before that was set. And a thread waits for the end of that input, where there is no such signal.
"""

import ctypes
import os
import select
import signal
import stat
import sys
import threading
import time
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_GRACE_S: Final = 20.0  # without a signal of the kernel: to finish what is in hand
EXIT_CODE: Final = 70  # EX_SOFTWARE


def end_with_parent() -> bool:
    """Have this process end with the one that holds the other end of its standard input.

    False when nobody does: it is run by hand. Where the parent is gone already, the process ends.
    A child of this process needs the same of its own: the signal is not inherited.
    """
    if not _has_parent():
        return False
    _be_killed_with_parent()
    if is_orphan():  # it died before
        os._exit(EXIT_CODE)
    threading.Thread(target=_wait_for_end, name="orphan", daemon=True).start()
    return True


def end_with(parent: int) -> None:
    """Have this process end with the one of that number, which started it and named itself."""
    _be_killed_with_parent()
    if os.getppid() != parent:  # it died before
        os._exit(EXIT_CODE)
    threading.Thread(target=_wait_for_another, args=(parent,), name="orphan", daemon=True).start()


def _be_killed_with_parent() -> None:
    """In Linux it is the thread that started this process whose end counts: it must wait for it."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def is_orphan() -> bool:
    """Whether the parent is gone, which held the other end of standard input.

    It writes nothing there, so that only the end of the pipe can be read, also by a role whose
    supervisor died before the role had begun.
    """
    if not _has_parent():
        return False  # run by hand
    readable, _, _ = select.select([0], [], [], 0)
    return bool(readable)


def _has_parent() -> bool:
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _wait_for_end() -> None:
    select.select([0], [], [])
    time.sleep(_GRACE_S)
    os._exit(EXIT_CODE)


def _wait_for_another(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(EXIT_CODE)
