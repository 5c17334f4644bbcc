"""Driven spins beyond linear response: one spin in the field of all others, which are like it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares

from simulate.couplings import PatternCouplings
from simulate.dynamics.spins import ColoredFieldGlauber, PersistentGlauber
from simulate.theory.effective import couplings_of_modes, full_matrix, no_closed_form
from simulate.theory.one_spin import STEP, Values, back, one_fresh_spin, one_spin, transform

__all__ = ["DynamicalMeanField", "dynamical_mean_field", "fitted_rate_and_slope", "mean_field_couplings"]

_MOST_PERSISTENT = {"persistence": 0.99, "persistence_time": 100.0}
_STRONGEST_FIELD = 8.0
# sweeps: the horizon is to hold the noise exp(-(1 - a) t) and slow modes
_SHORTEST_HORIZON, _MEMORIES_OF_THE_NOISE = 200.0, 20.0
# while equations are solved eigenvalues are taken together in groups, but for the largest, which matter most
_GROUPS, _SINGLE_MODES = 64, 32
_MOST_ITERATIONS, _TOLERANCE = 200, 1e-7
# share of all variance along one mode that is order, a variance that few spins reach without order, and the variance
# left out from which no prediction is made
_ORDER, _NO_ORDER, _LARGEST_IMBALANCE = 0.1, 5.0, 0.1


@dataclass(frozen=True)
class DynamicalMeanField:
    """Steady state of driven spins in dynamical mean field.

    Attributes
    ----------
    modes : ndarray, shape (n_spins,)
        Eigenvalues g of J / T, rising.
    variances : ndarray, shape (n_spins,)
        Equal-time variance of the spins along each of them; their mean is 1.
    times : ndarray, shape (n_times,)
        In sweeps, from 0.
    autocorrelation : ndarray, shape (n_times,)
        <s_i(0) s_i(t)>, mean over the spins.
    response : ndarray, shape (n_times,)
        G(t) below, in units of 1 / T.
    imbalance : float
        Mean variance before it was brought to 1, less 1: of the size of what the equations leave out.

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

    With couplings between all spins, one spin feels h(t) = phi(t) + int K(t - u) s(u) du (in units of T): a Gaussian
    field phi of correlation Delta, and what its own past did to the others. Modes of the couplings, g eigenvalues of
    J / T, have the spectra

        C_g(w) = N(w) / |1 - g G(w)|^2

    with one response G and one noise N for all of them; with <> the mean over modes,

        K = 1 / G - 1 / <G / (1 - g G)>,      Delta = <C_g> / |<G / (1 - g G)>|^2 - N / |G|^2.

    For persistent thresholds linear response has G(t) = exp(-t) and N(t) = exp(-(1 - a) t), a the persistence. It
    overlooks that a kept threshold z forgets its past as soon as the field crosses it: sign(h(0) + z) and
    sign(h(t) + z) differ with a probability of the order of sqrt(Delta(0) - Delta(t)), far more than the square that
    linear response leaves out. Here N and G follow from K and Delta,

    - for phi without reaction in full: Q(t) = E sign(h(0) + z) sign(h(t) + z), M(t) = E tanh h(0) tanh h(t) and
      m = E 1 / cosh^2 h, averaged over the times of last visits;
    - for the reaction at first order in K and leading order in Delta. With A f = int_0^t exp(-(t - u)) f(u) du,
      B f = int_0^infinity exp(-u) f(t + u) du and S(t) = E 2 delta(z + h(0)) 2 delta(z + h(t)), which is about
      (pi (Delta(0) - Delta(t)))^(-1/2),

          G = (m - a int K exp(-(1 - a) t) B S dt) exp(-t) + a A[(S - 1) A[K exp(-(1 - a) t)]].

    With the load alpha, the first corrections to linear response are of relative order sqrt(alpha) / T. With a coloured
    field no threshold is kept, and they are of order alpha / T^2. simulate/theory/_one_spin.py has G and N of both and
    their derivation. N is brought to a mean variance of 1, which it misses by what is left out (`imbalance`).

    Parameters
    ----------
    dynamics : PersistentGlauber or ColoredFieldGlauber
        Without constant fields, above its transition; persistence at most 0.99, persistence time at most 100 sweeps,
        and a coloured field of at most 8 temperatures in standard deviation. Eigenvectors of the couplings are taken
        to be spread over all spins, as those of random patterns are.

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
    _check(dynamics)
    modes = np.linalg.eigvalsh(full_matrix(dynamics.couplings)).astype(np.float64) / dynamics.temperature
    if isinstance(dynamics, PersistentGlauber):
        persistence = dynamics.persistence
        return _solve(modes, 1 / (1 - persistence), partial(one_spin, persistence=persistence))
    tau, temperature = dynamics.persistence_time, dynamics.temperature
    variance = dynamics.active_temperature / tau / temperature**2

    def one(times: Values, reaction: Values, field: Values) -> tuple[Values, Values]:
        return one_fresh_spin(times, reaction, field, variance * np.exp(-times / tau))

    return _solve(modes, tau, one)


