"""Compressed frames are decoded here, as their callers see it: a stream in, cells out.

The codecs are written in C and read what anybody may send. They run in a process of their own
(`codecs.child`), which is started at first use, used again, and replaced after `FRAMES` frames
or `FAILURES` that it could not decode. What a stream does to it, be it a crash, an endless
loop or a claim of all memory, becomes that image's coded reason. What is no fault of the image
(no process can be started, or somebody else killed it) is an error after which the reading is
tried again.
"""

import atexit
import contextlib
import fcntl
import mmap
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import cadnode
from cadnode.codecs.frame import DTYPES, Answer, Frame, cells_at
from cadnode.domain import SkipReason
from cadnode.errors import DecoderUnavailable, NotProcessable
from cadnode.limits import FRAME_PIXELS, MIB
from cadnode.log import get_logger

log = get_logger("codecs")

FRAMES: Final = 100  # that one process decodes; starting another costs a tenth of a second
FAILURES: Final = 10  # that codecs reported themselves, which cleans up behind them
START_S: Final = 60.0
WALL_TIMES_CPU: Final = 4  # a frame's wall clock on a busy machine, in its processor time
_MOST_CHILDREN: Final = 4
_MOST_KEPT_BYTES: Final = 256 * MIB  # of shared memory that a process keeps for the next frame
_PROGRAM: Final = ("-m", "cadnode.codecs.child")
_ENVIRONMENT: Final = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR")
# Signals that come from elsewhere: of a stream's own doing are SIGSEGV, SIGABRT, SIGBUS, SIGFPE,
# SIGILL and SIGXCPU.
_KILLED: Final = (-9, -15, -1, -2)


class _Died(Exception):
    """The process ended while it decoded; `killed` by somebody else."""

    def __init__(self, *, killed: bool) -> None:
        super().__init__()
        self.killed = killed


