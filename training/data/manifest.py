"""What a manifest holds: images and regions of any data set in one table (docs/data.md)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cadnode.domain import Box, CalcificationType, Distribution, Laterality, ViewPosition

MALIGNANT, BENIGN, NORMAL, UNKNOWN = LABELS = ("malignant", "benign", "normal", "unknown")
MASS, CALCIFICATION, BOTH, ASYMMETRY, DISTORTION, OTHER = LESION_KINDS = (
    "mass", "calcification", "mass_and_calcification", "asymmetry", "distortion", "other",
)  # fmt: skip
TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
# What BI-RADS' 5th edition calls typically benign: skin, vascular, coarse, large rod-like, rim,
# dystrophic, milk of calcium, suture.
TYPICALLY_BENIGN: Final = "typically_benign"

VOCABULARIES: Final[Mapping[str, tuple[str, ...]]] = {
    "laterality": tuple(Laterality),
    "view": tuple(ViewPosition),
    "label": LABELS,
    "birads": ("0", "1", "2", "3", "4", "4A", "4B", "4C", "5", "6"),
    "density": ("A", "B", "C", "D"),
    "lesion_kind": LESION_KINDS,
    "calcification_type": (*CalcificationType, TYPICALLY_BENIGN),
    "distribution": tuple(Distribution),
    "mass_shape": ("round", "oval", "lobulated", "irregular"),
    "mass_margin": ("circumscribed", "obscured", "microlobulated", "indistinct", "spiculated"),
    "split": SPLITS,
}
"""The words that each closed column takes; all but `label` may also be empty (not stated)."""

DATE: Final = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
OLDEST: Final = 120


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """A whole view, or one region of interest of a view.

    Parameters
    ----------
    image, mask
        Files; the mask has the image's size and is not 0 inside the lesion.
    dataset, woman, exam
        Pseudonyms: names, numbers or hashes, never a patient's identity.
    exam_date
        ISO 8601: year, year and month, or day.
    box
        Of the lesion, in source pixels, half-open; None for a whole view.
    label
        What is known: of the lesion when the row has one, otherwise of the breast.
    pathology
        The source's own words; empty when `label` does not come from pathology or follow-up.
    lesion
        Names the lesion within its exam and breast: equal in the two views that show it.
    size_mm, spacing_mm
        Largest diameter of the lesion; pixel spacing in the plane of the breast.

    The closed columns take the words of `VOCABULARIES`.

    Raises
    ------
    ValueError
        A value is outside its vocabulary or range; the message names the column, not the value.
    """

    image: Path
    dataset: str
    woman: str
    label: str
    exam: str = ""
    exam_date: str = ""
    laterality: str = ""
    view: str = ""
    box: Box | None = None
    mask: Path | None = None
    pathology: str = ""
    birads: str = ""
    density: str = ""
    age: int | None = None
    vendor: str = ""
    lesion: str = ""
    lesion_kind: str = ""
    calcification_type: str = ""
    distribution: str = ""
    mass_shape: str = ""
    mass_margin: str = ""
    size_mm: float | None = None
    spacing_mm: float | None = None
    split: str = ""

    def __post_init__(self) -> None:
        for column, words in VOCABULARIES.items():
            value = getattr(self, column)
            if value not in words and (value or column == "label"):
                empty = "" if column == "label" else ", or nothing"
                raise ValueError(f"column {column}: one of {', '.join(words)}{empty}")
        for column in ("dataset", "woman"):
            if not getattr(self, column):
                raise ValueError(f"column {column}: must not be empty")
        if self.exam_date and not DATE.fullmatch(self.exam_date):
            raise ValueError("column exam_date: YYYY, YYYY-MM or YYYY-MM-DD, or nothing")
        if self.age is not None and not 0 < self.age <= OLDEST:
            raise ValueError(f"column age: whole years, 1 to {OLDEST}, or nothing")
        for column in ("size_mm", "spacing_mm"):
            value = getattr(self, column)
            if value is not None and not 0 < value < 1000:
                raise ValueError(f"column {column}: millimetres above 0, or nothing")
        if self.box is not None and not (
            self.box.row0 < self.box.row1 and self.box.col0 < self.box.col1
        ):
            raise ValueError("columns row0, col0, row1, col1: the box has no area")

    @property
    def key(self) -> tuple[str, str]:
        """The woman's key across all data sets."""
        return self.dataset, self.woman


@dataclass(frozen=True, slots=True)
class Manifest:
    """Rows, and how many images of the source were left out for which reason."""

    rows: tuple[ManifestRow, ...]
    left_out: tuple[tuple[str, int], ...] = ()


def joined(manifests: Iterable[Manifest]) -> Manifest:
    """One manifest of several, in their order."""
    rows: list[ManifestRow] = []
    reasons: dict[str, int] = {}
    for manifest in manifests:
        rows += manifest.rows
        for reason, n in manifest.left_out:
            reasons[reason] = reasons.get(reason, 0) + n
    return Manifest(tuple(rows), tuple(sorted(reasons.items(), key=lambda item: -item[1])))


def worst(labels: Iterable[str]) -> str:
    """The label that counts for what several rows show: malignant before benign before normal.

    A breast with an unproven region is unknown unless another region is malignant.
    """
    found = set(labels)
    return next(label for label in (MALIGNANT, UNKNOWN, BENIGN, NORMAL) if label in found)


def lesion_kind(kinds: Sequence[str]) -> str:
    """One word of `LESION_KINDS` for a region that shows all of `kinds`."""
    found = set(kinds)
    if BOTH in found or {MASS, CALCIFICATION} <= found:
        return BOTH
    return next((kind for kind in LESION_KINDS if kind in found), "")
