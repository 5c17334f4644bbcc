"""States with given means and second moments: signs of correlated Gaussian numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from infer.types import FloatArray

NODES = 24  # of Gauss-Legendre quadrature; errors below 1e-7 for correlations up to 0.9
STRONGEST = 0.99  # largest correlation of the Gaussian numbers
ROUNDS = 30


def dichotomised_gaussian(
    means: FloatArray, second_moments: FloatArray, n_states: int, generator: np.random.Generator
) -> NDArray[np.int8]:
    """
    Draw states of +-1 with given means and, approximately, given second moments.

    Each state is the sign of a Gaussian vector whose correlations give the second moments pair by pair. Where the
    matrix of these correlations is not positive definite, the nearest correlation matrix is used.

    Parameters
    ----------
    means : ndarray (n_spins,)
        Means, between -1 and 1.
    second_moments : ndarray (n_spins, n_spins)
    n_states : int
    generator : Generator

    Returns
    -------
    int8 array (n_states, n_spins)

    References
    ----------
    J. H. Macke, P. Berens, A. S. Ecker, A. S. Tolias, M. Bethge 2009, Neural Computation 21, 397,
    doi:10.1162/neco.2008.02-08-713.
    """
    n_spins = len(means)
    up = np.clip((1.0 + means) / 2.0, 1e-9, 1.0 - 1e-9)
    bounds = ndtri(up)
    i, j = np.triu_indices(n_spins, 1)
    both = np.clip((1.0 + means[i] + means[j] + second_moments[i, j]) / 4.0, 0.0, np.minimum(up[i], up[j]))
    correlation = np.eye(n_spins)
    correlation[i, j] = correlation[j, i] = latent_correlation(bounds[i], bounds[j], both)
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 1e-10))
    root /= np.sqrt((root**2).sum(axis=1, keepdims=True))
    return np.where(generator.standard_normal((n_states, n_spins)) @ root.T < bounds, np.int8(1), np.int8(-1))


def latent_correlation(a: FloatArray, b: FloatArray, both: FloatArray) -> FloatArray:
    """Correlation, within +-0.99, of two standard Gaussian numbers for which P(x < a and y < b) is `both`."""
    low, high = np.full(len(a), -STRONGEST), np.full(len(a), STRONGEST)
    for _ in range(ROUNDS):
        middle = (low + high) / 2.0
        short = both_below(a, b, middle) < both
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return (low + high) / 2.0


def both_below(a: FloatArray, b: FloatArray, correlation: FloatArray) -> FloatArray:
    """P(x < a and y < b) of standard Gaussian numbers, as the integral of their density over the correlation."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    # r = sin(angle): the integrand is smooth up to correlations of +-1 (Drezner, Wesolowsky 1990)
    top = np.arcsin(correlation)
    total = np.zeros(len(a))
    for node, weight in zip(nodes, weights, strict=True):
        angle = top * (node + 1.0) / 2.0
        cosine = np.cos(angle) ** 2
        total += weight * np.exp(-(a * a + b * b - 2.0 * a * b * np.sin(angle)) / (2.0 * cosine))
    return np.asarray(ndtr(a) * ndtr(b) + total * top / (4.0 * np.pi))
