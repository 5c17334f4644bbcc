"""Test of time reversal: lagged correlations against their reversals, and a bound of the entropy production."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.diagnosis.blocks import TimeBlocks, block_kernel, smallest_p_value
from infer.diagnosis.check import spin_name
from infer.diagnosis.entropy_bound import entropy_production_bound
from infer.diagnosis.indicators import rarer_state
from infer.files.json import to_plain_dict
from infer.wording import join, p_text, with_error

#: Standard errors above which a bound of the entropy production is reported as larger than zero.
BOUND_SIGMA = 2.0
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LAGS = (1, 2, 4)
_N_PERMUTATIONS = 1999
_MOST_PAIRS = 20_000


@dataclass(frozen=True, eq=False, repr=False)
class TimeReversal:
    r"""Result of :func:`time_reversal_test`.

    Attributes
    ----------
    p_value : float
        Probability that a record which looks the same backwards has as much asymmetry; from the smaller of the two
        below.
    p_values : dict of float
        "pairs of spins" (second order) and "energy and modes" (third order).
    rms_z : dict of float
        Root mean square, over all lagged correlations, of their asymmetry over its standard error; 1 without asymmetry.
    false_alarms : float
        Rate of false alarms at which `reversible` is decided.
    lags : tuple of int
        In rows.
    forward, backward, asymmetry_std : ndarray (n_pairs,)
        :math:`C_{ij}(1) = \langle \delta s_i(t+1)\, \delta s_j(t)\rangle`, :math:`C_{ji}(1)`, and the standard error
        of their difference at lag 1 (the first of ``lags``).
    pair_indices : ndarray of int64 (n_pairs, 2)
        Spins i < j; a random choice where there are more than 20,000.
    entropy_production, entropy_production_std : float
        Held-out lower bound of the entropy production per row, in units of Boltzmann's constant (nats), and its
        standard error. Negative values are noise about zero; nan where the record is too short.
    n_blocks, block_length : int
        Blocks that were reversed at random, and the median of their lengths, in rows.
    correlation_time : float
        Longest autocorrelation time in rows.
    long_enough : bool
        Whether blocks hold at least eight autocorrelation times.
    names : tuple of str, or None
        Names of the spins.
    """

    p_value: float
    p_values: dict[str, float]
    rms_z: dict[str, float]
    false_alarms: float
    lags: tuple[int, ...]
    forward: FloatArray
    backward: FloatArray
    asymmetry_std: FloatArray
    pair_indices: IntArray
    entropy_production: float
    entropy_production_std: float
    n_blocks: int
    block_length: int
    correlation_time: float
    long_enough: bool
    names: tuple[str, ...] | None = None

    @property
    def reversible(self) -> bool | None:
        """False where the record can be told from its reversal; None where it cannot, but is too short to decide."""
        if self.p_value <= self.false_alarms:
            return False
        return True if self.long_enough else None

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON; NaN becomes None, infinity "inf".

        Returns
        -------
        dict
        """
        return {**to_plain_dict(self), "reversible": self.reversible}

    def __repr__(self) -> str:
        """The verdict."""
        return f"TimeReversal({self.verdict!r})"

    @property
    def effect(self) -> str:
        """The most asymmetric pair of spins, in standard errors, at the first lag."""
        if not len(self.pair_indices):
            return ""
        asymmetry = self.forward - self.backward
        z = np.where(self.asymmetry_std > 0, asymmetry / np.where(self.asymmetry_std > 0, self.asymmetry_std, 1), 0.0)
        k = int(np.argmax(np.abs(z)))
        i, j = self.pair_indices[k] if z[k] >= 0 else self.pair_indices[k][::-1]
        later, earlier = spin_name(self, int(i)), spin_name(self, int(j))
        return f"{later} follows {earlier} more than the reverse ({abs(z[k]):.2g} standard errors)"

    @property
    def verdict(self) -> str:
        """One sentence on the direction of time, and one on dissipation."""
        return _verdict(self)


