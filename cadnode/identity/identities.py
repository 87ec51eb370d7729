"""All ways in which somebody shows who they are, as one thing that the web role asks."""

import time
from collections.abc import Callable, Mapping
from typing import Final

from cadnode.identity.accounts import SHARED
from cadnode.identity.attempts import Attempts
from cadnode.identity.openid import OpenId
from cadnode.identity.passwords import Busy, Passwords
from cadnode.identity.proxy import Proxy
from cadnode.identity.refusal import Refusal, Refused
from cadnode.identity.role import Identity, Role, Via
from cadnode.identity.sessions import Session, Sessions
from cadnode.identity.tokens import Tokens
from cadnode.identity.users import Users
from cadnode.settings import WebSection

_BUSY_S: Final = 1.0
_OPENID_PROOF: Final = "openid"  # its sessions end by time, by log-out and with the process


class Identities:
    """Who may come in, and who has; made once for the web role, asked by all of its threads.

    Raises
    ------
    SettingsError
        A file that the settings name cannot be used.
    """

    def __init__(
        self,
        web: WebSection,
        clock: Callable[[], float] = time.time,
        passwords: Passwords | None = None,
    ) -> None:
        self._attempts = Attempts(clock)
        self._sessions = Sessions(clock, web.session_idle_min * 60, web.session_h * 3600)
        self._tokens = Tokens(web)
        self._users = Users(web.users_file) if web.users_file else None
        self._passwords = passwords or (Passwords() if self._users else None)
        self._proxy = Proxy(web) if web.proxy_user_header else None
        self.is_open = not web.knows_somebody
        self.takes_passwords = bool(web.users_file or web.token_file)
        self.takes_token = web.token_file is not None
        self.openid = OpenId(web, clock, self._begin_openid) if web.openid_issuer else None

    @classmethod
    def of(cls, web: WebSection, clock: Callable[[], float] = time.time) -> "Identities":
        """Those of the settings. Raises `SettingsError` as the class does."""
        return cls(web, clock)

    def of_token(self, bearer: str) -> Identity | None:
        """The program that shows this token."""
        return self._tokens.of(bearer)

    def of_proxy(self, headers: Mapping[str, str], address: str) -> Identity | None:
        """Who asks, by the word of the configured proxy; None where nothing says so.

        Raises
        ------
        ProxyRefused
            A header says so that cannot be believed: the request has to be refused (`proxy.py`).
        """
        return self._proxy.of(headers, address) if self._proxy else None

    def session(self, session_id: str, *, is_used: bool = True) -> Session | None:
        """The session of that id, used now; not by what nobody asked for (`is_used`).

        None when there is none, it has ended or was idle for too long, or the user is gone or has
        another role or password now.
        """
        return self._sessions.find(session_id, self._proof, is_used=is_used)

    def log_in(self, name: str, password: str, address: str) -> Session | Refused:
        """A session for who knows the password; without a name, for who knows the shared token.

        Names are not told apart from wrong passwords, in words or in time. `attempts.py` says who
        waits for how long. The shared token's session is a viewer's, called "token".
        """
        name = name.strip().lower()
        known = name if self._users is not None and self._users.get(name) else ""
        if wait_s := self._attempts.begin(name, address):
            return Refused(Refusal.LOCKED, wait_s, known)
        try:
            identity = self._proved(name, password)
        except Busy:
            self._attempts.abandon(name, address)
            return Refused(Refusal.LOCKED, _BUSY_S, known)
        proof = None if identity is None else self._proof(identity)
        if identity is None or proof is None:
            return Refused(Refusal.WRONG, self._attempts.wait_s(name, address), known)
        self._attempts.succeed(name, address)
        return self._sessions.begin(identity, proof)

    def log_out(self, session_id: str) -> None:
        """The session of that id is over, if there is one."""
        self._sessions.end(session_id)

    def _proved(self, name: str, password: str) -> Identity | None:
        if not name:
            is_right = self._tokens.is_shared(password)
            return Identity(SHARED, Role.VIEWER, Via.TOKEN) if is_right else None
        if self._users is None or self._passwords is None:
            return None
        user = self._users.get(name)
        if not self._passwords.is_right(password, user.secret if user else None) or user is None:
            return None
        return Identity(user.name, user.role, Via.PASSWORD)

    def _proof(self, identity: Identity) -> str | None:
        """What a session of that identity rests on now: role and password, or the shared token."""
        if identity.via is Via.OPENID:
            return _OPENID_PROOF
        if identity.via is Via.TOKEN:
            return self._tokens.shared_hash
        user = self._users.get(identity.name) if self._users else None
        return user.line if user else None

    def _begin_openid(self, identity: Identity) -> Session:
        return self._sessions.begin(identity, _OPENID_PROOF)
