"""What a minibatch of whole exams holds, and its loss (Kim 2018, Training Set-up)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from cadnode.domain import FloatImage
from cadnode.networks.dib_mg import MapNetwork, breast_logit
from cadnode_training.data.tensors import TensorCache
from cadnode_training.papers.kim2018.config import ExamsRecipe
from cadnode_training.papers.kim2018.exam_split import VIEWS, LabelledExam

_SIDES: Final = 2


@dataclass(frozen=True, slots=True)
class ExamBatch:
    """`views` is `(4 B, 1, H, W)`, an exam's four behind each other in the order of `VIEWS`.

    `cancer` is `(B, 2) float32`: of each exam's left and right breast.
    """

    views: Tensor
    cancer: Tensor


def perturb(rng: Generator, image: FloatImage, how: ExamsRecipe) -> FloatImage:
    """Contrast and brightness changed at random (Training Set-up: ±10 % each, every iteration).

    `image` is `(H, W) float32 in [0, 1]`, and so is the result. Choice: contrast about middle grey,
    brightness by a share of the grey range, the whole tensor and its padding alike, because the
    paper states no more; no geometry is changed.
    """
    contrast = np.float32(rng.uniform(1 - how.contrast, 1 + how.contrast))
    brightness = np.float32(rng.uniform(-how.brightness, how.brightness))
    changed = (image - np.float32(0.5)) * contrast + np.float32(0.5) + brightness
    return np.asarray(np.clip(changed, 0, 1), np.float32)


def exam_loss(network: MapNetwork, logit_maps: Tensor, batch: ExamBatch) -> Tensor:
    """Cross-entropy of the two classes, mean over the breasts.

    Two-stage global average pooling of `(4 B, h, w)` log-odds of cancer against normal: over each
    view's map, then over a breast's views. The mean of a difference is the difference of means, so
    that its sigmoid is the softmax of the pooled maps (Development of the Algorithm).
    Choice: over the views of a breast, whose own label it is compared with, because the paper
    reports a score of each breast (Fig. 3).
    """
    views = network.pool(logit_maps).view(-1, _SIDES, len(VIEWS) // _SIDES)
    return functional.binary_cross_entropy_with_logits(breast_logit(views), batch.cancer)


class ExamBatches:
    """Minibatches of whole exams: every epoch shows each once, in an order of its own.

    Each depends on seed, epoch and step alone. Exams that fill no minibatch at the end of an
    epoch begin the next one.

    Parameters
    ----------
    sources
        Tensors of each data set with its training exams.
    """

    def __init__(
        self,
        sources: Sequence[tuple[TensorCache, Sequence[LabelledExam]]],
        how: ExamsRecipe,
        seed: int,
    ) -> None:
        self.how, self.seed, self.epoch = how, seed, 0
        self._exams = [(cache, exam) for cache, exams in sources for exam in exams]
        self.batch = min(how.batch, len(self._exams))

    def __len__(self) -> int:
        return len(self._exams) // self.batch

    def make(self, epoch: int, step: int) -> ExamBatch:
        """The minibatch of a step."""
        rng = np.random.default_rng([self.seed, epoch, step])
        picked = [self._exams[i] for i in self._rows(epoch, step)]
        views = [
            perturb(rng, cache.image(row), self.how) for cache, exam in picked for row in exam.rows
        ]
        cancer = torch.tensor([exam.cancer for _, exam in picked], dtype=torch.float32)
        return ExamBatch(torch.from_numpy(np.stack(views))[:, None], cancer)

    def _rows(self, epoch: int, step: int) -> NDArray[np.int64]:
        """Passes through the exams follow each other across epochs."""
        first = (epoch * len(self) + step) * self.batch
        places = np.arange(first, first + self.batch)
        turns = places // len(self._exams)
        orders = {t: self._order(int(t)) for t in np.unique(turns)}
        return np.array(
            [orders[t][p % len(self._exams)] for t, p in zip(turns, places, strict=True)], np.int64
        )

    def _order(self, turn: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self.seed, turn, 1 << 20])
        return np.asarray(rng.permutation(len(self._exams)), np.int64)
