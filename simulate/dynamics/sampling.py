"""Steady-state samples: reproducible chains in parallel, each with its own random numbers, as labelled arrays."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from joblib import Parallel, delayed, effective_n_jobs
from numpy.typing import ArrayLike, NDArray

from simulate.checks import Seed, check_count, check_number, first_place, seed_sequence
from simulate.dynamics.convergence import bounded_convergence, convergence, warn_unless_settled
from simulate.dynamics.dynamics import Dynamics, Schedule, Start
from simulate.progress_bars import tqdm
from simulate.threads import Stop, one_blas_thread

__all__ = ["sample", "trajectory"]

# draws of the first run to reach an effective sample size, and the largest factor by which they may grow
_PILOT_DRAWS = 200
_MOST_DRAWS = 1_000_000
_CHAINS = 4
_BURN_IN = 500


def sample(
    dynamics: Dynamics,
    draws: int | None = None,
    *,
    chains: int | None = None,
    burn_in: int | None = None,
    thin: int = 1,
    seed: Seed = None,
    n_jobs: int | None = None,
    initial: ArrayLike | None = None,
    continue_from: xr.Dataset | None = None,
    progress: bool = False,
    effective_size: int | None = None,
    check: bool = True,
) -> xr.Dataset:
    """Run chains of a dynamics and record their states.

    Each chain runs for `burn_in` units of time without being recorded, then is recorded `draws` times, every `thin`
    units: one unit is a sweep (N attempted updates) for spins, and the unit of time of the equation of motion for
    continuous units.

    Parameters
    ----------
    dynamics : Dynamics
        For example `PersistentGlauber` or `ActiveOrnsteinUhlenbeck`.
    draws : int, optional
        Number of recorded states of each chain; 1000 by default.
    chains, burn_in, thin : int
        Number of chains (4), units of time before the first interval (500), units between draws (1).
    seed : int, SeedSequence, Generator or None
        The same seed gives the same samples for any `n_jobs`; chain k has its own stream of random numbers, which does
        not depend on the number of chains. With None a seed is drawn and recorded in the attributes. Two runs with the
        same seed use the same random numbers for any dynamics, `initial` or length, and are not independent: a run from
        the last states of another must have another seed or use `continue_from`. Each use of a Generator gives other
        random numbers.
    n_jobs : int, optional
        Threads; -1 for all processors (joblib, 1 by default).
    initial : array_like, optional
        Initial state, (n_spins,), or states (n_states, n_spins) assigned to the chains in turn, for example the
        patterns. By default each chain starts from a random state.
    continue_from : Dataset, optional
        Run of `sample` or `trajectory` of the same dynamics (its parameters may differ) whose chains are continued:
        from their last states, with the memory of their spins (persistent thresholds, coloured noise), and with new
        random numbers that follow from the seed and the number of continuations so far. `chains` and `seed` are those
        of the run by default, and `burn_in` is 0. Continuing the same run twice gives the same samples, unless seeds
        differ. Join both runs with
        ``xarray.concat([first, second], "draw", coords="minimal", compat="override", join="override")``.
    progress : bool, default False
        Show a progress bar.
    effective_size : int, optional
        In place of `draws`: sample until the effective sample sizes of the energy and of the leading overlaps, over all
        chains, reach this number.
    check : bool, default True
        Compute R-hat and effective sample size of the energy and of the leading overlaps, record them in the
        attributes, and warn where the run has not settled. For long runs up to 1000 evenly spaced draws of each chain
        are used, and the size is that of those; with `effective_size` it is that of all draws.

    Returns
    -------
    xarray.Dataset
        Variable `spins` (int8) or `x` (float32), dims (chain, draw, spin); goes into `arviz.ess`, `arviz.rhat` and
        `arviz.summary` as it is. The attributes record every parameter, the seed and the version. Where spins have a
        memory besides their state, the coordinate `memory`, dims (chain, spin), holds it at the end of the run.

    Raises
    ------
    ValueError
        If a number is out of range, `initial` or `continue_from` do not fit the dynamics, or an effective size cannot
        be reached or is undefined since nothing varies.

    Warns
    -----
    RuntimeWarning
        If R-hat is above 1.1 in a run of at least 100 draws.
    """
    run_of = _Chains.of(dynamics, chains, seed, initial, continue_from)
    if draws is not None and effective_size is not None:
        raise ValueError("give either draws or effective_size, not both")
    unit = dynamics.ticks_per_unit
    units = {"burn_in": run_of.burn_in(burn_in), "thin": check_count(thin, "thin", low=1)}

    def run(count: int) -> xr.Dataset:
        schedule = Schedule(run_of.number, count, units["burn_in"] * unit, units["thin"] * unit)
        found = _run(run_of, schedule, n_jobs, progress)
        return _label(*found, "draw", np.arange(count), run_of, {"draws": count, **units})

    if effective_size is None:
        samples = run(1000 if draws is None else check_count(draws, "draws", low=1))
        found = bounded_convergence(samples, dynamics) if check else None
    else:
        samples, found = _run_to(run, dynamics, run_of.number, check_count(effective_size, "effective_size", low=1))
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
    chains: int | None = None,
    burn_in: int | None = None,
    seed: Seed = None,
    n_jobs: int | None = None,
    initial: ArrayLike | None = None,
    continue_from: xr.Dataset | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Run chains and record states in time order, up to every single update, for time-reversal tests.

    Parameters
    ----------
    dynamics : Dynamics
    duration : float
        Length of the record in units of time (sweeps for spins).
    interval : float, optional
        Time between recorded states; rounded to whole updates or time steps. One update (1 / N sweeps) or one time
        step by default.
    chains, burn_in, seed, n_jobs, initial, continue_from, progress
        As in `sample`; one chain by default.

    Returns
    -------
    xarray.Dataset
        Variable `spins` or `x`, dims (chain, time, spin), with the coordinate `time` in units of time since burn-in.

    Raises
    ------
    ValueError
        If a number is out of range or `initial` does not fit the dynamics.
    """
    run_of = _Chains.of(
        dynamics, 1 if chains is None and continue_from is None else chains, seed, initial, continue_from
    )
    unit = dynamics.ticks_per_unit
    length = check_number(duration, "duration", low=0.0, open_low=True)
    between = 1
    if interval is not None:
        between = max(1, round(check_number(interval, "interval", low=0.0, open_low=True) * unit))
    count = round(length * unit) // between
    if count < 1:
        raise ValueError(f"duration {length:g} is shorter than the interval {between / unit:g} between two states")
    parameters = {"duration": length, "interval": between / unit, "burn_in": run_of.burn_in(burn_in)}
    found = _run(run_of, Schedule(run_of.number, count, int(parameters["burn_in"]) * unit, between), n_jobs, progress)
    return _label(*found, "time", np.arange(1, count + 1) * (between / unit), run_of, parameters)


