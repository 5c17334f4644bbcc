"""Steps in time: pairs of past rows and the next row, read in chunks and never across runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import DTypeLike, NDArray
from scipy.linalg import eigvalsh

from infer.statistics.batches import chain_slices

CHUNK_ROWS = 4096  # steps in a chunk, so that their products stay in the cache


@dataclass(frozen=True, eq=False)
class Steps:
    """Steps from the last ``n_lags`` rows of a run to the next.

    A step's past is ``(s(t-1), s(t-2), ..., s(t-n_lags))``, ``n_lags n_spins`` columns.

    Attributes
    ----------
    spins : int8 array (n_rows, n_spins) of +-1
    rows : int array (n_steps,)
        The row that each step leads to.
    n_lags : int
    weight : float64 array (n_steps,) or None
        Non-negative weights of the steps.
    chains : int array (n_steps,) or None
        Run of each step.
    n_jobs : int or None
        Number of threads. Chunks are summed in a fixed order, so that results do not depend on it.
    """

    spins: NDArray[np.int8]
    rows: NDArray[np.int64]
    n_lags: int
    weight: NDArray[np.float64] | None = None
    chains: NDArray[np.int64] | None = None
    n_jobs: int | None = 1

    @classmethod
    def of(
        cls,
        spins: NDArray[np.int8],
        chains: NDArray | None = None,
        n_lags: int = 1,
        weight: NDArray | None = None,
        n_jobs: int | None = 1,
    ) -> Steps:
        """Steps of all runs; the first ``n_lags`` rows of a run are the past of others only.

        Parameters
        ----------
        spins : int8 array (n_rows, n_spins) of +-1
            Rows of a run are contiguous, in time order.
        chains : int array (n_rows,), optional
            Run of each row; None: one run.
        n_lags : int
            Rows of the past that a step depends on.
        weight : array (n_rows,), optional
            Weight of the step into each row; rows of weight zero are only the past of others.
        n_jobs : int or None
            Threads.

        Raises
        ------
        ValueError
            If no run is longer than ``n_lags`` rows.
        """
        within = [np.arange(run.start + n_lags, run.stop) for run in chain_slices(len(spins), chains)]
        rows = np.concatenate(within)
        if weight is not None:
            rows = rows[weight[rows] > 0]
        if not len(rows):
            raise ValueError(
                f"no run has more than {n_lags} row{'s' * (n_lags > 1)} in time order: give longer runs"
                + (", or lower n_lags" if n_lags > 1 else "")
            )
        given = None if weight is None else np.asarray(weight, dtype=np.float64)[rows]
        labels = None if chains is None else np.asarray(chains)[rows]
        return cls(spins, rows, n_lags, given, labels, n_jobs)

    @property
    def n_steps(self) -> int:
        """Number of steps."""
        return len(self.rows)

    @property
    def n_spins(self) -> int:
        """Number of spins."""
        return int(self.spins.shape[1])

    @property
    def n_columns(self) -> int:
        """Columns of the past."""
        return self.n_lags * self.n_spins

    @property
    def total(self) -> float:
        """Sum of the weights."""
        return float(self.n_steps if self.weight is None else self.weight.sum())

    def own_past(self) -> NDArray[np.bool_]:
        """True where a column of the past is the spin's own, (n_spins, n_columns)."""
        return np.tile(np.eye(self.n_spins, dtype=bool), self.n_lags)

    def past(self, part: slice | NDArray) -> NDArray[np.int8]:
        """The past of some steps (n, n_columns)."""
        rows = self.rows[part]
        return np.concatenate([self.spins[rows - lag] for lag in range(1, self.n_lags + 1)], axis=1)

    def next(self, part: slice | NDArray) -> NDArray[np.int8]:
        """The row that some steps lead to (n, n_spins)."""
        return self.spins[self.rows[part]]

    def design(self, part: slice | NDArray, dtype: DTypeLike = np.float64) -> NDArray:
        """The past of some steps and a column of ones (n, n_columns + 1)."""
        past = self.past(part)
        design = np.ones((len(past), self.n_columns + 1), dtype=dtype)
        design[:, :-1] = past
        return design

    def share(self, part: slice | NDArray) -> NDArray[np.float64]:
        """Weights of some steps in averages over all."""
        if self.weight is None:
            return np.full(len(self.rows[part]), 1.0 / self.n_steps)
        return self.weight[part] / self.total

    def over_chunks(self, work: Callable[[slice], Any], first: int = 0, last: int | None = None) -> Iterator[Any]:
        """Results of ``work`` on chunks of the steps from ``first`` to before ``last``, in order."""
        last = self.n_steps if last is None else last
        chunks = (slice(k, min(k + CHUNK_ROWS, last)) for k in range(first, last, CHUNK_ROWS))
        if self.n_jobs == 1:
            return map(work, chunks)
        found = Parallel(n_jobs=self.n_jobs, require="sharedmem", return_as="generator")(
            delayed(work)(part) for part in chunks
        )
        return iter(found)

    def cross_moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """``<s_i(t) x_j>`` (n_spins, n_columns + 1) and ``<x_j>`` (n_columns + 1,), x the past and a one."""

        def work(part: slice) -> tuple[NDArray, NDArray]:
            design = self.design(part)
            weighted = design * self.share(part)[:, None]
            return self.next(part).T.astype(np.float64) @ weighted, weighted.sum(axis=0)

        cross = np.zeros((self.n_spins, self.n_columns + 1))
        mean = np.zeros(self.n_columns + 1)
        for chunk_cross, chunk_mean in self.over_chunks(work):
            cross += chunk_cross
            mean += chunk_mean
        return cross, mean

    def least_spread(self, columns: NDArray[np.bool_]) -> float:
        """Smallest eigenvalue of the second moments of some columns of the past and a one."""
        kept = np.append(columns, True)

        def work(part: slice) -> NDArray:
            design = self.design(part)[:, kept]
            return (design * self.share(part)[:, None]).T @ design

        total = np.zeros((int(kept.sum()), int(kept.sum())))
        for chunk in self.over_chunks(work):
            total += chunk
        return float(eigvalsh(total)[0])
