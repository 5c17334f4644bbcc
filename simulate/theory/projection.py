"""The member of the dreaming family that a fit to infinitely many samples of a known covariance gives."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares

__all__ = ["METHODS", "nearest_member"]

Values = NDArray[np.float64]

METHODS = ("pseudolikelihood", "likelihood", "couplings")
_NO_RATE = "all dreamed versions of these couplings are proportional to them: no rate can be told"


def nearest_member(
    hebbian: Values, shares: Values, variances: Values, method: str, condensed: float = 0.0
) -> tuple[float, float]:
    """Rate lambda and slope A of the couplings A G (I + lambda G)^-1 nearest to those of a covariance.

    Parameters
    ----------
    hebbian : ndarray, shape (n_modes,)
        Eigenvalues x of the Hebbian matrix G with its diagonal.
    shares : ndarray, shape (n_modes,)
        Share of all modes that each eigenvalue represents; they add up to 1.
    variances : ndarray, shape (n_modes,)
        Variance V of the samples along each mode.
    method : {"pseudolikelihood", "likelihood", "couplings"}
        Quantity that is minimised, with J_eff = -1 / V and without diagonals: the mean over modes of V (J - J_eff)^2;
        that of p V - log p, p = kappa - J, kappa free; or that of (J - J_eff)^2.
    condensed : float, default 0
        Additional variance, per unit, along the leading mode alone, in the limit of many units; implemented for
        "likelihood" only.

    Returns
    -------
    rate, slope : float
        In the inverse units of the eigenvalues.

    Raises
    ------
    ValueError
        If all members are proportional, or no rate is nearest.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if condensed > 0 and method != "likelihood":
        raise ValueError(f"{method}: not known where the leading mode alone holds a share of the variance")
    scale = float(hebbian.max())
    if not scale > 0:
        raise ValueError(_NO_RATE)
    x = hebbian / scale  # scaled, so that residuals and parameters are of order one for any size of the couplings
    first, second = (np.sqrt(shares * variances) * (powers - shares @ powers) for powers in (x, x**2))
    if (first @ second) ** 2 >= (1 - 1e-9) * (first @ first) * (second @ second):
        raise ValueError(_NO_RATE)
    if method == "likelihood":
        rate, slope = _by_likelihood(x, shares, variances, condensed)
    else:
        rate, slope = _by_squares(x, shares, variances, shares * variances if method == "pseudolikelihood" else shares)
    return rate / scale, slope / scale


def _by_squares(x: Values, shares: Values, variances: Values, weights: Values) -> tuple[float, float]:
    """Least weighted squares between couplings without diagonals."""
    root = np.sqrt(weights)
    effective = -1 / variances
    effective = effective - shares @ effective
    size = math.sqrt(float(weights @ effective**2)) or 1.0

    def distance(parameters: Values) -> Values:
        slope, rate = parameters
        member = slope * x / (1 + rate * x)
        return root * (member - shares @ member - effective / size)

    start = [math.sqrt(1 / float(weights @ (x - shares @ x) ** 2)), 0.0]
    bounds = ([0.0, -0.999], [np.inf, np.inf])
    slope, rate = least_squares(distance, start, bounds=bounds, xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    return float(rate), float(slope * size)


def _by_likelihood(x: Values, shares: Values, variances: Values, condensed: float) -> tuple[float, float]:
    """Greatest Gaussian likelihood over stiffness, slope and rate.

    The first two are a concave problem at each rate, and the best rate is where the derivative by it vanishes. With
    variance in the leading mode alone the fit condenses too: its precision there is 0, kappa = J of the leading mode.
    """
    solve = _condensed_stiffness if condensed > 0 else _free_stiffness
    top = float(x.max())

    def score(log_distance: float) -> float:
        """Derivative of the likelihood by the rate, over the slope, at 1 + rate x_max = exp(log_distance)."""
        rate = math.expm1(log_distance) / top
        precision, _ = solve(x / (1 + rate * x), shares, variances)
        bend = (x / (1 + rate * x)) ** 2
        if condensed > 0:
            bend = bend - (top / (1 + rate * top)) ** 2
        return float((shares * (1 / precision - variances)) @ bend)

    low, high = -0.1, 0.1
    while score(low) * score(high) > 0:
        low, high = low - 0.3, high + 0.3
        if high > 12:
            raise ValueError("no dreaming rate is nearest to these couplings: it runs to the end of its range")
    rate = math.expm1(brentq(score, low, high, xtol=1e-13)) / top
    return rate, solve(x / (1 + rate * x), shares, variances)[1]


def _free_stiffness(member: Values, shares: Values, variances: Values) -> tuple[Values, float]:
    """Precisions kappa - A member of greatest likelihood, and A."""
    basis = np.stack([np.ones_like(member), -member])

    def likelihood(parameters: Values) -> float:
        precision = parameters @ basis
        if precision.min() <= 0:
            return -math.inf
        return float(shares @ (np.log(precision) - variances * precision))

    parameters = np.array([1 / float(shares @ variances), 0.0])
    value = likelihood(parameters)
    for _ in range(100):
        precision = parameters @ basis
        gradient = basis @ (shares * (1 / precision - variances))
        step = np.linalg.solve((basis * (shares / precision**2)) @ basis.T, gradient)
        if gradient @ step < 1e-24:
            break
        # the function is concave, so that short enough Newton steps increase it; the last ones are below rounding
        # errors
        while (raised := likelihood(parameters + step)) < value - 1e-13 * abs(value):
            step = step / 2
        parameters, value = parameters + step, raised
    return parameters @ basis, float(parameters[1])


def _condensed_stiffness(member: Values, shares: Values, variances: Values) -> tuple[Values, float]:
    """Precisions A (member at the top - member) of greatest likelihood, and A."""
    gaps = np.maximum(member.max() - member, 1e-300)
    slope = 1 / float(shares @ (variances * gaps))
    return slope * gaps, slope
