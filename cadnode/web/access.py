"""Who a request comes from, and whether it may pass: the gate of the HTTP side.

Programs send a bearer token (RFC 6750), people have a session by a cookie, or come through a proxy
that names them. Where no identity is configured, only this machine's own programs reach the node,
and only under loopback names: a web page from elsewhere that had its name point to 127.0.0.1 (DNS
rebinding) is turned away, and so is what a proxy on this machine passes on for somebody else.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Receive, Scope, Send

from cadnode.identity.identities import Identities
from cadnode.identity.proxy import ProxyRefused
from cadnode.identity.role import LOCAL, Identity
from cadnode.log import get_logger
from cadnode.receive.admission import plain_address
from cadnode.settings.section import is_loopback
from cadnode.web import refusals
from cadnode.web.caller import Caller, Denied
from cadnode.web.cross_site import comes_from_here, needs_proof
from cadnode.web.rights import READING, Right, right_of
from cadnode.web.templating import Templates

COOKIE: Final = "cadnode_session"
REFRESH: Final = "x-cadnode-refresh"  # a page refreshes itself: it keeps no session alive
# What proxies add to a request: Via and Forwarded by RFC 9110 and 7239, the others by custom.
_OF_A_PROXY: Final = frozenset({"via", "forwarded", "x-real-ip"})

log = get_logger("web")


@dataclass(frozen=True, slots=True)
class Access:
    """The identities that are known; `is_secure` when the node serves https.

    From the addresses or networks of `metrics_from` metrics are read without a credential.
    """

    identities: Identities
    is_secure: bool = False
    metrics_from: tuple[str, ...] = ()
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    @property
    def cookie(self) -> str:
        """The session cookie's name; `__Host-`: by https, from this very host (RFC 6265bis)."""
        return self.cookie_name(COOKIE)

    def cookie_name(self, name: str) -> str:
        """The name that a cookie of ours has here."""
        return f"__Host-{name}" if self.is_secure else name

    def session_id(self, headers: Headers) -> str:
        """The session that a request's cookie names, "" without one."""
        return cookie_of(headers, self.cookie)

    def who(self, headers: Headers, address: str) -> Caller | Denied:
        """Who sent a request; `Denied` where that is not known. The first credential counts."""
        if self.identities.is_open:
            if _is_passed_on(headers):
                return Denied.PROXY
            return self._by_itself(LOCAL, address) if _is_local(headers) else Denied.HOST
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            machine = self.identities.of_token(token.strip())
            return Denied.TOKEN if machine is None else self._by_itself(machine, address)
        try:
            person = self.identities.of_proxy(headers, address)
        except ProxyRefused:
            return Denied.PROXY
        if person is not None:
            return self._by_itself(person, address)
        session_id = self.session_id(headers)
        is_used = REFRESH not in headers
        session = self.identities.session(session_id, is_used=is_used) if session_id else None
        if session is None:
            return Denied.SESSION if session_id else Denied.NOBODY
        return Caller(session.identity, address, session.csrf, session_id)

    def may_scrape(self, headers: Headers, address: str) -> bool:
        """Whether a request comes directly from an address that reads metrics.

        What a proxy passes on does not, and to this machine only what asks for it by that name.
        """
        if _is_passed_on(headers):
            return False
        if is_loopback(address) and not _is_local(headers):
            return False
        return any(_is_within(address, network) for network in self.metrics_from)

    def _by_itself(self, identity: Identity, address: str) -> Caller:
        """A caller without a session: what its forms repeat is made of its name."""
        text = f"{identity.via} {identity.name}".encode("utf-8", "surrogateescape")
        return Caller(identity, address, hmac.new(self._key, text, hashlib.sha256).hexdigest())


class AccessGate:
    """ASGI middleware that lets pass what its row in `rights` allows.

    It leaves in the request's state `right`, `caller` (None where nobody is known) and, of what
    does not pass, `denied`.
    """

    def __init__(self, app: ASGIApp, access: Access, templates: Templates) -> None:
        self._app = app
        self._access = access
        self._templates = templates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, state = Headers(scope=scope), scope.setdefault("state", {})
        address = (scope.get("client") or ("",))[0]
        right, found = right_of(scope["method"], scope["path"]), self._access.who(headers, address)
        state["right"] = right
        state["caller"] = found if isinstance(found, Caller) else None
        denied = self._denied(right, found, scope, headers)
        if denied is None:
            await self._app(scope, receive, send)
            return
        state["denied"] = denied
        log.warning("web_refused", reason=denied, peer=address)
        await refusals.answer(denied, scope, self._templates)(scope, receive, send)

    def _denied(
        self, right: Right, found: Caller | Denied, scope: Scope, headers: Headers
    ) -> Denied | None:
        is_scrape = right.is_scraped and "authorization" not in headers
        if is_scrape and self._access.may_scrape(headers, (scope.get("client") or ("",))[0]):
            return None
        if right.role is not None:
            if not isinstance(found, Caller):
                return found
            if not found.may(right.role):
                return Denied.ROLE
            if not needs_proof(found, scope["path"], headers):
                return None
        if scope["method"] in READING:
            return None
        is_here = comes_from_here(headers, is_secure=self._access.is_secure)
        return None if is_here else Denied.ORIGIN


def cookie_of(headers: Headers, name: str) -> str:
    """The value of a cookie, "" without it."""
    return cookie_parser(headers.get("cookie", "")).get(name, "")


def _is_passed_on(headers: Headers) -> bool:
    """Whether a proxy's header shows that the request is passed on for another client."""
    return any(name in _OF_A_PROXY or name.startswith("x-forwarded") for name in headers)


def _is_within(address: str, network: str) -> bool:
    try:
        return ip_address(plain_address(address)) in ip_network(network, strict=False)
    except ValueError:  # no address: a socket of another family
        return False


def _is_local(headers: Headers) -> bool:
    """Whether the Host header names this machine's loopback."""
    host = headers.get("host", "")
    name = host if host.endswith("]") else host.rsplit(":", 1)[0]
    return is_loopback(name.strip("[]"))
