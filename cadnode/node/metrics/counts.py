"""What a role counts, and keeps over its ends: `metrics/` in the storage folder.

    STORAGE/metrics/<role>.json   its counters and histograms, and gauges of this moment; of several
                                  workers each by its slot (`node.role_status`)

A role counts in memory, writes what has changed once a second, and begins with what the one before
it wrote. Only what is written is shown: nothing that was shown is ever taken back by a `kill -9`,
and a counter falls, to 0, only when the file is lost. `rate()` takes that for a restart.
A full disk costs no count, as long as the role lives.

`prometheus_client` has a way to count in several processes, which maps files into memory. On a full
disk a process that writes to such a file ends by SIGBUS, so the node does not use it.
"""

import math
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cadnode.beside import kept_running
from cadnode.files import write_whole
from cadnode.node.metrics.table import COUNTED, OTHER, MetricKind, NodeMetric

FOLDER: Final = "metrics"
NODE: Final = "node"
"""The supervisor's file; the others are named after the roles."""
MOST_SERIES: Final = 500  # of one metric in one role; what comes later has only labels `other`
_EVERY_S: Final = 1.0
_BY_NAME: Final = {metric.name: metric for metric in COUNTED}

Value = Annotated[float, Field(allow_inf_nan=False)]


class CountedValue(BaseModel):
    """A counter, or a gauge, with the values of its labels."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    labels: tuple[str, ...] = ()
    value: Value = 0.0


class CountedBuckets(BaseModel):
    """A histogram with the values of its labels: how many were in each bucket, the last open."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    labels: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    total: Value = 0.0

    def plus(self, other: "CountedBuckets") -> "CountedBuckets":
        """The same series with what another process counted of it, in the same buckets."""
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return self.model_copy(update={"counts": counts, "total": self.total + other.total})


class PublishedCounts(BaseModel):
    """Content of a role's file; `pid` is of the process whose gauges these are."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: Literal[1] = 1
    pid: int = 0
    samples: tuple[CountedValue, ...] = ()
    histograms: tuple[CountedBuckets, ...] = ()


@dataclass(slots=True)
class _Histogram:
    counts: list[int]
    total: float = 0.0


_Key = tuple[str, tuple[str, ...]]


@dataclass(slots=True)
class _Held:
    values: dict[_Key, float] = field(default_factory=dict)
    histograms: dict[_Key, _Histogram] = field(default_factory=dict)


class Counts:
    """The counts of one role. Threads share it; without a file they are kept nowhere."""

    def __init__(self, file: Path | None = None, pid: int = 0) -> None:
        self._file = file
        self._pid = pid
        self._lock = threading.Lock()
        self._is_written = False
        self._held = _held(read(file)) if file else _Held()

    @classmethod
    def of(cls, storage: Path, role: str, pid: int) -> "Counts":
        """Those of a role that begins now, as process `pid`."""
        return cls(_path(storage, role), pid)

    def add(self, metric: NodeMetric, *labels: str, by: float = 1.0) -> None:
        """Add to a counter."""
        with self._lock:
            key = _key(metric, labels, self._held.values)
            self._held.values[key] = self._held.values.get(key, 0.0) + by
            self._is_written = False

    def begin(self, metric: NodeMetric, *labels: str) -> None:
        """Show a counter or histogram from 0 on: Prometheus then sees its first step."""
        if metric.kind is MetricKind.COUNTER:
            self.add(metric, *labels, by=0.0)
            return
        with self._lock:
            self._histogram(metric, labels)
            self._is_written = False

    def set(self, metric: NodeMetric, value: float, *labels: str) -> None:
        """Set a gauge."""
        with self._lock:
            self._held.values[_key(metric, labels, self._held.values)] = value
            self._is_written = False

    def observe(self, metric: NodeMetric, value: float, *labels: str) -> None:
        """Enter a value into a histogram; one that is not finite is left out."""
        if not math.isfinite(value):
            return
        with self._lock:
            found = self._histogram(metric, labels)
            found.counts[bisect_left(metric.buckets, value)] += 1
            found.total += value
            self._is_written = False

    def _histogram(self, metric: NodeMetric, labels: tuple[str, ...]) -> _Histogram:
        key = _key(metric, labels, self._held.histograms)
        empty = _Histogram([0] * (len(metric.buckets) + 1))
        return self._held.histograms.setdefault(key, empty)

    def published(self) -> PublishedCounts:
        """All of them, for the file."""
        with self._lock:
            return PublishedCounts(
                pid=self._pid,
                samples=tuple(
                    CountedValue(name=name, labels=labels, value=value)
                    for (name, labels), value in self._held.values.items()
                ),
                histograms=tuple(
                    CountedBuckets(name=name, labels=labels, counts=tuple(h.counts), total=h.total)
                    for (name, labels), h in self._held.histograms.items()
                ),
            )

    def write(self) -> None:
        """Write the file where something has changed; a disk that is full has it tried again."""
        if self._file is None or self._is_written:
            return
        self._is_written = True  # what is counted from here on asks for the next time
        try:
            write_whole(self._file, self.published().model_dump_json().encode() + b"\n")
        except OSError:
            self._is_written = False

    @contextmanager
    def kept(self) -> Iterator["Counts"]:
        """Within the block they are written once a second, and at its end."""

        def keep(stopping: threading.Event) -> None:
            while not stopping.wait(_EVERY_S):
                self.write()

        try:
            with kept_running(keep, "metrics"):
                yield self
        finally:
            self.write()


def read(file: Path) -> PublishedCounts:
    """What a role has written; nothing where there is no file that can be read."""
    try:
        return PublishedCounts.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return PublishedCounts()


def of_roles(storage: Path, roles: Iterable[str]) -> dict[str, PublishedCounts]:
    """What the supervisor and each role have written; a role's further slots by their names."""
    names = [NODE, *roles]
    for file in sorted((storage / FOLDER).glob("*-*.json")):
        role, _, number = file.stem.rpartition("-")
        if role in names and number.isdecimal():
            names.append(file.stem)
    return {name: read(_path(storage, name)) for name in names}


def _path(storage: Path, role: str) -> Path:
    return storage / FOLDER / f"{role}.json"


def _key(metric: NodeMetric, labels: tuple[str, ...], known: Iterable[_Key]) -> _Key:
    """The series; a metric that has very many has one for all others."""
    if len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} has the labels {metric.labels}")
    key = (metric.name, labels)
    series = {one for one in known if one[0] == metric.name}
    if labels and key not in series and len(series) >= MOST_SERIES:
        return metric.name, (OTHER,) * len(labels)
    return key


def _held(written: PublishedCounts) -> _Held:
    """What goes on from before: metrics of this version with the labels and buckets it has now."""
    held = _Held()
    for sample in written.samples:
        metric = _BY_NAME.get(sample.name)
        if metric and metric.kind is MetricKind.COUNTER and _fits(metric, sample.labels):
            held.values[sample.name, sample.labels] = sample.value
    for one in written.histograms:
        metric = _BY_NAME.get(one.name)
        has_buckets = metric is not None and len(one.counts) == len(metric.buckets) + 1
        if metric and has_buckets and _fits(metric, one.labels):
            held.histograms[one.name, one.labels] = _Histogram(list(one.counts), one.total)
    return held


def _fits(metric: NodeMetric, labels: tuple[str, ...]) -> bool:
    return len(labels) == len(metric.labels)
