"""Compiled kernels of energy landscapes: states are integers, with bit i set where spin i is +1."""

import math

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def state_energies(couplings, fields, n_low, energies):
    """Fill energies (2^n_spins,) of all states of a pair model.

    Blocks of 2^n_low states are visited in Gray code order, one flip from state to state; each block starts from new
    sums, so that rounding errors do not accumulate.
    """
    n_spins = len(fields)
    spins = np.empty(n_spins)
    local = np.empty(n_spins)
    for block in range(len(energies) >> n_low):
        for i in range(n_spins):
            spins[i] = 1.0 if i >= n_low and (block >> (i - n_low)) & 1 else -1.0
        energy = 0.0
        for i in range(n_spins):
            total = 0.0
            for j in range(n_spins):
                total += couplings[i, j] * spins[j]
            local[i] = total + fields[i]
            energy -= spins[i] * (0.5 * total + fields[i])
        energies[block << n_low] = energy
        for k in range(1, 1 << n_low):
            i = 0
            while (k >> i) & 1 == 0:
                i += 1
            energy += 2.0 * spins[i] * local[i]
            spins[i] = -spins[i]
            change = 2.0 * spins[i]
            for j in range(n_spins):
                local[j] += change * couplings[i, j]
            energies[(block << n_low) | (k ^ (k >> 1))] = energy


@njit(cache=True, nogil=True)
def steepest_steps(levels, n_spins, steps, queue):
    """Fill steps (2^n_spins,): the state that steepest descent goes to next, the state itself in a minimum.

    The step leads to the lowest neighbour, by a flip of the spin with the smallest index among equally low ones. States
    of a plateau without lower neighbours take the shortest path over the plateau to a state that has one; where there
    is none, the plateau is a minimum.
    """
    end = 0
    for state in range(len(levels)):
        best = state
        for i in range(n_spins):
            other = state ^ (1 << i)
            if levels[other] < levels[best]:
                best = other
        steps[state] = best
        if best != state:
            queue[end] = state
            end += 1
    at = 0
    while at < end:
        state = queue[at]
        at += 1
        for i in range(n_spins):
            other = state ^ (1 << i)
            if levels[other] == levels[state] and steps[other] == other:
                steps[other] = state
                queue[end] = other
                end += 1


@njit(cache=True, nogil=True)
def label_minima(levels, n_spins, steps, queue, labels):
    """Number the minima in the order of their smallest state; fill labels with these numbers, -1 for other states.

    Returns how many there are. Connected states of equal energy are one minimum.
    """
    count = 0
    for state in range(len(levels)):
        labels[state] = -1
    for first in range(len(levels)):
        if steps[first] != first or labels[first] >= 0:
            continue
        labels[first] = count
        queue[0] = first
        at, end = 0, 1
        while at < end:
            state = queue[at]
            at += 1
            for i in range(n_spins):
                other = state ^ (1 << i)
                if levels[other] == levels[state] and labels[other] < 0:
                    labels[other] = count
                    queue[end] = other
                    end += 1
        count += 1
    return count


@njit(cache=True, nogil=True)
def follow_steps(steps, minima, labels):
    """Fill labels (n_states,): the minimum that each state descends to; `minima` holds those of the minima's states."""
    for state in range(len(steps)):
        labels[state] = minima[state]
    for first in range(len(steps)):
        state = first
        while labels[state] < 0:
            state = steps[state]
        found = labels[state]
        state = first
        while labels[state] < 0:
            labels[state] = found
            state = steps[state]


@njit(cache=True, nogil=True)
def _root(parents, state):
    """Root of the tree of a state; the path to it is halved."""
    while parents[state] != state:
        parents[state] = parents[parents[state]]
        state = parents[state]
    return state


