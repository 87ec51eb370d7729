"""How models score data, as the node reads it: several at once on the same cases.

Women whom any of the models has seen in training or validation are left out.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any, Final

import numpy as np

from cadnode.domain import Acquisition, System
from cadnode.errors import DataError, ModelError, SettingsError
from cadnode.models import loading, store
from cadnode.models.card import (
    CnnCard,
    DibMgCard,
    FeatureCard,
    ModelCard,
    OnnxRegionCard,
    OnnxViewCard,
    RegionCard,
)
from cadnode.models.ensemble import operating_point
from cadnode.models.feature import FeatureModel
from cadnode.models.roi import RoiModel
from cadnode.statistics.auc import Floats
from cadnode_training.data.facts import decade
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.regions import is_source
from cadnode_training.data.sets import phantom_rois
from cadnode_training.data.sources import open_source
from cadnode_training.data.views import ViewRecord, ViewSet
from cadnode_training.papers.kim2018 import served
from cadnode_training.papers.kim2018.breasts import BreastScored, by_breast, compared, contrast_of
from cadnode_training.papers.roi_cnn import evaluate as rois_evaluate
from cadnode_training.papers.roi_cnn import measure as rois_measure
from cadnode_training.papers.roi_cnn import real_evaluate as real_rois
from cadnode_training.papers.wang2016 import data as feature_data
from cadnode_training.papers.wang2016 import measure as features_measure
from cadnode_training.papers.wang2016 import reading as features_reading
from cadnode_training.papers.wang2016 import regions as feature_regions
from cadnode_training.results.scored import CHOICES, Cutoff, Scored, Scorer, cutoffs, key, scored

Head = tuple[str, str, str]
"""Name of the data, contrast, unit."""
CaseRow = tuple[str, str, bool, Mapping[str, str]]
"""Keys of the case and of the woman, label, facts."""

_OF_ONE_HALF: Final = Cutoff("youden", 0.5, "one half: nothing was chosen")


def score(folders: Sequence[Path], data: str, cache: ReadCache | None = None) -> Scored:
    """Cases of `KIND:PATH` (or `phantom:N`) with a score of each model of `folders`.

    Parameters
    ----------
    folders
        Folders with `card.json`, all of one kind: of views, ROIs or features.
    data
        As `cadnode evaluate` of that kind of model takes it.
    cache
        What this command has read already; it is added to.

    Raises
    ------
    DataError, ModelError, SettingsError
        Models of different kinds, or that read other data; no woman is left whom no model has seen.
    """
    cards = [store.read_card(folder) for folder in folders]
    reads = {reads_of(card) for card in cards}
    if len(reads) > 1:
        raise SettingsError("only models of one kind can be compared: views, ROIs or features")
    readers: Mapping[type, Callable[[Sequence[Path], str, ReadCache | None], Scored]] = {
        DibMgCard: of_views,
        OnnxViewCard: of_views,
        CnnCard: of_rois,
        OnnxRegionCard: of_rois,
        FeatureCard: of_features,
    }
    reader = readers.get(type(cards[0]))
    if reader is None:
        raise SettingsError(f"{cards[0].name} gives no score of cases: see `evaluate detection`")
    return reader(folders, data, cache)


def reads_of(card: ModelCard) -> str:
    """What a model reads: `views` and `regions` whichever maker it has, else its kind."""
    if isinstance(card, DibMgCard | OnnxViewCard):
        return "views"
    return "regions" if isinstance(card, CnnCard | OnnxRegionCard) else card.kind


def with_rivals(folders: Sequence[Path], data: str, cache: ReadCache | None = None) -> Scored:
    """As `score`, with what the papers set beside: the CNNs' mean; SVM, KNN and LDA."""
    cards = {type(store.read_card(folder)) for folder in folders}
    if all(issubclass(c, CnnCard | OnnxRegionCard) for c in cards):
        return of_rois(folders, data, cache, together=True)
    if cards == {FeatureCard}:
        return of_features(folders, data, cache, beside=True)
    return score(folders, data, cache)


def system_of(card: ModelCard) -> System:
    """The system whose paper's tables fit a card.

    Raises
    ------
    SettingsError
        There is none.
    """
    if card.system is None:
        raise SettingsError(f"{card.name} belongs to no paper's system")
    return card.system


