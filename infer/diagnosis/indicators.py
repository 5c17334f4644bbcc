"""Sums of indicators of the rarer state of each spin, of their pairs and of their triples, over parts of the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.types import FloatArray, IntArray, SpinArray

#: Mean up to which +1 counts as the rarer state.
BALANCED = 0.2
_CHUNK_ROWS = 16_384
_CHUNK_SETS = 1024


@dataclass(frozen=True, eq=False)
class SomePairs:
    """Some pairs of spins (n_pairs, 2), and the number of each, ``places`` (n_spins, n_spins); -1 for the others."""

    pairs: IntArray
    places: IntArray

    @classmethod
    def of(cls, pairs: IntArray, n_spins: int) -> SomePairs:
        """These pairs, each once, whichever way round they are given."""
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        places = np.full((n_spins, n_spins), -1, dtype=np.int64)
        i, j = pairs.T
        places[i, j] = places[j, i] = np.arange(len(pairs))
        return cls(pairs, places)


@dataclass(frozen=True, eq=False)
class IndicatorSums:
    """Weighted sums over each part of ``x_i``, ``x_i x_j`` and ``x_i x_j x_k``; ``x_i`` is 1 in spin i's rarer state.

    ``sizes`` (n_parts,), ``first`` (n_parts, n_spins), ``second`` (n_parts, n_spins, n_spins), or (n_parts, n_pairs)
    where only ``some`` pairs are counted, ``third`` (n_parts, n_triples).
    """

    sizes: FloatArray
    first: FloatArray
    second: FloatArray
    third: FloatArray
    some: SomePairs | None = None

    def total(self) -> IndicatorSums:
        """The sums over all parts, as one part."""
        arrays = (self.sizes, self.first, self.second, self.third)
        sizes, first, second, third = (array.sum(axis=0, keepdims=True) for array in arrays)
        return IndicatorSums(sizes, first, second, third, self.some)

    def of_pairs(self, i: IntArray, j: IntArray) -> FloatArray:
        """Sums of ``x_i x_j``, (n_parts, n_pairs)."""
        return self.second[:, i, j] if self.some is None else self.second[:, self.some.places[i, j]]


def pooled(sums: Iterable[IndicatorSums]) -> IndicatorSums:
    """The sums over all parts of several sets of rows, as one part."""
    totals = [each.total() for each in sums]
    return IndicatorSums(
        np.stack([each.sizes for each in totals]).sum(axis=0),
        np.stack([each.first for each in totals]).sum(axis=0),
        np.stack([each.second for each in totals]).sum(axis=0),
        np.stack([each.third for each in totals]).sum(axis=0),
        totals[0].some,
    )


def rarer_state(means: FloatArray) -> SpinArray:
    """The state, -1 or +1, that each spin is in less often; +1 where both are about as frequent."""
    return np.where(means > BALANCED, -1, 1).astype(np.int8)


def indicator_sums(
    rows: SpinArray,
    rare: SpinArray,
    triples: IntArray,
    parts: Sequence[slice],
    weight: FloatArray | None = None,
    some: SomePairs | None = None,
) -> IndicatorSums:
    """Sums over parts of rows, of all pairs or of some; exact integers where there are no weights.

    All pairs of a thousand spins take 8 MB for each part.
    """
    n_spins = rows.shape[1]
    sizes, first = np.zeros(len(parts)), np.zeros((len(parts), n_spins))
    second = np.zeros((len(parts), n_spins, n_spins) if some is None else (len(parts), len(some.pairs)))
    third = np.zeros((len(parts), len(triples)))
    for p, part in enumerate(parts):
        for start in range(part.start, part.stop, _CHUNK_ROWS):
            chunk = slice(start, min(start + _CHUNK_ROWS, part.stop))
            inside = rows[chunk] == rare
            w = None if weight is None else weight[chunk]
            if w is None:
                sizes[p] += len(inside)
                first[p] += inside.sum(axis=0)
                bits = _packed(inside)
                third[p] += _coincidences(bits, triples)
            else:
                sizes[p] += w.sum()
                first[p] += w @ inside
                third[p] += _weighted_coincidences(inside, w, triples)
            if some is not None:
                counted = (
                    _coincidences(bits, some.pairs) if w is None else _weighted_coincidences(inside, w, some.pairs)
                )
                second[p] += counted
            elif w is None:
                block = inside.astype(np.float32)  # sums below 2^24 are exact
                second[p] += block.T @ block
            else:
                second[p] += (inside * w[:, None]).T @ inside.astype(np.float64)
    return IndicatorSums(sizes, first, second, third, some)


def _packed(inside: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Each column as bits, 64 rows in a word, (n_spins, n_words)."""
    packed = np.packbits(inside, axis=0).T
    words = np.zeros((packed.shape[0], -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    words[:, : packed.shape[1]] = packed
    return words.view(np.uint64)


def _coincidences(bits: NDArray[np.uint64], sets: IntArray) -> IntArray:
    """Rows in which all spins of each set (n_sets, 2 or 3) are in their rarer state."""
    total = np.empty(len(sets), dtype=np.int64)
    for start in range(0, len(sets), _CHUNK_SETS):
        first, *others = sets[start : start + _CHUNK_SETS].T
        both = bits[first]
        for each in others:
            both &= bits[each]
        total[start : start + _CHUNK_SETS] = np.bitwise_count(both).sum(axis=1)
    return total


def _weighted_coincidences(inside: NDArray[np.bool_], weight: FloatArray, sets: IntArray) -> FloatArray:
    """The same with weights of the rows."""
    total = np.empty(len(sets))
    for start in range(0, len(sets), _CHUNK_SETS):
        first, *others = sets[start : start + _CHUNK_SETS].T
        both = inside[:, first]
        for each in others:
            both &= inside[:, each]
        total[start : start + _CHUNK_SETS] = weight @ both
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
    ab, ac, bc = (sums.of_pairs(*pair)[0] for pair in ((i, j), (i, k), (j, k)))
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
        + coefficients[4] * sums.of_pairs(i, j)
        + coefficients[5] * sums.of_pairs(i, k)
        + coefficients[6] * sums.of_pairs(j, k)
    )