def time_reversal_test(
    rows: NDArray[np.int8],
    observables: FloatArray,
    blocks: TimeBlocks,
    *,
    lags: tuple[int, ...] = LAGS,
    false_alarms: float = 0.05,
    n_permutations: int = _N_PERMUTATIONS,
    seed: np.random.SeedSequence,
    names: tuple[str, ...] | None = None,
) -> TimeReversal:
    r"""Test whether a stationary record of spins can be told from its reversal in time.

    With :math:`\delta s = s - \langle s\rangle`, the asymmetries

    .. math:: A_{ij}(\tau) = \langle \delta s_i(t+\tau)\,\delta s_j(t)\rangle
              - \langle \delta s_j(t+\tau)\,\delta s_i(t)\rangle

    of all pairs of spins, and, for energy and leading principal components y,
    :math:`B_{ab}(\tau) = \langle y_a^2(t+\tau)\, y_b(t)\rangle - \langle y_a^2(t)\, y_b(t+\tau)\rangle` of third order,
    vanish when the record looks the same backwards; spins count as even under time reversal. Each of them is divided by
    its standard error and their squares are summed. The null distribution is that of the record with each block
    reversed or not at random: reversal changes the sign of a block's contribution to A and B and leaves all symmetric
    statistics unchanged. The two orders are combined by their smaller p-value, whose own distribution comes from the
    same randomisation.

    Parameters
    ----------
    rows : ndarray of int8 (n_rows, n_spins)
        Spins of +-1 in time order.
    observables : ndarray (n_rows, k)
        From :func:`infer.diagnosis.blocks.collective_observables`.
    blocks : TimeBlocks
    lags : tuple of int
        In rows, each less than the shortest block.
    false_alarms : float
        Rate of false alarms at which ``reversible`` is decided.
    n_permutations : int
    seed : SeedSequence
    names : tuple of str, optional
        Names of the spins, for sentences.

    Returns
    -------
    TimeReversal

    Notes
    -----
    Driven dynamics with symmetric couplings and no fields have symmetric lagged correlations of second order; the third
    order may or may not tell them from equilibrium. A record that passes may still be driven.

    References
    ----------
    Onsager 1931, Phys. Rev. 37, 405 (second order); Pomeau 1982, J. Physique 43, 859, and Steinberg 1986, Biophys. J.
    50, 171 (third order).
    """
    choice_seed, flip_seed = seed.spawn(2)
    rng = np.random.default_rng(flip_seed)
    pairs = _choose_pairs(rows.shape[1], choice_seed)
    asymmetry, forward, backward, n_products = _pair_products(rows, blocks, pairs, lags)
    second = asymmetry.reshape(len(blocks.slices), -1).astype(np.float64)
    third = _third_order(observables, blocks, lags)
    # the first row leaves every block as it is: the observed record
    signs = rng.choice(np.array([-1.0, 1.0]), size=(1 + n_permutations, len(blocks.slices)))
    signs[0] = 1.0
    null = [np.einsum("rb,bc,rc->r", signs, block_kernel(part), signs) for part in (second, third)]
    p_values, p_value = smallest_p_value(null)
    statistics = ("pairs of spins", "energy and modes")
    sizes = [max(1, int(np.count_nonzero(np.any(part != 0, axis=0)))) for part in (second, third)]
    # indicators are half as large as spins, and products are sums over all rows
    first = 4.0 * asymmetry[:, 0] / len(rows)
    bound, bound_std = entropy_production_bound(rows, blocks)
    return TimeReversal(
        p_value=p_value,
        p_values=dict(zip(statistics, p_values, strict=True)),
        rms_z={
            name: float(np.sqrt(values[0] / size)) for name, values, size in zip(statistics, null, sizes, strict=True)
        },
        long_enough=blocks.independent,
        false_alarms=false_alarms,
        lags=tuple(lags),
        forward=forward,
        backward=backward,
        asymmetry_std=np.sqrt(np.einsum("bk,bk->k", first, first)) / n_products,
        pair_indices=pairs,
        entropy_production=bound,
        entropy_production_std=bound_std,
        n_blocks=len(blocks.slices),
        block_length=int(np.median(blocks.lengths)),
        correlation_time=blocks.correlation_time,
        names=names,
    )


