"""Figures of goodness of fit and convergence, drawn from plain arrays, with labels and units on every axis."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from infer.plot.axes import (
    cloud,
    groups,
    identity,
    legend_above,
    log_ticks,
)
from infer.plot.svg import BLUE, GREY, VERMILION, drawing, new_axes

__all__ = [
    "agreement",
    "effective_sample_sizes",
    "energy_distribution",
    "rhats",
    "sum_distribution",
]


def agreement(
    observed: ArrayLike,
    predicted: ArrayLike,
    observed_std: ArrayLike | None,
    predicted_std: ArrayLike | None,
    quantity: str,
) -> Figure:
    """Moments of the data against those of the fitted equilibrium model.

    Parameters
    ----------
    observed, predicted : array_like, shape (n_moments,)
        Moments of +-1 spins, dimensionless.
    observed_std, predicted_std : array_like, shape (n_moments,), optional
        Standard errors.
    quantity : str
        What the moments are, with formula, for the labels of the axes.

    Returns
    -------
    matplotlib.figure.Figure
    """
    y, x = np.asarray(observed, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    error_y, error_x = (None if e is None else np.asarray(e, dtype=np.float64) for e in (observed_std, predicted_std))
    with drawing():
        figure, axes = new_axes(height=3.6)
        cloud(axes, x, y, BLUE, error_x, error_y)
        identity(axes, x, y)
        axes.set_xlabel(f"model: {quantity} (dimensionless)")
        axes.set_ylabel(f"data: {quantity} (dimensionless)")
        legend_above(axes)
    return figure


def sum_distribution(
    values: ArrayLike,
    observed: ArrayLike,
    predicted: ArrayLike,
    observed_std: ArrayLike | None = None,
    predicted_std: ArrayLike | None = None,
) -> Figure:
    """Distribution of the sum of all spins, in the data and in the fitted model.

    Parameters
    ----------
    values : array_like, shape (n_values,)
        Possible sums, in spins.
    observed, predicted : array_like, shape (n_values,)
        Probabilities.
    observed_std, predicted_std : array_like, shape (n_values,), optional
        Their standard errors.

    Returns
    -------
    matplotlib.figure.Figure
    """
    values, observed, predicted = (np.asarray(v, dtype=np.float64) for v in (values, observed, predicted))
    seen = np.flatnonzero((observed > 0) | (predicted > 0))
    part = slice(seen[0], seen[-1] + 1) if len(seen) else slice(None)
    with drawing():
        figure, axes = new_axes()
        sets = ((observed, observed_std, BLUE, "o", "data"), (predicted, predicted_std, VERMILION, "s", "fitted model"))
        for probability, std, colour, marker, label in sets:
            kept = np.where(probability[part] > 0, probability[part], np.nan)
            axes.plot(
                values[part], kept, marker, color=colour, markersize=3.2, linewidth=1.0, linestyle="-", label=label
            )
            if std is not None:
                error = np.asarray(std, dtype=np.float64)[part]
                low = np.maximum(probability[part] - error, probability[part] / 10)
                axes.fill_between(values[part], low, probability[part] + error, color=colour, alpha=0.25, linewidth=0)
        axes.set_yscale("log")
        log_ticks(axes.yaxis, *axes.get_ylim())
        axes.set_xlabel("sum of all spins, Σᵢ sᵢ (spins)")
        axes.set_ylabel("probability")
        legend_above(axes)
    return figure


def energy_distribution(edges: ArrayLike, observed: ArrayLike, predicted: ArrayLike) -> Figure:
    """Distribution of the energy under the fitted model, in the data and in the model.

    Parameters
    ----------
    edges : array_like, shape (n_bins + 1,)
        Of the bins, energies in units of the temperature.
    observed, predicted : array_like, shape (n_bins,)
        Shares of samples in the bins.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with drawing():
        figure, axes = new_axes()
        for values, colour, dashes, label in (
            (observed, BLUE, "-", "data"),
            (predicted, VERMILION, (0, (4, 2)), "fitted model"),
        ):
            axes.stairs(
                np.asarray(values), np.asarray(edges), color=colour, linestyle=dashes, linewidth=1.6, label=label
            )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("energy E / T (dimensionless)")
        axes.set_ylabel("share of samples in the bin")
        axes.xaxis.set_major_locator(MaxNLocator(6))
        legend_above(axes)
    return figure


def rhats(values: Mapping[str, ArrayLike], threshold: float = 1.01) -> Figure:
    """R-hat of every monitored quantity, group by group, in increasing order.

    Parameters
    ----------
    values : mapping
        Name of a group ("energy", "overlaps", "spins") to R-hat of its quantities, dimensionless.
    threshold : float
        Above this the chains disagree.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with drawing():
        figure, axes = new_axes()
        groups(axes, values)
        axes.axhline(threshold, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), label=f"threshold {threshold:g}")
        # inf, of a spin that is frozen in every chain but not alike, and nan have no place on the axis
        every = np.concatenate([[1.0, threshold], *(np.ravel(v) for v in values.values())]).astype(np.float64)
        finite = every[np.isfinite(every)]
        top, bottom = float(finite.max()), float(finite.min())
        pad = 0.08 * (top - bottom)
        axes.set_ylim(bottom - pad, top + pad)
        axes.set_ylabel("R-hat (1 = chains agree)")
        legend_above(axes)
    return figure


def effective_sample_sizes(values: Mapping[str, ArrayLike], threshold: float, n_rows: int) -> Figure:
    """Effective sample size of every monitored quantity, group by group, in increasing order.

    Parameters
    ----------
    values : mapping
        Name of a group to the effective sample sizes of its quantities, in independent samples.
    threshold : float
        Below this, error bars are not to be trusted.
    n_rows : int
        Number of samples.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with drawing():
        figure, axes = new_axes()
        groups(axes, values)
        axes.axhline(threshold, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), label=f"threshold {threshold:g}")
        axes.axhline(n_rows, color=GREY, linewidth=1.0, linestyle=(0, (1, 2)), label=f"all {n_rows:,} samples")
        axes.set_yscale("log")
        log_ticks(axes.yaxis, *axes.get_ylim())
        axes.set_ylabel("effective sample size (samples)")
        legend_above(axes)
    return figure
