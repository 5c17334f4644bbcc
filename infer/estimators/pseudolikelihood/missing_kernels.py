"""Compiled heat-bath draws of missing values, one entry after another."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def draw_entries(spins, rows, columns, couplings, fields, uniforms):
    """Redraw the entries (rows[k], columns[k]) of the spins in place, each given the rest of its row.

    spins int8 (n_samples, n_spins); couplings (n_spins, n_spins), zero diagonal; fields (n_spins,); uniforms in [0, 1),
    (n_sweeps, n_entries). Entry k becomes +1 with probability 1 / (1 + exp(-2 h)), h its local field.
    """
    n_spins = spins.shape[1]
    for sweep in range(uniforms.shape[0]):
        for k in range(len(rows)):
            row, column = rows[k], columns[k]
            local = fields[column]
            for j in range(n_spins):
                local += couplings[column, j] * spins[row, j]
            up = uniforms[sweep, k] * (1.0 + np.exp(-2.0 * local)) < 1.0
            spins[row, column] = 1 if up else -1
