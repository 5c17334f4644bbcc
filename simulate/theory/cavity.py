"""Persistent spins beyond linear response: one spin in the field of all others, which are like it.

How N and G of `dynamical_mean_field` come about. A spin is visited at rate 1 (time in sweeps, fields in units of T);
a visit redraws the threshold z with probability gamma = 1 - a. So s(t) = sign(h(v) + z), v the last visit. Averages
over visits are A f = int_0^t exp(-(t - u)) f(u) du and B f = int_0^infinity exp(-e) f(t + e) de.

Without reaction, h is a Gaussian field of correlation Delta. With no visit in (0, t], s(t) = s(0). Else all visits up
to the last one, at v, kept z, with probability a exp(-gamma v), or one did not:

    C = exp(-t) + A[a exp(-gamma t) B Q + (1 - a exp(-gamma t)) B M],     G = m exp(-t).

C holds the linear answer to the field, which the modes account for; without it the noise is left,

    N = exp(-t) (1 - m^2 int exp(-e) Delta(e) de) + A[a exp(-gamma t) B (Q - M) + B (M - m^2 Delta)].

The reaction int K(u - w) s(w) dw shifts the field at a visit u by little: it turns a spin whose z lies at -h(u). At
first order C changes by int K <2 delta(z_u + h_u) s_0 s_w>, u the last visit before t, and by the same with 0 and t
exchanged. The mean is 0 if s_0 and s_w go back to two thresholds and 1 if they go back to one, other than that of u. If
all three go back to one, z = -h(u), it is that of sign(h_0 - h_u) sign(h_w - h_u): `_signs_at_a_crossing`. The linear
part of all this is in 1 / |1 - g G|^2 already; taken away, it leaves
-(exp(-t) + exp(-gamma t)) int K(e) exp(-gamma e) de / (1 + gamma).

The response of s_t to a field at t' changes by int K <s_t s_w>, differentiated by the fields at u and t'. If t' is the
last visit before w and u > w that before t, this is 1, the linear part, but S(u - t') if both visits met one threshold:
the second term of G. If u = t' it is <2 delta'(z + h_u) sign(z + h_w)>, about -S if w was visited at the same
threshold: the first term.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares
from scipy.signal import lfilter

from simulate.dynamics.spins import PersistentGlauber
from simulate.theory._common import full_matrix, no_closed_form

__all__ = ["DynamicalMeanField", "dynamical_mean_field", "fitted_rate_and_slope", "mean_field_couplings"]

Values = NDArray[np.float64]

_MOST_PERSISTENT = 0.99
# sweeps: the step resolves the response exp(-t), the horizon the noise exp(-(1 - a) t) and slow modes
_STEP, _SHORTEST_HORIZON, _MEMORIES_OF_THE_NOISE = 0.05, 200.0, 20.0
# while equations are solved eigenvalues are taken together in groups, but for the largest, which matter most
_GROUPS, _SINGLE_MODES = 64, 32
_MOST_ITERATIONS, _TOLERANCE = 200, 1e-7
# share of all variance along one mode that is order, and variance left out that is told
_ORDER, _LARGEST_IMBALANCE = 0.1, 0.1

# normal variables, the size of a normal variable, times since a last visit (exponential) and plain intervals. With
# twice as many points and half the step a rate of 0.25 changes by 0.1 %, one of 0.19 at persistence 0.97 by 0.2 %
_NORMAL, _NORMAL_SHARE = np.polynomial.hermite_e.hermegauss(20)
_NORMAL_SHARE = _NORMAL_SHARE / _NORMAL_SHARE.sum()
_LEGENDRE, _LEGENDRE_SHARE = np.polynomial.legendre.leggauss(30)
_SIZE = 4 * (_LEGENDRE + 1)
_SIZE_SHARE = 4 * _LEGENDRE_SHARE * np.exp(-(_SIZE**2) / 2) * math.sqrt(2 / math.pi)
_SINCE, _SINCE_SHARE = np.polynomial.laguerre.laggauss(8)
_AGE, _AGE_SHARE = np.polynomial.legendre.leggauss(16)
_ELAPSED = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, 20)])


@dataclass(frozen=True)
class DynamicalMeanField:
    """Steady state of persistent spins in dynamical mean field.

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
    """Correlations of persistent-threshold Glauber dynamics, from one spin in the field of all others.

    With couplings between all spins, one spin feels h(t) = phi(t) + int K(t - u) s(u) du (in units of T): a Gaussian
    field phi of correlation Delta, and what its own past did to the others. Modes of the couplings, g eigenvalues of
    J / T, have the spectra

        C_g(w) = N(w) / |1 - g G(w)|^2

    with one response G and one noise N for all of them; with <> the mean over modes,

        K = 1 / G - 1 / <G / (1 - g G)>,      Delta = <C_g> / |<G / (1 - g G)>|^2 - N / |G|^2.

    Linear response has G(t) = exp(-t) and N(t) = exp(-(1 - a) t), a the persistence. It overlooks that a kept threshold
    z forgets its past as soon as the field crosses it: sign(h(0) + z) and sign(h(t) + z) differ with a probability of
    the order of sqrt(Delta(0) - Delta(t)), far more than the square that linear response leaves out. Here N and G
    follow from K and Delta,

    - for phi without reaction in full: Q(t) = E sign(h(0) + z) sign(h(t) + z), M(t) = E tanh h(0) tanh h(t) and
      m = E 1 / cosh^2 h, averaged over the times of last visits;
    - for the reaction at first order in K and leading order in Delta. With A f = int_0^t exp(-(t - u)) f(u) du,
      B f = int_0^infinity exp(-u) f(t + u) du and S(t) = E 2 delta(z + h(0)) 2 delta(z + h(t)), which is about
      (pi (Delta(0) - Delta(t)))^(-1/2),

          G = (m - a int K exp(-(1 - a) t) B S dt) exp(-t) + a A[(S - 1) A[K exp(-(1 - a) t)]].

    With the load alpha, the first corrections to linear response are of relative order sqrt(alpha) / T. N is brought to
    a mean variance of 1, which it misses by what is left out (`imbalance`).

    Parameters
    ----------
    dynamics : PersistentGlauber
        Without fields, above its transition, persistence at most 0.99. Eigenvectors of the couplings are taken to be
        spread over all spins, as those of random patterns are.

    Returns
    -------
    DynamicalMeanField
        Modes, variances, autocorrelation and response.

    Raises
    ------
    ValueError
        If the dynamics is another one, has fields, or has no steady state without order, at or below the transition.

    Warns
    -----
    RuntimeWarning
        If more than a tenth of the variance is left out, near the transition at high persistence.

    References
    ----------
    Derived for this project. The closure over one spin: Sompolinsky, Zippelius 1982, Phys. Rev. B 25, 6860; couplings
    known by their spectrum: Opper, Cakmak, Winther 2016, J. Phys. A 49, 114002 (arXiv 1509.01229). The dynamics: Behera
    et al. 2024, arXiv 2410.06269.
    """
    if not isinstance(dynamics, PersistentGlauber):
        raise ValueError(no_closed_form("dynamical mean field", dynamics))
    if dynamics.fields is not None and np.any(dynamics.fields):
        raise ValueError("dynamical mean field is known without external fields only; sample it and fit instead")
    if dynamics.persistence > _MOST_PERSISTENT:
        raise ValueError(
            f"dynamical mean field is solved for persistence up to {_MOST_PERSISTENT:g}, got {dynamics.persistence:g}"
        )
    modes = np.linalg.eigvalsh(full_matrix(dynamics.couplings)).astype(np.float64) / dynamics.temperature
    return _solve(modes, dynamics.persistence)


