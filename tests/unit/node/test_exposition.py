"""What Prometheus is given: counts of roles that ended, the node as it is, nothing of a patient."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cadnode import __version__
from cadnode.domain import Outcome, SkipReason, System
from cadnode.exam.patient import Patient
from cadnode.node import exposition, heartbeat, role_status, storage_overview, worker_state
from cadnode.node.exposition import Exposition, of_health, of_process
from cadnode.node.health import HealthCheck
from cadnode.node.heartbeat import Beat
from cadnode.node.jobs import Job, JobsUnavailable
from cadnode.node.metrics import table
from cadnode.node.metrics.counts import Counts
from cadnode.node.metrics.exams import count_exam
from cadnode.node.metrics.table import METRICS, MetricKind
from cadnode.node.ready_check import ReadyCheck
from cadnode.node.storage_overview import Amount, StorageOverview
from cadnode.node.study_table import Look, StudyTable
from cadnode.node.supervise import ROLES
from cadnode.node.worker_state import NodeState, Used
from cadnode.quality.entry import scores_of
from cadnode.settings import Settings
from cadnode.web.node import Health, HealthProblem
from cadnode.web.queue import StudyRow
from cadnode.web.study import State, StudyState
from tests.report_cases import digital_exam, result_of

Samples = dict[tuple[str, ...], float]


class NoJobs:
    """A job database that is empty, or away."""

    is_away = False

    def find(self, identifiers: object) -> dict[str, Job]:
        if self.is_away:
            raise JobsUnavailable
        return {}

    def open_jobs(self, *names: str) -> list[Job]:
        if self.is_away:
            raise JobsUnavailable
        return []

    def failed_since(self, since: datetime, *names: str) -> list[Job]:
        return []

    ended_since = failed_since


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Path]:
    """The folder of a node whose roles are up, and whose disk was looked at."""
    (tmp_path / "spool").mkdir()
    with ExitStack() as roles:
        for role in ROLES:
            roles.enter_context(role_status.present(tmp_path, role))
            beat = Beat(os.getpid(), time.monotonic(), heartbeat.WORKING)
            heartbeat.file_of(tmp_path, role).write(heartbeat.encoded(beat))
        models = (Used(name="dib-mg-film", version="1.2.0", sha256="0" * 64),)
        worker_state.write(tmp_path, NodeState(pid=os.getpid(), models=models))
        overview = StorageOverview(time.time(), Amount(2, 4000), Amount(1, 300), 50)
        storage_overview.write(tmp_path, overview)
        yield tmp_path


def settings_of(storage: Path, min_free_gb: float = 0.0) -> Settings:
    return Settings(
        storage={"folder": storage, "min_free_gb": min_free_gb},
        destinations=[{"name": "pacs", "kind": "folder", "folder": "/nowhere"}],
    )


def exposed(storage: Path, jobs: NoJobs | None = None) -> str:
    settings, jobs = settings_of(storage), jobs or NoJobs()
    health = HealthCheck(settings, jobs)  # type: ignore[arg-type]
    ready = ReadyCheck(settings, jobs)  # type: ignore[arg-type]
    return Exposition(settings, health, ready)().decode()


def samples(text: str) -> Samples:
    """(name, label values in order of their names) and value of each sample."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def row(key: str, state: State) -> Look:
    study = StudyState(key, "1.2.3.4", state, updated_at=datetime(2026, 3, 4, tzinfo=UTC))
    return Look(StudyRow(study, Patient(names=("Roe, Jane",), patient_id="ZZQ-7")), 1.0, 1.0)


def test_counts_of_all_roles_are_shown_also_of_those_that_ended(storage: Path) -> None:
    worker, listener = (Counts.of(storage, role, os.getpid()) for role in ("worker", "listener"))
    worker.add(table.STUDIES, "read", by=2)
    worker.set(table.GPU_USED, 5e9, "cuda")
    worker.observe(table.READING, 4.0)
    worker.observe(table.READING, 1000.0)
    listener.add(table.STUDIES, "received", by=3)
    supervisor = Counts.of(storage, "node", 1)
    supervisor.add(table.DEATHS, "worker", "killed")
    for one in (worker, listener, supervisor):
        one.write()
    found = samples(exposed(storage))
    assert found["cadnode_studies_total", "read"] == 2
    assert found["cadnode_studies_total", "received"] == 3
    assert found["cadnode_role_deaths_total", "killed", "worker"] == 1
    assert found["cadnode_gpu_memory_used_bytes", "cuda"] == 5e9
    assert found["cadnode_reading_seconds_bucket", "3.0"] == 0
    assert found["cadnode_reading_seconds_bucket", "5.0"] == 1
    assert found["cadnode_reading_seconds_bucket", "600.0"] == 1
    assert found["cadnode_reading_seconds_bucket", "+Inf"] == 2
    assert found[("cadnode_reading_seconds_count",)] == 2
    assert found[("cadnode_reading_seconds_sum",)] == 1004


