"""The loop: inputs are made, run and kept in a child process that may crash, hang or be killed.

The child writes each input into shared memory before it runs it, so that the parent has the input
that ended the child, and begins another behind it.
"""

import ctypes
import faulthandler
import gc
import mmap
import multiprocessing
import os
import re
import resource
import signal
import struct
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.fuzz.mutate.raw import MOST_BYTES
from tests.fuzz.oracles import CPU_S, WALL_S, Finding, Violation, Watch, resident_bytes, slope
from tests.fuzz.reach import Reach
from tests.fuzz.target import Target

MEASURED_ONE_IN: Final = 3  # inputs; measuring takes longer than running
BATCH: Final = 200  # inputs between two checks of the target
MOST_CHILDREN: Final = 40
MOST_GROWTH: Final = 32 << 20  # bytes in 10,000 inputs
FEWEST_FOR_GROWTH: Final = 2000
_MOST_MEMORY: Final = 8 << 30  # address space of a child
_HEAD: Final = struct.Struct("<QI")  # number of the input, its length
_fork: Final = multiprocessing.get_context("fork")


class FuzzerError(Exception):
    """The fuzzer itself failed."""


@dataclass(frozen=True)
class Plan:
    """How much is tried. `corpus` are the inputs to begin with, beside the target's seeds.

    `within_s` counts from when a child is ready: it stops then, after one input at least. Behind an
    input that ended a child by a finding of a kind in `until`, no other child is begun.
    """

    inputs: int
    seed: int = 1
    corpus: Sequence[bytes] = ()
    within_s: float = float("inf")
    mutate: bool = True  # else the corpus alone is run
    until: frozenset[str] = frozenset()


@dataclass
class Outcome:
    """What became of a target. `curve` has (input, arcs reached) for each that reached more."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    children: int = 0
    kept: list[bytes] = field(default_factory=list)
    findings: dict[str, Finding] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    curve: list[tuple[int, int]] = field(default_factory=list)
    growth: float | None = None  # bytes an input

    @property
    def reached(self) -> int:
        return self.curve[-1][1] if self.curve else 0

    @property
    def newest_at(self) -> float:
        """After which share of the inputs nothing new was reached."""
        return self.curve[-1][0] / self.inputs if self.curve and self.inputs else 0.0

    def add(self, finding: Finding) -> None:
        """Keep the shortest input of each defect, and how often it was met."""
        known = self.findings.get(finding.signature)
        if known is None or len(finding.data) < len(known.data):
            self.findings[finding.signature] = finding
        self.times[finding.signature] = self.times.get(finding.signature, 0) + 1

    def figures(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "target": self.target,
            "inputs": self.inputs,
            "seconds": round(self.seconds, 1),
            "inputs_per_s": round(self.inputs / self.seconds, 1) if self.seconds else None,
            "children": self.children,
            "arcs": self.reached,
            "kept": len(self.kept),
            "nothing_new_after": round(self.newest_at, 3),
            "plateau": self.newest_at <= 0.8,
            "growth_kib_per_1000_inputs": None
            if self.growth is None
            else round(self.growth * 1000 / 1024, 1),
            "findings": [
                {
                    "signature": signature,
                    "times": self.times[signature],
                    "input_bytes": len(found.data),
                    "detail": found.detail[-1500:],
                }
                for signature, found in sorted(self.findings.items())
            ],
        }


def fuzz(target: Target, plan: Plan, on_progress: Callable[[int], None] | None = None) -> Outcome:
    """What the inputs of a plan cause, and which of them reach something new."""
    outcome = Outcome(target.name)
    started = time.monotonic()
    with _Shared() as shared:
        while outcome.inputs < plan.inputs and outcome.children < MOST_CHILDREN:
            outcome.children += 1
            pool = [*plan.corpus, *outcome.kept]
            first = outcome.inputs
            ended = _supervised(
                lambda to, pool=pool, first=first: _work(  # type: ignore[misc]
                    target, plan, pool, first, shared, to
                ),
                shared,
                lambda message: _take(outcome, message, on_progress),
            )
            if ended is None:
                break
            outcome.inputs, data = shared.current()
            outcome.inputs += 1
            finding = _finding_of(target, ended, shared.trace(), data)
            outcome.add(finding)
            if finding.kind in plan.until:
                break
    outcome.seconds = time.monotonic() - started
    if outcome.growth is not None and outcome.growth * 10_000 > MOST_GROWTH:
        text = f"{outcome.growth * 10_000 / 2**20:.0f} MiB in 10,000 inputs"
        outcome.add(Finding(target.name, "growth", target.name, text, b""))
    return outcome


def replay(target: Target, inputs: Sequence[bytes]) -> Outcome:
    """What these inputs cause, each once, without mutations."""
    return fuzz(target, Plan(len(inputs), corpus=inputs, mutate=False))


def causes(target: Target, data: bytes) -> Finding | None:
    """What one input causes, in a process of its own."""
    return next(iter(replay(target, [data]).findings.values()), None)


def in_child(work: Callable[[Connection], None]) -> list[tuple[Any, ...]]:
    """The messages of some work in a process of its own; without its rest where that dies."""
    messages: list[tuple[Any, ...]] = []
    with _Shared() as shared:
        _supervised(work, shared, messages.append)
    return messages


@contextmanager
def opened(target: Target) -> Iterator[Target]:
    """The target, ready to run inputs in this process."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory) as name:
        target.open(Path(name))
        try:
            yield target
        finally:
            target.close()


