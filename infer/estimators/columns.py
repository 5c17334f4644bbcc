"""Weighted distinct rows of the spins that vary, from samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from infer.checks import constant_spins, name_spins
from infer.estimators.rows import SpinRows, collapse_rows
from infer.samples import Samples
from infer.statistics.pair_tables import OpenPairs, open_pairs
from infer.types import FloatArray, SpinArray
from simulate.user_warnings import warn

__all__ = ["VaryingSpins", "check_worth", "report_few", "varying_spins"]

LEAST_INDEPENDENT = 200.0  # rows that slow ones must be worth: intervals from fewer have not been seen to hold


@dataclass(frozen=True, eq=False)
class VaryingSpins:
    """Samples of the spins that vary, ready for a fit.

    Parameters
    ----------
    samples : Samples
        The given samples of all spins, in time order.
    varying, constant : ndarray of int
        Indices of the spins that vary, and of those that never change, in the rows of positive weight.
    constant_values : ndarray of int8
        Values of the spins that never change.
    fit_fields : bool
        Whether fields are fitted.
    """

    samples: Samples
    varying: NDArray[np.intp]
    constant: NDArray[np.intp]
    constant_values: SpinArray
    fit_fields: bool

    @property
    def n_varying(self) -> int:
        """Number of spins that vary."""
        return len(self.varying)

    @property
    def n_spins(self) -> int:
        """Number of all spins."""
        return self.samples.n_spins

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of all spins."""
        return self.samples.names

    @property
    def n_samples(self) -> float:
        """Effective number of samples of the rows."""
        return self.samples.n_samples

    @property
    def n_rows(self) -> int:
        """Number of rows of positive weight."""
        weight = self.samples.weight
        return self.samples.n_rows if weight is None else int(np.count_nonzero(weight))

    @cached_property
    def _distinct(self) -> tuple[SpinArray, FloatArray | None]:
        """Distinct rows of positive weight, and their weights."""
        spins, weight = collapse_rows(self.samples.spins, self.samples.weight)
        if weight is not None and not np.all(weight > 0):
            spins, weight = spins[weight > 0], weight[weight > 0]
        return spins, weight

    @property
    def spins(self) -> SpinArray:
        """Distinct rows of positive weight, all spins."""
        return self._distinct[0]

    @property
    def weight(self) -> FloatArray | None:
        """Weight of each distinct row."""
        return self._distinct[1]

    def rows(self, n_jobs: int | None = 1) -> SpinRows:
        """Distinct rows of the spins that vary, with shares that add up to one."""
        return SpinRows(self.spins, self.weight, self.varying, n_jobs)

    def ordered_rows(self, n_jobs: int | None = 1) -> SpinRows:
        """The given rows, in time order."""
        return SpinRows(self.samples.spins, self.samples.weight, self.varying, n_jobs)

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Means (n_varying,) and second moments (n_varying, n_varying) of the spins that vary."""
        return self._moments

    @cached_property
    def _moments(self) -> tuple[FloatArray, FloatArray]:
        return self.rows().second_moments()

    @cached_property
    def open_pairs(self) -> OpenPairs:
        """Pairs of the spins that vary whose couplings have no finite value of largest likelihood."""
        return open_pairs(*self.moments(), self.fit_fields)

    def why_endless(self) -> str:
        """Reason why best couplings are infinite without a penalty, with the first spins; empty for none."""
        return self.open_pairs.sentence(self.varying, self.names)

    def share(self) -> FloatArray:
        """Share of each distinct row; they add up to one."""
        if self.weight is None:
            return np.full(len(self.spins), 1.0 / len(self.spins))
        return self.weight / self.weight.sum()

    def constant_fields(self) -> FloatArray:
        """Fields (n_spins,), zero except for constant spins, for which half a sample of either sign is added."""
        fields = np.zeros(self.n_spins)
        fields[self.constant] = self.constant_values * 0.5 * np.log(2.0 * self.n_samples + 1.0)
        return fields

    def expand(self, couplings: NDArray, fields: NDArray) -> tuple[FloatArray, FloatArray]:
        """Couplings and fields of all spins from those of the spins that vary."""
        full = np.zeros((self.n_spins, self.n_spins))
        full[np.ix_(self.varying, self.varying)] = couplings
        full_fields = self.constant_fields() if self.fit_fields else np.zeros(self.n_spins)
        full_fields[self.varying] = fields
        return full, full_fields

    def expand_errors(self, couplings: NDArray, fields: NDArray) -> tuple[FloatArray, FloatArray]:
        """Standard errors of all spins: NaN for spins that never change, zero on the diagonal."""
        full = np.full((self.n_spins, self.n_spins), np.nan)
        full[np.ix_(self.varying, self.varying)] = couplings
        np.fill_diagonal(full, 0.0)
        full_fields = np.full(self.n_spins, np.nan)
        full_fields[self.varying] = fields
        return full, full_fields

    def named(self, varying_indices: ArrayLike) -> str:
        """Text that lists spins, given by their index among those that vary."""
        return name_spins(self.varying[np.asarray(varying_indices)], self.names)


def varying_spins(
    samples: Samples, fit_fields: bool, report: Callable[[NDArray[np.intp], tuple[str, ...] | None], None]
) -> VaryingSpins:
    """Find the spins that vary in checked samples; ``report`` refuses the others or warns of them."""
    constant = constant_spins(samples.spins, samples.weight)
    report(constant, samples.names)
    first = 0 if samples.weight is None else int(np.argmax(samples.weight > 0))
    varying = np.setdiff1d(np.arange(samples.n_spins), constant)
    return VaryingSpins(samples, varying, constant, samples.spins[first, constant], fit_fields)


def check_worth(samples: Samples) -> None:
    """Refuse weights with a sum below two samples: they were normalised, and the number of samples is not known."""
    if samples.weights is not None and samples.n_effective is None and samples.weight_kind == "shares":
        total = float(np.sum(samples.weights))
        if total < 2.0:
            raise ValueError(
                f"the sample weights add up to {total:.3g}, so that the number of samples is not known, which errors "
                "and default penalties need: pass Samples.of(X, sample_weight=..., n_effective=...), or errors=False "
                "and a number for alpha"
            )


def report_few(n_samples: float, time: float, stacklevel: int) -> None:
    """Warn where rows that remember for long are worth few independent ones.

    Parameters
    ----------
    n_samples : float
    time : float
        Rows that count as one independent row; 1 where rows are independent, of which few are no reason to warn.
    stacklevel : int
        As in `warnings.warn`.
    """
    if time > 1.0 and n_samples / time < LEAST_INDEPENDENT:
        warn(
            f"rows follow each other so slowly that {n_samples:.0f} of them are worth about {n_samples / time:.0f} "
            f"independent ones; below {LEAST_INDEPENDENT:.0f}, couplings come out too strong and their standard errors "
            "too small: give longer runs, or more of them",
            ConvergenceWarning,
            stacklevel=stacklevel + 1,
        )
