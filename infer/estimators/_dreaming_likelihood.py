"""Pseudo-likelihood of the two-parameter dreaming model in the eigenbasis of the pattern correlations.

Couplings are `beta * dreaming(patterns, rate)`. In the basis of the non-zero eigenvalues c_k of `C = xi xi^T / N`, with
orthonormal spin-space vectors v_k, a sample enters through its R <= min(P, N) overlaps `m = v^T s` only, computed once.
The solver works with the amplitude `A` of the family

    J = A sum_k w_k v_k v_k^T  (off the diagonal),   w_k = (c_k - c0) (1 + rate c1) / (1 + rate c_k),

which is the dreaming family up to the factor between A and beta, but stays finite and different from zero at both ends
of the range of rates: c1 is the largest eigenvalue, and c0, which moves the diagonal only, is the mean eigenvalue when
the modes span all spins and 0 otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from infer.estimators._dreaming_kernels import accumulate_rows, local_fields

FloatArray = NDArray[np.float64]

RANK_TOLERANCE = 1e-10
OVERLAP_BYTES = 256 * 2**20  # overlaps are kept up to this size, and computed afresh in every pass above it
CHUNK_VALUES = 2**17  # spins worked on at a time: their local fields stay in the cache
ROUGH = 1e-3  # tolerance where only a start for the next stage is wanted
LOWEST, HIGHEST = 1e-5, 1e5  # 1 + rate c beyond these, the rate counts as having run to the end of its range


@dataclass(frozen=True, eq=False)
class PatternModes:
    """Non-zero modes of the pattern correlations, and the dreaming family in terms of them."""

    eigenvalues: FloatArray  # (R,), largest first
    vectors: FloatArray  # (N, R)
    offset: float  # c0
    centre: float  # c1

    @classmethod
    def from_patterns(cls, patterns: NDArray) -> PatternModes:
        """Modes of patterns (P, N) of +-1; linearly dependent patterns simply give fewer modes."""
        xi = patterns.astype(np.float64)
        _, singular, vectors = np.linalg.svd(xi / np.sqrt(xi.shape[1]), full_matrices=False)
        values = singular**2
        keep = values > RANK_TOLERANCE * values[0]
        values, vectors = values[keep], vectors[keep].T
        offset = float(values.mean()) if len(values) == xi.shape[1] else 0.0
        return cls(values, np.ascontiguousarray(vectors), offset, float(values[0]))

    @property
    def lower_bound(self) -> float:
        """Open lower bound of the rate."""
        return float(-1.0 / self.eigenvalues[0])

    def weights(self, rate: float) -> FloatArray:
        """Mode weights w and their first two derivatives by the rate, (3, R)."""
        q = 1.0 + rate * self.eigenvalues
        shifted, distance = self.eigenvalues - self.offset, self.centre - self.eigenvalues
        return np.stack(
            [
                shifted * (1.0 + rate * self.centre) / q,
                shifted * distance / q**2,
                -2.0 * shifted * distance * self.eigenvalues / q**3,
            ]
        )

    def rate_matters(self) -> bool:
        """Whether rates differ in more than the scale of the couplings off the diagonal."""
        w, slope, _ = self.weights(0.0)
        squares = self.vectors**2
        gram = np.eye(len(w)) - squares.T @ squares
        inner, length, slope_length = w @ gram @ slope, w @ gram @ w, slope @ gram @ slope
        return bool(length * slope_length - inner**2 > 1e-10 * length * max(slope_length, length))

    def inverse_temperature(self, amplitude: float, rate: float) -> float:
        """Beta of the couplings with this amplitude: beta dreaming(rate) = A sum_k w_k v_k v_k^T off the diagonal."""
        return amplitude * (1.0 + rate * self.offset) * (1.0 + rate * self.centre) / (1.0 + rate)

    def amplitude(self, inverse_temperature: float, rate: float) -> float:
        """Amplitude of the couplings with this beta."""
        return inverse_temperature * (1.0 + rate) / ((1.0 + rate * self.offset) * (1.0 + rate * self.centre))

    def jacobian(self, amplitude: float, rate: float) -> FloatArray:
        """Derivatives of (rate, beta) by (amplitude, rate), (2, 2)."""
        beta = self.inverse_temperature(amplitude, rate)
        logarithmic = self.offset / (1.0 + rate * self.offset) + self.centre / (1.0 + rate * self.centre)
        by_amplitude = self.inverse_temperature(1.0, rate)
        return np.array([[0.0, 1.0], [by_amplitude, beta * (logarithmic - 1.0 / (1.0 + rate))]])

    def at_end(self, rate: float) -> bool:
        """Whether the rate has run to the end of its range, where the likelihood no longer feels it."""
        return 1.0 + rate * self.eigenvalues[0] < LOWEST or 1.0 + rate * self.eigenvalues[-1] > HIGHEST


@dataclass(frozen=True, eq=False)
class Likelihood:
    """
    Mean log pseudo-likelihood per sample and its derivatives by (amplitude, rate) and by the fields.

    `hessian`, `field_curvature` and `cross` are of minus the logarithm; the Hessian by the fields is diagonal since
    every field appears in the conditional probability of its own spin only.
    """

    value: float
    gradient: FloatArray  # (2,)
    hessian: FloatArray  # (2, 2)
    field_gradient: FloatArray  # (N,)
    field_curvature: FloatArray  # (N,)
    cross: FloatArray  # (2, N)
    scores: FloatArray | None  # (n_rows, 2)


@dataclass(frozen=True, eq=False)
class Samples:
    """Spins with their weights and, where they fit in memory, their overlaps with the modes."""

    spins: NDArray[np.int8]
    weight: FloatArray
    modes: PatternModes
    overlaps: FloatArray | None

    @classmethod
    def prepare(cls, spins: NDArray[np.int8], weight: FloatArray | None, modes: PatternModes) -> Samples:
        """Samples ready for `evaluate`."""
        weight = np.ones(len(spins)) if weight is None else weight
        overlaps = None
        if 8 * len(spins) * len(modes.eigenvalues) <= OVERLAP_BYTES:
            overlaps = np.empty((len(spins), len(modes.eigenvalues)))
            for rows in _chunks(*spins.shape):
                overlaps[rows] = spins[rows].astype(np.float64) @ modes.vectors
        return cls(spins, weight, modes, overlaps)

    def thinned(self, step: int) -> Samples:
        """Every step-th row, spread over all chains."""
        overlaps = None if self.overlaps is None else self.overlaps[::step]
        return Samples(self.spins[::step], self.weight[::step], self.modes, overlaps)

    def evaluate(
        self,
        amplitude: float,
        rate: float,
        fields: FloatArray,
        *,
        with_scores: bool = False,
        projection: FloatArray | None = None,
    ) -> Likelihood:
        """
        Mean log pseudo-likelihood and derivatives, in one pass over the rows.

        With `with_scores`, also the gradient of every row's logarithm by (amplitude, rate), less `projection` (2, N)
        times its gradient by the fields.
        """
        weights = self.modes.weights(rate)
        vectors = self.modes.vectors
        n_rows, n_spins = self.spins.shape
        mixing = np.concatenate([vectors.T * w[:, None] for w in weights], axis=1)
        diagonal = weights @ (vectors**2).T
        projection = np.zeros((2, n_spins)) if projection is None else projection
        totals, field_totals = np.zeros(6), np.zeros((4, n_spins))
        scores = np.empty((n_rows if with_scores else 0, 2))
        for rows in _chunks(n_rows, n_spins):
            spins = self.spins[rows]
            overlaps = spins.astype(np.float64) @ vectors if self.overlaps is None else self.overlaps[rows]
            row_scores = scores[rows] if with_scores else np.empty((len(spins), 2))
            weight = self.weight[rows]
            unit = overlaps @ mixing
            local, decay = np.empty(spins.shape), np.empty(spins.shape)
            local_fields(spins, unit, diagonal, amplitude, fields, local, decay)
            np.exp(decay, out=decay)
            accumulate_rows(spins, unit, amplitude, local, decay, projection, weight, totals, field_totals, row_scores)
            # log 2 cosh h = |h| + log(1 + exp(-2 |h|)): the kernel has done the first part
            totals[0] -= weight @ np.log1p(decay, out=decay).sum(axis=1)
        total_weight = self.weight.sum()
        totals /= total_weight
        field_totals /= total_weight
        return Likelihood(
            value=float(totals[0]),
            gradient=totals[1:3],
            hessian=np.array([[totals[3], totals[4]], [totals[4], totals[5]]]),
            field_gradient=field_totals[0],
            field_curvature=field_totals[1],
            cross=field_totals[2:],
            scores=scores if with_scores else None,
        )


def _chunks(n_rows: int, n_spins: int) -> list[slice]:
    """Slices of rows that are worked on at a time."""
    step = max(16, CHUNK_VALUES // n_spins)
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where the pseudo-likelihood is largest."""

    amplitude: float
    rate: float
    fields: FloatArray
    likelihood: Likelihood
    n_iter: int
    converged: bool


