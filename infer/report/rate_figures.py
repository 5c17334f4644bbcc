"""Figures of the similarity along the dreaming rate, of spectra and of null models, drawn from plain arrays."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from infer.plot.axes import MARKERS, bounded, legend_above, rate_ticks
from infer.plot.svg import BLUE, COLOURS, GREEN, GREY, ORANGE, PURPLE, VERMILION, drawing, new_axes

__all__ = ["LABELS", "null_models", "rate_profile", "spectra"]

LABELS = {"hebbian": "Hebbian"}


def rate_profile(
    rates: ArrayLike,
    profile: Mapping[str, ArrayLike],
    best_rate: float,
    interval: tuple[float, float],
    nulls: Mapping[str, tuple[float, float, float]] | None = None,
    likelihood: tuple[float, float, float] | None = None,
    zoom: bool = False,
) -> MatplotlibFigure:
    """Similarity along the dreaming rate.

    Parameters
    ----------
    rates : array_like, shape (n_rates,)
        Dreaming rate lambda, dimensionless.
    profile : mapping
        Name of a measure ("cosine", "pearson") to its values at `rates`, shape (n_rates,).
    best_rate : float
        Rate of the greatest cosine.
    interval : tuple of float
        Interval of the best rate.
    nulls : mapping, optional
        Name of a null model to mean, lower and upper percentile of its cosine.
    likelihood : tuple of float, optional
        Rate fitted by likelihood and both ends of its interval.
    zoom : bool
        Show only the neighbourhood of the best rate and of 0, on a linear axis, instead of the whole range on an axis
        that is linear in lambda/(1 + lambda).

    Returns
    -------
    matplotlib.figure.Figure
    """
    rates = np.asarray(rates, dtype=np.float64)
    place = np.asarray if zoom else bounded
    low, high = interval
    with drawing():
        figure, axes = new_axes(height=3.4)
        if zoom:
            reach = [end for end in (0.0, best_rate, low, high, *(likelihood or ())) if np.isfinite(end)]
            pad = 0.25 * (max(reach) - min(reach)) or 0.1
            start, stop = min(reach) - pad, max(reach) + pad
            low, high = max(low, start), min(high, stop)
        else:
            start, stop = -np.inf, np.inf
            # an infinite end is drawn at the edge of the axis
            low, high = max(low, float(rates.min())), min(high, float(rates.max()))
        shown = (rates >= start) & (rates <= stop)
        span = [float(place(low)), float(place(high))]
        axes.axvspan(*span, color=ORANGE, alpha=0.3, linewidth=0, label="best rate, interval")
        axes.axvline(float(place(best_rate)), color=ORANGE, linewidth=1.4)
        axes.axvline(0.0, color=GREY, linewidth=1.2, linestyle=(0, (2, 2)), label="Hebbian (rate 0)")
        for (name, values), colour, dashes in zip(profile.items(), (BLUE, VERMILION), ("-", (0, (5, 2))), strict=False):
            label = {"pearson": "Pearson"}.get(name, name)
            values = np.asarray(values, dtype=np.float64)
            axes.plot(place(rates[shown]), values[shown], color=colour, linestyle=dashes, linewidth=1.6, label=label)
        if not zoom:
            for (name, (_, bottom, top)), colour in zip((nulls or {}).items(), (PURPLE, GREEN, GREY), strict=False):
                axes.axhspan(bottom, top, color=colour, alpha=0.35, linewidth=0, label=name)
        if zoom and likelihood is not None:
            bottom, top = axes.get_ylim()
            rate, left, right = likelihood
            place_y = bottom + 0.06 * (top - bottom)
            bars = np.array([[rate - left], [right - rate]])
            axes.errorbar(
                [rate], [place_y], xerr=bars, fmt="D", color=GREEN, capsize=3, markersize=5, label="by likelihood"
            )
        if zoom:
            axes.xaxis.set_major_locator(MaxNLocator(5))
        else:
            rate_ticks(axes, float(rates.min()), float(rates.max()))
        axes.set_xlabel("dreaming rate λ (dimensionless)")
        axes.set_ylabel("similarity (1 = same)")
        legend_above(axes)
    return figure


def spectra(eigenvalues: Mapping[str, ArrayLike]) -> MatplotlibFigure:
    """Eigenvalues of several coupling matrices in decreasing order.

    Parameters
    ----------
    eigenvalues : mapping
        Name of a matrix to its eigenvalues, shape (n_spins,), dimensionless (beta J).

    Returns
    -------
    matplotlib.figure.Figure
    """
    styles = ((BLUE, "-", 2.2), (VERMILION, (0, (5, 2)), 1.6), (GREEN, (0, (1.5, 1.5)), 1.6), (PURPLE, "-", 1.0))
    with drawing():
        figure, axes = new_axes()
        for (name, values), (colour, dashes, width) in zip(eigenvalues.items(), styles, strict=False):
            values = np.sort(np.asarray(values, dtype=np.float64))[::-1]
            axes.plot(
                np.arange(1, len(values) + 1), values, color=colour, linestyle=dashes, linewidth=width, label=name
            )
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_xlabel("rank of the eigenvalue (number)")
        axes.set_ylabel("eigenvalue of β J (dimensionless)")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        legend_above(axes)
    return figure


def null_models(
    measured: Mapping[str, tuple[float, float | None]], nulls: Mapping[str, tuple[float, float, float]]
) -> MatplotlibFigure:
    """Cosine of the inferred couplings with the references and with null models.

    Parameters
    ----------
    measured : mapping
        Name of a reference to the cosine with it and the standard error, if known.
    nulls : mapping
        Name of a null model to mean, lower and upper percentile of the cosine over its draws.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with drawing():
        figure, axes = new_axes(height=0.9 + 0.45 * (len(measured) + len(nulls)))
        names = [*measured, *nulls]
        for k, (value, std) in enumerate(measured.values()):
            error = None if std is None or not np.isfinite(std) else [std]
            axes.errorbar([value], [k], xerr=error, fmt=MARKERS[k], color=COLOURS[k], markersize=7, capsize=4)
        for k, (mean, low, high) in enumerate(nulls.values(), start=len(measured)):
            bars = np.abs([[mean - low], [high - mean]])
            axes.errorbar([mean], [k], xerr=bars, fmt="|", color=GREY, markersize=9, capsize=4, elinewidth=1.6)
        axes.set_yticks(range(len(names)), [name.replace(" ", "\n") for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("cosine with inferred (1 = same)")
        axes.set_ylabel("compared with (model)")
        axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure
