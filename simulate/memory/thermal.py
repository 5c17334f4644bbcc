"""Unlearning of thermal correlations, by Monte Carlo or in mean-field theory."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import Seed, check_count, check_number
from simulate.couplings import check_couplings, full_matrix
from simulate.memory import relaxation_kernels as kernels
from simulate.progress_bars import tqdm
from simulate.threads import one_blas_thread

__all__ = ["mean_field_correlations", "sampled_correlations", "thermal_unlearn"]

# sums, a fraction of a second, between two moments at which an interrupt is heeded
_AT_ONCE = 100_000_000


def thermal_unlearn(
    couplings: ArrayLike,
    temperature: float,
    n_dreams: int,
    epsilon: float = 0.01,
    *,
    method: Literal["monte-carlo", "mean-field"] = "monte-carlo",
    burn_in: int = 50,
    draws: int = 10,
    seed: Seed = None,
    progress: bool = False,
) -> NDArray[np.float64]:
    """Unlearning at a temperature: weaken the correlations of the thermal state.

    Repeat `n_dreams` times

        J <- J - (epsilon / N) <s s^T>_T,    diagonal zero,

    where the correlations are those of exp(-E / T) under the present couplings: averages over a heat-bath run that
    starts from a random state (`method="monte-carlo"`), or `mean_field_correlations` (`method="mean-field"`), without
    noise and exact where the couplings are weak or the network is large and in its disordered phase. In the limit of
    low temperatures, the former becomes `unlearn`.

    Parameters
    ----------
    couplings : array_like, shape (n_spins, n_spins)
        Symmetric with zero diagonal, for example `hebbian(patterns)`; not changed.
    temperature : float
        T > 0, in the units of the couplings.
    n_dreams : int
        Number of dreams.
    epsilon : float, default 0.01
        Strength of one dream, dimensionless, > 0.
    method : {"monte-carlo", "mean-field"}
        Method of computing the correlations.
    burn_in, draws : int
        Numbers of sweeps of a Monte Carlo run that are discarded, and that are averaged over.
    seed : int, SeedSequence, Generator or None
        Seed of the Monte Carlo runs; the same seed gives the same couplings.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric with zero diagonal.

    Raises
    ------
    ValueError
        If the couplings are not symmetric, not finite or have a diagonal, or an argument is out of range.

    References
    ----------
    van Hemmen, Ioffe, Kuehn, Vaas 1990, Physica A 163, 386.
    """
    result = full_matrix(couplings)
    temperature = check_number(temperature, "temperature", low=0.0, open_low=True)
    n_dreams = check_count(n_dreams, "n_dreams")
    amount = check_number(epsilon, "epsilon", low=0.0, open_low=True) / len(result)
    burn_in = check_count(burn_in, "burn_in")
    draws = check_count(draws, "draws", low=1)
    if method not in ("monte-carlo", "mean-field"):
        raise ValueError(f"method must be 'monte-carlo' or 'mean-field', got {method!r}")
    rng = np.random.default_rng(seed)
    shift: NDArray[np.float64] | None = None
    # one thread: synchronising threads takes longer than products of small matrices
    with one_blas_thread(len(result) < 500):
        for _ in tqdm(range(n_dreams), disable=not progress, unit="dream"):
            if method == "mean-field":
                correlations, shift = _solve(result / temperature, shift)
            else:
                correlations = sampled_correlations(result, temperature, burn_in, draws, rng)
            result -= amount * correlations
            np.fill_diagonal(result, 0.0)
    return result


def sampled_correlations(
    couplings: NDArray[np.float64], temperature: float, burn_in: int, draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Mean of s s^T (n_spins, n_spins) over `draws` states, a sweep apart, of a heat bath from a random state."""
    n_spins = len(couplings)
    spins = np.where(rng.random(n_spins) < 0.5, 1.0, -1.0)
    fields = couplings @ spins
    total = np.zeros_like(couplings)
    sweeps = max(1, _AT_ONCE // n_spins**2)
    for count, recorded in ((burn_in, 0), (draws, 1)):
        for first in range(0, count, sweeps):
            part = min(sweeps, count - first)
            run = (0, part) if recorded else (part, 0)
            kernels.thermal_correlations(couplings, temperature, spins, fields, *run, rng, total)
    return total / draws


def mean_field_correlations(couplings: ArrayLike, temperature: float) -> NDArray[np.float64]:
    """Correlations ``<s_i s_j>`` of spins without fields, in mean-field theory with its reaction term.

    The correlations C are the matrix with unit diagonal whose inverse is -J / T off the diagonal,

        C = (L - J / T)^-1,    L diagonal such that C_ii = 1:

    the Gaussian model with the constraint ``<s_i^2> = 1``. L_i = 1 + (1/T^2) sum_j J_ij^2 + ... is Onsager's reaction
    term. There is exactly one solution at every temperature; it is exact to second order in J / T, and for large
    systems with weak couplings of any statistics in their disordered phase.

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Symmetric with zero diagonal.
    temperature : float
        T > 0, in the units of the couplings.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric with unit diagonal.

    Raises
    ------
    ValueError
        If the couplings are not valid or the temperature is not positive.

    References
    ----------
    Opper, Winther 2001, Phys. Rev. E 64, 056131 (adaptive TAP); Kappen, Rodriguez 1998, Neural Comput. 10, 1137.
    """
    checked = check_couplings(couplings)
    matrix = np.asarray(checked.toarray() if hasattr(checked, "toarray") else checked)
    return _solve(matrix / check_number(temperature, "temperature", low=0.0, open_low=True), None)[0]


def _solve(
    couplings: NDArray[np.float64], start: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlations and diagonal L for couplings over temperature; `start` is a guess of L.

    L minimises the convex, self-concordant sum(L) - log det(L - J), here by damped Newton steps.
    """
    if start is None:
        # L - J is diagonally dominant, hence positive definite
        start = 1.0 + np.abs(couplings).sum(axis=1)
    diagonal = start
    factor = _cholesky(diagonal, couplings)
    if factor is None:
        return _solve(couplings, None)
    decrement = 1.0
    while True:
        inverse_factor = np.linalg.inv(factor)
        correlations: NDArray[np.float64] = inverse_factor.T @ inverse_factor
        # steps converge quadratically, so that the step after one of length 1e-6 is of the size of rounding
        if decrement < 1e-6:
            return (correlations + correlations.T) / 2, diagonal
        gradient = 1.0 - np.diag(correlations)
        step = np.linalg.solve(np.square(correlations), gradient)
        # the slope of a self-concordant function along its Newton step gives a safe step length
        decrement = float(np.sqrt(max(float(gradient @ step), 0.0)))
        length = 1.0 if decrement < 0.25 else 1.0 / (1.0 + decrement)
        trial = _cholesky(diagonal - length * step, couplings)
        while trial is None:  # by rounding only
            length /= 2
            trial = _cholesky(diagonal - length * step, couplings)
        diagonal = diagonal - length * step
        factor = trial


def _cholesky(diagonal: NDArray[np.float64], couplings: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Cholesky factor of L - J, or None where that is not positive definite."""
    try:
        return np.asarray(np.linalg.cholesky(np.diag(diagonal) - couplings), dtype=np.float64)
    except np.linalg.LinAlgError:
        return None
