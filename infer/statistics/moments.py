"""First, second and third moments of spins, batch by batch, and cumulants with their errors from the batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CHUNK_ROWS = 16_384
_CHUNK_TRIPLES = 4_096


@dataclass(frozen=True, eq=False)
class BatchMoments:
    """Raw moments of each batch: <s_i>, <s_i s_j> for i < j, <s_i s_j s_k> for chosen triples, and P(sum s).

    ``weights`` (n_batches,) are the shares of all samples that lie in the batches.
    """

    weights: FloatArray
    means: FloatArray
    pairs: FloatArray
    triples: FloatArray
    sums: FloatArray
    triple_indices: IntArray
    n_samples: int


@dataclass(frozen=True, eq=False)
class Estimates:
    """Values (k,), and their linearised deviations in each batch (n_batches, k), weighted by the batches' shares."""

    values: FloatArray
    deviations: FloatArray

    @property
    def std(self) -> FloatArray:
        """Standard errors (k,) from the scatter of the batches."""
        n_batches = len(self.deviations)
        return np.sqrt(np.einsum("bk,bk->k", self.deviations, self.deviations) * n_batches / (n_batches - 1))


def choose_triples(n_spins: int, n_triples: int, seed: np.random.SeedSequence) -> IntArray:
    """Triples i < j < k: all where there are no more than ``n_triples``, else a random choice without repeats."""
    total = n_spins * (n_spins - 1) * (n_spins - 2) // 6
    if total <= n_triples:
        i, j, k = np.ogrid[:n_spins, :n_spins, :n_spins]
        return np.argwhere((i < j) & (j < k))
    rng = np.random.default_rng(seed)
    found = np.empty((0, 3), dtype=np.int64)
    while len(found) < n_triples:
        drawn = rng.integers(0, n_spins, size=(2 * n_triples, 3))
        drawn = np.sort(drawn, axis=1)
        drawn = drawn[(drawn[:, 0] < drawn[:, 1]) & (drawn[:, 1] < drawn[:, 2])]
        found = np.unique(np.concatenate([found, drawn]), axis=0)
    return found[np.sort(rng.choice(len(found), n_triples, replace=False))]


def batches_by_label(labels: IntArray) -> Iterator[tuple[IntArray | slice, IntArray | None]]:
    """Rows of each batch, every row once, from contiguous labels."""
    starts = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [len(labels)]])
    for start, stop in pairwise(starts):
        yield slice(int(start), int(stop)), None


def batches_by_thinning(
    counts: IntArray, n_batches: int, seed: np.random.SeedSequence
) -> Iterator[tuple[IntArray | slice, IntArray | None]]:
    """Rows and counts of batches to which independent samples, given as rows with counts, are assigned at random."""
    rng = np.random.default_rng(seed)
    left = counts.astype(np.int64)
    for batch in range(n_batches):
        dealt = rng.binomial(left, 1.0 / (n_batches - batch))
        left -= dealt
        rows = np.flatnonzero(dealt)
        if rows.size:
            yield rows, dealt[rows]


def batch_moments(
    spins: NDArray[np.int8], batches: Iterator[tuple[IntArray | slice, IntArray | None]], triples: IntArray
) -> BatchMoments:
    """Moments of each batch of rows of +-1."""
    n_spins = spins.shape[1]
    upper = np.triu_indices(n_spins, 1)
    sizes, means, pairs, third, sums = [], [], [], [], []
    for rows, counts in batches:
        chosen = np.asarray(spins[rows])
        size = len(chosen) if counts is None else int(counts.sum())
        first, gram, histogram = np.zeros(n_spins), np.zeros((n_spins, n_spins)), np.zeros(n_spins + 1)
        cubes = np.zeros(len(triples), dtype=np.int64)
        for start in range(0, len(chosen), _CHUNK_ROWS):
            chunk = chosen[start : start + _CHUNK_ROWS]
            weight = None if counts is None else counts[start : start + _CHUNK_ROWS]
            # sums of whole numbers below 2^24 are exact in float32
            exact = weight is None or int(weight.sum()) < 2**24
            block: NDArray[Any] = chunk.astype(np.float32 if exact else np.float64)
            weighted = block if weight is None else block * weight.astype(block.dtype)[:, None]
            first += weighted.sum(axis=0, dtype=np.float64)
            gram += weighted.T @ block
            up = (chunk.sum(axis=1, dtype=np.int64) + n_spins) // 2
            histogram += np.bincount(up, weights=weight, minlength=n_spins + 1)
            cubes += _sum_triples(chunk, weight, triples)
        sizes.append(size)
        means.append(first / size)
        pairs.append(gram[upper] / size)
        third.append(cubes / size)
        sums.append(histogram / size)
    weights = np.asarray(sizes, dtype=np.float64)
    return BatchMoments(
        weights / weights.sum(),
        np.asarray(means),
        np.asarray(pairs),
        np.asarray(third),
        np.asarray(sums),
        triples,
        int(weights.sum()),
    )