class _Shared:
    """Memory and a file that parent and child both have: the current input, a crash's trace."""

    def __enter__(self) -> "_Shared":
        self._memory = mmap.mmap(-1, MOST_BYTES + _HEAD.size)
        self.crash_file = os.memfd_create("crash")
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.close()
        os.close(self.crash_file)

    def put(self, number: int, data: bytes) -> None:
        self._memory[_HEAD.size : _HEAD.size + len(data)] = data
        self._memory[: _HEAD.size] = _HEAD.pack(number, len(data))

    def current(self) -> tuple[int, bytes]:
        number, length = _HEAD.unpack(self._memory[: _HEAD.size])
        return number, self._memory[_HEAD.size : _HEAD.size + length]

    def trace(self) -> str:
        """What faulthandler wrote, which is forgotten."""
        text = os.pread(self.crash_file, 1 << 16, 0).decode("utf-8", "replace")
        os.ftruncate(self.crash_file, 0)
        os.lseek(self.crash_file, 0, os.SEEK_SET)
        return text


def _supervised(
    work: Callable[[Connection], None],
    shared: _Shared,
    take: Callable[[tuple[Any, ...]], None],
) -> str | None:
    """How a child ended that did not say it is done: its signal, or "hang"; None when it did."""
    ours, theirs = _fork.Pipe(duplex=False)
    child = _fork.Process(target=_guarded, args=(work, theirs, shared.crash_file))
    child.start()
    theirs.close()
    seen, since, used = shared.current()[0], time.monotonic(), 0.0
    try:
        while True:
            if ours.poll(0.5):
                try:
                    message = ours.recv()
                except EOFError:
                    child.join()
                    return _how(child.exitcode)
                if message[0] == "done":
                    return None
                if message[0] == "failed":
                    raise FuzzerError(message[1])
                take(message)
                since, used = time.monotonic(), _cpu_s(child.pid)
            elif shared.current()[0] != seen:
                seen, since = shared.current()[0], time.monotonic()
                used = _cpu_s(child.pid)
            elif time.monotonic() - since > 2 * WALL_S or _cpu_s(child.pid) - used > 2 * CPU_S:
                # Code that is not Python's does not hear the signals of the watch.
                return "hang"
    finally:
        child.kill()
        child.join()
        ours.close()


