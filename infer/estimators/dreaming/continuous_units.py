r"""The dreaming model of continuous units: Gaussian likelihood, and score matching with a quartic potential.

.. math:: P(x) \propto \exp\Big(-\tfrac12 x^T (\kappa I - A U(\lambda)) x - \tfrac b4 \sum_i x_i^4 + h \cdot x\Big)

with the couplings U of unit amplitude (zero diagonal), the amplitude A, and :math:`\kappa`, the inverse temperature
times the stiffness.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from infer.checks import row_chunks
from infer.estimators.continuous.score_matching import Moments, moments_of
from infer.estimators.dreaming.errors import Estimate
from infer.estimators.dreaming.modes import PatternModes

FloatArray = NDArray[np.float64]

# value, gradient and minus the Hessian of an objective; None where it is not defined
Local = tuple[float, FloatArray, FloatArray] | None


@dataclass(frozen=True, eq=False)
class ContinuousMethod(ABC):
    """Base class of the methods for continuous units: safeguarded Newton steps to the maximum."""

    values: FloatArray  # (n_rows, N)
    weight: FloatArray
    modes: PatternModes
    fit_fields: bool
    tol: float
    max_iter: int

    @cached_property
    def moments(self) -> Moments:
        """Moments of the values, about zero."""
        return moments_of(self.values, self.weight)

    @cached_property
    def centre(self) -> FloatArray:
        """Means where fields are fitted, else zero."""
        return self.moments.first if self.fit_fields else np.zeros(self.values.shape[1])

    @cached_property
    def second(self) -> FloatArray:
        """Second moments about the centre."""
        return np.asarray(self.moments.second - np.outer(self.centre, self.centre))

    @abstractmethod
    def start(self) -> FloatArray:
        """Parameters without couplings."""

    @abstractmethod
    def evaluate(self, theta: FloatArray) -> Local:
        """Mean objective per sample, its gradient, and minus its Hessian."""

    @abstractmethod
    def scores(self, theta: FloatArray) -> FloatArray:
        """Gradient of the objective of every row (n_rows, p)."""

    @abstractmethod
    def fields(self, theta: FloatArray) -> FloatArray:
        """Fields that maximise the objective for the other parameters."""

    def climb(self, theta: FloatArray, fit_rate: bool) -> tuple[FloatArray, float, int, bool]:
        """
        Newton's method from a point where the objective is defined; returns parameters, value, steps, convergence.

        The coordinate of the rate is the logarithm of its distance from the bound. Directions of negative curvature are
        reversed, and steps are shortened until the objective increases.
        """
        bound = self.modes.lower_bound
        free = np.array([k for k in range(len(theta)) if fit_rate or k != 1])
        here = self.evaluate(theta)
        assert here is not None
        for iteration in range(1, self.max_iter + 1):
            value, gradient, hessian = here
            chain = np.ones(len(theta))
            chain[1] = theta[1] - bound
            curved = hessian * np.outer(chain, chain)
            curved[1, 1] -= gradient[1] * chain[1]  # second derivative of the rate by its logarithm
            slope, curved = (gradient * chain)[free], curved[np.ix_(free, free)]
            scale = np.sqrt(np.maximum(np.abs(np.diag(curved)), 1e-300))
            values, vectors = np.linalg.eigh(curved / np.outer(scale, scale))
            positive = bool(values[0] > 1e-13)
            step = np.zeros(len(theta))
            step[free] = vectors @ ((vectors.T @ (slope / scale)) / np.maximum(np.abs(values), 1e-9)) / scale
            # relative steps; that of the amplitude relative to the stiffness, since the amplitude may vanish
            size = float(np.max(np.abs(step) / np.where(np.arange(len(theta)) == 1, 1.0, np.abs(theta[2]) + 1e-300)))
            sure = size <= 1e-5 and positive
            shrink = min(1.0, 1.0 / max(abs(step[1]), 1e-300))
            for _ in range(50):
                new = theta + shrink * step
                new[1] = bound + chain[1] * np.exp(shrink * step[1]) if fit_rate else theta[1]
                there = self.evaluate(new)
                if there is not None and (sure or there[0] > value - 1e-15 * abs(value)):
                    break
                shrink /= 3.0
            else:
                return theta, value, iteration, False
            theta, here = new, there
            if fit_rate and self.modes.at_end(float(theta[1])):
                return theta, here[0], iteration, False
            if size <= self.tol and positive:
                return theta, here[0], iteration, True
        return theta, here[0], self.max_iter, False

    def fit(self, rate: float | None = None, start: Estimate | None = None) -> Estimate:
        """Maximise over all parameters, or over all but the rate."""
        first = self.start()
        if rate is not None:
            first[1] = rate
            best = self.climb(first, False)
        elif start is not None:
            best = self.climb(start.theta, True)
        else:
            best = self.climb(self.climb(first, False)[0], True)
            if not best[3]:
                bound = self.modes.lower_bound
                for other in (0.3 * bound, 0.8 * bound, 1.0, 10.0):
                    first[1] = other
                    found = self.climb(self.climb(first, False)[0], True)
                    if (found[3], found[1]) > (best[3], best[1]):
                        best = found
        theta, value, n_iter, converged = best
        here = self.evaluate(theta)
        assert here is not None
        size = len(theta)
        return Estimate(
            theta=theta,
            fields=self.fields(theta),
            value=value,
            hessian=here[2],
            scores=self.scores(theta),
            noise=np.zeros((size, size)),
            n_iter=n_iter,
            converged=converged,
        )

    def gain(self, full: Estimate, restricted: Estimate) -> float:
        """Difference of the mean objectives."""
        return full.value - restricted.value


class GaussianMethod(ContinuousMethod):
    """Maximum of the Gaussian likelihood over (amplitude, rate, kappa); a `Method`."""

    def start(self) -> FloatArray:
        return np.array([0.0, 0.0, self.values.shape[1] / np.trace(self.second)])

    def evaluate(self, theta: FloatArray) -> Local:
        amplitude, rate, kappa = theta
        unit, first, second = self.modes.unit_couplings(rate)
        n_units = len(unit)
        precision = kappa * np.eye(n_units) - amplitude * unit
        try:
            root = np.linalg.cholesky(precision)
        except np.linalg.LinAlgError:
            return None
        half = np.linalg.inv(root)
        inverse = half.T @ half
        value = np.log(np.diag(root)).sum() - 0.5 * np.sum(self.second * precision) - 0.5 * n_units * np.log(2 * np.pi)
        misfit = inverse - self.second
        slopes = [-unit, -amplitude * first, np.eye(n_units)]
        gradient = np.array([0.5 * np.sum(misfit * slope) for slope in slopes])
        carried = [inverse @ slope for slope in slopes]
        hessian = 0.5 * np.array([[np.sum(a * b.T) for b in carried] for a in carried])
        hessian[0, 1] += 0.5 * np.sum(misfit * first)
        hessian[1, 0] = hessian[0, 1]
        hessian[1, 1] += 0.5 * amplitude * np.sum(misfit * second)
        return float(value), gradient, hessian

    def scores(self, theta: FloatArray) -> FloatArray:
        amplitude, rate, kappa = theta
        weights = self.modes.weights(rate)[:2] * np.array([[1.0], [amplitude]])
        own = weights @ (self.modes.vectors**2).T
        unit, first, _ = self.modes.unit_couplings(rate)
        inverse = np.linalg.inv(kappa * np.eye(len(unit)) - amplitude * unit)
        expected = np.array([np.sum(inverse * unit), amplitude * np.sum(inverse * first), np.trace(inverse)])
        result = np.empty((len(self.values), 3))
        for rows in row_chunks(*self.values.shape):
            x = self.values[rows] - self.centre
            result[rows, :2] = (x @ self.modes.vectors) ** 2 @ weights.T - x**2 @ own.T - expected[:2]
            result[rows, 2] = expected[2] - (x**2).sum(axis=1)
        return 0.5 * result

    def fields(self, theta: FloatArray) -> FloatArray:
        amplitude, rate, kappa = theta
        return np.asarray(kappa * self.centre - amplitude * self.modes.unit_couplings(rate)[0] @ self.centre)


@dataclass(frozen=True, eq=False)
class ScoreMatchingMethod(ContinuousMethod):
    r"""
    Minimum of :math:`\langle |\psi|^2 / 2 + \nabla \cdot \psi \rangle` over all parameters; a `Method`.

    The score :math:`\psi = (A U - \kappa) x - b x^3 + h` is kept as the pair of a matrix and the coefficient of minus
    the cubes; the fields are those that are best for the other parameters.
    """

    quartic: bool = True

    def start(self) -> FloatArray:
        start = np.array([0.0, 0.0, self.values.shape[1] / np.trace(self.second), 0.0])
        return start if self.quartic else start[:3]

    @cached_property
    def _cubes(self) -> tuple[FloatArray, float, FloatArray]:
        """Moments ``<x_i^3 x_j>`` and ``sum_i <x_i^6>`` about the centre, and the means that are subtracted."""
        cubes = self.moments.cubes if self.fit_fields else np.zeros(len(self.centre))
        with_values = self.moments.cubes_with - np.outer(cubes, self.centre)
        return with_values, float(np.sum(self.moments.sixth - cubes**2)), cubes

    def _inner(self, a: tuple[FloatArray, float], b: tuple[FloatArray, float]) -> float:
        """Mean of the product of two scores."""
        with_values, sixth, _ = self._cubes
        linear = np.sum((a[0] @ self.second) * b[0])
        return float(
            linear - b[1] * np.sum(a[0] * with_values) - a[1] * np.sum(b[0] * with_values) + a[1] * b[1] * sixth
        )

    def _slopes(self, theta: FloatArray) -> tuple[tuple[FloatArray, float], list[tuple[FloatArray, float]]]:
        """The score and its derivatives by the parameters."""
        unit, first, _ = self.modes.unit_couplings(theta[1])
        one = np.eye(len(unit))
        here = theta[0] * unit - theta[2] * one, float(theta[3]) if self.quartic else 0.0
        slopes = [(unit, 0.0), (theta[0] * first, 0.0), (-one, 0.0), (0.0 * one, 1.0)]
        return here, slopes[: len(theta)]

    def evaluate(self, theta: FloatArray) -> Local:
        here, slopes = self._slopes(theta)
        _, first, second = self.modes.unit_couplings(theta[1])
        n_units = len(first)
        divergence = np.array([0.0, 0.0, n_units, 3.0 * np.trace(self.moments.second)])[: len(theta)]
        value = divergence @ theta - 0.5 * self._inner(here, here)
        gradient = divergence - np.array([self._inner(here, slope) for slope in slopes])
        hessian = np.array([[self._inner(a, b) for b in slopes] for a in slopes])
        hessian[0, 1] += self._inner(here, (first, 0.0))
        hessian[1, 0] = hessian[0, 1]
        hessian[1, 1] += theta[0] * self._inner(here, (second, 0.0))
        return float(value), gradient, hessian

    def scores(self, theta: FloatArray) -> FloatArray:
        here, slopes = self._slopes(theta)
        cubes = self._cubes[2]
        n_units = len(cubes)
        result = np.empty((len(self.values), len(theta)))
        for rows in row_chunks(*self.values.shape):
            x = self.values[rows]
            flat, cubic = x - self.centre, x**3 - cubes
            psi = flat @ here[0] - here[1] * cubic
            result[rows, 0] = -np.einsum("ki,ki->k", psi, flat @ slopes[0][0])
            result[rows, 1] = -np.einsum("ki,ki->k", psi, flat @ slopes[1][0])
            result[rows, 2] = np.einsum("ki,ki->k", psi, flat) + n_units
            if self.quartic:
                result[rows, 3] = np.einsum("ki,ki->k", psi, cubic) + 3.0 * (x**2).sum(axis=1)
        return result

    def fields(self, theta: FloatArray) -> FloatArray:
        here, _ = self._slopes(theta)
        return np.asarray(here[1] * self._cubes[2] - here[0] @ self.centre)
