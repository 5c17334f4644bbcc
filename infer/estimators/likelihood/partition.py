"""Partition functions, by enumeration or annealed importance sampling, and log-likelihoods from them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from infer.checks import passing_rows
from infer.count_model import CountModel, model_of
from infer.estimators.base import SpinEstimator
from infer.estimators.likelihood.chain_kernels import anneal_chains
from infer.estimators.likelihood.chain_moments import independent_spins
from infer.estimators.likelihood.chains import PersistentChains, chain_generators, padded
from infer.estimators.likelihood.enumeration import enumerate_states
from infer.model import PairModel
from simulate.checks import Seed, seed_sequence
from simulate.threads import check_stop, in_threads
from simulate.user_warnings import warn

FloatArray = NDArray[np.float64]

MOST_EXACT_SPINS = 20  # enumerated in a few hundredths of a second
MOST_ENUMERATED_SPINS = 24  # 134 MB
FIRST_TEMPERATURES = 1000
SCATTER = 0.5  # variance of the logarithms of weights, below which more chains help as much as more steps
BAD_SCATTER = 2.3  # variance above which the effective number of chains is below a tenth (for normal logarithms)
MOST_SWEEPS = 30_000_000  # some seconds for some dozens of spins
MOST_UPDATES = 120 * MOST_SWEEPS  # of single spins, about a minute for a thousand of them
CENTRE_CHAINS, CENTRE_SWEEPS = 64, 200
LEAST_COUNT_SHARE = 1e-4  # of a count that the chains do not visit, in the fit of the potential's quadratic part
PILOT_CHAINS, FEW_TEMPERATURES = 200, 250  # that the number of steps of annealed states is chosen from
CENTRE_SHRINKAGE = 0.999  # keeps means of spins that never changed in the chains inside -1 and 1


@dataclass(frozen=True)
class LogPartition:
    """Natural logarithm of a partition function."""

    value: float
    std: float  # standard error, 0 when exact
    effective_chains: float  # effective number of chains in the weighted mean; infinite when exact


@dataclass(frozen=True)
class LogLikelihood:
    """Mean log-likelihood per sample, in nats."""

    value: float
    std: float  # standard error of the partition function; the samples are taken as given


def log_partition(
    couplings: Any,
    fields: ArrayLike | None = None,
    *,
    method: str = "auto",
    n_chains: int = 200,
    n_temperatures: int | None = None,
    precision: float = 0.002,
    seed: Seed = 0,
    n_jobs: int | None = 1,
) -> LogPartition:
    r"""
    Logarithm of :math:`Z = \sum_s e^{\frac12 \sum_{i \ne j} J_{ij} s_i s_j + \sum_i h_i s_i}`.

    "exact" sums over all states. "ais" is annealed importance sampling (Neal 2001): chains start from independent spins
    whose means are about those of the model and whose partition function is known, and take one sweep of heat-bath
    updates at each of a series of models whose couplings (between deviations from these means) grow in equal steps from
    0 to J. The mean of their importance weights estimates :math:`Z / Z_0` without bias (its logarithm is too low by
    half its variance on average). Numbers of steps and chains are raised until the standard error is small enough.

    Parameters
    ----------
    couplings : array-like (n_spins, n_spins), PairModel, CountModel or fitted estimator
        Symmetric couplings, which contain 1/T; the diagonal is ignored. A potential of the count is part of the energy.
    fields : array-like (n_spins,), optional
        Fields, which contain 1/T.
    method : {"auto", "exact", "ais"}
        "auto" is "exact" up to 20 spins, "ais" above.
    n_chains : int
        Number of chains of "ais" at the start.
    n_temperatures : int, optional
        Steps from independent spins to the full couplings, of "ais". By default as many steps and chains as the
        precision needs, within a few seconds (a minute for a thousand spins).
    precision : float
        Target standard error of "ais"; without effect if ``n_temperatures`` is given.
    seed : int, SeedSequence, Generator or None
        Of "ais".
    n_jobs : int or None
        Threads that share the chains of "ais", -1 for all processors; results do not depend on it.

    Returns
    -------
    LogPartition

    Raises
    ------
    ValueError
        If couplings are not a symmetric finite matrix, fields do not fit them, the method is unknown, or there
        are more than 24 spins to enumerate.

    Warns
    -----
    ConvergenceWarning
        If the effective number of chains is below a tenth of all: the standard error is then too small.

    References
    ----------
    R. M. Neal 2001, Statistics and Computing 11, 125, arXiv:physics/9803008. R. Salakhutdinov, I. Murray 2008,
    Proc. ICML, 872, doi:10.1145/1390156.1390266.

    Examples
    --------
    >>> import numpy as np
    >>> from infer.estimators.likelihood.partition import log_partition
    >>> round(log_partition(np.zeros((3, 3))).value, 4)
    2.0794
    """
    model = CountModel.of(couplings, fields)
    if method not in ("auto", "exact", "ais"):
        raise ValueError(f"method must be 'auto', 'exact' or 'ais', got {method!r}")
    if method == "exact" and model.n_spins > MOST_ENUMERATED_SPINS:
        raise ValueError(
            f"{model.n_spins} spins have too many states to enumerate (at most {MOST_ENUMERATED_SPINS}): use 'ais'"
        )
    if method == "exact" or (method == "auto" and model.n_spins <= MOST_EXACT_SPINS):
        states = enumerate_states(model.couplings, model.fields, model.potential)
        return LogPartition(states.log_partition, 0.0, np.inf)
    for name, number in (("n_chains", n_chains), ("n_temperatures", n_temperatures)):
        if number is not None and number < 2:
            raise ValueError(f"{name} must be at least 2, got {number}")
    root = seed_sequence(seed)
    model, shift = _small_potential(model, root)
    steps = FIRST_TEMPERATURES if n_temperatures is None else n_temperatures
    path, weights = _better_path(model, n_chains, steps, root, effective_n_jobs(n_jobs))
    found = _estimate(weights)
    if n_temperatures is None:
        most = min(MOST_SWEEPS, MOST_UPDATES // model.n_spins)
        # first more steps, until the variance of the weights is small enough; then more chains
        while weights.var() > SCATTER and 2 * steps * n_chains <= most:
            steps *= 2
            weights = path.log_weights(n_chains, steps, root.spawn(1)[0])
            found = _estimate(weights)
        wanted = n_chains * (found.std / precision) ** 2
        more = int(min(1.1 * wanted, most / steps)) - n_chains
        if more > 0:
            weights = np.concatenate([weights, path.log_weights(more, steps, root.spawn(1)[0])])
            found = _estimate(weights)
    if found.effective_chains < len(weights) / 10:
        warn(
            f"only {found.effective_chains:.1f} of {len(weights)} chains carry the partition function, so that its "
            "error is larger than stated: raise n_temperatures (say tenfold)",
            ConvergenceWarning,
            stacklevel=2,
        )
    return LogPartition(shift + path.constant + found.value, found.std, found.effective_chains)


def _small_potential(model: CountModel, seed: np.random.SeedSequence) -> tuple[CountModel, float]:
    """
    The same distribution with a potential that is small at the model's own counts, and the constant between them.

    A potential and uniform couplings that cancel at full strength, but not on the way there, spoil the annealing.
    """
    if not model.potential.any():
        return model, 0.0
    start, own = seed.spawn(2)
    spins = independent_spins(np.zeros(model.n_spins), CENTRE_CHAINS, np.random.default_rng(start))
    chains = PersistentChains(spins, own)
    run = (model.couplings, model.fields, CENTRE_SWEEPS)
    chains.advance(*run, half_steps=model.half_steps)
    states = chains.advance(*run, record=True, every=4, half_steps=model.half_steps)
    seen = np.bincount(model.counts(states.reshape(-1, model.n_spins)), minlength=model.n_spins + 1)
    return model.without_quadratic(seen / seen.sum() + LEAST_COUNT_SHARE)


def _better_path(
    model: CountModel, n_chains: int, n_temperatures: int, seed: np.random.SeedSequence, n_threads: int
) -> tuple[AnnealingPath, FloatArray]:
    """
    Choose the annealing path, and return it with the logarithms of its weights.

    A start at the means of the model is far better where spins are rarely +1, and is used where plain couplings fail.
    But it can miss states where several have similar weights; an estimate below that from plain couplings shows this.
    """
    plain = AnnealingPath(model, np.zeros(model.n_spins), model.fields, n_threads)
    centred = AnnealingPath.of(model, seed.spawn(1)[0], n_threads)
    weights = [path.log_weights(n_chains, n_temperatures, seed.spawn(1)[0]) for path in (plain, centred)]
    first, second = (_estimate(weight) for weight in weights)
    below = plain.constant + first.value - centred.constant - second.value
    if weights[0].var() > max(BAD_SCATTER, 4.0 * weights[1].var()) and below < 2.0 * float(
        np.hypot(first.std, second.std)
    ):
        return centred, weights[1]
    return plain, weights[0]


def _estimate(log_weights: FloatArray) -> LogPartition:
    """Logarithm of the mean weight."""
    largest = float(log_weights.max())
    relative = np.exp(log_weights - largest)
    mean = float(relative.mean())
    effective = float(relative.sum() ** 2 / (relative**2).sum())
    std = float(relative.std(ddof=1) / mean / np.sqrt(len(relative)))
    return LogPartition(largest + float(np.log(mean)), std, effective)


@dataclass(frozen=True, eq=False)
class AnnealingPath:
    """Models between independent spins and a model: ``b/2 (s - c) J (s - c) + b V(K) + h_0 s``, b from 0 to 1."""

    model: CountModel
    centre: FloatArray  # c, about the means of the model
    fields: FloatArray  # h_0 = h + J c
    n_threads: int = 1

    @classmethod
    def of(cls, model: CountModel, seed: np.random.SeedSequence, n_threads: int = 1) -> AnnealingPath:
        """The path about means from short chains."""
        generator = np.random.default_rng(seed)
        chains = PersistentChains(independent_spins(np.tanh(model.fields), CENTRE_CHAINS, generator), seed.spawn(1)[0])
        run = (model.couplings, model.fields, CENTRE_SWEEPS)
        chains.advance(*run, half_steps=model.half_steps)
        states = chains.advance(*run, record=True, every=4, half_steps=model.half_steps)
        centre = states.mean(axis=(0, 1)) * CENTRE_SHRINKAGE
        return cls(model, centre, model.fields + model.couplings @ centre, n_threads)

    @property
    def constant(self) -> float:
        """Logarithm of the partition function at the start of the path."""
        free = float(np.logaddexp(self.fields, -self.fields).sum())
        return free - 0.5 * float(self.centre @ self.model.couplings @ self.centre) + float(self.model.potential[0])

    def log_weights(self, n_chains: int, n_temperatures: int, seed: np.random.SeedSequence) -> FloatArray:
        """Logarithms of the importance weights (n_chains,) of chains along the path."""
        return self.anneal(n_chains, n_temperatures, seed)[1]

    def anneal(
        self, n_chains: int, n_temperatures: int, seed: np.random.SeedSequence
    ) -> tuple[NDArray[np.int8], FloatArray]:
        """
        Independent states (n_chains, n_spins) at the end of the path, and the logarithms of their importance weights.

        With these weights the states represent the model, also where chains do not pass between its states.
        """
        generator = np.random.default_rng(seed)
        spins = independent_spins(np.tanh(self.fields), n_chains, generator)
        weights = np.empty(n_chains)
        state = chain_generators(n_chains, seed.spawn(1)[0])
        fixed = (
            padded(self.model.couplings),
            (self.model.couplings @ self.centre).astype(np.float32),
            self.centre,
            self.fields.astype(np.float32),
            self.model.half_steps.astype(np.float32),
        )
        schedule = np.linspace(0.0, 1.0, n_temperatures + 1)
        # each chain has its own random numbers, so that it does not matter which thread it runs on
        edges = np.linspace(0, n_chains, min(self.n_threads, n_chains) + 1).astype(int)

        def anneal(chains: tuple[int, int]) -> None:
            for chain in range(*chains):  # one at a time, so that an interrupt is heeded
                check_stop()
                one = slice(chain, chain + 1)
                anneal_chains(state[one], *fixed, spins[one], schedule, weights[one])

        in_threads(anneal, pairwise(edges), len(edges) - 1)
        return spins, weights


def annealed_states(
    model: PairModel | CountModel,
    n_states: int,
    seed: np.random.SeedSequence,
    *,
    fewest: float = 1.0,
    n_jobs: int | None = 1,
) -> NDArray[np.int8] | None:
    """
    States of a model from annealing, drawn by their importance weights, where plain chains do not pass between them.

    Parameters
    ----------
    model : PairModel or CountModel
    n_states : int
        Wanted number of states; fewer where that would take too long.
    seed : SeedSequence
    fewest : float
        Least effective number of independent states, `(sum w)^2 / sum w^2` (Neal 2001).
    n_jobs : int or None
        Threads that share the chains; results do not depend on it.

    Returns
    -------
    ndarray of int8, shape (n, n_spins), or None
        In random order; None where fewer than ``fewest`` are independent.
    """
    path, weights = _better_path(
        _small_potential(CountModel.of(model), seed)[0], PILOT_CHAINS, FEW_TEMPERATURES, seed, effective_n_jobs(n_jobs)
    )
    steps = FEW_TEMPERATURES
    while weights.var() > SCATTER and 2 * steps * fewest <= MOST_SWEEPS:
        steps *= 2
        weights = path.log_weights(PILOT_CHAINS, steps, seed.spawn(1)[0])
    n = max(PILOT_CHAINS, min(n_states, MOST_SWEEPS // steps))
    if n * _estimate(weights).effective_chains / PILOT_CHAINS < fewest / 2.0:
        return None
    states, weights = path.anneal(n, steps, seed.spawn(1)[0])
    if _estimate(weights).effective_chains < fewest:
        return None
    shares = np.cumsum(np.exp(weights - weights.max()))
    generator = np.random.default_rng(seed.spawn(1)[0])
    points = (np.arange(n) + generator.random()) / n * shares[-1]
    picked = np.searchsorted(shares, points).clip(max=n - 1)
    return np.asarray(states[generator.permutation(picked)])


def refuse_gaps(spins: NDArray[np.int8], purpose: str) -> None:
    """
    Raise where values are missing (0), which an estimator with ``missing="mask"`` accepts.

    Parameters
    ----------
    spins : int8 array (n_samples, n_spins) of +-1 and 0
    purpose : str
        Name of what needs complete samples, for the message.

    Raises
    ------
    ValueError
        If a value is missing; the message names the first one.
    """
    for rows in passing_rows(spins):
        if not spins[rows].all():
            row, column = (int(index) for index in np.argwhere(spins[rows] == 0)[0])
            raise ValueError(
                f"row {rows.start + row}, column {column} of X is missing, and {purpose} needs complete samples: drop "
                "rows with missing values, or fill them first with PseudoLikelihood(missing='mask').fit(X).complete(X)"
            )


def log_likelihood(
    estimator: SpinEstimator,
    X: Any,
    sample_weight: ArrayLike | None = None,
    *,
    partition: LogPartition | None = None,
    seed: Seed = 0,
) -> LogLikelihood:
    """
    Mean log-likelihood per sample of the Boltzmann distribution fitted by an estimator of spins.

    Unlike ``score``, a pseudo-likelihood, it compares models as distributions; on held-out samples, the better model
    has the larger value.

    Parameters
    ----------
    estimator : SpinEstimator
        Fitted, for example `PseudoLikelihood` or `MaximumLikelihood`.
    X : array-like (n_samples, n_spins) of +-1, xarray.Dataset or Recording
    sample_weight : array-like (n_samples,), optional
    partition : LogPartition, optional
        That of the estimator's couplings and fields, if already known. By default it is computed by `log_partition`.
    seed : int, SeedSequence, Generator or None
        Of the partition function of more than 20 spins.

    Returns
    -------
    LogLikelihood

    Raises
    ------
    ValueError
        If X does not hold the spins that the estimator was fitted to, values are missing, or the partition function
        cannot be computed.
    """
    check_is_fitted(estimator, "couplings_")
    samples = estimator.read(X, sample_weight)
    refuse_gaps(samples.spins, "a log-likelihood")
    if partition is None:
        partition = log_partition(estimator, seed=seed)
    mean = -float(np.average(model_of(estimator).energies(samples.spins), weights=samples.weight))
    return LogLikelihood(mean - partition.value, partition.std)
