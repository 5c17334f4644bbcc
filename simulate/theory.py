"""What samples must agree with: effective couplings, dreaming rates and covariances in closed form.

Every function takes a dynamics and answers for it, or says that no closed form is known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.dynamics.active import ActiveOrnsteinUhlenbeck, SoftSpin, mode_variance, spherical_stiffness
from simulate.dynamics.spins import PersistentGlauber

__all__ = [
    "dreaming_rate",
    "effective_couplings",
    "effective_slope",
    "mode_variance",
    "persistent_variance",
    "spherical_stiffness",
    "stationary_covariance",
]


def persistent_variance(mode: Any, persistence: float) -> NDArray[np.float64]:
    """Equal-time variance of a mode of persistent-threshold Glauber dynamics in linear response.

    With g the eigenvalue of J / T and gamma = 1 - persistence the rate at which thresholds are redrawn,

        V(g) = (1 + gamma (1 - g)) / ((1 - g) (1 - g + gamma)),    V(0) = 1,

    from a noise with autocorrelation exp(-gamma t) and a response exp(-t) / T. At persistence 0 this is 1 / (1 - g),
    the equilibrium answer of the same approximation.

    Parameters
    ----------
    mode : array_like
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
    g = np.asarray(mode, dtype=np.float64)
    if (g >= 1).any():
        raise ValueError(
            f"linear response holds above the transition only: the largest eigenvalue of couplings / temperature is "
            f"{g.max():.4g}, it must be below 1 (raise the temperature)"
        )
    gamma = 1.0 - persistence
    return (1 + gamma * (1 - g)) / ((1 - g) * (1 - g + gamma))


def effective_couplings(dynamics: Any) -> NDArray[np.float64]:
    """Couplings of the equilibrium model whose covariance the driven steady state has, in linear response.

    They contain the inverse temperature (beta J_eff). For persistent-threshold Glauber dynamics they are minus the
    off-diagonal part of 1 / V(J / T) with V of `persistent_variance`; at persistence 0 exactly J / T. For active
    Ornstein-Uhlenbeck units in a harmonic or spherical potential they are minus the off-diagonal part of the inverse of
    `stationary_covariance`; at T = 0 that inverse is A (I + tau A) / T_a with A = k I - J.

    Parameters
    ----------
    dynamics : PersistentGlauber or ActiveOrnsteinUhlenbeck

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
    matrix = _matrix(dynamics.couplings)
    if isinstance(dynamics, PersistentGlauber):
        if dynamics.persistence == 0.0:
            return matrix / dynamics.temperature
        values, vectors = np.linalg.eigh(matrix / dynamics.temperature)
        precision = (vectors / persistent_variance(values, dynamics.persistence)) @ vectors.T
    elif isinstance(dynamics, ActiveOrnsteinUhlenbeck):
        values, vectors = np.linalg.eigh(matrix)
        precision = (vectors / _variances(dynamics, values)) @ vectors.T
    else:
        raise ValueError(_no_closed_form("effective couplings", dynamics))
    couplings = -(precision + precision.T) / 2
    np.fill_diagonal(couplings, 0.0)
    return couplings


def dreaming_rate(dynamics: Any) -> float:
    """Dreaming rate to which the activity amounts, matched to the dreaming family at second order in the couplings.

    A member of the family with the diagonal alpha of the Hebbian matrix put back, G = J + alpha I, is
    (1 + l) G (I + l G)^-1 = (1 + l) (G - l G^2 + ...). The effective couplings are, off the diagonal and up to scale,
    J - l0 J^2 with

    - persistent-threshold Glauber: l0 = a / (2 (2 - a) T), a the persistence;
    - active Ornstein-Uhlenbeck at T = 0: l0 = tau / (1 + 2 k tau); with thermal noise l0 follows from the expansion of
      the inverse of the mode variance T / a + T_a / (a (1 + a tau)) about a = k.

    J = G - alpha I turns l0 into l = l0 / (1 + 2 alpha l0), with alpha the diagonal that zero-diagonal couplings have
    lost: minus the least eigenvalue of J, which is P / N for a Hebbian matrix of fewer patterns than spins.

    Parameters
    ----------
    dynamics : PersistentGlauber or ActiveOrnsteinUhlenbeck
        With Hebbian couplings.

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
    alpha = -float(np.linalg.eigvalsh(_matrix(dynamics.couplings))[0])
    return float(rate / (1 + 2 * alpha * rate))


