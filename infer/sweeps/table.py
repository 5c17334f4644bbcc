"""Results of a sweep as a table and as a map; cells without convergence have no rate ("open")."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from infer.sweeps.cell import NUMBERS, Outcome
from infer.sweeps.plan import PARAMETERS, REDUCED, Cell, plan_sweep, transition_scales
from infer.sweeps.store import ORIGIN, Store

__all__ = ["average_repeats", "describe_sweep", "read_sweep", "refuse_failures", "sweep_map"]

# numbers that describe the steady state; not valid where it was not reached
MEASURED = ("rate", "rate_std", "inverse_temperature", "inverse_temperature_std", "slope", "slope_std")
COORDINATES = ("dynamics", "initial", "method", "load", *PARAMETERS)

LARGEST_R_HAT = 1.05
LEAST_EFFECTIVE_SIZE = 100.0
# batches with this correlation are shorter than the autocorrelation time: their standard errors are too small
LARGEST_BATCH_CORRELATION = 0.5


def read_sweep(
    store: str | os.PathLike[str],
    *,
    largest_r_hat: float = LARGEST_R_HAT,
    least_effective_size: float = LEAST_EFFECTIVE_SIZE,
    largest_batch_correlation: float = LARGEST_BATCH_CORRELATION,
) -> pd.DataFrame:
    """Read the results of a sweep, finished or not.

    Parameters
    ----------
    store : path-like
        Store written by `sweep`.
    largest_r_hat : float, default 1.05
        Cells with a larger R-hat of the energy or of a leading overlap are left open: means of their chains differ by
        more than about a third of the spread within chains.
    least_effective_size : float, default 100
        Cells with a smaller effective sample size of these quantities are left open: R-hat is unreliable for so few.
    largest_batch_correlation : float, default 0.5
        Cells in which successive batches are more correlated are left open: their standard errors are too small.

    Returns
    -------
    pandas.DataFrame
        One row for each cell of the grid, in its order: its parameters (`reduced_...` in units of the transition
        temperatures that `sweep` names); `status` ("settled", "open", "failed", or "missing" where it was not computed
        yet) and the `reason` for leaving it open or the error in which it failed; `rate`, `inverse_temperature` and
        `slope` of the fitted dreaming model with standard errors `..._std`, nan unless settled; `r_hat_...`,
        `ess_...` of energy and leading overlaps (the worst), or, of chains that started at patterns, of energy and
        overlap with the pattern, whose mean is `pattern_overlap`; `theory_rate`, `theory_slope` at leading order
        (`theory.dreaming_rate`, `effective_slope`), and `formula_rate`, `formula_slope`, expected from a fit to
        infinitely many samples by the method of the cell: `theory.fitted_rate_and_slope`, for continuous units by
        "gaussian" a fit to `theory.stationary_covariance`; nan where not known.

    Raises
    ------
    ValueError
        If the file is not a store.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter, Buerkner 2021, Bayesian Analysis 16, 667 (R-hat, effective sample size).
    """
    with Store.open(store) as kept:
        plan = plan_sweep({name: value for name, value in kept.config.items() if name not in ORIGIN})
        outcomes = kept.outcomes()
    rows = []
    for cell in plan.cells:
        outcome = outcomes.get(cell.key)
        status, reason = _judge(outcome, largest_r_hat, least_effective_size, largest_batch_correlation)
        numbers = dict.fromkeys(NUMBERS, math.nan) | (outcome.numbers if outcome else {})
        if status != "settled":
            numbers |= dict.fromkeys(MEASURED, math.nan)
        rows.append({**_parameters(cell), "status": status, "reason": reason, **numbers})
    return pd.DataFrame(rows)


def _parameters(cell: Cell) -> dict[str, Any]:
    """The columns that identify the cell of a row."""
    values = {name: getattr(cell, name) for name in PARAMETERS}
    try:
        scales = transition_scales(cell.dynamics, cell.load, values)
    except ValueError:  # where the transition is not known
        scales = dict.fromkeys(REDUCED, math.nan)
    return {
        "dynamics": cell.dynamics,
        "initial": cell.initial,
        "method": cell.method,
        "n_spins": cell.n_spins,
        "n_patterns": cell.n_patterns,
        "load": cell.load,
        **{name: math.nan if value is None else value for name, value in values.items()},
        # rounded, so that equal values in the config are equal here
        **{
            reduced: math.nan
            if values[plain] is None or not scales[plain]
            else round(values[plain] / scales[plain], 12)
            for plain, reduced in REDUCED.items()
        },
        "repeat": cell.repeat,
    }


def _judge(
    outcome: Outcome | None, largest_r_hat: float, least_effective_size: float, largest_batch_correlation: float
) -> tuple[str, str]:
    """Status of a cell, and the reason where it has no rate."""
    if outcome is None:
        return "missing", "not computed yet"
    if outcome.error is not None:
        return "failed", outcome.error
    numbers = {name: outcome.numbers.get(name, math.nan) for name in NUMBERS}
    for quantity in ("energy", "overlap"):
        # written so that nan (a constant quantity) is rejected
        if not numbers[f"r_hat_{quantity}"] <= largest_r_hat:
            return "open", f"R-hat of the {quantity} is {numbers[f'r_hat_{quantity}']:.3g} (at most {largest_r_hat:g})"
        if not numbers[f"ess_{quantity}"] >= least_effective_size:
            size = numbers[f"ess_{quantity}"]
            return "open", f"effective size of the {quantity} is {size:.0f} (at least {least_effective_size:g})"
    if not numbers["converged"]:
        return "open", "the fit did not converge: the rate went to its bound or to infinity"
    if numbers["batch_correlation"] > largest_batch_correlation:
        correlation = numbers["batch_correlation"]
        return "open", f"successive batches are correlated ({correlation:.2f}): standard errors would be too small"
    return "settled", ""


def average_repeats(table: pd.DataFrame) -> pd.DataFrame:
    """Average over repeats, that is, over pattern sets.

    Parameters
    ----------
    table : pandas.DataFrame
        Table returned by `read_sweep`.

    Returns
    -------
    pandas.DataFrame
        One row for each point of the grid, with its parameters, `n_repeats`, `n_settled`, and the means of the
        numbers. `rate_std`, `slope_std` and `inverse_temperature_std` are standard errors of the means: the larger of
        those from the errors of the cells and from the scatter between repeats. Where a repeat did not settle all
        measured numbers are nan, since an average over the others would be biased by selection.
    """
    keys = [*COORDINATES, *REDUCED.values(), "n_spins", "n_patterns"]
    rows = []
    for values, group in table.groupby(keys, dropna=False, sort=False):
        row: dict[str, Any] = dict(zip(keys, values, strict=True))
        count, settled = len(group), int((group["status"] == "settled").sum())
        row |= {"n_repeats": count, "n_settled": settled}
        for name in NUMBERS:
            row[name] = float(group[name].mean()) if settled == count or name not in MEASURED else math.nan
        for name in ("rate", "inverse_temperature", "slope"):
            own = math.sqrt(float((group[f"{name}_std"] ** 2).sum(min_count=count))) / count
            scatter = float(group[name].std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
            row[f"{name}_std"] = max(own, scatter) if settled == count else math.nan
        rows.append(row)
    return pd.DataFrame(rows)


def sweep_map(table: pd.DataFrame, dynamics: str | None = None) -> xr.Dataset:
    """A table as an array for each number, with the parameters that vary as dimensions.

    Parameters
    ----------
    table : pandas.DataFrame
        Table of `read_sweep` or of `average_repeats`.
    dynamics : str, optional
        Name of the dynamics, where the table holds several.

    Returns
    -------
    xarray.Dataset
        Dims are those of initial, method, load, temperature, active_temperature, persistence, persistence_time,
        stiffness, barrier, n_spins and repeat that take more than one value (reduced temperatures in place of
        temperatures where fewer of them differ);
        parameters with one value are attributes. Points outside the grid, and open cells, are nan.

    Raises
    ------
    ValueError
        If the table holds no rows of the dynamics, or several dynamics of which none is chosen.
    """
    names = list(table["dynamics"].unique())
    if dynamics is None and len(names) > 1:
        raise ValueError(f"choose one of the dynamics of this table: {', '.join(names)}")
    if dynamics is not None:
        table = table[table["dynamics"] == dynamics]
    if table.empty:
        raise ValueError(f"the table has no rows of {dynamics or 'any dynamics'}; it has {', '.join(names) or 'none'}")
    axes = list(COORDINATES)
    for plain, reduced in REDUCED.items():
        if table[reduced].nunique() < table[plain].nunique():
            axes[axes.index(plain)] = reduced
    axes.append("n_spins")
    if "repeat" in table:
        axes.append("repeat")
    dims = [axis for axis in axes if table[axis].nunique(dropna=False) > 1] or ["load"]
    attributes = {axis: table[axis].iloc[0] for axis in axes if axis not in dims and table[axis].notna().iloc[0]}
    kept = [name for name in table if name not in (*COORDINATES, *REDUCED.values(), "n_spins", "repeat")]
    found = table.set_index(dims)[kept].to_xarray()
    return found.assign_attrs({name: getattr(value, "item", lambda v=value: v)() for name, value in attributes.items()})


def describe_sweep(table: pd.DataFrame) -> str:
    """Lines for a terminal: numbers of cells that settled, are open, failed or are missing, and first reasons."""
    counts = table["status"].value_counts()
    shares = [f"{counts[status]} {status}" for status in ("settled", "open", "failed", "missing") if status in counts]
    lines = [f"{len(table)} cells: {', '.join(shares)}"]
    for status in ("open", "failed"):
        reasons = table.loc[table["status"] == status, ["dynamics", "load", "temperature", "reason"]]
        for dynamics, load, temperature, reason in reasons.head(3).itertuples(index=False):
            lines.append(f"{status}: {dynamics}, load {load:g}, temperature {temperature:g}: {reason}")
        if len(reasons) > 3:
            lines.append(f"{status}: and {len(reasons) - 3} more")
    settled = table[table["status"] == "settled"]
    for dynamics, group in settled.groupby("dynamics", sort=False):
        lines.append(
            f"{dynamics}: rate {group['rate'].min():.3g} to {group['rate'].max():.3g}, standard error "
            f"{np.median(group['rate_std']):.2g} (median of cells)"
        )
    return "\n".join(lines)


def refuse_failures(table: pd.DataFrame) -> None:
    """Raise a ValueError, in one line, where cells of a sweep failed."""
    failed = int((table["status"] == "failed").sum())
    if failed:
        raise ValueError(
            f"{failed} of {len(table)} cells failed; the others are kept. Correct the causes named above and retry the "
            "failed ones (retry_failed=True, --retry-failed)"
        )
