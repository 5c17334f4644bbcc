"""Response and noise of one driven spin in the field of the others.

Derivation of N and G of `dynamical_mean_field`, for persistent thresholds first. A spin is visited at rate 1 (time in
sweeps, fields in units of T); a visit redraws the threshold z with probability gamma = 1 - a. So s(t) = sign(h(v) + z),
v the last visit. Averages over visits are A f = int_0^t exp(-(t - u)) f(u) du and B f = int_0^infinity exp(-e) f(t + e)
de.

Without reaction, h is a Gaussian field of correlation Delta. With no visit in (0, t], s(t) = s(0). Else all visits up
to the last one, at v, kept z, with probability a exp(-gamma v), or one did not:

    C = exp(-t) + A[a exp(-gamma t) B Q + (1 - a exp(-gamma t)) B M],     G = m exp(-t).

C holds the linear answer to the field, which the modes account for; without it the noise is left,

    N = exp(-t) (1 - m^2 int exp(-e) Delta(e) de) + A[a exp(-gamma t) B (Q - M) + B (M - m^2 Delta)].

The reaction int K(u - w) s(w) dw shifts the field at a visit u by little: it turns a spin whose z lies at -h(u). At
first order C changes by int K <2 delta(z_u + h_u) s_0 s_w>, u the last visit before t, and by the same with 0 and t
exchanged; not at all if u is the last visit before both, since both turn. The mean is 0 if s_0 and s_w go back to two
thresholds and 1 if they go back to one, other than that of u. If all three go back to one, z = -h(u), it is that of
sign(h_0 - h_u) sign(h_w - h_u): `signs_at_a_crossing`. The linear part of all this is in 1 / |1 - g G|^2 already;
taken away, it leaves -(exp(-t) + exp(-gamma t)) int K(e) exp(-gamma e) de / (1 + gamma).

The response of s_t to a field at t' changes by int K ``<s_t s_w>``, differentiated by the fields at u and t'. If t' is
the last visit before w and u > w that before t, this is 1, the linear part, but S(u - t') if both visits met one
threshold: the second term of G. If u = t' it is <2 delta'(z + h_u) sign(z + h_w)>, about -S if w was visited at the
same threshold: the first term.

With a coloured field v all thresholds are fresh, and f = h + v takes the place of h in Q = M = E tanh f(0) tanh f(t)
and in m. Since v need not be weak, derivatives of tanh are averaged over f where the reaction turns a spin: with
R = E m(f(0)) m(f(t)), m(f) = 1 / cosh^2 f, and L = E tanh''(f(0)) tanh f(t),

    G = (m + int K B L dt) exp(-t) + A[(R - m^2) A K],
    N = exp(-t) (1 - m^2 int exp(-e) Delta(e) de - 2 m int K B C dt) + A[B (M - m^2 Delta)] + A[F],

where F is what ``<m(f_u) tanh f_p tanh f_q>`` has beyond ``m <tanh f_p tanh f_q>``, at leading order in the
correlations of f ``E m''(f) m^2 <f_u f_p> <f_u f_q>``, averaged over the visits p and q.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.signal import lfilter

__all__ = ["STEP", "Values", "back", "one_fresh_spin", "one_spin", "transform"]

Values = NDArray[np.float64]

# sweeps: the step resolves the response exp(-t)
STEP = 0.05

# normal variables, the size of a normal variable, times since a last visit (exponential) and plain intervals. With
# twice as many points and half the step a rate of 0.25 changes by 0.1 %, one of 0.19 at persistence 0.97 by 0.2 %
_NORMAL, _NORMAL_SHARE = np.polynomial.hermite_e.hermegauss(20)
_NORMAL_SHARE = _NORMAL_SHARE / _NORMAL_SHARE.sum()
_LEGENDRE, _LEGENDRE_SHARE = np.polynomial.legendre.leggauss(30)
_SIZE = 4 * (_LEGENDRE + 1)
_SIZE_SHARE = 4 * _LEGENDRE_SHARE * np.exp(-(_SIZE**2) / 2) * math.sqrt(2 / math.pi)
# equidistant points, since tanh is steep in strong coloured fields; accurate to 1e-3 for standard deviations up to 8
_FINE_NORMAL = np.linspace(-7.0, 7.0, 161)
_FINE_SHARE = np.exp(-(_FINE_NORMAL**2) / 2)
_FINE_SHARE = _FINE_SHARE / _FINE_SHARE.sum()
_SINCE, _SINCE_SHARE = np.polynomial.laguerre.laggauss(8)
_AGE, _AGE_SHARE = np.polynomial.legendre.leggauss(16)
_ELAPSED = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, 20)])


def one_spin(times: Values, reaction: Values, field: Values, persistence: float) -> tuple[Values, Values]:
    """Response and noise of one persistent spin, from the reaction K and the correlation Delta of the field."""
    forget = np.exp(-times)
    keep = np.exp(-(1 - persistence) * times)
    kept, fresh, crossings, gain = two_visits(field)
    linear = gain**2 * field
    noise = forget * (1 - integral(forget * linear))
    noise += answered(persistence * keep * since_visit(kept - fresh) + since_visit(fresh - linear))
    remembered = reaction * keep
    noise -= (forget + keep) * integral(remembered) / (2 - persistence)
    response = gain * forget
    if persistence > 0:
        noise += answered(signs_at_a_crossing(times, reaction, field, persistence))
        response -= persistence * integral(remembered * since_visit(crossings)) * forget
        echo = (crossings - 1) * answered(remembered)
        echo[0] = 0.0
        response += persistence * answered(echo)
    return response, noise


def one_fresh_spin(times: Values, reaction: Values, field: Values, drive: Values) -> tuple[Values, Values]:
    """The same for new thresholds at every visit, with an additional Gaussian field of correlation `drive`."""
    forget = np.exp(-times)
    total = field + drive
    fresh, slopes, bends, gain, curvature = fresh_visits(total)
    linear = gain**2 * field
    noise = forget * (1 - integral(forget * linear)) + answered(since_visit(fresh - linear))
    autocorrelation = forget + answered(since_visit(fresh))
    noise -= 2 * gain * integral(reaction * since_visit(autocorrelation)) * forget
    near = since_visit(total)
    pairs = near * 2 * integral(reaction * near)
    pairs -= near**2 * answered(reaction) + since_visit(reaction * near**2)  # p and q one visit
    noise += answered(curvature * gain**2 * pairs)
    response = (gain + integral(reaction * since_visit(bends))) * forget
    response += answered((slopes - gain**2) * answered(reaction))
    return response, noise


def fresh_visits(field: Values) -> tuple[Values, Values, Values, float, float]:
    """M, R and L at all times, m and E m'', for a Gaussian field: functions of its correlation over its variance."""
    variance = max(float(field[0]), 1e-12)
    distances = np.linspace(0.0, math.sqrt(2.0), 61)  # as for two visits
    correlation = 1 - distances[:, None, None] ** 2
    first = math.sqrt(variance) * _FINE_NORMAL
    second = correlation * first[:, None] + np.sqrt(np.maximum(1 - correlation**2, 0.0)) * first
    up, up_later = np.tanh(first), np.tanh(second)
    steep, steep_later = 1 - up**2, 1 - up_later**2
    at = np.sqrt(np.clip(1 - field / variance, 0.0, 2.0))

    def mean(values: Values, later: Values) -> Values:
        averages = (later @ _FINE_SHARE) @ (values * _FINE_SHARE)
        found: Values = PchipInterpolator(distances, averages)(np.minimum(at, distances[-1]))
        return found

    gain = float(_FINE_SHARE @ steep)
    curvature = float(_FINE_SHARE @ (steep * (4 * up**2 - 2 * steep)))
    return mean(up, up_later), mean(steep, steep_later), mean(-2 * up * steep, up_later), gain, curvature


def integral(values: Values) -> float:
    """int_0^infinity values(t) dt, by the rule of trapezia."""
    return STEP * float(values.sum() - values[0] / 2)


def two_visits(field: Values) -> tuple[Values, Values, Values, float]:
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
    middle = (1 - np.tanh(mean[:, :, 0]) ** 2) @ _NORMAL_SHARE
    at = np.sqrt(np.clip(1 - field / variance, 0.0, 2.0))
    density = np.interp(at, distances, middle)
    crossings = np.empty_like(field)
    crossings[1:] = density[1:] / np.sqrt(math.pi * variance * np.maximum(at[1:], 1e-6) ** 2)
    crossings[0] = 3 * crossings[1]  # the rule of trapezia is then exact for the root in the first step
    gain = float(_NORMAL_SHARE @ (1 - np.tanh(math.sqrt(variance) * _NORMAL) ** 2))
    return np.interp(at, distances, kept), np.interp(at, distances, fresh), crossings, gain


def signs_at_a_crossing(times: Values, reaction: Values, field: Values, persistence: float) -> Values:
    """Contribution of the reaction to the noise at crossings of a kept threshold, at first order in K.

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
        steps = np.minimum(abs(lag) / STEP, len(field) - 2)
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


def answered(values: Values) -> Values:
    """int_0^t exp(-(t - u)) values(u) du."""
    stay = math.exp(-STEP)
    move = (1 - stay) / 2
    found: Values = lfilter([move, move], [1.0, -stay], values, zi=[-move * values[0]])[0]
    return found


def since_visit(values: Values) -> Values:
    """int_0^infinity exp(-e) values(t + e) de, with constant values beyond the end."""
    stay = math.exp(-STEP)
    move = (1 - stay) / 2
    found: Values = lfilter([move, move], [1.0, -stay], values[::-1], zi=[(1 - move) * values[-1]])[0][::-1]
    return found


def transform(values: Values, *, even: bool) -> NDArray[Any]:
    """Fourier transform of a function that is even in time, or 0 before time 0, by the rule of trapezia."""
    if even:
        return np.fft.rfft(np.concatenate([values, values[-1:], values[:0:-1]])).real * STEP
    padded = np.concatenate([values, np.zeros_like(values)])
    padded[0] /= 2
    return np.fft.rfft(padded) * STEP


def back(spectrum: NDArray[Any]) -> Values:
    """Function of time from 0, from its Fourier transform."""
    values: Values = np.fft.irfft(spectrum)
    return values[: len(values) // 2] / STEP
