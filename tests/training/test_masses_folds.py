"""Folds of the detector of masses: whom a member learns from, and whose marks set a threshold."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cadnode.errors import DataError
from cadnode.networks.mass_map import MassMap
from cadnode_training.papers.detection.masses import fitting, marks, material, measure, windows
from cadnode_training.papers.detection.masses import train as mass_train
from cadnode_training.papers.detection.masses.marks import MeasuredMass, MeasuredView
from tests.training.test_masses import PLAN, RECIPE, write_views


def test_a_womans_own_marks_do_not_move_her_threshold() -> None:
    views = [
        MeasuredView(f"w{i}", marks.OUT_OF_FOLD, (MeasuredMass({}, 0.5),), (i / 100, i / 50))
        for i in range(40)
    ]
    before = measure.out_of_fold_thresholds(views)

    views[3] = replace(views[3], false=(0.99,) * 60)
    after = measure.out_of_fold_thresholds(views)

    assert after[3] == before[3]
    assert max(after) > max(before)


def test_a_minibatch_of_women_left_out_alone_teaches_nothing() -> None:
    recipe = replace(RECIPE, schedule=replace(PLAN, members=1))
    network = MassMap(recipe.network)
    batch = windows.MassBatch(
        torch.zeros(2, 1, 64, 48), torch.zeros(2, 8, 6), torch.zeros(2, 2, 8, 6), np.arange(2)
    )

    loss = fitting.batch_loss(
        network, batch, network.trunk(batch.windows), np.zeros(2, np.intp), 0.2
    )
    loss.backward()

    assert loss.item() == 0
    assert all(not p.grad.any() for p in network.members.parameters() if p.grad is not None)


def test_women_too_few_to_be_left_out_are_refused_before_training(tmp_path: Path) -> None:
    folder = write_views(tmp_path / "views", women=1)

    with pytest.raises(DataError, match=r"too few|no view"):
        mass_train.run([f"cbis-mass-views:{folder}"], tmp_path / "out", recipe=RECIPE, quiet=True)


def test_members_do_not_learn_from_the_women_of_their_fold() -> None:
    pixels = np.full((4, 64, 48), 90, np.uint8)
    boxes = tuple(np.array([[20, 10, 36, 22]], np.float32) for _ in range(4))
    women = tuple(f"{i:08x}{i:08x}" for i in range(4))
    found = material.MassViews(pixels, boxes, women, ("cbis-mass-views",) * 3 + ("phantom",))
    assert fitting.folds_of(found, 2).tolist() == [0, 1, 0, fitting.EVERYONE]
