"""What a job database that was lost or restored does not know: from results and records."""

import json
from collections.abc import Iterable
from pathlib import Path

from cadnode.node import delivery_record, rebuild
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.jobs import DeliveryStatus, Job, again_id, deliver_id, process_id
from cadnode.node.results import RESULT, Results
from cadnode.node.undelivered import Undelivered

STUDY = "0123456789abcdef"
NAMES = ["pacs", "ehr"]


class Node:
    """Results on disk and the jobs that a database knows."""

    def __init__(self, folder: Path) -> None:
        self.results = Results(folder)
        self.jobs: dict[str, Job] = {}
        self.sent: list[tuple[str, str, tuple[str, ...]]] = []

    def reported(self, content: str, **last: DeliveryStatus) -> None:
        folder = self.results.of_content(STUDY, content)
        folder.mkdir(parents=True)
        (folder / RESULT).write_text(json.dumps({}))
        for name, status in last.items():
            delivery_record.record(folder, DeliveryTry(name, status, 1.0))

    def knows(self, identifier: str, status: str, output: str | None = None) -> None:
        name = identifier.split("-")[0]
        self.jobs[identifier] = Job(identifier, name, status, output, 0.0, 0.0)

    def find(self, identifiers: Iterable[str]) -> dict[str, Job]:
        return {i: self.jobs[i] for i in identifiers if i in self.jobs}

    def lost(self) -> rebuild.Lost:
        return rebuild.lost(self.results, NAMES, self.find)


def test_of_a_removed_database_what_was_not_delivered_is_delivered_and_nothing_else(
    tmp_path: Path,
) -> None:
    node = Node(tmp_path)
    node.reported("a", pacs=DeliveryStatus.DELIVERED, ehr=DeliveryStatus.UNVERIFIED)
    node.reported("b", pacs=DeliveryStatus.DELIVERED, ehr=DeliveryStatus.RETRY)
    node.reported("c", pacs=DeliveryStatus.REFUSED, ehr=DeliveryStatus.GIVEN_UP)
    node.reported("f", pacs=DeliveryStatus.DELIVERED, ehr=DeliveryStatus.AWAITING_COMMITMENT)
    node.reported("d")  # of an older version, or never tried
    (tmp_path / STUDY / "e").mkdir()  # not reported: the sweep has it read

    found = node.lost()

    assert dict(found.to_deliver) == {
        (STUDY, "b"): ("ehr",), (STUDY, "c"): ("pacs", "ehr"), (STUDY, "d"): ("pacs", "ehr"),
        (STUDY, "f"): ("ehr",),
    }  # fmt: skip
    assert found.finished == {(STUDY, content) for content in "abcdf"}
    assert rebuild.take_up(found, lambda *one: node.sent.append(one)) == 4
    assert sorted(content for _, content, _ in node.sent) == ["b", "c", "d", "f"]


def test_what_the_database_knows_is_left_to_it(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.reported("a")  # delivered by an older version, which kept no record
    node.knows(process_id(STUDY, "a", 0), "SUCCESS", "reported")
    node.knows(deliver_id(STUDY, "a", "pacs"), "SUCCESS", "delivered")
    node.reported("b")  # on its way; "ehr" was configured later
    node.knows(process_id(STUDY, "b", 0), "SUCCESS", "reported")
    node.knows(deliver_id(STUDY, "b", "pacs"), "ENQUEUED")
    node.reported("c")  # between its report and the start of its deliveries
    node.knows(process_id(STUDY, "c", 0), "PENDING")

    assert node.lost() == rebuild.Lost()


def test_what_an_older_copy_takes_for_unfinished_is_not_repeated(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.reported("a", pacs=DeliveryStatus.DELIVERED, ehr=DeliveryStatus.RETRY)
    node.knows(process_id(STUDY, "a", 0), "ENQUEUED")
    node.reported("b", pacs=DeliveryStatus.DELIVERED)
    node.knows(process_id(STUDY, "b", 0), "SUCCESS", "reported")
    node.knows(deliver_id(STUDY, "b", "pacs"), "DELAYED")

    found = node.lost()

    assert found.finished == {(STUDY, "a")}
    assert found.to_deliver == (((STUDY, "a"), ("ehr",)),)
    assert found.arrived == {
        deliver_id(STUDY, "a", "pacs"): DeliveryStatus.DELIVERED,
        deliver_id(STUDY, "b", "pacs"): DeliveryStatus.DELIVERED,
    }


def test_a_further_try_that_an_older_database_has_not_heard_of_is_made(tmp_path: Path) -> None:
    node = Node(tmp_path)
    entries = []
    for content, next_at in (("a", 9.0), ("b", 9.0), ("c", 9.0), ("d", None)):
        job = again_id("00", STUDY, content, "pacs") if next_at else ""
        entries.append(
            Undelivered(
                STUDY,
                content,
                "pacs",
                DeliveryStatus.REFUSED,
                "",
                0.0,
                1.0,
                next_at=next_at,
                job=job,
            )
        )
    node.knows(deliver_id(STUDY, "a", "pacs"), "SUCCESS", "refused")  # the next try is forgotten
    node.knows(deliver_id(STUDY, "b", "pacs"), "SUCCESS", "refused")
    node.knows(again_id("00", STUDY, "b", "pacs"), "DELAYED")  # it waits
    node.knows(deliver_id(STUDY, "d", "pacs"), "SUCCESS", "refused")  # a person has to look

    found = rebuild.forgotten(entries, node.find)

    assert [entry.content for entry in found] == ["a"]  # of "c" everything is lost
