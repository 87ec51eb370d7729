"""Which deaths are held against the study that was in hand, and when it is set aside."""

import signal
import time
from pathlib import Path

import pytest

from cadnode.node import poison
from cadnode.node.job_database import JsonSerializer
from cadnode.node.poison import (
    Casualties,
    Cause,
    ContentVerdict,
    Death,
    SetAsideCode,
    StudySetAside,
    WorkerDied,
    cause_of,
    weigh,
)

STUDY, CONTENT = "0123456789abcdef", "fedcba9876543210"
HAND = f"{STUDY}-{CONTENT}"


def death(cause: Cause, hand: str = HAND, *, at: float = 1000.0, answered: bool = False) -> Death:
    return Death(at, "worker", cause, hand, answered)


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (-signal.SIGSEGV, Cause.CRASHED),
        (-signal.SIGABRT, Cause.CRASHED),
        (134, Cause.CRASHED),
        (-signal.SIGKILL, Cause.KILLED),
        (-signal.SIGTERM, Cause.KILLED),
    ],
)
def test_a_crash_is_told_from_a_kill(code: int, cause: Cause) -> None:
    assert cause_of(code) is cause


def test_a_hang_and_a_want_of_memory_are_told_from_a_kill() -> None:
    assert cause_of(-signal.SIGKILL, hung=True) is Cause.HUNG
    assert cause_of(-signal.SIGKILL, memory_ran_out=True) is Cause.OUT_OF_MEMORY


@pytest.mark.parametrize("cause", [Cause.CRASHED, Cause.HUNG, Cause.OUT_OF_MEMORY])
def test_each_death_that_is_the_studys_fails_an_attempt_and_the_third_sets_it_aside(
    cause: Cause,
) -> None:
    assert weigh(HAND, [death(cause)]) is ContentVerdict.LATER
    assert weigh(HAND, [death(cause, answered=True)]) is ContentVerdict.READ
    assert weigh(HAND, [death(cause, answered=True), death(cause)]) is ContentVerdict.LATER
    assert weigh(HAND, [death(cause)] * 3) is ContentVerdict.SET_ASIDE
    assert weigh("another-one", [death(cause)] * 3) is ContentVerdict.READ


def test_one_kill_delays_nothing_and_three_that_struck_nothing_else_set_aside() -> None:
    assert weigh(HAND, [death(Cause.KILLED)]) is ContentVerdict.READ
    assert weigh(HAND, [death(Cause.KILLED)] * 2) is ContentVerdict.LATER
    assert weigh(HAND, [death(Cause.KILLED)] * 3) is ContentVerdict.SET_ASIDE
    assert weigh(HAND, [death(Cause.NODE_ENDED)] * 3) is ContentVerdict.SET_ASIDE


def test_kills_that_also_struck_while_other_things_were_in_hand_are_not_held_against_it() -> None:
    elsewhere = death(Cause.KILLED, "", at=1100.0)
    long_ago = death(Cause.KILLED, "", at=1000.0 - poison.ALIBI_S - 1)
    assert weigh(HAND, [*[death(Cause.KILLED)] * 6, elsewhere]) is ContentVerdict.LATER
    assert weigh(HAND, [*[death(Cause.KILLED)] * 3, long_ago]) is ContentVerdict.SET_ASIDE
    assert weigh(HAND, [*[death(Cause.CRASHED)] * 3, elsewhere]) is ContentVerdict.SET_ASIDE


def die(casualties: Casualties, cause: Cause) -> None:
    """As the worker dies in the midst of it."""
    context = casualties.in_hand(STUDY, CONTENT)
    context.__enter__()
    casualties.note("worker", cause)


def test_a_study_is_set_aside_until_somebody_asks_for_it_again(tmp_path: Path) -> None:
    casualties = Casualties(tmp_path)
    for _ in range(2):
        die(casualties, Cause.HUNG)
        with pytest.raises(WorkerDied):
            casualties.admit(STUDY, CONTENT)
        casualties.admit(STUDY, CONTENT)  # the next attempt
    die(casualties, Cause.HUNG)

    with pytest.raises(StudySetAside):
        casualties.admit(STUDY, CONTENT)

    assert casualties.set_aside(STUDY, CONTENT) is SetAsideCode.HANGS
    assert casualties.all_set_aside() == [(STUDY, SetAsideCode.HANGS)]
    casualties.admit(STUDY, CONTENT)  # its failed jobs were forgotten: it was asked for
    assert casualties.all_set_aside() == []
    assert casualties.deaths() == []


def test_what_was_read_to_its_end_and_a_listeners_death_have_nothing_in_hand(
    tmp_path: Path,
) -> None:
    casualties = Casualties(tmp_path)
    with casualties.in_hand(STUDY, CONTENT):
        assert casualties.note("listener", Cause.KILLED).hand == ""
    assert casualties.note("worker", Cause.KILLED).hand == ""
    assert casualties.note("node", Cause.NODE_ENDED).hand == ""


def test_notes_that_were_half_written_count_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles" / "deaths.json").write_text('[{"at": 1')
    casualties = Casualties(tmp_path)
    assert casualties.deaths() == []
    casualties.admit(STUDY, CONTENT)
    casualties.note("worker", Cause.KILLED)
    assert abs(casualties.deaths()[0].at - time.time()) < 60


def test_a_study_that_is_set_aside_has_no_further_attempt_also_when_that_was_recorded() -> None:
    serializer = JsonSerializer()
    error = StudySetAside("reading_hangs_worker")
    assert poison.is_final(error)
    assert poison.is_final(serializer.deserialize(serializer.serialize(error)))
    assert not poison.is_final(WorkerDied("reading"))


def test_a_study_that_is_reported_or_left_the_spool_is_set_aside_no_more(tmp_path: Path) -> None:
    casualties = Casualties(tmp_path)
    for content in ("a", "b"):
        (tmp_path / "set_aside").mkdir(exist_ok=True)
        note = tmp_path / "set_aside" / f"{STUDY}-{content}.json"
        note.write_text('{"code": "reading_kills_worker"}')
    casualties.keep_only([STUDY])
    assert len(casualties.all_set_aside()) == 2
    casualties.keep_only([])
    assert casualties.all_set_aside() == []
