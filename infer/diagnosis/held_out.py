"""How well models predict rows that they were not fitted to: independent spins, pair couplings, kinetic Ising."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize

from infer.estimators.base import without_errors
from infer.estimators.likelihood.partition import log_partition
from infer.files.json import to_plain_dict
from infer.model import PairModel
from infer.statistics.batches import batch_labels
from infer.wording import number

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

N_FOLDS = 4
#: Samples above which one fold is enough: a quarter of them tells the score to a few thousandths.
_MANY_SAMPLES = 40_000
_BLOCKS_A_FOLD = 5
_FEWEST_TRAINING = 8
_KINETIC_ITERATIONS = 60
_CHUNK_ROWS = 16_384


@dataclass(frozen=True, eq=False, repr=False)
class HeldOut:
    """What :func:`held_out_scores` found. Scores are mean log-likelihoods per sample, in nats.

    Attributes
    ----------
    scores, scores_std : dict of float
        "independent" spins, "pairwise" (the model that is judged, fitted again), and, where the rows are in time order,
        "kinetic Ising": the probability of a row given the row before.
    differences : dict of dict
        "pairwise - independent" and "kinetic Ising - pairwise": ``difference`` (nats per sample), ``std``, ``z`` and
        ``p_value`` (one-sided: the chance that pairwise is worse than independent by as much, and that kinetic is
        better than pairwise by as much, if they were equally good).
    n_folds, n_samples : int
        Folds evaluated, and rows that scores are taken over.
    refitted : bool
        Whether the pairwise model was fitted anew without the rows that it is judged by.
    note : str
        What to know about these scores, or why there are none.
    verdict : str
        One sentence built from these numbers.
    """

    scores: dict[str, float]
    scores_std: dict[str, float]
    differences: dict[str, dict[str, float]]
    n_folds: int
    n_samples: int
    refitted: bool
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON; NaN becomes None, infinity "inf"."""
        return to_plain_dict(self)

    def __repr__(self) -> str:
        """The verdict."""
        return f"HeldOut({self.verdict!r})"

    @property
    def verdict(self) -> str:
        """One sentence on how pair couplings do against independent spins, and against the row before."""
        return _verdict(self)


