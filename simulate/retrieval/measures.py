"""Measures of retrieval: overlaps, stability and basins of attraction."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from simulate.checks import Seed, check_count, check_number, check_patterns, seed_sequence
from simulate.memory import relaxation_kernels as kernels
from simulate.retrieval.relaxation import (
    check_fractions,
    fitting_patterns,
    in_parallel,
    outgoing_couplings,
    recall,
    summarise,
    unopposed,
)
from simulate.user_warnings import warn

__all__ = ["basins", "fixed_points", "overlaps", "relax", "stability"]


def overlaps(states: Any, patterns: ArrayLike) -> NDArray[np.float64]:
    """Overlap of states with patterns, m^mu = (1/N) sum_i xi_i^mu s_i.

    Parameters
    ----------
    states : array_like, shape (..., n_spins), or xarray.Dataset
        Spins or continuous units; of a Dataset from `sample` the variable `spins` or `x` is used.
    patterns : array_like of +-1, shape (n_patterns, n_spins)

    Returns
    -------
    ndarray, shape (..., n_patterns)
        In [-1, 1] for spins.

    Raises
    ------
    ValueError
        If the patterns contain values other than +1 and -1, or the number of spins differs.
    """
    xi = check_patterns(patterns)
    if isinstance(states, xr.Dataset):
        names = [name for name in ("spins", "x") if name in states]
        if not names:
            raise ValueError(f"states: the Dataset holds neither 'spins' nor 'x', only {sorted(map(str, states))}")
        states = states[names[0]].values
    values = np.asarray(states)
    if values.ndim == 0 or values.shape[-1] != xi.shape[1]:
        raise ValueError(
            f"states must have {xi.shape[1]} spins along the last axis, as the patterns, got {values.shape}"
        )
    return values @ xi.T.astype(np.float64) / xi.shape[1]


def relax(couplings: Any, states: ArrayLike, *, max_sweeps: int = 1000, seed: Seed = None) -> NDArray[np.int8]:
    """Zero-temperature relaxation: flip spins that oppose their local field, one at a time, until none is left.

    A sweep visits every spin once in a new random order. With symmetric couplings each flip lowers the energy, so a
    fixed point s_i h_i >= 0 is always reached.

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Zero diagonal; may be asymmetric, but then relaxation need not reach a fixed point.
    states : array_like of +-1, shape (n_spins,) or (n_states, n_spins)
        Initial states; not changed.
    max_sweeps : int, default 1000
        Largest number of sweeps.
    seed : int, SeedSequence, Generator or None
        Seed of the orders.

    Returns
    -------
    ndarray of int8, of the shape of `states`

    Raises
    ------
    ValueError
        If couplings or states are not valid.

    Warns
    -----
    RuntimeWarning
        If states did not settle.

    References
    ----------
    Hopfield 1982, Proc. Natl. Acad. Sci. 79, 2554, doi:10.1073/pnas.79.8.2554.
    """
    outgoing = outgoing_couplings(couplings)
    start = np.asarray(states)
    rows = check_patterns(np.atleast_2d(start), "states").astype(np.float64)
    if rows.shape[1] != len(outgoing):
        raise ValueError(f"states have {rows.shape[1]} spins, the couplings are for {len(outgoing)}")
    sweeps = np.empty(len(rows), dtype=np.int64)
    rng = np.random.default_rng(seed_sequence(seed))
    kernels.settle_all(outgoing, rows, rng, check_count(max_sweeps, "max_sweeps", low=1), sweeps)
    if (sweeps < 0).any():
        warn(
            f"{(sweeps < 0).sum()} of {len(rows)} states did not settle in {max_sweeps} sweeps: raise max_sweeps"
            " (asymmetric couplings may have no fixed point)",
            RuntimeWarning,
            stacklevel=2,
        )
    return rows.astype(np.int8).reshape(start.shape)


def stability(couplings: Any, patterns: ArrayLike, *, normalised: bool = True) -> NDArray[np.float64]:
    """Stability of every spin of every pattern, its aligned field xi_i^mu h_i^mu / sqrt(sum_j J_ij^2).

    A pattern is a fixed point where none of its stabilities is negative (see `fixed_points` for ties); a larger minimal
    stability means a larger basin of attraction.

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Zero diagonal; may be asymmetric.
    patterns : array_like of +-1, shape (n_patterns, n_spins)
    normalised : bool, default True
        Divide by the norm of the row of couplings; otherwise the aligned fields themselves, in the units of the
        couplings. A row of zeros has stability 0.

    Returns
    -------
    ndarray, shape (n_patterns, n_spins)

    Raises
    ------
    ValueError
        If couplings or patterns are not valid or do not fit each other.

    References
    ----------
    Gardner 1988, J. Phys. A 21, 257, doi:10.1088/0305-4470/21/1/030.
    """
    outgoing = outgoing_couplings(couplings)
    xi = fitting_patterns(patterns, len(outgoing))
    aligned = xi * (xi.astype(np.float64) @ outgoing)
    if not normalised:
        return aligned
    norm = np.sqrt((outgoing**2).sum(axis=0))
    return aligned / np.where(norm > 0, norm, 1.0)


def fixed_points(couplings: Any, states: ArrayLike) -> NDArray[np.bool_]:
    """Whether states are fixed points of zero-temperature dynamics: no spin opposes its local field, s_i h_i >= 0.

    Fields within 1e-7 of sum_j |J_ij| count as zero, so that ties depend neither on the scale of the couplings nor on
    rounding; `relax` ends in states that are fixed points by the same rule.

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Zero diagonal; may be asymmetric.
    states : array_like of +-1, shape (n_states, n_spins)

    Returns
    -------
    ndarray of bool, shape (n_states,)

    Raises
    ------
    ValueError
        If couplings or states are not valid or do not fit each other.

    References
    ----------
    Hopfield 1982, Proc. Natl. Acad. Sci. 79, 2554, doi:10.1073/pnas.79.8.2554.
    """
    outgoing = outgoing_couplings(couplings)
    rows = fitting_patterns(states, len(outgoing))
    return np.asarray(unopposed(outgoing, rows * (rows.astype(np.float64) @ outgoing)).all(axis=1))


def basins(
    couplings: Any,
    patterns: ArrayLike,
    flipped: ArrayLike = (0.0, 0.1, 0.2, 0.3, 0.4),
    *,
    n_repeats: int = 10,
    threshold: float = 0.95,
    max_sweeps: int = 1000,
    seed: Seed = None,
    n_jobs: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Basins of attraction: overlap with a pattern after relaxation from the pattern with some of its spins flipped.

    From every pattern, `n_repeats` times, round(flipped * N) random spins are flipped and the state is relaxed as by
    `relax`; its final overlap with the pattern it came from is recorded.

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Zero diagonal; may be asymmetric.
    patterns : array_like of +-1, shape (n_patterns, n_spins)
    flipped : array_like of float, shape (n_fractions,)
        Fractions of flipped spins, in [0, 1].
    n_repeats : int, default 10
        Number of random choices of the flipped spins, for each pattern and fraction.
    threshold : float, default 0.95
        A pattern counts as retrieved where the final overlap is at least this.
    max_sweeps : int, default 1000
        Largest number of sweeps.
    seed : int, SeedSequence, Generator or None
        The same seed gives the same result for any `n_jobs`.
    n_jobs : int, optional
        Threads; -1 for all processors (joblib, 1 by default).
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    xarray.Dataset
        `overlap` (flipped, pattern, repeat); `mean_overlap` and `retrieval` (fraction of retrieved states), both
        (flipped), with standard errors `mean_overlap_std` and `retrieval_std` from the variance of the means of the
        patterns (of the repeats if there is only one pattern); `settled` (flipped), the fraction of states that reached
        a fixed point.

    Raises
    ------
    ValueError
        If couplings or patterns are not valid or do not fit each other, or a number is out of range.

    Notes
    -----
    For Hebbian couplings at load 0.2 and N = 100 the mean overlap from 10 % flipped spins is 0.77, the fraction of
    patterns retrieved with an overlap of at least 0.95 is 0.4: the two measures differ.

    References
    ----------
    Forrest 1988, J. Phys. A 21, 245; Hopfield, Feinstein, Palmer 1983, Nature 304, 158, doi:10.1038/304158a0.
    """
    outgoing = outgoing_couplings(couplings)
    xi = fitting_patterns(patterns, len(outgoing))
    fractions = check_fractions(flipped, "flipped", high=1.0)
    n_repeats = check_count(n_repeats, "n_repeats", low=1)
    max_sweeps = check_count(max_sweeps, "max_sweeps", low=1)
    threshold = check_number(threshold, "threshold", low=-1.0, high=1.0)
    seeds = seed_sequence(seed).spawn(len(fractions) * n_repeats)
    tasks = [(fraction, seeds[at * n_repeats + k]) for at, fraction in enumerate(fractions) for k in range(n_repeats)]
    found = in_parallel(
        lambda fraction, stream: recall(outgoing, xi, fraction, max_sweeps, np.random.default_rng(stream)),
        tasks,
        n_jobs,
        progress,
    )
    shape = len(fractions), n_repeats, len(xi)
    overlap = np.array([part[0] for part in found]).reshape(shape).transpose(0, 2, 1)
    settled = np.array([part[1] for part in found]).reshape(shape)
    result = xr.Dataset(
        {"overlap": (("flipped", "pattern", "repeat"), overlap)},
        coords={"flipped": fractions, "pattern": np.arange(shape[2]), "repeat": np.arange(n_repeats)},
        attrs={"threshold": threshold, "n_spins": xi.shape[1], "max_sweeps": max_sweeps},
    )
    result["settled"] = ("flipped", settled.mean(axis=(1, 2)))
    return summarise(result, "flipped", "pattern" if len(xi) > 1 else "repeat", threshold)
