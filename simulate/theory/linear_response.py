"""Effective couplings of driven dynamics in linear response, and the dreaming rates they amount to."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.dynamics.active import ActiveOrnsteinUhlenbeck
from simulate.dynamics.block_gibbs import BlockGibbs
from simulate.dynamics.potentials import SoftSpin
from simulate.dynamics.spins import ColoredFieldGlauber, Glauber, Metropolis, PersistentGlauber, TwoTemperatureGlauber
from simulate.theory.effective import couplings_of_modes, full_matrix, no_closed_form
from simulate.theory.quadratic import harmonic_variances

__all__ = ["coloured_variance", "dreaming_rate", "effective_couplings", "effective_slope", "persistent_variance"]

# Gauss-Hermite points for averages over the coloured field, and Hermite polynomials in which tanh is expanded
_HERMITE_POINTS = 160
_HERMITE_ORDERS = 40


def persistent_variance(mode: Any, persistence: float) -> NDArray[np.float64]:
    """Equal-time variance of a mode of persistent-threshold Glauber dynamics in linear response.

    With g the eigenvalue of J / T and gamma = 1 - persistence the rate at which thresholds are redrawn,

        V(g) = (1 + gamma (1 - g)) / ((1 - g) (1 - g + gamma)),    V(0) = 1,

    from a noise with autocorrelation exp(-gamma t) and a response exp(-t) / T. At persistence 0 this is 1 / (1 - g),
    the equilibrium answer of the same approximation.

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
    g = _below_transition(mode)
    gamma = 1.0 - persistence
    return (1 + gamma * (1 - g)) / ((1 - g) * (1 - g + gamma))


def coloured_variance(
    mode: Any, temperature: float, persistence_time: float, active_temperature: float
) -> NDArray[np.float64]:
    """Equal-time variance of a mode of coloured-field Glauber dynamics in linear response.

    An update sets the mean of a spin to tanh((h + v) / T). In linear response it follows the field h with the gain
    beta = <sech^2(v / T)> / T and the response exp(-t) beta, and v alone makes it fluctuate with the correlation
    <tanh(v(0) / T) tanh(v(t) / T)> = sum_n c_n exp(-n t / tau), the squares of its coefficients in Hermite polynomials
    (odd n). With g the eigenvalue of beta J and r_n = n / tau,

        V(g) = sum_n c_n / ((1 - g) (1 - g + r_n)) + (1 - sum_n c_n / (1 + r_n)) / (1 - g),    V(0) = 1.

    Parameters
    ----------
    mode : array_like of any shape
        Eigenvalues g < 1 of beta J, beta = <sech^2(v / T)> / T.
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
    g = _below_transition(mode)
    _, weights, rates = _coloured_noise(temperature, persistence_time, active_temperature)
    gaps = (1 - g)[..., None]
    slow = (weights / (gaps * (gaps + rates))).sum(axis=-1)
    return slow + (1 - (weights / (1 + rates)).sum()) / (1 - g)


def _coloured_noise(
    temperature: float, persistence_time: float, active_temperature: float
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Gain <sech^2(v / T)> / T, and weights c_n with rates n / tau of the correlation of tanh(v / T)."""
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
    # what is left of <tanh^2> belongs to still faster terms
    rest = max(float(shares @ answer**2) - float(weights.sum()), 0.0)
    return gain, np.append(weights, rest), np.append(orders, _HERMITE_ORDERS + 1) / persistence_time


def _below_transition(mode: Any) -> NDArray[np.float64]:
    """Modes as an array; an error where linear response does not hold."""
    g = np.asarray(mode, dtype=np.float64)
    if (g >= 1).any():
        raise ValueError(
            f"linear response holds above the transition only: the largest eigenvalue of couplings / temperature is "
            f"{g.max():.4g}, it must be below 1 (raise the temperature)"
        )
    return g


