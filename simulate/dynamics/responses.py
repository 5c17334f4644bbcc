"""Response of driven dynamics to weak couplings in the disordered state: closed forms used by `simulate.theory`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.dynamics.potentials import mode_variance

__all__ = [
    "ColoredResponse",
    "EquilibriumResponse",
    "LinearUnits",
    "MixedBathResponse",
    "PersistentResponse",
    "Response",
    "SpinResponse",
    "coloured_noise",
    "coloured_variance",
    "persistent_variance",
]

Values = NDArray[np.float64]

# Gauss-Hermite points for averages over the coloured field, and Hermite polynomials in which tanh is expanded
_HERMITE_POINTS = 160
_HERMITE_ORDERS = 40


class Response(ABC):
    """Closed forms of a dynamics, returned by its `response()`.

    A dynamics with other closed forms returns an object of its own subclass with these two methods.
    """

    @abstractmethod
    def variances(self, eigenvalues: Values) -> Values:
        """Equal-time variances along the modes of the couplings.

        Parameters
        ----------
        eigenvalues : ndarray, shape (n_modes,)
            Eigenvalues of the couplings.

        Returns
        -------
        ndarray, shape (n_modes,)

        Raises
        ------
        ValueError
            If the closed form is not valid for them; the message gives the remedy.
        """

    @abstractmethod
    def expansion(self) -> tuple[float, float]:
        """Coefficients of J and J^2 in the effective couplings, minus the inverse variance expanded about J = 0."""


class SpinResponse(Response):
    """Closed forms of spins without constant fields."""

    @property
    @abstractmethod
    def gain(self) -> float:
        """Response of the mean of a free spin to a weak constant field, in units of inverse temperature."""

    @property
    def equilibrium(self) -> bool:
        """Whether detailed balance holds, so that the effective couplings are gain * J exactly, with any fields."""
        return False

    def variances(self, eigenvalues: Values) -> Values:
        return 1 / (1 - below_transition(self.gain * eigenvalues))

    def expansion(self) -> tuple[float, float]:
        return self.gain, 0.0


@dataclass(frozen=True)
class EquilibriumResponse(SpinResponse):
    """Closed forms of spins with detailed balance at temperature T; gain 1 / T."""

    temperature: float

    @property
    def gain(self) -> float:
        return 1 / self.temperature

    @property
    def equilibrium(self) -> bool:
        return True


@dataclass(frozen=True)
class MixedBathResponse(SpinResponse):
    """Closed forms of spins coupled to several baths; the gain is the mean of the inverse temperatures."""

    inverse_temperature: float

    @property
    def gain(self) -> float:
        return self.inverse_temperature


@dataclass(frozen=True)
class PersistentResponse(SpinResponse):
    """Closed forms of spins whose thresholds are kept with probability `persistence` at each update; gain 1 / T."""

    temperature: float
    persistence: float

    @property
    def gain(self) -> float:
        return 1 / self.temperature

    @property
    def equilibrium(self) -> bool:
        return self.persistence == 0

    def variances(self, eigenvalues: Values) -> Values:
        return persistent_variance(self.gain * eigenvalues, self.persistence)

    def expansion(self) -> tuple[float, float]:
        a, t = self.persistence, self.temperature
        return 2 / ((2 - a) * t), -a / ((2 - a) ** 2 * t**2)


@dataclass(frozen=True)
class ColoredResponse(SpinResponse):
    """Closed forms of heat-bath spins at temperature T in coloured fields; gain ``<sech^2(v / T)> / T``."""

    temperature: float
    persistence_time: float
    active_temperature: float

    @property
    def gain(self) -> float:
        return coloured_noise(self.temperature, self.persistence_time, self.active_temperature)[0]

    @property
    def equilibrium(self) -> bool:
        return self.active_temperature == 0

    def variances(self, eigenvalues: Values) -> Values:
        return coloured_variance(
            self.gain * eigenvalues, self.temperature, self.persistence_time, self.active_temperature
        )

    def expansion(self) -> tuple[float, float]:
        gain, weights, rates = coloured_noise(self.temperature, self.persistence_time, self.active_temperature)
        # V = 1 + V1 g + V2 g^2, so that -1 / V = -1 + V1 g + (V2 - V1^2) g^2
        first = 1 + float((weights / (1 + rates) ** 2).sum())
        second = first + float((weights / (1 + rates) ** 3).sum())
        return first * gain, (second - first**2) * gain**2


@dataclass(frozen=True)
class LinearUnits(Response):
    """Exact closed forms of units in a quadratic potential, with any fields: dx = -(k - J) x dt + v dt + sqrt(2 T) dW.

    Parameters
    ----------
    stiffness : float
        k, above the largest eigenvalue of J.
    temperature, active_temperature : float
        T and T_a, in units of energy.
    persistence_time : float
        tau, in units of time.
    spherical : bool
        Whether k follows from the spherical constraint.
    """

    stiffness: float
    temperature: float
    active_temperature: float
    persistence_time: float
    spherical: bool = False

    def variances(self, eigenvalues: Values) -> Values:
        return mode_variance(
            self.stiffness - eigenvalues, self.temperature, self.active_temperature, self.persistence_time
        )

    def expansion(self) -> tuple[float, float]:
        # precision p(a) = a (1 + a tau) / (T (1 + a tau) + T_a) at a = k - j: -p = -p(k) + p'(k) j - p''(k)/2 j^2
        k, tau = self.stiffness, self.persistence_time
        thermal, active = self.temperature, self.active_temperature
        top, top1, top2 = k + k**2 * tau, 1 + 2 * k * tau, 2 * tau
        bottom, bottom1 = thermal * (1 + k * tau) + active, thermal * tau
        first = (top1 * bottom - top * bottom1) / bottom**2
        second = top2 / bottom - 2 * bottom1 * first / bottom
        return first, -second / 2


def persistent_variance(mode: Any, persistence: float) -> NDArray[np.float64]:
    """Equal-time variance of a mode of persistent-threshold Glauber dynamics in linear response.

    With g the eigenvalue of J / T and gamma = 1 - persistence the rate at which thresholds are redrawn,

        V(g) = (1 + gamma (1 - g)) / ((1 - g) (1 - g + gamma)),    V(0) = 1,

    for a noise with autocorrelation exp(-gamma t) and a response exp(-t) / T. At persistence 0 this is 1 / (1 - g),
    the result of the same approximation in equilibrium.

    Parameters
    ----------
    mode : array_like of any shape
        Eigenvalues g < 1 of J / T.
    persistence : float
        In [0, 1).

    Returns
    -------
    ndarray
        Of the shape of `mode`, in units of the variance of a free spin.

    Raises
    ------
    ValueError
        If a mode is at or above 1, where the paramagnetic state is unstable.

    References
    ----------
    Derived for this project; see Behera et al. 2024, arXiv 2410.06269 for the dynamics.
    """
    g = below_transition(mode)
    gamma = 1.0 - persistence
    return (1 + gamma * (1 - g)) / ((1 - g) * (1 - g + gamma))


def coloured_variance(
    mode: Any, temperature: float, persistence_time: float, active_temperature: float
) -> NDArray[np.float64]:
    """Equal-time variance of a mode of coloured-field Glauber dynamics in linear response.

    An update sets the mean of a spin to tanh((h + v) / T). In linear response the mean follows the field h with gain
    ``beta = <sech^2(v / T)> / T`` and response function exp(-t) beta, and its fluctuations due to v have the
    correlation ``<tanh(v(0) / T) tanh(v(t) / T)> = sum_n c_n exp(-n t / tau)``, the squares of its coefficients in
    Hermite polynomials (odd n). With g the eigenvalue of beta J and r_n = n / tau,

        V(g) = sum_n c_n / ((1 - g) (1 - g + r_n)) + (1 - sum_n c_n / (1 + r_n)) / (1 - g),    V(0) = 1.

    Parameters
    ----------
    mode : array_like of any shape
        Eigenvalues g < 1 of beta J, ``beta = <sech^2(v / T)> / T``.
    temperature, persistence_time, active_temperature : float
        T > 0, tau > 0 (sweeps) and T_a >= 0 of `ColoredFieldGlauber`.

    Returns
    -------
    ndarray
        Of the shape of `mode`, in units of the variance of a free spin.

    Raises
    ------
    ValueError
        If a mode is at or above 1, where the paramagnetic state is unstable.

    References
    ----------
    Derived for this project; see Behera et al. 2024, arXiv 2410.06269 for the noise.
    """
    g = below_transition(mode)
    _, weights, rates = coloured_noise(temperature, persistence_time, active_temperature)
    gaps = (1 - g)[..., None]
    slow = (weights / (gaps * (gaps + rates))).sum(axis=-1)
    return slow + (1 - (weights / (1 + rates)).sum()) / (1 - g)


@lru_cache(maxsize=256)
def coloured_noise(
    temperature: float, persistence_time: float, active_temperature: float
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Gain ``<sech^2(v / T)> / T``, and weights c_n with rates n / tau of the correlation of tanh(v / T)."""
    points, shares = np.polynomial.hermite_e.hermegauss(_HERMITE_POINTS)
    shares = shares / shares.sum()
    answer = np.tanh(math.sqrt(active_temperature / persistence_time) / temperature * points)
    gain = float(shares @ (1 - answer**2)) / temperature
    orders = np.arange(1, _HERMITE_ORDERS, 2)
    before, here = np.zeros_like(points), np.ones_like(points)
    coefficients = []
    for n in range(_HERMITE_ORDERS):
        if n % 2:
            coefficients.append(shares @ (answer * here))
        before, here = here, (points * here - math.sqrt(n) * before) / math.sqrt(n + 1)
    weights = np.square(coefficients)
    # the remainder of <tanh^2> is in faster terms
    rest = max(float(shares @ answer**2) - float(weights.sum()), 0.0)
    return gain, np.append(weights, rest), np.append(orders, _HERMITE_ORDERS + 1) / persistence_time


def below_transition(mode: Any) -> NDArray[np.float64]:
    """Modes as an array; raises a ValueError where linear response is not valid."""
    g = np.asarray(mode, dtype=np.float64)
    if (g >= 1).any():
        raise ValueError(
            f"linear response holds above the transition only: the largest eigenvalue of couplings / temperature is "
            f"{g.max():.4g}, it must be below 1 (raise the temperature)"
        )
    return g
