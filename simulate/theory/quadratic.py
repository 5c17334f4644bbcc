"""Units in a quadratic potential: covariances in closed form, and the spherical constraint for infinite systems."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from simulate.checks import check_number
from simulate.dynamics.potentials import mode_variance
from simulate.dynamics.responses import LinearUnits
from simulate.theory.effective import full_matrix, known_response, no_closed_form
from simulate.theory.spectrum import distances_from_edge, spectrum_edge

__all__ = ["limiting_stiffness", "linear_units", "stationary_covariance"]

# a pole at a distance d from the edge needs about 30 / sqrt(d / (4 sqrt(load))) points for full precision
_SPECTRUM_POINTS = 20_000


def stationary_covariance(dynamics: Any) -> NDArray[np.float64]:
    """Covariance ``<(x - <x>) (x - <x>)^T>`` of the steady state of active Ornstein-Uhlenbeck units.

    Fields change the means only. In the eigenbasis of A = k I - J the variances are
    T / a + T_a / (a (1 + a tau)); for the spherical potential k solves the constraint that their mean is 1.

    Parameters
    ----------
    dynamics : ActiveOrnsteinUhlenbeck
        Units in a harmonic or spherical potential.

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
    response = linear_units("stationary covariance", dynamics)
    values, vectors = np.linalg.eigh(full_matrix(dynamics.couplings))
    covariance = (vectors * response.variances(values)) @ vectors.T
    return (covariance + covariance.T) / 2


def limiting_stiffness(
    load: float, temperature: float, active_temperature: float, persistence_time: float
) -> tuple[float, float]:
    """Stiffness k of the spherical constraint for Hebbian couplings of random patterns in the limit N -> infinity.

    The eigenvalues of xi^T xi / N at load alpha = P / N follow the law of Marchenko and Pastur: a share 1 - alpha at 0
    (if alpha < 1) and the density sqrt((x+ - x) (x - x-)) / (2 pi x) between x-+ = (1 -+ sqrt(alpha))^2. Couplings with
    zero diagonal have eigenvalues x - alpha, and k solves

        mean over x of  V(k + alpha - x) = 1,    V(a) = T / a + T_a / (a (1 + a tau)).

    The mean stays finite as k decreases to the edge x+ - alpha. If it is below 1 there, k stays at the edge and the
    leading mode alone has the rest of the variance, a finite share (condensation).

    Parameters
    ----------
    load : float
        alpha > 0.
    temperature, active_temperature : float
        T and T_a >= 0, in units of energy, not both 0.
    persistence_time : float
        tau >= 0, in units of time.

    Returns
    -------
    stiffness : float
        k, at least x+ - alpha.
    condensed : float
        Share of <|x|^2> / N in the leading mode, 0 above the transition.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Marchenko, Pastur 1967, Math. USSR Sb. 1, 457; Kosterlitz, Thouless, Jones 1976, Phys. Rev. Lett. 36, 1217 (the
    spherical model and its condensation); Behera et al. 2024, arXiv 2410.06269.
    """
    alpha = check_number(load, "load", low=0.0, open_low=True)
    thermal = check_number(temperature, "temperature", low=0.0)
    active = check_number(active_temperature, "active_temperature", low=0.0)
    tau = check_number(persistence_time, "persistence_time", low=0.0)
    if thermal + active == 0:
        raise ValueError("temperature and active_temperature are both 0: the spherical constraint has no solution")
    edge = spectrum_edge(alpha)
    below, shares = distances_from_edge(alpha, _SPECTRUM_POINTS)

    def mean_variance(gap: float) -> float:
        return float(shares @ mode_variance(gap + below, thermal, active, tau))

    at_edge = mean_variance(0.0)
    if at_edge <= 1:
        return edge - alpha, 1 - at_edge
    # V(a) <= (T + T_a) / a, so that at this gap the mean is at most 1
    gap = brentq(lambda value: mean_variance(value) - 1, 0.0, thermal + active, xtol=1e-12)
    return edge - alpha + float(gap), 0.0


def linear_units(what: str, dynamics: Any) -> LinearUnits:
    """The closed forms of units in a quadratic potential; an error for other dynamics."""
    response = known_response(what, dynamics)
    if not isinstance(response, LinearUnits):
        raise ValueError(no_closed_form(what, dynamics))
    return response
