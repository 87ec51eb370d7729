"""How models and `KIND:PATH` become the page: scores, facts of cases, curves, pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from cadnode.domain import System
from cadnode.errors import ModelError
from cadnode.models import loading, store
from cadnode.models.card import FeatureCard, ModelCard, RegionCard, Scenario, ViewCard
from cadnode.models.roi import RoiModel
from cadnode.statistics.auc import Floats
from cadnode_training.data import sources
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.regions import is_source, open_regions
from cadnode_training.papers.wang2016 import data as feature_data
from cadnode_training.papers.wang2016 import fitting, measure, regions
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe
from cadnode_training.papers.wang2016.rivals import fewest_women
from cadnode_training.papers.wang2016.table import FeatureTable
from cadnode_training.results import detection_page, manifest_facts, pictures, reading, report
from cadnode_training.results.report import Extras
from cadnode_training.results.scored import Cutoff, Scored, Scorer, key, scored
from cadnode_training.results.tables import Table

CROSSED: Final = "Retrained: ten-fold cross-validation by woman"
_MAP: Final = (
    "Red is where the network found what raised its score; a map does not outline a lesion."
)
_FRAME: Final = " The white frame is the lesion as the data has it."
_SEGMENTED: Final = "Yellow is what was segmented: the features are measured of it."
_ONE_HALF: Final = Cutoff("youden", 0.5, "one half: nothing was chosen")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What was written: the scored cases and the page's tables."""

    cases: Scored
    tables: list[Table]


def from_models(
    file: Path,
    folders: Sequence[Path],
    data: str,
    *,
    relearn: bool = False,
    cache: ReadCache | None = None,
) -> Evaluated:
    """Evaluate models of one kind on `KIND:PATH` and write the page to `file`.

    Parameters
    ----------
    file
        The HTML file.
    folders
        Folders with `card.json`, all of views, of ROIs or of features.
    data
        As `cadnode evaluate` of that kind of model takes it.
    relearn
        Of features of real regions: also retrain all classifiers, in a cross-validation.
    cache
        What this command has read already; it is added to.

    Raises
    ------
    DataError, ModelError, SettingsError
        As `reading.score`; or a class has no case.
    """
    card = store.read_card(folders[0])
    system = reading.system_of(card)
    cases = manifest_facts.enriched(reading.with_rivals(folders, data, cache), data)
    scenario = card.scenario if isinstance(card, FeatureCard) else None
    made = _extras(card, folders, data, cases, relearn=relearn, cache=cache)
    return Evaluated(cases, report.write(file, cases, system, scenario=scenario, extras=made))


def from_evaluation(
    file: Path,
    system: System,
    data: str,
    model: Path | None = None,
    cache: ReadCache | None = None,
) -> Evaluated:
    """The page that goes with `cadnode evaluate SYSTEM --data DATA [--model DIR]`.

    Without `model` it is of the packaged models that this data is for; classifiers of real
    regions are then retrained as well, as that command does.

    Raises
    ------
    DataError, ModelError, SettingsError
        As `from_models`; or no packaged model reads such data.
    """
    folders = [model] if model else packaged(system, data)
    return from_models(file, folders, data, relearn=model is None, cache=cache)


def of_command(
    file: Path,
    name: str,
    data: str,
    model: Path | None = None,
    cache: ReadCache | None = None,
) -> None:
    """Write the page of `cadnode evaluate NAME`, a system's name or `detection`; see above.

    Raises
    ------
    DataError, ModelError, SettingsError
        As `from_evaluation`, or `detection_page.write`.
    """
    if name == "detection":
        detection_page.write(file, data, model, cache)
    else:
        from_evaluation(file, System(name), data, model, cache)


