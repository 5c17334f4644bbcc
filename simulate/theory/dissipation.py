"""Costs of a drive: power of coloured noise, heat of spins, and irreversibility of records of a few spins."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from simulate.checks import check_count, check_number
from simulate.dynamics.active import ActiveOrnsteinUhlenbeck
from simulate.dynamics.potentials import Potential
from simulate.dynamics.spins import PersistentGlauber

__all__ = ["estimate_dissipation", "estimate_word_entropy_production"]

_MOST_WORDS = 1 << 20


def estimate_dissipation(dynamics: Any, states: Any, *, n_batches: int = 20) -> tuple[float, float]:
    """Heat that driven units or spins give to their bath in the steady state, from samples, in energy per unit of time.

    Units in coloured noise (any potential): the power of the noise, which the bath takes up as heat. With
    ``<d|v|^2> = <dE> = 0`` in the steady state it follows from positions alone,

        P = <v . dx/dt> = N T_a / tau - <|grad E|^2> + T <laplacian E>.

    P / T is the entropy production rate with v even under time reversal (`entropy_production` for quadratic
    potentials); without thermal noise that is infinite, while P is finite. Without coloured noise P = 0.

    Persistent spins: energy passes between two kinds of updates, those with a fresh threshold, a heat bath at T, and
    those that keep one. The heat given to the bath,

        Q = (1 - a) sum_i <h_i (tanh(h_i / T) - s_i)>    per sweep,

    vanishes in equilibrium. It is negative where kept thresholds cool the spins. It is a flow of energy, no entropy
    production: thresholds and spins together cannot run backwards at all (a spin whose neighbours have changed since
    its update cannot be reached by its threshold), so that their entropy production is infinite. That of the spins
    alone is estimated by `estimate_word_entropy_production`.

    Parameters
    ----------
    dynamics : ActiveOrnsteinUhlenbeck or PersistentGlauber
    states : array_like, shape (n_samples, n_spins) or (n_chains, n_samples, n_spins), or xarray.Dataset
        Samples of its steady state; a Dataset from `sample` or `trajectory` stands for its variable `spins` or `x`.
    n_batches : int, default 20
        Number of batches of successive samples of each chain, from whose means the error comes, at least 2.

    Returns
    -------
    heat, standard_error : float
        Of the whole system.

    Raises
    ------
    ValueError
        If the dynamics is another one, or the states do not fit it or are too few.

    References
    ----------
    Sekimoto 1998, Prog. Theor. Phys. Suppl. 130, 17 (heat along trajectories); Dabelow, Bo, Eichhorn 2019, Phys. Rev. X
    9, 021009 (coloured noise as a force). Forms in terms of states alone derived for this project.
    """
    n_batches = check_count(n_batches, "n_batches", low=2)
    values = _in_chains(states).astype(np.float64)
    if values.shape[2] != getattr(dynamics, "n_spins", None):
        raise ValueError(f"states: {values.shape[2]} variables, which are not those of {type(dynamics).__name__}")
    if values.shape[1] < n_batches:
        raise ValueError(f"states: {values.shape[1]} samples in a chain are too few for {n_batches} batches")
    heat = _heat_of(dynamics)
    each = np.array([heat(chain) for chain in values])
    if each.max() == each.min():
        return float(each.mean()), 0.0
    batches = [part.mean() for chain in each for part in np.array_split(chain, n_batches)]
    return float(each.mean()), float(np.std(batches, ddof=1) / math.sqrt(len(batches)))


def _heat_of(dynamics: Any) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Function from states (n_samples, n_spins) to (n_samples,) numbers whose mean is the heat."""
    fields = 0.0 if getattr(dynamics, "fields", None) is None else np.asarray(dynamics.fields)
    if isinstance(dynamics, PersistentGlauber):
        t, fresh = dynamics.temperature, 1 - dynamics.persistence

        def heat(spins: NDArray[np.float64]) -> NDArray[np.float64]:
            h = (dynamics.couplings @ spins.T).T + fields
            return np.asarray(fresh * (h * (np.tanh(h / t) - spins)).sum(axis=1))

        return heat
    if not isinstance(dynamics, ActiveOrnsteinUhlenbeck):
        raise ValueError(
            f"dynamics: the dissipation of {type(dynamics).__name__} is not known from its states; it is for "
            "ActiveOrnsteinUhlenbeck and PersistentGlauber"
        )
    potential, thermal = dynamics.potential, dynamics.temperature
    if dynamics.persistence_time == 0 or dynamics.active_temperature == 0:
        return lambda x: np.zeros(len(x))
    pumped = dynamics.n_spins * dynamics.active_temperature / dynamics.persistence_time
    trace = dynamics.eigenvalues.sum()

    def power(x: NDArray[np.float64]) -> NDArray[np.float64]:
        if isinstance(potential, Potential):
            slope, curvature = potential.derivative(x), potential.curvature(x).sum(axis=1)
        else:
            slope, curvature = dynamics.stiffness * x, dynamics.stiffness * dynamics.n_spins
        gradient = slope - (dynamics.couplings @ x.T).T - fields
        return np.asarray(pumped - (gradient**2).sum(axis=1) + thermal * (curvature - trace))

    return power


