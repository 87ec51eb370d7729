"""Who may ask the HTTP side: users, tokens, OpenID Connect, a proxy that knows who asks."""

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PositiveFloat, model_validator

from cadnode.settings.section import NetworkAddress, Section, is_loopback

RoleWord = Literal["monitor", "viewer", "operator", "admin"]


def _safe_url(value: str) -> str:
    """An https URL as it stands, or http on this machine; no credentials, query or fragment."""
    parts = urlsplit(value)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(_host(value)))
    if not is_safe or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("a URL is written like https://login.hospital.org/realms/staff")
    if parts.username or parts.password:
        raise ValueError("a URL holds no credentials: name openid_client_secret_file")
    return value


def _host(value: str) -> str:
    return urlsplit(value).hostname or ""


def _not_everybody(value: NetworkAddress) -> str:
    if ip_network(value, strict=False).prefixlen == 0:
        raise ValueError(f"{value} is every address: anybody could claim to be anybody")
    return value


SafeUrl = Annotated[str, AfterValidator(_safe_url)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")]
ProxyAddress = Annotated[NetworkAddress, AfterValidator(_not_everybody)]

_OPENID_NEEDS: Final = ("openid_client_id", "openid_redirect_url", "openid_roles")
_OPENID_MAY: Final = ("openid_client_secret_file", "openid_ca_file")
_PROXY: Final = ("proxy_addresses", "proxy_role_header", "proxy_role")


class WebIdentity(Section):
    """Who may ask the HTTP side, and as what."""

    token_file: Path | None = Field(
        None,
        description="its first line is the token that clients send, and may do everything with",
    )
    users_file: Path | None = Field(
        None, description="people and their roles: `cadnode users add` writes it"
    )
    tokens_file: Path | None = Field(
        None, description="programs, their roles and tokens: `cadnode users token` writes it"
    )
    session_idle_min: PositiveFloat = Field(
        30.0, description="minutes without a request after which a person has to log in again"
    )
    session_h: PositiveFloat = Field(
        12.0, description="hours after which a person has to log in again, whatever they did"
    )
    openid_issuer: SafeUrl | None = Field(
        None,
        description="issuer of an OpenID Connect provider, https, exactly as it names itself: "
        "people log in there",
    )
    openid_client_id: str | None = Field(
        None, min_length=1, description="what the provider calls this node"
    )
    openid_client_secret_file: Path | None = Field(
        None, description="its first line is the client's secret; without one a public client"
    )
    openid_redirect_url: SafeUrl | None = Field(
        None,
        description="where the provider sends people back: this node's /login/openid as their "
        "browsers reach it",
    )
    openid_roles: dict[str, RoleWord] = Field(
        {},
        description="which group of the provider has which role (viewer, operator, admin); who is "
        "in none may not come in",
    )
    openid_scopes: tuple[str, ...] = Field(
        ("openid", "profile"),
        description="what the provider is asked for; some give groups for a scope of their own",
    )
    openid_groups_claim: str = Field(
        "groups",
        min_length=1,
        description="the ID token's claim that lists a person's groups; within an object: a.b",
    )
    openid_name_claim: str = Field(
        "preferred_username",
        min_length=1,
        description="the claim that says what a person is called here, in the audit trail too: one "
        "that people cannot choose themselves; where it is missing, sub",
    )
    openid_ca_file: Path | None = Field(
        None, description="PEM certificates to trust beside the system's, for the provider"
    )
    proxy_user_header: HeaderName | None = Field(
        None, description="header in which a proxy that has logged people in says who asks"
    )
    proxy_role_header: HeaderName | None = Field(
        None, description="header in which it says their role: viewer, operator or admin"
    )
    proxy_role: RoleWord | None = Field(
        None, description="or the role of everybody that it lets through"
    )
    proxy_addresses: tuple[ProxyAddress, ...] = Field(
        (), description="IP addresses or networks of that proxy; from others the header is refused"
    )

    @property
    def knows_somebody(self) -> bool:
        """Whether there is any way to say who asks; without one only this machine is served."""
        ways = (
            self.token_file, self.users_file, self.tokens_file, self.openid_issuer,
            self.proxy_user_header,
        )  # fmt: skip
        return any(way is not None for way in ways)

    @model_validator(mode="after")
    def _session_is_in_order(self) -> "WebIdentity":
        if self.session_idle_min > self.session_h * 60:
            raise ValueError("session_idle_min must not be longer than session_h")
        return self

    @model_validator(mode="after")
    def _openid_is_whole(self) -> "WebIdentity":
        if self.openid_issuer is None:
            if lone := [name for name in (*_OPENID_NEEDS, *_OPENID_MAY) if getattr(self, name)]:
                raise ValueError(f"{lone[0]} needs openid_issuer")
        elif "openid" not in self.openid_scopes:
            raise ValueError("openid_scopes needs openid")
        elif missing := [name for name in _OPENID_NEEDS if not getattr(self, name)]:
            raise ValueError(f"openid_issuer needs {', '.join(missing)}")
        return self

    @model_validator(mode="after")
    def _proxy_is_whole(self) -> "WebIdentity":
        if self.proxy_user_header is None:
            if lone := [name for name in _PROXY if getattr(self, name)]:
                raise ValueError(f"{lone[0]} needs proxy_user_header")
            return self
        if not self.proxy_addresses:
            raise ValueError("proxy_user_header needs proxy_addresses: who may say who asks")
        if (self.proxy_role_header is None) == (self.proxy_role is None):
            raise ValueError("proxy_user_header needs either proxy_role_header or proxy_role")
        return self
