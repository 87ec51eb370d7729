"""People log in at an OpenID Connect provider: the code flow, with PKCE, state and nonce.

OpenID Connect Core 1.0 section 3.1; RFC 7636 (S256); RFC 9207 (`iss` in the answer); RFC 9700.
What belongs to a log-in that has begun stays here, ten minutes and for one answer; the browser has
a cookie that says nothing, and without which nobody else can end what it began.
"""

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from cadnode.errors import SettingsError
from cadnode.identity.attempts import place_of
from cadnode.identity.id_token import Expected, IdTokenError, claims_of, groups_in, name_in
from cadnode.identity.provider import Provider, ProviderError
from cadnode.identity.refusal import Refusal, Refused
from cadnode.identity.role import Identity, Role, Via
from cadnode.identity.secret_file import first_line
from cadnode.identity.sessions import Session
from cadnode.identity.tokens import hash_of
from cadnode.log import get_logger
from cadnode.settings import WebSection

BEGUN_S: Final = 600.0
_MOST_BEGUN: Final = 10_000
_MOST_OF_A_PLACE: Final = 1000  # a proxy is one for all; more end only what began there
_LONGEST_CODE: Final = 4096
_SECRET: Final = "web.openid_client_secret_file"

log = get_logger("identity")


@dataclass(frozen=True, slots=True)
class Begun:
    """A log-in that has begun: where the browser goes, and the cookie that it comes back with."""

    url: str = field(repr=False)
    cookie: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Pending:
    cookie_hash: str
    nonce: str
    verifier: str
    next_path: str
    place: str
    until: float


class OpenId:
    """Log-ins by the provider of `web.openid_issuer`; it is asked when the first one begins.

    Raises
    ------
    SettingsError
        The file of the client's secret cannot be used.
    """

    def __init__(
        self,
        web: WebSection,
        clock: Callable[[], float],
        session_of: Callable[[Identity], Session],
        provider: Provider | None = None,
    ) -> None:
        self._web = web
        self._clock = clock
        self._session_of = session_of
        self._provider = provider or Provider(web.openid_issuer or "", web.openid_ca_file)
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._lock = threading.Lock()
        self._secret()

    def begin(self, next_path: str, address: str = "") -> Begun:
        """Where a person at `address` logs in, to come back for `next_path`: a path of this node.

        Raises
        ------
        ProviderError
            The provider cannot be asked.
        """
        endpoint = self._provider.document().authorization_endpoint
        state, cookie, nonce, verifier = (secrets.token_urlsafe(48) for _ in range(4))
        now = self._clock()
        place = place_of(address)
        pending = _Pending(hash_of(cookie), nonce, verifier, next_path, place, now + BEGUN_S)
        with self._lock:
            self._make_room(place, now)
            self._pending[hash_of(state)] = pending
        url = prepare_grant_uri(
            endpoint, client_id=self._web.openid_client_id, response_type="code",
            redirect_uri=self._web.openid_redirect_url, scope=" ".join(self._web.openid_scopes),
            state=state, nonce=nonce, code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
        )  # fmt: skip
        return Begun(url, cookie)

    def finish(self, query: Mapping[str, str], cookie: str) -> tuple[Session, str] | Refused:
        """The session, and the path that was wanted, when the provider has sent the person back."""
        pending = self._taken(query.get("state", ""), cookie)
        if pending is None:
            return Refused(Refusal.STATE)
        if "iss" in query and query["iss"] != self._web.openid_issuer:
            return Refused(Refusal.PROVIDER)
        code = query.get("code", "")
        if "error" in query or not code or len(code) > _LONGEST_CODE:
            return Refused(Refusal.DENIED)
        try:
            identity = self._identity(code, pending)
        except (ProviderError, SettingsError):
            return Refused(Refusal.PROVIDER)
        except IdTokenError as error:
            log.warning("openid_token_refused", reason=error.code)
            return Refused(Refusal.ID_TOKEN)
        if identity is None:
            return Refused(Refusal.NO_ROLE)
        return self._session_of(identity), pending.next_path

    def reach(self) -> None:
        """Ask the provider for its document and keys. Raises `ProviderError` as `begin`."""
        self._provider.document()
        self._provider.key(None, "RSA")

    def _taken(self, state: str, cookie: str) -> _Pending | None:
        """The log-in of that state and cookie; once."""
        with self._lock:
            pending = self._pending.get(hash_of(state))
            if pending is None or not hmac.compare_digest(pending.cookie_hash, hash_of(cookie)):
                return None  # who does not have the cookie does not end the log-in either
            del self._pending[hash_of(state)]
        return pending if self._clock() < pending.until else None

    def _identity(self, code: str, pending: _Pending) -> Identity | None:
        said = self._provider.tokens(*self._request(code, pending))
        access_token = said.get("access_token")
        expected = Expected(
            self._web.openid_issuer or "", self._web.openid_client_id or "", pending.nonce,
            self._clock(), access_token if isinstance(access_token, str) else None,
        )  # fmt: skip
        claims = claims_of(said.get("id_token"), self._provider.key, expected)
        role = self._role(claims)
        if role is None:
            return None
        return Identity(name_in(claims, self._web.openid_name_claim), role, Via.OPENID)

    def _request(self, code: str, pending: _Pending) -> tuple[str, dict[str, str]]:
        """Body and headers for the token endpoint (RFC 6749 sections 2.3.1 and 4.1.3)."""
        body = prepare_token_request(
            "authorization_code", code=code, code_verifier=pending.verifier,
            redirect_uri=self._web.openid_redirect_url,
        )  # fmt: skip
        client, secret, method = self._web.openid_client_id or "", self._secret(), "none"
        if secret and self._provider.document().takes_basic:
            client, secret, method = (
                quote(client, safe=""),
                quote(secret, safe=""),
                "client_secret_basic",
            )
        elif secret:
            method = "client_secret_post"
        headers = {"Accept": "application/json"}
        _, headers, body = ClientAuth(client, secret, method).prepare("POST", "", headers, body)
        return body, headers

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        """The highest role of the person's groups."""
        groups = groups_in(claims, self._web.openid_groups_claim)
        roles = [Role.of(word) for group, word in self._web.openid_roles.items() if group in groups]
        return max(roles, default=None)

    def _secret(self) -> str:
        path = self._web.openid_client_secret_file
        return "" if path is None else first_line(path, _SECRET, "the provider gives the secret")

    def _make_room(self, place: str, now: float) -> None:
        while self._pending and self._first_is_old(now):
            self._pending.popitem(last=False)
        own = [state for state, one in self._pending.items() if one.place == place]
        if len(own) >= _MOST_OF_A_PLACE:
            del self._pending[own[0]]
        elif len(self._pending) >= _MOST_BEGUN:
            self._pending.popitem(last=False)

    def _first_is_old(self, now: float) -> bool:
        return next(iter(self._pending.values())).until <= now
