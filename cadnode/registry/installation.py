"""Changes to the node's own store: models are added, activated, switched off, rolled back.

Every change takes the store's lock, and is made so that a crash leaves it as it was: weights
first, then the folder by one rename, then `active.json` written whole.
"""

import hashlib
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cadnode.errors import ModelError, SignatureError, SignatureProblem
from cadnode.files import sync_folder, write_whole
from cadnode.models import store
from cadnode.models.card import ModelCard
from cadnode.registry import history, parcel, signature, trust
from cadnode.registry.catalogue import Catalogue, Entry, ModelOrigin, open_stores
from cadnode.registry.history import NO_GROUNDS, ChangeAuthor, Grounds
from cadnode.registry.numbering import AS_IT_IS, Numbering, numbered
from cadnode.registry.trust import SIGNED_CARD, Signed, Trust

IsNew = Literal["activate", "stay_off", "by_name"]
"""Whether what is added becomes active: always, never, or where its name is new."""

Examine = Callable[[Path], ModelCard]
"""Gives the card of a folder whose model works; raises ModelError (`examination.examine`)."""


@dataclass(frozen=True, slots=True)
class Added:
    """What became of one model that was handed over.

    `card` is as the store has it, `came_as` the version that it was handed over with; `there` is
    the store that has it already; `active` the version of its name that a node reads with from
    now on (None: none); `signed` the signature that it came with (None: none).
    """

    card: ModelCard
    there: ModelOrigin | None
    active: str | None
    came_as: str
    signed: Signed | None = None

    @property
    def renumbered(self) -> str:
        """Where it got another version, in words; "" where it kept its own."""
        if self.card.version == self.came_as:
            return ""
        return f"added as {self.card.version}; its own card says {self.came_as}"


@dataclass(frozen=True, slots=True)
class Stores:
    """The node's own store, which changes, and the packaged one, which does not.

    `signed_only`: the own store takes, and the node reads with, signed models alone.
    """

    own: Path
    packaged: Path = store.PACKAGED
    signed_only: bool = False

    def catalogue(self) -> Catalogue:
        """What is in both."""
        return open_stores(self.own, self.packaged, signed_only=self.signed_only)

    @property
    def trust(self) -> Trust:
        """Whose models are taken."""
        return Trust(self.own, self.signed_only)


def add(
    path: Path,
    stores: Stores,
    by: ChangeAuthor,
    examine: Examine,
    *,
    activate: bool = False,
    dry_run: bool = False,
    numbering: Numbering = AS_IT_IS,
    starts_off: bool = False,
) -> tuple[Added, ...]:
    """Put the models of a folder or a zip file into the own store, when all of them work.

    A name that is new is active from then on, unless `starts_off`. Of an existing name, the version
    that was active stays active, also when the new one is newer, unless `activate` is given.
    `numbering` states what becomes of a version that another model has. Signatures are checked
    before anything else is read.

    Raises
    ------
    SettingsError
        There is no such path, or the store cannot be written.
    ModelError
        A model does not work, another one has its name and version, or a signature does not hold
        (`SignatureError`).
    """
    with parcel.opened(path) as found:
        signed = stores.trust.of_handed_over(found, path)
        cards = {folder: examine(folder) for folder in found}
        for folder, by_whom in signed.items():
            if by_whom is not None:
                by_whom.check_model(found.root, folder, cards[folder])
        _refuse_twins(list(cards.values()))
        order = sorted(cards, key=lambda f: (cards[f].name, store.version_key(cards[f].version)))
        is_new: IsNew = "activate" if activate else "stay_off" if starts_off else "by_name"
        given = [cards[f] for f in order]
        by_whom_each = [signed[f] for f in order]
        if dry_run:
            planned = _planned(given, stores.catalogue(), numbering, is_new=is_new)
            return _with_signatures(planned, by_whom_each)
        with history.changing(stores.own):
            planned = _planned(given, stores.catalogue(), numbering, is_new=is_new)
            planned = _with_signatures(planned, by_whom_each)
            for folder, added in zip(order, planned, strict=True):
                _add_one(folder, added, stores, by)
    return planned


