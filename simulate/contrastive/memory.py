"""Associative memory by temporal contrastive learning: patterns are learned, states of the free network unlearned."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import Seed, check_count, check_number, check_patterns
from simulate.contrastive.nonlinearity import hard_threshold
from simulate.contrastive.response import chemotaxis_kernel
from simulate.contrastive.synapse import ContrastiveRule, IdealContrast, Sawtooth
from simulate.couplings import check_couplings, hebbian
from simulate.memory import relaxation_kernels as kernels
from simulate.memory.thermal import sampled_correlations
from simulate.progress_bars import tqdm
from simulate.user_warnings import warn

__all__ = ["free_correlations", "learn_patterns", "memory_rule"]

FREE_STATES = ("fixed point", "graded", "thermal")
# the energy falls with every flip; N = 1000 at load 0.5 settles within 20 sweeps, so this limit is not reached
_MAX_SWEEPS = 1000
# graded spins have converged when no equation is violated by more than this; near a transition convergence is slow
_REST = 1e-4
_MAX_ITERATIONS = 2000


def memory_rule() -> ContrastiveRule:
    """Rule whose learning window, 0.12 to 2.28, contains the contrast 2 between products s_i s_j = +1 and -1.

    Chemotaxis kernel of rate 20 and area 0, rise time 1, fall time 19, hard threshold 0.12.

    Returns
    -------
    ContrastiveRule

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """
    return ContrastiveRule(chemotaxis_kernel(20.0), Sawtooth(1.0, 19.0), hard_threshold(0.12))


def free_correlations(
    couplings: ArrayLike,
    free_state: str = "fixed point",
    *,
    temperature: float = 0.5,
    n_sweeps: int = 50,
    seed: Seed = None,
) -> NDArray[np.float64]:
    """Correlations s_i s_j of the state that a free network reaches from a random start.

    Parameters
    ----------
    couplings : array_like, shape (n_spins, n_spins)
        Symmetric with zero diagonal.
    free_state : {"fixed point", "graded", "thermal"}
        "fixed point": of zero-temperature relaxation, correlations +-1. "graded": m_i m_j of a fixed point of the
        mean-field equations m = tanh(J m / T), reached by damped iteration from random graded spins. "thermal": the
        average of s_i s_j over `n_sweeps` sweeps of heat bath at temperature T, after as many to settle.
    temperature : float, default 0.5
        T > 0 of "graded" and "thermal", in units of the couplings.
    n_sweeps : int, default 50
        Sweeps averaged over by "thermal".
    seed : int, SeedSequence, Generator or None
        Seed of the start and the updates.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Entries in [-1, 1]; the diagonal holds s_i^2.

    Raises
    ------
    ValueError
        If the couplings are not symmetric, not finite or have a diagonal, or an argument is out of range.

    References
    ----------
    Hopfield, Feinstein, Palmer 1983, Nature 304, 158; van Hemmen, Ioffe, Kuehn, Vaas 1990, Physica A 163, 386.
    """
    matrix = _full(couplings)
    temperature, n_sweeps = _check_free_state(free_state, temperature, n_sweeps)
    correlations, settled = _free(matrix, free_state, temperature, n_sweeps, np.random.default_rng(seed))
    _warn_of(int(not settled), 1)
    return correlations


def learn_patterns(
    patterns: ArrayLike,
    n_cycles: int,
    rule: ContrastiveRule | IdealContrast | None = None,
    *,
    learning_rate: float = 0.05,
    free_state: str = "fixed point",
    temperature: float = 0.5,
    n_sweeps: int = 50,
    couplings: ArrayLike | None = None,
    seed: Seed = None,
    progress: bool = False,
) -> NDArray[np.float64]:
    """Train couplings by temporal contrast between the free and the clamped state.

    In each of `n_cycles` cycles the network goes from a free state, reached from a random start, to a random pattern
    and back as in the protocol of the rule, and every synapse changes independently,

        J_ij <- J_ij + (learning_rate / N) dw(<s_i s_j>_free, xi_i xi_j),    diagonal zero.

    With dw = clamped - free that is Hebbian learning of the pattern and unlearning of the free state at once.

    Parameters
    ----------
    patterns : array_like of +-1, shape (n_patterns, n_spins)
    n_cycles : int
        Number of cycles.
    rule : ContrastiveRule or IdealContrast, optional
        Rule of the change of a synapse in one cycle; `memory_rule()` by default.
    learning_rate : float, default 0.05
        > 0, dimensionless.
    free_state : {"fixed point", "graded", "thermal"}
        Method of computing the signal of the free state, see `free_correlations`.
    temperature : float, default 0.5
        T > 0 of "graded" and "thermal" free states, in units of the couplings.
    n_sweeps : int, default 50
        Sweeps averaged over by "thermal".
    couplings : array_like, shape (n_spins, n_spins), optional
        Initial couplings; `hebbian(patterns)` by default. Learning with fixed points does not work well from zero
        couplings, since the first patterns alone set their scale; with graded and thermal free states it does.
    seed : int, SeedSequence, Generator or None
        The same seed gives the same couplings.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric, zero diagonal.

    Raises
    ------
    ValueError
        If patterns or couplings are not valid, or an argument is out of range.

    Warns
    -----
    RuntimeWarning
        If free states did not settle.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723);
    Hopfield, Feinstein, Palmer 1983, Nature 304, 158, doi:10.1038/304158a0.
    """
    xi = check_patterns(patterns).astype(np.float64)
    n_patterns, n_spins = xi.shape
    n_cycles = check_count(n_cycles, "n_cycles")
    step = check_number(learning_rate, "learning_rate", low=0.0, open_low=True) / n_spins
    temperature, n_sweeps = _check_free_state(free_state, temperature, n_sweeps)
    rule = memory_rule() if rule is None else rule
    if not isinstance(rule, ContrastiveRule | IdealContrast):
        raise ValueError(f"rule must be a ContrastiveRule or IdealContrast, got {type(rule).__name__}")
    result = _full(hebbian(xi) if couplings is None else couplings)
    if len(result) != n_spins:
        raise ValueError(f"couplings are for {len(result)} spins, the patterns have {n_spins}")
    rng = np.random.default_rng(seed)
    pairs = np.triu_indices(n_spins, 1)
    unsettled = 0
    for _ in tqdm(range(n_cycles), disable=not progress, unit="cycle"):
        free, settled = _free(result, free_state, temperature, n_sweeps, rng)
        unsettled += not settled
        pattern = xi[rng.integers(n_patterns)]
        change = step * rule.update(free[pairs], pattern[pairs[0]] * pattern[pairs[1]])
        result[pairs] += change
        result.T[pairs] += change
    _warn_of(unsettled, n_cycles)
    return result


def _check_free_state(free_state: str, temperature: float, n_sweeps: int) -> tuple[float, int]:
    """Check the options of a free state; return temperature and sweeps."""
    if free_state not in FREE_STATES:
        raise ValueError(f"free_state must be one of {', '.join(map(repr, FREE_STATES))}, got {free_state!r}")
    return (
        check_number(temperature, "temperature", low=0.0, open_low=True),
        check_count(n_sweeps, "n_sweeps", low=1),
    )


def _full(couplings: Any) -> NDArray[np.float64]:
    """A full matrix (a copy), exactly symmetric, from couplings of any kind."""
    checked = check_couplings(couplings)
    matrix = np.array(checked.toarray() if hasattr(checked, "toarray") else checked)
    return (matrix + matrix.T) / 2


def _free(
    couplings: NDArray[np.float64], free_state: str, temperature: float, n_sweeps: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], bool]:
    """Correlations of a free state, and whether it converged."""
    n_spins = len(couplings)
    if free_state == "thermal":
        return sampled_correlations(couplings, temperature, n_sweeps, n_sweeps, rng), True
    if free_state == "graded":
        spins, settled = rng.uniform(-1, 1, n_spins), False
        for _ in range(_MAX_ITERATIONS):
            change = np.tanh(couplings @ spins / temperature) - spins
            # damped by one half, since full steps may alternate between two states
            spins += change / 2
            settled = bool(np.abs(change).max() < _REST)
            if settled:
                break
        return np.outer(spins, spins), settled
    spins = np.where(rng.random(n_spins) < 0.5, 1.0, -1.0)
    settled = bool(kernels.settle(couplings, spins, rng, _MAX_SWEEPS) >= 0)
    return np.outer(spins, spins), settled


def _warn_of(unsettled: int, total: int) -> None:
    if unsettled:
        warn(f"{unsettled} of {total} free states did not come to rest", RuntimeWarning, stacklevel=3)
