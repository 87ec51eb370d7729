"""Co-occurrence and Haralick's features: small images by hand, and scikit-image beside."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.feature import graycomatrix, graycoprops
from skimage.measure import shannon_entropy

from cadnode.detect.features import texture

# Haralick 1973, fig. 3: an image of four grey levels.
FOUR_BY_FOUR = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]])


def everywhere(levels: np.ndarray) -> np.ndarray:
    return np.ones(levels.shape, bool)


def noise(seed: int, n: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, n, (20, 23))


def test_pairs_of_haralicks_own_example_are_counted() -> None:
    # The sum of his four matrices (fig. 3 d–g), over their 84 pairs both ways.
    horizontal = np.array([[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]])
    vertical = np.array([[6, 0, 2, 0], [0, 4, 2, 0], [2, 2, 2, 2], [0, 0, 2, 0]])
    left_diagonal = np.array([[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]])
    right_diagonal = np.array([[4, 1, 0, 0], [1, 2, 2, 0], [0, 2, 4, 1], [0, 0, 1, 0]])

    p = texture.cooccurrence(FOUR_BY_FOUR, everywhere(FOUR_BY_FOUR), 1, 4)

    total = horizontal + vertical + left_diagonal + right_diagonal
    np.testing.assert_allclose(p, total / 84)


def test_one_grey_has_no_texture() -> None:
    levels = np.zeros((5, 5), int)

    found = texture.haralick(texture.cooccurrence(levels, everywhere(levels), 1, 4))

    assert found.energy == 1
    assert found.inverse_difference_moment == 1
    assert found.correlation == 1
    assert found.sum_average == 2  # level 0 is Haralick's 1, and 1 + 1 = 2
    zero = (
        found.contrast, found.entropy, found.sum_entropy, found.difference_entropy,
        found.sum_variance, found.difference_variance, found.mutual_information,
    )  # fmt: skip
    assert zero == (0,) * 7


def test_a_checkerboard_is_known_by_hand() -> None:
    # 4 × 4: 24 pairs along rows and columns differ, 18 diagonal ones (9 of each grey) agree.
    levels = np.indices((4, 4)).sum(0) % 2

    p = texture.cooccurrence(levels, everywhere(levels), 1, 2)
    found = texture.haralick(p)

    q, s = 24 / 42, 18 / 42
    np.testing.assert_allclose(p, [[s / 2, q / 2], [q / 2, s / 2]])
    assert found.contrast == pytest.approx(q)
    assert found.energy == pytest.approx((q**2 + s**2) / 2)
    assert found.correlation == pytest.approx(s - q)
    assert found.inverse_difference_moment == pytest.approx(s + q / 2)
    assert found.sum_average == pytest.approx(3)
    assert found.sum_variance == pytest.approx(s)
    assert found.difference_variance == pytest.approx(q * s)
    uneven = -(q * np.log2(q) + s * np.log2(s))
    assert found.difference_entropy == pytest.approx(uneven)
    assert found.entropy == pytest.approx(uneven + 1)
    assert found.mutual_information == pytest.approx(2 - (uneven + 1))


def test_a_gradient_goes_on_as_it_began() -> None:
    # Every pair along a row or diagonal is one level apart, every pair along a column none.
    levels = np.tile(np.arange(16), (16, 1))

    found = texture.haralick(texture.cooccurrence(levels, everywhere(levels), 1, 16))

    apart, equal = 16 * 15 + 2 * 15 * 15, 16 * 15
    assert found.contrast == pytest.approx(apart / (apart + equal))
    assert found.correlation > 0.95
    assert found.mutual_information > 2


@pytest.mark.parametrize("distance", [1, 2])
def test_the_matrix_and_its_properties_agree_with_scikit_image(distance: int) -> None:
    levels = noise(3).astype(np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    # At 45° they go distance / √2 pixels; √2 times as far is our diagonal.
    straight = graycomatrix(levels, [distance], angles[::2], 8, symmetric=True)
    diagonal = graycomatrix(levels, [distance * np.sqrt(2)], angles[1::2], 8, symmetric=True)
    counts = (straight.sum((2, 3)) + diagonal.sum((2, 3))).astype(float)
    theirs = counts / counts.sum()

    p = texture.cooccurrence(levels.astype(int), everywhere(levels), distance, 8)
    ours = texture.haralick(p)

    np.testing.assert_allclose(p, theirs)
    stack = theirs[:, :, None, None]
    assert ours.contrast == pytest.approx(graycoprops(stack, "contrast")[0, 0])
    assert ours.energy == pytest.approx(graycoprops(stack, "ASM")[0, 0])
    assert ours.correlation == pytest.approx(graycoprops(stack, "correlation")[0, 0])
    assert ours.inverse_difference_moment == pytest.approx(graycoprops(stack, "homogeneity")[0, 0])
    assert ours.entropy == pytest.approx(graycoprops(stack, "entropy")[0, 0] / np.log(2))


def test_features_agree_with_the_formulas_that_pyradiomics_documents() -> None:
    # docs: Sum Average Σ k p_{x+y}(k), k from 2; Difference Variance Σ (k − DA)² p_{x−y}(k);
    # Sum Entropy and Difference Entropy −Σ p log₂ p; MI = HXY1-free form HX + HY − HXY.
    p = texture.cooccurrence(noise(5), np.ones((20, 23), bool), 1, 8)
    n = range(1, 9)
    sums = {k: sum(p[i - 1, j - 1] for i in n for j in n if i + j == k) for k in range(2, 17)}
    diffs = {k: sum(p[i - 1, j - 1] for i in n for j in n if abs(i - j) == k) for k in range(8)}
    average = sum(k * q for k, q in sums.items())
    mean_difference = sum(k * q for k, q in diffs.items())

    found = texture.haralick(p)

    assert found.sum_average == pytest.approx(average)
    assert found.sum_variance == pytest.approx(sum((k - average) ** 2 * q for k, q in sums.items()))
    assert found.difference_variance == pytest.approx(
        sum((k - mean_difference) ** 2 * q for k, q in diffs.items())
    )
    assert found.sum_entropy == pytest.approx(-sum(q * np.log2(q) for q in sums.values() if q))
    assert found.difference_entropy == pytest.approx(
        -sum(q * np.log2(q) for q in diffs.values() if q)
    )


def test_entropy_of_equal_levels_is_their_number_of_bits() -> None:
    assert texture.entropy(np.full(8, 1 / 8)) == pytest.approx(3)
    levels = noise(7)
    shares = np.bincount(levels.ravel()) / levels.size
    assert texture.entropy(shares) == pytest.approx(shannon_entropy(levels, base=2))


def test_pixels_outside_of_the_mask_take_no_part() -> None:
    levels = noise(1)
    mask = np.zeros(levels.shape, bool)
    mask[3:11, 4:13] = True
    changed = np.where(mask, levels, 7)

    p = texture.cooccurrence(levels, mask, 1, 8)

    np.testing.assert_array_equal(p, texture.cooccurrence(changed, mask, 1, 8))
    inner = levels[3:11, 4:13]
    np.testing.assert_allclose(p, texture.cooccurrence(inner, everywhere(inner), 1, 8))


def test_a_mask_without_pairs_counts_its_pixels() -> None:
    levels, mask = np.array([[2, 0, 1]]), np.array([[True, False, True]])

    p = texture.cooccurrence(levels, mask, 1, 4)

    np.testing.assert_allclose(np.diag(p), [0, 0.5, 0.5, 0])


@given(seed=st.integers(0, 99), quarters=st.integers(0, 3), mirrored=st.booleans())
def test_turning_and_mirroring_changes_no_matrix(seed: int, quarters: int, mirrored: bool) -> None:
    levels = noise(seed)
    mask = np.random.default_rng(seed).random(levels.shape) < 0.7
    turn = lambda a: np.rot90(a[:, ::-1] if mirrored else a, quarters)  # noqa: E731

    np.testing.assert_allclose(
        texture.cooccurrence(turn(levels), turn(mask), 2, 8),
        texture.cooccurrence(levels, mask, 2, 8),
    )


def test_levels_depend_neither_on_exposure_nor_on_window() -> None:
    image = np.random.default_rng(0).random((30, 30)).astype(np.float32)
    mask = image > 0.2

    levels = texture.quantize(image, mask)

    np.testing.assert_array_equal(levels, texture.quantize(image * 0.5 + 0.25, mask))
    assert (levels.min(), levels.max()) == (0, texture.LEVELS - 1)


def test_a_flat_image_has_one_level() -> None:
    flat = np.full((4, 4), 0.3, np.float32)

    assert not texture.quantize(flat, flat > 0).any()