def test_a_gauge_of_a_process_that_is_gone_is_not_shown(storage: Path) -> None:
    worker = Counts.of(storage, "worker", 999_999_999)
    worker.set(table.GPU_USED, 5e9, "cuda")
    worker.write()
    assert ("cadnode_gpu_memory_used_bytes", "cuda") not in samples(exposed(storage))


def test_several_workers_are_counted_together_and_each_process_is_shown(storage: Path) -> None:
    with ExitStack() as beside:
        # The third is of another machine, where its number is another process's.
        for slot in [f"worker-{number}" for number in range(2, 12)]:
            taken = role_status.present(storage, "worker", beside=True)
            assert beside.enter_context(taken) == slot
            boot = "another" if slot == "worker-3" else heartbeat.boot()
            beat = Beat(os.getpid(), time.monotonic(), heartbeat.WORKING, boot=boot)
            heartbeat.file_of(storage, slot).write(heartbeat.encoded(beat))
        for slot, pid in (("worker", 1), ("worker-2", os.getpid()), ("worker-11", os.getpid())):
            counts = Counts.of(storage, slot, pid)
            counts.add(table.STUDIES, "read", by=2)
            counts.observe(table.READING, 4.0)
            counts.set(table.GPU_USED, 5e9, "cuda")
            counts.write()
        (storage / "metrics" / "worker-x.json").write_bytes(b"{}")
        found = samples(exposed(storage))
        assert role_status.slots(storage, "worker")[-2:] == ["worker-10", "worker-11"]
        assert not role_status.look_at(storage, "worker-3").is_here
    assert found["cadnode_studies_total", "read"] == 6
    assert found["cadnode_reading_seconds_bucket", "5.0"] == 3
    assert found[("cadnode_reading_seconds_sum",)] == 12
    assert found["cadnode_gpu_memory_used_bytes", "cuda"] == 5e9  # one GPU, that both look at
    assert found["cadnode_role_cpu_seconds_total", "worker-2"] > 0
    assert found["cadnode_role_resident_memory_bytes", "worker-11"] > 10e6
    assert ("cadnode_role_cpu_seconds_total", "worker-3") not in found
    ended = samples(exposed(storage))
    assert ended["cadnode_studies_total", "read"] == 6
    assert ("cadnode_role_cpu_seconds_total", "worker-2") not in ended


def test_the_node_is_shown_as_it_is(storage: Path) -> None:
    studies = StudyTable(storage)
    looks = [row("a" * 16, State.DONE), row("b" * 16, State.DONE), row("c" * 16, State.READING)]
    studies.put(looks, lambda key: 1.0)
    found = samples(exposed(storage))
    assert found["cadnode_build_info", __version__] == 1
    assert found["cadnode_model_info", "dib-mg-film", "1.2.0"] == 1
    assert {found["cadnode_role_up", role] for role in ROLES} == {1}
    checks = ("models", "listener", "jobs", "disk")
    assert [found["cadnode_ready", check] for check in checks] == [1, 1, 1, 1]
    assert found["cadnode_studies", "done"] == 2
    assert found["cadnode_studies", "reading"] == 1
    assert found[("cadnode_studies_needing_attention",)] == 0
    assert found["cadnode_queue_studies", "reading"] == 0
    assert found["cadnode_delivery_queue_results", "pacs"] == 0
    assert found["cadnode_undelivered_results", "pacs"] == 0
    assert found["cadnode_storage_bytes", "images"] == 4000
    assert 0 < found[("cadnode_disk_free_bytes",)] <= found[("cadnode_disk_size_bytes",)]
    assert found["cadnode_role_resident_memory_bytes", "web"] > 10e6
    assert found["cadnode_role_cpu_seconds_total", "web"] > 0


def test_a_queue_that_cannot_be_looked_at_is_not_shown_as_empty(storage: Path) -> None:
    jobs = NoJobs()
    jobs.is_away = True
    found = samples(exposed(storage, jobs))
    assert not [name for name in found if name[0].startswith(("cadnode_queue", "cadnode_deliver"))]
    assert found["cadnode_ready", "jobs"] == 0
    assert found["cadnode_problems", "jobs_away", "failing"] == 1


def test_a_list_that_cannot_be_read_is_not_shown_as_empty(storage: Path) -> None:
    (storage / "studies.sqlite").mkdir()
    assert not [name for name in samples(exposed(storage)) if name[0] == "cadnode_studies"]


