"""Memory kernels of a synapse: its response to past values of the signal.

A kernel is the response of a linear system, so that its convolution with piecewise linear signals is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import check_count, check_number

__all__ = ["Kernel", "chemotaxis_kernel", "feedback_kernel", "gamma_kernel"]


def exponentials(matrix: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """exp(matrix t) for times (n_times,) at once, by Taylor series of a scaled matrix and squaring."""
    norms = np.abs(matrix).sum(axis=0).max() * times
    halvings = np.maximum(np.ceil(np.log2(np.maximum(norms, 1e-300))), 0).astype(np.int64)
    scaled = (times / 2.0**halvings)[:, None, None] * matrix
    result = np.broadcast_to(np.eye(len(matrix)), scaled.shape)
    for k in range(18, 0, -1):  # 1 / 19! is below a rounding error
        result = np.eye(len(matrix)) + scaled @ result / k
    for k in range(int(halvings.max(initial=0))):
        again = halvings > k
        result[again] = result[again] @ result[again]
    return result


@dataclass(frozen=True, eq=False)
class Kernel:
    """Linear response K(t) = readout . exp(matrix t) . source for t > 0.

    The response to a signal s is

        u(t) = int_0^inf K(x) s(t - x) dx.

    This is an implicit memory: the free state is not stored. For slow signals u = ds/dt + area s once the kernel is
    `normalised` to a first moment of -1.

    Parameters
    ----------
    matrix : array_like, shape (n_states, n_states)
        Per unit of time; all eigenvalues have negative real parts.
    source : array_like, shape (n_states,)
        Coefficients by which the signal drives the states.
    readout : array_like, shape (n_states,)
        Weights of the states in u.

    Raises
    ------
    ValueError
        If the shapes do not fit, a number is not finite or the system is not stable.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """

    matrix: NDArray[np.float64]
    source: NDArray[np.float64]
    readout: NDArray[np.float64]

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
            raise ValueError(f"matrix must be square (n_states, n_states), got shape {matrix.shape}")
        vectors = {name: np.array(getattr(self, name), dtype=np.float64) for name in ("source", "readout")}
        for name, vector in vectors.items():
            if vector.shape != (len(matrix),):
                raise ValueError(f"{name} must have shape ({len(matrix)},) like the matrix, got {vector.shape}")
        for name, values in {"matrix": matrix, **vectors}.items():
            if not np.isfinite(values).all():
                raise ValueError(f"{name} must hold finite numbers only")
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        growth = float(np.linalg.eigvals(matrix).real.max())
        if growth >= 0:
            raise ValueError(
                f"the response must decay: the matrix has an eigenvalue of real part {growth:.3g}, not below 0"
            )

    def __call__(self, time: ArrayLike) -> NDArray[np.float64]:
        """K at any array of times, zero before 0; in signal response per unit of time."""
        times = np.asarray(time, dtype=np.float64)
        return np.where(times < 0, 0.0, self._propagated(times, self.source))

    def step_response(self, time: ArrayLike) -> NDArray[np.float64]:
        """Response to a step, int_0^t K(x) dx.

        Parameters
        ----------
        time : array_like
            Times of any shape, in units of time.

        Returns
        -------
        ndarray
            Of the shape of `time`; u after the signal has changed from 0 to 1 at time 0.
        """
        times = np.asarray(time, dtype=np.float64)
        rest: NDArray[np.float64] = np.linalg.solve(self.matrix, self.source).astype(np.float64)
        return np.where(times < 0, 0.0, self._propagated(times, rest) - float(self.readout @ rest))

    def _propagated(self, times: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
        """readout . exp(matrix t) . start, at time 0 for negative times."""
        flat = np.maximum(times, 0.0).ravel()
        return (exponentials(self.matrix, flat) @ start @ self.readout).reshape(times.shape)

    @property
    def area(self) -> float:
        """Integral of K: u for a constant signal of 1."""
        return float(-self.readout @ np.linalg.solve(self.matrix, self.source))

    @property
    def first_moment(self) -> float:
        """Integral of t K(t), in units of time; negative for a kernel that responds to changes."""
        return float(self.readout @ np.linalg.solve(self.matrix, np.linalg.solve(self.matrix, self.source)))

    def normalised(self) -> Kernel:
        """The kernel divided by the size of its first moment, so that u = ds/dt + area s for slow signals.

        Returns
        -------
        Kernel
            Of first moment -1.

        Raises
        ------
        ValueError
            If the first moment is not negative: such a kernel does not respond to a rise with positive u.
        """
        moment = self.first_moment
        if moment >= 0:
            raise ValueError(
                f"the first moment of the kernel is {moment:.4g}, it must be negative: "
                "this response is no contrastive memory and cannot be normalised to one"
            )
        return Kernel(self.matrix, self.source, self.readout / -moment)


def _cascade(rate: float, weights: list[float]) -> Kernel:
    """sum_k weights[k - 1] Gamma(k, rate) density: a chain of stages, each of mean time 1 / rate."""
    stages = len(weights)
    matrix = rate * (np.eye(stages, k=-1) - np.eye(stages))
    source = np.zeros(stages)
    source[0] = rate
    return Kernel(matrix, source, np.array(weights, dtype=np.float64))


def chemotaxis_kernel(rate: float = 20.0, area: float = 0.0) -> Kernel:
    """Kernel of the chemotaxis of E. coli.

    It is

        K(t) = a exp(-B t) (t - c t^2),   a = B^3 + 3 I B^2,   c = (B^2 + 2 B I) / (6 I + 2 B),

    whose area is I and first moment -1, so that u = ds/dt + I s for signals that are slow compared with 1 / B.

    Parameters
    ----------
    rate : float, default 20
        B > 0, per unit of time; the memory lasts about 1 / B.
    area : float, default 0
        I, above -B / 3; 0 is perfect adaptation.

    Returns
    -------
    Kernel

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """
    b = check_number(rate, "rate", low=0.0, open_low=True)
    i = check_number(area, "area", low=-b / 3, open_low=True)
    a = b**3 + 3 * i * b**2
    c = (b**2 + 2 * b * i) / (6 * i + 2 * b)
    return _cascade(b, [0.0, a / b**2, -2 * a * c / b**3])


def gamma_kernel(rate: float = 20.0, order: int = 3) -> Kernel:
    """Derivative of the Gamma density, K_n(t) = d/dt [B^n t^(n-1) exp(-B t) / (n-1)!], of area 0 and first moment -1.

    Order 3 is `chemotaxis_kernel` at area 0.

    Parameters
    ----------
    rate : float, default 20
        B > 0, per unit of time.
    order : int, default 3
        n >= 2, the number of steps of the cascade (the derivative for n = 1 is not a function).

    Returns
    -------
    Kernel

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """
    b = check_number(rate, "rate", low=0.0, open_low=True)
    n = check_count(order, "order", low=2)
    return _cascade(b, [0.0] * (n - 2) + [b, -b])


def gamma_density(time: ArrayLike, rate: float, order: int) -> NDArray[np.float64]:
    """Gamma density B^n t^(n-1) exp(-B t) / (n-1)!, zero before 0; per unit of time."""
    t = np.maximum(np.asarray(time, dtype=np.float64), 0.0)
    return rate**order * t ** (order - 1) * np.exp(-rate * t) / factorial(order - 1) * (np.asarray(time) >= 0)


def feedback_kernel(response_time: float, memory_time: float, leak: float = 0.0) -> Kernel:
    """Response of u in a minimal model of integral feedback.

    That is

        response_time du/dt = s - m - u,     dm/dt = u / memory_time - leak m.

    With tau_m the memory time, lam the leak, tau_u the response time and D = lam + 1 / tau_m its area is
    lam tau_m / (1 + lam tau_m), its first moment -[D - lam (1 + lam tau_u)] / D^2. It is not normalised.

    Parameters
    ----------
    response_time, memory_time : float
        tau_u and tau_m, both > 0, in units of time.
    leak : float, default 0
        lam >= 0, per unit of time; 0 adapts perfectly.

    Returns
    -------
    Kernel

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """
    fast = check_number(response_time, "response_time", low=0.0, open_low=True)
    slow = check_number(memory_time, "memory_time", low=0.0, open_low=True)
    leak = check_number(leak, "leak", low=0.0)
    matrix = np.array([[-1 / fast, -1 / fast], [1 / slow, -leak]])
    return Kernel(matrix, np.array([1 / fast, 0.0]), np.array([1.0, 0.0]))
