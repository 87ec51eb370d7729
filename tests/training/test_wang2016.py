"""Training of wang2016: tables, the phantom's regions, and the same numbers as in serving."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from cadnode.detect.features import FEATURE_NAMES, features_of
from cadnode.detect.segment import segment_roi
from cadnode.domain import Acquisition, Box, FindingKind, Laterality
from cadnode.errors import DataError, SettingsError
from cadnode.models import loading, store
from cadnode.models.card import FeatureCard
from cadnode.models.feature import FeatureModel
from cadnode_training import phantom
from cadnode_training.data.sets import pisa_masses
from cadnode_training.data.sets.phantom_rois import PhantomSource
from cadnode_training.papers.wang2016 import config as recipes
from cadnode_training.papers.wang2016 import (
    data,
    evaluate,
    export,
    fitting,
    phantom_regions,
    regions,
    train,
)
from cadnode_training.papers.wang2016.autoencoder import AutoencoderRecipe
from cadnode_training.papers.wang2016.phantom_regions import PhantomRegion
from cadnode_training.papers.wang2016.table import FeatureTable
from cadnode_training.phantom import risk

QUICK = AutoencoderRecipe(pretrain_updates=10, updates=10, epochs=3)
SIZE = 160


def drawn(rng: np.random.Generator, malignant: bool) -> np.ndarray:
    """`(160, 160)`: a soft disc of tissue, dots in it when benign, lines when malignant."""
    rows, cols = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    image = 0.35 + 0.2 / (1 + np.exp((np.hypot(rows, cols) - 45) / 4))
    image += rng.normal(0, 0.008, image.shape)
    canvas = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(int(rng.integers(5, 10))):
        col, row = rng.integers(50, 110, 2)
        if malignant:
            cv2.line(canvas, (int(col), int(row)), (int(col) + 9, int(row) + 4), 0.35, 2)
        else:
            cv2.circle(canvas, (int(col), int(row)), 3, 0.35, -1)
    return np.clip(image + cv2.GaussianBlur(canvas, (0, 0), 0.7), 0, 1).astype(np.float32)


def toy_region(source: PhantomSource, content: str, part: str, number: int) -> PhantomRegion:
    """In the place of a phantom's region: as quick as a test needs it."""
    rng = np.random.default_rng([source.seed, len(content), len(part), number])
    malignant = number % 4 in (0, 3)
    box = Box(20, 20, 140, 140)
    acquisition = list(Acquisition)[number % 2]
    return PhantomRegion(
        drawn(rng, malignant), box, acquisition, malignant, 0.9 if malignant else 0.1
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, object], Path]:
    """A model for both, trained on toy regions."""
    out = tmp_path_factory.mktemp("wang2016")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phantom_regions, "draw", toy_region)
        result = train.run("phantom:24", out, scenario="both", quiet=True, recipe=QUICK)
    return result["models"][0], out


def served(folder: Path) -> FeatureModel:
    model = loading.load(folder)
    assert isinstance(model, FeatureModel)
    return model


def test_training_writes_a_folder_that_the_node_reads(
    trained: tuple[dict[str, object], Path],
) -> None:
    result, out = trained
    folder = Path(str(result["folder"]))
    card = store.read_card(folder)

    assert folder == out / "wang2016-both" / export.VERSIONS["both"]
    assert isinstance(card, FeatureCard)
    assert card.scenario == "both"
    assert card.features == FEATURE_NAMES["both"]
    assert card.architecture.hidden == (400, 400)
    assert {m.name for m in card.metrics} == {
        f"AUC, {name}, test part" for name in ("stacked autoencoder", "SVM", "KNN", "LDA")
    }
    assert all((m.n_pos, m.n_neg) == (11, 13) for m in card.metrics)
    assert any("phantom" in limit for limit in card.limits)
    assert json.loads((folder / "split.json").read_text())["train"]


def test_the_table_holds_the_papers_numbers_beside_ours(
    trained: tuple[dict[str, object], Path],
) -> None:
    (test,) = trained[0]["test"]  # type: ignore[misc]

    assert [row["classifier"] for row in test["rows"]] == ["sae", "svm", "knn", "lda"]
    assert test["rows"][0]["paper"] == {
        "accuracy": 0.897, "sensitivity": 0.89, "specificity": 0.90, "auc": 0.90,
    }  # fmt: skip
    assert test["best_auc_on_these"] == 1  # the toy's truth tells all
    assert set(trained[0]["cross_validation_accuracy"]) == {"sae", "svm", "knn", "lda"}  # type: ignore[call-overload]


def test_dots_and_lines_are_distinguished(trained: tuple[dict[str, object], Path]) -> None:
    (test,) = trained[0]["test"]  # type: ignore[misc]

    assert max(row["auc"] for row in test["rows"]) > 0.85


