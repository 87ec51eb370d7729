"""What the detector of masses learns from: preprocessed views with their boxes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import Box, FindingKind, FloatImage, Laterality
from cadnode.errors import DataError, NotProcessable
from cadnode.files import written_whole
from cadnode.imaging import view_chain
from cadnode.imaging.view_chain import PreprocessSpec
from cadnode.models.store import woman_key
from cadnode_training.data import manifest as m
from cadnode_training.data.boxes import Boxes, boxes_in_tensor
from cadnode_training.data.images import load_image
from cadnode_training.data.manifest import Manifest, ManifestRow
from cadnode_training.data.sets import cbis_views
from cadnode_training.phantom import LesionPrior, PhantomSpec, exam

PHANTOM: Final = "phantom"
# As detection's other training: far from the seeds of evaluation.
_SEED: Final = 300_000
_DRAWN: Final = PhantomSpec(spacing_mm=0.35, rows=656, columns=547)
_MOSTLY_MASSES: Final = LesionPrior(one=0.7, two=0.1, cluster=0.15)


@dataclass(frozen=True, eq=False, slots=True)
class MassViews:
    """Views as the network sees them.

    Parameters
    ----------
    pixels
        `(n, h, w) uint8`, 0 outside the breast.
    boxes
        For each view `(k, 4) float32`: row0, col0, row1, col1 in pixels of the tensor.
    women
        Key of each view's woman; a phantom's has its seed.
    datasets
        Name of each view's set.
    """

    pixels: NDArray[np.uint8]
    boxes: tuple[Boxes, ...]
    women: tuple[str, ...]
    datasets: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.pixels)


def joined(parts: Sequence[MassViews]) -> MassViews:
    """All of the parts' views, in their order."""
    return MassViews(
        np.concatenate([part.pixels for part in parts]),
        tuple(boxes for part in parts for boxes in part.boxes),
        tuple(woman for part in parts for woman in part.women),
        tuple(name for part in parts for name in part.datasets),
    )


def of_manifest(manifest: Manifest, keys: Mapping[str, tuple[str, ...]]) -> Iterator[
    tuple[FloatImage, Laterality, list[Box], str, str]
]:  # fmt: skip
    """Image, side, boxes, woman's key and set of each view of the training and validation parts."""
    views: dict[Path, list[ManifestRow]] = {}
    for row in manifest.rows:
        if row.box is not None and row.split != m.TEST and row.lesion_kind in (m.MASS, m.BOTH):
            views.setdefault(row.image, []).append(row)
    for path, rows in views.items():
        image = load_image(path)
        if isinstance(image, str):
            continue
        first = rows[0]
        boxes = [row.box for row in rows if row.box is not None]
        key = key_of(first, keys)
        yield image, Laterality(first.laterality or "L"), boxes, key, first.dataset


def key_of(row: ManifestRow, keys: Mapping[str, tuple[str, ...]]) -> str:
    """The key of a row's woman that decides her fold; `keys` has those of CBIS-DDSM's women."""
    known = keys.get(row.woman) if row.dataset == cbis_views.NAME else None
    return known[0] if known else woman_key(row.dataset, row.woman)


def of_phantom(count: int) -> Iterator[tuple[FloatImage, Laterality, list[Box], str, str]]:
    """The same of `count` phantom exams, most of whose breasts have a mass."""
    for seed in range(_SEED, _SEED + count):
        for view in exam(seed, _DRAWN, lesions=_MOSTLY_MASSES).views:
            boxes = [lesion.box for lesion in view.lesions if lesion.kind is FindingKind.MASS]
            yield view.image, view.laterality, boxes, woman_key(PHANTOM, str(seed)), PHANTOM


def prepared(
    views: Iterator[tuple[FloatImage, Laterality, list[Box], str, str]], spec: PreprocessSpec
) -> MassViews:
    """The views by the serving chain; those in which no breast is found are left out.

    Raises
    ------
    DataError
        None is left.
    """
    chain = view_chain.build(spec)
    pixels, boxes, women, datasets = [], [], [], []
    for image, side, found, woman, dataset in views:
        try:
            ready = chain(view_chain.start(image, side))
        except NotProcessable:
            continue
        pixels.append(np.asarray(ready.image[0] * 255 + 0.5, np.uint8))
        boxes.append(boxes_in_tensor(found, ready.placement))
        women.append(woman)
        datasets.append(dataset)
    if not pixels:
        raise DataError("no view with masses could be preprocessed")
    return MassViews(np.stack(pixels), tuple(boxes), tuple(women), tuple(datasets))


def write(file: Path, views: MassViews) -> None:
    """Keep the views in one file, whole or not at all.

    Women are named by hashes of their pseudonyms, so the array is called `keys`: erasure, which
    cannot tell whose they are, then deletes the file (`cadnode_training.data.erasure`).
    """
    with written_whole(file) as stored:
        np.savez(
            stored, pixels=views.pixels, boxes=np.concatenate(views.boxes),
            counts=np.array([len(boxes) for boxes in views.boxes]), keys=np.array(views.women),
            datasets=np.array(views.datasets),
        )  # fmt: skip


def read(file: Path) -> MassViews:
    """What `write` kept."""
    with np.load(file) as saved:
        ends = np.cumsum(saved["counts"])[:-1]
        return MassViews(
            saved["pixels"], tuple(np.split(saved["boxes"], ends)),
            tuple(saved["keys"].tolist()), tuple(saved["datasets"].tolist()),
        )  # fmt: skip
