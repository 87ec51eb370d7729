"""What `cadnode check` says of who may come in."""

from pathlib import Path

import pytest

from cadnode.errors import SettingsError
from cadnode.identity.overview import overview
from cadnode.node.checks import CheckVerdict, _identities, _web
from cadnode.settings import Settings, WebSection
from tests.openid_provider import CLIENT, REDIRECT, provider
from tests.unit.identity.cases import program, secret_file, user


def found(**web: object) -> list[tuple[str, str]]:
    return [(one.found, one.advice) for one in overview(WebSection.model_validate(web))]


def test_people_and_programs_are_counted_by_role(tmp_path: Path) -> None:
    users = secret_file(tmp_path / "u", user("a", "admin"), user("b"), user("c"))
    tokens = secret_file(tmp_path / "t", program("p"))
    assert found(users_file=users, tokens_file=tokens) == [
        ("people: 1 admin, 2 viewer; programs: 1 operator", "")
    ]


def test_nobody_and_nobody_that_is_admin_are_warned_of(tmp_path: Path) -> None:
    ((_, fine), (told, advice)) = found(users_file=secret_file(tmp_path / "u"))
    assert (fine, "names nobody" in told) == ("", True)
    assert "cadnode users add" in advice
    _, (told, advice) = found(users_file=secret_file(tmp_path / "v", user("a", "operator")))
    assert told == "nobody is admin"
    assert "cadnode users role" in advice
    proxy = {"proxy_user_header": "X-U", "proxy_addresses": ["::1"]}
    assert found(**proxy, proxy_role="operator")[1][0] == "nobody is admin"
    assert len(found(**proxy, proxy_role="admin")) == 1
    assert len(found(**proxy, proxy_role_header="X-R")) == 1


def test_the_shared_token_is_warned_of(tmp_path: Path) -> None:
    _, (told, advice) = found(token_file=secret_file(tmp_path / "t", "0123456789abcdef"))
    assert "web.token_file may do everything" in told
    assert "cadnode users token" in advice


def test_a_provider_is_asked_whether_it_is_there() -> None:
    with provider() as known:
        web = {
            "openid_issuer": known.issuer, "openid_client_id": CLIENT,
            "openid_redirect_url": REDIRECT, "openid_roles": {"a": "viewer", "it": "admin"},
        }  # fmt: skip
        assert found(**web) == [(f"people of {known.issuer} as admin, viewer", "")]
        known.is_away = True
        assert "openid_issuer right" in found(**web)[1][1]


def test_check_is_red_where_a_file_cannot_be_used(tmp_path: Path) -> None:
    bad = secret_file(tmp_path / "u", user("a"), mode=0o644)
    with pytest.raises(SettingsError, match="chmod"):
        found(users_file=bad)
    (check,) = _identities(Settings(web={"users_file": bad}))
    assert check.verdict is CheckVerdict.FAILED
    assert list(_identities(Settings())) == []
    good = secret_file(tmp_path / "v", user("a"))
    verdicts = [check.verdict for check in _identities(Settings(web={"users_file": good}))]
    assert verdicts == [CheckVerdict.OK, CheckVerdict.WARNING]


def test_check_says_that_passwords_cross_the_network_in_clear(tmp_path: Path) -> None:
    users = secret_file(tmp_path / "u", user("a"))
    checks = list(_web(Settings(web={"users_file": users, "host": "0.0.0.0"})))
    assert "those who say who they are" in checks[0].found or checks[0].verdict.value == "warning"
    assert "passwords and tokens cross the network in clear" in checks[1].found
