"""What a role counts, keeps over its ends, and never takes back."""

import json
import threading
from pathlib import Path

import pytest

from cadnode import files
from cadnode.node.metrics import counts as room
from cadnode.node.metrics import gpu, table
from cadnode.node.metrics.arrivals import CountedArrivals
from cadnode.node.metrics.counts import MOST_SERIES, Counts, of_roles, read
from cadnode.node.metrics.table import METRICS, MetricKind, NodeMetric
from cadnode.receive.witness import Unwatched
from cadnode.settings.sections import ListenerSection


def values(counts: Counts) -> dict[tuple[str, ...], float]:
    return {(one.name, *one.labels): one.value for one in counts.published().samples}


def test_a_role_goes_on_counting_where_the_one_before_it_was_killed(tmp_path: Path) -> None:
    first = Counts.of(tmp_path, "worker", 1)
    first.add(table.STUDIES, "read", by=3)
    first.observe(table.READING, 4.0)
    first.set(table.GPU_USED, 7.0, "cuda")
    first.write()
    first.add(table.STUDIES, "read")  # killed before this is written: nobody has seen it

    second = Counts.of(tmp_path, "worker", 2)
    second.add(table.STUDIES, "read")
    second.observe(table.READING, 0.25)
    second.write()

    shown = of_roles(tmp_path, ["worker"])["worker"]
    assert shown.pid == 2
    assert [(s.name, s.labels, s.value) for s in shown.samples] == [
        ("cadnode_studies_total", ("read",), 4.0)
    ]  # a gauge is of the process that set it
    (reading,) = shown.histograms
    assert (sum(reading.counts), reading.total) == (2, 4.25)


def test_what_is_shown_never_falls_however_often_a_role_is_killed(tmp_path: Path) -> None:
    shown = [0.0]
    for pid in range(1, 8):
        counts = Counts.of(tmp_path, "worker", pid)
        for n in range(pid):
            counts.add(table.STUDIES, "read")
            if n % 2:
                counts.write()
            found = of_roles(tmp_path, ["worker"])["worker"].samples
            shown.append(found[0].value if found else 0.0)
    assert shown == sorted(shown)
    assert shown[-1] >= 9


def test_a_full_disk_costs_no_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = Counts.of(tmp_path, "worker", 1)
    counts.add(table.STUDIES, "read")

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(room, "write_whole", full)
    counts.write()
    assert not (tmp_path / "metrics").exists()
    monkeypatch.setattr(room, "write_whole", files.write_whole)
    counts.write()
    assert values(Counts.of(tmp_path, "worker", 2)) == {("cadnode_studies_total", "read"): 1.0}


def test_what_has_not_changed_is_not_written(tmp_path: Path) -> None:
    counts = Counts.of(tmp_path, "worker", 1)
    counts.begin(table.BYTES_RECEIVED)
    counts.write()
    (tmp_path / "metrics" / "worker.json").unlink()
    counts.write()
    assert not (tmp_path / "metrics" / "worker.json").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema_version": 2}', b"\xff"])
def test_a_file_that_cannot_be_read_counts_from_nothing(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "metrics" / "worker.json"
    file.parent.mkdir()
    file.write_bytes(content)
    counts = Counts.of(tmp_path, "worker", 1)
    assert values(counts) == {}
    counts.add(table.BYTES_RECEIVED, by=5)
    counts.write()
    assert read(file).samples[0].value == 5


def test_series_of_another_version_are_left_behind(tmp_path: Path) -> None:
    file = tmp_path / "metrics" / "worker.json"
    file.parent.mkdir()
    old = {
        "samples": [
            {"name": "cadnode_gone_total", "value": 1},
            {"name": "cadnode_studies_total", "labels": ["a", "b"], "value": 1},
        ],
        "histograms": [{"name": "cadnode_reading_seconds", "counts": [1, 2], "total": 3}],
    }
    file.write_text(json.dumps(old))
    assert Counts.of(tmp_path, "worker", 1).published().samples == ()
    assert Counts.of(tmp_path, "worker", 1).published().histograms == ()


def test_a_metric_of_very_many_series_has_one_for_all_others() -> None:
    counts = Counts()
    for n in range(MOST_SERIES + 20):
        counts.add(table.FAILURES, "read", f"reason-{n}")
        counts.observe(table.SCORE, 0.5, f"system-{n}", "ge", "CC")
    found = values(counts)
    assert len(found) == MOST_SERIES + 1
    assert found["cadnode_failures_total", "other", "other"] == 20
    assert len(counts.published().histograms) == MOST_SERIES + 1


def test_a_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed() -> None:
    counts = Counts()
    for score in (0.0, 0.05, 0.051, 0.5, 1.0, 1.5, float("nan"), float("inf")):
        counts.observe(table.SCORE, score, "kim2018", "ge", "CC")
    (found,) = counts.published().histograms
    by_bound = dict(zip((*table.SCORE.buckets, "above"), found.counts, strict=True))
    assert {bound: n for bound, n in by_bound.items() if n} == {
        0.05: 2, 0.1: 1, 0.5: 1, 1.0: 1, "above": 1
    }  # fmt: skip


def test_a_wrong_number_of_labels_is_a_fault_of_the_code() -> None:
    with pytest.raises(ValueError, match="cadnode_studies_total"):
        Counts().add(table.STUDIES)


def test_counts_are_written_while_a_role_works_and_at_its_end(tmp_path: Path) -> None:
    with Counts.of(tmp_path, "listener", 1).kept() as counts:
        counts.add(table.BYTES_RECEIVED, by=2)
    assert of_roles(tmp_path, ["listener"])["listener"].samples[0].value == 2


def test_only_senders_that_are_configured_are_named() -> None:
    counts = Counts()
    listener = ListenerSection(
        peers=[{"address": "10.0.0.1", "ae_title": "PACS"}], calling_ae_titles=["PACS", "MAMMO"]
    )
    counted = CountedArrivals(counts, Unwatched(), listener)
    counted.received("PACS", "10.0.0.1", "a" * 16)
    for title, n in (("PACS ", 4), ("MAMMO", 1), ("SCANNER1", 2), ("", 3)):
        counted.brought(title, {"a" * 16: n})
    counted.refused("calling_ae_title", "10.9.9.9", "ROE^JANE")
    assert values(counts) == {
        ("cadnode_studies_total", "received"): 1,
        ("cadnode_received_images_total", "PACS"): 4,
        ("cadnode_received_images_total", "MAMMO"): 1,
        ("cadnode_received_images_total", "other"): 5,
        ("cadnode_failures_total", "receive", "calling_ae_title"): 1,
    }


def test_a_gpus_memory_is_shown_until_its_driver_fails() -> None:
    counts, answers = Counts(), iter([(30, 100)])

    def memory() -> tuple[int, int]:
        try:
            return next(answers)
        except StopIteration:
            raise RuntimeError("CUDA error") from None

    class Soon(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            return False

    gpu.watched(counts, "cuda", memory)(Soon())
    assert values(counts) == {
        ("cadnode_gpu_memory_used_bytes", "cuda"): 70,
        ("cadnode_gpu_memory_size_bytes", "cuda"): 100,
    }


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_the_conventions_of_prometheus(metric: NodeMetric) -> None:
    assert metric.name.startswith("cadnode_")
    assert (metric.kind is MetricKind.COUNTER) == metric.name.endswith("_total")
    assert bool(metric.buckets) == (metric.kind is MetricKind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert not {"study", "uid", "patient", "instance", "address", "le"} & set(metric.labels)
    assert metric.meaning
