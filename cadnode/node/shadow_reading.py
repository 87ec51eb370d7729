"""Which models read in shadow mode, what they read again, and the content of `shadow.json`.

Only what differs from the active reading is computed:

- Other view models: whole views are scored again. Regions are not looked for: they do not take
  part in the scores of exams and breasts.
- Other models of regions: the regions are those of the active reading, which models of regions
  cannot change.
- Another detector, or models of views and of regions: everything is read again.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cadnode.domain import Acquisition, ExamResult, ModelUse, System, in_order
from cadnode.exam.exam import Exam
from cadnode.models import store
from cadnode.models.card import (
    DetectorCard,
    FeatureCard,
    MassFinderCard,
    ModelCard,
    RegionCard,
    ViewCard,
)
from cadnode.models.loading import load
from cadnode.node.outputs import model_folders
from cadnode.node.readers import choices_of, engine_of, readers_of
from cadnode.reading import Readers, read_exam, reread_exam
from cadnode.registry import shadow_log
from cadnode.registry.shadow_log import ShadowStatus
from cadnode.registry.shadow_set import ShadowSet
from cadnode.settings import ReadingSection, Settings


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
        changed = {c.system for c in self.shadows}
        if self.detects:
            cards = self.cards.values()
            changed |= {c.system for c in cards if isinstance(c, RegionCard | FeatureCard)}
        return in_order(changed)

    @property
    def detects(self) -> bool:
        """Whether a shadow detects regions."""
        return any(isinstance(c, DetectorCard | MassFinderCard) for c in self.shadows)

    @property
    def reads_views(self) -> bool:
        """Whether a shadow reads whole views."""
        return any(isinstance(c, ViewCard) for c in self.shadows)

    @property
    def reads_regions(self) -> bool:
        """Whether a shadow reads regions or their features."""
        return any(isinstance(c, RegionCard | FeatureCard) for c in self.shadows)

    def used_on(self, exam: Exam) -> tuple[ModelUse, ...]:
        """The shadows that read such images as the exam has."""
        kinds = {m.acquisition for m in exam.mammograms}
        return tuple(
            ModelUse(c.name, c.version, c.weights_sha256) for c in self.shadows if _reads(c, kinds)
        )

    def needed_on(self, exam: Exam) -> list[Path]:
        """Folders of the models that are asked again where regions are not looked for again.

        Of the view models those that are the first to apply to a view (`verdict.model_for`); of
        the others all of the systems whose scores may differ: an ensemble has one mean.
        """
        views = {f: c for f, c in self.cards.items() if isinstance(c, ViewCard)}
        first = {
            next((f for f, c in views.items() if m.acquisition in c.applies_to), None)
            for m in exam.mammograms
            if self.reads_views
        }
        return [
            folder
            for folder, card in self.cards.items()
            if (folder in first if folder in views else card.system in self.systems)
        ]


def lineup(values: Settings, chosen: ShadowSet) -> Lineup:
    """The models of a node's reading in shadow mode: the shadows first, then the active ones.

    Raises
    ------
    ModelError
        A card cannot be read, or an active version is missing.
    """
    cards = {entry.folder: store.read_card(entry.folder) for entry in chosen.entries}
    names = frozenset(card.name for card in cards.values())
    for folder in model_folders(values):
        card = store.read_card(folder)
        if card.name not in names:
            cards[folder] = card
    return Lineup(cards, names)


def read(exam: Exam, active: ExamResult, chosen: ShadowSet, values: Settings) -> dict[str, Any]:
    """Content of `shadow.json` of an exam, given the result of the active models.

    Raises
    ------
    ModelError
        A model that is needed is damaged or missing.
    """
    started = time.monotonic()
    models = lineup(values, chosen)
    used = models.used_on(exam)
    if not used:
        return shadow_log.without_reading(
            ShadowStatus.UNAFFECTED, chosen.specs, missing=chosen.missing
        )
    models = replace(models, names=frozenset(model.name for model in used))  # those that apply
    result = _result(exam, active, models, values.reading)
    seconds = time.monotonic() - started
    return shadow_log.document(
        active,
        result,
        used,
        models.systems,
        wanted=chosen.specs,
        missing=chosen.missing,
        seconds=seconds,
    )


def _result(exam: Exam, active: ExamResult, models: Lineup, reading: ReadingSection) -> ExamResult:
    choices = choices_of(reading)
    if models.detects or (models.reads_views and models.reads_regions):
        return read_exam(exam, _readers(models.cards, reading), choices=choices)
    readers = _readers(models.needed_on(exam), reading)
    return reread_exam(exam, active, readers, only=models.systems, choices=choices)


def _readers(folders: Iterable[Path], reading: ReadingSection) -> Readers:
    """Choice: on the CPU, also beside a GPU, because the GPU's memory is the active models'."""
    return readers_of(
        [
            load(f, operating_point=reading.operating_point, engine=engine_of(reading))
            for f in folders
        ]
    )


def _reads(card: ModelCard, kinds: set[Acquisition]) -> bool:
    of_all = isinstance(card, DetectorCard | MassFinderCard)
    return bool(kinds) and (of_all or bool(kinds & set(card.applies_to)))
