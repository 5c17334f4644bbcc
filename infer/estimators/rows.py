"""Streaming products of a large matrix of +-1 spins with small ones: the only place that touches all samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import ThreadpoolController

from infer.checks import release_pages
from infer.estimators.response_kernels import respond

CHUNK_ROWS = 4096  # samples worked on together: their products stay in cache
COLLAPSE_BELOW = 0.7  # equal rows are collapsed when at most this fraction of the rows is distinct
COLLAPSE_BYTES = 1 << 27  # memory for the distinct rows


_thread_pools = cache(ThreadpoolController)  # looking for the libraries takes longer than a small fit


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep matrix products on the calling thread: ``n_jobs`` says how many threads work, each on its own chunk."""
    with _thread_pools().limit(limits=1, user_api="blas"):
        yield


@dataclass(frozen=True)
class Responses:
    """Averages over the samples at given couplings and fields of some target spins."""

    products: NDArray[np.float64]  # (n_targets, n_spins), <tanh(h_r) s_j>
    means: NDArray[np.float64]  # (n_targets,), <tanh(h_r)>
    curvature: NDArray[np.float64]  # (n_targets,), <sech^2(h_r)>
    stretch: NDArray[np.float64]  # (n_targets,), <sech^2(h_r) h_r^2>
    loss: NDArray[np.float64]  # (n_targets,), <log(2 cosh(h_r))>
    margins: NDArray[np.float64] | None  # (n_targets,), smallest s_r h_r, where asked for


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

    def chunk(self, rows: slice, dtype: DTypeLike) -> NDArray:
        """Samples of a slice of rows in the given floating type."""
        chunk = self.spins[rows] if self.columns is None else self.spins[rows][:, self.columns]
        return np.ascontiguousarray(chunk, dtype=dtype)

    def over_chunks(self, work: Callable[[slice], tuple]) -> Iterator[tuple]:
        """Results of ``work`` on all chunks, in order, handed on as they come."""
        chunks = (slice(k, min(k + CHUNK_ROWS, self.n_rows)) for k in range(0, self.n_rows, CHUNK_ROWS))
        if self.n_jobs == 1:
            results = map(work, chunks)
        else:
            results = Parallel(n_jobs=self.n_jobs, require="sharedmem", return_as="generator")(
                delayed(work)(rows) for rows in chunks
            )
        for done, result in enumerate(results):
            yield result
            if done % 16 == 15:
                release_pages(self.spins)

    def _share(self, rows: slice, dtype: DTypeLike) -> NDArray:
        """Share of each row of a slice in averages."""
        if self.weight is None:
            return np.full(rows.stop - rows.start, 1.0 / self.n_rows, dtype=dtype)
        return self.weight[rows].astype(dtype)

    def second_moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means <s_i> (n_spins,) and second moments <s_i s_j> (n_spins, n_spins)."""
        mean = np.zeros(self.n_spins)
        second = np.zeros((self.n_spins, self.n_spins))

        def work(rows: slice) -> tuple:
            # sums of +-1 over a chunk are exact in single precision; weighted ones need double
            dtype = np.float32 if self.weight is None else np.float64
            chunk = self.chunk(rows, dtype)
            weighted = chunk if self.weight is None else chunk * self._share(rows, dtype)[:, None]
            return weighted.sum(axis=0, dtype=np.float64), weighted.T @ chunk

        for chunk_mean, chunk_second in self.over_chunks(work):
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
        """Averages with tanh(h_r), h_r = fields_r + sum_j couplings_rj s_j; margins too when targets are named."""
        n_targets = len(couplings)
        weights = np.ascontiguousarray(couplings.T, dtype=dtype)
        fields = fields.astype(dtype)

        def work(rows: slice) -> tuple:
            chunk = self.chunk(rows, dtype)
            local = chunk @ weights
            local += fields
            margins = None if targets is None else (local * chunk[:, targets]).min(axis=0)
            decay = np.abs(local)
            decay *= local.dtype.type(-2.0)
            np.exp(decay, out=decay)
            share = np.ones(len(chunk), dtype) if self.weight is None else self._share(rows, dtype)
            sums = np.zeros((3, n_targets))
            respond(local, decay, share, sums)
            return local.T @ chunk, local.sum(axis=0), sums, margins

        products = np.zeros((n_targets, self.n_spins))
        means = np.zeros(n_targets)
        sums = np.zeros((3, n_targets))
        margins = None if targets is None else np.full(n_targets, np.inf)
        for chunk_products, chunk_means, chunk_sums, chunk_margins in self.over_chunks(work):
            products += chunk_products
            means += chunk_means
            sums += chunk_sums
            if margins is not None:
                np.minimum(margins, chunk_margins, out=margins)
        if self.weight is None:
            for total in (products, means, sums):
                total /= self.n_rows
        return Responses(products, means, sums[0], sums[1], sums[2], margins)

    def batch_gradients(
        self, couplings: NDArray, fields: NDArray, labels: NDArray[np.int64], multiplier: NDArray | None = None
    ) -> NDArray[np.float32]:
        """Contribution of each batch of rows to <(tanh(h_r) - s_r) (s, 1)>: (n_batches, n_spins, n_spins + 1).

        ``labels`` are contiguous, as made by ``infer.statistics.batches.batch_labels``; rows may carry a multiplier.
        """
        starts = np.concatenate([[0], np.flatnonzero(np.diff(labels)) + 1, [len(labels)]])
        couplings = couplings.astype(np.float32)
        fields = fields.astype(np.float32)

        def work(rows: slice) -> tuple:
            total = np.zeros((self.n_spins, self.n_spins + 1))
            for start in range(rows.start, rows.stop, CHUNK_ROWS):
                part = slice(start, min(start + CHUNK_ROWS, rows.stop))
                chunk = self.chunk(part, np.float32)
                residual = np.tanh(chunk @ couplings.T + fields) - chunk
                share = self._share(part, np.float64)
                residual *= (share if multiplier is None else share * multiplier[part]).astype(np.float32)[:, None]
                total[:, :-1] += residual.T @ chunk
                total[:, -1] += residual.sum(axis=0)
            return (total.astype(np.float32),)

        batches = [slice(int(a), int(b)) for a, b in pairwise(starts)]
        found = Parallel(n_jobs=self.n_jobs, require="sharedmem")(delayed(work)(rows) for rows in batches)
        return np.stack([gradient for (gradient,) in found])

    def hessians(
        self, couplings: NDArray, fields: NDArray, most_rows: int
    ) -> Iterator[tuple[int, NDArray[np.float64], int | None]]:
        """For each node, <sech^2(h_r) (s, 1) (s, 1)^T> and the number of rows used (None: all of them).

        When there are more than ``most_rows`` rows, as many are picked at random (always the same ones).
        """
        everything = self.n_rows <= most_rows
        picked = np.arange(self.n_rows)
        if not everything:
            picked = np.sort(np.random.default_rng(0).choice(self.n_rows, size=most_rows, replace=False))
        chunk = self.spins[picked] if self.columns is None else self.spins[picked][:, self.columns]
        design = np.column_stack([chunk, np.ones(len(chunk), dtype=np.int8)]).astype(np.float32)
        share = np.ones(len(picked)) if self.weight is None else self.weight[picked]
        share = share / share.sum()
        weights = np.column_stack([couplings, fields]).astype(np.float32)
        for node in range(self.n_spins):
            response = np.tanh(design @ weights[node])
            scaled = design * np.sqrt(share * (1.0 - response**2)).astype(np.float32)[:, None]
            yield node, (scaled.T @ scaled).astype(np.float64), None if everything else len(picked)


def collapse_rows(
    spins: NDArray[np.int8], weight: NDArray[np.float64] | None
) -> tuple[NDArray[np.int8], NDArray[np.float64] | None]:
    """Distinct rows and the sum of their weights, where that shrinks the samples; else the samples as they are.

    Rows of weight zero are left out too. Averages over the samples stay the same.
    """
    n_rows, n_spins = spins.shape
    key = np.empty(n_rows, dtype=np.uint64)
    step = max(1, COLLAPSE_BYTES // (8 * n_spins))
    for start in range(0, n_rows, step):
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
