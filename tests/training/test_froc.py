"""FROC: thresholds, sensitivities and intervals by hand."""

import numpy as np
import pytest

from cadnode.errors import DataError
from cadnode_training.statistics.froc import ImageMarks, froc, interval, summary

# Two women; three lesions, one of them never marked; two images count for false marks.
IMAGES = [
    ImageMarks("a", (0.9, None), (0.3,), False),
    ImageMarks("a", (), (0.8, 0.2), True),
    ImageMarks("b", (0.5,), (), False),
    ImageMarks("b", (), (0.6, 0.4), True),
]


def test_the_curve_is_the_one_counted_by_hand() -> None:
    curve = froc(IMAGES)

    np.testing.assert_allclose(curve.thresholds, [0.9, 0.8, 0.6, 0.5, 0.4, 0.2])
    np.testing.assert_allclose(curve.fp_per_image, [0, 0.5, 1, 1, 1.5, 2])
    np.testing.assert_allclose(curve.sensitivity, [1 / 3, 1 / 3, 1 / 3, 2 / 3, 2 / 3, 2 / 3])


def test_sensitivity_at_a_number_of_false_marks() -> None:
    curve = froc(IMAGES)

    assert curve.sensitivity_at(0.5) == pytest.approx(1 / 3)
    assert curve.sensitivity_at(1.0) == pytest.approx(2 / 3)
    assert curve.threshold_at(1.0) == pytest.approx(0.5)


def test_a_lesion_without_a_mark_is_never_found() -> None:
    assert froc(IMAGES).sensitivity.max() == pytest.approx(2 / 3)


def test_false_marks_in_images_that_do_not_count_are_not_counted() -> None:
    only = [ImageMarks("a", (0.5,), (0.9, 0.9), False), ImageMarks("b", (), (), True)]

    assert froc(only).sensitivity_at(0.0) == 1


def test_sensitivity_and_false_marks_never_fall_with_the_threshold() -> None:
    rng = np.random.default_rng(0)
    images = [
        ImageMarks(str(i), tuple(rng.random(2)), tuple(rng.random(3)), bool(i % 2))
        for i in range(40)
    ]
    curve = froc(images)

    assert (np.diff(curve.sensitivity) >= 0).all()
    assert (np.diff(curve.fp_per_image) >= 0).all()


def test_the_interval_surrounds_the_value_and_is_the_same_each_time() -> None:
    rng = np.random.default_rng(1)
    images = [
        ImageMarks(str(i), (float(rng.random() + 0.2),), tuple(rng.random(1)), True)
        for i in range(60)
    ]
    value = froc(images).sensitivity_at(0.5)

    low, high = interval(images, 0.5, replicates=200)

    assert low < value < high
    assert (low, high) == interval(images, 0.5, replicates=200)


def test_one_womans_images_are_drawn_together() -> None:
    # All lesions of one woman are found and none of the other's: samples have 0, ½ or 1.
    images = [ImageMarks("a", (0.9,) * 5, (), True), ImageMarks("b", (None,) * 5, (), True)]

    low, high = interval(images, 1.0, replicates=300)

    assert (low, high) == (0.0, 1.0)


def test_without_lesions_or_counting_images_there_is_no_curve() -> None:
    with pytest.raises(DataError):
        froc([ImageMarks("a", (), (0.5,), True)])
    with pytest.raises(DataError):
        froc([ImageMarks("a", (0.5,), (), False)])


def test_the_summary_says_how_many_lesions_were_found() -> None:
    numbers = summary(IMAGES)

    assert numbers["n_found_at_1fp"] == 2
    assert numbers["n_lesions"] == 3
    assert numbers["n_images"] == 2
    assert numbers["froc"][0] == {"threshold": 0.9, "fp_per_image": 0.0, "sensitivity": 0.3333}
