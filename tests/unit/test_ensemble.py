"""The mean of several models' readings of one region."""

import numpy as np
import pytest

from cadnode.models.ensemble import ensemble
from cadnode.models.roi_model import RoiReading


def reading(probability: float, cam: np.ndarray | None = None) -> RoiReading:
    return RoiReading(probability, 0.0, cam)


def test_the_ensembles_probability_is_the_mean_and_the_members_keep_theirs() -> None:
    together = ensemble({"b": reading(0.2), "a": reading(0.9), "c": reading(0.1)})

    assert together.probability == pytest.approx(0.4)
    assert together.members == (("b", 0.2), ("a", 0.9), ("c", 0.1))
    assert together.cam is None


def test_maps_of_one_resolution_are_averaged() -> None:
    a, b = np.array([[0.0, 0.8]], np.float32), np.array([[0.4, 0.0]], np.float32)

    together = ensemble({"a": reading(0.8, a), "b": reading(0.4, b), "c": reading(0.3)})

    np.testing.assert_allclose(together.cam, [[0.2, 0.4]])


def test_maps_of_other_resolutions_meet_at_the_finest() -> None:
    coarse = np.full((2, 2), 0.6, np.float32)
    fine = np.zeros((4, 4), np.float32)
    fine[1, 2] = 0.4

    together = ensemble({"a": reading(0.6, coarse), "b": reading(0.4, fine)})

    assert together.cam is not None
    assert together.cam.shape == (4, 4)
    assert together.cam[1, 2] == pytest.approx(0.5)
    assert together.cam[3, 0] == pytest.approx(0.3)


def test_one_model_is_its_own_ensemble() -> None:
    cam = np.array([[0.1, 0.7]], np.float32)

    alone = ensemble({"a": reading(0.7, cam)})

    assert alone.probability == 0.7
    np.testing.assert_array_equal(alone.cam, cam)
