"""Three claims about samples: the gain of pair couplings, deviations of the pair model, and constancy over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from infer.count_model import pairs_only
from infer.diagnosis import adequacy_result
from infer.diagnosis.adequacy import Adequacy, adequacy_of, check_samples
from infer.diagnosis.blocks import FEWEST_BLOCKS, collective_observables, time_blocks
from infer.diagnosis.candidates import Independent, Kinetic, Pair, PopulationCount, fit_pairs
from infer.diagnosis.check import nats, spin_name
from infer.diagnosis.comparison import SIGMAS, ModelComparison, held_out_scores
from infer.diagnosis.drift import Drift, drift_test
from infer.diagnosis.independence import Independence, independence_test
from infer.diagnosis.model_checks import CHECKS, SampledModel
from infer.diagnosis.multi_information import CORRECTION, MultiInformation, multi_information
from infer.diagnosis.refit import exactly_possible
from infer.diagnosis.time_reversal import LAGS, TimeReversal, time_reversal_test
from infer.estimators.likelihood.enumeration import enumerate_states
from infer.files.json import plain, to_plain_dict
from infer.model import PairModel
from infer.samples import Samples
from infer.statistics.folds import N_FOLDS
from infer.wording import join, p_text
from simulate.checks import Seed, seed_sequence
from simulate.threads import one_thread_for_few_spins

__all__ = ["CheckResult", "Diagnosis", "diagnose"]

#: Rows that a block needs in addition to the longest lag.
_ROWS_BEYOND_LAG = 4
_MOST_NAMED = 3


@dataclass(frozen=True)
class CheckResult:
    """A check as a line of a table.

    Attributes
    ----------
    name : str
    judges : str
        "fit", "model" or "dynamics".
    p_value : float
        Probability of a deviation as large if the judged fit, model or dynamics were right.
    effect : str
        The largest deviation in plain words.
    passed : bool or None
        None where it was not judged. Checks of the model are corrected for their number by Holm's procedure.
    """

    name: str
    judges: str
    p_value: float
    effect: str
    passed: bool | None


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
    """Result of :func:`diagnose`.

    Attributes
    ----------
    held_out : ModelComparison
        Log-likelihood of held-out rows under independent spins, pair couplings, a population-count model (up to 20
        spins) and, in time order, a kinetic model.
    independence : Independence or None
        The test of independent spins; None where the gain of couplings answers the question.
    information : MultiInformation or None
        Share of the multi-information that pairs explain; up to 20 spins.
    adequacy : Adequacy
        Moments, number of +1 and energies against draws of the fitted model.
    time_reversal : TimeReversal or None
        None where it was not judged.
    drift : Drift or None
        None where it was not judged.
    without_time : str
        Reason why time reversal and drift were not judged; empty where they were.
    converged : bool
        Whether the fit of the model converged (its ``converged_``); True for couplings that were given.
    why_not : str
        Reason why it did not, where the estimator states one (its ``message_``).
    false_alarms : float
        Rate of false alarms of all checks of the model together, and of time reversal and of drift each.
    n_samples, n_spins : int
    names : tuple of str, or None
        Names of the spins.
    """

    held_out: ModelComparison
    independence: Independence | None
    information: MultiInformation | None
    adequacy: Adequacy
    time_reversal: TimeReversal | None
    drift: Drift | None
    without_time: str
    converged: bool
    why_not: str
    false_alarms: float
    n_samples: int
    n_spins: int
    names: tuple[str, ...] | None

    @property
    def gains(self) -> dict[str, tuple[float, float]]:
        """Nats per held-out row, and standard error, of "pair - independent", "kinetic - pair", ..."""
        return self.held_out.gains

    @property
    def couplings_needed(self) -> bool | None:
        """True where couplings predict held-out rows better, False where independence of the spins is not rejected.

        None where independence is rejected but there are too few rows to estimate the couplings, or was not judged.
        """
        gain = self.gains.get("pair - independent")
        if gain is None:
            return None
        if gain[0] > SIGMAS * gain[1]:
            return True
        return None if self.independence is None or self.independence.rejected else False

    @property
    def accepted(self) -> bool:
        """Whether the fit was accepted, so that claims can rest on it."""
        return self.converged and not self.adequacy.refused

    @property
    def judged(self) -> bool:
        """Whether deviations of the pair model were judged."""
        return self.accepted and self.adequacy.mixed and bool(self.adequacy.model_checks)

    @property
    def missed(self) -> tuple[str, ...]:
        """Names of the checks of the model that fail; empty also where the model was not `judged`."""
        return self.adequacy.failed(self.false_alarms) if self.judged else ()

    @property
    def stationary(self) -> bool | None:
        """Whether the record is stationary; None where that was not judged."""
        return None if self.drift is None else self.drift.stationary

    @property
    def reversible(self) -> bool | None:
        """Whether the record cannot be told from its time reversal; None where that was not judged."""
        return None if self.time_reversal is None else self.time_reversal.reversible

    @property
    def checks(self) -> tuple[CheckResult, ...]:
        """All checks as lines of a table."""
        return _checks(self)

    @property
    def claims(self) -> dict[str, str]:
        """The three claims: "couplings", "model" and "time"."""
        return {"couplings": _couplings_claim(self), "model": _model_claim(self), "time": _time_claim(self)}

    @property
    def verdict(self) -> str:
        """The three claims, one after the other."""
        return " ".join(self.claims.values())

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON: NaN becomes None, infinity "inf".

        Returns
        -------
        dict
        """
        answers = ("couplings_needed", "missed", "stationary", "reversible", "gains", "claims", "verdict")
        return to_plain_dict(self) | {name: plain(getattr(self, name)) for name in answers}

    def summary(self) -> str:
        """The claims and checks for a terminal.

        Returns
        -------
        str
        """
        return _summary(self)

    def __repr__(self) -> str:
        """The answers."""
        return (
            f"Diagnosis(couplings_needed={self.couplings_needed}, missed={self.missed}, "
            f"stationary={self.stationary}, reversible={self.reversible})"
        )


