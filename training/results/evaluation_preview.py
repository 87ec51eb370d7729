"""What an evaluation or a comparison would read and write, before it does."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from time import perf_counter
from typing import Final

from rich.console import Console
from rich.table import Table

from cadnode.domain import System
from cadnode.errors import ModelError
from cadnode.models import loading, store
from cadnode.models.card import FeatureCard, ModelCard, RegionCard, Scenario, ViewCard
from cadnode_training.data import sources
from cadnode_training.data.regions import MeasuredContent, is_source, open_regions
from cadnode_training.data.sets import phantom_exams, phantom_rois, pisa_calcifications
from cadnode_training.data.views import ViewRecord
from cadnode_training.papers.detection import cases as detection_cases
from cadnode_training.papers.detection import evaluate as detection
from cadnode_training.papers.detection.masses import measure as masses
from cadnode_training.papers.kim2018 import served as views
from cadnode_training.papers.kim2018.breasts import compared
from cadnode_training.papers.roi_cnn import evaluate as rois
from cadnode_training.papers.wang2016 import data as feature_data
from cadnode_training.papers.wang2016 import evaluate as features
from cadnode_training.papers.wang2016 import phantom_regions
from cadnode_training.statistics import grouped

_TRIED: Final = 4  # views read to know how long all of them take
_ROWS: Final = ("images", "regions", "exams", "women")


@dataclass(frozen=True, slots=True)
class EvaluationMaterial:
    """What would be read of a source.

    Parameters
    ----------
    counts
        How many images, regions, exams and women, by those names; a name is missing where it is
        not known before images are opened or drawn.
    classes
        How many of `unit` each class has; {} where it is not known before.
    unit
        What is counted by class: breasts, regions or images.
    women_seen
        Women left out because a model learnt from them; None where such women are read.
    left_out
        Reasons and numbers of rows or images that are not of use.
    seconds
        How long the reading would take on this machine, from a trial; None where none was made.
    """

    counts: Mapping[str, int]
    classes: Mapping[str, int] = field(default_factory=dict)
    unit: str = "images"
    women_seen: int | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class EvaluationPreview:
    """What `evaluate --dry-run` and `compare --dry-run` report: models, data, files, the seed."""

    data: str
    models: tuple[str, ...]
    material: EvaluationMaterial
    writes: tuple[str, ...]
    seed: int

    def show(self, console: Console) -> None:
        """Print it."""
        of, table = self.material, Table(show_header=False)
        console.print(f"{self.data}: what would be read", highlight=False, soft_wrap=True)
        for name in _ROWS:
            if name in of.counts:
                table.add_row(name, f"{of.counts[name]:,}")
        for name, n in of.classes.items():
            table.add_row(f"{of.unit} {name}", f"{n:,}")
        if of.women_seen is not None:
            table.add_row("women left out, seen in training", f"{of.women_seen:,}")
        for reason, n in of.left_out.items():
            table.add_row(f"left out: {reason}", f"{n:,}")
        console.print(table)
        console.print(f"with {', '.join(self.models) or 'no learned model'}", highlight=False)
        console.print(f"Drawn with seed {self.seed}: bootstrap and folds.", highlight=False)
        console.print(_duration(of.seconds), highlight=False)
        files = ", ".join(self.writes) or "nothing: give --out, --json or --html"
        console.print(f"It would write: {files}", highlight=False, soft_wrap=True)
        console.print("Nothing was written (--dry-run).")


def preview(
    folders: Sequence[Path],
    data: str,
    writes: Sequence[Path],
    seed: int,
    *,
    split: str = "unseen",
    contrast_only: bool = False,
) -> EvaluationPreview:
    """What models would read of `KIND:PATH`; no image is written or drawn.

    Parameters
    ----------
    folders
        Folders with `card.json`, of one kind; none for a detection without a learned model.
    data
        As `cadnode evaluate` of that kind of model takes it.
    writes, seed
        Files that would be written; of bootstrap and folds.
    split
        Of views: `unseen` leaves out women whom a model has seen, `all` does not.
    contrast_only
        Of views: only those that a comparison needs.

    Raises
    ------
    DataError, ModelError, SettingsError
        What is there is not of that kind, or the models do not read it.
    """
    cards = [store.read_card(folder) for folder in folders]
    names = tuple(f"{card.name}@{card.version}" for card in cards)
    if cards and isinstance(cards[0], ViewCard):
        found = _views(folders, data, split=split, contrast_only=contrast_only)
    elif cards and isinstance(cards[0], RegionCard):
        found = _rois(folders, data)
    elif cards and isinstance(cards[0], FeatureCard):
        found = _features(folders, cards, data)
    else:
        found = _detection(folders, data)
    return EvaluationPreview(data, names, found, tuple(map(str, writes)), seed)


def packaged(command: str, data: str, scenario: str | None = None) -> list[Path]:
    """Folders of the models that `cadnode evaluate COMMAND` measures without `--model`.

    Raises
    ------
    DataError, ModelError, SettingsError
        The data are not of a known kind, no packaged model reads them, or there is no such
        scenario.
    """
    if command == "detection":
        used = (detection.packaged(), masses.packaged())
        return [folder for folder in used if folder is not None]
    if command == System.KIM2018.value:
        is_drawn = data.partition(":")[0] == phantom_exams.NAME
        spec = phantom_exams.SPEC.acquisition if is_drawn else None
        return [views.packaged(spec or sources.open_source(data, only_test=True).acquisition)]
    if command == System.WANG2016.value:
        every = feature_data.SCENARIOS
        wanted = every if scenario is None else (feature_data.scenario_of(scenario),)
        found = [folder for name in wanted if (folder := features.packaged(name)) is not None]
    else:
        found = rois.packaged(System(command))
    if not found:
        raise ModelError(f"no packaged model of {command} for this; give one with --model")
    return found


def _views(
    folders: Sequence[Path], data: str, *, split: str, contrast_only: bool
) -> EvaluationMaterial:
    if data.partition(":")[0] == phantom_exams.NAME:
        n = phantom_exams.parse(data, only_test=True).sizes[-1]
        return EvaluationMaterial({"images": 4 * n, "exams": n, "women": n}, unit="breasts")
    source = sources.open_source(data, only_test=True)
    seen = _seen(folders) if split == "unseen" else frozenset[str]()
    records = [r for r in source.records if store.woman_key(r.dataset, r.woman) not in seen]
    women_seen = len({r.woman for r in source.records} - {r.woman for r in records})
    if contrast_only:
        records = [records[i] for i in compared(records, source.acquisition)]
    breasts = {r.breast: r.cancer for r in records}
    return EvaluationMaterial(
        {"images": len(records), "women": len({r.woman for r in records})},
        {"with cancer": sum(breasts.values()), "without": len(breasts) - sum(breasts.values())},
        "breasts", women_seen, dict(source.left_out), _tried(folders, records),
    )  # fmt: skip


def _tried(folders: Sequence[Path], records: Sequence[ViewRecord]) -> float | None:
    """Seconds for all records, from a few that are read; None without any."""
    some = records[:: max(1, len(records) // _TRIED)][:_TRIED]
    if not some:
        return None
    models = [loading.load_view_model(folder) for folder in folders]
    for model in models:  # the first pass of a model is slower than all others
        views.read_views(model, some[:1])
    begun = perf_counter()
    for model in models:
        views.read_views(model, some)
    return (perf_counter() - begun) / len(some) * len(records)


def _rois(folders: Sequence[Path], data: str) -> EvaluationMaterial:
    if not is_source(data):
        source = phantom_rois.parse(data, only_test=True)
        return EvaluationMaterial({"regions": source.count("test")}, unit="regions")
    return _regions(folders, data, "calcifications")


def _features(folders: Sequence[Path], cards: Sequence[ModelCard], data: str) -> EvaluationMaterial:
    scenarios: list[Scenario] = [card.scenario for card in cards if isinstance(card, FeatureCard)]
    if not feature_data.is_real(data):
        n = feature_data.phantom_source(data).count("test")
        counts = [sum(phantom_regions.counts(scenario, n).values()) for scenario in scenarios]
        return EvaluationMaterial({"regions": sum(counts)}, unit="regions")
    return _regions(folders, data, scenarios[0] if len(scenarios) == 1 else "both")


def _regions(folders: Sequence[Path], data: str, content: MeasuredContent) -> EvaluationMaterial:
    found, women_seen = open_regions(data, content).unseen(_seen(folders))
    positive, negative = grouped.words(found.question)
    classes = Counter(positive if item.positive else negative for item in found.items)
    return EvaluationMaterial(
        {
            "images": len({item.row.image for item in found.items}),
            "regions": len(found),
            "women": len({item.woman for item in found.items}),
        },
        {name: classes[name] for name in (positive, negative)},
        "regions", women_seen, dict(found.left_out),
    )  # fmt: skip


def _detection(folders: Sequence[Path], data: str) -> EvaluationMaterial:
    kind, _, where = data.partition(":")
    if kind in masses.KINDS:
        rows = sources.open_manifest(data).rows
        marked = {row.image for row in rows if row.box is not None}
        images, women = {row.image for row in rows}, {row.key for row in rows}
        classes = {"with a box": len(marked), "without": len(images - marked)}
        return EvaluationMaterial({"images": len(images), "women": len(women)}, classes)
    if kind == pisa_calcifications.NAME and where:
        items, left = pisa_calcifications.read_all(Path(where).expanduser())
        positive = sum(roi.positive for roi in items)
        return EvaluationMaterial(
            {"regions": len(items), "women": len({roi.woman for roi in items})},
            {"with calcifications": positive, "without": len(items) - positive},
            "regions", left_out=dict(left),
        )  # fmt: skip
    return EvaluationMaterial({"images": detection_cases.open_cases(kind, where).count})


def _seen(folders: Sequence[Path]) -> frozenset[str]:
    return reduce(frozenset.union, (store.seen_by_all(folder) for folder in folders), frozenset())


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "How long it takes is not known before it reads."
    minutes = round(seconds / 60)
    about = f"{max(1, round(seconds))} s" if seconds < 90 else f"{minutes:,} minutes"
    return f"About {about} of reading on this machine, from a trial of {_TRIED} images."
