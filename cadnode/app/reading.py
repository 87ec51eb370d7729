"""Reading with this node's models, offline (`cadnode read`) and for the worker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import torch

from cadnode import settings
from cadnode.domain import ExamResult, FloatImage
from cadnode.errors import ModelError, SettingsError
from cadnode.exam.model import Exam
from cadnode.exam.read import read_exams
from cadnode.imaging import pixels
from cadnode.models import store
from cadnode.models.scorer import LoadedModel
from cadnode.read import Progress, read_exam
from cadnode.report.objects import make_objects, write_objects
from cadnode.report.result_json import write_result

SR_NAME = "sr.dcm"


def choose_device(wanted: str) -> str:
    """`cuda` or `cpu`; `auto` takes CUDA when it is there.

    Raises
    ------
    SettingsError
        CUDA is wanted and not there.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise SettingsError("reading.device is 'cuda', but torch finds no CUDA device; use 'auto'")
    return "cuda" if available and wanted != "cpu" else "cpu"


def load_models(reading: settings.Reading, device: str) -> Sequence[LoadedModel]:
    """The admin's models first, then the packaged ones.

    Raises
    ------
    ModelError
        A card or its weights are missing or damaged, or there is no model at all.
    """
    if reading.threads:
        torch.set_num_threads(reading.threads)
    folders = [*reading.model_folders, *store.available()]
    if not folders:
        raise ModelError("there is no model: reading.model_folders is empty and none is packaged")
    return [store.load(folder, device) for folder in folders]


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
    on_progress: Progress = lambda stage: None,
) -> tuple[OfflineReading, ...]:
    """Every exam found in `paths`, read and reported.

    A single exam is written into `out`; several go into `out/1`, `out/2`, … `result.json` is
    written also when nothing could be read.
    """
    models = load_models(values.reading, choose_device(values.reading.device))
    found = read_exams(paths, read_for_processing=values.reading.for_processing)
    exams = found or (Exam("", (), (), None, {}),)  # nothing at all is a result, too
    readings = []
    for number, exam in enumerate(exams, start=1):
        folder = out if len(exams) == 1 else out / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        result = read_exam(exam, models, on_progress=on_progress)
        on_progress("report")
        objects = write_outputs(exam, result, folder, values.report, made_at=datetime.now(UTC))
        readings.append(OfflineReading(exam, result, folder, objects))
    return tuple(readings)


def write_outputs(
    exam: Exam,
    result: ExamResult,
    folder: Path,
    report: settings.Report,
    *,
    made_at: datetime,
    predecessor: Path | None = None,
) -> tuple[Path, ...]:
    """Write the exam's DICOM objects and, last, `result.json` into `folder`; returns the objects.

    An exam without a single DICOM header has nothing to refer to: it gets `result.json` alone.
    """
    written: tuple[Path, ...] = ()
    if exam.reference is not None:
        old = predecessor / SR_NAME if predecessor else None
        objects = make_objects(
            exam,
            result,
            image_loader(exam),
            made_at=made_at,
            disclaimer=report.disclaimer,
            longest_side=report.heat_map_longer_side,
            predecessor=pydicom.dcmread(old) if old and old.exists() else None,
        )
        written = tuple(write_objects(objects, folder))
    write_result(folder / "result.json", result, made_at=made_at)
    return written


def image_loader(exam: Exam) -> Callable[[str], FloatImage]:
    """Function that gives a view's image, `(H, W) float32 in [0, 1]`, by SOP Instance UID."""
    mammograms = {m.sop_instance_uid: m for m in exam.mammograms}
    return lambda uid: pixels.load(mammograms[uid])
