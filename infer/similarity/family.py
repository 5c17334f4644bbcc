"""The dreaming family: a Hebbian matrix and all its dreamed versions, from one eigendecomposition."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from infer.model import symmetric_matrix
from simulate.checks import check_patterns
from simulate.modes import DreamingModes, correlation_modes

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DreamingFamily(DreamingModes):
    r"""Couplings :math:`B(\lambda)` of all dreaming rates, for patterns or for a correlation matrix.

    With :math:`G = \xi^T \xi / N` (patterns), or :math:`G` the correlation matrix of a recording,

    .. math:: B(\lambda) = \mathrm{offdiag}[(1+\lambda)\, G\, (I + \lambda G)^{-1}]
              = -\frac{1+\lambda}{\lambda}\, \mathrm{offdiag}[(I + \lambda G)^{-1}],
              \qquad \lambda > -1/\max \mathrm{eig}(G).

    Rate 0 is the Hebbian matrix. For fewer patterns than spins, an infinite rate is the pseudo-inverse rule
    (the projector on the patterns); for a correlation matrix of full rank it points along minus the inverse
    correlation matrix, the naive mean-field couplings. The lower bound is open: there only the leading mode remains.

    All members share the eigenvectors :math:`v_k` of :math:`G`, so sums over pairs of spins reduce to sums over
    modes: with zero-diagonal couplings :math:`A`,
    :math:`\langle A, B\rangle = \sum_k f_k\, v_k^T A v_k` and :math:`|B|^2 = \sum_{kl} f_k M_{kl} f_l`,
    :math:`M_{kl} = \delta_{kl} - \sum_i v_{ki}^2 v_{li}^2`, where :math:`f_k = (1+\lambda) g_k/(1+\lambda g_k)`.

    Constructed by :meth:`from_patterns` or :meth:`from_correlations`.

    Attributes
    ----------
    eigenvalues : ndarray (n_modes,)
        Eigenvalues of G, largest first; for patterns the non-zero ones only.
    eigenvectors : ndarray (n_spins, n_modes)
        Their eigenvectors.
    reference : str
        "patterns" or "data correlations".
    n_patterns : int or None

    References
    ----------
    Fachechi, Agliari, Barra 2019, arXiv 1810.12217 (dreaming); Personnaz, Guyon, Dreyfus 1985 (pseudo-inverse);
    Kappen, Rodriguez 1998 (mean-field couplings).
    """

    reference: str = "patterns"
    n_patterns: int | None = None

    @classmethod
    def from_patterns(cls, patterns: ArrayLike) -> DreamingFamily:
        """The family of patterns (n_patterns, n_spins).

        Raises
        ------
        ValueError
            If the patterns contain values other than +1 and -1.
        """
        xi = check_patterns(patterns)
        values, vectors = correlation_modes(xi)
        return cls(values, vectors, "patterns", len(xi))

    @classmethod
    def from_correlations(cls, correlations: ArrayLike) -> DreamingFamily:
        """The family of a correlation matrix (n_spins, n_spins), for instance from :func:`data_correlations`.

        Raises
        ------
        ValueError
            If the matrix is not square, finite, symmetric and positive semi-definite.
        """
        matrix = symmetric_matrix(correlations, "correlations", diagonal=True)
        values, vectors = np.linalg.eigh(matrix)
        if values[-1] <= 0 or values[0] < -1e-6 * values[-1]:
            raise ValueError(
                f"correlations: a correlation matrix has no negative eigenvalue, this one has {values[0]:.6g} "
                f"(largest {values[-1]:.6g}); estimate all its entries from the same samples"
            )
        return cls(np.maximum(values[::-1], 0.0), np.ascontiguousarray(vectors[:, ::-1]), "data correlations")

    @property
    def proportional(self) -> bool:
        """Whether all members are the same matrix up to a factor (orthogonal patterns), so that no rate is best."""
        low, high = self.direction(self.to_rate([-3.0, 3.0]))
        inner, length = low @ self.gram @ high, (low @ self.gram @ low) * (high @ self.gram @ high)
        return bool(inner <= 0 or inner**2 >= length * (1.0 - 1e-12))

    @cached_property
    def gram(self) -> FloatArray:
        """Inner products M_kl of the off-diagonal parts of v_k v_k^T and v_l v_l^T, summed over ordered pairs."""
        squares = self.eigenvectors**2
        return np.eye(self.eigenvalues.size) - squares.T @ squares

    @cached_property
    def sums(self) -> FloatArray:
        """Sum over ordered pairs i != j of v_k v_k^T, one number for each mode."""
        return self.eigenvectors.sum(axis=0) ** 2 - np.einsum("ik,ik->k", self.eigenvectors, self.eigenvectors)

    def project(self, couplings: FloatArray) -> FloatArray:
        """v_k^T A v_k of zero-diagonal couplings (..., n_spins, n_spins): the inner products with the modes."""
        # one product over all matrices at once instead of many small ones
        through = couplings.reshape(-1, self.n_spins) @ self.eigenvectors
        return np.einsum("ik,...ik->...k", self.eigenvectors, through.reshape(*couplings.shape[:-1], -1))

    def to_rate(self, log_distance: ArrayLike) -> FloatArray:
        """Rate of t = log(1 + rate max eig(G)), the coordinate in which the lower bound lies at minus infinity."""
        return np.asarray(np.expm1(np.asarray(log_distance, dtype=np.float64)) / self.eigenvalues[0])

    def to_log_distance(self, rates: ArrayLike) -> FloatArray:
        """t = log(1 + rate max eig(G)) of rates."""
        return np.asarray(np.log1p(np.asarray(rates, dtype=np.float64) * self.eigenvalues[0]))


def data_correlations(spins: ArrayLike, counts: ArrayLike | None = None, *, chunk_size: int = 16_384) -> FloatArray:
    r"""Correlation coefficients of recorded spins: the Hebbian matrix of the recording.

    :math:`G_{ij} = (\langle s_i s_j\rangle - m_i m_j) / \sqrt{(1-m_i^2)(1-m_j^2)}`,
    with :math:`m_i = \langle s_i\rangle`.

    Means are subtracted (the second moment :math:`\langle s_i s_j\rangle` alone would treat a bias of single spins,
    which fields explain, as a stored pattern), and every spin is scaled to unit variance, as a pattern of +-1 has.
    For spins of zero mean this is the second moment, which is the Hebbian matrix with every sample as a pattern.

    Parameters
    ----------
    spins : array (n_rows, n_spins) of +-1
    counts : array (n_rows,), optional
        Count of each row.
    chunk_size : int
        Number of rows processed at a time.

    Returns
    -------
    ndarray (n_spins, n_spins)
        Unit diagonal. A spin that never changes has no correlation: its other entries are 0.

    Raises
    ------
    ValueError
        If shapes disagree, there are fewer than two samples, or counts are negative or not finite.
    """
    means, second = spin_moments(spins, counts, chunk_size=chunk_size)
    covariance = second - np.outer(means, means)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    constant = deviation < 1e-9
    scale = np.where(constant, 1.0, deviation)
    matrix = covariance / np.outer(scale, scale)
    matrix[constant, :] = 0.0
    matrix[:, constant] = 0.0
    np.fill_diagonal(matrix, 1.0)
    return (matrix + matrix.T) / 2.0


def spin_moments(
    spins: ArrayLike, counts: ArrayLike | None = None, *, chunk_size: int = 16_384
) -> tuple[FloatArray, FloatArray]:
    """Means (n_spins,) and second moments (n_spins, n_spins) of rows of +-1 seen ``counts`` times."""
    rows: Any = spins if isinstance(spins, np.ndarray) else np.asarray(spins)
    if rows.ndim != 2:
        raise ValueError(f"spins: expected an array (n_rows, n_spins), got shape {rows.shape}")
    weights = np.ones(len(rows)) if counts is None else np.asarray(counts, dtype=np.float64)
    if weights.shape != (len(rows),):
        raise ValueError(f"counts: expected shape ({len(rows)},), one for each row of spins, got {weights.shape}")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if bad.size:
        raise ValueError(f"counts: row {bad[0]} has {weights[bad[0]]}; counts must be finite and not negative")
    total = weights.sum()
    if total < 2:
        raise ValueError(f"spins: {total:g} samples; at least two are needed for correlations")
    first = np.zeros(rows.shape[1])
    second = np.zeros((rows.shape[1], rows.shape[1]))
    for start in range(0, len(rows), chunk_size):
        block = np.asarray(rows[start : start + chunk_size])
        weight = weights[start : start + chunk_size]
        # integers below 2^24, and their sums, are exact in float32
        exact = weight.sum() < 2**24 and not np.any(weight % 1)
        block = block.astype(np.float32 if exact else np.float64)
        weighted = block if counts is None else block * weight.astype(block.dtype)[:, None]
        first += weighted.sum(axis=0, dtype=np.float64)
        second += weighted.T @ block
    return first / total, second / total