def diagnose(
    model: Any,
    X: Any,
    *,
    fields: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    chains: ArrayLike | None = None,
    ordered: bool | None = None,
    n_folds: int = N_FOLDS,
    false_alarms: float = 0.05,
    seed: Seed = 0,
    n_jobs: int | None = 1,
) -> Diagnosis:
    """Judge samples and a model of them: three separate claims, each with the size of the effect.

    1. Gain of pair couplings: log-likelihood of held-out rows under pair couplings, fitted anew by maximum likelihood,
       against independent spins. Where there is no gain, a test of independence tells whether the spins are
       independent, or there are too few rows to estimate their couplings.
    2. Deviations of the pair model: third moments, the number of +1 and the energy of the rows against draws of the
       fitted model (:func:`infer.diagnosis.adequacy.goodness_of_fit`).
    3. Constancy over time: drift inside runs and from run to run, and time reversal.

    Parameters
    ----------
    model : fitted estimator, PairModel, or array (n_spins, n_spins)
        Couplings and fields, which contain the inverse temperature.
    X : array (n_rows, n_spins) of +-1, Dataset from ``simulate.sample``, Recording or Samples
        The rows of an array, and of each chain of a Dataset, are taken to be in time order.
    fields : array (n_spins,), optional
        Fields that go with an array as ``model``; zero by default.
    sample_weight : array (n_rows,), optional
        Count or weight of each row; such rows have no order in time.
    chains : array of int (n_rows,), optional
        The time-ordered run that each row belongs to.
    ordered : bool, optional
        False for rows in no order in time. By default as described above, or as the Recording states.
    n_folds : int
        Folds of the held-out score, at least 2.
    false_alarms : float
        Rate of false alarms of all checks of the model together, and of time reversal and drift each.
    seed : int, SeedSequence, Generator or None
        Seed of all random draws.
    n_jobs : int or None
        Threads for the chains of the model; the result does not depend on it.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ValueError
        If couplings, fields, samples, weights or chains are malformed, do not fit each other, there are fewer than 16
        samples, or the model has a potential of the number of +1.

    Notes
    -----
    Claims that depend on the fit are withheld where it did not converge, where it does not reproduce the means and
    correlations of the samples, and where chains of the model do not agree.

    References
    ----------
    Schneidman, Berry, Segev, Bialek 2006, Nature 440, 1007 (multi-information); Holm 1979, Scand. J. Statist. 6, 65;
    further sources are given with each check.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import PseudoLikelihood, diagnose
    >>> spins = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), size=(500, 5))
    >>> diagnose(PseudoLikelihood(alpha=0.01).fit(spins), spins)
    Diagnosis(couplings_needed=False, missed=(), stationary=True, reversible=True)
    """
    if not 0.0 < false_alarms < 1.0:
        raise ValueError(f"false_alarms must be between 0 and 1, got {false_alarms}")
    if n_folds < 2:
        raise ValueError(f"n_folds must be at least 2, got {n_folds}")
    pairs = pairs_only(model, fields, "diagnose")
    samples = check_samples(Samples.of(X, sample_weight, chains=chains, ordered=ordered), pairs.n_spins)
    model_seed, fold_seed, shift_seed, reversal_seed, drift_seed, fit_seed = seed_sequence(seed).spawn(6)
    sampled = SampledModel(pairs.couplings, pairs.fields)
    adequacy = adequacy_of(sampled, samples, model_seed, n_jobs=n_jobs)
    with one_thread_for_few_spins(pairs.n_spins):
        alpha = getattr(model, "alpha_", None)
        # with many simulated spins the estimator of the fit is as accurate as Monte Carlo maximum likelihood, and
        # faster
        pair = Pair(alpha, model if hasattr(model, "get_params") else None, samples.simulated, n_jobs)
        candidates = (Independent(), pair, PopulationCount(alpha), Kinetic())
        held_out = held_out_scores(samples, candidates, n_folds=n_folds, seed=fold_seed)
        gain = held_out.gains.get("pair - independent")
        independence = None
        if gain is not None and gain[0] <= SIGMAS * gain[1] and _countable(samples):
            counts = None if samples.weights is None else np.rint(samples.weights).astype(np.int64)
            independence = independence_test(samples.spins, counts=counts, ordered=samples.ordered, seed=shift_seed)
        information = _information(samples, fit_seed)
        reversal, drift, without_time = _in_time(samples, pairs, false_alarms, reversal_seed, drift_seed)
    return Diagnosis(
        held_out=held_out,
        independence=independence,
        information=information,
        adequacy=adequacy,
        time_reversal=reversal,
        drift=drift,
        without_time=without_time,
        converged=bool(getattr(model, "converged_", True)),
        why_not=str(getattr(model, "message_", "")).partition(";")[0],
        false_alarms=false_alarms,
        n_samples=round(samples.n_samples),
        n_spins=pairs.n_spins,
        names=samples.names,
    )


