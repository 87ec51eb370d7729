"""An OpenID Connect provider on loopback that checks what it is asked, and can lie in its answers.

Everybody who comes to its authorisation endpoint is the person that it has been told of.
"""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

CLIENT = "cadnode"
SECRET = "a secret: with %, + and ~"
REDIRECT = "http://127.0.0.1:8114/login/openid"


class Lie(StrEnum):
    """What is wrong in the next ID token, and, of the last ones, in other answers."""

    NONE = "none"
    NO_NONCE = "no nonce"
    NONCE = "nonce"
    AUDIENCE = "audience"
    AUTHORIZED_PARTY = "authorized party"
    EXPIRED = "expired"
    NO_END = "no end"
    FUTURE = "future"
    ISSUER = "issuer"
    UNSIGNED = "unsigned"
    HMAC = "hmac"
    SIGNATURE = "signature"
    KEY = "key"
    ACCESS_TOKEN = "access token"
    NO_TOKEN = "no token"
    GARBAGE = "garbage"
    DOCUMENT_ISSUER = "document issuer"
    DOCUMENT_HTTP = "document http"
    HUGE = "huge"
    REDIRECT = "redirect"


@dataclass
class OpenIdProvider:
    """What it knows and has been asked."""

    port: int = 0
    groups: Any = field(default_factory=lambda: ["radiologists"])
    username: str = "Jane.Doe"
    claims: dict[str, Any] = field(default_factory=dict)
    lie: Lie = Lie.NONE
    refuses: bool = False
    is_away: bool = False
    methods: tuple[str, ...] = ("client_secret_basic",)
    asked: list[str] = field(default_factory=list)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first"}))
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}/realms/staff"

    def turn_key(self, kid: str) -> None:
        """Sign with another key from now on."""
        self.key = RSAKey.generate_key(2048, {"kid": kid})

    def document(self) -> dict[str, Any]:
        issuer = "https://evil.example" if self.lie is Lie.DOCUMENT_ISSUER else self.issuer
        token = f"{self.issuer}/token"
        if self.lie is Lie.DOCUMENT_HTTP:
            token = "http://login.hospital.example/token"
        return {
            "issuer": issuer, "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": token, "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": list(self.methods),
        }  # fmt: skip

    def keys(self) -> dict[str, Any]:
        odd = [{"kty": "oct", "k": "c2VjcmV0", "kid": self.key.kid}, {"kty": "RSA"}, "?", {}]
        return {"keys": [*odd, {**self.key.as_dict(private=False), "use": "sig"}]}

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        assert (query["response_type"], query["client_id"]) == ("code", CLIENT)
        assert query["redirect_uri"] == REDIRECT
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        back = {"state": query["state"], "iss": self.issuer}
        if self.refuses:
            back["error"] = "access_denied"
        else:
            back["code"] = secrets.token_urlsafe(16)
            self.codes[back["code"]] = query
        return f"{REDIRECT}?{urlencode(back)}"

    def tokens(self, authorization: str, body: dict[str, str]) -> tuple[int, Any]:
        """Status and answer to a request for tokens."""
        asked = self.codes.pop(body.get("code", ""), None)
        if asked is None or body.get("grant_type") != "authorization_code":
            return 400, {"error": "invalid_grant"}
        if not self._is_client(authorization, body):
            return 401, {"error": "invalid_client"}
        digest = hashlib.sha256(body["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if challenge != asked["code_challenge"] or body["redirect_uri"] != REDIRECT:
            return 400, {"error": "invalid_grant"}
        said: dict[str, Any] = {"access_token": "opaque", "token_type": "Bearer"}
        if self.lie is Lie.GARBAGE:
            return 200, {**said, "id_token": "a.b.c"}
        if self.lie is not Lie.NO_TOKEN:
            said["id_token"] = self._id_token(asked["nonce"])
        return 200, said

    def _is_client(self, authorization: str, body: dict[str, str]) -> bool:
        if self.methods == ("none",):
            return body.get("client_id") == CLIENT
        if self.methods == ("client_secret_post",):
            return (body.get("client_id"), body.get("client_secret")) == (CLIENT, SECRET)
        kind, _, text = authorization.partition(" ")
        user, _, password = base64.b64decode(text).decode().partition(":")
        return kind == "Basic" and (unquote(user), unquote(password)) == (CLIENT, SECRET)

    def _id_token(self, nonce: str) -> str:
        now, lie = int(time.time()), self.lie
        half = hashlib.sha256(b"opaque").digest()[:16]
        claims: dict[str, Any] = {
            "iss": self.issuer, "aud": CLIENT, "sub": "7f3c", "iat": now, "exp": now + 300,
            "nonce": nonce, "preferred_username": self.username, "groups": self.groups,
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        }  # fmt: skip
        claims |= {
            Lie.NONCE: {"nonce": "another"},
            Lie.AUDIENCE: {"aud": "another"},
            Lie.AUTHORIZED_PARTY: {"aud": [CLIENT, "another"], "azp": "another"},
            Lie.EXPIRED: {"exp": now - 300, "iat": now - 600},
            Lie.FUTURE: {"iat": now + 3600, "exp": now + 7200},
            Lie.ISSUER: {"iss": "https://evil.example"},
            Lie.ACCESS_TOKEN: {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
        }.get(lie, {})
        claims |= self.claims
        for absent in {Lie.NO_NONCE: ["nonce"], Lie.NO_END: ["exp"]}.get(lie, []):
            del claims[absent]
        if lie is Lie.UNSIGNED:
            head = json.dumps({"alg": "none", "kid": self.key.kid}).encode()
            parts = [head, json.dumps(claims).encode()]
            coded = [base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts]
            return ".".join([*coded, ""])
        if lie is Lie.HMAC:  # with the public key as the secret: the old confusion
            shared = OctKey.import_key(base64.b64encode(self.key.as_pem(private=False)))
            return jwt.encode({"alg": "HS256", "kid": self.key.kid}, claims, shared)
        other = lie in (Lie.SIGNATURE, Lie.KEY)
        key = RSAKey.generate_key(2048) if other else self.key
        kid = "never heard of" if lie is Lie.KEY else self.key.kid
        return jwt.encode({"alg": "RS256", "kid": kid}, claims, key)


class _Handler(BaseHTTPRequestHandler):
    provider: OpenIdProvider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        what = parts.path.removeprefix("/realms/staff/")
        self.provider.asked.append(what)
        if self.provider.is_away:
            self._answer(503, {})
        elif self.provider.lie is Lie.HUGE:
            self._answer(200, {"issuer": "x" * (2 << 20)})
        elif self.provider.lie is Lie.REDIRECT:
            self._answer(302, {}, Location="http://127.0.0.1:1/")
        elif what == ".well-known/openid-configuration":
            self._answer(200, self.provider.document())
        elif what == "keys":
            self._answer(200, self.provider.keys())
        elif what == "authorize":
            back = self.provider.authorize(dict(parse_qsl(parts.query, strict_parsing=True)))
            self._answer(302, {}, Location=back)
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        self.provider.asked.append("token")
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = {key: values[0] for key, values in parse_qs(body).items()}
        self._answer(*self.provider.tokens(self.headers.get("Authorization", ""), fields))

    def _answer(self, status: int, said: Any, **headers: str) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def provider() -> Iterator[OpenIdProvider]:
    """A provider that runs, on a free port."""
    known = OpenIdProvider()
    handler = type("Handler", (_Handler,), {"provider": known})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        known.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield known
        finally:
            server.shutdown()
            thread.join()


def visited(url: str) -> dict[str, str]:
    """The query with which a browser that goes there is sent back to the node."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        back = connection.getresponse().headers["Location"]
    finally:
        connection.close()
    assert back.startswith(REDIRECT + "?")
    return dict(parse_qsl(urlsplit(back).query, strict_parsing=True))