def _check(dynamics: Any) -> None:
    """An error where the equations are not known."""
    if not isinstance(dynamics, PersistentGlauber | ColoredFieldGlauber):
        raise ValueError(no_closed_form("dynamical mean field", dynamics))
    if dynamics.fields is not None and np.any(dynamics.fields):
        raise ValueError("dynamical mean field is known without external fields only; sample it and fit instead")
    name = "persistence" if isinstance(dynamics, PersistentGlauber) else "persistence_time"
    most, value = _MOST_PERSISTENT[name], getattr(dynamics, name)
    if value > most:
        raise ValueError(f"dynamical mean field is solved for {name} up to {most:g}, got {value:g}")
    if isinstance(dynamics, ColoredFieldGlauber):
        spread = math.sqrt(dynamics.active_temperature / value) / dynamics.temperature
        if spread > _STRONGEST_FIELD:
            raise ValueError(
                f"dynamical mean field is solved for coloured fields up to {_STRONGEST_FIELD:g} temperatures in "
                f"standard deviation, got {spread:.3g}"
            )


def _in_equilibrium(dynamics: Any) -> bool:
    """Whether detailed balance holds, and J / T are the effective couplings."""
    driven = dynamics.persistence if isinstance(dynamics, PersistentGlauber) else dynamics.active_temperature
    return bool(driven == 0)


def _trusted(dynamics: Any) -> DynamicalMeanField:
    """The mean field, where it leaves out little enough to predict by it."""
    found = dynamical_mean_field(dynamics)
    if abs(found.imbalance) > _LARGEST_IMBALANCE:
        raise ValueError(
            f"dynamical mean field leaves out {abs(found.imbalance):.0%} of the variance here, too near the transition "
            "(raise the temperature, or sample and fit instead)"
        )
    return found


def mean_field_couplings(dynamics: Any) -> NDArray[np.float64]:
    """Couplings of the equilibrium model whose covariance driven spins have, in dynamical mean field.

    Minus the off-diagonal part of the inverse of the covariance, whose eigenvalues are the `variances` of
    `dynamical_mean_field`; without drive exactly J / T. They contain the inverse temperature (beta J_eff).

    Parameters
    ----------
    dynamics : PersistentGlauber or ColoredFieldGlauber
        Without constant fields, above its transition.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric, zero diagonal, dimensionless.

    Raises
    ------
    ValueError
        As in `dynamical_mean_field`, and if it leaves out more than a tenth of the variance, near the transition.

    References
    ----------
    Derived for this project, see `dynamical_mean_field`; Sompolinsky, Zippelius 1982, Phys. Rev. B 25, 6860.
    """
    _check(dynamics)
    matrix = full_matrix(dynamics.couplings)
    if _in_equilibrium(dynamics):
        return matrix / float(dynamics.temperature)
    found = _trusted(dynamics)
    _, vectors = np.linalg.eigh(matrix)
    return couplings_of_modes(vectors, found.variances)


