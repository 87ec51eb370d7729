"""Which version of each model is active: `active.json` of the node's own store, with its history.

Without an entry the newest version of a name is active. The file is written whole and changed
under a lock, so that two commands at once leave a valid file that holds both changes. A running
node notices a change by the file's identity (`identity`) before it reads the next study.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cadnode.errors import ModelError, SettingsError
from cadnode.files import locked, write_whole
from cadnode.models.store import version_key

FILE: Final = "active.json"
_LOCK: Final = ".lock"

Action = Literal[
    "activate", "deactivate", "rollback", "keep", "promote", "remove", "shadow_start", "shadow_stop"
]
_FORWARD: Final = frozenset({"activate", "deactivate", "promote"})
_LONGEST_REASON: Final = 500

FileIdentity = tuple[int, int, int]
"""Inode, time of change in ns and size of a file: `write_whole` never leaves all three alike."""


@dataclass(frozen=True, slots=True)
class ChangeAuthor:
    """Who changes something, and when (aware of its time zone)."""

    name: str
    at: AwareDatetime


class Proof(BaseModel):
    """The evidence that a promotion rested on: which file, its content, and the rule.

    Parameters
    ----------
    sha256
        Of the file that `cadnode compare --json` wrote.
    data, n_pos, n_neg
        The cases of the comparison.
    against, auc_before, auc_now, difference, difference_ci
        `NAME@VERSION` it was compared with, both areas and their difference with its interval.
    rule, allowed
        The administrator's rule, and whether it allowed the change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    data: str
    against: str
    n_pos: int
    n_neg: int
    auc_before: float | None
    auc_now: float | None
    difference: float | None
    difference_ci: tuple[float, float] | None
    rule: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class Grounds:
    """Why something is changed: a person's reason (one line, may be ""), and the evidence."""

    reason: str = ""
    evidence: Proof | None = None


NO_GROUNDS: Final = Grounds()


def grounds(reason: str, evidence: Proof | None = None) -> Grounds:
    """The grounds of a change, as the history may keep them.

    Raises
    ------
    SettingsError
        The reason spans lines, has control characters or is too long.
    """
    text = reason.strip()
    if not all(c.isprintable() for c in text) or len(text) > _LONGEST_REASON:
        raise SettingsError(f"a reason is one line of at most {_LONGEST_REASON} characters")
    return Grounds(text, evidence)


class Change(BaseModel):
    """One entry of the history; a version is None where the model was switched off.

    Of `remove` and `shadow_stop`, `from_version` is the one concerned; of `shadow_start`
    `to_version`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    action: Action
    from_version: str | None
    to_version: str | None
    by: str
    at: AwareDatetime
    reason: str = ""
    evidence: Proof | None = None


class Activation(BaseModel):
    """Content of `active.json`.

    Parameters
    ----------
    active
        Version by name; None is a model that is switched off. A name that is missing follows
        its newest version.
    shadow
        Version by name of what `cadnode models shadow start` set beside the active ones.
    history
        All changes, oldest first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1, 2] = 2  # 1 had no shadow, and changes no reason and no evidence
    active: dict[str, str | None] = {}
    shadow: dict[str, str] = {}
    history: tuple[Change, ...] = ()

    def version(self, name: str, versions: Sequence[str]) -> str | None:
        """The active one of a name's installed versions; None when it is switched off."""
        if name in self.active:
            return self.active[name]
        return max(versions, key=version_key, default=None)

    def changed(
        self,
        name: str,
        action: Action,
        from_version: str | None,
        to_version: str | None,
        by: ChangeAuthor,
        why: Grounds = NO_GROUNDS,
    ) -> "Activation":
        """The content after one more change of what is active.

        A shadow that becomes the active version is no shadow any more.
        """
        noted = self.noted(name, action, from_version, to_version, by, why)
        kept = {n: v for n, v in self.shadow.items() if (n, v) != (name, to_version)}
        active = dict(sorted({**self.active, name: to_version}.items()))
        return noted.model_copy(update={"active": active, "shadow": kept})

    def shadowed(
        self, name: str, version: str | None, by: ChangeAuthor, why: Grounds = NO_GROUNDS
    ) -> "Activation":
        """The content after a version was set beside the active one; None: after it was taken."""
        before = self.shadow.get(name)
        kept = {n: v for n, v in self.shadow.items() if n != name}
        if version is not None:
            kept[name] = version
        action: Action = "shadow_stop" if version is None else "shadow_start"
        noted = self.noted(name, action, before, version, by, why)
        return noted.model_copy(update={"shadow": dict(sorted(kept.items()))})

    def noted(
        self,
        name: str,
        action: Action,
        from_version: str | None,
        to_version: str | None,
        by: ChangeAuthor,
        why: Grounds = NO_GROUNDS,
    ) -> "Activation":
        """The content with one more entry in the history, and all else as it was."""
        change = Change(
            name=name,
            action=action,
            from_version=from_version,
            to_version=to_version,
            by=by.name,
            at=by.at,
            reason=why.reason,
            evidence=why.evidence,
        )
        return Activation(active=self.active, shadow=self.shadow, history=(*self.history, change))

    def before(self, name: str) -> str | None:
        """The version that was active before the present one; None when it was switched off.

        A second rollback goes one step further back; it does not undo the first.

        Raises
        ------
        SettingsError
            There is no earlier version to return to.
        """
        earlier: list[str | None] = []
        for change in self.history:
            if change.name != name or change.from_version == change.to_version:
                continue
            if change.action == "rollback":
                earlier.pop()
            elif change.action in _FORWARD:
                earlier.append(change.from_version)
        if not earlier:
            raise SettingsError(
                f"{name} has no earlier version to return to: nothing was changed by "
                "`cadnode models activate`"
            )
        return earlier[-1]


def read(store: Path | None) -> Activation:
    """Content of a store's `active.json`; the empty one when there is no file.

    Raises
    ------
    ModelError
        The file is damaged or was edited wrongly.
    """
    if store is None:
        return Activation()
    try:
        return Activation.model_validate_json((store / FILE).read_bytes())
    except FileNotFoundError:
        return Activation()
    except (ValidationError, OSError):
        raise ModelError(
            f"{store / FILE} is not valid; without the file the newest version of each model is "
            "active: move it away, then activate other versions with `cadnode models activate`"
        ) from None


def identity(store: Path) -> FileIdentity | None:
    """A stamp that changes with the content of a store's `active.json`; None without the file."""
    try:
        found = (store / FILE).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def write(store: Path, content: Activation) -> None:
    """Write a store's `active.json`; call it inside `changing`."""
    write_whole(store / FILE, content.model_dump_json(indent=2).encode() + b"\n")


@contextmanager
def changing(store: Path) -> Iterator[None]:
    """Nobody else changes the store inside this block; the store's folder is made if need be.

    Raises
    ------
    SettingsError
        The store cannot be written.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        with locked(store / _LOCK):
            yield
    except OSError as error:
        raise SettingsError(
            f"the node's model store {store} could not be changed ({error.strerror}); it is as it "
            "was. It lies in storage.folder: the node's user needs room and the right to write"
        ) from None
