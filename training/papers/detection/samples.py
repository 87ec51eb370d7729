"""What the learned filter is trained on: labelled candidates of real and simulated images."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cadnode.detect.frame import DetectionFrame, breast_frame, whole_frame
from cadnode.detect.hotspots import Hotspot, hotspots
from cadnode.detect.patches import cut_patches
from cadnode.detect.specks import find_specks
from cadnode.domain import Acquisition, FindingKind
from cadnode.errors import DataError
from cadnode.files import write_whole
from cadnode.imaging.geometry import resize
from cadnode.networks.patch_filter import DetectorConfig
from cadnode_training.data.sets import mini_mias, pisa_calcifications
from cadnode_training.papers.detection.cases import MARGIN_MM
from cadnode_training.papers.detection.implants import Implant, implant
from cadnode_training.phantom import RoiSource

_NEAR_MM: Final = 3.0
_FEWEST: Final = 3
_PHANTOM_MM: Final = (0.1, 0.07)


@dataclass(frozen=True, eq=False, slots=True)
class Samples:
    """Candidates: arrays of equal length `n`.

    Parameters
    ----------
    patches
        `(n, P, P) float16`, as `cut_patches` gives them.
    statistics
        `(n, S) float32`.
    labels
        `(n,) bool`: a cluster.
    groups
        `(n,)` data set and woman; simulated ones have groups of their own.
    sources
        `(n,)` where the candidate is from: `mini-mias`, `implant`, `phantom`, …
    images
        `(n,)` the image it was found in.
    """

    patches: NDArray[np.float16]
    statistics: NDArray[np.float32]
    labels: NDArray[np.bool_]
    groups: NDArray[np.str_]
    sources: NDArray[np.str_]
    images: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> "Samples":
        """Those that `keep` selects."""
        return Samples(
            self.patches[keep], self.statistics[keep], self.labels[keep],
            self.groups[keep], self.sources[keep], self.images[keep],
        )  # fmt: skip


def joined(parts: Sequence[Samples]) -> Samples:
    """All of them."""
    return Samples(
        *(np.concatenate([getattr(p, name) for p in parts]) for name in Samples.__slots__)
    )


def write(file: Path, found: Samples) -> None:
    """Keep candidates in a file, replaced at once; `read` gives them back."""
    stored = io.BytesIO()
    np.savez(stored, **{name: getattr(found, name) for name in Samples.__slots__})
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, stored.getvalue())


def read(file: Path) -> Samples:
    """Candidates that `write` wrote; no object is unpickled.

    Raises
    ------
    DataError
        The file is damaged.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            return Samples(*(stored[name] for name in Samples.__slots__))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise DataError(f"{file.name} is damaged; start from scratch") from None


def mias_samples(
    views: Sequence[mini_mias.MiasView], config: DetectorConfig, rng: Generator, *, rounds: int
) -> Iterator[Samples]:
    """Candidates of each view, and of copies of those without calcifications with some drawn in."""
    for view in views:
        image = mini_mias.load(view)
        frame = None if image is None else breast_frame(image, mini_mias.SPACING_MM)
        if frame is None:
            continue
        group = f"{mini_mias.NAME}:{view.woman}"
        spots = _spots(frame)
        labels = _mias_labels(view, frame, spots)
        kept = [s for s, label in zip(spots, labels, strict=True) if label is not None]
        sure = [bool(label) for label in labels if label is not None]
        if kept:
            yield _samples(frame, kept, sure, config, group, mini_mias.NAME, view.name)
        if mini_mias.CALCIFICATION in view.kinds:
            continue
        for _ in range(rounds):
            yield from _implanted(frame, config, rng, group, view.name)


def pisa_samples(
    rois: Sequence[pisa_calcifications.PisaRoi], config: DetectorConfig
) -> Iterator[Samples]:
    """The most crowded candidate of each region, at its own and at mini-MIAS' pixel size."""
    for roi in rois:
        image = pisa_calcifications.load(roi)
        if image is None:
            continue
        for coarser in (1.0, mini_mias.SPACING_MM / pisa_calcifications.SPACING_MM):
            frame = roi_frame(image, pisa_calcifications.SPACING_MM, coarser)
            spots = _spots(frame)[:1]
            if spots:
                group = f"{pisa_calcifications.NAME}:{roi.woman}"
                name = pisa_calcifications.NAME + ("" if coarser == 1 else " 0.2 mm")
                yield _samples(frame, spots, [roi.positive], config, group, name, roi.path.name)


