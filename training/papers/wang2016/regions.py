"""Which features real regions have, each segmented in its box as the node segments it.

Every region is measured once, all 41 features, and kept: the three scenarios are choices of rows
and of columns.
"""

import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from cadnode import terminal
from cadnode.detect.features import FEATURE_NAMES, features_of
from cadnode.detect.features.masses import features_of_mask, refined_mask
from cadnode.detect.regions import BoolMask, Segmentation
from cadnode.detect.segment import segment_roi
from cadnode.domain import Acquisition, Box, FloatImage, Laterality
from cadnode.files import write_whole
from cadnode.models.card import Scenario
from cadnode.models.feature import Features
from cadnode_training.data.facts import facts_of
from cadnode_training.data.manifest import ManifestRow
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.region_pixels import Placed, mask_of, placed
from cadnode_training.data.regions import DataRegion, RegionSet, open_regions, without_reading
from cadnode_training.data.views import Part
from cadnode_training.papers.wang2016.table import FeatureTable

Floats = NDArray[np.float64]
# Raised whenever segmentation or features change, so that old tables are not used.
_MEASURED: Final = 2


def measured(
    image: FloatImage,
    box: Box,
    spacing_mm: float,
    acquisition: Acquisition,
    scenario: Scenario,
) -> Features:
    """Features of what the node segments inside a box of a view (or a piece of one)."""
    # The side only locates the chest wall, which does not matter inside a region.
    segmentation = segment_roi(image, Laterality.LEFT, spacing_mm, box, acquisition)
    return features_of(segmentation, scenario)


@dataclass(frozen=True, eq=False, slots=True)
class RegionTable:
    """A scenario's regions with their features.

    Parameters
    ----------
    regions
        Those that were measured, in the order of the table's rows.
    table
        With the scenario's features; empty where nothing is of the scenario.
    facts
        What is known of each region, by the names of `scored.FACTS`.
    left_out
        Reasons with their counts: rows that are no such region, images that cannot be read.
    """

    regions: RegionSet
    table: FeatureTable
    facts: tuple[dict[str, str], ...]
    left_out: Mapping[str, int]

    def where(self, keep: Iterable[bool]) -> "RegionTable":
        """Those that `keep` selects."""
        rows = [i for i, kept in enumerate(keep) if kept]
        return RegionTable(
            replace(self.regions, items=tuple(self.regions.items[i] for i in rows)),
            self.table.rows(np.array(rows, np.int64)),
            tuple(self.facts[i] for i in rows),
            self.left_out,
        )

    def unseen(self, seen: frozenset[str]) -> tuple["RegionTable", int]:
        """Without the women of these keys, and how many of them there were."""
        women = set(self.table.women.tolist()) & seen
        return self.where(woman not in seen for woman in self.table.women.tolist()), len(women)

    def part(self, part: Part) -> "RegionTable":
        """Those of a part (`cadnode_training.data.regions.Regions.part`)."""
        kept = set(self.regions.part(part).items)
        return self.where(item in kept for item in self.regions.items)


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    """What is measured in one region.

    Parameters
    ----------
    features
        `(d,)` of what the node segments, as `FEATURE_NAMES["both"]` names them.
    dice
        Of the mass that is segmented with the annotators' mask, before and after its outline is
        refined: 2 |A ∩ B| / (|A| + |B|); NaN without a mask.
    marked
        `(m,)` features of the annotators' mask, as `FEATURE_NAMES["masses"]` names them; NaN
        without one.
    """

    features: Floats
    dice: tuple[float, float]
    marked: Floats

    def flat(self) -> Floats:
        """Everything in a row, as it is kept."""
        return np.concatenate([self.features, self.dice, self.marked])

    @classmethod
    def of(cls, row: Floats) -> "Measured":
        """What `flat` gave."""
        n = len(FEATURE_NAMES["both"])
        return cls(row[:n], (float(row[n]), float(row[n + 1])), row[n + 2 :])


