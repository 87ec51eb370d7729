"""`make bench` reads the tables that the benchmarks write."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from benchmarks import bench, queue
from cadnode.node.jobs import JobLookup
from cadnode.node.listener import open_spool
from cadnode.node.study_index import Studies
from cadnode.node.study_queue import StudyQueue
from cadnode.node.study_table import StudyTable
from cadnode.settings import Settings

FOLDER = Path(bench.__file__).parent


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("networks", ["≤ 0.65", "≤ 0.35", "≤ 1.10"]),
        ("pixels", ["≤ 1.2 × the fastest"] * 5 + ["≤ 0.15 × MONAI"] * 2),
        (
            "ingest",
            ["≥ 0.8 × storescp +B", "≥ 0.7 × storescp +B", "× storescp --fork"],
        ),
        ("queue", ["flat", "flat"]),
        ("pages", ["–"] * 4),
    ],
)
def test_committed_tables_are_read(file: str, expected: list[str]) -> None:
    found = bench.READERS[file](bench.tables((FOLDER / f"{file}.md").read_text()))

    assert [result.goal for result in found] == expected
    assert all((result.ours, result.ratio) != ("–", "–") for result in found)


def test_a_ratio_is_ours_to_the_peer_s() -> None:
    table = """
| receiver | raw: s | MB/s | J2K: s | MB/s |
|---|---:|---:|---:|---:|
| **cadnode** (fsync) | 2 | 400 | 1 | 450 |
| DCMTK `storescp` | 1 | 1 | 1 | 1 |
| DCMTK `storescp +B` (bit preserving) | 1 | 800 | 1 | 900 |

| receiver, 8 associations at once | raw: s | MB/s |
|---|---:|---:|
| **cadnode** (fsync) | 2 | 300 |
| DCMTK `storescp --fork` | 1 | 400 |
"""

    assert [r.ratio for r in bench.ingest(bench.tables(table))] == ["0.50", "0.50", "0.75"]


def test_a_benchmark_that_fails_or_takes_too_long_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "fails.py").write_text("raise KeyError('orthanc')")
    late = "import subprocess, sys; subprocess.run(['sleep', '60'])"
    (tmp_path / "late.py").write_text(late)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "_GRACE_S", 1)

    (failed,) = bench.measured("one", bench.Bench(("fails",), 60, "queue"), 900)
    began = time.monotonic()
    (stopped,) = bench.measured("one", bench.Bench(("late",), 0.5, "queue"), 900)
    (last,) = bench.measured("one", bench.Bench(("late",), 60, "queue"), 0.5)
    (unbegun,) = bench.measured("one", bench.Bench(("late",), 60, "queue"), 0)

    assert failed.note == "failed: KeyError: 'orthanc'"
    assert stopped.note == last.note == "not within 0 s"
    assert unbegun.note == "no time left"
    assert time.monotonic() - began < 30  # its own child does not hold it


def test_a_row_that_is_not_known_is_refused_and_no_cause_breaks_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--rows", "memory,exams"])
    with pytest.raises(SystemExit):
        bench.main()
    assert "there is no row exams" in capsys.readouterr().err

    text = bench.markdown([bench.Result("one", "–", note="failed: a | b")], 60, 0.1)
    assert [row["note"] for row in bench.tables(text)[0]] == ["failed: a / b"]


def test_the_list_is_measured_as_its_page_is_now() -> None:
    """A page that wants more than the benchmark gives it fails here, not in `make bench`."""
    with TemporaryDirectory() as name:
        settings = Settings(storage={"folder": Path(name)})
        jobs = JobLookup(settings.database_url)
        studies = Studies(settings, open_spool(settings), jobs)
        StudyTable(Path(name)).put(queue.rows(120), lambda key: 1.0)

        found = list(queue.pages(StudyQueue(settings, studies, jobs), 120, 1))
        jobs.close()

    assert len(found) == 10
