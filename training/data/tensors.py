"""How views are preprocessed once: the serving chain over a data set, kept as uint8."""

import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import FloatImage
from cadnode.errors import DataError, NotProcessable
from cadnode.files import lock, write_whole
from cadnode.imaging import view_chain
from cadnode.imaging.view_chain import PreprocessSpec, View
from cadnode_training.data import sources
from cadnode_training.data.boxes import Boxes, boxes_in_tensor
from cadnode_training.data.views import ViewRecord

# Raised whenever geometry, grey levels or files change, so that old caches are not used.
_CHAIN_VERSION: Final = 2
_MOST_VIEWS: Final = 32
_MOST_PIXELS: Final = _MOST_VIEWS * 512 * 320


def tensors(
    records: Iterable[ViewRecord], spec: PreprocessSpec
) -> Iterator[tuple[ViewRecord, FloatImage | None, str]]:
    """Each record with its `(1, h, w) float32` tensor, or with None and why there is none."""
    for record, view, reason in _preprocessed(records, spec):
        yield record, None if view is None else view.image, reason


def _preprocessed(
    records: Iterable[ViewRecord], spec: PreprocessSpec
) -> Iterator[tuple[ViewRecord, View | None, str]]:
    chain = view_chain.build(spec)
    for record in records:
        image = sources.load(record)
        if image is None:
            yield record, None, "file cannot be read"
            continue
        try:
            yield record, chain(view_chain.start(image, record.laterality)), ""
        except NotProcessable as error:
            yield record, None, error.reason.value


class TensorCache:
    """`(n, h, w) uint8` tensors of usable records, made on first use, then mapped into memory.

    Views of 1600 × 1600 pixels by the ten thousand fit no memory: a minibatch reads its own.
    """

    def __init__(self, records: Sequence[ViewRecord], spec: PreprocessSpec, folder: Path) -> None:
        stem = folder / _digest(records, spec)
        pixels, rows = stem.with_suffix(".npy"), stem.with_suffix(".rows.npy")
        boxes = stem.with_suffix(".boxes.npy")
        if not rows.exists():
            _fill(pixels, boxes, rows, records, spec)
        self._rows: NDArray[np.int64] = np.load(rows)
        self._boxes: Boxes = np.load(boxes)
        self._pixels: NDArray[np.uint8] = np.load(pixels, mmap_mode="r")
        self.records = tuple(records[i] for i in self._rows)

    @property
    def at_once(self) -> int:
        """How many are read at once: 32, and fewer of more than 512 × 320 pixels."""
        return max(1, min(_MOST_VIEWS, _MOST_PIXELS // int(self._pixels[0].size)))

    def image(self, index: int) -> FloatImage:
        """`(h, w) float32 in [0, 1]`: within 1/510 of what serving sees."""
        return np.asarray(self._pixels[self._rows[index]], np.float32) / np.float32(255)

    def boxes(self, index: int) -> Boxes:
        """`(k, 4) float32`: where cancers lie in it, as far as its record says so."""
        return self._boxes[self._boxes[:, 0] == self._rows[index], 1:]


def _fill(
    pixels: Path, boxes: Path, rows: Path, records: Sequence[ViewRecord], spec: PreprocessSpec
) -> None:
    """Write a place for each record, and after it which places hold a tensor.

    Choice: written, and mapped only to be read, because a full disk under a mapping kills the
    process (SIGBUS) where a write raises `OSError`.
    """
    pixels.parent.mkdir(parents=True, exist_ok=True)
    partial = pixels.with_suffix(".partial")
    with partial.open("ab") as file:
        if not lock(file.fileno(), wait=False):
            raise DataError(f"another training is preparing these views in {partial.parent.name}")
        if rows.exists():
            return
        try:
            file.truncate(0)  # of a training that was killed
            kept, found = _write(file, records, spec)
            os.replace(partial, pixels)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        for name, array in ((boxes, found), (rows, np.array(kept, np.int64))):
            written = io.BytesIO()
            np.save(written, array)
            write_whole(name, written.getvalue())


def _write(
    file: BinaryIO, records: Sequence[ViewRecord], spec: PreprocessSpec
) -> tuple[list[int], Boxes]:
    """Which places hold a tensor; the others are zeros. `(k, 5)` place and box of each cancer."""
    kept: list[int] = []
    boxes = [np.zeros((0, 5), np.float32)]
    shape = (len(records), spec.height, spec.width)
    head = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, head)
    for index, (record, view, _) in enumerate(_preprocessed(records, spec)):
        if view is None:
            file.write(bytes(spec.height * spec.width))
        else:
            file.write(np.asarray(view.image[0] * 255 + 0.5, np.uint8).tobytes())
            kept.append(index)
            placed = boxes_in_tensor(record.boxes, view.placement)
            boxes.append(np.insert(placed, 0, index, axis=1))
    if not kept:
        raise DataError("no view could be preprocessed")
    file.flush()
    os.fsync(file.fileno())
    return kept, np.concatenate(boxes)


def _digest(records: Sequence[ViewRecord], spec: PreprocessSpec) -> str:
    digest = hashlib.sha256(f"{_CHAIN_VERSION}{spec.model_dump_json()}".encode())
    for record in records:
        status = record.path.stat()
        digest.update(f"{record.path.resolve()}{status.st_size}{status.st_mtime_ns}".encode())
        digest.update(f"{[tuple(box) for box in record.boxes]}".encode())
    return digest.hexdigest()[:20]
