"""Boltzmann learning with any dynamics of spins in its negative phase."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from simulate.checks import Seed, check_count, check_number, check_patterns, seed_sequence
from simulate.dynamics.sampling import sample
from simulate.dynamics.spin_dynamics import SpinDynamics
from simulate.progress_bars import tqdm

__all__ = ["boltzmann_learning"]


def boltzmann_learning(
    data: ArrayLike,
    dynamics: Callable[[NDArray[np.float64], NDArray[np.float64]], SpinDynamics],
    *,
    n_steps: int = 400,
    rate: float = 0.03,
    decay: float = 0.0,
    chains: int = 20,
    sweeps: int = 20,
    seed: Seed = None,
    progress: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Couplings and fields with which a dynamics has the means and pair correlations of data (visible units only).

        J_ij += rate (<s_i s_j>_data - <s_i s_j>_dynamics - decay J_ij),    h_i += rate (<s_i>_data - <s_i>_dynamics).

    The negative phase, averages of the dynamics, comes from chains that go on from step to step. With `Glauber` this is
    stochastic maximum likelihood of a Boltzmann machine at that temperature. With a driven dynamics there is no
    likelihood, but the same rule ends where the driven steady state has the moments of the data: the negative phase
    unlearns what the driven network does by itself. Fair controls are equilibrium dynamics of equal noise
    (`simulate.retrieval.equilibrium_counterpart`). Results are means over the second half of the steps.

    Parameters
    ----------
    data : array_like of +-1, shape (n_samples, n_spins)
    dynamics : callable
        Maps couplings (n_spins, n_spins) and fields (n_spins,) to a dynamics of spins, for example
        ``lambda J, h: PersistentGlauber(J, 1.0, 0.9, fields=h)``.
    n_steps : int, default 400
        Number of steps.
    rate : float, default 0.03
        Length of a step > 0, in the units of the couplings.
    decay : float, default 0
        Decay of couplings >= 0, in inverse units of the couplings; more than 0 where some pairs of the data never vary.
    chains : int, default 20
        Number of chains of the negative phase.
    sweeps : int, default 20
        Sweeps of every chain for one step; the state after each of them counts.
    seed : int, SeedSequence, Generator or None
        Seed of the chains.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    couplings : ndarray, shape (n_spins, n_spins)
        Symmetric with zero diagonal, in the units in which the dynamics takes them: at T = 1 they contain 1 / T.
    fields : ndarray, shape (n_spins,)
        In the same units.

    Raises
    ------
    ValueError
        If data are not +-1, a number is out of range, or the dynamics is none of spins.

    References
    ----------
    Ackley, Hinton, Sejnowski 1985, Cogn. Sci. 9, 147; Tieleman 2008, Proc. ICML, 1064 (persistent chains); Behera, Rao,
    Sastry, Vaikuntanathan 2023, Phys. Rev. X 13, 041043, arXiv 2203.03024 (activity in memory and learning).
    """
    rows = check_patterns(data, "data").astype(np.float64)
    n_steps, chains = check_count(n_steps, "n_steps", low=1), check_count(chains, "chains", low=1)
    sweeps = check_count(sweeps, "sweeps", low=1)
    rate = check_number(rate, "rate", low=0.0, open_low=True)
    decay = check_number(decay, "decay", low=0.0)
    n = rows.shape[1]
    means, pairs = rows.mean(axis=0), rows.T @ rows / len(rows)
    couplings, fields = np.zeros((n, n)), np.zeros(n)
    kept_couplings, kept_fields, kept = np.zeros((n, n)), np.zeros(n), 0
    run: xr.Dataset | None = None
    root = seed_sequence(seed)
    for step in tqdm(range(n_steps), disable=not progress, unit="step"):
        moving = dynamics(couplings, fields)
        if not isinstance(moving, SpinDynamics):
            raise ValueError(f"dynamics: must return a dynamics of spins, got {type(moving).__name__}")
        start: dict[str, Any] = {"chains": chains, "seed": root} if run is None else {"continue_from": run}
        run = sample(moving, draws=sweeps, burn_in=0, n_jobs=1, check=False, **start)
        states = run["spins"].values.reshape(-1, n).astype(np.float64)
        couplings = couplings + rate * (pairs - states.T @ states / len(states) - decay * couplings)
        np.fill_diagonal(couplings, 0.0)
        fields = fields + rate * (means - states.mean(axis=0))
        if step >= n_steps // 2:
            kept_couplings, kept_fields, kept = kept_couplings + couplings, kept_fields + fields, kept + 1
    return kept_couplings / kept, kept_fields / kept