def test_several_problems_of_one_code_are_one_series() -> None:
    away = HealthProblem("destination_away", "pacs has not taken a result", "look")
    health = Health("1", {"web": "hanging"}, {}, (away, away))
    assert [found for found in of_health(health) if found[0] is table.PROBLEMS] == [
        (table.PROBLEMS, ("destination_away", "failing"), 1.0)
    ] * 2
    assert (table.ROLE_UP, ("web",), 0.0) in list(of_health(health))


def test_nothing_shown_names_a_patient_or_a_study(storage: Path) -> None:
    StudyTable(storage).put([row("a" * 16, State.FAILED)], lambda key: 1.0)
    counts = Counts.of(storage, "worker", os.getpid())
    exam = digital_exam()
    count_exam(counts, exam, result_of(exam, "systems"), 4.0)
    counts.write()
    text = exposed(storage)
    for secret in ("Roe", "ZZQ", "1.2.3.4", "a" * 16, *exam.headers):
        assert secret not in text


def test_promtool_finds_nothing_to_remark(storage: Path) -> None:
    counts = Counts.of(storage, "worker", os.getpid())
    for metric in table.COUNTED:
        labels = tuple(f"{label}-x" for label in metric.labels)
        if metric.kind is MetricKind.GAUGE:
            counts.set(metric, 1.0, *labels)
        else:
            counts.begin(metric, *labels)
    counts.write()
    text = exposed(storage)
    shown = {family.name for family in text_string_to_metric_families(text)}
    missing = {m.name.removesuffix("_total") for m in METRICS} - shown
    assert {one for one in missing if "_drift_" not in one} <= {
        "cadnode_problems", "cadnode_uncommitted_results", "cadnode_studies"
    }  # fmt: skip
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_scores_are_counted_by_system_vendor_and_view() -> None:
    from_ = digital_exam()
    read = result_of(from_, "systems")
    counts = Counts()
    count_exam(counts, from_, read, 8.0)
    found = {h.labels: sum(h.counts) for h in counts.published().histograms if h.labels}
    views = {view.sop_instance_uid: view for view in from_.mammograms}
    expected = [(s.value, one.view.value) for s, one in (
        (System.KIM2018, views[v.sop_instance_uid]) for v in read.views
    )]  # fmt: skip
    of_views = sum(n for labels, n in found.items() if labels[0] == System.KIM2018)
    assert of_views == len(expected) == 4
    assert {labels[1] for labels in found} <= {v.vendor or "unknown" for v in from_.mammograms}
    assert all(0 <= one.score <= 1 for one in scores_of(from_, read))
    (per_view,) = [h for h in counts.published().histograms if h.name == table.VIEW_READING.name]
    assert (sum(per_view.counts), per_view.total) == (len(read.views), pytest.approx(8.0))
    (outcome,) = [s for s in counts.published().samples if s.name == table.EXAMS.name]
    assert Outcome(outcome.labels[0]) is read.outcome
    for skipped in [s for s in counts.published().samples if s.name == table.SKIPPED.name]:
        assert SkipReason(skipped.labels[0])


def test_what_a_process_used_is_read_whatever_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = ["S", *["0"] * 10, "150", "50", *["0"] * 8, "7", *["0"] * 20]
    text = f"42 (a) S 1 (b c) {' '.join(fields)}"
    monkeypatch.setattr(exposition.Path, "read_text", lambda self: text)
    ticks = os.sysconf("SC_CLK_TCK")
    assert of_process(42) == (200 / ticks, 7 * os.sysconf("SC_PAGE_SIZE"))


def test_a_node_is_ready_when_all_checks_pass(storage: Path) -> None:
    jobs = NoJobs()

    def checks(min_free_gb: float = 0.0) -> dict[str, bool]:
        return ReadyCheck(settings_of(storage, min_free_gb), jobs)().checks  # type: ignore[arg-type]

    assert checks() == {"models": True, "listener": True, "jobs": True, "disk": True}
    assert not checks(min_free_gb=1e9)["disk"]
    jobs.is_away = True
    assert not checks()["jobs"]
    (storage / worker_state.FILE).unlink()
    beat = Beat(os.getpid(), time.monotonic())
    for role in ("worker", "listener"):
        heartbeat.file_of(storage, role).write(heartbeat.encoded(beat))  # both start
    assert (checks()["models"], checks()["listener"]) == (False, False)


def test_readiness_is_not_looked_at_for_every_request(storage: Path) -> None:
    jobs, now = NoJobs(), [0.0]
    ready = ReadyCheck(settings_of(storage), jobs, lambda: now[0])  # type: ignore[arg-type]
    assert ready().is_ready
    jobs.is_away = True
    assert ready().is_ready
    now[0] = 3.0
    assert not ready().is_ready