def maximise(
    samples: Samples,
    start: tuple[float, float, FloatArray],
    *,
    fit_rate: bool = True,
    fit_fields: bool = False,
    tol: float = 1e-8,
    max_iter: int = 100,
) -> Maximum:
    """
    Newton's method, safeguarded, for amplitude, rate and fields.

    Coordinates are the amplitude and `log(rate - lower bound)`, so that no step leaves the range of rates. Fields are
    eliminated from each step (their Hessian is diagonal). Directions of negative curvature are turned around,
    steps are shortened until the likelihood grows. Converged: the Newton step is less than `tol`, relative to the
    amplitude, in the logarithm of the distance from the bound, and in every field, and the Hessian is positive
    definite.
    """
    modes = samples.modes
    bound = modes.lower_bound
    amplitude, rate, fields = start
    here = samples.evaluate(amplitude, rate, fields)
    for iteration in range(1, max_iter + 1):
        step, field_step, positive = _newton_step(here, rate - bound, fit_rate, fit_fields)
        size = max(abs(step[0]) / (abs(amplitude) + 1e-3), abs(step[1]), float(np.abs(field_step).max(initial=0.0)))
        # a step this small changes the likelihood by little more than its rounding, so that it is taken unseen
        sure = size <= 1e-4 and positive
        scale = min(1.0, 1.0 / max(abs(step[1]), 1e-300), 4.0 / max(float(np.abs(field_step).max(initial=0.0)), 1e-300))
        for _ in range(40):
            new_amplitude = amplitude + scale * step[0]
            new_rate = bound + (rate - bound) * np.exp(scale * step[1]) if fit_rate else rate
            new_fields = fields + scale * field_step
            there = samples.evaluate(new_amplitude, new_rate, new_fields)
            if sure or there.value > here.value - 1e-15 * abs(here.value):
                break
            scale /= 3.0
        else:
            return Maximum(amplitude, rate, fields, here, iteration, False)
        amplitude, rate, fields, here = float(new_amplitude), float(new_rate), new_fields, there
        if fit_rate and modes.at_end(rate):
            return Maximum(amplitude, rate, fields, here, iteration, False)
        if size <= tol and positive:
            return Maximum(amplitude, rate, fields, here, iteration, True)
    return Maximum(amplitude, rate, fields, here, max_iter, False)


