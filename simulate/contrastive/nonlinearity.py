"""Odd functions that map the filtered signal of a synapse to the rate of change of its weight."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import check_number

__all__ = ["Nonlinearity", "cubic", "hard_threshold", "linear", "signed_square", "soft_threshold"]


@dataclass(frozen=True)
class Nonlinearity:
    """Odd function g(u) = p(u) for u >= threshold, -p(-u) for u <= -threshold, 0 between, p a cubic polynomial.

    Made by `hard_threshold`, `soft_threshold`, `signed_square`, `cubic` and `linear`.

    Parameters
    ----------
    threshold : float
        >= 0, in units of u (signal per unit of time).
    coefficients : tuple of four floats
        p(threshold + x) = sum_k coefficients[k] x^k.
    """

    threshold: float
    coefficients: tuple[float, float, float, float]

    def __call__(self, u: ArrayLike) -> NDArray[np.float64]:
        """g of any array."""
        values = np.asarray(u, dtype=np.float64)
        excess = np.abs(values) - self.threshold
        return np.where(excess >= 0, np.sign(values) * np.polynomial.polynomial.polyval(excess, self.coefficients), 0.0)


def hard_threshold(threshold: float) -> Nonlinearity:
    """Hard threshold: g(u) = u where |u| >= threshold, else 0.

    Parameters
    ----------
    threshold : float
        theta >= 0, in units of signal per time.

    Returns
    -------
    Nonlinearity

    Raises
    ------
    ValueError
        If the threshold is out of range.
    """
    theta = check_number(threshold, "threshold", low=0.0)
    return Nonlinearity(theta, (theta, 1.0, 0.0, 0.0))


def soft_threshold(threshold: float) -> Nonlinearity:
    """Soft threshold: g(u) = sign(u) max(|u| - threshold, 0).

    Parameters
    ----------
    threshold : float
        theta >= 0, in units of signal per time.

    Returns
    -------
    Nonlinearity

    Raises
    ------
    ValueError
        If the threshold is out of range.
    """
    return Nonlinearity(check_number(threshold, "threshold", low=0.0), (0.0, 1.0, 0.0, 0.0))


def signed_square() -> Nonlinearity:
    """Signed square: g(u) = u |u|.

    Returns
    -------
    Nonlinearity
    """
    return Nonlinearity(0.0, (0.0, 0.0, 1.0, 0.0))


def cubic(scale: float = 1.0) -> Nonlinearity:
    """Cubic nonlinearity: g(u) = u^3 / scale.

    Parameters
    ----------
    scale : float, default 1
        > 0, in units of u^2.

    Returns
    -------
    Nonlinearity

    Raises
    ------
    ValueError
        If the scale is out of range.
    """
    return Nonlinearity(0.0, (0.0, 0.0, 0.0, 1.0 / check_number(scale, "scale", low=0.0, open_low=True)))


def linear() -> Nonlinearity:
    """Identity, g(u) = u.

    A negative control: with a kernel of zero area nothing is learned.

    Returns
    -------
    Nonlinearity
    """
    return Nonlinearity(0.0, (0.0, 1.0, 0.0, 0.0))
