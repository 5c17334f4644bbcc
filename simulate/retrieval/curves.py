"""Recall by a network that moves: capacity curves, fair controls in equilibrium, and lifetimes of retrieval states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from simulate.checks import Seed, check_count, check_number, seed_sequence
from simulate.dynamics.dynamics import Dynamics
from simulate.dynamics.sampling import sample
from simulate.memory.patterns import random_patterns
from simulate.retrieval.equal_noise import EQUAL_NOISE, equilibrium_counterpart
from simulate.retrieval.relaxation import check_fractions, flip, in_parallel, outgoing_couplings, recall, summarise

__all__ = ["capacity", "lifetimes"]

_BEST = "best-temperature"


def capacity(
    rule: Callable[[NDArray[np.int8]], Any],
    loads: ArrayLike,
    n_spins: int,
    *,
    dynamics: Callable[[Any], Dynamics] | None = None,
    equal_noise: str | float | None = None,
    temperatures: ArrayLike | None = None,
    flipped: float = 0.0,
    n_repeats: int = 8,
    n_starts: int = 8,
    threshold: float = 0.95,
    burn_in: int = 200,
    draws: int = 100,
    thin: int = 1,
    seed: Seed = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Capacity curve: overlap with a stored pattern against the load, for any rule and any dynamics.

    For every load, `n_repeats` times, random patterns are drawn and stored by `rule`. The network is started at up to
    `n_starts` of them, with a fraction `flipped` of the spins flipped. Without `dynamics` it relaxes at zero
    temperature, and the final overlap is recorded. With `dynamics` it runs for `burn_in` units of time, and the overlap
    with its initial pattern is averaged over the next `draws` states, one every `thin` units.

    With `equal_noise` the curve is that of the equilibrium network with as much noise as `dynamics`, a fair control of
    what the drive does for recall. The same seed gives the same patterns and starts, so that differences of `overlap`
    are paired.

    Parameters
    ----------
    rule : callable
        Maps patterns (n_patterns, n_spins) to couplings, for example `hebbian`, `PatternCouplings` or
        ``lambda xi: dreaming(xi, 2.0)``.
    loads : array_like of float, shape (n_loads,)
        Loads P / N, > 0; rounded to whole numbers of patterns, at least 1.
    n_spins : int
        Number of spins N.
    dynamics : callable, optional
        Maps couplings to a dynamics, for example ``lambda J: PersistentGlauber(J, 0.2, 0.5)``.
    equal_noise : {"active-temperature", "variance", "best-temperature"} or float, optional
        The first two, or a temperature: see `equilibrium_counterpart`. The third takes at every load the temperature
        of `temperatures` with the largest mean overlap. So that chance does not favour it, the temperature is chosen
        on one half of the pattern sets and judged on the other, each half in turn (with one set on the same).
    temperatures : array_like of float, shape (n_temperatures,), optional
        For the best temperature, in units of energy.
    flipped : float, default 0
        Fraction of spins flipped at the start.
    n_repeats : int, default 8
        Number of independent sets of patterns for each load.
    n_starts : int, default 8
        Number of patterns of each set that are used as initial states.
    threshold : float, default 0.95
        A pattern counts as retrieved where its (mean) overlap is at least this.
    burn_in, draws, thin : int
        Schedule of `sample`, with `dynamics` only.
    seed : int, SeedSequence, Generator or None
        The same seed gives the same result for any `n_jobs`.
    n_jobs : int, optional
        Threads; -1 for all processors (joblib, 1 by default).
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        `overlap` (load, repeat, start), NaN where there are fewer patterns than starts; `mean_overlap` and `retrieval`
        (fraction of retrieved patterns), both (load), with standard errors `mean_overlap_std` and `retrieval_std` from
        the variance of the repeats (NaN for one repeat); `temperature` (load, repeat), that chosen, for the best
        temperature. For continuous units, overlaps are computed from their signs.

    Raises
    ------
    ValueError
        If a number is out of range, the rule returns no couplings or the dynamics no `Dynamics`, or the notion of
        equal noise is unknown or has no meaning for the dynamics.

    References
    ----------
    Amit, Gutfreund, Sompolinsky 1985, Phys. Rev. Lett. 55, 1530, doi:10.1103/PhysRevLett.55.1530.
    """
    n_spins = check_count(n_spins, "n_spins", low=2)
    wanted = check_fractions(loads, "loads")
    counts = np.maximum(1, np.round(wanted * n_spins)).astype(int)
    flipped = check_number(flipped, "flipped", low=0.0, high=1.0)
    threshold = check_number(threshold, "threshold", low=-1.0, high=1.0)
    n_repeats = check_count(n_repeats, "n_repeats", low=1)
    n_starts = check_count(n_starts, "n_starts", low=1)
    schedule = {
        "burn_in": check_count(burn_in, "burn_in"),
        "draws": check_count(draws, "draws", low=1),
        "thin": check_count(thin, "thin", low=1),
    }
    notions = _notions(equal_noise, temperatures, dynamics)

    def run(count: int, stream: np.random.SeedSequence, notion: str | float | None) -> NDArray[np.float64]:
        pattern_seed, start_seed, run_seed = stream.spawn(3)
        xi = random_patterns(count, n_spins, seed=pattern_seed)
        couplings = rule(xi)
        starts = xi[:n_starts]
        rng = np.random.default_rng(start_seed)
        result = np.full(n_starts, np.nan)
        if dynamics is None:
            outgoing = outgoing_couplings(couplings)
            if len(outgoing) != n_spins:
                raise ValueError(f"rule: returned couplings for {len(outgoing)} spins, expected {n_spins}")
            result[: len(starts)] = recall(outgoing, starts, flipped, 1000, rng)[0]
            return result
        moving = _moving(dynamics, couplings, notion)
        states = sample(
            moving,
            initial=flip(starts, flipped, rng),
            chains=len(starts),
            seed=run_seed,
            n_jobs=1,
            burn_in=schedule["burn_in"],
            draws=schedule["draws"],
            thin=schedule["thin"],
            check=False,  # chains started at different patterns are meant to differ
        )[moving.variable].values
        kept = np.sign(states).astype(np.int8) * starts[:, None]
        result[: len(starts)] = kept.mean(axis=(1, 2), dtype=np.float64)
        return result

    seeds = seed_sequence(seed).spawn(len(counts) * n_repeats)
    cells = [(int(count), seeds[at * n_repeats + k]) for at, count in enumerate(counts) for k in range(n_repeats)]

    def task(count: int, stream: np.random.SeedSequence, notion: str | float | None) -> NDArray[np.float64]:
        # a copy, since spawning changes the stream
        return run(count, seed_sequence(stream), notion)

    found = in_parallel(task, [(*cell, notion) for notion in notions for cell in cells], n_jobs, progress)
    overlaps = np.array(found).reshape(len(notions), len(counts), n_repeats, n_starts)
    chosen = _best_by_halves(overlaps)
    overlap = np.take_along_axis(overlaps, chosen[None, ..., None], axis=0)[0]
    result = xr.Dataset(
        {"overlap": (("load", "repeat", "start"), overlap)},
        coords={"load": counts / n_spins, "repeat": np.arange(n_repeats), "start": np.arange(n_starts)},
        attrs={"threshold": threshold, "n_spins": n_spins, "flipped": flipped},
    )
    if dynamics is not None:
        result.attrs |= schedule
    if equal_noise is not None:
        result.attrs["equal_noise"] = equal_noise
    if equal_noise == _BEST:
        result["temperature"] = ("load", "repeat"), np.array(notions, dtype=np.float64)[chosen]
    return summarise(result, "load", "repeat", threshold)


