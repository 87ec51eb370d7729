"""Which data `KIND:PATH` can name: read as a manifest, or as the views of exams."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition, FloatImage
from cadnode.errors import DataError
from cadnode_training.data import manifest_views
from cadnode_training.data.images import load_image
from cadnode_training.data.manifest import Manifest
from cadnode_training.data.manifest_file import SUFFIXES, read_manifest
from cadnode_training.data.sets import (
    archive,
    cbis_ddsm,
    cbis_masses,
    cbis_views,
    cmmd,
    ddsm_exams,
    dicom_csv,
    film,
    inbreast,
    mini_mias,
    phantom_exams,
    pisa_calcifications,
    pisa_masses,
    rsna2022,
    rsna_views,
    vindr,
)
from cadnode_training.data.views import ViewRecord, ViewSet

ManifestReader = Callable[[Path, Callable[[], None]], Manifest]
"""Reads a folder (or file) as a manifest; the second argument is called as it proceeds."""

MANIFEST: Final = "manifest"


@dataclass(frozen=True, slots=True)
class DataSource:
    """How a kind is read as a manifest, what kind of images it has, and what it is."""

    read: ManifestReader
    acquisition: Acquisition
    what: str


SOURCES: Final[Mapping[str, DataSource]] = {
    cbis_ddsm.NAME: DataSource(cbis_ddsm.read, cbis_ddsm.ACQUISITION, "folder of CBIS-DDSM (TCIA)"),
    inbreast.NAME: DataSource(inbreast.read, inbreast.ACQUISITION, "folder of INbreast"),
    vindr.NAME: DataSource(vindr.read, vindr.ACQUISITION, "folder of VinDr-Mammo"),
    cmmd.NAME: DataSource(cmmd.read, cmmd.ACQUISITION, "folder of CMMD (TCIA)"),
    rsna2022.NAME: DataSource(rsna2022.read, rsna2022.ACQUISITION, "folder of RSNA 2022 (Kaggle)"),
    rsna_views.NAME: DataSource(
        rsna2022.read_reduced, rsna2022.ACQUISITION, "folder with views.csv, reduced RSNA 2022"
    ),
    ddsm_exams.NAME: DataSource(film.read_ddsm_exams, film.ACQUISITION, "folder with exams.csv"),
    mini_mias.NAME: DataSource(film.read_mini_mias, film.ACQUISITION, "folder with findings.csv"),
    cbis_masses.NAME: DataSource(
        cbis_masses.read, cbis_masses.ACQUISITION, "folder with rois.csv and masks"
    ),
    cbis_views.NAME: DataSource(
        cbis_views.read, cbis_views.ACQUISITION, "folder with views.csv and boxes of masses"
    ),
    pisa_masses.NAME: DataSource(film.read_pisa_masses, film.ACQUISITION, "folder with rois.csv"),
    pisa_calcifications.NAME: DataSource(
        film.read_pisa_calcifications, film.ACQUISITION, "folder with rois.csv"
    ),
    dicom_csv.NAME: DataSource(
        dicom_csv.read, Acquisition.DIGITAL, "folder of DICOM files with pathology.csv"
    ),
    archive.NAME: DataSource(
        archive.read, Acquisition.DIGITAL, "TOML file that names an archive and a pathology CSV"
    ),
    MANIFEST: DataSource(
        lambda path, tick: read_manifest(path), Acquisition.DIGITAL, "CSV or Parquet file"
    ),
}


@dataclass(frozen=True, slots=True)
class Adapter:
    """How a folder of whole exams is read with all its facts, and how its images are."""

    read: Callable[[Path], ViewSet]
    load: Callable[[ViewRecord], FloatImage | None]


ADAPTERS: Final[Mapping[str, Adapter]] = {
    rsna_views.NAME: Adapter(rsna_views.read, rsna_views.load),
    ddsm_exams.NAME: Adapter(ddsm_exams.read, ddsm_exams.load),
}


def open_manifest(text: str, tick: Callable[[], None] = lambda: None) -> Manifest:
    """The manifest of `KIND:PATH`, or in the `.csv` or `.parquet` file `text`.

    `tick` is called as reading proceeds.

    Raises
    ------
    DataError
        The kind is unknown, or what is there is not of that kind.
    """
    if is_manifest(text):
        return read_manifest(Path(text).expanduser())
    source, path = _split(text)
    return source.read(path, tick)


def is_manifest(text: str) -> bool:
    """Whether `text` is the path of a manifest's file, without a kind before it."""
    kind, colon, _ = text.partition(":")
    return (not colon or kind not in SOURCES) and Path(text).suffix in SUFFIXES


def open_source(text: str, *, only_test: bool = False) -> ViewSet:
    """The views of `KIND:PATH` as exams: one record a view, a label a breast.

    `phantom:small|N|TRAIN/VALIDATION/TEST` are drawn exams (`phantom_exams`); `only_test` takes
    only their test part and has no effect on other kinds.

    Raises
    ------
    DataError
        The kind is unknown, what is there is not of that kind, or it has no view whose breast
        has a label.
    """
    kind = text.partition(":")[0]
    if kind == phantom_exams.NAME:
        return phantom_exams.read(text, only_test=only_test)
    source, path = _split(text)
    if kind in ADAPTERS:
        return ADAPTERS[kind].read(path)
    manifest = source.read(path, lambda: None)
    names = {row.dataset for row in manifest.rows}
    acquisitions = {SOURCES[name].acquisition for name in names if name in SOURCES}
    if len(acquisitions) > 1:
        raise DataError("digital and film images are not read as one: split the manifest by set")
    acquisition = next(iter(acquisitions), source.acquisition)
    return manifest_views.views(manifest, kind, acquisition)


def load(record: ViewRecord) -> FloatImage | None:
    """`(H, W) float32 in [0, 1]`, dense tissue bright; None when the file cannot be read."""
    if record.dataset in ADAPTERS:
        return ADAPTERS[record.dataset].load(record)
    image = load_image(record.path)
    return None if isinstance(image, str) else image


def _split(text: str) -> tuple[DataSource, Path]:
    kind, colon, path = text.partition(":")
    if not colon or kind not in SOURCES or not path:
        kinds = ", ".join(SOURCES)
        raise DataError(f"--data must be KIND:PATH, KIND one of {kinds}, not {text!r}")
    return SOURCES[kind], Path(path).expanduser()
