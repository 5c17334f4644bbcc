"""Couplings obtained by iterative learning and unlearning."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import Seed, check_count, check_number, check_patterns
from simulate.couplings import full_matrix, hebbian
from simulate.memory import relaxation_kernels as kernels
from simulate.memory.relaxations import MAX_SWEEPS, in_parts, warn_unsettled
from simulate.threads import one_blas_thread

__all__ = ["daydream", "eigenvector_dreaming", "unlearn"]


def unlearn(
    couplings: ArrayLike, n_dreams: int, epsilon: float = 0.01, *, seed: Seed = None, progress: bool = False
) -> NDArray[np.float64]:
    """Hebbian unlearning: weaken the fixed points that the network reaches from random states.

    Repeat `n_dreams` times: from a random state relax at zero temperature, spin by spin in random order, to a fixed
    point s*, then

        J <- J - (epsilon / N) s* s*^T,    diagonal zero.

    Parameters
    ----------
    couplings : array_like, shape (n_spins, n_spins)
        Symmetric with zero diagonal, for example `hebbian(patterns)`; not changed.
    n_dreams : int
        Number of dreams.
    epsilon : float, default 0.01
        Strength of one dream, dimensionless, > 0.
    seed : int, SeedSequence, Generator or None
        The same seed gives the same couplings.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric with zero diagonal.

    Raises
    ------
    ValueError
        If the couplings are not symmetric, not finite or have a diagonal, or a number is out of range.

    References
    ----------
    Hopfield, Feinstein, Palmer 1983, Nature 304, 158, doi:10.1038/304158a0.
    """
    result = full_matrix(couplings)
    n_dreams = check_count(n_dreams, "n_dreams")
    amount = check_number(epsilon, "epsilon", low=0.0, open_low=True) / len(result)
    rng = np.random.default_rng(seed)

    def dream(count: int) -> int:
        return int(kernels.unlearn(result, count, amount, rng, MAX_SWEEPS))

    warn_unsettled(in_parts(dream, n_dreams, progress, "dream"), n_dreams)
    return result


def daydream(
    patterns: ArrayLike,
    n_steps: int,
    epsilon: float = 0.01,
    *,
    couplings: ArrayLike | None = None,
    seed: Seed = None,
    progress: bool = False,
) -> NDArray[np.float64]:
    """Daydreaming: learn a pattern and unlearn a fixed point at once, in every step.

    From a random state relax at zero temperature to a fixed point s*, choose a random pattern xi, then

        J <- J + (epsilon / N) (xi xi^T - s* s*^T),    diagonal zero.

    Unlike with `unlearn`, patterns are not lost when dreaming continues for too long: once the fixed points are the
    patterns, learning and unlearning balance.

    Parameters
    ----------
    patterns : array_like of +-1, shape (n_patterns, n_spins)
    n_steps : int
        Number of steps.
    epsilon : float, default 0.01
        Strength of one step, dimensionless, > 0 (the inverse of the time scale tau of the source, per pattern).
    couplings : array_like, shape (n_spins, n_spins), optional
        Initial couplings; `hebbian(patterns)` by default.
    seed : int, SeedSequence, Generator or None
        The same seed gives the same couplings.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric with zero diagonal.

    Raises
    ------
    ValueError
        If patterns or couplings are not valid, or a number is out of range.

    References
    ----------
    Serricchio, Bocchi, Chilin, Marino, Negri, Cammarota, Ricci-Tersenghi 2024, arXiv 2405.08777.
    """
    xi = check_patterns(patterns)
    result = full_matrix(hebbian(xi) if couplings is None else couplings)
    if len(result) != xi.shape[1]:
        raise ValueError(f"couplings are for {len(result)} spins, the patterns have {xi.shape[1]}")
    n_steps = check_count(n_steps, "n_steps")
    amount = check_number(epsilon, "epsilon", low=0.0, open_low=True) / len(result)
    rng = np.random.default_rng(seed)
    states = xi.astype(np.float64)

    def step(count: int) -> int:
        return int(kernels.daydream(result, states, count, amount, rng, MAX_SWEEPS))

    warn_unsettled(in_parts(step, n_steps, progress, "step"), n_steps)
    return result


def eigenvector_dreaming(
    couplings: ArrayLike,
    n_dreams: int,
    epsilon: float = 0.01,
    *,
    choice: Literal["leading", "all"] = "leading",
    seed: Seed = None,
    progress: bool = False,
) -> NDArray[np.float64]:
    """Dreaming that flattens the spectrum and keeps the eigenvectors of the initial couplings.

    Unlearning hardly changes the eigenvectors zeta_u of the couplings; it improves retrieval by lowering the large
    eigenvalues. Here the eigenvalues alone are changed. Repeat `n_dreams` times: from a random state relax at zero
    temperature to a fixed point s*, then

        J <- J - epsilon sum_u w_u zeta_u zeta_u^T,    diagonal zero,

    with w_u = 1 for the eigenvector of largest |zeta_u . s*| and 0 for all others (`choice="leading"`), or
    w_u = (zeta_u . s*)^2 / N (`choice="all"`): the part of s* s*^T / N, hence of a dream of `unlearn`, that is diagonal
    in the eigenvectors. The weights add up to 1 in both cases.

    Parameters
    ----------
    couplings : array_like, shape (n_spins, n_spins)
        Symmetric with zero diagonal, for example `hebbian(patterns)`; not changed.
    n_dreams : int
        Number of dreams.
    epsilon : float, default 0.01
        Strength of one dream, dimensionless, > 0: the sum of the decreases of the eigenvalues.
    choice : {"leading", "all"}
        Eigenvectors whose eigenvalues decrease.
    seed : int, SeedSequence, Generator or None
        The same seed gives the same couplings.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric with zero diagonal. The eigenvectors are kept except for the effect of the subtracted diagonal,
        which for random patterns is nearly the same for all spins.

    Raises
    ------
    ValueError
        If the couplings are not symmetric, not finite or have a diagonal, or a number is out of range.

    References
    ----------
    Benedetti, Carillo, Marinari, Mezard 2023, arXiv 2308.13445, doi:10.1088/1742-5468/ad138e, for the approach and the
    family of algorithms.
    """
    result = full_matrix(couplings)
    n_dreams = check_count(n_dreams, "n_dreams")
    amount = check_number(epsilon, "epsilon", low=0.0, open_low=True) / len(result)
    if choice not in ("leading", "all"):
        raise ValueError(f"choice must be 'leading' or 'all', got {choice!r}")
    rng = np.random.default_rng(seed)
    # one thread: synchronising threads takes longer than products of small matrices
    with one_blas_thread(len(result) < 500):
        vectors = np.ascontiguousarray(np.linalg.eigh(result)[1])

        def dream(count: int) -> int:
            leading = choice == "leading"
            return int(kernels.dream_eigenvectors(result, vectors, count, amount, leading, rng, MAX_SWEEPS))

        unsettled = in_parts(dream, n_dreams, progress, "dream")
    warn_unsettled(unsettled, n_dreams)
    return (result + result.T) / 2