def phantom_samples(
    count: int, config: DetectorConfig, rng: Generator, *, bank: int
) -> Iterator[Samples]:
    """Candidates of phantom regions, half of them with a cluster."""
    kinds = (Acquisition.DIGITAL, Acquisition.FILM)
    for spacing_mm in _PHANTOM_MM:
        for acquisition in kinds:
            source = RoiSource(bank, 6, spacing_mm=spacing_mm, acquisition=acquisition)
            size = int(36 / spacing_mm)
            for number in range(count // 4):
                kind = FindingKind.CALCIFICATION_CLUSTER if number % 2 else None
                roi = source.draw(rng, size=size, kind=kind)
                frame = whole_frame(roi.image, spacing_mm)
                spots = _spots(frame)[:8]
                if roi.lesion is not None:
                    points = frame.to_frame(roi.lesion.calcifications)
                    labels = _near(spots, [Implant(points)], frame.spacing_mm)
                    spots = [s for s, label in zip(spots, labels, strict=True) if label]
                if spots:
                    name = f"phantom:{spacing_mm:g}-{acquisition.value}-{number}"
                    truth = [roi.lesion is not None] * len(spots)
                    yield _samples(frame, spots, truth, config, name, "phantom", name)


def roi_frame(
    image: NDArray[np.float32], spacing_mm: float, coarser: float = 1.0
) -> DetectionFrame:
    """A small region, mirrored at its sides so that filters and patches have surroundings."""
    around = int(5 / spacing_mm)
    wide = np.pad(image, around, mode="symmetric")
    valid = np.zeros(wide.shape, np.bool_)
    valid[around:-around, around:-around] = True
    shape = tuple(round(n / coarser) for n in wide.shape)
    frame = whole_frame(resize(np.ascontiguousarray(wide), shape), spacing_mm * coarser)
    inner = resize(valid.astype(np.float32), frame.image.shape) > 0.5
    return replace(frame, valid=np.asarray(inner, np.bool_))


def _implanted(
    frame: DetectionFrame, config: DetectorConfig, rng: Generator, group: str, name: str
) -> Iterator[Samples]:
    """Candidates on drawn clusters (positive) and on drawn single specks (negative)."""
    image, clusters, singles = implant(rng, frame, clusters=6, distractors=4)
    changed = replace(frame, image=image)
    spots = _spots(changed)
    positive = _near(spots, clusters, frame.spacing_mm)
    single = _near(spots, singles, frame.spacing_mm, fewest=1)
    kept = [s for s, p, n in zip(spots, positive, single, strict=True) if p or n]
    labels = [p for p, n in zip(positive, single, strict=True) if p or n]
    if kept:
        yield _samples(changed, kept, labels, config, group, "implant", name)


def _spots(frame: DetectionFrame) -> list[Hotspot]:
    return hotspots(frame, find_specks(frame.image, frame.valid, frame.spacing_mm))


def _near(
    spots: Sequence[Hotspot], implants: Sequence[Implant], spacing_mm: float, fewest: int = _FEWEST
) -> list[bool]:
    """Which candidates have `fewest` drawn calcifications of one cluster within 3 mm."""
    points = np.array([s.point for s in spots]).reshape(-1, 2)
    hit = np.zeros(len(points), np.bool_)
    for one in implants:
        within = cKDTree(one.points).query_ball_point(points, _NEAR_MM / spacing_mm)
        hit |= np.array([len(w) >= fewest for w in within], np.bool_)
    return [bool(h) for h in hit]


def _mias_labels(
    view: mini_mias.MiasView, frame: DetectionFrame, spots: Sequence[Hotspot]
) -> list[bool | None]:
    """True in an annotated circle of calcifications, False away from any, None where unsure."""
    circles = [c for c in view.circles if c.kind == mini_mias.CALCIFICATION]
    unplaced = view.kinds.count(mini_mias.CALCIFICATION) > len(circles)
    points = frame.to_source(np.array([s.point for s in spots]).reshape(-1, 2))
    labels: list[bool | None] = []
    for row, col in points:
        gaps = [np.hypot(row - c.row, col - c.col) - c.radius for c in circles]
        nearest = min(gaps, default=np.inf) * mini_mias.SPACING_MM
        if nearest <= MARGIN_MM:
            labels.append(True)
        else:
            labels.append(None if circles or unplaced else False)
    return labels


def _samples(
    frame: DetectionFrame,
    spots: Sequence[Hotspot],
    labels: Sequence[bool],
    config: DetectorConfig,
    group: str,
    source: str,
    image: str,
) -> Samples:
    patches = cut_patches(
        frame.image, frame.spacing_mm, [s.point for s in spots],
        size=config.patch, at_mm=config.spacing_mm,
    )  # fmt: skip
    return Samples(
        patches.astype(np.float16),
        np.stack([s.statistics for s in spots]).astype(np.float32),
        np.array(labels, np.bool_),
        np.array([group] * len(spots)),
        np.array([source] * len(spots)),
        np.array([image] * len(spots)),
    )
