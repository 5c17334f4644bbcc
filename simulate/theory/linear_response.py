"""Effective couplings of driven dynamics in linear response, and the corresponding dreaming rates."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from simulate.couplings import PatternCouplings
from simulate.dynamics.responses import LinearUnits, Response, SpinResponse
from simulate.theory.effective import couplings_of_modes, full_matrix, known_response, lost_diagonal, refuse_fields

__all__ = ["dreaming_rate", "effective_couplings", "effective_slope"]


def effective_couplings(dynamics: Any) -> NDArray[np.float64]:
    """Couplings of the equilibrium model with the covariance of the driven steady state, in linear response.

    They contain the inverse temperature (beta J_eff):

    - persistent-threshold Glauber dynamics: minus the off-diagonal part of 1 / V(J / T) with V of
      `persistent_variance`; at persistence 0 exactly J / T (`mean_field_couplings` goes beyond linear response);
    - coloured-field Glauber dynamics: the same with `coloured_variance`;
    - heat-bath, block Gibbs and Metropolis dynamics: J / T, exactly, at any temperature and with any fields;
    - two baths: beta J, beta the mean of the inverse temperatures;
    - active Ornstein-Uhlenbeck units in a harmonic or spherical potential, exactly and with any fields: minus the
      off-diagonal part of the inverse of `stationary_covariance`; at T = 0 that inverse is A (I + tau A) / T_a with
      A = k I - J.

    For driven spins the result holds without fields and where linear response is stable, that is, where the largest
    eigenvalue of the couplings times the gain of a free spin (1 / T for persistent thresholds) is below 1.

    Parameters
    ----------
    dynamics : Dynamics
        One with a `response()`: spins updated one at a time (but not `KineticIsing`), or units in a quadratic
        potential.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric, zero diagonal, dimensionless.

    Raises
    ------
    ValueError
        If no closed form is known for the dynamics, driven spins have fields, or linear response is not stable.

    References
    ----------
    Behera et al. 2024, arXiv 2410.06269; the persistent-threshold formula was derived for this project.
    """
    response = _answer(dynamics, "effective couplings")
    matrix = full_matrix(dynamics.couplings)
    if _in_equilibrium(response):
        return matrix * response.gain
    values, vectors = np.linalg.eigh(matrix)
    return couplings_of_modes(vectors, response.variances(values))


def dreaming_rate(dynamics: Any) -> float:
    """Dreaming rate that corresponds to the activity, matched at second order in the couplings.

    A member of the family with the diagonal alpha of the Hebbian matrix put back, G = J + alpha I, is
    (1 + l) G (I + l G)^-1 = (1 + l) (G - l G^2 + ...). The effective couplings are, off the diagonal and up to scale,
    J - l0 J^2 with

    - persistent-threshold Glauber: l0 = a / (2 (2 - a) T), a the persistence;
    - coloured-field Glauber: l0 from the expansion of -1 / V of `coloured_variance`;
    - heat bath, Metropolis and two baths: 0;
    - active Ornstein-Uhlenbeck at T = 0: l0 = tau / (1 + 2 k tau); with thermal noise l0 follows from the expansion of
      the inverse of the mode variance T / a + T_a / (a (1 + a tau)) about a = k.

    J = G - alpha I turns l0 into l = l0 / (1 + 2 alpha l0), with alpha = P / N the diagonal that is subtracted in
    zero-diagonal couplings. The second order gives trends with the drive, not those with the load: for spherical units
    the exact rate rises with the load at fixed active temperature, where this one falls. `fitted_rate_and_slope` has
    all orders.

    Parameters
    ----------
    dynamics : Dynamics
        One with a `response()`, with Hebbian couplings; driven spins without fields and above the transition that the
        same couplings have without activity, spherical units without condensation into the leading mode.

    Returns
    -------
    float
        lambda, dimensionless (in units of the couplings' inverse, where one is kT at T = 1).

    Raises
    ------
    ValueError
        If no closed form is known for the dynamics, its couplings are not Hebbian, driven spins have fields, or it is
        at or below its transition.

    References
    ----------
    Fachechi, Agliari, Barra 2019 (arXiv 1810.12217) for the family; Behera et al. 2024 (arXiv 2410.06269).
    """
    response = _answer(dynamics, "dreaming rate")
    if _in_equilibrium(response) and isinstance(dynamics.couplings, PatternCouplings):
        return dynamics.couplings.rate  # exact at any temperature
    alpha = lost_diagonal(dynamics.couplings)
    if _in_equilibrium(response):
        return 0.0
    _above_transition(dynamics, response)
    first, second = response.expansion()
    rate = -second / first
    return float(rate / (1 + 2 * alpha * rate)) if rate else 0.0


def effective_slope(dynamics: Any) -> float:
    """Coefficient of the Hebbian matrix in the effective couplings at first order, beta (1 + lambda) of the family.

    - persistent-threshold Glauber: 2 / ((2 - a) T);
    - coloured-field Glauber: beta (1 + sum_n c_n / (1 + n / tau)^2), see `coloured_variance`;
    - heat bath and Metropolis: 1 / T; two baths: the mean of the inverse temperatures;
    - active Ornstein-Uhlenbeck at T = 0: (1 + 2 k tau) / T_a.

    Parameters
    ----------
    dynamics : Dynamics
        One with a `response()`; driven spins without fields and above the transition that the same couplings have
        without activity, spherical units without condensation into the leading mode.

    Returns
    -------
    float
        In units of inverse temperature.

    Raises
    ------
    ValueError
        If no closed form is known for the dynamics, driven spins have fields, or it is at or below its transition.

    References
    ----------
    Derived for this project (linear response to the noise, see `persistent_variance`); Behera, Du, Jagadisan, Sastry,
    Rao, Vaikuntanathan 2024, arXiv 2410.06269.
    """
    response = _answer(dynamics, "expansion in the couplings")
    if not _in_equilibrium(response):
        _above_transition(dynamics, response)
    return response.expansion()[0]


def _answer(dynamics: Any, what: str) -> Response:
    """The closed forms of a dynamics; raises a ValueError for fields for which they do not hold."""
    response = known_response(what, dynamics)
    if isinstance(response, SpinResponse) and not response.equilibrium:
        refuse_fields(what, dynamics)
    return response


def _in_equilibrium(response: Response) -> TypeGuard[SpinResponse]:
    """Whether the effective couplings are exactly the gain times the couplings."""
    return isinstance(response, SpinResponse) and response.equilibrium


def _above_transition(dynamics: Any, response: Response) -> None:
    """Raise a ValueError at and below the transition, where an expansion in the couplings does not hold.

    The transition is where the leading mode becomes unstable and has a finite share of the variance. For spins
    1 / gain must be above the temperature T_c of equilibrium spins, 1 / T_c the mean of 1 / (top - eigenvalue) over the
    other modes (T_c = 1 + sqrt(P / N) for Hebbian couplings of many spins); for spherical units the variances of the
    other modes at that edge must have a mean above 1.
    """
    eigenvalues = np.linalg.eigvalsh(full_matrix(dynamics.couplings))
    width = float(eigenvalues[-1] - eigenvalues[0])
    if width == 0:
        return
    # eigenvalues at the edge of a spectrum are about N^(-2/3) of its width apart: closer pairs occur by chance
    gaps = np.maximum(eigenvalues[-1] - eigenvalues[:-1], width * len(eigenvalues) ** (-2 / 3))
    if isinstance(response, SpinResponse):
        critical = 1 / float((1 / gaps).mean())
        if response.gain * critical >= 1:
            raise ValueError(
                "an expansion in the couplings holds above the transition only: the temperature, "
                f"{1 / response.gain:.4g}, must be above {critical:.4g} (raise it, or sample and fit instead)"
            )
    elif isinstance(response, LinearUnits) and response.spherical:
        others = response.variances(response.stiffness - gaps).mean()
        if others <= 1:
            raise ValueError(
                "an expansion in the couplings holds above the transition only, but these spherical units condense "
                f"into their leading mode (a share of {1 - others:.0%} of their variance for many units): raise the "
                "temperatures, see theory.transition_active_temperature, or take theory.fitted_rate_and_slope"
            )
