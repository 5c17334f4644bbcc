"""Figures of temporal contrastive learning, drawn from labelled tables, with labels and units on every axis."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from infer.plot.axes import MARKERS, bounded, legend_above, log_ticks, rate_ticks
from infer.plot.svg import BLUE, COLOURS, GREEN, GREY, VERMILION, drawing, new_axes
from infer.plot.write import write_figure
from simulate.contrastive import ContrastiveRule, Sawtooth, chemotaxis_kernel, experiments, hard_threshold, theory

__all__ = [
    "contrast_ratio",
    "cost_of_accuracy",
    "digits_errors",
    "learning_curve",
    "learning_range",
    "memory_panels",
    "offset_by_area",
    "retrieval",
    "similarity_profile",
    "spectra",
    "synapse_panels",
    "write_figure",
]

DASHED = (0, (4, 3))
STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))


def learning_curve(rule: ContrastiveRule, mean_signal: float = 0.0) -> Figure:
    """Update of one cycle against the contrast, with the learning window.

    Parameters
    ----------
    rule : simulate.contrastive.ContrastiveRule
        Rule with a threshold.
    mean_signal : float
        (free + clamped) / 2, in units of the signal.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return alone(lambda axes: _learning_curve(axes, rule, mean_signal))


def _learning_curve(axes: Axes, rule: ContrastiveRule, mean_signal: float = 0.0) -> None:
    onset, end = theory.learning_window(rule, mean_signal)
    a = np.linspace(0.0, 1.25 * end, 501)
    axes.axvspan(onset, end, color=GREEN, alpha=0.12, linewidth=0, label="learning window")
    axes.plot(a, a, color=GREY, linestyle=DASHED, linewidth=1.0, label="ideal contrast, Δw = A")
    axes.plot(a, rule.update(mean_signal - a / 2, mean_signal + a / 2), color=BLUE, label="synapse")
    axes.set_xlabel("A = clamped − free (units of signal)")
    axes.set_ylabel("Δw a cycle (units of signal)")
    axes.legend(loc="upper left")


def learning_range(table: xr.Dataset) -> Figure:
    """Learning range against the asymmetry of the protocol, from `experiments.range_against_asymmetry`.

    Parameters
    ----------
    table : xarray.Dataset
        `learning_range` (asymmetry).

    Returns
    -------
    matplotlib.figure.Figure
    """
    return alone(lambda axes: _learning_range(axes, table))


def _learning_range(axes: Axes, table: xr.Dataset) -> None:
    x = table["asymmetry"].values
    axes.plot(x, x, color=GREY, linestyle=DASHED, linewidth=1.0, label="fall time / rise time")
    axes.plot(x, table["learning_range"].values, "o", color=BLUE, label="chemotaxis kernel")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        log_ticks(axis, float(x.min()), float(x.max()))
    axes.set_xlabel("fall time / rise time (dimensionless)")
    axes.set_ylabel("end / onset of learning\n(dimensionless)")
    axes.legend(loc="upper left")


def offset_by_area(table: xr.Dataset) -> Figure:
    """Offset of the learning curve against the area of the kernel, from `experiments.offset_against_area`.

    Parameters
    ----------
    table : xarray.Dataset
        `offset` (area, mean_signal).

    Returns
    -------
    matplotlib.figure.Figure
    """
    return alone(lambda axes: _offset_by_area(axes, table))


def _offset_by_area(axes: Axes, table: xr.Dataset) -> None:
    for k, mean in enumerate(table["mean_signal"].values):
        values = table["offset"].sel(mean_signal=mean).values
        axes.plot(table["area"], values, **line_style(k), label=f"mean signal {mean:g}")
    axes.set_xlabel("area of the kernel (1 / rise time)")
    axes.set_ylabel("offset of Δw (units of signal)")
    axes.legend(loc="upper left")


