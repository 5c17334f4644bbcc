"""One cell of a sweep, from patterns to numbers."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.estimators.dreaming.continuous_model import ContinuousDreamingModel
from infer.estimators.dreaming.estimator import DreamingModel
from infer.sweeps.plan import Cell
from infer.wording import one_line
from simulate import hebbian, random_patterns, sample, theory
from simulate.dynamics.convergence import convergence
from simulate.threads import one_blas_thread
from simulate.user_warnings import collected_warnings, libraries_silenced

__all__ = ["NUMBERS", "Outcome", "compute_cell", "try_cell"]

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
        over the leading overlaps.

    Raises
    ------
    ValueError
        If values of the cell are invalid for the dynamics or the fit.
    """
    patterns = random_patterns(cell.n_patterns, cell.n_spins, seed=cell.pattern_seed())
    dynamics = cell.build(hebbian(patterns))
    # the rounding of a matrix product must not depend on the number of threads; warnings are replaced by numbers:
    # convergence of the fit, correlation of batches, R-hat
    with one_blas_thread(), collected_warnings(), libraries_silenced():
        samples = sample(
            dynamics,
            cell.draws,
            chains=cell.chains,
            burn_in=cell.burn_in,
            thin=cell.thin,
            seed=cell.chain_seed(),
            n_jobs=1,
            check=False,
        )
        settled = convergence(samples, dynamics)
        spins = dynamics.variable == "spins"
        model = (DreamingModel(patterns) if spins else ContinuousDreamingModel(patterns)).fit(samples)
        predictions = _predictions(dynamics, patterns)
    r_hat, ess = settled["r_hat"].values, settled["effective_size"].values
    numbers = {
        "rate": model.rate_,
        "rate_std": model.rate_std_,
        "inverse_temperature": model.inverse_temperature_,
        "inverse_temperature_std": model.inverse_temperature_std_,
        "slope": model.slope_,
        "slope_std": model.slope_std_,
        "degrees_of_freedom": model.degrees_of_freedom_,
        "batch_correlation": model.batch_correlation_,
        "converged": model.converged_,
        "r_hat_energy": r_hat[0],
        "r_hat_overlap": np.max(r_hat[1:]),
        "ess_energy": ess[0],
        "ess_overlap": np.min(ess[1:]),
        **predictions,
    }
    return {name: float(value) for name, value in numbers.items()}


def _predictions(dynamics: Any, patterns: NDArray[np.int8]) -> dict[str, float]:
    """Rate and slope at leading order, and those expected from a fit to infinitely many samples; nan if not known."""
    rate = slope = formula_rate = formula_slope = math.nan
    with suppress(ValueError):
        rate, slope = theory.dreaming_rate(dynamics), theory.effective_slope(dynamics)
    with one_blas_thread(), suppress(ValueError):
        if dynamics.variable == "spins":
            formula_rate, formula_slope = theory.fitted_rate_and_slope(dynamics)
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