def _notions(
    equal_noise: str | float | None, temperatures: ArrayLike | None, dynamics: Any
) -> Sequence[str | float | None]:
    """Equilibrium networks to run: None is the driven one itself; several for the best temperature."""
    if equal_noise is not None and dynamics is None:
        raise ValueError("equal_noise: give the dynamics whose noise is to be equalled")
    if isinstance(equal_noise, str) and equal_noise not in (*EQUAL_NOISE, _BEST):
        raise ValueError(
            f"equal_noise must be one of {', '.join((*EQUAL_NOISE, _BEST))}, or a temperature, got {equal_noise!r}"
        )
    if equal_noise == _BEST:
        if temperatures is None:
            raise ValueError("temperatures: give those among which the best is sought")
        return [float(value) for value in check_fractions(temperatures, "temperatures")]
    if temperatures is not None:
        raise ValueError(f'temperatures: they go with equal_noise="{_BEST}"')
    return [equal_noise]


def _moving(dynamics: Callable[[Any], Dynamics], couplings: Any, notion: str | float | None) -> Dynamics:
    """The dynamics of these couplings, or its counterpart in equilibrium."""
    moving = dynamics(couplings)
    if not isinstance(moving, Dynamics):
        raise ValueError(f"dynamics: must return a dynamics such as PersistentGlauber, got {type(moving).__name__}")
    return moving if notion is None else equilibrium_counterpart(moving, notion)