def _countable(samples: Samples) -> bool:
    """Whether rows can be resampled: without weights, or with counts."""
    return samples.weights is None or samples.weight_kind == "counts"


def _information(samples: Samples, seed: np.random.SeedSequence) -> MultiInformation | None:
    """Share of the multi-information; None where states cannot be enumerated."""
    spins = samples.spins
    varying = np.flatnonzero(spins.min(axis=0) != spins.max(axis=0))
    if len(varying) < 2 or not exactly_possible(len(varying)):
        return None
    rows = spins[:, varying]
    found = fit_pairs(rows, samples.weight, seed=seed)
    if not found.accepted:
        return None
    p = enumerate_states(found.model.couplings, found.model.fields).probability
    entropy = float(-np.sum(p[p > 0] * np.log(p[p > 0])))
    n_pairs = len(varying) * (len(varying) - 1) // 2
    return multi_information(rows, samples.weight, samples.n_samples, entropy, n_pairs)


def _in_time(
    samples: Samples,
    pairs: PairModel,
    false_alarms: float,
    reversal_seed: np.random.SeedSequence,
    drift_seed: np.random.SeedSequence,
) -> tuple[TimeReversal | None, Drift | None, str]:
    """Time reversal and drift, where rows are in time order and there are enough blocks."""
    if not samples.ordered or samples.weights is not None:
        return None, None, "the rows carry no time order"
    observables = collective_observables(samples.spins, pairs.couplings, pairs.fields)
    least = max(LAGS) + _ROWS_BEYOND_LAG
    long, short = (time_blocks(observables, samples.chains, length) for length in (least, 1))
    reversal = drift = None
    without = ""
    if long is not None:
        reversal = time_reversal_test(
            samples.spins, observables, long, false_alarms=false_alarms, seed=reversal_seed, names=samples.names
        )
    else:
        without = f"there are fewer than {FEWEST_BLOCKS} blocks of {least} rows"
    if short is not None:
        drift = drift_test(
            samples.spins, observables, short, false_alarms=false_alarms, seed=drift_seed, names=samples.names
        )
    return reversal, drift, without


