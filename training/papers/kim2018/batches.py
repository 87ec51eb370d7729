"""What a minibatch holds: simulated lesions first, then pairs of breasts beside them.

A pair is a breast with cancer and one without that differ in nothing else where possible: of the
same woman on film (same digitizer), of the same machine when digital.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from cadnode.domain import Acquisition, FloatImage
from cadnode_training.data.boxes import Boxes
from cadnode_training.data.tensors import TensorCache
from cadnode_training.papers.kim2018.config import ViewRecipe
from cadnode_training.papers.kim2018.lesions import LesionSimulator


def augment(rng: Generator, image: FloatImage) -> FloatImage:
    """The view slightly turned, scaled, sheared and moved, perhaps upside down, regraded.

    Contrast ±15 % and brightness ±8 % (Kim 2018: ±10 % each), a power law, and now and then blur
    or noise. `image` is `(H, W) float32 in [0, 1]`, 0 outside the breast, and stays so.
    """
    return augmented(rng, image, np.zeros((0, 4), np.float32))[0]


def augmented(rng: Generator, image: FloatImage, boxes: Boxes) -> tuple[FloatImage, FloatImage]:
    """As `augment`, and `(H, W) float32`: 1 where in it the boxes lie."""
    affine = _affine(rng, image.shape)
    moved, target = (
        np.asarray(cv2.warpAffine(one, affine, one.shape[::-1], flags=cv2.INTER_LINEAR))
        for one in (image, _filled(boxes, image.shape))
    )
    if rng.random() < 0.5:
        moved, target = moved[::-1], target[::-1]
    return _regraded(rng, moved), target


def _filled(boxes: Boxes, shape: tuple[int, ...]) -> FloatImage:
    """1 inside the ellipse in each box: lesions fill no corners."""
    drawn = np.zeros(shape, np.float32)
    for row0, col0, row1, col1 in boxes:
        middle = ((col0 + col1) / 2 - 0.5, (row0 + row1) / 2 - 0.5)
        cv2.ellipse(drawn, (middle, (col1 - col0, row1 - row0), 0.0), 1.0, cv2.FILLED)
    return drawn


def _regraded(rng: Generator, moved: FloatImage) -> FloatImage:
    inside = moved > 0.002
    graded = np.clip(moved, 0, 1) ** np.exp(rng.normal(0, 0.2))
    graded = graded * rng.uniform(0.85, 1.15) + rng.uniform(-0.08, 0.08)
    if rng.random() < 0.2:
        sharp = np.ascontiguousarray(graded, dtype=np.float32)
        graded = cv2.GaussianBlur(sharp, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.3:
        graded = graded + rng.normal(0, rng.uniform(0.005, 0.03), graded.shape)
    return np.where(inside, np.clip(graded, 1 / 255, 1), 0).astype(np.float32)


def _affine(rng: Generator, shape: tuple[int, ...]) -> FloatImage:
    rows, cols = shape
    angle = np.deg2rad(rng.normal(0, 6))
    tall, wide = np.exp(rng.normal(0, 0.07, 2))
    shear = rng.normal(0, 0.05)
    turn = np.array(
        [[np.cos(angle) * wide, shear - np.sin(angle)], [np.sin(angle), np.cos(angle) * tall]]
    )
    centre = np.array([cols / 2, rows / 2])
    shift = centre - turn @ centre + rng.normal(0, 0.03, 2) * (cols, rows)
    return np.column_stack([turn, shift]).astype(np.float32)


BreastRows = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ViewBatch:
    """A minibatch.

    Parameters
    ----------
    views
        `(B, 1, H, W)`: first the pairs, four views each (cancer, cancer, other, other).
    pairs
        Their number.
    targets
        `(S, h, w)` for the last S views: the simulated lesion's share of each map cell.
    real
        `(4 · pairs, h, w)`: the same of cancers with a box.
    known
        `(4 · pairs,)` for which of them `real` holds: those of breasts without cancer, and those
        with a box. False where boxes are not asked for.
    """

    views: Tensor
    pairs: int
    targets: Tensor
    real: Tensor
    known: Tensor


@dataclass(frozen=True, eq=False, slots=True)
class ViewSource:
    """Training views of one data set: which may be backgrounds, which breasts form pairs."""

    cache: TensorCache
    acquisition: Acquisition
    backgrounds: tuple[int, ...]
    cancers: tuple[BreastRows, ...]
    partners: tuple[tuple[BreastRows, ...], ...]

    @classmethod
    def of(cls, cache: TensorCache, acquisition: Acquisition, rows: Sequence[int]) -> "ViewSource":
        """The source made of those of the cache's records that `rows` names."""
        usable = [i for i in rows if cache.records[i].trainable]
        breasts: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i in usable:
            breasts[cache.records[i].breast].append(i)
        healthy: dict[str, list[BreastRows]] = defaultdict(list)
        for views in breasts.values():
            first = cache.records[views[0]]
            if not first.cancer:
                healthy[_matched(first.woman, first.stratum, acquisition)].append(tuple(views))
        cancers, partners = [], []
        for views in breasts.values():
            first = cache.records[views[0]]
            others = healthy.get(_matched(first.woman, first.stratum, acquisition))
            if first.cancer and others:
                cancers.append(tuple(views))
                partners.append(tuple(others))
        backgrounds = tuple(i for i in usable if not cache.records[i].cancer)
        return cls(cache, acquisition, backgrounds, tuple(cancers), tuple(partners))


