"""All ways together, as the web role asks them."""

from pathlib import Path

import pytest

from cadnode.errors import SettingsError
from cadnode.identity.identities import Identities
from cadnode.identity.passwords import Busy, Passwords
from cadnode.identity.refusal import Refusal, Refused
from cadnode.identity.role import Identity, Role, Via
from cadnode.identity.sessions import Session
from cadnode.settings import WebSection
from tests.unit.identity.cases import PASSWORD, TOKEN, Clock, cheap, program, secret_file, user

HERE = "192.0.2.1"
SHARED = "0123456789abcdef"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known(tmp_path: Path, clock: Clock) -> Identities:
    web = WebSection(
        users_file=secret_file(tmp_path / "users", user("jane"), user("tom", "admin", "x" * 20)),
        tokens_file=secret_file(tmp_path / "tokens", program("orthanc")),
        token_file=secret_file(tmp_path / "token", SHARED),
    )
    return Identities(web, clock, cheap())


def logged_in(known: Identities, name: str = "jane", password: str = PASSWORD) -> Session:
    session = known.log_in(name, password, HERE)
    assert isinstance(session, Session)
    return session


def test_where_nobody_is_configured_the_node_is_open() -> None:
    known = Identities.of(WebSection(), Clock())
    assert known.is_open
    assert not known.takes_passwords
    assert known.openid is None
    assert known.of_token("x") is None
    assert known.of_proxy({"x-remote-user": "jane"}, "127.0.0.1") is None
    assert known.session("x") is None
    assert known.log_in("jane", PASSWORD, HERE) == Refused(Refusal.WRONG, 1.0)
    assert known.log_in("", "", "192.0.2.2") == Refused(Refusal.WRONG, 1.0)


def test_whoever_is_configured_closes_it(tmp_path: Path) -> None:
    users, token = secret_file(tmp_path / "users"), secret_file(tmp_path / "token", SHARED)
    for web, takes in (
        (WebSection(users_file=users), True),
        (WebSection(token_file=token), True),
        (WebSection(tokens_file=users), False),
        (WebSection(proxy_user_header="X-U", proxy_role="viewer", proxy_addresses=("::1",)), False),
    ):
        known = Identities.of(web)
        assert not known.is_open
        assert known.takes_passwords is takes


def test_a_person_logs_in_and_out(known: Identities) -> None:
    session = logged_in(known, " Jane ")
    assert session.identity == Identity("jane", Role.VIEWER, Via.PASSWORD)
    assert known.session(session.id) == session
    known.log_out(session.id)
    assert known.session(session.id) is None


def test_programs_are_known_by_their_tokens(known: Identities) -> None:
    assert known.of_token(TOKEN) == Identity("orthanc", Role.OPERATOR, Via.TOKEN)
    assert known.of_token(SHARED) == Identity("token", Role.ADMIN, Via.TOKEN)
    assert known.of_token(PASSWORD) is None


def test_the_shared_token_logs_a_viewer_in_and_no_other_token_does(known: Identities) -> None:
    session = logged_in(known, "", SHARED)
    assert session.identity == Identity("token", Role.VIEWER, Via.TOKEN)
    assert known.session(session.id) == session
    assert isinstance(known.log_in("", TOKEN, HERE), Refused)
    assert isinstance(known.log_in("token", SHARED, "192.0.2.3"), Refused)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("jane", "wrong"), ("nobody", PASSWORD), ("jane", ""), ("", ""), ("", "wrong"),
        ("jane\x00", PASSWORD), ("jane", PASSWORD + " "), ("a" * 10_000, "b" * 100_000),
        ("\ud800", "\ud800"),
    ],
)  # fmt: skip
def test_name_and_password_are_refused_in_the_same_words(
    known: Identities, name: str, password: str
) -> None:
    assert known.log_in(name, password, HERE) == Refused(Refusal.WRONG, 1.0)


