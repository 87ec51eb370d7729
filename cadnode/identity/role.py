"""What somebody may do, and how we know who it is."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Role(IntEnum):
    """What a person or program may do; a higher role may do all that a lower one may.

    A remote worker's is beside that order: it reads exams for a node, and nobody else may.
    """

    REMOTE_WORKER = -1  # fetches images and brings readings (docs/scale.md); a program's alone
    MONITOR = 0  # reads the node's health and metrics, and nothing of a study: for Prometheus
    VIEWER = 1  # looks at studies, pages and health
    OPERATOR = 2  # also orders what concerns studies: fetched, read again, sent again, dropped
    ADMIN = 3  # also what concerns the node: models, settings, users, the audit trail

    @classmethod
    def of(cls, word: str) -> "Role":
        """The role of a word such as `viewer`. Raises `ValueError` when there is none."""
        for role in cls:
            if role.word == word:
                return role
        raise ValueError(f"a role is {', '.join(role.word for role in cls)}")

    @property
    def word(self) -> str:
        """As it stands in files and settings."""
        return self.name.lower().replace("_", "-")

    @property
    def is_of_programs(self) -> bool:
        """Whether no person has it."""
        return self is Role.REMOTE_WORKER

    def may(self, needed: "Role") -> bool:
        """Whether it may do what needs that one."""
        if self.is_of_programs or needed.is_of_programs:
            return self is needed
        return self >= needed


class Via(StrEnum):
    """How somebody has shown who they are."""

    PASSWORD = "password"
    OPENID = "openid"
    PROXY = "proxy"
    TOKEN = "token"
    LOOPBACK = "loopback"  # by nothing: nobody is configured, and only this machine is served


_PEOPLE = frozenset({Via.PASSWORD, Via.OPENID, Via.PROXY})


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks."""

    name: str
    role: Role
    via: Via

    @property
    def is_person(self) -> bool:
        """Whether it is a person by name, not a program or anybody on this machine."""
        return self.via in _PEOPLE


LOCAL = Identity("local", Role.ADMIN, Via.LOOPBACK)
"""Everybody, where nobody is configured."""