def _checks(found: Diagnosis) -> tuple[CheckResult, ...]:
    """All checks as lines of a table."""
    judges = {kind.name: judged for kind, judged in CHECKS.items()}
    failed = found.adequacy.failed(found.false_alarms)
    lines = []
    for name, check in found.adequacy.checks.items():
        passed: bool | None = found.adequacy.fit.accepted and found.converged
        if not (passed or found.adequacy.refused or not found.converged):
            passed = None
        if judges[name] != "fit":
            passed = name not in failed if found.judged else None
        lines.append(CheckResult(name, judges[name], check.p_value, check.effect, passed))
    if found.time_reversal is not None:
        reversal = found.time_reversal
        lines.append(CheckResult("time reversal", "dynamics", reversal.p_value, reversal.effect, found.reversible))
    if found.drift is not None:
        lines.append(CheckResult("drift", "dynamics", found.drift.p_value, found.drift.effect, found.stationary))
    return tuple(lines)


def _couplings_claim(found: Diagnosis) -> str:
    """Sentences on whether pair couplings pay."""
    gain = found.gains.get("pair - independent")
    if gain is None:
        why = found.held_out.withheld.get("pair", "there is no held-out score")
        return f"Whether pair couplings pay was not judged: {why}."
    size = f"{nats(*gain)} nats per row"
    if found.couplings_needed:
        text = f"Pair couplings pay: they predict held-out rows better than independent spins, by {size}."
        share = found.information
        if share is not None and not share.withheld:
            text += f" They explain {100 * share.share:.0f} % of the multi-information"
            text += f" (entropies with {CORRECTION} correction)."
        return text
    test = found.independence
    if test is None:
        why = f"no gain on held-out rows ({size}), and no test of independence for weighted rows"
        return f"Whether pair couplings pay was not judged: {why}."
    if test.rejected:
        text = (
            "Couplings exist, but there are too few rows to estimate them all: no gain on held-out rows "
            f"({size}), yet the spins are not independent ({p_text(test.p_value)})."
        )
        if len(test.pairs):
            named = [f"{spin_name(found, i)} with {spin_name(found, j)}" for i, j in test.pairs[:_MOST_NAMED]]
            more = len(test.pairs) - len(named)
            text += f" Pairs that stand out: {join(named)}" + (f", and {more:,} more." if more else ".")
        return text
    return (
        f"These rows say nothing against independent spins: couplings gain nothing on held-out rows ({size}), and pair "
        f"correlations are no larger than those of independent spins ({p_text(test.p_value)})."
    )


def _model_claim(found: Diagnosis) -> str:
    """Sentences on the deviations of the pair model."""
    if not found.converged:
        why = f": {found.why_not}" if found.why_not else ""
        return f"What the pair model misses was not judged: its fit did not converge{why}."
    return adequacy_result.verdict(found.adequacy, found.false_alarms)


def _time_claim(found: Diagnosis) -> str:
    """Sentences on drift and time reversal."""
    if found.time_reversal is None and found.drift is None:
        return f"Drift and time reversal were not judged: {found.without_time}."
    parts = [part.verdict for part in (found.drift, found.time_reversal) if part is not None]
    if found.time_reversal is None:
        parts.append(f"Time reversal was not judged: {found.without_time}.")
    return " ".join(parts)


def _summary(found: Diagnosis) -> str:
    """Claims and table of the checks for a terminal."""
    outcomes = {True: "passes", False: "FAILS", None: "not judged"}
    lines = [f"{found.n_samples:,} samples of {found.n_spins:,} spins"]
    lines += [f"  {claim}" for claim in found.claims.values()]
    lines.append(f"  {'check':<24} {'judges':<9} {'p':>8}  {'outcome':<11} largest deviation")
    for check in found.checks:
        chance = p_text(check.p_value).removeprefix("p ").removeprefix("= ")
        lines.append(f"  {check.name:<24} {check.judges:<9} {chance:>8}  {outcomes[check.passed]:<11} {check.effect}")
    return "\n".join(lines)