@dataclass(frozen=True, eq=False, slots=True)
class Measurements:
    """All regions of a source as they were measured, or why there are no numbers."""

    text: str
    values: Mapping[ManifestRow, Measured | str]

    def of(self, scenario: Scenario) -> RegionTable:
        """The regions of a scenario's content with its features."""
        found = open_regions(self.text, scenario)
        items, rows, failed = [], [], []
        for item in found.items:
            value = self.values[item.row]
            if isinstance(value, str):
                failed.append(value)
            else:
                items.append(item)
                rows.append(value.features)
        table = FeatureTable(
            found.name,
            FEATURE_NAMES["both"],
            np.array(rows, np.float64).reshape(len(rows), len(FEATURE_NAMES["both"])),
            np.array([item.positive for item in items], bool),
            np.full(len(items), np.nan),
            np.array([item.woman for item in items], np.str_),
        ).columns(FEATURE_NAMES[scenario])
        return RegionTable(
            replace(found, items=tuple(items)), table, tuple(map(facts_of, items)),
            without_reading(found, failed),
        )  # fmt: skip

    def marked(self, regions: RegionSet) -> Floats:
        """`(n, m)` features of the annotators' masks of masses; NaN where one has none."""
        return np.array([self._of(item).marked for item in regions.items], np.float64).reshape(
            len(regions), len(FEATURE_NAMES["masses"])
        )

    def dice(self, regions: RegionSet) -> Floats:
        """`(n, 2)` overlap of what is segmented with the masks, before and after refinement."""
        found = [self._of(item).dice for item in regions.items]
        return np.array(found, np.float64).reshape(len(regions), 2)

    def _of(self, item: DataRegion) -> Measured:
        value = self.values[item.row]
        assert isinstance(value, Measured)  # of a region that `of` gave
        return value


def measure(
    text: str,
    folder: Path | None = None,
    *,
    quiet: bool = True,
    cache: ReadCache | None = None,
) -> Measurements:
    """The measured regions of `KIND:PATH`; those that `folder` holds are not measured again.

    Raises
    ------
    DataError
        What is there is not of that kind.
    """
    kept = (cache or ReadCache()).of(("measured", text))
    if not kept:
        kept["values"] = _values(open_regions(text, "both"), folder, quiet=quiet)
    return Measurements(text, kept["values"])


def _values(
    found: RegionSet, folder: Path | None, *, quiet: bool
) -> dict[ManifestRow, Measured | str]:
    """Each row's numbers, or why there are none."""
    file = None if folder is None else folder / f"{found.name}-regions.npz"
    known = _read(file) if file is not None and file.exists() else {}
    values: dict[ManifestRow, Measured | str] = {}
    todo = []
    for item in found.items:
        stored = known.get(_key(item))
        if stored is None:
            todo.append(item)
        else:
            values[item.row] = Measured.of(stored)
    console = terminal.console(stderr=True, quiet=quiet)
    pixels = track(placed(todo), "measuring regions", len(todo), console=console, disable=quiet)
    for item, place in pixels:
        if isinstance(place, str):
            values[item.row] = place
            continue
        values[item.row] = one = _measure(place)
        known[_key(item)] = one.flat()
    if file is not None and todo:
        _write(file, known)
    return values


def _measure(place: Placed) -> Measured:
    # The side only locates the chest wall, which does not matter inside a region.
    segmentation = segment_roi(
        place.image, Laterality.LEFT, fmean(place.spacing_mm), place.box, place.region.acquisition
    )
    features = features_of(segmentation, "both").values
    mask = _marked(place, segmentation)
    if mask is None or not mask.any():
        nothing = np.full(len(FEATURE_NAMES["masses"]), np.nan)
        return Measured(features, (np.nan, np.nan), nothing)
    found = (segmentation.mass, refined_mask(segmentation))
    marked = features_of_mask(segmentation.image, mask, segmentation.spacing_mm)
    rough, fine = (_dice(one, mask) for one in found)
    return Measured(features, (rough, fine), marked.values)


def _marked(place: Placed, segmentation: Segmentation) -> BoolMask | None:
    """The annotators' mask in the pixels of the segmentation; None without one."""
    path = place.region.row.mask
    whole = None if path is None else mask_of(path)
    if whole is None or whole.shape != place.image.shape:
        return None
    box, (rows, cols) = segmentation.box, segmentation.image.shape
    part = whole[box.row0 : box.row1, box.col0 : box.col1].astype(np.float32)
    return np.asarray(cv2.resize(part, (cols, rows), interpolation=cv2.INTER_AREA) >= 0.5)


def _dice(found: BoolMask | None, mask: BoolMask) -> float:
    if found is None:
        return 0.0
    return float(2 * (found & mask).sum() / (found.sum() + mask.sum()))


def _key(region: DataRegion) -> str:
    """Of everything that a region's features depend on."""
    row = region.row
    digest = hashlib.sha256(f"{_MEASURED}{row.box}{row.spacing_mm}{row.dataset}".encode())
    for path in (row.image, row.mask):
        if path is not None and path.is_file():
            status = path.stat()
            digest.update(f"{path.resolve()}{status.st_size}{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]


def _read(file: Path) -> dict[str, Floats]:
    with np.load(file, allow_pickle=False) as stored:
        return dict(zip(stored["keys"].tolist(), stored["values"], strict=True))


def _write(file: Path, known: Mapping[str, Floats]) -> None:
    if not known:
        return
    stored = io.BytesIO()
    np.savez_compressed(stored, keys=np.array(list(known)), values=np.stack(list(known.values())))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, stored.getvalue())