def held_out_scores(
    estimator: Any,
    couplings: FloatArray,
    fields: FloatArray,
    rows: NDArray[np.int8],
    counts: IntArray | None,
    chains: IntArray | None,
    *,
    ordered: bool,
    n_folds: int = N_FOLDS,
    seed: np.random.SeedSequence,
) -> HeldOut:
    r"""Score held-out rows under three normalised models that were fitted to the other rows.

    - independent: :math:`\prod_i p_i(s_i)`, the means of the spins with half a sample of either sign added;
    - pairwise: :math:`e^{-E(s)}/Z`, with Z by enumeration or annealed importance sampling, whose error is included;
    - kinetic Ising: :math:`\prod_i p(s_i(t+1) | s(t))`, logistic in all spins of the row before, the couplings not
      symmetric, fitted by maximum likelihood with an l2 penalty of the same strength as the pairwise model's.

    Folds are made of contiguous blocks of rows, so that neighbours in time stay together; rows with counts are dealt
    out at random. The first row of a block has no row before it and is left out of all scores.

    Parameters
    ----------
    estimator : estimator or None
        Cloned and fitted again in every fold; None keeps ``couplings`` and ``fields`` as they are.
    couplings, fields : ndarray (n_spins, n_spins), (n_spins,)
    rows, counts, chains : ndarray
        Spins of +-1, how often each row was seen, and the run it belongs to.
    ordered : bool
        Whether rows are in time order.
    n_folds : int
        Of more than 40,000 samples only the first fold is evaluated.
    seed : SeedSequence

    Returns
    -------
    HeldOut

    Notes
    -----
    The kinetic score counts what the row before knows, the pairwise score what the other spins of the same row know.
    A kinetic model that wins shows memory, which equilibrium dynamics have too; only the time-reversal test tells
    whether the memory has a direction.

    References
    ----------
    Roudi, Hertz 2011, Phys. Rev. Lett. 106, 048702 (kinetic Ising); Neal 2001, Statistics and Computing 11, 125 (Z).
    """
    n_samples = len(rows) if counts is None else int(counts.sum())
    n_folds = min(n_folds, max(2, n_samples // _FEWEST_TRAINING))
    kinetic = ordered and counts is None
    deal_seed, partition_seed = seed.spawn(2)
    notes = []
    gains: dict[str, list[FloatArray]] = {name: [] for name in ("independent", "pairwise", "kinetic Ising")}
    weights: list[FloatArray] = []
    partition_variance = 0.0
    n_evaluated = 1 if n_samples > _MANY_SAMPLES else n_folds
    # each fold has random numbers of its own: the errors of Z are added up as independent ones
    partition_seeds = partition_seed.generate_state(n_evaluated)
    folds = contiguous_folds(rows, counts, chains, ordered, n_folds, n_evaluated, deal_seed)
    for fold, fold_seed in zip(folds, partition_seeds, strict=True):
        train, train_weight = fold.train, fold.train_weight
        model_couplings, model_fields, alpha = couplings, fields, 1.0 / len(train)
        if estimator is not None:
            model = without_errors(estimator)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the fit to all rows has said what there is to say
                model.fit(train, sample_weight=train_weight)
            model_couplings, model_fields = np.asarray(model.couplings_), np.asarray(model.fields_)
            alpha = float(getattr(model, "alpha_", 0.0) or alpha)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            partition = log_partition(model_couplings, model_fields, random_state=int(fold_seed))
        notes += [str(item.message) for item in caught]
        partition_variance += partition.std**2 / n_evaluated**2
        test = fold.test
        gains["independent"].append(_independent(train, train_weight, test))
        gains["pairwise"].append(-PairModel(model_couplings, model_fields).energies(test) - partition.value)
        weights.append(np.ones(len(test)) if fold.test_weight is None else fold.test_weight)
        if kinetic:
            couplings_kinetic = fit_kinetic(fold.before, fold.after, alpha)
            gains["kinetic Ising"].append(kinetic_log_likelihood(fold.test_before, test, couplings_kinetic))
    if not kinetic:
        gains.pop("kinetic Ising")
    together = {name: np.concatenate(parts) for name, parts in gains.items()}
    weight = np.concatenate(weights)
    batches = _score_batches(weight, ordered and counts is None)
    scores, scores_std = {}, {}
    for name, values in together.items():
        mean, std, _ = _mean_with_error(values, weight, batches)
        extra = partition_variance if name == "pairwise" else 0.0
        scores[name], scores_std[name] = mean, math.sqrt(std**2 + extra)
    differences = {"pairwise - independent": ("pairwise", "independent", -1.0)}
    if kinetic:
        differences["kinetic Ising - pairwise"] = ("kinetic Ising", "pairwise", 1.0)
    found = {
        name: _difference(together[a] - together[b], weight, batches, partition_variance, sign)
        for name, (a, b, sign) in differences.items()
    }
    if estimator is None:
        notes.append(
            "the couplings were given, not fitted again: these scores are held out only if they come from other samples"
        )
    return HeldOut(
        scores=scores,
        scores_std=scores_std,
        differences=found,
        n_folds=n_evaluated,
        n_samples=round(float(weight.sum())),
        refitted=estimator is not None,
        note="; ".join(dict.fromkeys(notes)),
    )


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows to fit and rows to judge by; pairs of successive rows of both, where the rows are in time order."""

    train: NDArray[np.int8]
    train_weight: FloatArray | None
    test: NDArray[np.int8]
    test_weight: FloatArray | None
    before: NDArray[np.int8]
    after: NDArray[np.int8]
    test_before: NDArray[np.int8]


def contiguous_folds(
    rows: NDArray[np.int8],
    counts: IntArray | None,
    chains: IntArray | None,
    ordered: bool,
    n_folds: int,
    n_evaluated: int,
    seed: np.random.SeedSequence,
) -> Iterator[Fold]:
    """The first ``n_evaluated`` of ``n_folds`` folds: blocks of rows in time order, else rows or samples at random."""
    rng = np.random.default_rng(seed)
    none = rows[:0]
    if counts is not None:
        left = counts.astype(np.int64)
        for fold in range(n_evaluated):
            dealt = rng.binomial(left, 1.0 / (n_folds - fold))
            left = left - dealt
            rest, held = counts - dealt, dealt > 0
            kept = rest > 0
            yield Fold(rows[kept], rest[kept].astype(float), rows[held], dealt[held].astype(float), none, none, none)
        return
    if not ordered:
        place = rng.permutation(len(rows)) % n_folds
        for fold in range(n_evaluated):
            yield Fold(rows[place != fold], None, rows[place == fold], None, none, none, none)
        return
    n_blocks = min(n_folds * _BLOCKS_A_FOLD, len(rows) // 2)
    labels = batch_labels(len(rows), chains, n_batches=n_blocks)
    place = labels % n_folds
    follows = np.concatenate([[False], labels[1:] == labels[:-1]])
    for fold in range(n_evaluated):
        train, test = place != fold, (place == fold) & follows
        pairs = np.flatnonzero(train & follows)
        judged = np.flatnonzero(test)
        yield Fold(rows[train], None, rows[judged], None, rows[pairs - 1], rows[pairs], rows[judged - 1])


def _independent(train: NDArray[np.int8], weight: FloatArray | None, test: NDArray[np.int8]) -> FloatArray:
    """Log-likelihood of each test row under independent spins."""
    total = float(len(train) if weight is None else weight.sum())
    up = (train > 0).sum(axis=0) if weight is None else weight @ (train > 0)
    share = (up + 0.5) / (total + 1.0)
    return (test > 0) @ np.log(share) + (test < 0) @ np.log1p(-share)


def fit_kinetic(before: NDArray[np.int8], after: NDArray[np.int8], alpha: float) -> FloatArray:
    r"""Couplings and fields of :math:`p(s_i(t+1) | s(t)) = 1/(1 + e^{-2 s_i(t+1) (h_i + \sum_j J_{ij} s_j(t))})`.

    Maximum likelihood with the penalty :math:`\frac\alpha2 \sum_{ij} J_{ij}^2` on the mean over pairs of rows.

    Parameters
    ----------
    before, after : ndarray (n_pairs, n_spins) of +-1
        Successive rows.
    alpha : float

    Returns
    -------
    ndarray (n_spins, n_spins + 1)
        J, not symmetric and with the diagonal that says how much spins remember themselves; the last column is h.
    """
    n_pairs, n_spins = before.shape
    x = np.column_stack([before, np.ones(n_pairs)]).astype(np.float64)
    y = after.astype(np.float64)
    # coordinates in which the second moments are those of independent columns: the search needs few steps
    values, vectors = np.linalg.eigh(x.T @ x / n_pairs)
    scale = vectors / np.sqrt(np.maximum(values, 0.0) + alpha + 1e-6)
    z = x @ scale

    def objective(w: FloatArray) -> tuple[float, FloatArray]:
        position = w.reshape(n_spins, -1)
        margins = y * (z @ position.T)
        couplings = position @ scale.T
        couplings[:, -1] = 0.0
        loss = np.logaddexp(0.0, -2.0 * margins).sum() / n_pairs + 0.5 * alpha * float(np.sum(couplings**2))
        slope = -2.0 * y / (1.0 + np.exp(np.minimum(2.0 * margins, 700.0)))
        return float(loss), (slope.T @ z / n_pairs + alpha * couplings @ scale).ravel()

    start = np.zeros(n_spins * (n_spins + 1))
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": _KINETIC_ITERATIONS})
    return found.x.reshape(n_spins, -1) @ scale.T


def kinetic_log_likelihood(before: NDArray[np.int8], after: NDArray[np.int8], couplings: FloatArray) -> FloatArray:
    """Log-likelihood (n_pairs,) of each row given the row before, for `fit_kinetic`'s couplings and fields."""
    margins = after * (before @ couplings[:, :-1].T + couplings[:, -1])
    return -np.logaddexp(0.0, -2.0 * margins).sum(axis=1)


def _score_batches(weight: FloatArray, ordered: bool) -> IntArray:
    """Batches of test rows that errors come from: contiguous, or each row by itself where rows have no order."""
    return batch_labels(len(weight)) if ordered else np.arange(len(weight))


def _mean_with_error(values: FloatArray, weight: FloatArray, batches: IntArray) -> tuple[float, float, float]:
    """Weighted mean, its standard error from batches, and degrees of freedom."""
    total = weight.sum()
    mean = float(weight @ values / total)
    # a row with a count is that many independent samples
    sums = np.bincount(batches, weights=weight * (values - mean))
    if len(sums) == len(weight):
        variance = float(weight @ (values - mean) ** 2) / total / max(total - 1.0, 1.0)
        return mean, math.sqrt(variance), float(max(total - 1.0, 1.0))
    n = len(sums)
    return mean, float(np.sqrt(np.sum(sums**2) * n / max(n - 1, 1)) / total), float(max(n - 1, 1))


def _difference(
    values: FloatArray, weight: FloatArray, batches: IntArray, extra_variance: float, sign: float
) -> dict[str, float]:
    """A difference of scores with its error and one-sided p-value of a difference as far on the side of ``sign``."""
    mean, std, freedom = _mean_with_error(values, weight, batches)
    std = math.sqrt(std**2 + extra_variance)
    z = mean / std if std > 0 else math.copysign(math.inf, mean) if mean else 0.0
    return {"difference": mean, "std": std, "z": z, "p_value": float(stats.t.sf(sign * z, freedom))}


def _verdict(found: HeldOut) -> str:
    """One sentence on how pair couplings do against independent spins, and against the row before."""
    gain = found.differences["pairwise - independent"]
    size = f"{number(abs(gain['difference']))} +- {number(gain['std'])} nats per sample"
    held = "held-out rows" if found.refitted else "the rows"
    if gain["z"] > 2:
        text = f"Pair couplings predict {held} better than independent spins by {size}"
    elif gain["z"] < -2:
        text = f"Pair couplings predict {held} worse than independent spins by {size}: they are overfitted, raise alpha"
    else:
        text = (
            f"Pair couplings predict {held} no better than independent spins (difference {number(gain['difference'])}"
        )
        text += f" +- {number(gain['std'])} nats per sample)"
    kinetic = found.differences.get("kinetic Ising - pairwise")
    if kinetic is not None:
        size = f"{number(abs(kinetic['difference']))} +- {number(kinetic['std'])}"
        if kinetic["z"] > 2:
            text += f"; an asymmetric kinetic model, which knows the row before, does better still by {size}"
        elif kinetic["z"] < -2:
            text += f"; an asymmetric kinetic model, which knows the row before, does worse than they by {size}"
        else:
            text += "; an asymmetric kinetic model, which knows the row before, does as well"
    return text + "."
