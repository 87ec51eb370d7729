"""Every metric of `GET /metrics`: name, kind, labels, meaning, unit (docs/monitoring.md).

Names follow Prometheus's conventions (prometheus.io/docs/practices/naming): base units, a suffix
that says the unit, `_total` for counters. No label names a patient, a study or an instance, and
each has a bounded number of values: codes, states, configured peers, normalised vendors.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

OTHER: Final = "other"
"""The value of a label for what has no value of its own."""

_WAITS_S: Final = (
    1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0,
    14400.0, 43200.0, 86400.0,
)  # fmt: skip
_READING_S: Final = (
    0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 300.0, 600.0,
)  # fmt: skip
_TRY_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_SCORES: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


class MetricKind(StrEnum):
    """The types of metrics that the node has."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class NodeMetric:
    """One metric. `name` is that of its samples, without a histogram's suffixes.

    `buckets` are the upper bounds of a histogram's, rising, without the infinite one.
    """

    name: str
    kind: MetricKind
    meaning: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def unit(self) -> str:
        """The unit, as the name says it; "" for counts and words."""
        words = {"seconds": "s", "bytes": "bytes", "ratio": "0 to 1", "score": "0 to 1"}
        stem = self.name.removesuffix("_total").rsplit("_", 1)[-1]
        return words.get(stem, "")


_C, _G, _H = MetricKind.COUNTER, MetricKind.GAUGE, MetricKind.HISTOGRAM

# Counted by the role in which it happens (`node.metrics.counts`)
IMAGES_RECEIVED: Final = NodeMetric(
    "cadnode_received_images_total", _C,
    "Images that came in by C-STORE, by the AE title that is configured; `other`: any other",
    ("peer",),
)  # fmt: skip
BYTES_RECEIVED: Final = NodeMetric(
    "cadnode_received_bytes_total", _C, "Bytes of the images that came in by C-STORE"
)
STUDIES: Final = NodeMetric(
    "cadnode_studies_total", _C,
    "Studies that came to a state: `received` (once for each association that brought images of "
    "it), `read`, `not_read` (no image of it could be scored), `reported`, `failed` (an attempt to "
    "read or report it), `set_aside` (it ended the worker again and again)",
    ("state",),
)  # fmt: skip
STUDY_STATES: Final = ("received", "read", "not_read", "reported", "failed", "set_aside")
DELIVERY_ENDS: Final = ("delivered", "retry", "refused")
"""Shown of each destination from the start; there are more (`jobs.DeliveryStatus`)."""
EXAMS: Final = NodeMetric(
    "cadnode_exams_total", _C, "Exams by the outcome of their reading; one a patient", ("outcome",)
)
SKIPPED: Final = NodeMetric(
    "cadnode_images_skipped_total", _C,
    "Images that were not scored, by the reason in docs/result.md", ("reason",),
)  # fmt: skip
FINDINGS: Final = NodeMetric(
    "cadnode_findings_total", _C, "Findings by their kind in docs/result.md", ("kind",)
)
FETCHES: Final = NodeMetric(
    "cadnode_fetches_total", _C,
    "Tries to fetch a study, by the configured source and how each ended", ("source", "status"),
)  # fmt: skip
DELIVERIES: Final = NodeMetric(
    "cadnode_deliveries_total", _C,
    "Tries to deliver a result, by the configured destination and how each ended",
    ("destination", "status"),
)  # fmt: skip
FAILURES: Final = NodeMetric(
    "cadnode_failures_total", _C,
    "What failed, by stage (`receive`, `fetch`, `read`, `report`, `deliver`) and reason: the code "
    "that the log has, or the class of an error",
    ("stage", "reason"),
)  # fmt: skip
DEATHS: Final = NodeMetric(
    "cadnode_role_deaths_total", _C,
    "Ends of a role's process that nobody asked for: `crashed`, `hung` (killed by the supervisor), "
    "`out_of_memory`, `killed`",
    ("role", "cause"),
)  # fmt: skip
RECEIVED_TO_READ: Final = NodeMetric(
    "cadnode_received_to_read_seconds", _H,
    "From a study's last image to the end of its reading", (), _WAITS_S,
)  # fmt: skip
READ_TO_DELIVERED: Final = NodeMetric(
    "cadnode_read_to_delivered_seconds", _H,
    "From a study's report to its first arrival at a destination", ("destination",), _WAITS_S,
)  # fmt: skip
READING: Final = NodeMetric(
    "cadnode_reading_seconds", _H, "How long the reading of a study took", (), _READING_S
)
VIEW_READING: Final = NodeMetric(
    "cadnode_view_reading_seconds", _H,
    "The same divided by the views that were scored; once for each of them", (), _READING_S,
)  # fmt: skip
TRY: Final = NodeMetric(
    "cadnode_delivery_try_seconds", _H, "How long a try to deliver took", ("destination",), _TRY_S
)
SCORE: Final = NodeMetric(
    "cadnode_score", _H,
    "Scores of views, by system, vendor and view position: a view model's score, else the highest "
    "score that the system gave a finding of that view",
    ("system", "vendor", "view"), _SCORES,
)  # fmt: skip
GPU_USED: Final = NodeMetric(
    "cadnode_gpu_memory_used_bytes", _G,
    "Memory of a GPU that is in use, by any process, as the first worker sees it; absent where "
    "none reads",
    ("gpu",),
)  # fmt: skip
GPU_TOTAL: Final = NodeMetric("cadnode_gpu_memory_size_bytes", _G, "Memory of that GPU", ("gpu",))

