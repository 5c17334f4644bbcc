"""Temporal contrast of a synapse: sawtooth protocol, and change of the weight in one cycle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import check_number, first_place
from simulate.contrastive import update_kernels as kernels
from simulate.contrastive.nonlinearity import Nonlinearity
from simulate.contrastive.response import Kernel, exponentials

__all__ = ["ContrastiveRule", "IdealContrast", "Sawtooth", "weight_update"]

# steps in each doubling of time after a corner of the signal; the interpolation error is inverse to their square
_STEPS_PER_DOUBLING = 256
# bins of equal width in the index of a level table
_GUIDE_BINS = 4096


@dataclass(frozen=True)
class Sawtooth:
    """Protocol of one cycle: the signal goes linearly from its free to its clamped value and back.

    Parameters
    ----------
    rise_time : float
        tau_f > 0, time from the free to the clamped state; the fast part in a contrastive protocol.
    fall_time : float
        tau_s > 0, time from the clamped back to the free state.

    Raises
    ------
    ValueError
        If a time is not positive.
    """

    rise_time: float = 1.0
    fall_time: float = 9.0

    def __post_init__(self) -> None:
        for name in ("rise_time", "fall_time"):
            object.__setattr__(self, name, check_number(getattr(self, name), name, low=0.0, open_low=True))

    @property
    def period(self) -> float:
        """Duration of a cycle."""
        return self.rise_time + self.fall_time

    def signal(self, time: ArrayLike, free: float = 0.0, clamped: float = 1.0) -> NDArray[np.float64]:
        """The signal at any array of times; a cycle begins at time 0 in the free state.

        Parameters
        ----------
        time : array_like
            Times of any shape, in units of time.
        free, clamped : float
            Signal in the two states.

        Returns
        -------
        ndarray
            Of the shape of `time`, in the units of `free` and `clamped`.
        """
        phase = np.mod(np.asarray(time, dtype=np.float64), self.period)
        height = np.where(phase < self.rise_time, phase / self.rise_time, (self.period - phase) / self.fall_time)
        return free + (clamped - free) * height


def periodic_response(kernel: Kernel, protocol: Sawtooth) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Response phi of a kernel to the sawtooth between 0 and 1, in the periodic steady state.

    States are propagated by matrix exponentials of the system driven by a ramp, and the state at the beginning of the
    cycle equals that after a period; phi is exact at every time returned. The times are dense after the corners of the
    signal, in steps that grow with the distance from them.

    Parameters
    ----------
    kernel : Kernel
    protocol : Sawtooth

    Returns
    -------
    times : ndarray, shape (n_times,)
        From 0 to the period.
    phi : ndarray, shape (n_times,)
        u for free = 0, clamped = 1; for other values u = area free + (clamped - free) phi.
    """
    n_states = len(kernel.source)
    fastest = float(np.abs(np.linalg.eigvals(kernel.matrix)).max())
    # states, signal and its slope as one linear system
    system = np.zeros((n_states + 2, n_states + 2))
    system[:n_states, :n_states] = kernel.matrix
    system[:n_states, n_states] = kernel.source
    system[n_states, n_states + 1] = 1.0
    ramps = [(protocol.rise_time, 0.0, 1 / protocol.rise_time), (protocol.fall_time, 1.0, -1 / protocol.fall_time)]
    meshes = [_graded_steps(duration, fastest) for duration, _, _ in ramps]
    propagators = [_powers(exponentials(system, mesh), _STEPS_PER_DOUBLING) for mesh in meshes]

    def cycle(start: NDArray[np.float64]) -> NDArray[np.float64]:
        """States at all times of a cycle begun in `start`."""
        states = [start[None]]
        for (_, value, slope), blocks in zip(ramps, propagators, strict=True):
            state = np.concatenate([states[-1][-1], [value, slope]])
            for powers in blocks:
                block = powers @ state
                state = block[-1]
                states.append(block[:, :n_states])
        return np.concatenate(states)

    driven = cycle(np.zeros(n_states))[-1]
    carried = exponentials(kernel.matrix, np.array([protocol.period]))[0]
    states = cycle(np.linalg.solve(np.eye(n_states) - carried, driven))
    steps = np.repeat(np.concatenate(meshes), _STEPS_PER_DOUBLING)
    return np.concatenate([[0.0], np.cumsum(steps)]), states @ kernel.readout


def _graded_steps(duration: float, fastest: float) -> NDArray[np.float64]:
    """Steps, each taken `_STEPS_PER_DOUBLING` times, that fill a duration and double from its start on."""
    doublings = max(0, int(np.ceil(np.log2(max(1.0, 20 * fastest * duration)))))
    first = duration / 2**doublings
    return np.array([first] + [first * 2**k for k in range(doublings)]) / _STEPS_PER_DOUBLING


