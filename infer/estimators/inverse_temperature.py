"""Inverse temperature of samples whose couplings are known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import brentq

from infer.checks import check_confidence, passing_rows
from infer.count_model import CountModel, model_of
from infer.files.json import to_plain_dict
from infer.model import PairModel
from infer.samples import Samples
from infer.statistics.batches import batch_labels, covariance_from_batches, student_quantile
from infer.types import FloatArray, SpinArray
from infer.wording import number, with_error

__all__ = ["InverseTemperature", "inverse_temperature"]

LARGEST_STEP = 2.0  # factor by which one Newton step may change the scale of the local fields
ITERATIONS = 100
INDEPENDENT_BATCHES = 200  # for rows without time order: standard errors are known to 5 %


@dataclass(frozen=True, eq=False)
class InverseTemperature:
    """Result of `inverse_temperature`.

    Attributes
    ----------
    value : float
        Inverse temperature ``beta``: samples are those of couplings ``beta J`` and fields ``beta h``. Infinite where
        every spin of every row points along its local field, as in ground states.
    std : float or None
        Standard error; None where the value is infinite.
    interval : tuple of float
        Interval at ``confidence``, in the unit of ``value``; open on one side where the value is infinite.
    confidence : float
    n_samples : float
        Effective number of samples of the rows.
    aligned : float
        Share of spins that point along their local field.
    verdict : str
        One sentence.
    """

    value: float
    std: float | None
    interval: tuple[float, float]
    confidence: float
    n_samples: float
    aligned: float

    @property
    def verdict(self) -> str:
        """Sentence on the inverse temperature and its error."""
        low, high = self.interval
        percent = f"{100 * self.confidence:g} %"
        if math.isinf(self.value):
            beyond = f"at least {number(low)}" if self.value > 0 else f"at most {number(high)}"
            way = "along" if self.value > 0 else "against"
            return (
                f"Every spin of every row points {way} its local field, so that the samples bound the inverse "
                f"temperature on one side only: it is {beyond} ({percent} confidence)."
            )
        text = f"The inverse temperature is {with_error(self.value, self.std)}"
        if self.std is not None and math.isfinite(low) and math.isfinite(high):
            text += f" ({percent} interval {number(low)} to {number(high)})"
        if self.value > 0:
            text += f", a temperature of {number(1.0 / self.value)} in the units of the couplings"
        return text + "."

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats and strings, ready for JSON; infinity becomes "inf".

        Returns
        -------
        dict
        """
        return to_plain_dict(self)


def inverse_temperature(
    couplings: Any, samples: Any, fields: ArrayLike | None = None, *, confidence: float = 0.95
) -> InverseTemperature:
    """Inverse temperature of samples whose couplings are known, such as those of a programmed annealer.

    The pseudo-likelihood ``sum_i log p(s_i | rest)`` of couplings ``beta J`` and fields ``beta h`` is maximised over
    ``beta``, which solves

    ``< sum_i l_i (s_i - tanh(beta l_i)) > = 0``, ``l_i = h_i + sum_j J_ij s_j``.

    The estimate is consistent for equilibrium samples, and needs no partition function. The standard error comes from
    the variance of batches of successive rows inside runs.

    Parameters
    ----------
    couplings : array_like, shape (n_spins, n_spins), PairModel, CountModel or fitted estimator
        Symmetric couplings ``J`` of ``E = -1/2 sum_{i != j} J_ij s_i s_j - sum_i h_i s_i``. A potential of the number
        of +1 is part of the energy, and is scaled by ``beta`` too. For the energy ``+ sum J s s + sum h s`` of D-Wave
        pass ``-J`` and ``-h``, where J has each pair once: write it at both places of the matrix.
    samples : array_like (n_samples, n_spins), xarray.Dataset, Samples or Recording
        Spins of -1 and +1. Rows of a run follow each other in time; counted states are independent.
    fields : array_like, shape (n_spins,), optional
        Fields ``h``; default those of the model, none for a matrix. They are scaled by ``beta`` too.
    confidence : float, default=0.95
        Confidence of the interval.

    Returns
    -------
    InverseTemperature

    Raises
    ------
    ValueError
        If couplings are not symmetric, samples do not fit them or are not -1 or +1, or all local fields are zero.

    References
    ----------
    J. Besag (1975), The Statistician 24, 179, doi:10.2307/2987782; J. Raymond, S. Yarkoni, E. Andriyash (2016),
    Frontiers in ICT 3, 23, arXiv:1606.00919 (temperatures of annealers by pseudo-likelihood).

    Examples
    --------
    >>> import numpy as np
    >>> from infer import inverse_temperature
    >>> spins = np.array([[1, 1], [1, 1], [-1, -1], [1, -1]])
    >>> round(inverse_temperature([[0.0, 1.0], [1.0, 0.0]], spins).value, 4)  # arctanh(1/2)
    0.5493
    """
    model = model_of(couplings, fields)
    rows = Samples.of(samples)
    check_confidence(confidence)
    spins, weight = rows.spins, rows.weight
    if rows.gaps and not rows.complete:
        raise ValueError("samples: values are missing; drop the rows that have missing values first")
    if spins.shape[1] != model.n_spins:
        raise ValueError(
            f"samples have {spins.shape[1]} spins and the couplings {model.n_spins}: they must be the same"
        )
    share = np.full(len(spins), 1.0 / len(spins)) if weight is None else weight / weight.sum()
    look = _Margins(model, spins, share)
    if look.largest == 0.0:
        raise ValueError("couplings: no spin of any row has a local field, so that there is no estimate")
    if look.most < 0.0 or look.least > 0.0:
        sign = 1.0 if look.least > 0.0 else -1.0
        bound = sign * _bound(look, sign, rows.n_samples, confidence)
        interval = (bound, math.inf) if sign > 0 else (-math.inf, bound)
        return InverseTemperature(sign * math.inf, None, interval, confidence, rows.n_samples, look.aligned)
    value, curvature = _solve(look)
    std, freedom = _error(rows, look, value, curvature)
    half = student_quantile(confidence, freedom) * std if freedom > 0 else math.inf
    return InverseTemperature(
        value,
        std if math.isfinite(std) else None,
        (value - half, value + half),
        confidence,
        rows.n_samples,
        look.aligned,
    )