# Looked at when Prometheus asks (`node.exposition`)
BUILD: Final = NodeMetric("cadnode_build_info", _G, "1; its label is the version", ("version",))
MODEL: Final = NodeMetric(
    "cadnode_model_info", _G, "1 for each model that the worker reads with", ("name", "version")
)
ROLE_UP: Final = NodeMetric(
    "cadnode_role_up", _G,
    "1 where the role does its work; 0 while it is down, starting, waiting or hanging", ("role",),
)  # fmt: skip
ROLE_CPU: Final = NodeMetric(
    "cadnode_role_cpu_seconds_total", _C,
    "Processor time of the role's process, where it runs on this machine; further workers are "
    "`worker-2` and so on",
    ("role",),
)  # fmt: skip
ROLE_MEMORY: Final = NodeMetric(
    "cadnode_role_resident_memory_bytes", _G, "Memory that this process holds", ("role",)
)
READY: Final = NodeMetric(
    "cadnode_ready", _G, "1 where a check of `GET /readyz` passes, else 0", ("check",)
)
PROBLEMS: Final = NodeMetric(
    "cadnode_problems", _G,
    "How many problems of this code `GET /health` shows, with its severity (`failing`, `degraded`, "
    "`warning`)",
    ("code", "severity"),
)  # fmt: skip
STUDIES_NOW: Final = NodeMetric(
    "cadnode_studies", _G, "Studies that the node holds, by their present state", ("state",)
)
NEED_SOMEBODY: Final = NodeMetric(
    "cadnode_studies_needing_attention", _G, "Of these, those that wait for somebody"
)
QUEUE: Final = NodeMetric(
    "cadnode_queue_studies", _G, "Studies that wait: `fetching`, `reading`", ("stage",)
)
QUEUE_OLDEST: Final = NodeMetric(
    "cadnode_queue_oldest_seconds", _G, "For how long the oldest of them has waited", ("stage",)
)
DELIVERING: Final = NodeMetric(
    "cadnode_delivery_queue_results", _G, "Results that wait for a destination", ("destination",)
)
DELIVERING_OLDEST: Final = NodeMetric(
    "cadnode_delivery_queue_oldest_seconds", _G, "For how long the oldest of them has waited",
    ("destination",),
)  # fmt: skip
UNDELIVERED: Final = NodeMetric(
    "cadnode_undelivered_results", _G,
    "Results that a destination refused, or was away for too long for", ("destination",),
)  # fmt: skip
UNCOMMITTED: Final = NodeMetric(
    "cadnode_uncommitted_results", _G,
    "Results that an archive stored and has not confirmed yet, where it is asked to commit",
    ("destination",),
)  # fmt: skip
DISK_SIZE: Final = NodeMetric("cadnode_disk_size_bytes", _G, "Size of the storage folder's disk")
DISK_FREE: Final = NodeMetric("cadnode_disk_free_bytes", _G, "What is free on it")
DISK_MIN: Final = NodeMetric(
    "cadnode_disk_min_free_bytes", _G, "`storage.min_free_gb`: with less, images are refused"
)
DISK_USED: Final = NodeMetric(
    "cadnode_disk_used_ratio", _G, "Share in use of what the node may fill; at 1 it refuses images"
)
DISK_MARK: Final = NodeMetric(
    "cadnode_disk_high_mark_ratio", _G,
    "`retention.high_mark_percent` / 100: above it studies are removed ahead of time",
)  # fmt: skip
STORAGE: Final = NodeMetric(
    "cadnode_storage_bytes", _G,
    "What the node's files take: `images`, `results`, `priors`, `jobs`, `list`; as of the last "
    "round of retention",
    ("kind",),
)  # fmt: skip

DRIFT_STATE: Final = NodeMetric(
    "cadnode_drift_state", _G,
    "What a scanner's newest scores by a system say (docs/quality.md): 0 too few exams, 1 steady, "
    "2 watch, 3 drifts; of 32 scanners at most",
    ("scanner", "system"),
)  # fmt: skip
DRIFT_PSI: Final = NodeMetric(
    "cadnode_drift_psi", _G,
    "Population stability index of them against the scanner's baseline, by view position",
    ("scanner", "system", "view"),
)  # fmt: skip
DRIFT_CALLED: Final = NodeMetric(
    "cadnode_drift_called_ratio", _G,
    "Share of exams that reach the operating point: in the `baseline`, and `now`",
    ("scanner", "system", "exams"),
)  # fmt: skip

COUNTED: Final = (
    IMAGES_RECEIVED, BYTES_RECEIVED, STUDIES, EXAMS, SKIPPED, FINDINGS, FETCHES, DELIVERIES,
    FAILURES, DEATHS, RECEIVED_TO_READ, READ_TO_DELIVERED, READING, VIEW_READING, TRY, SCORE,
    GPU_USED, GPU_TOTAL,
)  # fmt: skip
LOOKED_AT: Final = (
    BUILD, MODEL, ROLE_UP, ROLE_CPU, ROLE_MEMORY, READY, PROBLEMS, STUDIES_NOW, NEED_SOMEBODY,
    QUEUE, QUEUE_OLDEST, DELIVERING, DELIVERING_OLDEST, UNDELIVERED, UNCOMMITTED, DISK_SIZE,
    DISK_FREE, DISK_MIN, DISK_USED, DISK_MARK, STORAGE, DRIFT_STATE, DRIFT_PSI, DRIFT_CALLED,
)  # fmt: skip
METRICS: Final = (*COUNTED, *LOOKED_AT)
