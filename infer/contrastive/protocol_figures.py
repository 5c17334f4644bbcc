"""Figures 4C, 5C, 6B and 8 of Falk, Strupp, Scellier, Murugan 2025, in their own axes, from labelled tables."""

from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from infer.contrastive.figures import DASHED, STYLES, alone, line_style, panels
from infer.plot.axes import MARKERS
from infer.plot.svg import BLUE, COLOURS, GREY
from simulate.contrastive import protocols

__all__ = ["offset_by_dissipation", "offset_by_rise", "protocol_panels", "range_by_asymmetry", "update_by_rise"]


def range_by_asymmetry(table: xr.Dataset) -> Figure:
    """Figure 4C: logarithms of the learning range and the asymmetry, from `simulate.contrastive.protocols`.

    Parameters
    ----------
    table : xarray.Dataset
        Of `protocols.range_of_protocols`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return _with_formulas(alone(partial(_range_by_asymmetry, table=table)))


def _range_by_asymmetry(axes: Axes, table: xr.Dataset) -> None:
    x = np.log(table["asymmetry"].values)
    axes.plot(x, x, color=GREY, linestyle=DASHED, linewidth=1.0, label=r"slow rise: $\tau_s / \tau_f$")
    for k, rise in enumerate(table["rise_time"].values):
        values = np.log(table["learning_range"].sel(rise_time=rise).values)
        axes.plot(x, values, **line_style(k), label=rf"$\tau_f = {rise:g}\,\tau_K$")
    axes.set_xlabel(r"$\ln(\tau_s / \tau_f)$")
    axes.set_ylabel(r"$\ln(A_{\max} / A_{\min})$")
    axes.legend(loc="upper left")


def offset_by_rise(table: xr.Dataset) -> Figure:
    """Figure 5C: offset of the learning curve against the rise time, for several periods.

    Parameters
    ----------
    table : xarray.Dataset
        Of `simulate.contrastive.protocols.offset_of_protocols`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return _with_formulas(alone(partial(_offset_by_rise, table=table)))


def _offset_by_rise(axes: Axes, table: xr.Dataset) -> None:
    x = table["rise_time"].values
    limit = r"slow rise: area × $\tau_f$ × mean signal"
    axes.plot(x, table["slow_rise"].values, color=GREY, linestyle=DASHED, linewidth=1.0, label=limit)
    for k, period in enumerate(table["period"].values):
        values = table["offset"].sel(period=period).values
        axes.plot(x, values, **line_style(k), label=rf"period ${period:g}\,\tau_K$")
    axes.set_xlabel(r"$\tau_f / \tau_K$")
    axes.set_ylabel(r"offset / $A_{\max}$")
    # lower where the fall is hardly slower than the rise
    axes.set_ylim(-0.035, 0.11)
    axes.legend(loc="upper left")


def offset_by_dissipation(table: xr.Dataset) -> Figure:
    """Figure 6B: logarithm of the offset of receptor ladders against their dissipation.

    Parameters
    ----------
    table : xarray.Dataset
        Of `simulate.contrastive.protocols.offset_against_dissipation`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return _with_formulas(alone(partial(_offset_by_dissipation, table=table)))


def _offset_by_dissipation(axes: Axes, table: xr.Dataset) -> None:
    for i, signal in enumerate(table["signal"].values):
        for j, rate in enumerate(table["switching_rate"].values):
            one = table.sel(signal=signal, switching_rate=rate)
            style: dict[str, Any] = {"color": COLOURS[i % 6], "marker": MARKERS[j % 6], "linestyle": STYLES[j % 6]}
            label = f"step {signal:g} μM, R = {rate:g}"
            with np.errstate(divide="ignore"):
                axes.plot(one["dissipation"], np.log(abs(one["offset"])), **style, markersize=4, label=label)
    axes.set_xlabel(r"dissipation ($kT\,k_R$)")
    axes.set_ylabel("ln |offset / mean signal|")
    axes.legend(loc="upper right")


def update_by_rise(table: xr.Dataset) -> Figure:
    """Figure 8: update over contrast against the rise time at one period.

    Parameters
    ----------
    table : xarray.Dataset
        Of `simulate.contrastive.protocols.update_against_rise_time`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return _with_formulas(alone(partial(_update_by_rise, table=table)))


def _update_by_rise(axes: Axes, table: xr.Dataset) -> None:
    axes.axhline(1.0, color=GREY, linestyle=":", linewidth=1.2, label="ideal contrast")
    axes.plot(table["rise_time"], table["closed_form"], color=GREY, linestyle=DASHED, label="closed form")
    axes.plot(table["rise_time"], table["relative_update"], "o", markersize=4, color=BLUE, label="chemotaxis kernel")
    axes.set_xlabel(r"$\tau_f / \tau_K$")
    axes.set_ylabel(r"$\Delta w / A$")
    axes.set_ylim(0.0, 1.08)
    axes.legend(loc="lower right")


def protocol_panels() -> Figure:
    """Figures 4C, 5C, 6B and 8 with the parameters of the paper, side by side.

    Returns
    -------
    matplotlib.figure.Figure
    """
    reach = protocols.range_of_protocols(np.exp(np.linspace(0.25, 6.0, 24)), [1.0, 2.0, 5.0, 20.0, 100.0])
    offset = protocols.offset_of_protocols(np.arange(4.0, 97.0, 4.0), [100.0, 200.0, 400.0, 1000.0])
    driving = protocols.offset_against_dissipation(np.geomspace(3e-5, 0.2, 19))
    rises = np.concatenate([np.arange(0.5, 6.0, 0.5), np.arange(6.0, 16.0, 2.0), np.arange(16.0, 161.0, 6.0)])
    update = protocols.update_against_rise_time(rises)
    figure = panels(
        [
            partial(_range_by_asymmetry, table=reach),
            partial(_offset_by_rise, table=offset),
            partial(_offset_by_dissipation, table=driving),
            partial(_update_by_rise, table=update),
        ],
        columns=2,
    )
    return _with_formulas(figure)


def _with_formulas(figure: Figure) -> Figure:
    """The figure, with the formulas in its labels set; the style leaves them plain, for pages."""
    for text in figure.findobj(Text):
        text.set_parse_math(True)
    return figure
