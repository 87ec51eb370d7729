"""A version leaves the node's own store, with the weights that no other one shares."""

import shutil
import uuid
from collections.abc import Collection
from pathlib import Path

from cadnode.errors import ModelError, SettingsError
from cadnode.files import sync_folder
from cadnode.models import store
from cadnode.registry import history
from cadnode.registry.catalogue import Catalogue, Entry, ModelOrigin, parse
from cadnode.registry.history import NO_GROUNDS, ChangeAuthor, Grounds
from cadnode.registry.installation import Stores


def remove(
    stores: Stores,
    spec: str,
    by: ChangeAuthor,
    shadows: Collection[tuple[str, str]] = (),
    why: Grounds = NO_GROUNDS,
    *,
    dry_run: bool = False,
) -> int:
    """Bytes that removing `NAME@VERSION` gives back; with `dry_run` nothing is removed.

    `shadows` are (name, version) of what reads in shadow mode.

    Raises
    ------
    SettingsError
        There is no such version, or it is packaged, active or a shadow.
    """
    name, version = parse(spec)
    if version is None:
        raise SettingsError(f"remove wants NAME@VERSION, not {spec!r}: one version at a time")
    if dry_run:
        return _size(stores.own, _removable(stores.catalogue(), name, version, shadows))
    with history.changing(stores.own):
        entry = _removable(stores.catalogue(), name, version, shadows)
        size = _size(stores.own, entry)
        _take_away(stores.own, entry)
        content = history.read(stores.own).noted(name, "remove", version, None, by, why)
        history.write(stores.own, content)
    return size


def _removable(
    catalogue: Catalogue, name: str, version: str, shadows: Collection[tuple[str, str]]
) -> Entry:
    """The entry, when nothing needs it."""
    entry = catalogue.find(name, version)
    if entry.origin is not ModelOrigin.OWN:
        raise SettingsError(f"{entry.spec} is packaged with cadnode: it can be switched off only")
    if catalogue.is_active(entry):
        raise SettingsError(
            f"{entry.spec} is active: activate another version or `cadnode models deactivate "
            f"{name}` first"
        )
    if (name, version) in {*shadows, *catalogue.activation.shadow.items()}:
        raise SettingsError(
            f"{entry.spec} reads in shadow mode: `cadnode models shadow stop {name}` first"
        )
    return entry


def _take_away(own: Path, entry: Entry) -> None:
    """The folder by one rename, then its files, then weights of its own: a crash leaves no half."""
    weights = _own_weights(own, entry)
    hidden = own / f".{uuid.uuid4().hex}.part"
    entry.folder.rename(hidden)
    sync_folder(entry.folder.parent)
    shutil.rmtree(hidden)
    if weights is not None:
        weights.unlink(missing_ok=True)
    if not any(entry.folder.parent.iterdir()):
        entry.folder.parent.rmdir()


def _size(own: Path, entry: Entry) -> int:
    files = [f for f in entry.folder.iterdir() if f.is_file()]
    weights = _own_weights(own, entry)
    if weights is not None:
        files.append(weights)
    return sum(f.stat().st_size for f in files)


def _own_weights(own: Path, entry: Entry) -> Path | None:
    """The blob that only this version refers to; None when there is none, or others need it."""
    sha256 = _sha256(entry.folder)
    if sha256 is None or not store.blob(own, sha256).is_file():
        return None
    others = (f for f in store.folders(own) if f != entry.folder)
    shas = [_sha256(f) for f in others]
    # A card that cannot be read might refer to any weights: they stay.
    return None if sha256 in shas or None in shas else store.blob(own, sha256)


def _sha256(folder: Path) -> str | None:
    try:
        return store.read_card(folder).weights_sha256
    except ModelError:
        return None
