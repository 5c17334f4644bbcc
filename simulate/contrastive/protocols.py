"""Contrastive learning against the times of a protocol and the dissipation of the memory, as labelled tables.

Times are in units of the memory tau_K = 1 / B of the kernel, as in the figures of Falk, Strupp, Scellier, Murugan 2025.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from simulate.checks import check_number
from simulate.contrastive import theory
from simulate.contrastive.nonlinearity import hard_threshold
from simulate.contrastive.receptor import ReceptorLadder
from simulate.contrastive.response import Kernel, chemotaxis_kernel
from simulate.contrastive.synapse import ContrastiveRule, Sawtooth, periodic_response

__all__ = [
    "offset_against_dissipation",
    "offset_of_protocols",
    "range_of_protocols",
    "update_against_rise_time",
]

# largest deviation from 1 of the slope of a curve whose intercept is an offset, as in the paper
_SLOPE_ERROR = 0.25


def range_of_protocols(asymmetries: ArrayLike, rise_times: ArrayLike) -> xr.Dataset:
    """Learning range A_max / A_min of a chemotaxis kernel against the asymmetry of the protocol and its rise time.

    With psi the response to the sawtooth between -1/2 and 1/2, A_max / A_min = max psi / |min psi|, whatever the hard
    threshold. For a slow rise it is tau_s / tau_f; at tau_s / tau_f = 10 it is 1.95 for tau_f = tau_K and 4.50 for
    tau_f = 2 tau_K.

    Parameters
    ----------
    asymmetries : array_like, shape (n_asymmetries,)
        tau_s / tau_f, above 1.
    rise_times : array_like, shape (n_rise_times,)
        tau_f / tau_K, above 0.

    Returns
    -------
    xarray.Dataset
        `learning_range` (rise_time, asymmetry); NaN where the fall passes the threshold at smaller contrasts than the
        rise, so that there is no learning window.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723), figure 4C.
    """
    columns = _above(asymmetries, "asymmetries", 1.0)
    rows = _above(rise_times, "rise_times", 0.0)
    kernel, found = chemotaxis_kernel(1.0), np.empty((len(rows), len(columns)))
    for i, rise in enumerate(rows):
        for j, asymmetry in enumerate(columns):
            _, psi = periodic_response(kernel, Sawtooth(rise, asymmetry * rise))
            found[i, j] = psi.max() / -psi.min()
    found[found <= 1.0] = np.nan
    return xr.Dataset(
        {"learning_range": (("rise_time", "asymmetry"), found)}, {"rise_time": rows, "asymmetry": columns}
    )


def offset_of_protocols(
    rise_times: ArrayLike,
    periods: ArrayLike,
    *,
    area: float = 0.0025,
    mean_signal: float = 25.0,
    largest: float = 100.0,
) -> xr.Dataset:
    """Offset of the learning curve of a kernel with an area against the rise time and the period of the protocol.

    The hard threshold lets the learning window end at A_max. Where the rise is slow, the offset is area tau_f
    mean_signal; a faster rise passes the threshold late, and what it misses lowers the offset.

    Parameters
    ----------
    rise_times : array_like, shape (n_rise_times,)
        tau_f / tau_K, above 0.
    periods : array_like, shape (n_periods,)
        (tau_f + tau_s) / tau_K, above 0.
    area : float, default 0.0025
        Area I of the kernel, per tau_K; 0.05 per unit of time at B = 20.
    mean_signal : float, default 25
        (free + clamped) / 2.
    largest : float, default 100
        A_max > 0, in the units of the mean signal.

    Returns
    -------
    xarray.Dataset
        `offset` (period, rise_time) and its limit of slow rises `slow_rise` (rise_time), both over A_max; NaN where
        there is no learning window, or the slope of the learning curve differs from 1 by more than 0.25.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723), figure 5C.
    """
    columns, rows = _above(rise_times, "rise_times", 0.0), _above(periods, "periods", 0.0)
    largest = check_number(largest, "largest", low=0.0, open_low=True)
    kernel, found = chemotaxis_kernel(1.0, area), np.full((len(rows), len(columns)), np.nan)
    for i, period in enumerate(rows):
        for j, rise in enumerate(columns):
            if period <= 2 * rise:
                continue
            rule = _ending_at(largest, kernel, Sawtooth(rise, period - rise), mean_signal)
            onset, end = theory.learning_window(rule, mean_signal)
            if end > onset:
                curve = theory.learning_curve(rule, mean_signal)
                if abs(curve.slope - 1) <= _SLOPE_ERROR:
                    found[i, j] = curve.offset / largest
    return xr.Dataset(
        {
            "offset": (("period", "rise_time"), found),
            "slow_rise": ("rise_time", area * columns * mean_signal / largest),
        },
        {"period": rows, "rise_time": columns},
    )


def offset_against_dissipation(
    gammas: ArrayLike,
    *,
    signals: ArrayLike = (20.0, 200.0),
    switching_rates: ArrayLike = (5.0, 25.0, 100.0),
    methylation_rate: float = 5.0,
    protocol: Sawtooth | None = None,
    mean_signal: float = 10.0,
    largest: float = 50.0,
) -> xr.Dataset:
    """Offset of the learning curve of receptor ladders against their dissipation.

    The offset is the intercept of the line fitted by least squares to the update over the whole learning window, which
    the hard threshold lets end at A_max. Driving lowers the area of the kernel, and with it the offset, down to what
    the residual adaptation error leaves.

    Parameters
    ----------
    gammas : array_like, shape (n_gammas,)
        Reversibilities of the methylation, in (0, 1].
    signals : array_like, shape (n_signals,), default (20, 200)
        Ligand concentrations (micromolar) of the step that defines the response.
    switching_rates : array_like, shape (n_switching_rates,), default (5, 25, 100)
        R, in units of k_R.
    methylation_rate : float, default 5
        k_R, per unit of time of the protocol.
    protocol : Sawtooth, optional
        Rise 3 and fall 15 by default.
    mean_signal : float, default 10
        (free + clamped) / 2.
    largest : float, default 50
        A_max > 0, in the units of the mean signal.

    Returns
    -------
    xarray.Dataset
        `offset`, the offset of the update in units of A_max over the mean signal, and `area` of the kernel per unit of
        time (signal, switching_rate, gamma); `dissipation` (switching_rate, gamma), in kT k_R at signal 0. NaN where
        the ladder is no contrastive memory or has no learning window.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723), figure 6B.
    """
    cycle = Sawtooth(3.0, 15.0) if protocol is None else protocol
    largest = check_number(largest, "largest", low=0.0, open_low=True)
    values, ligands, rates = (
        np.atleast_1d(np.asarray(a, dtype=np.float64)) for a in (gammas, signals, switching_rates)
    )
    ladders = [[ReceptorLadder(gamma, rate) for gamma in values] for rate in rates]
    offset, area = np.full((2, len(ligands), len(rates), len(values)), np.nan)
    for i, signal in enumerate(ligands):
        for j, row in enumerate(ladders):
            for k, ladder in enumerate(row):
                if ladder.first_moment(signal) >= 0:
                    continue
                kernel = ladder.kernel(signal, methylation_rate)
                area[i, j, k] = kernel.area
                rule = _ending_at(largest, kernel, cycle, mean_signal)
                onset, end = theory.learning_window(rule, mean_signal)
                if end > onset:
                    curve = theory.learning_curve(rule, mean_signal)
                    offset[i, j, k] = np.polyfit(curve.amplitudes, curve.updates, 1)[1] / largest / mean_signal
    dims = ("signal", "switching_rate", "gamma")
    dissipation = [[ladder.dissipation() for ladder in row] for row in ladders]
    return xr.Dataset(
        {"offset": (dims, offset), "area": (dims, area), "dissipation": (dims[1:], dissipation)},
        {"signal": ligands, "switching_rate": rates, "gamma": values},
        {"rise_time": cycle.rise_time, "largest": largest},
    )


def update_against_rise_time(rise_times: ArrayLike, *, period: float = 400.0) -> xr.Dataset:
    """Update over contrast, dw / A, of a chemotaxis kernel against the rise time, at one period of the protocol.

    The hard threshold lies in the middle between the slopes of rise and fall, (A / tau_f + A / tau_s) / 2.

    Parameters
    ----------
    rise_times : array_like, shape (n_rise_times,)
        tau_f / tau_K, above 0 and below half the period.
    period : float, default 400
        (tau_f + tau_s) / tau_K.

    Returns
    -------
    xarray.Dataset
        `relative_update` and `closed_form` (`theory.fast_memory_update`), over A (rise_time).

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723), figure 8.
    """
    rises = _above(rise_times, "rise_times", 0.0)
    period = check_number(period, "period", low=0.0, open_low=True)
    if (rises >= period / 2).any():
        raise ValueError(f"rise_times must be below half the period, {period / 2:g}, got {rises.max():g}")
    kernel = chemotaxis_kernel(1.0)
    update, closed_form = np.empty((2, len(rises)))
    for k, rise in enumerate(rises):
        cycle = Sawtooth(rise, period - rise)
        theta = (1 / cycle.rise_time + 1 / cycle.fall_time) / 2
        update[k] = ContrastiveRule(kernel, cycle, hard_threshold(theta)).update(0.0, 1.0)
        closed_form[k] = theory.fast_memory_update(1.0, cycle, theta, rate=1.0)
    columns = {"relative_update": ("rise_time", update), "closed_form": ("rise_time", closed_form)}
    return xr.Dataset(columns, {"rise_time": rises})


def _ending_at(largest: float, kernel: Kernel, protocol: Sawtooth, mean_signal: float) -> ContrastiveRule:
    """Rule with the hard threshold at which the learning window ends at a contrast `largest`."""
    psi = periodic_response(kernel, protocol)[1] - kernel.area / 2
    theta = -largest * float(psi.min()) - kernel.area * mean_signal
    return ContrastiveRule(kernel, protocol, hard_threshold(theta))


def _above(values: Any, name: str, bound: float) -> NDArray[np.float64]:
    """Numbers (n_values,), all finite and above the bound."""
    found = np.atleast_1d(np.asarray(values, dtype=np.float64))
    wrong = ~(np.isfinite(found) & (found > bound))
    if wrong.any():
        raise ValueError(f"{name} must be above {bound:g} and finite, got {found[wrong][0]:g}")
    return found
