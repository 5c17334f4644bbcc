"""A molecular memory: the receptor of chemotaxis as a ladder of ten states, and what its accuracy costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import null_space
from scipy.optimize import brentq

from simulate._validation import check_number
from simulate.contrastive.response import Kernel, exponentials

__all__ = ["AccuracyLaw", "ReceptorLadder", "accuracy_law", "critical_driving"]

# methylation levels 0..4; states are the active ones by level, then the inactive ones
_LEVELS = 5
# dissociation constants of the ligand from the inactive and the active receptor, in micromolar
_INACTIVE_DISSOCIATION, _ACTIVE_DISSOCIATION = 18.2, 3000.0


@dataclass(frozen=True)
class ReceptorLadder:
    """Receptor that is active or inactive, with m = 0..4 methyl groups; rates in units of k_R.

    Active: m+1 -> m at 1, m -> m+1 at e gamma. Inactive: m -> m+1 at 1, m+1 -> m at e gamma. With
    dE(s, m) = 2 (1 - m) + ln[(1 + s/18.2) / (1 + s/3000)], active -> inactive at switching_rate max(1, exp(dE)) and
    inactive -> active at switching_rate max(1, exp(-dE)). At gamma = 1 detailed balance holds; towards gamma = 0 fuel
    drives the cycle, and the activity adapts to the ligand ever better.

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
        """Force on each elementary loop, -2 ln gamma, in kT; the log ratio of its rates around either way."""
        return -2.0 * float(np.log(self.gamma))

    def rates(self, signal: float = 0.0) -> NDArray[np.float64]:
        """Rates (10, 10) at a ligand concentration `signal` (micromolar): entry [i, j] is that of j -> i, diagonal 0.

        States 0..4 are active, 5..9 inactive, by number of methyl groups.
        """
        return _rates(self.gamma, self.switching_rate, _check_signal(signal))

    def generator(self, signal: float = 0.0) -> NDArray[np.float64]:
        """Matrix Q (10, 10) of dp/dt = Q p; columns add up to zero."""
        return _generator(self.rates(signal))

    def steady_state(self, signal: float = 0.0) -> NDArray[np.float64]:
        """Probabilities (10,) of the states after a long time at this ligand concentration."""
        return _steady_state(self.rates(signal))

    def activity(self, signal: float = 0.0) -> float:
        """Active fraction in the steady state."""
        return float(self.steady_state(signal)[:_LEVELS].sum())

    def dissipation(self, signal: float = 0.0) -> float:
        """Entropy production sum_edges (J+ - J-) ln(J+ / J-) of the steady state, in kT k_R."""
        flows = self.rates(signal) * self.steady_state(signal)
        one_way, back = flows[np.triu_indices(len(flows), 1)], flows.T[np.triu_indices(len(flows), 1)]
        edges = one_way > 0
        return float(((one_way - back)[edges] * np.log(one_way[edges] / back[edges])).sum())

    def loop_currents(self, signal: float = 0.0) -> NDArray[np.float64]:
        """Net current J_m (4,) around the loop between m and m + 1 methyl groups, in units of k_R.

        Counted in the direction inactive m -> m+1, active m+1 -> m; the dissipation is affinity times their sum.
        """
        flows = self.rates(signal) * self.steady_state(signal)
        level = np.arange(_LEVELS - 1)
        return flows[level, level + 1] - flows[level + 1, level]

    def step_response(self, time: ArrayLike, signal: float) -> NDArray[np.float64]:
        """Active fraction at any array of times (in 1 / k_R) after the ligand has gone from 0 to `signal` at time 0."""
        times = np.asarray(time, dtype=np.float64)
        if (times < 0).any():
            raise ValueError("time must not be negative: the step is made at time 0")
        flat = times.ravel()
        states = exponentials(self.generator(signal), flat) @ self.steady_state()
        return states[:, :_LEVELS].sum(axis=1).reshape(times.shape)

    def adaptation_error(self, signal: float) -> float:
        """Loss of activity that stays after a step of the ligand from 0 to `signal`, a_0 - a_inf."""
        return self.activity() - self.activity(signal)

    def first_moment(self, signal: float) -> float:
        """First moment of minus the derivative of the step response; negative where the ladder reports changes."""
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
        """Minus the derivative of the step response, not normalised and so defined at any driving; see `kernel`."""
        signal = check_number(signal, "signal", low=0.0, open_low=True)
        rate = check_number(methylation_rate, "methylation_rate", low=0.0, open_low=True)
        generator = self.generator(signal)
        # on the nine dimensions of deviations from the steady state, where all motion dies out
        basis = null_space(np.ones((1, 2 * _LEVELS)))
        active = (np.arange(2 * _LEVELS) < _LEVELS).astype(np.float64)
        start = self.steady_state() - self.steady_state(signal)
        return Kernel(rate * basis.T @ generator @ basis, rate * basis.T @ start, -(active @ generator) @ basis)


