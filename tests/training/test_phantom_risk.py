"""The phantom's risks: published values, combined as documented, and the best AUC they allow."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cadnode.domain import CalcificationType, Distribution, FindingKind
from cadnode_training.phantom import risk
from cadnode_training.phantom.descriptors import (
    ClusterDescriptors,
    MassDensity,
    MassDescriptors,
    MassMargin,
    MassShape,
)

KINDS = (FindingKind.CALCIFICATION_CLUSTER, FindingKind.MASS)
SUSPICIOUS = ClusterDescriptors(CalcificationType.FINE_LINEAR, Distribution.SEGMENTAL)
HARMLESS = ClusterDescriptors(CalcificationType.ROUND, Distribution.GROUPED)


def test_log_odds_relative_to_the_base_rate_are_added() -> None:
    amorphous = ClusterDescriptors(CalcificationType.AMORPHOUS, Distribution.GROUPED)
    spiculated = MassDescriptors(MassShape.IRREGULAR, MassMargin.SPICULATED, MassDensity.HIGH)

    # Odds by hand: 70/30 · 62/38 / (275/574), and 21/79 · 31/69 / (275/574).
    assert risk.p_malignant(SUSPICIOUS) == pytest.approx(7.9464 / 8.9464, abs=1e-4)
    assert risk.p_malignant(amorphous) == pytest.approx(0.2493 / 1.2493, abs=1e-4)
    # 298/81 · 106/21 / (403/427) · (0.702/0.298) / (0.43855/0.56145).
    assert risk.p_malignant(spiculated) == pytest.approx(59.34 / 60.34, abs=1e-4)


def test_a_descriptor_as_frequent_as_its_base_rate_changes_nothing() -> None:
    grouped = ClusterDescriptors(CalcificationType.FINE_PLEOMORPHIC, Distribution.GROUPED)

    assert pytest.approx(0.324, abs=1e-3) == risk.CLUSTER_BASE_RATE
    assert risk.p_malignant(grouped) == pytest.approx(0.29, abs=0.02)  # 31 % is nearly the base


@pytest.mark.parametrize("kind", KINDS)
def test_priors_sum_to_one_and_every_look_may_be_either(kind: FindingKind) -> None:
    table = risk.combinations(kind)

    assert sum(c.prior for c in table) == pytest.approx(1)
    assert len({c.descriptors for c in table}) == len(table)
    assert all(0 < c.p_malignant < 1 for c in table)


def test_every_type_and_distribution_has_a_risk_and_is_drawn() -> None:
    drawn = {c.descriptors for c in risk.combinations(FindingKind.CALCIFICATION_CLUSTER)}

    assert {d.distribution for d in drawn} == set(Distribution)
    assert {d.type for d in drawn} == set(CalcificationType) - {CalcificationType.COARSE}


def test_the_bayes_auc_of_two_looks_is_that_by_hand() -> None:
    p, q = risk.p_malignant(SUSPICIOUS), risk.p_malignant(HARMLESS)

    auc = risk.bayes_auc(FindingKind.CALCIFICATION_CLUSTER, {SUSPICIOUS: 0.5, HARMLESS: 0.5})

    ties = 0.5 * (p * (1 - p) + q * (1 - q))
    assert auc == pytest.approx((p * (1 - q) + ties) / ((p + q) * (2 - p - q)))


def test_one_look_alone_tells_nothing() -> None:
    auc = risk.bayes_auc(FindingKind.CALCIFICATION_CLUSTER, {SUSPICIOUS: 1.0})

    assert auc == pytest.approx(0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bayes_auc_is_what_drawn_lesions_have(kind: FindingKind) -> None:
    rng = np.random.default_rng(0)

    cases = [risk.draw(rng, kind) for _ in range(30_000)]

    auc = roc_auc_score([c.malignant for c in cases], [c.p_malignant for c in cases])
    assert auc == pytest.approx(risk.bayes_auc(kind), abs=0.008)  # about three standard errors
    share = np.mean([c.malignant for c in cases])
    assert share == pytest.approx(risk.prevalence(kind), abs=0.009)


def test_clusters_are_balanced_and_hard_but_not_hopeless() -> None:
    assert 0.80 < risk.bayes_auc(FindingKind.CALCIFICATION_CLUSTER) < 0.90
    for kind in KINDS:
        assert 0.4 < risk.prevalence(kind) < 0.6


@pytest.mark.parametrize("kind", KINDS)
def test_malignancy_is_as_frequent_as_the_descriptors_say(kind: FindingKind) -> None:
    rng = np.random.default_rng(1)
    cases = [risk.draw(rng, kind) for _ in range(20_000)]

    for look in risk.combinations(kind):
        mine = [c.malignant for c in cases if c.descriptors == look.descriptors]
        expected = len(mine) * look.p_malignant
        spread = np.sqrt(expected * (1 - look.p_malignant)) + 0.5
        assert abs(sum(mine) - expected) < 4.5 * spread, look
        assert len(mine) == pytest.approx(20_000 * look.prior, abs=5 * np.sqrt(len(mine) + 1))
