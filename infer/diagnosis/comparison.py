"""Comparison of models of samples by the log-likelihood of rows that they were not fitted to."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from infer.diagnosis.annealing import WANTED_STD
from infer.diagnosis.candidates import Candidate, Independent, Kinetic, Pair, PopulationCount, doubt, first_rows
from infer.diagnosis.score_errors import batches_of, mean_with_error
from infer.files.json import to_plain_dict
from infer.samples import Samples
from infer.statistics.folds import N_FOLDS, contiguous_folds
from infer.types import FloatArray
from infer.wording import with_error
from simulate.checks import Seed, seed_sequence

__all__ = ["ModelComparison", "compare_models"]

#: Samples above which one fold is enough: a quarter of them gives the score to a few thousandths of a nat.
MANY_SAMPLES = 20_000
#: Rows times squared number of spins above which only one fold is evaluated, to limit the time.
MANY_OPERATIONS = 1e9
_FEWEST_TRAINING = 8
#: Standard error of the log partition function, relative to that of a gain from the choice of rows, up to which there
#: is a score although it exceeds `WANTED_STD`.
_LARGEST_SHARE = 0.5
#: Standard errors above which one model counts as better than another.
SIGMAS = 2.0
#: The simpler model that each model is compared with.
BASELINES = {"pair": "independent", "k-pairwise": "pair", "kinetic": "pair"}


@dataclass(frozen=True, eq=False, repr=False)
class ModelComparison:
    """Log-likelihoods of held-out rows under several models, per row and in nats.

    Attributes
    ----------
    scores, scores_std : dict of float
        Mean log-likelihood of a held-out row under "independent" spins, the "pair" model, the "k-pairwise" model (pair
        couplings and a potential of the number of +1; up to 20 spins) and, where rows are in time order, the "kinetic"
        Ising model (given the row before), with standard errors.
    over_independent : dict of tuple
        Gain of each other model on independent spins, and standard error.
    gains : dict of tuple
        Differences, such as "pair - independent": nats per row and standard error (including that of the partition
        function), all from the same rows.
    withheld : dict of str
        Models without a score, and the reason.
    partition_std : dict of float
        Standard error of the score by that of the log partition function, zero where it is exact; part of the errors
        above.
    n_folds, n_rows : int
        Number of folds evaluated, and of held-out samples that scores are averaged over.
    first_rows_left_out : bool
        Whether the first row of each run was left out for all models, since the kinetic one cannot predict it.
    """

    scores: dict[str, float]
    scores_std: dict[str, float]
    gains: dict[str, tuple[float, float]]
    over_independent: dict[str, tuple[float, float]]
    withheld: dict[str, str]
    partition_std: dict[str, float]
    n_folds: int
    n_rows: int
    first_rows_left_out: bool

    @property
    def best(self) -> str:
        """Name of the model with the highest score."""
        return max(self.scores, key=self.scores.__getitem__)

    @property
    def verdict(self) -> str:
        """One sentence for each difference."""
        return " ".join(_sentence(name, *gain) for name, gain in self.gains.items()) + "".join(
            f" No score of the {name} model: {why}." for name, why in self.withheld.items()
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON; NaN becomes None, infinity "inf".

        Returns
        -------
        dict
        """
        return to_plain_dict(self)

    def __repr__(self) -> str:
        """Scores in nats per row."""
        shown = ", ".join(f"{name} {value:.4g}" for name, value in self.scores.items())
        return f"ModelComparison({shown} nats per held-out row)"


def compare_models(
    samples: Any,
    *,
    models: Sequence[Candidate] | None = None,
    chains: Any = None,
    ordered: bool | None = None,
    n_folds: int = N_FOLDS,
    seed: Seed = 0,
) -> ModelComparison:
    """Compare models of samples by the log-likelihood of rows that they were not fitted to.

    Independent spins; pair couplings and fields by maximum likelihood; the same with a potential of the number of +1,
    up to 20 spins; and, where rows are in time order, a kinetic Ising model, which predicts each row from the one
    before. All models are fitted to the same rows and scored on the same rows; folds are blocks of time or whole runs.

    Parameters
    ----------
    samples : array (n_rows, n_spins) of +-1, Dataset, Recording or Samples
    models : sequence of Candidate, optional
        Models to compare, in place of those above.
    chains : array of int (n_rows,), optional
        The run that each row belongs to.
    ordered : bool, optional
        False for rows in no order in time.
    n_folds : int
        Number of folds, at least 2. For more than 20,000 samples, or very many spins, only the first is evaluated.
    seed : int, SeedSequence, Generator or None

    Returns
    -------
    ModelComparison

    Raises
    ------
    ValueError
        If samples are malformed or too few.

    Notes
    -----
    The pair model predicts spins from the other spins of the same row, the kinetic model from the row before; the
    better score shows which of the two carries more information. The log partition function is exact up to 20 spins,
    and by annealed importance sampling above: with a standard error of 0.002 nats, or of a tenth of that of the gain of
    the pair model where that is larger and no population-count model is compared. It is part of the standard errors.
    Where it exceeds both 0.002 nats and half of the error that the choice of rows gives the gain, the model has no
    score.

    Above 20 spins the population-count model is fitted by Monte Carlo, which takes tens of seconds for 30 spins; ask
    for it with ``models=(Independent(), Pair(), PopulationCount(most_spins=30), Kinetic())``, classes of
    ``infer.diagnosis.candidates``. It starts from the pair model: Monte Carlo ends up to a fifth of the data's standard
    errors from the maximum, which acts as a penalty where rows are few, and fits that end at different distances would
    be compared by that.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import compare_models
    >>> spins = np.random.default_rng(0).choice([-1, 1], size=(400, 4))
    >>> compare_models(spins).best
    'independent'
    """
    given = Samples.of(samples, chains=chains, ordered=ordered)
    if n_folds < 2:
        raise ValueError(f"n_folds must be at least 2, got {n_folds}")
    root = seed_sequence(seed)
    candidates = (Independent(), Pair(), PopulationCount(), Kinetic()) if models is None else models
    return held_out_scores(given, candidates, n_folds=n_folds, seed=root)