def estimate_word_entropy_production(
    spins: Any, interval: float, *, length: int = 3, n_batches: int = 20
) -> tuple[float, float]:
    """Entropy production rate of a few spins from how often words of successive states occur forwards and backwards.

    With D_k the relative entropy of words of k states and the same words reversed,

        rate = (D_k - D_(k-1)) / interval,    D_1 = 0,

    at which a record of these spins is told from its reversal. For Markov spins k = 2 is exact. For spins with hidden
    variables, such as persistent thresholds, it tends with k to the entropy production that is visible in the spins,
    which is at most that of spins and hidden variables together. Errors and most of the bias of a finite record are
    estimated from batches left out in turn (jackknife); words seen in one direction only count as seen half a time in
    the other, so that the rate is finite, and too small where they are many.

    Parameters
    ----------
    spins : array_like of +-1, shape (n_times, n_spins) or (n_chains, n_times, n_spins), or xarray.Dataset
        Records in time order. A Dataset from `trajectory` stands for its spins; by default that records every update.
    interval : float
        Time between successive states, > 0, in sweeps (1 / N for every update).
    length : int, default 3
        k, at least 2; n_spins * length at most 20.
    n_batches : int, default 20
        Number of batches, at least 2.

    Returns
    -------
    rate, standard_error : float
        In units of Boltzmann's constant per sweep.

    Raises
    ------
    ValueError
        If states are not +-1 or too few, or words are too long.

    References
    ----------
    Roldan, Parrondo 2010, Phys. Rev. Lett. 105, 150607.
    """
    values = _in_chains(spins)
    if not np.isin(values, (-1, 1)).all():
        raise ValueError("spins must be +1 or -1")
    interval = check_number(interval, "interval", low=0.0, open_low=True)
    length, n_batches = check_count(length, "length", low=2), check_count(n_batches, "n_batches", low=2)
    n_states = 2 ** values.shape[2]
    if n_states**length > _MOST_WORDS:
        raise ValueError(
            f"length: words of {length} states of {values.shape[2]} spins are too many; take fewer of both"
        )
    codes = ((values > 0) * (1 << np.arange(values.shape[2]))).sum(axis=2)
    words = sum(codes[:, k : codes.shape[1] - length + 1 + k] * n_states**k for k in range(length))
    words = np.asarray(words).reshape(-1)
    if len(words) < 10 * n_batches:
        raise ValueError(f"spins: {len(words)} words are too few for {n_batches} batches")
    counts = np.array([np.bincount(part, minlength=n_states**length) for part in np.array_split(words, n_batches)])

    def rate(total: NDArray[np.int64]) -> float:
        return (_reversal(total, n_states, length) - _reversal(total, n_states, length - 1)) / interval

    whole = rate(counts.sum(axis=0))
    without = np.array([rate(counts.sum(axis=0) - part) for part in counts])
    corrected = n_batches * whole - (n_batches - 1) * float(without.mean())
    return corrected, math.sqrt((n_batches - 1) / n_batches * float(((without - without.mean()) ** 2).sum()))


def _reversal(counts: NDArray[np.int64], n_states: int, length: int) -> float:
    """Relative entropy of words of `length` states and their reversals, from counts of words as long or longer."""
    table = counts.reshape(-1, n_states**length).sum(axis=0).reshape((n_states,) * length).astype(np.float64)
    back = np.where(table.T > 0, table.T, 0.5)
    seen = table > 0
    return float((table[seen] * np.log(table[seen] / back[seen])).sum() / table.sum())


def _in_chains(states: ArrayLike | xr.Dataset) -> NDArray[Any]:
    """States as (n_chains, n_samples, n_spins), finite."""
    if isinstance(states, xr.Dataset):
        states = states["spins" if "spins" in states else "x"].values
    values = np.asarray(states)
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3:
        raise ValueError(f"states must have two or three axes, the last of spins, got shape {np.shape(states)}")
    if not np.isfinite(values).all():
        raise ValueError("states must be finite")
    return values
