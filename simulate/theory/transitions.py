"""Where order sets in: phase boundaries of driven dynamics with Hebbian couplings of many random patterns."""

from __future__ import annotations

import math

from simulate.checks import check_number

__all__ = ["transition_active_temperature"]


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
        T_a, in units of energy; 0 where T alone, at or above 1 + sqrt(alpha), keeps the units from condensing.

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
    # R = 2 / (z + 1 - alpha + sqrt(d (d + 4 sqrt(alpha)))) with d = 1 / tau, taken from 1 / (1 + sqrt(alpha)) by hand:
    # nothing cancels at long times
    root = 1 + math.sqrt(1 + 4 * math.sqrt(alpha) * tau)
    active = root / (equilibrium * (2 * equilibrium * tau + root))
    return (1 - thermal / equilibrium) / active
