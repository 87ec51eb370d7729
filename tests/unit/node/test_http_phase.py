"""The clocks of an HTTP connection: what has an end, and which reading of an answer is too slow."""

from math import inf

from cadnode.node.http_phase import LEAST_READ_BYTES, HttpPhase, HttpTimes, Unread

ANSWER = 10 * LEAST_READ_BYTES


def test_what_waits_on_the_client_has_an_end_and_what_waits_on_the_node_has_none() -> None:
    times = HttpTimes(handshake_s=1, header_s=2, unread_s=3, idle_s=4, ending_s=5)

    assert {phase: times.longest_s(phase) for phase in HttpPhase} == {
        HttpPhase.SHAKING: 1, HttpPhase.ASKING: 2, HttpPhase.IDLE: 4, HttpPhase.ENDING: 5,
        HttpPhase.ANSWERING: inf,
        HttpPhase.RECEIVING: inf,  # `web.BodyLimit` ends it
    }  # fmt: skip


def test_nothing_is_stalled_while_nothing_waits() -> None:
    unread = Unread(0.0)
    unread.measure(0, 100.0)

    assert unread.stalled_s(200.0) is None


def test_an_answer_that_nobody_takes_is_stalled_from_its_beginning() -> None:
    unread = Unread(0.0)
    unread.measure(ANSWER, 100.0)
    unread.measure(ANSWER, 130.0)

    assert unread.stalled_s(160.0) == 60.0


def test_taking_a_byte_now_and_then_is_no_progress() -> None:
    unread = Unread(0.0)
    for second in range(60):
        unread.measure(ANSWER - second, float(second))

    assert unread.stalled_s(60.0) == 60.0


def test_taking_64_kib_is_progress_however_long_the_answer() -> None:
    unread = Unread(0.0)
    for minute in range(9):
        unread.measure(ANSWER - minute * LEAST_READ_BYTES, 60.0 * minute)

    assert unread.stalled_s(60.0 * 8 + 30) == 30.0


def test_what_the_node_adds_is_no_progress_of_the_client() -> None:
    unread = Unread(0.0)
    unread.measure(1000, 0.0)
    unread.measure(ANSWER, 10.0)
    unread.measure(ANSWER + 1000, 20.0)

    assert unread.stalled_s(30.0) == 30.0


def test_when_most_is_taken_the_clock_begins_again() -> None:
    unread = Unread(0.0)
    unread.measure(ANSWER, 0.0)
    unread.was_taken(50.0)
    unread.measure(ANSWER, 50.1)

    assert unread.stalled_s(60.1) == 10.0
