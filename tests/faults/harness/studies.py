"""Which studies are sent, in which parts: tiny mammograms, each with a patient of its own.

Everything follows from the seed, UIDs and bytes too: a run is repeated by its seed, and a run that
was interrupted finds what it has sent.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydicom import Dataset

from cadnode.receive.spool import data_set_offset
from tests.synthetic import uid, view_dataset, write

ROWS, COLUMNS = 256, 200
ONE: Final = (("R", "CC"),)
TWO: Final = (("R", "CC"), ("R", "MLO"))
FOUR: Final = (("R", "CC"), ("R", "MLO"), ("L", "CC"), ("L", "MLO"))
SHAPES: Final = {"plain": 0.58, "four_views": 0.06, "sent_twice": 0.12, "later_image": 0.12,
                 "corrected": 0.12}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SentFile:
    """One DICOM file that a sender has: an instance in one version of its header."""

    path: Path
    sop_instance_uid: str
    digest: str  # of the data set's bytes
    accession: str


@dataclass(frozen=True, slots=True)
class SentStudy:
    """One study: its acts are sent one after the other, each whole."""

    number: int
    shape: str
    study_instance_uid: str
    patient_id: str
    acts: tuple[tuple[SentFile, ...], ...]

    @property
    def files(self) -> tuple[SentFile, ...]:
        """All files of all acts, one that is sent twice only once."""
        return tuple({file.digest: file for act in self.acts for file in act}.values())

    @property
    def final(self) -> tuple[SentFile, ...]:
        """What the study holds in the end: of an instance its last version."""
        return tuple({f.sop_instance_uid: f for act in self.acts for f in act}.values())


def dataset_digest(path: Path) -> str:
    """Sha256 of a Part 10 file's data set, its file meta information left out."""
    with path.open("rb") as file:
        file.seek(data_set_offset(file))
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_studies(folder: Path, n: int, seed: int, shapes: Sequence[str] = ()) -> list[SentStudy]:
    """`n` studies with their files in `folder`; the first ones have these `shapes`."""
    rng = random.Random(seed)
    drawn = rng.choices(list(SHAPES), weights=list(SHAPES.values()), k=n)
    drawn[: len(shapes)] = shapes[:n]
    return [_study(folder, number, shape, seed) for number, shape in enumerate(drawn)]


def _study(folder: Path, number: int, shape: str, seed: int) -> SentStudy:
    views = {"four_views": FOUR, "later_image": TWO}.get(shape, ONE)
    first = tuple(_file(folder, number, side, view, seed, 0) for side, view in views)
    acts: tuple[tuple[SentFile, ...], ...] = (first,)
    if shape == "sent_twice":
        acts = (first, first)
    elif shape == "later_image":
        acts = (first[:1], first[1:])
    elif shape == "corrected":
        acts = (first, (_file(folder, number, *ONE[0], seed, 1),))
    return SentStudy(number, shape, _study_uid(seed, number), _patient(seed, number), acts)


def _patient(seed: int, number: int) -> str:
    return f"SOAK-{seed}-{number}"


def _study_uid(seed: int, number: int) -> str:
    return str(uid("soak-study", seed, number))


def _file(folder: Path, number: int, side: str, view: str, seed: int, version: int) -> SentFile:
    """A view whose pixels are the study's own; `version` is that of its header."""
    accession = f"{seed % 1000}.{number}.{version}"
    path = folder / f"{number:05d}-{side}{view}-{version}.dcm"
    ds = _view(side, view)
    pixels = np.frombuffer(ds.PixelData, "<u2").copy()
    pixels[:64] = np.random.default_rng([seed, number]).integers(0, 8, 64)  # outside the breast
    ds.PixelData = pixels.tobytes()
    study = _study_uid(seed, number)
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, uid("soak-series", study)
    ds.SOPInstanceUID = uid("soak-instance", study, side, view)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.PatientID = _patient(seed, number)
    ds.PatientName = f"SOAK^N{seed}X{number}"
    ds.AccessionNumber, ds.StudyID = accession, str(number)
    if not path.exists():
        write(ds, path)
    return SentFile(path, str(ds.SOPInstanceUID), dataset_digest(path), accession)


_drawn: dict[tuple[str, str], Dataset] = {}


def _view(side: str, view: str) -> Dataset:
    if (side, view) not in _drawn:
        _drawn[side, view] = view_dataset(side, view, rows=ROWS, columns=COLUMNS)
    return _drawn[side, view]  # every attribute that differs is set by the caller