def packaged(system: System, data: str) -> list[Path]:
    """Folders of the packaged models of a system that read such data.

    Raises
    ------
    ModelError
        There is none.
    """
    cards = [(folder, store.read_card(folder)) for folder in store.available()]
    of_it = [(folder, card) for folder, card in cards if card.system == system]
    if system is System.KIM2018:
        acquisition = sources.open_source(data, only_test=True).acquisition
        found = [folder for folder, card in of_it if acquisition in card.applies_to][:1]
    elif system is System.WANG2016:
        wanted = _scenario(data)
        found = [f for f, c in of_it if isinstance(c, FeatureCard) and c.scenario == wanted][:1]
    else:
        found = [folder for folder, _ in of_it]
    if not found:
        raise ModelError(f"no packaged model of {system.value} reads {data.partition(':')[0]}")
    return found


def _scenario(data: str) -> Scenario:
    """The scenario that data allow: both where they hold calcifications and masses, else the kind.

    A phantom has all three; its first is taken, as by `cadnode evaluate`.
    """
    if not is_source(data):
        return "calcifications"
    there = {name: open_regions(data, name).items for name in feature_data.SCENARIOS}
    if there["calcifications"] and there["masses"]:
        return "both"
    return "masses" if there["masses"] else "calcifications"


def _extras(
    card: ModelCard,
    folders: Sequence[Path],
    data: str,
    cases: Scored,
    *,
    relearn: bool,
    cache: ReadCache | None,
) -> Extras:
    first = cases.scorers[0].spec
    if isinstance(card, ViewCard):
        return Extras(gallery=pictures.of_views(folders[0], data, cases, first), legend=_MAP)
    if isinstance(card, RegionCard):
        return _of_rois(folders, data, cases)
    assert isinstance(card, FeatureCard)  # `with_rivals` takes no other
    if not feature_data.is_real(data):
        table = feature_data.part_table(data, card.scenario, "test")
        shown = pictures.of_phantom_regions(data, card.scenario, cases, first)
        return Extras(features=_columns(table), gallery=shown, legend=_SEGMENTED)
    whole = regions.measure(data, cache=cache).of(card.scenario)
    unseen, _ = whole.unseen(_seen(folders))
    crossed = relearn and feature_data.is_masses(data)
    return Extras(
        features=_columns(unseen.table),
        gallery=pictures.of_real_regions(unseen.regions.items, cases, first),
        legend=_SEGMENTED,
        beside=_crossed(whole.table, card.scenario) if crossed else {},
    )


def _of_rois(folders: Sequence[Path], data: str, cases: Scored) -> Extras:
    """Pictures with the networks' mean map, sorted by their mean score where there are several."""
    models = [m for folder in folders if isinstance(m := loading.load(folder), RoiModel)]
    spec = cases.scorers[-1].spec
    if not is_source(data):
        shown = pictures.of_phantom_rois(models, data, cases, spec)
        return Extras(gallery=shown, legend=_MAP + _FRAME)
    found, _ = open_regions(data, "calcifications").unseen(_seen(folders))
    shown = pictures.of_real_rois(models, found, cases, spec)
    return Extras(gallery=shown, legend=_MAP + _FRAME)


def _columns(table: FeatureTable) -> dict[str, Floats]:
    return {name: table.values[:, i] for i, name in enumerate(table.features)}


def _seen(folders: Sequence[Path]) -> frozenset[str]:
    return frozenset[str]().union(*(store.seen_women(folder) for folder in folders))


def _crossed(table: FeatureTable, scenario: Scenario) -> dict[str, Scored]:
    """All classifiers, retrained on real regions as in the paper; none with too few women."""
    if fewest_women(table.malignant, table.women) < fitting.FOLDS:
        return {}
    probabilities, _ = fitting.cross_validated(scenario, table, recipe=AutoencoderRecipe())
    scorers = [
        Scorer(measure.NAMES[name], cutoffs=(_ONE_HALF,), calibrated=True) for name in probabilities
    ]
    named = {measure.NAMES[name]: np.asarray(p, np.float64) for name, p in probabilities.items()}
    rows: list[tuple[str, str, bool, dict[str, str]]] = [
        (key(table.name, woman, n), key(table.name, woman), bool(label), {})
        for n, (woman, label) in enumerate(zip(table.women, table.malignant, strict=True))
    ]
    head = (
        table.name,
        f"{measure.CONTRAST}, trained without the woman that is scored",
        "regions",
    )
    return {CROSSED: scored(head, scorers, named, rows)}