@njit(cache=True, nogil=True)
def merge_basins(order, minima, n_spins, parents, lowest, first, second, states):
    """Fill first, second (n_minima - 1,): the lowest minima of components of states that meet as the energy increases.

    order: states by increasing energy. minima: number of the minimum, by increasing energy, that a state belongs to,
    else -1. states: the state at which two components meet, whose energy is the lowest saddle between a minimum of one
    and a minimum of the other. parents (filled with -1) and lowest (n_states,) are work space. Returns the number of
    meetings.
    """
    count = 0
    for k in range(len(order)):
        if count == len(first):
            break
        state = order[k]
        parents[state] = state
        lowest[state] = minima[state]
        root = state
        for i in range(n_spins):
            other = state ^ (1 << i)
            if parents[other] < 0:
                continue
            found = _root(parents, other)
            if found == root:
                continue
            a, b = lowest[root], lowest[found]
            if a >= 0 and b >= 0 and a != b:
                first[count] = min(a, b)
                second[count] = max(a, b)
                states[count] = state
                count += 1
                keep = min(a, b)
            else:
                keep = max(a, b)
            # the older component is nearly always the larger one
            parents[root] = found
            lowest[found] = keep
            root = found
    return count


@njit(cache=True, nogil=True)
def walk_states(energies, n_spins, rng, starts, states):
    """Heat-bath chains over numbered states: fill states (n_chains, n_rows), a sweep of n_spins updates apart."""
    for chain in range(len(starts)):
        state = starts[chain]
        for row in range(states.shape[1]):
            if row > 0:
                for _ in range(n_spins):
                    other = state ^ (1 << rng.integers(0, n_spins))
                    rise = energies[other] - energies[state]
                    if rng.random() * (1.0 + math.exp(min(rise, 700.0))) < 1.0:
                        state = other
            states[chain, row] = state


@njit(cache=True, nogil=True)
def descend_rows(couplings, fields, tolerance, spins):
    """Steepest descent of every row of spins (n_rows, n_spins) of +-1 to a state without neighbours below it, in place.

    Each step flips the spin that lowers the energy most; among equals within the tolerance, that of smallest index.
    """
    n_spins = len(fields)
    local = np.empty(n_spins)
    for row in range(len(spins)):
        s = spins[row]
        for i in range(n_spins):
            local[i] = fields[i]
        for j in range(n_spins):
            value = float(s[j])
            for i in range(n_spins):
                local[i] += value * couplings[j, i]
        while True:
            best, fall = -1, -tolerance
            for i in range(n_spins):
                change = 2.0 * s[i] * local[i]
                if change < fall - tolerance or (best < 0 and change < fall):
                    best, fall = i, change
            if best < 0:
                break
            s[best] = -s[best]
            change = 2.0 * float(s[best])
            for i in range(n_spins):
                local[i] += change * couplings[best, i]


@njit(cache=True, nogil=True)
def path_top(couplings, fields, start, end):
    """Highest energy, relative to `start`, on a path from start to end (n_spins,) that flips each differing spin once.

    Each step flips the one whose new energy is lowest. It bounds the lowest saddle between the two from above.
    """
    n_spins = len(fields)
    spins = start.astype(np.float64)
    local = np.empty(n_spins)
    for i in range(n_spins):
        local[i] = fields[i]
        for j in range(n_spins):
            local[i] += couplings[i, j] * spins[j]
    energy, top = 0.0, 0.0
    while True:
        best, change = -1, np.inf
        for i in range(n_spins):
            if spins[i] != end[i] and 2.0 * spins[i] * local[i] < change:
                best, change = i, 2.0 * spins[i] * local[i]
        if best < 0:
            return top
        energy += change
        top = max(top, energy)
        spins[best] = -spins[best]
        for j in range(n_spins):
            local[j] += 2.0 * spins[best] * couplings[best, j]


@njit(cache=True, nogil=True)
def path_tops(couplings, fields, minima, energies, tops):
    """Fill tops (n, n): for every two minima (n, n_spins), the lower of the two maxima of `path_top` between them."""
    for a in range(len(minima)):
        tops[a, a] = energies[a]
        for b in range(a):
            there = energies[a] + path_top(couplings, fields, minima[a], minima[b])
            back = energies[b] + path_top(couplings, fields, minima[b], minima[a])
            tops[a, b] = tops[b, a] = min(there, back)
