"""The member of the dreaming family that a fit finds in endless samples of a known covariance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares

__all__ = ["METHODS", "nearest_member"]

Values = NDArray[np.float64]

METHODS = ("pseudolikelihood", "likelihood", "couplings")
_NO_RATE = "all dreamed versions of these couplings are proportional to them: no rate can be told"


def nearest_member(hebbian: Values, shares: Values, variances: Values, method: str) -> tuple[float, float]:
    """Rate lambda and slope A of the couplings A G (I + lambda G)^-1 nearest to those of a covariance.

    Parameters
    ----------
    hebbian : ndarray, shape (n_modes,)
        Eigenvalues x of the Hebbian matrix G with its diagonal.
    shares : ndarray, shape (n_modes,)
        How many of all modes each stands for; they add up to 1.
    variances : ndarray, shape (n_modes,)
        V of the samples along each.
    method : {"pseudolikelihood", "likelihood", "couplings"}
        What is minimised, with J_eff = -1 / V and without diagonals: the mean over modes of V (J - J_eff)^2; that of
        p V - log p, p = kappa - J, kappa free; or that of (J - J_eff)^2.

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
    scale = float(hebbian.max())
    if not scale > 0:
        raise ValueError(_NO_RATE)
    x = hebbian / scale  # so that neither residuals nor parameters shrink with the couplings
    first, second = (np.sqrt(shares * variances) * (powers - shares @ powers) for powers in (x, x**2))
    if (first @ second) ** 2 >= (1 - 1e-9) * (first @ first) * (second @ second):
        raise ValueError(_NO_RATE)
    fit = _by_likelihood if method == "likelihood" else _by_squares
    weights = shares * variances if method == "pseudolikelihood" else shares
    rate, slope = fit(x, shares, variances, weights)
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


def _by_likelihood(x: Values, shares: Values, variances: Values, weights: Values) -> tuple[float, float]:
    """Greatest Gaussian likelihood over stiffness, slope and rate: nested, since the first two are a concave problem."""

    def inner(rate: float) -> tuple[Values, float, Values]:
        """Precisions, slope and the direction of the couplings at this rate."""
        member = x / (1 + rate * x)
        basis = np.stack([np.ones_like(x), -member])
        parameters = np.array([1 / float(shares @ variances), 0.0])
        for _ in range(200):
            precision = parameters @ basis
            gradient = basis @ (shares * (1 / precision - variances))
            curvature = (basis * (shares / precision**2)) @ basis.T
            step = np.linalg.solve(curvature, gradient)
            decrement = float(gradient @ step)
            # damped Newton steps of a self-concordant function stay where the precision is positive
            parameters = parameters + step / (1 + math.sqrt(max(decrement, 0.0)))
            if decrement < 1e-26:
                break
        return parameters @ basis, float(parameters[1]), member

    def score(log_distance: float) -> float:
        """Derivative of the likelihood by the rate, over the slope, at 1 + rate x_max = exp(log_distance)."""
        precision, _, member = inner(math.expm1(log_distance))
        return float((shares * (1 / precision - variances)) @ member**2)

    low, high = -0.1, 0.1
    while score(low) * score(high) > 0:
        low, high = low - 0.3, high + 0.3
        if high > 12:
            raise ValueError("no dreaming rate is nearest to these couplings: it runs to the end of its range")
    rate = math.expm1(brentq(score, low, high, xtol=1e-13))
    return rate, inner(rate)[1]
