"""Pairs and triples of spins that never take one of their joint values, found from means and second moments alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.types import FloatArray

SIGNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
"""Values of the first and the second spin of a pair, in the order of the cells of `pair_shares`."""

SMALL = 1e-6  # part in a combination of length 1 that counts as none
ROUNDING = 1e-10  # largest share of the rows that counts as zero; far below one row, above rounding
MOST_IN_TRIPLES = 200  # spins up to which triples are looked at: 1.3 million of them


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
        one, other = _named(i, names), _named(j, names)
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
    means: FloatArray, second_moments: FloatArray, fit_fields: bool = True, tolerance: float = ROUNDING
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
    means: FloatArray, second_moments: FloatArray, fit_fields: bool = True, tolerance: float = ROUNDING
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


def empty_triples(second_moments: FloatArray, tolerance: float = ROUNDING) -> NDArray[np.int64]:
    """
    Triples of spins that never take one of their eight joint values nor its inverse, though all their pairs vary.

    For signs a and b the share of the rows with ``s_i = a s_j = b s_k`` is ``(1 + a m_ij + b m_ik + a b m_jk) / 4``.
    Where it vanishes, the likelihood grows without bound along couplings ``-a, -b, -a b``. Together with empty cells of
    pairs these are the triangle inequalities of the cut polytope, the simplest of its facets.

    Parameters
    ----------
    second_moments : ndarray of float64, shape (n_spins, n_spins)
    tolerance : float
        Largest share of the rows that counts as zero.

    Returns
    -------
    ndarray of int64, shape (n_triples, 5)
        Indices i < j < k, and the signs a and b. No triples beyond `MOST_IN_TRIPLES` spins.

    References
    ----------
    M. M. Deza, M. Laurent (1997), Geometry of Cuts and Metrics, Springer, chapter 27.
    """
    n = len(second_moments)
    found = [np.zeros((0, 5), dtype=np.int64)]
    varies = np.abs(second_moments) < 1.0 - 2.0 * tolerance
    for i in range(n - 2 if n <= MOST_IN_TRIPLES else 0):
        row, rest = second_moments[i, i + 1 :], second_moments[i + 1 :, i + 1 :]
        allowed = np.triu(varies[i + 1 :, i + 1 :] & varies[i, i + 1 :, None] & varies[i, i + 1 :], 1)
        for a, b in SIGNS:
            share = (1.0 + a * row[:, None] + b * row + a * b * rest) / 4.0
            j, k = np.nonzero(allowed & (share <= tolerance))
            signs = np.full(len(j), a), np.full(len(j), b)
            found.append(np.column_stack([np.full(len(j), i), j + i + 1, k + i + 1, *signs]))
    return np.concatenate(found)


@dataclass(frozen=True, eq=False)
class OpenPairs:
    """Pairs of spins whose couplings have no finite value of largest likelihood, as far as moments show it.

    Parameters
    ----------
    empty : EmptyPairs
    triples : ndarray of int64, shape (n_triples, 5)
        As from `empty_triples`.
    fixed : ndarray of bool, shape (n_spins, n_spins)
        As from `fixed_pairs`.
    """

    empty: EmptyPairs
    triples: NDArray[np.int64]
    fixed: NDArray[np.bool_]

    def __bool__(self) -> bool:
        """Whether there is any such pair."""
        return len(self.empty) > 0 or bool(self.beyond_tables.any())

    @property
    def beyond_tables(self) -> NDArray[np.bool_]:
        """Pairs that take part in an empty triple or in a fixed combination, shape (n_spins, n_spins), symmetric."""
        found = self.fixed.copy()
        for first, second in ((0, 1), (0, 2), (1, 2)):
            i, j = self.triples[:, first], self.triples[:, second]
            found[i, j] = found[j, i] = True
        return found

    def sentence(self, indices: NDArray[np.intp] | None = None, names: tuple[str, ...] | None = None) -> str:
        """Reason why best couplings are infinite: number of pairs or triples and the first of them; or empty.

        Parameters
        ----------
        indices : ndarray of int, shape (n_spins,), optional
            Index of each spin among all spins, of which there are names.
        names : tuple of str, optional

        Returns
        -------
        str
        """
        known = np.arange(len(self.fixed)) if indices is None else indices
        if len(self.empty):
            return EmptyPairs(known[self.empty.pairs], self.empty.cells).sentence(names)
        if len(self.triples):
            number, (a, b) = len(self.triples), self.triples[0, 3:]
            count = "1 triple of spins never takes" if number == 1 else f"{number} triples of spins never take"
            first = ", ".join(_named(k, names) for k in known[self.triples[0, :3]])
            values = ", ".join(f"{value:+d}" for value in (1, a, b))
            return f"{count} two opposite ones of the eight joint values (first: {first} at {values} or the inverse)"
        if not self.fixed.any():
            return ""
        spins = known[np.flatnonzero(self.fixed.any(axis=1))]
        shown = ", ".join(_named(k, names) for k in spins[:5]) + (", ..." if len(spins) > 5 else "")
        return f"combinations of spins have the same value in all rows (of {shown})"


def _named(index: int, names: tuple[str, ...] | None) -> str:
    """A spin as text."""
    return f"spin {index}" if names is None else f"spin {index} ({names[index]})"


def open_pairs(means: FloatArray, second_moments: FloatArray, fit_fields: bool = True) -> OpenPairs:
    """
    Pairs of spins whose couplings have no finite value of maximum likelihood, for all estimators.

    Empty cells of pairs, empty triples and combinations that never change; sufficient for an infinite optimum, but not
    necessary: facets of the polytope of moments that join more spins are not looked at.

    Parameters
    ----------
    means : ndarray of float64, shape (n_spins,)
        Means of spins that vary.
    second_moments : ndarray of float64, shape (n_spins, n_spins)
    fit_fields : bool
        Whether the model has fields.

    Returns
    -------
    OpenPairs
    """
    return OpenPairs(
        empty_pairs(means, second_moments, fit_fields),
        empty_triples(second_moments),
        fixed_pairs(means, second_moments, fit_fields),
    )
