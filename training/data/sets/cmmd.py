"""CMMD, the Chinese Mammography Database: `CMMD_clinicaldata_revision.xlsx`, `CMMD/D1-0001/`.

Cai H et al., TCIA 2021, doi:10.7937/tcia.eqde-4b16: digital exams of 1,775 women with a biopsied
breast, by histology; set D2 has molecular subtypes. The table has a line for each biopsied
breast; only the DICOM headers state which image is which breast and view.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cadnode.domain import Acquisition
from cadnode.errors import DataError
from cadnode_training.data import birads
from cadnode_training.data import manifest as m
from cadnode_training.data.dicom_facts import DicomFacts, read_facts
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.tables import find_table, read_rows
from cadnode_training.data.views import left_out

NAME: Final = "cmmd"
ACQUISITION: Final = Acquisition.DIGITAL
_TABLES: Final = tuple(
    f"CMMD_clinicaldata_revision{ending}" for ending in (".xlsx", ".csv", "_CSV.csv")
)
_COLUMNS: Final = ("ID1", "LeftRight", "Age", "number", "abnormality", "classification")
_LABELS: Final = {"malignant": m.MALIGNANT, "benign": m.BENIGN}
_KINDS: Final = {"mass": m.MASS, "calcification": m.CALCIFICATION, "both": m.BOTH}


def read(folder: Path, tick: Callable[[], None] = lambda: None) -> Manifest:
    """A row for each view of a breast in the table, and of the other breast, label unknown.

    `tick` is called after each image.

    Raises
    ------
    DataError
        The table is missing or lacks columns, or no image is there.
    """
    table = find_table(folder, _TABLES)
    breasts: dict[tuple[str, str], dict[str, str]] = {}
    reasons: list[str] = []
    for line in read_rows(table, _COLUMNS):
        breasts[line["ID1"], line["LeftRight"].upper()] = line
    rows: list[ManifestRow] = []
    for woman in dict.fromkeys(woman for woman, _ in breasts):
        paths = _images(folder, woman)
        if not paths:
            reasons.append("woman's folder missing")
        for path in paths:
            tick()
            facts = read_facts(path)
            if isinstance(facts, str):
                reasons.append(facts)
            else:
                rows.append(_row(woman, path, facts, breasts.get((woman, facts.laterality), {})))
    if not rows:
        raise DataError(f"{table.name} names no image that is there and can be read")
    return Manifest(tuple(rows), left_out(reasons))


def _images(folder: Path, woman: str) -> list[Path]:
    for base in (folder / "CMMD", folder):
        if (base / woman).is_dir():
            return sorted((base / woman).rglob("*.dcm"))
    return []


def _row(woman: str, path: Path, facts: DicomFacts, line: Mapping[str, str]) -> ManifestRow:
    classification = line.get("classification", "")
    subtype = line.get("subtype", "")
    return ManifestRow(
        image=path,
        dataset=NAME,
        woman=woman,
        exam=woman,
        exam_date=facts.exam_date,
        laterality=facts.laterality,
        view=facts.view,
        label=_LABELS.get(classification.lower(), m.UNKNOWN),
        pathology=", ".join(part for part in (classification, subtype) if part),
        age=birads.age(line.get("Age", "")) or facts.age,
        vendor=facts.vendor,
        lesion_kind=_KINDS.get(line.get("abnormality", "").lower(), ""),
        spacing_mm=facts.spacing_mm,
    )
