"""Strength of the penalty of a report's fit, chosen by cross-validation where there are few samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.statistics.folds import contiguous_folds
from simulate.user_warnings import collected_warnings

#: Strengths that are compared, besides a standard normal prior on every coupling.
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
N_FOLDS = 4
#: Gradient below which fits are accurate enough to be compared.
TOLERANCE = 1e-4


def choose_alpha(
    spins: NDArray[np.int8],
    counts: NDArray[Any] | None,
    chains: NDArray[np.int64] | None,
    ordered: bool,
    fit_fields: bool,
    n_jobs: int | None,
    seed: int,
) -> dict[str, Any]:
    """The l2 penalty with the best held-out pseudo-likelihood.

    Returns
    -------
    dict
        ``alpha``, and the strengths compared: ``alphas`` and ``scores`` (nats per held-out sample).
    """
    n_samples = len(spins) if counts is None else int(counts.sum())
    alphas = sorted({1.0 / n_samples, *(strength for strength in STRENGTHS if strength > 1.0 / n_samples)})
    whole = None if counts is None else np.asarray(counts, dtype=np.float64)
    totals, weight = np.zeros(len(alphas)), 0.0
    folds = contiguous_folds(
        len(spins), weight=whole, counted=True, chains=chains, ordered=ordered, n_folds=N_FOLDS, seed=seed
    )
    for fold in folds:
        judged = float(len(fold.test) if fold.test_weight is None else fold.test_weight.sum())
        for k, alpha in enumerate(alphas):
            model = PseudoLikelihood("l2", alpha, fit_fields=fit_fields, tol=TOLERANCE, n_jobs=n_jobs)
            with collected_warnings():  # the fit to all samples gives the same warnings
                model.fit(spins[fold.train], sample_weight=fold.train_weight)
                totals[k] += judged * model.score(spins[fold.test], sample_weight=fold.test_weight)
        weight += judged
    scores = totals / weight
    return {"alpha": alphas[int(np.argmax(scores))], "alphas": alphas, "scores": scores.tolist()}
