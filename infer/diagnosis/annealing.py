"""Log partition functions, accurate enough for log-likelihoods of held-out rows."""

from __future__ import annotations

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from infer.count_model import CountModel
from infer.estimators.likelihood.partition import log_partition
from infer.model import PairModel
from simulate.user_warnings import collected_warnings

#: Largest standard error, in nats, that the partition function may add to a log-likelihood per row.
WANTED_STD = 0.002
#: The same as a share of the standard error that rows leave, where that is larger: it adds half a per cent to that.
WANTED_SHARE = 0.1


def annealed_log_partition(
    model: PairModel | CountModel,
    seed: np.random.SeedSequence,
    wanted: float = WANTED_STD,
    n_jobs: int | None = 1,
) -> tuple[float, float]:
    """Logarithm of the partition function and its standard error, by annealed importance sampling.

    Parameters
    ----------
    model : PairModel or CountModel
    seed : SeedSequence
    wanted : float
        Standard error at which to stop; a limit on the work may stop earlier.
    n_jobs : int or None
        Threads that share the chains; results do not depend on it.

    Returns
    -------
    value, std : float
        ``std`` is infinite where few chains dominate the weighted mean.
    """
    with collected_warnings(ConvergenceWarning) as caught:
        found = log_partition(
            model,
            method="ais",
            precision=0.9 * wanted,
            seed=seed,
            n_jobs=n_jobs,
        )
    unsure = bool(caught)
    return found.value, np.inf if unsure else found.std
