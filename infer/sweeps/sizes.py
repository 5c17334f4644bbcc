"""Extrapolation of a sweep over several numbers of spins to N -> infinity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from infer.errors import InputError
from infer.sweeps.plan import REDUCED
from infer.sweeps.table import COORDINATES, average_repeats

__all__ = ["extrapolate_sizes"]


def extrapolate_sizes(table: pd.DataFrame) -> pd.DataFrame:
    """Extrapolate rate, inverse temperature and slope to 1 / N -> 0, at each point of a grid with several sizes.

    A straight line in 1 / N, v(N) = v + c / N, through the means over pattern sets, weighted by their standard errors.

    Parameters
    ----------
    table : pandas.DataFrame
        As `read_sweep` returns it, or `average_repeats`.

    Returns
    -------
    pandas.DataFrame
        One row for each point of the grid, with its parameters; `rate`, `inverse_temperature` and `slope` at 1 / N = 0
        with their standard errors `..._std`; `rate_change`, the coefficient c of the rate, and `rate_change_std`;
        `n_sizes` that settled; `chi_square` of the rate, of n_sizes - 2 degrees of freedom, and `p_value`, small where
        the line does not describe the sizes (nan for two). Points with fewer than two settled sizes are nan.

    Raises
    ------
    ValueError
        If the table has one size only.

    Notes
    -----
    The leading correction is 1 / N where the steady state has no order. It need not be near a transition, so that the
    smallest sizes should be left out (``table[table["n_spins"] >= 200]``) where `p_value` is small.
    """
    means = table if "n_repeats" in table else average_repeats(table)
    if means["n_spins"].nunique() < 2:
        raise InputError(
            f"the table has one size, {means['n_spins'].iloc[0] if len(means) else 'none'}: give n_spins of the "
            "sweep a list of at least two numbers"
        )
    keys = [*COORDINATES, *REDUCED.values()]
    rows = []
    for values, group in means.groupby(keys, dropna=False, sort=False):
        row: dict[str, Any] = dict(zip(keys, values, strict=True))
        for name in ("rate", "inverse_temperature", "slope"):
            known = group[group[name].notna() & (group[f"{name}_std"] > 0) & np.isfinite(group[f"{name}_std"])]
            limit, change, covariance, chi_square = _line(
                1.0 / known["n_spins"].to_numpy(float),
                known[name].to_numpy(float),
                known[f"{name}_std"].to_numpy(float),
            )
            row |= {name: limit, f"{name}_std": math.sqrt(covariance[0, 0])}
            if name == "rate":
                free = len(known) - 2
                row |= {"rate_change": change, "rate_change_std": math.sqrt(covariance[1, 1]), "n_sizes": len(known)}
                row["chi_square"] = chi_square if free > 0 else math.nan
                row["p_value"] = float(stats.chi2.sf(chi_square, free)) if free > 0 else math.nan
        rows.append(row)
    return pd.DataFrame(rows)


def _line(
    x: NDArray[np.float64], y: NDArray[np.float64], std: NDArray[np.float64]
) -> tuple[float, float, NDArray[np.float64], float]:
    """Weighted straight line: value at x = 0, coefficient, their covariance, and chi-square; nan of fewer than two."""
    if len(x) < 2:
        return math.nan, math.nan, np.full((2, 2), math.nan), math.nan
    (change, limit), covariance = np.polyfit(x, y, 1, w=1.0 / std, cov="unscaled")
    chi_square = float((((y - limit - change * x) / std) ** 2).sum())
    return float(limit), float(change), covariance[::-1, ::-1], chi_square
