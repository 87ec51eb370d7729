"""The learned filter's training and evaluation, end to end on toy data."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from cadnode.detect.clusters import certainty_of
from cadnode.detect.frame import breast_frame
from cadnode.detect.hotspots import STATISTICS, hotspots
from cadnode.detect.specks import find_specks
from cadnode.errors import DataError
from cadnode.models import store
from cadnode.models.card import DetectorCard
from cadnode.networks.patch_filter import CandidateFilter, DetectorConfig
from cadnode.statistics.auc import auc
from cadnode_training.data.sets import mini_mias, pisa_calcifications
from cadnode_training.papers.detection import evaluate, train
from cadnode_training.papers.detection.fitting import FilterSchedule, fit, folds, logits
from cadnode_training.papers.detection.samples import Samples, joined, mias_samples, pisa_samples
from tests.training.test_detection_data import write_mias, write_pisa

CONFIG = DetectorConfig(
    patch=32, spacing_mm=0.25, widths=(4, 8), members=2, statistics=len(STATISTICS)
)


@dataclass(frozen=True)
class Trained:
    """A filter trained for a moment, and the toy data it was trained on."""

    model: Path
    mias: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("detection")
    mias = write_mias(folder / "mias", women=3)
    data = [f"mini-mias:{mias}", f"pisa-calcifications:{write_pisa(folder / 'pisa')}"]
    schedule = FilterSchedule(epochs=1, per_epoch=128)
    result = train.run(data, folder / "out", schedule=schedule, quiet=True)
    return Trained(Path(result["models"][0]["folder"]), mias)


def toy(n: int = 200, seed: int = 0) -> Samples:
    """Candidates whose patches have a bright middle when there is a cluster."""
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.5
    patches = rng.normal(0, 0.3, (n, 32, 32))
    patches[labels, 12:20, 12:20] += 1
    groups = np.array([f"mini-mias:w{i % 20}" for i in range(n)])
    return Samples(
        patches.astype(np.float16), rng.normal(0, 1, (n, len(STATISTICS))).astype(np.float32),
        labels, groups, np.array(["mini-mias"] * n), groups,
    )  # fmt: skip


def test_the_network_learns_what_tells_the_classes_apart() -> None:
    network = fit(toy(), CONFIG, FilterSchedule(epochs=2, per_epoch=1280), 0, quiet=True)

    other = toy(seed=1)
    assert auc(other.labels, logits(network, other)) > 0.95


def test_the_same_seed_gives_the_same_weights() -> None:
    schedule = FilterSchedule(epochs=1, per_epoch=128)

    one, other = (fit(toy(), CONFIG, schedule, 3, quiet=True).state_dict() for _ in range(2))

    assert all(bool((one[name] == other[name]).all()) for name in one)


def test_a_woman_is_in_one_fold_and_women_with_clusters_are_spread() -> None:
    samples = toy()
    fold = folds(samples, 3)

    for group in set(samples.groups.tolist()):
        assert len(set(fold[samples.groups == group].tolist())) == 1
    sizes = np.bincount(fold, minlength=3)
    assert sizes.max() < 1.5 * sizes.min()


def test_candidates_of_mini_mias_are_positive_in_the_circle_and_negative_in_normal_views(
    tmp_path: Path,
) -> None:
    views = mini_mias.read(write_mias(tmp_path))

    found = joined(list(mias_samples(views, CONFIG, np.random.default_rng(0), rounds=1)))

    real = found.sources == "mini-mias"
    assert set(found.images[real & found.labels].tolist()) == {"mdb001"}
    assert set(found.images[real & ~found.labels].tolist()) == {"mdb002"}
    assert set(found.images[found.sources == "implant"].tolist()) == {"mdb002"}
    assert found.patches.shape[1:] == (32, 32)


def test_regions_give_a_candidate_at_each_of_two_pixel_sizes(tmp_path: Path) -> None:
    rois = pisa_calcifications.read(write_pisa(tmp_path))

    found = joined(list(pisa_samples(rois, CONFIG)))

    assert set(found.sources.tolist()) == {"pisa-calcifications", "pisa-calcifications 0.2 mm"}
    assert found.labels.sum() >= 3


def test_training_and_serving_score_a_candidate_alike(trained: Trained) -> None:
    folder = trained.model
    detector = evaluate.load_detector(folder)
    assert detector is not None
    view = mini_mias.read(trained.mias)[1]
    image = mini_mias.load(view)
    assert image is not None
    training = joined(
        [
            s
            for s in mias_samples([view], detector.config, np.random.default_rng(0), rounds=0)
            if s.sources[0] == "mini-mias"
        ]
    )

    frame = breast_frame(image, mini_mias.SPACING_MM)
    assert frame is not None
    spots = hotspots(frame, find_specks(frame.image, frame.valid, frame.spacing_mm))
    served = certainty_of(frame, spots, detector)

    network = CandidateFilter(detector.config)
    network.load_state_dict(store.read_weights(folder)[1])
    calibration = detector.card.calibration
    log_odds = calibration.slope * logits(network.eval(), training) + calibration.intercept
    # Training keeps patches as float16.
    np.testing.assert_allclose(1 / (1 + np.exp(-log_odds)), served, atol=2e-3)


def test_a_trained_filter_is_a_valid_model_folder_with_its_numbers(trained: Trained) -> None:
    card = store.read_card(trained.model)

    assert isinstance(card, DetectorCard)
    assert card.mark_at == 0.5
    assert {t.name for t in card.training_sets} == {"mini-mias", "pisa-calcifications"}
    assert all(0 <= m.auc_ci[0] <= m.auc <= m.auc_ci[1] <= 1 for m in card.metrics)
    assert str(trained.mias.parent) not in card.model_dump_json()
    assert store.woman_key("mini-mias", "p000") in store.seen_women(trained.model)


@pytest.mark.parametrize("filtered", [False, True])
def test_evaluation_finds_the_planted_clusters_with_and_without_the_filter(
    trained: Trained, filtered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "available", list)

    result = evaluate.run(f"mini-mias:{trained.mias}", model=trained.model if filtered else None)

    assert (result["model"] is not None) == filtered

    assert result["n_lesions"] == 3
    assert result["n_images"] == 3
    assert result["women_seen_in_training"] == (3 if filtered else 0)
    assert result["sensitivity_at_1fp"] == 1.0
    assert result["by_kind"][0]["kind"] == "calcification_cluster"
    assert len(result["froc"]) > 0


def test_images_without_any_lesion_give_counts_and_no_curve(tmp_path: Path) -> None:
    folder = write_mias(tmp_path / "mias")
    (folder / "images" / "mdb001.png").unlink()

    result = evaluate.run(f"mini-mias:{folder}")

    assert (result["n_lesions"], result["n_images"], result["froc"]) == (0, 1, [])
    assert result["sensitivity_at_1fp"] is result["sensitivity_at_1fp_ci"] is None
    assert result["message"].startswith("No curve: 0 lesions")
    evaluate.show(Console(quiet=True), result)


def test_the_lesions_of_one_woman_have_no_interval(tmp_path: Path) -> None:
    result = evaluate.run(f"mini-mias:{write_mias(tmp_path / 'mias')}")

    assert (result["n_lesions"], result["sensitivity_at_1fp_ci"]) == (1, None)
    assert result["sensitivity_at_1fp"] is not None
    assert "one woman" in result["message"]
    evaluate.show(Console(quiet=True), result)


def test_regions_are_evaluated_by_their_area_under_the_curve(tmp_path: Path) -> None:
    result = evaluate.run(f"pisa-calcifications:{write_pisa(tmp_path / 'pisa')}")

    assert result["n_pos"] == result["n_neg"] == 3
    assert result["auc"] > 0.9


def test_data_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--data must be"):
        train.run(["phantom:3"], tmp_path)
    with pytest.raises(DataError, match="--data must be"):
        evaluate.run("ddsm-exams:somewhere")
