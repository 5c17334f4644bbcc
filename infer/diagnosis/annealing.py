"""Log partition functions to the accuracy that log-likelihoods of held-out rows need."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from infer.count_model import CountModel
from infer.estimators.likelihood.partition import log_partition
from infer.model import PairModel

#: Standard error, in nats, that a log-likelihood per row may have from its partition function.
WANTED_STD = 0.002


def annealed_log_partition(
    model: PairModel | CountModel, seed: np.random.SeedSequence, wanted: float = WANTED_STD
) -> tuple[float, float]:
    """Logarithm of the partition function and its standard error, by annealed importance sampling.

    Parameters
    ----------
    model : PairModel or CountModel
    seed : SeedSequence
    wanted : float
        Standard error at which to stop, where that is affordable.

    Returns
    -------
    value, std : float
        ``std`` is infinite where few chains carry the estimate.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        found = log_partition(
            model, method="ais", precision=0.9 * wanted, random_state=int(seed.generate_state(1)[0] >> 1)
        )
    unsure = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return found.value, np.inf if unsure else found.std
