"""Pseudo-likelihood of the dreaming model: each pass over the rows costs O(M N R) with R modes of the patterns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from infer.estimators.dreaming.dreaming_kernels import accumulate_rows, local_fields
from infer.estimators.dreaming.errors import Estimate
from infer.estimators.dreaming.modes import PatternModes

FloatArray = NDArray[np.float64]

OVERLAP_BYTES = 256 * 2**20  # overlaps are kept up to this size, and computed in every pass above it
CHUNK_VALUES = 2**17  # number of spins in a chunk, so that their local fields stay in the cache
ROUGH = 1e-3  # tolerance of a stage that gives only the start of the next one


@dataclass(frozen=True, eq=False)
class Likelihood:
    """
    Mean log pseudo-likelihood per sample and its derivatives by (amplitude, rate) and by the fields.

    `hessian`, `field_curvature` and `cross` are second derivatives of minus the logarithm; the Hessian by the fields is
    diagonal since every field appears in the conditional probability of its own spin only.
    """

    value: float
    gradient: FloatArray  # (2,)
    hessian: FloatArray  # (2, 2)
    field_gradient: FloatArray  # (N,)
    field_curvature: FloatArray  # (N,)
    cross: FloatArray  # (2, N)
    scores: FloatArray | None  # (n_rows, 2)


@dataclass(frozen=True, eq=False)
class PatternSamples:
    """Spins with their weights and, where they fit in memory, their overlaps with the modes."""

    spins: NDArray[np.int8]
    weight: FloatArray
    modes: PatternModes
    overlaps: FloatArray | None

    @classmethod
    def prepare(cls, spins: NDArray[np.int8], weight: FloatArray | None, modes: PatternModes) -> PatternSamples:
        """PatternSamples ready for `evaluate`."""
        weight = np.ones(len(spins)) if weight is None else weight
        overlaps = None
        if 8 * len(spins) * len(modes.eigenvalues) <= OVERLAP_BYTES:
            overlaps = np.empty((len(spins), len(modes.eigenvalues)))
            for rows in _chunks(*spins.shape):
                overlaps[rows] = spins[rows].astype(np.float64) @ modes.vectors
        return cls(spins, weight, modes, overlaps)

    def overlap_chunks(self) -> Iterator[tuple[slice, FloatArray]]:
        """Slices of rows with their overlaps."""
        for rows in _chunks(*self.spins.shape):
            yield rows, self._overlaps_of(rows)

    def _overlaps_of(self, rows: slice) -> FloatArray:
        """Overlaps of some rows, computed if they are not kept."""
        if self.overlaps is not None:
            return self.overlaps[rows]
        return np.asarray(self.spins[rows].astype(np.float64) @ self.modes.vectors)

    def thinned(self, step: int) -> PatternSamples:
        """Every step-th row, spread over all chains."""
        overlaps = None if self.overlaps is None else self.overlaps[::step]
        return PatternSamples(self.spins[::step], self.weight[::step], self.modes, overlaps)

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
        chunks = _chunks(n_rows, n_spins)
        # allocated once for all chunks: where memory is returned to the system at once, as in the workers of a cluster,
        # new pages for every chunk would take a third of the time
        most = max((rows.stop - rows.start for rows in chunks), default=0)
        work = [np.empty((most, 3 * n_spins)), *np.empty((2, most, n_spins)), np.empty((most, 2))]
        for rows in chunks:
            # in one layout, so that one compilation serves all rows and every n-th
            spins, weight = (np.ascontiguousarray(array[rows]) for array in (self.spins, self.weight))
            unit, local, decay, row_scores = (array[: len(spins)] for array in work)
            row_scores = scores[rows] if with_scores else row_scores
            np.matmul(self._overlaps_of(rows), mixing, out=unit)
            local_fields(spins, unit, diagonal, amplitude, fields, local, decay)
            np.exp(decay, out=decay)
            accumulate_rows(spins, unit, amplitude, local, decay, projection, weight, totals, field_totals, row_scores)
            # log 2 cosh h = |h| + log(1 + exp(-2 |h|)): the kernel has added the first term
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
    """Slices of rows that form chunks."""
    step = max(16, CHUNK_VALUES // n_spins)
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


@dataclass(frozen=True, eq=False)
class Maximum:
    """Maximum of the pseudo-likelihood."""

    amplitude: float
    rate: float
    fields: FloatArray
    likelihood: Likelihood
    n_iter: int
    converged: bool


def maximise(
    samples: PatternSamples,
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
    eliminated from each step (their Hessian is diagonal). Directions of negative curvature are reversed, and steps are
    shortened until the likelihood increases. Converged: the Newton step is less than `tol`, relative to the amplitude,
    in the logarithm of the distance from the bound, and in every field, and the Hessian is positive definite.
    """
    modes = samples.modes
    bound = modes.lower_bound
    amplitude, rate, fields = start
    here = samples.evaluate(amplitude, rate, fields)
    for iteration in range(1, max_iter + 1):
        step, field_step, positive = _newton_step(here, rate - bound, fit_rate, fit_fields)
        size = max(abs(step[0]) / (abs(amplitude) + 1e-3), abs(step[1]), float(np.abs(field_step).max(initial=0.0)))
        # a step this small changes the likelihood by little more than its rounding errors, so it is not tested
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
    """Step in (amplitude, log distance of the rate from its bound) and in the fields; whether it is a Newton step."""
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
    """Hessian (2, 2) by (amplitude, rate), maximised over fields, and projection (2, N) of the fields' scores."""
    if not fit_fields:
        return here.hessian, np.zeros_like(here.cross)
    projection = here.cross / here.field_curvature
    return here.hessian - projection @ here.cross.T, projection


