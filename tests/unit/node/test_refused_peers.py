"""Who was turned away, as health and the check show it; and which AE titles are one peer's."""

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest

from cadnode.node import commitment_reports, commitments
from cadnode.node.refused_peers import RefusalWitness, refused_peers, refused_problems
from cadnode.node.scp_config import scp_config
from cadnode.receive.commitment_requests import Sender
from cadnode.settings import Destination, ListenerSection, Settings, StorageSection
from cadnode.settings.sections import ListenerPeer


class Trail:
    """An audit witness that counts."""

    def __init__(self) -> None:
        self.n_refused = self.n_received = self.n_told = 0
        self.brought_by: list[tuple[str, dict[str, int]]] = []

    def received(self, ae_title: str, address: str, study: str) -> None:
        self.n_received += 1

    def brought(self, ae_title: str, studies: Mapping[str, int]) -> None:
        self.brought_by.append((ae_title, dict(studies)))

    def refused(self, reason: str, address: str, ae_title: str = "") -> None:
        self.n_refused += 1

    def tell(self, *, everything: bool = False) -> None:
        self.n_told += 1


def test_who_is_turned_away_is_told_with_what_to_do_until_it_gets_in(tmp_path: Path) -> None:
    now = [1000.0]
    trail = Trail()
    witness = RefusalWitness(tmp_path, trail, lambda: now[0])  # type: ignore[arg-type]
    for _ in range(3):
        witness.refused("calling_ae_title", "10.0.0.7", "PACS")
    witness.refused("too_slow", "10.0.0.8", "SLOW")  # of no association that failed
    witness.tell()

    (peer,) = refused_peers(tmp_path, lambda: now[0])
    assert (peer.name, peer.count) == ("PACS at 10.0.0.7", 3)
    assert refused_peers(tmp_path, lambda: now[0] + 3601) == []
    assert (trail.n_refused, trail.n_told) == (4, 1)

    witness.received("PACS", "10.0.0.7", "0123456789abcdef")
    witness.refused("unknown_address", "10.0.0.9")
    witness.tell(everything=True)
    assert [one.code for one in refused_peers(tmp_path, lambda: now[0])] == ["unknown_address"]


def test_the_trail_hears_how_many_images_an_association_brought(tmp_path: Path) -> None:
    trail = Trail()
    witness = RefusalWitness(tmp_path, trail)  # type: ignore[arg-type]
    witness.received("PACS", "10.0.0.7", "0123456789abcdef")
    witness.brought("PACS", {"0123456789abcdef": 4})
    assert trail.n_received == 1
    assert trail.brought_by == [("PACS", {"0123456789abcdef": 4})]


def test_health_says_it_in_a_sentence(tmp_path: Path) -> None:
    witness = RefusalWitness(tmp_path, Trail())  # type: ignore[arg-type]
    for number in range(7):
        witness.refused("tls_in_clear", f"10.0.0.{number}")
    witness.tell()
    problems = list(refused_problems(tmp_path))
    assert len(problems) == 6
    assert "was turned away once within the last hour: it speaks TLS" in problems[0].meaning
    assert problems[0].hint == "have it call listener.tls_port"
    assert problems[-1].meaning == "Further peers were turned away: 2"
    assert not any(problem.failing for problem in problems)


def test_a_damaged_or_missing_file_is_nobody(tmp_path: Path) -> None:
    assert refused_peers(tmp_path) == []
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles" / "refused-peers.json").write_text("[{}]")
    assert refused_peers(tmp_path) == []


PACS = ListenerPeer(address="10.1.0.0/16", ae_title="PACS", ae_titles=("PACS_SEND", "PACS"))


def settings(tmp_path: Path, *peers: ListenerPeer, **archive: object) -> Settings:
    made = Destination(
        name="pacs", host="10.1.2.3", port=104, ae_title="PACS_STORE", commit=True,
        **archive,  # type: ignore[arg-type]
    )  # fmt: skip
    return Settings(
        storage=StorageSection(folder=tmp_path),
        listener=ListenerSection(peers=peers),
        destinations=(made,),
    )


def test_every_title_of_a_peer_may_send_from_its_address(tmp_path: Path) -> None:
    allowed = scp_config(settings(tmp_path, PACS)).peers
    assert [(one.ae_title, one.network) for one in allowed] == [
        ("PACS", ip_network("10.1.0.0/16")), ("PACS_SEND", ip_network("10.1.0.0/16")),
    ]  # fmt: skip
    anyone = scp_config(settings(tmp_path, ListenerPeer(address="10.1.2.3"))).peers
    assert [one.ae_title for one in anyone] == [""]


def test_a_title_that_could_never_send_is_no_setting() -> None:
    with pytest.raises(ValueError, match="peer PACS_SEND is not among calling_ae_titles"):
        ListenerSection(peers=(PACS,), calling_ae_titles=("PACS",))


def test_a_report_is_sent_to_whichever_title_asked(tmp_path: Path) -> None:
    peer = ListenerPeer(address="10.1.2.3", ae_title="PACS", ae_titles=("PACS_SEND",), port=105)
    found = settings(tmp_path, peer)
    for title, port in (("PACS", 105), ("PACS_SEND", 105), ("OTHER", None)):
        assert commitment_reports.port_of(found, Sender("10.1.2.3", title)) == port


@pytest.mark.parametrize(
    ("sender", "is_taken"),
    [
        (Sender("10.1.2.3", "PACS_STORE"), True),
        (Sender("10.1.2.3", "PACS_COMMIT"), True),
        (Sender("10.1.2.3", "PACS_SEND"), False),
        (Sender("10.1.2.4", "PACS_COMMIT"), False),
    ],
)
def test_an_archive_may_answer_under_the_title_that_is_asked(
    tmp_path: Path, sender: Sender, is_taken: bool
) -> None:
    archives = commitments.Archives(settings(tmp_path, commit_ae_title="PACS_COMMIT"))
    assert archives._is(sender, "pacs") is is_taken


def test_an_archive_may_answer_under_the_titles_that_one_block_puts_together(
    tmp_path: Path,
) -> None:
    block = ListenerPeer(address="10.1.0.0/16", ae_title="PACS_STORE", ae_titles=("PACS_SEND",))
    found = settings(tmp_path, block, PACS)
    archives = commitments.Archives(found)
    assert archives._is(Sender("10.1.9.9", "PACS_SEND"), "pacs")
    assert not archives._is(Sender("10.1.9.9", "PACS"), "pacs")
    assert not archives._is(Sender("10.2.9.9", "PACS_SEND"), "pacs")
    assert commitments.may_answer(found, found.destinations[0])


def test_of_several_listeners_all_are_told_until_a_peer_gets_in_at_one(tmp_path: Path) -> None:
    now = [1000.0]
    one, two = (
        RefusalWitness(
            tmp_path,
            Trail(),
            lambda: now[0],
            slot=slot,
            is_one_of_several=True,  # type: ignore[arg-type]
        )
        for slot in ("listener", "listener-2")
    )
    for witness, title in ((one, "PACS"), (two, "PACS"), (two, "MG")):
        witness.refused("calling_ae_title", "10.0.0.7", title)
    for witness in (one, two):
        witness.tell(everything=True)
    found = {peer.ae_title: peer.count for peer in refused_peers(tmp_path, lambda: now[0])}
    assert found == {"PACS": 2, "MG": 1}

    now[0] += 60.0
    one.received("PACS", "10.0.0.7", "0123456789abcdef")
    one.tell(everything=True)
    assert [peer.ae_title for peer in refused_peers(tmp_path, lambda: now[0])] == ["MG"]