def test_a_phantom_region_has_one_probability_in_training_and_in_serving(
    trained: tuple[dict[str, object], Path],
) -> None:
    # Given a region of the phantom, and the model as fitted and as stored
    model = served(Path(str(trained[0]["folder"])))
    roi = phantom.RoiSource(seed=5, views=1).draw(np.random.default_rng(3), size=256)
    assert roi.lesion is not None
    where = roi.lesion.box, 0.1, Acquisition.DIGITAL

    # When training measures and reads it, and the node does
    measured = data.measured(roi.image, *where, "both")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phantom_regions, "draw", toy_region)
        tables = {
            part: data.part_table("phantom:24", "both", part, trained[1] / "features")
            for part in ("train", "validation")
        }
    svm = trained[0]["svm"]
    fitted = fitting.fit(
        "both", tables["train"], tables["validation"], recipe=QUICK,
        svm=(svm["cost"], svm["gamma"]),  # type: ignore[index]
    )  # fmt: skip
    in_training = fitted.probabilities(measured.values[None])
    segmentation = segment_roi(roi.image, Laterality.RIGHT, 0.1, roi.lesion.box, where[2])
    in_serving = model.score(features_of(segmentation, "both"))

    # Then they say the same
    assert in_serving.probability == pytest.approx(in_training["sae"][0], abs=1e-6)
    for name in ("svm", "knn", "lda"):
        assert in_serving.beside[name] == pytest.approx(in_training[name][0], abs=1e-6)


def test_tables_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def counting(source: PhantomSource, content: str, part: str, number: int) -> PhantomRegion:
        asked.append(number)
        return toy_region(source, content, part, number)

    monkeypatch.setattr(phantom_regions, "draw", counting)
    source = PhantomSource((9, 9, 9))
    first = data.content_table(source, "cluster", "train", 2, tmp_path)
    more = data.content_table(source, "cluster", "train", 4, tmp_path)

    assert asked == [0, 1, 2, 3]
    np.testing.assert_array_equal(more.values[:2], first.values)
    assert len(data.content_table(source, "cluster", "train", 3, tmp_path)) == 3


@pytest.mark.parametrize("kind", [FindingKind.CALCIFICATION_CLUSTER, FindingKind.MASS])
def test_the_best_auc_of_one_kind_is_the_phantoms(kind: FindingKind) -> None:
    scenario = "calcifications" if kind is FindingKind.CALCIFICATION_CLUSTER else "masses"

    assert phantom_regions.bayes_auc(scenario) == pytest.approx(phantom.bayes_auc(kind), abs=1e-9)


def test_the_best_auc_of_the_mix_is_that_of_many_draws() -> None:
    rng = np.random.default_rng(0)
    p = []
    for content in rng.choice(3, 20_000, p=phantom_regions.MIX["both"]):
        cluster = risk.draw(rng, FindingKind.CALCIFICATION_CLUSTER).p_malignant
        mass = risk.draw(rng, FindingKind.MASS).p_malignant
        p.append((cluster, mass, phantom_regions.joined(cluster, mass))[content])
    malignant = rng.random(len(p)) < p

    area = evaluate.measure.auc(malignant, p)

    assert area == pytest.approx(phantom_regions.bayes_auc("both"), abs=0.01)


def test_a_mass_of_usual_risk_adds_no_evidence_to_a_cluster() -> None:
    assert phantom_regions.joined(0.3, risk.MASS_BASE_RATE) == pytest.approx(0.3)
    assert phantom_regions.joined(0.3, 0.9) > 0.3 > phantom_regions.joined(0.3, 0.1)


def test_regions_of_a_scenario_are_shared_out() -> None:
    assert phantom_regions.counts("both", 100) == {"cluster": 40, "mass": 30, "pair": 30}
    assert phantom_regions.counts("masses", 7) == {"mass": 7}


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("phantom:40", (40, 10, 40)),
        ("phantom:small", (240, 80, 120)),
        ("phantom:9/8/7", (9, 8, 7)),
    ],
)
def test_phantoms_are_named_by_size(text: str, sizes: tuple[int, int, int]) -> None:
    assert data.phantom_source(text).sizes == sizes
    assert data.phantom_source(f"{text}@3").seed == 3


@pytest.mark.parametrize(
    "call",
    [
        lambda: data.phantom_source("ddsm-exams:x"),
        lambda: data.phantom_source("phantom:0"),
        lambda: data.pisa_table(Path("nowhere"), "both"),
        lambda: data.pisa_table(Path("nowhere")),
    ],
)
def test_unfit_data_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(DataError):
        call()


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(SettingsError, match="calcifications, masses, both"):
        data.scenario_of("everything")


