"""Phantom exams and regions as images."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cadnode.domain import (
    Acquisition,
    CalcificationType,
    Distribution,
    FindingKind,
    Laterality,
    ViewPosition,
)
from cadnode_training.phantom import (
    ClusterDescriptors,
    LesionPrior,
    PhantomExam,
    PhantomSpec,
    RoiSource,
    exam,
    texture,
)
from cadnode_training.phantom.anatomy import draw_breast as a_breast
from cadnode_training.phantom.anatomy import geometry

SMALL = PhantomSpec(spacing_mm=0.2, rows=800, columns=620)
OFTEN = LesionPrior(one=0.5, two=0.5)


@pytest.fixture(scope="module")
def phantom() -> PhantomExam:
    return exam(11, SMALL, lesions=OFTEN)


@pytest.fixture(scope="module")
def on_film() -> PhantomExam:
    return exam(11, PhantomSpec(0.4, 400, 310, Acquisition.FILM), lesions=OFTEN)


@pytest.fixture(scope="module")
def source() -> RoiSource:
    return RoiSource(0, 2)


def slope(image: NDArray[np.float32], spacing_mm: float, low: float, high: float) -> float:
    """Of the logarithm of the power spectrum between two frequencies (cycles a mm)."""
    window = np.hanning(image.shape[0])[:, None] * np.hanning(image.shape[1])
    power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
    rows = np.fft.fftfreq(image.shape[0], spacing_mm)[:, None]
    cols = np.fft.fftfreq(image.shape[1], spacing_mm)[None, :]
    frequency = np.hypot(rows, cols)
    inside = (frequency > low) & (frequency < high)
    return float(np.polyfit(np.log(frequency[inside]), np.log(power[inside]), 1)[0])


def test_one_seed_gives_the_same_pixels_and_another_seed_does_not(on_film: PhantomExam) -> None:
    again, other = exam(11, on_film.spec, lesions=OFTEN), exam(12, on_film.spec, lesions=OFTEN)

    for view, same, different in zip(on_film.views, again.views, other.views, strict=True):
        np.testing.assert_array_equal(view.image, same.image)
        assert [lesion.box for lesion in view.lesions] == [lesion.box for lesion in same.lesions]
        assert not np.array_equal(view.image, different.image)
    assert on_film.malignant == again.malignant


def test_an_exam_has_the_four_standard_views_in_range(phantom: PhantomExam) -> None:
    names = {f"{view.laterality}{view.view}" for view in phantom.views}

    assert names == {"RCC", "LCC", "RMLO", "LMLO"}
    for view in phantom.views:
        assert view.image.shape == (800, 620)
        assert view.image.dtype == np.float32
        assert view.image.min() == 0
        assert 0.5 < view.image.max() <= 1


def test_the_breast_is_at_the_chest_wall_and_the_background_is_black(phantom: PhantomExam) -> None:
    for view in phantom.views:
        image = view.image if view.laterality == Laterality.LEFT else view.image[:, ::-1]
        assert 0.15 < (image > 0.05).mean() < 0.6
        assert image[300:500, :20].min() > 0.05
        assert (image[:, -30:] == 0).mean() > 0.99


def test_tissue_thins_out_towards_the_skin(phantom: PhantomExam) -> None:
    left = next(v for v in phantom.views if v.laterality == "L" and v.view == "CC").image
    row = left[380:420].mean(0)
    edge = int(np.flatnonzero(row > 0.02)[-1])

    assert row[edge - 5 : edge].mean() < 0.75 * row[edge - 100 : edge - 40].mean()


def test_the_pectoral_muscle_is_in_oblique_views_only() -> None:
    rng = np.random.default_rng(0)
    breast = a_breast(rng)

    oblique = geometry(rng, breast, ViewPosition.MLO, SMALL.field_mm).pectoral
    straight = geometry(rng, breast, ViewPosition.CC, SMALL.field_mm).pectoral

    assert straight.max() == 0
    assert oblique[0, 0] == 1
    assert oblique[-1].max() == 0
    widths = (oblique > 0.5).sum(1)
    assert widths[0] > widths[200] > widths[400]


def test_the_muscle_is_brighter_than_the_fat_beside_it(phantom: PhantomExam) -> None:
    view = next(v for v in phantom.views if v.laterality == "L" and v.view == "MLO")

    muscle, fat = view.image[5:60, 5:40], view.image[view.image > 0.1]

    assert np.median(muscle) > np.quantile(fat, 0.4)


def test_left_and_right_breasts_have_nearly_the_same_outline(phantom: PhantomExam) -> None:
    for position in (ViewPosition.CC, ViewPosition.MLO):
        pair = {v.laterality: v.image > 0.05 for v in phantom.views if v.view == position}
        left, right = pair[Laterality.LEFT], pair[Laterality.RIGHT][:, ::-1]
        assert (left & right).sum() / (left | right).sum() > 0.85


@pytest.mark.parametrize("beta", [2.0, 3.0])
def test_the_noise_has_the_power_law_asked_for(beta: float) -> None:
    noise = texture.power_law(np.random.default_rng(0), (512, 512), 0.1, beta)

    assert noise.std() == pytest.approx(1, rel=1e-4)
    assert slope(noise, 0.1, 0.1, 3) == pytest.approx(-beta, abs=0.15)


def test_parenchyma_has_the_power_law_of_mammograms(source: RoiSource) -> None:
    """Burgess 2001: about 1/f³; the detector's noise flattens it a little."""
    rng = np.random.default_rng(4)
    images = [source.draw(rng, size=256, kind=None).image for _ in range(30)]
    whole = [image for image in images if (image > 0.1).all()]

    assert len(whole) >= 8
    slopes = [slope(image, 0.1, 0.1, 1.0) for image in whole]
    assert -3.5 < np.median(slopes) < -2.5


