"""Goodness of fit of an equilibrium model with pair couplings: its moments and distributions against the samples'."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from infer.count_model import pairs_only
from infer.diagnosis.adequacy_result import Adequacy
from infer.diagnosis.indicators import IndicatorSums, indicator_sums
from infer.diagnosis.model_checks import (
    CHECKS,
    N_TRIPLES,
    Comparison,
    SampledModel,
)
from infer.diagnosis.residuals import scores
from infer.model import PairModel
from infer.samples import Samples
from infer.types import FloatArray, IntArray
from simulate.checks import Seed, seed_sequence
from simulate.threads import one_thread_for_few_spins

__all__ = ["FEWEST_SAMPLES", "Adequacy", "check_samples", "goodness_of_fit"]

#: Fewest samples: fewer do not describe a distribution.
FEWEST_SAMPLES = 16


def goodness_of_fit(
    model: Any,
    samples: Any,
    *,
    fields: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    chains: ArrayLike | None = None,
    ordered: bool | None = None,
    n_triples: int = N_TRIPLES,
    seed: Seed = 0,
    n_jobs: int | None = 1,
) -> Adequacy:
    r"""Compare samples with the equilibrium model :math:`P(s) \sim \exp(\sum_{i<j} J_{ij} s_i s_j + \sum_i h_i s_i)`.

    Sets of as many rows as there are samples are drawn from the model (from all states up to 20 spins, by heat-bath
    chains above, or from annealed states where such chains do not agree), and their moments and distributions are
    compared with those of the samples. Third moments, the distribution of the number of +1 and that of the energy test
    the form of the model; means and correlations test whether the couplings were fitted well.

    Parameters
    ----------
    model : array (n_spins, n_spins), PairModel or fitted estimator
        Inferred couplings, which contain the inverse temperature. An estimator gives ``couplings_`` and ``fields_``.
    samples : array (n_rows, n_spins) of +-1, Dataset from ``simulate.sample``, Recording or Samples
    fields : array (n_spins,), optional
        Inferred fields; zero by default, or those of the model.
    sample_weight : array (n_rows,), optional
        Count or weight of each row.
    chains : array of int (n_rows,), optional
        The time-ordered run that each row belongs to.
    ordered : bool, optional
        False for rows in no order in time, which then count as independent.
    n_triples : int
        Third moments compared: all, or a random choice of this many.
    seed : int, SeedSequence, Generator or None
        Seed of all random draws.
    n_jobs : int or None
        Threads for the model's chains; the result does not depend on it.

    Returns
    -------
    Adequacy

    Raises
    ------
    ValueError
        If couplings, fields, samples, weights or chains are malformed or do not fit each other, or the model has a
        potential of the number of +1.

    Notes
    -----
    From each statistic its linear regression, in the model, on means and pairs is subtracted. To first order, this is
    what a refit of the model would leave of it, so that errors of the fit do not count against the form of the model.
    The null distribution is that of the sets drawn from the model, which is exact also for coincidences seen in 0 or 1
    rows. Deviations are divided by the root of the ratio of the samples' long-run variance (batch means inside runs) to
    the variance of independent rows, where that is above 1. The p-value of a group combines those of the sum of squares
    and of the largest deviation by the smaller of the two.
    """
    pairs = pairs_only(model, fields, "goodness_of_fit")
    given = check_samples(Samples.of(samples, sample_weight, chains=chains, ordered=ordered), pairs.n_spins)
    if n_triples < 1:
        raise ValueError(f"n_triples must be at least 1, got {n_triples}")
    sampled = SampledModel(pairs.couplings, pairs.fields)
    return adequacy_of(sampled, given, seed_sequence(seed), n_triples=n_triples, n_jobs=n_jobs)


def check_samples(samples: Samples, n_spins: int) -> Samples:
    """The samples, after a check that they have as many spins as the couplings, no gaps, and enough rows."""
    if samples.n_spins != n_spins:
        shape = (samples.n_rows, samples.n_spins)
        raise ValueError(f"samples: expected shape (n_rows, {n_spins}) to fit the couplings, got {shape}")
    if not samples.complete:
        raise ValueError(
            "samples: values are missing, and a comparison with a model needs complete rows: drop rows with missing "
            "values, or fill them first with PseudoLikelihood(missing='mask').fit(X).complete(X)"
        )
    samples.spins  # noqa: B018  raises for continuous units
    if samples.n_samples < FEWEST_SAMPLES:
        raise ValueError(f"samples: {samples.n_samples:g} are too few; at least {FEWEST_SAMPLES} are needed")
    return samples


def adequacy_of(
    model: SampledModel,
    samples: Samples,
    seed: np.random.SeedSequence,
    *,
    n_triples: int = N_TRIPLES,
    n_jobs: int | None = 1,
) -> Adequacy:
    """Compare as :func:`goodness_of_fit` does, for checked input; the model keeps its draws for other checks."""
    with one_thread_for_few_spins(model.n_spins):
        found = model.compare(samples, seed, n_jobs, n_triples)
        checks = {kind.name: kind.run(model, samples, seed) for kind in CHECKS}
        n_sets, n_rows, _ = found.draws.sets.shape
        ordered = samples.ordered and samples.weights is None
        return Adequacy(
            checks={name: check for name, check in checks.items() if check is not None},
            moments=_moments(found, samples),
            sum_of_spins=_sum_of_spins(found, samples),
            energies=_energies(found, samples, model),
            r_hat=found.draws.r_hat,
            exact=found.draws.exact_moments is not None,
            n_samples=round(samples.n_samples),
            n_sets=n_sets,
            n_rows=n_rows,
            error_method=(
                "variance of the model's own draws, times the samples' long-run variance ratio (batch means"
                + ("" if samples.chains is None else " within runs")
                + ")"
                if ordered
                else "variance of the model's own draws; samples taken as independent"
            ),
            annealed=found.draws.annealed,
        )


def _moments(found: Comparison, samples: Samples) -> dict[str, dict[str, Any]]:
    """Means, covariances and third cumulants of the spins, observed and predicted, with errors and deviations."""
    statistics, n = found.statistics, found.n_samples
    rows = samples.spins[:, found.varying]
    own = indicator_sums(rows, statistics.rare, statistics.triples, [slice(0, len(rows))], samples.weight)
    pool = found.draws.rows
    most = max(1, len(pool) // 400_000)
    drawn = indicator_sums(pool[::most], statistics.rare, statistics.triples, [slice(0, len(pool[::most]))])
    ours, theirs = (cumulants(sums, statistics.rare, statistics.triples) for sums in (own, drawn))
    n_spins, names = len(statistics.rare), ("means", "correlations", "third moments")
    group, upper = found.group("means and correlations"), np.array(np.triu_indices(n_spins, 1)).T
    third = found.group("third moments")
    z, _ = scores(found.residuals, slice(None), n)
    std = found.residuals.std * np.sqrt(found.residuals.ratio)
    model_share = float(np.sqrt(len(rows) / max(len(pool), 1)))
    # no error is taken as smaller than that of one sample more or less
    errors = {
        "means": np.hypot(2.0 * std[group.start : group.start + n_spins], 2.0 / n),
        "correlations": _pair_errors(own, found, std[group.start + n_spins : group.stop]),
        "third moments": np.hypot(8.0 * std[third], 8.0 / n),
    }
    scored = {
        "means": z[group.start : group.start + n_spins],
        "correlations": z[group.start + n_spins : group.stop],
        "third moments": z[third],
    }
    indices = {"means": np.arange(n_spins)[:, None], "correlations": upper, "third moments": statistics.triples}
    moments = {}
    for name, observed, predicted in zip(names, ours, theirs, strict=True):
        if not len(observed):  # two spins have no third moments
            continue
        difference = observed - predicted
        spread = np.std(observed) * np.std(predicted)
        moments[name] = {
            "observed": observed,
            "predicted": predicted,
            "observed_std": errors[name],
            "predicted_std": errors[name] * model_share,
            "rms_difference": float(np.sqrt(np.mean(difference**2))),
            "rms_observed": float(np.sqrt(np.mean(observed**2))),
            "rms_std": float(np.sqrt(np.mean(errors[name] ** 2))),
            "pearson": float(np.corrcoef(observed, predicted)[0, 1]) if spread > 1e-15 else float("nan"),
            "rms_z": float(np.sqrt(np.mean(scored[name] ** 2))),
            "max_z": float(np.abs(scored[name]).max()),
            "indices": found.varying[indices[name]],
        }
    return moments


def _pair_errors(own: IndicatorSums, found: Comparison, chosen: FloatArray) -> FloatArray:
    """Standard errors of all covariances; those of independent rows where only some pairs were compared."""
    n_spins, n = len(found.statistics.rare), found.n_samples
    i, j = np.triu_indices(n_spins, 1)
    if len(found.statistics.pairs) == len(i):
        return np.asarray(np.hypot(4.0 * chosen, 4.0 / n))
    share = own.first[0] / own.sizes[0]
    spread = np.sqrt(share * (1.0 - share))
    return np.asarray(np.hypot(4.0 * spread[i] * spread[j] / np.sqrt(n), 4.0 / n))


def cumulants(sums: IndicatorSums, rare: np.ndarray, triples: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Means, covariances (i < j) and third cumulants of spins of +-1 from sums of indicators of their rarer states."""
    n = float(sums.sizes[0])
    sign = rare.astype(np.float64)
    m, p, t = sums.first[0] / n, sums.second[0] / n, sums.third[0] / n
    i, j = np.triu_indices(len(sign), 1)
    a, b, c = triples.T
    third = t - m[a] * p[b, c] - m[b] * p[a, c] - m[c] * p[a, b] + 2.0 * m[a] * m[b] * m[c]
    return (
        sign * (2.0 * m - 1.0),
        4.0 * sign[i] * sign[j] * (p - np.outer(m, m))[i, j],
        8.0 * sign[a] * sign[b] * sign[c] * third,
    )


