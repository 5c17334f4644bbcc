"""The dreaming family in the eigenvectors of the Hebbian matrix: couplings of all rates from one decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import check_patterns

__all__ = ["RANK_TOLERANCE", "DreamingModes", "correlation_modes"]

#: Eigenvalues below this fraction of the largest one count as zero.
RANK_TOLERANCE = 1e-12


def correlation_modes(patterns: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues and eigenvectors of the Hebbian matrix with its diagonal, xi^T xi / N = sum_k c_k v_k v_k^T.

    Parameters
    ----------
    patterns : array_like of +1 and -1, shape (n_patterns, n_spins)

    Returns
    -------
    eigenvalues : ndarray, shape (n_modes,)
        Those of C = xi xi^T / N that are not 0, largest first; linearly dependent patterns give fewer modes.
    vectors : ndarray, shape (n_spins, n_modes)
        Orthonormal.
    """
    xi = np.asarray(patterns, dtype=np.float64)
    rows = xi if len(xi) <= xi.shape[1] else np.linalg.qr(xi, mode="r")  # many patterns are reduced to n_spins rows
    _, singular, vectors = np.linalg.svd(rows / np.sqrt(xi.shape[1]), full_matrices=False)
    values = singular**2
    keep = values > RANK_TOLERANCE * values[0]
    return values[keep], np.ascontiguousarray(vectors[keep].T)


@dataclass(frozen=True, eq=False)
class DreamingModes:
    r"""Eigenvalues and eigenvectors of a Hebbian matrix G, and the dreaming family in terms of them.

    With G = xi^T xi / N (or a correlation matrix in its place), v_k its eigenvectors, g_k its eigenvalues,

        B(lambda) = offdiag[(1 + lambda) G (I + lambda G)^-1]
                  = factor(lambda) offdiag[sum_k h_k v_k v_k^T],    h_k = (g_k - g0) / (1 + lambda g_k).

    g0 is the mean eigenvalue where the modes span all spins and 0 otherwise. It changes the diagonal only; without it,
    the off-diagonal part of a matrix close to a multiple of the identity would be lost to rounding at large rates.

    Attributes
    ----------
    eigenvalues : ndarray, shape (n_modes,)
        Eigenvalues of G, largest first; for patterns those that are not 0.
    eigenvectors : ndarray, shape (n_spins, n_modes)
        Orthonormal.

    References
    ----------
    Fachechi, Agliari, Barra 2019, Neural Networks 112, 24 (arXiv 1810.12217).
    """

    eigenvalues: NDArray[np.float64]
    eigenvectors: NDArray[np.float64]

    @classmethod
    def from_patterns(cls, patterns: ArrayLike) -> Self:
        """Modes of patterns (n_patterns, n_spins); linearly dependent patterns give fewer modes.

        Raises
        ------
        ValueError
            If the patterns contain values other than +1 and -1.
        """
        return cls(*correlation_modes(check_patterns(patterns)))

    @property
    def n_spins(self) -> int:
        """Number of spins."""
        return int(self.eigenvectors.shape[0])

    @property
    def complete(self) -> bool:
        """Whether there are as many modes as spins."""
        return self.eigenvalues.size == self.n_spins

    @property
    def lower_bound(self) -> float:
        """Open lower bound of the rate, -1 / max eig(G)."""
        return float(-1.0 / self.eigenvalues[0])

    @cached_property
    def offset(self) -> float:
        """Shift g0 of the eigenvalues that does not change the off-diagonal part."""
        return float(np.mean(self.eigenvalues)) if self.complete else 0.0

    def direction(self, rates: ArrayLike) -> NDArray[np.float64]:
        """Mode weights h_k of the couplings, up to `factor`.

        Parameters
        ----------
        rates : array_like of any shape
            Above the lower bound; an infinite rate gives the limit of the normalised weights.

        Returns
        -------
        ndarray
            Of the shape of `rates` with one more axis, the modes.
        """
        rate = np.asarray(rates, dtype=np.float64)[..., None]
        shifted = self.eigenvalues - self.offset
        finite = np.where(np.isinf(rate), 0.0, rate)
        weights = shifted / (1.0 + finite * self.eigenvalues)
        if not np.isinf(rate).any():
            return weights
        positive = self.eigenvalues > RANK_TOLERANCE * self.eigenvalues[0]
        if positive.all():  # every mode falls off as 1/rate: keep the ratios
            limit = shifted / self.eigenvalues
        elif self.offset > 0.0:  # modes with eigenvalue zero stay, all others vanish
            limit = np.where(positive, 0.0, shifted)
        else:
            limit = np.where(positive, 1.0, 0.0)
        return np.where(np.isinf(rate), limit, weights)

    def factor(self, rate: float) -> float:
        """Ratio between `couplings` and the couplings with mode weights `direction`."""
        if np.isinf(rate):
            singular = self.eigenvalues[-1] <= RANK_TOLERANCE * self.eigenvalues[0]
            return 1.0 / self.offset if self.offset > 0.0 and singular else 1.0
        return (1.0 + rate) / (1.0 + rate * self.offset)

    def couplings_of(self, weights: ArrayLike) -> NDArray[np.float64]:
        """Couplings (n_spins, n_spins) sum_k weights_k v_k v_k^T with zero diagonal."""
        matrix = (self.eigenvectors * np.asarray(weights)) @ self.eigenvectors.T
        np.fill_diagonal(matrix, 0.0)
        return (matrix + matrix.T) / 2.0

    def couplings(self, rate: float) -> NDArray[np.float64]:
        """Couplings B(rate), symmetric with zero diagonal.

        Parameters
        ----------
        rate : float
            Above the open lower bound. An infinite rate gives the pseudo-inverse rule where there are fewer modes than
            spins, and otherwise, where B itself vanishes, the limit of B up to a factor.

        Returns
        -------
        ndarray, shape (n_spins, n_spins)

        Raises
        ------
        ValueError
            If the rate is not above the bound.
        """
        rate = float(rate)
        if not rate > self.lower_bound:
            raise ValueError(
                f"rate must be above the open bound -1 / max eig(C) = {self.lower_bound:.6g}, got {rate:g}"
            )
        return self.factor(rate) * self.couplings_of(self.direction(rate))
