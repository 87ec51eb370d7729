"""Which ROIs a minibatch holds: by seed, epoch and step alone, so that training can resume."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from cadnode.domain import FloatImage
from cadnode_training.data.rois import RoiSet
from cadnode_training.papers.roi_cnn.augment import augment
from cadnode_training.papers.roi_cnn.config import Augmentation, Stage


@dataclass(frozen=True, slots=True)
class RoiBatch:
    """`images` is `(B, 1, h, w) float32 in [0, 1]`, `targets` `(B, 3) int64` (see `RoiRecord`).

    `affines` `(B, 2, 3)` lead from an image's (x, y) to the stored ROI's, in whose pixels `boxes`
    `(B, 4)` hold the lesions (row0, col0, row1, col1); NaN where none is known.
    """

    images: Tensor
    targets: Tensor
    affines: Tensor
    boxes: Tensor


def steps_of(rois: int, stage: Stage, copies: int, batch: int) -> int:
    """Minibatches of an epoch: all ROIs, each shown `copies` times, but at most the stage's."""
    whole = max(1, rois * copies // min(batch, max(rois, 1)))
    return min(stage.steps or whole, whole)


class RoiBatches:
    """The minibatches of one epoch after another; several may be made at once.

    Each epoch shows the ROIs in a new order, every one `copies` times, newly changed each time; a
    last part that does not fill a minibatch is left out.
    """

    def __init__(
        self, rois: RoiSet, stage: Stage, how: Augmentation, *, batch: int, whole: int, seed: int
    ) -> None:
        cv2.setNumThreads(1)
        self.rois, self.seed = rois, seed
        self.how = replace(how, translation_px=stage.translation_px(how, whole))
        # Only a part of the ROI is cut: then around the lesion, or it would often be missed.
        self._about = [r.centre if stage.size else None for r in rois.records]
        self.batch, self.size, self.epoch = min(batch, len(rois)), stage.size or whole, 0
        self._targets = np.array([r.targets for r in rois.records], np.int64)
        unknown = (np.nan,) * 4
        self._boxes = np.array([r.box or unknown for r in rois.records], np.float32)
        self._steps = steps_of(len(rois), stage, how.copies, batch)

    def __len__(self) -> int:
        return self._steps

    def make(self, epoch: int, step: int) -> RoiBatch:
        """The minibatch of a step."""
        rng = np.random.default_rng([self.seed, epoch, step])
        rows = self._rows(epoch, step)
        changed = [self._changed(rng, int(i)) for i in rows]
        return RoiBatch(
            torch.from_numpy(np.stack([image for image, _ in changed]))[:, None],
            torch.from_numpy(self._targets[rows]),
            torch.from_numpy(np.stack([affine for _, affine in changed])),
            torch.from_numpy(self._boxes[rows]),
        )

    def _changed(self, rng: Generator, row: int) -> tuple[FloatImage, NDArray[np.float32]]:
        return augment(rng, self.rois.images[row], self.size, self.how, self._about[row])

    def _rows(self, epoch: int, step: int) -> NDArray[np.int64]:
        """The ROIs of a step: passes through the data follow each other across epochs."""
        first = (epoch * len(self) + step) * self.batch
        places = np.arange(first, first + self.batch)
        turns = places // len(self.rois)
        orders = {t: self._order(int(t)) for t in np.unique(turns)}
        picked = [orders[t][p % len(self.rois)] for t, p in zip(turns, places, strict=True)]
        return np.array(picked, np.int64)

    def _order(self, turn: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self.seed, turn, 1 << 20])
        return np.asarray(rng.permutation(len(self.rois)), np.int64)
