"""Sums over all states of a few spins, as matrices: states of one half of the spins by states of the other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from infer.estimators.likelihood.terms import Penalty, Terms
from infer.estimators.newton import Local, Minimum, minimise, newton_direction
from infer.types import FloatArray, IntArray


def half_states(n_spins: int) -> FloatArray:
    """All states (2^n_spins, n_spins) of +-1."""
    bits = (np.arange(2**n_spins)[:, None] >> np.arange(n_spins)) & 1
    states: FloatArray = (2 * bits - 1).astype(np.float64)
    return states


@dataclass(frozen=True)
class Enumeration:
    """Boltzmann probabilities of all states of spins with given couplings and fields."""

    left: FloatArray  # (2^n, n) states of the first half of the spins
    right: FloatArray  # (2^m, m) states of the others
    probability: FloatArray  # (2^n, 2^m)
    log_partition: float

    def sums(self, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sums of s_i and s_i s_j over all states with any weights (2^n, 2^m)."""
        by_left, by_right = weight.sum(axis=1), weight.sum(axis=0)
        first = np.concatenate([by_left @ self.left, by_right @ self.right])
        across = self.left.T @ weight @ self.right
        second = np.block(
            [
                [(self.left * by_left[:, None]).T @ self.left, across],
                [across.T, (self.right * by_right[:, None]).T @ self.right],
            ]
        )
        return first, second

    def up(self) -> IntArray:
        """Number of +1 in every state (2^n, 2^m)."""
        return up_counts(self.left, self.right)

    def count_sums(self, weight: FloatArray) -> FloatArray:
        """Sums (n_spins + 1,) of weights (2^n, 2^m) over the states with 0, 1, ... spins at +1."""
        n_spins = self.left.shape[1] + self.right.shape[1]
        return np.asarray(np.bincount(self.up().ravel(), weights=weight.ravel(), minlength=n_spins + 1))

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Means ``<s_i>`` and second moments ``<s_i s_j>``."""
        return self.sums(self.probability)

    def covariances(self, couplings: FloatArray, fields: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Covariances of s_i, and of s_i s_j, with ``sum_{i<j} couplings_ij s_i s_j + sum_i fields_i s_i``."""
        return self.sums(self._centred(exponents(self.left, self.right, couplings, fields)))

    def _centred(self, values: FloatArray) -> FloatArray:
        """Values of all states less their mean, times probabilities; overwrites the values."""
        values -= float((self.probability * values).sum())
        values *= self.probability
        return values

    def statistics(self, terms: Terms) -> FloatArray:
        """Means of the statistics of all terms, (size,)."""
        return self._packed(terms, self.probability)

    def covariance_along(self, terms: Terms, direction: FloatArray) -> FloatArray:
        """Covariances (size,) of the statistics with the energy of a direction (size,)."""
        part = terms.unpack(direction)
        values = exponents(self.left, self.right, part.couplings, part.fields)
        if terms.n_counts:
            values += part.potential[self.up()]
        return self._packed(terms, self._centred(values))

    def covariance_matrix(self, terms: Terms) -> FloatArray:
        """
        Covariance (size, size) of the statistics.

        Products of spins are Walsh functions of the state, and the product of two Walsh functions is a third. One
        Walsh-Hadamard transform of the probabilities therefore gives the mean of every product.
        """
        # index of a state: bits of the left half first, those of the right half above them
        values = np.ascontiguousarray(self.probability.T).ravel()
        for bit in range(self.left.shape[1] + self.right.shape[1]):
            # a spin is +1 where its bit is set
            halves = values.reshape(-1, 2, 1 << bit)
            values = np.stack([halves[:, 1] + halves[:, 0], halves[:, 1] - halves[:, 0]], axis=1).ravel()
        i, j = terms.above
        bits = 1 << np.arange(terms.n_spins)
        masks = np.concatenate([bits[i] | bits[j], bits[: terms.n_fields]])
        n = len(masks)
        covariance = np.zeros((terms.size, terms.size))
        covariance[:n, :n] = values[masks[:, None] ^ masks] - np.outer(values[masks], values[masks])
        for count in range(n, terms.size):
            direction = np.zeros(terms.size)
            direction[count] = 1.0
            covariance[count] = covariance[:, count] = self.covariance_along(terms, direction)
        return covariance

    def _packed(self, terms: Terms, weight: FloatArray) -> FloatArray:
        """Weighted sums of all statistics, (size,)."""
        first, second = self.sums(weight)
        return terms.pack(second, first, self.count_sums(weight) if terms.n_counts else None)


