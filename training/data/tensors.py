"""How views are preprocessed once: the serving chain over a data set, kept as uint8."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cadnode.domain import FloatImage
from cadnode.errors import DataError, NotProcessable
from cadnode.imaging import view_chain
from cadnode.imaging.view_chain import PreprocessSpec
from cadnode_training.data import sources
from cadnode_training.data.views import ViewRecord

# Raised whenever geometry or grey levels change, so that old caches are not used.
_CHAIN_VERSION: Final = 1


def tensors(
    records: Iterable[ViewRecord], spec: PreprocessSpec
) -> Iterator[tuple[ViewRecord, FloatImage | None, str]]:
    """Each record with its `(1, h, w) float32` tensor, or with None and why there is none."""
    chain = view_chain.build(spec)
    for record in records:
        image = sources.load(record)
        if image is None:
            yield record, None, "file cannot be read"
            continue
        try:
            yield record, chain(view_chain.start(image, record.laterality)).image, ""
        except NotProcessable as error:
            yield record, None, error.reason.value


class TensorCache:
    """`(n, h, w) uint8` tensors of usable records, made on first use, read from disk later."""

    def __init__(self, records: Sequence[ViewRecord], spec: PreprocessSpec, folder: Path) -> None:
        file = folder / f"{_digest(records, spec)}.npz"
        if not file.exists():
            _fill(file, records, spec)
        with np.load(file) as saved:
            self.pixels: NDArray[np.uint8] = saved["pixels"]
            kept: NDArray[np.int64] = saved["kept"]
        self.records = tuple(records[i] for i in kept)

    def image(self, index: int) -> FloatImage:
        """`(h, w) float32 in [0, 1]`: within 1/510 of what serving sees."""
        return np.asarray(self.pixels[index], np.float32) / np.float32(255)


def _fill(file: Path, records: Sequence[ViewRecord], spec: PreprocessSpec) -> None:
    pixels, kept = [], []
    for index, (_, tensor, _) in enumerate(tensors(records, spec)):
        if tensor is not None:
            pixels.append(np.asarray(tensor[0] * 255 + 0.5, np.uint8))
            kept.append(index)
    if not pixels:
        raise DataError("no view could be preprocessed")
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial.npz")
    np.savez(partial, pixels=np.stack(pixels), kept=np.array(kept))
    os.replace(partial, file)


def _digest(records: Sequence[ViewRecord], spec: PreprocessSpec) -> str:
    digest = hashlib.sha256(f"{_CHAIN_VERSION}{spec.model_dump_json()}".encode())
    for record in records:
        status = record.path.stat()
        digest.update(f"{record.path.resolve()}{status.st_size}{status.st_mtime_ns}".encode())
    return digest.hexdigest()[:20]
