"""The models of a reading in shadow mode: the shadows first, then the active ones."""

from dataclasses import dataclass
from pathlib import Path

from cadnode.domain import Acquisition, ModelUse, System
from cadnode.exam.exam import Exam
from cadnode.models import store
from cadnode.models.card import CnnCard, DetectorCard, DibMgCard, FeatureCard, ModelCard
from cadnode.node.model_overview import stores
from cadnode.registry.shadow_set import ShadowSet
from cadnode.settings import Settings

OF_REGIONS = (System.KANG2021, System.HELSINKI_DTL, System.WANG2016)


@dataclass(frozen=True, slots=True)
class Lineup:
    """Cards by their folders, in the order in which they are asked; `names` are the shadows'."""

    cards: dict[Path, ModelCard]
    names: frozenset[str]

    @property
    def shadows(self) -> tuple[ModelCard, ...]:
        """The shadows' cards."""
        return tuple(c for c in self.cards.values() if c.name in self.names)

    @property
    def systems(self) -> tuple[System, ...]:
        """The systems whose scores may differ; a detector's regions reach all that read regions."""
        changed = {c.system for c in self.shadows if c.system is not None}
        if self.detects:
            changed |= {c.system for c in self.cards.values() if c.system in OF_REGIONS}
        return tuple(s for s in System if s in changed)

    @property
    def detects(self) -> bool:
        """Whether a shadow detects regions."""
        return any(isinstance(c, DetectorCard) for c in self.shadows)

    @property
    def reads_views(self) -> bool:
        """Whether a shadow reads whole views."""
        return any(isinstance(c, DibMgCard) for c in self.shadows)

    @property
    def reads_regions(self) -> bool:
        """Whether a shadow reads regions or their features."""
        return any(isinstance(c, CnnCard | FeatureCard) for c in self.shadows)

    def folder(self, card: ModelCard) -> Path:
        """Where the model of a card is."""
        return next(folder for folder, c in self.cards.items() if c is card)

    def used_on(self, exam: Exam) -> tuple[ModelUse, ...]:
        """The shadows that read such images as the exam has."""
        kinds = {m.acquisition for m in exam.mammograms}
        return tuple(
            ModelUse(c.name, c.version, c.weights_sha256) for c in self.shadows if _reads(c, kinds)
        )


def lineup(values: Settings, chosen: ShadowSet) -> Lineup:
    """The models of a node's reading in shadow mode.

    Raises
    ------
    ModelError
        A card cannot be read, or an active version is missing.
    """
    cards = {entry.folder: store.read_card(entry.folder) for entry in chosen.entries}
    names = frozenset(card.name for card in cards.values())
    active = [entry.folder for entry in stores(values).catalogue().active()]
    for folder in (*values.reading.model_folders, *active):
        card = store.read_card(folder)
        if card.name not in names:
            cards[folder] = card
    return Lineup(cards, names)


def _reads(card: ModelCard, kinds: set[Acquisition]) -> bool:
    return bool(kinds) and (isinstance(card, DetectorCard) or bool(kinds & set(card.applies_to)))
