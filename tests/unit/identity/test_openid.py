"""Log-ins at a provider: the real flow by HTTP, and a provider that lies."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import RSAKey

from cadnode import log
from cadnode.errors import SettingsError
from cadnode.identity import provider as provider_module
from cadnode.identity.id_token import groups_in, name_in
from cadnode.identity.openid import BEGUN_S, OpenId
from cadnode.identity.provider import Provider, ProviderError
from cadnode.identity.refusal import Refusal, Refused
from cadnode.identity.role import Identity, Role, Via
from cadnode.identity.sessions import Session, Sessions
from cadnode.settings import WebSection
from tests.openid_provider import CLIENT, REDIRECT, SECRET, Lie, OpenIdProvider, provider, visited
from tests.unit.identity.cases import Clock, secret_file

ROLES = {"radiologists": "viewer", "physicists": "operator", "it": "admin"}


@pytest.fixture
def running() -> Iterator[OpenIdProvider]:
    with provider() as known:
        yield known


def web(issuer: str, folder: Path | None, **more: object) -> WebSection:
    secret = {} if folder is None else {
        "openid_client_secret_file": secret_file(folder / "secret", SECRET)
    }  # fmt: skip
    return WebSection.model_validate(
        {
            "openid_issuer": issuer, "openid_client_id": CLIENT, "openid_redirect_url": REDIRECT,
            "openid_roles": ROLES, **secret, **more,
        }
    )  # fmt: skip


class Node:
    """The node's side, with clocks of its own where a test turns them."""

    def __init__(self, section: WebSection, issuer: str = "") -> None:
        self.offset = 0.0
        self.ticks = Clock()
        self.sessions = Sessions(self.clock, 1800, 43200)
        self.openid = OpenId(
            section, self.clock, lambda identity: self.sessions.begin(identity, "openid"),
            Provider(section.openid_issuer or issuer, None, self.ticks),
        )  # fmt: skip

    def clock(self) -> float:
        return time.time() + self.offset

    def log_in(self, next_path: str = "/") -> tuple[Session, str] | Refused:
        begun = self.openid.begin(next_path)
        return self.openid.finish(visited(begun.url), begun.cookie)


@pytest.fixture
def node(running: OpenIdProvider, tmp_path: Path) -> Node:
    return Node(web(running.issuer, tmp_path))


def test_a_person_of_a_group_comes_in_and_goes_where_they_wanted(node: Node) -> None:
    session, next_path = node.log_in("/studies/1.2.3")  # type: ignore[misc]
    assert session.identity == Identity("Jane.Doe", Role.VIEWER, Via.OPENID)
    assert next_path == "/studies/1.2.3"
    assert node.sessions.find(session.id, lambda _: "openid") == session


def test_the_request_has_what_the_flow_needs_and_no_secret(
    node: Node, running: OpenIdProvider
) -> None:
    one, other = node.openid.begin("/secret-path"), node.openid.begin("/")
    query = parse_qs(urlsplit(one.url).query)
    assert one.url.startswith(f"{running.issuer}/authorize?tenant=1&")
    assert query["scope"] == ["openid profile"]
    assert query["code_challenge_method"] == ["S256"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(query[name][0]) >= 43
        assert query[name] != parse_qs(urlsplit(other.url).query)[name]
    assert "secret" not in one.url
    assert one.cookie not in one.url
    assert one.cookie not in repr(one)


@pytest.mark.parametrize("methods", [("client_secret_basic",), ("client_secret_post",)])
def test_the_client_shows_its_secret_as_the_provider_wants_it(
    node: Node, running: OpenIdProvider, methods: tuple[str, ...]
) -> None:
    running.methods = methods
    assert isinstance(node.log_in(), tuple)


def test_a_public_client_shows_none(running: OpenIdProvider) -> None:
    running.methods = ("none",)
    assert isinstance(Node(web(running.issuer, None)).log_in(), tuple)


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["radiologists", "it"], Role.ADMIN), (["physicists"], Role.OPERATOR), ("it", Role.ADMIN),
        (["Radiologists"], None), ([], None), (None, None), ([["it"], {"it": 1}, 5], None),
        ({"it": True}, None),
    ],
)  # fmt: skip
def test_the_highest_role_of_the_groups_counts_and_without_one_nobody_comes_in(
    node: Node, running: OpenIdProvider, groups: object, role: Role | None
) -> None:
    running.groups = groups
    told = node.log_in()
    if role is None:
        assert told == Refused(Refusal.NO_ROLE)
    else:
        assert isinstance(told, tuple)
        assert told[0].identity.role is role


def test_the_name_is_of_the_claim_that_is_configured(
    running: OpenIdProvider, tmp_path: Path
) -> None:
    node = Node(web(running.issuer, tmp_path, openid_name_claim="sub"))
    told = node.log_in()
    assert isinstance(told, tuple)
    assert told[0].identity.name == "7f3c"


