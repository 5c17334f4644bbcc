"""Maximum likelihood by Monte Carlo: Newton steps on the moments, from independent spins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from infer.estimators.likelihood.chain_moments import ChainMoments, independent_spins, run_chains
from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.likelihood.sampled_curvature import MOST_PRODUCTS, SampledCurvature, solve
from infer.estimators.likelihood.terms import Penalty, Terms
from infer.types import FloatArray

NOISE = 0.15  # of the chains at the end, in units of the data's errors
CLOSE = 0.5  # root mean square mismatch, in units of the data's errors, below which one Newton step is enough
ROOM = 4.0  # factor of the entropy of the last step, whose estimate takes moments as independent
LAST_CAUTION, LAST_ACCURACY, LAST_PRODUCTS = 0.05, 1e-3, 150
BURN_IN = 30  # sweeps after every step before averaging, and a third of the averaged ones
FIRST_DRAWS = 40
OVERSHOOT = 0.5  # slope at the end of a step, relative to that at its start, above which the step is shortened
LARGEST_STEP = 1.0  # of a coupling or field
MOST_ENTROPY = 0.01  # of a step, in nats for each spin
STATES_FOR_CURVATURE = 100_000  # sparse spins need many: few states contain a given pair


@dataclass(frozen=True, eq=False)
class Climb:
    """Result of Monte Carlo maximum likelihood before the last Newton step."""

    vector: FloatArray
    moments: ChainMoments  # of the last measurement, at the vector
    n_iter: int
    arrived: bool  # whether one more Newton step is enough


@dataclass(frozen=True, eq=False)
class Problem:
    """Moments to match, with their errors."""

    terms: Terms
    penalty: Penalty
    means: FloatArray
    second_moments: FloatArray
    counts: FloatArray | None  # distribution of the number of +1, (n_spins + 1,)
    errors: FloatArray  # standard errors of the data's moments, (size,), none of them zero
    n_samples: float
    reference: NDArray[np.int8]  # rows of the data, or states with their moments, (n_states, n_spins)

    @property
    def data(self) -> FloatArray:
        """Moments of the data, (size,)."""
        return self.terms.pack(self.second_moments, self.means, self.counts)

    @property
    def centre(self) -> FloatArray:
        """Centre of the pair statistics, (n_spins,)."""
        return self.means if self.terms.fit_fields else np.zeros_like(self.means)

    def start(self) -> FloatArray:
        """Parameters of independent spins, (size,)."""
        fields = np.arctanh(np.clip(self.means, -1 + 1e-6, 1 - 1e-6))
        n = self.terms.n_spins
        return self.terms.pack(np.zeros((n, n)), fields, np.zeros(n + 1))

    def fresh(self, n_chains: int, seed: np.random.SeedSequence) -> PersistentChains:
        """Chains that start from independent spins with the means of the data (fair ones without fields)."""
        states, own = seed.spawn(2)
        return PersistentChains(independent_spins(self.centre, n_chains, np.random.default_rng(states)), own)

    def gradient(self, vector: FloatArray, moments: ChainMoments) -> FloatArray:
        """Gradient of the penalised mean negative log-likelihood, (size,)."""
        return moments.mean - self.data + self.penalty.gradient(vector)

    def mismatch(self, vector: FloatArray, moments: ChainMoments) -> tuple[float, float]:
        """Root mean square gradient, and its noise, in units of the data's errors."""
        gradient = self.gradient(vector, moments)
        total = float(np.mean((gradient / self.errors) ** 2))
        noise = float(np.mean(moments.variance / self.errors**2))
        return float(np.sqrt(total)), float(np.sqrt(noise))

    def curvature(self, moments: ChainMoments, reference: bool, caution: float = 1.0) -> SampledCurvature:
        """
        Curvature of the sampled model, or its average with that of the data.

        Far from the maximum, statistics often vary much less in the model than in the data, whose spins are correlated:
        Newton steps with the model's own curvature would overshoot (Ferrari 2016). ``caution`` multiplies the
        shrinkage, which shortens steps along directions that hardly change the moments.
        """
        most = STATES_FOR_CURVATURE
        states = moments.states[:: max(1, len(moments.states) // most)]
        if reference:
            own = self.reference[:: max(1, len(self.reference) // most)]
            states = np.concatenate([states[:: max(1, len(states) // len(own))], own])
        shrinkage = caution * min(0.5, 1e-4 + 0.2 * self.terms.size / len(states))
        return SampledCurvature(self.terms, self.penalty, states, self.centre, self.second_moments, shrinkage)

    def newton_step(
        self, gradient: FloatArray, curvature: SampledCurvature, accuracy: float, most: int = MOST_PRODUCTS
    ) -> FloatArray:
        """Newton step (size,) of plain parameters with the given curvature."""
        right = -self.terms.centred_gradient(gradient, self.centre)
        direction = solve(curvature.apply, curvature.precondition, right, accuracy, most)
        return self.terms.plain(direction, self.centre)

    def last_step(self, vector: FloatArray, moments: ChainMoments) -> FloatArray:
        """
        Newton step (size,) near the maximum, limited by the measured mismatch.

        In units of the data's errors a mismatch of z is a relative entropy of about size z^2 / (2 n); directions that
        the states do not determine would give far more. The step is solved for more accurately than those before it:
        parameters with similar effects (uniform couplings and a potential of the count) can be wrong by a standard
        error and change no moment by more than a tenth of its error.
        """
        curvature = self.curvature(moments, reference=False, caution=LAST_CAUTION)
        gradient = self.gradient(vector, moments)
        step = self.newton_step(gradient, curvature, LAST_ACCURACY, LAST_PRODUCTS)
        return step * _fraction(self.terms.centred(step, self.centre), curvature, self._entropy(vector, moments), 0.5)

    def _entropy(self, vector: FloatArray, moments: ChainMoments) -> float:
        """`ROOM` times the relative entropy of the mismatch of all moments, taken as independent."""
        variance = moment_errors(self.terms, self.means, self.second_moments, self.counts, self.n_samples) ** 2
        return ROOM * float(np.sum(self.gradient(vector, moments) ** 2 / variance) / self.n_samples)


def climb(
    problem: Problem,
    vector: FloatArray,
    seed: np.random.SeedSequence,
    known: ChainMoments | None = None,
    *,
    n_chains: int,
    max_iter: int,
    most_draws: int = 20_000,
    noise: float = NOISE,
    progress: bool = False,
) -> Climb:
    """
    Match moments by Newton steps whose gradient and curvature come from persistent chains.

    Chains start from independent spins. Each measurement runs the chains until their noise is 0.4 of the mismatch, or
    ``noise`` times the data's errors. Steps are bounded in relative entropy and in each parameter. A step that
    increases the mismatch is undone and chains start again, since chains in a state that the data do not visit would
    stay there.

    Parameters
    ----------
    problem : Problem
    vector : ndarray (size,)
        Start of the iteration: `Problem.start`, or a model whose chains stay near the data.
    seed : SeedSequence
    known : ChainMoments, optional
        Moments of the model at the vector, with the states that the chains start from.
    n_chains : int
    max_iter : int
        Largest number of measurements.
    most_draws : int
        Largest number of draws of a chain for one measurement.
    noise : float
    progress : bool

    Returns
    -------
    Climb
    """
    terms = problem.terms
    chains = problem.fresh(n_chains, seed.spawn(1)[0])
    entropy, largest = MOST_ENTROPY * terms.n_spins, LARGEST_STEP
    draws = FIRST_DRAWS
    if known is not None:
        picked = np.random.default_rng(seed.spawn(1)[0]).integers(0, len(known.states), n_chains)
        chains.spins[:] = known.states[picked]
    found = known or measure(problem, vector, chains, draws, most_draws, noise)
    n_iter, arrived = 1, False
    with tqdm(total=max_iter, disable=not progress, desc="maximum likelihood", unit="update") as bar:
        while n_iter < max_iter:
            total, left = problem.mismatch(vector, found)
            true = np.sqrt(max(total**2 - left**2, 0.0))
            bar.update()
            bar.set_postfix(mismatch=f"{true:.2g}", noise=f"{left:.2g}", refresh=False)
            if left <= 1.1 * noise and true <= CLOSE:
                arrived = True
                break
            curvature = problem.curvature(found, reference=n_iter == 1 or true > 1.0)
            gradient = problem.gradient(vector, found)
            step = problem.newton_step(gradient, curvature, 0.1)
            step *= _fraction(terms.centred(step, problem.centre), curvature, entropy, largest)
            slope = float(gradient @ step)
            while True:
                n_iter += 1
                trial = measure(problem, vector + step, chains, _first_draws(found, n_chains), most_draws, noise)
                # the likelihood is concave: where its slope along the step has changed sign, the step was too long
                turned = float(problem.gradient(vector + step, trial) @ step)
                turned -= 3.0 * trial.error_along(step)
                if turned <= -OVERSHOOT * slope or n_iter >= max_iter:
                    vector, found = vector + step, trial
                    entropy, largest = min(2 * entropy, MOST_ENTROPY * terms.n_spins), min(2 * largest, LARGEST_STEP)
                    break
                part = max(0.1, -slope / (turned - slope))
                step, slope = part * step, part * slope
                entropy, largest = part**2 * entropy, part * largest
                if true > 1.0:
                    chains = problem.fresh(n_chains, seed.spawn(1)[0])
    return Climb(vector, found, n_iter, arrived)


def _fraction(step: FloatArray, curvature: SampledCurvature, entropy: float, largest: float) -> float:
    """Fraction of a centred step that is taken; the potential of counts that hardly occur is not limited."""
    terms = curvature.terms
    most = float(np.abs(step[: terms.n_pairs + terms.n_fields]).max())
    size = 0.5 * float(step @ curvature.apply(step))
    return float(min(1.0, np.sqrt(entropy / max(size, 1e-300)), largest / max(most, 1e-300)))


def _first_draws(found: ChainMoments, n_chains: int) -> int:
    """Draws of a chain for half as many states as in the last measurement."""
    return found.n_draws * len(found.by_chain) // (2 * n_chains)


def measure(
    problem: Problem,
    vector: FloatArray,
    chains: PersistentChains,
    draws: int,
    most_draws: int = 20_000,
    noise: float = NOISE,
) -> ChainMoments:
    """Moments of the model, from chains that run until their noise is small, or small compared with the mismatch."""
    draws = int(np.clip(draws, FIRST_DRAWS, most_draws))
    states = STATES_FOR_CURVATURE
    run_chains(problem.terms, vector, chains, problem.centre, BURN_IN // 3 + draws // 3, most_states=1)
    found = run_chains(problem.terms, vector, chains, problem.centre, draws, most_states=states)
    while found.n_draws < most_draws:
        total, left = problem.mismatch(vector, found)
        enough = max(noise, 0.4 * np.sqrt(max(total**2 - left**2, 0.0)))
        if left <= enough:
            break
        wanted = found.n_draws * (1.05 * left / enough) ** 2
        more = int(np.clip(wanted - found.n_draws, found.n_draws // 4 + 1, 4 * found.n_draws))
        more = min(more, most_draws - found.n_draws)
        found = found.joined(
            run_chains(problem.terms, vector, chains, problem.centre, more, most_states=states), states
        )
    return found


def moment_errors(
    terms: Terms, means: FloatArray, second_moments: FloatArray, counts: FloatArray | None, n_samples: float
) -> FloatArray:
    """Standard errors (size,) of the moments of independent rows; none smaller than that of half a row."""
    shares = None if counts is None else np.sqrt(np.maximum(counts * (1.0 - counts), 0.5 / n_samples) / n_samples)
    floor = 2.0 / n_samples  # variance of a spin that is +1 in one row of 2 n
    pairs = np.sqrt(np.maximum(1.0 - second_moments**2, floor) / n_samples)
    fields = np.sqrt(np.maximum(1.0 - means**2, floor) / n_samples)
    return terms.pack(pairs, fields, shares)
