"""Landscapes of few spins in plain Python, straight from the definitions: the judge of the compiled kernels."""

import itertools

import numpy as np

from tests.exact import all_states


def neighbours(state, n_spins):
    return [state ^ (1 << i) for i in range(n_spins)]


def plateau(state, energies, n_spins, width):
    """All states of equal energy that flips of one spin connect with a state."""
    found, queue = {state}, [state]
    while queue:
        for other in neighbours(queue.pop(), n_spins):
            if other not in found and abs(energies[other] - energies[state]) <= width:
                found.add(other)
                queue.append(other)
    return found


def minima(energies, width=1e-9):
    """Least states of the plateaus without lower neighbours, by energy (rounded) and number; the plateaus."""
    n_spins = int(np.log2(len(energies)))
    found = {}
    for state in range(len(energies)):
        flat = plateau(state, energies, n_spins, width)
        around = {other for member in flat for other in neighbours(member, n_spins)} - flat
        if all(energies[other] > energies[state] for other in around):
            found[min(flat)] = flat
    ordered = sorted(found, key=lambda state: (round(energies[state] / width / 10), state))
    return ordered, [found[state] for state in ordered]


def basins(energies, width=1e-9):
    """Minimum of every state by following steepest descent; energies without ties off the minima."""
    n_spins = int(np.log2(len(energies)))
    _, flats = minima(energies, width)
    number = {state: k for k, flat in enumerate(flats) for state in flat}
    labels = []
    for state in range(len(energies)):
        while state not in number:
            state = min(neighbours(state, n_spins), key=lambda other: energies[other])
        labels.append(number[state])
    return np.array(labels)


def saddles(energies, states):
    """Lowest possible highest energy of a way between every two states, by Floyd and Warshall's algorithm."""
    n_spins = int(np.log2(len(energies)))
    top = np.full((len(energies), len(energies)), np.inf)
    for state in range(len(energies)):
        top[state, state] = energies[state]
        for other in neighbours(state, n_spins):
            top[state, other] = max(energies[state], energies[other])
    for through in range(len(energies)):
        top = np.minimum(top, np.maximum(top[:, through, None], top[None, through]))
    return top[np.ix_(states, states)]


def transitions(labels, chains, n_minima):
    """Steps between basins inside runs."""
    table = np.zeros((n_minima, n_minima), dtype=int)
    for (a, run), (b, next_run) in itertools.pairwise(zip(labels, chains, strict=True)):
        if run == next_run and a >= 0 and b >= 0:
            table[a, b] += 1
    return table


def count_energies(couplings, fields, potential):
    """Energies of all states with a potential of the number of +1."""
    states = all_states(len(couplings)).astype(float)
    pairs = -0.5 * np.einsum("ki,ij,kj->k", states, couplings, states) - states @ fields
    return pairs - np.asarray(potential)[(states > 0).sum(axis=1)]