def test_groups_are_found_under_the_name_that_is_configured() -> None:
    claims = {"https://h.org/groups": ["a"], "realm_access": {"roles": ["b"]}, "x": {"y": 1}}
    assert groups_in(claims, "https://h.org/groups") == {"a"}
    assert groups_in(claims, "realm_access.roles") == {"b"}
    for claim in ("groups", "realm_access", "realm_access.roles.z", "x.y.z", "."):
        assert groups_in(claims, claim) == frozenset()


def test_a_person_is_called_what_the_configured_claim_says() -> None:
    assert name_in({"preferred_username": " jane ", "sub": "1"}, "preferred_username") == "jane"
    assert name_in({"preferred_username": "jane", "sub": "1"}, "sub") == "1"
    verified = {"email": "j@h.org", "email_verified": True, "sub": "1"}
    assert name_in(verified, "email") == "j@h.org"
    assert name_in({**verified, "email_verified": False}, "email") == "1"
    assert name_in({**verified, "email_verified": "true"}, "email") == "1"
    for odd in ("", " ", "a\nb", "x" * 129, 5, None):
        assert name_in({"upn": odd, "sub": "1"}, "upn") == "1"


@pytest.mark.parametrize(
    "lie",
    [
        Lie.NO_NONCE, Lie.NONCE, Lie.AUDIENCE, Lie.AUTHORIZED_PARTY, Lie.EXPIRED, Lie.NO_END,
        Lie.FUTURE, Lie.ISSUER, Lie.UNSIGNED, Lie.HMAC, Lie.SIGNATURE, Lie.KEY, Lie.ACCESS_TOKEN,
        Lie.NO_TOKEN, Lie.GARBAGE,
    ],
)  # fmt: skip
def test_an_id_token_that_is_not_for_this_log_in_is_refused(
    node: Node, running: OpenIdProvider, lie: Lie, capsys: pytest.CaptureFixture[str]
) -> None:
    log.configure("INFO")
    running.lie = lie
    assert node.log_in() == Refused(Refusal.ID_TOKEN)
    logged = capsys.readouterr().err
    assert "openid_token_refused" in logged
    assert not any(text in logged for text in ("Jane", "7f3c", "evil", "another"))
    running.lie = Lie.NONE
    assert isinstance(node.log_in(), tuple), "and nothing of it is left"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": "soon"}, {"exp": True}, {"iat": None}, {"aud": [CLIENT, 5]}, {"aud": {}},
        {"iss": 5}, {"sub": None}, {"sub": 5}, {"nonce": ["x"]},
        {"sub": "", "preferred_username": ""},
    ],
)  # fmt: skip
def test_claims_of_odd_types_are_refused(
    node: Node, running: OpenIdProvider, claims: dict[str, object]
) -> None:
    running.claims = claims
    assert node.log_in() == Refused(Refusal.ID_TOKEN)


def test_only_the_browser_that_began_it_ends_a_log_in_and_once(node: Node) -> None:
    begun = node.openid.begin("/")
    back = visited(begun.url)
    other = node.openid.begin("/")
    for cookie in ("", "x", other.cookie, "\ud800"):
        assert node.openid.finish(back, cookie) == Refused(Refusal.STATE)
    for state in ("", "x", back["state"][:-1]):
        assert node.openid.finish({**back, "state": state}, begun.cookie) == Refused(Refusal.STATE)
    assert isinstance(node.openid.finish(back, begun.cookie), tuple)
    assert node.openid.finish(back, begun.cookie) == Refused(Refusal.STATE)


def test_a_log_in_has_ten_minutes(node: Node) -> None:
    begun = node.openid.begin("/")
    back = visited(begun.url)
    node.offset += BEGUN_S
    assert node.openid.finish(back, begun.cookie) == Refused(Refusal.STATE)
    node.openid.begin("/")
    assert len(node.openid._pending) == 1, "what is too old is forgotten"