def _powers(matrices: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Powers 1 to count of each matrix, (n_matrices, count, n, n), by doubling."""
    found = np.empty((len(matrices), count, *matrices.shape[1:]))
    found[:, 0] = matrices
    known = 1
    while known < count:
        more = min(known, count - known)
        found[:, known : known + more] = found[:, :more] @ found[:, known - 1 : known]
        known += more
    return found


def _level_table(
    steps: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[Any, Any, Any]:
    """Knots, layers and guide of `_kernels.update`, one side, for a response linear from low to high in each step."""
    knots = np.unique(np.concatenate([low, high]))
    first, last = np.searchsorted(knots, low), np.searchsorted(knots, high)
    # time above each knot: cells entirely above it, then those that cross it
    whole = np.bincount(first, weights=steps, minlength=len(knots))
    time_above = np.cumsum(whole[::-1])[::-1].copy()
    inside = last - first - 1
    cell = np.repeat(np.arange(len(steps)), inside)
    knot = np.arange(len(cell)) - np.repeat(np.cumsum(inside) - inside, inside) + first[cell] + 1
    np.add.at(time_above, knot, steps[cell] * (high[cell] - knots[knot]) / (high[cell] - low[cell]))
    width = np.diff(knots)
    slope = (time_above[:-1] - time_above[1:]) / width
    # each layer from the one before, summed from the highest knot
    t = time_above[1:]
    one = _summed_from_the_top(width * (t + width * slope / 2))
    two = _summed_from_the_top(width * (2 * one[1:] + width * (t + width * slope / 3)))
    three = _summed_from_the_top(width * (3 * two[1:] + width * (3 * one[1:] + width * (t + width * slope / 4))))
    layers = np.stack([time_above, one, two, three], axis=1)
    edges = np.linspace(knots[0], knots[-1], _GUIDE_BINS + 1)
    guide = np.maximum(np.searchsorted(knots, edges, side="right") - 1, 0).astype(np.int64)
    return knots, layers, guide


def _summed_from_the_top(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.append(np.cumsum(steps[::-1])[::-1], 0.0)


@dataclass(frozen=True, eq=False)
class ContrastiveRule:
    """Temporal contrastive learning: the change of a weight in one cycle, dw = int_0^P g(u(t)) dt.

    The signal of the synapse follows `protocol` between its free and its clamped value, u is its convolution with
    `kernel` in the periodic steady state and g the nonlinearity. With a hard threshold, a memory much shorter than the
    ramps and no area, dw = clamped - free for threshold rise_time <= |clamped - free| < threshold fall_time, else 0.

    The steady state is computed once, exactly at some thousand times of the cycle, and interpolated linearly. Updates
    of any number of synapses then use a table of the time spent above a level.

    Parameters
    ----------
    kernel : Kernel
    protocol : Sawtooth
    nonlinearity : Nonlinearity

    Raises
    ------
    ValueError
        If a part is of the wrong kind.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """

    kernel: Kernel
    protocol: Sawtooth
    nonlinearity: Nonlinearity
    times: NDArray[np.float64] = field(init=False, repr=False)
    response: NDArray[np.float64] = field(init=False, repr=False)
    _tables: tuple[Any, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name, kind in (("kernel", Kernel), ("protocol", Sawtooth), ("nonlinearity", Nonlinearity)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} must be a {kind.__name__}, got {type(getattr(self, name)).__name__}")
        times, phi = periodic_response(self.kernel, self.protocol)
        area, period = self.kernel.area, self.protocol.period
        # the interpolated response keeps the exact mean, area / 2: without area a linear synapse must not learn
        phi = phi + (area / 2 - np.trapezoid(phi, times) / period)
        numbers = np.array([area, self.nonlinearity.threshold, period, np.abs(phi).max()])
        taylor = np.array(self.nonlinearity.coefficients, dtype=np.float64)
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "response", phi)
        steps, low, high = np.diff(times), np.minimum(phi[:-1], phi[1:]), np.maximum(phi[:-1], phi[1:])
        # a plateau is given the width of a rounding error, so that the time spent above a level is continuous
        high = np.maximum(high, low + 4 * np.spacing(numbers[3]))
        sides = zip(_level_table(steps, low, high), _level_table(steps, -high, -low), strict=True)
        object.__setattr__(self, "_tables", (numbers, taylor, *(np.stack(side) for side in sides)))

    @property
    def signature(self) -> bytes:
        """Values that determine the updates; rules with equal values are equivalent."""
        return b"".join(array.tobytes() for array in self._tables)

    def update(self, free: ArrayLike, clamped: ArrayLike) -> NDArray[np.float64]:
        """Change of the weights in one cycle, dw = int_0^P g(u(t)) dt.

        Parameters
        ----------
        free, clamped : array_like
            Signals in the two states, of any shapes that broadcast.

        Returns
        -------
        ndarray
            Of the common shape, in units of the signal.

        Raises
        ------
        ValueError
            If a signal is not finite or the shapes do not fit.
        """
        low, high = _signals(free, clamped)
        out = np.empty(low.size)
        arguments: Any = (low.ravel(), high.ravel(), *self._tables, out)
        kernels.update(*arguments)
        return out.reshape(low.shape)

    def outer_update(
        self,
        free_before: NDArray[np.float64],
        free_after: NDArray[np.float64],
        clamped_before: NDArray[np.float64],
        clamped_after: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Sum over rows of the updates of synapses (i, j) whose signal is before[row, i] * after[row, j].

        Parameters
        ----------
        free_before, free_after : ndarray, shape (n_samples, n_before) and (n_samples, n_after)
            Units before and after the synapses in the free state.
        clamped_before, clamped_after : ndarray, shape (n_samples, n_before) and (n_samples, n_after)
            The same in the clamped state.

        Returns
        -------
        ndarray, shape (n_before, n_after)
            In units of the signal.
        """
        out = np.zeros((free_before.shape[1], free_after.shape[1]))
        states = (np.ascontiguousarray(a) for a in (free_before, free_after, clamped_before, clamped_after))
        arguments: Any = (*states, *self._tables, out)
        kernels.outer_update(*arguments)
        return out


@dataclass(frozen=True)
class IdealContrast:
    """Update of a synapse with perfect memory: dw = clamped - free.

    References
    ----------
    Scellier, Bengio 2017, Frontiers in Computational Neuroscience 11, 24 (arXiv 1602.05179).
    """

    signature: ClassVar[bytes] = b"ideal contrast"

    def update(self, free: ArrayLike, clamped: ArrayLike) -> NDArray[np.float64]:
        """Change of the weights in one cycle, dw = clamped - free.

        Parameters
        ----------
        free, clamped : array_like
            Signals in the two states, of any shapes that broadcast.

        Returns
        -------
        ndarray
            Of the common shape, in units of the signal.

        Raises
        ------
        ValueError
            If a signal is not finite or the shapes do not fit.
        """
        low, high = _signals(free, clamped)
        return high - low

    def outer_update(
        self,
        free_before: NDArray[np.float64],
        free_after: NDArray[np.float64],
        clamped_before: NDArray[np.float64],
        clamped_after: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Sum over rows of the updates of synapses (i, j); see `ContrastiveRule.outer_update`.

        Parameters
        ----------
        free_before, free_after : ndarray, shape (n_samples, n_before) and (n_samples, n_after)
            Units before and after the synapses in the free state.
        clamped_before, clamped_after : ndarray, shape (n_samples, n_before) and (n_samples, n_after)
            The same in the clamped state.

        Returns
        -------
        ndarray, shape (n_before, n_after)
            In units of the signal.
        """
        return clamped_before.T @ clamped_after - free_before.T @ free_after


def _signals(free: ArrayLike, clamped: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Free and clamped signals as float64 of one shape."""
    arrays = []
    for name, given in (("free", free), ("clamped", clamped)):
        values = np.asarray(given, dtype=np.float64)
        if not np.isfinite(values).all():
            place = ", ".join(map(str, first_place(~np.isfinite(values))))
            raise ValueError(f"{name}[{place}] is not finite: signals must be finite numbers")
        arrays.append(values)
    try:
        low, high = np.broadcast_arrays(*arrays)
    except ValueError:
        raise ValueError(f"free {arrays[0].shape} and clamped {arrays[1].shape} do not fit together") from None
    return low, high


def weight_update(
    kernel: Kernel, protocol: Sawtooth, nonlinearity: Nonlinearity, free: ArrayLike, clamped: ArrayLike
) -> NDArray[np.float64]:
    """Change of synaptic weights in one cycle of the protocol, dw = int_0^P g(u(t)) dt in the periodic steady state.

    For many cycles make a `ContrastiveRule` once and call its `update`.

    Parameters
    ----------
    kernel : Kernel
        For example `chemotaxis_kernel(rate, area)`.
    protocol : Sawtooth
    nonlinearity : Nonlinearity
        For example `hard_threshold(theta)`.
    free, clamped : array_like
        Signals at the two ends of the ramp, of any shapes that broadcast.

    Returns
    -------
    ndarray
        Of the common shape; in units of the signal for a thresholded linear g.

    Raises
    ------
    ValueError
        If a part is of the wrong kind, a signal not finite or the shapes do not fit.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """
    return ContrastiveRule(kernel, protocol, nonlinearity).update(free, clamped)
