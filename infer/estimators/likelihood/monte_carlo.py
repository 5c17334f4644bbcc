"""Maximum likelihood by Monte Carlo: steps on the reweighted likelihood of sampled states, from independent spins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from infer.estimators.likelihood.chain_moments import ChainMoments, run_chains
from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.likelihood.count_bias import CountBias, count_log_shares, main_pattern
from infer.estimators.likelihood.sampled_curvature import SampledCurvature, WeightedStates, solve
from infer.estimators.likelihood.terms import Penalty, Terms
from infer.model import PairModel
from infer.types import FloatArray
from simulate.progress_bars import tqdm

NOISE = 0.15  # of the chains at the end, in units of the data's errors
CLOSE = 0.5  # root mean square mismatch, in units of the data's errors, below which one Newton step is enough
ROOM = 4.0  # factor of the entropy of the last step, whose estimate takes moments as independent
LAST_CAUTION = 0.05
LAST_ACCURACY, COUNT_ACCURACY = (0.01, 60), (1e-3, 150)  # and products, of the last step without and with counts
FIRST_BURN_IN = 1000  # sweeps until the counts of biased chains are spread as they should be
BURN_IN = 10  # sweeps after every step before averaging, and one more for each state that is averaged at first
FIRST_DRAWS = 300
OVERSHOOT = 0.5  # slope at the end of a step, relative to that at its start, above which the step is shortened
LARGEST_STEP, LARGEST_LAST_STEP = 1.0, 0.5  # of a coupling or field
ACCURACY, PRODUCTS = 0.1, 30  # of the solutions for a step
FIRST_ENTROPY, MOST_ENTROPY = 0.0015, 0.01  # of a step, in nats for each spin
FEWEST_EFFECTIVE = 0.3  # effective number of states after a step, as a share of that before
MOST_LONGEST = 10  # measurements with the largest number of draws: slow chains do not become better by more steps
NEWTON_STEPS = 2  # on the reweighted likelihood of the same states
STATES_PER_PARAMETER, STATES = 4, (10_000, 20_000)  # that a step is computed from
STATES_FOR_CURVATURE = 100_000  # of the last step; sparse spins need many: few states contain a given pair
MOST_VALUES = 400_000_000  # products of two spins, over these states


@dataclass(frozen=True, eq=False)
class Climb:
    """Result of Monte Carlo maximum likelihood before the last Newton step."""

    vector: FloatArray
    moments: ChainMoments  # of the last measurement, at the vector
    bias: CountBias  # of the chains of this measurement
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

    def start(self, model: PairModel | None = None) -> FloatArray:
        """Parameters of a pair model, or of independent spins, (size,)."""
        if model is not None:
            return self.terms.pack(model.couplings, model.fields, np.zeros(model.n_spins + 1))
        fields = np.arctanh(np.clip(self.means, -1 + 1e-6, 1 - 1e-6))
        n = self.terms.n_spins
        return self.terms.pack(np.zeros((n, n)), fields, np.zeros(n + 1))

    def first_bias(self) -> CountBias:
        """Bias of chains of independent spins; counts are along the pattern in which the data vary most."""
        n_spins = self.terms.n_spins
        # a potential of the number of +1 and one along another pattern do not go together
        plain = self.terms.with_counts
        pattern = np.ones(n_spins, dtype=np.int8) if plain else main_pattern(self.centre, self.second_moments)
        return CountBias.of(pattern, count_log_shares(self.centre * pattern))

    def gradient(self, vector: FloatArray, moments: ChainMoments) -> FloatArray:
        """Gradient of the penalised mean negative log-likelihood, (size,)."""
        return moments.mean - self.data + self.penalty.gradient(vector)

    def mismatch(self, vector: FloatArray, moments: ChainMoments) -> tuple[float, float]:
        """
        Root mean square gradient, and its noise, in units of the data's errors.

        Those of the counts where they are larger: a few of them would be lost among hundreds of pairs.
        """
        squares = (self.gradient(vector, moments) / self.errors) ** 2
        noise = moments.variance / self.errors**2
        groups = [slice(None)]
        if self.terms.n_counts:
            groups.append(slice(self.terms.size - self.terms.n_counts, None))
        total, left = max((float(np.mean(squares[each])), float(np.mean(noise[each]))) for each in groups)
        return float(np.sqrt(total)), float(np.sqrt(left))

    def signal(self, vector: FloatArray, moments: ChainMoments) -> float:
        """Share of the mean square gradient that is not noise of the chains."""
        total, noise = self.mismatch(vector, moments)
        return max(0.0, 1.0 - (noise / total) ** 2) if total > 0.0 else 0.0

    def states(self, moments: ChainMoments, most: int) -> WeightedStates:
        """At most twice as many states of the chains as wanted."""
        chosen = slice(None, None, max(1, len(moments.states) // most))
        return WeightedStates(self.terms, moments.states[chosen], self.centre, moments.weights[chosen])

    @cached_property
    def data_states(self) -> WeightedStates:
        """States of the data."""
        return WeightedStates(self.terms, self.reference, self.centre)

    def curvature(
        self, states: WeightedStates, shares: FloatArray, reference: bool = False, caution: float = 1.0
    ) -> SampledCurvature:
        """
        Curvature of the sampled model, or its average with that of the data.

        Far from the maximum, statistics often vary much less in the model than in the data, whose spins are correlated:
        Newton steps with the model's own curvature would overshoot (Ferrari 2016). ``caution`` multiplies the
        shrinkage, which shortens steps along directions that hardly change the moments.
        """
        effective = 1.0 / float(np.sum(shares**2))
        shrinkage = caution * min(0.5, 1e-4 + 0.2 * self.terms.size / effective)
        other = self.data_states if reference else None
        return SampledCurvature(
            self.penalty, states, shares, self.centre, self.second_moments, shrinkage, reference=other
        )

    def largest(self, step: FloatArray) -> float:
        """Largest change of a coupling or field; the potential of counts that hardly occur is not limited."""
        return max(float(np.abs(step[: self.terms.n_pairs + self.terms.n_fields]).max()), 1e-300)

    def entropy(self, vector: FloatArray, moments: ChainMoments) -> float:
        """
        `ROOM` times the relative entropy of the mismatch of all moments, taken as independent.

        In units of the data's errors a mismatch of z is a relative entropy of about size z^2 / (2 n); directions that
        the states do not determine would give far more.
        """
        variance = moment_errors(self.terms, self.means, self.second_moments, self.counts, self.n_samples) ** 2
        return ROOM * float(np.sum(self.gradient(vector, moments) ** 2 / variance) / self.n_samples)


@dataclass(frozen=True, eq=False)
class Step:
    """A change of the parameters, and what it does to the weights of known states."""

    change: FloatArray  # (size,)
    states: NDArray[np.int8]  # (n_states, n_spins), of the model before the step
    shares: FloatArray  # (n_states,), sum 1, before the step
    log_factors: FloatArray  # (n_states,), by which the whole step changes them

    def bias(self, known: CountBias, part: float = 1.0) -> CountBias:
        """Bias for the model after a part of the step."""
        return CountBias.seen(known.pattern, self.states, tilted(self.shares, part * self.log_factors))


def reweighted_step(
    problem: Problem, vector: FloatArray, moments: ChainMoments, entropy: float, reference: bool
) -> Step:
    """
    Step to the maximum of the likelihood that sampled states give, within the range where they represent the model.

    States of one model, weighted anew, give the likelihood of models nearby (Geyer, Thompson 1992, J. R. Stat. Soc. B
    54, 657): that of a step to rare but strongly correlated states, which a quadratic approximation misses, is known
    before it is taken. Newton's method maximises it, until the relative entropy of the step reaches a limit or the
    effective number of states becomes small.

    Parameters
    ----------
    problem : Problem
    vector : ndarray (size,)
    moments : ChainMoments
        Of the model at the vector.
    entropy : float
        Largest relative entropy of the model after the step and that before, in nats.
    reference : bool
        Whether the curvature is averaged with that of the data.

    Returns
    -------
    Step
    """
    states = problem.states(moments, int(np.clip(STATES_PER_PARAMETER * problem.terms.size, *STATES)))
    change, factors = np.zeros(problem.terms.size), np.zeros(len(states.shares))
    shares, room = states.shares, LARGEST_STEP
    gradient = problem.terms.centred_gradient(problem.gradient(vector, moments), problem.centre)
    slope, sampled = gradient, states.sums(states.shares)
    for _ in range(NEWTON_STEPS):
        curvature = problem.curvature(states, shares, reference)
        direction = solve(curvature.apply, curvature.precondition, -slope, ACCURACY, PRODUCTS)
        energies = states.energies(direction)
        largest = problem.largest(direction)
        length = min(_length(problem, states, factors, energies, slope, direction, entropy), room / largest)
        change, factors, room = change + length * direction, factors + length * energies, room - length * largest
        shares = tilted(states.shares, factors)
        slope = gradient + states.sums(shares) - sampled + problem.penalty.gradient(change)
        if length < 0.5 or room <= 0.0:
            break
    return Step(problem.terms.plain(change, problem.centre), states.values, states.shares, factors)


def last_step(problem: Problem, vector: FloatArray, moments: ChainMoments) -> Step:
    """
    Step near the maximum, of more states and solved for more accurately, limited by the measured mismatch.

    Parameters with similar effects, as uniform couplings and a potential of the count, can be wrong by a standard error
    and change no moment by more than a tenth of its error.
    """
    most = int(np.clip(MOST_VALUES // problem.terms.n_spins**2, STATES[0], STATES_FOR_CURVATURE))
    states = problem.states(moments, most)
    curvature = problem.curvature(states, states.shares, caution=LAST_CAUTION)
    slope = problem.terms.centred_gradient(problem.gradient(vector, moments), problem.centre)
    accuracy, products = COUNT_ACCURACY if problem.terms.n_counts else LAST_ACCURACY
    direction = curvature.direction(-slope, accuracy, products)
    energies = states.energies(direction)
    entropy = problem.entropy(vector, moments)
    length = _length(problem, states, np.zeros(len(energies)), energies, slope, direction, entropy)
    length = min(length, LARGEST_LAST_STEP / problem.largest(direction))
    change = problem.terms.plain(length * direction, problem.centre)
    return Step(change, states.values, states.shares, length * energies)


def tilted(shares: FloatArray, log_factors: FloatArray) -> FloatArray:
    """Shares of states, multiplied by factors whose logarithms are given."""
    result = shares * np.exp(log_factors - log_factors.max())
    return np.asarray(result / result.sum())


def _length(
    problem: Problem,
    states: WeightedStates,
    factors: FloatArray,
    energies: FloatArray,
    slope: FloatArray,
    direction: FloatArray,
    entropy: float,
) -> float:
    """Length in (0, 1] along a direction at which the reweighted likelihood is largest, or a limit is reached."""
    before, bend = states.shares, float(problem.penalty.gradient(direction) @ direction)
    least = FEWEST_EFFECTIVE / float(np.sum(before**2))
    start, mean = float(slope @ direction), float(tilted(before, factors) @ energies)

    def too_long(length: float) -> bool:
        after = tilted(before, factors + length * energies)
        uphill = start + float(after @ energies) - mean + length * bend > 0.0
        positive = after > 0.0
        moved = float(np.sum(after[positive] * np.log(after[positive] / before[positive])))
        return uphill or moved > entropy or 1.0 / float(np.sum(after**2)) < least

    if not too_long(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(15):
        middle = (low + high) / 2.0
        low, high = (low, middle) if too_long(middle) else (middle, high)
    return max(low, high / 2.0)


def climb(
    problem: Problem,
    vector: FloatArray,
    seed: np.random.SeedSequence,
    known: tuple[ChainMoments, CountBias] | None = None,
    *,
    n_chains: int,
    max_iter: int,
    most_draws: int = 20_000,
    noise: float = NOISE,
    progress: bool = False,
) -> Climb:
    """
    Match moments by steps on the reweighted likelihood of states of biased chains.

    Chains start from independent spins. Their bias (`CountBias`) makes them visit all counts, so that the share of
    states that the data rarely visit, or never, is known at every step. Each measurement runs the chains until their
    noise is 0.4 of the mismatch, or ``noise`` times the data's errors. A step is shortened where the slope measured at
    its end shows that it was too long. After a step chains start from states of the one before, drawn by their new
    weights.

    Parameters
    ----------
    problem : Problem
    vector : ndarray (size,)
        Start of the iteration: `Problem.start`, or a model whose chains stay near the data.
    seed : SeedSequence
    known : tuple of ChainMoments and CountBias, optional
        Moments of the model at the vector, with the states that the chains start from, and the bias of these chains.
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
    own, starting = seed.spawn(2)
    generator = np.random.default_rng(starting)
    bias = problem.first_bias() if known is None else known[1]
    chains = PersistentChains(bias.starts(problem.centre, n_chains, generator), own)
    if known is None:
        run_chains(problem.terms, vector, chains, problem.centre, FIRST_BURN_IN // 3, bias=bias, most_states=1)
        found = measure(problem, vector, chains, bias, FIRST_DRAWS, most_draws, noise)
    else:
        found = known[0]
    entropy, n_iter, arrived, longest = FIRST_ENTROPY * problem.terms.n_spins, 1, False, 0
    with tqdm(total=max_iter, disable=not progress, desc="maximum likelihood", unit="update") as bar:
        while n_iter < max_iter:
            total, left = problem.mismatch(vector, found)
            true = np.sqrt(max(total**2 - left**2, 0.0))
            bar.update()
            bar.set_postfix(mismatch=f"{true:.2g}", noise=f"{left:.2g}", refresh=False)
            exhausted = found.n_draws >= most_draws
            longest += exhausted
            # steps from measurements as loud as this one end no closer to the maximum
            if (true <= CLOSE and left <= 1.1 * noise) or (true <= max(CLOSE, left) and exhausted):
                arrived = True
                break
            if longest > MOST_LONGEST:
                break
            step = reweighted_step(problem, vector, found, entropy, reference=n_iter == 1 or true > 1.0)
            slope = float(problem.gradient(vector, found) @ step.change)
            part = 1.0
            while True:
                n_iter += 1
                shares = tilted(step.shares, part * step.log_factors)
                bias = step.bias(bias, part)
                biased = tilted(shares, -bias.log_weights(step.states))
                chains.spins[:] = step.states[generator.choice(len(biased), n_chains, p=biased)]
                draws = int(np.clip(found.n_draws // 4, FIRST_DRAWS, most_draws))
                most = min(most_draws, 5 * max(found.n_draws, FIRST_DRAWS))
                trial = measure(problem, vector + part * step.change, chains, bias, draws, most, noise)
                # the likelihood is concave: where its slope along the step has changed sign, the step was too long
                turned = float(problem.gradient(vector + part * step.change, trial) @ step.change)
                turned -= 3.0 * trial.error_along(step.change)
                if turned <= -OVERSHOOT * slope or n_iter >= max_iter:
                    break
                shorter = max(0.1, -slope / (turned - slope))
                part *= shorter
                entropy *= shorter**2
            vector, found = vector + part * step.change, trial
            if part == 1.0:
                entropy = min(2.0 * entropy, MOST_ENTROPY * problem.terms.n_spins)
    return Climb(vector, found, bias, n_iter, arrived)


def measure(
    problem: Problem,
    vector: FloatArray,
    chains: PersistentChains,
    bias: CountBias,
    draws: int,
    most_draws: int,
    noise: float,
) -> ChainMoments:
    """Moments of the model, from chains that run until their noise is small, or small compared with the mismatch."""
    most_states = STATES_FOR_CURVATURE // 2
    run = problem.terms, vector, chains, problem.centre
    run_chains(*run, (BURN_IN + draws) // 3, bias=bias, most_states=1)
    found = run_chains(*run, draws, bias=bias, most_states=most_states)
    while found.n_draws < most_draws:
        total, left = problem.mismatch(vector, found)
        true = np.sqrt(max(total**2 - left**2, 0.0))
        enough = noise if true <= CLOSE else max(noise, 0.4 * true)
        if left <= enough:
            break
        wanted = found.n_draws * (1.05 * left / enough) ** 2
        more = int(np.clip(wanted - found.n_draws, found.n_draws // 4 + 1, 4 * found.n_draws))
        more = min(more, most_draws - found.n_draws)
        found = found.joined(run_chains(*run, more, bias=bias, most_states=most_states), most_states)
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
