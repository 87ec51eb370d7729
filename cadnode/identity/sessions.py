"""Who has logged in: kept here and nowhere else, so that an end is an end.

In memory: when the node is started again, people log in again. An id has 256 random bits and is
known to the browser alone; we keep its SHA-256 (OWASP ASVS 3.0, chapter V3).
"""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cadnode.identity.role import Identity
from cadnode.identity.tokens import hash_of

MOST_OF_A_NAME: Final = 8
_MOST: Final = 20_000
_BYTES: Final = 32
_LONGEST_ID: Final = 128


@dataclass(frozen=True, slots=True)
class Session:
    """One browser's log-in; `csrf` is what its forms carry; `ends` at the latest, in s."""

    id: str = field(repr=False)
    csrf: str = field(repr=False)
    identity: Identity
    ends: float


@dataclass(slots=True)
class _Kept:
    csrf: str
    identity: Identity
    proof: str
    ends: float
    idle_from: float


class Sessions:
    """The sessions of this process; at most `most` for a name: the one idle longest gives way.

    A `proof` is what the session rests on, such as the hash of the password: whoever asks for
    the session says what it is now, and a session whose proof has changed is over.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        idle_s: float,
        longest_s: float,
        most: int = MOST_OF_A_NAME,
    ) -> None:
        self._clock = clock
        self._idle_s = idle_s
        self._longest_s = longest_s
        self._most = most
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def begin(self, identity: Identity, proof: str = "") -> Session:
        """A new session, with an id and a CSRF token that nobody has had."""
        now = self._clock()
        session = Session(
            secrets.token_urlsafe(_BYTES), secrets.token_urlsafe(_BYTES), identity,
            now + self._longest_s,
        )  # fmt: skip
        with self._lock:
            self._make_room(identity, now)
            self._kept[hash_of(session.id)] = _Kept(
                session.csrf, identity, proof, session.ends, now
            )
        return session

    def find(
        self, session_id: str, proof_of: Callable[[Identity], str | None], *, is_used: bool = True
    ) -> Session | None:
        """The session of this id, used now; None when there is none, or it is over.

        `proof_of` says what proves an identity now; None: nothing does, any more. What nobody
        asked for, such as a page that refreshes itself, is no use (`is_used`).
        """
        if not session_id or len(session_id) > _LONGEST_ID:
            return None
        key, now = hash_of(session_id), self._clock()
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            if self._is_over(kept, now) or proof_of(kept.identity) != kept.proof:
                del self._kept[key]
                return None
            if is_used:
                kept.idle_from = now
        return Session(session_id, kept.csrf, kept.identity, kept.ends)

    def end(self, session_id: str) -> None:
        """The session of this id is over, if there is one."""
        with self._lock:
            self._kept.pop(hash_of(session_id), None)

    def _is_over(self, kept: _Kept, now: float) -> bool:
        # A clock that was set back makes nothing longer than it may be.
        since = now - kept.idle_from
        return not (now < kept.ends and -self._idle_s < since < self._idle_s)

    def _make_room(self, identity: Identity, now: float) -> None:
        over = [key for key, kept in self._kept.items() if self._is_over(kept, now)]
        for key in over:
            del self._kept[key]
        who = (identity.name, identity.via)
        own = [
            k for k, kept in self._kept.items() if (kept.identity.name, kept.identity.via) == who
        ]
        crowded = own if len(own) >= self._most else []
        if not crowded and len(self._kept) >= _MOST:
            crowded = list(self._kept)
        if crowded:
            del self._kept[min(crowded, key=lambda key: self._kept[key].idle_from)]
