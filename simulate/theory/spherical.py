"""Retrieval of spherical spins with a quartic term, in thermal and coloured noise, for N -> infinity."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from simulate.checks import check_number

__all__ = ["SphericalRetrieval", "spherical_retrieval"]

_SCAN = 4000


class SphericalRetrieval(NamedTuple):
    """Retrieval state of spherical spins.

    Parameters
    ----------
    overlap : float
        m, between 0 and 1; 0 where there is no such state.
    stiffness : float
        k, in units of inverse time, with the diagonal of the Hebbian matrix removed; nan where there is no such state.

    References
    ----------
    Bolle, Nieuwenhuizen, Perez Castillo, Verbeiren 2003, J. Phys. A 36, 10269, arXiv cond-mat/0305316.
    """

    overlap: float
    stiffness: float


def spherical_retrieval(
    load: float,
    quartic: float,
    temperature: float = 0.0,
    active_temperature: float = 0.0,
    persistence_time: float = 0.0,
) -> SphericalRetrieval:
    """Overlap of `SphericalHopfield` with one of many random patterns that it retrieves, for N -> infinity.

    Along the retrieved pattern the quartic term is a constant field u m^3, all else is linear: the modes fluctuate as
    those of spherical units, with gaps a = z - x, z = k + alpha, over the law of Marchenko and Pastur. With its
    resolvent r, z = 1 / r + alpha / (1 - r), the mean state and the sphere give

        m = u m^3 r / (1 - r),
        m^2 / (1 - alpha r^2 / (1 - r)^2)  +  (T + T_a) r(z) - T_a r(z + 1 / tau)  =  1.

    The stable state is the solution of largest z, if there is one at r < 1 / (1 + sqrt(alpha)). It may be metastable.
    Noise enters by the second sum only, the variance V of the fluctuations. More of it, of any colour, moves the
    solution to larger r, so that m^2 = (1 - r) / (u r) falls: no drive retrieves better than equilibrium at T -> 0.

    Parameters
    ----------
    load : float
        alpha >= 0; 0 is a single pattern.
    quartic : float
        u > 0, in units of energy.
    temperature, active_temperature : float, default 0
        T and T_a >= 0, in units of energy.
    persistence_time : float, default 0
        tau >= 0, in units of time.

    Returns
    -------
    SphericalRetrieval
        `overlap` and `stiffness`.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Bolle, Nieuwenhuizen, Perez Castillo, Verbeiren 2003, J. Phys. A 36, 10269, arXiv cond-mat/0305316
    (equilibrium); with coloured noise derived for this project.
    """
    alpha = check_number(load, "load", low=0.0)
    u = check_number(quartic, "quartic", low=0.0, open_low=True)
    thermal = check_number(temperature, "temperature", low=0.0)
    active = check_number(active_temperature, "active_temperature", low=0.0)
    tau = check_number(persistence_time, "persistence_time", low=0.0)

    def excess(r: float) -> float:
        """Left side of the spherical constraint, less 1."""
        z = 1 / r + alpha / (1 - r)
        variance = (thermal + active) * r - (active * _resolvent(z + 1 / tau, alpha) if tau > 0 else 0.0)
        return (1 - r) / (u * r) / (1 - alpha * (r / (1 - r)) ** 2) + variance - 1

    edge = 1 / (1 + math.sqrt(alpha))
    grid = edge * (np.arange(_SCAN) + 0.5) / _SCAN
    below = np.flatnonzero([excess(r) < 0 for r in grid])
    if len(below) == 0:
        return SphericalRetrieval(0.0, math.nan)
    low = grid[below[0] - 1] if below[0] > 0 else 1e-12
    r = float(brentq(excess, low, grid[below[0]], xtol=1e-15))
    return SphericalRetrieval(math.sqrt((1 - r) / (u * r)), 1 / r + alpha / (1 - r) - alpha)


def _resolvent(z: float, alpha: float) -> float:
    """Mean of 1 / (z - x) over the law of Marchenko and Pastur, above its edge."""
    middle = z + 1 - alpha
    return 2 / (middle + math.sqrt(max(middle**2 - 4 * z, 0.0)))
