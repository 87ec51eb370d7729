"""A peer that probes once a second for years is one line an interval."""

from cadnode.receive.notes import INTERVAL_S, MOST_LINES, Notes


class Clock:
    """A clock that is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_thing_is_said_at_once_and_then_once_an_interval_with_its_count() -> None:
    clock = Clock()
    notes = Notes(clock)
    said = []
    for _ in range(int(2.5 * INTERVAL_S)):
        said.append(notes.due("address", "10.0.0.1"))
        clock.now += 1.0

    assert [count for count in said if count] == [1, INTERVAL_S, INTERVAL_S]


def test_peers_and_reasons_are_said_apart() -> None:
    notes = Notes(Clock())

    assert notes.due("address", "10.0.0.1") == 1
    assert notes.due("title", "10.0.0.1") == 1
    assert notes.due("address", "10.0.0.2") == 1
    assert notes.due("address", "10.0.0.1") == 0


def test_many_addresses_fill_no_log_and_no_memory() -> None:
    notes = Notes(Clock())

    said = [notes.due("address", str(n)) for n in range(5000)]

    assert len([count for count in said if count]) == MOST_LINES
    assert len(notes._notes) <= 1024
