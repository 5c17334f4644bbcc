"""Models that are compared on rows that they were not fitted to, one class each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from sklearn.base import clone

from infer.diagnosis.annealing import WANTED_SHARE, WANTED_STD, annealed_log_partition
from infer.diagnosis.refit import Refit, exactly_possible, fit_exactly, smoothed_moments, with_constants
from infer.diagnosis.score_errors import batches_of, mean_with_error
from infer.estimators.kinetic.regressions import fit_kinetic, metric_rows
from infer.estimators.kinetic.steps import Steps
from infer.estimators.likelihood.maximise import maximise
from infer.estimators.likelihood.partition import MOST_EXACT_SPINS
from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.model import PairModel
from infer.samples import Samples, spin_moments
from infer.statistics.batches import chain_slices
from infer.statistics.folds import Fold
from infer.types import FloatArray, IntArray, SpinArray
from simulate.user_warnings import collected_warnings, libraries_silenced

#: Largest gradient at which a kinetic model is scored.
_KINETIC_TOLERANCE = 1e-4
_MOST_KINETIC_VALUES = 10_000_000
#: Operations of the metrics of all spins of a kinetic model above which it is not fitted: it takes minutes.
_MOST_KINETIC_WORK = 3e11
#: Spins up to which pair models are fitted by Monte Carlo maximum likelihood.
MOST_MONTE_CARLO_SPINS = 120
_STARTS = 20_000
#: Mismatch of moments, in standard errors of the data, up to which a fit that did not converge is scored, and nats per
#: row that a mismatch costs up to which it is: its score is that of a model close to the maximum.
_NEAR, _NEAR_NATS = 1.0, 0.02


@dataclass(frozen=True, eq=False)
class Scored:
    """Log-likelihoods of held-out rows in nats, and the standard error that is common to all of them.

    ``values`` (n_test,); ``common_std`` is the standard error of the log partition function; ``withheld`` says why
    there is no score, and is empty where there is one.
    """

    values: FloatArray
    common_std: float = 0.0
    withheld: str = ""


class Candidate(Protocol):
    """A model that can be fitted to some rows and score others."""

    name: ClassVar[str]
    needs_time: ClassVar[bool]

    def score(self, samples: Samples, fold: Fold, seed: np.random.SeedSequence) -> Scored:
        """Fit the model to the training rows of the fold, and score its test rows."""
        ...


@dataclass(frozen=True)
class Independent:
    """Independent spins: the shares of +1 with half a sample of either sign added (Krichevsky, Trofimov 1981)."""

    name: ClassVar[str] = "independent"
    needs_time: ClassVar[bool] = False

    def score(self, samples: Samples, fold: Fold, seed: np.random.SeedSequence) -> Scored:
        """Log-likelihood of each row under independent spins."""
        train, test = samples.spins[fold.train], samples.spins[fold.test]
        total = float(len(train) if fold.train_weight is None else fold.train_weight.sum())
        up = (train > 0).sum(axis=0) if fold.train_weight is None else fold.train_weight @ (train > 0)
        share = (up + 0.5) / (total + 1.0)
        return Scored((test > 0) @ np.log(share) + (test < 0) @ np.log1p(-share))


@dataclass(frozen=True)
class Pair:
    """Pair couplings and fields by maximum likelihood.

    Parameters
    ----------
    alpha : float, optional
        Strength of the l2 penalty; by default one prior sample, 1/n.
    estimator : estimator, optional
        Cloned and fitted where there are too many spins for maximum likelihood.
    prefer_estimator : bool
        Whether the estimator is taken wherever states cannot be enumerated.
    n_jobs : int or None
        Threads of the log partition function; results do not depend on it.
    precise : bool
        Whether the log partition function is known to 0.002 nats, however large the error that rows leave: models that
        extend this one may differ from it by far less than it differs from independent spins.
    """

    alpha: float | None = None
    estimator: Any = None
    prefer_estimator: bool = False
    n_jobs: int | None = 1
    precise: bool = False
    name: ClassVar[str] = "pair"
    needs_time: ClassVar[bool] = False

    def score(self, samples: Samples, fold: Fold, seed: np.random.SeedSequence) -> Scored:
        """Log-likelihood of each row under the pair model of the others."""
        refit = fit_pairs(
            samples.spins[fold.train],
            fold.train_weight,
            alpha=self.alpha,
            estimator=self.estimator,
            prefer_estimator=self.prefer_estimator,
            seed=seed,
            wanted=None if self.precise else lambda model: self._wanted(model, samples, fold),
            n_jobs=self.n_jobs,
        )
        if not refit.accepted:
            return Scored(np.zeros(len(fold.test)), 0.0, f"the pair model was not fitted: {refit.why_not}")
        return _scored(self.name, refit, samples.spins[fold.test])

    def _wanted(self, model: PairModel, samples: Samples, fold: Fold) -> float:
        """Standard error of the log partition function that is aimed at: no smaller than it helps."""
        return max(WANTED_STD, WANTED_SHARE * self._error_of_gain(model, samples, fold))

    def _error_of_gain(self, model: PairModel, samples: Samples, fold: Fold) -> float:
        """Standard error of the gain over independent spins, without that of the partition function."""
        first = Independent().score(samples, fold, np.random.SeedSequence(0)).values
        gain = -model.energies(samples.spins[fold.test]) - first
        weight = np.ones(len(gain)) if fold.test_weight is None else fold.test_weight
        return mean_with_error(gain, weight, batches_of(samples, fold.test))[1]


@dataclass(frozen=True)
class PopulationCount:
    """Pair couplings, fields and a potential of the number of +1, by maximum likelihood.

    Up to 20 spins by enumeration; above by Monte Carlo, log Z by annealed importance sampling.

    Parameters
    ----------
    alpha : float, optional
        Strength of the penalties of couplings and of third differences of the potential; by default 1/n.
    most_spins : int
        Spins up to which it is fitted; above 20 by Monte Carlo, which takes far longer than the pair model.
    """

    alpha: float | None = None
    most_spins: int = MOST_EXACT_SPINS
    name: ClassVar[str] = "k-pairwise"
    needs_time: ClassVar[bool] = False

    def applies(self, samples: Samples) -> bool:
        """Whether there are not too many spins, and counts beyond those that pairs describe."""
        return 3 <= samples.n_spins <= self.most_spins

    def score(self, samples: Samples, fold: Fold, seed: np.random.SeedSequence) -> Scored:
        """Log-likelihood of each row under the population-count model of the others."""
        refit = fit_counts(samples.spins[fold.train], fold.train_weight, alpha=self.alpha, seed=seed)
        if not refit.accepted:
            return Scored(np.zeros(len(fold.test)), 0.0, f"it was not fitted: {refit.why_not}")
        return _scored(self.name, refit, samples.spins[fold.test])


def doubt(name: str, std: float) -> str:
    """Reason why there is no score of a model whose log partition function has a large standard error."""
    model = {"k-pairwise": "population-count"}.get(name, name)
    if not np.isfinite(std):
        return f"few annealed chains dominate the log partition function of the {model} model"
    return f"the log partition function of the {model} model is known to {std:.2g} nats only"


def _scored(name: str, refit: Refit, rows: SpinArray) -> Scored:
    """Log-likelihoods of rows, unless few chains dominate the log partition function."""
    if not np.isfinite(refit.log_partition_std):
        return Scored(np.zeros(len(rows)), 0.0, doubt(name, refit.log_partition_std))
    return Scored(refit.log_likelihood(rows), refit.log_partition_std)


def independent_counts(share: FloatArray) -> FloatArray:
    """Distribution (n_spins + 1,) of the number of +1 of independent spins, given their shares of +1 (n_spins,)."""
    found = np.ones(1)
    for p in share:
        found = np.convolve(found, [1.0 - p, p])
    return found


@dataclass(frozen=True)
class Kinetic:
    """Kinetic Ising model: each spin logistic in all spins of the row before, couplings not symmetric.

    Parameters
    ----------
    alpha : float, optional
        Strength of the l2 penalty; by default one prior sample, 1/n.
    """

    alpha: float | None = None
    name: ClassVar[str] = "kinetic"
    needs_time: ClassVar[bool] = True

    def score(self, samples: Samples, fold: Fold, seed: np.random.SeedSequence) -> Scored:
        """Log-likelihood of each row given the row before."""
        spins = samples.spins
        first = first_rows(samples)
        train = np.setdiff1d(fold.train, first, assume_unique=True)
        most = max(1000, _MOST_KINETIC_VALUES // samples.n_spins)
        train = train[:: max(1, -(-len(train) // most))]
        work = float(min(len(train), metric_rows(samples.n_spins))) * samples.n_spins**3
        if work > _MOST_KINETIC_WORK:
            why = f"{samples.n_spins:,} regressions on {samples.n_spins:,} spins each would take too long"
            return Scored(np.zeros(len(fold.test)), 0.0, why)
        alpha = 1.0 / len(train) if self.alpha is None else self.alpha
        found = fit_kinetic(Steps(spins, train, n_lags=1), ridge=alpha, tol=_KINETIC_TOLERANCE)
        local = spins[fold.test - 1] @ found.couplings.T + found.fields
        return Scored(-np.logaddexp(0.0, -2.0 * spins[fold.test] * local).sum(axis=1))


def first_rows(samples: Samples) -> IntArray:
    """Indices of the first row of each run, which has no row before it."""
    return np.array([run.start for run in chain_slices(samples.n_rows, samples.chains)])


def fit_pairs(
    rows: SpinArray,
    weight: FloatArray | None,
    *,
    alpha: float | None = None,
    estimator: Any = None,
    prefer_estimator: bool = False,
    seed: np.random.SeedSequence,
    wanted: Callable[[PairModel], float] | None = None,
    n_jobs: int | None = 1,
) -> Refit:
    """Fit the pair model to rows by maximum likelihood, and compute its log partition function.

    Parameters
    ----------
    rows : ndarray of int8, shape (n_rows, n_spins)
    weight : ndarray, shape (n_rows,), optional
    alpha : float, optional
        Strength of the l2 penalty; by default 1/n.
    estimator : estimator, optional
        Used in place of pseudo-likelihood where there are too many spins for maximum likelihood.
    prefer_estimator : bool
        Whether the estimator is taken wherever states cannot be enumerated.
    seed : SeedSequence
    wanted : callable, optional
        Standard error of the log partition function that is wanted for the model as fitted; 0.002 by default.
    n_jobs : int or None
        Threads of the log partition function; results do not depend on it.

    Returns
    -------
    Refit
    """
    n_samples = float(len(rows) if weight is None else weight.sum())
    alpha = 1.0 / n_samples if alpha is None else alpha
    means, second = smoothed_moments(*spin_moments(rows, weight), n_samples)
    # one sample of independent spins was added, so a constant spin has |mean| = n / (n + 1)
    varying = np.flatnonzero(np.abs(means) < 1.0 - 1.5 / (n_samples + 1.0))
    if exactly_possible(len(varying)):
        if len(varying) < 2:
            model = PairModel(np.zeros((len(means),) * 2), np.arctanh(means))
            return Refit(model, float(np.logaddexp(model.fields, -model.fields).sum()), 0.0, True)
        found = fit_exactly(means[varying], second[np.ix_(varying, varying)], alpha, n_samples)
        return with_constants(found, varying, means)
    fit_seed, anneal_seed = seed.spawn(2)
    if len(varying) <= MOST_MONTE_CARLO_SPINS and not (prefer_estimator and estimator is not None):
        fitted = _fit_by_chains(rows, weight, means, second, varying, alpha, n_samples, fit_seed)
    else:
        fitted = _fit_by_estimator(rows, weight, alpha, estimator)
    if not fitted.accepted:
        return fitted
    precision = WANTED_STD if wanted is None else wanted(fitted.model)
    value, std = annealed_log_partition(fitted.model, anneal_seed, precision, n_jobs)
    return dataclasses.replace(fitted, log_partition=value, log_partition_std=std)


def fit_counts(
    rows: SpinArray,
    weight: FloatArray | None,
    *,
    alpha: float | None = None,
    seed: np.random.SeedSequence,
    wanted: float = WANTED_STD,
    exactly: bool | None = None,
) -> Refit:
    """Pairs, fields and a potential of the number of +1 of some rows, with the log partition function.

    Parameters
    ----------
    rows : ndarray of int8, shape (n_rows, n_spins)
    weight : ndarray, shape (n_rows,), optional
    alpha : float, optional
        Strength of the penalties of couplings and of third differences of the potential; by default 1/n.
    seed : SeedSequence
    wanted : float
        Standard error of the log partition function.
    exactly : bool, optional
        Whether states are enumerated; by default up to 20 spins.

    Returns
    -------
    Refit
    """
    n_samples = float(len(rows) if weight is None else weight.sum())
    alpha = 1.0 / n_samples if alpha is None else alpha
    means, second = smoothed_moments(*spin_moments(rows, weight), n_samples)
    seen = np.bincount((rows > 0).sum(axis=1), weight, minlength=len(means) + 1)
    # the moments have one sample of independent spins added; the counts get the same one
    counts = (seen + independent_counts((1.0 + means) / 2.0)) / (n_samples + 1.0)
    if exactly_possible(len(means)) if exactly is None else exactly:
        return fit_exactly(means, second, alpha, n_samples, counts=counts)
    fit_seed, anneal_seed = seed.spawn(2)
    every = np.arange(len(means))  # a spin that never changes is counted too, and has a finite field
    # from the pair model, since Monte Carlo ends before couplings of few rows have come to their maximum, which acts as
    # a penalty: models that end at different distances from it would be compared by that
    pairs = _fit_by_chains(rows, weight, means, second, every, alpha, n_samples, fit_seed)
    start = pairs.model if pairs.accepted else None
    fitted = _fit_by_chains(rows, weight, means, second, every, alpha, n_samples, fit_seed, counts, start)
    if not fitted.accepted:
        return fitted
    value, std = annealed_log_partition(fitted.whole, anneal_seed, wanted)
    return dataclasses.replace(fitted, log_partition=value, log_partition_std=std)


def _fit_by_chains(
    rows: SpinArray,
    weight: FloatArray | None,
    means: FloatArray,
    second: FloatArray,
    varying: IntArray,
    alpha: float,
    n_samples: float,
    seed: np.random.SeedSequence,
    counts: FloatArray | None = None,
    from_model: PairModel | None = None,
) -> Refit:
    """Fit by Monte Carlo maximum likelihood from the moments, with chains started from some of the rows."""
    own, start = seed.spawn(2)
    share = None if weight is None else weight / weight.sum()
    picked = np.random.default_rng(start).choice(len(rows), size=min(_STARTS, len(rows)), p=share)
    found = maximise(
        means[varying],
        second[np.ix_(varying, varying)],
        n_samples,
        alpha,
        seed=own,
        counts=counts,
        smoothness=0.0 if counts is None else alpha,
        states=np.ascontiguousarray(rows[picked][:, varying]),
        start=from_model,
    )
    # a mismatch of z errors of each moment lowers the likelihood of a row by z^2 / 2n for each of them
    cost = found.mismatch**2 * found.terms.size / (2.0 * n_samples)
    near = found.mismatch <= _NEAR or cost <= _NEAR_NATS
    accepted = found.converged or (near and found.acceptance is not None and not found.acceptance.ran_away)
    refit = Refit(
        PairModel(found.couplings, found.fields),
        0.0,
        0.0,
        accepted,
        "" if accepted else found.message.partition(";")[0],
        None if counts is None else found.parameters.potential,
    )
    return with_constants(refit, varying, means)


def _fit_by_estimator(rows: SpinArray, weight: FloatArray | None, alpha: float, estimator: Any) -> Refit:
    """Fit the given estimator, or pseudo-likelihood; accepted where it converged."""
    model = clone(estimator) if estimator is not None else PseudoLikelihood(alpha=alpha)
    if "errors" in model.get_params():
        model.set_params(errors=False)
    with collected_warnings(), libraries_silenced():  # the fit to all rows has given its warnings already
        model.fit(rows, sample_weight=weight)
    converged = bool(getattr(model, "converged_", True))
    return Refit(PairModel.of(model), 0.0, 0.0, converged, "" if converged else "it did not converge")
