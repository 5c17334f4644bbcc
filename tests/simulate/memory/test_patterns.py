import numpy as np
import pytest

from simulate import binarise_images, correlated_patterns, digit_patterns, random_patterns


def test_random_patterns_are_spins_and_seeded():
    patterns = random_patterns(7, 50, seed=3)
    assert patterns.dtype == np.int8
    assert patterns.shape == (7, 50)
    assert set(np.unique(patterns)) == {-1, 1}
    np.testing.assert_array_equal(patterns, random_patterns(7, 50, seed=3))
    assert not np.array_equal(patterns, random_patterns(7, 50, seed=4))


@pytest.mark.parametrize("bias", [-1.0, -0.4, 0.0, 0.6, 1.0])
def test_bias_is_the_mean(bias):
    mean = random_patterns(200, 500, bias=bias, seed=0).mean()
    # five standard errors of 100 000 independent entries
    assert abs(mean - bias) <= 5 * np.sqrt((1 - bias**2) / 1e5)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 1.0])
def test_siblings_have_the_stated_overlap_and_strangers_none(correlation):
    n_spins = 200_000
    patterns = correlated_patterns(4, n_spins, correlation=correlation, n_parents=2, seed=1).astype(float)
    overlaps = patterns @ patterns.T / n_spins
    # patterns 0, 2 descend from one parent, 1, 3 from the other; five standard errors
    assert abs(overlaps[0, 2] - correlation) <= 5 / np.sqrt(n_spins)
    assert abs(overlaps[0, 1]) <= 5 / np.sqrt(n_spins)


def test_binarise_images():
    images = np.array([[[0.0, 1.0], [0.5, 0.2]]])
    # a value at the threshold is -1, as in `infer`
    np.testing.assert_array_equal(binarise_images(images), [[-1, 1, -1, -1]])
    np.testing.assert_array_equal(binarise_images(images, threshold=0.2), [[-1, 1, 1, -1]])
    with pytest.raises(ValueError, match="pixel 1 of image 0 is nan"):
        binarise_images([[0.0, np.nan]])


def test_digits_are_correlated_and_even_over_the_classes():
    everything = digit_patterns()
    assert everything.shape == (1797, 64)
    ink = (everything == 1).mean(axis=0)
    assert (np.minimum(ink, 1 - ink) > 0).sum() == 54  # pixels that vary at all
    assert (np.minimum(ink, 1 - ink) >= 0.01).sum() == 47  # in at least one image of a hundred
    few = digit_patterns(20, seed=0)
    np.testing.assert_array_equal(few, digit_patterns(20, seed=0))
    from sklearn.datasets import load_digits

    labels = {tuple(row): digit for row, digit in zip(everything, load_digits().target, strict=True)}
    assert np.bincount([labels[tuple(row)] for row in few]).tolist() == [2] * 10
    overlaps = few.astype(float) @ few.T / 64
    assert overlaps[np.triu_indices(20, 1)].mean() > 0.3  # far from random patterns, whose mean is 0 +- 0.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_patterns": 0, "n_spins": 5}, "n_patterns must be at least 1"),
        ({"n_patterns": 2.5, "n_spins": 5}, "n_patterns must be an integer"),
        ({"n_patterns": 2, "n_spins": 5, "bias": 2}, "bias must be >= -1 and <= 1, got 2"),
    ],
)
def test_bad_numbers_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        random_patterns(**arguments)


def test_more_digits_than_there_are():
    with pytest.raises(ValueError, match="at most 1797"):
        digit_patterns(2000)
