"""Potentials of continuous units, and the stationary variances of the linear ones."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from simulate.checks import check_number

__all__ = ["Harmonic", "Potential", "SoftSpin", "Spherical", "mode_variance", "spherical_stiffness"]


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


# units are said to reach energies of this many T + T_a above the lowest; steps stay stable much further out
_REACHED = 3.0
_FARTHEST = 1e4


class Potential(ABC):
    """Potential u(x) of single units that is not quadratic; write a subclass for one of your own.

    A subclass is a frozen dataclass of its parameters with three methods on arrays. u must grow faster than
    max eig(J) x^2 / 2 at large distances of both signs. Units start at random at x = +-1.

    References
    ----------
    Kloeden, Platen 1992, Numerical Solution of Stochastic Differential Equations, section 15.1 (the Heun steps).
    """

    @abstractmethod
    def energy(self, x: Any) -> Any:
        """Energy u(x) of each unit.

        Parameters
        ----------
        x : ndarray of any shape

        Returns
        -------
        ndarray
            Of the shape of `x`.
        """

    @abstractmethod
    def derivative(self, x: Any) -> Any:
        """Derivative u'(x) of each unit; its opposite is the force.

        Parameters
        ----------
        x : ndarray of any shape

        Returns
        -------
        ndarray
            Of the shape of `x`.
        """

    @abstractmethod
    def curvature(self, x: Any) -> Any:
        """Second derivative u''(x) of each unit.

        Parameters
        ----------
        x : ndarray of any shape

        Returns
        -------
        ndarray
            Of the shape of `x`.
        """

    def stiffest(self, largest_eigenvalue: float, strongest_field: float, temperature: float) -> float:
        """Largest curvature that units reach, which decides on the time step.

        Here the largest u''(x) where u(x) - lambda x^2 / 2 - h |x| is within 3 T of its minimum.

        Parameters
        ----------
        largest_eigenvalue : float
            lambda, that of the couplings, or 0 if it is negative.
        strongest_field : float
            h, the largest |H_i|.
        temperature : float
            T + T_a, in units of energy.

        Returns
        -------
        float
            In units of inverse time.

        Raises
        ------
        ValueError
            If the potential does not hold units together.
        """
        radius = np.concatenate([np.linspace(0, 10, 4001), np.geomspace(10, _FARTHEST, 2000)[1:]])
        x = np.concatenate([-radius[:0:-1], radius])
        energy = self.energy(x) - largest_eigenvalue * x**2 / 2 - strongest_field * abs(x)
        reached = energy <= energy.min() + _REACHED * temperature
        if not np.isfinite(energy).all() or reached[0] or reached[-1]:
            raise ValueError(
                f"potential: {type(self).__name__} does not hold units together; u(x) must be finite and grow faster "
                f"than {largest_eigenvalue:.4g} x^2 / 2, half the largest eigenvalue of the couplings times x^2"
            )
        return float(np.max(self.curvature(x[reached])))


@dataclass(frozen=True)
class SoftSpin(Potential):
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

    def energy(self, x: Any) -> Any:
        return self.barrier / 4 * (x**2 - 1) ** 2

    def derivative(self, x: Any) -> Any:
        return self.barrier * x * (x**2 - 1)

    def curvature(self, x: Any) -> Any:
        return self.barrier * (3 * x**2 - 1)

    def stiffest(self, largest_eigenvalue: float, strongest_field: float, temperature: float) -> float:
        """Largest curvature that units reach.

        u'' = b (3 x^2 - 1) is taken at x^2 = 1 + (max eig(J) + max |H|) / b, where the force of the potential balances
        the largest force of couplings and fields, or where its quartic part equals 9/4 of T + T_a,
        x^2 = 3 sqrt((T + T_a) / b), if that is larger.

        Parameters
        ----------
        largest_eigenvalue : float
            That of the couplings, or 0 if it is negative.
        strongest_field : float
            The largest |H_i|, in units of energy.
        temperature : float
            T + T_a, in units of energy.

        Returns
        -------
        float
            In units of inverse time.
        """
        balanced = 1 + (largest_eigenvalue + strongest_field) / self.barrier
        return self.barrier * (3 * max(balanced, 3 * math.sqrt(temperature / self.barrier)) - 1)


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