def effective_couplings(dynamics: Any) -> NDArray[np.float64]:
    """Couplings of the equilibrium model whose covariance the driven steady state has, in linear response.

    They contain the inverse temperature (beta J_eff):

    - persistent-threshold Glauber dynamics: minus the off-diagonal part of 1 / V(J / T) with V of
      `persistent_variance`; at persistence 0 exactly J / T (`mean_field_couplings` goes beyond linear response);
    - coloured-field Glauber dynamics: the same with `coloured_variance`;
    - heat-bath, block Gibbs and Metropolis dynamics: J / T, exactly; with two baths beta J, beta the mean of the
      inverse temperatures;
    - active Ornstein-Uhlenbeck units in a harmonic or spherical potential: minus the off-diagonal part of the inverse
      of `stationary_covariance`; at T = 0 that inverse is A (I + tau A) / T_a with A = k I - J.

    Parameters
    ----------
    dynamics : Dynamics
        Spins updated one at a time (but not `KineticIsing`), or units in a quadratic potential.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric, zero diagonal, dimensionless.

    Raises
    ------
    ValueError
        If no closed form is known for the dynamics, or it is at or below its transition.

    References
    ----------
    Behera et al. 2024, arXiv 2410.06269; the persistent-threshold formula was derived for this project.
    """
    matrix = full_matrix(dynamics.couplings)
    gain = _gain(dynamics)
    if gain is not None and not isinstance(dynamics, PersistentGlauber | ColoredFieldGlauber):
        return matrix * gain
    if isinstance(dynamics, PersistentGlauber):
        if dynamics.persistence == 0.0:
            return matrix / dynamics.temperature
        values, vectors = np.linalg.eigh(matrix / dynamics.temperature)
        variance = persistent_variance(values, dynamics.persistence)
    elif isinstance(dynamics, ColoredFieldGlauber) and gain is not None:
        values, vectors = np.linalg.eigh(matrix * gain)
        variance = coloured_variance(
            values, dynamics.temperature, dynamics.persistence_time, dynamics.active_temperature
        )
    elif isinstance(dynamics, ActiveOrnsteinUhlenbeck):
        values, vectors = np.linalg.eigh(matrix)
        variance = harmonic_variances(dynamics, values)
    else:
        raise ValueError(no_closed_form("effective couplings", dynamics))
    return couplings_of_modes(vectors, variance)


def dreaming_rate(dynamics: Any) -> float:
    """Dreaming rate to which the activity amounts, matched to the dreaming family at second order in the couplings.

    A member of the family with the diagonal alpha of the Hebbian matrix put back, G = J + alpha I, is
    (1 + l) G (I + l G)^-1 = (1 + l) (G - l G^2 + ...). The effective couplings are, off the diagonal and up to scale,
    J - l0 J^2 with

    - persistent-threshold Glauber: l0 = a / (2 (2 - a) T), a the persistence;
    - coloured-field Glauber: l0 from the expansion of -1 / V of `coloured_variance`;
    - heat bath, Metropolis and two baths: 0;
    - active Ornstein-Uhlenbeck at T = 0: l0 = tau / (1 + 2 k tau); with thermal noise l0 follows from the expansion of
      the inverse of the mode variance T / a + T_a / (a (1 + a tau)) about a = k.

    J = G - alpha I turns l0 into l = l0 / (1 + 2 alpha l0), with alpha the diagonal that zero-diagonal couplings have
    lost: minus the least eigenvalue of J, which is P / N for a Hebbian matrix of fewer patterns than spins.

    Parameters
    ----------
    dynamics : Dynamics
        Spins updated one at a time (but not `KineticIsing`), or units in a quadratic potential, with Hebbian couplings.

    Returns
    -------
    float
        lambda, dimensionless (in units of the couplings' inverse, where one is kT at T = 1).

    Raises
    ------
    ValueError
        If no closed form is known for the dynamics.

    References
    ----------
    Fachechi, Agliari, Barra 2019 (arXiv 1810.12217) for the family; Behera et al. 2024 (arXiv 2410.06269).
    """
    first, second = _expansion(dynamics)
    rate = -second / first
    if rate == 0.0:
        return 0.0
    alpha = -float(np.linalg.eigvalsh(full_matrix(dynamics.couplings))[0])
    return float(rate / (1 + 2 * alpha * rate))


