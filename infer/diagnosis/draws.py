"""Rows drawn from a fitted model, in sets of as many rows as the samples have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.likelihood.enumeration import enumerate_states
from infer.estimators.likelihood.partition import MOST_EXACT_SPINS, annealed_states
from infer.model import PairModel
from infer.statistics.uncertainty import convergence
from infer.types import FloatArray, SpinArray
from simulate.dynamics.sampling import sample
from simulate.dynamics.spins import PersistentGlauber

#: R-hat of the model's chains above which no model passes.
MIXED_R_HAT = 1.1
#: Total number of rows drawn where there are few samples.
ROWS = 400_000
FEWEST_SETS, MOST_SETS = 20, 499
#: Most values held in memory; for larger samples fewer sets are drawn.
MOST_VALUES = 250_000_000
N_CHAINS = 256
BURN_IN = 200
#: Annealed states for each row of a set, and the least effective number for each row: the share of a state of the model
#: has then less than a third of the error of the samples' own.
ANNEALED, LEAST_ANNEALED = 25, 10
#: Autocorrelation time of chains, as a share of the number of sets, above which they are drawn from more rarely: by
#: about this share the variance between sets is below that of independent rows.
ALIKE = 0.2
#: Most updates of spins for that; chains so slow that they need more are too slow for a fit to be accepted.
MOST_UPDATES = 1_000_000_000
N_GROUPS = 8  # of annealed states, before and after sweeps, that R-hat compares
SWEEPS_BETWEEN = 4  # of plain chains from annealed states, between two rows


@dataclass(frozen=True, eq=False)
class Draws:
    """Independent samples of a model.

    Attributes
    ----------
    sets : ndarray of int8, shape (n_sets, n_rows, n_spins)
        Each set has as many rows as the samples that it is compared with.
    r_hat : float
        Largest R-hat of the chains, half of them started from the samples and half from independent spins, over
        energy, number of +1 and leading modes; of annealed states before and after further sweeps where such chains do
        not agree; 1 where all states were enumerated.
    exact_moments : tuple of ndarray, or None
        Means and second moments by enumeration.
    annealed : bool
        Whether the rows come from annealed states, since chains do not pass between the states of the model.
    """

    sets: NDArray[np.int8]
    r_hat: float
    exact_moments: tuple[FloatArray, FloatArray] | None
    annealed: bool = False

    @property
    def mixed(self) -> bool:
        """Whether the chains agree."""
        return bool(self.r_hat <= MIXED_R_HAT)

    @property
    def rows(self) -> SpinArray:
        """All rows, shape (n_sets * n_rows, n_spins)."""
        return self.sets.reshape(-1, self.sets.shape[2])

    @cached_property
    def moments(self) -> tuple[FloatArray, FloatArray]:
        """Means and second moments, exact where they are known, else of all draws."""
        if self.exact_moments is not None:
            return self.exact_moments
        first, second = np.zeros(self.sets.shape[2]), np.zeros((self.sets.shape[2],) * 2)
        for rows in self.sets:
            for start in range(0, len(rows), 16_384):
                block = rows[start : start + 16_384].astype(np.float32)
                first += block.sum(axis=0, dtype=np.float64)
                second += block.T @ block
        n = self.sets.shape[0] * self.sets.shape[1]
        return first / n, second / n


def number_of_sets(n_rows: int, n_spins: int) -> int:
    """Number of sets that gives enough rows in all without exceeding the limit on memory."""
    n_sets = int(np.clip(ROWS // n_rows, FEWEST_SETS, MOST_SETS))
    return max(4, min(n_sets, MOST_VALUES // (n_rows * n_spins)))


def draw(
    model: PairModel,
    n_rows: int,
    starts: SpinArray,
    means: FloatArray,
    seed: np.random.SeedSequence,
    n_jobs: int | None = 1,
) -> Draws:
    """Draw sets of independent rows: from all states up to 20 spins, else from chains of heat-bath updates.

    Where these chains do not agree, as in a model with two parties that chains do not pass between, the rows come from
    annealed states, whose importance weights give each party its share (Neal 2001).

    Parameters
    ----------
    model : PairModel
    n_rows : int
        Rows of a set.
    starts : ndarray of int8, shape (n_starts, n_spins)
        Rows of the samples that half of the chains start from.
    means : ndarray, shape (n_spins,)
        Means of the independent spins that the other half starts from.
    seed : SeedSequence
    n_jobs : int or None
        Threads of the chains; the result does not depend on it.

    Returns
    -------
    Draws
    """
    n_sets = number_of_sets(n_rows, model.n_spins)
    if model.n_spins <= MOST_EXACT_SPINS:
        return _from_states(model, n_sets, n_rows, np.random.default_rng(seed))
    plain = _from_chains(model, n_sets, n_rows, starts, means, seed, n_jobs)
    if plain.mixed:
        return plain
    return _from_annealing(model, n_sets, n_rows, seed.spawn(1)[0], n_jobs) or plain


def _from_states(model: PairModel, n_sets: int, n_rows: int, rng: np.random.Generator) -> Draws:
    """Draws from the probabilities of all states."""
    states = enumerate_states(model.couplings, model.fields)
    cumulative = np.cumsum(states.probability.ravel())
    place = np.searchsorted(cumulative, rng.random(n_sets * n_rows) * cumulative[-1], side="right")
    left, right = np.divmod(np.minimum(place, len(cumulative) - 1), states.probability.shape[1])
    rows = np.empty((len(place), model.n_spins), dtype=np.int8)
    n_left = states.left.shape[1]
    rows[:, :n_left] = states.left.astype(np.int8)[left]
    rows[:, n_left:] = states.right.astype(np.int8)[right]
    return Draws(rows.reshape(n_sets, n_rows, -1), 1.0, states.moments())


def _from_chains(
    model: PairModel,
    n_sets: int,
    n_rows: int,
    starts: SpinArray,
    means: FloatArray,
    seed: np.random.SeedSequence,
    n_jobs: int | None,
) -> Draws:
    """Draws from chains, in sets of which each takes one row of a chain in turn.

    Rows of a set lie ``n_sets`` sweeps apart, so that they are nearly independent. In slow chains sets are alike where
    they follow each other after one sweep, and differ less than sets of independent rows: these chains are drawn from
    at longer intervals.
    """
    start_seed, chain_seed = seed.spawn(2)
    rng = np.random.default_rng(start_seed)
    n_chains = int(np.clip(n_rows // 2, 8, N_CHAINS))
    half = n_chains // 2
    initial = np.where(rng.random((n_chains, model.n_spins)) < (1.0 + means) / 2.0, 1, -1).astype(np.int8)
    initial[:half] = starts[rng.integers(0, len(starts), size=half)]
    a_set = -(-n_rows // n_chains)
    dynamics = PersistentGlauber(couplings=model.couplings, temperature=1.0, persistence=0.0, fields=model.fields)

    def states_of_chains(thin: int) -> NDArray[np.int8]:
        drawn = sample(
            dynamics,
            draws=a_set * n_sets,
            chains=n_chains,
            burn_in=BURN_IN,
            thin=thin,
            seed=chain_seed,
            n_jobs=n_jobs,
            initial=initial,
            check=False,  # R-hat is part of the answer
        )
        return np.asarray(drawn["spins"].transpose("chain", "draw", "spin").values)

    states = states_of_chains(1)
    r_hat = chains_r_hat(states, model)
    time = correlation_time(states)
    if r_hat <= MIXED_R_HAT and time - 1.0 > ALIKE * (n_sets - 1):
        most = MOST_UPDATES // (n_rows * n_sets * model.n_spins)
        thin = min(int(np.ceil(time)), most)
        if thin > 1:
            del states
            states = states_of_chains(thin)
            r_hat = chains_r_hat(states, model)
    parts = np.empty((n_sets, n_rows, model.n_spins), dtype=np.int8)
    for k in range(n_sets):
        parts[k] = states[:, k::n_sets].reshape(-1, model.n_spins)[:n_rows]
    return Draws(parts, r_hat, None)


def correlation_time(states: NDArray[np.int8]) -> float:
    """Integrated autocorrelation time, in draws, of chains (n_chains, n_draws, n_spins): the mean over the spins.

    From the variance of the means of the chains; 1 for independent draws.
    """
    own = states.mean(axis=1)
    variance = 1.0 - own.mean(axis=0) ** 2
    vary = variance > 1e-9
    if not vary.any():
        return 1.0
    return float(np.mean(states.shape[1] * own[:, vary].var(axis=0, ddof=1) / variance[vary]))


def _from_annealing(
    model: PairModel, n_sets: int, n_rows: int, seed: np.random.SeedSequence, n_jobs: int | None
) -> Draws | None:
    """Draws from chains that start from annealed states; None where there are too few independent ones.

    Rows of a set come from different chains, in another choice for each set.
    """
    states = annealed_states(model, ANNEALED * n_rows, seed, fewest=LEAST_ANNEALED * n_rows, n_jobs=n_jobs)
    if states is None:
        return None
    n_chains, n_spins = states.shape
    chains = PersistentChains(states, seed.spawn(1)[0])
    rng = np.random.default_rng(seed.spawn(1)[0])
    at_once = n_chains // n_rows
    sets = np.empty((n_sets, n_rows, n_spins), dtype=np.int8)
    for first in range(0, n_sets, at_once):
        chains.advance(model.couplings, model.fields, SWEEPS_BETWEEN)
        order = rng.permutation(n_chains)
        for k in range(first, min(first + at_once, n_sets)):
            sets[k] = chains.spins[order[(k - first) * n_rows :][:n_rows]]
    # annealed states whose weights are wrong would move away from them
    longest = n_chains // N_GROUPS * N_GROUPS
    groups = np.concatenate([each[:longest].reshape(N_GROUPS, -1, n_spins) for each in (states, chains.spins)])
    return Draws(sets, chains_r_hat(groups, model), None, annealed=True)


def chains_r_hat(states: NDArray[np.int8], model: PairModel, n_modes: int = 3) -> float:
    """Largest R-hat of chains (n_chains, n_draws, n_spins): energy, number of +1, leading modes of the couplings."""
    if states.shape[1] < 4:
        return float("nan")
    # a few hundred draws a chain are enough for R-hat
    seen = states[:, :: max(1, states.shape[1] // 250)]
    _, vectors = np.linalg.eigh(model.couplings)
    watched = np.empty((*seen.shape[:2], 2 + min(n_modes, model.n_spins)))
    for rows, each in zip(seen, watched, strict=True):  # one chain at a time: all as numbers take a gigabyte
        each[:] = np.column_stack([model.energies(rows), rows.sum(axis=1), rows @ vectors[:, -n_modes:]])
    data = xr.Dataset({"watched": (("chain", "draw", "quantity"), watched)})
    values = convergence(data)["watched_r_hat"].values
    return float(np.nanmax(values)) if np.any(~np.isnan(values)) else float("nan")


def parts_of(n_rows: int, n_parts: int) -> list[slice]:
    """Contiguous parts of nearly equal length."""
    edges = (np.arange(n_parts + 1) * n_rows) // n_parts
    return [slice(int(a), int(b)) for a, b in pairwise(edges) if b > a]