def effective_slope(dynamics: Any) -> float:
    """Coefficient of the Hebbian matrix in the effective couplings at first order, beta (1 + lambda) of the family.

    Persistent-threshold Glauber: 2 / ((2 - a) T). Active Ornstein-Uhlenbeck at T = 0: (1 + 2 k tau) / T_a.

    Parameters
    ----------
    dynamics : PersistentGlauber or ActiveOrnsteinUhlenbeck

    Returns
    -------
    float
        In units of inverse temperature.

    Raises
    ------
    ValueError
        If no closed form is known for the dynamics.
    """
    return _expansion(dynamics)[0]


def stationary_covariance(dynamics: Any) -> NDArray[np.float64]:
    """Covariance <x x^T> of the steady state of active Ornstein-Uhlenbeck units without fields.

    In the eigenbasis of A = k I - J the variances are T / a + T_a / (a (1 + a tau)); for the spherical potential k
    solves the constraint that their mean is 1.

    Parameters
    ----------
    dynamics : ActiveOrnsteinUhlenbeck
        With harmonic or spherical potential.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)

    Raises
    ------
    ValueError
        If the dynamics is another one or the potential is not quadratic.

    References
    ----------
    Behera et al. 2024, arXiv 2410.06269.
    """
    if not isinstance(dynamics, ActiveOrnsteinUhlenbeck):
        raise ValueError(_no_closed_form("stationary covariance", dynamics))
    values, vectors = np.linalg.eigh(_matrix(dynamics.couplings))
    covariance = (vectors * _variances(dynamics, values)) @ vectors.T
    return (covariance + covariance.T) / 2


def _variances(dynamics: ActiveOrnsteinUhlenbeck, eigenvalues: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stationary variances of the modes of quadratic potentials."""
    if isinstance(dynamics.potential, SoftSpin):
        raise ValueError(_no_closed_form("stationary covariance", dynamics))
    return mode_variance(
        dynamics.stiffness - eigenvalues, dynamics.temperature, dynamics.active_temperature, dynamics.persistence_time
    )


def _expansion(dynamics: Any) -> tuple[float, float]:
    """Coefficients of J and J^2 in the effective couplings, -1 / variance expanded about J = 0."""
    if isinstance(dynamics, PersistentGlauber):
        a, t = dynamics.persistence, dynamics.temperature
        return 2 / ((2 - a) * t), -a / ((2 - a) ** 2 * t**2)
    if isinstance(dynamics, ActiveOrnsteinUhlenbeck) and not isinstance(dynamics.potential, SoftSpin):
        # precision p(a) = a (1 + a tau) / (T (1 + a tau) + T_a) at a = k - j: -p = -p(k) + p'(k) j - p''(k)/2 j^2
        k, tau = dynamics.stiffness, dynamics.persistence_time
        thermal, active = dynamics.temperature, dynamics.active_temperature
        top, top1, top2 = k + k**2 * tau, 1 + 2 * k * tau, 2 * tau
        bottom, bottom1 = thermal * (1 + k * tau) + active, thermal * tau
        first = (top1 * bottom - top * bottom1) / bottom**2
        second = top2 / bottom - 2 * bottom1 * first / bottom
        return first, -second / 2
    raise ValueError(_no_closed_form("expansion in the couplings", dynamics))


def _matrix(couplings: Any) -> NDArray[np.float64]:
    """Couplings of any kind as a full matrix."""
    return np.asarray(couplings.toarray() if hasattr(couplings, "toarray") else couplings, dtype=np.float64)


def _no_closed_form(what: str, dynamics: Any) -> str:
    potential = f" with {type(dynamics.potential).__name__} potential" if hasattr(dynamics, "potential") else ""
    return f"no closed form of the {what} is known for {type(dynamics).__name__}{potential}; sample it and fit instead"
