"""Samples: rows of spins or of continuous units with weights, runs, names and metadata.

`Samples.of` is the only code that distinguishes the types of users' data (a Dataset, a DataFrame, a Recording, an
array, blocks of a Dask array); public functions call it once, at their beginning.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from infer.checks import binarise, check_spins, passing_rows
from infer.types import FloatArray, IntArray, SpinArray

__all__ = ["Samples", "is_dask"]

WeightKind = Literal["counts", "shares"]
#: Variables of a Dataset that hold samples: spins, or continuous units.
VARIABLES = ("spins", "x")
#: Names of the dimension along which the rows of a chain follow each other.
ORDERED_DIMS = ("draw", "time")


def is_dask(values: Any) -> bool:
    """Whether these are the blocks of a Dask array (which need not be installed)."""
    return type(values).__module__.startswith("dask.array")


@dataclass(frozen=True, eq=False, repr=False)
class Samples:
    """Rows of spins, or of continuous units, with weights, runs and names.

    Parameters
    ----------
    values : ndarray or Dask array, shape (n_rows, n_spins)
        Spins of -1 and +1 (0 where a value is missing, with ``gaps``), or continuous units.
    weights : ndarray, shape (n_rows,), optional
        Weight of each row; by default all are equal.
    weight_kind : {"counts", "shares"}
        "counts": number of times a row was seen. "shares": redundancy, sampling or importance weights.
    n_effective : float, optional
        Effective number of samples, in place of that which follows from ``weight_kind`` (see `n_samples`).
    chains : ndarray of int64, shape (n_rows,), optional
        The run (trial, epoch, chain) that each row belongs to.
    ordered : bool
        Whether the rows of a run follow each other in time.
    names : tuple of str, optional
        One for each spin.
    patterns : ndarray, shape (n_patterns, n_spins), optional
        Stored patterns that came with the samples.
    attributes : mapping
        Metadata: of the simulation, or of the recording.
    gaps : bool
        Whether 0 stands for a missing value.
    table : object, optional
        The object that held the values, where it is not an array, for scikit-learn's checks of types and column names.
    source : str
        File that a recording was read from, or the type of the object; empty for other data.
    """

    values: Any
    weights: NDArray[Any] | None = None
    weight_kind: WeightKind = "counts"
    n_effective: float | None = None
    chains: NDArray[np.int64] | None = None
    ordered: bool = True
    names: tuple[str, ...] | None = None
    patterns: NDArray[Any] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    gaps: bool = False
    table: Any = None
    source: str = ""

    @classmethod
    def of(
        cls,
        data: Any,
        sample_weight: ArrayLike | None = None,
        *,
        weight_kind: WeightKind | None = None,
        n_effective: float | None = None,
        chains: ArrayLike | None = None,
        ordered: bool | None = None,
        names: Sequence[str] | None = None,
        gaps: bool | None = None,
    ) -> Samples:
        """Samples from data of any supported type.

        Parameters
        ----------
        data : Samples, Recording, xarray.Dataset, xarray.DataArray, DataFrame, Dask array or array_like
            A Dataset has a variable ``spins`` or ``x`` with a dimension ``spin``, and ``chain``, ``draw`` (or ``time``)
            or both beside it; its rows are taken chain by chain. A DataFrame has one column per spin. The rows of an
            array are one run in time order, unless weights say that they are counted.
        sample_weight : array_like, shape (n_rows,), optional
            Weights of the rows, which multiply those that the data have.
        weight_kind : {"counts", "shares"}, optional
            By default "counts" where all weights are whole numbers.
        n_effective : float, optional
            See `Samples`; needed for weights that were normalised to add up to 1.
        chains : array_like, shape (n_rows,), optional
            Run of each row, in place of those of the data.
        ordered : bool, optional
            Whether the rows of a run follow each other in time. Default: True, except for rows with weights and without
            runs.
        names : sequence of str, optional
            Names of the spins, in place of those of the data.
        gaps : bool, optional
            Whether 0 is a missing value. By default as in a recording; False for other data.

        Returns
        -------
        Samples
            Values are checked on first use: see `spins`.

        Raises
        ------
        ValueError
            If there are no samples in the data, or weights, runs or names do not fit them.
        """
        found = _unpacked(data)
        weights = _multiplied(found.weights, sample_weight, found.n_rows)
        changes: dict[str, Any] = {"weights": weights}
        if weight_kind is not None or sample_weight is not None:
            changes["weight_kind"] = weight_kind or _kind_of(weights)
        if n_effective is not None:
            changes["n_effective"] = float(n_effective)
        if chains is not None:
            changes["chains"] = _runs(chains, found.n_rows)
        runs = changes.get("chains", found.chains)
        if ordered is not None:
            changes["ordered"] = ordered
        elif runs is None and weights is not None and (found is not data or sample_weight is not None):
            changes["ordered"] = False
        if names is not None:
            changes["names"] = _spin_names(names, found.n_spins)
        if gaps is not None:
            changes["gaps"] = gaps
        if all(getattr(found, name) is value for name, value in changes.items()):
            return found
        return dataclasses.replace(found, **changes)

    def __repr__(self) -> str:
        """Sizes, runs and weights in one line."""
        parts = [f"{self.n_rows} rows of {self.n_spins} units"]
        if self.chains is not None:
            parts.append(f"{len(np.unique(self.chains))} runs")
        if self.weights is not None:
            parts.append(f"weights ({self.weight_kind}), {self.n_samples:g} samples")
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        n = np.shape(self.values)[0] if np.ndim(self.values) else 0
        return 0 if np.isnan(n) else int(n)  # the number of rows of a Dask array may be unknown

    @property
    def n_spins(self) -> int:
        """Number of spins (or continuous units)."""
        return int(np.shape(self.values)[1]) if np.ndim(self.values) == 2 else 0

    @property
    def blocks(self) -> bool:
        """Whether the values are the blocks of a Dask array."""
        return is_dask(self.values)

    @cached_property
    def spins(self) -> SpinArray:
        """The values as checked int8 spins, shape (n_rows, n_spins); the same array where it is int8.

        Raises
        ------
        ValueError
            If a value is not -1 or +1 (nor a missing value, with ``gaps``); the message gives place and remedy.
        """
        array = self.values if isinstance(self.values, np.ndarray) else np.asarray(self.values)
        if array.ndim != 2 or 0 in array.shape:
            raise ValueError(f"samples: expected an array (n_samples, n_spins), got shape {array.shape}")
        if array.dtype.kind not in "biuf":
            raise ValueError(f"samples: expected numbers, got dtype {array.dtype}")
        return check_spins(array, self.gaps)

    @property
    def weight(self) -> FloatArray | None:
        """Weights of the rows in double precision; None where all are equal."""
        return None if self.weights is None else np.asarray(self.weights, dtype=np.float64)

    @property
    def n_samples(self) -> float:
        """Effective number of samples, used by errors, default penalties and criteria.

        The number of rows without weights; the sum of the weights for "counts"; for "shares" the smaller of the sum and
        ``(sum w)^2 / sum w^2`` (L. Kish 1965, Survey Sampling, Wiley).
        """
        if self.n_effective is not None:
            return self.n_effective
        weight = self.weight
        if weight is None:
            return float(self.n_rows)
        total = float(weight.sum())
        return total if self.weight_kind == "counts" else min(total, total**2 / float((weight**2).sum()))

    @property
    def simulated(self) -> bool:
        """Whether the samples come from a simulation: their attributes name its dynamics."""
        return "dynamics" in self.attributes

    @property
    def without_fields(self) -> bool:
        """Whether the samples come from a simulation whose attributes state that it had no external fields."""
        fields = self.attributes.get("fields", "none")
        absent = fields == "none" if isinstance(fields, str) else not np.any(np.asarray(fields))
        return self.simulated and bool(absent)

    @property
    def complete(self) -> bool:
        """Whether no value is missing."""
        return not self.gaps or all(self.spins[rows].all() for rows in passing_rows(self.spins))

    def binarised(self, threshold: float) -> Samples:
        """Samples of spins: +1 where a value exceeds the threshold and -1 elsewhere (0 where one is missing).

        Parameters
        ----------
        threshold : float

        Returns
        -------
        Samples

        Raises
        ------
        ValueError
            If a value is not finite; the message names its place.
        """
        return self.with_values(binarise(np.asarray(self.values), float(threshold), self.gaps))

    def with_values(self, values: Any, **changes: Any) -> Samples:
        """The same rows with other values.

        Parameters
        ----------
        values : array, shape (n_rows, n_spins)
        **changes
            Other fields to replace.

        Returns
        -------
        Samples
        """
        return dataclasses.replace(self, values=values, table=None, **changes)

    def rows(self, index: NDArray[Any] | slice) -> Samples:
        """Some of the rows, with their weights and runs.

        Parameters
        ----------
        index : slice or array of int or bool, shape (n_chosen,)

        Returns
        -------
        Samples
        """
        return dataclasses.replace(
            self,
            values=self.values[index],
            weights=None if self.weights is None else self.weights[index],
            chains=None if self.chains is None else self.chains[index],
            n_effective=None,
            table=None,
        )

    def means(self) -> FloatArray:
        """Weighted means of the spins; unlike `moments`, in time that grows with n_spins only.

        Returns
        -------
        ndarray of float64, shape (n_spins,)
        """
        if self.weight is None:
            return np.asarray(self.spins.mean(axis=0, dtype=np.float64))
        return np.asarray(np.einsum("r,ri->i", self.weight, self.spins) / self.weight.sum())

    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Weighted means and second moments of the spins.

        Returns
        -------
        means : ndarray of float64, shape (n_spins,)
        second_moments : ndarray of float64, shape (n_spins, n_spins)
            ``<s_i s_j>``, ones on the diagonal.

        Raises
        ------
        ValueError
            If rows come from a file that was cut after it was opened.
        """
        return spin_moments(self.spins, self.weight)