def _cpu_s(pid: int | None) -> float:
    """Seconds that a process has computed."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit {exit_code}"


def _guarded(work: Callable[[Connection], None], to: Connection, crash_file: int) -> None:
    faulthandler.enable(crash_file, all_threads=False)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        work(to)
        to.send(("done",))
    except BaseException:  # a defect of the fuzzer, not a finding
        to.send(("failed", traceback.format_exc()[-3000:]))
    to.close()
    os._exit(0)  # whatever threads a target has left behind


def _work(
    target: Target,
    plan: Plan,
    pool: list[bytes],
    first: int,
    shared: _Shared,
    to: Connection,
) -> None:
    """Run inputs from number `first` on; what is worth knowing is sent."""
    pool = [*pool] if not plan.mutate else [*target.seeds(), *pool]
    n_given = len(pool)
    memory: list[tuple[int, int]] = []
    _give_back_memory()
    # The watch first: what it replaces is then ours, not the tracer's.
    with Watch() as watch, opened(target), Reach() as reach:
        started = time.monotonic()
        for number in range(first, plan.inputs):
            if number > first and time.monotonic() - started > plan.within_s:
                break
            data = _input(target, plan, pool, n_given, number)
            shared.put(number, data)
            reach.switch(on=number < n_given or number % MEASURED_ONE_IN == 0)
            finding = watch.run(target, data)
            if finding is not None:
                to.send(("finding", finding))
            if reach.has_grown():
                to.send(("reached", number, reach.count, data if number >= n_given else b""))
                if number >= n_given:
                    pool.append(data)
            if number % 50 == 0:
                memory.append((number, resident_bytes()))
            if number % BATCH == BATCH - 1:
                _batch(target, data, to)
                to.send(("inputs", number + 1))
        else:
            number = plan.inputs
        _batch(target, b"", to)
        to.send(("inputs", number))
    gc.collect()
    rest = memory[len(memory) // 3 :]  # caches are full by then
    if rest and rest[-1][0] - rest[0][0] >= FEWEST_FOR_GROWTH:
        to.send(("growth", slope(rest)))


def _give_back_memory() -> None:
    """Free what the parent had freed: growth would hide in it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def _input(target: Target, plan: Plan, pool: list[bytes], n_given: int, number: int) -> bytes:
    """The input of a number: what was given first, then mutations of what is in the pool."""
    if number < n_given:
        return pool[number][:MOST_BYTES]
    rng = Random(f"{plan.seed} {target.name} {number}")
    recent = len(pool) > 40 and rng.random() < 0.4
    data = pool[-1 - rng.randrange(20)] if recent else rng.choice(pool)
    return target.mutate(data, rng, rng.choice(pool))[:MOST_BYTES]


def _batch(target: Target, data: bytes, to: Connection) -> None:
    try:
        target.batch()
    except Violation as error:
        where = str(error).split(":")[0]
        to.send(("finding", Finding(target.name, "violation", where, str(error), data)))


def _take(
    outcome: Outcome, message: tuple[Any, ...], on_progress: Callable[[int], None] | None
) -> None:
    match message:
        case ("finding", finding):
            outcome.add(finding)
        case ("reached", number, count, data):
            if not outcome.curve or count > outcome.reached:
                outcome.curve.append((number, count))
            if data:
                outcome.kept.append(data)
        case ("inputs", number):
            outcome.inputs = number
            if on_progress:
                on_progress(number)
        case ("growth", growth):
            outcome.growth = growth


def _finding_of(target: Target, ended: str, trace: str, data: bytes) -> Finding:
    """The crash or hang that ended a child."""
    ours = re.findall(r'File "[^"]*?/cadnode/([^"]+)", line \d+ in (\w+)', trace)
    where = f"{Path(ours[0][0]).name}:{ours[0][1]}" if ours else "elsewhere"
    return Finding(target.name, "hang" if ended == "hang" else "crash", where, f"{ended}\n{trace}",
                   data)  # fmt: skip


def total(outcomes: Iterable[Outcome]) -> int:
    return sum(outcome.inputs for outcome in outcomes)