def _best_by_halves(overlaps: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each load and repeat the best of the first axis, as the repeats of the other half say, (n_loads, n_repeats).

    overlaps are (n_choices, n_loads, n_repeats, n_starts).
    """
    units = np.nanmean(overlaps, axis=3)
    n_repeats = units.shape[2]
    best = np.empty(units.shape[1:], dtype=np.intp)
    for half in range(2):
        others = slice(1 - half, None, 2) if n_repeats > 1 else slice(None)
        best[:, half::2] = units[:, :, others].mean(axis=2).argmax(axis=0)[:, None]
    return best


def lifetimes(
    rule: Callable[[NDArray[np.int8]], Any],
    load: float,
    n_spins: ArrayLike,
    times: ArrayLike,
    *,
    dynamics: Callable[[Any], Dynamics],
    equal_noise: str | float | None = None,
    threshold: float = 0.5,
    n_repeats: int = 8,
    n_starts: int = 8,
    seed: Seed = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Lifetimes of retrieval states: for how long chains stay at the pattern at which they were started.

    An overlap in a window of time says nothing about later. A network that remembers has lifetimes that grow with its
    size at a fixed load, since more and more units would have to turn at once; where they do not grow, the overlap is a
    slow transient. Chains are started at patterns and looked at, at the given times only; a state is lost at the first
    of them where its overlap is below the threshold.

    Parameters
    ----------
    rule : callable
        Maps patterns (n_patterns, n_spins) to couplings, as in `capacity`.
    load : float
        P / N > 0; rounded to whole numbers of patterns, at least 1.
    n_spins : int or array_like of int, shape (n_sizes,)
        Numbers of spins N.
    times : array_like of int, shape (n_times,)
        Rising, in units of time (sweeps for spins).
    dynamics : callable
        Maps couplings to a dynamics.
    equal_noise : {"active-temperature", "variance"} or float, optional
        Follow its counterpart in equilibrium instead; see `equilibrium_counterpart`.
    threshold : float, default 0.5
        A state is lost where its overlap (of signs, for continuous units) is below this.
    n_repeats : int, default 8
        Number of independent sets of patterns for each size.
    n_starts : int, default 8
        Number of patterns of each set that are used as initial states.
    seed : int, SeedSequence, Generator or None
        The same seed gives the same result for any `n_jobs`.
    n_jobs : int, optional
        Threads; -1 for all processors (joblib, 1 by default).
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        `overlap` (n_spins, repeat, start, time), NaN where there are fewer patterns than starts; `mean_overlap` and
        `remaining`, the fraction of states not lost so far, both (n_spins, time), with standard errors
        `mean_overlap_std` and `remaining_std` from the variance of the repeats; `lifetime` (n_spins), in units of time,
        the one of greatest likelihood if states are lost at a constant rate, given between which times each was lost or
        that it was not, with its standard error `lifetime_std` (repeats left out in turn, NaN for one). It is infinite
        where no state was lost. `remaining` shows whether the rate is constant.

    Raises
    ------
    ValueError
        If a number is out of range, times do not rise, or the rule or the dynamics return something else.

    References
    ----------
    Griffiths, Weng, Langer 1966, Phys. Rev. 149, 301 (metastable states in mean field, which live exponentially long in
    N). Crisanti, Amit, Gutfreund 1986, Europhys. Lett. 2, 337 (the retrieval states of the Hopfield model).
    """
    sizes = [check_count(size, "n_spins", low=2) for size in np.atleast_1d(np.asarray(n_spins))]
    load = check_number(load, "load", low=0.0, open_low=True)
    moments = [check_count(time, "times", low=1) for time in np.atleast_1d(np.asarray(times))]
    if len(moments) == 0 or (np.diff(moments) <= 0).any():
        raise ValueError(f"times must rise, got {moments}")
    threshold = check_number(threshold, "threshold", low=-1.0, high=1.0)
    n_repeats = check_count(n_repeats, "n_repeats", low=1)
    n_starts = check_count(n_starts, "n_starts", low=1)
    if equal_noise == _BEST:
        raise ValueError("equal_noise: give a temperature in place of the best one, which depends on the time")

    def run(size: int, stream: np.random.SeedSequence) -> NDArray[np.float64]:
        pattern_seed, run_seed = stream.spawn(2)
        xi = random_patterns(max(1, round(load * size)), size, seed=pattern_seed)
        moving, starts = _moving(dynamics, rule(xi), equal_noise), xi[:n_starts]
        result = np.full((n_starts, len(moments)), np.nan)
        states: dict[str, Any] = {"initial": starts, "chains": len(starts), "seed": run_seed}
        for at, (time, past) in enumerate(zip(moments, [0, *moments], strict=False)):
            found = sample(moving, draws=1, burn_in=0, thin=time - past, n_jobs=1, check=False, **states)
            result[: len(starts), at] = (np.sign(found[moving.variable].values[:, 0]) * starts).mean(axis=1)
            states = {"continue_from": found}
        return result

    seeds = seed_sequence(seed).spawn(len(sizes) * n_repeats)
    tasks = [(size, seeds[at * n_repeats + k]) for at, size in enumerate(sizes) for k in range(n_repeats)]
    overlap = np.array(in_parallel(run, tasks, n_jobs, progress)).reshape(len(sizes), n_repeats, n_starts, -1)
    kept = np.where(np.isnan(overlap), np.nan, np.minimum.accumulate(overlap, axis=3) >= threshold - 1e-12)
    dims = ("n_spins", "repeat", "start", "time")
    result = xr.Dataset(
        {"overlap": (dims, overlap)},
        coords={"n_spins": sizes, "repeat": np.arange(n_repeats), "start": np.arange(n_starts), "time": moments},
        attrs={"threshold": threshold, "load": load},
    )
    if equal_noise is not None:
        result.attrs["equal_noise"] = equal_noise
    for name, values in (("mean_overlap", result["overlap"]), ("remaining", xr.DataArray(kept, dims=dims))):
        units = values.mean("start")
        result[name] = units.mean("repeat")
        result[f"{name}_std"] = units.std("repeat", ddof=1) / n_repeats**0.5 if n_repeats > 1 else result[name] * np.nan
    fits = [_lifetime_and_error(kept[at], np.array(moments, dtype=np.float64)) for at in range(len(sizes))]
    result["lifetime"] = "n_spins", np.array([fit[0] for fit in fits])
    result["lifetime_std"] = "n_spins", np.array([fit[1] for fit in fits])
    return result


def _lifetime_and_error(kept: NDArray[np.float64], times: NDArray[np.float64]) -> tuple[float, float]:
    """Lifetime of states kept (n_repeats, n_starts, n_times), and its jackknife error over the repeats."""
    n_repeats = len(kept)
    whole = _lifetime(kept.reshape(-1, len(times)), times)
    if n_repeats == 1 or not np.isfinite(whole):
        return whole, np.nan
    # of the logarithm, whose distribution is nearer to a normal one
    parts = [_lifetime(np.delete(kept, k, axis=0).reshape(-1, len(times)), times) for k in range(n_repeats)]
    logs = np.log(parts)
    if not np.isfinite(logs).all():  # all losses in one set of patterns
        return whole, np.inf
    return whole, float(whole * np.sqrt((n_repeats - 1) / n_repeats * ((logs - logs.mean()) ** 2).sum()))


def _lifetime(kept: NDArray[np.float64], times: NDArray[np.float64]) -> float:
    """Lifetime of greatest likelihood of states kept (n_states, n_times), 1 or 0, lost at a constant rate."""
    kept = kept[~np.isnan(kept[:, 0])]
    edges = np.concatenate([[0.0], times])
    last = kept.sum(axis=1).astype(int)  # number of times at which a state was still there
    lost = np.bincount(last, minlength=len(edges))[: len(times)]  # between edges k and k + 1
    if lost.sum() == 0:
        return np.inf
    if last.sum() == 0:
        return 0.0
    widths = np.diff(edges)
    lived = float((lost * edges[:-1]).sum() + (last == len(times)).sum() * times[-1])

    def score(log_rate: float) -> float:
        """Derivative of the log-likelihood by the rate, times the rate."""
        x = np.exp(log_rate) * widths
        return float((lost * x / np.expm1(np.minimum(x, 700.0))).sum() - np.exp(log_rate) * lived)

    low, high = -np.log(times[-1] * (len(kept) + 1)) - 5, np.log(1e3 / widths.min())
    return float(np.exp(-brentq(score, low, high)))
