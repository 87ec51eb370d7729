"""An OpenID Connect provider, as we ask it: its document, its keys, a code for an ID token.

OpenID Connect Discovery 1.0 section 4; RFC 7517 (keys); RFC 6749 section 4.1.3 (tokens). Nothing is
asked before somebody logs in. Answers are limited in size and time, redirects are not followed.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key

from cadnode import http
from cadnode.errors import CadnodeError
from cadnode.http import HttpFailure, HttpPeerValues
from cadnode.limits import PROVIDER_BYTES
from cadnode.log import get_logger
from cadnode.settings.section import is_loopback

T = TypeVar("T")

_NAME: Final = "openid"
_TIMEOUT_S: Final = 5.0
_BODY_TIMEOUT_S: Final = 0.5  # twenty of these for a whole body (`limits.ANSWER_TIMES_TIMEOUT`)
_KEPT_S: Final = 3600.0
_KEYS_AGAIN_S: Final = 60.0
_FAILED_S: Final = 5.0
_MOST_KEYS: Final = 100
_KEY_TYPES: Final = ("RSA", "EC", "OKP")  # no secret that we would share: no HMAC
_PUBLIC: Final = ("kty", "kid", "alg", "use", "n", "e", "crv", "x", "y")

log = get_logger("identity")


class ProviderError(CadnodeError):
    """The provider cannot be reached, or its answer cannot be used; a later try may succeed."""

    retryable = True


@dataclass(frozen=True, slots=True)
class ProviderDocument:
    """Of what the provider says of itself, what we use."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    takes_basic: bool


@dataclass(slots=True)
class _Kept(Generic[T]):
    """Something fetched, and when; `failed_at` of a try since then that gave nothing."""

    value: T | None = None
    at: float = 0.0
    failed_at: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Provider:
    """The provider of that issuer. Nothing is asked when it is made."""

    def __init__(
        self,
        issuer: str,
        ca_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self._ca_file = ca_file
        self._clock = clock
        self._document = _Kept[ProviderDocument]()
        self._keys = _Kept[list[Key]]()

    def document(self) -> ProviderDocument:
        """What it says of itself, read again every hour.

        Raises
        ------
        ProviderError
            It cannot be had, is of another issuer, or names an address without TLS.
        """
        return self._current(self._document, self._read_document, _KEPT_S)

    def key(self, kid: str | None, key_type: str) -> Key | None:
        """The key of that name and type; the only one of that type where no name is said.

        The keys are read every hour, and, at most once a minute, for a name that is unknown.

        Raises
        ------
        ProviderError
            They cannot be had.
        """
        found = _chosen(self._current(self._keys, self._read_keys, _KEPT_S), kid, key_type)
        if found is None:
            found = _chosen(
                self._current(self._keys, self._read_keys, _KEYS_AGAIN_S), kid, key_type
            )
        return found

    def tokens(self, body: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """What the token endpoint answers to a request. Raises `ProviderError`."""
        sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        return self._asked("POST", self.document().token_endpoint, data=body, headers=sent)

    def _current(self, kept: "_Kept[T]", read: Callable[[], T], at_most_s: float) -> T:
        """What is kept, or, once it is older, what there is now.

        After a failure the old is good for longer, and the provider has a pause.
        """
        with kept.lock:
            now = self._clock()
            if kept.value is not None and now - kept.at < at_most_s:
                return kept.value
            if kept.failed_at is None or now - kept.failed_at >= _FAILED_S:
                try:
                    kept.value, kept.at, kept.failed_at = read(), now, None
                except ProviderError:
                    kept.failed_at = self._clock()
            if kept.value is None:
                raise ProviderError("the OpenID provider cannot be asked: see the log")
            return kept.value

    def _read_document(self) -> ProviderDocument:
        url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        said = self._asked("GET", url, headers={"Accept": "application/json"})
        if said.get("issuer") != self.issuer:
            raise self._failed("other_issuer")
        methods = said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return ProviderDocument(
            self._address(said, "authorization_endpoint"),
            self._address(said, "token_endpoint"),
            self._address(said, "jwks_uri"),
            not isinstance(methods, list) or "client_secret_basic" in methods,
        )

    def _address(self, said: Mapping[str, Any], name: str) -> str:
        """An address that the provider names: https, or on this machine where the issuer is."""
        url = said.get(name)
        try:
            parts = urlsplit(url) if isinstance(url, str) and url.isprintable() else urlsplit("")
            host = parts.hostname or ""
        except ValueError:
            raise self._failed("address") from None
        local = urlsplit(self.issuer).scheme == "http" and is_loopback(host)
        if not host or not (parts.scheme == "https" or (local and parts.scheme == "http")):
            raise self._failed("address")
        return str(url)

    def _read_keys(self) -> list[Key]:
        said = self._asked("GET", self.document().jwks_uri, headers={"Accept": "application/json"})
        listed = said.get("keys")
        if not isinstance(listed, list):
            raise self._failed("keys")
        return [key for one in listed[:_MOST_KEYS] if (key := _key_of(one)) is not None]

    def _asked(self, method: str, url: str, **how: Any) -> dict[str, Any]:
        values = HttpPeerValues(_NAME, url, ca_file=self._ca_file, timeout_s=_TIMEOUT_S)
        try:
            with (
                http.connected(values) as peer,
                peer.request(method, "", **how) as response,
            ):
                body = http.body_of(response, _NAME, PROVIDER_BYTES, _BODY_TIMEOUT_S)
            said = json.loads(body)
        except HttpFailure as error:
            raise self._failed(error.kind.value, error.status) from None
        except (ValueError, RecursionError):
            raise self._failed("no_json") from None
        if not isinstance(said, dict):
            raise self._failed("no_json")
        return said

    def _failed(self, reason: str, status: int | None = None) -> ProviderError:
        log.error("openid_provider_failed", reason=reason, status=status)
        return ProviderError(f"the OpenID provider's answer cannot be used: {reason}")


def _key_of(said: Any) -> Key | None:
    """A key that verifies signatures; None for others, whatever they are."""
    if not isinstance(said, dict) or said.get("kty") not in _KEY_TYPES:
        return None
    if said.get("use", "sig") != "sig":
        return None
    public = {name: said[name] for name in _PUBLIC if name in said}
    try:
        if said["kty"] == "RSA" and not 2048 <= _bits(said["n"]) <= 8192:
            return None
        return JWKRegistry.import_key(public)
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _bits(number: str) -> int:
    """How long a number is that is written in base64 (RFC 7518 section 2)."""
    return int.from_bytes(base64.urlsafe_b64decode(number + "==")).bit_length()


def _chosen(keys: list[Key], kid: str | None, key_type: str) -> Key | None:
    fit = [key for key in keys if key.key_type == key_type]
    if kid is None:
        return fit[0] if len(fit) == 1 else None
    return next((key for key in fit if key.kid == kid), None)
