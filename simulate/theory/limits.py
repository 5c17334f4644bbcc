"""Limit N -> infinity: fits to driven dynamics whose couplings store many random patterns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulate.checks import check_number
from simulate.dynamics.potentials import mode_variance
from simulate.dynamics.responses import ColoredResponse, PersistentResponse
from simulate.theory.cavity import DrivenSpin, coloured_spin, persistent_spin, solve_mean_field, trusted
from simulate.theory.projection import nearest_member
from simulate.theory.quadratic import limiting_stiffness
from simulate.theory.spectrum import distances_from_edge, spectrum_edge

__all__ = ["LargeSystem", "limit_of_active_units", "limit_of_coloured_spins", "limit_of_persistent_spins"]

_POINTS = 4000


@dataclass(frozen=True, eq=False)
class LargeSystem:
    """Driven dynamics with Hebbian couplings of random patterns in the limit N -> infinity at fixed load P / N.

    Attributes
    ----------
    load : float
        alpha = P / N.
    rate, slope : float
        Dreaming rate lambda and coefficient of the Hebbian matrix, inverse temperature times (1 + lambda), of a fit of
        the dreaming family.
    eigenvalues : ndarray, shape (n_points,)
        Eigenvalues of the Hebbian matrix with its diagonal, increasing; see `hebbian_spectrum`.
    shares : ndarray, shape (n_points,)
        Share of all modes that each eigenvalue represents.
    variances : ndarray, shape (n_points,)
        Equal-time variance along each mode.
    condensed : float
        Share of the variance in the leading mode, 0 above the transition.

    References
    ----------
    V. A. Marchenko, L. A. Pastur 1967, Math. USSR Sb. 1, 457 (the spectrum).
    """

    load: float
    rate: float
    slope: float
    eigenvalues: NDArray[np.float64]
    shares: NDArray[np.float64]
    variances: NDArray[np.float64]
    condensed: float = 0.0

    @property
    def inferred_eigenvalues(self) -> NDArray[np.float64]:
        """Spectrum of the effective couplings, minus the inverse covariance without its diagonal, (n_points,)."""
        precisions = 1 / self.variances
        return np.asarray(self.shares @ precisions - precisions)


def limit_of_active_units(
    load: float,
    active_temperature: float,
    persistence_time: float = 1.0,
    temperature: float = 0.0,
    *,
    method: str = "likelihood",
) -> LargeSystem:
    """Spherical active Ornstein-Uhlenbeck units with Hebbian couplings in the limit N -> infinity.

    The variances are V = T / a + T_a / (a (1 + a tau)), a = k + alpha - x, over the law of Marchenko and Pastur, with k
    of `limiting_stiffness`. The dreaming rate is that of the member of the family nearest to them, as in
    `fitted_rate_and_slope`. Below `transition_active_temperature`, where the leading mode condenses, the fit by
    likelihood has precision 0 along that mode and its rate follows from the other modes.

    Parameters
    ----------
    load : float
        alpha > 0.
    active_temperature : float
        T_a >= 0, in units of energy.
    persistence_time : float, default 1
        tau >= 0, in units of time.
    temperature : float, default 0
        T >= 0, in units of energy, not 0 where T_a is.
    method : {"likelihood", "pseudolikelihood", "couplings"}
        See `fitted_rate_and_slope`; `ContinuousDreamingModel` takes the first by default.

    Returns
    -------
    LargeSystem

    Raises
    ------
    ValueError
        If a number is out of range, or the method is not known below the transition.

    References
    ----------
    Derived for this project; Behera et al. 2024, arXiv 2410.06269; Marchenko, Pastur 1967, Math. USSR Sb. 1, 457.
    """
    stiffness, condensed = limiting_stiffness(load, temperature, active_temperature, persistence_time)
    distances, shares = distances_from_edge(load, _POINTS)
    edge = spectrum_edge(load)
    gap = max(stiffness - (edge - load), 0.0) if condensed == 0 else 0.0
    variances = mode_variance(gap + distances, temperature, active_temperature, persistence_time)
    hebbian = edge - distances
    if condensed > 0:
        # the edge of the spectrum, at which the fit condenses, has no share of the modes, only the condensed variance
        hebbian, shares, variances = np.append(hebbian, edge), np.append(shares, 0.0), np.append(variances, np.inf)
        rate, slope = nearest_member(hebbian, shares, np.append(variances[:-1], 0.0), method, condensed)
    else:
        rate, slope = nearest_member(hebbian, shares, variances, method)
    return LargeSystem(float(load), rate, slope, hebbian, shares, variances, condensed)


def limit_of_persistent_spins(
    load: float, temperature: float, persistence: float, *, method: str = "pseudolikelihood"
) -> LargeSystem:
    """Persistent-threshold spins with Hebbian couplings in the limit N -> infinity, in dynamical mean field.

    The equations of `dynamical_mean_field` with the law of Marchenko and Pastur for the spectrum.

    Parameters
    ----------
    load : float
        alpha > 0.
    temperature : float
        T > 0, in the units of the couplings.
    persistence : float
        a in [0, 0.99].
    method : {"pseudolikelihood", "likelihood", "couplings"}
        See `fitted_rate_and_slope`.

    Returns
    -------
    LargeSystem

    Raises
    ------
    ValueError
        If a number is out of range, or it is so near the transition that the equations neglect more than a tenth of
        the variance.

    References
    ----------
    Derived for this project, see `dynamical_mean_field`; Marchenko, Pastur 1967, Math. USSR Sb. 1, 457.
    """
    temperature = check_number(temperature, "temperature", low=0.0, open_low=True)
    persistence = check_number(persistence, "persistence", low=0.0, high=1.0, open_high=True)
    return _limit_of_spins(load, persistent_spin(PersistentResponse(temperature, persistence)), method)


def limit_of_coloured_spins(
    load: float,
    temperature: float,
    persistence_time: float,
    active_temperature: float,
    *,
    method: str = "pseudolikelihood",
) -> LargeSystem:
    """Coloured-field spins with Hebbian couplings in the limit N -> infinity, in dynamical mean field.

    Parameters
    ----------
    load : float
        alpha > 0.
    temperature, persistence_time, active_temperature : float
        T > 0, tau > 0 (sweeps) and T_a >= 0 of `ColoredFieldGlauber`, where `dynamical_mean_field` is solved.
    method : {"pseudolikelihood", "likelihood", "couplings"}
        See `fitted_rate_and_slope`.

    Returns
    -------
    LargeSystem

    Raises
    ------
    ValueError
        As in `limit_of_persistent_spins`.

    References
    ----------
    Derived for this project, see `dynamical_mean_field`; Marchenko, Pastur 1967, Math. USSR Sb. 1, 457.
    """
    temperature = check_number(temperature, "temperature", low=0.0, open_low=True)
    tau = check_number(persistence_time, "persistence_time", low=0.0, open_low=True)
    active = check_number(active_temperature, "active_temperature", low=0.0)
    return _limit_of_spins(load, coloured_spin(ColoredResponse(temperature, tau, active)), method)


def _limit_of_spins(load: float, spin: DrivenSpin, method: str) -> LargeSystem:
    """Mean field over the spectrum of Marchenko and Pastur; without drive it is known exactly."""
    distances, shares = distances_from_edge(load, _POINTS)
    hebbian = spectrum_edge(load) - distances
    if spin.equilibrium:
        # the mean of 1 / (k - g) over the spectrum is 1 at k = 1 + R(1), R(w) the free cumulants of J / T
        t = spin.temperature
        if t <= 1 + np.sqrt(load):
            raise ValueError(
                f"spins order below the transition temperature 1 + sqrt(load) = {1 + np.sqrt(load):.4g}: "
                "the temperature must be above it"
            )
        stiffness = 1 + load / (t * (t - 1))
        return LargeSystem(float(load), 0.0, 1 / t, hebbian, shares, 1 / (stiffness - (hebbian - load) / t))
    found = trusted(solve_mean_field((hebbian - load) / spin.temperature, shares, spin))
    rate, slope = nearest_member(hebbian, shares, found.variances, method)
    return LargeSystem(float(load), rate, slope, hebbian, shares, found.variances)
