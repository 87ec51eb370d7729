"""The decoding process: takes frame after frame from its parent, within limits of its own.

`python -m cadnode.codecs.child SOCKET MEMORY LIFELINE`: three inherited descriptors. A message
on the socket is a `Frame`; its stream stands at the beginning of the memory, and the cells are
written behind it. The answer is two bytes: an `Answer`, and which of `DTYPES` the cells have. The
parent alone decides sizes and shapes. Nothing is pickled.

The lifeline is a pipe whose other end only the parent has. When the parent dies, however it dies,
the kernel sends SIGIO (fcntl(2), O_ASYNC), which ends this process even within a codec that does
not return. (PR_SET_PDEATHSIG is sent when the *thread* that started a process ends.)
"""

import fcntl
import mmap
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cadnode.codecs.frame import DTYPES, LENGTH, Answer, Frame, cells_at
from cadnode.codecs.plugins import Corrupt, Unsupported, decode

_MOST_ADDRESS_BYTES: Final = 16 << 30  # of the process; each frame has a limit of its own below
_PAGE: Final = mmap.PAGESIZE


def serve(
    sock_fd: int,
    memory_fd: int,
    lifeline_fd: int,
    decode: Callable[[bytes, Frame], NDArray[Any]] = decode,
) -> None:
    """Decode until the parent closes its end."""
    _die_with_parent(lifeline_fd)
    _limit_for_good()
    memory: mmap.mmap | None = None
    with socket.socket(fileno=sock_fd) as sock:
        sock.sendall(bytes((Answer.READY, 0)))
        while message := _received(sock):
            frame = Frame.unpacked(message)
            size = os.fstat(memory_fd).st_size
            if memory is None or len(memory) < size:
                memory = mmap.mmap(memory_fd, size)
            sock.sendall(bytes(_answered(memory, frame, decode)))


def _answered(
    memory: mmap.mmap, frame: Frame, decode: Callable[[bytes, Frame], NDArray[Any]]
) -> tuple[Answer, int]:
    _limit(frame)
    try:
        cells = decode(memory[: frame.n_bytes], frame)
        kind = DTYPES.index(cells.dtype.newbyteorder("<").str)
        at = cells_at(frame.n_bytes)
        view = np.frombuffer(memory, DTYPES[kind], frame.pixels, at).reshape(cells.shape)
        np.copyto(view, cells)
    except Unsupported:
        return Answer.UNSUPPORTED, 0
    except (Corrupt, MemoryError, ValueError):
        return Answer.CORRUPT, 0
    finally:
        _unlimit()
    return Answer.DECODED, kind


def _received(sock: socket.socket) -> bytes:
    """A message; b"" when the parent is gone."""
    message = b""
    while len(message) < LENGTH:
        part = sock.recv(LENGTH - len(message))
        if not part:
            return b""
        message += part
    return message


def _die_with_parent(lifeline_fd: int) -> None:
    fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline_fd, fcntl.F_GETFL)
    fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    # A parent that died before is noticed here: the pipe is at its end, not merely empty.
    try:
        if os.read(lifeline_fd, 1) == b"":
            sys.exit(0)
    except BlockingIOError:
        pass


def _limit_for_good() -> None:
    """Limits that hold for every frame: no core dumps (they hold pixels), no files, no orphans."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What stops a node or a command goes to its whole group; this process ends with its parent.
        signal.signal(number, signal.SIG_IGN)
    for kind, most in (
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_AS, _MOST_ADDRESS_BYTES),
    ):  # fmt: skip
        most = _allowed(kind, most)
        resource.setrlimit(kind, (most, most))


def _limit(frame: Frame) -> None:
    """Limits of address space and processor time for one frame; past the latter SIGXCPU kills."""
    with open("/proc/self/statm", "rb") as statm:
        at_rest = int(statm.read().split()[0]) * _PAGE
    _limit_softly(resource.RLIMIT_AS, at_rest + frame.address_bytes)
    used = resource.getrusage(resource.RUSAGE_SELF)
    _limit_softly(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + frame.cpu_s)


def _unlimit() -> None:
    _limit_softly(resource.RLIMIT_AS, _MOST_ADDRESS_BYTES)


def _limit_softly(kind: int, most: int) -> None:
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (_allowed(kind, most), hard))


def _allowed(kind: int, most: int) -> int:
    """`most`, or what whoever started the node allows at most (ulimit, LimitAS of systemd)."""
    hard = resource.getrlimit(kind)[1]
    return most if hard == resource.RLIM_INFINITY else min(most, hard)


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