def fitted_rate_and_slope(dynamics: Any) -> tuple[float, float]:
    """Dreaming rate and slope that `DreamingModel` finds in samples of driven spins with Hebbian couplings.

    The member of the family, inverse temperature times `dreaming(patterns, rate)`, that a fit by pseudo-likelihood
    finds nearest to `mean_field_couplings`: with the variances V of `dynamical_mean_field` it minimises
    sum V (J_fit - J_eff)^2 over the modes, both without diagonal.

    Parameters
    ----------
    dynamics : PersistentGlauber or ColoredFieldGlauber
        With Hebbian couplings of random patterns, no fields, above its transition. Patterns that outnumber the spins
        are to be given as `PatternCouplings`, since a matrix does not show the diagonal that it has lost.

    Returns
    -------
    rate : float
        lambda, dimensionless.
    slope : float
        Coefficient of the Hebbian matrix, inverse temperature times (1 + rate), in units of inverse temperature.

    Raises
    ------
    ValueError
        As in `mean_field_couplings`, and if all members of the family are proportional (one pattern, or orthogonal
        ones), so that no rate can be told.

    Notes
    -----
    Against fits to simulations of persistent spins at loads 0.1 to 0.3, temperatures 2 to 4 and persistences 0.3 to 0.9
    the rate is right within 5 %, the slope within 3 %, in coloured fields within 8 % (errors of up to 5 %) and 1 %, and
    no number in it was fitted; second order is 7 to 59 % off (tests/VALIDATION.md has tables and command). As
    persistence goes to 0 a small error stays: at load 0.3 and T = 2 it gives 4e-4 and 1.02 / T in place of 0 and 1 / T.

    References
    ----------
    Derived for this project; Fachechi, Agliari, Barra 2019 (arXiv 1810.12217) for the family.
    """
    _check(dynamics)
    temperature = float(dynamics.temperature)
    if _in_equilibrium(dynamics):
        return 0.0, 1 / temperature
    found = _trusted(dynamics)
    couplings = dynamics.couplings
    # the diagonal that the couplings have lost: the load. A matrix shows it where a mode is without pattern
    lost = couplings.self_couplings.mean() if isinstance(couplings, PatternCouplings) else -temperature * found.modes[0]
    hebbian = (temperature * found.modes + lost) / temperature
    root = np.sqrt(found.variances)
    effective = -temperature / found.variances
    effective -= effective.mean()
    first, second = (root * (powers - powers.mean()) for powers in (hebbian, hebbian**2))
    if (first @ second) ** 2 >= (1 - 1e-9) * (first @ first) * (second @ second):
        raise ValueError("all dreamed versions of these couplings are proportional to them: no rate can be told")

    def distance(parameters: Values) -> Values:
        # in units in which neither residuals nor parameters shrink with 1 / T
        slope, rate = parameters
        member = temperature * slope * hebbian / (1 + rate * hebbian)
        return root * (member - member.mean() - effective)

    bounds = ([0.0, -0.999 / hebbian[-1]], [np.inf, np.inf])
    slope, rate = least_squares(distance, [1.0, 0.0], bounds=bounds, xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    return float(rate / temperature), float(slope / temperature)


def _solve(
    modes: Values, memory: float, one: Callable[[Values, Values, Values], tuple[Values, Values]]
) -> DynamicalMeanField:
    """Iterate K, Delta -> G, N -> K, Delta to a fixed point, for one spin whose noise has a memory of some sweeps."""
    bulk = modes[: max(len(modes) - _SINGLE_MODES, 0)]
    groups = [part for part in (*np.array_split(bulk, _GROUPS), *modes[len(bulk) :, None]) if len(part)]
    g, share = np.array([part.mean() for part in groups]), np.array([len(part) for part in groups]) / len(modes)
    horizon = max(_SHORTEST_HORIZON, _MEMORIES_OF_THE_NOISE * memory)
    times = np.arange(1 << math.ceil(math.log2(horizon / STEP)), dtype=np.float64) * STEP
    # a start as in equilibrium, with the gain of a free spin: 1 / G(0) where the mean of 1 / (1 / G(0) - g) is 1
    nothing = np.zeros_like(times)
    response, noise = one(times, nothing, nothing)
    free = g * response[0]
    stiff = brentq(lambda value: (share / (value - free)).sum() - 1, free[-1] + 1e-9, free[-1] + 1e3)
    response = response / stiff
    # of the spectrum in the equal-time variance: frequencies above 0 stand for those below too
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
        reaction[0] *= 2  # a transform gives half of the jump from 0
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
    mean = float(variances.mean())
    # with order the largest mode would take a share of all variance that does not shrink with their number
    if not settled or variances[-1] > max(_ORDER * variances.sum(), _NO_ORDER):
        raise ValueError(
            "dynamical mean field finds no steady state without order: the largest eigenvalue of couplings / "
            f"temperature is {modes[-1]:.4g}, near the transition or below (raise the temperature)"
        )
    autocorrelation = back(spectrum * (share @ abs(1 / (1 - g[:, None] * answer)) ** 2))
    autocorrelation /= autocorrelation[0]
    return DynamicalMeanField(modes, variances / mean, times, autocorrelation, response, mean - 1)
