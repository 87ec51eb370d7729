"""How likely each look is malignant, and the best AUC that any reader of the phantom can reach.

Malignancy is drawn by the published positive predictive value (PPV) of the descriptors, which
are drawn first; the image shows the descriptors and nothing else of the malignancy. So the
probability that was drawn with is the best possible score, and its AUC is a finite sum.

Several descriptors are combined by adding their log-odds relative to the base rate of the series
that they come from, as if they were independent given the outcome (naive Bayes). Choice: naive,
because joint tables are published for few combinations only.

Sources
-------
ACR 2013
    ACR BI-RADS Atlas, 5th edition, Mammography, calcifications: PPV by morphology and by
    distribution.
Rominger 2017
    Eur J Radiol 86:221-226, doi:10.1016/j.ejrad.2016.11.022: 849 vacuum biopsies, 275 malignant;
    typically benign morphology 2 % of 55.
Elter 2007
    Med Phys 34:4164-4172, UCI "Mammographic Mass": 830 masses with all descriptors, 403
    malignant; counted by us. The 4th edition's "lobular" is counted as oval, "ill-defined" as
    indistinct. Spiculated 83 %, irregular 79 %: 81 % and 73 % in Liberman 1998, AJR 171:35-40.
Woods 2011
    Radiology 258:417-425: 348 masses; high density 70.2 %, iso- or low density 22.3 %.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final

import numpy as np
from numpy.random import Generator

from cadnode.domain import CalcificationType, Distribution, FindingKind
from cadnode_training.phantom.descriptors import (
    ClusterDescriptors,
    Descriptors,
    MassDensity,
    MassDescriptors,
    MassMargin,
    MassShape,
    PhantomCase,
)

# Choice: fine linear and fine linear branching share a PPV, because the atlas has one for both.
TYPE_PPV: Final[Mapping[CalcificationType, float]] = {
    CalcificationType.ROUND: 0.02,  # Rominger 2017
    CalcificationType.PUNCTATE: 0.02,  # Rominger 2017
    CalcificationType.AMORPHOUS: 0.21,  # ACR 2013, as all below
    CalcificationType.COARSE_HETEROGENEOUS: 0.13,
    CalcificationType.FINE_PLEOMORPHIC: 0.29,
    CalcificationType.FINE_LINEAR: 0.70,
    CalcificationType.FINE_LINEAR_BRANCHING: 0.70,
}
DISTRIBUTION_PPV: Final[Mapping[Distribution, float]] = {  # ACR 2013
    # Deviation: the atlas states 0 %; 1 % here, because no series excludes it and odds need it.
    Distribution.DIFFUSE: 0.01,
    Distribution.REGIONAL: 0.26,
    Distribution.GROUPED: 0.31,
    Distribution.LINEAR: 0.60,
    Distribution.SEGMENTAL: 0.62,
}
CLUSTER_BASE_RATE: Final = 275 / 849  # Rominger 2017

# (malignant, all) of Elter 2007.
MASS_COUNTS: Final[Mapping[MassShape | MassMargin, tuple[int, int]]] = {
    MassShape.ROUND: (32, 190),
    MassShape.OVAL: (73, 261),
    MassShape.IRREGULAR: (298, 379),
    MassMargin.CIRCUMSCRIBED: (38, 320),
    MassMargin.MICROLOBULATED: (15, 23),
    MassMargin.OBSCURED: (67, 106),
    MassMargin.INDISTINCT: (177, 254),
    MassMargin.SPICULATED: (106, 127),
}
MASS_BASE_RATE: Final = 403 / 830  # Elter 2007
DENSITY_PPV: Final[Mapping[MassDensity, float]] = {  # Woods 2011
    MassDensity.HIGH: 0.702,
    MassDensity.EQUAL: 0.223,
    MassDensity.LOW: 0.223,
}

# The phantom's priors. Choice: suspicious looks far more often than in a screening programme,
# because a balanced set teaches and measures most; joint, because ducts make lines of lines.
TYPE_PRIOR: Final[Mapping[CalcificationType, float]] = {
    CalcificationType.ROUND: 0.06,
    CalcificationType.PUNCTATE: 0.06,
    CalcificationType.AMORPHOUS: 0.14,
    CalcificationType.COARSE_HETEROGENEOUS: 0.14,
    CalcificationType.FINE_PLEOMORPHIC: 0.22,
    CalcificationType.FINE_LINEAR: 0.18,
    CalcificationType.FINE_LINEAR_BRANCHING: 0.20,
}
_ORDER: Final = tuple(Distribution)  # diffuse, regional, grouped, linear, segmental
_BENIGN_LOOK: Final = (0.30, 0.20, 0.40, 0.05, 0.05)
_DUCTAL_LOOK: Final = (0.00, 0.05, 0.35, 0.30, 0.30)
DISTRIBUTION_PRIOR: Final[Mapping[CalcificationType, Sequence[float]]] = {
    CalcificationType.ROUND: _BENIGN_LOOK,
    CalcificationType.PUNCTATE: _BENIGN_LOOK,
    CalcificationType.AMORPHOUS: (0.08, 0.22, 0.45, 0.10, 0.15),
    CalcificationType.COARSE_HETEROGENEOUS: (0.05, 0.20, 0.55, 0.08, 0.12),
    CalcificationType.FINE_PLEOMORPHIC: (0.02, 0.13, 0.45, 0.15, 0.25),
    CalcificationType.FINE_LINEAR: _DUCTAL_LOOK,
    CalcificationType.FINE_LINEAR_BRANCHING: _DUCTAL_LOOK,
}
# Columns: circumscribed, obscured, microlobulated, indistinct, spiculated. Choice: the joint
# counts of Elter 2007, the rare microlobulated margin made more frequent, to be learned at all.
MASS_PRIOR: Final[Mapping[MassShape, Sequence[int]]] = {
    MassShape.ROUND: (167, 4, 12, 10, 7),
    MassShape.OVAL: (148, 30, 31, 62, 10),
    MassShape.IRREGULAR: (5, 72, 30, 182, 110),
}
DENSITY_PRIOR: Final[Mapping[MassDensity, float]] = {
    MassDensity.HIGH: 0.45,
    MassDensity.EQUAL: 0.40,
    MassDensity.LOW: 0.15,
}


@dataclass(frozen=True, slots=True)
class Combination:
    """One look: how often it is drawn, and how often it is malignant."""

    descriptors: Descriptors
    prior: float
    p_malignant: float


def p_malignant(descriptors: Descriptors) -> float:
    """Probability of malignancy given the descriptors, in (0, 1)."""
    if isinstance(descriptors, ClusterDescriptors):
        base = _log_odds(CLUSTER_BASE_RATE)
        evidence = [
            _log_odds(TYPE_PPV[descriptors.type]) - base,
            _log_odds(DISTRIBUTION_PPV[descriptors.distribution]) - base,
        ]
    else:
        base = _log_odds(MASS_BASE_RATE)
        evidence = [
            _log_odds(_share(MASS_COUNTS[descriptors.shape])) - base,
            _log_odds(_share(MASS_COUNTS[descriptors.margin])) - base,
            _log_odds(DENSITY_PPV[descriptors.density]) - _log_odds(_density_base_rate()),
        ]
    return float(1 / (1 + np.exp(-base - sum(evidence))))


@lru_cache(maxsize=4)
def combinations(kind: FindingKind) -> tuple[Combination, ...]:
    """Every look of that kind that is ever drawn; the priors sum to 1."""
    weighted = _clusters() if kind == FindingKind.CALCIFICATION_CLUSTER else _masses()
    total = sum(weight for _, weight in weighted)
    return tuple(Combination(d, w / total, p_malignant(d)) for d, w in weighted if w > 0)


def bayes_auc(kind: FindingKind, prior: Mapping[Descriptors, float] | None = None) -> float:
    """The AUC of the probability that malignancy is drawn with: no reader has a higher one.

    Exact: over pairs of a malignant and a benign lesion, the share in which the malignant one has
    the higher probability, ties counting half.

    `prior` gives weights of the descriptors, the phantom's own when None; those it does not name
    weigh nothing.
    """
    table = combinations(kind)
    weights = [c.prior if prior is None else prior.get(c.descriptors, 0.0) for c in table]
    p, weight = np.array([c.p_malignant for c in table]), np.array(weights)
    malignant, benign = weight * p / (weight @ p), weight * (1 - p) / (weight @ (1 - p))
    difference = p[:, None] - p[None, :]
    wins = np.where(np.abs(difference) < 1e-12, 0.5, difference > 0)
    return float(malignant @ wins @ benign)


def prevalence(kind: FindingKind) -> float:
    """Share of the malignant among the lesions of that kind."""
    return sum(c.prior * c.p_malignant for c in combinations(kind))


def draw(rng: Generator, kind: FindingKind) -> PhantomCase:
    """A lesion: descriptors by their prior, malignancy by the descriptors."""
    table = combinations(kind)
    look = table[int(rng.choice(len(table), p=_priors(kind)))]
    return PhantomCase(look.descriptors, bool(rng.random() < look.p_malignant), look.p_malignant)


def case_of(rng: Generator, descriptors: Descriptors) -> PhantomCase:
    """A lesion of that look, its malignancy drawn."""
    p = p_malignant(descriptors)
    return PhantomCase(descriptors, bool(rng.random() < p), p)


@lru_cache(maxsize=4)
def _priors(kind: FindingKind) -> tuple[float, ...]:
    return tuple(c.prior for c in combinations(kind))


def _clusters() -> list[tuple[Descriptors, float]]:
    return [
        (ClusterDescriptors(kind, distribution), share * weight)
        for kind, share in TYPE_PRIOR.items()
        for distribution, weight in zip(_ORDER, DISTRIBUTION_PRIOR[kind], strict=True)
    ]


def _masses() -> list[tuple[Descriptors, float]]:
    looks = product(MASS_PRIOR.items(), enumerate(MassMargin), DENSITY_PRIOR.items())
    return [
        (MassDescriptors(shape, margin, density), row[column] * weight)
        for (shape, row), (column, margin), (density, weight) in looks
    ]


def _density_base_rate() -> float:
    """Choice: at the phantom's own prior, because the base rate of Woods 2011 is not ours."""
    return sum(DENSITY_PRIOR[density] * ppv for density, ppv in DENSITY_PPV.items())


def _share(counts: tuple[int, int]) -> float:
    return counts[0] / counts[1]


def _log_odds(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))
