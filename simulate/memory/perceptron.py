"""Margin learning: couplings under which every spin of every pattern has at least a given stability."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import check_count, check_number, check_patterns
from simulate.couplings import full_matrix, hebbian
from simulate.memory import relaxation_kernels as kernels
from simulate.progress_bars import tqdm
from simulate.user_warnings import warn

__all__ = ["perceptron"]


def perceptron(
    patterns: ArrayLike,
    margin: float = 1.0,
    *,
    couplings: ArrayLike | None = None,
    symmetric: bool = True,
    normalised: bool = True,
    max_passes: int = 10_000,
    progress: bool = False,
) -> NDArray[np.float64]:
    """Learn the patterns until each of their spins has a margin of stability.

    In each pass over the patterns, spins whose stability is below the margin learn the pattern once more:

        e_i = 1 if xi_i h_i < margin |J_i| else 0,    |J_i|^2 = sum_j J_ij^2,    h_i = sum_j J_ij xi_j,
        J_ij <- J_ij + (e_i + e_j) xi_i xi_j / N    (symmetric),    J_ij + e_i xi_i xi_j / N    (otherwise),

    diagonal zero, until all stabilities reach the margin. This happens after finitely many passes if couplings with
    larger margins exist. For random patterns and N -> infinity, couplings that may be asymmetric exist up to the
    load 1 / int_{-margin}^{inf} (t + margin)^2 exp(-t^2 / 2) dt / sqrt(2 pi): 2 at margin 0, 0.52 at margin 1.

    Parameters
    ----------
    patterns : array_like of +-1, shape (n_patterns, n_spins)
    margin : float, default 1
        Smallest stability required, >= 0; dimensionless if `normalised`, else in units of the couplings.
    couplings : array_like, shape (n_spins, n_spins), optional
        Initial couplings, not changed; `hebbian(patterns)` by default.
    symmetric : bool, default True
        Whether to keep the couplings symmetric.
    normalised : bool, default True
        Whether the margin is in units of |J_i| (Gardner); otherwise xi_i h_i >= margin is required (Diederich, Opper).
    max_passes : int, default 10000
        Passes after which learning stops.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Zero diagonal.

    Raises
    ------
    ValueError
        If patterns or couplings are not valid or do not fit each other, or a number is out of range.

    Warns
    -----
    RuntimeWarning
        If the margin was not reached in `max_passes` passes.

    References
    ----------
    Gardner 1988, J. Phys. A 21, 257, doi:10.1088/0305-4470/21/1/030. Diederich, Opper 1987, Phys. Rev. Lett. 58, 949,
    doi:10.1103/PhysRevLett.58.949.
    """
    xi = check_patterns(patterns)
    margin = check_number(margin, "margin", low=0.0)
    max_passes = check_count(max_passes, "max_passes", low=1)
    result = full_matrix(hebbian(xi) if couplings is None else couplings, symmetric=symmetric)
    n_spins = xi.shape[1]
    if len(result) != n_spins:
        raise ValueError(f"couplings are for {len(result)} spins, the patterns have {n_spins}")
    if n_spins < 2:
        raise ValueError("patterns must have at least 2 spins: a single one has no couplings to learn")
    states = xi.astype(np.float64)
    taught = 0
    for _ in tqdm(range(max_passes), disable=not progress, unit="pass"):
        taught = kernels.learn_margins(result, states, margin, 1.0 / n_spins, symmetric, normalised)
        if taught == 0:
            return result
    warn(
        f"margin {margin:g} was not reached: {taught} of {xi.size} spins were still below it in pass {max_passes}; "
        "ask for a smaller margin, store fewer patterns or raise max_passes",
        RuntimeWarning,
        stacklevel=2,
    )
    return result
