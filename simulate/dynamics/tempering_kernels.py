"""Compiled kernel of parallel tempering."""

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def exchange(inverse, energies, order, first, rng, accepted):
    """Exchange the states of neighbouring temperatures, pairs (k, k + 1) from k = `first` on, every second one.

    order[k] is the replica at temperature k. Accepted with probability min(1, exp((b_k - b_k+1) (E_k - E_k+1))), which
    leaves the product of the Boltzmann distributions as it is. Counts go to accepted (n_temperatures - 1,).
    """
    for k in range(first, len(inverse) - 1, 2):
        one, other = order[k], order[k + 1]
        gain = (inverse[k] - inverse[k + 1]) * (energies[one] - energies[other])
        if gain >= 0 or rng.random() < math.exp(gain):
            order[k], order[k + 1] = other, one
            accepted[k] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def temper(couplings, external, inverse, states, local, order, rng, thin, records, accepted, parity):
    """Run all replicas for len(records) * thin sweeps, with exchanges after each; record the first temperature.

    states (n_replicas, n_spins) and local (n_replicas, n_spins), the fields J s + h, change in place. A sweep updates
    n_spins random spins of each replica by heat bath. `parity` is the number of exchanges so far, returned.
    """
    n_replicas, n_spins = states.shape
    energies = np.empty(n_replicas)
    for draw in range(len(records)):
        for _ in range(thin):
            for k in range(n_replicas):
                replica = order[k]
                spins, fields = states[replica], local[replica]
                for _ in range(n_spins):
                    i = rng.integers(0, n_spins)
                    value = 1.0 if rng.random() * (1.0 + math.exp(-2.0 * inverse[k] * fields[i])) < 1.0 else -1.0
                    if value != spins[i]:
                        spins[i] = value
                        for j in range(n_spins):
                            fields[j] += 2.0 * value * couplings[i, j]
                total = 0.0
                for i in range(n_spins):
                    total -= 0.5 * spins[i] * (fields[i] + external[i])
                energies[replica] = total
            exchange(inverse, energies, order, parity % 2, rng, accepted)
            parity += 1
        for i in range(n_spins):
            records[draw, i] = np.int8(states[order[0], i])
    return parity
