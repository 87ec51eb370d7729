"""The data sets that `--data KIND:PATH` can name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.domain import FloatImage
from cadnode.errors import DataError
from training.data import ddsm_exams, rsna_views
from training.data.views import DataSet, ViewRecord


@dataclass(frozen=True, slots=True)
class Adapter:
    """How a kind of folder is read, and how its images are."""

    read: Callable[[Path], DataSet]
    load: Callable[[ViewRecord], FloatImage | None]


ADAPTERS: Final[Mapping[str, Adapter]] = {
    rsna_views.NAME: Adapter(rsna_views.read, rsna_views.load),
    ddsm_exams.NAME: Adapter(ddsm_exams.read, ddsm_exams.load),
}


def open_source(text: str) -> DataSet:
    """The data set of `KIND:PATH`.

    Raises
    ------
    DataError
        The kind is unknown, or the folder is not of that kind.
    """
    kind, colon, path = text.partition(":")
    if not colon or kind not in ADAPTERS or not path:
        kinds = " or ".join(f"{name}:PATH" for name in ADAPTERS)
        raise DataError(f"--data must be {kinds}, not {text!r}")
    return ADAPTERS[kind].read(Path(path).expanduser())


def load(record: ViewRecord) -> FloatImage | None:
    """`(H, W) float32 in [0, 1]`, dense tissue bright; None when the file cannot be read."""
    return ADAPTERS[record.dataset].load(record)
