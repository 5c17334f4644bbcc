"""Networks in equilibrium that have as much noise as a driven one, by a named notion of what that means."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import brentq

from simulate.checks import check_number
from simulate.dynamics.active import ActiveOrnsteinUhlenbeck
from simulate.dynamics.dynamics import Dynamics
from simulate.dynamics.potentials import Harmonic, Potential, mode_variance
from simulate.dynamics.spherical import SphericalHopfield
from simulate.dynamics.spins import ColoredFieldGlauber, Glauber, Metropolis, PersistentGlauber

__all__ = ["EQUAL_NOISE", "equilibrium_counterpart"]

#: Notions that name one temperature; the third, "best-temperature", names many of which the best is taken.
EQUAL_NOISE = ("active-temperature", "variance")
_NOTHING = "equal_noise: no pattern is retrieved in this noise, even if it is the only one; give a temperature"


def equilibrium_counterpart(dynamics: Dynamics, equal_noise: str | float) -> Dynamics:
    """The same couplings and fields in equilibrium, with the same noise by one of two notions.

    - `"active-temperature"`: the temperature T + T_a, at which noise has the same strength at low frequencies. A longer
      correlation time then leaves less variance: compared in this way activity cools.
    - `"variance"`: the temperature at which one unit fluctuates as much as in the drive where a single pattern is
      stored, by Hebbian couplings. Units in a potential u sit at u'(x) = x there, in a well of stiffness k = u''(x)
      (harmonic units at k, spherical ones at the edge of the spectrum, 1), so that for small noise the temperature is

          T + T_a / (1 + k tau).

      Spins in a coloured field have the mean m = E tanh((m + v) / T), v normal of variance T_a / tau, and the
      temperature is m / artanh(m). Persistent thresholds are distributed as fresh ones: their own temperature.

    Parameters
    ----------
    dynamics : ActiveOrnsteinUhlenbeck, SphericalHopfield, PersistentGlauber, ColoredFieldGlauber, Glauber or Metropolis
    equal_noise : {"active-temperature", "variance"} or float
        The notion, or the temperature itself, in units of energy.

    Returns
    -------
    Dynamics
        Of the same kind without coloured noise for continuous units, `Glauber` for spins.

    Raises
    ------
    ValueError
        If the notion is unknown or has no meaning for this dynamics, or nothing is retrieved in this noise.

    References
    ----------
    Derived for this project; Szamel 2014, Phys. Rev. E 90, 012111 (variance in a harmonic well).
    """
    if not isinstance(equal_noise, str):
        return _at(dynamics, check_number(equal_noise, "equal_noise", low=0.0, open_low=True))
    if equal_noise not in EQUAL_NOISE:
        raise ValueError(f"equal_noise must be one of {', '.join(EQUAL_NOISE)}, or a temperature, got {equal_noise!r}")
    return _at(dynamics, _temperature(dynamics, equal_noise))


def _temperature(dynamics: Any, equal_noise: str) -> Any:
    """Temperature with the same noise; of each spin, for spins that have one each."""
    if isinstance(dynamics, PersistentGlauber | Glauber | Metropolis):
        return dynamics.temperature
    if isinstance(dynamics, ColoredFieldGlauber):
        if equal_noise == "active-temperature":
            raise ValueError(
                "equal_noise: the active temperature of a coloured field has the unit of a squared coupling and is no "
                'temperature; take "variance"'
            )
        return _coloured_temperature(dynamics)
    if isinstance(dynamics, ActiveOrnsteinUhlenbeck | SphericalHopfield):
        thermal, active, tau = dynamics.temperature, dynamics.active_temperature, dynamics.persistence_time
        if equal_noise == "active-temperature":
            return thermal + active
        if isinstance(dynamics, SphericalHopfield):
            stiffness = _spherical_stiffness(dynamics.quartic, (thermal, active, tau))
        else:
            stiffness = _pattern_stiffness(dynamics.potential)
        return stiffness * float(mode_variance(stiffness, thermal, active, tau))
    raise ValueError(
        f"equal_noise: no notion of equal noise is known for {type(dynamics).__name__}; give a temperature"
    )


def _pattern_stiffness(potential: Any) -> float:
    """Stiffness of a unit where the couplings hold it in a single pattern, by a field x."""
    if isinstance(potential, Harmonic):
        return potential.stiffness
    if not isinstance(potential, Potential):
        return 1.0  # spherical: the leading mode condenses, and the others, of eigenvalue 0, are at a distance of 1
    x = np.geomspace(1e-2, 1e3, 4000)
    excess = potential.derivative(x) - x
    crossings = np.flatnonzero((excess[:-1] < 0) & (excess[1:] >= 0))
    if len(crossings) == 0:
        raise ValueError("equal_noise: a single pattern is no stable state in this potential; give a temperature")
    at = crossings[-1]
    rest = brentq(lambda value: float(potential.derivative(np.float64(value)) - value), x[at], x[at + 1])
    return float(potential.curvature(np.float64(rest)))


def _spherical_stiffness(quartic: float, noise: tuple[float, float, float]) -> float:
    """Gap 1 + u m^2 of all modes but that of a single pattern, where m^2 is 1 less their variance."""
    gap = 1 + quartic
    for _ in range(10_000):
        before, gap = gap, 1 + quartic * (1 - float(mode_variance(gap, *noise)))
        if gap < 1:
            raise ValueError(_NOTHING)
        if abs(before - gap) < 1e-14:
            break
    return gap


def _coloured_temperature(dynamics: ColoredFieldGlauber) -> float:
    """Temperature at which a single pattern has the overlap that it has in the coloured field."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    weights = weights / weights.sum()
    fields = math.sqrt(dynamics.active_temperature / dynamics.persistence_time) * nodes
    overlap = 1.0
    for _ in range(10_000):
        before, overlap = overlap, float(weights @ np.tanh((overlap + fields) / dynamics.temperature))
        if abs(before - overlap) < 1e-14:
            break
    if overlap < 1e-3:
        raise ValueError(_NOTHING)
    return overlap / math.atanh(min(overlap, 1 - 1e-15))


def _at(dynamics: Any, temperature: Any) -> Dynamics:
    """The dynamics in equilibrium at this temperature."""
    if isinstance(dynamics, ActiveOrnsteinUhlenbeck | SphericalHopfield):
        return replace(dynamics, temperature=temperature, active_temperature=0.0, persistence_time=0.0)
    if not hasattr(dynamics, "temperature"):
        raise ValueError(f"equal_noise: {type(dynamics).__name__} has no temperature")
    return Glauber(dynamics.couplings, temperature, fields=getattr(dynamics, "fields", None))
