"""Persistent contrastive divergence: maximum likelihood with moments of chains that live on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from infer.estimators.likelihood.chains import PersistentChains
from infer.estimators.newton import Pairs, newton_direction

FloatArray = NDArray[np.float64]

DRAWS = (50, 20_000)  # fewest and most draws of a chain for one gradient
DRAWS_AT_ONCE = 256
NOISE = 1.0 / 3.0  # of the tolerance, above which a gradient is not known well enough to stop
CURVATURE_STATES = 20_000  # states of the chains that serve for curvatures
RIDGE = 0.01  # added to the Fisher information, relative to its diagonal


@dataclass(frozen=True)
class Divergence:
    """Where persistent contrastive divergence ended."""

    couplings: FloatArray
    fields: FloatArray
    mismatch: float  # root mean square of the gradient, noise included
    noise: float  # root mean square standard error of the gradient
    n_iter: int  # gradients measured


@dataclass(frozen=True)
class Measurement:
    """What chains at fixed couplings say about the likelihood."""

    gradient: FloatArray  # of the penalised mean negative log-likelihood
    mismatch: float
    noise: float
    states: FloatArray  # some states of the chains


def measure(
    pairs: Pairs,
    data: FloatArray,
    vector: FloatArray,
    alpha: float,
    chains: PersistentChains,
    tol: float,
    draws: int = DRAWS[0],
) -> Measurement:
    """Gradient from chains at fixed parameters, run until its noise is well below ``tol`` or below the gradient."""
    couplings, fields = pairs.unpack(vector)
    penalty = alpha * vector * (np.arange(pairs.size) < pairs.n_pairs)
    n_chains, n_spins = chains.spins.shape
    first, second = np.zeros((n_chains, n_spins)), np.zeros((n_chains, n_spins, n_spins))
    done, kept, before = 0, [], (0, np.inf)
    # chains follow the change of couplings before they count
    chains.advance(couplings, fields, max(10, draws // 4))
    while True:
        while done < draws:
            count = min(draws - done, DRAWS_AT_ONCE)
            states = chains.advance(couplings, fields, count, record=True).astype(np.float64)
            first += states.sum(axis=1)
            second += np.matmul(states.transpose(0, 2, 1), states)
            kept.append(states.astype(np.int8))
            if len(kept) * DRAWS_AT_ONCE * n_chains > 2 * CURVATURE_STATES:
                kept = kept[1:]
            done += count
        mean = pairs.pack(second.mean(axis=0), first.mean(axis=0)) / done
        # the chains are independent: their scatter knows about autocorrelation
        error = pairs.pack(second.std(axis=0, ddof=1), first.std(axis=0, ddof=1)) / done / np.sqrt(n_chains)
        gradient = mean - data + penalty
        mismatch, noise = _root_mean_square(gradient), _root_mean_square(error)
        enough = max(NOISE * tol, 0.25 * mismatch if mismatch > 2.0 * tol else 0.0)
        if noise <= enough or done >= DRAWS[1]:
            break
        # twice the draws should take off 30 %; where they take off less than 16 %, chains stay where they are
        if before[0] and noise > before[1] * (before[0] / done) ** 0.25:
            break
        before = (done, noise)
        draws = int(np.clip(done * (1.1 * noise / enough) ** 2, 2 * done, DRAWS[1]))
    sample = np.concatenate(kept, axis=1).reshape(-1, n_spins)
    stride = max(1, len(sample) // CURVATURE_STATES)
    return Measurement(gradient, mismatch, noise, sample[::stride].astype(np.float64))


def _root_mean_square(values: FloatArray) -> float:
    """Root mean square of the components."""
    return float(np.sqrt(np.mean(values**2)))


def _fisher_information(states: FloatArray, pairs: Pairs, alpha: float) -> Callable[[FloatArray], FloatArray]:
    """The function that applies the covariance of s_i s_j and s_i over some states, with penalty and ridge."""
    first = states.mean(axis=0)
    second = states.T @ states / len(states)
    # the fewer states for the number of parameters, the less can be said of soft directions
    ridge = RIDGE + min(1.0, 0.1 * pairs.size / len(states))
    diagonal = ridge * pairs.pack(1.0 - second**2, 1.0 - first**2)
    diagonal[: pairs.n_pairs] += alpha

    def apply(direction: FloatArray) -> FloatArray:
        couplings, fields = pairs.unpack(direction)
        weight = 0.5 * np.einsum("ki,ki->k", states @ couplings, states) + states @ fields
        weight = (weight - weight.mean()) / len(states)
        return pairs.pack((states * weight[:, None]).T @ states, weight @ states) + diagonal * direction

    return apply


def maximise_likelihood(
    means: FloatArray,
    second_moments: FloatArray,
    couplings: FloatArray,
    fields: FloatArray,
    chains: PersistentChains,
    *,
    alpha: float,
    fit_fields: bool,
    tol: float,
    max_iter: int,
    progress: bool = False,
) -> Divergence:
    """
    Match the moments of the data by steps along the natural gradient, both estimated from persistent chains.

    An update runs the chains at fixed parameters, from where the last ones ended, until the standard error of the
    gradient (from the scatter between chains) is a third of ``tol``, or a quarter of the gradient while that is large.
    It is over when the root mean square gradient, noise included, is at most ``tol``. Else parameters move by
    ``F^-1 g``, F the covariance of the model's moments over states of the chains, by conjugate gradients. Steps are
    bounded in relative entropy, and taken back by half when they made matters worse. Where chains do not mix, so that
    longer runs leave the noise as it is, it ends when the gradient is below twice its noise.

    Parameters
    ----------
    means, second_moments : ndarray (n_spins,), (n_spins, n_spins)
        Of the data.
    couplings, fields : ndarray
        Where to start.
    chains : PersistentChains
    alpha : float
    fit_fields : bool
    tol : float
    max_iter : int
        Most gradients to measure.
    progress : bool

    Returns
    -------
    Divergence
    """
    pairs = Pairs(len(means), fit_fields)
    data = pairs.pack(second_moments, means)
    vector = pairs.pack(couplings, fields)
    most = max(1.0, 0.05 * len(means))  # nats of twice the relative entropy of a step
    found = measure(pairs, data, vector, alpha, chains, tol)
    best, least = vector, found
    n_iter = 1
    with tqdm(total=max_iter, disable=not progress, desc="contrastive divergence", unit="update") as bar:
        # one step at least: where chains start from is not a maximum of the likelihood
        while (found.mismatch > tol or n_iter == 1) and n_iter < max_iter:
            if n_iter > 1 and found.noise > tol and found.mismatch <= 2.0 * found.noise:
                break  # the chains cannot tell any better
            apply = _fisher_information(found.states, pairs, alpha)
            direction = newton_direction(found.gradient, apply)
            size = float(direction @ apply(direction))
            step = direction * min(1.0, np.sqrt(most / max(size, 1e-300)))
            while n_iter < max_iter:
                n_iter += 1
                trial = measure(pairs, data, vector + step, alpha, chains, tol)
                bar.update()
                bar.set_postfix(mismatch=f"{trial.mismatch:.2g}", tol=f"{tol:.2g}", refresh=False)
                if trial.mismatch < least.mismatch or n_iter == 2:
                    best, least = vector + step, trial
                if trial.mismatch <= max(1.5 * found.mismatch, tol):
                    vector, found = vector + step, trial
                    break
                step, most = step / 2.0, most / 2.0
    return Divergence(*pairs.unpack(best), least.mismatch, least.noise, n_iter)
