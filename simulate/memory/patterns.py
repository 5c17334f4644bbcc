"""Patterns to store: random, biased, correlated, or taken from images."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import Seed, check_count, check_number

__all__ = ["binarise_images", "correlated_patterns", "digit_patterns", "random_patterns"]

# eigenvalues below this fraction of the largest are rounding, where patterns depend on each other


def random_patterns(n_patterns: int, n_spins: int, *, bias: float = 0.0, seed: Seed = None) -> NDArray[np.int8]:
    """Draw patterns whose entries are independent, +1 with probability (1 + bias) / 2.

    Parameters
    ----------
    n_patterns, n_spins : int
        Number of patterns P and of spins N; the load is alpha = P / N.
    bias : float, default 0
        Mean of an entry, in [-1, 1].
    seed : int, SeedSequence, Generator or None
        The same seed gives the same patterns.

    Returns
    -------
    ndarray of int8, shape (n_patterns, n_spins)
        Entries +1 and -1.

    Raises
    ------
    ValueError
        If a number is out of its range.

    References
    ----------
    Amit, Gutfreund, Sompolinsky 1985, Phys. Rev. Lett. 55, 1530 (unbiased); 1987, Phys. Rev. A 35, 2293 (biased).
    """
    shape = check_count(n_patterns, "n_patterns", low=1), check_count(n_spins, "n_spins", low=1)
    bias = check_number(bias, "bias", low=-1.0, high=1.0)
    uniform = np.random.default_rng(seed).random(shape)
    return np.where(uniform < (1 + bias) / 2, 1, -1).astype(np.int8)


def correlated_patterns(
    n_patterns: int, n_spins: int, *, correlation: float, n_parents: int = 1, seed: Seed = None
) -> NDArray[np.int8]:
    """Draw patterns that are noisy copies of common parent patterns (a two-level tree).

    Each pattern copies each spin of its parent with probability (1 + sqrt(correlation)) / 2 and flips it otherwise,
    so that two children of one parent have mean overlap `correlation`, children of different parents 0.

    Parameters
    ----------
    n_patterns, n_spins : int
        Number of patterns P and of spins N.
    correlation : float
        Mean overlap of siblings, in [0, 1].
    n_parents : int, default 1
        Number of random parents; pattern mu descends from parent mu mod n_parents.
    seed : int, SeedSequence, Generator or None
        The same seed gives the same patterns.

    Returns
    -------
    ndarray of int8, shape (n_patterns, n_spins)

    Raises
    ------
    ValueError
        If a number is out of its range.

    References
    ----------
    Parga, Virasoro 1986, J. Physique 47, 1857.
    """
    n_patterns = check_count(n_patterns, "n_patterns", low=1)
    n_spins = check_count(n_spins, "n_spins", low=1)
    n_parents = check_count(n_parents, "n_parents", low=1)
    likeness = np.sqrt(check_number(correlation, "correlation", low=0.0, high=1.0))
    rng = np.random.default_rng(seed)
    parents = np.where(rng.random((n_parents, n_spins)) < 0.5, 1, -1).astype(np.int8)
    copies = np.where(rng.random((n_patterns, n_spins)) < (1 + likeness) / 2, 1, -1).astype(np.int8)
    return parents[np.arange(n_patterns) % n_parents] * copies


def binarise_images(images: ArrayLike, threshold: float | None = None) -> NDArray[np.int8]:
    """Turn grey images into patterns: +1 where a pixel is above the threshold, -1 elsewhere.

    Parameters
    ----------
    images : array_like, shape (n_images, ...)
        Finite grey values; all axes after the first are flattened to spins.
    threshold : float, optional
        Grey value above which a pixel is +1; half-way between the smallest and the largest value by default.

    Returns
    -------
    ndarray of int8, shape (n_images, n_pixels)

    Raises
    ------
    ValueError
        If there is no image or a value is not finite.
    """
    values = np.asarray(images, dtype=np.float64)
    if values.ndim < 2 or values.size == 0:
        raise ValueError(f"images must be an array (n_images, ...) that is not empty, got shape {values.shape}")
    values = values.reshape(len(values), -1)
    if not np.isfinite(values).all():
        image, pixel = np.argwhere(~np.isfinite(values))[0]
        raise ValueError(f"images: pixel {pixel} of image {image} is {values[image, pixel]}, expected finite numbers")
    level = (values.min() + values.max()) / 2 if threshold is None else check_number(threshold, "threshold")
    return np.where(values > level, 1, -1).astype(np.int8)


def digit_patterns(n_patterns: int | None = None, *, threshold: float = 7.5, seed: Seed = None) -> NDArray[np.int8]:
    """Handwritten digits of scikit-learn (8 x 8 grey values 0-16), binarised: correlated patterns of 64 spins.

    Parameters
    ----------
    n_patterns : int, optional
        Number of images, drawn without repetition and as evenly over the ten digits as possible; all 1797 by default.
    threshold : float, default 7.5
        Grey value above which a pixel is +1.
    seed : int, SeedSequence, Generator or None
        Seed of the choice of images.

    Returns
    -------
    ndarray of int8, shape (n_patterns, 64)

    Raises
    ------
    ValueError
        If `n_patterns` exceeds the number of images.

    References
    ----------
    Alpaydin, Kaynak 1998, Optical recognition of handwritten digits, UCI repository, doi:10.24432/C50P49.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = binarise_images(digits.data, threshold)
    if n_patterns is None:
        return images
    n_patterns = check_count(n_patterns, "n_patterns", low=1)
    if n_patterns > len(images):
        raise ValueError(f"n_patterns must be at most {len(images)}, the number of digits, got {n_patterns}")
    shuffled = np.random.default_rng(seed).permutation(len(images))
    # the k-th image of each class before the (k + 1)-th of any: even over the digits, random inside each
    rank = np.empty(len(images), dtype=np.int64)
    for digit in range(10):
        members = digits.target[shuffled] == digit
        rank[members] = np.arange(members.sum())
    return images[shuffled[np.argsort(rank, kind="stable")[:n_patterns]]]
