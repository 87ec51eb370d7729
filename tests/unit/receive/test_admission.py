"""Who may come in and who gives way: decisions on values."""

from ipaddress import ip_network

import pytest

from cadnode.receive.admission import (
    AllowedPeer,
    AllowedPeers,
    AssociationPlace,
    PlaceLimits,
    Places,
    Room,
    plain_address,
    who_gives_way,
)
from cadnode.receive.pdu import AssociateRequest

LIMITS = PlaceLimits(in_all=4, per_address=3, idle_s=0.5)
A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"


def test_while_there_are_places_nobody_gives_way() -> None:
    assert who_gives_way([], A, LIMITS) is Room.FREE
    assert who_gives_way([(A, 99.0), (A, 99.0), (B, 99.0)], A, LIMITS) is Room.FREE


def test_an_address_at_its_share_loses_its_own_longest_idle_association() -> None:
    assert who_gives_way([(A, 1.0), (A, 3.0), (A, 2.0)], A, LIMITS) == 1


def test_an_address_at_its_share_takes_no_place_from_another() -> None:
    assert who_gives_way([(A, None), (A, None), (A, None), (B, 99.0)], A, LIMITS) is Room.FULL


def test_where_all_is_full_the_address_with_most_gives_way() -> None:
    held = [(B, 9.0), (A, 1.0), (A, 2.0), (A, 1.5)]
    assert who_gives_way(held, C, LIMITS) == 2


def test_nobody_gives_way_to_an_address_that_holds_more() -> None:
    held = [(A, None), (A, None), (B, 9.0), (C, 9.0)]
    assert who_gives_way(held, A, LIMITS) is Room.FULL


def test_who_is_at_work_or_was_a_moment_ago_gives_way_to_nobody() -> None:
    assert who_gives_way([(A, None), (A, 0.4), (B, None), (C, 0.1)], C, LIMITS) is Room.FULL


class Holding:
    """An association that has been idle for a while, and may begin to work when asked to end."""

    def __init__(self, spare_s: float | None, *, ends: bool = True) -> None:
        self.spare, self.ends, self.is_dismissed = spare_s, ends, False

    def spare_s(self) -> float | None:
        return self.spare

    def dismiss(self) -> bool:
        if not self.ends:
            self.spare = None
        self.is_dismissed = self.ends
        return self.ends


def test_who_began_to_work_meanwhile_keeps_its_place_and_the_next_gives_way() -> None:
    places = Places(PlaceLimits(2, 2))
    busy, idle = Holding(9.0, ends=False), Holding(1.0)
    assert places.take(A, busy)
    assert places.take(A, idle)

    assert places.take(B, Holding(None))

    assert (busy.is_dismissed, idle.is_dismissed) == (False, True)
    assert places.take(B, Holding(None)) is None


def test_a_place_that_was_given_to_another_is_not_given_back_twice() -> None:
    places = Places(PlaceLimits(1, 1))
    first, second = places.take(A, Holding(9.0)), places.take(A, Holding(None))
    assert isinstance(first, AssociationPlace)
    assert isinstance(second, AssociationPlace)

    places.give_back(first)

    assert places.take(A, Holding(None)) is None
    places.give_back(second)
    assert places.take(A, Holding(None))


@pytest.mark.parametrize(
    ("came", "is_held"),
    [("::ffff:10.0.0.1", "10.0.0.1"), ("fe80::1%eth0", "fe80::1"), ("10.0.0.1", "10.0.0.1")],
)
def test_an_address_has_one_spelling(came: str, is_held: str) -> None:
    assert plain_address(came) == is_held


def asking(calling: str, called: str = "CADNODE", version: int = 1) -> AssociateRequest:
    return AssociateRequest(version, called, calling, bytes(32), (), 0)


PEERS = (
    AllowedPeer("PACS", ip_network("10.1.2.0/24")),
    AllowedPeer("MG1", ip_network("10.1.2.7/32")),
    AllowedPeer("", ip_network("fd00::/8")),
)


@pytest.mark.parametrize(
    ("address", "title", "reason"),
    [
        ("10.1.2.3", "PACS", None),
        ("10.1.2.7", "MG1", None),
        ("10.1.2.8", "MG1", "calling_ae_title"),
        ("fd00::1", "ANY", None),
    ],
)
def test_an_ae_title_is_let_in_from_its_addresses(
    address: str, title: str, reason: str | None
) -> None:
    rejection = AllowedPeers(PEERS).rejection(address, asking(title))

    assert (rejection and rejection.name) == reason


def test_an_address_is_known_or_not_whatever_its_family() -> None:
    allowed = AllowedPeers(PEERS)

    assert [allowed.is_known(a) for a in ("10.1.2.200", "10.1.3.1", "fd12::1", "fe80::1")] == [
        True, False, True, False,
    ]  # fmt: skip
    assert AllowedPeers().is_known("192.0.2.1")


def test_titles_and_peers_must_both_allow() -> None:
    allowed = AllowedPeers(PEERS, ("PACS",), "CADNODE")

    assert allowed.rejection("10.1.2.3", asking("PACS")) is None
    for request in (asking("MG1"), asking("PACS", "OTHER"), asking("PACS", version=2)):
        assert allowed.rejection("10.1.2.7", request) is not None
