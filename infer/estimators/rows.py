"""Streaming products of a large matrix of +-1 spins with small ones, used by all estimators."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import DTypeLike, NDArray

from infer.checks import check_map, release_pages
from infer.estimators.packed import PackedSpins, Tiles
from infer.estimators.table_kernels import STRIP
from infer.statistics.long_batches import LongBatches, long_batches
from simulate.threads import check_stop

CHUNK_ROWS = 4096  # samples in a chunk, so that their products stay in the cache
PACKED_ROWS = 8192  # samples packed into bits together
PACKED_BYTES = 3 << 19  # bits kept from one pass to the next: where they fill more, packing them again costs little
LEAST_WORK = 1e8  # products that justify a chunk, and perhaps a thread, of their own: about a millisecond
COLLAPSE_BELOW = 0.7  # equal rows are collapsed when at most this fraction of the rows is distinct
COLLAPSE_BYTES = 1 << 27  # memory for the distinct rows


T = TypeVar("T")


def in_order(work: Callable[[slice], T], chunks: list[slice], n_threads: int) -> Iterator[T]:
    """Results of ``work`` on each chunk, computed by some threads, yielded in the order of the chunks."""
    if n_threads <= 1:
        yield from map(work, chunks)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        waiting: deque[Future[T]] = deque()
        for rows in chunks:
            waiting.append(pool.submit(work, rows))
            if len(waiting) > n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@dataclass(frozen=True)
class Responses:
    """Averages over the samples at given couplings and fields of some target spins."""

    products: NDArray[np.float64]  # (n_targets, n_spins), <tanh(h_r) s_j>
    means: NDArray[np.float64]  # (n_targets,), <tanh(h_r)>
    curvature: NDArray[np.float64]  # (n_targets,), <sech^2(h_r)>
    stretch: NDArray[np.float64]  # (n_targets,), <sech^2(h_r) h_r^2>
    loss: NDArray[np.float64]  # (n_targets,), <log(2 cosh(h_r))>
    margins: NDArray[np.float64] | None  # (n_targets,), smallest s_r h_r, where targets are named


class SpinRows:
    """Samples of spins with weights, read in chunks.

    Parameters
    ----------
    spins : int8 array (n_samples, n_spins) of +-1, may be a memory map
    weight : float array (n_samples,), optional
        Non-negative weights; averages are divided by their sum.
    columns : int array, optional
        The spins to keep; default all.
    n_jobs : int, default=1
        Threads. Chunks are summed in a fixed order, so results do not depend on it.
    """

    def __init__(
        self,
        spins: NDArray[np.int8],
        weight: NDArray[np.float64] | None = None,
        columns: NDArray[np.intp] | None = None,
        n_jobs: int | None = 1,
    ) -> None:
        self.spins = spins
        self.columns = columns if columns is not None and len(columns) < spins.shape[1] else None
        self.n_rows = len(spins)
        self.n_spins = spins.shape[1] if columns is None else len(columns)
        self.weight = None if weight is None else np.asarray(weight, dtype=np.float64) / weight.sum()
        self.n_jobs = n_jobs
        self._kept: dict[tuple[int, int], PackedSpins] = {}

    def chunk(self, rows: slice, dtype: DTypeLike) -> NDArray:
        """Samples of a slice of rows in the given floating type."""
        check_map(self.spins)
        chunk = self.spins[rows] if self.columns is None else self.spins[rows][:, self.columns]
        return np.ascontiguousarray(chunk, dtype=dtype)

    def over_chunks(self, work: Callable[[slice], tuple], size: int | None = None) -> Iterator[tuple]:
        """Results of ``work`` on all chunks of `size` rows, yielded in order."""
        size = CHUNK_ROWS if size is None else size
        chunks = [slice(k, min(k + size, self.n_rows)) for k in range(0, self.n_rows, size)]
        n_threads = min(effective_n_jobs(self.n_jobs), len(chunks))
        read = 0
        for rows, result in zip(chunks, in_order(work, chunks, n_threads), strict=True):
            check_stop()
            yield result
            read += rows.stop - rows.start
            if read >= 16 * CHUNK_ROWS:
                release_pages(self.spins)
                read = 0

    def _packed(self, rows: slice) -> PackedSpins:
        """Bits of a slice of rows, kept for further passes where those of all rows are few."""
        kept = self._kept.get((rows.start, rows.stop))
        if kept is None:
            kept = PackedSpins.of(self.chunk(rows, np.int8))
            if self.n_rows * self.n_spins // 4 <= PACKED_BYTES:  # a bit by row and one by spin
                self._kept[rows.start, rows.stop] = kept
        return kept

    def _packed_size(self, n_targets: int) -> int:
        """Rows of a packed chunk: an even number of equal chunks, so that two threads have equal work."""
        n_chunks = -(-self.n_rows // PACKED_ROWS)
        if n_chunks > 1 or self.n_rows * self.n_spins * n_targets > 2 * LEAST_WORK:
            n_chunks += n_chunks % 2
        return -(-self.n_rows // (n_chunks * STRIP)) * STRIP

    def _share(self, rows: slice, dtype: DTypeLike) -> NDArray:
        """Share of each row of a slice in averages."""
        if self.weight is None:
            return np.full(rows.stop - rows.start, 1.0 / self.n_rows, dtype=dtype)
        return self.weight[rows].astype(dtype)

    def batches(self, chains: NDArray[np.int64] | None) -> LongBatches:
        """Batches of the rows in time order, with slow waves where the spins remember for long."""
        found = long_batches(self.spins, chains, self.weight)
        release_pages(self.spins)
        return found

    def second_moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means ``<s_i>`` (n_spins,) and second moments ``<s_i s_j>`` (n_spins, n_spins)."""
        mean = np.zeros(self.n_spins)
        second = np.zeros((self.n_spins, self.n_spins))

        def work(rows: slice) -> tuple:
            if self.weight is None:
                return self._packed(rows).moments()
            chunk = self.chunk(rows, np.float64)
            weighted = chunk * self.weight[rows, None]
            return weighted.sum(axis=0), weighted.T @ chunk

        size = CHUNK_ROWS if self.weight is not None else self._packed_size(self.n_spins)
        for chunk_mean, chunk_second in self.over_chunks(work, size):
            mean += chunk_mean
            second += chunk_second
        if self.weight is None:
            mean /= self.n_rows
            second /= self.n_rows
        return mean, second

    def responses(
        self,
        couplings: NDArray,
        fields: NDArray,
        dtype: DTypeLike = np.float32,
        targets: NDArray[np.intp] | None = None,
    ) -> Responses:
        """Averages with tanh(h_r), h_r = fields_r + sum_j couplings_rj s_j; also margins when targets are named."""
        tiles = Tiles(couplings, fields, dtype)

        def work(rows: slice) -> tuple:
            share = np.ones(rows.stop - rows.start) if self.weight is None else self.weight[rows]
            signs = None if targets is None else self.chunk(rows, np.int8)[:, targets]
            return tiles.responses(self._packed(rows), share, signs)

        totals: NDArray = np.zeros(0)
        sums: NDArray = np.zeros(0)
        margins: NDArray = np.zeros(0)
        for done, found in enumerate(self.over_chunks(work, self._packed_size(len(couplings)))):
            if not done:
                totals, sums, margins = found
                continue
            totals += found[0]
            sums += found[1]
            np.minimum(margins, found[2], out=margins)
        if self.weight is None:
            totals /= self.n_rows
            sums /= self.n_rows
        products, others = tiles.flat(totals), tiles.flat(sums).T
        return Responses(
            np.ascontiguousarray(products[:, :-1]),
            products[:, -1].copy(),
            others[0],
            others[1],
            others[2],
            None if targets is None else tiles.flat(margins),
        )

    def batch_gradients(
        self, couplings: NDArray, fields: NDArray, labels: NDArray[np.int64], multiplier: NDArray | None = None
    ) -> NDArray[np.float32]:
        """Contribution of each batch of rows to <(tanh(h_r) - s_r) (s, 1)>: (n_batches, n_spins, n_spins + 1).

        ``labels`` are contiguous, as made by ``infer.statistics.batches.batch_labels``; rows may carry a multiplier.
        """
        starts = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [len(labels)]])
        couplings = couplings.astype(np.float32)
        fields = fields.astype(np.float32)
        batches = [slice(int(a), int(b)) for a, b in pairwise(starts)]
        gradients = np.empty((len(batches), self.n_spins, self.n_spins + 1), dtype=np.float32)

        def work(some: slice) -> None:
            for place in range(some.start, some.stop):
                rows = batches[place]
                total = gradients[place]
                for start in range(rows.start, rows.stop, CHUNK_ROWS):
                    part = slice(start, min(start + CHUNK_ROWS, rows.stop))
                    chunk = self.chunk(part, np.float32)
                    residual = chunk @ couplings.T
                    residual += fields
                    np.tanh(residual, out=residual)
                    residual -= chunk
                    share = self._share(part, np.float64)
                    residual *= (share if multiplier is None else share * multiplier[part]).astype(np.float32)[:, None]
                    if start == rows.start:
                        np.matmul(residual.T, chunk, out=total[:, :-1])
                        total[:, -1] = residual.sum(axis=0)
                    else:
                        total[:, :-1] += residual.T @ chunk
                        total[:, -1] += residual.sum(axis=0)

        n_threads = effective_n_jobs(self.n_jobs)
        size = max(1, len(batches) // (4 * n_threads))
        parts = [slice(k, min(k + size, len(batches))) for k in range(0, len(batches), size)]
        for _ in in_order(work, parts, n_threads):
            pass
        return gradients

    def picked(self, most_rows: int) -> tuple[NDArray[np.int8], NDArray[np.float64], bool]:
        """At most `most_rows` rows (a fixed random choice), their shares, and whether these are all rows."""
        everything = self.n_rows <= most_rows
        which = np.arange(self.n_rows)
        if not everything:
            which = np.sort(np.random.default_rng(0).choice(self.n_rows, size=most_rows, replace=False))
        share = np.ones(len(which)) if self.weight is None else self.weight[which]
        return self._take(which), share / share.sum(), everything

    def _take(self, which: NDArray[np.intp]) -> NDArray[np.int8]:
        """Some rows."""
        return self.spins[which] if self.columns is None else self.spins[which][:, self.columns]

    def hessians(
        self, couplings: NDArray, fields: NDArray, most_rows: int, nodes: NDArray[np.intp] | None = None
    ) -> Iterator[tuple[int, NDArray[np.float64], int | None]]:
        """For some nodes, ``<sech^2(h_r) (s, 1) (s, 1)^T>`` and the number of rows used (None: all of them).

        When there are more than ``most_rows`` rows, as many are picked at random (always the same ones).
        """
        spins, share, everything = self.picked(most_rows)
        design = np.column_stack([spins, np.ones(len(spins), dtype=np.int8)]).astype(np.float32)
        weights = np.column_stack([couplings, fields]).astype(np.float32)
        for node in range(self.n_spins) if nodes is None else nodes.tolist():
            response = np.tanh(design @ weights[node])
            scaled = design * np.sqrt(share * (1.0 - response**2)).astype(np.float32)[:, None]
            yield node, (scaled.T @ scaled).astype(np.float64), None if everything else len(spins)


def collapse_rows(
    spins: NDArray[np.int8], weight: NDArray[np.float64] | None
) -> tuple[NDArray[np.int8], NDArray[np.float64] | None]:
    """Distinct rows and the sums of their weights, where that shrinks the samples; else the samples unchanged.

    Rows of weight zero are left out too. Averages over the samples stay the same.
    """
    n_rows, n_spins = spins.shape
    key = np.empty(n_rows, dtype=np.uint64)
    step = max(1, COLLAPSE_BYTES // (8 * n_spins))
    for start in range(0, n_rows, step):
        check_map(spins)
        key[start : start + step] = _row_hash(spins[start : start + step])
        release_pages(spins)
    if weight is not None:
        key[weight == 0] = 0
    ordered = np.sort(key)
    n_distinct = 1 + int((ordered[1:] != ordered[:-1]).sum())
    del ordered
    if n_distinct > COLLAPSE_BELOW * n_rows or n_distinct * n_spins > COLLAPSE_BYTES:
        return spins, weight
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    for start in range(0, n_rows, step):
        part = slice(start, start + step)
        same = (spins[part] == spins[first[inverse[part]]]).all(axis=1)
        if not (same if weight is None else same | (weight[part] == 0)).all():
            return spins, weight  # two different rows share a hash
    counts = np.bincount(inverse, weights=weight, minlength=len(first)).astype(np.float64)
    keep = counts > 0
    return np.ascontiguousarray(spins[first[keep]]), counts[keep]


def _row_hash(spins: NDArray[np.int8]) -> NDArray[np.uint64]:
    """64-bit hash of each row."""
    packed = np.packbits(spins > 0, axis=1)
    words = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    words[:, : packed.shape[1]] = packed
    key = np.full(len(packed), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for word in words.view(np.uint64).T:
        key ^= word
        key *= np.uint64(0xBF58476D1CE4E5B9)
        key ^= key >> np.uint64(29)
        key *= np.uint64(0x94D049BB133111EB)
        key ^= key >> np.uint64(32)
    return key
