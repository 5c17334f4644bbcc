"""Standard errors of samples from chains: batch means, block bootstrap, R-hat, effective sample size, arviz data.

The numerics of batches live in `infer.statistics.batches` and are exported from here too. This is the only module of
`infer` that imports arviz; it gives and takes plain xarray Datasets, which arviz 0.2x and 1.x both understand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from infer.statistics.batches import (
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
from simulate.arviz_loading import load_arviz
from simulate.checks import Seed, seed_sequence
from simulate.user_warnings import libraries_silenced

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
    "laplace_posterior",
    "posterior_dataset",
    "student_quantile",
]


def chains_dataset(values: np.ndarray, chains: np.ndarray | None = None, *, name: str = "spins") -> xr.Dataset:
    """
    Rows as an arviz-ready Dataset with dims (chain, draw, spin), cut into chains of equal length.

    R-hat needs at least two chains: a single chain is divided into two halves. Chains of unequal length are cut into
    pieces of a common length: the longest length that keeps three quarters of the rows, or else the one that keeps
    most.

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
    arviz = load_arviz()
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
        # constant in every chain, with different values: no variance within chains, so that R-hat is infinite
        frozen = moving & ((variable.max("draw") == variable.min("draw")).all("chain"))
        single = variable.to_dataset(name=name)
        with libraries_silenced(), np.errstate(all="ignore"):
            r_hat, ess = arviz.rhat(single)[name], arviz.ess(single)[name]
        result[f"{name}_r_hat"] = r_hat.where(moving).where(~frozen, np.inf)
        result[f"{name}_ess"] = ess.where(moving)
    return xr.Dataset(result)


def posterior_dataset(draws: Mapping[str, np.ndarray], attributes: Mapping[str, Any] | None = None) -> xr.Dataset:
    """
    Posterior draws as a plain xarray Dataset that arviz (0.2x and 1.x) accepts.

    Parameters
    ----------
    draws : mapping of str to array (n_chains, n_draws, ...)
    attributes : mapping, optional
        Source of the draws.

    Returns
    -------
    xarray.Dataset
        Dims (chain, draw, ...); `xarray.DataTree.from_dict({"posterior": dataset})` is the inference data of arviz 1.x.

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


def laplace_posterior(
    mean: Mapping[str, ArrayLike],
    covariance: ArrayLike | None = None,
    *,
    factor: ArrayLike | None = None,
    dims: Mapping[str, tuple[str, ...]] | None = None,
    coords: Mapping[str, Any] | None = None,
    draws: int = 250,
    chains: int = 4,
    seed: Seed = None,
    accept: Callable[[dict[str, np.ndarray]], np.ndarray] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """
    Draws from a Gaussian posterior: estimates as its mean, their covariance as its covariance (Laplace approximation).

    Parameters
    ----------
    mean : mapping of str to number or array
        Estimates of the parameters. Flattened and concatenated, they are the k components of the Gaussian.
    covariance : array (k, k), optional
        For example a sandwich covariance. Positive semi-definite; directions without variance do not vary.
    factor : array (m, k), optional
        In place of `covariance`, a root of it: `covariance = factor^T factor`. It is far smaller where there are many
        parameters and few batches of samples.
    dims : mapping of str to tuple of str, optional
        Names of the dimensions of each parameter, after "chain" and "draw". Default: `<name>_dim_0`, ...
    coords : mapping, optional
        Coordinates of these dimensions, as xarray takes them.
    draws, chains : int
        Number of draws of each chain, and of independent chains; arviz needs both dimensions.
    seed : int, SeedSequence, Generator or None
    accept : callable, optional
        Takes a dict of draws (n, ...) of all parameters and returns True (n,) for those in the allowed range. The
        others are drawn again (flat prior restricted to this range).
    attributes : mapping, optional
        Source of the draws.

    Returns
    -------
    xarray.Dataset
        Every parameter with dims (chain, draw, ...), for arviz 0.2x and 1.x.

    Raises
    ------
    ValueError
        If not one of `covariance` and `factor` is given, shapes do not fit, a value is not finite, the covariance has a
        clearly negative eigenvalue, or nearly all draws are refused.

    References
    ----------
    L. Tierney, J. B. Kadane 1986, J. American Statistical Association 81, 82.
    """
    if draws < 1 or chains < 1:
        raise ValueError(f"draws and chains must be at least 1, got draws={draws}, chains={chains}")
    centres = {name: np.asarray(value, dtype=np.float64) for name, value in mean.items()}
    centre = np.concatenate([value.ravel() for value in centres.values()])
    root = _root(covariance, factor, len(centre))
    if not (np.isfinite(centre).all() and np.isfinite(root).all()):
        raise ValueError("the estimates or their covariance are not finite, so there is no posterior to draw from")
    generator = np.random.default_rng(seed_sequence(seed))

    def draw(count: int) -> np.ndarray:
        return centre + generator.standard_normal((count, len(root))) @ root

    points = draw(chains * draws)
    if accept is not None:
        refused = ~accept(_split(points, centres))
        for _ in range(1000):
            if not refused.any():
                break
            points[refused] = draw(int(refused.sum()))
            refused[refused] = ~accept(_split(points[refused], centres))
        if refused.any():
            raise ValueError("nearly all draws lie outside the allowed range: the covariance is too wide for it")
    parts = {name: v.reshape(chains, draws, *v.shape[1:]) for name, v in _split(points, centres).items()}
    result = posterior_dataset(parts, attributes)
    if dims:
        renamed = {f"{n}_dim_{axis}": dim for n, names in dims.items() for axis, dim in enumerate(names)}
        result = xr.Dataset(
            {n: (tuple(renamed.get(str(d), str(d)) for d in v.dims), v.values) for n, v in result.data_vars.items()},
            coords={"chain": result["chain"], "draw": result["draw"]},
            attrs=result.attrs,
        )
    return result.assign_coords(dict(coords)) if coords else result


def _root(covariance: ArrayLike | None, factor: ArrayLike | None, size: int) -> np.ndarray:
    """Root (m, k) of a covariance, which is given itself or as a root."""
    if (covariance is None) == (factor is None):
        raise ValueError("give either the covariance or a factor of it")
    if factor is not None:
        root = np.asarray(factor, dtype=np.float64)
        if root.ndim != 2 or root.shape[1] != size:
            raise ValueError(f"the factor must have shape (m, {size}) for {size} parameters, got {root.shape}")
        return root
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.shape != (size, size):
        raise ValueError(f"the covariance must have shape ({size}, {size}) for {size} parameters, got {matrix.shape}")
    if not np.isfinite(matrix).all():
        return matrix  # the caller refuses its values
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)
    if values[0] < -1e-8 * np.abs(values).max():
        raise ValueError(f"the covariance has a negative eigenvalue, {values[0]:.3g}: it is no covariance")
    # zero eigenvalues are set to 0 exactly, since the square root of a rounding error is far above rounding
    zero = len(values) * np.finfo(np.float64).eps * np.abs(values).max()
    return (vectors * np.sqrt(np.where(values > zero, values, 0.0))).T


def _split(points: np.ndarray, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parameters (n, ...) by name from vectors (n, k) of all of them."""
    ends = np.cumsum([value.size for value in like.values()])
    pieces = np.split(points, ends[:-1], axis=1)
    return {name: p.reshape(len(points), *v.shape) for (name, v), p in zip(like.items(), pieces, strict=True)}
