"""How long the list of studies takes with 100,000 of them.

    python -m benchmarks.queue [--studies 100000] [--runs 20] [--built 20000]
                               [--out benchmarks/queue.md]

Rows are made as a node would enter them. Measured are a page as the web server answers it (the
list, its counts, the HTML) by filter, the deepest page, searches that find much and nothing,
and what keeping the list up costs: a look at the times of as many folders, and entering rows. The
first build, as after an update, is measured with `--built` study folders: an image, a result and a
delivery each, the files hard links of one another; no job is in the job database.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

from benchmarks.ingest import machine
from cadnode import log
from cadnode.exam.patient import Patient
from cadnode.identity.role import LOCAL
from cadnode.log import hashed
from cadnode.node import delivery_record
from cadnode.node.jobs import JobLookup
from cadnode.node.listener import open_spool
from cadnode.node.study_index import Studies
from cadnode.node.study_queue import StudyQueue
from cadnode.node.study_table import FILE, Look, StudyTable
from cadnode.node.workflow import prepare
from cadnode.receive.spool import Spool
from cadnode.settings import Settings
from cadnode.web.caller import Caller
from cadnode.web.node import Health
from cadnode.web.queue import StudyFilter, StudyRow
from cadnode.web.queue_pages import choices
from cadnode.web.study import Reason, State, StudyState
from cadnode.web.templating import Templates
from tests.synthetic import view_dataset, write

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
SURNAMES = ("Roe", "Doe", "Hansen", "Müller", "Tanaka", "Rossi", "Novak", "Silva", "Kim", "Bauer")
STATES = (State.DONE,) * 195 + (State.REFUSED, State.FAILED, State.DELIVERING, State.QUEUED,
                                State.IGNORED)  # fmt: skip
READER = Caller(LOCAL, "127.0.0.1", "csrf")
SECONDS = 173.0  # between two studies: 100,000 in half a year
# What `bulk_pages.context` gives where nobody has asked for an act.
NOTHING_ORDERED: dict[str, object] = {
    "list_path": "/", "orders_path": "/list", "is_whole": True, "kept": {}, "may_order": True,
    "to_do": "", "chosen": (), "everything": False, "n_asked": 0, "destinations": (), "did": "",
    "n_done": 0, "left": 0, "more": "",
}  # fmt: skip
WHY = Reason("undelivered", "archive does not have the result: association rejected (called AE "
             "title not recognized); it is tried again at 2026-11-30T06:00+00:00")  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """Seconds of each run of something."""

    what: str
    seconds: list[float]

    @property
    def line(self) -> str:
        """A row of the table."""
        slowest = max(self.seconds) * 1000
        return f"| {self.what} | {statistics.median(self.seconds) * 1000:.1f} | {slowest:.1f} |"


def rows(n_studies: int) -> Iterator[Look]:
    """Studies as they are a while after they were received, the newest first."""
    random = Random(1)
    for n in range(n_studies):
        state = STATES[random.randrange(len(STATES))]
        at = NOW - timedelta(seconds=n * SECONDS)
        is_owed = state is State.REFUSED
        study = StudyState(
            hashed(f"2.25.{n}"), "", state, "findings" if n % 9 == 0 else "no_findings", True,
            n % 9 == 0, 0.25, (WHY,) if is_owed else (),
            (("archive", "refused" if is_owed else "delivered"),), 4, at,
        )  # fmt: skip
        name = f"{SURNAMES[random.randrange(len(SURNAMES))]}, {random.randrange(10**6):06d}"
        day = date(2026, 6, 1) + timedelta(days=n % 180)
        patient = Patient((name,), f"P{n:07d}", study_date=day, accession_number=f"A{n:08d}")
        yield Look(StudyRow(study, patient), 1.0, float(n))


def folders(storage: Path, n_studies: int) -> None:
    """As many folders as the studies have: images and results."""
    for n in range(n_studies):
        for place in ("spool/studies", "results"):
            (storage / place / hashed(f"2.25.{n}")).mkdir(parents=True)


def study_folders(storage: Path, n_studies: int) -> None:
    """As many studies as they lie on the disk: an image, its result and its delivery's record."""
    source = write(view_dataset("R", "CC", seed=1), storage / "source.dcm")
    result = storage / "result.json"
    findings = [{"view": "RCC", "score": 0.4, "box": [1, 2, 3, 4]}] * 3
    result.write_text(
        json.dumps({
            "outcome": "findings", "complete": True, "findings": findings, "exam": {"score": 0.4},
            "skipped": [],
        })
    )  # fmt: skip
    delivered = {"destination": "archive", "status": "delivered", "at": 1.0, "reason": ""}
    for n in range(n_studies):
        key, instance = hashed(f"2.25.{n}"), hashed(f"2.25.{n}.1")
        images = storage / "spool" / "studies" / key
        images.mkdir(parents=True)
        if n % 10_000 == 0:  # a file has only so many names
            source = Path(shutil.copy(source, storage / f"source-{n}.dcm"))
        (images / f"{instance}.dcm").hardlink_to(source)
        paths = [images / f"{instance}.dcm"]
        content = storage / "results" / key / Spool.fingerprint(paths)
        content.mkdir(parents=True)
        shutil.copyfile(result, content / "result.json")
        (content / "inputs.json").write_text(json.dumps([paths[0].name]))
        (content / delivery_record.FILE).write_text(json.dumps(delivered))


