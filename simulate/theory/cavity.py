"""Dynamical mean field of driven spins, which goes beyond linear response: one spin in the field of all others."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import brentq

from simulate.dynamics.responses import ColoredResponse, PersistentResponse
from simulate.theory.effective import full_matrix, known_response, no_closed_form, refuse_fields
from simulate.theory.one_spin import STEP, Values, back, one_fresh_spin, one_spin, transform

__all__ = [
    "DrivenSpin",
    "DynamicalMeanField",
    "driven_spin",
    "dynamical_mean_field",
    "local_response",
    "solve_mean_field",
    "trusted",
]

_MOST_PERSISTENT, _LONGEST_TIME, _STRONGEST_FIELD = 0.99, 100.0, 8.0
# in sweeps: the time range covers the decay of the noise exp(-(1 - a) t) and of slow modes
_SHORTEST_HORIZON, _MEMORIES_OF_THE_NOISE = 200.0, 20.0
# during the iteration eigenvalues are grouped, except for the largest, which have the largest effect
_GROUPS, _SINGLE_MODES = 64, 32
_MOST_ITERATIONS, _TOLERANCE = 200, 1e-7
# share of the variance along one mode above which the state counts as ordered, a variance that few spins reach in the
# disordered state, and the share of variance missed by the equations above which no prediction is made
_ORDER, _NO_ORDER, _LARGEST_IMBALANCE = 0.1, 5.0, 0.1


@dataclass(frozen=True)
class DynamicalMeanField:
    """Steady state of driven spins in dynamical mean field.

    Attributes
    ----------
    modes : ndarray, shape (n_spins,)
        Eigenvalues g of J / T, increasing.
    variances : ndarray, shape (n_spins,)
        Equal-time variance of the spins along each mode; their mean is 1.
    times : ndarray, shape (n_times,)
        Times in sweeps, from 0.
    autocorrelation : ndarray, shape (n_times,)
        ``<s_i(0) s_i(t)>``, mean over the spins.
    response : ndarray, shape (n_times,)
        G(t) below, in units of 1 / T.
    imbalance : float
        Mean variance before its normalisation to 1, minus 1: an estimate of the terms that the equations neglect.

    References
    ----------
    Derived for this project, see `dynamical_mean_field`; Sompolinsky, Zippelius 1982, Phys. Rev. B 25, 6860.
    """

    modes: Values
    variances: Values
    times: Values
    autocorrelation: Values
    response: Values
    imbalance: float


def dynamical_mean_field(dynamics: Any) -> DynamicalMeanField:
    """Correlations of persistent-threshold and coloured-field spins, from one spin in the field of all others.

    With couplings between all spins, the field of one spin is h(t) = phi(t) + int K(t - u) s(u) du (in units of T): a
    Gaussian field phi of correlation Delta, and the reaction of the other spins to its own past. Modes of the
    couplings, g eigenvalues of J / T, have the spectra

        C_g(w) = N(w) / |1 - g G(w)|^2

    with one response G and one noise N for all of them; with <> the mean over modes,

        K = 1 / G - 1 / <G / (1 - g G)>,      Delta = <C_g> / |<G / (1 - g G)>|^2 - N / |G|^2.

    For persistent thresholds linear response has G(t) = exp(-t) and N(t) = exp(-(1 - a) t), a the persistence. It
    neglects that a spin with a kept threshold z flips as soon as the field crosses it: sign(h(0) + z) and
    sign(h(t) + z) differ with a probability of the order of sqrt(Delta(0) - Delta(t)), far more than the square that
    linear response neglects. Here N and G follow from K and Delta,

    - for phi without reaction in full: Q(t) = E sign(h(0) + z) sign(h(t) + z), M(t) = E tanh h(0) tanh h(t) and
      m = E 1 / cosh^2 h, averaged over the times of last visits;
    - for the reaction at first order in K and leading order in Delta. With A f = int_0^t exp(-(t - u)) f(u) du,
      B f = int_0^infinity exp(-u) f(t + u) du and S(t) = E 2 delta(z + h(0)) 2 delta(z + h(t)), which is about
      (pi (Delta(0) - Delta(t)))^(-1/2),

          G = (m - a int K exp(-(1 - a) t) B S dt) exp(-t) + a A[(S - 1) A[K exp(-(1 - a) t)]].

    With the load alpha, the first corrections to linear response are of relative order sqrt(alpha) / T. With a coloured
    field, where no threshold is kept, they are of order alpha / T^2. simulate/theory/one_spin.py has G and N of both
    and their derivation. N is normalised to a mean variance of 1; `imbalance` is the deviation before the
    normalisation.

    Parameters
    ----------
    dynamics : PersistentGlauber or ColoredFieldGlauber
        Without constant fields, above its transition; persistence at most 0.99, persistence time at most 100 sweeps,
        and a coloured field of at most 8 temperatures in standard deviation. Eigenvectors of the couplings are assumed
        to extend over all spins, as those of random patterns do.

    Returns
    -------
    DynamicalMeanField
        Modes, variances, autocorrelation and response.

    Raises
    ------
    ValueError
        If the dynamics is another one, has fields, or has no steady state without order, at or below the transition.

    References
    ----------
    Derived for this project. The closure over one spin: Sompolinsky, Zippelius 1982, Phys. Rev. B 25, 6860; couplings
    known by their spectrum: Opper, Cakmak, Winther 2016, J. Phys. A 49, 114002 (arXiv 1509.01229). The dynamics: Behera
    et al. 2024, arXiv 2410.06269.
    """
    spin = driven_spin(dynamics)
    modes = np.linalg.eigvalsh(full_matrix(dynamics.couplings)).astype(np.float64) / spin.temperature
    return solve_mean_field(modes, np.full(len(modes), 1 / len(modes)), spin)


@dataclass(frozen=True)
class DrivenSpin:
    """Parameters of one spin in the field of the others, for the equations.

    Parameters
    ----------
    temperature : float
        T, in the units of the couplings.
    memory : float
        Correlation time of the noise, in sweeps.
    equilibrium : bool
        Whether detailed balance holds, so that J / T are the effective couplings.
    answer : callable
        From times, reaction K and field correlation Delta to response G and noise N.
    """

    temperature: float
    memory: float
    equilibrium: bool
    answer: Callable[[Values, Values, Values], tuple[Values, Values]]


def driven_spin(dynamics: Any) -> DrivenSpin:
    """One spin of a dynamics; raises a ValueError where the equations are not known."""
    response = known_response("dynamical mean field", dynamics)
    if type(response) not in _SPINS:
        raise ValueError(no_closed_form("dynamical mean field", dynamics))
    refuse_fields("dynamical mean field", dynamics)
    return _SPINS[type(response)](response)


def persistent_spin(response: PersistentResponse) -> DrivenSpin:
    """A spin with persistent thresholds."""
    a = response.persistence
    if a > _MOST_PERSISTENT:
        raise ValueError(f"dynamical mean field is solved for persistence up to {_MOST_PERSISTENT:g}, got {a:g}")
    return DrivenSpin(response.temperature, 1 / (1 - a), response.equilibrium, partial(one_spin, persistence=a))


def coloured_spin(response: ColoredResponse) -> DrivenSpin:
    """A spin in a coloured field."""
    tau, temperature = response.persistence_time, response.temperature
    if tau > _LONGEST_TIME:
        raise ValueError(f"dynamical mean field is solved for persistence_time up to {_LONGEST_TIME:g}, got {tau:g}")
    variance = response.active_temperature / tau / temperature**2
    if variance > _STRONGEST_FIELD**2:
        raise ValueError(
            f"dynamical mean field is solved for coloured fields up to {_STRONGEST_FIELD:g} temperatures in "
            f"standard deviation, got {math.sqrt(variance):.3g}"
        )

    def answer(times: Values, reaction: Values, field: Values) -> tuple[Values, Values]:
        return one_fresh_spin(times, reaction, field, variance * np.exp(-times / tau))

    return DrivenSpin(temperature, tau, response.equilibrium, answer)


_SPINS: dict[type, Callable[[Any], DrivenSpin]] = {
    PersistentResponse: persistent_spin,
    ColoredResponse: coloured_spin,
}


def trusted(found: DynamicalMeanField) -> DynamicalMeanField:
    """The mean field; raises a ValueError where the neglected part is too large for a prediction."""
    if abs(found.imbalance) > _LARGEST_IMBALANCE:
        raise ValueError(
            f"dynamical mean field neglects {abs(found.imbalance):.0%} of the variance here, too near the transition "
            "(raise the temperature, or sample and fit instead)"
        )
    return found


def solve_mean_field(modes: Values, shares: Values, spin: DrivenSpin) -> DynamicalMeanField:
    """Iterate K, Delta -> G, N -> K, Delta to a fixed point, for modes g (increasing) with their shares."""
    one = spin.answer
    bulk = np.arange(max(len(modes) - _SINGLE_MODES, 0))
    groups = [part for part in (*np.array_split(bulk, _GROUPS), *np.arange(len(modes))[len(bulk) :, None]) if len(part)]
    share = np.array([shares[part].sum() for part in groups])
    g = np.array([shares[part] @ modes[part] for part in groups]) / share
    horizon = max(_SHORTEST_HORIZON, _MEMORIES_OF_THE_NOISE * spin.memory)
    times = np.arange(1 << math.ceil(math.log2(horizon / STEP)), dtype=np.float64) * STEP
    # start from equilibrium with the gain of a free spin: 1 / G(0) where the mean of 1 / (1 / G(0) - g) is 1
    nothing = np.zeros_like(times)
    response, noise = one(times, nothing, nothing)
    free = g * response[0]
    stiff = brentq(lambda value: (share / (value - free)).sum() - 1, free[-1] + 1e-9, free[-1] + 1e3)
    response = response / stiff
    # of the spectrum in the equal-time variance: positive frequencies are counted twice, for the negative ones
    weight = np.full(len(times) + 1, 1 / (STEP * len(times)))
    weight[[0, -1]] /= 2
    change, mean = np.inf, 1.0
    for _ in range(_MOST_ITERATIONS):
        answer, spectrum = transform(response, even=False), transform(noise, even=True)
        if g[-1] * answer[0].real >= 1:
            break
        gain = 1 / (1 - g[:, None] * answer)
        local, local_square = share @ gain, share @ abs(gain) ** 2
        reaction = back((1 / answer) * (1 - 1 / local))
        reaction[0] *= 2  # the transform gives half of the jump at 0
        field = back(spectrum * (local_square - abs(local) ** 2) / abs(local * answer) ** 2)
        before = response, noise
        mean = float(noise[0] + (spectrum * weight) @ (local_square - 1))
        response, noise = one(times, reaction, field / mean)
        change = float(np.abs(response - before[0]).max() + np.abs(noise - before[1]).max())
        if change < _TOLERANCE:
            break
    settled = change < _TOLERANCE
    answer, spectrum = transform(response, even=False), transform(noise, even=True)
    variances = np.concatenate(
        [
            noise[0] + (abs(1 / (1 - part[:, None] * answer)) ** 2 - 1) @ (spectrum * weight)
            for part in np.array_split(modes, max(1, len(modes) // 32))
        ]
    )
    mean = float(shares @ variances)
    # in an ordered state the largest mode has a share of the variance that does not decrease with the number of spins
    if not settled or (shares[-1] * variances[-1] > _ORDER * mean and variances[-1] > _NO_ORDER):
        raise ValueError(
            "dynamical mean field finds no steady state without order: the largest eigenvalue of couplings / "
            f"temperature is {modes[-1]:.4g}, near the transition or below (raise the temperature)"
        )
    autocorrelation = back(spectrum * (share @ abs(1 / (1 - g[:, None] * answer)) ** 2))
    autocorrelation /= autocorrelation[0]
    return DynamicalMeanField(modes, variances / mean, times, autocorrelation, response, mean - 1)


def local_response(found: DynamicalMeanField, shares: Values) -> float:
    """Response of a spin to a static field, reactions of the others included, in units of 1 / T."""
    static = float(transform(found.response, even=False)[0].real)
    return float(shares @ (static / (1 - found.modes * static)))
