"""Steady-state samples: chains in parallel, one stream of random numbers each, labelled and reproducible."""

from __future__ import annotations

import math
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

from simulate.checks import check_count, check_number, first_place, seed_sequence
from simulate.dynamics.convergence import bounded_convergence, convergence, warn_unless_settled
from simulate.dynamics.dynamics import Dynamics, Schedule

__all__ = ["sample", "trajectory"]

# draws of the first run of a chain that is to reach an effective sample size, and how far it may go from there
_PILOT_DRAWS = 200
_MOST_DRAWS = 1_000_000


def sample(
    dynamics: Dynamics,
    draws: int | None = None,
    *,
    chains: int = 4,
    burn_in: int = 500,
    thin: int = 1,
    seed: int | np.random.SeedSequence | None = None,
    n_jobs: int | None = None,
    initial: ArrayLike | None = None,
    progress: bool = False,
    effective_size: int | None = None,
    check: bool = True,
) -> xr.Dataset:
    """Run chains of a dynamics and record their states.

    Each chain runs for `burn_in` units of time that are thrown away, then is recorded `draws` times, every `thin`
    units: one unit is a sweep (N attempted updates) for spins, and the unit of time of the equation of motion for
    continuous units.

    Parameters
    ----------
    dynamics : Dynamics
        For example `PersistentGlauber` or `ActiveOrnsteinUhlenbeck`.
    draws : int, optional
        Recorded states a chain; 1000 by default.
    chains, burn_in, thin : int
        Number of chains, units of time before the first interval, units between draws.
    seed : int, SeedSequence or None
        Same seed, same samples, whatever `n_jobs`. None draws one, which the attributes then record.
    n_jobs : int, optional
        Threads; -1 for all processors (joblib, 1 by default).
    initial : array_like, optional
        State from which chains start: (n_spins,), or (n_states, n_spins) taken in turn by the chains, for example the
        patterns. By default each chain starts from a random state.
    progress : bool, default False
        Show a progress bar.
    effective_size : int, optional
        Instead of `draws`: draw until the effective sample sizes of the energy and of the leading overlaps, over all
        chains, reach this number.
    check : bool, default True
        Look at R-hat and effective sample size of the energy and of the leading overlaps, record them in the
        attributes, and warn where the run has not settled. Of long runs up to 1000 evenly spaced draws a chain are
        looked at, and the size is that of those; with `effective_size` it is that of all draws.

    Returns
    -------
    xarray.Dataset
        Variable `spins` (int8) or `x` (float32), dims (chain, draw, spin); goes into `arviz.ess`, `arviz.rhat` and
        `arviz.summary` as it is. The attributes record every parameter, the seed and the version.

    Raises
    ------
    ValueError
        If a number is out of range, `initial` does not suit the dynamics, or an effective size is out of reach or
        means nothing, since nothing varies.

    Warns
    -----
    RuntimeWarning
        If R-hat is above 1.1 in a run of at least 100 draws.
    """
    if not isinstance(dynamics, Dynamics):
        raise ValueError(f"dynamics must be a dynamics such as PersistentGlauber(...), got {type(dynamics).__name__}")
    if draws is not None and effective_size is not None:
        raise ValueError("give either draws or effective_size, not both")
    unit = dynamics.ticks_per_unit
    before = check_count(burn_in, "burn_in") * unit
    between = check_count(thin, "thin", low=1) * unit
    chains = check_count(chains, "chains", low=1)
    root = seed_sequence(seed)
    units = {"burn_in": int(burn_in), "thin": int(thin)}

    def run(count: int) -> xr.Dataset:
        schedule = Schedule(chains, count, before, between)
        states = _run(dynamics, schedule, root, initial, n_jobs, progress)
        return _label(states, "draw", np.arange(count), dynamics, root, initial, {"draws": count, **units})

    if effective_size is None:
        samples = run(1000 if draws is None else check_count(draws, "draws", low=1))
        found = bounded_convergence(samples, dynamics) if check else None
    else:
        samples, found = _run_to(run, dynamics, chains, check_count(effective_size, "effective_size", low=1))
    if check and found is not None:
        warn_unless_settled(found, samples.sizes["draw"])
        for name, values in (("r_hat", found["r_hat"].values), ("effective_size", found["effective_size"].values)):
            samples.attrs[f"{name}_energy"] = float(values[0])
            worst = np.fmax if name == "r_hat" else np.fmin
            samples.attrs[f"{name}_overlap"] = float(worst.reduce(values[1:])) if len(values) > 1 else math.nan
    return samples


