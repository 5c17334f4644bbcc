"""Similarity of two coupling matrices: off-diagonal entries, spectra, subspaces, retrieval."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg

from infer.model import off_diagonal
from infer.similarity.family import DreamingFamily
from simulate.retrieval.measures import fixed_points, relax

FloatArray = NDArray[np.float64]

METRICS = ("cosine", "pearson", "frobenius_distance", "spectrum_distance")


def similarity_metrics(couplings: ArrayLike, reference: ArrayLike) -> dict[str, float]:
    r"""Similarity of couplings A to a reference B; diagonals and positive factors have no effect.

    - ``cosine``: :math:`\langle A, B\rangle / (|A| |B|)` over pairs i < j.
    - ``pearson``: the same after subtraction of both means over pairs.
    - ``frobenius_distance``: :math:`\min_c |A - c B| / |A| = \sqrt{1 - \mathrm{cosine}^2}`, 0 to 1.
    - ``spectrum_distance``: :math:`\sqrt{\sum_k (a_k - b_k)^2}` of the sorted eigenvalues of A and B (zero diagonals),
      each matrix scaled to unit Frobenius norm; at most :math:`\sqrt{2 (1 - \mathrm{cosine})}`
      (Hoffman, Wielandt 1953), and 0 for equal spectra with any eigenvectors.

    Parameters
    ----------
    couplings, reference : array (n_spins, n_spins), symmetric

    Returns
    -------
    dict of float

    Raises
    ------
    ValueError
        If a matrix is not square, symmetric and finite, shapes differ, or all its off-diagonal entries are zero.
    """
    a, b = off_diagonal(couplings, "couplings"), off_diagonal(reference, "reference")
    if a.shape != b.shape:
        raise ValueError(f"reference: shape {b.shape} does not fit the couplings, {a.shape}")
    a, b = a / power_of_two(a), b / power_of_two(b)  # avoids overflow of sums of squares
    pairs = np.triu_indices(len(a), 1)
    x, y = a[pairs], b[pairs]
    cosine = float(x @ y / np.sqrt((x @ x) * (y @ y)))
    u, v = x - x.mean(), y - y.mean()
    length = np.sqrt((u @ u) * (v @ v))
    return {
        "cosine": cosine,
        "pearson": float(u @ v / length) if length > 0 else float("nan"),
        "frobenius_distance": float(np.sqrt(max(1.0 - cosine**2, 0.0))),
        "spectrum_distance": spectrum_distance(linalg.eigvalsh(a), linalg.eigvalsh(b)),
    }


def power_of_two(couplings: FloatArray) -> float:
    """Scale of couplings as a power of two, by which they can be divided without rounding."""
    return float(2.0 ** np.floor(np.log2(np.abs(couplings).max())))


def spectrum_distance(eigenvalues: FloatArray, reference: FloatArray) -> float:
    """Distance of two sorted spectra, each scaled to unit sum of squares."""
    return float(np.linalg.norm(eigenvalues / np.linalg.norm(eigenvalues) - reference / np.linalg.norm(reference)))


def profile_metrics(family: DreamingFamily, couplings: FloatArray, rates: FloatArray) -> dict[str, FloatArray]:
    """All metrics (n_rates,) of zero-diagonal couplings along a family; all but spectra from sums over modes."""
    weights = family.direction(rates)
    inner = weights @ family.project(couplings)
    square = np.einsum("rk,kl,rl->r", weights, family.gram, weights)
    norm2 = float(np.sum(couplings**2))
    cosine = np.clip(inner / np.sqrt(square * norm2), -1.0, 1.0)
    n_pairs = family.n_spins * (family.n_spins - 1)
    sums, total = weights @ family.sums, float(couplings.sum())
    # variances of the entries, times the number of pairs; rounding alone can make them negative
    spread = np.maximum(square - sums**2 / n_pairs, 0.0) * max(norm2 - total**2 / n_pairs, 0.0)
    safe = spread > 1e-24 * square * norm2
    pearson = np.where(safe, (inner - sums * total / n_pairs) / np.sqrt(np.where(safe, spread, 1.0)), np.nan)
    spectrum = linalg.eigvalsh(couplings)
    distances = [spectrum_distance(spectrum, linalg.eigvalsh(family.couplings_of(row))) for row in weights]
    return {
        "cosine": cosine,
        "pearson": np.clip(pearson, -1.0, 1.0),
        "frobenius_distance": np.sqrt(1.0 - cosine**2),
        "spectrum_distance": np.asarray(distances),
    }


def principal_angles(couplings: FloatArray, family: DreamingFamily) -> FloatArray:
    """Principal angles (radians, smallest first) between the span of the patterns and as many leading eigenvectors."""
    n_modes = family.eigenvalues.size
    _, leading = linalg.eigh(couplings, subset_by_index=[family.n_spins - n_modes, family.n_spins - 1])
    return np.sort(linalg.subspace_angles(leading, family.eigenvectors))


def recall(
    couplings: FloatArray,
    patterns: NDArray[np.int8],
    *,
    flipped: float = 0.1,
    n_trials: int = 10,
    seed: int | np.random.SeedSequence = 0,
) -> dict[str, float]:
    """Retrieval by the couplings: share of patterns that are fixed points, and overlaps reached from flipped patterns.

    Zero temperature, no fields. Returns ``fixed_points`` (fraction of patterns whose every spin agrees with its field,
    ties counted as :func:`simulate.retrieval.fixed_points` does) and ``overlap`` (mean of |overlap| with the pattern
    after relaxation from states in which a fraction ``flipped`` of its spins is flipped, ``n_trials`` states for each
    pattern).
    """
    stable = fixed_points(couplings, patterns)
    n_patterns, n_spins = patterns.shape
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    flip_seed, relax_seed = np.random.SeedSequence(root.entropy, spawn_key=root.spawn_key).spawn(2)
    rng = np.random.default_rng(flip_seed)
    order = np.argsort(rng.random((n_trials * n_patterns, n_spins)), axis=1)
    states = np.tile(patterns, (n_trials, 1)).astype(np.int8)
    chosen = order[:, : round(flipped * n_spins)]
    np.put_along_axis(states, chosen, -np.take_along_axis(states, chosen, axis=1), axis=1)
    reached = relax(couplings, states, seed=relax_seed)
    overlaps = np.abs(
        np.einsum("tpi,pi->tp", reached.reshape(n_trials, n_patterns, n_spins), patterns, dtype=np.float64)
    )
    return {"fixed_points": float(stable.mean()), "overlap": float(overlaps.mean() / n_spins)}