def pisa(folder: Path, women: int = 12) -> Path:
    """A toy folder in the layout of `pisa-masses`: two regions per woman."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows = []
    for woman in range(women):
        for view in range(2):
            malignant = woman % 2 == 1
            name = f"images/{woman:04d}_{view}.png"
            cv2.imwrite(str(folder / name), (drawn(rng, malignant) * 255).astype(np.uint8))
            rows.append((name, f"{woman:04d}", "malignant" if malignant else "benign"))
    rows += [("images/none.png", "0099", "benign"), (rows[0][0], "0098", "unclear")]
    with (folder / "rois.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("image", "woman", "label"), *rows])
    return folder


def test_pisa_masses_are_read(tmp_path: Path) -> None:
    found = pisa_masses.read(pisa(tmp_path / "pisa", women=3))

    assert len(found.records) == 6
    assert {r.woman for r in found.records if r.malignant} == {"0001"}
    assert dict(found.left_out) == {"file missing": 1, "label unknown": 1}


def test_a_preview_of_real_regions_opens_no_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pisa(tmp_path / "pisa", women=40)
    monkeypatch.setattr(regions, "measured", lambda *_: pytest.fail("segmented"))
    monkeypatch.setattr(regions, "placed", lambda *_: pytest.fail("read"))

    previewed = train.preview(f"pisa-masses:{folder}", tmp_path / "out", scenario="masses")

    assert {c.part for c in previewed.counts} == {"train", "validation", "test"}
    assert sum(sum(c.classes.values()) for c in previewed.counts) == 80
    assert sum(c.classes["malignant"] for c in previewed.counts) == 40


def test_a_folder_that_is_no_pisa_masses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rois\.csv"):
        pisa_masses.read(tmp_path)


def test_the_middle_of_a_region_is_taken() -> None:
    # 45 mm at 0.085 mm are 529 pixels
    assert pisa_masses.centre_box((1000, 1000)) == Box(235, 235, 765, 765)
    assert pisa_masses.centre_box((100, 300)) == Box(0, 0, 100, 300)


def test_cross_validation_keeps_women_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "AutoencoderRecipe", lambda: QUICK)
    monkeypatch.setattr(fitting.rivals, "COSTS", (1.0,))
    monkeypatch.setattr(fitting.rivals, "GAMMAS", (0.3,))
    folder = pisa(tmp_path / "pisa", women=20)

    result = evaluate.run(f"pisa-masses:{folder}")

    assert (result["n_pos"], result["n_neg"], result["women"]) == (20, 20, 20)
    assert [row["classifier"] for row in result["rows"]] == ["sae", "svm", "knn", "lda"]
    assert "by woman" in result["contrast"]
    low, high = result["auc_ci"]
    assert 0 <= low <= result["auc"] <= high <= 1
    table = data.pisa_table(folder)
    _, fold = fitting.cross_validated("masses", table, recipe=QUICK, svm=(1.0, 0.3))
    assert all(len(set(fold[table.women == woman])) == 1 for woman in table.women)


def test_a_phantoms_test_part_is_read_by_the_served_model(
    trained: tuple[dict[str, object], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phantom_regions, "draw", toy_region)
    folder = Path(str(trained[0]["folder"]))

    result = evaluate.run("phantom:24", model=folder)

    (test,) = trained[0]["test"]  # type: ignore[misc]
    assert result["auc"] == test["rows"][0]["auc"]
    assert result["best_auc_there_is"] == round(phantom_regions.bayes_auc("both"), 4)
    assert set(result["scenarios"]) == {"both"}


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    table = FeatureTable(
        "toy", ("a", "b"), np.arange(6.0).reshape(3, 2), np.array([True, False, True]),
        np.array([0.5, np.nan, 0.1]), np.array(["x", "y", "x"]),
    )  # fmt: skip

    table.write(tmp_path / "t.npz")
    again = FeatureTable.read(tmp_path / "t.npz")

    assert (again.name, again.features) == (table.name, table.features)
    np.testing.assert_array_equal(again.values, table.values)
    np.testing.assert_array_equal(again.p_malignant, table.p_malignant)
    assert again.women.tolist() == ["x", "y", "x"]


def test_tables_of_other_features_are_not_joined() -> None:
    one = FeatureTable("t", ("a",), np.zeros((1, 1)), np.ones(1, bool), np.ones(1), np.array(["x"]))

    with pytest.raises(DataError):
        one + one.columns(["a", "a"])


def test_the_papers_recipe_is_one_autoencoder_on_the_papers_own_features(
    trained: tuple[dict[str, object], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained[1] / "features", tmp_path / "features")
    monkeypatch.setattr(phantom_regions, "draw", toy_region)
    monkeypatch.setattr(fitting.rivals, "COSTS", (1.0,))
    monkeypatch.setattr(fitting.rivals, "GAMMAS", (0.3,))
    paper = recipes.load(Path("paper"), None)
    quick = replace(paper, pretrain_updates=2, updates=2)

    result = train.run("phantom:24", tmp_path, scenario="both", quiet=True, recipe=quick, folds=0)

    model = result["models"][0]
    card = store.read_card(Path(model["folder"]))
    assert isinstance(card, FeatureCard)
    assert len(card.features) == 15 + 26
    assert set(card.features) < set(FEATURE_NAMES["both"])
    assert card.architecture.members == 1
    assert [one.split(":")[0] for one in card.differences] == [
        "data", "split", "images", "segmentation", "cross-validation"
    ]  # fmt: skip
    alone = {one["feature"]: one["auc"] for one in model["test"][0]["single_features"]}
    assert alone.keys() == set(card.features)
    assert loading.load(Path(model["folder"])).card.features == card.features
