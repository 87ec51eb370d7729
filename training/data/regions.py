"""Which rows of a manifest are regions that a system can be trained or tested on.

A row is a region when it has a box, a mask, or is of a set whose images are regions themselves.
Everything else is left out and counted, by reason.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal

from cadnode.domain import Acquisition
from cadnode.errors import DataError
from cadnode.models.store import woman_key
from cadnode_training.data import manifest as m
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.sets import cbis_masses, pisa_calcifications, pisa_masses
from cadnode_training.data.sources import MANIFEST, SOURCES, open_manifest
from cadnode_training.data.views import Part, left_out, part_of

MeasuredContent = Literal["calcifications", "masses", "both"]
"""What a system reads: regions with calcifications, with a mass, or with any of the two."""

CONTAINED: Final[dict[str, tuple[str, ...]]] = {
    "calcifications": (m.CALCIFICATION, m.BOTH),
    "masses": (m.MASS, m.BOTH),
    "both": (m.CALCIFICATION, m.MASS, m.BOTH),
}
WHOLE: Final = (cbis_masses.NAME, pisa_masses.NAME, pisa_calcifications.NAME)
"""Sets whose images are regions: their rows need no box."""

_WORDS: Final = {
    "calcifications": "calcifications", "masses": "masses", "both": "calcifications and masses",
}  # fmt: skip
_PARTS: Final[tuple[Part, ...]] = ("train", "validation", "test")


class Question(StrEnum):
    """Which classes are separated: malignant and benign, or calcifications and none."""

    MALIGNANCY = "malignancy"
    PRESENCE = "presence"


@dataclass(frozen=True, slots=True)
class DataRegion:
    """A region of interest: its row, how its image was taken, and the answer to the question."""

    row: ManifestRow
    acquisition: Acquisition
    positive: bool

    @property
    def woman(self) -> str:
        """Her key among all data sets (`cadnode.models.store.woman_key`)."""
        return woman_key(*self.row.key)


@dataclass(frozen=True, slots=True)
class RegionSet:
    """The usable regions of a source, in the manifest's order.

    Parameters
    ----------
    name
        The kind of the source, without its folder.
    content, question
        What was asked for, and what the source can answer.
    items
        The regions.
    left_out
        How many rows or images of the source are no such region, by reason.
    own_split
        Whether the manifest's own `split` column gives each region's part.
    """

    name: str
    content: MeasuredContent
    question: Question
    items: tuple[DataRegion, ...]
    left_out: tuple[tuple[str, int], ...]
    own_split: bool = False

    def __len__(self) -> int:
        return len(self.items)

    @property
    def contrast(self) -> str:
        """Which classes are compared, in words."""
        what = _WORDS[self.content]
        if self.question == Question.PRESENCE:
            return (
                f"{self.name}: regions with microcalcifications against regions without; whether "
                "these are malignant is not known"
            )
        return f"{self.name}: malignant against benign {what}"

    def unseen(self, seen: frozenset[str]) -> tuple["RegionSet", int]:
        """Without the women of these keys, and how many of them there were."""
        kept = tuple(item for item in self.items if item.woman not in seen)
        women = {item.woman for item in self.items} & seen
        return replace(self, items=kept), len(women)

    def part(self, part: Part) -> "RegionSet":
        """Those of a part: by the woman's key alone, or by the manifest's own split."""

        def of(item: DataRegion) -> str:
            return item.row.split if self.own_split else part_of(item.woman)

        return replace(self, items=tuple(item for item in self.items if of(item) == part))


def is_source(text: str) -> bool:
    """Whether `text` is `KIND:PATH` of a kind that a manifest is made of."""
    kind, colon, path = text.partition(":")
    return bool(colon and path) and kind in SOURCES


def open_regions(text: str, content: MeasuredContent) -> RegionSet:
    """The regions of `KIND:PATH` that hold `content`; none at all is no error.

    The split of a `manifest:FILE` is taken from its column where every region has one, that of
    `cbis-mass-rois` from the exams of DDSM.

    Raises
    ------
    DataError
        The kind is unknown or the folder is not of that kind, or the manifest's own split has a
        woman in two parts.
    """
    manifest = open_manifest(text)
    kind = text.partition(":")[0] if is_source(text) else MANIFEST
    found = regions(manifest, kind, content, SOURCES[kind].acquisition)
    splits = kind in (MANIFEST, cbis_masses.NAME)
    own = splits and len(found) > 0 and all(r.row.split for r in found.items)
    if own:
        _refuse_leaks(found.items)
    return replace(found, own_split=own)


def regions(
    manifest: Manifest, name: str, content: MeasuredContent, acquisition: Acquisition
) -> RegionSet:
    """The manifest's regions that hold `content`, and why the other rows are none.

    `acquisition` is that of data sets that are not known by name. Where no row states whether it is
    malignant because all are of `pisa-calcifications`, the question is whether there are any.
    """
    absence = {row.dataset for row in manifest.rows} == {pisa_calcifications.NAME}
    question = Question.PRESENCE if absence else Question.MALIGNANCY
    items, reasons = [], []
    for row in manifest.rows:
        reason = _unfit(row, content, question)
        if reason:
            reasons.append(reason)
            continue
        known = SOURCES.get(row.dataset)
        positive = row.label == m.MALIGNANT
        if question == Question.PRESENCE:
            positive = row.lesion_kind == m.CALCIFICATION
        items.append(DataRegion(row, known.acquisition if known else acquisition, positive))
    excluded = (*manifest.left_out, *left_out(reasons))
    return RegionSet(name, content, question, tuple(items), excluded)


def _unfit(row: ManifestRow, content: MeasuredContent, question: Question) -> str:
    """Why a row is no region of that content; empty if it is one."""
    if question == Question.PRESENCE:
        return "" if content != "masses" else "region of calcifications or none: no mass"
    if row.box is None and row.mask is None and row.dataset not in WHOLE:
        if row.label == m.NORMAL:
            return "whole view without a finding"
        return "no box and no mask: where the finding lies is not stated"
    if row.label not in (m.MALIGNANT, m.BENIGN):
        return f"{row.label}: neither malignant nor benign"
    if not row.lesion_kind:
        return "kind of lesion not stated"
    if row.lesion_kind not in CONTAINED[content]:
        return f"{row.lesion_kind}: not of {_WORDS[content]}"
    return ""


def _refuse_leaks(items: Iterable[DataRegion]) -> None:
    parts: dict[str, str] = {}
    for item in items:
        if item.row.split not in _PARTS or parts.setdefault(item.woman, item.row.split) != (
            item.row.split
        ):
            raise DataError(
                "the manifest's split has a woman in two parts: `cadnode data check` names them, "
                "`cadnode data split` mends it"
            )


def without_reading(found: RegionSet, reasons: Iterable[str]) -> dict[str, int]:
    """All reasons with their counts: those of the rows, and `reasons` of what was not read."""
    counts = dict(found.left_out)
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return counts
