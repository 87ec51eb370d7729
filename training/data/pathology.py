"""How a hospital's own labels are read: a CSV file of outcomes by breast, study or image."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.errors import DataError
from cadnode_training.data.dicom_facts import DicomFacts, read_facts
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.manifest_file import BOX, COLUMNS, parse_row
from cadnode_training.data.tables import read_rows
from cadnode_training.data.views import left_out

# From the most to the least specific; a line may hold several, the first that is filled counts.
KEYS: Final = (
    "image", "sop_instance_uid", "study_instance_uid", "accession_number", "patient_id",
)  # fmt: skip
_OF_IMAGES: Final = KEYS[:2]
DATASET: Final = "local"


@dataclass(frozen=True, slots=True)
class Statement:
    """A line of the file: what it is about (`key`, `value`), and what it states."""

    line: int
    key: str
    value: str
    cells: Mapping[str, str]

    def fits(self, facts: DicomFacts) -> bool:
        """Whether side and date, where the line states them, are those of the image."""
        side, date = self.cells.get("laterality", ""), self.cells.get("exam_date", "")
        return side in ("", facts.laterality) and (not date or facts.exam_date.startswith(date))


@dataclass(frozen=True, slots=True)
class Pathology:
    """The statements of a file."""

    file: Path
    statements: tuple[Statement, ...]


def read_pathology(file: Path) -> Pathology:
    """The statements of a CSV (or XLSX) file with a key column and `label` (docs/data.md).

    Raises
    ------
    DataError
        The file is missing or empty, has no key column or an unknown one, or a line has no key,
        or a box for more than one image.
    """
    lines = read_rows(file, ("label",))
    names = list(lines[0])
    if not set(KEYS) & set(names):
        raise DataError(f"{file.name} needs one of the columns {', '.join(KEYS)}")
    strange = [name for name in names if name not in (*KEYS, *COLUMNS)]
    if strange:
        raise DataError(
            f"{file.name}, line 1: no such column: {', '.join(strange)}; docs/data.md has all"
        )
    return Pathology(file, tuple(_statement(file, n, line) for n, line in enumerate(lines, 2)))


def _statement(file: Path, number: int, line: Mapping[str, str]) -> Statement:
    key = next((name for name in KEYS if line.get(name)), None)
    if key is None:
        raise DataError(f"{file.name}, line {number}: fill one of {', '.join(KEYS)}")
    if key not in _OF_IMAGES and any(line.get(column) for column in (*BOX, "mask")):
        raise DataError(
            f"{file.name}, line {number}: a box or mask needs {' or '.join(_OF_IMAGES)}"
        )
    cells = {name: text for name, text in line.items() if text and name in COLUMNS}
    cells["label"] = cells.get("label", "").lower()
    return Statement(number, key, line[key], cells)


def label_images(
    folder: Path,
    paths: Iterable[Path],
    pathology: Pathology,
    tick: Callable[[], None] = lambda: None,
) -> Manifest:
    """The images that a statement is about, with what it states; `tick` after each image.

    The header gives what the statement leaves open. Without a `woman` column a woman is named by a
    hash of her Patient ID; so is her exam. Images without a statement are left out.

    Raises
    ------
    DataError
        A statement does not fit the manifest; the message names line and column. Or no image
        has a statement.
    """
    by_key: dict[tuple[str, str], list[Statement]] = {}
    for statement in pathology.statements:
        by_key.setdefault((statement.key, statement.value.upper()), []).append(statement)
    rows: list[ManifestRow] = []
    reasons: list[str] = []
    used: set[int] = set()
    for path in paths:
        tick()
        facts = read_facts(path)
        if isinstance(facts, str):
            reasons.append(facts)
            continue
        found = _statements_of(path.relative_to(folder), facts, by_key)
        if not found:
            reasons.append("no statement on this breast")
        used |= {statement.line for statement in found}
        rows += [_row(path, facts, statement, pathology.file) for statement in found]
    reasons += ["statement without an image"] * (len(pathology.statements) - len(used))
    if not rows:
        raise DataError(
            f"no image is spoken of in {pathology.file.name}: do its identifiers have leading "
            "zeros or blanks that the images' have not?"
        )
    return Manifest(tuple(rows), left_out(reasons))


def _statements_of(
    name: Path, facts: DicomFacts, by_key: Mapping[tuple[str, str], list[Statement]]
) -> list[Statement]:
    """Those of the most specific key that has any.

    Values are compared in capitals, as headers are read.
    """
    values = (name.as_posix().upper(), facts.instance, facts.study, facts.accession, facts.patient)
    for key, value in zip(KEYS, values, strict=True):
        found = [s for s in by_key.get((key, value), ()) if s.fits(facts)]
        if value and found:
            return found
    return []


def pseudonym(dataset: str, identifier: str) -> str:
    """16 hexadecimal digits that stand for an identifier: the same in every manifest.

    The hash is unsalted: anyone with a list of all identifiers can match them.
    """
    return hashlib.sha256(f"{dataset}:{identifier}".encode()).hexdigest()[:16]


def _row(path: Path, facts: DicomFacts, statement: Statement, file: Path) -> ManifestRow:
    dataset = statement.cells.get("dataset", DATASET)
    known = {
        "dataset": dataset,
        "woman": pseudonym(dataset, facts.woman),
        "exam": pseudonym(dataset, facts.exam),
        "exam_date": facts.exam_date,
        "laterality": facts.laterality,
        "view": facts.view,
        "age": str(facts.age or ""),
        "vendor": facts.vendor,
        "spacing_mm": f"{facts.spacing_mm or ''}",
    }
    stated = {name: text for name, text in statement.cells.items() if name != "exam_date"}
    try:
        return parse_row({**known, **stated, "image": str(path.absolute())}, file.parent)
    except ValueError as error:
        raise DataError(f"{file.name}, line {statement.line}, {error}") from None
