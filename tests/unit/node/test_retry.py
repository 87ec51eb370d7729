"""The table of limits and back-offs, by numbers worked out by hand."""

import pytest

from cadnode.node import retry
from cadnode.node.retry import RetryStrategy
from cadnode.settings import Destination, Source


def test_reading_is_tried_six_times_with_pauses_that_quadruple() -> None:
    assert list(retry.READING.attempts()) == [0, 1, 2, 3, 4, 5]
    pauses = [retry.READING.pause_s(attempt) for attempt in range(1, 7)]
    assert pauses == [15.0, 60.0, 240.0, 960.0, 3840.0, None]


@pytest.mark.parametrize("strategy", [retry.DELIVERY, retry.FETCH])
def test_a_peer_that_is_away_is_tried_after_pauses_that_double_up_to_ten_minutes(
    strategy: RetryStrategy,
) -> None:
    pauses = [strategy.pause_s(attempt) for attempt in range(1, 12)]
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]
    assert strategy.pause_s(10_000_000) == 600


def test_a_delivery_is_given_up_once_its_destination_was_away_for_long_enough() -> None:
    strategy = retry.DELIVERY.until(10.0)
    waited_s, pauses = 0.0, []
    while (pause_s := strategy.pause_s(len(pauses) + 1, waited_s)) is not None:
        pauses.append(pause_s)
        waited_s += pause_s
    assert pauses == [2.0, 4.0, 8.0]  # 6 s are too few, 14 s are enough
    assert retry.DELIVERY.until(0.0).pause_s(1) is None


def test_without_a_limit_nothing_is_given_up() -> None:
    assert not retry.DELIVERY.is_over(10**6, 1e9)


def test_the_pause_after_one_that_was_carried_along_is_the_next_in_the_row() -> None:
    pauses, pause_s = [], 0.0
    for _ in range(11):
        pause_s = retry.FETCH.pause_after_s(pause_s)
        pauses.append(pause_s)
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


def test_a_role_that_keeps_dying_is_started_after_longer_and_longer_pauses() -> None:
    pause_s, pauses = retry.ROLE.first_pause_s, []
    for _ in range(7):
        pause_s = retry.ROLE.pause_after_s(pause_s)
        pauses.append(pause_s)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert retry.ROLE.pause_after_s(0.0) == 0.5  # it had run well


def test_a_port_that_is_taken_is_tried_every_two_seconds() -> None:
    assert [retry.WEB_PORT.pause_s(attempt) for attempt in (1, 2, 9)] == [2.0, 2.0, 2.0]


def test_a_peers_limit_is_configured_in_hours() -> None:
    archive = Destination(name="archive", kind="folder", folder="/out", give_up_after_h=72.0)
    source = Source(name="pacs", kind="orthanc", url="http://pacs", give_up_after_h=0.5)
    assert retry.give_up_after_s(archive) == 259_200.0
    assert retry.give_up_after_s(source) == 1800.0
