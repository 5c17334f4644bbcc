"""Dissipation of a molecular memory as a function of its adaptation error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import check_number
from simulate.contrastive.ladder import LEVELS, ladder_rates, matrix_of_rates, stationary_state

__all__ = ["AccuracyLaw", "accuracy_law"]


@dataclass(frozen=True)
class AccuracyLaw:
    """Relation between dissipation and adaptation error at strong driving.

    Error and dissipation are

        eps = residual_error + slope gamma,
        sigma = 2 current ln(1 / gamma) = 2 current ln[slope / (eps - residual_error)].

    Parameters
    ----------
    residual_error : float
        Adaptation error at gamma = 0, from the ends of the ladder.
    slope : float
        d eps / d gamma at gamma = 0.
    current : float
        Sum of the loop currents at gamma = 0 and signal 0, in units of k_R.

    References
    ----------
    Lan, Sartori, Neumann, Sourjik, Tu 2012, Nature Physics 8, 422, doi:10.1038/nphys2276;
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """

    residual_error: float
    slope: float
    current: float

    @property
    def cost_of_halving(self) -> float:
        """Dissipation for each halving of the excess error, 2 current ln 2, in kT k_R."""
        return 2 * self.current * float(np.log(2))

    def dissipation(self, error: ArrayLike) -> NDArray[np.float64]:
        """Dissipation at given adaptation errors, which must be above the residual one.

        Parameters
        ----------
        error : array_like
            Adaptation errors of any shape.

        Returns
        -------
        ndarray
            Of the shape of `error`, in kT k_R.

        Raises
        ------
        ValueError
            If an error is at or below the residual error.
        """
        excess = np.asarray(error, dtype=np.float64) - self.residual_error
        if (excess <= 0).any():
            raise ValueError(f"error must be above the residual error {self.residual_error:.6g}: no driving goes below")
        return 2 * self.current * np.log(self.slope / excess)


def accuracy_law(signal: float, switching_rate: float = 25.0) -> AccuracyLaw:
    """Cost of accuracy of the ladder to leading order in gamma, from exact linear algebra at gamma = 0.

    The derivative of the steady state solves Q dp = -(dQ/dgamma) p with entries that add up to zero.

    Parameters
    ----------
    signal : float
        Ligand concentration after the step (micromolar), > 0.
    switching_rate : float, default 25
        R > 0, in units of k_R.

    Returns
    -------
    AccuracyLaw

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723);
    Lan, Sartori, Neumann, Sourjik, Tu 2012, Nature Physics 8, 422, doi:10.1038/nphys2276.
    """
    signal = check_number(signal, "signal", low=0.0, open_low=True)
    switching_rate = check_number(switching_rate, "switching_rate", low=0.0, open_low=True)
    activity, change = [], []
    for ligand in (0.0, signal):
        rates = ladder_rates(0.0, switching_rate, ligand)
        state = stationary_state(rates)
        # rates are linear in gamma
        derivative = matrix_of_rates(ladder_rates(1.0, switching_rate, ligand) - rates)
        system = np.vstack([matrix_of_rates(rates), np.ones(len(state))])
        moved = np.linalg.lstsq(system, np.append(-derivative @ state, 0.0), rcond=None)[0]
        activity.append(state[:LEVELS].sum())
        change.append(moved[:LEVELS].sum())
    state = stationary_state(ladder_rates(0.0, switching_rate, 0.0))
    # at gamma = 0 only active m+1 -> m remains of the two directions along the active side
    current = state[1:LEVELS].sum()
    return AccuracyLaw(float(activity[0] - activity[1]), float(change[0] - change[1]), float(current))