def trajectory(
    dynamics: Dynamics,
    duration: float,
    *,
    interval: float | None = None,
    chains: int = 1,
    burn_in: int = 500,
    seed: int | np.random.SeedSequence | None = None,
    n_jobs: int | None = None,
    initial: ArrayLike | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Run chains and record every state in time order, down to single updates, as time-reversal tests need them.

    Parameters
    ----------
    dynamics : Dynamics
    duration : float
        Length of the record in units of time (sweeps for spins).
    interval : float, optional
        Time between recorded states; rounded to whole updates or time steps. One update (1 / N sweeps) or one time
        step by default.
    chains, burn_in, seed, n_jobs, initial, progress
        As in `sample`.

    Returns
    -------
    xarray.Dataset
        Variable `spins` or `x`, dims (chain, time, spin), with the coordinate `time` in units of time.

    Raises
    ------
    ValueError
        If a number is out of range or `initial` does not suit the dynamics.
    """
    if not isinstance(dynamics, Dynamics):
        raise ValueError(f"dynamics must be a dynamics such as PersistentGlauber(...), got {type(dynamics).__name__}")
    unit = dynamics.ticks_per_unit
    length = check_number(duration, "duration", low=0.0, open_low=True)
    between = 1
    if interval is not None:
        between = max(1, round(check_number(interval, "interval", low=0.0, open_low=True) * unit))
    count = round(length * unit) // between
    if count < 1:
        raise ValueError(f"duration {length:g} is shorter than the interval {between / unit:g} between two states")
    chains = check_count(chains, "chains", low=1)
    schedule = Schedule(chains, count, check_count(burn_in, "burn_in") * unit, between)
    root = seed_sequence(seed)
    states = _run(dynamics, schedule, root, initial, n_jobs, progress)
    times = np.arange(1, count + 1) * (between / unit)
    parameters = {"duration": length, "interval": between / unit, "burn_in": int(burn_in)}
    return _label(states, "time", times, dynamics, root, initial, parameters)


def _run_to(
    run: Callable[[int], xr.Dataset], dynamics: Dynamics, chains: int, target: int
) -> tuple[xr.Dataset, xr.Dataset]:
    """Run again with more draws until the effective sizes reach the target: a longer run begins with the shorter.

    The samples, and their convergence.
    """
    if chains < 2:
        raise ValueError("effective_size needs at least 2 chains, since one cannot tell whether it has settled")
    draws = max(_PILOT_DRAWS, math.ceil(target / chains))
    while True:
        samples = run(draws)
        found = convergence(samples, dynamics)
        if found["effective_size"].isnull().all():
            raise ValueError(
                f"effective_size {target} means nothing: in {draws} draws a chain neither the energy nor the leading "
                "overlaps vary; raise the temperature, or give draws"
            )
        reached = float(found["effective_size"].min())
        if reached >= target:
            return samples, found
        wanted = math.ceil(draws * min(1.2 * target / max(reached, 1.0), 10.0))
        if draws >= _MOST_DRAWS:
            raise ValueError(
                f"effective_size {target} is out of reach: {draws} draws a chain gave {reached:.0f}; raise thin, or "
                "take fewer"
            )
        draws = min(wanted, _MOST_DRAWS)


def _run(
    dynamics: Dynamics,
    schedule: Schedule,
    root: np.random.SeedSequence,
    initial: ArrayLike | None,
    n_jobs: int | None,
    progress: bool,
) -> NDArray[Any]:
    """States (chains, draws, n_spins), groups of chains in parallel."""
    chains = schedule.chains
    starts = _starts(initial, dynamics, chains)
    shared, *seeds = seed_sequence(root).spawn(chains + 1)
    edges = np.cumsum([0, *dynamics.group_sizes(chains, effective_n_jobs(n_jobs))])
    groups = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    with (
        # here as well as in each thread: the limit holds for the whole process, and the first thread to end would lift
        # it for those that still compute
        threadpool_limits(limits=1, user_api="blas"),
        tqdm(total=chains * schedule.duration, disable=not progress, unit="update", unit_scale=True) as bar,
    ):
        lock = threading.Lock()

        def advanced(ticks: int) -> None:
            with lock:
                bar.update(ticks)

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
    states: NDArray[Any] = np.concatenate(parts) if len(parts) > 1 else parts[0]
    return states


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


def _nothing(ticks: int) -> None:
    """Takes the place of the progress bar where none is shown (and can be sent to another process)."""


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
    states: NDArray[Any],
    axis: str,
    steps: NDArray[Any],
    dynamics: Dynamics,
    root: np.random.SeedSequence,
    initial: ArrayLike | None,
    schedule: dict[str, Any],
) -> xr.Dataset:
    """States with names, and with all that is needed to draw them again."""
    from importlib.metadata import version

    attributes = {
        **dynamics.parameters(),
        "chains": len(states),
        **schedule,
        "initial": "random" if initial is None else "given",
        "seed": str(root.entropy),
        "spawn_key": str(root.spawn_key),
        "version": version("reverie"),
    }
    dims = ("chain", axis, "spin")
    coordinates = {"chain": np.arange(len(states)), axis: steps, "spin": np.arange(states.shape[2])}
    return xr.Dataset({dynamics.variable: (dims, states)}, coords=coordinates, attrs=attributes)
