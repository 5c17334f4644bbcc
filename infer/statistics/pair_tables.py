"""Pairs of spins that never take one of their four joint values, found from means and second moments alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.types import FloatArray

SIGNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
"""Values of the first and the second spin of a pair, in the order of the cells of `pair_shares`."""

SMALL = 1e-6  # part in a combination of length 1 that counts as none


@dataclass(frozen=True, eq=False)
class EmptyPairs:
    """Pairs of spins with a joint value that no row takes.

    Parameters
    ----------
    pairs : ndarray of int64, shape (n_empty, 2)
        Indices i < j of the spins.
    cells : ndarray of bool, shape (n_empty, 4)
        True for those of (+, +), (+, -), (-, +), (-, -) that are empty; without fields a cell and its inverse count as
        one.
    """

    pairs: NDArray[np.int64]
    cells: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs)

    def sentence(self, names: tuple[str, ...] | None = None) -> str:
        """Number of pairs, and the first with its missing joint value, as text; empty where there are none."""
        if not len(self):
            return ""
        i, j = (int(index) for index in self.pairs[0])
        first, second = SIGNS[int(np.argmax(self.cells[0]))]
        value = {1: "+1", -1: "-1"}
        count = "1 pair of spins never takes" if len(self) == 1 else f"{len(self)} pairs of spins never take"
        one, other = (f"spin {k}" if names is None else f"spin {k} ({names[k]})" for k in (i, j))
        return f"{count} one of the four joint values (first: {one} at {value[first]} with {other} at {value[second]})"


def pair_shares(means: FloatArray, second_moments: FloatArray) -> FloatArray:
    """Shares of the joint values of every pair of spins, shape (4, n_spins, n_spins), in the order of `SIGNS`.

    ``p(a, b) = (1 + a m_i + b m_j + a b <s_i s_j>) / 4``.

    Parameters
    ----------
    means : ndarray of float64, shape (n_spins,)
    second_moments : ndarray of float64, shape (n_spins, n_spins)

    Returns
    -------
    ndarray of float64, shape (4, n_spins, n_spins)
    """
    return np.stack([(1.0 + a * means[:, None] + b * means + a * b * second_moments) / 4.0 for a, b in SIGNS])


def empty_pairs(
    means: FloatArray, second_moments: FloatArray, fit_fields: bool = True, tolerance: float = 1e-10
) -> EmptyPairs:
    """
    Pairs of spins with an empty cell in their table of joint values.

    Without a penalty the coupling of such a pair has no finite value of maximum likelihood. Without fields a state and
    its inverse count as one, so that a pair has an empty cell where its spins always agree or always disagree.

    Parameters
    ----------
    means : ndarray of float64, shape (n_spins,)
        Means of spins that vary.
    second_moments : ndarray of float64, shape (n_spins, n_spins)
    fit_fields : bool
        Whether the model has fields.
    tolerance : float
        Largest share of the rows that counts as zero; far below one row, above rounding.

    Returns
    -------
    EmptyPairs
    """
    shares = pair_shares(means if fit_fields else np.zeros_like(means), second_moments)
    i, j = np.triu_indices(len(means), 1)
    cells = (shares[:, i, j] <= tolerance).T
    found = cells.any(axis=1)
    return EmptyPairs(np.column_stack([i, j])[found], cells[found])


def fixed_pairs(
    means: FloatArray, second_moments: FloatArray, fit_fields: bool = True, tolerance: float = 1e-10
) -> NDArray[np.bool_]:
    """
    Pairs of spins that both take part in a combination ``c + sum_i u_i s_i`` that vanishes in all rows.

    Then the likelihood grows without bound along couplings ``-u_i u_j`` (and fields ``-c u_i``), also where no pair has
    an empty cell: for example where exactly one of three spins is +1 in every row. Such a combination is sufficient,
    but not necessary, for an infinite optimum.

    Parameters
    ----------
    means : ndarray of float64, shape (n_spins,)
        Means of spins that vary.
    second_moments : ndarray of float64, shape (n_spins, n_spins)
    fit_fields : bool
        Whether the model has fields; without, c = 0.
    tolerance : float
        Largest mean square of the combination, for u of length 1, that counts as zero; above rounding.

    Returns
    -------
    ndarray of bool, shape (n_spins, n_spins)
        Symmetric, False on the diagonal.
    """
    n = len(means)
    moments = second_moments
    if fit_fields:
        moments = np.block([[second_moments, means[:, None]], [means[None, :], np.ones((1, 1))]])
    values, vectors = np.linalg.eigh(moments)
    open_ones = vectors[:n, values < tolerance]
    found = np.abs(open_ones @ open_ones.T) > SMALL
    np.fill_diagonal(found, False)
    return np.asarray(found)