def spin_moments(spins: Any, weight: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Weighted means and second moments of rows of spins.

    Parameters
    ----------
    spins : ndarray, shape (n_rows, n_spins)
        Values -1 and +1.
    weight : ndarray, shape (n_rows,), optional

    Returns
    -------
    means : ndarray of float64, shape (n_spins,)
    second_moments : ndarray of float64, shape (n_spins, n_spins)
        Symmetric, with ones on the diagonal.
    """
    n_spins = spins.shape[1]
    first, second = np.zeros(n_spins), np.zeros((n_spins, n_spins))
    # sums of +-1 over a chunk are exact in single precision; weighted ones need double
    precision: Any = np.float32 if weight is None else np.float64
    for part in passing_rows(spins):
        block = spins[part].astype(precision)
        weighted = block if weight is None else block * weight[part, None]
        first += weighted.sum(axis=0, dtype=np.float64)
        second += weighted.T @ block
    total = float(len(spins) if weight is None else weight.sum())
    second = (second + second.T) / (2.0 * total)
    np.fill_diagonal(second, 1.0)
    return first / total, second


def _unpacked(data: Any) -> Samples:
    """Samples from data, before the arguments of `Samples.of` are applied."""
    if isinstance(data, Samples):
        return data
    if isinstance(data, xr.Dataset):
        return _of_dataset(data)
    if isinstance(data, xr.DataArray):
        return _of_array(data, data.attrs, None)
    if hasattr(data, "iloc") and hasattr(data, "columns"):  # a DataFrame of pandas
        names = tuple(map(str, data.columns)) if all(isinstance(c, str) for c in data.columns) else None
        return Samples(data.to_numpy(), names=names, table=data)
    if isinstance(data, np.ma.MaskedArray):
        return Samples(_without_mask(data))
    if is_dask(data):
        return Samples(_blocks_without_mask(data))
    if isinstance(data, np.ndarray):
        return Samples(data)
    return Samples(np.asarray(data), table=data)


def _without_mask(data: NDArray[Any]) -> NDArray[Any]:
    """Values with NaN where they are masked."""
    missing = np.ma.getmaskarray(data)
    filled = np.ma.filled(data, 0)
    return np.where(missing, np.nan, filled) if missing.any() else np.asarray(filled)


def _blocks_without_mask(blocks: Any) -> Any:
    """Blocks of a Dask array, as floats with NaN for what is masked where they are masked arrays."""
    if not isinstance(blocks._meta, np.ma.MaskedArray):
        return blocks
    return blocks.map_blocks(lambda block: _without_mask(block).astype(np.float64), meta=np.empty((0, 0)))


def _of_dataset(data: xr.Dataset) -> Samples:
    """Samples of a Dataset: its spins or continuous units, its attributes, its patterns."""
    found = [name for name in VARIABLES if name in data.data_vars]
    if not found:
        raise ValueError(f"the Dataset has no variable 'spins' or 'x'; it has {sorted(map(str, data.data_vars))}")
    patterns = data["patterns"].values if "patterns" in data.data_vars else None
    return _of_array(data[found[0]], data.attrs, patterns)


def _of_array(data: xr.DataArray, attributes: Mapping[Any, Any], patterns: NDArray[Any] | None) -> Samples:
    """Samples of labelled values, chain by chain."""
    axis = [name for name in ORDERED_DIMS if name in data.dims]
    other = set(data.dims) - {"chain", "spin", *axis}
    if "spin" not in data.dims or len(axis) > 1 or other or data.ndim < 2:
        raise ValueError(
            f"samples need dims (chain, draw, spin), without chain or with time for draw where there is one run; these "
            f"have {tuple(map(str, data.dims))}"
        )
    for name in ("chain", *axis[:1]) if axis else ("chain",):
        if name not in data.dims:
            data = data.expand_dims(name)
    if not axis:  # one state per chain
        data = data.expand_dims("draw")
        axis = ["draw"]
    data = data.transpose("chain", axis[0], "spin")
    n_chains, n_draws, n_spins = data.shape
    labels = data.coords["spin"].values if "spin" in data.coords else np.arange(n_spins)
    names = tuple(map(str, labels)) if labels.dtype.kind in "UOT" else None
    values = _blocks_without_mask(data.data) if is_dask(data.data) else data.values
    return Samples(
        values.reshape(-1, n_spins),
        chains=np.repeat(np.arange(n_chains), n_draws),
        names=names,
        patterns=patterns,
        attributes={str(name): value for name, value in attributes.items()},
    )


def _multiplied(weights: NDArray[Any] | None, sample_weight: ArrayLike | None, n_rows: int) -> NDArray[Any] | None:
    """Checked weights: those of the data times those given."""
    if sample_weight is None:
        return weights
    given = np.asarray(sample_weight)
    if given.ndim == 0:
        given = np.full(n_rows, given)
    if given.ndim != 1:
        raise ValueError("Sample weights must be 1D array or scalar")
    if given.shape != (n_rows,):
        raise ValueError(f"sample_weight.shape == {given.shape}, expected ({n_rows},): one weight for each row")
    given = given.astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(given) & (given >= 0)))
    if len(wrong):
        raise ValueError(f"sample_weight[{wrong[0]}] is {given[wrong[0]]}: weights are finite and not negative")
    product = given if weights is None else given * weights
    if not product.sum() > 0:
        raise ValueError("the sample weights are all zero: give at least two rows a positive weight")
    return product


def _kind_of(weights: NDArray[Any] | None) -> WeightKind:
    """Counts where all weights are whole numbers, shares otherwise."""
    whole = weights is None or bool(np.all(weights == np.floor(weights)))
    return "counts" if whole else "shares"


def _runs(chains: ArrayLike, n_rows: int) -> IntArray:
    """Check the run of each row."""
    runs = np.asarray(chains)
    if runs.shape != (n_rows,):
        raise ValueError(f"chains: expected shape ({n_rows},), one for each row of spins, got {runs.shape}")
    return runs if runs.dtype.kind in "iu" else np.unique(runs, return_inverse=True)[1].astype(np.int64)


def _spin_names(names: Sequence[str], n_spins: int) -> tuple[str, ...]:
    """Check that there is one name for each spin."""
    if len(names) != n_spins:
        raise ValueError(f"names: {len(names)} were given for {n_spins} spins; give one for each, or none")
    return tuple(map(str, names))
