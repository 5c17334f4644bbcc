"""Effective energy of coloured noise at small persistence time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.dynamics.active import ActiveOrnsteinUhlenbeck
from simulate.dynamics.potentials import SoftSpin
from simulate.theory.effective import full_matrix, no_closed_form

__all__ = ["effective_energy"]


def effective_energy(dynamics: Any, states: ArrayLike) -> NDArray[np.float64]:
    """Energy of which exp(-E_eff / T_a) is the stationary density of active units, to first order in tau.

        E_eff = E + tau |grad E|^2 / 2 - tau T_a laplacian(E),

    the expansion of the unified coloured-noise and Fox approximations, for any potential; for a harmonic one it is
    exact up to a constant. It holds where tau times the curvatures of E is small.

    Parameters
    ----------
    dynamics : ActiveOrnsteinUhlenbeck
        Units at temperature 0; T_a is their active temperature.
    states : array_like, shape (..., n_spins)
        States at which the energy is evaluated.

    Returns
    -------
    ndarray, shape (...)
        In units of energy.

    Raises
    ------
    ValueError
        If the dynamics is another one or has thermal noise, or the number of units differs.

    References
    ----------
    Jung, Haenggi 1987, Phys. Rev. A 35, 4464; Fox 1986, Phys. Rev. A 33, 467; Maggi, Marconi, Gnan, Di Leonardo 2015,
    Sci. Rep. 5, 10742.
    """
    if not isinstance(dynamics, ActiveOrnsteinUhlenbeck):
        raise ValueError(no_closed_form("effective energy", dynamics))
    if dynamics.temperature > 0:
        raise ValueError("the effective energy is known without thermal noise only: temperature must be 0")
    x = np.asarray(states, dtype=np.float64)
    if x.ndim == 0 or x.shape[-1] != dynamics.n_spins:
        raise ValueError(f"states must have {dynamics.n_spins} units along the last axis, got shape {x.shape}")
    matrix = full_matrix(dynamics.couplings)
    external = np.zeros(dynamics.n_spins) if dynamics.fields is None else np.asarray(dynamics.fields)
    if isinstance(dynamics.potential, SoftSpin):
        b = dynamics.potential.barrier
        site, slope, curvature = b * (x**2 - 1) ** 2 / 4, b * x * (x**2 - 1), b * (3 * x**2 - 1)
    else:
        k = dynamics.stiffness
        site, slope, curvature = k * x**2 / 2, k * x, np.full_like(x, k)
    pull = x @ matrix
    energy = (site - x * pull / 2 - x * external).sum(axis=-1)
    gradient = slope - pull - external
    laplacian = curvature.sum(axis=-1) - np.trace(matrix)
    tau = dynamics.persistence_time
    return energy + tau * (gradient**2).sum(axis=-1) / 2 - tau * dynamics.active_temperature * laplacian
