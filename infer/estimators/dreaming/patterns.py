"""Search for unknown patterns: binary vectors in the leading subspace of the correlations (low-rank Hopfield model)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.checks import row_chunks

FloatArray = NDArray[np.float64]

STARTS = 60  # searches per pattern
KURTOSIS_STEPS = 30
MOST_SIGN_STEPS = 200
INDEPENDENT = 0.3  # smallest distance of a unit vector from the span of the earlier ones, to count as another pattern


@dataclass(frozen=True, eq=False)
class FoundPatterns:
    """Patterns found in samples."""

    patterns: NDArray[np.int8]  # (n_found, N), sign and order without meaning
    quality: FloatArray  # (n_found,) share of their length in the leading subspace


def find_patterns(
    samples: NDArray, weight: FloatArray | None, n_patterns: int, about_means: bool, rng: np.random.Generator
) -> FoundPatterns:
    """
    Patterns of +-1 that a low-rank Hopfield model of the samples stores.

    To leading order the couplings of rank K of largest likelihood act in the span of the K leading eigenvectors of the
    correlation matrix (Cocco, Monasson, Sessak 2011), which does not fix a basis of it. Patterns of +-1 are the vectors
    of the subspace whose entries all have the same magnitude. The search starts from many directions with the fourth
    moment, as in independent component analysis (Hyvärinen and Oja 1997: binary sources have the lowest one).
    Projection on the subspace and signs then alternate, which raises the mean size of the entries until it no longer
    changes (a Hopfield network with the projector's couplings).

    Parameters
    ----------
    samples : array (n_rows, N)
    weight : array (n_rows,), optional
    n_patterns : int
    about_means : bool
        Whether correlations are taken about the means, or about zero.
    rng : Generator

    Returns
    -------
    FoundPatterns
        At most `n_patterns`; fewer where no further linearly independent ones are found in the subspace.
    """
    second = _second_moments(samples, weight, about_means)
    n_spins = len(second)
    rank = min(n_patterns, n_spins)
    vectors = np.linalg.eigh(second)[1][:, ::-1][:, :rank]
    directions = rng.normal(size=(rank, STARTS * rank))
    directions /= np.linalg.norm(directions, axis=0)
    rows = np.sqrt(n_spins) * vectors
    for _ in range(KURTOSIS_STEPS):
        directions = 3.0 * directions - rows.T @ (rows @ directions) ** 3 / n_spins
        directions /= np.maximum(np.linalg.norm(directions, axis=0), 1e-300)
    states = _signs(rows @ directions)
    for _ in range(MOST_SIGN_STEPS):
        new = _signs(vectors @ (vectors.T @ states))
        if np.array_equal(new, states):
            break
        states = new
    inside = vectors.T @ states
    quality = (inside**2).sum(axis=0) / n_spins
    chosen, basis = [], np.zeros((rank, 0))
    for k in np.argsort(-quality, kind="stable"):
        unit = inside[:, k] / max(float(np.linalg.norm(inside[:, k])), 1e-300)
        rest = unit - basis @ (basis.T @ unit)
        length = float(np.linalg.norm(rest))
        if length > INDEPENDENT:
            chosen.append(k)
            basis = np.column_stack([basis, rest / length])
        if len(chosen) == rank:
            break
    return FoundPatterns(np.ascontiguousarray(states[:, chosen].T).astype(np.int8), quality[chosen])


def _signs(values: FloatArray) -> FloatArray:
    """Signs, +1 for zero."""
    return np.where(values >= 0.0, 1.0, -1.0)


def _second_moments(samples: NDArray, weight: FloatArray | None, about_means: bool) -> FloatArray:
    """Second moments of the samples, scaled to unit size, about the means or zero."""
    n = samples.shape[1]
    second, first = np.zeros((n, n)), np.zeros(n)
    total = float(len(samples) if weight is None else weight.sum())
    for rows in row_chunks(*samples.shape):
        chunk = samples[rows].astype(np.float64)
        weighted = chunk if weight is None else chunk * weight[rows, None]
        second += chunk.T @ weighted / total
        first += weighted.sum(axis=0) / total
    if about_means:
        second -= np.outer(first, first)
    size = np.sqrt(np.maximum(np.diag(second), 1e-300))
    scaled = second / np.outer(size, size)
    return np.asarray((scaled + scaled.T) / 2.0)
