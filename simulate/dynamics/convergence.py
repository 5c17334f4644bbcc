"""Convergence of a run: R-hat and effective sample size of the energy and of the leading overlaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from simulate.arviz_loading import load_arviz
from simulate.couplings import PatternCouplings
from simulate.dynamics.dynamics import Dynamics
from simulate.user_warnings import warn

__all__ = ["bounded_convergence", "convergence", "warn_unless_settled"]

# above this R-hat chains differ from each other by more than 1/10 of their spread (Gelman, Rubin 1992 used the same)
_LARGEST_R_HAT = 1.1
# with fewer draws R-hat exceeds that bound by chance
_FEWEST_DRAWS = 100
_N_OVERLAPS = 3


def convergence(samples: xr.Dataset, dynamics: Dynamics, *, at_most: int | None = None) -> xr.Dataset:
    """R-hat and effective sample size of the energy and of the leading overlaps.

    Overlaps are sum_i v_i s_i / N with the patterns of `PatternCouplings` whose mean square overlap is largest, or with
    the leading eigenvectors of the (symmetrised) couplings, |v|^2 = N.

    Parameters
    ----------
    samples : Dataset
        Samples returned by `sample`, with dims (chain, draw, spin).
    dynamics : Dynamics
        The sampled dynamics.
    at_most : int, optional
        Use only this many evenly spaced draws of each chain; the effective size is then that of these draws.

    Returns
    -------
    xarray.Dataset
        Variables `r_hat` and `effective_size` with dim `quantity`: "energy", "overlap 1", ...; NaN where a run has a
        single chain or fewer than four draws.

    References
    ----------
    Vehtari, Gelman, Simpson, Carpenter, Buerkner 2021, Bayesian Analysis 16, 667 (rank-normalised split R-hat, bulk
    effective sample size, as in arviz).
    """
    states = samples[dynamics.variable].values
    if at_most is not None and states.shape[1] > at_most:
        states = states[:, np.linspace(0, states.shape[1] - 1, at_most).astype(int)]
    flat = states.reshape(-1, states.shape[2]).astype(np.float64)
    quantities = {"energy": dynamics.energies(flat)}
    for rank, overlap in enumerate(_leading_overlaps(dynamics.couplings, flat), start=1):
        quantities[f"overlap {rank}"] = overlap
    r_hat, size = [], []
    arviz = load_arviz()
    for values in quantities.values():
        chains = xr.DataArray(values.reshape(states.shape[:2]), dims=("chain", "draw"))
        if chains.shape[0] < 2 or chains.shape[1] < 4 or np.ptp(values) == 0:
            r_hat.append(np.nan)
            size.append(np.nan)
            continue
        if not np.ptp(chains.values, axis=1).any():  # every chain is constant, in different states
            r_hat.append(np.inf)
            size.append(float(chains.shape[0]))
            continue
        dataset = chains.to_dataset(name="value")
        r_hat.append(float(arviz.rhat(dataset)["value"]))
        size.append(float(arviz.ess(dataset)["value"]))
    return xr.Dataset(
        {"r_hat": ("quantity", r_hat), "effective_size": ("quantity", size)},
        coords={"quantity": list(quantities)},
    )


def bounded_convergence(samples: xr.Dataset, dynamics: Dynamics) -> xr.Dataset:
    """Convergence of a run from a limited number of its draws, to limit the time."""
    chains, _, n_spins = samples[dynamics.variable].shape
    if isinstance(dynamics.couplings, PatternCouplings):
        cost = 2 * n_spins * len(dynamics.couplings.patterns)
    else:
        cost = n_spins**2
    return convergence(samples, dynamics, at_most=max(_FEWEST_DRAWS, min(1000, int(1e10 / (chains * cost)))))


def warn_unless_settled(found: xr.Dataset, draws: int) -> None:
    """Warn, with the stack level of the caller's caller, where R-hat shows that a run has not settled."""
    worst = np.nan if np.isnan(found["r_hat"]).all() else float(np.nanmax(found["r_hat"]))
    if draws >= _FEWEST_DRAWS and worst > _LARGEST_R_HAT:
        name = str(found["quantity"].values[int(np.nanargmax(found["r_hat"]))])
        warn(
            f"the run has not settled: R-hat of the {name} is {worst:.3g} (above {_LARGEST_R_HAT}), the chains differ "
            "from each other; raise burn_in or draws, or analyse the chains separately",
            RuntimeWarning,
            stacklevel=3,
        )


def _leading_overlaps(couplings: Any, states: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Overlaps of states (n_states, n_spins) with the leading patterns or eigenvectors of the couplings."""
    n_spins = states.shape[1]
    if isinstance(couplings, PatternCouplings):
        overlaps = states @ couplings.patterns.T / n_spins
        leading = np.argsort(-(overlaps**2).mean(axis=0), kind="stable")[:_N_OVERLAPS]
        return list(overlaps[:, leading].T)
    count = min(_N_OVERLAPS, n_spins - 1)
    if count < 1:
        return []
    if n_spins <= 200:
        matrix = couplings.toarray() if hasattr(couplings, "toarray") else couplings
        vectors = np.linalg.eigh((matrix + matrix.T) / 2)[1][:, ::-1][:, :count]
    else:
        operator = LinearOperator(
            (n_spins, n_spins), matvec=lambda v: (couplings @ v + couplings.T @ v) / 2, dtype=np.float64
        )
        vectors = eigsh(operator, k=count, which="LA", v0=np.ones(n_spins))[1][:, ::-1]
    return list((states @ vectors / np.sqrt(n_spins)).T)
