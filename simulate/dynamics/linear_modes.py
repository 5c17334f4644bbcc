"""Exact transition law of linear active dynamics, mode by mode, for any time interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import exprel

from simulate.dynamics.potentials import mode_variance

__all__ = ["ModeTransition", "mode_transition"]


class ModeTransition(NamedTuple):
    """y' = decay y + carry v + shared n1 + own n2 and v' = keep v + kick n1, with standard normals n1 and n2.

    decay, carry, shared and own have the shape of the stiffness; keep and kick are numbers.
    """

    decay: NDArray[np.float64]
    carry: NDArray[np.float64]
    shared: NDArray[np.float64]
    own: NDArray[np.float64]
    keep: float
    kick: float


def mode_transition(
    stiffness: NDArray[np.float64],
    temperature: float,
    active_temperature: float,
    persistence_time: float,
    duration: float,
) -> ModeTransition:
    """Transition law over a time interval of the modes of dy = -a y dt + v dt + sqrt(2 T) dW.

    The means are exp(-a t) y + v int_0^t exp(-a (t - s) - s / tau) ds and exp(-t / tau) v. With the propagator M of
    these and the stationary covariance S of (y, v), the noise has the covariance S - M S M^T, here as a Cholesky factor
    with v as the first variable.

    Parameters
    ----------
    stiffness : ndarray of any shape
        a > 0 of each mode, in units of inverse time.
    temperature, active_temperature : float
        T and T_a, in units of energy. v has the variance T_a / tau.
    persistence_time : float
        tau >= 0; at 0 there is no v, and T_a is added to T.
    duration : float
        t > 0.

    Returns
    -------
    ModeTransition

    References
    ----------
    Gillespie 1996, Phys. Rev. E 54, 2084 (exact updates of the Ornstein-Uhlenbeck process and its integral).
    """
    a = np.asarray(stiffness, dtype=np.float64)
    decay = np.exp(-a * duration)
    variance = mode_variance(a, temperature, active_temperature, persistence_time)
    if persistence_time == 0 or active_temperature == 0:
        nothing = np.zeros_like(a)
        return ModeTransition(decay, nothing, nothing, np.sqrt(variance * -np.expm1(-2 * a * duration)), 0.0, 0.0)
    rate = 1.0 / persistence_time
    strength = active_temperature * rate
    mixed = strength / (a + rate)
    keep = float(np.exp(-duration * rate))
    carry = duration * np.exp(-np.minimum(a, rate) * duration) * exprel(-abs(a - rate) * duration)
    kick = float(np.sqrt(strength * -np.expm1(-2 * duration * rate)))
    shared = (mixed - keep * (decay * mixed + carry * strength)) / kick
    rest = variance - decay * (decay * variance + 2 * carry * mixed) - carry**2 * strength - shared**2
    return ModeTransition(decay, carry, shared, np.sqrt(np.maximum(rest, 0.0)), keep, kick)
