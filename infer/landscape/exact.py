"""Minima, basins and lowest saddles from the energies of all states, for up to 20 spins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.landscape.landscape_kernels import (
    follow_steps,
    label_minima,
    merge_basins,
    state_energies,
    steepest_steps,
)
from infer.model import PairModel
from infer.types import FloatArray, IntArray, SpinArray

__all__ = ["TIE", "AllStates", "Merges", "all_energies", "exact_landscape", "state_numbers", "states_of"]

LOW_SPINS = 10  # spins that are flipped in Gray code order before sums are recomputed
TIE = 1e-11  # energies that differ by less than this fraction of their range count as equal
CHUNK_STATES = 1 << 16


@dataclass(frozen=True, eq=False)
class Merges:
    """Saddles at which basins meet, by increasing energy: the disconnectivity tree.

    ``first`` and ``second`` (n_minima - 1,) number the lowest minimum of each of two groups of minima, ``first`` the
    lower one. The groups meet at ``energies``, the lowest saddle between a minimum of one group and a minimum of the
    other.
    """

    first: IntArray
    second: IntArray
    energies: FloatArray

    def saddles(self, energies: FloatArray) -> FloatArray:
        """Lowest saddle between every two minima (n, n), the energies of the minima on the diagonal."""
        table = np.diag(energies).astype(np.float64)
        groups = [np.array([k]) for k in range(len(energies))]
        for a, b, height in zip(self.first, self.second, self.energies, strict=True):
            table[np.ix_(groups[a], groups[b])] = height
            table[np.ix_(groups[b], groups[a])] = height
            groups[a] = np.concatenate([groups[a], groups[b]])
        return table

    def depths(self, energies: FloatArray) -> FloatArray:
        """Lowest saddle to any other minimum less its own energy (n,); NaN where there is no other minimum."""
        depth = np.full(len(energies), np.nan)
        for a, b, height in zip(self.first, self.second, self.energies, strict=True):
            for k in (a, b):
                if np.isnan(depth[k]):  # the first saddle in this order is the lowest
                    depth[k] = height - energies[k]
        return depth


@dataclass(frozen=True, eq=False)
class AllStates:
    """Energies of all states, their minima and their basins; bit i of the number of a state is set where spin i is +1.

    ``minima`` (n,) are states by increasing energy, ``labels`` (2^n_spins,) the minimum that steepest descent leads to,
    ``plateaus`` (n,) the number of states of equal energy that form a minimum.
    """

    energies: FloatArray
    minima: IntArray
    labels: NDArray[np.int32]
    plateaus: IntArray
    merges: Merges

    @property
    def n_spins(self) -> int:
        """Number of spins."""
        return len(self.energies).bit_length() - 1


def all_energies(model: Any, n_spins: int) -> FloatArray:
    """Energies (2^n_spins,) of all states; compiled for pair models, in chunks of rows for other models."""
    found = np.empty(1 << n_spins)
    if type(model) is PairModel:
        state_energies(model.couplings, model.fields, min(LOW_SPINS, n_spins), found)
        return found
    for start in range(0, len(found), CHUNK_STATES):
        numbers = np.arange(start, min(start + CHUNK_STATES, len(found)))
        found[numbers] = model.energies(states_of(numbers, n_spins))
    return found


def states_of(numbers: IntArray, n_spins: int) -> SpinArray:
    """Spins (n, n_spins) of numbered states."""
    return (2 * ((numbers[:, None] >> np.arange(n_spins)) & 1) - 1).astype(np.int8)


def state_numbers(spins: NDArray[Any]) -> IntArray:
    """Numbers (n,) of rows of spins."""
    return (spins > 0) @ (np.int64(1) << np.arange(spins.shape[1], dtype=np.int64))


def energy_levels(energies: FloatArray) -> tuple[IntArray, NDArray[np.int32]]:
    """States by increasing energy, and the rank of each energy; energies that differ by rounding share a rank."""
    order = np.argsort(energies, kind="stable")
    ordered = energies[order]
    apart = np.diff(ordered) > TIE * max(ordered[-1] - ordered[0], np.abs(ordered[[0, -1]]).max())
    levels = np.zeros(len(energies), dtype=np.int32)
    levels[order[1:]] = np.cumsum(apart)
    return order, levels


def exact_landscape(energies: FloatArray) -> AllStates:
    """Minima under single flips, steepest-descent basins and lowest saddles from the energies of all states.

    Parameters
    ----------
    energies : ndarray of float64, shape (2^n_spins,)

    Returns
    -------
    AllStates
    """
    n_states = len(energies)
    n_spins = n_states.bit_length() - 1
    order, levels = energy_levels(energies)
    steps, room = np.empty(n_states, dtype=np.int32), np.empty(n_states, dtype=np.int32)
    steepest_steps(levels, n_spins, steps, room)
    flat = np.empty(n_states, dtype=np.int32)
    n_minima = label_minima(levels, n_spins, steps, room, flat)

    # a plateau is represented by its least state; minima are numbered by energy, then by that state
    inside = np.flatnonzero(flat >= 0)
    _, at = np.unique(flat[inside], return_index=True)
    least = inside[at]
    by_energy = np.lexsort((least, levels[least]))
    number = np.empty(n_minima, dtype=np.int32)
    number[by_energy] = np.arange(n_minima, dtype=np.int32)
    flat[inside] = number[flat[inside]]
    minima = least[by_energy]

    labels = np.empty(n_states, dtype=np.int32)
    follow_steps(steps, flat, labels)
    first, second, states = np.zeros((3, n_minima - 1), dtype=np.int64)
    parents = np.full(n_states, -1, dtype=np.int32)
    merge_basins(order, flat, n_spins, parents, room, first, second, states)
    plateaus = np.bincount(flat[inside], minlength=n_minima)
    return AllStates(energies, minima, labels, plateaus, Merges(first, second, energies[states]))
