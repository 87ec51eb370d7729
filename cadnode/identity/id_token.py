"""An ID token: whether it is of this provider, for us, of this log-in and of now; whose it is.

OpenID Connect Core 1.0 section 3.1.3.7. The signature is checked with a key of the provider by an
algorithm of ours: never `none`, never one whose key would be shared (HMAC).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key
from joserfc.jws import JWSRegistry

from cadnode.errors import CadnodeError

_KEY_TYPES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC"}
ALGORITHMS: Final = tuple(f"{kind}{bits}" for kind in _KEY_TYPES for bits in (256, 384, 512))
_LEEWAY_S: Final = 60
_LONGEST: Final = 1 << 16
_LONGEST_NAME: Final = 128

KeyOf = Callable[[str | None, str], Key | None]


class IdTokenError(CadnodeError):
    """The ID token is not valid. `code` says why, in a word of ours."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the ID token is not valid: {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say to be the answer to one log-in."""

    issuer: str
    client_id: str
    nonce: str = field(repr=False)
    now: float
    access_token: str | None = field(default=None, repr=False)


def claims_of(token: object, key_of: KeyOf, expected: Expected) -> dict[str, Any]:
    """The claims of a valid ID token.

    Raises
    ------
    IdTokenError
        It has another form, algorithm, key, signature, issuer, audience, nonce or time.
    """
    if not isinstance(token, str) or not token.isascii() or len(token) > _LONGEST:
        raise IdTokenError("form")
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    try:
        header = jws.extract_compact(token.encode(), registry=registry).headers()
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise IdTokenError("algorithm")
        key = key_of(kid if isinstance(kid, str) else None, _KEY_TYPES[algorithm[:2]])
        if key is None:
            raise IdTokenError("unknown_key")
        decoded = jwt.decode(token, key, algorithms=ALGORITHMS, registry=registry)
        claims = CodeIDToken(
            decoded.claims, decoded.header,
            options={
                "iss": {"essential": True, "value": expected.issuer},
                "aud": {"essential": True, "value": expected.client_id},
                "nonce": {"essential": True, "value": expected.nonce},
                "sub": {"essential": True},
            },
            params={
                "nonce": expected.nonce, "client_id": expected.client_id,
                "access_token": expected.access_token,
            },
        )  # fmt: skip
        claims.validate(now=int(expected.now), leeway=_LEEWAY_S)
    except JoseError as error:
        claim = getattr(error, "claim", "")
        known = claim if claim in ("iss", "aud", "azp", "nonce", "exp", "iat", "nbf", "sub") else ""
        raise IdTokenError(known or "signature") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise IdTokenError("form") from None
    return dict(claims)


def name_in(claims: Mapping[str, Any], claim: str) -> str:
    """What the person is called here: the claim's text, else `sub`, which every token has.

    An e-mail address counts only where the provider has verified it.

    Raises
    ------
    IdTokenError
        Neither can be a name.
    """
    names = [claims.get(claim), claims.get("sub")]
    if claim == "email" and claims.get("email_verified") is not True:
        names = names[1:]
    for name in names:
        if isinstance(name, str) and name.strip().isprintable() and _fits(name.strip()):
            return name.strip()
    raise IdTokenError("sub")


def _fits(name: str) -> bool:
    return 0 < len(name) <= _LONGEST_NAME


def groups_in(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    """The groups that a claim lists; of a name with dots also one within objects."""
    found = claims.get(claim, _within(claims, claim))
    return frozenset(_texts(found))


def _within(claims: Mapping[str, Any], path: str) -> Any:
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _texts(found: Any) -> Iterator[str]:
    for one in found if isinstance(found, list) else [found]:
        if isinstance(one, str):
            yield one
