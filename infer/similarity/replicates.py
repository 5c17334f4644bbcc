"""Input of comparisons: couplings or fitted estimators, and replicates for intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from infer.model import PairModel, fitted_estimator, off_diagonal

FloatArray = NDArray[np.float64]

#: Smallest number of replicates or draws for percentiles.
FEWEST_REPLICATES = 20
#: Replicates are processed in blocks of this size.
BLOCK_BYTES = 2**28


def unpack_couplings(couplings: Any) -> tuple[FloatArray, Any]:
    """Checked couplings, and the fitted estimator from which they were taken (or None)."""
    return off_diagonal(PairModel.of(couplings).couplings), fitted_estimator(couplings)


def check_draws(**counts: int) -> None:
    """Check that there are enough replicates or draws for percentiles."""
    for name, count in counts.items():
        if count < FEWEST_REPLICATES:
            raise ValueError(f"{name} must be at least {FEWEST_REPLICATES}, got {count}")


def replicate_blocks(
    estimator: Any, replicates: ArrayLike | None, n: int, seed: np.random.SeedSequence, n_spins: int
) -> Iterator[ArrayLike] | None:
    """Replicates of the couplings, some hundred megabytes at a time; None where there are none."""
    size = max(1, BLOCK_BYTES // (8 * n_spins**2))
    if replicates is not None:
        stack = np.asarray(replicates)
        if stack.ndim != 3 or stack.shape[1:] != (n_spins, n_spins):
            raise ValueError(f"replicates: expected shape (n_replicates, {n_spins}, {n_spins}), got {stack.shape}")
        if len(stack) < FEWEST_REPLICATES:
            raise ValueError(f"replicates: at least {FEWEST_REPLICATES} are needed for an interval, got {len(stack)}")
        return (stack[start : start + size] for start in range(0, len(stack), size))
    if not getattr(estimator, "can_resample", hasattr(estimator, "bootstrap_couplings")):
        return None
    sizes = [min(size, n - start) for start in range(0, n, size)]
    states = seed.generate_state(len(sizes))
    return (estimator.bootstrap_couplings(k, int(state)) for k, state in zip(sizes, states, strict=True))


def read_block(stack: ArrayLike, first: int) -> FloatArray:
    """A block of replicates as symmetric zero-diagonal float64; ``first`` is the number of those before it."""
    block = np.array(stack, dtype=np.float64)
    bad = np.argwhere(~np.isfinite(block))
    if bad.size:
        k, i, j = bad[0]
        raise ValueError(f"replicates: entry [{first + k}, {i}, {j}] is {block[k, i, j]}; all must be finite")
    block = (block + block.transpose(0, 2, 1)) / 2.0
    diagonal = np.arange(block.shape[1])
    block[:, diagonal, diagonal] = 0.0
    empty = np.flatnonzero(~block.any(axis=(1, 2)))
    if empty.size:
        raise ValueError(f"replicates: replicate {first + empty[0]} is zero off the diagonal")
    return block
