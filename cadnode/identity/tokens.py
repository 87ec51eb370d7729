"""Programs that show a token: those of `web.tokens_file`, and the one of `web.token_file`.

The file keeps `name:role:sha256`: a token has 256 random bits, so that a plain hash says nothing
of it, and no guess of it is slowed down by a costlier one (NIST SP 800-63B 5.1.2.2).
"""

import hashlib
import hmac
import re
import secrets
from pathlib import Path
from typing import Final

from cadnode.errors import SettingsError
from cadnode.identity import accounts
from cadnode.identity.accounts import SHARED, Account
from cadnode.identity.role import Identity, Role, Via
from cadnode.identity.secret_file import NOT_OTHERS, Followed, SecretFileError, read
from cadnode.settings import WebSection

KEY: Final = "web.tokens_file"
SHORTEST_TOKEN: Final = 16
_PREFIX: Final = "cadnode_"  # what looks for secrets in mails and repositories finds it by that
_BYTES: Final = 32
_LONGEST: Final = 4096
_HASH: Final = re.compile(r"[0-9a-f]{64}")


def new_token() -> str:
    """A token that nobody has: 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(_BYTES)


def hash_of(token: str) -> str:
    """What is kept of a token, a session's id, or another secret of 256 random bits or more."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def is_hash(text: str) -> bool:
    """Whether this is what is kept of a token."""
    return _HASH.fullmatch(text) is not None


def tokens_in(path: Path) -> dict[str, Account]:
    """The programs in a file, by name; none when there is no file. Raises `SettingsError`."""
    if not path.exists():
        return {}
    return accounts.parsed(read(path, KEY)[0], path, is_hash, of_programs=True)


def shared_token(web: WebSection) -> str:
    """The token in `web.token_file`; "" when none is configured.

    Raises
    ------
    SettingsError
        The file cannot be read, is empty, too short, or readable by everybody.
    """
    path = web.token_file
    if path is None:
        return ""
    try:
        lines, _ = read(path, "web.token_file", NOT_OTHERS)
    except SecretFileError as error:
        raise SettingsError(str(error)) from None
    token = lines[0].strip() if lines else ""
    if len(token) < SHORTEST_TOKEN:
        found = f"has {len(token)} characters" if token else "is empty"
        raise SettingsError(
            f"web.token_file {path} {found}; a token has {SHORTEST_TOKEN} or more: "
            f"`openssl rand -hex 32 > {path}`"
        )
    return token


class Tokens:
    """Who shows which token, as the files have it now. The shared one is read at the start.

    Raises
    ------
    SettingsError
        A file cannot be used.
    """

    def __init__(self, web: WebSection) -> None:
        shared = shared_token(web)
        self.shared_hash = hash_of(shared) if shared else ""
        path = web.tokens_file
        self._file = None if path is None else Followed(
            path, KEY, lambda lines: accounts.parsed(lines, path, is_hash, of_programs=True)
        )  # fmt: skip

    def of(self, token: str) -> Identity | None:
        """Who shows this token; every comparison takes as long, and all are made."""
        if not token or len(token) > _LONGEST:
            return None
        kept, found = hash_of(token), None
        known = self._file.now() if self._file else {}
        for account in known.values():
            if hmac.compare_digest(account.secret, kept):
                found = Identity(account.name, account.role, Via.TOKEN)
        if hmac.compare_digest(self.shared_hash, kept):
            found = Identity(SHARED, Role.ADMIN, Via.TOKEN)
        return found

    def is_shared(self, token: str) -> bool:
        """Whether this is the token of `web.token_file`, which people may log in with."""
        identity = self.of(token)
        return identity is not None and identity.name == SHARED
