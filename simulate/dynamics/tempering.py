"""Parallel tempering: equilibrium samples of couplings whose states are separated by barriers."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from simulate.checks import Seed, check_count, check_fields, check_number, seed_sequence
from simulate.couplings import full_matrix
from simulate.dynamics import tempering_kernels as kernels
from simulate.dynamics.sampling import labelled
from simulate.dynamics.spins import Glauber
from simulate.progress_bars import tqdm
from simulate.threads import check_stop

__all__ = ["parallel_tempering"]

# updates of spins, a fraction of a second, between two moments at which the bar moves and an interrupt is heeded
_AT_ONCE = 500_000


def parallel_tempering(
    couplings: Any,
    temperature: float,
    fields: ArrayLike | None = None,
    *,
    draws: int = 1000,
    chains: int = 4,
    burn_in: int = 500,
    thin: int = 1,
    hottest: float | None = None,
    n_temperatures: int = 12,
    seed: Seed = None,
    progress: bool = False,
) -> xr.Dataset:
    """Equilibrium samples by parallel tempering (replica exchange), for couplings at which `Glauber` gets stuck.

    Each chain has `n_temperatures` replicas, at temperatures from `temperature` to `hottest` in geometric progression.
    After each sweep of heat-bath updates neighbouring replicas exchange their states with probability
    min(1, exp((1 / T_k - 1 / T_k+1) (E_k - E_k+1))), so that states reach the coldest replica over the hot ones
    instead of over barriers. The samples are those of the coldest.

    Parameters
    ----------
    couplings : array_like, sparse matrix or PatternCouplings, (n_spins, n_spins)
        Symmetric, zero diagonal.
    temperature : float
        T > 0, in the units of the couplings.
    fields : array_like, shape (n_spins,), optional
        External fields, in the units of the couplings.
    draws : int, default 1000
        Recorded states of each chain.
    chains : int, default 4
        Independent chains, each with replicas of its own.
    burn_in, thin : int
        Sweeps before the first draw interval (500), and between draws (1).
    hottest : float, optional
        Highest temperature, above `temperature`, where states change freely; by default 1.2 times the largest
        eigenvalue of the couplings (and at least twice `temperature`).
    n_temperatures : int, default 12
        Number of replicas of a chain, at least 2. Where `exchanges` in the attributes falls below 0.1 for a pair of
        temperatures, more are needed, about as the square root of the number of spins.
    seed : int, SeedSequence, Generator or None
        Same seed, same samples; chain k does not depend on the number of chains.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        As of `sample` with `Glauber`: variable `spins` (int8), dims (chain, draw, spin), which goes into every
        estimator. The attributes add `temperatures` and `exchanges`, the fraction of accepted exchanges of each
        neighbouring pair.

    Raises
    ------
    ValueError
        If the couplings are not symmetric, or a number is out of range.

    References
    ----------
    Hukushima, Nemoto 1996, J. Phys. Soc. Japan 65, 1604, doi:10.1143/JPSJ.65.1604; Swendsen, Wang 1986, Phys. Rev.
    Lett. 57, 2607.
    """
    coldest = check_number(temperature, "temperature", low=0.0, open_low=True)
    dynamics = Glauber(couplings, coldest, fields)  # checks them, and names them in the attributes
    matrix = full_matrix(dynamics.couplings)
    external = check_fields(fields, len(matrix))
    external = np.zeros(len(matrix)) if external is None else np.asarray(external, dtype=np.float64)
    if hottest is None:
        hottest = max(1.2 * float(np.linalg.eigvalsh(matrix)[-1]), 2 * coldest)
    hottest = check_number(hottest, "hottest", low=coldest, open_low=True)
    ladder = np.geomspace(coldest, hottest, check_count(n_temperatures, "n_temperatures", low=2))
    counts = {"draws": check_count(draws, "draws", low=1), "burn_in": check_count(burn_in, "burn_in")}
    counts["thin"] = check_count(thin, "thin", low=1)
    n_chains = check_count(chains, "chains", low=1)
    root = seed_sequence(seed)
    records = np.empty((n_chains, counts["draws"], len(matrix)), dtype=np.int8)
    accepted = np.zeros(len(ladder) - 1)
    with tqdm(total=n_chains * counts["draws"], disable=not progress, unit="draw") as bar:
        for record, stream in zip(records, root.spawn(n_chains), strict=True):
            accepted += _one_chain(matrix, external, ladder, counts, record, np.random.default_rng(stream), bar)
    # each pair had its turn in every second sweep
    attempts = n_chains * (counts["burn_in"] + counts["draws"] * counts["thin"]) / 2
    attributes = dynamics.parameters() | counts | {"chains": n_chains, "sampler": "parallel tempering"}
    attributes |= {"temperatures": ladder, "exchanges": np.minimum(accepted / attempts, 1.0)}
    attributes |= {"seed": str(root.entropy), "spawn_key": str(root.spawn_key)}
    return labelled(dynamics.variable, records, "draw", np.arange(counts["draws"]), attributes)


def _one_chain(
    matrix: NDArray[np.float64],
    external: NDArray[np.float64],
    ladder: NDArray[np.float64],
    counts: dict[str, int],
    record: NDArray[np.int8],
    rng: np.random.Generator,
    bar: Any,
) -> NDArray[np.int64]:
    """Fill the record (n_draws, n_spins) of one chain; accepted exchanges of each pair."""
    states = np.where(rng.random((len(ladder), len(matrix))) < 0.5, -1.0, 1.0)
    local = states @ matrix + external
    order, accepted = np.arange(len(ladder)), np.zeros(len(ladder) - 1, dtype=np.int64)
    fixed = matrix, external, 1 / ladder, states, local, order, rng
    sweeps = max(1, _AT_ONCE // states.size)  # in one call of the kernel
    parity = _advance(fixed, counts["burn_in"], sweeps, np.empty((1, len(matrix)), dtype=np.int8), accepted, 0)
    thin = counts["thin"]
    n_draws = max(1, sweeps // thin)
    for first in range(0, len(record), n_draws):
        part = record[first : first + n_draws]
        if thin <= sweeps:
            check_stop()
            parity = kernels.temper(*fixed, thin, part, accepted, parity)
        else:
            parity = _advance(fixed, thin, sweeps, part, accepted, parity)
        bar.update(len(part))
    return accepted


def _advance(
    fixed: Any, n_sweeps: int, at_once: int, record: NDArray[np.int8], accepted: NDArray[Any], parity: int
) -> int:
    """Run some sweeps, and record the last state in ``record`` (1, n_spins); the number of exchanges so far."""
    temper: Any = kernels.temper
    for first in range(0, n_sweeps, at_once):
        check_stop()
        parity = temper(*fixed, min(at_once, n_sweeps - first), record, accepted, parity)
    return parity
