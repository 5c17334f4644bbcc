"""Minima of more spins than can be enumerated, found by descent from rows, and upper bounds of their saddles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.estimators.likelihood.chains import PersistentChains
from infer.landscape.exact import TIE, Merges
from infer.landscape.landscape_kernels import descend_rows, path_tops
from infer.model import PairModel
from infer.types import FloatArray, IntArray, SpinArray

__all__ = ["MOST_MINIMA", "FoundMinima", "descend", "find_minima", "model_rows"]

MOST_MINIMA = 1000  # kept, those with most visits; saddles between all of them take about a second for 100 spins
MOST_ON_PLATEAU = 4096  # largest number of states of equal energy that are searched
BURN_IN = 200  # sweeps


@dataclass(frozen=True, eq=False)
class FoundMinima:
    """Minima (n, n_spins) by increasing energy, upper bounds of their saddles, and the number of minima left out."""

    minima: SpinArray
    energies: FloatArray
    merges: Merges
    n_left_out: int

    def labels(self, settled: SpinArray) -> NDArray[np.int64]:
        """Number of the minimum that equals each row (n_rows, n_spins); -1 for none of them."""
        known = {row.tobytes(): k for k, row in enumerate(np.packbits(self.minima > 0, axis=1))}
        packed, inverse = np.unique(np.packbits(settled > 0, axis=1), axis=0, return_inverse=True)
        return np.array([known.get(row.tobytes(), -1) for row in packed], dtype=np.int64)[inverse.ravel()]


def tie_width(model: PairModel) -> float:
    """Largest difference of energies that counts as rounding."""
    return TIE * float(np.abs(model.couplings).sum() / 2.0 + np.abs(model.fields).sum())


def descend(model: PairModel, spins: SpinArray) -> SpinArray:
    """The minimum that steepest descent reaches from every row; the same state for all states of a plateau.

    Parameters
    ----------
    model : PairModel
    spins : ndarray of int8, shape (n_rows, n_spins)

    Returns
    -------
    ndarray of int8, shape (n_rows, n_spins)
    """
    distinct, inverse = np.unique(spins, axis=0, return_inverse=True)
    settled = np.ascontiguousarray(distinct, dtype=np.int8)
    width = tie_width(model)
    descend_rows(model.couplings, model.fields, width, settled)
    ends, back = np.unique(settled, axis=0, return_inverse=True)
    flat = (np.abs(2.0 * ends * model.local_fields(ends)) <= width).any(axis=1)
    for k in np.flatnonzero(flat):
        ends[k] = _leave_plateau(model, ends[k], width)
    return ends[back.ravel()][inverse.ravel()]


def _leave_plateau(model: PairModel, start: SpinArray, width: float) -> SpinArray:
    """End of descent over states of equal energy: a state below them, or the smallest of them (last spin first)."""
    while True:
        queue, seen = [start], {start.tobytes()}
        lower = None
        for state in queue:
            rise = 2.0 * state * model.local_fields(state[None])[0]
            if rise.min() < -width:
                lower = state.copy()
                lower[int(np.argmin(rise))] *= -1
                break
            for i in np.flatnonzero(np.abs(rise) <= width):
                other = state.copy()
                other[i] *= -1
                if other.tobytes() not in seen and len(queue) < MOST_ON_PLATEAU:
                    seen.add(other.tobytes())
                    queue.append(other)
        if lower is None:
            return min(queue, key=lambda state: tuple(state[::-1]))
        row = lower[None].copy()
        descend_rows(model.couplings, model.fields, width, row)
        start = row[0]


def find_minima(model: PairModel, settled: SpinArray) -> FoundMinima:
    """Distinct minima among ends of descents, with upper bounds of the saddles between them.

    Between two minima each differing spin is flipped once, in each step the one that gives the lowest energy. The
    maximum energy of this path is computed from either end, and the lower of the two is an upper bound of the lowest
    saddle. Paths over third minima are included.

    Parameters
    ----------
    model : PairModel
    settled : ndarray of int8, shape (n_rows, n_spins)
        As returned by `descend`.

    Returns
    -------
    FoundMinima
    """
    minima, visits = np.unique(settled, axis=0, return_counts=True)
    n_found = len(minima)
    if n_found > MOST_MINIMA:
        minima = minima[np.argsort(-visits, kind="stable")[:MOST_MINIMA]]
    energies = model.energies(minima)
    order = np.argsort(energies, kind="stable")
    minima, energies = minima[order], energies[order]
    tops = np.empty((len(minima), len(minima)))
    path_tops(model.couplings, model.fields, minima, energies, tops)
    return FoundMinima(minima, energies, merges_of(tops), n_found - len(minima))


def merges_of(tops: FloatArray) -> Merges:
    """Order in which minima meet, from the maxima of direct paths between every two (Kruskal's spanning tree)."""
    a, b = np.triu_indices(len(tops), 1)
    group = np.arange(len(tops))
    first, second, heights = [], [], []
    for k in np.argsort(tops[a, b], kind="stable"):
        low, high = sorted((int(group[a[k]]), int(group[b[k]])))
        if low != high:
            first.append(low)
            second.append(high)
            heights.append(tops[a[k], b[k]])
            group[group == high] = low
            if len(first) == len(tops) - 1:
                break
    return Merges(np.array(first, dtype=np.int64), np.array(second, dtype=np.int64), np.array(heights, dtype=float))


def model_rows(model: PairModel, starts: SpinArray, n_rows: int, seed: Any) -> tuple[SpinArray, IntArray]:
    """Rows of heat-bath chains of a model, one sweep apart, and the chain of each row.

    Parameters
    ----------
    model : PairModel
    starts : ndarray of int8, shape (n_chains, n_spins)
    n_rows : int
        Total number of rows of all chains, at least two per chain.
    seed : numpy.random.SeedSequence

    Returns
    -------
    rows : ndarray of int8, shape (n_chains * n_sweeps, n_spins)
    chains : ndarray of int64
    """
    chains = PersistentChains(starts, int(seed.generate_state(1)[0]))
    chains.advance(model.couplings, model.fields, BURN_IN)
    n_sweeps = max(2, -(-n_rows // len(starts)))
    states = chains.advance(model.couplings, model.fields, n_sweeps, record=True)
    return states.reshape(-1, model.n_spins), np.repeat(np.arange(len(starts)), n_sweeps)
