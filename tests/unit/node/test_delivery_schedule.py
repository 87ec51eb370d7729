"""When a delivery is tried again, by a clock that is only counted."""

import pytest

from cadnode.errors import Again
from cadnode.node.delivery_schedule import Waited, next_delivery
from cadnode.node.jobs import DeliveryStatus

DAY_S, GIVE_UP_S = 86_400.0, 72 * 3600.0


def pauses_of(again: Again, n: int) -> list[tuple[str, float | None]]:
    """Status and pause after each of `n` tries that all end so."""
    found: list[tuple[str, float | None]] = []
    before = Waited()
    for _ in range(n):
        followed = next_delivery(again, before, GIVE_UP_S)
        pause_s = followed.after.pause_s if followed.after else None
        found.append((followed.status.value, pause_s))
        if followed.after is None:
            break
        before = followed.after
    return found


def test_a_destination_that_is_away_is_tried_soon_and_then_daily_for_a_month() -> None:
    found = pauses_of(Again.SOON, 10_000)
    assert [pause for _, pause in found[:11]] == [2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]
    soon = [pause or 0 for status, pause in found if status == "retry"]
    assert GIVE_UP_S <= sum(soon) < GIVE_UP_S + 600
    late = [pause for status, pause in found if status == "given_up"]
    assert late == [DAY_S] * 30 + [None]


def test_a_refusal_that_can_pass_is_tried_within_the_hour_and_then_daily_for_a_month() -> None:
    found = pauses_of(Again.SLOWLY, 10_000)
    assert {status for status, _ in found} == {"refused"}
    pauses = [pause for _, pause in found]
    assert pauses[:5] == [600, 3600, 21_600, DAY_S, DAY_S]
    assert pauses[-1] is None
    assert 29 * DAY_S < sum(pause or 0 for pause in pauses) < 31 * DAY_S


def test_a_refusal_that_cannot_pass_waits_for_a_person() -> None:
    assert pauses_of(Again.NEVER, 3) == [("refused", None)]


@pytest.mark.parametrize(
    ("first", "then"), [(Again.SOON, Again.SLOWLY), (Again.SLOWLY, Again.SOON)]
)
def test_an_answer_of_another_class_begins_its_own_pauses(first: Again, then: Again) -> None:
    before = Waited(attempt=9, again=first.value, waited_s=10 * DAY_S, pause_s=DAY_S)
    followed = next_delivery(then, before, GIVE_UP_S)
    assert followed.after is not None
    assert followed.after.attempt == 10
    assert followed.after.pause_s in (2.0, 600.0)
    assert followed.status is not DeliveryStatus.GIVEN_UP