def cost_of_accuracy(table: xr.Dataset) -> Figure:
    """Dissipation against the remaining adaptation error, from `experiments.dissipation_against_accuracy`.

    Parameters
    ----------
    table : xarray.Dataset
        `dissipation`, `error`, `law` (gamma) and the attribute `residual_error`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return alone(lambda axes: _cost_of_accuracy(axes, table))


def _cost_of_accuracy(axes: Axes, table: xr.Dataset) -> None:
    excess = table["error"].values - table.attrs["residual_error"]
    law = f"law: {table.attrs['cost_of_halving']:.2f} kT k_R a halving"
    axes.plot(excess, table["law"].values, color=GREY, linestyle=DASHED, label=law)
    axes.plot(excess, table["dissipation"].values, "o", color=VERMILION, label="receptor ladder")
    axes.set_xscale("log")
    log_ticks(axes.xaxis, float(excess.min()), float(excess.max()))
    axes.set_xlabel("adaptation error above its least (active fraction)")
    axes.set_ylabel("dissipation (kT k_R)")
    axes.legend(loc="upper right")


def contrast_ratio(table: xr.Dataset) -> Figure:
    """Weight of the free state relative to the clamped one, from `experiments.contrast_against_dissipation`.

    Parameters
    ----------
    table : xarray.Dataset
        `ratio`, `dissipation` (gamma).

    Returns
    -------
    matplotlib.figure.Figure
    """
    return alone(lambda axes: _contrast_ratio(axes, table))


def _contrast_ratio(axes: Axes, table: xr.Dataset) -> None:
    axes.axhline(1.0, color=GREEN, linestyle=DASHED, linewidth=1.0, label="free state unlearned in full")
    axes.axhline(-1.0, color=GREY, linestyle=":", linewidth=1.2, label="free state learned as well")
    axes.plot(table["dissipation"], table["ratio"], "o-", color=VERMILION, label="receptor ladder")
    axes.set_ylim(-1.6, 2.4)
    axes.set_xlabel("dissipation (kT k_R)")
    axes.set_ylabel("b / a of Δw = a clamped − b free\n(dimensionless)")
    axes.legend(loc="upper left")


def digits_errors(table: xr.Dataset) -> Figure:
    """Test error against epoch of each rule, from `experiments.digits_task`.

    Parameters
    ----------
    table : xarray.Dataset
        `test_error` (rule, epoch), as fractions.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return alone(lambda axes: _digits_errors(axes, table))