def fit_pseudolikelihood(
    samples: PatternSamples,
    *,
    rate: float | None = None,
    fit_fields: bool = False,
    tol: float = 1e-8,
    max_iter: int = 100,
    start: tuple[float, float, FloatArray] | None = None,
) -> Maximum:
    """
    Maximise the pseudo-likelihood over amplitude, rate (unless one is given) and fields.

    Starts at rate 0, on a subsample when there are many rows (the last few Newton steps then use all rows). Where this
    does not end at a maximum inside the range, it starts again from other rates and takes the best result.
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
        """Maximum over all parameters from a rough start, first on the subsample."""
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


@dataclass(frozen=True, eq=False)
class PseudoLikelihoodMethod:
    """The dreaming model by maximum pseudo-likelihood; a `Method`."""

    samples: PatternSamples
    fit_fields: bool
    tol: float
    max_iter: int

    @property
    def weight(self) -> FloatArray:
        """Weights of the rows."""
        return self.samples.weight

    def fit(self, rate: float | None = None, start: Estimate | None = None) -> Estimate:
        """Maximise over all parameters, or over all but the rate."""
        best = fit_pseudolikelihood(
            self.samples,
            rate=rate,
            fit_fields=self.fit_fields,
            tol=self.tol,
            max_iter=self.max_iter,
            start=None if start is None else (start.amplitude, start.rate, start.fields),
        )
        hessian, projection = profile_hessian(best.likelihood, self.fit_fields)
        here = self.samples.evaluate(best.amplitude, best.rate, best.fields, with_scores=True, projection=projection)
        assert here.scores is not None
        return Estimate(
            theta=np.array([best.amplitude, best.rate]),
            fields=best.fields,
            value=best.likelihood.value,
            hessian=hessian,
            scores=here.scores,
            noise=np.zeros((2, 2)),
            n_iter=best.n_iter,
            converged=best.converged,
        )

    def gain(self, full: Estimate, restricted: Estimate) -> float:
        """Difference of the mean log pseudo-likelihoods."""
        return full.value - restricted.value
