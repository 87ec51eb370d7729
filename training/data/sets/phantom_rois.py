"""How phantom ROIs are made: cut and normalised by the node's own chain, once per folder.

Every ROI has a generator of its own, seeded with (seed, part, number), and every part a bank of
breasts of its own: parts share neither. A partly made set is continued where it stopped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from cadnode import terminal
from cadnode.domain import Acquisition, FindingKind, FloatImage
from cadnode.errors import DataError
from cadnode.imaging.roi_chain import RoiSpec, cut
from cadnode_training import phantom
from cadnode_training.data.rois import (
    IMAGES,
    PARTS,
    Part,
    RoiRecord,
    RoiSet,
    open_set,
    read_table,
    write_table,
)
from cadnode_training.phantom.descriptors import ClusterDescriptors

KIND: Final = "phantom"
# ROIs of the train, validation and test parts.
SIZES: Final = {
    "tiny": (24, 16, 16),
    "small": (240, 80, 120),
    "medium": (6000, 400, 800),
}
_SAVE_EVERY: Final = 100


@dataclass(frozen=True, slots=True)
class PhantomSource:
    """`phantom:NAME`, `phantom:N` or `phantom:TRAIN/VALIDATION/TEST`, numbers of ROIs, with a seed.

    `phantom:N` trains on N; validation and test part have a fifth of that. `only_test` makes it N
    to test on.
    """

    sizes: tuple[int, int, int]
    seed: int = 0

    @property
    def name(self) -> str:
        """As it is written on the command line."""
        sizes = "/".join(map(str, self.sizes))
        return f"{KIND}:{sizes}" + (f"@{self.seed}" if self.seed else "")

    def count(self, part: Part) -> int:
        """ROIs of a part."""
        return self.sizes[PARTS.index(part)]


def parse(text: str, *, only_test: bool = False) -> PhantomSource:
    """The source of `phantom:small`, `phantom:600`, `phantom:6000/400/800` or `phantom:small@SEED`.

    Raises
    ------
    DataError
        The text is none of these.
    """
    kind, _, rest = text.partition(":")
    size, _, seed = rest.partition("@")
    numbers = SIZES.get(size) or tuple(int(n) if n.isdecimal() else 0 for n in size.split("/"))
    if len(numbers) == 1:
        rest_of_it = max(numbers[0] // 5, 1)
        numbers = (numbers[0], rest_of_it, numbers[0] if only_test else rest_of_it)
    if kind != KIND or len(numbers) != len(PARTS) or not (seed or "0").isdecimal():
        known = ", ".join(SIZES)
        raise DataError(
            f"--data must be {KIND}:NAME ({known}), {KIND}:N, {KIND}:TRAIN/VALIDATION/TEST, or "
            f"KIND:PATH of real images (`cadnode data kinds`), not {text!r}"
        )
    if min(numbers) < 1:
        raise DataError("every part of a phantom set needs ROIs")
    return PhantomSource((numbers[0], numbers[1], numbers[2]), int(seed or 0))


@dataclass(frozen=True, eq=False, slots=True)
class Drawn:
    """A phantom ROI in the display's grey levels: `image` is `(S, S) float32 in [0, 1]`.

    `record.box` is the lesion's in its pixels.
    """

    image: FloatImage
    record: RoiRecord


def draw(source: PhantomSource, part: Part, number: int, *, size: int, spacing_mm: float) -> Drawn:
    """The ROI of a number; every second one is a film. The lesion lies near the middle."""
    rng = np.random.default_rng([source.seed, PARTS.index(part), number])
    acquisition = (Acquisition.DIGITAL, Acquisition.FILM)[number % 2]
    roi = phantom.roi(
        rng, size=size, spacing_mm=spacing_mm, kind=FindingKind.CALCIFICATION_CLUSTER,
        acquisition=acquisition, bank=len(PARTS) * source.seed + PARTS.index(part),
    )  # fmt: skip
    assert roi.lesion is not None
    described = roi.lesion.descriptors
    assert isinstance(described, ClusterDescriptors)
    row0, col0, row1, col1 = roi.lesion.box
    record = RoiRecord(
        key=f"{source.seed}:{part}:{number}",
        malignant=bool(roi.malignant),
        acquisition=acquisition.value,
        type=described.type.value,
        distribution=described.distribution.value,
        p_malignant=float(roi.p_malignant),
        box=(int(row0), int(col0), int(row1), int(col1)),
    )
    return Drawn(roi.image, record)


def prepare(
    source: PhantomSource, part: Part, spec: RoiSpec, folder: Path, *, margin: int, quiet: bool
) -> RoiSet:
    """The ROIs of a part as bytes, `margin` pixels larger on each side than the spec's."""
    size = spec.size + 2 * margin
    sizes = f"{source.count(part)}x{size}-{spec.spacing_mm:g}-{source.seed}"
    place = folder / f"{KIND}-{part}-{sizes}"
    if len(read_table(place)) < source.count(part):
        _make(source, part, spec.model_copy(update={"size": size}), place, quiet=quiet)
    return open_set(place)


def _make(source: PhantomSource, part: Part, spec: RoiSpec, place: Path, *, quiet: bool) -> None:
    place.mkdir(parents=True, exist_ok=True)
    count = source.count(part)
    images = _bytes(place / IMAGES, (count, spec.size, spec.size))
    records = read_table(place)
    todo = range(len(records), count)
    console = terminal.console(stderr=True, quiet=quiet)
    for number in track(todo, f"drawing {part} ROIs", console=console):
        drawn = draw(source, part, number, size=spec.size, spacing_mm=spec.spacing_mm)
        images[number] = as_bytes(drawn.image, spec)
        records.append(drawn.record)
        if len(records) % _SAVE_EVERY == 0 or len(records) == count:
            images.flush()
            write_table(place, source.name, records)


def as_bytes(image: FloatImage, spec: RoiSpec) -> NDArray[np.uint8]:
    """`(size, size) uint8`: cut and normalised by the node's chain."""
    pitch = (spec.spacing_mm, spec.spacing_mm)
    middle = (image.shape[0] / 2, image.shape[1] / 2)
    ready = cut(image, middle, pitch, spec).image[0]
    return np.asarray(np.rint(ready * 255), np.uint8)


def _bytes(file: Path, shape: tuple[int, int, int]) -> np.memmap[Any, np.dtype[np.uint8]]:
    mode = "r+" if file.exists() else "w+"
    return np.lib.format.open_memmap(file, mode, np.uint8, shape)
