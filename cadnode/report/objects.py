"""All DICOM objects of one report: made together, written together."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pydicom import Dataset, config

from cadnode.domain import ExamResult, FloatImage, Outcome
from cadnode.errors import NotProcessable, ReportError
from cadnode.exam.model import Exam
from cadnode.files import written_whole
from cadnode.report.edition import DISCLAIMER, LONGEST_SIDE, Edition
from cadnode.report.heatmap import heat_map_image
from cadnode.report.measurement_sr import measurement_sr


def make_objects(
    exam: Exam,
    result: ExamResult,
    images: Callable[[str], FloatImage],
    made_at: datetime,
    *,
    disclaimer: str = DISCLAIMER,
    predecessor: Dataset | None = None,
    calibrated: bool = False,
    longest_side: int | None = LONGEST_SIDE,
) -> list[Dataset]:
    """The SR, then one heat map per scored view in hanging order (RCC, LCC, RMLO, LMLO).

    `images(sop_instance_uid)` gives a source image, `(H, W) float32 in [0, 1]`; it is asked
    once per heat map. The same arguments give the same objects, byte for byte. An exam that
    could not be read has the SR only; one in which nothing was DICOM has no object at all.

    Raises
    ------
    ReportError
        The result does not fit the exam, or its headers do not make a valid report.
    """
    if exam.reference is None:
        return []
    edition = Edition(exam, result, made_at, disclaimer, calibrated, longest_side)
    with _as_report_error(), config.disable_value_validation():
        # Values copied from sources may break rules (UIDs with leading zeros …); pydicom would
        # print them in warnings.
        objects = [measurement_sr(edition, predecessor)]
        if result.outcome is Outcome.NOT_READ:
            return objects
        for number, (view, heat_map) in enumerate(edition.hanging_order(), start=1):
            image = images(view.sop_instance_uid)
            objects.append(heat_map_image(edition, view, heat_map, image, number))
    return objects


def write_objects(objects: Sequence[Dataset], folder: Path) -> list[Path]:
    """Paths of the objects as DICOM files in `folder`: `sr.dcm`, `heatmap-1-RCC.dcm` ….

    Each file appears whole or not at all; writing the same objects again replaces them.

    Raises
    ------
    ReportError
        A file cannot be written.
    """
    with _as_report_error(), config.disable_value_validation():
        return [_write(ds, folder / _name(ds)) for ds in objects]


def _name(ds: Dataset) -> str:
    """File name that says what the object is and nothing of whom."""
    if ds.Modality == "SR":
        return "sr.dcm"
    view = str(ds.ImageComments).split(" heat map")[0].replace(" ", "")
    return f"heatmap-{int(ds.InstanceNumber)}-{view}.dcm"


def _write(ds: Dataset, path: Path) -> Path:
    with written_whole(path) as file:
        ds.save_as(file, enforce_file_format=True)
    return path


@contextmanager
def _as_report_error() -> Iterator[None]:
    """Map what pydicom, highdicom and the file system raise; their texts may hold patient data."""
    try:
        yield
    except (ReportError, NotProcessable):
        raise
    except OSError as error:
        raise ReportError(f"an object could not be written (errno {error.errno})") from None
    except (ValueError, TypeError, AttributeError, KeyError, LookupError) as error:
        raise ReportError(f"an object could not be made ({type(error).__name__})") from None
