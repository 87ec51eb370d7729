"""Which version of each model is active: `active.json` of the node's own store, with its history.

Without an entry the newest version of a name is active. The file is written whole and changed
under a lock, so that two commands at once leave a valid file that holds both changes.
"""

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from cadnode.errors import ModelError, SettingsError
from cadnode.files import write_whole
from cadnode.models.store import version_key

FILE: Final = "active.json"
_LOCK: Final = ".lock"

Action = Literal["activate", "deactivate", "rollback", "keep"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes something, and when (aware of its time zone)."""

    name: str
    at: AwareDatetime


class Change(BaseModel):
    """One entry of the history; a version is None where the model was switched off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    action: Action
    from_version: str | None
    to_version: str | None
    by: str
    at: AwareDatetime


class Activation(BaseModel):
    """Content of `active.json`.

    Parameters
    ----------
    active
        Version by name; None is a model that is switched off. A name that is missing follows
        its newest version.
    history
        All changes, oldest first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    active: dict[str, str | None] = {}
    history: tuple[Change, ...] = ()

    def version(self, name: str, versions: Sequence[str]) -> str | None:
        """The active one of a name's installed versions; None when it is switched off."""
        if name in self.active:
            return self.active[name]
        return max(versions, key=version_key, default=None)

    def changed(
        self, name: str, action: Action, from_version: str | None, to_version: str | None, by: Actor
    ) -> "Activation":
        """The content after one more change."""
        change = Change(
            name=name,
            action=action,
            from_version=from_version,
            to_version=to_version,
            by=by.name,
            at=by.at,
        )
        return Activation(
            active=dict(sorted({**self.active, name: to_version}.items())),
            history=(*self.history, change),
        )

    def before(self, name: str) -> str | None:
        """The version that was active before the present one; None when it was switched off.

        A second rollback goes a step further back; it does not undo the first.

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
            else:
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
        with (store / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise SettingsError(
            f"the node's model store {store} could not be changed ({error.strerror}); it is as it "
            "was. It lies in storage.folder: the node's user needs room and the right to write"
        ) from None
