"""Figure of a sweep: rates against the parameter with most values, a curve for each combination of the others."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from infer.plot.axes import MARKERS
from infer.plot.svg import COLOURS, WIDTH, drawing
from infer.sweeps.summary import coordinate, varying_axes
from infer.sweeps.table import average_repeats

__all__ = ["rate_panels"]

MOST_CURVES = 6


def rate_panels(table: pd.DataFrame) -> Figure:
    """Fitted dreaming rates with standard errors, and their theory as lines, one panel for each dynamics.

    Parameters
    ----------
    table : pandas.DataFrame
        As `read_sweep` returns it; cells that have not settled leave gaps.

    Returns
    -------
    matplotlib.figure.Figure
        The horizontal axis is the parameter with most values; other parameters that vary name the curves, of which the
        first six are drawn.
    """
    names = list(dict.fromkeys(table["dynamics"]))
    with drawing():
        figure = Figure(figsize=(WIDTH * len(names), 3.4), layout="constrained")
        FigureCanvasAgg(figure)
        for place, name in enumerate(names):
            _panel(figure.add_subplot(1, len(names), place + 1), table[table["dynamics"] == name], name)
    return figure


def _panel(axes: Axes, table: pd.DataFrame, name: str) -> None:
    """Rates of one dynamics."""
    points = average_repeats(table)
    varying = [axis for axis in varying_axes(table) if axis != "dynamics"]
    numbers = [axis for axis in varying if pd.api.types.is_numeric_dtype(points[axis])]
    across = max(numbers, key=lambda axis: points[axis].nunique(), default="load")
    others = [axis for axis in varying if axis != across]
    curves = list(points.groupby(others, sort=False, dropna=False)) if others else [((), points)]
    for k, (values, curve) in enumerate(curves[:MOST_CURVES]):
        curve = curve.sort_values(across)
        label = ", ".join(f"{_words(axis)} {coordinate(value)}" for axis, value in zip(others, values, strict=True))
        colour, marker = COLOURS[k % len(COLOURS)], MARKERS[k % len(MARKERS)]
        x = curve[across]
        axes.errorbar(x, curve["rate"], curve["rate_std"], fmt=marker, color=colour, markersize=4, label=label or None)
        axes.plot(x, curve["formula_rate"], color=colour, linewidth=1.0)
    axes.set(xlabel=_words(across), ylabel="dreaming rate")
    hidden = len(curves) - MOST_CURVES
    axes.set_title(name + (f" (first {MOST_CURVES} of {len(curves)} curves)" if hidden > 0 else ""))
    if others:
        axes.legend(fontsize=8)


def _words(axis: str) -> str:
    """The name of a parameter in words."""
    return axis.replace("_", " ")
