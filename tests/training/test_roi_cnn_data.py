"""ROIs, their changes, the minibatches, the tasks, and what is measured of them."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cadnode.domain import CalcificationType, Distribution
from cadnode.errors import DataError
from cadnode.imaging.roi_chain import RoiSpec
from cadnode.models.weights import unpack
from cadnode.networks import cnn
from cadnode.networks.cnn import CnnConfig
from cadnode_training.data.rois import RoiRecord, RoiSet, open_set, write_table
from cadnode_training.data.sets import phantom_rois
from cadnode_training.data.sets.phantom_rois import PhantomSource, as_bytes, draw, parse, prepare
from cadnode_training.engine.machine import Machine
from cadnode_training.papers.roi_cnn import measure
from cadnode_training.papers.roi_cnn.augment import augment, centre
from cadnode_training.papers.roi_cnn.batches import RoiBatches
from cadnode_training.papers.roi_cnn.config import (
    Augmentation,
    Member,
    RoiOptimizer,
    RoiRecipe,
    Stage,
)
from cadnode_training.papers.roi_cnn.saliency import Peak, _peak, shares
from cadnode_training.papers.roi_cnn.stage import StageData, learn
from cadnode_training.papers.roi_cnn.tasks import task

STILL = Augmentation(flips=False, rotation_share=0, translation_px=0)
SPEC = RoiSpec(size=64, spacing_mm=0.5)


def record(number: int, *, malignant: bool = False, p: float | None = None) -> RoiRecord:
    return RoiRecord(f"0:test:{number}", malignant, "digital", p_malignant=p)


def rois(n: int = 10, size: int = 40) -> RoiSet:
    images = np.random.default_rng(0).integers(0, 256, (n, size, size), dtype=np.uint8)
    return RoiSet("toy", images, tuple(record(i, malignant=i % 2 == 0) for i in range(n)))


def test_without_changes_the_middle_is_cut_and_turned_by_quarters() -> None:
    stored = rois().images[0]
    middle = centre(stored, 24)

    found = {augment(np.random.default_rng(i), stored, 24, STILL)[0].tobytes() for i in range(30)}

    assert found == {np.ascontiguousarray(np.rot90(middle, k)).tobytes() for k in range(4)}


def test_a_translation_moves_by_whole_pixels() -> None:
    how = Augmentation(flips=False, rotation_share=0, translation_px=8)
    stored = np.zeros((40, 40), np.uint8)
    stored[20, 20] = 255

    spots = [augment(np.random.default_rng(i), stored, 24, how)[0] for i in range(20)]

    assert all(spot.sum() == 1 for spot in spots)
    rows = {int(np.argwhere(spot)[0, 0]) for spot in spots}
    assert len(rows) > 5
    assert rows <= set(range(3, 22))


def test_a_part_is_cut_around_the_lesion_and_moved_in_proportion() -> None:
    stored = np.zeros((40, 40), np.uint8)
    stored[9:11, 29:31] = 255
    lesion = replace(record(0), box=(8, 28, 12, 32))
    batches = RoiBatches(
        RoiSet("toy", stored[None], (lesion,)), Stage(size=8),
        replace(STILL, translation_px=8), batch=1, whole=32, seed=3,
    )  # fmt: skip

    shown = [batches.make(0, step).images[0, 0].numpy() for step in range(12)]

    assert all(image.shape == (8, 8) for image in shown)
    assert all(image.sum() == 4 for image in shown)
    corners = {int(np.argwhere(image).min(0)[0]) for image in shown}
    assert corners <= {1, 2, 3, 4, 5}
    np.testing.assert_array_equal(centre(stored, 8, lesion.centre)[3:5, 3:5], np.ones((2, 2)))


def test_any_angle_and_grey_levels_stay_in_range_and_repeat() -> None:
    how = Augmentation(rotation_share=1, translation_px=3, grey=0.3)
    stored = rois().images[1]

    first, second = (augment(np.random.default_rng(4), stored, 24, how)[0] for _ in range(2))

    np.testing.assert_array_equal(first, second)
    assert first.shape == (24, 24)
    assert first.dtype == np.float32
    assert 0 <= first.min() < first.max() <= 1


def test_an_epoch_shows_every_roi_as_often_as_the_recipe_says() -> None:
    how = Augmentation(copies=2, flips=False, rotation_share=0, translation_px=0)
    batches = RoiBatches(rois(), Stage(), how, batch=4, whole=16, seed=3)

    shown = np.concatenate([batches._rows(0, step) for step in range(len(batches))])

    assert len(batches) == 5
    assert sorted(shown) == sorted([*range(10)] * 2)
    assert shown[:10].tolist() != batches._rows(1, 0).tolist() + batches._rows(1, 1).tolist()


def test_a_minibatch_depends_on_seed_epoch_and_step_alone() -> None:
    one, other = (
        RoiBatches(rois(), Stage(), Augmentation(), batch=4, whole=16, seed=3) for _ in "ab"
    )
    other.make(0, 0)

    torch.testing.assert_close(one.make(2, 1).images, other.make(2, 1).images, rtol=0, atol=0)
    assert not torch.equal(one.make(2, 1).images, one.make(2, 2).images)


def test_losses_are_cross_entropies_and_unknown_descriptors_do_not_count() -> None:
    malignancy, joint = task("malignancy"), task("joint")
    logits = torch.zeros(2, joint.outputs)
    known = torch.tensor([[1, 0, 0], [0, 2, 4]])
    unknown = torch.tensor([[1, -1, -1], [0, -1, -1]])

    assert joint.outputs == 2 + len(CalcificationType) + len(Distribution)
    assert malignancy.loss(logits, known).item() == pytest.approx(np.log(2))
    assert joint.loss(logits, unknown).item() == pytest.approx(np.log(2))
    assert joint.loss(logits, known).item() == pytest.approx(np.log(2) + np.log(8) + np.log(5))


def test_descriptors_are_scored_by_the_share_that_is_right() -> None:
    logits = np.zeros((2, 15), np.float32)
    logits[:, 2 + 3] = 1  # both are called amorphous
    logits[:, 10 + 1] = 1  # and regional
    targets = np.array([[0, 3, 1], [1, 5, 1]], np.int64)

    found = task("descriptors").scores(logits, targets)

    assert found == {"type": 0.5, "distribution": 1.0, "score": 0.75}


@pytest.mark.parametrize("text", ["mias:3", "phantom:1/2", "phantom:0/1/1", "phantom:tiny@x"])
def test_what_is_no_phantom_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        parse(text)


def test_phantom_sources_are_named_as_they_are_written() -> None:
    assert parse("phantom:5/6/7@2") == PhantomSource((5, 6, 7), 2)
    assert parse("phantom:5/6/7@2").name == "phantom:5/6/7@2"
    assert parse("phantom:tiny").count("validation") == 16
    assert parse("phantom:50").sizes == (50, 10, 10)
    assert parse("phantom:50", only_test=True).count("test") == 50


def test_parts_hold_other_rois_and_a_number_always_the_same() -> None:
    source = parse("phantom:tiny")

    train, test = (draw(source, part, 1, size=64, spacing_mm=0.5) for part in ("train", "test"))
    again = draw(source, "train", 1, size=64, spacing_mm=0.5)

    np.testing.assert_array_equal(train.image, again.image)
    assert train.record == again.record
    assert not np.array_equal(train.image, test.image)
    assert train.record.acquisition == "film"
    assert train.record.targets[0] == int(train.record.malignant)


def test_a_set_that_was_made_in_part_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = parse("phantom:6/4/4")
    whole = prepare(source, "train", SPEC, tmp_path / "a", margin=4, quiet=True)
    made = phantom_rois.draw
    monkeypatch.setattr(phantom_rois, "_SAVE_EVERY", 2)

    def stopping(source: PhantomSource, part: str, number: int, **size: float) -> object:
        if number == 5:
            raise KeyboardInterrupt
        return made(source, part, number, **size)

    monkeypatch.setattr(phantom_rois, "draw", stopping)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, "train", SPEC, tmp_path / "b", margin=4, quiet=True)
    with pytest.raises(DataError, match="4 of 6"):
        open_set(next((tmp_path / "b").iterdir()))
    monkeypatch.undo()
    resumed = prepare(source, "train", SPEC, tmp_path / "b", margin=4, quiet=True)

    assert resumed.images.shape == (6, 72, 72)
    np.testing.assert_array_equal(resumed.images, whole.images)
    assert resumed.records == whole.records


def test_stored_rois_are_what_the_node_cuts() -> None:
    drawn = draw(parse("phantom:tiny"), "test", 0, size=64, spacing_mm=0.5)

    stored = as_bytes(drawn.image, SPEC)

    served = phantom_rois.cut(drawn.image, (32, 32), (0.5, 0.5), SPEC).image[0]
    np.testing.assert_allclose(stored / 255, served, atol=0.5 / 255 + 1e-6)


def test_a_damaged_table_is_said_to_be_damaged(tmp_path: Path) -> None:
    write_table(tmp_path, "toy", [record(0)])
    (tmp_path / "rois.json").write_text('{"rois": [{"colour": 3}]}')

    with pytest.raises(DataError, match="damaged"):
        open_set(tmp_path)


def test_platts_slope_undoes_a_network_that_is_twice_too_sure() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1.5, 6000)
    labels = rng.random(6000) < 1 / (1 + np.exp(-true))

    fitted = measure.platt(2 * true + 1, labels, "toy")

    assert fitted.slope == pytest.approx(0.5, abs=0.03)
    assert fitted.intercept == pytest.approx(-0.5, abs=0.08)
    assert fitted.prevalence == pytest.approx(labels.mean())


def test_the_best_reader_has_the_whole_share_and_a_guesser_none() -> None:
    p = np.array([0.1, 0.9, 0.4, 0.6, 0.2, 0.8])
    labels = [False, True, True, False, False, True]
    records = [record(i, malignant=m, p=v) for i, (m, v) in enumerate(zip(labels, p, strict=True))]

    best = measure.numbers(records, p, threshold=0.5)
    guess = measure.numbers(records, np.full(6, 0.3))

    # Of nine pairs the 0.4 malignant and the 0.6 benign one are in the wrong order.
    assert best["auc"] == pytest.approx(8 / 9, abs=1e-4)
    assert (best["share_of_best"], guess["share_of_best"]) == (1, 0)
    assert best["operating_point"]["sensitivity"]["hits"] == 2
    assert best["operating_point"]["specificity"]["n"] == 3


def test_a_stratum_without_both_classes_has_no_area() -> None:
    row = measure.auc_of([record(0), record(1)], np.array([0.1, 0.2]))

    assert (row["auc"], row["auc_ci"], row["n_pos"], row["n_neg"]) == (None, None, 0, 2)


def test_a_peak_is_on_the_lesion_beside_it_or_elsewhere() -> None:
    cam = np.zeros((4, 4), np.float32)
    cam[1, 2] = 0.7  # the cell's middle is pixel (6, 10) of 16

    on = _peak(record(0), True, (4.0, 8.0, 8.0, 12.0), cam, 16, 4)
    beside = _peak(record(0), True, (4.0, 12.0, 8.0, 15.0), cam, 16, 4)
    away = _peak(record(0), True, (12.0, 0.0, 16.0, 4.0), cam, 16, 4)
    empty = _peak(record(0), True, (0.0, 0.0, 16.0, 16.0), np.zeros((4, 4), np.float32), 16, 4)

    assert [(p.on_lesion, p.beside) for p in (on, beside, away, empty)] == [
        (True, True), (False, True), (False, False), (False, False)
    ]  # fmt: skip
    assert on.of_area == pytest.approx(1 / 16)
    json.dumps(shares([on, beside, away, empty]))


def test_peaks_are_counted_by_call() -> None:
    ill, well = record(0, malignant=True), record(1)
    peaks = [Peak(ill, True, True, True, 0.1), Peak(ill, False, False, True, 0.1),
             Peak(well, False, False, False, 0.3)]  # fmt: skip

    found = shares(peaks)

    assert found["all"]["in_box"]["hits"] == 1
    assert found["rightly_read"]["in_box"]["n"] == 2
    assert found["rightly_malignant"]["in_box"]["value"] == 1
    assert found["wrongly_read"]["in_box_grown_by_a_cell"]["hits"] == 1
    assert found["rightly_benign"]["by_chance"] == 0.3


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_the_real_resnext_learns_two_steps_in_bfloat16(tmp_path: Path, weight: float) -> None:
    recipe = RoiRecipe(optimizer=RoiOptimizer(name="adamw", average=True, clip=1.0, amp=True))
    frozen = ("body.conv1", "body.layer1")
    stage = Stage(size=64, batch=2, steps=2, epochs=1, frozen=frozen, attention=weight)
    network = cnn.network(CnnConfig(name="resnext50_32x4d"))
    before = copy.deepcopy(network.state_dict())
    member, boxed = Member("resnext50_32x4d"), rois(4, 80)
    records = tuple(replace(r, box=(30, 30, 50, 50)) for r in boxed.records)
    boxed = RoiSet("boxed", boxed.images, records)
    data = StageData(boxed, boxed)

    file = learn(
        network, stage, member, recipe, data, tmp_path,
        seed=0, machine=Machine("cpu"), resume=False, quiet=True,
    )  # fmt: skip

    after = unpack(file.read_bytes())
    assert all(torch.isfinite(value).all() for value in after.values())
    assert torch.equal(after["body.conv1.weight"], before["body.conv1.weight"])
    assert not torch.equal(
        after["body.layer4.2.conv3.weight"], before["body.layer4.2.conv3.weight"]
    )
