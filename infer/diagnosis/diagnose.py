"""Is an equilibrium model with pair couplings good enough for a recording? All checks, and one verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from infer.diagnosis.adequacy import Adequacy, check_observed, goodness_of_fit
from infer.diagnosis.blocks import FEWEST_BLOCKS, collective_observables, time_blocks
from infer.diagnosis.drift import Drift, drift_test
from infer.diagnosis.held_out import N_FOLDS, HeldOut, held_out_scores
from infer.diagnosis.time_reversal import LAGS, TimeReversal, time_reversal_test
from infer.files.json import to_plain_dict
from infer.model import PairModel
from infer.samples import Samples
from infer.similarity.replicates import blas_threads
from infer.wording import join, number, p_text

__all__ = ["Check", "Diagnosis", "diagnose"]

#: Rows that a block needs beyond the longest lag.
_ROWS_BEYOND_LAG = 4


@dataclass(frozen=True)
class Check:
    """One check of a :class:`Diagnosis`.

    Attributes
    ----------
    name : str
    statistic : str
        What ``value`` is.
    value : float
    p_value : float
        Chance of a value as far off if the model were right.
    passed : bool
        Whether the p-value survives Holm's correction for the number of checks.
    """

    name: str
    statistic: str
    value: float
    p_value: float
    passed: bool


@dataclass(frozen=True, eq=False, repr=False)
class Diagnosis:
    """What :func:`diagnose` found.

    Attributes
    ----------
    checks : tuple of Check
        Means, correlations, third moments (of three spins or more), number of +1, energy, held-out score, and, where
        rows are in time order, time reversal and drift.
    adequate : bool
        Whether all checks passed.
    adequacy : Adequacy
        Moments, number of +1 and energies against samples of the fitted model.
    held_out : HeldOut
        Log-likelihood of held-out rows under independent, pairwise and kinetic models.
    time_reversal : TimeReversal or None
        None where the rows carry no time order, or are too few.
    drift : Drift or None
        Likewise.
    without_time : str
        Why time reversal and drift were not judged; empty where they were.
    level : float
        Rate of false alarms of all checks together.
    n_samples, n_spins : int
    verdict : str
        One line built from these numbers.
    """

    checks: tuple[Check, ...]
    adequate: bool
    adequacy: Adequacy
    held_out: HeldOut
    time_reversal: TimeReversal | None
    drift: Drift | None
    without_time: str
    level: float
    n_samples: int
    n_spins: int

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON: NaN becomes None, infinity "inf".

        Returns
        -------
        dict
        """
        return to_plain_dict(self)

    def summary(self) -> str:
        """The checks as a table for a terminal, and all verdicts.

        Returns
        -------
        str
        """
        return _summary(self)

    def __repr__(self) -> str:
        """The verdict."""
        return f"Diagnosis(adequate={self.adequate}, {self.verdict!r})"

    @property
    def verdict(self) -> str:
        """One line: which checks an equilibrium model with pair couplings fails, all of them taken together."""
        return _verdict(self)


