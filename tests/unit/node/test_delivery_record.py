"""The record of deliveries beside a result: durable, ordered, and not broken by a crash."""

from dataclasses import replace
from pathlib import Path

from cadnode.node import delivery_record
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.jobs import DeliveryStatus

LATE = DeliveryTry("pacs", DeliveryStatus.RETRY, 10.0, "pacs is out of resources (A700)")
TAKEN = DeliveryTry("pacs", DeliveryStatus.DELIVERED, 12.5)
REFUSED = DeliveryTry("archive", DeliveryStatus.REFUSED, 11.0, "archive refuses our AE title")


def test_without_a_record_there_are_no_tries(tmp_path: Path) -> None:
    assert delivery_record.tries(tmp_path) == []
    assert delivery_record.last_tries(tmp_path / "removed") == {}


def test_tries_come_back_in_order_and_the_last_of_each_destination_counts(tmp_path: Path) -> None:
    for one in (LATE, REFUSED, TAKEN):
        delivery_record.record(tmp_path, one)
    assert delivery_record.tries(tmp_path) == [LATE, REFUSED, TAKEN]
    assert delivery_record.last_tries(tmp_path) == {"pacs": TAKEN, "archive": REFUSED}


def test_a_line_that_a_crash_cut_costs_that_line_only(tmp_path: Path) -> None:
    delivery_record.record(tmp_path, LATE)
    with (tmp_path / delivery_record.FILE).open("ab") as file:
        file.write(b'\n{"destination": "archive", "stat')
    delivery_record.record(tmp_path, TAKEN)
    assert delivery_record.tries(tmp_path) == [LATE, TAKEN]


def test_of_very_many_tries_the_first_and_the_last_are_kept_and_all_are_counted(
    tmp_path: Path,
) -> None:
    delivery_record.record(tmp_path, REFUSED)
    for n in range(1200):
        delivery_record.record(tmp_path, replace(LATE, at=20.0 + n))
    found = delivery_record.tries(tmp_path)
    assert found[0] == REFUSED
    assert found[1] == replace(LATE, at=20.0)
    assert found[-1].at == 20.0 + 1199
    assert len(found) < 600
    assert sum(1 + one.n_left_out for one in found if one.destination == "pacs") == 1200
    assert delivery_record.last_tries(tmp_path)["archive"] == REFUSED
    delivery_record.record(tmp_path, TAKEN)
    assert delivery_record.last_tries(tmp_path)["pacs"] == TAKEN