def held_out_scores(
    samples: Samples, candidates: Sequence[Candidate], *, n_folds: int, seed: np.random.SeedSequence
) -> ModelComparison:
    """Scores of candidates on the same folds and rows; see :func:`compare_models`."""
    weight = samples.weight
    n_samples = samples.n_samples
    if n_samples < 2 * _FEWEST_TRAINING:
        raise ValueError(f"samples: {n_samples:g} are too few for held-out scores; at least {2 * _FEWEST_TRAINING}")
    n_folds = min(n_folds, max(2, int(n_samples) // _FEWEST_TRAINING))
    in_time = samples.ordered and weight is None and len(first_rows(samples)) < samples.n_rows / 2
    candidates = [
        each
        for each in candidates
        if (in_time or not each.needs_time) and (not isinstance(each, PopulationCount) or each.applies(samples))
    ]
    if any(isinstance(each, PopulationCount) for each in candidates):
        candidates = [
            dataclasses.replace(each, precise=True) if isinstance(each, Pair) else each for each in candidates
        ]
    skipped = first_rows(samples) if any(each.needs_time for each in candidates) else np.empty(0, dtype=np.int64)
    fold_seed, fit_seed = seed.spawn(2)
    large = n_samples > MANY_SAMPLES or samples.n_rows * samples.n_spins**2 > MANY_OPERATIONS
    n_evaluated = 1 if large else n_folds
    folds = contiguous_folds(
        samples.n_rows,
        weight=weight,
        counted=samples.weight_kind == "counts",
        chains=samples.chains,
        ordered=samples.ordered,
        n_folds=n_folds,
        n_evaluated=n_evaluated,
        seed=fold_seed,
    )
    values: dict[str, list[FloatArray]] = {each.name: [] for each in candidates}
    variance = dict.fromkeys(values, 0.0)
    withheld: dict[str, str] = {}
    places, weights = [], []
    for fold, each_seed in zip(folds, fit_seed.spawn(n_evaluated), strict=True):
        judged = fold
        if len(skipped):
            test = np.setdiff1d(fold.test, skipped, assume_unique=True)
            judged = type(fold)(fold.train, test, fold.train_weight, None)
        places.append(judged.test)
        weights.append(np.ones(len(judged.test)) if judged.test_weight is None else judged.test_weight)
        for candidate, own_seed in zip(candidates, each_seed.spawn(len(candidates)), strict=True):
            if candidate.name in withheld:
                continue
            found = candidate.score(samples, judged, own_seed)
            if found.withheld:
                withheld[candidate.name] = found.withheld
                continue
            values[candidate.name].append(found.values)
            # the error common to the rows of a fold is weighted by their share of all rows
            variance[candidate.name] += (found.common_std * weights[-1].sum()) ** 2
    place, weighed = np.concatenate(places), np.concatenate(weights)
    order = np.argsort(place, kind="stable")
    total = float(weighed.sum())
    together = {name: np.concatenate(parts)[order] for name, parts in values.items() if name not in withheld}
    weighed = weighed[order]
    batches = batches_of(samples, place[order])
    for name in [each for each in together if variance[each] > 0.0]:
        # errors of log Z are part of the errors of scores; larger than these they would decide a comparison
        base, common = together.get(BASELINES.get(name, "")), math.sqrt(variance[name]) / total
        if base is None:
            continue
        if common > max(WANTED_STD, _LARGEST_SHARE * mean_with_error(together[name] - base, weighed, batches)[1]):
            withheld[name] = doubt(name, common)
    together = {name: each for name, each in together.items() if name not in withheld}
    scores, scores_std = {}, {}
    partition_std = {name: math.sqrt(variance[name]) / total for name in together}
    for name, each in together.items():
        mean, std = mean_with_error(each, weighed, batches)
        scores[name], scores_std[name] = mean, math.hypot(std, partition_std[name])

    def gain(name: str, base: str) -> tuple[float, float]:
        mean, std = mean_with_error(together[name] - together[base], weighed, batches)
        return mean, math.hypot(std, partition_std[name], partition_std[base])

    gains = {
        f"{name} - {base}": gain(name, base)
        for name, base in BASELINES.items()
        if name in together and base in together
    }
    first = "independent"
    over = {name: gain(name, first) for name in together if name != first and first in together}
    return ModelComparison(
        scores, scores_std, gains, over, withheld, partition_std, n_evaluated, round(total), len(skipped) > 0
    )


def _sentence(name: str, gain: float, std: float) -> str:
    """One sentence on a difference of scores."""
    model, base = name.split(" - ")
    names = {"pair": "Pair couplings", "k-pairwise": "The population-count model", "kinetic": "The kinetic model"}
    bases = {"independent": "independent spins", "pair": "the pair model"}
    size = f"{with_error(gain, std)} nats per row"
    if gain > SIGMAS * std:
        return (
            f"{names[model]} predict{'' if model == 'pair' else 's'} held-out rows better than {bases[base]}: {size}."
        )
    if gain < -SIGMAS * std:
        return f"{names[model]} predict{'' if model == 'pair' else 's'} held-out rows worse than {bases[base]}: {size}."
    return f"{names[model]} and {bases[base]} predict held-out rows alike: {size}."
