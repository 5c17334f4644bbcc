"""Error bars that know about chains: batch means, block bootstrap, R-hat, effective sample size, arviz data.

The numerics of batches live in `infer.batches` and are handed on from here. This is the only module of `infer` that
imports arviz; it gives and takes plain xarray Datasets, which arviz 0.2x and 1.x both understand.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from infer.batches import (
    LongRunCovariance,
    autocorrelation_time,
    batch_labels,
    batch_means_covariance,
    batch_sums,
    block_bootstrap_indices,
    chain_slices,
    covariance_from_batches,
    student_quantile,
)

__all__ = [
    "LongRunCovariance",
    "autocorrelation_time",
    "batch_labels",
    "batch_means_covariance",
    "batch_sums",
    "block_bootstrap_indices",
    "chain_slices",
    "chains_dataset",
    "convergence",
    "covariance_from_batches",
    "posterior_dataset",
    "student_quantile",
]


def chains_dataset(values: np.ndarray, chains: np.ndarray | None = None, *, name: str = "spins") -> xr.Dataset:
    """
    Rows as an arviz-ready Dataset with dims (chain, draw, spin), cut into chains of equal length.

    R-hat needs at least two chains: a single chain becomes its two halves. Chains of unequal length are cut into as
    many pieces of a common length as they hold, the longest length that keeps three quarters of the rows (or else as
    many as can be kept).

    Parameters
    ----------
    values : array (n_rows, n_spins)
    chains : int array (n_rows,), optional
        The chain of each row (rows of a chain together, in time order). None: one chain.
    name : str
        Name of the variable.

    Returns
    -------
    xarray.Dataset
        Attribute `rows_left_out` counts the rows that did not fit.

    Raises
    ------
    ValueError
        If there are fewer than 8 rows.
    """
    values = np.asarray(values)
    if len(values) < 8:
        raise ValueError(f"at least 8 rows are needed to judge convergence, got {len(values)}")
    slices = chain_slices(len(values), chains)
    lengths = np.array([rows.stop - rows.start for rows in slices])
    if len(slices) == 1:
        length = len(values) // 2
    else:
        candidates = np.unique(lengths)[::-1]
        kept = np.array([np.sum(lengths // candidate) * candidate for candidate in candidates])
        enough = kept >= 0.75 * len(values)
        length = int(candidates[np.argmax(enough)] if enough.any() else candidates[np.argmax(kept)])
        if np.sum(lengths // length) < 2:
            length = int(lengths.max()) // 2
    pieces = [
        values[start : start + length] for rows in slices for start in range(rows.start, rows.stop - length + 1, length)
    ]
    stacked = np.stack(pieces)
    dims = ("chain", "draw", "spin")[: stacked.ndim]
    return xr.Dataset(
        {name: (dims, stacked)},
        coords={dim: np.arange(size) for dim, size in zip(dims, stacked.shape, strict=True)},
        attrs={"rows_left_out": len(values) - len(pieces) * length},
    )


def convergence(data: xr.Dataset) -> xr.Dataset:
    """
    R-hat and bulk effective sample size of every variable of a Dataset with dims (chain, draw, ...).

    Parameters
    ----------
    data : xarray.Dataset
        For example from `simulate.sample`, or `chains_dataset(recording.spins, recording.chains)`.

    Returns
    -------
    xarray.Dataset
        For every variable `v` of `data` with dims chain and draw, `v_r_hat` (rank-normalised split R-hat) and `v_ess`
        (bulk effective sample size), without the dims chain and draw. Components that never change have nan in both.

    Raises
    ------
    ValueError
        If there are fewer than two chains or four draws (`chains_dataset` halves a single chain).

    References
    ----------
    A. Vehtari, A. Gelman, D. Simpson, B. Carpenter, P.-C. Buerkner (2021), Bayesian Analysis 16, 667, arXiv:1903.08008.
    """
    arviz = _arviz()
    names = [str(name) for name, variable in data.data_vars.items() if {"chain", "draw"} <= set(variable.dims)]
    if not names:
        raise ValueError("the Dataset has no variable with dims chain and draw")
    n_chains, n_draws = data.sizes["chain"], data.sizes["draw"]
    if n_chains < 2 or n_draws < 4:
        raise ValueError(f"R-hat needs at least 2 chains of 4 draws, got {n_chains} of {n_draws}")
    result = {}
    for name in names:
        variable = data[name].astype(np.float64).transpose("chain", "draw", ...)
        moving = variable.max(("chain", "draw")) > variable.min(("chain", "draw"))
        # frozen in every chain, but not alike: no variance within chains, so that R-hat is rightly infinite
        frozen = moving & ((variable.max("draw") == variable.min("draw")).all("chain"))
        single = variable.to_dataset(name=name)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            r_hat, ess = arviz.rhat(single)[name], arviz.ess(single)[name]
        result[f"{name}_r_hat"] = r_hat.where(moving).where(~frozen, np.inf)
        result[f"{name}_ess"] = ess.where(moving)
    return xr.Dataset(result)


def posterior_dataset(draws: Mapping[str, np.ndarray], attributes: Mapping[str, Any] | None = None) -> xr.Dataset:
    """
    Posterior draws as a plain xarray Dataset that arviz (0.2x and 1.x) takes as it is.

    Parameters
    ----------
    draws : mapping of str to array (n_chains, n_draws, ...)
    attributes : mapping, optional
        Where the draws come from.

    Returns
    -------
    xarray.Dataset
        Dims (chain, draw, ...); `xarray.DataTree.from_dict({"posterior": dataset})` is the tree that arviz 1.x calls
        inference data.

    Raises
    ------
    ValueError
        If an array has fewer than two dimensions.
    """
    variables = {}
    for name, values in draws.items():
        values = np.asarray(values)
        if values.ndim < 2:
            raise ValueError(f"draws of {name!r} must have shape (n_chains, n_draws, ...), got {values.shape}")
        extra = [f"{name}_dim_{axis}" for axis in range(values.ndim - 2)]
        variables[name] = (("chain", "draw", *extra), values)
    dataset = xr.Dataset(variables, attrs=dict(attributes or {}))
    return dataset.assign_coords(chain=np.arange(dataset.sizes["chain"]), draw=np.arange(dataset.sizes["draw"]))


def _arviz() -> ModuleType:
    """arviz, imported when first needed: the import is slow and, in 0.23, announces its successor with a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz
    return arviz
