"""Who computes when: one reading at a time, a region before the next view."""

import threading
from collections.abc import Callable

from cadnode.node.turns import MOST_AHEAD, Turns
from tests.integration.node import wait_until


def started(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def waiting(turns: Turns, count: int) -> None:
    wait_until(lambda: turns._n_regions == count, f"{count} regions wait", within_s=10)


def test_a_region_waits_for_the_view_in_hand_and_goes_before_the_next() -> None:
    turns, done = Turns(), list[str]()

    def region() -> None:
        with turns.region():
            done.append("region")

    with turns.exam():
        done.append("view 1")
        thread = started(region)
        waiting(turns, 1)
        assert done == ["view 1"], "nothing is read beside a view"
        assert turns.give_way()
        done.append("view 2")
    thread.join(10)
    assert done == ["view 1", "region", "view 2"]


def test_without_a_region_an_exam_goes_on_at_once() -> None:
    turns = Turns()
    with turns.exam():
        assert not turns.give_way()


def test_regions_go_before_the_next_exam_and_one_after_the_other() -> None:
    turns, done = Turns(), list[str]()
    together = 0

    def region() -> None:
        nonlocal together
        with turns.region():
            together += 1
            assert together == 1
            done.append("region")
            together -= 1

    def exam() -> None:
        with turns.exam():
            done.append("exam")

    with turns.exam():
        threads = [started(exam), started(region), started(region)]
        waiting(turns, 2)
    for thread in threads:
        thread.join(10)
    assert done == ["region", "region", "exam"]


def test_regions_without_end_leave_an_exam_its_views() -> None:
    """As a program orders them: whenever one is assessed, others wait already."""
    turns, done, stop = Turns(), list[str](), threading.Event()

    def regions() -> None:
        while not stop.is_set():
            with turns.region():
                done.append("region")

    def exam() -> None:
        with turns.exam():
            for _ in range(2):
                turns.give_way()
                done.append("view")

    threads = [started(regions), started(regions), started(regions)]
    reading = started(exam)
    reading.join(10)
    is_stuck = reading.is_alive()
    stop.set()
    for thread in (*threads, reading):
        thread.join(10)
    assert not is_stuck
    first, second = (n for n, word in enumerate(done) if word == "view")
    assert second - first - 1 <= MOST_AHEAD


def test_what_breaks_within_a_turn_gives_it_back() -> None:
    turns = Turns()
    for turn in (turns.exam, turns.region):
        try:
            with turn():
                raise ValueError
        except ValueError:
            pass
    with turns.exam():
        assert not turns.give_way()
