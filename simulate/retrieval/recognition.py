"""Recognition of corrupted patterns by a network that moves."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from simulate.checks import Seed, check_count, seed_sequence
from simulate.dynamics.dynamics import Dynamics
from simulate.dynamics.sampling import sample
from simulate.retrieval.relaxation import check_fractions, fitting_patterns, flip

__all__ = ["recognition"]


def recognition(
    dynamics: Dynamics,
    patterns: ArrayLike,
    flipped: ArrayLike = (0.1, 0.2, 0.3),
    *,
    n_repeats: int = 10,
    burn_in: int = 20,
    draws: int = 20,
    thin: int = 1,
    seed: Seed = None,
    n_jobs: int | None = 1,
) -> xr.Dataset:
    """Share of corrupted patterns from which a network moves to the right one.

    From every pattern, `n_repeats` times, round(flipped * N) random spins are flipped. The network moves for `burn_in`
    units of time, then overlaps with all patterns are averaged over `draws` states. The pattern counts as recognised
    where its own mean overlap is the largest.

    Parameters
    ----------
    dynamics : Dynamics
        With couplings that store the patterns; compare with `equilibrium_counterpart` of the same dynamics.
    patterns : array_like of +-1, shape (n_patterns, n_spins)
        At least two.
    flipped : array_like of float, shape (n_fractions,)
        Fractions of flipped spins, in [0, 1].
    n_repeats : int, default 10
        Number of random choices of the flipped spins, for each pattern and fraction.
    burn_in, draws, thin : int
        Schedule of `sample`, in units of time.
    seed : int, SeedSequence, Generator or None
        The same seed flips the same spins for every dynamics.
    n_jobs : int, default 1
        Threads; -1 for all processors.

    Returns
    -------
    xarray.Dataset
        `overlap`, that of the right pattern (of signs, for continuous units), and `recognised`, both (flipped, pattern,
        repeat); `accuracy` and `mean_overlap` (flipped) with standard errors `accuracy_std` and `mean_overlap_std` from
        the variance of the means of the patterns, which are the independent units.

    Raises
    ------
    ValueError
        If patterns do not fit the dynamics or are fewer than two, or a number is out of range.

    References
    ----------
    Hopfield 1982, Proc. Natl. Acad. Sci. 79, 2554, doi:10.1073/pnas.79.8.2554; Behera, Rao, Sastry, Vaikuntanathan
    2023, Phys. Rev. X 13, 041043, arXiv 2203.03024 (recognition with activity).
    """
    if not isinstance(dynamics, Dynamics):
        raise ValueError(f"dynamics must be a dynamics such as PersistentGlauber(...), got {type(dynamics).__name__}")
    xi = fitting_patterns(patterns, dynamics.n_spins)
    if len(xi) < 2:
        raise ValueError("patterns: recognition needs at least two of them")
    fractions = check_fractions(flipped, "flipped", high=1.0)
    n_repeats = check_count(n_repeats, "n_repeats", low=1)
    targets = np.tile(xi, (n_repeats, 1))
    own = np.tile(np.arange(len(xi)), n_repeats)
    overlaps = []
    for fraction, stream in zip(fractions, seed_sequence(seed).spawn(len(fractions)), strict=True):
        flip_seed, run_seed = stream.spawn(2)
        states = sample(
            dynamics,
            draws=draws,
            chains=len(targets),
            burn_in=burn_in,
            thin=thin,
            initial=flip(targets, fraction, np.random.default_rng(flip_seed)),
            seed=run_seed,
            n_jobs=n_jobs,
            check=False,  # chains started at different patterns are meant to differ
        )[dynamics.variable].values
        mean = np.sign(states).mean(axis=1, dtype=np.float64)
        overlaps.append(mean @ xi.T.astype(np.float64) / xi.shape[1])
    every = np.array(overlaps)
    right = np.take_along_axis(every, own[None, :, None], axis=2)[..., 0]
    others = np.where(np.arange(len(xi)) == own[:, None], -np.inf, every).max(axis=2)
    dims, shape = ("flipped", "pattern", "repeat"), (len(fractions), n_repeats, len(xi))
    result = xr.Dataset(
        {
            "overlap": (dims, right.reshape(shape).transpose(0, 2, 1)),
            "recognised": (dims, (right > others + 1e-12).reshape(shape).transpose(0, 2, 1)),
        },
        coords={"flipped": fractions, "pattern": np.arange(len(xi)), "repeat": np.arange(n_repeats)},
    )
    for name, values in (("accuracy", result["recognised"]), ("mean_overlap", result["overlap"])):
        units = values.mean("repeat")
        result[name] = units.mean("pattern")
        result[f"{name}_std"] = units.std("pattern", ddof=1) / np.sqrt(len(xi))
    return result
