"""The detector of masses: its windows, targets, matching, training and evaluation on toy views."""

import csv
from dataclasses import replace
from datetime import date
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from cadnode.domain import Box
from cadnode.errors import DataError, SettingsError
from cadnode.models import store
from cadnode.models.card import MassFinderCard
from cadnode.models.engine import TORCH
from cadnode.models.mass_finder import MassFinder
from cadnode_training.data import manifest as m
from cadnode_training.data.sets import cbis_views
from cadnode_training.data.views import part_of
from cadnode_training.engine.phase_loop import Kept
from cadnode_training.engine.provenance import Provenance
from cadnode_training.papers.detection import evaluate, train
from cadnode_training.papers.detection.masses import (
    config,
    export,
    fitting,
    marks,
    material,
    measure,
)
from cadnode_training.papers.detection.masses import train as mass_train
from cadnode_training.papers.detection.masses.config import MassInput, MassRecipe, MassSchedule
from cadnode_training.papers.detection.masses.marks import MeasuredMass, MeasuredView
from cadnode_training.papers.detection.masses.windows import augmented, targets

SIZE = MassInput(height=64, width=48, stretch_to=96, window_height=64, window_width=48)
PLAN = MassSchedule(folds=2, members=2, channels=8, epochs=2, steps=1, batch=2, start="")
RECIPE = MassRecipe(input=SIZE, schedule=PLAN)
COLUMNS = (
    "image", "woman", "laterality", "view", "boxes", "label", "assessment", "shape", "margins",
    "density", "subtlety", "ddsm_view",
)  # fmt: skip


