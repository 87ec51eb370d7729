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

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from cadnode import terminal
from cadnode.detect.features import FEATURE_NAMES, features_of
from cadnode.detect.segment import segment_roi
from cadnode.domain import Acquisition, Box, FloatImage, Laterality
from cadnode.files import write_whole
from cadnode.models.card import Scenario
from cadnode.models.feature import Features
from cadnode_training.data.facts import facts_of
from cadnode_training.data.manifest import ManifestRow
from cadnode_training.data.read_cache import ReadCache
from cadnode_training.data.region_pixels import placed
from cadnode_training.data.regions import DataRegion, Regions, open_regions, without_reading
from cadnode_training.data.views import Part
from cadnode_training.papers.wang2016.table import FeatureTable

Floats = NDArray[np.float64]
# Raised whenever segmentation or features change, so that old tables are not used.
_MEASURED: Final = 1


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

    regions: Regions
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
class Measurements:
    """All regions of a source as they were measured: `(41,)` features, or why there are none."""

    text: str
    values: Mapping[ManifestRow, Floats | str]

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
                rows.append(value)
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


def _values(found: Regions, folder: Path | None, *, quiet: bool) -> dict[ManifestRow, Floats | str]:
    """Each row's features, or why there are none."""
    file = None if folder is None else folder / f"{found.name}-regions.npz"
    known = _read(file) if file is not None and file.exists() else {}
    values: dict[ManifestRow, Floats | str] = {}
    todo = []
    for item in found.items:
        stored = known.get(_key(item))
        if stored is None:
            todo.append(item)
        else:
            values[item.row] = stored
    console = terminal.console(stderr=True, quiet=quiet)
    pixels = track(placed(todo), "measuring regions", len(todo), console=console, disable=quiet)
    for item, place in pixels:
        if isinstance(place, str):
            values[item.row] = place
            continue
        features = measured(
            place.image, place.box, fmean(place.spacing_mm), place.region.acquisition, "both"
        )
        values[item.row] = known[_key(item)] = features.values
    if file is not None and todo:
        _write(file, known)
    return values


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
