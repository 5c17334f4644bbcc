"""What every estimator of spin systems shares: reading samples, strict validation, the score."""

from __future__ import annotations

import mmap
import os
import warnings
from collections.abc import Iterator
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

CHUNK_VALUES = 1 << 21  # values looked at in one go when large (memory-mapped) input is checked or scored
MATRICES = 12  # (n_spins, n_spins) in double precision that a fit holds at once, about
_NAMES_SHOWN = 8


def is_dask(X: Any) -> bool:
    """Whether these are the blocks of a Dask array (which need not be installed)."""
    return type(X).__module__.startswith("dask.array")


def unpack_samples(X: Any) -> tuple[Any, NDArray[np.int64] | None, tuple[str, ...] | None]:
    """Array of samples, chain of each row and names of the spins, from whatever holds samples.

    Parameters
    ----------
    X : array-like (n_samples, n_spins), xarray.Dataset, xarray.DataArray or Recording
        A Dataset as written by ``simulate.sample`` (variable ``spins``, or ``x`` in continuous units, with dims
        ``(chain, draw, spin)``) gives its rows chain by chain. A recording has attributes ``spins``, ``chains``
        and ``names``. Anything else is handed back as it is.

    Returns
    -------
    samples : array-like (n_samples, n_spins)
    chains : ndarray of int64 (n_samples,) or None
        Which time-ordered run a row belongs to; None when nothing is known.
    names : tuple of str or None
    """
    if isinstance(X, xr.Dataset):
        found = [name for name in ("spins", "x") if name in X.data_vars]
        if not found:
            raise ValueError(f"the Dataset has no variable 'spins' or 'x'; it has {sorted(map(str, X.data_vars))}")
        X = X[found[0]]
    if isinstance(X, xr.DataArray):
        missing = {"chain", "draw", "spin"} - set(X.dims)
        if missing or X.ndim != 3:
            raise ValueError(f"samples need dims (chain, draw, spin), these have {tuple(map(str, X.dims))}")
        X = X.transpose("chain", "draw", "spin")
        n_chains, n_draws, n_spins = X.shape
        labels = X.coords["spin"].values if "spin" in X.coords else np.arange(n_spins)
        names = tuple(map(str, labels)) if labels.dtype.kind in "UO" else None
        values = X.data if is_dask(X.data) else X.values
        return values.reshape(-1, n_spins), np.repeat(np.arange(n_chains), n_draws), names
    if hasattr(X, "spins") and hasattr(X, "chains"):
        names = getattr(X, "names", None)
        return X.spins, X.chains, tuple(names) if names is not None else None
    return X, None, None


def row_weights(X: Any, samples: NDArray, sample_weight: ArrayLike | None) -> NDArray[np.float64] | None:
    """Weight of each row: the counts of a recording times ``sample_weight``; None when all rows count alike."""
    counts = getattr(X, "counts", None) if hasattr(X, "spins") else None
    if counts is None and sample_weight is None:
        return None
    weight = np.ones(len(samples))
    if sample_weight is not None:
        weight = weight * _check_sample_weight(sample_weight, samples, dtype=np.float64, ensure_non_negative=True)
    if counts is not None:
        weight = weight * np.asarray(counts, dtype=np.float64)
    if not weight.sum() > 0:
        raise ValueError("the sample weights are all zero: give at least two rows a positive weight")
    return weight


def check_memory(n_spins: int) -> None:
    """Refuse to start on couplings that cannot fit into the memory of this machine (where that is known)."""
    try:
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return
    needed = 8 * MATRICES * n_spins**2
    if needed > available:
        raise ValueError(
            f"couplings of {n_spins} spins need about {needed / 1e9:.0f} GB of memory, and there are "
            f"{available / 1e9:.0f} GB; choose fewer spins (transpose the samples if rows are spins)"
        )


def name_spins(indices: ArrayLike, names: tuple[str, ...] | None = None) -> str:
    """A readable list of spins for messages: the first few, and how many more."""
    indices = [int(index) for index in np.atleast_1d(np.asarray(indices))]
    shown = [f"{i} ({names[i]})" if names is not None and names[i] != str(i) else f"{i}" for i in indices]
    more = f" and {len(shown) - _NAMES_SHOWN} more" if len(shown) > _NAMES_SHOWN else ""
    return ("spin " if len(shown) == 1 else "spins ") + ", ".join(shown[:_NAMES_SHOWN]) + more


