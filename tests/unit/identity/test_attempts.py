"""Delays and lock-outs: who waits, for how long, and who does not."""

from itertools import count

import pytest

from cadnode.identity.attempts import FREE_OF_AN_ADDRESS, LOCK_S, Attempts
from tests.unit.identity.cases import Clock

HERE, THERE = "192.0.2.1", "198.51.100.7"


def wrong(attempts: Attempts, clock: Clock, name: str, address: str, times: int) -> list[float]:
    """The waits before each of some wrong tries, which are made as soon as they may be."""
    waits = []
    for _ in range(times):
        wait_s = attempts.wait_s(name, address)
        waits.append(wait_s)
        clock.now += wait_s
        assert attempts.begin(name, address) == 0
    return waits


def test_each_wrong_password_doubles_the_wait_and_the_tenth_locks_out() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    waits = wrong(attempts, clock, "jane", HERE, 11)
    assert waits == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 900]


def test_one_that_must_wait_is_not_counted() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    wrong(attempts, clock, "jane", HERE, 3)
    for _ in range(100):
        assert attempts.begin("jane", HERE) == 4
    clock.now += 4
    assert attempts.begin("jane", HERE) == 0


def test_a_lock_out_ends_and_is_then_forgotten() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    wrong(attempts, clock, "jane", HERE, 10)
    for _ in range(9):  # knocking all the time makes it no longer
        clock.now += 99
        assert attempts.begin("jane", HERE) > 0
    clock.now += 9
    assert wrong(attempts, clock, "jane", HERE, 3) == [0, 1, 2]


def test_tries_at_the_same_time_count_from_their_beginning() -> None:
    attempts = Attempts(Clock())
    assert attempts.begin("jane", HERE) == 0
    assert attempts.begin("jane", HERE) == 1


def test_success_is_forgotten_wrongs_of_the_name() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    wrong(attempts, clock, "jane", HERE, 5)
    clock.now += 16
    attempts.begin("jane", HERE)
    attempts.succeed("jane", HERE)
    assert wrong(attempts, clock, "jane", HERE, 3) == [0, 1, 2]


def test_a_name_is_guessed_from_many_addresses_no_faster_than_from_one() -> None:
    clock, number = Clock(), count(1)
    attempts = Attempts(clock)
    waits = [wrong(attempts, clock, "jane", f"10.0.0.{next(number)}", 1)[0] for _ in range(11)]
    assert waits == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 900]


def test_who_is_known_at_a_place_is_not_locked_out_from_elsewhere() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    attempts.begin("jane", HERE)
    attempts.succeed("jane", HERE)
    for _ in range(5):  # for hours
        wrong(attempts, clock, "jane", THERE, 10)
        assert attempts.wait_s("jane", HERE) == 0
    assert attempts.begin("jane", HERE) == 0, "the person at their usual place"
    assert attempts.wait_s("jane", "203.0.113.9") > 0, "a place where they have not been"


def test_a_known_place_has_ten_tries_too() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    attempts.begin("jane", HERE)
    attempts.succeed("jane", HERE)
    assert wrong(attempts, clock, "jane", HERE, 11)[-1] == LOCK_S


def test_many_names_from_one_address_wait_and_are_locked_out() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    waits = [wrong(attempts, clock, f"user{n}", HERE, 1)[0] for n in range(FREE_OF_AN_ADDRESS + 11)]
    assert waits[: FREE_OF_AN_ADDRESS + 1] == [0] * (FREE_OF_AN_ADDRESS + 1)
    assert waits[FREE_OF_AN_ADDRESS + 1 :] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 900]
    assert attempts.wait_s("jane", THERE) == 0


