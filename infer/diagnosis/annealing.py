"""Log partition functions by annealed importance sampling from independent spins that have the means of the data."""

from __future__ import annotations

import numpy as np

from infer.estimators.likelihood.chains import PersistentChains
from infer.model import PairModel
from infer.types import FloatArray

#: Standard error, in nats, that a log-likelihood per row may have from its partition function.
WANTED_STD = 0.002
_N_CHAINS = 400
_N_STEPS = 1000
_MOST_UPDATES = 4e9
_FEWEST_EFFECTIVE = 0.1


def annealed_log_partition(
    model: PairModel, means: FloatArray, seed: np.random.SeedSequence, wanted: float = WANTED_STD
) -> tuple[float, float]:
    """Logarithm of the partition function and its standard error.

    Chains start from independent spins with the given means, whose partition function is known, and take a sweep of
    heat-bath updates at each of many models on the straight line from there to the model (Neal 2001, Statistics and
    Computing 11, 125). Steps are doubled until the error is as small as wanted, or the time is up.

    Parameters
    ----------
    model : PairModel
    means : ndarray, shape (n_spins,)
    seed : SeedSequence
    wanted : float
        Standard error at which to stop.

    Returns
    -------
    value, std : float
        ``std`` is infinite where fewer than a tenth of the chains carry the estimate.
    """
    start = np.arctanh(np.clip(means, -0.9999, 0.9999))
    n_steps, used = _N_STEPS, 0.0
    while True:
        weights = _log_weights(model, start, n_steps, seed.spawn(1)[0])
        used += float(_N_CHAINS) * n_steps * model.n_spins
        largest = float(weights.max())
        relative = np.exp(weights - largest)
        mean = float(relative.mean())
        effective = float(relative.sum() ** 2 / np.sum(relative**2))
        std = float(relative.std(ddof=1) / mean / np.sqrt(_N_CHAINS))
        enough = effective >= _FEWEST_EFFECTIVE * _N_CHAINS
        if (std <= wanted and enough) or used * 3 > _MOST_UPDATES:
            value = float(np.logaddexp(start, -start).sum()) + largest + float(np.log(mean))
            return value, std if enough else np.inf
        factor = 4 if std > 2 * wanted else 2
        n_steps *= factor


def _log_weights(model: PairModel, start: FloatArray, n_steps: int, seed: np.random.SeedSequence) -> FloatArray:
    """Logarithms of the importance weights that chains gather on the way."""
    draw_seed, chain_seed = seed.spawn(2)
    up = 1.0 / (1.0 + np.exp(-2.0 * start))
    drawn = np.random.default_rng(draw_seed).random((_N_CHAINS, model.n_spins))
    chains = PersistentChains(np.where(drawn < up, 1, -1).astype(np.int8), int(chain_seed.generate_state(1)[0]))
    weights = np.zeros(_N_CHAINS)
    for k in range(1, n_steps + 1):
        # the difference of two neighbours on the line, at the present states
        states = chains.spins.astype(np.float64)
        weights += (-model.energies(states) - states @ start) / n_steps
        if k < n_steps:
            share = k / n_steps
            chains.advance(share * model.couplings, start + share * (model.fields - start), 1)
    return weights