def _matched(woman: str, stratum: str, acquisition: Acquisition) -> str:
    """What a cancer breast and its partner have in common."""
    return woman if acquisition == Acquisition.FILM else stratum


class ViewBatches:
    """The minibatches of one epoch after another; the next is made while one is in training.

    Every minibatch depends on seed, epoch and step alone, so that a resumed training goes
    on as if it had never stopped.

    Parameters
    ----------
    cell
        Pixels of a map cell's side.
    """

    def __init__(
        self, sources: Sequence[ViewSource], recipe: ViewRecipe, seed: int, cell: int
    ) -> None:
        cv2.setNumThreads(1)
        self.sources, self.recipe, self.seed, self.cell = sources, recipe, seed, cell
        self.epoch = 0
        self._simulator = LesionSimulator(seed)

    def __len__(self) -> int:
        return self.recipe.schedule.steps_per_epoch

    def __iter__(self) -> Iterator[ViewBatch]:
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(self.make, self.epoch, 0)
            for step in range(len(self)):
                batch = ahead.result()
                if step + 1 < len(self):
                    ahead = pool.submit(self.make, self.epoch, step + 1)
                yield batch

    def make(self, epoch: int, step: int) -> ViewBatch:
        """The minibatch of a step: simulated views only in the first phase, both later."""
        rng = np.random.default_rng([self.seed, epoch, step])
        pretrain = epoch < self.recipe.schedule.pretrain_epochs
        paired = [] if pretrain else self._pairs(rng)
        views = [view for view, _, _ in paired]
        real = [self._cells(target) for _, target, _ in paired]
        pairs = len(views) // 4
        progress = epoch / max(self.recipe.schedule.pretrain_epochs, 1)
        strength = 1.3 - 0.4 * progress if pretrain else 0.95
        count = self.recipe.pretrain.batch if pretrain else self.recipe.finetune.simulated
        targets = []
        for number in range(count):
            image = self._background(rng, number)
            targets.append(self._cells(self._simulator.draw(rng, image, strength=strength)))
            views.append(image)
        shown = torch.from_numpy(np.stack(targets))
        return ViewBatch(
            torch.from_numpy(np.stack(views))[:, None], pairs, shown,
            torch.from_numpy(np.stack(real)) if real else shown[:0],
            torch.tensor([known for _, _, known in paired], dtype=torch.bool),
        )  # fmt: skip

    def _pairs(self, rng: Generator) -> list[tuple[FloatImage, FloatImage, bool]]:
        """Views, where in them cancer is, and whether that is known."""
        views = []
        for source in self.sources:
            digital = source.acquisition == Acquisition.DIGITAL
            tune = self.recipe.finetune
            for _ in range(tune.digital_pairs if digital else tune.film_pairs):
                if not source.cancers:
                    continue
                chosen = int(rng.integers(len(source.cancers)))
                others = source.partners[chosen]
                for breast in (source.cancers[chosen], others[rng.integers(len(others))]):
                    for index in rng.choice(breast, 2, replace=len(breast) < 2):
                        views.append(self._located(rng, source, int(index)))
        return views

    def _located(
        self, rng: Generator, source: ViewSource, index: int
    ) -> tuple[FloatImage, FloatImage, bool]:
        boxes = source.cache.boxes(index)
        image, target = augmented(rng, source.cache.image(index), boxes)
        known = len(boxes) > 0 or not source.cache.records[index].cancer
        return image, target, known and self.recipe.finetune.boxes > 0

    def _background(self, rng: Generator, number: int) -> FloatImage:
        source = self.sources[number % len(self.sources)]
        return augment(rng, source.cache.image(int(rng.choice(source.backgrounds))))

    def _cells(self, target: FloatImage) -> FloatImage:
        size = (target.shape[1] // self.cell, target.shape[0] // self.cell)
        return np.asarray(cv2.resize(target, size, interpolation=cv2.INTER_AREA))
