"""Acceptance of a fit as the maximum of the likelihood, by new chains; and models with a state outside the data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from infer.estimators.likelihood.chain_moments import ChainMoments, independent_spins, run_chains, run_states
from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.likelihood.count_bias import CountBias
from infer.estimators.likelihood.monte_carlo import NOISE, Problem, moment_errors
from infer.estimators.likelihood.terms import Terms
from infer.model import PairModel
from infer.statistics.dichotomised import dichotomised_gaussian
from infer.types import FloatArray

BURN_IN = 300  # sweeps of new chains before they are averaged, and half of the averaged ones
BIASED_BURN_IN = 1000
FIRST_DRAWS = 300
WORST = 0.2  # root mean square mismatch that is accepted, in units of the data's errors
FALSE_ALARMS = 1e-3  # of either test
LOUDEST = 1.5 * NOISE  # noise of the chains that is accepted
HOPELESS = 3.0 * NOISE  # noise above which further steps, measured by chains as long, cannot end in an accepted fit
N_FLIPS = 400
STATES = 100_000
FAR = 5.0  # standard deviations from the data's mean; at most 1 / (1 + 5^2) of the rows lie farther
FAR_SHARE = 0.1  # share of a model's states beyond it from which the model counts as run away


@dataclass(frozen=True, eq=False)
class Acceptance:
    """Result of fresh chains on a fit.

    Attributes
    ----------
    mismatch : float
        Root mean square of data - model - penalty, in units of the data's errors, noise of the chains subtracted.
    noise : float
        Root mean square noise of the chains, in the same units.
    p_data : float
        p-value of the hypothesis that the mismatch is noise of the model's chains.
    p_starts : float
        p-value of the hypothesis that chains from the data and chains from independent spins agree.
    start_gap : float
        Root mean square difference between the two, in units of the data's errors, noise subtracted.
    ran_away : bool
        Whether chains of the model, of either kind, spend a tenth of their time far outside the data.
    moments : ChainMoments
        Moments of all fresh chains together.
    n_samples : float
        Number of rows that the moments of the data come from.
    worth : float
        Number of independent rows whose moments have the noise of the chains.
    """

    mismatch: float
    noise: float
    p_data: float
    p_starts: float
    start_gap: float
    ran_away: bool
    moments: ChainMoments
    n_samples: float
    worth: float

    @property
    def accepted(self) -> bool:
        """Whether the fit is the maximum of the likelihood, within the errors of the data."""
        return not self.reason

    @property
    def lost_in_noise(self) -> bool:
        """Whether the chains are too short to tell this fit from the maximum, and nothing else speaks against it."""
        apart = self.start_gap > WORST and self.p_starts < FALSE_ALARMS
        return self.noise > HOPELESS and self.p_data >= FALSE_ALARMS and not apart and not self.ran_away

    @property
    def reason(self) -> str:
        """The condition that failed, by how much, and the remedy; empty for an accepted fit."""
        if self.ran_away:
            return (
                "the fitted model has a state that the data never visit (chains from independent spins or from the "
                "data end there); raise alpha, or leave out spins that rarely change"
            )
        if self.start_gap > WORST and self.p_starts < FALSE_ALARMS:
            return (
                f"chains of the model that start from the data and from independent spins differ by "
                f"{self.start_gap:.2g} of the data's standard errors (root mean square): the model mixes slowly "
                "between several states; raise n_chains, or alpha"
            )
        if self.noise > LOUDEST:
            return (
                f"chains of the model worth {float(f'{self.worth:.2g}'):,.0f} independent rows are too few to match "
                f"the moments of {self.n_samples:,.0f} (noise {self.noise:.2g} of the data's standard errors, wanted: "
                f"{NOISE:g}); fit fewer rows or spins, or give MaximumLikelihood more n_chains or a larger tol"
            )
        if self.mismatch > WORST or (self.p_data < FALSE_ALARMS and self.mismatch > WORST / 2.0):
            return (
                f"moments of data and model differ by {self.mismatch:.2g} of the data's standard errors (root mean "
                f"square; at most {WORST:g} is accepted); raise max_iter or n_chains, or alpha"
            )
        return ""


def check(
    problem: Problem,
    vector: FloatArray,
    left: FloatArray,
    seed: np.random.SeedSequence,
    bias: CountBias | None = None,
    *,
    n_chains: int,
    most_draws: int = 20_000,
    noise: float = NOISE,
) -> Acceptance:
    """
    Compare a fit with fresh chains, half of them started from rows of the data, half from independent spins.

    Parameters
    ----------
    problem : Problem
    vector : ndarray (size,)
        Parameters of the fit.
    left : ndarray (size,)
        Variance of the noise of the gradient at the end of the fit.
    seed : SeedSequence
    bias : CountBias, optional
        Bias of the chains.
    n_chains : int
        Total number of chains.
    most_draws : int
        Largest number of draws of a chain.
    noise : float
        Noise, in units of the data's errors, at which the chains end.

    Returns
    -------
    Acceptance
    """
    terms, half = problem.terms, (n_chains + 1) // 2
    states, flips, first, second = seed.spawn(4)
    generator = np.random.default_rng(states)
    rows = problem.reference[generator.integers(0, len(problem.reference), half)]
    kinds = [
        PersistentChains(rows, first),
        PersistentChains(independent_spins(problem.centre, half, generator), second),
    ]
    found: list[ChainMoments] = []
    draws, done = FIRST_DRAWS, 0
    burn_in = BURN_IN if bias is None else BIASED_BURN_IN
    while True:
        for kind, chains in enumerate(kinds):
            if not done:
                run_chains(terms, vector, chains, problem.centre, burn_in // 3, bias=bias, most_states=1)
            more = run_chains(terms, vector, chains, problem.centre, draws, bias=bias, most_states=STATES // 2)
            if done:
                found[kind] = found[kind].joined(more, STATES // 2)
            else:
                found.append(more)
        done += draws
        # each kind separately: a gap between them is not noise
        level = float(np.sqrt(np.mean((found[0].variance + found[1].variance) / 4.0 / problem.errors**2)))
        far: float = max(
            far_share(f.resampled(STATES // 2), problem.means, problem.second_moments, terms.fit_fields) for f in found
        )
        if level <= noise or done >= most_draws or far > FAR_SHARE:
            break
        wanted = done * min((1.05 * level / noise) ** 2, 5.0)
        draws = int(np.clip(wanted - done, done // 4 + 1, most_draws - done))
    both = found[0].beside(found[1])
    chances = np.random.default_rng(flips)
    gradient = problem.gradient(vector, both) / problem.errors
    deviations = [f.deviations / problem.errors * np.sqrt(half / (half - 1.0)) for f in found]
    own = float(np.mean(left / problem.errors**2))
    null = _flipped([d / 2.0 for d in deviations], chances)
    p_data = _p_value(float(np.mean(np.square(gradient))), null * (1.0 + own / max(level**2, 1e-300)))
    gap = (found[0].mean - found[1].mean) / problem.errors
    p_starts = _p_value(float(np.mean(gap**2)), 4.0 * null)
    independent = moment_errors(terms, problem.means, problem.second_moments, problem.counts, problem.n_samples)
    return Acceptance(
        mismatch=float(np.sqrt(max(float(np.mean(gradient**2)) - level**2, 0.0))),
        noise=level,
        p_data=p_data,
        p_starts=p_starts,
        start_gap=float(np.sqrt(max(float(np.mean(gap**2)) - 4.0 * level**2, 0.0))),
        ran_away=far > FAR_SHARE,
        moments=both,
        n_samples=problem.n_samples,
        worth=problem.n_samples / max(float(np.mean(both.variance / independent**2)), 1e-300),
    )


def _flipped(deviations: list[FloatArray], generator: np.random.Generator) -> FloatArray:
    """Mean squares of sums of deviations with random signs, (n_flips,): their distribution under noise."""
    together = np.concatenate(deviations)
    signs = generator.choice([-1.0, 1.0], size=(N_FLIPS, len(together)))
    return np.asarray(((signs @ together) ** 2).mean(axis=1))


def _p_value(value: float, null: FloatArray) -> float:
    """Probability of a value as large, from a gamma distribution with mean and variance of the null."""
    mean, variance = float(null.mean()), float(null.var())
    if variance <= 0.0:
        return 1.0 if value <= mean else 0.0
    return float(stats.gamma.sf(value, mean**2 / variance, scale=variance / mean))


def far_share(states: NDArray[np.int8], means: FloatArray, second_moments: FloatArray, fit_fields: bool) -> float:
    """
    Share of states farther from the data's mean than at most 4 % of the data can be.

    Along any direction u, at most 1 / (1 + t^2) of the rows lie t standard deviations of the data beyond their mean
    (Cantelli's inequality). The direction is that from the data's to the states' means; without fields, where means are
    zero, it is the leading eigenvector of the difference of second moments, and both sides count.
    """
    if fit_fields:
        direction = states.mean(axis=0) - means
        middle = float(direction @ means)
        values = states @ direction - middle
        variance = float(direction @ (second_moments - np.outer(means, means)) @ direction)
        return float(np.mean(values > FAR * np.sqrt(max(variance, 1e-300)) + 1e-9))
    sample = states[:: max(1, len(states) // 20_000)].astype(np.float64)
    values, vectors = np.linalg.eigh(sample.T @ sample / len(sample) - second_moments)
    direction = vectors[:, np.argmax(np.abs(values))]
    square = float(direction @ second_moments @ direction)
    # Markov's inequality for the square: less than 1 / FAR^2 of the rows
    return float(np.mean((sample @ direction) ** 2 > FAR**2 * square))


@dataclass(frozen=True)
class Runaway:
    """Result of :func:`runaway`: test for a state of a model that the data never visit.

    Attributes
    ----------
    share_from_data, share_from_independent : float
        Share of the states of chains of the model, started from the data and from independent spins, that are farther
        from the data's mean than at most 4 % of the data can be.
    activity_from_data, activity_from_independent, activity : float
        Mean share of spins at +1 in these chains, and in the data.
    """

    share_from_data: float
    share_from_independent: float
    activity_from_data: float
    activity_from_independent: float
    activity: float

    @property
    def ran_away(self) -> bool:
        """Whether a tenth of the states of either kind of chains is that far from the data."""
        return max(self.share_from_data, self.share_from_independent) > FAR_SHARE

    @property
    def sentence(self) -> str:
        """One sentence for a report or a warning; empty unless the model ran away."""
        if not self.ran_away:
            return ""
        worst = max(
            (self.share_from_independent, "independent spins", self.activity_from_independent),
            (self.share_from_data, "the data", self.activity_from_data),
        )
        where = f"{100 * worst[2]:.1f} % of the spins at +1, against {100 * self.activity:.1f} % in the data"
        if abs(worst[2] - self.activity) < 0.1 * self.activity:
            where = "about as many spins at +1 as in the data, but others"
        return (
            f"the fitted model has a state that the data never visit: chains of the model that start from {worst[1]} "
            f"spend {100 * worst[0]:.0f} % of their time there ({where})"
        )


def runaway(
    model: PairModel,
    means: FloatArray,
    second_moments: FloatArray,
    *,
    states: NDArray[np.int8] | None = None,
    fit_fields: bool = True,
    n_chains: int = 64,
    n_sweeps: int = 1000,
    seed: int | np.random.SeedSequence = 0,
) -> Runaway:
    """
    Test whether a fitted model, of any estimator, has a state that the data never visit.

    Chains of the model start from the data and from independent spins; where their states are far outside the data, the
    model has much of its probability there. This happens with estimators that use only states near the data
    (pseudo-likelihood, probability flow, mean field) when spins are rarely +1 and positively coupled.

    Parameters
    ----------
    model : PairModel
    means : ndarray (n_spins,)
        Means of the data.
    second_moments : ndarray (n_spins, n_spins)
    states : int8 array (n_states, n_spins), optional
        Rows of the data. By default states with the data's means and second moments are drawn.
    fit_fields : bool
        Whether the model has fields; without, a state and its inverse are the same.
    n_chains : int
        Number of chains of each kind.
    n_sweeps : int
        Number of sweeps of each chain, the first half of which is left out.
    seed : int or SeedSequence

    Returns
    -------
    Runaway
    """
    terms = Terms(model.n_spins, fit_fields=True, with_counts=hasattr(model, "potential"))
    potential = getattr(model, "potential", np.zeros(model.n_spins + 1))
    vector = terms.pack(model.couplings, model.fields, potential)
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    own, first, second = root.spawn(3)
    generator = np.random.default_rng(own)
    if states is None:
        states = dichotomised_gaussian(means, second_moments, n_chains, generator)
    starts = states[generator.integers(0, len(states), n_chains)]
    activity, shares = [], []
    for start, chain_seed in ((starts, first), (independent_spins(means, n_chains, generator), second)):
        chains = PersistentChains(start, chain_seed)
        n_draws = max(1, n_sweeps // 6)
        run_states(terms, vector, chains, n_draws, most_states=1)
        found = run_states(terms, vector, chains, n_draws, most_states=20_000)
        shares.append(far_share(found, means, second_moments, fit_fields))
        activity.append(float((found > 0).mean()))
    return Runaway(shares[0], shares[1], activity[0], activity[1], float((1.0 + means.mean()) / 2.0))