def first_build(n_studies: int) -> tuple[float, float, float]:
    """Seconds until the first page, until all studies are listed, and of the processor."""
    with tempfile.TemporaryDirectory() as name:
        storage = Path(name)
        destinations = [{"name": "archive", "kind": "folder", "folder": storage / "out"}]
        settings = Settings(storage={"folder": storage}, destinations=destinations)
        study_folders(storage, n_studies)
        prepare(settings.database_url)
        jobs = JobLookup(settings.database_url)
        queue = StudyQueue(settings, Studies(settings, open_spool(settings), jobs), jobs)
        started, worked = time.perf_counter(), time.process_time()
        queue.refresh(0.5)
        page_s = time.perf_counter() - started
        while not queue.refresh():
            pass
        built_s, worked_s = time.perf_counter() - started, time.process_time() - worked
        found = queue.page(StudyFilter(counted=True))
        if found.n_found != n_studies:
            raise SystemExit(f"{found.n_found} of {n_studies} studies are listed")
        jobs.close()
        return page_s, built_s, worked_s


def timed(what: str, runs: int, do: Callable[[], object]) -> Measured:
    """Each run's seconds, after one that warms up."""
    do()
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        do()
        seconds.append(time.perf_counter() - started)
    return Measured(what, seconds)


def pages(queue: StudyQueue, n_studies: int, runs: int) -> Iterator[Measured]:
    """How long each kind of page takes, its HTML included."""
    templates, health = Templates(), Health("0", {}, {}, ())

    def page(**wanted: object) -> str:
        asked = StudyFilter(**wanted)  # type: ignore[arg-type]
        found = queue.page(asked)
        return templates.text(
            "recent.html.jinja", visitor=READER, wanted=asked, wrong=None, page=found,
            choices=choices(found), health=health, first="/", older="/", **NOTHING_ORDERED,
        )  # fmt: skip

    oldest = NOW - timedelta(seconds=(n_studies - 60) * SECONDS)
    last = f"{round(oldest.timestamp() * 1e6)}-{'f' * 16}"
    day = (NOW - timedelta(days=90)).date()
    yield timed("first page", runs, page)
    yield timed("last page", runs, lambda: page(after=last))
    yield timed("state `refused`", runs, lambda: page(state=State.REFUSED))
    yield timed("what needs somebody", runs, lambda: page(needs_you=True))
    yield timed(
        "what a destination lacks, counted", runs,
        lambda: page(needs_you=True, destination="archive", counted=True),
    )  # fmt: skip
    yield timed("one day, three months ago", runs, lambda: page(since=day, until=day))
    yield timed("search: a surname", runs, lambda: page(text="müller"))
    yield timed("search: the oldest number", runs, lambda: page(text=f"P{n_studies - 1:07d}"))
    yield timed("search: nothing found", runs, lambda: page(text="nobody has this name"))
    yield timed("search in a state", runs, lambda: page(text="roe", state=State.FAILED))


def built(n_studies: int, n_all: int) -> list[str]:
    """What is said of the first build."""
    if not n_studies:
        return []
    page_s, seconds, worked_s = first_build(n_studies)
    return [
        f"The first build, of {n_studies:,} study folders with image, result and delivery record: "
        f"a first page after {page_s:.1f} s, all after {seconds:.0f} s, {worked_s:.0f} s of "
        f"it the processor's ({1000 * worked_s / n_studies:.1f} ms each). It grows with their "
        f"number: {seconds * n_all / n_studies / 60:.0f} min for {n_all:,} under this load, "
        f"{worked_s * n_all / n_studies / 60:.0f} on a machine that does nothing else. The list is "
        "shown meanwhile, the newest studies first.",
        "",
    ]


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--built", type=int, default=20_000, help="studies of the first build")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    log.configure("ERROR")
    with tempfile.TemporaryDirectory() as name:
        storage = Path(name)
        settings = Settings(storage={"folder": storage})
        jobs = JobLookup(settings.database_url)
        studies = Studies(settings, open_spool(settings), jobs)
        queue, table = StudyQueue(settings, studies, jobs), StudyTable(storage)
        started = time.perf_counter()
        table.put(rows(options.studies), lambda key: 1.0)
        made_s = time.perf_counter() - started
        mib = (storage / FILE).stat().st_size / 2**20
        found = list(pages(queue, options.studies, options.runs))
        folders(storage, options.studies)
        found.append(timed("look at the time of every folder", 3, studies.changes))
        found.append(timed("what is known of them", 3, table.seen))
        few = list(rows(200))
        found.append(timed("enter 200 studies", 3, lambda: table.put(few, lambda key: 1.0)))
        jobs.close()
    text = "\n".join(
        [
            f"# The list of {options.studies:,} studies", "", machine(), "",
            "`python -m benchmarks.queue`: pages with their HTML, "
            f"{options.runs} runs each, files in the page cache.", "",
            "| what | median, ms | slowest, ms |", "|---|---:|---:|",
            *(one.line for one in found), "",
            f"The file has {mib:.0f} MiB; entering all rows at once took {made_s:.1f} s.", "",
            *built(options.built, options.studies),
        ]
    )  # fmt: skip
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
