"""The receptor of chemotaxis as a ladder of ten states: a molecular memory, with its accuracy and dissipation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import null_space
from scipy.optimize import brentq

from simulate.checks import check_number
from simulate.contrastive.ladder import LEVELS, ladder_rates, matrix_of_rates, stationary_state
from simulate.contrastive.response import Kernel, exponentials

__all__ = ["ReceptorLadder", "critical_driving"]


@dataclass(frozen=True)
class ReceptorLadder:
    """Receptor that is active or inactive, with m = 0..4 methyl groups; rates in units of k_R.

    Active: m+1 -> m at 1, m -> m+1 at e gamma. Inactive: m -> m+1 at 1, m+1 -> m at e gamma. With dE(s, m) = 2 (1 - m)
    + ln[(1 + s/18.2) / (1 + s/3000)], active -> inactive at switching_rate max(1, exp(dE)) and inactive -> active at
    switching_rate max(1, exp(-dE)). At gamma = 1 detailed balance holds; as gamma goes to 0 the cycle is driven more
    strongly, and the activity adapts to the ligand more accurately.

    Parameters
    ----------
    gamma : float
        Reversibility of the methylation, in (0, 1].
    switching_rate : float, default 25
        R > 0, in units of the methylation rate k_R.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Lan, Sartori, Neumann, Sourjik, Tu 2012, Nature Physics 8, 422, doi:10.1038/nphys2276;
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """

    gamma: float
    switching_rate: float = 25.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", check_number(self.gamma, "gamma", low=0.0, high=1.0, open_low=True))
        object.__setattr__(
            self, "switching_rate", check_number(self.switching_rate, "switching_rate", low=0.0, open_low=True)
        )

    @property
    def affinity(self) -> float:
        """Force on each elementary loop, -2 ln gamma, in kT: log ratio of its rate products in the two directions."""
        return -2.0 * float(np.log(self.gamma))

    def rates(self, signal: float = 0.0) -> NDArray[np.float64]:
        """Rates between states: entry [i, j] is that of j -> i, diagonal 0.

        States 0..4 are active, 5..9 inactive, by number of methyl groups.

        Parameters
        ----------
        signal : float, default 0
            Ligand concentration (micromolar), >= 0.

        Returns
        -------
        ndarray, shape (10, 10)
            In units of k_R.

        Raises
        ------
        ValueError
            If the signal is negative.
        """
        return ladder_rates(self.gamma, self.switching_rate, _check_signal(signal))

    def generator(self, signal: float = 0.0) -> NDArray[np.float64]:
        """Matrix Q of dp/dt = Q p; columns add up to zero.

        Parameters
        ----------
        signal : float, default 0
            Ligand concentration (micromolar), >= 0.

        Returns
        -------
        ndarray, shape (10, 10)
            In units of k_R.

        Raises
        ------
        ValueError
            If the signal is negative.
        """
        return matrix_of_rates(self.rates(signal))

    def steady_state(self, signal: float = 0.0) -> NDArray[np.float64]:
        """Stationary probabilities of the states at a ligand concentration.

        Parameters
        ----------
        signal : float, default 0
            Ligand concentration (micromolar), >= 0.

        Returns
        -------
        ndarray, shape (10,)

        Raises
        ------
        ValueError
            If the signal is negative.
        """
        return stationary_state(self.rates(signal))

    def activity(self, signal: float = 0.0) -> float:
        """Active fraction in the steady state.

        Parameters
        ----------
        signal : float, default 0
            Ligand concentration (micromolar), >= 0.

        Returns
        -------
        float
            In [0, 1].

        Raises
        ------
        ValueError
            If the signal is negative.
        """
        return float(self.steady_state(signal)[:LEVELS].sum())

    def dissipation(self, signal: float = 0.0) -> float:
        """Entropy production sum_edges (J+ - J-) ln(J+ / J-) of the steady state.

        Parameters
        ----------
        signal : float, default 0
            Ligand concentration (micromolar), >= 0.

        Returns
        -------
        float
            In kT k_R.

        Raises
        ------
        ValueError
            If the signal is negative.
        """
        flows = self.rates(signal) * self.steady_state(signal)
        one_way, back = flows[np.triu_indices(len(flows), 1)], flows.T[np.triu_indices(len(flows), 1)]
        edges = one_way > 0
        return float(((one_way - back)[edges] * np.log(one_way[edges] / back[edges])).sum())

    def loop_currents(self, signal: float = 0.0) -> NDArray[np.float64]:
        """Net currents J_m around the loops between m and m + 1 methyl groups.

        Counted in the direction inactive m -> m+1, active m+1 -> m; the dissipation is affinity times their sum.

        Parameters
        ----------
        signal : float, default 0
            Ligand concentration (micromolar), >= 0.

        Returns
        -------
        ndarray, shape (4,)
            In units of k_R.

        Raises
        ------
        ValueError
            If the signal is negative.
        """
        flows = self.rates(signal) * self.steady_state(signal)
        level = np.arange(LEVELS - 1)
        return flows[level, level + 1] - flows[level + 1, level]

    def step_response(self, time: ArrayLike, signal: float) -> NDArray[np.float64]:
        """Active fraction after the ligand has gone from 0 to `signal` at time 0.

        Parameters
        ----------
        time : array_like
            Times >= 0 of any shape, in units of 1 / k_R.
        signal : float
            Ligand concentration after the step (micromolar), >= 0.

        Returns
        -------
        ndarray
            Of the shape of `time`.

        Raises
        ------
        ValueError
            If a time or the signal is negative.
        """
        times = np.asarray(time, dtype=np.float64)
        if (times < 0).any():
            raise ValueError("time must not be negative: the step is made at time 0")
        flat = times.ravel()
        states = exponentials(self.generator(signal), flat) @ self.steady_state()
        return states[:, :LEVELS].sum(axis=1).reshape(times.shape)

    def adaptation_error(self, signal: float) -> float:
        """Permanent loss of activity after a step of the ligand from 0 to `signal`, a_0 - a_inf.

        Parameters
        ----------
        signal : float
            Ligand concentration after the step (micromolar), >= 0.

        Returns
        -------
        float
            In units of the activity.

        Raises
        ------
        ValueError
            If the signal is negative.
        """
        return self.activity() - self.activity(signal)

    def first_moment(self, signal: float) -> float:
        """First moment of minus the derivative of the step response; negative where the ladder responds to changes.

        Parameters
        ----------
        signal : float
            Ligand concentration after the step (micromolar), > 0.

        Returns
        -------
        float
            In units of 1 / k_R times the activity.

        Raises
        ------
        ValueError
            If the signal is not positive.
        """
        return self.response(signal).first_moment

    def kernel(self, signal: float, methylation_rate: float = 1.0) -> Kernel:
        """Memory kernel: minus the derivative of the step response over the size of its first moment.

        Parameters
        ----------
        signal : float
            Ligand concentration after the step (micromolar), > 0.
        methylation_rate : float, default 1
            k_R > 0 per unit of time of the protocol; the memory lasts about 1 / k_R.

        Returns
        -------
        Kernel
            Of first moment -1; its area, per unit of time, is the adaptation error over the size of the first moment
            and so proportional to the methylation rate.

        Raises
        ------
        ValueError
            If the ladder is driven too weakly to be a contrastive memory (`critical_driving`).
        """
        response = self.response(signal, methylation_rate)
        if response.first_moment >= 0:
            raise ValueError(
                f"gamma = {self.gamma:g} is no contrastive memory: the first moment of its response is "
                f"{response.first_moment:.4g} and must be negative; {_advice(self.switching_rate, signal)}"
            )
        return response.normalised()

    def response(self, signal: float, methylation_rate: float = 1.0) -> Kernel:
        """Minus the derivative of the step response, not normalised and so defined at any driving; see `kernel`.

        Parameters
        ----------
        signal : float
            Ligand concentration after the step (micromolar), > 0.
        methylation_rate : float, default 1
            k_R > 0 per unit of time of the protocol.

        Returns
        -------
        Kernel

        Raises
        ------
        ValueError
            If a number is not positive.
        """
        signal = check_number(signal, "signal", low=0.0, open_low=True)
        rate = check_number(methylation_rate, "methylation_rate", low=0.0, open_low=True)
        generator = self.generator(signal)
        # restricted to the nine dimensions of deviations from the steady state, where all modes decay
        basis = null_space(np.ones((1, 2 * LEVELS)))
        active = (np.arange(2 * LEVELS) < LEVELS).astype(np.float64)
        start = self.steady_state() - self.steady_state(signal)
        return Kernel(rate * basis.T @ generator @ basis, rate * basis.T @ start, -(active @ generator) @ basis)


def _check_signal(signal: Any) -> float:
    return check_number(signal, "signal", low=0.0)


def critical_driving(signal: float, switching_rate: float = 25.0) -> float:
    """Largest gamma at which the ladder is a contrastive memory: there its first moment changes sign.

    Parameters
    ----------
    signal : float
        Ligand concentration after the step (micromolar), > 0.
    switching_rate : float, default 25
        R > 0, in units of k_R.

    Returns
    -------
    float
        gamma*, in (0, 1).

    Raises
    ------
    ValueError
        If the ladder is no contrastive memory at any driving, or a number is out of range.

    References
    ----------
    Falk, Strupp, Scellier, Murugan 2025, Nature Communications (arXiv 2312.17723).
    """
    signal = check_number(signal, "signal", low=0.0, open_low=True)

    def moment(gamma: float) -> float:
        return ReceptorLadder(gamma, switching_rate).first_moment(signal)

    strongest = 1e-9
    if moment(strongest) >= 0 or moment(1.0) <= 0:
        raise ValueError(
            f"no change of sign of the first moment between gamma = 0 and 1 at signal {signal:g}, "
            f"switching_rate {switching_rate:g}"
        )
    return float(brentq(moment, strongest, 1.0, xtol=1e-14))


def _advice(switching_rate: float, signal: float) -> str:
    """Remedy for a ladder that is no contrastive memory, for an error message."""
    try:
        return f"drive the ladder harder, gamma < {critical_driving(signal, switching_rate):.4f}"
    except ValueError:
        return f"no driving makes it one at signal {signal:g}, take another signal or switching rate"