def test_noise_grows_with_density_and_with_finer_pixels() -> None:
    def deviation(level: float, spacing_mm: float) -> float:
        flat = np.full((200, 200), level, np.float32)
        rng = np.random.default_rng(0)
        return float(texture.detector(rng, flat, spacing_mm, blur_mm=0.05, noise=0.01).std())

    assert deviation(0.5, 0.1) == pytest.approx(0.01, rel=0.25)
    assert deviation(0.8, 0.1) > 1.3 * deviation(0.2, 0.1)
    assert deviation(0.5, 0.05) == pytest.approx(2 * deviation(0.5, 0.1), rel=0.05)


def test_planted_masks_lie_in_the_breast(phantom: PhantomExam) -> None:
    lesions = [(view, lesion) for view in phantom.views for lesion in view.lesions]

    assert len(lesions) >= 4
    for view, lesion in lesions:
        box = lesion.box
        part = view.image[box.row0 : box.row1, box.col0 : box.col1]
        assert part.shape == lesion.mask.shape
        assert (part[lesion.mask] > 0.03).mean() > 0.98


def test_both_views_of_a_breast_show_the_same_lesions(phantom: PhantomExam) -> None:
    for side in Laterality:
        one, other = (
            [(lesion.number, lesion.descriptors, lesion.malignant) for lesion in view.lesions]
            for view in phantom.views
            if view.laterality == side
        )
        assert one == other
        assert len(one) in (1, 2)


def test_a_breast_is_malignant_when_one_of_its_lesions_is(phantom: PhantomExam) -> None:
    for side in Laterality:
        mine = [v.lesions for v in phantom.views if v.laterality == side]
        assert phantom.malignant[side] == any(lesion.malignant for lesion in mine[0])


def test_asked_for_looks_are_planted_where_asked() -> None:
    look = ClusterDescriptors(CalcificationType.ROUND, Distribution.GROUPED)
    spec = PhantomSpec(0.4, 400, 310)

    planted = exam(5, spec, lesions={Laterality.LEFT: [look]})

    for view in planted.views:
        expected = [look] if view.laterality == Laterality.LEFT else []
        assert [lesion.descriptors for lesion in view.lesions] == expected


def test_film_carries_a_label_beside_the_breast_and_digital_images_do_not(
    on_film: PhantomExam,
) -> None:
    for view in on_film.views:
        image = view.image if view.laterality == Laterality.LEFT else view.image[:, ::-1]
        beside = image[8:160, -90:-8]
        assert (beside > 0.5).sum() > 30


def test_regions_are_squares_of_the_size_asked_for_and_repeat_with_the_seed(
    source: RoiSource,
) -> None:
    for kind in (FindingKind.CALCIFICATION_CLUSTER, FindingKind.MASS):
        one = source.draw(np.random.default_rng(3), size=256, kind=kind)
        same = source.draw(np.random.default_rng(3), size=256, kind=kind)

        assert one.image.shape == (256, 256)
        assert one.image.dtype == np.float32
        assert 0 <= one.image.min() <= one.image.max() <= 1
        np.testing.assert_array_equal(one.image, same.image)
        assert one.lesion is not None
        assert one.lesion.kind == kind
        assert one.malignant == one.lesion.malignant


def test_a_region_without_a_lesion_is_benign(source: RoiSource) -> None:
    empty = source.draw(np.random.default_rng(0), size=256, kind=None)

    assert empty.lesion is None
    assert not empty.malignant


def test_planted_calcifications_are_brighter_than_around_however_the_region_is_turned(
    source: RoiSource,
) -> None:
    look = ClusterDescriptors(CalcificationType.ROUND, Distribution.GROUPED)
    gains = []
    for seed in range(16):
        region = source.draw(np.random.default_rng(seed), size=320, descriptors=look)
        assert region.lesion is not None
        for row, col in np.floor(region.lesion.calcifications).astype(int):
            around = region.image[row - 9 : row + 10, col - 9 : col + 10]
            gains.append(region.image[row, col] - np.median(around))

    assert np.mean(np.array(gains) > 0.03) > 0.9


def test_the_lesion_lies_near_the_middle_of_its_region(source: RoiSource) -> None:
    rng = np.random.default_rng(8)
    for _ in range(10):
        region = source.draw(rng, size=256, kind=FindingKind.MASS)
        assert region.lesion is not None
        assert np.abs(np.array(region.lesion.centre) - 128).max() < 0.08 * 256 + 2
        box = region.lesion.box
        assert 0 <= box.row0 < box.row1 <= 256
        assert 0 <= box.col0 < box.col1 <= 256


def test_another_bank_shows_other_breasts() -> None:
    first, second = (RoiSource(seed, 1, spacing_mm=0.4) for seed in (0, 1))

    one = first.draw(np.random.default_rng(0), size=128, kind=None).image
    other = second.draw(np.random.default_rng(0), size=128, kind=None).image

    assert not np.array_equal(one, other)