def test_log_ins_that_nobody_ends_do_not_pile_up(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cadnode.identity.openid._MOST_BEGUN", 20)
    for _ in range(100):
        node.openid.begin("/")
    assert len(node.openid._pending) == 20


def test_who_begins_log_ins_without_end_ends_nobody_elses(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cadnode.identity.openid._MOST_OF_A_PLACE", 5)
    monkeypatch.setattr("cadnode.identity.openid._MOST_BEGUN", 20)
    begun = node.openid.begin("/", "10.0.0.1")
    for n in range(100):
        node.openid.begin("/", f"2001:db8::{n:x}")
    assert len(node.openid._pending) == 6
    assert isinstance(node.openid.finish(visited(begun.url), begun.cookie), tuple)


def test_a_person_that_the_provider_refuses_is_refused(node: Node, running: OpenIdProvider) -> None:
    running.refuses = True
    assert node.log_in() == Refused(Refusal.DENIED)


@pytest.mark.parametrize("change", [{"code": ""}, {"code": "x" * 5000}, {"error": "x"}])
def test_an_answer_without_a_code_is_refused(node: Node, change: dict[str, str]) -> None:
    begun = node.openid.begin("/")
    back = {**visited(begun.url), **change}
    assert node.openid.finish(back, begun.cookie) == Refused(Refusal.DENIED)


def test_an_answer_of_another_provider_is_refused(node: Node, running: OpenIdProvider) -> None:
    """RFC 9207: a code of one provider is not shown to another."""
    begun = node.openid.begin("/")
    back = {**visited(begun.url), "iss": "https://evil.example"}
    assert node.openid.finish(back, begun.cookie) == Refused(Refusal.PROVIDER)
    assert "token" not in running.asked


def test_a_code_of_somebody_elses_log_in_is_worth_nothing(node: Node) -> None:
    """The verifier is another's (PKCE)."""
    theirs = visited(node.openid.begin("/").url)
    begun = node.openid.begin("/")
    back = {**visited(begun.url), "code": theirs["code"]}
    assert node.openid.finish(back, begun.cookie) == Refused(Refusal.PROVIDER)


def test_a_wrong_secret_is_the_providers_refusal(running: OpenIdProvider, tmp_path: Path) -> None:
    section = web(running.issuer, tmp_path)
    node = Node(section)
    secret_file(tmp_path / "secret", "another")
    assert node.log_in() == Refused(Refusal.PROVIDER)
    secret_file(tmp_path / "secret", SECRET)
    assert isinstance(node.log_in(), tuple), "the file is read again"
    (tmp_path / "secret").chmod(0o644)
    assert node.log_in() == Refused(Refusal.PROVIDER)
    with pytest.raises(SettingsError, match="chmod"):
        Node(section)


def test_nothing_is_asked_before_somebody_logs_in(node: Node, running: OpenIdProvider) -> None:
    assert running.asked == []
    node.log_in()
    assert running.asked == [".well-known/openid-configuration", "authorize", "token", "keys"]
    node.log_in()
    assert running.asked[4:] == ["authorize", "token"]


def test_document_and_keys_are_read_again_every_hour(node: Node, running: OpenIdProvider) -> None:
    node.log_in()
    node.ticks.now += 3600
    node.log_in()
    assert running.asked.count("keys") == 2
    assert running.asked.count(".well-known/openid-configuration") == 2


def test_a_new_key_is_found_and_unknown_ones_are_asked_for_once_a_minute(
    node: Node, running: OpenIdProvider
) -> None:
    node.log_in()
    running.turn_key("second")
    node.ticks.now += 61
    assert isinstance(node.log_in(), tuple)
    assert running.asked.count("keys") == 2
    running.lie = Lie.KEY
    for _ in range(5):
        assert node.log_in() == Refused(Refusal.ID_TOKEN)
    assert running.asked.count("keys") == 2
    node.ticks.now += 61
    node.log_in()
    assert running.asked.count("keys") == 3


def test_a_provider_that_is_away_is_said_to_be_and_comes_back(
    node: Node, running: OpenIdProvider
) -> None:
    running.is_away = True
    for _ in range(5):
        with pytest.raises(ProviderError):
            node.openid.begin("/")
    assert len(running.asked) == 1, "it is not asked by everybody who waits"
    running.is_away = False
    node.ticks.now += 6
    assert isinstance(node.log_in(), tuple)
    running.is_away = True
    node.ticks.now += 4000
    assert node.openid.begin("/").url, "what was known is good until it is back"


def test_a_provider_that_nobody_listens_for_is_away(tmp_path: Path) -> None:
    with provider() as known:
        issuer = known.issuer
    with pytest.raises(ProviderError):
        Node(web(issuer, tmp_path)).openid.begin("/")


@pytest.mark.parametrize("lie", [Lie.DOCUMENT_ISSUER, Lie.DOCUMENT_HTTP, Lie.HUGE, Lie.REDIRECT])
def test_a_document_that_leads_elsewhere_is_refused(
    node: Node, running: OpenIdProvider, lie: Lie
) -> None:
    running.lie = lie
    with pytest.raises(ProviderError):
        node.openid.begin("/")


def test_reach_asks_for_document_and_keys(node: Node, running: OpenIdProvider) -> None:
    node.openid.reach()
    assert running.asked == [".well-known/openid-configuration", "keys"]
    running.is_away = True
    with pytest.raises(ProviderError):
        Provider(running.issuer).document()


def test_many_at_the_same_time_ask_once(node: Node, running: OpenIdProvider) -> None:
    threads = [threading.Thread(target=node.openid.begin, args=("/",)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert running.asked == [".well-known/openid-configuration"]
    assert len(node.openid._pending) == 10


def test_keys_that_we_would_share_or_that_are_short_are_not_taken() -> None:
    good = RSAKey.generate_key(2048, {"kid": "a"}).as_dict(private=True)
    taken = provider_module._key_of(good)
    assert taken is not None
    assert not taken.is_private, "a provider that shows its private key gives us the public one"
    short = {
        "kty": "RSA",
        "e": "AQAB",
        "n": "A" * 300 + "x" * 43,
    }  # leading zeros make it no longer
    for said in (
        {"kty": "oct", "k": "c2VjcmV0"}, {"kty": "RSA"}, {"kty": "RSA", "n": 5}, {"kty": ["RSA"]},
        "?", None, short, {**good, "n": "x" * 20_000}, {**good, "use": "enc"}, {**good, "e": "Z"},
    ):  # fmt: skip
        assert provider_module._key_of(said) is None