class _Child:
    """A running decoding process; used by one thread at a time."""

    def __init__(self, program: Sequence[str], wall_times_cpu: float) -> None:
        self._wall_times_cpu = wall_times_cpu
        self.n_frames = self.n_failures = 0
        self._memory: mmap.mmap | None = None
        with contextlib.ExitStack() as stack:
            self._memory_fd = os.memfd_create("frame", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            stack.callback(os.close, self._memory_fd)
            # The process cannot take memory from under our feet.
            fcntl.fcntl(self._memory_fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            self._sock, theirs = socket.socketpair()
            stack.callback(self._sock.close)
            read_end, self._lifeline = os.pipe()
            stack.callback(os.close, self._lifeline)
            fds = (theirs.fileno(), self._memory_fd, read_end)
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-B", *program, *map(str, fds)],
                    pass_fds=fds, env=_environment(), cwd="/", stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
            finally:
                theirs.close()
                os.close(read_end)
            self._resources = stack.pop_all()
        try:
            ready = self._answer(START_S)[0]
        except _Died:
            ready = None
        if ready != Answer.READY:
            self.close()
            raise OSError

    def decode(self, stream: bytes, frame: Frame) -> tuple[Answer, NDArray[Any] | None]:
        """The answer, and the cells where it is `DECODED`; raises `_Died`."""
        self.n_frames += 1
        at = cells_at(frame.n_bytes)
        memory = self._mapped(at + frame.most_cell_bytes)
        memory[: frame.n_bytes] = stream
        try:
            self._sock.sendall(frame.packed())
        except OSError:
            raise self._died() from None
        answer, kind = self._answer(self._wall_times_cpu * frame.cpu_s)
        if answer != Answer.DECODED:
            self.n_failures += 1
            return answer, None
        view = np.frombuffer(memory, DTYPES[kind], frame.pixels, at)
        return answer, view.reshape(frame.rows, frame.columns).copy()

    def _mapped(self, size: int) -> mmap.mmap:
        """The shared memory, of `size` bytes or more; it stays mapped, which saves page faults."""
        if self._memory is None or size > len(self._memory):
            if self._memory is not None:
                self._memory.close()
            os.ftruncate(self._memory_fd, size)
            self._memory = mmap.mmap(self._memory_fd, size)
        return self._memory

    @property
    def is_worn(self) -> bool:
        """Whether it is time for another one."""
        kept = 0 if self._memory is None else len(self._memory)
        worn = self.n_frames >= FRAMES or self.n_failures >= FAILURES
        return worn or kept > _MOST_KEPT_BYTES

    def _answer(self, within_s: float) -> tuple[Answer, int]:
        """The two bytes of an answer, checked; raises `_Died` when there are none in time."""
        until = time.monotonic() + within_s
        message = b""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        while len(message) < 2:
            left_s = until - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1000):
                self._process.kill()
                self._process.wait()
                raise _Died(killed=False)
            try:
                part = self._sock.recv(2 - len(message))
            except OSError:
                part = b""
            if not part:
                raise self._died()
            message += part
        if message[0] >= len(Answer) or message[1] >= len(DTYPES):
            raise _Died(killed=False)
        return Answer(message[0]), message[1]

    def _died(self) -> _Died:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return _Died(killed=self._process.wait(timeout=10) in _KILLED)
        return _Died(killed=False)  # its end is closed, and yet it runs

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._release()

    def forget(self) -> None:
        """Let go of a process that is another's child: this one was forked from its parent."""
        self._release()
        self._process.returncode = 0  # nothing here is to wait for it

    def _release(self) -> None:
        if self._memory is not None:
            self._memory.close()
        self._resources.close()


class Decoder:
    """Decoding processes, as many as threads that decode at the same time (four at most)."""

    def __init__(
        self, program: Sequence[str] = _PROGRAM, wall_times_cpu: float = WALL_TIMES_CPU
    ) -> None:
        self._program = program
        self._wall_times_cpu = wall_times_cpu
        self._reset()

    def _reset(self) -> None:
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(min(_MOST_CHILDREN, os.cpu_count() or 1))

    def decode(self, stream: bytes, frame: Frame) -> NDArray[Any]:
        """`(rows, columns)` cells of 8 or 16 bits, an array of the caller's own.

        Raises
        ------
        NotProcessable
            PIXELS_CORRUPT, PIXELS_UNSUPPORTED: the stream cannot be decoded, within its limits.
        DecoderUnavailable
            No process can be started, or it is killed by somebody else: not the image's fault.
        """
        if frame.pixels > FRAME_PIXELS:
            raise NotProcessable(SkipReason.PIXELS_UNSUPPORTED, "the image is too large")
        if not frame.is_plausible:
            raise NotProcessable(SkipReason.PIXELS_CORRUPT, "the stream is too long")
        with self._free:
            answer, cells = self._decoded(stream, frame)
        if answer is Answer.UNSUPPORTED:
            raise NotProcessable(SkipReason.PIXELS_UNSUPPORTED)
        if cells is None:
            raise NotProcessable(SkipReason.PIXELS_CORRUPT)
        return cells

    def close(self) -> None:
        """End every process."""
        with self._lock:
            children, self._all, self._idle = self._all, set(), []
        for one in children:
            one.close()

    def _decoded(self, stream: bytes, frame: Frame) -> tuple[Answer, NDArray[Any] | None]:
        """The answer of a process; where one dies that was not new, that of a new one.

        What an earlier stream left behind in it, or whoever killed it, is not this one's fault.
        """
        for attempt in (1, 2):
            one = self._child()
            was_new = one.n_frames == 0
            try:
                answer, cells = one.decode(stream, frame)
            except _Died as death:
                self._drop(one)
                log.warning("decoder_died", reason="killed" if death.killed else "stream")
                if attempt == 2 and death.killed:
                    raise DecoderUnavailable("the decoding process was killed") from None
                if attempt == 2 or (was_new and not death.killed):
                    return Answer.CORRUPT, None
            except BaseException:
                self._drop(one)
                raise
            else:
                if one.is_worn:
                    self._drop(one)
                else:
                    with self._lock:
                        self._idle.append(one)
                return answer, cells
        raise AssertionError  # the second attempt returns or raises

    def _child(self) -> _Child:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        try:
            one = _Child(self._program, self._wall_times_cpu)
        except OSError:
            raise DecoderUnavailable("the decoding process cannot be started") from None
        with self._lock:
            self._all.add(one)
        return one

    def _drop(self, one: _Child) -> None:
        with self._lock:
            self._all.discard(one)
        one.close()

    def after_fork(self) -> None:
        """Let go of what belongs to the process that this one was forked from."""
        for one in self._all:
            one.forget()
        self._reset()


def _environment() -> dict[str, str]:
    """What the process needs of ours: no credentials, and one thread where libraries ask."""
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    root = str(Path(cadnode.__file__).parents[1])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {
        **kept, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2",
    }  # fmt: skip


_shared: Final = Decoder()
atexit.register(_shared.close)
os.register_at_fork(after_in_child=_shared.after_fork)


def decode_frame(stream: bytes, frame: Frame) -> NDArray[Any]:
    """As `Decoder.decode`, by the decoder that this process shares."""
    return _shared.decode(stream, frame)