def activate(
    stores: Stores,
    name: str,
    version: str | None,
    by: ChangeAuthor,
    examine: Examine,
    why: Grounds = NO_GROUNDS,
    action: history.Action = "activate",
) -> str:
    """Make a version (None: the newest) the active one; returns it.

    Raises
    ------
    SettingsError
        There is no such model or version.
    ModelError
        It does not work.
    """
    with history.changing(stores.own):
        entry = chosen(stores.catalogue(), name, version)
        switch(stores, entry, by, examine, why, action)
    return entry.version


def chosen(catalogue: Catalogue, name: str, version: str | None) -> Entry:
    """That version of a name, or (None) the newest.

    Raises
    ------
    SettingsError
        There is no such model or version.
    """
    return catalogue.find(name, version or next(iter(catalogue.versions(name)[-1:]), None))


def switch(
    stores: Stores,
    entry: Entry,
    by: ChangeAuthor,
    examine: Examine,
    why: Grounds = NO_GROUNDS,
    action: history.Action = "activate",
) -> None:
    """Make an installed version the active one; call it inside `history.changing`.

    Raises
    ------
    ModelError
        It does not work.
    """
    stores.catalogue().approve(entry)
    examine(entry.folder)
    before = stores.catalogue().active_version(entry.name)
    _record(stores.own, entry.name, action, before, entry.version, by, why)


def deactivate(stores: Stores, name: str, by: ChangeAuthor, why: Grounds = NO_GROUNDS) -> None:
    """Switch a model off: no version of it is active.

    Raises
    ------
    SettingsError
        There is no such model.
    """
    with history.changing(stores.own):
        catalogue = stores.catalogue()
        catalogue.find(name)
        _record(stores.own, name, "deactivate", catalogue.active_version(name), None, by, why)


def rollback(
    stores: Stores, name: str, by: ChangeAuthor, examine: Examine, why: Grounds = NO_GROUNDS
) -> str | None:
    """Return to the version that was active before; returns it (None: switched off).

    Raises
    ------
    SettingsError
        There is no such model, nothing to return to, or the version is gone.
    ModelError
        The version does not work.
    """
    with history.changing(stores.own):
        catalogue = stores.catalogue()
        catalogue.find(name)
        version = catalogue.activation.before(name)
        if version is not None:
            entry = catalogue.find(name, version)
            catalogue.approve(entry)
            examine(entry.folder)
        _record(stores.own, name, "rollback", catalogue.active_version(name), version, by, why)
    return version


def _record(
    own: Path,
    name: str,
    action: history.Action,
    before: str | None,
    after: str | None,
    by: ChangeAuthor,
    why: Grounds = NO_GROUNDS,
    *,
    always: bool = False,
) -> None:
    """Write a change into `active.json`, unless it holds it already; `always`, also then."""
    content = history.read(own)
    if always or before != after or name not in content.active:
        history.write(own, content.changed(name, action, before, after, by, why))


def _planned(
    cards: Sequence[ModelCard], catalogue: Catalogue, numbering: Numbering, *, is_new: IsNew
) -> tuple[Added, ...]:
    """The outcome of adding the models, in this order.

    Raises
    ------
    ModelError
        Another model has the name and version of one.
    """
    planned: dict[str, list[Added]] = {}
    for card, given in zip(numbered(cards, catalogue, numbering), cards, strict=True):
        there = _place_of(card, catalogue)
        first = is_new == "by_name" and not catalogue.versions(card.name)
        active = (
            card.version if first or is_new == "activate" else catalogue.active_version(card.name)
        )
        planned.setdefault(card.name, []).append(Added(card, there, active, given.version))
    return tuple(
        replace(added, active=of_name[-1].active)
        for of_name in planned.values()
        for added in of_name
    )