def of_views(folders: Sequence[Path], data: str, cache: ReadCache | None = None) -> Scored:
    """Breasts of the data's contrast (`kim2018.breasts.contrast_of`), scored by view models."""
    source = open_source(data, only_test=True)
    unseen = _unseen_views(source, folders)
    records = [unseen[i] for i in compared(unseen, source.acquisition)]
    if not records:
        raise DataError(
            f"no contrast among the women left: {contrast_of(unseen, source.acquisition)}"
        )
    read: list[dict[Path, tuple[ViewRecord, float]]] = []
    models = [loading.load_view_model(folder) for folder in folders]
    for model, folder in zip(models, folders, strict=True):
        found, _ = served.scores_of_unseen(model, folder, records, cache)
        read.append({record.path: (record, value) for record, value in found})
    common = [r for r in records if all(r.path in one for one in read)]
    if not common:
        raise DataError("no view of this folder could be scored")
    picked = [common[i] for i in compared(common, source.acquisition)]
    columns, breasts = {}, []
    for model, one in zip(models, read, strict=True):
        logits = [one[r.path][1] for r in picked]
        breasts = by_breast(picked, logits, model.card.breast)
        columns[_spec(model.card)] = [b.score for b in breasts]
    facts = _breast_facts(breasts, source.acquisition)
    rows = [
        (key(source.name, b.woman, b.laterality), key(source.name, b.woman), b.cancer, fact)
        for b, fact in zip(breasts, facts, strict=True)
    ]
    head = (source.name, contrast_of(common, source.acquisition), "breasts")
    return scored(head, [_scorer(m.card, m.sha256) for m in models], columns, rows)


def of_rois(
    folders: Sequence[Path],
    data: str,
    cache: ReadCache | None = None,
    *,
    together: bool = False,
) -> Scored:
    """ROIs scored by CNNs; `together` adds their mean (Kang 2021).

    Of a phantom those of its test part, of `KIND:PATH` those of women whom no model has seen.

    The mean's cut-offs are those of its own curve, as the node takes them (`models.ensemble`).
    """
    models = []
    for folder in folders:
        model = loading.load(folder)
        if not isinstance(model, RoiModel):
            raise ModelError(f"{model.card.name} reads no regions of interest")
        models.append(model)
    head, rows, each = (
        _real_rois(models, folders, data, cache)
        if is_source(data)
        else _phantom_rois(models, data, cache)
    )
    scorers = [_scorer(m.card, m.sha256) for m in models]
    columns = {s.spec: each[:, i] for i, s in enumerate(scorers)}
    if together and len(models) > 1:
        scorers.append(_mean_of([m.card for m in models]))
        columns[scorers[-1].spec] = each.mean(1)
    return scored(head, scorers, columns, rows)


def _phantom_rois(
    models: Sequence[RoiModel], data: str, cache: ReadCache | None
) -> tuple[Head, list[CaseRow], Floats]:
    source = phantom_rois.parse(data, only_test=True)
    reads = rois_evaluate.read_rois(models, source, cache)
    rows: list[CaseRow] = [
        (
            key(source.name, r.record.key, n), key(source.name, r.record.key), r.record.malignant,
            {name: getattr(r.record, name) for name in ("acquisition", "type", "distribution")},
        )
        for n, r in enumerate(reads)
    ]  # fmt: skip
    head = (f"{source.name}, test part", rois_measure.CONTRAST, "ROIs")
    return head, rows, np.stack([r.probabilities for r in reads])


def _real_rois(
    models: Sequence[RoiModel], folders: Sequence[Path], data: str, cache: ReadCache | None
) -> tuple[Head, list[CaseRow], Floats]:
    reads = real_rois.read(models, folders, data, cache)
    name = reads.regions.name
    if not reads.records:
        raise DataError(f"{name}: no ROI of women whom no model has seen could be read")
    rows: list[CaseRow] = [
        (key(name, r.key, n), r.key, r.malignant, facts)
        for n, (r, facts) in enumerate(zip(reads.records, reads.facts, strict=True))
    ]
    return (name, reads.regions.contrast, real_rois.UNIT), rows, reads.probabilities


