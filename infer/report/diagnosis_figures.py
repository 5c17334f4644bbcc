"""Figures of a diagnosis and of single couplings, drawn from plain arrays, with labels and units on every axis."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from infer.plot.axes import MARKERS, bounded, cloud, identity, legend_above, rate_ticks
from infer.plot.svg import BLUE, COLOURS, GREY, VERMILION, drawing, new_axes

__all__ = ["degrees", "drift", "held_out_scores", "reference_profiles", "time_asymmetry", "transpose_scatter"]


def transpose_scatter(by_node: ArrayLike) -> Figure:
    """Both estimates of each coupling against each other.

    Parameters
    ----------
    by_node : array_like, shape (n_spins, n_spins)
        beta J, dimensionless, row i fitted by spin i.

    Returns
    -------
    matplotlib.figure.Figure
    """
    matrix = np.asarray(by_node, dtype=np.float64)
    above = np.triu_indices(len(matrix), 1)
    x, y = matrix[above], matrix.T[above]
    with drawing():
        figure, axes = new_axes(height=3.6)
        cloud(axes, x, y, BLUE)
        identity(axes, x, y)
        axes.set_xlabel("β Jᵢⱼ as spin i tells it (dimensionless)")
        axes.set_ylabel("β Jⱼᵢ as spin j tells it")
        legend_above(axes)
    return figure


def degrees(counts: Mapping[str, ArrayLike]) -> Figure:
    """How many spins have how many couplings.

    Parameters
    ----------
    counts : mapping
        Which couplings are counted to the number of them that each spin has, shape (n_spins,).

    Returns
    -------
    matplotlib.figure.Figure
    """
    with drawing():
        figure, axes = new_axes()
        for (name, values), colour, dashes in zip(counts.items(), (BLUE, VERMILION), ("-", (0, (4, 2))), strict=False):
            numbers = np.bincount(np.asarray(values, dtype=np.int64))
            axes.stairs(
                numbers, np.arange(len(numbers) + 1) - 0.5, color=colour, linestyle=dashes, linewidth=1.6, label=name
            )
        axes.set_xlabel("couplings of a spin (number)")
        axes.set_ylabel("spins (number)")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_ylim(bottom=0)
        legend_above(axes)
    return figure


def held_out_scores(gains: Mapping[str, tuple[float, float]]) -> Figure:
    """Log-likelihood of held-out samples above that of independent spins, model by model.

    Parameters
    ----------
    gains : mapping
        Name of a model to its gain and the standard error, in nats per sample.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with drawing():
        figure, axes = new_axes(height=1.1 + 0.45 * (1 + len(gains)))
        axes.axvline(0.0, color=GREY, linewidth=1.2, linestyle=(0, (2, 2)))
        names = ["independent", *gains]
        axes.plot([0.0], [0], MARKERS[0], color=GREY, markersize=7)
        for k, (value, std) in enumerate(gains.values(), start=1):
            axes.errorbar([value], [k], xerr=[std], fmt=MARKERS[k], color=COLOURS[k - 1], markersize=7, capsize=4)
        axes.set_yticks(range(len(names)), [name.replace(" ", "\n") for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("gain on independent (nats per sample)")
        axes.set_ylabel("model (name)")
        axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def time_asymmetry(forward: ArrayLike, backward: ArrayLike, std: ArrayLike) -> Figure:
    """Correlations of each pair of spins one row apart, in both orders of time.

    Parameters
    ----------
    forward, backward : array_like, shape (n_pairs,)
        Covariances, dimensionless.
    std : array_like, shape (n_pairs,)
        Standard errors of their difference.

    Returns
    -------
    matplotlib.figure.Figure
    """
    x, y, error = (np.asarray(values, dtype=np.float64) for values in (forward, backward, std))
    with drawing():
        figure, axes = new_axes(height=3.6)
        cloud(axes, x, y, BLUE, error / np.sqrt(2), error / np.sqrt(2))
        identity(axes, x, y)
        axes.set_xlabel("i one row after j: Cᵢⱼ(1) (dimensionless)")
        axes.set_ylabel("j one row after i: Cⱼᵢ(1)")
        legend_above(axes)
    return figure


def drift(time: ArrayLike, energy: ArrayLike, std: ArrayLike) -> Figure:
    """Mean energy of successive blocks of a record.

    Parameters
    ----------
    time : array_like, shape (n_blocks,)
        Middle of each block, in rows from the start of its run.
    energy, std : array_like, shape (n_blocks,)
        Energy in standard deviations of single rows, and how much blocks scatter.

    Returns
    -------
    matplotlib.figure.Figure
    """
    x, y, error = (np.asarray(values, dtype=np.float64) for values in (time, energy, std))
    with drawing():
        figure, axes = new_axes()
        axes.axhspan(-2 * float(np.median(error)), 2 * float(np.median(error)), color=GREY, alpha=0.25, linewidth=0)
        axes.axhline(0.0, color=GREY, linewidth=1.0)
        axes.plot(x, y, "o", color=BLUE, markersize=4)
        axes.set_xlabel("time (rows from the start of the run)")
        axes.set_ylabel("energy (std of a row)")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return figure


def reference_profiles(profiles: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> Figure:
    """Cosine of the couplings with several dreaming families along the rate.

    Parameters
    ----------
    profiles : mapping
        Name of a family to rates and cosines, shape (n_rates,).

    Returns
    -------
    matplotlib.figure.Figure
    """
    styles = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1, 2)))
    with drawing():
        figure, axes = new_axes(height=3.2 + 0.2 * len(profiles))
        lowest, highest = 0.0, 0.0
        for (name, (rates, values)), colour, dashes in zip(profiles.items(), COLOURS, styles, strict=False):
            rates = np.asarray(rates, dtype=np.float64)
            lowest, highest = min(lowest, float(rates.min())), max(highest, float(rates.max()))
            axes.plot(bounded(rates), np.asarray(values), color=colour, linestyle=dashes, linewidth=1.6, label=name)
        axes.axvline(0.0, color=GREY, linewidth=1.2, linestyle=(0, (2, 2)), label="Hebbian (rate 0)")
        rate_ticks(axes, lowest, highest)
        axes.set_xlabel("dreaming rate λ (dimensionless)")
        axes.set_ylabel("cosine (1 = same)")
        legend_above(axes, columns=1)
    return figure