def test_ten_wrong_ones_lock_out_also_the_right_one(known: Identities, clock: Clock) -> None:
    wait_s = 0.0
    for _ in range(10):
        clock.now += wait_s
        told = known.log_in("jane", "wrong", HERE)
        assert isinstance(told, Refused)
        assert told.reason is Refusal.WRONG
        wait_s = told.wait_s
    assert wait_s == 900
    assert known.log_in("jane", PASSWORD, HERE) == Refused(Refusal.LOCKED, 900)
    assert known.log_in("jane", PASSWORD, "198.51.100.7") == Refused(Refusal.LOCKED, 900)
    clock.now += 900
    logged_in(known)


def test_a_lock_of_a_name_is_the_same_where_there_is_no_such_user(
    known: Identities, clock: Clock
) -> None:
    def waits(name: str) -> list[float]:
        found = []
        for number in range(10):
            told = known.log_in(name, "wrong", f"10.0.{len(name)}.{number}")
            assert isinstance(told, Refused)
            found.append(told.wait_s)
            clock.now += told.wait_s
        return found

    assert waits("jane") == waits("nobody")


def test_a_session_ends_when_the_user_changes(known: Identities, tmp_path: Path) -> None:
    tom = user("tom", "admin", "x" * 20)
    for lines in (
        [user("jane", "operator")],  # another role, and another hash
        [user("jane", "viewer", "another password")],
        [tom],  # gone
    ):
        secret_file(tmp_path / "users", user("jane"), tom)
        session = logged_in(known)
        assert known.session(session.id)
        secret_file(tmp_path / "users", *lines)
        assert known.session(session.id) is None
        secret_file(tmp_path / "users", user("jane"), tom)
        assert known.session(session.id) is None


def test_a_role_alone_that_changes_ends_the_session_and_others_go_on(
    known: Identities, tmp_path: Path
) -> None:
    before = (tmp_path / "users").read_text()
    janes, toms = logged_in(known), logged_in(known, "tom", "x" * 20)
    secret_file(tmp_path / "users", *before.replace("jane:viewer", "jane:admin").splitlines())
    assert known.session(janes.id) is None
    assert known.session(toms.id)
    assert logged_in(known).identity.role is Role.ADMIN


def test_a_damaged_file_changes_nothing_for_who_is_in(known: Identities, tmp_path: Path) -> None:
    session = logged_in(known)
    secret_file(tmp_path / "users", "what is this")
    assert known.session(session.id)
    logged_in(known)


def test_the_times_of_sessions_are_those_of_the_settings(tmp_path: Path, clock: Clock) -> None:
    users = secret_file(tmp_path / "users", user("jane"))
    known = Identities(
        WebSection(users_file=users, session_idle_min=5, session_h=1), clock, cheap()
    )
    session = logged_in(known)
    assert session.ends == clock.now + 3600
    clock.now += 301
    assert known.session(session.id) is None


class Full(Passwords):
    """Many others are being compared."""

    def is_right(self, password: str, kept: str | None) -> bool:
        raise Busy


def test_who_is_sent_away_because_others_are_compared_has_not_tried(tmp_path: Path) -> None:
    users = secret_file(tmp_path / "users", user("jane"))
    known = Identities(WebSection(users_file=users), Clock(), Full())
    for _ in range(30):
        assert known.log_in("jane", PASSWORD, HERE) == Refused(Refusal.LOCKED, 1.0)


def test_files_that_cannot_be_used_are_an_error_at_the_start(tmp_path: Path) -> None:
    bad = secret_file(tmp_path / "bad", "x")
    for key in ("users_file", "tokens_file", "token_file", "openid_client_secret_file"):
        more = {} if key[0] != "o" else {
            "openid_issuer": "https://x.org", "openid_client_id": "a",
            "openid_redirect_url": "https://y.org/login", "openid_roles": {"a": "viewer"},
        }  # fmt: skip
        path = tmp_path / "none" if key[0] == "o" else bad
        with pytest.raises(SettingsError):
            Identities.of(WebSection.model_validate({key: path, **more}))