def test_ones_own_log_in_does_not_pay_for_guessing_others() -> None:
    """Else who has an account clears the address's count between guesses."""
    clock = Clock()
    attempts = Attempts(clock)
    attempts.begin("mallory", HERE)
    attempts.succeed("mallory", HERE)
    for number in range(FREE_OF_AN_ADDRESS + 10):
        wrong(attempts, clock, f"user{number}", HERE, 1)
        assert attempts.begin("mallory", HERE) == 0
        attempts.succeed("mallory", HERE)
    assert attempts.begin("victim", HERE) > 0


def test_colleagues_at_a_locked_address_go_on() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    attempts.begin("jane", HERE)
    attempts.succeed("jane", HERE)
    for number in range(FREE_OF_AN_ADDRESS + 10):
        wrong(attempts, clock, f"user{number}", HERE, 1)
    assert attempts.wait_s("tom", HERE) > 0
    assert attempts.begin("jane", HERE) == 0


def test_a_success_among_wrong_ones_changes_nothing_for_strangers_at_that_address() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for number in range(FREE_OF_AN_ADDRESS + 5):
        wrong(attempts, clock, f"user{number}", HERE, 1)
    clock.now += 16
    assert attempts.begin("jane", HERE) == 0
    attempts.succeed("jane", HERE)
    assert wrong(attempts, clock, "tom", HERE, 1) == [0], "it left no wait of its own"
    assert attempts.wait_s("ann", HERE) == 32, "and took none away"


def test_one_that_was_not_looked_at_does_not_count() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(50):
        assert attempts.begin("jane", HERE) == 0
        attempts.abandon("jane", HERE)
    assert wrong(attempts, clock, "jane", HERE, 2) == [0, 1]


def test_the_nameless_do_not_lock_each_other_out() -> None:
    """Who logs in with the shared token has no name; there are no names like these."""
    clock = Clock()
    attempts = Attempts(clock)
    wrong(attempts, clock, "", HERE, 10)
    wrong(attempts, clock, "not a name", HERE, 0)
    assert attempts.wait_s("not a name", HERE) > 0
    assert attempts.wait_s("", THERE) == 0


def test_a_host_does_not_get_new_tries_with_each_of_its_ipv6_addresses() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    wrong(attempts, clock, "jane", "2001:db8:1:2::1", 5)
    assert attempts.wait_s("jane", "2001:db8:1:2:ffff::9") == 16
    wrong(attempts, clock, "tom", "::ffff:192.0.2.1", 3)
    assert attempts.wait_s("tom", HERE) == 4


def test_tables_do_not_grow_and_nobody_is_pushed_out() -> None:
    clock = Clock()
    attempts = Attempts(clock, most=50)
    wrong(attempts, clock, "jane", HERE, 4)
    for number in range(3000):
        attempts.begin(f"user{number}", f"10.{number // 250}.{number % 250}.1")
    for table in (attempts._pairs, attempts._names, attempts._addresses):
        assert len(table._counts) <= 51
    assert attempts.wait_s("jane", HERE) == 8, "counted before the flood"
    for name in ("new", "newer"):
        assert attempts.wait_s(name, "203.0.113.3") == 1, "the new share a count"
    clock.now += LOCK_S
    assert attempts.begin("new", "203.0.113.3") == 0
    assert len(attempts._names._counts) == 1, "what is forgotten is cleared away"


def test_known_places_do_not_grow() -> None:
    attempts = Attempts(Clock(), most=50)
    for number in range(200):
        attempts.begin("jane", f"10.0.0.{number}")
        attempts.succeed("jane", f"10.0.0.{number}")
    assert len(attempts._known) == 8
    for number in range(200):
        attempts.begin(f"user{number}", HERE)
        attempts.succeed(f"user{number}", HERE)
    assert len(attempts._known) == 50


@pytest.mark.parametrize("address", ["", "testclient", "::1%eth0", "\ud800"])
def test_an_address_that_is_none_is_counted_as_one(address: str) -> None:
    attempts = Attempts(Clock())
    assert attempts.begin("jane", address) == 0
    assert attempts.begin("jane", address) == 1