def _digits_errors(axes: Axes, table: xr.Dataset) -> None:
    # an error of 0 cannot be shown on a logarithmic axis: half a test sample is drawn instead
    least = 100 * 0.5 / 360
    shown = np.maximum(100 * table["test_error"].values, least)
    for k, name in enumerate(table["rule"].values):
        axes.plot(table["epoch"], shown[k], **line_style(k), label=str(name))
    axes.set_yscale("log")
    log_ticks(axes.yaxis, float(shown.min()), 100.0)
    axes.set_xlabel("epoch (passes through the data)")
    axes.set_ylabel("test error (%)")
    axes.set_ylim(0.8 * float(shown.min()), 110.0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(axes, 3)


def retrieval(table: xr.Dataset) -> Figure:
    """Overlap with a pattern after retrieval against the spins flipped before, from `experiments.memory_task`.

    Parameters
    ----------
    table : xarray.Dataset
        `mean_overlap` (network, flipped).

    Returns
    -------
    matplotlib.figure.Figure
    """
    return alone(lambda axes: _retrieval(axes, table))


def _retrieval(axes: Axes, table: xr.Dataset) -> None:
    for k, name in enumerate(table["network"].values):
        axes.plot(100 * table["flipped"], table["mean_overlap"].sel(network=name), **line_style(k), label=str(name))
    axes.set_xlabel("spins flipped at the start (%)")
    axes.set_ylabel("mean overlap at the end (dimensionless)")
    axes.legend(loc="lower left")


def spectra(table: xr.Dataset) -> Figure:
    """Eigenvalues of couplings scaled to the same norm, from `experiments.memory_task`.

    Parameters
    ----------
    table : xarray.Dataset
        `eigenvalues` (network, rank), ascending.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return alone(lambda axes: _spectra(axes, table))


def _spectra(axes: Axes, table: xr.Dataset) -> None:
    rank = np.arange(1, table.sizes["rank"] + 1)
    for k, name in enumerate(table["network"].values):
        values = table["eigenvalues"].sel(network=name).values[::-1]
        axes.plot(rank, values, color=COLOURS[k % 6], linestyle=STYLES[k % 6], label=str(name))
    axes.set_xlabel("rank, greatest first")
    axes.set_ylabel("eigenvalue (dimensionless)")
    axes.legend(loc="upper right")


def similarity_profile(table: xr.Dataset) -> Figure:
    """Cosine similarity along the dreaming family, from `infer.contrastive.tasks.compare_networks`.

    Parameters
    ----------
    table : xarray.Dataset
        `cosine_profile` (network, rate).

    Returns
    -------
    matplotlib.figure.Figure
    """
    return alone(lambda axes: _similarity_profile(axes, table))


def _similarity_profile(axes: Axes, table: xr.Dataset) -> None:
    rates = table["rate"].values
    for k, name in enumerate(table["network"].values):
        values = table["cosine_profile"].sel(network=name)
        axes.plot(bounded(rates), values, color=COLOURS[k % 6], linestyle=STYLES[k % 6], label=str(name))
    rate_ticks(axes, float(rates.min()), float(rates.max()))
    axes.set_xlabel("dreaming rate λ (even in λ/(1+λ))")
    axes.set_ylabel("cosine to dreamed couplings\n(dimensionless)")
    axes.legend(loc="lower center")


def memory_panels(table: xr.Dataset) -> Figure:
    """Retrieval, spectra and similarity of the networks of `infer.contrastive.tasks.train_memory`, side by side.

    Parameters
    ----------
    table : xarray.Dataset

    Returns
    -------
    matplotlib.figure.Figure
    """
    draws = (_retrieval, _spectra, _similarity_profile)
    return panels([functools.partial(draw, table=table) for draw in draws])


def synapse_panels(seed: int = 0) -> Figure:
    """Properties of a synapse with a memory in time: learning curve, range, offset, dissipation.

    Parameters
    ----------
    seed : int
        Seed of the signals from which b / a is fitted.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rule = ContrastiveRule(chemotaxis_kernel(20.0), Sawtooth(1.0, 9.0), hard_threshold(100 / 9))
    reach = experiments.range_against_asymmetry([2, 3, 5, 9, 19, 50])
    offset = experiments.offset_against_area(np.linspace(0.0, 0.1, 6), [0.0, 12.5, 25.0])
    cost = experiments.dissipation_against_accuracy(np.geomspace(0.001, 1.0, 25))
    contrast = experiments.contrast_against_dissipation(np.geomspace(0.001, 1.0, 25), seed=seed)
    return panels(
        [
            lambda axes: _learning_curve(axes, rule),
            lambda axes: _learning_range(axes, reach),
            lambda axes: _offset_by_area(axes, offset),
            lambda axes: _cost_of_accuracy(axes, cost),
            lambda axes: _contrast_ratio(axes, contrast),
        ]
    )


def line_style(k: int) -> dict[str, Any]:
    """Colour, marker and dashes of the k-th of several curves; each alone distinguishes them."""
    return {"color": COLOURS[k % 6], "marker": MARKERS[k % 6], "linestyle": STYLES[k % 6], "markersize": 5}


def alone(draw: Callable[[Axes], None]) -> Figure:
    """A figure with one panel."""
    with drawing():
        figure, axes = new_axes()
        FigureCanvasAgg(figure)
        draw(axes)
    return figure


def panels(draws: Sequence[Callable[[Axes], None]], columns: int = 3) -> Figure:
    """A figure with several panels, up to so many in each row."""
    columns = min(columns, len(draws))
    rows = -(-len(draws) // columns)
    with drawing():
        figure = Figure(figsize=(4.0 * columns, 3.4 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        for k, draw in enumerate(draws):
            draw(figure.add_subplot(rows, columns, k + 1))
    return figure
