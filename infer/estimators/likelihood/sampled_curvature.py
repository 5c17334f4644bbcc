"""Curvature of the likelihood from states of a model, and Newton directions by preconditioned conjugate gradients."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from infer.estimators.likelihood.terms import Penalty, Terms
from infer.types import FloatArray

MOST_PRODUCTS = 60  # conjugate gradient steps for one direction
MOST_EXPLICIT = 700  # parameters up to which, with counts, the whole matrix is faster than products with it
STATES_AT_ONCE = 8192
MIXING = 0.3  # of the unit matrix into the correlations of the spins, for the preconditioner


class WeightedStates:
    """Centred states of spins with weights, and sums over them."""

    def __init__(
        self, terms: Terms, states: NDArray[np.int8], centre: FloatArray, weights: FloatArray | None = None
    ) -> None:
        self.terms, self.values = terms, states
        self.deviations = states.astype(np.float32) - centre.astype(np.float32)
        self.counts = (states > 0).sum(axis=1) if terms.n_counts else None
        self.shares = np.full(len(states), 1.0 / len(states)) if weights is None else weights / weights.sum()

    def energies(self, direction: FloatArray) -> FloatArray:
        """Products (n_states,) of the centred statistics of each state with a direction (size,)."""
        part, x = self.terms.unpack(direction), self.deviations
        found = np.einsum("ki,ki->k", x @ (0.5 * part.couplings).astype(np.float32), x).astype(np.float64)
        found += x @ part.fields.astype(np.float32)
        if self.counts is not None:
            found += part.potential[self.counts]
        return np.asarray(found)

    def sums(self, weights: FloatArray) -> FloatArray:
        """Sums (size,) of the centred statistics with weights (n_states,) of either sign."""
        x, single = self.deviations, weights.astype(np.float32)
        counts: FloatArray | None = None
        if self.counts is not None:
            counts = np.asarray(np.bincount(self.counts, weights=weights, minlength=self.terms.n_spins + 1))
        pairs = ((x * single[:, None]).T @ x).astype(np.float64)
        return self.terms.pack(pairs, (single @ x).astype(np.float64), counts)

    def covariance(self, direction: FloatArray, shares: FloatArray) -> FloatArray:
        """Covariance (size,) of the statistics with the energy of a direction, for given shares of the states."""
        energies = self.energies(direction)
        return self.sums(shares * (energies - shares @ energies))

    def covariance_matrix(self, shares: FloatArray) -> FloatArray:
        """Covariance (size, size) of the centred statistics, for given shares of the states."""
        terms = self.terms
        i, j = terms.above
        total, mean = np.zeros((terms.size, terms.size)), np.zeros(terms.size)
        for start in range(0, len(shares), STATES_AT_ONCE):
            part = slice(start, start + STATES_AT_ONCE)
            x, root = self.deviations[part], np.sqrt(shares[part]).astype(np.float32)
            columns = [x[:, i] * x[:, j]]
            if terms.fit_fields:
                columns.append(x)
            if self.counts is not None:
                columns.append(self.counts[part, None] == np.arange(terms.first_count, terms.n_spins + 1))
            statistics = np.concatenate(columns, axis=1, dtype=np.float32) * root[:, None]
            total += statistics.T @ statistics
            mean += root @ statistics
        return total - np.outer(mean, mean)


class SampledCurvature:
    """Covariance of the statistics over some states, shrunk towards that of nearly independent spins, plus penalty.

    It acts on centred parameters (`Terms.centred`), in which pairs and fields hardly mix. The shrinkage limits errors
    along directions that the states do not determine: with S states for P parameters the relative error of the
    covariance is about sqrt(P / S).

    Parameters
    ----------
    penalty : Penalty
    states : WeightedStates
    shares : ndarray (n_states,)
        Weights of the states, with sum 1.
    centre : ndarray (n_spins,)
        Means of the spins.
    second_moments : ndarray (n_spins, n_spins)
        Second moments of the data, which determine the target of the shrinkage.
    shrinkage : float
        Weight of the target, between 0 and 1.
    reference : WeightedStates, optional
        Other states, whose covariance is averaged with that of the first ones.
    """

    def __init__(
        self,
        penalty: Penalty,
        states: WeightedStates,
        shares: FloatArray,
        centre: FloatArray,
        second_moments: FloatArray,
        shrinkage: float,
        reference: WeightedStates | None = None,
    ) -> None:
        terms = states.terms
        self.terms, self.penalty, self.shrinkage = terms, penalty, shrinkage
        self._states, self._shares, self._reference = states, shares, reference
        means = centre if terms.fit_fields else np.zeros(len(centre))
        self._pairs = np.maximum(pair_variances(terms, centre, means, second_moments), 1e-12)
        self._fields = second_moments - np.outer(means, means)
        np.fill_diagonal(self._fields, np.maximum(1.0 - means**2, 1e-12))
        self._inverse_fields = np.linalg.pinv(self._fields, rcond=1e-10, hermitian=True)
        spread = np.sqrt(np.diag(self._fields))
        mixed = (1.0 - MIXING) * self._fields / np.outer(spread, spread) + MIXING * np.eye(len(spread))
        self._inverse_correlation = np.linalg.inv(mixed)
        if terms.n_counts:
            assert states.counts is not None
            share = np.bincount(states.counts, weights=shares, minlength=terms.n_spins + 1)
            free = share[terms.first_count :]
            self._count_covariance = np.diag(free + 1.0 / len(shares)) - np.outer(free, free)
            block = self._count_covariance + penalty.on_counts
            self._inverse_counts = np.linalg.inv(block + 1e-9 * np.trace(block) / len(block) * np.eye(len(block)))

    def covariance(self, direction: FloatArray) -> FloatArray:
        """Covariance of the statistics, over the states, with the energy of a direction; (size,)."""
        own = self._states.covariance(direction, self._shares)
        if self._reference is None:
            return own
        return (own + self._reference.covariance(direction, self._reference.shares)) / 2.0

    def target(self, direction: FloatArray) -> FloatArray:
        """The covariance that the sampled one is shrunk towards, applied to a direction."""
        terms = self.terms
        result = np.zeros_like(direction)
        result[: terms.n_pairs] = self._pairs * direction[: terms.n_pairs]
        own = slice(terms.n_pairs, terms.n_pairs + terms.n_fields)
        if terms.fit_fields:
            result[own] = self._fields @ direction[own]
        if terms.n_counts:
            result[own.stop :] = self._count_covariance @ direction[own.stop :]
        return result

    def apply(self, direction: FloatArray) -> FloatArray:
        """The curvature applied to a direction (size,)."""
        return (
            (1.0 - self.shrinkage) * self.covariance(direction)
            + self.shrinkage * self.target(direction)
            + self.penalty.gradient(direction)
        )

    def matrix(self) -> FloatArray:
        """The curvature (size, size), without a reference."""
        shrunk = np.stack([self.target(unit) for unit in np.eye(self.terms.size)])
        own = self._states.covariance_matrix(self._shares)
        return np.asarray((1.0 - self.shrinkage) * own + self.shrinkage * shrunk + self.penalty.matrix())

    def direction(self, right: FloatArray, accuracy: float, most: int) -> FloatArray:
        """
        Newton direction (size,), by conjugate gradients to a relative accuracy.

        With counts, whose potential and uniform couplings have similar effects, these take so many products that few
        parameters are solved for exactly.
        """
        if self.terms.n_counts and self.terms.size <= MOST_EXPLICIT and self._reference is None:
            with contextlib.suppress(np.linalg.LinAlgError):  # singular to rounding
                return np.asarray(scipy.linalg.cho_solve(scipy.linalg.cho_factor(self.matrix()), right))
        return solve(self.apply, self.precondition, right, accuracy, most)

    def precondition(self, gradient: FloatArray) -> FloatArray:
        """
        Approximate inverse of the curvature, applied to a gradient (size,).

        The covariance of centred products of Gaussian numbers is a product of two of their correlation matrices; its
        diagonal is exact here, and the matrix is mixed with the unit matrix, since spins are not Gaussian.
        """
        terms = self.terms
        result = np.empty_like(gradient)
        scale = np.sqrt(self._pairs + self.penalty.alpha)
        pairs = np.zeros((terms.n_spins, terms.n_spins))
        pairs[terms.above] = gradient[: terms.n_pairs] / scale
        pairs += pairs.T
        both_sides = self._inverse_correlation @ pairs @ self._inverse_correlation
        result[: terms.n_pairs] = both_sides[terms.above] / scale
        own = slice(terms.n_pairs, terms.n_pairs + terms.n_fields)
        if terms.fit_fields:
            result[own] = self._inverse_fields @ gradient[own]
        if terms.n_counts:
            result[own.stop :] = self._inverse_counts @ gradient[own.stop :]
        return result

    def inverse_diagonal(self) -> FloatArray:
        """Diagonal (size,) of the inverse that `precondition` applies."""
        parts = [1.0 / (self._pairs + self.penalty.alpha)]
        if self.terms.fit_fields:
            parts.append(np.diag(self._inverse_fields))
        if self.terms.n_counts:
            parts.append(np.diag(self._inverse_counts))
        return np.concatenate(parts)


def pair_variances(terms: Terms, centre: FloatArray, means: FloatArray, second_moments: FloatArray) -> FloatArray:
    """
    Variances (n_pairs,) of ``(s_i - c_i)(s_j - c_j)``.

    Squares of spins are 1, so that they follow from means and second moments.
    """
    i, j = terms.above
    c, d, pairs = centre[i], centre[j], second_moments[i, j]
    a, b = 1.0 + c**2, 1.0 + d**2
    square = a * b - 2 * a * d * means[j] - 2 * b * c * means[i] + 4 * c * d * pairs
    mean = pairs - c * means[j] - d * means[i] + c * d
    return np.asarray(square - mean**2)


def solve(
    apply: Callable[[FloatArray], FloatArray],
    precondition: Callable[[FloatArray], FloatArray],
    right: FloatArray,
    accuracy: float,
    most: int = MOST_PRODUCTS,
) -> FloatArray:
    """Solution of ``apply(x) = right`` by preconditioned conjugate gradients, to a relative accuracy."""
    solution = np.zeros_like(right)
    residual = right.copy()
    ready = precondition(residual)
    search = ready.copy()
    size = first = float(residual @ ready)
    for _ in range(most):
        if size <= accuracy**2 * first or size <= 0.0:
            break
        curved = apply(search)
        curvature = float(search @ curved)
        if curvature <= 0.0:
            break
        length = size / curvature
        solution += length * search
        residual -= length * curved
        ready = precondition(residual)
        new = float(residual @ ready)
        search = ready + (new / size) * search
        size = new
    return solution
