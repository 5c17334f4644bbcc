"""Rates of a sweep as lines of text: a row for each point of the grid, repeats averaged."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from infer.sweeps.plan import REDUCED
from infer.sweeps.table import COORDINATES, average_repeats
from infer.wording import to_error, with_error

__all__ = ["coordinate", "rate_table", "varying_axes"]

MOST_ROWS = 40


def varying_axes(table: pd.DataFrame) -> list[str]:
    """Columns of parameters that take more than one value, reduced temperatures in place of more different ones."""
    axes = ["n_spins", *COORDINATES]
    for plain, reduced in REDUCED.items():
        if table[reduced].nunique() < table[plain].nunique():
            axes[axes.index(plain)] = reduced
    return [axis for axis in axes if table[axis].nunique(dropna=False) > 1]


def rate_table(table: pd.DataFrame) -> str:
    """Rate, theory and settled repeats of each point of the grid, under the parameters that vary.

    Parameters
    ----------
    table : pandas.DataFrame
        As `read_sweep` returns it.

    Returns
    -------
    str
        At most 40 rows; theory (`formula_rate` of `read_sweep`) where it is known.
    """
    points = average_repeats(table)
    axes = varying_axes(table)
    known = points["formula_rate"].notna().any()
    rows = [[*axes, "rate", *(["theory"] if known else []), "settled"]]
    for _, point in points.head(MOST_ROWS).iterrows():
        measured = with_error(point["rate"], point["rate_std"]) if math.isfinite(point["rate"]) else "-"
        theory = [to_error(point["formula_rate"], point["rate_std"]) if math.isfinite(point["formula_rate"]) else "-"]
        settled = f"{point['n_settled']}/{point['n_repeats']}"
        rows.append([*(coordinate(point[axis]) for axis in axes), measured, *(theory if known else []), settled])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if known and points["formula_rate"].head(MOST_ROWS).isna().any():
        lines.append("theory -: not known for this dynamics, or so near the transition to order")
    if len(points) > MOST_ROWS:
        lines.append(f"and {len(points) - MOST_ROWS} more points, which infer.read_sweep reads from the store")
    return "\n".join(lines)


def coordinate(value: object) -> str:
    """A coordinate: a name, a number, or a dash where the dynamics has none."""
    if isinstance(value, str):
        return value
    number = float(np.asarray(value, dtype=float))
    return "-" if math.isnan(number) else f"{number:.4g}"
