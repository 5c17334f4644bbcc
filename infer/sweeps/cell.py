"""One cell of a sweep, from patterns to numbers."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from time import process_time
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from infer.estimators.continuous.estimators import GaussianCouplings
from infer.estimators.dreaming.continuous_model import ContinuousDreamingModel
from infer.estimators.dreaming.estimator import DreamingModel
from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.similarity.compare import compare
from infer.statistics.uncertainty import convergence as convergence_of
from infer.sweeps.plan import Cell
from infer.wording import one_line
from simulate import SoftSpin, hebbian, random_patterns, sample, theory
from simulate.dynamics.convergence import convergence
from simulate.threads import one_blas_thread
from simulate.user_warnings import collected_warnings, libraries_silenced

__all__ = ["NUMBERS", "Outcome", "compute_cell", "try_cell"]

_SETTLED = ("r_hat_energy", "r_hat_overlap", "ess_energy", "ess_overlap")
_TRUST = ("degrees_of_freedom", "batch_correlation", "converged")
# of the comparison of fitted couplings, for the standard error of the rate
_REPLICATES = 100
# which projection on the dreaming family a method makes, as `theory.fitted_rate_and_slope` names them
_PROJECTIONS = {"hybrid-rbm": "likelihood", "gaussian": "likelihood", "score-matching": "pseudolikelihood"}
# names of the numbers of a cell, in the store and in the table
NUMBERS = (
    "rate",
    "rate_std",
    "inverse_temperature",
    "inverse_temperature_std",
    "slope",
    "slope_std",
    "degrees_of_freedom",
    "batch_correlation",
    "converged",
    "r_hat_energy",
    "r_hat_overlap",
    "ess_energy",
    "ess_overlap",
    "pattern_overlap",
    "theory_rate",
    "theory_slope",
    "formula_rate",
    "formula_slope",
)


@dataclass(frozen=True)
class Outcome:
    """Numbers of a cell, or the error that it raised."""

    key: str
    numbers: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    seconds: float = math.nan


def try_cell(cell: Cell) -> Outcome:
    """Compute a cell; an exception is stored in the outcome."""
    start = process_time()
    try:
        numbers = compute_cell(cell)
    except Exception as error:
        return Outcome(cell.key, error=one_line(f"{type(error).__name__}: {error}"), seconds=process_time() - start)
    return Outcome(cell.key, numbers, seconds=process_time() - start)


def compute_cell(cell: Cell) -> dict[str, float]:
    """Compute a cell: patterns, couplings, samples, fit, convergence and theory.

    Parameters
    ----------
    cell : Cell

    Returns
    -------
    dict of str to float
        The values of `NUMBERS`; those that are not known are nan. R-hat and effective size of overlaps are the worst
        over the leading overlaps; of chains that started at patterns, over the overlaps with these.

    Raises
    ------
    ValueError
        If values of the cell are invalid for the dynamics or the fit.
    """
    patterns = random_patterns(cell.n_patterns, cell.n_spins, seed=cell.pattern_seed())
    dynamics = cell.build(hebbian(patterns))
    starts = None
    if cell.initial != "random":
        starts = patterns[np.arange(cell.chains) % (len(patterns) if cell.initial == "patterns" else 1)]
    # warnings are replaced by numbers: convergence of the fit, correlation of batches, R-hat
    with one_blas_thread(), collected_warnings(), libraries_silenced():
        samples = sample(
            dynamics,
            cell.draws,
            chains=cell.chains,
            burn_in=cell.burn_in,
            thin=cell.thin,
            seed=cell.chain_seed(),
            n_jobs=1,
            initial=starts,
            check=False,
        )
        if starts is None:
            found = convergence(samples, dynamics)
            r_hat, ess = found["r_hat"].values, found["effective_size"].values
            settled = dict(zip(_SETTLED, (r_hat[0], np.max(r_hat[1:]), ess[0], np.min(ess[1:])), strict=True))
        else:
            settled = within_states(samples, dynamics, starts, apart=cell.initial == "patterns")
        numbers = _fit(cell.method, samples, patterns, dynamics)
        predictions = _predictions(dynamics, patterns, cell.method)
    numbers |= settled | predictions
    return {name: float(numbers.get(name, math.nan)) for name in NUMBERS}


def within_states(samples: xr.Dataset, dynamics: Any, starts: NDArray[np.int8], *, apart: bool) -> dict[str, float]:
    """R-hat and effective size of samples of retrieval states, each of which counts as a steady state of its own.

    Parameters
    ----------
    samples : Dataset
        Dims (chain, draw, spin).
    dynamics : Dynamics
        The one that was sampled.
    starts : ndarray of +-1, shape (n_chains, n_spins)
        The patterns at which the chains started.
    apart : bool
        Whether each chain is a state of its own: R-hat compares its two halves, and the worst of the chains counts;
        effective sizes add up. Otherwise all chains are in the same state and are compared with each other.

    Returns
    -------
    dict of str to float
        `r_hat_energy`, `r_hat_overlap`, `ess_energy`, `ess_overlap` of the energy and of the overlap with the pattern
        at which a chain started, and `pattern_overlap`, the mean of this overlap.
    """
    states = samples[dynamics.variable].values
    n_chains, n_draws, n_spins = states.shape
    overlap = np.einsum("cdi,ci->cd", states, starts.astype(np.float64)) / n_spins
    energy = dynamics.energies(states.reshape(-1, n_spins).astype(np.float64)).reshape(n_chains, n_draws)
    half = n_draws // 2
    numbers = {"pattern_overlap": float(overlap.mean())}
    for name, values in (("energy", energy), ("overlap", overlap)):
        groups = [row[: 2 * half].reshape(2, half) for row in values] if apart else [values]
        found = [convergence_of(xr.Dataset({"v": (("chain", "draw"), group)})) for group in groups]
        # nan, of a quantity that never changes, counts as the worst
        numbers[f"r_hat_{name}"] = float(np.max([one["v_r_hat"] for one in found]))
        numbers[f"ess_{name}"] = float(np.sum([one["v_ess"] for one in found]))
    return numbers


def _fit(method: str, samples: xr.Dataset, patterns: NDArray[np.int8], dynamics: Any) -> dict[str, float]:
    """Rate, inverse temperature and slope by one of the methods, with standard errors and how far to trust them."""
    spins = dynamics.variable == "spins"
    if method == "couplings":
        fitted = (PseudoLikelihood(fit_fields=False) if spins else GaussianCouplings()).fit(samples)
        nearest = compare(fitted, patterns, n_bootstrap=_REPLICATES, n_null=_REPLICATES)
        names = ("inverse_temperature", "slope", "inverse_temperature_std", "slope_std")
        # units have no replicates of their couplings, and then only the rate has a standard error
        numbers = {name: math.nan if (value := getattr(nearest, name)) is None else value for name in names}
        known = nearest.optimum == "interior" and getattr(fitted, "converged_", True)
        return numbers | {"rate": nearest.best_rate, "rate_std": nearest.best_rate_std, "converged": known}
    chosen: Any = method  # one of the names that the plan has checked
    model: Any
    if spins:
        model = DreamingModel(patterns, chosen)
    else:
        model = ContinuousDreamingModel(patterns, chosen, quartic=isinstance(dynamics.potential, SoftSpin))
    model.fit(samples)
    values = ("rate", "inverse_temperature", "slope", "rate_std", "inverse_temperature_std", "slope_std", *_TRUST)
    return {name: getattr(model, f"{name}_") for name in values}


def _predictions(dynamics: Any, patterns: NDArray[np.int8], method: str) -> dict[str, float]:
    """Rate and slope at leading order, and those expected from a fit to infinitely many samples; nan if not known."""
    rate = slope = formula_rate = formula_slope = math.nan
    with suppress(ValueError):
        rate, slope = theory.dreaming_rate(dynamics), theory.effective_slope(dynamics)
    with one_blas_thread(), suppress(ValueError):
        if method != "gaussian":
            formula_rate, formula_slope = theory.fitted_rate_and_slope(dynamics, _PROJECTIONS.get(method, method))
        else:
            formula_rate, formula_slope = _fit_covariance(theory.stationary_covariance(dynamics), patterns)
    return {
        "theory_rate": rate,
        "theory_slope": slope,
        "formula_rate": formula_rate,
        "formula_slope": formula_slope,
    }


def _fit_covariance(covariance: NDArray[np.float64], patterns: NDArray[np.int8]) -> tuple[float, float]:
    """Rate and slope of the Gaussian closest to one of this covariance: N rows that have exactly these moments."""
    rows = np.linalg.cholesky(covariance).T * math.sqrt(len(covariance))
    with one_blas_thread(), collected_warnings():  # rows without an order have no batches
        model = ContinuousDreamingModel(patterns).fit(rows)
    return (model.rate_, model.slope_) if model.converged_ else (math.nan, math.nan)