def _run_to(
    run: Callable[[int], xr.Dataset], dynamics: Dynamics, chains: int, target: int
) -> tuple[xr.Dataset, xr.Dataset]:
    """Samples and their convergence, from runs of increasing length until the effective sizes reach the target.

    The draws of a run are the first ones of a longer run.
    """
    if chains < 2:
        raise ValueError("effective_size needs at least 2 chains, since convergence cannot be judged from one")
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


@dataclass(frozen=True)
class _Chains:
    """Chains of a dynamics: their number, initial states, and the seed of their streams."""

    dynamics: Dynamics
    number: int
    start: Start
    root: np.random.SeedSequence
    initial: str = "random"
    continuation: int = 0

    @classmethod
    def of(
        cls,
        dynamics: Dynamics,
        chains: int | None,
        seed: Any,
        initial: ArrayLike | None,
        continue_from: xr.Dataset | None,
    ) -> _Chains:
        """Number, start and seed of the chains from the arguments of a run."""
        if not isinstance(dynamics, Dynamics):
            raise ValueError(
                f"dynamics must be a dynamics such as PersistentGlauber(...), got {type(dynamics).__name__}"
            )
        if continue_from is None:
            number = check_count(_CHAINS if chains is None else chains, "chains", low=1)
            states = None if initial is None else _starts(initial, dynamics, number)
            return cls(dynamics, number, Start(states), seed_sequence(seed), "random" if initial is None else "given")
        if initial is not None:
            raise ValueError("give either initial or continue_from, not both")
        run = _finished(continue_from, dynamics)
        number = run.sizes["chain"]
        if chains is not None and check_count(chains, "chains", low=1) != number:
            raise ValueError(f"chains is {chains}, but continue_from holds {number}: leave chains out")
        states = _starts(run[dynamics.variable].values[:, -1], dynamics, number)
        memory = run["memory"].values if "memory" in run.coords else None
        root = _seed_of(run) if seed is None else seed_sequence(seed)
        return cls(dynamics, number, Start(states, memory), root, "continued", int(run.attrs["continuation"]) + 1)

    def burn_in(self, given: int | None) -> int:
        """Units of time before the first interval; by default none for continued chains."""
        return check_count((0 if self.continuation else _BURN_IN) if given is None else given, "burn_in")

    def seeds(self) -> list[np.random.SeedSequence]:
        """A seed for each chain, which depends neither on the number of chains nor on later continuations."""
        # the children of a seed: 0 is the parent of all continued runs, the others are those of the chains
        key = (*self.root.spawn_key, 0, self.continuation) if self.continuation else self.root.spawn_key
        return np.random.SeedSequence(self.root.entropy, spawn_key=key).spawn(self.number + 1)[1:]