def mean_field_couplings(dynamics: Any) -> NDArray[np.float64]:
    """Couplings of the equilibrium model whose covariance persistent spins have, in dynamical mean field.

    Minus the off-diagonal part of the inverse of the covariance, whose eigenvalues are the `variances` of
    `dynamical_mean_field`. They contain the inverse temperature (beta J_eff).

    Parameters
    ----------
    dynamics : PersistentGlauber
        Without fields, above its transition.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric, zero diagonal, dimensionless.

    Raises
    ------
    ValueError
        As in `dynamical_mean_field`.

    References
    ----------
    Derived for this project, see `dynamical_mean_field`; Sompolinsky, Zippelius 1982, Phys. Rev. B 25, 6860.
    """
    found = dynamical_mean_field(dynamics)
    _, vectors = np.linalg.eigh(full_matrix(dynamics.couplings))
    precision = (vectors / found.variances) @ vectors.T
    couplings: NDArray[np.float64] = -(precision + precision.T) / 2
    np.fill_diagonal(couplings, 0.0)
    return couplings


def fitted_rate_and_slope(dynamics: Any) -> tuple[float, float]:
    """Dreaming rate and slope that `DreamingModel` finds in samples of persistent spins with Hebbian couplings.

    The member of the family, inverse temperature times `dreaming(patterns, rate)`, that a fit by pseudo-likelihood
    finds nearest to `mean_field_couplings`: with the variances V of `dynamical_mean_field` it minimises
    sum V (J_fit - J_eff)^2 over the modes, both without diagonal.

    Parameters
    ----------
    dynamics : PersistentGlauber
        With Hebbian couplings of random patterns, no fields, above its transition.

    Returns
    -------
    rate : float
        lambda, dimensionless.
    slope : float
        Coefficient of the Hebbian matrix, inverse temperature times (1 + rate), in units of inverse temperature.

    Raises
    ------
    ValueError
        As in `dynamical_mean_field`.

    Notes
    -----
    Against fits to simulations at loads 0.1 to 0.3, temperatures 2 to 4 and persistences 0.3 to 0.9 the rate is right
    within 5 %, the slope within 3 %, and no number in it was fitted (tests/VALIDATION.md has the table); linear
    response is up to 100 % off.

    References
    ----------
    Derived for this project; Fachechi, Agliari, Barra 2019 (arXiv 1810.12217) for the family.
    """
    found = dynamical_mean_field(dynamics)
    if dynamics.persistence == 0:
        return 0.0, 1 / dynamics.temperature  # detailed balance: exact
    effective = -1 / found.variances
    effective -= effective.mean()
    hebbian = dynamics.temperature * (found.modes - found.modes[0])  # the lost diagonal is put back
    root = np.sqrt(found.variances)

    def distance(parameters: Values) -> Values:
        slope, rate = parameters
        member = slope * hebbian / (1 + rate * hebbian)
        return root * (member - member.mean() - effective)

    start = np.array([1 / dynamics.temperature, 0.0])
    bounds = ([0.0, -0.999 / hebbian[-1]], [np.inf, np.inf])
    slope, rate = least_squares(distance, start, bounds=bounds, x_scale=[1 / dynamics.temperature, 1.0], xtol=1e-12).x
    return float(rate), float(slope)


