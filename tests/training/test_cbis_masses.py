"""`cbis-mass-rois`: what its rows say, whose parts they are, and what is trained and measured."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cadnode.models import loading, store
from cadnode.models.card import FeatureCard
from cadnode.models.feature import FeatureModel
from cadnode.models.store import woman_key
from cadnode_training.data.regions import open_regions
from cadnode_training.data.views import part_of
from cadnode_training.papers.wang2016 import evaluate, regions, train
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe
from tests.training import film_layouts

QUICK = AutoencoderRecipe(pretrain_updates=5, updates=30, members=2)


def test_a_row_is_a_mass_with_its_mask_and_words(tmp_path: Path) -> None:
    folder = film_layouts.cbis_masses(tmp_path, women=3)

    found = open_regions(f"cbis-mass-rois:{folder}", "masses")

    row = found.items[0].row
    assert (row.woman, row.laterality, row.view, row.spacing_mm) == ("P_00000", "L", "CC", 0.06)
    assert (row.mass_shape, row.mass_margin, row.density) == ("oval", "spiculated", "B")
    assert row.mask is not None
    assert row.box is None
    assert found.items[0].positive


def test_a_womans_part_is_that_of_her_ddsm_exam_and_the_demos_has_none(tmp_path: Path) -> None:
    folder = film_layouts.cbis_masses(tmp_path, women=12)

    found = open_regions(f"cbis-mass-rois:{folder}", "masses")

    parts = {item.row.woman: item.row.split for item in found.items}
    assert "P_00001" not in parts
    assert dict(found.left_out) == {"of the demo's exam": 2}
    assert parts["P_00000"] == part_of(woman_key("cbis-mass-rois", "P_00000"))
    for woman in range(2, 12):
        assert parts[f"P_{woman:05}"] == part_of(woman_key("ddsm-exams", f"B{woman:04}"))
    assert sum(len(found.part(part)) for part in ("train", "validation", "test")) == len(found)


def test_without_the_views_beside_it_a_womans_own_number_decides(tmp_path: Path) -> None:
    folder = film_layouts.cbis_masses(tmp_path, women=4)
    shutil.rmtree(tmp_path / "cbis-mass-views")

    found = open_regions(f"cbis-mass-rois:{folder}", "masses")

    assert len(found) == 8
    assert all(item.row.split == part_of(item.woman) for item in found.items)


def test_what_is_segmented_is_compared_with_the_masks(tmp_path: Path) -> None:
    folder = film_layouts.cbis_masses(tmp_path, women=3)

    first = regions.measure(f"cbis-mass-rois:{folder}", tmp_path / "kept")
    again = regions.measure(f"cbis-mass-rois:{folder}", tmp_path / "kept")

    found = first.of("masses")
    assert (first.dice(found.regions) > 0.8).all()
    area = found.table.features.index("mass_area_mm2")
    np.testing.assert_allclose(
        first.marked(found.regions)[:, area], np.pi * (80 * 0.06) ** 2, rtol=0.05
    )
    np.testing.assert_array_equal(again.marked(found.regions), first.marked(found.regions))


def test_learning_from_all_women_is_calibrated_out_of_fold_and_remembers_who_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "AutoencoderRecipe", lambda: QUICK)
    data = f"cbis-mass-rois:{film_layouts.cbis_masses(tmp_path, women=24)}"

    result = train.run(
        data, tmp_path / "out", scenario="masses", folds=3, recipe=QUICK, all_women=True, quiet=True
    )

    folder = Path(result["models"][0]["folder"])
    card, model = store.read_card(folder), loading.load(folder)
    assert isinstance(card, FeatureCard)
    assert isinstance(model, FeatureModel)
    assert card.architecture.members == 2
    assert card.training_sets[0].n_women == 23
    assert "CC BY 3.0" in card.training_sets[0].terms
    assert card.command.endswith("--all-women")
    assert "3-fold cross-validation by woman" in card.calibration.fitted_on
    seen = store.seen_women(folder)
    for key in (("cbis-mass-rois", "P_00002"), ("cbis-ddsm", "P_00002"), ("ddsm-exams", "B0002")):
        assert woman_key(*key) in seen

    measured = evaluate.run(data, model=folder, scenario="masses")
    assert measured["served"]["auc"] is None
    assert measured["auc"] == measured["cross_validation"]["auc"]
    assert [row["classifier"] for row in measured["rows"]] == ["sae", "svm", "knn", "lda"]
    assert set(measured["difference_to_lda"]) == {"auc", "auc_ci", "p"}
    assert measured["annotators_masks"]["cross_validation"]["n_pos"] == measured["n_pos"]
    assert measured["segmentation"]["n"] == 46
    assert json.loads(json.dumps(measured)) == measured