def _sum_of_spins(found: Comparison, samples: Samples) -> dict[str, Any]:
    """P(sum_i s_i), observed and predicted."""
    n_spins = samples.n_spins
    constant = np.setdiff1d(np.arange(n_spins), found.varying)
    offset = int((samples.spins[0, constant] > 0).sum())
    weight = samples.weight
    up = (samples.spins > 0).sum(axis=1)
    observed = np.bincount(up, weight, minlength=n_spins + 1) / (len(up) if weight is None else weight.sum())
    predicted = np.zeros(n_spins + 1)
    for rows in found.draws.sets:
        predicted += np.bincount((rows > 0).sum(axis=1) + offset, minlength=n_spins + 1)
    drawn = float(predicted.sum())
    predicted /= drawn
    group = found.group("number of +1")
    ratio = found.residuals.ratio[group]
    inflation = float(np.sqrt(ratio.mean())) if len(ratio) else 1.0
    return {
        "values": np.arange(-n_spins, n_spins + 1, 2, dtype=np.float64),
        "observed": observed,
        "predicted": predicted,
        "observed_std": inflation
        * np.sqrt(np.maximum(observed * (1 - observed), 1 / found.n_samples) / found.n_samples),
        "predicted_std": np.sqrt(predicted * (1 - predicted) / drawn),
    }


def _energies(found: Comparison, samples: Samples, model: PairModel) -> dict[str, Any]:
    """Shares of observed and predicted energies in common bins, and both means."""
    observed = model.energies(samples.spins)
    # constant spins add the same to all energies
    reduced = found.model.energies(samples.spins[:1, found.varying])[0]
    predicted = found.model.energies(found.draws.rows[:: max(1, len(found.draws.rows) // 400_000)])
    predicted = predicted + (observed[0] - reduced)
    edges = np.histogram_bin_edges(np.concatenate([observed, predicted]), bins=40)
    weight = samples.weight
    weight = np.full(len(observed), 1.0 / len(observed)) if weight is None else weight / weight.sum()
    return {
        "edges": edges,
        "observed": np.histogram(observed, edges, weights=weight)[0],
        "predicted": np.histogram(predicted, edges)[0] / len(predicted),
        "observed_mean": float(observed @ weight),
        "predicted_mean": float(predicted.mean()),
    }