def _finished(run: xr.Dataset, dynamics: Dynamics) -> xr.Dataset:
    """Check that a Dataset is a run of the same kind of dynamics and includes its end."""
    name = type(dynamics).__name__
    if not isinstance(run, xr.Dataset) or "continuation" not in run.attrs or dynamics.variable not in run:
        raise ValueError("continue_from must be a Dataset of sample(...) or trajectory(...), with its attributes")
    if run.attrs["dynamics"] != name:
        raise ValueError(
            f"continue_from is a run of {run.attrs['dynamics']}, which cannot be continued as {name}: start a new run "
            "with initial=..., its last states"
        )
    axis = "draw" if "draw" in run.dims else "time"
    steps = run[axis].values
    if axis == "draw":
        whole = len(steps) > 0 and steps[-1] == run.attrs["draws"] - 1
    else:
        whole = len(steps) > 0 and steps[-1] + run.attrs["interval"] > run.attrs["duration"] * (1 + 1e-9)
    if not whole:
        raise ValueError(f"continue_from lacks the end of its run: pass all of it along {axis!r}")
    return run


def _seed_of(run: xr.Dataset) -> np.random.SeedSequence:
    """The seed that a run recorded in its attributes."""
    key = tuple(int(number) for number in run.attrs["spawn_key"].strip("()").split(",") if number.strip())
    return np.random.SeedSequence(int(run.attrs["seed"]), spawn_key=key)


def _run(
    chains: _Chains, schedule: Schedule, n_jobs: int | None, progress: bool
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """States (chains, draws, n_spins) and memory (chains, n_spins), groups of chains in parallel."""
    dynamics, seeds = chains.dynamics, chains.seeds()
    edges = np.cumsum([0, *dynamics.group_sizes(chains.number, effective_n_jobs(n_jobs))])
    groups = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    with (
        one_blas_thread(),
        tqdm(total=chains.number * schedule.duration, disable=not progress, unit="update", unit_scale=True) as bar,
        Stop() as stop,
    ):
        advanced = _Progress(stop, bar if progress else None)
        parts = Parallel(n_jobs=n_jobs, **({"require": "sharedmem"} if progress else {"prefer": "threads"}))(
            delayed(_trajectories)(dynamics, seeds[group], chains.start[group], schedule, advanced) for group in groups
        )
    states, memories = zip(*parts, strict=True)
    kept = [memory for memory in memories if memory is not None]
    return np.concatenate(states) if len(parts) > 1 else states[0], np.concatenate(kept) if kept else None


def _trajectories(
    dynamics: Dynamics,
    seeds: list[np.random.SeedSequence],
    start: Start,
    schedule: Schedule,
    advanced: _Progress,
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    # matrix products inside a group use the thread of the group: groups are computed in parallel, and rounding errors
    # of a product must not depend on the number of threads
    with advanced.stop.task(), one_blas_thread():
        return dynamics.trajectories(seeds, start, schedule, advanced)


class _Progress:
    """Called by chains as they advance: moves the progress bar, if there is one, and stops chains if told to."""

    def __init__(self, stop: Stop, bar: Any = None) -> None:
        self.stop, self.bar, self.lock = stop, bar, threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:  # in another process
        return _Progress, (self.stop,)

    def __call__(self, ticks: int) -> None:
        self.stop.check()
        if self.bar is not None:
            with self.lock:
                self.bar.update(ticks)


def _starts(initial: ArrayLike, dynamics: Dynamics, chains: int) -> NDArray[Any]:
    """Initial state of each chain, (n_chains, n_spins)."""
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
    memory: NDArray[Any] | None,
    axis: str,
    steps: NDArray[Any],
    chains: _Chains,
    schedule: dict[str, Any],
) -> xr.Dataset:
    """States as a Dataset, with the attributes needed to reproduce or continue the run."""
    attributes = {
        **chains.dynamics.parameters(),
        "chains": chains.number,
        **schedule,
        "initial": chains.initial,
        "seed": str(chains.root.entropy),
        "spawn_key": str(chains.root.spawn_key),
        "continuation": chains.continuation,
    }
    return labelled(chains.dynamics.variable, states, axis, steps, attributes, memory)


def labelled(
    variable: str,
    states: NDArray[Any],
    axis: str,
    steps: NDArray[Any],
    attributes: dict[str, Any],
    memory: NDArray[Any] | None = None,
) -> xr.Dataset:
    """States (n_chains, n_steps, n_spins) as a Dataset, with what spins remember, attributes and the version."""
    # as variables and indexes already: for bare arrays xarray would import Dask, to see whether they belong to it
    labels = {"chain": np.arange(len(states)), axis: steps, "spin": np.arange(states.shape[2])}
    coordinates: dict[str, Any] = {name: xr.IndexVariable(name, pd.Index(values)) for name, values in labels.items()}
    if memory is not None:
        coordinates["memory"] = xr.Variable(("chain", "spin"), memory, fastpath=True)
    spins = xr.Variable(("chain", axis, "spin"), states, fastpath=True)
    return xr.Dataset({variable: spins}, coords=coordinates, attrs={**attributes, "version": _version()})


@cache
def _version() -> str:
    """Version of the distribution, whose files are searched once."""
    from importlib.metadata import version

    return version("reverie")
