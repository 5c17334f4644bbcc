"""From samples to weighted distinct rows of the spins that vary: the start of every fit of spins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from infer.estimators.base import SpinEstimator, name_spins
from infer.estimators.rows import SpinRows, collapse_rows


@dataclass(frozen=True)
class Columns:
    """Which spins vary, and how fits of those are written back to all."""

    varying: NDArray[np.intp]
    constant: NDArray[np.intp]
    constant_values: NDArray[np.int8]
    names: tuple[str, ...] | None
    n_rows: int  # of positive weight
    n_samples: float  # sum of the weights, but no less than the number of rows
    n_spins: int

    def constant_fields(self) -> NDArray[np.float64]:
        """Fields (n_spins,), zero but for constant spins, which get half a sample of either sign added."""
        fields = np.zeros(self.n_spins)
        fields[self.constant] = self.constant_values * 0.5 * np.log(2.0 * self.n_samples + 1.0)
        return fields

    def expand(
        self, couplings: NDArray, fields: NDArray, fit_fields: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Couplings and fields of all spins from those of the spins that vary."""
        full = np.zeros((self.n_spins, self.n_spins))
        full[np.ix_(self.varying, self.varying)] = couplings
        full_fields = self.constant_fields() if fit_fields else np.zeros(self.n_spins)
        full_fields[self.varying] = fields
        return full, full_fields

    def named(self, varying_indices: ArrayLike) -> str:
        """Readable list of spins, given by their place among those that vary."""
        return name_spins(self.varying[np.asarray(varying_indices)], self.names)


@dataclass(frozen=True)
class Preparation(Columns):
    """Samples ready for a fit."""

    spins: NDArray[np.int8]  # distinct rows of positive weight, all spins
    weight: NDArray[np.float64] | None  # how much each row counts
    given: NDArray[np.int8]  # rows as they were given, in time order
    given_weight: NDArray[np.float64] | None
    chains: NDArray[np.int64] | None  # of the rows as they were given

    def rows(self, n_jobs: int | None = 1) -> SpinRows:
        """Rows of the spins that vary, with shares that add up to one."""
        return SpinRows(self.spins, self.weight, self.varying, n_jobs)

    def ordered_rows(self, n_jobs: int | None = 1) -> SpinRows:
        """The same as they were given, in time order."""
        return SpinRows(self.given, self.given_weight, self.varying, n_jobs)

    def share(self) -> NDArray[np.float64]:
        """Share of each row; they add up to one."""
        if self.weight is None:
            return np.full(len(self.spins), 1.0 / len(self.spins))
        return self.weight / self.weight.sum()


def prepare(estimator: SpinEstimator, X: Any, sample_weight: ArrayLike | None) -> Preparation:
    """Validate the samples of a fit, find constant spins and collapse equal rows; Dask arrays are read into memory."""
    spins, weight, chains, names = estimator._validate(X, sample_weight, reset=True)
    constant = estimator._find_constant(spins, weight, names)
    # counts add up to more than the number of rows; weights that are shares say nothing about it
    n_rows = len(spins) if weight is None else int(np.count_nonzero(weight))
    n_samples = float(n_rows if weight is None else max(weight.sum(), n_rows))
    distinct, distinct_weight = collapse_rows(spins, weight)
    if distinct_weight is not None and not np.all(distinct_weight > 0):
        distinct, distinct_weight = distinct[distinct_weight > 0], distinct_weight[distinct_weight > 0]
    varying = np.setdiff1d(np.arange(spins.shape[1]), constant)
    return Preparation(
        varying,
        constant,
        distinct[0, constant],
        names,
        n_rows,
        n_samples,
        spins.shape[1],
        distinct,
        distinct_weight,
        spins,
        weight,
        chains,
    )