def _with_signatures(
    planned: Sequence[Added], signed: Sequence[Signed | None]
) -> tuple[Added, ...]:
    return tuple(replace(a, signed=s) for a, s in zip(planned, signed, strict=True))


def _place_of(card: ModelCard, catalogue: Catalogue) -> ModelOrigin | None:
    """Which store has exactly this model; None when neither has its name and version."""
    if card.name in {store.BLOBS, trust.FOLDER}:
        raise ModelError(f"a model cannot be named {card.name}: the store needs that folder itself")
    if card.version not in catalogue.versions(card.name):
        return None
    entry = catalogue.find(card.name, card.version)
    if store.read_card(entry.folder) != card:
        raise ModelError(
            f"{entry.spec} is in the {entry.origin.value} store already, with another card or "
            "other weights: give the new one another version (--version, or in its card)"
        )
    return entry.origin


def _add_one(source: Path, added: Added, stores: Stores, by: ChangeAuthor) -> None:
    """What is to stay active is written down before a newer version can be seen beside it."""
    name, version = added.card.name, added.card.version
    catalogue = stores.catalogue()
    before = catalogue.active_version(name)
    why = Grounds(added.renumbered) if added.there is None else NO_GROUNDS
    if added.active != version and (catalogue.versions(name) or added.active is None):
        _record(stores.own, name, "keep", before, before, by, why, always=bool(why.reason))
    if added.there != ModelOrigin.PACKAGED:
        _place(source, added.card, stores.own, added.signed)
    if added.active == version:
        _record(stores.own, name, "activate", before, version, by, why)


def _place(source: Path, card: ModelCard, own: Path, signed: Signed | None) -> None:
    """Bring weights and folder into the own store; damaged weights are replaced."""
    target = own / card.name / card.version
    inside = target / store.WEIGHTS
    weights = inside if inside.exists() else store.blob(own, card.weights_sha256)
    if not _holds(weights, card.weights_sha256):
        write_whole(weights, store.weights_file(source, card.weights_sha256).read_bytes())
    came = {name: (source / name).read_bytes() for name in (store.CARD, store.SPLIT)}
    if target.exists():
        if signed is not None:
            _keep_signature(target, came, signed)
        return
    files = dict(came)
    if store.read_card(source) != card:  # it got another version
        files[store.CARD] = store.card_bytes(card)
    if signed is not None:
        files |= _proof(signed, came[store.CARD], files[store.CARD])
    hidden = own / f".{uuid.uuid4().hex}.part"
    hidden.mkdir()
    try:
        for name, content in files.items():
            write_whole(hidden / name, content)
        target.parent.mkdir(exist_ok=True)
        hidden.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _proof(signed: Signed, came: bytes, kept: bytes) -> dict[str, bytes]:
    """The files that prove later whose a model is: the signed card too, where another is kept."""
    original = {} if came == kept else {SIGNED_CARD: came}
    return {**original, signature.FILE: signed.content}


def _keep_signature(target: Path, came: dict[str, bytes], signed: Signed) -> None:
    """Keep the signature of a model that is there already, in place of an earlier one."""
    if (target / store.SPLIT).read_bytes() != came[store.SPLIT]:
        raise SignatureError(
            SignatureProblem.FILES,
            f"{target} is this model with another {store.SPLIT} than the one that is signed: "
            "remove that version, then add this one",
        )
    files = _proof(signed, came[store.CARD], (target / store.CARD).read_bytes())
    for name, content in files.items():
        write_whole(target / name, content)
    if SIGNED_CARD not in files:
        (target / SIGNED_CARD).unlink(missing_ok=True)


def _holds(file: Path, sha256: str) -> bool:
    """Whether a file exists with the content of that checksum."""
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == sha256


def _refuse_twins(cards: Sequence[ModelCard]) -> None:
    seen = [(card.name, card.version) for card in cards]
    for name, version in seen:
        if seen.count((name, version)) > 1:
            raise ModelError(f"{name}@{version} occurs twice in what is to be added")
