"""What people's log-ins bring in: ID tokens, a provider's document and keys, the users' file.

ID tokens are signed by a provider's real key over whatever the mutation has made of header and
claims: what is not refused must still be for us, of this log-in and of now.
"""

import base64
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc.jwk import RSAKey

from cadnode.identity import accounts, passwords, provider
from cadnode.identity.id_token import Expected, IdTokenError, claims_of, groups_in, name_in
from cadnode.identity.provider import Provider, ProviderError
from cadnode.identity.secret_file import SecretFileError, read
from tests.fuzz.mutate import raw, text
from tests.fuzz.oracles import Violation
from tests.fuzz.target import Target

_ISSUER, _CLIENT, _NONCE, _NOW = "https://login.example/realms/x", "node", "of this log-in", 1e9
_CLAIMS = {
    "iss": _ISSUER, "aud": [_CLIENT, "other"], "azp": _CLIENT, "sub": "ZZQ7", "nonce": _NONCE,
    "iat": int(_NOW), "nbf": int(_NOW), "exp": int(_NOW) + 300, "preferred_username": "ZZQjane",
    "email": "ZZQ@example.org", "email_verified": True, "groups": ["a", "b"],
    "realm_access": {"roles": ["c"]}, "amr": ["pwd"], "auth_time": int(_NOW),
}  # fmt: skip
_KEYS = ("alg", "kid", "crit", "b64", "jwk", "x5u", "zip", "enc", "nonce", "aud", "azp", "exp",
         "at_hash", "use", "kty", "n", "e", "crv", "x", "y")  # fmt: skip


@cache
def _key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "first"})


class IdTokens(Target):
    """Header, claims and keys as JSON."""

    name = "id-tokens"
    allowed = (IdTokenError,)

    def seeds(self) -> list[bytes]:
        keys = [{**_key().as_dict(private=False), "use": "sig"}]
        head = {"alg": "RS256", "kid": "first", "typ": "JWT"}
        one = {"header": head, "claims": _CLAIMS, "keys": keys}
        plain = {**_CLAIMS, "aud": _CLIENT}
        return [
            json.dumps(made).encode()
            for made in (one, {**one, "claims": plain}, {**one, "header": {"alg": "RS256"}})
        ]

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        return text.mutated_json(data, rng, _KEYS)

    def run(self, data: bytes) -> Iterator[str]:
        try:
            said = json.loads(data)
        except (ValueError, RecursionError):
            return
        said = said if isinstance(said, dict) else {}
        listed = said.get("keys") if isinstance(said.get("keys"), list) else []
        keys = [key for one in listed[:100] if (key := provider._key_of(one))]
        token = _signed(said.get("header"), said.get("claims"))
        expected = Expected(_ISSUER, _CLIENT, _NONCE, _NOW, "opaque")
        try:
            claims = claims_of(token, lambda kid, kind: provider._chosen(keys, kid, kind), expected)
        except IdTokenError as error:
            yield str(error)
            return
        _check(claims)
        groups_in(claims, "realm_access.roles")
        name_in(claims, "preferred_username")


def _check(claims: dict[str, Any]) -> None:
    audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    good = (
        claims["iss"] == _ISSUER
        and _CLIENT in audience
        and claims["nonce"] == _NONCE
        and claims["exp"] > _NOW - 61
        and isinstance(claims["sub"], str)
    )
    if not good:
        raise Violation("a token was taken that is not of this log-in")


def _signed(header: Any, claims: Any) -> str:
    parts = [json.dumps(one).encode("utf-8", "surrogatepass") for one in (header, claims)]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = _key().private_key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


class ProviderDocuments(Target):
    """What a provider says of itself, and its keys."""

    name = "openid-provider"
    allowed = (ProviderError,)

    def seeds(self) -> list[bytes]:
        document = {
            "issuer": _ISSUER, "authorization_endpoint": f"{_ISSUER}/authorize?p=1",
            "token_endpoint": f"{_ISSUER}/token", "jwks_uri": f"{_ISSUER}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }  # fmt: skip
        keys = [{**_key().as_dict(private=False), "use": "sig"}, {"kty": "oct", "k": "eA"}]
        return [json.dumps({"document": document, "keys": {"keys": keys}}).encode()]

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        return text.mutated_json(data, rng, _KEYS)

    def run(self, data: bytes) -> Iterator[str]:
        try:
            said = json.loads(data)
        except (ValueError, RecursionError):
            return
        asked = _Answered(said if isinstance(said, dict) else {})
        try:
            found = asked.document()
            asked.key("first", "RSA")
        except ProviderError as error:
            yield str(error)
            return
        for url in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            if not url.startswith("https://"):
                raise Violation("an address without TLS was taken")


class _Answered(Provider):
    """A provider whose answers are given."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(_ISSUER)
        self._said = said

    def _asked(self, method: str, url: str, **how: Any) -> dict[str, Any]:
        what = "document" if url.endswith("/openid-configuration") else "keys"
        said = self._said.get(what)
        if not isinstance(said, dict):
            raise ProviderError("no JSON")
        return said


class UsersFile(Target):
    """The file of people."""

    name = "users-file"
    allowed = (SecretFileError,)
    tokens = (b":", b"::", b"\n", b"#", b"admin", b"$argon2id$v=19$m=", b",t=", b",p=", b"$", b"\0")

    def open(self, folder: Path) -> None:
        super().open(folder)
        self._file = folder / "users"
        self._file.touch(0o600)

    def seeds(self) -> list[bytes]:
        kept = b"$argon2id$v=19$m=65536,t=3,p=4$xo90Sxtmmf0LGuoh01QLMg$" + b"ZZQ0" * 10 + b"abc"
        return [
            b"# ward\n\nZZQjane:viewer:" + kept + b"\n",
            b"a.b@c:admin:" + kept + b"\nb:operator:",
        ]

    def mutate(self, data: bytes, rng: Random, other: bytes) -> bytes:
        return raw.mutated(data, rng, other, self.tokens)

    def run(self, data: bytes) -> Iterator[str]:
        self._file.write_bytes(data)
        try:
            lines, _ = read(self._file, "web.users_file")
            found = accounts.parsed(lines, Path("users"), passwords.is_hash)
        except SecretFileError as error:
            yield str(error)
            return
        for one in found.values():
            if not passwords.is_hash(one.secret) or accounts.name_of(one.name) != one.name:
                raise Violation("an account was taken that is none")
            yield repr(one.role)
