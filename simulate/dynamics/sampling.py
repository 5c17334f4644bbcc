"""Steady-state samples: chains in parallel, one stream of random numbers each, labelled and reproducible."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from simulate._validation import check_count, first_place
from simulate.dynamics.base import Dynamics, Schedule

__all__ = ["sample"]


def sample(
    dynamics: Dynamics,
    draws: int = 1000,
    *,
    chains: int = 4,
    burn_in: int = 500,
    thin: int = 1,
    seed: int | np.random.SeedSequence | None = None,
    n_jobs: int | None = None,
    initial: ArrayLike | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Run chains of a dynamics and record their states.

    Each chain runs for `burn_in` units of time that are thrown away, then is recorded `draws` times, every `thin`
    units: one unit is a sweep (N attempted updates) for spins, and the unit of time of the equation of motion for
    continuous units.

    Parameters
    ----------
    dynamics : Dynamics
        For example `PersistentGlauber` or `ActiveOrnsteinUhlenbeck`.
    draws, chains, burn_in, thin : int
        Recorded states a chain, number of chains, units of time before the first interval, units between draws.
    seed : int, SeedSequence or None
        Same seed, same samples, whatever `n_jobs`. None draws one, which the attributes then record.
    n_jobs : int, optional
        Threads; -1 for all processors (joblib, 1 by default).
    initial : array_like, optional
        State from which chains start: (n_spins,), or (n_states, n_spins) taken in turn by the chains. By default each
        chain starts from a random state.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        Variable `spins` (int8) or `x` (float64), dims (chain, draw, spin); goes into `arviz.ess`, `arviz.rhat` and
        `arviz.summary` as it is. The attributes record every parameter, the seed and the version.

    Raises
    ------
    ValueError
        If a number is out of range or `initial` does not suit the dynamics.
    """
    if not isinstance(dynamics, Dynamics):
        raise ValueError(f"dynamics must be a dynamics such as PersistentGlauber(...), got {type(dynamics).__name__}")
    schedule = Schedule(
        check_count(draws, "draws", low=1), check_count(burn_in, "burn_in"), check_count(thin, "thin", low=1)
    )
    chains = check_count(chains, "chains", low=1)
    starts = _starts(initial, dynamics, chains)
    root = _root(seed)
    shared, *seeds = root.spawn(chains + 1)
    edges = np.cumsum([0, *dynamics.group_sizes(chains, effective_n_jobs(n_jobs))])
    groups = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    with tqdm(total=chains * schedule.duration, disable=not progress, unit="sweep", unit_scale=True) as bar:
        lock = threading.Lock()

        def advanced(steps: int) -> None:
            with lock:
                bar.update(steps)

        parts = Parallel(n_jobs=n_jobs, **({"require": "sharedmem"} if progress else {"prefer": "threads"}))(
            delayed(_trajectories)(
                dynamics,
                seeds[group],
                shared,
                None if starts is None else starts[group],
                schedule,
                advanced if progress else _nothing,
            )
            for group in groups
        )
    states = np.concatenate(parts) if len(parts) > 1 else parts[0]
    return _label(states, dynamics, schedule, root, "random" if initial is None else "given")


def _trajectories(
    dynamics: Dynamics,
    seeds: list[np.random.SeedSequence],
    shared: np.random.SeedSequence,
    starts: NDArray[Any] | None,
    schedule: Schedule,
    advanced: Callable[[int], Any],
) -> NDArray[Any]:
    # matrix products inside a group stay on the group's own thread: the groups are what runs in parallel, and the
    # rounding of a product must not depend on how many threads share it
    with threadpool_limits(limits=1, user_api="blas"):
        return dynamics.trajectories(seeds, shared, starts, schedule, advanced)


def _nothing(steps: int) -> None:
    """Takes the place of the progress bar where none is shown (and can be sent to another process)."""


def _root(seed: Any) -> np.random.SeedSequence:
    """Seed sequence of a run; a fresh copy of one that was handed in, which spawning would change."""
    if isinstance(seed, np.random.SeedSequence):
        return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
    if seed is None:
        return np.random.SeedSequence()
    return np.random.SeedSequence(check_count(seed, "seed"))


def _starts(initial: ArrayLike | None, dynamics: Dynamics, chains: int) -> NDArray[Any] | None:
    """One start a chain (n_chains, n_spins), or None for random ones."""
    if initial is None:
        return None
    states = np.atleast_2d(np.asarray(initial, dtype=np.float64))
    if states.ndim != 2 or states.shape[1] != dynamics.n_spins or len(states) == 0:
        raise ValueError(
            f"initial must have shape ({dynamics.n_spins},) or (n_states, {dynamics.n_spins}), got {np.shape(initial)}"
        )
    if dynamics.variable == "spins":
        wrong, expected = abs(states) != 1, "+1 or -1"
    else:
        wrong, expected = ~np.isfinite(states), "finite numbers"
    if wrong.any():
        row, spin = first_place(wrong)
        raise ValueError(f"initial: spin {spin} of state {row} is {states[row, spin]:g}, expected {expected}")
    return states[np.arange(chains) % len(states)]


def _label(
    states: NDArray[Any], dynamics: Dynamics, schedule: Schedule, root: np.random.SeedSequence, initial: str
) -> xr.Dataset:
    """States with names, and with all that is needed to draw them again."""
    from importlib.metadata import version

    attributes = {
        **dynamics.parameters(),
        "draws": schedule.draws,
        "chains": len(states),
        "burn_in": schedule.burn_in,
        "thin": schedule.thin,
        "initial": initial,
        "seed": str(root.entropy),
        "spawn_key": str(root.spawn_key),
        "version": version("reverie"),
    }
    dims = ("chain", "draw", "spin")
    coordinates = {dim: np.arange(size) for dim, size in zip(dims, states.shape, strict=True)}
    return xr.Dataset({dynamics.variable: (dims, states)}, coords=coordinates, attrs=attributes)
