"""Potentials of continuous units, and the stationary variances of the linear ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from simulate.checks import check_number

__all__ = ["Harmonic", "SoftSpin", "Spherical", "mode_variance", "spherical_stiffness"]


@dataclass(frozen=True)
class Harmonic:
    """Potential u(x) = k x^2 / 2.

    Parameters
    ----------
    stiffness : float
        k > 0, above the largest eigenvalue of the couplings for a steady state to exist.

    Raises
    ------
    ValueError
        If the stiffness is not a positive number.
    """

    stiffness: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "stiffness", check_number(self.stiffness, "stiffness", low=0.0, open_low=True))


@dataclass(frozen=True)
class Spherical:
    """Potential k x^2 / 2 with the stiffness k at which the steady state has <|x|^2> / N = 1 (mean spherical model)."""


@dataclass(frozen=True)
class SoftSpin:
    """Potential u(x) = b (x^2 - 1)^2 / 4: two wells at +-1, u'(x) = b x (x^2 - 1).

    Parameters
    ----------
    barrier : float
        b > 0; the barrier between the wells is b / 4.

    Raises
    ------
    ValueError
        If the barrier is not a positive number.
    """

    barrier: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "barrier", check_number(self.barrier, "barrier", low=0.0, open_low=True))


def mode_variance(
    stiffness: ArrayLike, temperature: float, active_temperature: float, persistence_time: float
) -> NDArray[np.float64]:
    """Stationary variance of a mode a under dx = -a x dt + v dt + sqrt(2 T) dW: T / a + T_a / (a (1 + a tau)).

    Parameters
    ----------
    stiffness : array_like of any shape
        Eigenvalues a > 0 of A = k I - J.
    temperature, active_temperature : float
        T and T_a, in units of energy.
    persistence_time : float
        tau, in units of time.

    Returns
    -------
    ndarray
        Of the shape of `stiffness`.

    References
    ----------
    Szamel 2014, Phys. Rev. E 90, 012111 (a harmonic mode under coloured noise).
    """
    a = np.asarray(stiffness, dtype=np.float64)
    return temperature / a + active_temperature / (a * (1 + a * persistence_time))


def spherical_stiffness(
    eigenvalues: ArrayLike, temperature: float, active_temperature: float, persistence_time: float
) -> float:
    """Stiffness k at which <|x|^2> / N = 1: the mean of `mode_variance(k - eig(J), ...)` over the spectrum is 1.

    The mean falls from infinity at k = max eig(J) to 0, so there is exactly one solution at any finite N.

    Parameters
    ----------
    eigenvalues : array_like, shape (n_spins,)
        Spectrum of the couplings.
    temperature, active_temperature : float
        T and T_a, in units of energy, not both 0.
    persistence_time : float
        tau, in units of time.

    Returns
    -------
    float
        k, above max eig(J).

    Raises
    ------
    ValueError
        If both temperatures are 0.

    References
    ----------
    Berlin, Kac 1952, Phys. Rev. 86, 821 (the spherical constraint); under coloured noise derived for this project.
    """
    spectrum = np.asarray(eigenvalues, dtype=np.float64)
    total = temperature + active_temperature
    if total <= 0:
        raise ValueError("temperature and active_temperature are both 0: the spherical constraint has no solution")
    top = float(spectrum.max())

    def excess(log_gap: float) -> float:
        gaps = math.exp(log_gap) + (top - spectrum)
        return float(mode_variance(gaps, temperature, active_temperature, persistence_time).mean()) - 1.0

    # a variance is at most total / gap, so at a gap of `total` the mean is at most 1: the root lies below
    high = math.log(total) + 0.1
    low = high - 1.0
    while excess(low) < 0:
        low -= 2.0
    root: float = brentq(excess, low, high, xtol=1e-13)
    return top + math.exp(root)