def of_features(
    folders: Sequence[Path],
    data: str,
    cache: ReadCache | None = None,
    *,
    beside: bool = False,
) -> Scored:
    """Regions scored by autoencoders of one scenario; `beside` adds each card's SVM, KNN and LDA.

    On `KIND:PATH` only women whom no model has seen, on `phantom:…` the test part.
    """
    models = [features_reading.model_of(folder) for folder in folders]
    scenarios = {model.card.scenario for model in models}
    if len(scenarios) > 1:
        raise SettingsError(f"models of different scenarios: {', '.join(sorted(scenarios))}")
    scenario = scenarios.pop()
    contrast, facts = features_measure.CONTRAST, None
    if feature_data.is_real(data):
        seen = reduce(frozenset.union, (store.seen_women(folder) for folder in folders))
        found, _ = feature_regions.measure(data, cache=cache).of(scenario).unseen(seen)
        table, contrast, facts = found.table, found.regions.contrast, found.facts
    else:
        table = feature_data.part_table(data, scenario, "test")
    if not len(table):
        raise DataError(f"{table.name}: no region of {scenario} of women whom no model has seen")
    scorers, columns = _of_table(models, table, beside=beside)
    rows = [
        (key(table.name, woman, n), woman if facts else key(table.name, woman), label,
         facts[n] if facts else {})
        for n, (woman, label) in enumerate(zip(table.women, table.malignant, strict=True))
    ]  # fmt: skip
    return scored((table.name, contrast, "regions"), scorers, columns, rows)


def _of_table(
    models: Sequence[FeatureModel], table: Any, *, beside: bool
) -> tuple[list[Scorer], dict[str, Floats]]:
    """Scorers and their columns: each model's autoencoder, then its other classifiers."""
    scorers, columns = [], {}
    for model in models:
        by_classifier = features_reading.read(model, table)
        own = _scorer(model.card, model.sha256)
        scorers.append(own)
        columns[own.spec] = by_classifier["sae"]
        for name in (n for n in by_classifier if beside and n != "sae"):
            other = Scorer(
                f"{own.name}-{name}", own.version, own.sha256, (_OF_ONE_HALF,), calibrated=True
            )
            scorers.append(other)
            columns[other.spec] = by_classifier[name]
    return scorers, columns


def _unseen_views(source: ViewSet, folders: Sequence[Path]) -> list[ViewRecord]:
    """Views of the women whom no model has seen, of the acquisition that all of them read.

    A woman of a fold was not seen by the network of her fold, which alone reads her.
    """
    cards = [store.read_card(folder) for folder in folders]
    unfit = [c.name for c in cards if source.acquisition not in c.applies_to]
    if unfit:
        raise SettingsError(f"{', '.join(unfit)} does not read {source.acquisition.value} views")
    seen = reduce(frozenset.union, (store.seen_by_all(folder) for folder in folders))
    kept = [r for r in source.records if store.woman_key(r.dataset, r.woman) not in seen]
    if not kept:
        raise DataError("the models have seen every woman of this folder")
    return kept


def _breast_facts(
    breasts: Sequence[BreastScored], acquisition: Acquisition
) -> list[dict[str, str]]:
    """Facts of each breast. On film, a pair has the malignant breast's lesion and subtlety."""
    of_cancer = {b.woman: b for b in breasts if b.cancer}
    found = []
    for b in breasts:
        lesion = of_cancer.get(b.woman, b) if acquisition == Acquisition.FILM else b
        fact = b.first.fact
        found.append(
            {
                "machine": fact("machine_id"),
                "site": fact("site_id"),
                "digitizer": fact("digitizer"),
                "density": fact("density"),
                "age": decade(fact("age")),
                "lesion": lesion.first.fact("lesion"),
                "subtlety": lesion.first.fact("subtlety"),
            }
        )
    return found


def _scorer(card: ModelCard, sha256: str) -> Scorer:
    return Scorer(card.name, card.version, sha256, cutoffs(card.curve), calibrated=True)


def _mean_of(members: Sequence[RegionCard]) -> Scorer:
    """The ensemble of networks; its members have rows of their own."""
    points = {choice: operating_point(members, choice) for choice in CHOICES}
    chosen = tuple(Cutoff(choice, p.threshold, p.chosen) for choice, p in points.items())
    return Scorer("ensemble", cutoffs=chosen, calibrated=True)


def _spec(card: ModelCard) -> str:
    return f"{card.name}@{card.version}"