def exponents(left: FloatArray, right: FloatArray, couplings: FloatArray, fields: FloatArray) -> FloatArray:
    """Minus the energy, ``sum_{i<j} J_ij s_i s_j + sum_i h_i s_i``, of every pair of half states."""
    n = left.shape[1]
    by_left = 0.5 * np.einsum("ki,ki->k", left @ couplings[:n, :n], left) + left @ fields[:n]
    by_right = 0.5 * np.einsum("ki,ki->k", right @ couplings[n:, n:], right) + right @ fields[n:]
    result = (left @ couplings[:n, n:]) @ right.T
    result += by_left[:, None]
    result += by_right
    return result


def up_counts(left: FloatArray, right: FloatArray) -> IntArray:
    """Number of +1 of every pair of half states (2^n, 2^m)."""
    by_left, by_right = ((half > 0).sum(axis=1) for half in (left, right))
    return np.asarray(by_left[:, None] + by_right)


def enumerate_states(couplings: FloatArray, fields: FloatArray, potential: FloatArray | None = None) -> Enumeration:
    """Probabilities of all states; time and memory grow as 2^n_spins (8 MB for 20 spins)."""
    n_left = (len(couplings) + 1) // 2
    left, right = half_states(n_left), half_states(len(couplings) - n_left)
    weight = exponents(left, right, couplings, fields)
    if potential is not None and potential.any():
        weight += potential[up_counts(left, right)]
    largest = float(weight.max())
    weight -= largest
    np.exp(weight, out=weight)
    total = float(weight.sum())
    weight /= total
    return Enumeration(left, right, weight, largest + float(np.log(total)))


def minimise_exactly(terms: Terms, penalty: Penalty, data: FloatArray, tol: float, max_iter: int) -> Minimum:
    """Minimum of ``log Z - parameters . data + penalty`` by Newton steps with sums over all states."""

    def local(vector: FloatArray) -> Local:
        model = terms.unpack(vector)
        states = enumerate_states(model.couplings, model.fields, model.potential)
        value = states.log_partition - float(vector @ data) + penalty.value(vector)
        return value, states.statistics(terms) - data + penalty.gradient(vector), Curvature(states, terms, penalty)

    return minimise(local, np.zeros(terms.size), tol, max_iter, Curvature.newton_step)


@dataclass(frozen=True, eq=False)
class Curvature:
    """Hessian of the penalised likelihood: the Fisher information plus the penalty."""

    states: Enumeration
    terms: Terms
    penalty: Penalty

    def __call__(self, direction: FloatArray) -> FloatArray:
        """The Hessian applied to a direction (size,)."""
        return self.states.covariance_along(self.terms, direction) + self.penalty.gradient(direction)

    def newton_step(self, gradient: FloatArray) -> FloatArray:
        """Step (size,) to where the gradient vanishes; by conjugate gradients where the Hessian is singular."""
        matrix = self.states.covariance_matrix(self.terms) + self.penalty.matrix()
        with suppress(LinAlgError):
            factor = cho_factor(matrix)
            # where states never occur the likelihood has flat directions, in which rounding errors would dominate
            if np.diag(factor[0]).min() > 1e-7 * np.diag(factor[0]).max():
                return np.asarray(cho_solve(factor, -gradient))
        return newton_direction(gradient, self)