def _check_signal(signal: Any) -> float:
    return check_number(signal, "signal", low=0.0)


def _rates(gamma: float, switching_rate: float, signal: float) -> NDArray[np.float64]:
    """Rates of the ladder, [i, j] of j -> i; gamma may be 0 here."""
    rates = np.zeros((2 * _LEVELS, 2 * _LEVELS))
    level = np.arange(_LEVELS)
    low, high = level[:-1], level[1:]
    rates[low, high] = 1.0
    rates[high, low] = np.e * gamma
    rates[high + _LEVELS, low + _LEVELS] = 1.0
    rates[low + _LEVELS, high + _LEVELS] = np.e * gamma
    energy = 2.0 * (1 - level) + np.log1p(signal / _INACTIVE_DISSOCIATION) - np.log1p(signal / _ACTIVE_DISSOCIATION)
    rates[level + _LEVELS, level] = switching_rate * np.exp(np.maximum(energy, 0.0))
    rates[level, level + _LEVELS] = switching_rate * np.exp(np.maximum(-energy, 0.0))
    return rates


def _generator(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    return rates - np.diag(rates.sum(axis=0))


def _steady_state(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Steady state by the elimination of Grassmann, Taksar, Heyman 1985: no subtraction, so each entry is accurate."""
    a = rates.T.copy()
    n = len(a)
    for k in range(n - 1, 0, -1):
        a[:k, k] /= a[k, :k].sum()
        a[:k, :k] += np.outer(a[:k, k], a[k, :k])
    state = np.zeros(n)
    state[0] = 1.0
    for k in range(1, n):
        state[k] = state[:k] @ a[:k, k]
    return state / state.sum()


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
    """How to make a ladder a contrastive memory, for an error message."""
    try:
        return f"drive the ladder harder, gamma < {critical_driving(signal, switching_rate):.4f}"
    except ValueError:
        return f"no driving makes it one at signal {signal:g}, take another signal or switching rate"


@dataclass(frozen=True)
class AccuracyLaw:
    """What accuracy costs at strong driving, where error and dissipation are

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
    """

    residual_error: float
    slope: float
    current: float

    @property
    def cost_of_halving(self) -> float:
        """Dissipation for each halving of the excess error, 2 current ln 2, in kT k_R."""
        return 2 * self.current * float(np.log(2))

    def dissipation(self, error: ArrayLike) -> NDArray[np.float64]:
        """Dissipation (kT k_R) that goes with adaptation errors above the residual one.

        Raises
        ------
        ValueError
            If an error is at or below the residual error, which no driving reaches.
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
        rates = _rates(0.0, switching_rate, ligand)
        state = _steady_state(rates)
        # rates are linear in gamma
        derivative = _generator(_rates(1.0, switching_rate, ligand) - rates)
        system = np.vstack([_generator(rates), np.ones(len(state))])
        moved = np.linalg.lstsq(system, np.append(-derivative @ state, 0.0), rcond=None)[0]
        activity.append(state[:_LEVELS].sum())
        change.append(moved[:_LEVELS].sum())
    state = _steady_state(_rates(0.0, switching_rate, 0.0))
    # at gamma = 0 only active m+1 -> m is left of the two ways along the active side
    current = state[1:_LEVELS].sum()
    return AccuracyLaw(float(activity[0] - activity[1]), float(change[0] - change[1]), float(current))