def _solve(modes: Values, persistence: float) -> DynamicalMeanField:
    """Iterate K, Delta -> G, N -> K, Delta to a fixed point."""
    bulk = modes[: max(len(modes) - _SINGLE_MODES, 0)]
    groups = [part for part in (*np.array_split(bulk, _GROUPS), *modes[len(bulk) :, None]) if len(part)]
    g, share = np.array([part.mean() for part in groups]), np.array([len(part) for part in groups]) / len(modes)
    horizon = max(_SHORTEST_HORIZON, _MEMORIES_OF_THE_NOISE / (1 - persistence))
    times = np.arange(1 << math.ceil(math.log2(horizon / _STEP)), dtype=np.float64) * _STEP
    # equilibrium as a start: 1 / G(0) where the mean of 1 / (1 / G(0) - g) is 1
    stiff = brentq(lambda value: (share / (value - g)).sum() - 1, g[-1] + 1e-9, g[-1] + 1e3)
    response: Values = np.exp(-times) / stiff
    noise: Values = np.exp(-(1 - persistence) * times)
    # of the spectrum in the equal-time variance: frequencies above 0 stand for those below too
    weight = np.full(len(times) + 1, 1 / (_STEP * len(times)))
    weight[[0, -1]] /= 2
    change, mean = np.inf, 1.0
    for _ in range(_MOST_ITERATIONS):
        answer, spectrum = _transform(response, even=False), _transform(noise, even=True)
        if g[-1] * answer[0].real >= 1:
            break
        gain = 1 / (1 - g[:, None] * answer)
        local, local_square = share @ gain, share @ abs(gain) ** 2
        reaction = _back((1 / answer) * (1 - 1 / local))
        reaction[0] *= 2  # a transform gives half of the jump from 0
        field = _back(spectrum * (local_square - abs(local) ** 2) / abs(local * answer) ** 2)
        before = response, noise
        mean = float(noise[0] + (spectrum * weight) @ (local_square - 1))
        response, noise = _one_spin(times, reaction, field / mean, persistence)
        change = float(np.abs(response - before[0]).max() + np.abs(noise - before[1]).max())
        if change < _TOLERANCE:
            break
    settled = change < _TOLERANCE
    answer, spectrum = _transform(response, even=False), _transform(noise, even=True)
    variances = np.concatenate(
        [
            noise[0] + (abs(1 / (1 - part[:, None] * answer)) ** 2 - 1) @ (spectrum * weight)
            for part in np.array_split(modes, max(1, len(modes) // 32))
        ]
    )
    mean = float(variances.mean())
    # with order the largest mode would take a share of all variance that does not shrink with their number
    if not settled or variances[-1] > _ORDER * variances.sum():
        raise ValueError(
            "dynamical mean field finds no steady state without order: the largest eigenvalue of couplings / "
            f"temperature is {modes[-1]:.4g}, at or below the transition (raise the temperature)"
        )
    if abs(mean - 1) > _LARGEST_IMBALANCE:
        warnings.warn(
            f"dynamical mean field leaves out {abs(mean - 1):.0%} of the variance here, near the transition: expect "
            "errors of that size (raise the temperature, or sample and fit instead)",
            RuntimeWarning,
            stacklevel=4,
        )
    autocorrelation = _back(spectrum * (share @ abs(1 / (1 - g[:, None] * answer)) ** 2)) / mean
    return DynamicalMeanField(modes, variances / mean, times, autocorrelation, response, mean - 1)


def _one_spin(times: Values, reaction: Values, field: Values, persistence: float) -> tuple[Values, Values]:
    """Response and noise of one spin in the field of the others, see `dynamical_mean_field`."""
    forget = np.exp(-times)
    keep = np.exp(-(1 - persistence) * times)
    kept, fresh, crossings, gain = _two_visits(field)
    linear = gain**2 * field
    noise = forget * (1 - _STEP * ((forget * linear).sum() - linear[0] / 2))
    noise += _answered(persistence * keep * _since_visit(kept - fresh) + _since_visit(fresh - linear))
    remembered = reaction * keep
    total = _STEP * (remembered.sum() - remembered[0] / 2)
    noise -= (forget + keep) * total / (2 - persistence)
    response = gain * forget
    if persistence > 0:
        noise += _answered(_signs_at_a_crossing(times, reaction, field, persistence))
        waiting = remembered * _since_visit(crossings)
        response -= persistence * _STEP * (waiting.sum() - waiting[0] / 2) * forget
        echo = (crossings - 1) * _answered(remembered)
        echo[0] = 0.0
        response += persistence * _answered(echo)
    return response, noise


def _two_visits(field: Values) -> tuple[Values, Values, Values, float]:
    """Q, M and S at all times, and m, for a Gaussian field of correlation Delta: functions of Delta(t) / Delta(0)."""
    variance = max(float(field[0]), 1e-12)
    distances = np.linspace(0.0, math.sqrt(2.0), 161)  # sqrt(1 - Delta(t) / Delta(0)), in which all are smooth
    correlation = 1 - distances**2
    # h(0) and h(t) are a mean +- half a difference, which are independent
    mean = np.sqrt(variance * np.maximum(1 + correlation, 0.0) / 2)[:, None, None] * _NORMAL[:, None]
    half = np.sqrt(variance * (1 - correlation) / 2)[:, None, None] * _SIZE
    ahead, behind = np.tanh(mean + half), np.tanh(mean - half)
    kept = 1 - _NORMAL_SHARE @ ((ahead - behind) @ _SIZE_SHARE).T
    fresh = _NORMAL_SHARE @ ((ahead * behind) @ _SIZE_SHARE).T
    middle = (1 / np.cosh(mean[:, :, 0]) ** 2) @ _NORMAL_SHARE
    at = np.sqrt(np.clip(1 - field / variance, 0.0, 2.0))
    density = np.interp(at, distances, middle)
    crossings = np.empty_like(field)
    crossings[1:] = density[1:] / np.sqrt(math.pi * variance * np.maximum(at[1:], 1e-6) ** 2)
    crossings[0] = 3 * crossings[1]  # the rule of trapezia is then exact for the root in the first step
    gain = float(_NORMAL_SHARE @ (1 / np.cosh(math.sqrt(variance) * _NORMAL) ** 2))
    return np.interp(at, distances, kept), np.interp(at, distances, fresh), crossings, gain


def _signs_at_a_crossing(times: Values, reaction: Values, field: Values, persistence: float) -> Values:
    """What the reaction adds to the noise where a kept threshold is just crossed, at first order in K.

    A spin turned by the reaction at a visit u has its threshold at -h(u). If the threshold is the one at two other
    visits p and q too, the product of the spins there is not 1 but sign(h(p) - h(u)) sign(h(q) - h(u)), of mean
    (2 / pi) arcsin of the correlation.
    """
    forgetting = 1 - persistence
    span = 12 / forgetting
    age = span * ((_AGE + 1) / 2) ** 2  # dense near 0, where reactions are strong
    weight = span * (_AGE + 1) / 2 * _AGE_SHARE * np.interp(age, times, reaction)
    elapsed = span * _ELAPSED

    def correlation(lag: Values) -> Values:
        steps = np.minimum(abs(lag) / _STEP, len(field) - 2)
        below = steps.astype(np.int64)
        values: Values = field[below] + (steps - below) * (field[below + 1] - field[below])
        return values

    def product(p: Values, q: Values, u: Values) -> Values:
        own = np.sqrt(np.maximum((field[0] - correlation(p - u)) * (field[0] - correlation(q - u)), 0.0))
        joint = correlation(p - q) - correlation(p - u) - correlation(q - u) + field[0]
        return 2 / math.pi * np.arcsin(np.clip(joint / np.maximum(2 * own, 1e-15), -1.0, 1.0))

    # turned at u after time 0: visits before 0 and before w = u - age, from which the reaction comes
    u, first, other = elapsed[:, None, None, None], -_SINCE[:, None], _SINCE
    w = u - age[:, None, None]
    late = np.maximum(w, 0.0)
    visited = -np.expm1(-late)  # between 0 and w, else the last visit is the same one and the product is 1
    second = np.where(w > 0, late + np.log(1 + np.expm1(-other) * visited), w - other)
    same = np.where(w > 0, visited * np.exp(-forgetting * np.maximum(second, 0.0)), np.exp(forgetting * (w - first)))
    same = np.where((w <= 0) & (w > first), 0.0, persistence * same)
    lost = same * persistence * np.exp(-forgetting * (u - late)) * (1 - product(first, second, u))
    gained = -np.einsum("uwij,w,i,j->u", lost, weight, _SINCE_SHARE, _SINCE_SHARE)
    # turned at u before time 0: a visit before w, and one after 0
    v, u, since = elapsed[:, None, None, None], -_SINCE[:, None, None], age[:, None]
    signs = product(v, u - since - other, u)
    remembered = weight * np.exp(-forgetting * age)
    early = np.einsum("vuwj,u,w,j->v", signs, _SINCE_SHARE, remembered, _SINCE_SHARE)
    gained += persistence**2 * np.exp(-forgetting * elapsed) * early
    found: Values = np.interp(times, elapsed, gained, right=0.0)
    return found


def _answered(values: Values) -> Values:
    """int_0^t exp(-(t - u)) values(u) du."""
    stay = math.exp(-_STEP)
    move = (1 - stay) / 2
    found: Values = lfilter([move, move], [1.0, -stay], values, zi=[-move * values[0]])[0]
    return found


def _since_visit(values: Values) -> Values:
    """int_0^infinity exp(-e) values(t + e) de, values constant beyond the end."""
    stay = math.exp(-_STEP)
    move = (1 - stay) / 2
    found: Values = lfilter([move, move], [1.0, -stay], values[::-1], zi=[(1 - move) * values[-1]])[0][::-1]
    return found


def _transform(values: Values, *, even: bool) -> NDArray[Any]:
    """Fourier transform of a function that is even in time, or 0 before time 0, by the rule of trapezia."""
    if even:
        return np.fft.rfft(np.concatenate([values, values[-1:], values[:0:-1]])).real * _STEP
    padded = np.concatenate([values, np.zeros_like(values)])
    padded[0] /= 2
    return np.fft.rfft(padded) * _STEP


def _back(spectrum: NDArray[Any]) -> Values:
    """Function of time from 0, from its Fourier transform."""
    values: Values = np.fft.irfft(spectrum)
    return values[: len(values) // 2] / _STEP