def _choose_pairs(n_spins: int, seed: np.random.SeedSequence) -> IntArray:
    """All pairs i < j, or a random choice of as many as fit into memory."""
    pairs = np.argwhere(np.triu(np.ones((n_spins, n_spins), dtype=bool), 1))
    if len(pairs) > _MOST_PAIRS:
        pairs = pairs[np.sort(np.random.default_rng(seed).choice(len(pairs), _MOST_PAIRS, replace=False))]
    return pairs


def _pair_products(
    rows: NDArray[np.int8], blocks: TimeBlocks, pairs: IntArray, lags: tuple[int, ...]
) -> tuple[IntArray, FloatArray, FloatArray, int]:
    """Asymmetries of lagged products of each pair in each block, and both lagged covariances at the first lag.

    Products of the rarer states less their means, times the number of rows: integers, so that equal sums stay exactly
    equal. Pairs without a coincidence, as most of seldom active spins are, count nothing. With the means left in, the
    first and last rows of a block, which all pairs of a spin share, would add noise to all of them.
    """
    i, j = pairs.T
    rare = rarer_state(rows.mean(axis=0, dtype=np.float64))
    total = (rows == rare).sum(axis=0, dtype=np.int64)
    share = total / len(rows)
    asymmetry = np.empty((len(blocks.slices), len(lags), len(pairs)), dtype=np.int64)
    found = np.zeros((len(lags), len(pairs)), dtype=bool)  # whether there is a coincidence in any block
    covariance = np.zeros((rows.shape[1], rows.shape[1]))
    for b, part in enumerate(blocks.slices):
        x = (rows[part] == rare).astype(np.float32)  # sums below 2^24 are exact
        for k, lag in enumerate(lags):
            lagged = (x[lag:].T @ x[:-lag]).astype(np.float64)
            later, earlier = x[lag:].sum(axis=0, dtype=np.float64), x[:-lag].sum(axis=0, dtype=np.float64)
            moved = (later - earlier).astype(np.int64)
            products = len(rows) * (lagged[i, j] - lagged[j, i]).astype(np.int64)
            asymmetry[b, k] = products - total[j] * moved[i] + total[i] * moved[j]
            found[k] |= (lagged[i, j] > 0) | (lagged[j, i] > 0)
            if k == 0:
                n = len(x) - lag
                covariance += lagged - np.outer(later, share) - np.outer(share, earlier) + n * np.outer(share, share)
    asymmetry *= found
    n_products = int(np.sum(blocks.lengths - lags[0]))
    signed = 4.0 * covariance * np.outer(rare, rare) / n_products
    return asymmetry, signed[i, j], signed[j, i], n_products


def _third_order(observables: FloatArray, blocks: TimeBlocks, lags: tuple[int, ...]) -> FloatArray:
    """Sums over each block of y_a^2(t + lag) y_b(t) - y_a^2(t) y_b(t + lag), (n_blocks, n_lags k^2)."""
    squares = observables**2
    squares = squares - squares.mean(axis=0)
    parts = []
    for part in blocks.slices:
        y, y2 = observables[part], squares[part]
        parts.append(np.concatenate([(y2[lag:].T @ y[:-lag] - y2[:-lag].T @ y[lag:]).ravel() for lag in lags]))
    return np.array(parts)


def _verdict(found: TimeReversal) -> str:
    """One sentence on the direction of time, and one on dissipation."""
    blocks = f"{found.n_blocks} blocks of {found.block_length:,} rows"
    if found.reversible is None:
        return (
            f"Time reversal was not judged: {blocks} are too short for an autocorrelation time of "
            f"{_rows(found.correlation_time)}."
        )
    if found.reversible:
        text = f"The record cannot be told from its reversal in time ({p_text(found.p_value)}; {blocks})."
    else:
        which = [name for name, p in found.p_values.items() if p <= found.false_alarms] or list(found.p_values)
        text = (
            f"The record differs from its reversal in time ({p_text(found.p_value)}; {join(which)}; {blocks}): no "
            "equilibrium dynamics of these spins alone gives it."
        )
    bound, std = found.entropy_production, found.entropy_production_std
    if np.isfinite(bound) and bound > BOUND_SIGMA * std:
        text += f" It produces at least {with_error(bound, std)} nats of entropy per row."
    return text


def _rows(time: float) -> str:
    """An autocorrelation time in words."""
    return f"{time:.3g} rows" if np.isfinite(time) else "more rows than can be measured"
