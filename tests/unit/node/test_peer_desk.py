"""Peers as the HTTP side sees them: from the configuration, the tallies and what is owed."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from cadnode.node import checks, peer_desk
from cadnode.node.check import Check, CheckVerdict
from cadnode.node.delivery_record import DeliveryTry
from cadnode.node.destination_tally import KEPT_DAYS, Tallies, Tally
from cadnode.node.jobs import DeliveryStatus
from cadnode.node.peer_desk import PeerDesk
from cadnode.settings import Destination, ListenerSection, Settings, Source, StorageSection
from cadnode.settings.sections import ListenerPeer
from cadnode.web.deliveries import Delivery, DeliveryFilter
from cadnode.web.destinations import PeerGroup, Protection, UnknownPeer
from cadnode.web.node import jobs_away

NOON = 1_772_600_000.0
DAY = 86_400.0


def values(folder: Path) -> Settings:
    dicom = Destination(name="archive", host="10.0.0.5", port=4242, ae_title="ORTHANC")
    stow = Destination(name="cloud", kind="stow", url="https://pacs.example/dicom-web")
    secret = Source(name="site", url="http://10.0.0.9:8042", username="u", password_file="/etc/pw")
    peers = (
        ListenerPeer(address="10.1.2.3", ae_title="GANTRY", port=104),
        ListenerPeer(address="10.1.0.0/16", ae_title="GANTRY", port=104),
        ListenerPeer(address="10.2.0.0/16"),
    )
    return Settings(
        storage=StorageSection(folder=folder), destinations=(dicom, stow), sources=(secret,),
        listener=ListenerSection(peers=peers),
    )  # fmt: skip


def owed(_wanted: DeliveryFilter) -> list[Delivery]:
    one = Delivery("k", "c", "archive", "refused", "", 0.0, 1)
    return [one, replace(one, study="l"), replace(one, study="m", state="waiting")]


def test_destinations_have_address_protection_counts_and_no_secrets(tmp_path: Path) -> None:
    archive, cloud, site, *senders = PeerDesk(values(tmp_path), owed).listed()
    assert (archive.address, archive.protection) == ("ORTHANC at 10.0.0.5:4242", Protection.NONE)
    assert archive.owed is not None
    assert (archive.owed.refused, archive.owed.waiting, archive.owed.today) == (2, 1, 0)
    assert (cloud.protection, cloud.kind) == (Protection.TLS, "stow")
    assert "/etc/pw" not in str(site.as_dict())
    assert [(s.name, s.can_be_asked) for s in senders] == [
        ("GANTRY", True), ("GANTRY (2)", False), ("any title", False),
    ]  # fmt: skip


def test_without_job_database_the_counts_are_unknown(tmp_path: Path) -> None:
    def away(_wanted: DeliveryFilter) -> list[Delivery]:
        raise jobs_away()

    assert PeerDesk(values(tmp_path), away).listed()[0].owed is None


def test_a_tally_has_the_last_answer_and_the_days(tmp_path: Path) -> None:
    tallies = Tallies(tmp_path)
    for status in ("delivered", "unverified", "retry", "awaiting_commitment", "refused"):
        tallies.count(DeliveryTry("archive", DeliveryStatus(status), NOON, f"it is {status}"))
    tallies.count(DeliveryTry("archive", DeliveryStatus.DROPPED, NOON + 1, "by hand"))
    found = Tallies(tmp_path).of("archive")
    assert found.last is not None
    assert (found.last.status, found.last.reason) == ("refused", "it is refused")
    (count,) = found.days.values()
    assert (count.arrived, count.not_arrived) == (2, 2)
    assert Tallies(tmp_path).of("other") == Tally()
    (tmp_path / "answers" / "archive.json").write_text("{")
    assert Tallies(tmp_path).of("archive") == Tally()


def test_days_that_are_long_over_are_dropped() -> None:
    tally = Tally()
    for day in range(20):
        at = NOON + day * DAY
        tally = tally.with_try(DeliveryTry("a", DeliveryStatus.DELIVERED, at))
    assert len(tally.days) == KEPT_DAYS


def test_a_peer_is_asked_by_the_code_of_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def check(_values: Settings, destination: Destination) -> Check:
        seen.append(destination.name)
        return Check("x", CheckVerdict.FAILED, "it is away", "start it")

    monkeypatch.setattr(checks, "destination_check", check)
    desk = PeerDesk(values(tmp_path), owed)
    found = desk.ask(PeerGroup.DESTINATIONS, "archive")
    assert (found.verdict, found.found, found.advice) == ("failed", "it is away", "start it")
    assert seen == ["archive"]
    assert desk.listed()[0].echo == found
    for group, name in (("destinations", "site"), ("sources", "x"), ("senders", "any title")):
        with pytest.raises(UnknownPeer):
            desk.ask(PeerGroup(group), name)


def test_a_peer_that_hangs_keeps_one_thread_and_is_not_asked_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, begun = threading.Event(), []

    def hangs(_values: Settings, destination: Destination) -> Check:
        begun.append(destination.name)
        let_go.wait(20)
        return Check("x", CheckVerdict.OK, "late")

    monkeypatch.setattr(checks, "destination_check", hangs)
    monkeypatch.setattr(peer_desk, "ANSWERS_WITHIN_S", 0.05)
    desk = PeerDesk(values(tmp_path), owed)
    assert desk.ask(PeerGroup.DESTINATIONS, "archive").is_running
    assert desk.ask(PeerGroup.DESTINATIONS, "archive").is_running
    assert begun == ["archive"]
    let_go.set()
    monkeypatch.setattr(peer_desk, "ANSWERS_WITHIN_S", 10.0)
    assert desk.ask(PeerGroup.DESTINATIONS, "archive").found == "late"


def test_a_check_that_fails_unforeseen_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_source: Source) -> Check:
        raise RuntimeError("a name")

    monkeypatch.setattr(checks, "source_check", breaks)
    found = PeerDesk(values(tmp_path), owed).ask(PeerGroup.SOURCES, "site")
    assert found.verdict == "failed"
    assert "a name" not in found.found
