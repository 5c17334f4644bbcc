"""Sums of indicators of the rarer state of each spin, of their pairs and of their triples, over parts of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.types import FloatArray, IntArray, SpinArray

#: Mean up to which +1 counts as the rarer state.
BALANCED = 0.2
#: Spins above which counts of pairs are kept as 16 bits, which hold them exactly.
MANY_SPINS = 200
_CHUNK_ROWS = 16_384
_CHUNK_TRIPLES = 1024


@dataclass(frozen=True, eq=False)
class IndicatorSums:
    """Weighted sums over each part of ``x_i``, ``x_i x_j`` and ``x_i x_j x_k``; ``x_i`` is 1 in spin i's rarer state.

    ``sizes`` (n_parts,), ``first`` (n_parts, n_spins), ``second`` (n_parts, n_spins, n_spins), ``third`` (n_parts,
    n_triples).
    """

    sizes: FloatArray
    first: FloatArray
    second: FloatArray
    third: FloatArray

    def total(self) -> IndicatorSums:
        """The sums over all parts, as one part."""
        return IndicatorSums(*(array.sum(axis=0, keepdims=True) for array in vars(self).values()))


def rarer_state(means: FloatArray) -> SpinArray:
    """The state, -1 or +1, that each spin is in less often; +1 where both are about as frequent."""
    return np.where(means > BALANCED, -1, 1).astype(np.int8)


def indicator_sums(
    rows: SpinArray,
    rare: SpinArray,
    triples: IntArray,
    parts: Sequence[slice],
    weight: FloatArray | None = None,
) -> IndicatorSums:
    """Sums over parts of rows; exact integers where there are no weights."""
    n_spins = rows.shape[1]
    sizes, first = np.zeros(len(parts)), np.zeros((len(parts), n_spins))
    # nearly all of the memory: for a thousand spins, 16 parts and 64 sets 8 GB in double precision
    longest = max((part.stop - part.start for part in parts), default=0)
    counted = weight is None and n_spins > MANY_SPINS and longest <= np.iinfo(np.uint16).max
    second = np.zeros((len(parts), n_spins, n_spins), dtype=np.uint16 if counted else np.float64)
    third = np.zeros((len(parts), len(triples)))
    for p, part in enumerate(parts):
        for start in range(part.start, part.stop, _CHUNK_ROWS):
            chunk = slice(start, min(start + _CHUNK_ROWS, part.stop))
            inside = rows[chunk] == rare
            if weight is None:
                block = inside.astype(np.float32)  # sums below 2^24 are exact
                sizes[p] += len(block)
                first[p] += block.sum(axis=0)
                second[p] += (block.T @ block).astype(second.dtype)
                third[p] += _coincidences(inside, triples)
            else:
                w = weight[chunk]
                block = inside.astype(np.float64)
                sizes[p] += w.sum()
                first[p] += w @ block
                second[p] += (block * w[:, None]).T @ block
                third[p] += _weighted_coincidences(inside, w, triples)
    return IndicatorSums(sizes, first, second, third)


def _coincidences(inside: NDArray[np.bool_], triples: IntArray) -> IntArray:
    """Rows in which all three of each triple are in their rarer state: packed bits, 64 rows at a time."""
    packed = np.packbits(inside, axis=0).T
    words = np.zeros((packed.shape[0], -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    words[:, : packed.shape[1]] = packed
    bits = words.view(np.uint64)
    total = np.empty(len(triples), dtype=np.int64)
    for start in range(0, len(triples), _CHUNK_TRIPLES):
        i, j, k = triples[start : start + _CHUNK_TRIPLES].T
        total[start : start + _CHUNK_TRIPLES] = np.bitwise_count(bits[i] & bits[j] & bits[k]).sum(axis=1)
    return total


def _weighted_coincidences(inside: NDArray[np.bool_], weight: FloatArray, triples: IntArray) -> FloatArray:
    """The same with weights of the rows."""
    total = np.empty(len(triples))
    for start in range(0, len(triples), _CHUNK_TRIPLES):
        i, j, k = triples[start : start + _CHUNK_TRIPLES].T
        total[start : start + _CHUNK_TRIPLES] = weight @ (inside[:, i] & inside[:, j] & inside[:, k])
    return total


def above_pairs(sums: IndicatorSums, triples: IntArray, least: float) -> tuple[FloatArray, FloatArray]:
    r"""Coefficients and variance of ``r``, the product of three indicators less its regression on singles and pairs.

    ``r(x) = x_i x_j x_k + ...`` is uncorrelated with all functions of one and of two of the three indicators. Under the
    probabilities ``p`` of the eight states, ``r(x) = (-1)^(3 - |x|) v / p(x)`` with the variance
    ``v = 1 / sum_x 1 / p(x)``.

    Parameters
    ----------
    sums : IndicatorSums
        Sums over one part, which give the probabilities of the states.
    triples : ndarray of int64, shape (n_triples, 3)
    least : float
        Samples added to each of the eight states.

    Returns
    -------
    coefficients : ndarray, shape (8, n_triples)
        Coefficients of 1, x_i, x_j, x_k, x_i x_j, x_i x_k, x_j x_k and x_i x_j x_k (one).
    variance : ndarray, shape (n_triples,)
    """
    n = float(sums.sizes[0])
    i, j, k = triples.T
    a, b, c = (sums.first[0, s] for s in (i, j, k))
    ab, ac, bc = sums.second[0, i, j], sums.second[0, i, k], sums.second[0, j, k]
    abc = sums.third[0]
    # states by which of the three are in their rarer state: bit 0 for i, bit 1 for j, bit 2 for k
    states = np.array(
        [
            n - a - b - c + ab + ac + bc - abc,
            a - ab - ac + abc,
            b - ab - bc + abc,
            ab - abc,
            c - ac - bc + abc,
            ac - abc,
            bc - abc,
            abc,
        ]
    )
    p = (np.maximum(states, 0.0) + least) / (n + 8.0 * least)
    sign = np.array([-1.0, 1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0])[:, None]
    variance = 1.0 / np.sum(1.0 / p, axis=0)
    r = sign * variance / p
    # Moebius transform: values at states to coefficients of products
    one, x, y, xy, z, xz, yz, xyz = r
    coefficients = np.array(
        [
            one,
            x - one,
            y - one,
            z - one,
            xy - x - y + one,
            xz - x - z + one,
            yz - y - z + one,
            xyz - xy - xz - yz + x + y + z - one,
        ]
    )
    return coefficients, variance


def apply_above_pairs(sums: IndicatorSums, triples: IntArray, coefficients: FloatArray) -> FloatArray:
    """Sums of ``r`` over each part, (n_parts, n_triples)."""
    i, j, k = triples.T
    return (
        sums.third * coefficients[7]
        + coefficients[0] * sums.sizes[:, None]
        + coefficients[1] * sums.first[:, i]
        + coefficients[2] * sums.first[:, j]
        + coefficients[3] * sums.first[:, k]
        + coefficients[4] * sums.second[:, i, j]
        + coefficients[5] * sums.second[:, i, k]
        + coefficients[6] * sums.second[:, j, k]
    )
