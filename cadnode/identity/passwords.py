"""Passwords: which are taken, how they are kept (argon2id, RFC 9106), how they are compared.

The rules are those of NIST SP 800-63B section 5.1.1: length, no composition, not one that is
common or holds the name; every character counts, after normalisation (NFKC), and none is cut off.
"""

import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import Argon2Error, InvalidHashError

SHORTEST: Final = 12
LONGEST: Final = 128
_LONGEST_SENT: Final = 1024  # characters that are looked at at all; NFKC makes some of one
_SHORTEST_IN_A_PASSWORD: Final = 3  # a name of two letters is in every tenth one
_FEWEST_DIFFERENT: Final = 5
_AT_ONCE: Final = 2
_MAY_WAIT: Final = 8
_WAIT_S: Final = 5.0

# Of a hash in the file: a slip, or a hash made elsewhere, must not take the machine's memory.
_MOST_KIB: Final = 256 << 10
_MOST_ROUNDS: Final = 16
_MOST_LANES: Final = 16

_COMMON: Final = frozenset(
    {
        "1q2w3e4r5t6y", "1qaz2wsx3edc", "q1w2e3r4t5y6", "zaq12wsxcde3", "qazwsxedcrfv",
        "correcthorsebatterystaple", "thisisapassword", "iloveyouforever", "startrekenterprise",
    }
)  # fmt: skip
# Nothing but these, digits and signs, in whatever writing: P@ssw0rd-2026!
_WORDS: Final = (
    "administrator", "admin", "changeme", "default", "dragon", "football", "hospital", "iloveyou",
    "letmein", "mammography", "mammogram", "master", "monkey", "operator", "passphrase",
    "password", "passwort", "princess", "radiology", "secret", "sunshine", "superman", "test",
    "trustno1", "user", "viewer", "welcome", "whatever",
)  # fmt: skip
_ROWS: Final = ("1234567890", "qwertyuiop", "qwertzuiop", "asdfghjkl", "zxcvbnm",
                "qwertyuiopasdfghjklzxcvbnm", "abcdefghijklmnopqrstuvwxyz")  # fmt: skip
_LEET: Final = {"a": "a@4", "e": "e3", "i": "i1!", "o": "o0", "s": "s5$", "t": "t7"}
_PRODUCT: Final = "cadnode"
_WORD: Final = "|".join(
    "".join(f"[{_LEET.get(letter, letter)}]" for letter in word)
    for word in sorted(_WORDS, key=len, reverse=True)
)
_HAS_WORD: Final = re.compile(_WORD)
_ONLY_WORDS: Final = re.compile(rf"(?:{_WORD}|[\W\d_])++")


class Busy(Exception):
    """As many passwords as there may be at the same time are being compared, and more wait."""


def normal(password: str) -> str:
    """The password as it is hashed: what looks the same is the same (NFKC)."""
    return unicodedata.normalize("NFKC", password)


def problem_of(password: str, name: str) -> str:
    """Why this cannot be the password of that user, as a sentence; "" when it can."""
    if len(password) > _LONGEST_SENT or len(normal(password)) > LONGEST:
        return f"a password has {LONGEST} characters at most"
    password = normal(password)
    if len(password) < SHORTEST:
        return f"a password has {SHORTEST} characters or more: a few words that you remember"
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in password):
        return "a password has no control characters"
    plain = password.casefold()
    if len(name) >= _SHORTEST_IN_A_PASSWORD and name.casefold() in plain:
        return "a password does not hold the user's name"
    if _PRODUCT in plain:
        return f"a password does not hold the word {_PRODUCT}"
    if _is_common(plain):
        return "this password is among the first that are tried: choose another"
    return ""


def _is_common(plain: str) -> bool:
    if len(set(plain)) < _FEWEST_DIFFERENT or plain in _COMMON:
        return True
    for row in _ROWS:
        long = row * (1 + len(plain) // len(row))
        if plain in long + row or plain in (long + row)[::-1]:
            return True
    return bool(_HAS_WORD.search(plain) and _ONLY_WORDS.fullmatch(plain))


def is_hash(text: str) -> bool:
    """Whether this is an argon2id hash whose comparison costs no more than we have."""
    try:
        found = extract_parameters(text)
    except (InvalidHashError, ValueError):
        return False
    return (
        found.type is Type.ID
        and found.version == 19
        and 8 <= found.memory_cost <= _MOST_KIB
        and 1 <= found.time_cost <= _MOST_ROUNDS
        and 1 <= found.parallelism <= _MOST_LANES
        and found.salt_len >= 8
        and found.hash_len >= 16
    )


class Passwords:
    """Hashes and compares, at most two at a time: each takes 64 MiB and a core."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash("of nobody, so that unknown names take as long as known")
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._waiting = threading.BoundedSemaphore(_AT_ONCE + _MAY_WAIT)

    def hash(self, password: str) -> str:
        """What is kept of a password."""
        return self._hasher.hash(normal(password))

    def is_right(self, password: str, kept: str | None) -> bool:
        """Whether this is the password whose hash is `kept`; None, of nobody, takes as long.

        Raises
        ------
        Busy
            Too many ask at the same time.
        """
        with self._place():
            if len(password) > _LONGEST_SENT:
                password = ""  # of nobody: the rules refuse it
            secret = normal(password).encode("utf-8", "surrogatepass")
            try:
                self._hasher.verify(kept or self._nobody, secret)
            except (Argon2Error, InvalidHashError):
                return False
        return kept is not None

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._waiting.acquire(blocking=False):
            raise Busy
        try:
            if not self._places.acquire(timeout=_WAIT_S):
                raise Busy
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._waiting.release()
