"""Building blocks of retrieval measures: relaxation from flipped patterns, parallel runs, means with errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from simulate.checks import check_patterns, first_place
from simulate.couplings import full_matrix
from simulate.memory import relaxation_kernels as kernels
from simulate.progress_bars import tqdm
from simulate.threads import check_stop, in_threads


def summarise(result: xr.Dataset, keep: str, independent: str, threshold: float) -> xr.Dataset:
    """Add means over all dimensions but `keep`, with standard errors from means over independent units."""
    others = [dim for dim in result["overlap"].dims if dim not in (keep, independent)]
    known = result["overlap"].notnull()
    retrieved = (result["overlap"] >= threshold - 1e-12).where(known)
    for name, values in (("mean_overlap", result["overlap"]), ("retrieval", retrieved)):
        units = values.mean(others)
        count = units.sizes[independent]
        result[name] = units.mean(independent)
        spread = units.std(independent, ddof=1) if count > 1 else result[name] * np.nan
        result[f"{name}_std"] = spread / np.sqrt(count)
    return result


def recall(
    outgoing: NDArray[np.float64], patterns: NDArray[np.int8], flipped: float, max_sweeps: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Overlaps (n_patterns,) after relaxation from flipped patterns, and True for those that settled."""
    states = flip(patterns, flipped, rng).astype(np.float64)
    sweeps = np.empty(len(states), dtype=np.int64)
    for k in range(len(states)):  # one at a time, so that an interrupt is heeded
        check_stop()
        kernels.settle_all(outgoing, states[k : k + 1], rng, max_sweeps, sweeps[k : k + 1])
    return (states * patterns).mean(axis=1), sweeps > 0


def flip(patterns: NDArray[np.int8], flipped: float, rng: np.random.Generator) -> NDArray[np.int8]:
    """Patterns with round(flipped * N) random spins of each flipped."""
    chosen = np.argsort(rng.random(patterns.shape), axis=1)[:, : round(flipped * patterns.shape[1])]
    states = patterns.copy()
    np.put_along_axis(states, chosen, -np.take_along_axis(states, chosen, axis=1), axis=1)
    return states


def in_parallel(
    run: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], n_jobs: int | None, progress: bool
) -> list[Any]:
    """Results of all tasks, in their order."""
    with tqdm(total=len(tasks), disable=not progress, unit="run") as bar:
        return in_threads(lambda task: run(*task), tasks, n_jobs, bar=bar, shared=False)


def outgoing_couplings(couplings: Any) -> NDArray[np.float64]:
    """Columns of the couplings as contiguous rows of a full matrix."""
    return np.ascontiguousarray(full_matrix(couplings, symmetric=False).T)


def unopposed(outgoing: NDArray[np.float64], aligned: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether aligned fields s_i h_i (..., n_spins) are not negative, up to the tolerance `TIE` of relaxation."""
    return np.asarray(aligned >= -kernels.TIE * np.abs(outgoing).sum(axis=0))


def fitting_patterns(patterns: ArrayLike, n_spins: int) -> NDArray[np.int8]:
    """Checked patterns, with the number of spins of the couplings."""
    xi = check_patterns(patterns)
    if xi.shape[1] != n_spins:
        raise ValueError(f"patterns have {xi.shape[1]} spins, the couplings are for {n_spins}")
    return xi


def check_fractions(values: ArrayLike, name: str, *, high: float = np.inf) -> NDArray[np.float64]:
    """Check a list of finite numbers from 0 to `high`."""
    numbers = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if numbers.ndim != 1 or numbers.size == 0:
        raise ValueError(f"{name} must be a list of numbers that is not empty, got shape {numbers.shape}")
    wrong = ~(np.isfinite(numbers) & (numbers >= 0) & (numbers <= high))
    if wrong.any():
        (at,) = first_place(wrong)
        raise ValueError(
            f"{name}[{at}] = {numbers[at]:g}: expected numbers {f'from 0 to {high:g}' if high < np.inf else '>= 0'}"
        )
    return numbers