def write_views(folder: Path, women: int = 10) -> Path:
    """Views of 96 × 96 pixels with a bright mass each, of `women` women."""
    (folder / "images").mkdir(parents=True)
    rows, rng = [], np.random.default_rng(0)
    for number in range(women):
        row, col = np.mgrid[:96, :96]
        breast = (row / 48 - 1) ** 2 + (col / 70) ** 2 < 0.9
        image = breast * (90 + rng.normal(0, 6, (96, 96)))
        cv2.circle(image, (30, 30 + 3 * number), 7, 220, -1)
        name = f"images/{number}.png"
        cv2.imwrite(str(folder / name), image.clip(0, 255).astype(np.uint8))
        box = f"{23 + 3 * number},23,{38 + 3 * number},38"
        label = "malignant" if number % 2 else "benign"
        rows.append(
            (name, f"P{number}", "L", "CC", box, label, 4, "OVAL", "SPICULATED", 2, 5,
             f"A{number}_l_cc.jpg")
        )  # fmt: skip
    with (folder / "views.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    return folder


@pytest.fixture(scope="module")
def views(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_views(tmp_path_factory.mktemp("masses") / "views")


@pytest.fixture(scope="module")
def trained(views: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("masses-out")
    result = mass_train.run(
        [f"cbis-mass-views:{views}"], out, recipe=RECIPE, quiet=True, engine=TORCH
    )
    return Path(result["models"][0]["folder"])


def test_a_womans_part_is_that_of_her_first_ddsm_exam(views: Path) -> None:
    for row in cbis_views.read(views).rows:
        key = store.woman_key("ddsm-exams", row.woman.replace("P", "A"))
        assert row.split == part_of(key)
        assert (row.lesion_kind, row.mass_shape, row.density) == ("mass", "oval", "B")


def test_views_without_a_usable_box_and_of_the_demo_are_counted(tmp_path: Path) -> None:
    folder = write_views(tmp_path / "views", women=3)
    table = (folder / "views.csv").read_text()
    table = table.replace('"23,23,38,38"', '"38,23,23,38"').replace("A1_l_cc", "C0104_l_cc")
    (folder / "views.csv").write_text(table)
    found = cbis_views.read(folder)
    assert [row.woman for row in found.rows] == ["P2"]
    assert dict(found.left_out) == {"no box": 1, "of the demo's exam": 1}


def test_targets_are_one_at_the_cell_of_the_centre_and_know_the_size() -> None:
    boxes = np.array([[16, 8, 32, 40]], np.float32)  # centre (24, 24): cell (3, 3)
    heat, logs = targets(boxes, (64, 48), (64, 48))
    assert heat.shape == (8, 6)
    assert heat[3, 3] == 1
    assert heat.argmax() == 3 * 6 + 3
    assert logs[:, 3, 3] == pytest.approx(np.log([16 / 64, 32 / 48]), abs=1e-6)


def test_windows_carry_their_boxes_along() -> None:
    pixels = np.full((64, 48), 60, np.uint8)
    pixels[20:36, 10:22] = 250
    box, rng = np.array([[20, 10, 36, 22]], np.float32), np.random.default_rng(1)
    for _ in range(20):
        window, boxes = augmented(pixels, box, rng, SIZE, config.MassAugmentation())
        for row0, col0, row1, col1 in boxes:
            middle = window[
                max(int((row0 + row1) / 2), 0) % 64, max(int((col0 + col1) / 2), 0) % 48
            ]
            assert middle > window[window > 0].mean()


def test_a_mark_hits_by_its_centre_unless_it_is_too_large_or_by_overlap() -> None:
    mass = Box(100, 100, 120, 120)
    assert marks.hits(Box(95, 95, 125, 125), mass)
    assert not marks.hits(Box(80, 80, 140, 140), mass)  # nine times the area, overlap 1/9
    assert marks.hits(Box(108, 108, 128, 128), mass)
    assert marks.hits(Box(100, 111, 120, 131), mass)  # centre outside, overlap 9/31
    assert not marks.hits(Box(100, 113, 120, 133), mass)  # overlap 7/33


def test_one_hit_a_mass_and_a_further_mark_on_it_counts_neither_way() -> None:
    masses = [Box(0, 0, 20, 20), Box(100, 100, 120, 120)]
    found = [(Box(0, 0, 20, 20), 0.9), (Box(2, 2, 20, 20), 0.8), (Box(50, 50, 60, 60), 0.7)]
    assert marks.matched(found, masses) == ([0.9, None], [0.7])


def test_thresholds_are_those_of_other_women() -> None:
    facts = {"label": "benign"}
    views = [
        MeasuredView(f"w{i}", marks.OUT_OF_FOLD, (MeasuredMass(facts, 0.9),), (0.1 + i / 100, 0.05))
        for i in range(40)
    ]
    result = measure.numbers(views, 0)
    assert result["n_found_at_1fp"] == result["n_lesions"] == 40
    assert result["fp_per_image"] == pytest.approx(1, abs=0.1)
    assert result["by_label"][0]["value"] == "benign"


def test_nothing_is_found_where_every_mark_is_less_certain_than_false_ones() -> None:
    views = [
        MeasuredView(f"w{i}", marks.UNSEEN, (MeasuredMass({}, 0.2),), (0.9, 0.8, 0.7))
        for i in range(20)
    ]
    assert measure.numbers(views, 0)["sensitivity_at_1fp"] == 0


def test_the_folder_is_whole_and_its_folds_are_of_development_women(
    trained: Path, views: Path
) -> None:
    card = store.read_card(trained)
    assert isinstance(card, MassFinderCard)
    assert [data.terms for data in card.training_sets] == ["CBIS-DDSM, CC BY 3.0"]
    folds, seen = store.read_folds(trained), store.seen_women(trained)
    assert len(folds) == 2
    assert not folds[0] & folds[1]
    assert folds[0] | folds[1] == seen
    tested = {r.woman for r in cbis_views.read(views).rows if r.split == m.TEST}
    assert tested
    assert not seen & {k for w in tested for k in cbis_views.keys_of_women(views)[w]}


def test_a_card_states_film_of_film_alone(trained: Path) -> None:
    pixels, boxes = np.zeros((1, 8, 8), np.uint8), (np.zeros((0, 4), np.float32),)
    own = material.MassViews(pixels, boxes, ("0" * 16,), ("clinic",))
    origin = Provenance("train", 0, date(2026, 1, 1), ("c" * 64,))
    held_out = [MeasuredView("w", marks.OUT_OF_FOLD, (MeasuredMass({}, 0.9),), (0.1, 0.2))]

    film, other = (
        store.read_card(trained),
        export.card(RECIPE, own, held_out, origin, imagenet=False),
    )

    assert "a real digital mammogram was never seen" in film.limits[0]
    assert (film.training_content, other.training_content) == ((), ("c" * 64,))
    assert "DDSM" in film.split
    assert not [text for text in (*other.limits, other.split) if "film" in text or "DDSM" in text]


def test_evaluation_reads_women_by_the_member_that_left_them_out(
    trained: Path, views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    whole = MassFinder.by_member

    def by_member(self: MassFinder, number: int) -> MassFinder:
        asked.append(number)
        return whole(self, number)

    monkeypatch.setattr(MassFinder, "by_member", by_member)
    result = evaluate.run(f"cbis-mass-views:{views}", model=trained)
    parts = result["by_part"]
    assert result["n_lesions"] == 10
    assert parts[marks.OUT_OF_FOLD]["n_lesions"] == len(asked) < 10
    assert parts[marks.UNSEEN]["n_lesions"] == 10 - len(asked)
    assert {row["value"] for row in result["by_label"]} == {"benign", "malignant"}
    evaluate.show(Console(quiet=True), result)


def test_without_a_detector_the_statistics_are_measured(
    views: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "packaged", lambda: None)
    result = evaluate.run(f"cbis-mass-views:{views}")
    assert result["model"] is None
    assert result["n_images"] == 10


def test_a_training_that_was_stopped_ends_with_the_same_bits(tmp_path: Path, views: Path) -> None:
    folder = cbis_views.read(views)
    keys = cbis_views.keys_of_women(views)
    found = material.prepared(material.of_manifest(folder, keys), SIZE.spec)
    whole = fitting.fit(found, RECIPE, None, 0, quiet=True, engine=TORCH).state_dict()

    def stopped(_: object) -> bool:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        real = fitting.batch_loss
        calls: list[int] = []

        def loss(*given: object) -> torch.Tensor:
            calls.append(1)
            if len(calls) > PLAN.steps:
                stopped(None)
            return real(*given)  # type: ignore[arg-type]

        patch.setattr(fitting, "batch_loss", loss)
        with pytest.raises(KeyboardInterrupt):
            fitting.fit(found, RECIPE, None, 0, quiet=True, kept=Kept(tmp_path), engine=TORCH)
    resumed = fitting.fit(found, RECIPE, None, 0, quiet=True, kept=Kept(tmp_path), engine=TORCH)
    for name, tensor in resumed.state_dict().items():
        assert torch.equal(tensor, whole[name]), name


def test_a_recipe_needs_folds_for_its_members(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text("[schedule]\nfolds = 2\nmembers = 3\n")
    with pytest.raises(SettingsError, match="a member for each"):
        config.load(file, None)
    assert config.load(None, 3).schedule == replace(config.load(None, None).schedule, epochs=3)


def test_phantoms_alone_are_refused_and_other_kinds_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cbis-mass-views:PATH"):
        train.run(["phantom:0"], tmp_path, kind="masses", quiet=True)
    with pytest.raises(SettingsError, match="calcifications or masses"):
        train.preview(["phantom:small"], tmp_path, kind="lumps")
    preview = train.preview(["phantom:small"], tmp_path, kind="masses")
    assert preview.counts[0].classes == {"views": 32}
