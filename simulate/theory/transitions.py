"""Transitions of driven dynamics with Hebbian couplings of many random patterns."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq

from simulate.checks import check_number
from simulate.dynamics.responses import ColoredResponse, coloured_noise
from simulate.theory.cavity import coloured_spin, local_response, solve_mean_field
from simulate.theory.spectrum import hebbian_spectrum

__all__ = ["transition_active_temperature", "transition_temperature"]

# 1 - T_c / (1 + sqrt(load)) of persistent spins is A a / (2 - a) u^(B - C a^2), u = sqrt(load) / (1 + sqrt(load)): a
# summary of the equations solved at loads 0.05 to 0.8 and persistences 0.3 to 0.95, of standard error 0.01
_LOWERING, _POWER, _BEND = 0.747, 0.880, 0.413
# inverse responses of a free spin, over the critical one, from which coloured fields are extrapolated
_WARMER = (1.2, 1.35, 1.5)
_MODES = 400


def transition_temperature(
    load: float, persistence: float = 0.0, persistence_time: float | None = None, active_temperature: float = 0.0
) -> float:
    """Temperature at which spins with Hebbian couplings of many random patterns order, for N -> infinity.

    Below it the disordered state is unstable, first along the modes at the upper edge of the spectrum (spin glass or
    patterns). With chi the response of a spin to a static field, reactions of the others included, the inverse of the
    resolvent of Marchenko and Pastur, 1 / chi + alpha chi / (1 - chi), has its minimum there,

        chi(T_c) = 1 / (1 + sqrt(alpha)),

    for any drive of the spins. In equilibrium chi = 1 / T, and T_c = 1 + sqrt(alpha). Persistence and coloured fields
    weaken the response and lower T_c.

    - Persistent thresholds: chi follows from the process of one spin in a Gaussian field of correlation
      alpha C / |1 - R|^2 that answers its own past by alpha R / (1 - R), C and R the correlation and response of that
      spin (both exact for N -> infinity). Solved numerically at loads 0.05 to 0.8 and persistences a = 0.3 to 0.95,
      T_c is

          (1 + sqrt(alpha)) (1 - 0.747 a / (2 - a) u^(0.88 - 0.413 a^2)),    u = sqrt(alpha) / (1 + sqrt(alpha)),

      within 2.5 %; the crossing of Binder ratios in simulations is 6 % above (tests/VALIDATION.md).
    - Coloured fields: chi of `dynamical_mean_field` above the transition, less its error in equilibrium, where chi is
      known, extrapolated to T_c.

    Parameters
    ----------
    load : float
        alpha > 0.
    persistence : float, default 0
        a in [0, 1) of persistent thresholds.
    persistence_time : float, optional
        tau > 0 (sweeps) of a coloured field.
    active_temperature : float, default 0
        T_a >= 0 of a coloured field, of variance T_a / tau, in the squared unit of the couplings.

    Returns
    -------
    float
        In the units of the couplings; 0 where a coloured field is so strong that nothing orders.

    Raises
    ------
    ValueError
        If a number is out of range, persistence and a coloured field are given both, or an active temperature without
        its persistence time.

    References
    ----------
    Amit, Gutfreund, Sompolinsky 1987, Ann. Phys. 173, 30, doi:10.1016/0003-4916(87)90092-3 (equilibrium). The process
    of one spin: Eissfeller, Opper 1992, Phys. Rev. Lett. 68, 2094; with drive derived for this project.
    """
    alpha = check_number(load, "load", low=0.0, open_low=True)
    a = check_number(persistence, "persistence", low=0.0, high=1.0, open_high=True)
    active = check_number(active_temperature, "active_temperature", low=0.0)
    equilibrium = 1 + math.sqrt(alpha)
    if persistence_time is None:
        if active > 0:
            raise ValueError("active_temperature is that of a coloured field: give its persistence_time too")
        u = math.sqrt(alpha) / equilibrium
        return equilibrium * (1 - _LOWERING * a / (2 - a) * u ** (_POWER - _BEND * a**2)) if a else equilibrium
    tau = check_number(persistence_time, "persistence_time", low=0.0, open_low=True)
    if a > 0:
        raise ValueError("persistence is that of thresholds, persistence_time that of a coloured field: give one")
    return equilibrium if active == 0 else _coloured_transition(alpha, tau, active)


@lru_cache(maxsize=4096)
def _coloured_transition(alpha: float, tau: float, active: float) -> float:
    """Transition temperature in a coloured field, extrapolated from above."""
    equilibrium = 1 + math.sqrt(alpha)
    width = math.sqrt(active / tau)
    # at T = 0 a free spin answers a field v of this width by 2 p(0)
    if width * math.sqrt(math.pi / 2) >= equilibrium:
        return 0.0

    def free_temperature(stiff: float) -> float:
        """Temperature at which the inverse response of a free spin has this value; 0 where fields are not resolved."""

        def missing(temperature: float) -> float:
            return 1 / coloured_noise(temperature, tau, active)[0] - stiff

        coldest = width / 8
        return 0.0 if missing(coldest) >= 0 else float(brentq(missing, coldest, stiff * (1 + 1e-9)))

    temperatures = [free_temperature(warmer * equilibrium) for warmer in _WARMER]
    if temperatures[0] == 0:
        return 0.0
    eigenvalues, shares = hebbian_spectrum(alpha, _MODES)

    def inverse_response(temperature: float, drive: float) -> float:
        spin = coloured_spin(ColoredResponse(temperature, tau, drive))
        found = solve_mean_field((eigenvalues - alpha) / temperature, shares, spin)
        return temperature / local_response(found, shares)

    values = [inverse_response(temperature, active) for temperature in temperatures]
    # in equilibrium the inverse response is the temperature: the deviation of the equations from it is their error
    values = [value + value - inverse_response(value, 0.0) for value in values]
    by_value = np.polynomial.polynomial.polyfit(values, temperatures, 2)
    return max(float(np.polynomial.polynomial.polyval(equilibrium, by_value)), 0.0)


def transition_active_temperature(load: float, persistence_time: float = 1.0, temperature: float = 0.0) -> float:
    """Active temperature at which spherical active units condense into the leading mode, for N -> infinity.

    At the transition the stiffness reaches the upper edge of the spectrum, so that the gaps are a = x+ - x with
    x+ = (1 + sqrt(alpha))^2, and the spherical constraint over the law of Marchenko and Pastur is linear in T_a:

        mean over x of  T / a + T_a / (a (1 + a tau)) = 1,
        mean of 1 / a = 1 / (1 + sqrt(alpha)),    mean of 1 / (a (1 + a tau)) = that - mean of 1 / (1 / tau + a).

    The last mean is the resolvent R(z) at z = x+ + 1 / tau, which is known in closed form. Without persistence
    T + T_a = 1 + sqrt(alpha).

    Parameters
    ----------
    load : float
        alpha > 0.
    persistence_time : float, default 1
        tau >= 0, in units of time.
    temperature : float, default 0
        T >= 0, in units of energy.

    Returns
    -------
    float
        T_a, in units of energy; 0 where T alone, at or above 1 + sqrt(alpha), prevents condensation.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Derived for this project; Kosterlitz, Thouless, Jones 1976, Phys. Rev. Lett. 36, 1217 (the spherical model);
    Marchenko, Pastur 1967, Math. USSR Sb. 1, 457; Behera et al. 2024, arXiv 2410.06269 (the dynamics).
    """
    alpha = check_number(load, "load", low=0.0, open_low=True)
    tau = check_number(persistence_time, "persistence_time", low=0.0)
    thermal = check_number(temperature, "temperature", low=0.0)
    equilibrium = 1 + math.sqrt(alpha)
    if thermal >= equilibrium:
        return 0.0
    # R = 2 / (z + 1 - alpha + sqrt(d (d + 4 sqrt(alpha)))) with d = 1 / tau, subtracted analytically from 1 / (1 +
    # sqrt(alpha)), so that nothing cancels at long times
    root = 1 + math.sqrt(1 + 4 * math.sqrt(alpha) * tau)
    active = root / (equilibrium * (2 * equilibrium * tau + root))
    return (1 - thermal / equilibrium) / active
