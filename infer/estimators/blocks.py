"""Samples as Dask arrays: every pass is mapped over their blocks on the workers, and returns small sums.

A pass sends couplings to the blocks and adds their results (matrices of n_spins x n_spins), a few blocks at a time,
always in the same order. Dask itself is imported only where such an array is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from infer.checks import binarise, check_spins
from infer.estimators.columns import VaryingSpins
from infer.estimators.rows import Responses, SpinRows
from infer.model import SpinModel
from infer.samples import Samples
from infer.statistics.batches import batch_labels
from infer.statistics.long_batches import LongBatches

ADDED_AT_ONCE = 8  # number of results of blocks that one task adds

Sums = tuple[NDArray, ...]


@dataclass(frozen=True)
class Blocks:
    """Contiguous rows of +-1 spins, as delayed arrays, and their weights."""

    parts: list[Any]
    starts: NDArray[np.int64]  # (n_blocks + 1,)
    weight: NDArray[np.float64] | None

    def reduce(self, work: Callable[..., Any], combine: Callable[[list], Any], *shared: Any) -> Any:
        """``work(block, weights of the block, first row, *shared)`` of all blocks, combined."""
        from dask import compute, delayed

        sent = [delayed(value, pure=False) for value in shared]
        results = [delayed(work)(part, w, first, *sent) for part, w, first in self._with_weights()]
        while len(results) > 1:
            results = [delayed(combine)(results[k : k + ADDED_AT_ONCE]) for k in range(0, len(results), ADDED_AT_ONCE)]
        (result,) = compute(results[0])
        return result

    def _with_weights(self) -> Iterator[tuple[Any, NDArray | None, int]]:
        for part, first, end in zip(self.parts, self.starts[:-1], self.starts[1:], strict=True):
            yield part, None if self.weight is None else self.weight[first:end], int(first)

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.int8]:
        """Some rows, in increasing order."""
        from dask import compute, delayed

        owner = np.searchsorted(self.starts, rows, side="right") - 1
        found = compute(*[delayed(_take)(self.parts[k], rows[owner == k] - self.starts[k]) for k in np.unique(owner)])
        return np.concatenate(found)


def add(results: list[Sums]) -> Sums:
    """Add sums of several blocks."""
    return tuple(np.sum(values, axis=0) for values in zip(*results, strict=True))


def _take(block: NDArray, rows: NDArray) -> NDArray[np.int8]:
    return np.asarray(block)[rows]


class BlockRows(SpinRows):
    """`SpinRows` over the blocks of a Dask array."""

    def __init__(self, blocks: Blocks, columns: NDArray[np.intp], n_spins: int) -> None:
        # the attributes of `SpinRows` that hold spins are not set: blocks hold them
        self.blocks = blocks
        self.columns = columns if len(columns) < n_spins else None
        self.n_rows, self.n_spins = int(blocks.starts[-1]), len(columns)
        self.total = float(self.n_rows if blocks.weight is None else blocks.weight.sum())
        self.weight = None if blocks.weight is None else blocks.weight / self.total
        self.n_jobs = 1

    def chunk(self, rows: slice, dtype: DTypeLike) -> NDArray:
        picked = self.blocks.take(np.arange(rows.start, rows.stop))
        return np.ascontiguousarray(picked if self.columns is None else picked[:, self.columns], dtype=dtype)

    def batches(self, chains: NDArray[np.int64] | None) -> LongBatches:
        """Batches by number alone: rows are not read for it."""
        return LongBatches(batch_labels(self.n_rows, chains))

    def second_moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        mean, second = self.blocks.reduce(_block_moments, add, self.columns)
        return mean / self.total, second / self.total

    def responses(
        self,
        couplings: NDArray,
        fields: NDArray,
        dtype: DTypeLike = np.float32,
        targets: NDArray[np.intp] | None = None,
    ) -> Responses:
        couplings = np.ascontiguousarray(couplings, dtype=dtype)
        found = self.blocks.reduce(_block_responses, _add_responses, self.columns, couplings, fields, dtype, targets)
        margins = found.pop("margins")
        return Responses(**{name: value / self.total for name, value in found.items()}, margins=margins)

    def batch_gradients(
        self, couplings: NDArray, fields: NDArray, labels: NDArray[np.int64], multiplier: NDArray | None = None
    ) -> NDArray[np.float32]:
        couplings = couplings.astype(np.float32)
        found = self.blocks.reduce(_block_gradients, _merge, self.columns, couplings, fields, labels, multiplier)
        return np.stack([found[batch] / self.total for batch in sorted(found)]).astype(np.float32)

    def _take(self, which: NDArray[np.intp]) -> NDArray[np.int8]:
        found = self.blocks.take(which)
        return found if self.columns is None else found[:, self.columns]


def _here(block: Any, weight: NDArray | None, columns: NDArray | None) -> tuple[SpinRows, float]:
    """Rows of one block, and the sum of their weights."""
    spins = np.ascontiguousarray(block, dtype=np.int8)
    total = float(len(spins) if weight is None else weight.sum())
    # in a block without weight all sums are zero
    return SpinRows(spins, weight if weight is None or total > 0 else np.ones(len(spins)), columns), total


def _block_moments(block: Any, weight: NDArray | None, first: int, columns: NDArray | None) -> Sums:
    rows, total = _here(block, weight, columns)
    return tuple(total * value for value in rows.second_moments())


def _block_responses(
    block: Any,
    weight: NDArray | None,
    first: int,
    columns: NDArray | None,
    couplings: NDArray,
    fields: NDArray,
    dtype: DTypeLike,
    targets: NDArray | None,
) -> dict[str, Any]:
    """Sums over a block, in place of averages, by name."""
    rows, total = _here(block, weight, columns)
    found = vars(rows.responses(couplings, fields, dtype, targets))
    return {name: value if name == "margins" else total * value for name, value in found.items()}


def _add_responses(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Add results by name; of margins take the smallest."""
    return {
        name: _least([result[name] for result in results])
        if name == "margins"
        else np.sum([result[name] for result in results], axis=0)
        for name in results[0]
    }


