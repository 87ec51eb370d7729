"""Sessions: what they rest on, and when they are over."""

import pytest

from cadnode.identity.role import Identity, Role, Via
from cadnode.identity.sessions import Session, Sessions
from tests.unit.identity.cases import Clock

JANE = Identity("jane", Role.VIEWER, Via.PASSWORD)
TOM = Identity("tom", Role.ADMIN, Via.PASSWORD)


def sessions(clock: Clock, most: int = 3) -> Sessions:
    return Sessions(clock, idle_s=1800, longest_s=43200, most=most)


def of(found: Sessions, session: Session, proof: str | None = "p") -> Session | None:
    return found.find(session.id, lambda _: proof)


def test_a_session_is_found_by_its_id_alone() -> None:
    clock = Clock()
    known = sessions(clock)
    session = known.begin(JANE, "p")
    assert of(known, session) == session
    assert session.ends == clock.now + 43200
    for wrong in ("", session.id[:-1], session.id + "x", session.csrf, "\ud800", "x" * 1000):
        assert known.find(wrong, lambda _: "p") is None


def test_ids_and_csrf_tokens_are_long_random_different_and_not_shown() -> None:
    known = sessions(Clock(), most=1000)
    made = [known.begin(JANE) for _ in range(100)]
    texts = {session.id for session in made} | {session.csrf for session in made}
    assert len(texts) == 200
    assert all(len(text) == 43 for text in texts)
    assert not any(text in repr(made) for text in texts)
    assert not any(session.id in str(vars(known)) for session in made), "only hashes are kept"


def test_a_session_ends_when_it_was_idle_and_lives_while_it_is_used() -> None:
    clock = Clock()
    known = sessions(clock)
    session = known.begin(JANE, "p")
    for _ in range(5):
        clock.now += 1799
        assert of(known, session)
    clock.now += 1800
    assert of(known, session) is None
    clock.now -= 1800
    assert of(known, session) is None, "what is over does not come back"


def test_a_session_ends_with_the_shift_however_it_is_used() -> None:
    clock = Clock()
    known = sessions(clock)
    session = known.begin(JANE, "p")
    for _ in range(43):
        clock.now += 1000
        assert of(known, session)
    clock.now += 200
    assert of(known, session) is None


def test_a_clock_set_back_makes_no_session_longer() -> None:
    clock = Clock()
    known = sessions(clock)
    session = known.begin(JANE, "p")
    clock.now -= 5000
    assert of(known, session) is None


@pytest.mark.parametrize("proof", [None, "another"])
def test_a_session_is_over_when_what_it_rests_on_has_changed(proof: str | None) -> None:
    known = sessions(Clock())
    session = known.begin(JANE, "p")
    assert of(known, session, proof) is None
    assert of(known, session) is None, "also when it changes back"


def test_log_out_ends_this_session_alone() -> None:
    known = sessions(Clock())
    one, other = known.begin(JANE, "p"), known.begin(JANE, "p")
    known.end(one.id)
    known.end("nothing")
    assert of(known, one) is None
    assert of(known, other)


def test_the_session_idle_longest_gives_way_to_its_own_name_only() -> None:
    clock = Clock()
    known = sessions(clock)
    toms = known.begin(TOM, "p")
    janes = []
    for _ in range(3):
        clock.now += 1
        janes.append(known.begin(JANE, "p"))
    clock.now += 1
    assert of(known, janes[0])  # used: it is not the idlest any more
    janes.append(known.begin(JANE, "p"))
    assert [of(known, one) is not None for one in janes] == [True, False, True, True]
    assert of(known, toms)


def test_the_same_name_by_another_way_is_somebody_else() -> None:
    known = sessions(Clock(), most=1)
    one = known.begin(JANE, "p")
    other = known.begin(Identity("jane", Role.VIEWER, Via.OPENID), "p")
    assert of(known, one)
    assert of(known, other)


def test_what_is_over_is_forgotten() -> None:
    clock = Clock()
    known = sessions(clock)
    for number in range(50):
        known.begin(Identity(str(number), Role.VIEWER, Via.OPENID))
    clock.now += 1801
    known.begin(JANE)
    assert len(known._kept) == 1