def release_pages(spins: NDArray) -> None:
    """Give the pages of a memory map back, so that reading a file larger than memory does not fill memory."""
    base: Any = spins
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)


def row_chunks(n_rows: int, n_spins: int) -> list[slice]:
    """Slices of rows small enough to be worked on in one go."""
    step = max(1, CHUNK_VALUES // max(1, n_spins))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def passing_rows(samples: NDArray) -> Iterator[slice]:
    """``row_chunks`` of an array; pages of a memory map are given back behind them."""
    for count, rows in enumerate(row_chunks(*samples.shape)):
        yield rows
        if count % 32 == 31:
            release_pages(samples)
    release_pages(samples)


def check_spins(spins: NDArray, gaps: bool = False, first_row: int = 0) -> NDArray[np.int8]:
    """The same samples as int8; a ValueError names the first entry that is not -1 or +1, rows counted from `first_row`.

    With ``gaps`` values may be missing: 0 or NaN, which become 0.
    """
    out = spins if spins.dtype == np.int8 else np.empty(spins.shape, dtype=np.int8)
    for rows in passing_rows(spins):
        chunk = spins[rows]
        if gaps and chunk.dtype.kind == "f":
            chunk = np.where(np.isnan(chunk), 0, chunk)
        wrong = (chunk != 1) & (chunk != -1)
        if gaps:
            wrong &= chunk != 0
        if wrong.any():
            row, column = (int(index) for index in np.argwhere(wrong)[0])
            _refuse_value(chunk[row, column], first_row + rows.start + row, column)
        if out is not spins:
            out[rows] = chunk
    return out


def _refuse_value(value: Any, row: int, column: int) -> None:
    """Raise the ValueError for an entry that is not a spin."""
    where = f"row {row}, column {column} of X is"
    if isinstance(value, np.floating) and not np.isfinite(value):
        kind = "NaN" if np.isnan(value) else "infinity"
        remedy = "drop or fill missing values first, or fit with PseudoLikelihood(missing='mask')"
        raise ValueError(f"{where} {kind}: spins must be -1 or +1, so {remedy}")
    shown = value.item() if isinstance(value, np.generic) else value
    if value == 0:
        hint = "for 0/1 data pass threshold=0.5 or convert with 2 * X - 1"
    elif value == 255:
        hint = "255 is -1 wrapped by unsigned bytes, so convert with X.astype('int8')"
    else:
        hint = "pass threshold=... to binarise real data"
    raise ValueError(f"{where} {shown}: spins must be -1 or +1; {hint}")


def binarise(values: NDArray, threshold: float, gaps: bool = False, first_row: int = 0) -> NDArray[np.int8]:
    """+1 where a value exceeds the threshold, else -1; a ValueError names the first value that is not finite.

    With ``gaps`` NaN are missing values and become 0.
    """
    out = np.empty(values.shape, dtype=np.int8)
    for rows in passing_rows(values):
        chunk = values[rows]
        missing = np.isnan(chunk) if gaps and chunk.dtype.kind == "f" else np.zeros(chunk.shape, dtype=bool)
        if chunk.dtype.kind == "f" and not (np.isfinite(chunk) | missing).all():
            row, column = (int(index) for index in np.argwhere(~(np.isfinite(chunk) | missing))[0])
            _refuse_value(chunk[row, column], first_row + rows.start + row, column)
        out[rows] = np.where(missing, 0, np.where(chunk > threshold, 1, -1))
    return out


def constant_spins(spins: NDArray[np.int8], weight: NDArray | None = None) -> NDArray[np.intp]:
    """Indices of the spins that never change in the rows of positive weight."""
    first = int(np.argmax(weight > 0)) if weight is not None else 0
    constant = np.ones(spins.shape[1], dtype=bool)
    for rows in passing_rows(spins):
        chunk = spins[rows][weight[rows] > 0] if weight is not None else spins[rows]
        constant &= (chunk == spins[first]).all(axis=0)
        if not constant.any():
            break
    return np.flatnonzero(constant)


def mean_log_pseudolikelihood(
    spins: NDArray[np.int8], couplings: NDArray, fields: NDArray, weight: NDArray | None = None
) -> float:
    """Weighted mean over rows of ``sum_i log p(s_i | rest)``."""
    total = 0.0
    for rows in passing_rows(spins):
        chunk = spins[rows].astype(np.float64)
        margins = chunk * (chunk @ couplings.T + fields)
        values = -np.logaddexp(0.0, -2.0 * margins).sum(axis=1)
        total += float(values.sum() if weight is None else values @ weight[rows])
    return total / (len(spins) if weight is None else float(weight.sum()))


class SpinEstimator(BaseEstimator):
    """Base class of the estimators of couplings and fields from +-1 spins."""

    threshold: float | None = None
    constant: str = "field"
    missing: str = "error"

    couplings_: NDArray[np.float64]
    fields_: NDArray[np.float64]

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit couplings and fields to samples.

        Parameters
        ----------
        X : array-like (n_samples, n_spins) of +-1, xarray.Dataset or Recording
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional
            Weights of the rows.

        Returns
        -------
        SpinEstimator
        """
        raise NotImplementedError  # every estimator writes its own; this one only says how it is called

    def _validate(
        self, X: Any, sample_weight: ArrayLike | None = None, *, reset: bool
    ) -> tuple[NDArray[np.int8], NDArray[np.float64] | None, NDArray[np.int64] | None, tuple[str, ...] | None]:
        """Strict spins, weights, chains and names of the samples, from any accepted input."""
        samples, chains, names = unpack_samples(X)
        array = validate_data(
            self,
            samples,
            reset=reset,
            dtype="numeric",
            ensure_all_finite=False,
            ensure_min_samples=2 if reset else 1,
            ensure_min_features=2 if reset else 1,
        )
        if reset:
            check_memory(array.shape[1])
        if names is None and hasattr(self, "feature_names_in_"):
            names = tuple(map(str, self.feature_names_in_))
        weight = row_weights(X, array, sample_weight)
        gaps = self.missing == "mask"
        spins = check_spins(array, gaps) if self.threshold is None else binarise(array, float(self.threshold), gaps)
        return spins, weight, chains, names

    def _find_constant(
        self, spins: NDArray[np.int8], weight: NDArray | None, names: tuple[str, ...] | None
    ) -> NDArray[np.intp]:
        """Indices of the constant spins, refused or warned about as ``constant`` says."""
        return self.report_constant(constant_spins(spins, weight), names)

    def report_constant(self, constant: NDArray[np.intp], names: tuple[str, ...] | None) -> NDArray[np.intp]:
        """The same indices of constant spins, refused or warned about as ``constant`` says.

        Parameters
        ----------
        constant : array of int (n_constant,)
            Indices of the spins that never change.
        names : tuple of str or None
            Names of all spins, for the message.

        Returns
        -------
        array of int (n_constant,)

        Raises
        ------
        ValueError
            If ``constant`` is "error" and a spin never changes.

        Warns
        -----
        ConvergenceWarning
            If ``constant`` is "field" and a spin never changes.
        """
        if self.constant not in ("field", "error"):
            raise ValueError(f"constant must be 'field' or 'error', got {self.constant!r}")
        if len(constant):
            text = f"{name_spins(constant, names)} never change: no coupling to them can be estimated"
            if self.constant == "error":
                raise ValueError(f"{text}; drop these columns, or pass constant='field' to keep them without couplings")
            warnings.warn(
                f"{text}; they are kept without couplings (drop these columns, or pass constant='error' to refuse)",
                ConvergenceWarning,
                stacklevel=4,
            )
        return constant

    def score(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Mean log pseudo-likelihood per sample, ``mean_k sum_i log p(s_ki | rest of s_k)``.

        Parameters
        ----------
        X : array-like (n_samples, n_spins), xarray.Dataset or Recording
            Samples of +-1 (or real values when ``threshold`` is set).
        y : Ignored
            Present for compatibility with scikit-learn.
        sample_weight : array-like (n_samples,), optional
            Weights of the rows.

        Returns
        -------
        float
            Natural logarithm, at most 0; ``-n_spins log 2`` for free spins.

        Raises
        ------
        ValueError
            If X holds anything but +-1, or another number of spins than the fit.
        """
        check_is_fitted(self, "couplings_")
        if is_dask(unpack_samples(X)[0]):
            from infer.estimators.blocks import block_score

            return block_score(self, X, sample_weight)
        spins, weight, _, _ = self._validate(X, sample_weight, reset=False)
        return mean_log_pseudolikelihood(spins, self.couplings_, self.fields_, weight)