def _least(margins: list[NDArray | None]) -> NDArray | None:
    found = [value for value in margins if value is not None]
    return np.min(found, axis=0) if found else None


def _block_gradients(
    block: Any,
    weight: NDArray | None,
    first: int,
    columns: NDArray | None,
    couplings: NDArray,
    fields: NDArray,
    labels: NDArray,
    multiplier: NDArray | None,
) -> dict[int, NDArray]:
    """Contributions of the batches that have rows in this block."""
    rows, total = _here(block, weight, columns)
    here = slice(first, first + rows.n_rows)
    among = labels[here]
    found = rows.batch_gradients(couplings, fields, among - among[0], None if multiplier is None else multiplier[here])
    return {int(among[0]) + k: total * gradient for k, gradient in enumerate(found)}


def _merge(results: list[dict[int, NDArray]]) -> dict[int, NDArray]:
    """Merge the batches of several blocks; parts of a batch in two blocks are added."""
    merged: dict[int, NDArray] = {}
    for found in results:
        for batch, gradient in found.items():
            merged[batch] = merged[batch] + gradient if batch in merged else gradient
    return merged


def _inspect(block: Any, weight: NDArray | None, first: int, threshold: float | None) -> Sums:
    """Smallest and largest value of each spin among the rows of positive weight, after a strict check."""
    values = np.asarray(block)
    spins = check_spins(values, first_row=first) if threshold is None else binarise(values, threshold, first_row=first)
    if weight is not None:
        spins = spins[weight > 0]
    if not len(spins):
        return np.ones(values.shape[1], np.int8), np.full(values.shape[1], -1, np.int8)
    return spins.min(axis=0), spins.max(axis=0)


def _extremes(results: list[Sums]) -> Sums:
    return np.min([low for low, _ in results], axis=0), np.max([high for _, high in results], axis=0)


def _as_spins(block: Any, threshold: float | None) -> NDArray[np.int8]:
    values = np.asarray(block)
    return values.astype(np.int8) if threshold is None else binarise(values, threshold)


@dataclass(frozen=True, eq=False)
class VaryingBlocks(VaryingSpins):
    """Samples in blocks, ready for a fit."""

    data: Blocks

    def rows(self, n_jobs: int | None = 1) -> BlockRows:
        """Rows of the spins that vary, as blocks; Dask chooses the workers, so `n_jobs` has no effect."""
        return BlockRows(self.data, self.varying, self.n_spins)

    ordered_rows = rows


def check_blocks(samples: Samples, threshold: float | None, *, fitting: bool) -> Samples:
    """Rechunk samples to whole rows in each block; their values are checked in the first pass."""
    values = samples.values
    if values.ndim != 2 or np.isnan(values.shape).any():
        raise ValueError(
            f"X must be two-dimensional with a known shape, got {values.shape}: reshape it, or call "
            "X.compute_chunk_sizes() first"
        )
    if values.dtype.kind not in "biuf":
        raise ValueError(f"X holds {values.dtype}: real numbers are needed")
    if fitting and min(values.shape) < 2:
        raise ValueError(f"at least 2 rows and 2 columns are required, got shape {values.shape}")
    return samples.with_values(values.rechunk({1: -1}), attributes={**samples.attributes, "threshold": threshold})


def read_blocks(samples: Samples) -> tuple[Blocks, NDArray[np.int8], NDArray[np.int8]]:
    """Checked blocks of samples, and the smallest and largest value of each spin."""
    from dask import delayed

    values, weight = samples.values, samples.weight
    threshold = samples.attributes.get("threshold")
    parts = values.to_delayed().ravel().tolist()
    starts = np.concatenate([[0], np.cumsum(values.chunks[0])]).astype(np.int64)
    low, high = Blocks(parts, starts, weight).reduce(_inspect, _extremes, threshold)
    if values.dtype != np.int8 or threshold is not None:
        parts = [delayed(_as_spins)(part, threshold) for part in parts]
    return Blocks(parts, starts, weight), low, high


def varying_blocks(
    samples: Samples, fit_fields: bool, report: Callable[[NDArray[np.intp], tuple[str, ...] | None], None]
) -> VaryingBlocks:
    """Find the spins that vary, block by block; ``report`` refuses the others or warns of them."""
    blocks, low, high = read_blocks(samples)
    constant = np.flatnonzero(low == high)
    report(constant, samples.names)
    varying = np.setdiff1d(np.arange(samples.n_spins), constant)
    return VaryingBlocks(samples, varying, constant, low[constant], fit_fields, blocks)


def block_score(model: SpinModel, samples: Samples) -> float:
    """Mean log pseudo-likelihood per sample of a model."""
    blocks, _, _ = read_blocks(samples)
    (found,) = blocks.reduce(_block_score, add, model)
    return float(found / (blocks.starts[-1] if blocks.weight is None else blocks.weight.sum()))


def _block_score(block: Any, weight: NDArray | None, first: int, model: SpinModel) -> Sums:
    rows, total = _here(block, weight, None)
    values = model.log_pseudolikelihood(rows.spins)
    return (np.array(total * float(np.average(values, weights=rows.weight))),)
