"""Which settings of identity belong together."""

from typing import Any

import pytest
from pydantic import ValidationError

from cadnode.settings import WebSection

OPENID: dict[str, Any] = {
    "openid_issuer": "https://login.hospital.org/realms/staff",
    "openid_client_id": "node",
    "openid_redirect_url": "https://cad.hospital.org/login/openid",
    "openid_roles": {"radiologists": "viewer"},
}
PROXY: dict[str, Any] = {
    "proxy_user_header": "X-Remote-User", "proxy_role": "viewer", "proxy_addresses": ["10.1.2.3"]
}  # fmt: skip


@pytest.mark.parametrize(
    "ways",
    [
        {"token_file": "/t"}, {"users_file": "/u"}, {"tokens_file": "/t"}, OPENID, PROXY,
        {**PROXY, **OPENID, "users_file": "/u"},
    ],
)  # fmt: skip
def test_with_any_way_to_say_who_asks_the_network_may_be_served(ways: dict[str, Any]) -> None:
    assert WebSection.model_validate({"host": "0.0.0.0", **ways}).knows_somebody
    assert not WebSection().knows_somebody


def test_without_one_only_this_machine_is_served() -> None:
    with pytest.raises(ValidationError, match="needs users_file, tokens_file, token_file"):
        WebSection(host="0.0.0.0")
    assert WebSection(host="0.0.0.0", enabled=False).host == "0.0.0.0"


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        *[({key: value}, "needs openid_issuer") for key, value in list(OPENID.items())[1:]],
        ({"openid_client_secret_file": "/s"}, "needs openid_issuer"),
        *[({k: v for k, v in OPENID.items() if k != key}, f"openid_issuer needs {key}")
          for key in list(OPENID)[1:]],
        ({**OPENID, "openid_roles": {}}, "openid_roles"),
        ({**OPENID, "openid_roles": {"a": "chief"}}, "viewer"),
        ({**OPENID, "openid_scopes": ["groups"]}, "openid_scopes needs openid"),
        ({**OPENID, "openid_issuer": "http://login.hospital.org"}, "https"),
        ({**OPENID, "openid_issuer": "https://a:b@login.hospital.org"}, "no credentials"),
        ({**OPENID, "openid_issuer": "https://login.hospital.org?x=1"}, "https"),
        ({**OPENID, "openid_redirect_url": "http://cad.hospital.org/login"}, "https"),
        ({"proxy_role": "viewer"}, "needs proxy_user_header"),
        ({"proxy_addresses": ["10.1.2.3"]}, "needs proxy_user_header"),
        ({**PROXY, "proxy_addresses": []}, "needs proxy_addresses"),
        ({**PROXY, "proxy_addresses": ["0.0.0.0/0"]}, "every address"),
        ({**PROXY, "proxy_addresses": ["::/0"]}, "every address"),
        ({**PROXY, "proxy_addresses": ["proxy"]}, "10.1.2.0/24"),
        ({**PROXY, "proxy_role_header": "X-Role"}, "either proxy_role_header or proxy_role"),
        ({**PROXY, "proxy_role": None}, "either proxy_role_header or proxy_role"),
        ({**PROXY, "proxy_user_header": "X Remote"}, "pattern"),
        ({"session_idle_min": 61, "session_h": 1}, "session_idle_min"),
        ({"session_h": 0}, "greater than 0"),
    ],
)  # fmt: skip
def test_what_does_not_belong_together_is_refused(values: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        WebSection.model_validate(values)


def test_a_provider_on_this_machine_needs_no_tls() -> None:
    local = {
        "openid_issuer": "http://127.0.0.1:8080/x/",
        "openid_redirect_url": "http://localhost/",
    }
    assert (
        WebSection.model_validate({**OPENID, **local}).openid_issuer == "http://127.0.0.1:8080/x/"
    )
