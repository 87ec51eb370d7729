"""The models a node has: the packaged store and the node's own, and which of them are active.

Both stores have the layout `NAME/VERSION/{card.json, model.safetensors, split.json}`, with
`blobs/<sha256>.safetensors` for weights that several cards share (`models.store`).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from cadnode.errors import ModelError, SettingsError
from cadnode.models import store
from cadnode.registry import history
from cadnode.registry.history import Activation
from cadnode.registry.trust import Signed, Trust


class ModelOrigin(StrEnum):
    """Where a model comes from: a store, or a folder that the settings name."""

    PACKAGED = "packaged"
    OWN = "own"
    SETTINGS = "settings"


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of a model.

    `hidden` is the packaged folder of the same name and version, where the own store has it too;
    their cards must be the same.
    """

    name: str
    version: str
    folder: Path
    origin: ModelOrigin
    hidden: Path | None = None

    @property
    def spec(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every model of both stores, by name and rising version, what is active, and whom to trust."""

    entries: tuple[Entry, ...]
    activation: Activation
    trust: Trust = field(default_factory=Trust)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models, in alphabetical order."""
        return tuple(dict.fromkeys(e.name for e in self.entries))

    def versions(self, name: str) -> tuple[str, ...]:
        """Versions of a name, rising; empty when there is none."""
        return tuple(e.version for e in self.entries if e.name == name)

    def active_version(self, name: str) -> str | None:
        """The version of a name that is active; None when it is switched off."""
        return self.activation.version(name, self.versions(name))

    def is_active(self, entry: Entry) -> bool:
        """Whether a node reads with this version."""
        return self.active_version(entry.name) == entry.version

    def find(self, name: str, version: str | None = None) -> Entry:
        """The entry of a version; without one the active, or else the newest of the name.

        Raises
        ------
        SettingsError
            There is none; the message names those that exist.
        """
        of_name = [e for e in self.entries if e.name == name]
        if not of_name:
            known = ", ".join(self.names) or "none"
            raise SettingsError(f"there is no model {name!r}; installed: {known}")
        wanted = version or self.active_version(name) or of_name[-1].version
        for entry in of_name:
            if entry.version == wanted:
                return entry
        there = ", ".join(e.version for e in of_name)
        raise SettingsError(f"there is no version {wanted} of {name}; installed: {there}")

    def active(self) -> tuple[Entry, ...]:
        """The entries a node reads with, by name.

        Raises
        ------
        ModelError
            An active version is missing, the two stores disagree about it, or its signature does
            not hold (`SignatureError`).
        """
        found = []
        for name in self.names:
            version = self.active_version(name)
            if version is None:
                continue
            if version not in self.versions(name):
                raise ModelError(lost(name, version))
            entry = self.find(name, version)
            self.approve(entry)
            found.append(entry)
        return tuple(found)

    def approve(self, entry: Entry) -> Signed | None:
        """Whose signature a version bears that may be read with; None: it is not signed.

        The one place that decides whether what is installed may be used, but for the weights'
        checksum and what an examination finds.

        Raises
        ------
        SignatureError
            Its signature does not hold, or it has none and needs one.
        ModelError
            Its card cannot be read, or the two stores disagree about it.
        """
        if problem := conflict(entry):
            raise ModelError(problem)
        if entry.origin is ModelOrigin.PACKAGED:
            return None
        # What is packaged as well, with the same card and weights, needs no other proof.
        return self.trust.of_installed(entry.folder, may_be_unsigned=entry.hidden is not None)


def conflict(entry: Entry) -> str:
    """Why an entry of the own store must not hide the packaged one; "" when it may."""
    if entry.hidden is None or store.read_card(entry.folder) == store.read_card(entry.hidden):
        return ""
    return (
        f"{entry.spec} is packaged with cadnode and another model of the same name and version is "
        f"in {entry.folder}: remove that folder and add the model again under another version"
    )


def lost(name: str, version: str) -> str:
    """The message about an active version that is missing."""
    return (
        f"{name}@{version} is active but not installed: add it again, or choose another version "
        f"with `cadnode models activate {name}`"
    )


def open_stores(
    own: Path | None, packaged: Path = store.PACKAGED, *, signed_only: bool = False
) -> Catalogue:
    """The models of both stores; `own` is the node's, which need not be there.

    `signed_only`: what is not packaged must be signed.

    Raises
    ------
    ModelError
        The own store's `active.json` is damaged.
    """
    found = {(e.name, e.version): e for e in _entries(packaged, ModelOrigin.PACKAGED)}
    for entry in _entries(own, ModelOrigin.OWN) if own else ():
        key = (entry.name, entry.version)
        hidden = found[key].folder if key in found else None
        found[key] = Entry(entry.name, entry.version, entry.folder, ModelOrigin.OWN, hidden)
    order = sorted(found, key=lambda key: (key[0], store.version_key(key[1])))
    entries = tuple(found[key] for key in order)
    return Catalogue(entries, history.read(own), Trust(own, signed_only))


def parse(spec: str) -> tuple[str, str | None]:
    """(name, version) of `NAME` or `NAME@VERSION`."""
    name, _, version = spec.partition("@")
    return name, version or None


def _entries(root: Path, origin: ModelOrigin) -> list[Entry]:
    return [Entry(f.parent.name, f.name, f, origin) for f in store.folders(root)]
