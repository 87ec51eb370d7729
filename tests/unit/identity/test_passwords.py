"""Which passwords are taken, and how they are compared."""

import threading
import time

import pytest

from cadnode.identity import passwords
from cadnode.identity.passwords import Busy, Passwords, problem_of
from tests.unit.identity.cases import CHEAP, PASSWORD, cheap


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD, "x9!kQ2#vL8$z", "grüne pferde rennen", "twelve chars",
        "八匹の緑の馬が走っています今日も",
        "password of my old grey bicycle", "81726354908172635",
    ],
)  # fmt: skip
def test_long_passwords_are_taken_whatever_they_are_made_of(password: str) -> None:
    assert problem_of(password, "tom") == ""


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("eleven char", "12 characters or more"),
        ("", "12 characters or more"),
        ("a" * 129, "128 characters at most"),
        ("ﷺ" * 10, "128 characters at most"),  # 18 characters each, after normalisation
        ("tab\tin the middle", "control"),
        ("\ud800 and some more", "control"),
        ("my Name is JANE now", "user's name"),
        ("I love CADnode much", "cadnode"),
        ("aaaaaaaaaaaa", "first that are tried"),
        ("abababababab", "first that are tried"),
        ("123456789012", "first that are tried"),
        ("0987654321098", "first that are tried"),
        ("qwertyuiopqwer", "first that are tried"),
        ("abcdefghijklm", "first that are tried"),
        ("Password2026!", "first that are tried"),
        ("P@ssw0rd-2026", "first that are tried"),
        ("passwordpassword", "first that are tried"),
        ("Welcome1Hospital", "first that are tried"),
        ("administrator", "first that are tried"),
        ("ＰＡＳＳＷＯＲＤ2026", "first that are tried"),
        ("correcthorsebatterystaple", "first that are tried"),
    ],
)
def test_what_is_guessed_first_is_refused_with_the_reason(password: str, why: str) -> None:
    assert why in problem_of(password, "jane")


def test_a_name_of_two_letters_is_in_too_many_passwords_to_be_looked_for() -> None:
    assert problem_of("four green horses", "ee") == ""


def test_a_hostile_password_is_judged_at_once() -> None:
    begun = time.monotonic()
    problem_of("7357" * 31 + "x", "jane")
    problem_of("x" * 10_000_000, "jane")
    assert time.monotonic() - begun < 5


def test_a_password_is_right_in_every_writing_of_the_same_characters() -> None:
    known = cheap()
    kept = known.hash("caf\u00e9 and croissants")
    assert known.is_right("cafe\u0301 and croissants", kept)
    assert not known.is_right("cafe and croissants", kept)
    assert "croissants" not in kept


def test_every_character_counts() -> None:
    known = cheap()
    kept = known.hash("x" * 127 + "y")
    assert known.is_right("x" * 127 + "y", kept)
    assert not known.is_right("x" * 127 + "z", kept)
    assert not known.is_right("x" * 127, kept)


def test_nobody_has_a_password() -> None:
    known = cheap()
    for password in ("", PASSWORD, "of nobody, so that unknown names take as long as known"):
        assert not known.is_right(password, None)
    for kept in ("", "x", "$argon2id$"):
        assert not known.is_right(PASSWORD, kept)
    assert not known.is_right("\ud800" * 2000, known.hash(PASSWORD))


def test_an_unknown_name_costs_a_comparison_too(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    known = cheap()
    verify = type(CHEAP).verify
    monkeypatch.setattr(
        type(CHEAP),
        "verify",
        lambda self, kept, secret: compared.append(kept) or verify(self, kept, secret),
    )
    known.is_right(PASSWORD, None)
    assert len(compared) == 1
    assert compared[0].startswith("$argon2id$v=19$m=8,t=1,p=1$")


class Held(Passwords):
    """Comparisons that end when they are let go."""

    def __init__(self) -> None:
        super().__init__(CHEAP)
        self.now = 0
        self.most = 0
        self.let_go = threading.Event()
        self.lock = threading.Lock()
        outer = self

        class Hasher:
            def verify(self, kept: str, secret: bytes) -> bool:
                with outer.lock:
                    outer.now += 1
                    outer.most = max(outer.most, outer.now)
                outer.let_go.wait(30)
                with outer.lock:
                    outer.now -= 1
                return True

        self._hasher = Hasher()  # type: ignore[assignment]


def test_two_are_compared_at_a_time_some_wait_and_the_rest_are_sent_away() -> None:
    known, ended = Held(), []

    def ask() -> None:
        try:
            ended.append(known.is_right(PASSWORD, "kept"))
        except Busy:
            ended.append(Busy)

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 20
    while ended.count(Busy) < 20 and time.monotonic() < until:
        time.sleep(0.01)
    known.let_go.set()
    for thread in threads:
        thread.join(30)
    assert known.most == 2
    assert (ended.count(Busy), ended.count(True)) == (20, 10)


def test_the_limits_are_those_of_the_guideline() -> None:
    assert (passwords.SHORTEST, passwords.LONGEST) == (12, 128)
    assert passwords.is_hash(Passwords().hash(PASSWORD))
