"""The index of what is undelivered: counted quickly, made again of the records."""

import time
from pathlib import Path

from cadnode.node.delivery_record import DeliveryTry, record
from cadnode.node.jobs import DeliveryStatus, Job
from cadnode.node.results import Results
from cadnode.node.undelivered import Undelivered, UndeliveredIndex, note
from cadnode.node.workflow_steps import DeliveryNote

KEY = ("0123456789abcdef", "fedcba9876543210", "far-away")


def entry(status: str = "refused", at: float = 5.0, **more: object) -> Undelivered:
    return Undelivered(*KEY, DeliveryStatus(status), "answered 0124", at, at, **more)  # type: ignore[arg-type]


def test_an_entry_keeps_when_it_first_failed_and_counts_the_tries(tmp_path: Path) -> None:
    index = UndeliveredIndex(tmp_path)
    index.put(entry("retry", 5.0))
    index.put(entry("refused", 9.0, next_at=11.0, job="again1-x"))
    (found,) = index.all()
    assert (found.since, found.at, found.n_tries) == (5.0, 9.0, 2)
    assert (found.key, found.status, found.next_at, found.job) == (KEY, "refused", 11.0, "again1-x")
    assert index.of_study(KEY[0]) == [found]
    index.settle(*KEY)
    assert (index.all(), index.of_study(KEY[0]), index.find(*KEY)) == ([], [], None)


def test_a_damaged_entry_is_none(tmp_path: Path) -> None:
    index = UndeliveredIndex(tmp_path)
    index.put(entry())
    (file,) = (tmp_path / "undelivered").glob("*.json")
    file.write_text('{"status": "refu')
    assert index.all() == []
    index.put(entry())
    assert len(index.all()) == 1


def test_it_is_made_of_the_records_and_of_the_jobs_of_a_version_without_them(
    tmp_path: Path,
) -> None:
    results = Results.in_storage(tmp_path)
    for content, statuses in {"a": ["retry", "refused"], "b": ["refused", "delivered"]}.items():
        folder = results.of_content("s" * 16, content)
        folder.mkdir(parents=True)
        for at, status in enumerate(statuses):
            record(folder, DeliveryTry("pacs", DeliveryStatus(status), at, "why"))
    old = [
        Job(f"deliver-{'s' * 16}-c-pacs", "deliver", "SUCCESS", "refused", 1.0, 2.0),
        Job(f"deliver-{'s' * 16}-d-pacs", "deliver", "SUCCESS", "delivered", 1.0, 2.0),
        Job(f"deliver-{'s' * 16}-b-pacs", "deliver", "SUCCESS", "refused", 1.0, 2.0),
    ]
    index = UndeliveredIndex(tmp_path)
    assert not index.is_built()
    assert index.build(results, old) == 2
    assert index.is_built()
    assert {e.content: (e.status.value, e.reason) for e in index.all()} == {
        "a": ("refused", "why"), "c": ("refused", ""),
    }  # fmt: skip


def test_what_follows_a_try_is_entered_and_what_was_dropped_meanwhile_stays_so(
    tmp_path: Path,
) -> None:
    index, folder = UndeliveredIndex(tmp_path), tmp_path / "result"
    folder.mkdir()
    record(folder, DeliveryTry("far-away", DeliveryStatus.RETRY, 1.0, "is busy"))
    note(index, folder, DeliveryNote(*KEY, DeliveryStatus.RETRY, 60.0, "again1-x"), 100.0)
    (found,) = index.all()
    assert (found.reason, found.next_at, found.job) == ("is busy", 160.0, "again1-x")
    record(folder, DeliveryTry("far-away", DeliveryStatus.DROPPED, 2.0, "dropped by ann: gone"))
    note(index, folder, DeliveryNote(*KEY, DeliveryStatus.DROPPED), 101.0)
    assert index.all() == []


def test_thousands_of_entries_are_counted_in_a_moment(tmp_path: Path) -> None:
    index = UndeliveredIndex(tmp_path)
    for number in range(2000):
        index.put(Undelivered(f"{number:016x}", "c", "pacs", DeliveryStatus.REFUSED, "", 1.0, 1.0))
    index.all()
    began = time.perf_counter()
    assert len(index.all()) == 2000
    assert time.perf_counter() - began < 1.0


def test_what_has_arrived_by_its_record_is_settled_after_a_crash(tmp_path: Path) -> None:
    results = Results.in_storage(tmp_path)
    folder = results.of_content(KEY[0], KEY[1])
    folder.mkdir(parents=True)
    index = UndeliveredIndex(tmp_path)
    index.put(entry("retry"))
    record(folder, DeliveryTry(KEY[2], DeliveryStatus.RETRY, 5.0, "why"))
    index.tidy(results)
    assert len(index.all()) == 1
    record(folder, DeliveryTry(KEY[2], DeliveryStatus.DELIVERED, 6.0))
    index.tidy(results)
    assert index.all() == []