def _sum_triples(spins: NDArray[np.int8], counts: IntArray | None, triples: IntArray) -> IntArray:
    """Sums over rows of s_i s_j s_k: exclusive or of packed bits, 64 rows at a time; counts one binary digit a time."""
    total = np.zeros(len(triples), dtype=np.int64)
    up = spins > 0
    n_digits = 1 if counts is None else int(counts.max()).bit_length()
    for digit in range(n_digits):
        rows = up if counts is None else up[(counts >> digit) & 1 == 1]
        packed = np.packbits(rows, axis=0).T
        # padded with zeros to whole words, which do not change the number of set bits
        words = np.zeros((packed.shape[0], -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
        words[:, : packed.shape[1]] = packed
        bits = words.view(np.uint64)
        for start in range(0, len(triples), _CHUNK_TRIPLES):
            i, j, k = triples[start : start + _CHUNK_TRIPLES].T
            # the product of three is +1 where an odd number of them is up
            set_bits = np.bitwise_count(bits[i] ^ bits[j] ^ bits[k]).sum(axis=1, dtype=np.int64)
            total[start : start + _CHUNK_TRIPLES] += (2 * set_bits - len(rows)) << digit
    return total


def cumulants(moments: BatchMoments) -> dict[str, Estimates]:
    r"""Means, connected correlations, third cumulants and P(sum s), with deviations of the batches.

    :math:`c_{ij} = \langle s_i s_j\rangle - m_i m_j` and
    :math:`\kappa_{ijk} = \langle (s_i - m_i)(s_j - m_j)(s_k - m_k)\rangle`. Deviations are those of the influence
    functions, :math:`\delta_i \delta_j - c_{ij}` and
    :math:`\delta_i\delta_j\delta_k - \kappa_{ijk} - c_{jk}\delta_i - c_{ik}\delta_j - c_{ij}\delta_k` with
    :math:`\delta_i = s_i - m_i`, so that errors include, at first order, the products of means inside the cumulants.
    """
    share = moments.weights[:, None]
    n_spins = moments.means.shape[1]
    m = moments.weights @ moments.means
    p = moments.weights @ moments.pairs
    i, j = np.triu_indices(n_spins, 1)
    c = p - m[i] * m[j]
    delta = moments.means - m
    pair_deviation = moments.pairs - p - m[i] * delta[:, j] - m[j] * delta[:, i]

    place = np.zeros((n_spins, n_spins), dtype=np.int64)
    place[i, j] = place[j, i] = np.arange(len(i))
    a, b, d = moments.triple_indices.T
    ab, ad, bd = place[a, b], place[a, d], place[b, d]
    t = moments.weights @ moments.triples
    kappa = t - m[a] * p[bd] - m[b] * p[ad] - m[d] * p[ab] + 2 * m[a] * m[b] * m[d]
    # linear change of kappa with the raw moments
    q = moments.pairs - p
    triple_deviation = (
        (moments.triples - t)
        - (m[a] * q[:, bd] + m[b] * q[:, ad] + m[d] * q[:, ab])
        + (2 * m[b] * m[d] - p[bd]) * delta[:, a]
        + (2 * m[a] * m[d] - p[ad]) * delta[:, b]
        + (2 * m[a] * m[b] - p[ab]) * delta[:, d]
    )
    total = moments.weights @ moments.sums
    return {
        "means": Estimates(m, share * delta),
        "correlations": Estimates(c, share * pair_deviation),
        "third moments": Estimates(kappa, share * triple_deviation),
        "sum of spins": Estimates(total, share * (moments.sums - total)),
    }
