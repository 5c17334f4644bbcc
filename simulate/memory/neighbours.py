"""Neighbours of dreaming: unlearning in closed form, bounded couplings, and daydreaming of biased patterns."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import Seed, check_count, check_number, check_patterns
from simulate.couplings import full_matrix
from simulate.memory import relaxation_kernels as kernels
from simulate.memory.relaxations import MAX_SWEEPS, in_parts, warn_unsettled
from simulate.progress_bars import tqdm

__all__ = ["bounded_learning", "centred_daydream", "high_temperature_unlearn"]


def high_temperature_unlearn(couplings: ArrayLike, epsilon: float, gamma: float) -> NDArray[np.float64]:
    """Unlearning of the correlations of a high temperature, in closed form.

        J' = J - epsilon (I - gamma J)^-1,    diagonal zero.

    (I - gamma J)^-1 is the correlation matrix of the spins at inverse temperature gamma, to leading order in the number
    of neighbours. An eigenvalue j becomes j - epsilon / (1 - gamma j), before the diagonal is taken away, so that the
    largest are lowered most. It is one thermal dream of `thermal_unlearn` of strength epsilon N.

    Parameters
    ----------
    couplings : array_like, shape (n_spins, n_spins)
        Symmetric with zero diagonal, for example `hebbian(patterns)`; not changed.
    epsilon : float
        Strength >= 0, in the units of the couplings.
    gamma : float
        Inverse temperature >= 0 of the correlations, in inverse units of the couplings; below 1 over the largest
        eigenvalue of the couplings, beyond which there is no such phase.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric with zero diagonal. gamma = 0 leaves the couplings as they are.

    Raises
    ------
    ValueError
        If the couplings are not symmetric, not finite or have a diagonal, or gamma is too large.

    References
    ----------
    Takeuchi, Takahashi, Kabashima 2026, arXiv 2602.08428; Nokura 1996, J. Phys. A 29, 3871.
    """
    matrix = full_matrix(couplings)
    amount = check_number(epsilon, "epsilon", low=0.0)
    gamma = check_number(gamma, "gamma", low=0.0)
    values, vectors = np.linalg.eigh(matrix)
    if gamma * values[-1] >= 1:
        raise ValueError(
            f"gamma = {gamma:g} is too large: correlations diverge at 1 / {values[-1]:.4g} = {1 / values[-1]:.4g}, one "
            "over the largest eigenvalue of the couplings; take less"
        )
    result = (vectors * (values - amount / (1 - gamma * values))) @ vectors.T
    result = (result + result.T) / 2
    np.fill_diagonal(result, 0.0)
    return result


def bounded_learning(
    patterns: ArrayLike,
    bound: float,
    *,
    n_dreams: int = 0,
    epsilon: float = 0.01,
    seed: Seed = None,
    progress: bool = False,
) -> NDArray[np.float64]:
    """Couplings that cannot exceed a bound (clipped), learned pattern by pattern, with dreams in between.

    From J = 0, for each pattern xi in the order given,

        J <- clip(J + xi xi^T / N, -bound / sqrt(N), bound / sqrt(N)),

    then `n_dreams` times: from a random state relax at zero temperature to a fixed point s*, and
    J <- clip(J - (epsilon / N) s* s*^T). The diagonal is zero. Hebbian couplings of P patterns spread by sqrt(P) / N:
    a third of them would exceed a bound of 1 at load 1. Old patterns are forgotten in favour of new ones; without a
    bound all are lost at once beyond load 0.14.

    Parameters
    ----------
    patterns : array_like of +-1, shape (n_patterns, n_spins)
        The last ones are remembered best.
    bound : float
        Largest absolute coupling, > 0, in units of 1 / sqrt(N); about 0.4 stores most. `math.inf` is no bound.
    n_dreams : int, default 0
        Dreams after each pattern.
    epsilon : float, default 0.01
        Strength of one dream, dimensionless, > 0.
    seed : int, SeedSequence, Generator or None
        Of the dreams; same seed, same couplings.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric with zero diagonal.

    Raises
    ------
    ValueError
        If the patterns hold anything but +1 and -1, or a number is out of range.

    Warns
    -----
    RuntimeWarning
        If a dream did not reach a fixed point.

    References
    ----------
    Parisi 1986, J. Phys. A 19, L617 (bounded couplings); Marinari, Rossi, Zamponi 2026, arXiv 2603.09384 (with dreams;
    the schedule is theirs, the normalisation is stated here).
    """
    xi = check_patterns(patterns).astype(np.float64)
    n_spins = xi.shape[1]
    if not (isinstance(bound, float | int | np.floating | np.integer) and bound > 0):
        raise ValueError(f"bound must be a number > 0, got {bound!r}")
    largest = float(bound) / np.sqrt(n_spins)
    n_dreams = check_count(n_dreams, "n_dreams")
    amount = check_number(epsilon, "epsilon", low=0.0, open_low=True) / n_spins
    rng = np.random.default_rng(seed)
    result = np.zeros((n_spins, n_spins))
    unsettled = 0
    for pattern in tqdm(xi, disable=not progress, unit="pattern"):
        kernels.subtract_outer(result, pattern, -1.0 / n_spins)
        np.clip(result, -largest, largest, out=result)
        unsettled += kernels.unlearn_within(result, n_dreams, amount, largest, rng, MAX_SWEEPS)
    warn_unsettled(unsettled, n_dreams * len(xi))
    return result


def centred_daydream(
    patterns: ArrayLike,
    n_steps: int,
    epsilon: float = 0.01,
    *,
    bias: float | None = None,
    seed: Seed = None,
    progress: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Daydreaming of biased patterns: spins count from the mean b of the patterns.

    The energy is E = -1/2 sum_ij J_ij (s_i - b) (s_j - b), that of couplings J with fields h_i = -b sum_j J_ij. From
    J = sum_mu (xi^mu - b)(xi^mu - b)^T / (N (1 - b^2)), `n_steps` times: from a random state of mean b relax at zero
    temperature, in the fields sum_j J_ij (s_j - b), to a fixed point s*, choose a random pattern xi, then

        J <- J + (epsilon / N) [(xi - b)(xi - b)^T - (s* - b)(s* - b)^T],    diagonal zero.

    Unbiased, this is `daydream`, which with biased patterns only learns their common mean.

    Parameters
    ----------
    patterns : array_like of +-1, shape (n_patterns, n_spins)
    n_steps : int
        Number of steps.
    epsilon : float, default 0.01
        Strength of one step, dimensionless, > 0.
    bias : float, optional
        b in (-1, 1); by default the mean of all entries of the patterns.
    seed : int, SeedSequence, Generator or None
        Same seed, same couplings.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    couplings : ndarray, shape (n_spins, n_spins)
        Symmetric with zero diagonal.
    fields : ndarray, shape (n_spins,)
        In the units of the couplings, for example for ``Glauber(couplings, temperature, fields)``.

    Raises
    ------
    ValueError
        If the patterns hold anything but +1 and -1, a number is out of range, or all entries are the same.

    Warns
    -----
    RuntimeWarning
        If relaxations did not reach a fixed point.

    References
    ----------
    Doi, Ohzeki, Ricci-Tersenghi 2026, arXiv 2604.19258 (centred dynamics and rule; the start and the normalisation are
    those of `daydream`); Amit, Gutfreund, Sompolinsky 1987, Phys. Rev. A 35, 2293 (biased patterns).
    """
    xi = check_patterns(patterns).astype(np.float64)
    n_spins = xi.shape[1]
    b = float(xi.mean()) if bias is None else check_number(bias, "bias", low=-1.0, high=1.0)
    if abs(b) == 1:
        raise ValueError(f"bias is {b:g}: patterns whose entries are all the same leave nothing to learn")
    n_steps = check_count(n_steps, "n_steps")
    amount = check_number(epsilon, "epsilon", low=0.0, open_low=True) / n_spins
    rng = np.random.default_rng(seed)
    centred = xi - b
    result = centred.T @ centred / (n_spins * (1 - b**2))
    result = (result + result.T) / 2
    np.fill_diagonal(result, 0.0)

    def step(count: int) -> int:
        return int(kernels.centred_daydream(result, xi, b, count, amount, rng, MAX_SWEEPS))

    warn_unsettled(in_parts(step, n_steps, progress, "step"), n_steps)
    return result, -b * result.sum(axis=1)
