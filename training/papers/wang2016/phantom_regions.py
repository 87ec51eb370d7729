"""Which phantom regions the three scenarios use, segmented as the node does it.

What was planted is used for the label and for the box that a person would draw, never for the
segmentation: serving has no planted masks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.random import Generator

from cadnode.domain import Acquisition, Box, FindingKind, FloatImage, ViewPosition
from cadnode.models.card import Scenario
from cadnode_training import phantom
from cadnode_training.data.rois import PARTS, Part
from cadnode_training.data.sets.phantom_rois import PhantomSource
from cadnode_training.phantom import lesions, risk
from cadnode_training.phantom.anatomy import draw_breast
from cadnode_training.phantom.descriptors import PhantomCase
from cadnode_training.phantom.view import Canvas, PhantomSpec, canvas, exposed

PhantomContent = Literal["cluster", "mass", "pair"]
CONTENTS: Final[tuple[PhantomContent, ...]] = ("cluster", "mass", "pair")
# What the regions of a scenario hold, in which shares. Choice: the paper's own shares of
# calcifications alone, a mass alone and both are 62, 22 and 16 % (Table 1); masses and pairs are
# more here, because they are harder to learn.
MIX: Final[Mapping[Scenario, tuple[float, float, float]]] = {
    "calcifications": (1.0, 0.0, 0.0),
    "masses": (0.0, 1.0, 0.0),
    "both": (0.4, 0.3, 0.3),
}
# Beside real masses no mass alone is drawn: calcifications alone and with a mass, as many of each
# as in the paper's training group (Table 1).
BESIDE_REAL_MASSES: Final[Mapping[PhantomContent, int]] = {"cluster": 623, "pair": 156}
SIZE: Final = 512
SPACING_MM: Final = 0.1
# How far outside of the lesion a person's box ends, on each side.
_MARGIN_MM: Final = (1.0, 5.0)
_VIEWS: Final = 8
_FIELD_MM: Final = (228.0, 150.0)
_REACH_MM: Final = 20.0


@dataclass(frozen=True, eq=False, slots=True)
class PhantomRegion:
    """A piece of a view with its lesions' box: what a person who marks it gives the node.

    `image` is `(512, 512) float32 in [0, 1]` with pixels of 0.1 mm.
    """

    image: FloatImage
    box: Box
    acquisition: Acquisition
    malignant: bool
    p_malignant: float


def draw(source: PhantomSource, content: PhantomContent, part: Part, number: int) -> PhantomRegion:
    """The region of a number; every second one is a film.

    Each number has a generator of its own, and every part a bank of breasts of its own.
    """
    rng = np.random.default_rng([source.seed, PARTS.index(part), number, CONTENTS.index(content)])
    acquisition = (Acquisition.DIGITAL, Acquisition.FILM)[number % 2]
    bank = len(PARTS) * source.seed + PARTS.index(part)
    if content == "pair":
        return _pair(rng, _canvases(bank, acquisition))
    kind = FindingKind.CALCIFICATION_CLUSTER if content == "cluster" else FindingKind.MASS
    roi = phantom.roi(
        rng, size=SIZE, spacing_mm=SPACING_MM, kind=kind, acquisition=acquisition, bank=bank
    )
    assert roi.lesion is not None
    return PhantomRegion(
        roi.image, _drawn(rng, [roi.lesion.box]), acquisition, roi.malignant, roi.p_malignant
    )


def counts(scenario: Scenario, n: int, *, beside_real: bool = False) -> dict[PhantomContent, int]:
    """How many of `n` regions of a scenario hold what; at least one of each that it has.

    `beside_real`: whether real masses are in the data: *both* then takes no phantom's.
    """
    if beside_real and scenario == "both":
        whole = sum(BESIDE_REAL_MASSES.values())
        return {
            content: max(1, round(n * share / whole))
            for content, share in BESIDE_REAL_MASSES.items()
        }
    shares = zip(CONTENTS, MIX[scenario], strict=True)
    return {content: max(1, round(share * n)) for content, share in shares if share}


def joined(cluster: float, mass: float) -> float:
    """Probability that a cluster within a mass is malignant, of their own probabilities.

    The mass adds its evidence, its log-odds less those of its series, to the cluster's log-odds:
    as if independent given the outcome, like `cadnode_training.phantom.risk`.
    """
    evidence = _log_odds(mass) - _log_odds(risk.MASS_BASE_RATE)
    return float(1 / (1 + np.exp(-_log_odds(cluster) - evidence)))


def bayes_auc(scenario: Scenario) -> float:
    """The AUC that no reader of these regions exceeds: exact, over all looks and their mix."""
    clusters, masses = (
        [(c.prior, c.p_malignant) for c in risk.combinations(kind)]
        for kind in (FindingKind.CALCIFICATION_CLUSTER, FindingKind.MASS)
    )
    alone, single, both = MIX[scenario]
    table = [(alone * w, p) for w, p in clusters] + [(single * w, p) for w, p in masses]
    table += [(both * v * w, joined(p, q)) for v, p in clusters for w, q in masses]
    weight, p = np.array(table).T
    order = np.argsort(p)
    malignant, benign = (weight * p)[order], (weight * (1 - p))[order]
    _, group = np.unique(np.round(p[order], 12), return_inverse=True)
    pos, neg = np.bincount(group, malignant), np.bincount(group, benign)
    return float((pos * (np.cumsum(neg) - neg / 2)).sum() / (pos.sum() * neg.sum()))


def _pair(rng: Generator, canvases: tuple[Canvas, ...]) -> PhantomRegion:
    """A mass with a cluster in or about it, and one malignancy of both their looks."""
    source = canvases[int(rng.integers(len(canvases)))]
    ground = np.argwhere(source.ground)
    row, col = (ground[int(rng.integers(len(ground)))] + rng.random(2)) * source.coarse
    corner = (
        int(np.clip(row - SIZE / 2, 0, source.image.shape[0] - SIZE)),
        int(np.clip(col - SIZE / 2, 0, source.image.shape[1] - SIZE)),
    )
    part = tuple(slice(first, first + SIZE) for first in corner)
    image, site = source.image[part].copy(), source.site((row, col), _REACH_MM, corner)
    cluster, mass = (
        risk.draw(rng, kind) for kind in (FindingKind.CALCIFICATION_CLUSTER, FindingKind.MASS)
    )
    p = joined(cluster.p_malignant, mass.p_malignant)
    malignant = bool(rng.random() < p)
    planted = [
        lesions.plant(rng, image, site, PhantomCase(case.descriptors, malignant, p))
        for case in (mass, cluster)
    ]
    taken = exposed(rng, image, source.roll_off[part], source.spec)
    box = _drawn(rng, [lesion.box for lesion in planted])
    return PhantomRegion(taken, box, source.spec.acquisition, malignant, p)


@lru_cache(maxsize=2)
def _canvases(bank: int, acquisition: Acquisition) -> tuple[Canvas, ...]:
    """Empty views; other ones than those of `phantom.roi` with this bank."""
    rows, columns = (int(length / SPACING_MM) for length in _FIELD_MM)
    spec = PhantomSpec(SPACING_MM, rows, columns, acquisition)
    rng = np.random.default_rng([bank, 2])
    standard = (ViewPosition.CC, ViewPosition.MLO)
    return tuple(canvas(rng, draw_breast(rng), standard[i % 2], spec) for i in range(_VIEWS))


def _drawn(rng: Generator, boxes: list[Box]) -> Box:
    """The box that a person draws around the lesions: 1 to 5 mm larger on each side."""
    corners = np.array([tuple(box) for box in boxes])
    low, high = corners[:, :2].min(0), corners[:, 2:].max(0)
    margin = rng.uniform(*_MARGIN_MM, (2, 2)) / SPACING_MM
    row0, col0 = np.clip(low - margin[0], 0, SIZE - 1).astype(int)
    row1, col1 = np.clip(np.ceil(high + margin[1]), 1, SIZE).astype(int)
    return Box(int(row0), int(col0), int(row1), int(col1))


def _log_odds(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))
