"""Strength of the penalty of a report's fit, chosen by cross-validation where there are few samples."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood
from infer.statistics.folds import contiguous_folds
from simulate.user_warnings import collected_warnings

#: Strengths that are compared, besides a standard normal prior on every coupling.
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0)
#: Factor by which the grid goes on beyond a best strength at its upper end, and how often at most.
WIDER = (3.0, 6)
N_FOLDS = 4
#: Spins from which weak penalties, which take most of the time, are left out once two in a row have become worse.
MANY_SPINS = 400
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
        ``alpha``, and what was tried: ``alphas`` and ``scores`` (nats per held-out sample). Where the largest is the
        best, stronger ones are tried too; ``at_edge`` says whether the largest of all is still the best. With many
        spins weak ones are left out where the scores fall towards them.
    """
    n_samples = len(spins) if counts is None else int(counts.sum())
    alphas = sorted({1.0 / n_samples, *(strength for strength in STRENGTHS if strength > 1.0 / n_samples)})
    whole = None if counts is None else np.asarray(counts, dtype=np.float64)
    folds = list(
        contiguous_folds(
            len(spins), weight=whole, counted=True, chains=chains, ordered=ordered, n_folds=N_FOLDS, seed=seed
        )
    )

    def score(alpha: float) -> float:
        """Mean held-out pseudo-likelihood."""
        total, weight = 0.0, 0.0
        model = PseudoLikelihood("l2", alpha, fit_fields=fit_fields, tol=TOLERANCE, errors=False, n_jobs=n_jobs)
        for fold in folds:
            judged = float(len(fold.test) if fold.test_weight is None else fold.test_weight.sum())
            with collected_warnings():  # the fit to all samples gives the same warnings
                model.fit(spins[fold.train], sample_weight=fold.train_weight)
                total += judged * model.score(spins[fold.test], sample_weight=fold.test_weight)
            weight += judged
        return total / weight

    found: dict[float, float] = {}
    for alpha in reversed(alphas):
        found[alpha] = score(alpha)
        last = list(found.values())
        if spins.shape[1] >= MANY_SPINS and len(last) > 2 and last[-1] < last[-2] < last[-3]:
            break
    alphas = sorted(found)
    scores = [found[alpha] for alpha in alphas]
    for _ in range(WIDER[1]):
        if int(np.argmax(scores)) < len(alphas) - 1:
            break
        alphas.append(WIDER[0] * alphas[-1])
        scores.append(score(alphas[-1]))
    best = int(np.argmax(scores))
    return {"alpha": alphas[best], "alphas": alphas, "scores": scores, "at_edge": best == len(alphas) - 1}