class _Margins:
    """Spins times their local fields, ``s_i l_i``, of all rows, computed in every pass."""

    def __init__(self, model: PairModel | CountModel, spins: SpinArray, share: FloatArray) -> None:
        self.model, self.spins, self.share = model, spins, share
        strongest = float((np.abs(model.couplings).sum(axis=1) + np.abs(model.fields)).max())
        if isinstance(model, CountModel):
            strongest += float(np.abs(model.half_steps).max())
        nothing = 1e-12 * strongest  # rounding
        self.least, self.most, self.largest, self.aligned = math.inf, -math.inf, 0.0, 0.0
        for part in passing_rows(spins):
            margins = self.of(part)[share[part] > 0]
            if not len(margins):
                continue
            known = margins[np.abs(margins) > nothing]  # a spin without local field carries no information
            self.least = min(self.least, known.min(initial=math.inf))
            self.most = max(self.most, known.max(initial=-math.inf))
            self.aligned += float(share[part][share[part] > 0] @ (margins > 0).mean(axis=1))
        self.largest = max(abs(self.least), abs(self.most)) if math.isfinite(self.least) else 0.0

    def of(self, part: slice) -> FloatArray:
        """Margins of some rows (n_rows, n_spins)."""
        return np.asarray(self.spins[part] * self.model.local_fields(self.spins[part]))

    def sums(self, function: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """A function of each margin, summed over the spins of each row (n_rows,)."""
        return np.concatenate([function(self.of(part)).sum(axis=1) for part in passing_rows(self.spins)])

    def slopes(self, beta: float) -> FloatArray:
        """``sum_i l_i (s_i - tanh(beta l_i))`` of each row."""
        # s (1 - tanh(beta l) s) = 2 / (1 + exp(2 beta s l)) for each spin, without cancellation
        return self.sums(lambda m: 2.0 * m * _logistic(-2.0 * beta * m))

    def curvatures(self, beta: float) -> FloatArray:
        """``sum_i l_i^2 sech^2(beta l_i)`` of each row."""
        return self.sums(lambda m: 4.0 * m**2 * _logistic(2.0 * beta * m) * _logistic(-2.0 * beta * m))

    def losses(self, beta: float) -> FloatArray:
        """Negative log pseudo-likelihood of each row."""
        return self.sums(lambda m: np.logaddexp(0.0, -2.0 * beta * m))


def _logistic(values: FloatArray) -> FloatArray:
    """``1 / (1 + exp(-x))``."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)))


def _solve(look: _Margins) -> tuple[float, float]:
    """Root of the mean slope by Newton steps, held between bounds, and the curvature there."""
    beta, low, high = 0.0, -math.inf, math.inf
    for _ in range(ITERATIONS):
        slope = float(look.share @ look.slopes(beta))
        curvature = float(look.share @ look.curvatures(beta))
        low, high = (max(low, beta), high) if slope > 0 else (low, min(high, beta))
        most = LARGEST_STEP * max(abs(beta), 1.0 / look.largest)
        step = float(np.clip(slope / max(curvature, 1e-300), -most, most))
        new = beta + step
        if not low <= new <= high:
            new = 0.5 * (low + high)
        if abs(new - beta) <= 1e-12 * max(abs(beta), 1.0 / look.largest):
            break
        beta = new
    return beta, float(look.share @ look.curvatures(beta))


def _error(rows: Samples, look: _Margins, beta: float, curvature: float) -> tuple[float, float]:
    """Standard error by the sandwich formula, and its degrees of freedom."""
    slopes = look.slopes(beta)
    if not rows.ordered and rows.weight is not None:  # each row is that many independent samples
        variance = float(look.share @ slopes**2) / rows.n_samples
        return math.sqrt(variance) / curvature, max(rows.n_samples - 1.0, 0.0)
    labels = batch_labels(rows.n_rows, rows.chains, None if rows.ordered else min(INDEPENDENT_BATCHES, rows.n_rows))
    weights = np.bincount(labels, weights=look.share)
    sums = np.bincount(labels, weights=look.share * slopes)
    if np.count_nonzero(weights) < 2:
        return math.inf, 0.0
    found = covariance_from_batches(sums[:, None], weights)
    return float(found.std[0]) / curvature, found.degrees_of_freedom


def _bound(look: _Margins, sign: float, n_samples: float, confidence: float) -> float:
    """Size of the inverse temperature below which the likelihood has fallen by that of a one-sided interval."""
    allowed = 0.5 * stats.chi2.ppf(2.0 * confidence - 1.0, 1) if confidence > 0.5 else 0.0

    def excess(size: float) -> float:
        return n_samples * float(look.share @ look.losses(sign * size)) - allowed

    high = 1.0 / look.largest
    if excess(0.0) <= 0.0:
        return 0.0
    while excess(high) > 0.0:
        high *= 2.0
    return float(brentq(excess, 0.0, high, rtol=1e-6))