def effective_slope(dynamics: Any) -> float:
    """Coefficient of the Hebbian matrix in the effective couplings at first order, beta (1 + lambda) of the family.

    - persistent-threshold Glauber: 2 / ((2 - a) T);
    - coloured-field Glauber: beta (1 + sum_n c_n / (1 + n / tau)^2), see `coloured_variance`;
    - heat bath and Metropolis: 1 / T; two baths: the mean of the inverse temperatures;
    - active Ornstein-Uhlenbeck at T = 0: (1 + 2 k tau) / T_a.

    Parameters
    ----------
    dynamics : Dynamics
        Spins updated one at a time (but not `KineticIsing`), or units in a quadratic potential.

    Returns
    -------
    float
        In units of inverse temperature.

    Raises
    ------
    ValueError
        If no closed form is known for the dynamics.

    References
    ----------
    Derived for this project (linear response to the noise, see `persistent_variance`); Behera, Du, Jagadisan, Sastry,
    Rao, Vaikuntanathan 2024, arXiv 2410.06269.
    """
    return _expansion(dynamics)[0]


def _gain(dynamics: Any) -> float | None:
    """Linear response of the mean of a spin to a small constant field; None where it is not that of a free spin."""
    if isinstance(dynamics, ColoredFieldGlauber):
        return _coloured_noise(dynamics.temperature, dynamics.persistence_time, dynamics.active_temperature)[0]
    if isinstance(dynamics, TwoTemperatureGlauber):
        return dynamics.share / dynamics.hot_temperature + (1 - dynamics.share) / dynamics.temperature
    if isinstance(dynamics, PersistentGlauber | Metropolis | BlockGibbs) or (
        isinstance(dynamics, Glauber) and np.ndim(dynamics.temperature) == 0
    ):
        return 1 / float(dynamics.temperature)  # type: ignore[arg-type]  # a number, as was just seen
    return None


def _expansion(dynamics: Any) -> tuple[float, float]:
    """Coefficients of J and J^2 in the effective couplings, -1 / variance expanded about J = 0."""
    if isinstance(dynamics, PersistentGlauber):
        a, t = dynamics.persistence, dynamics.temperature
        return 2 / ((2 - a) * t), -a / ((2 - a) ** 2 * t**2)
    gain = _gain(dynamics)
    if isinstance(dynamics, ColoredFieldGlauber):
        assert gain is not None
        _, weights, rates = _coloured_noise(
            dynamics.temperature, dynamics.persistence_time, dynamics.active_temperature
        )
        # V = 1 + V1 g + V2 g^2, so that -1 / V = -1 + V1 g + (V2 - V1^2) g^2
        first = 1 + float((weights / (1 + rates) ** 2).sum())
        second = first + float((weights / (1 + rates) ** 3).sum())
        return first * gain, (second - first**2) * gain**2
    if gain is not None:
        return gain, 0.0
    if isinstance(dynamics, ActiveOrnsteinUhlenbeck) and not isinstance(dynamics.potential, SoftSpin):
        # precision p(a) = a (1 + a tau) / (T (1 + a tau) + T_a) at a = k - j: -p = -p(k) + p'(k) j - p''(k)/2 j^2
        k, tau = dynamics.stiffness, dynamics.persistence_time
        thermal, active = dynamics.temperature, dynamics.active_temperature
        top, top1, top2 = k + k**2 * tau, 1 + 2 * k * tau, 2 * tau
        bottom, bottom1 = thermal * (1 + k * tau) + active, thermal * tau
        first = (top1 * bottom - top * bottom1) / bottom**2
        second = top2 / bottom - 2 * bottom1 * first / bottom
        return first, -second / 2
    raise ValueError(no_closed_form("expansion in the couplings", dynamics))
