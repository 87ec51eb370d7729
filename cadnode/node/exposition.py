"""`GET /metrics`: what the roles have counted, and what the node looks like now, for Prometheus.

The text format is `prometheus_client`'s. A scrape reads a file a role, the health that `/health`
shows, and counts in the list of studies: it costs as much with very many studies as with a few.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from cadnode import __version__
from cadnode.node import role_status, storage_overview, worker_state
from cadnode.node.health import HealthCheck
from cadnode.node.metrics import counts, table
from cadnode.node.metrics.counts import CountedBuckets, PublishedCounts
from cadnode.node.metrics.table import METRICS, MetricKind, NodeMetric
from cadnode.node.ready_check import ReadyCheck
from cadnode.node.study_table import StudyTable
from cadnode.node.supervise import ROLES
from cadnode.quality import store
from cadnode.quality.overview import DriftOverview
from cadnode.settings import Settings
from cadnode.web.node import Health

_JOBS_AWAY: Final = "jobs_away"
_BY_NAME: Final = {metric.name: metric for metric in METRICS}

Found = tuple[NodeMetric, tuple[str, ...], float]


class Exposition:
    """The metrics of one node. Threads may share it."""

    def __init__(self, settings: Settings, health: HealthCheck, ready: ReadyCheck) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(NodeCollector(settings, health, ready))

    def __call__(self) -> bytes:
        """All metrics in Prometheus's text format, version 0.0.4."""
        return generate_latest(self._registry)


class NodeCollector(Collector):
    """Has the metrics of one node collected: every one of the table, in its order."""

    def __init__(
        self,
        settings: Settings,
        health: Callable[[], Health],
        ready: ReadyCheck,
    ) -> None:
        self._settings = settings
        self._storage = settings.storage.folder
        self._health = health
        self._ready = ready
        self._table = StudyTable(self._storage)

    def collect(self) -> Iterator[Metric]:
        """One family for each metric that has a sample."""
        published = counts.of_roles(self._storage, ROLES)
        values: dict[NodeMetric, Counter[tuple[str, ...]]] = {}
        for metric, labels, value in (*_counted(published, self._is_up), *self._looked()):
            values.setdefault(metric, Counter())[labels] += value  # type: ignore[assignment]
        histograms = _histograms(published.values())
        for metric in METRICS:
            if metric.kind is MetricKind.HISTOGRAM:
                yield _histogram(metric, histograms.get(metric.name, {}))
            elif metric in values:
                yield _family(metric, values[metric])

    def _is_up(self, slot: str, pid: int) -> bool:
        return role_status.look_at(self._storage, slot).pid == pid

    def _looked(self) -> Iterator[Found]:
        yield table.BUILD, (__version__,), 1.0
        state = worker_state.read(self._storage)
        for used in state.models if state else ():
            yield table.MODEL, (used.name, used.version), 1.0
        yield from self._roles()
        for name, passes in self._ready().checks.items():
            yield table.READY, (name,), float(passes)
        yield from of_health(self._health())
        yield from self._studies()
        yield from self._disk()
        yield from of_drift(store.read(self._storage))

    def _roles(self) -> Iterator[Found]:
        for slot in (slot for role in ROLES for slot in role_status.slots(self._storage, role)):
            presence = role_status.look_at(self._storage, slot)
            if not presence.is_here:  # the number is another process's on this machine
                continue
            with suppress(OSError, ValueError, IndexError):
                cpu_s, resident = of_process(presence.pid)
                yield table.ROLE_CPU, (slot,), cpu_s
                yield table.ROLE_MEMORY, (slot,), resident

    def _studies(self) -> Iterator[Found]:
        """None while the list cannot be read: 0 would be a lie."""
        try:
            by_state, n_needing = self._table.counts()
        except sqlite3.Error:
            return
        for state, count in by_state.items():
            yield table.STUDIES_NOW, (state.value,), count
        yield table.NEED_SOMEBODY, (), n_needing

    def _disk(self) -> Iterator[Found]:
        try:
            disk, overview = storage_overview.disk_now(self._settings)
        except OSError:
            return
        yield table.DISK_SIZE, (), disk.total
        yield table.DISK_FREE, (), disk.free
        yield table.DISK_MIN, (), disk.min_free
        yield table.DISK_USED, (), disk.percent / 100
        yield table.DISK_MARK, (), self._settings.retention.high_mark_percent / 100
        if overview.at:
            for kind, n_bytes in (
                ("images", overview.images.n_bytes), ("results", overview.results.n_bytes),
                ("priors", overview.priors_bytes), ("jobs", overview.jobs_bytes),
                ("list", overview.list_bytes),
            ):  # fmt: skip
                yield table.STORAGE, (kind,), n_bytes


