"""What a stage learns: how many outputs, which loss, which number selects the better network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from cadnode.statistics.auc import auc
from cadnode_training.data.rois import DISTRIBUTIONS, TYPES, UNKNOWN
from cadnode_training.papers.roi_cnn.config import Task

# Outputs: benign, malignant, then the types, then the distributions.
_CLASSES: Final = 2
_SPREAD: Final = _CLASSES + len(TYPES)
_ALL: Final = _SPREAD + len(DISTRIBUTIONS)


@dataclass(frozen=True, slots=True)
class Learnt:
    """A task.

    Parameters
    ----------
    outputs
        Of the network. The first two are benign and malignant for every task, so that a later
        stage can keep them.
    loss
        Of `(B, outputs)` logits and `(B, 3)` targets (`RoiRecord.targets`).
    scores
        Numbers of the validation part; `score` is the one to raise.
    """

    outputs: int
    loss: Callable[[Tensor, Tensor], Tensor]
    scores: Callable[[NDArray[np.float32], NDArray[np.int64]], dict[str, float]]


def task(name: Task) -> Learnt:
    """The task of a name."""
    return _TASKS[name]


def _malignancy_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of benign and malignant: hard labels, as in the papers."""
    return cross_entropy(logits[:, :_CLASSES], targets[:, 0])


def _descriptor_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the type plus that of the distribution; unknown ones do not count."""
    known = [
        (logits[:, _CLASSES:_SPREAD], targets[:, 1]),
        (logits[:, _SPREAD:], targets[:, 2]),
    ]
    parts = [
        cross_entropy(part, wanted, ignore_index=UNKNOWN)
        for part, wanted in known
        if bool((wanted != UNKNOWN).any())
    ]
    return torch.stack(parts).sum() if parts else logits.sum() * 0


def _joint_loss(logits: Tensor, targets: Tensor) -> Tensor:
    return _malignancy_loss(logits, targets) + _descriptor_loss(logits, targets)


def _malignancy_scores(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> dict[str, float]:
    value = auc(targets[:, 0] == 1, logits[:, 1] - logits[:, 0])
    return {"auc": value, "score": value}


def _descriptor_scores(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> dict[str, float]:
    """Shares that are right, and their mean."""
    kind = _right(logits[:, _CLASSES:_SPREAD], targets[:, 1])
    spread = _right(logits[:, _SPREAD:], targets[:, 2])
    return {"type": kind, "distribution": spread, "score": (kind + spread) / 2}


def _joint_scores(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> dict[str, float]:
    """Both; the mean of AUC and of the shares that are right is to be raised."""
    shares, malignancy = _descriptor_scores(logits, targets), _malignancy_scores(logits, targets)
    return shares | malignancy | {"score": (shares["score"] + malignancy["score"]) / 2}


def _right(logits: NDArray[np.float32], wanted: NDArray[np.int64]) -> float:
    known = wanted != UNKNOWN
    return float((logits.argmax(1) == wanted)[known].mean()) if known.any() else 0.0


_TASKS: Final[dict[Task, Learnt]] = {
    "malignancy": Learnt(_CLASSES, _malignancy_loss, _malignancy_scores),
    "descriptors": Learnt(_ALL, _descriptor_loss, _descriptor_scores),
    "joint": Learnt(_ALL, _joint_loss, _joint_scores),
}
