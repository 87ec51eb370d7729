"""The node's models: what `cadnode models` does, with the settings' stores."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cadnode.audit.actors import user_name
from cadnode.detect.features import FEATURE_NAMES
from cadnode.detect.hotspots import STATISTICS
from cadnode.domain import SystemStatus
from cadnode.errors import CadnodeError, ModelError
from cadnode.models import examination, store
from cadnode.models.card import DetectorCard, FeatureCard, ModelCard
from cadnode.models.systems import system_statuses
from cadnode.registry.catalogue import Catalogue, Entry, ModelOrigin, lost
from cadnode.registry.history import Change, ChangeAuthor
from cadnode.registry.installation import Stores
from cadnode.registry.trust import NOT_SIGNED, Signed
from cadnode.settings import Settings


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One version of a model as `cadnode models list` shows it.

    `size` is the weights' in bytes; 0 when they are missing. `card` is None, and `problem` states
    why, when it cannot be read. `signed` is None also where a signature does not hold.
    """

    entry: Entry
    card: ModelCard | None
    active: bool
    size: int
    problem: str = ""
    signed: Signed | None = None

    @property
    def whose(self) -> str:
        """Who vouches for it, for people."""
        if self.signed is not None:
            return self.signed.words
        return "packaged with cadnode" if self.entry.origin is ModelOrigin.PACKAGED else NOT_SIGNED


@dataclass(frozen=True, slots=True)
class Overview:
    """All models, and what their active ones make up."""

    rows: tuple[ModelRow, ...]
    systems: tuple[SystemStatus, ...]


@dataclass(frozen=True, slots=True)
class Verified:
    """What `verify` found of one model; an empty `problem` is none."""

    entry: Entry
    active: bool
    problem: str


def own_store(values: Settings) -> Path:
    """Folder of the node's own models, which need not exist."""
    return values.storage.folder / "models"


def stores(values: Settings) -> Stores:
    """The node's own store and the packaged one."""
    return Stores(own_store(values), signed_only=values.models.require_signature)


def actor(at: datetime) -> ChangeAuthor:
    """The user who runs this process, for the history."""
    return ChangeAuthor(user_name(), at)


def examine(folder: Path) -> ModelCard:
    """As `examination.examine`; it asks only for numbers that this version measures.

    Raises
    ------
    ModelError
        The model does not work in this node.
    """
    card = examination.examine(folder)
    if isinstance(card, FeatureCard):
        unknown = [name for name in card.features if name not in FEATURE_NAMES[card.scenario]]
        if unknown:
            raise ModelError(
                f"{card.name} {card.version} in {folder} asks for {', '.join(unknown)}, which this "
                f"version of cadnode does not measure in the scenario {card.scenario}"
            )
    if isinstance(card, DetectorCard) and card.architecture.statistics != len(STATISTICS):
        raise ModelError(
            f"{card.name} {card.version} in {folder} asks for {card.architecture.statistics} "
            f"numbers about a candidate, and this version of cadnode measures {len(STATISTICS)}"
        )
    return card


def overview(values: Settings) -> Overview:
    """Every model, also damaged ones, and which systems are active.

    Raises
    ------
    ModelError
        The own store's `active.json` is damaged.
    """
    catalogue = stores(values).catalogue()
    rows = [_row(entry, catalogue, True) for entry in of_settings(values)]
    rows += [_row(entry, catalogue, catalogue.is_active(entry)) for entry in catalogue.entries]
    active = [row.card for row in rows if row.active and row.card]
    off = {name for name in catalogue.names if catalogue.active_version(name) is None}
    inactive = [row.card for row in rows if row.card and row.entry.name in off]
    return Overview(tuple(rows), system_statuses(active, inactive))


def show(values: Settings, name: str, version: str | None) -> tuple[ModelRow, tuple[Change, ...]]:
    """A model (without a version: the active, or else the newest one) and its name's history.

    Raises
    ------
    SettingsError
        There is no such model.
    ModelError
        Its card cannot be read.
    """
    catalogue = stores(values).catalogue()
    named = [entry for entry in of_settings(values) if entry.name == name]
    named = [entry for entry in named if version in {None, entry.version}]
    entry = named[0] if named else catalogue.find(name, version)
    row = _row(entry, catalogue, bool(named) or catalogue.is_active(entry))
    if row.card is None:
        raise ModelError(row.problem)
    return row, tuple(c for c in catalogue.activation.history if c.name == name)


def changes(values: Settings, name: str | None = None) -> tuple[Change, ...]:
    """The history of a name, or of all, oldest first.

    Raises
    ------
    SettingsError
        There is no such model, and never was.
    ModelError
        The own store's `active.json` is damaged.
    """
    catalogue = stores(values).catalogue()
    found = tuple(c for c in catalogue.activation.history if name in {None, c.name})
    if name is not None and not found:
        catalogue.find(name)
    return found


def verify(values: Settings, name: str | None = None) -> Iterator[Verified]:
    """Every model, or those of a name, examined again: checksum, shapes, a dry run.

    Raises
    ------
    SettingsError
        There is no model of that name.
    ModelError
        The own store's `active.json` is damaged.
    """
    catalogue = stores(values).catalogue()
    named = of_settings(values)
    if name is not None and name not in {entry.name for entry in named}:
        catalogue.find(name)
    listed = [(entry, True) for entry in named]
    listed += [(entry, catalogue.is_active(entry)) for entry in catalogue.entries]
    for entry, active in listed:
        if name in {None, entry.name}:
            yield Verified(entry, active, _problem(entry, catalogue))
    yield from (gone for gone in _lost(catalogue) if name in {None, gone.entry.name})


def _problem(entry: Entry, catalogue: Catalogue) -> str:
    try:
        catalogue.approve(entry)
        return _misplaced(entry, examine(entry.folder))
    except CadnodeError as error:
        return str(error)


def _misplaced(entry: Entry, card: ModelCard) -> str:
    if (card.name, card.version) == (entry.name, entry.version):
        return ""
    return f"{entry.folder} holds {card.name} {card.version}: the folder's name is not the card's"


def _lost(catalogue: Catalogue) -> Iterator[Verified]:
    """Active versions that are missing, of models that have others."""
    for name in catalogue.names:
        version = catalogue.active_version(name)
        if version is not None and version not in catalogue.versions(name):
            entry = Entry(name, version, Path(), ModelOrigin.OWN)
            yield Verified(entry, True, lost(name, version))


def of_settings(values: Settings) -> list[Entry]:
    """The folders that `reading.model_folders` names: always active."""
    return [_entry_of(folder) for folder in values.reading.model_folders]


def _entry_of(folder: Path) -> Entry:
    try:
        card = store.read_card(folder)
    except ModelError:
        return Entry(folder.name, "", folder, ModelOrigin.SETTINGS)
    return Entry(card.name, card.version, folder, ModelOrigin.SETTINGS)


def _row(entry: Entry, catalogue: Catalogue, active: bool) -> ModelRow:
    try:
        card = store.read_card(entry.folder)
    except ModelError as error:
        return ModelRow(entry, None, active, 0, str(error))
    try:
        size = store.weights_file(entry.folder, card.weights_sha256).stat().st_size
    except ModelError as error:
        return ModelRow(entry, card, active, 0, str(error))
    try:
        signed = catalogue.approve(entry)
    except ModelError as error:
        return ModelRow(entry, card, active, size, str(error))
    return ModelRow(entry, card, active, size, _misplaced(entry, card), signed)