def _newton_step(
    here: Likelihood, distance: float, fit_rate: bool, fit_fields: bool
) -> tuple[FloatArray, FloatArray, bool]:
    """Step in (amplitude, log distance of the rate from its bound) and in the fields; whether it is a pure one."""
    chain = np.array([1.0, distance])
    gradient = here.gradient * chain
    hessian = here.hessian * np.outer(chain, chain)
    hessian[1, 1] -= here.gradient[1] * distance  # second derivative of the rate by its logarithmic coordinate
    cross = here.cross * chain[:, None]
    field_gradient = here.field_gradient if fit_fields else np.zeros_like(here.field_gradient)
    if fit_fields:
        share = cross / here.field_curvature
        gradient = gradient - share @ here.field_gradient
        hessian = hessian - share @ cross.T
    if not fit_rate:
        gradient, hessian = gradient * [1.0, 0.0], np.diag([hessian[0, 0], 1.0])
    scale = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
    values, vectors = np.linalg.eigh(hessian / np.outer(scale, scale))
    positive = bool(values[0] > 1e-12)
    values = np.maximum(np.abs(values), 1e-6) if not positive else values
    step = vectors @ ((vectors.T @ (gradient / scale)) / values) / scale
    field_step = (field_gradient - cross.T @ step) / here.field_curvature if fit_fields else field_gradient
    return step, field_step, positive


def profile_hessian(here: Likelihood, fit_fields: bool) -> tuple[FloatArray, FloatArray]:
    """Hessian by (amplitude, rate) with the fields at their best, (2, 2), and the projection (2, N) of their scores."""
    if not fit_fields:
        return here.hessian, np.zeros_like(here.cross)
    projection = here.cross / here.field_curvature
    return here.hessian - projection @ here.cross.T, projection


def fit_pseudolikelihood(
    samples: Samples,
    *,
    rate: float | None = None,
    fit_fields: bool = False,
    tol: float = 1e-8,
    max_iter: int = 100,
    start: tuple[float, float, FloatArray] | None = None,
) -> Maximum:
    """
    Maximise the pseudo-likelihood over amplitude, rate (unless one is given) and fields.

    Starts at rate 0, on a subsample when there are many rows (the last few Newton steps then see them all). Where this
    does not end at a maximum inside the range, it starts again from other rates and keeps the best.
    """
    n_rows, n_spins = samples.spins.shape
    climb = partial(maximise, fit_fields=fit_fields, max_iter=max_iter)
    if start is None:
        fields = np.zeros(n_spins)
        if fit_fields:
            means = samples.weight @ samples.spins / samples.weight.sum()
            fields = np.arctanh(np.clip(means, -0.999, 0.999))
        start = (0.0, 0.0 if rate is None else rate, fields)
    few = samples.thinned(n_rows // 4000) if n_rows >= 16_000 else samples
    if not np.all(np.abs(few.weight @ few.spins) < few.weight.sum()) and fit_fields:
        few = samples
    rough = climb(few, start, fit_rate=False, tol=ROUGH)
    if rate is not None:
        return climb(samples, (rough.amplitude, rate, rough.fields), fit_rate=False, tol=tol)

    def refine(found: Maximum) -> Maximum:
        """Maximum over all parameters from a rough start, by way of the few samples."""
        if few is not samples:
            near = climb(few, (found.amplitude, found.rate, found.fields), tol=ROUGH)
            found = near if near.converged else found
        return climb(samples, (found.amplitude, found.rate, found.fields), tol=tol)

    best = refine(rough)
    if not best.converged:
        bound = samples.modes.lower_bound
        for other in (0.3 * bound, 0.8 * bound, 1.0, 10.0):
            found = refine(climb(few, (rough.amplitude, other, rough.fields), fit_rate=False, tol=ROUGH))
            if (found.converged, found.likelihood.value) > (best.converged, best.likelihood.value):
                best = found
    return best
