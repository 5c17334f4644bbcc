"""Closed forms of temporal contrastive learning, and the shape of its learning curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import gammainc

from simulate.checks import check_count, check_number
from simulate.contrastive.nonlinearity import Nonlinearity
from simulate.contrastive.synapse import ContrastiveRule, Sawtooth

__all__ = [
    "LearningCurve",
    "contrast_fit",
    "fast_memory_update",
    "ideal_update",
    "learning_curve",
    "learning_window",
]


def ideal_update(amplitude: ArrayLike, protocol: Sawtooth, nonlinearity: Nonlinearity) -> NDArray[np.float64]:
    """Update of a synapse whose memory is infinitely short and has no area.

    It is

        dw = tau_f g(A / tau_f) - tau_s g(A / tau_s),

    with A the amplitude clamped - free, tau_f the rise time and tau_s the fall time. Linear g: 0. Hard threshold: A for
    theta tau_f <= |A| < theta tau_s, else 0. Cubic: A^3 (tau_f^-2 - tau_s^-2) / scale.

    Parameters
    ----------
    amplitude : array_like of any shape
        A, in units of the signal.
    protocol : Sawtooth
    nonlinearity : Nonlinearity

    Returns
    -------
    ndarray
        Of the shape of `amplitude`.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """
    a = np.asarray(amplitude, dtype=np.float64)
    rise, fall = protocol.rise_time, protocol.fall_time
    return rise * nonlinearity(a / rise) - fall * nonlinearity(a / fall)


def fast_memory_update(
    amplitude: ArrayLike, protocol: Sawtooth, threshold: float, *, rate: float = 20.0, order: int = 3
) -> NDArray[np.float64]:
    """Update with a hard threshold and the kernel `gamma_kernel(rate, order)`, in closed form.

    With m_f = A / tau_f, m_s = A / tau_s and F_n the Gamma(n, B) distribution function,
    u(t) = -m_s + (m_f + m_s) [F_n(t) - F_n(t - tau_f)] crosses the threshold at t1 < t2, and

        dw = -m_s (t2 - t1) + (m_f + m_s) [H(t2) - H(t1) - H(t2 - tau_f) + H(t1 - tau_f)],
        H(t) = t F_n(t) - (n / B) F_{n+1}(t) for t > 0.

    Exact where the memory has decayed before the fall ends, order / B << tau_s, and |A| / tau_s < threshold; odd in A.

    Parameters
    ----------
    amplitude : array_like of any shape
        A = clamped - free, in units of the signal.
    protocol : Sawtooth
    threshold : float
        theta > 0, in units of the signal per time.
    rate : float, default 20
        B > 0, per unit of time.
    order : int, default 3
        n >= 2.

    Returns
    -------
    ndarray
        Of the shape of `amplitude`.

    Raises
    ------
    ValueError
        If a number is out of range, or an amplitude is at or above theta tau_s.

    References
    ----------
    Derived for this project; Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """
    a = np.asarray(amplitude, dtype=np.float64)
    theta = check_number(threshold, "threshold", low=0.0, open_low=True)
    b = check_number(rate, "rate", low=0.0, open_low=True)
    n = check_count(order, "order", low=2)
    if (np.abs(a) >= theta * protocol.fall_time).any():
        raise ValueError(
            f"the closed form holds for |amplitude| < threshold fall_time = {theta * protocol.fall_time:g} only, "
            f"got {np.abs(a).max():g}"
        )
    values = [np.sign(one) * _crossing_integral(abs(one), protocol, theta, b, n) for one in a.ravel()]
    return np.array(values).reshape(a.shape)


def _crossing_integral(amplitude: float, protocol: Sawtooth, theta: float, b: float, n: int) -> float:
    """dw of one positive amplitude, from the two crossings of the threshold."""
    rise = protocol.rise_time
    fast, slow = amplitude / rise, amplitude / protocol.fall_time

    def distribution(t: float, stages: int) -> float:
        return float(gammainc(stages, b * max(t, 0.0)))

    def excess(t: float) -> float:
        return -slow + (fast + slow) * (distribution(t, n) - distribution(t - rise, n)) - theta

    def integral(t: float) -> float:
        return max(t, 0.0) * distribution(t, n) - n / b * distribution(t, n + 1)

    # greatest where the Gamma densities at t and t - tau_f are equal: t / (t - tau_f) = exp(B tau_f / (n - 1))
    top = rise / -np.expm1(-b * rise / (n - 1))
    if excess(top) <= 0:
        return 0.0
    start = brentq(excess, 0.0, top, xtol=1e-14)
    stop = brentq(excess, top, top + rise + (n + 60) / b, xtol=1e-14)
    steps = integral(stop) - integral(start) - integral(stop - rise) + integral(start - rise)
    return float(-slow * (stop - start) + (fast + slow) * steps)


def learning_window(rule: ContrastiveRule, mean_signal: float = 0.0) -> tuple[float, float]:
    """Amplitudes between which a rule with a threshold learns the contrast: onset and end.

    u is the area times the mean signal plus A psi(t); it reaches the threshold in the rise from the onset on,
    (theta - area mean) / max psi, and in the fall, which unlearns what the rise has learned, from the end on,
    (theta + area mean) / |min psi|. With an infinitely short memory they are theta tau_f and theta tau_s.

    Parameters
    ----------
    rule : ContrastiveRule
        Rule with a threshold above 0.
    mean_signal : float, default 0
        (free + clamped) / 2, in units of the signal.

    Returns
    -------
    onset, end : float
        Positive amplitudes A = clamped - free.

    Raises
    ------
    ValueError
        If the rule has no threshold, or a constant signal passes it by itself.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """
    mean = check_number(mean_signal, "mean_signal")
    theta = rule.nonlinearity.threshold
    if theta == 0:
        raise ValueError("the nonlinearity has no threshold, so there is no learning window")
    constant = rule.kernel.area * mean
    if abs(constant) >= theta:
        raise ValueError(
            f"area mean_signal = {constant:g} passes the threshold {theta:g} without any contrast: "
            "lower the mean signal or the area, or raise the threshold"
        )
    psi = rule.response - rule.kernel.area / 2
    return (theta - constant) / float(psi.max()), (theta + constant) / float(-psi.min())


@dataclass(frozen=True)
class LearningCurve:
    """Updates over the learning window, and the line dw = slope A + offset fitted to them by least squares.

    Attributes
    ----------
    amplitudes, updates : ndarray, shape (n_points,)
        A = clamped - free and dw, evenly spaced over the window.
    onset, end : float
        Ends of the learning window (`learning_window`).
    slope, offset : float
        1 and 0 for a memory that is infinitely short and has no area.
    """

    amplitudes: NDArray[np.float64]
    updates: NDArray[np.float64]
    onset: float
    end: float
    slope: float
    offset: float

    @property
    def learning_range(self) -> float:
        """Ratio end / onset of the largest to the smallest contrast that is learned.

        It is tau_s / tau_f for a memory that is infinitely short.
        """
        return self.end / self.onset


def learning_curve(rule: ContrastiveRule, mean_signal: float = 0.0, *, n_points: int = 101) -> LearningCurve:
    """Learning curve of a rule with a threshold, dw against A = clamped - free at a given mean signal.

    The line is fitted by least squares over the middle of the window on a logarithmic scale, between the onset and the
    end to the powers 3/4, 1/4 and 1/4, 3/4, which excludes its soft edges.

    Parameters
    ----------
    rule : ContrastiveRule
    mean_signal : float, default 0
        (free + clamped) / 2, in units of the signal.
    n_points : int, default 101
        Number of amplitudes, at least 3.

    Returns
    -------
    LearningCurve

    Raises
    ------
    ValueError
        If there is no learning window.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """
    n_points = check_count(n_points, "n_points", low=3)
    onset, end = learning_window(rule, mean_signal)
    if end <= onset:
        raise ValueError(
            f"there is no learning window: the fall passes the threshold from amplitude {end:.4g} on, the rise only "
            f"from {onset:.4g}; the rise must be the faster of the two, and the memory of the kernel shorter than it "
            "(raise the kernel's rate, or slow the protocol down)"
        )

    def updates(amplitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        return rule.update(mean_signal - amplitudes / 2, mean_signal + amplitudes / 2)

    inner = np.linspace(onset**0.75 * end**0.25, onset**0.25 * end**0.75, n_points)
    slope, offset = np.polyfit(inner, updates(inner), 1)
    amplitudes = np.linspace(onset, end, n_points)
    return LearningCurve(amplitudes, updates(amplitudes), onset, end, float(slope), float(offset))


def contrast_fit(free: ArrayLike, clamped: ArrayLike, change: ArrayLike) -> dict[str, float]:
    """Least-squares fit of weight changes by a clamped - b free: b / a = 1 is ideal contrast, 0 plain Hebbian learning.

    Parameters
    ----------
    free, clamped, change : array_like of one shape
        Signals in the two states and the changes of the weights.

    Returns
    -------
    dict
        "clamped" a, "free" b, "ratio" b / a, "unexplained" (fraction of the sum of squares not fitted).

    Raises
    ------
    ValueError
        If the shapes differ or the signals are proportional to each other, so that a and b are not determined.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """
    arrays: list[Any] = [np.asarray(values, dtype=np.float64) for values in (free, clamped, change)]
    if not arrays[0].shape == arrays[1].shape == arrays[2].shape:
        raise ValueError(f"free, clamped and change must have one shape, got {[a.shape for a in arrays]}")
    low, high, target = (values.ravel() for values in arrays)
    design = np.stack([high, -low], axis=1)
    (a, b), _, rank, _ = np.linalg.lstsq(design, target, rcond=1e-10)
    if rank < 2:
        raise ValueError(
            "free and clamped signals are proportional to each other, so that a and b are not determined: give signals "
            "that vary independently"
        )
    left = float(((target - design @ np.array([a, b])) ** 2).sum())
    total = float((target**2).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = float(np.float64(b) / np.float64(a))
    return {
        "clamped": float(a),
        "free": float(b),
        "ratio": ratio,
        "unexplained": left / total if total > 0 else float("nan"),
    }
