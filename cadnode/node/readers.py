"""Reading with this node's models, offline (`cadnode read`) and for the worker."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cadnode import settings
from cadnode.domain import ExamResult, System, SystemStatus
from cadnode.errors import ModelError, SettingsError
from cadnode.exam.exam import Exam
from cadnode.exam.markings.regions import parse_roi
from cadnode.exam.read import read_exams
from cadnode.imaging import pixels
from cadnode.models import store
from cadnode.models.card import CnnCard, RegionCard
from cadnode.models.detector import Detector
from cadnode.models.device import choose_device, share_heaps, use_threads
from cadnode.models.engine import Engine, default_folder
from cadnode.models.feature import FeatureModel
from cadnode.models.loading import Model, load
from cadnode.models.mass_finder import MassFinder
from cadnode.models.roi import RoiModel
from cadnode.models.view import ViewModel
from cadnode.node.model_overview import overview
from cadnode.node.outputs import cards_of, folders_of, model_folders, write_outputs
from cadnode.reading import Choices, Readers, read_exam
from cadnode.reading.exam import Progress


def load_readers(
    values: settings.Settings,
    device: str,
    *,
    loaded: Iterable[Model] = (),
    look_at: Callable[[Path], object] | None = None,
) -> Readers:
    """The admin's model folders first, then what is active in the node's store and packaged.

    Of the `loaded` models those with the very same card are used again. `look_at` is called with
    the folder of each model that is not among them; it raises ModelError where it does not work.

    Raises
    ------
    ModelError
        A card or its weights are missing or damaged, or no model reads whole views.
    """
    reading = values.reading
    use_threads(reading.threads)
    share_heaps()
    had = list(loaded)
    models = []
    for folder in model_folders(values):
        card = store.read_card(folder)
        model = next((m for m in had if m.card == card), None)
        if model is None:
            if look_at is not None:
                look_at(folder)
            model = load(
                folder, device, operating_point=reading.operating_point, engine=engine_of(reading)
            )
        models.append(model)
    systems = overview(values).systems
    _check_counts(reading.counts, systems)
    readers = readers_of(_in_counting_order(models, reading.counts), systems)
    if not readers.views:
        raise ModelError(
            "no active model reads whole views: `cadnode models list` shows the installed ones, "
            "`cadnode models activate NAME` switches one on"
        )
    return readers


def engine_of(reading: settings.ReadingSection) -> Engine:
    """What networks are computed with, from the settings."""
    return Engine(reading.engine, reading.bf16, default_folder())


def readers_of(models: Sequence[Model], systems: tuple[SystemStatus, ...] = ()) -> Readers:
    """The models of a reading: the first of those that would do the same."""
    return Readers(
        views=tuple(m for m in models if isinstance(m, ViewModel)),
        rois=_one_each([m for m in models if isinstance(m, RoiModel)]),
        features=tuple(m for m in models if isinstance(m, FeatureModel)),
        detector=next((m for m in models if isinstance(m, Detector)), None),
        masses=next((m for m in models if isinstance(m, MassFinder)), None),
        systems=systems,
    )


def _one_each(models: Sequence[RoiModel]) -> tuple[RoiModel, ...]:
    """The first of several models of one system and architecture: an ensemble holds each once."""
    first = {(m.card.system, _architecture(m.card)): m for m in reversed(models)}
    return tuple(first[key] for key in sorted(first, key=str))


def _architecture(card: RegionCard) -> str:
    """What makes two networks of one system the same member of it."""
    return card.architecture.name if isinstance(card, CnnCard) else card.name


def _in_counting_order(models: Sequence[Model], counts: Sequence[System]) -> list[Model]:
    """The models, those of earlier systems of `reading.counts` first; the order of views' models.

    The first view model that applies to a view scores it: a network that was brought comes after
    DIB-MG unless the settings put its system first.
    """
    order = [*counts, *(s for s in System if s not in counts)]
    return sorted(
        models,
        key=lambda m: order.index(m.card.system) if m.card.system in order else len(order),
    )


def _check_counts(counts: Sequence[System], systems: Sequence[SystemStatus]) -> None:
    """Raise `SettingsError` where `reading.counts` names a system of which nothing is installed."""
    known = [s.system for s in systems]
    for name in counts:
        if name.is_brought and name not in known:
            raise SettingsError(
                f"reading.counts: there is no system {name.value!r}; there are "
                f"{', '.join(s.value for s in known)}"
            )


def choices_of(reading: settings.ReadingSection) -> Choices:
    """The options of a reading, from the settings."""
    return Choices(
        counts=reading.counts,
        flips=reading.flips,
        most_regions=reading.most_regions,
        age_prior=reading.age_prior,
    )


@dataclass(frozen=True, eq=False, slots=True)
class OfflineReading:
    """One exam read offline: the result, where it was written, and the objects made."""

    exam: Exam
    result: ExamResult
    folder: Path
    objects: tuple[Path, ...]


def read_paths(
    paths: Sequence[Path],
    out: Path,
    values: settings.Settings,
    *,
    rois: Sequence[str] = (),
    on_progress: Progress = lambda stage: None,
) -> tuple[OfflineReading, ...]:
    """Every exam found in `paths`, read and reported.

    A single exam is written into `out`; several go into `out/1`, `out/2`, … `result.json` is
    written also when nothing could be read. `rois` are further regions to assess (`parse_roi`).

    Raises
    ------
    SettingsError
        A region is not written as it should be, or there are regions and several exams.
    """
    found = read_exams(
        paths,
        read_for_processing=values.reading.for_processing,
        checks=pixels.CHECKS,
    )
    exams = found or (Exam("", (), (), None, {}),)  # nothing at all is a result, too
    if rois and len(exams) != 1:
        raise SettingsError(f"--roi takes one exam, but {len(exams)} were found")
    exams = tuple(
        replace(e, regions=(*e.regions, *(parse_roi(text, e) for text in rois))) for e in exams
    )
    readers = load_readers(values, choose_device(values.reading.device))
    readings = []
    for number, exam in enumerate(exams, start=1):
        folder = out if len(exams) == 1 else out / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        images, began = pixels.ImageCache(), time.monotonic()
        result = read_exam(
            exam,
            readers,
            choices=choices_of(values.reading),
            load=images.load,
            on_progress=on_progress,
        )
        read_s = time.monotonic() - began
        on_progress("report")
        objects = write_outputs(
            exam,
            result,
            folder,
            values.report,
            made_at=datetime.now(UTC),
            cards=cards_of(folders_of(values, result), result),
            load=images.load,
            timings={"read": read_s},
        )
        readings.append(OfflineReading(exam, result, folder, objects))
    return tuple(readings)
