"""The learned filter: its network, its calibration, and what it does in a view."""

from datetime import date

import numpy as np
import pytest
import torch

from cadnode.detect.hotspots import STATISTICS
from cadnode.detect.view import detect_view
from cadnode.domain import Acquisition, FindingKind, Laterality
from cadnode.errors import ModelError
from cadnode.models.card import Calibration, DetectorCard
from cadnode.models.detector import Detector
from cadnode.models.operating_point import Roc
from cadnode.networks.patch_filter import CandidateFilter, DetectorConfig
from tests.unit.detect_cases import add_specks, breast, group

SMALL = DetectorConfig(patch=32, widths=(4, 8), members=2, statistics=len(STATISTICS))


def card(*, slope: float = 1.0, intercept: float = 0.0) -> DetectorCard:
    return DetectorCard(
        name="test-detector", version="1.0.0", system=None, paper="none", algorithm="test",
        intended_use="test", licence="none", applies_to=(Acquisition.FILM,), training_data="none",
        training_sets=(), split="none", metrics=(),
        roc=Roc(points=((1, 0, 1), (0, 1, 0)), measured_on="nothing", n_pos=1, n_neg=1),
        calibration=Calibration(
            slope=slope, intercept=intercept, fitted_on="nothing", prevalence=0.5
        ),
        limits=(), weights_sha256="0" * 64, seed=0, command="none", trained_on=date(2026, 1, 1),
        architecture=SMALL, mark_at=0.5,
    )  # fmt: skip


def detector(**calibration: float) -> Detector:
    torch.manual_seed(0)
    return Detector(card(**calibration), CandidateFilter(SMALL).state_dict())


def candidates(n: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(0, 1, (n, 32, 32)).astype(np.float32), rng.normal(0, 1, (n, len(STATISTICS)))


def test_the_default_network_has_at_most_three_hundred_thousand_parameters() -> None:
    default = CandidateFilter(DetectorConfig())

    assert sum(p.numel() for p in default.parameters()) < 300_000
    assert DetectorConfig().statistics == len(STATISTICS)


def test_certainty_is_the_calibrated_logistic_of_the_networks_output() -> None:
    model = detector(slope=2.0, intercept=-1.0)
    patches, statistics = candidates()

    certainty = model.certainty(patches, statistics)

    with torch.inference_mode():
        logits = model.network(
            torch.from_numpy(patches)[:, None], torch.from_numpy(statistics).float()
        ).numpy()
    np.testing.assert_allclose(certainty, 1 / (1 + np.exp(-(2 * logits - 1))), rtol=1e-6)


def test_a_candidates_certainty_does_not_depend_on_the_others_beside_it() -> None:
    patches, statistics = candidates()
    model = detector()

    together = model.certainty(patches, statistics)
    alone = [float(model.certainty(patches[i : i + 1], statistics[i : i + 1])[0]) for i in range(5)]

    np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_a_mirrored_patch_has_the_same_certainty() -> None:
    patches, statistics = candidates()
    model = detector()

    plain = model.certainty(patches, statistics)
    mirrored = model.certainty(np.ascontiguousarray(patches[:, :, ::-1]), statistics)
    turned = model.certainty(np.ascontiguousarray(patches[:, ::-1, ::-1]), statistics)

    np.testing.assert_allclose(mirrored, plain, rtol=1e-5)
    np.testing.assert_allclose(turned, plain, rtol=1e-5)


def test_several_networks_log_odds_are_averaged() -> None:
    model = detector()
    patches, statistics = candidates()
    tensors = torch.from_numpy(patches)[:, None], torch.from_numpy(statistics).float()

    with torch.inference_mode():
        together = model.network(*tensors)
        one, other = (m.eval() for m in model.network.members)
        for member in (one, other):
            assert not torch.allclose(member(*tensors), together)
        turned = [tensors[0], tensors[0].flip(2), tensors[0].flip(3), tensors[0].flip(2, 3)]
        expected = sum(m(t, tensors[1]) for m in (one, other) for t in turned) / 8

    torch.testing.assert_close(together, expected)


def test_no_candidates_have_no_certainty() -> None:
    assert detector().certainty(*candidates(0)).shape == (0,)


def test_weights_of_another_architecture_are_refused() -> None:
    other = CandidateFilter(DetectorConfig(patch=32, widths=(6, 8)))

    with pytest.raises(ModelError, match="do not fit"):
        Detector(card(), other.state_dict())


def test_the_filter_decides_on_clusters_and_leaves_masses_alone() -> None:
    image = add_specks(breast(), group(300, 120), sigma=1.2, contrast=0.15)

    def kinds(intercept: float) -> list[FindingKind]:
        found = detect_view(
            image, Laterality.LEFT, 0.2, Acquisition.FILM, detector(intercept=intercept)
        )
        return [region.kind for region in found.regions]

    masses = kinds(-99).count(FindingKind.MASS)
    assert kinds(-99).count(FindingKind.CALCIFICATION_CLUSTER) == 0
    assert kinds(99).count(FindingKind.CALCIFICATION_CLUSTER) > 0
    assert kinds(99).count(FindingKind.MASS) == masses