def diagnose(
    model: Any,
    X: Any,
    *,
    fields: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    chains: ArrayLike | None = None,
    ordered: bool | None = None,
    adequacy: Adequacy | None = None,
    n_folds: int = N_FOLDS,
    level: float = 0.05,
    random_state: int = 0,
    n_jobs: int | None = 1,
) -> Diagnosis:
    """Judge whether an equilibrium model with pair couplings is good enough for samples.

    Eight checks, each with a null distribution: means, connected correlations, third cumulants, distribution of the
    number of +1 and of the energy against samples of the model (:func:`infer.diagnosis.adequacy.goodness_of_fit`);
    log-likelihood of held-out rows, which should not be below that of independent spins
    (:func:`infer.diagnosis.held_out.held_out_scores`, which also scores an asymmetric kinetic Ising model); and for
    rows in time order, whether the record can be told from its reversal, with a lower bound of the entropy production
    (:func:`infer.diagnosis.time_reversal.time_reversal_test`), and whether it drifts
    (:func:`infer.diagnosis.drift.drift_test`). The verdict counts a check as failed when its p-value is too small
    after Holm's correction (1979) for the number of checks.

    Parameters
    ----------
    model : fitted estimator, or array (n_spins, n_spins)
        Gives ``couplings_`` and ``fields_``, which contain the inverse temperature. An estimator is cloned and fitted
        again for the held-out score; an array is taken as it is.
    X : array (n_rows, n_spins) of +-1, Dataset from ``simulate.sample``, or Recording
        The rows of an array, and of each chain of a Dataset, are taken to be in time order.
    fields : array (n_spins,), optional
        With an array as ``model``; zero by default.
    counts : array of int (n_rows,), optional
        How often each row was seen; such rows have no order in time.
    chains : array of int (n_rows,), optional
        The time-ordered run that each row belongs to.
    ordered : bool, optional
        False for rows in no order, whatever they came in. Default: as described above; a Recording knows.
    adequacy : Adequacy, optional
        That of the same model and samples, if already known.
    n_folds : int
        Folds of the held-out score, at least 2.
    level : float
        Rate of false alarms of all checks together, and of time reversal and drift each by itself.
    random_state : int
        Seed of everything drawn.
    n_jobs : int or None
        Threads for the chains of the model; the result does not depend on it.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ValueError
        If couplings, fields, spins, counts or chains are malformed, do not fit each other, or there are fewer than 16
        samples.

    Notes
    -----
    Checks of means and correlations err on the safe side, because the model was fitted to them. Time reversal and
    drift cannot be judged without 12 blocks of 8 rows in time order.

    References
    ----------
    Holm 1979, Scand. J. Statist. 6, 65; the others are given with each check.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import PseudoLikelihood, diagnose
    >>> spins = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), size=(500, 5))
    >>> diagnose(PseudoLikelihood(alpha=0.01).fit(spins), spins).adequate
    True
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    if n_folds < 2:
        raise ValueError(f"n_folds must be at least 2, got {n_folds}")
    estimator = model if hasattr(model, "fit") else None
    pairs = PairModel.of(model, fields)
    couplings, field = pairs.couplings, pairs.fields
    rows, number, runs = check_observed(X, counts, chains, len(couplings))
    if ordered is None:
        ordered = Samples.of(X, counts, chains=chains).ordered
    if ordered and number is not None:
        raise ValueError("ordered: rows with counts have no order in time")
    model_seed, fold_seed, reversal_seed, drift_seed = np.random.SeedSequence(random_state).spawn(4)
    if adequacy is None:
        adequacy = goodness_of_fit(
            couplings,
            rows,
            fields=field,
            counts=number,
            chains=runs if ordered else None,
            random_state=int(model_seed.generate_state(1)[0]),
            n_jobs=n_jobs,
        )
    time_reversal, drift, without_time = None, None, ""
    with blas_threads(len(couplings)):
        held_out = held_out_scores(
            estimator, couplings, field, rows, number, runs, ordered=ordered, n_folds=n_folds, seed=fold_seed
        )
        if not ordered:
            without_time = "the rows carry no time order"
        else:
            observables = collective_observables(rows, couplings, field)
            blocks = time_blocks(observables, runs, max(LAGS) + _ROWS_BEYOND_LAG)
            if blocks is None:
                least = FEWEST_BLOCKS * (max(LAGS) + _ROWS_BEYOND_LAG)
                without_time = f"{len(rows)} rows are too few for {FEWEST_BLOCKS} blocks (at least {least} are needed)"
            else:
                time_reversal = time_reversal_test(rows, observables, blocks, level=level, seed=reversal_seed)
                drift = drift_test(rows, observables, blocks, level=level, seed=drift_seed)
    checks = _checks(adequacy, held_out, time_reversal, drift, level)
    return Diagnosis(
        checks=checks,
        adequate=all(check.passed for check in checks),
        adequacy=adequacy,
        held_out=held_out,
        time_reversal=time_reversal,
        drift=drift,
        without_time=without_time,
        level=level,
        n_samples=adequacy.n_samples,
        n_spins=len(couplings),
    )


def _checks(
    adequacy: Adequacy, held_out: HeldOut, time_reversal: TimeReversal | None, drift: Drift | None, level: float
) -> tuple[Check, ...]:
    """All checks with their p-values, and which of them fail together."""
    score = "rms difference / error"
    found: list[tuple[str, str, float, float]] = [
        (name, score, group["rms_z"], group["p_value"]) for name, group in adequacy.moments.items()
    ]
    for name, shape in (("number of +1", adequacy.sum_of_spins), ("energy", adequacy.energies)):
        found.append((name, f"{score}, shares in bins", shape["rms_z"], shape["p_value"]))
    gain = held_out.differences["pairwise - independent"]
    found.append(("held-out score", "gain on independent / error", gain["z"], gain["p_value"]))
    for name, statistic, test in (("time reversal", "rms asymmetry / error", time_reversal), ("drift", score, drift)):
        if test is not None:
            worst = min(test.p_values, key=test.p_values.__getitem__)
            found.append((name, statistic, test.rms_z[worst], test.p_value))
    passed = holm([p for *_, p in found], level)
    return tuple(Check(*values, passed=ok) for values, ok in zip(found, passed, strict=True))


def holm(p_values: list[float], level: float) -> NDArray[np.bool_]:
    """Which null hypotheses stand after Holm's step-down correction."""
    order = np.argsort(p_values, kind="stable")
    stands = np.ones(len(p_values), dtype=bool)
    for place, k in enumerate(order):
        if p_values[k] > level / (len(p_values) - place):
            break
        stands[k] = False
    return stands


def _verdict(found: Diagnosis) -> str:
    """One line: which checks an equilibrium model with pair couplings fails, all of them taken together."""
    failed = [check for check in found.checks if not check.passed]
    n, together = len(found.checks), f"level {found.level:g} for all checks together"
    if not failed:
        text = f"An equilibrium model with pair couplings is good enough for these samples: it passes all {n} checks"
    else:
        names = join([f"{check.name} ({p_text(check.p_value)})" for check in failed])
        text = f"An equilibrium model with pair couplings is not good enough: it fails {len(failed)} of {n} checks, "
        text += names
    text += f" ({together})."
    if any(check.name in ("means", "correlations", "energy") for check in failed):
        text += " Means, correlations and with them the energy are what is fitted: where they fail, look at the penalty"
        text += " and at the number of samples before the form of the model."
    if found.time_reversal is None:
        text += f" Time reversal and drift were not judged: {found.without_time}."
    return text


def _summary(found: Diagnosis) -> str:
    """Table of the checks for a terminal."""
    lines = [
        f"Is an equilibrium pairwise model good enough? ({found.n_samples:,} samples of {found.n_spins} spins)",
        f"  {'check':<22} {'statistic':<34} {'value':>10} {'p':>8}  outcome",
    ]
    for check in found.checks:
        outcome = "passes" if check.passed else "FAILS"
        lines.append(
            f"  {check.name:<22} {check.statistic:<34} {number(check.value):>10} {check.p_value:>8.4f}  {outcome}"
        )
    parts = [found.held_out.verdict]
    parts += [part.verdict for part in (found.time_reversal, found.drift) if part is not None]
    return "\n".join([*lines, f"  {found.verdict}", *(f"  {part}" for part in parts)])