def of_health(health: Health) -> Iterator[Found]:
    """What `GET /health` says, in numbers; no queue while the job database is away."""
    for role, word in health.roles.items():
        yield table.ROLE_UP, (role,), float(word == "up")
    for problem in health.problems:
        yield table.PROBLEMS, (problem.code, problem.severity), 1.0
    if any(problem.code == _JOBS_AWAY for problem in health.problems):
        return
    queue = health.queue
    for stage in ("fetching", "reading"):
        if stage in queue:
            yield table.QUEUE, (stage,), queue[stage]["waiting"]
            yield table.QUEUE_OLDEST, (stage,), queue[stage]["oldest_s"]
    for name, waiting in queue.get("delivering", {}).items():
        yield table.DELIVERING, (name,), waiting["waiting"]
        yield table.DELIVERING_OLDEST, (name,), waiting["oldest_s"]
        yield table.UNDELIVERED, (name,), queue.get("undelivered", {}).get(name, 0)
    for name, waiting in queue.get("committing", {}).items():
        yield table.UNCOMMITTED, (name,), waiting["waiting"]


def of_drift(overview: DriftOverview | None) -> Iterator[Found]:
    """What the last look at the journal of scores found, by scanner and system."""
    for scanner in overview.scanners if overview is not None else ():
        for one in scanner.systems:
            labels = (scanner.name, one.system)
            yield table.DRIFT_STATE, labels, one.state.rank
            if one.last is None:
                continue
            for moved in one.last.positions:
                yield table.DRIFT_PSI, (*labels, moved.position), moved.psi
            called = one.last.called
            yield table.DRIFT_CALLED, (*labels, "baseline"), called.reference.share
            yield table.DRIFT_CALLED, (*labels, "now"), called.now.share


def of_process(pid: int) -> tuple[float, int]:
    """(processor seconds, resident bytes) of a process; proc(5). Raises `OSError` without one."""
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2 :].split()  # the name before may hold anything
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


def _counted(
    published: Mapping[str, PublishedCounts], is_up: Callable[[str, int], bool]
) -> Iterator[Found]:
    """Counters of all roles; gauges of those that run, where several have one, the first's."""
    gauges: set[tuple[str, tuple[str, ...]]] = set()
    for slot, one in published.items():
        for sample in one.samples:
            metric = _BY_NAME.get(sample.name)
            if metric is None or len(sample.labels) != len(metric.labels):
                continue
            if metric.kind is MetricKind.COUNTER:
                yield metric, sample.labels, sample.value
            elif (sample.name, sample.labels) not in gauges and is_up(slot, one.pid):
                gauges.add((sample.name, sample.labels))
                yield metric, sample.labels, sample.value


def _histograms(
    published: Iterable[PublishedCounts],
) -> dict[str, dict[tuple[str, ...], CountedBuckets]]:
    found: dict[str, dict[tuple[str, ...], CountedBuckets]] = {}
    for one in published:
        for held in one.histograms:
            metric = _BY_NAME.get(held.name)
            if metric is not None and len(held.counts) == len(metric.buckets) + 1:
                series = found.setdefault(held.name, {})
                before = series.get(held.labels)  # of another worker
                series[held.labels] = held if before is None else before.plus(held)
    return found


def _family(metric: NodeMetric, values: Mapping[tuple[str, ...], float]) -> Metric:
    kind = CounterMetricFamily if metric.kind is MetricKind.COUNTER else GaugeMetricFamily
    family = kind(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _histogram(metric: NodeMetric, values: Mapping[tuple[str, ...], CountedBuckets]) -> Metric:
    family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    bounds = [*map(str, metric.buckets), "+Inf"]
    for labels, held in values.items():
        buckets = list(zip(bounds, map(float, accumulate(held.counts)), strict=True))
        family.add_metric(labels, buckets, held.total)
    return family
