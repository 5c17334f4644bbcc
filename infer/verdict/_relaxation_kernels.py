"""Compiled zero-temperature relaxation."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def relax(couplings: np.ndarray, states: np.ndarray, max_sweeps: int) -> np.ndarray:
    """Align spins with their fields in sequence, in place, until a sweep changes none; sweeps used by each state.

    A spin whose field is zero keeps its value. -1 where `max_sweeps` were not enough.
    """
    n_states, n_spins = states.shape
    sweeps = np.full(n_states, -1, dtype=np.int64)
    field = np.empty(n_spins, dtype=np.float64)
    for m in range(n_states):
        for i in range(n_spins):
            field[i] = 0.0
        for j in range(n_spins):
            for i in range(n_spins):
                field[i] += couplings[j, i] * states[m, j]
        for sweep in range(max_sweeps):
            changed = False
            for i in range(n_spins):
                if field[i] * states[m, i] < 0.0:
                    states[m, i] = -states[m, i]
                    step = 2.0 * states[m, i]
                    for j in range(n_spins):
                        field[j] += step * couplings[i, j]
                    changed = True
            if not changed:
                sweeps[m] = sweep
                break
    return sweeps
