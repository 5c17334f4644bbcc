"""Spins updated one at a time: in equilibrium, and driven by coloured noise or by two temperatures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulate.checks import check_number, first_place
from simulate.dynamics import threshold_kernels as kernels
from simulate.dynamics.responses import (
    ColoredResponse,
    EquilibriumResponse,
    MixedBathResponse,
    PersistentResponse,
    SpinResponse,
)
from simulate.dynamics.spin_dynamics import CompiledSpinDynamics, Thresholds, check_model

__all__ = ["ColoredFieldGlauber", "Glauber", "Metropolis", "PersistentGlauber", "TwoTemperatureGlauber", "threshold_of"]


def threshold_of(probability: float) -> np.uint32:
    """Number below which a random 32-bit word lies with the given probability, to 2^-32."""
    return np.uint32(min(round(probability * 2.0**32), 2**32 - 1))


def _check_temperature(owner: Any, name: str = "temperature") -> None:
    object.__setattr__(owner, name, check_number(getattr(owner, name), name, low=0.0, open_low=True))


@dataclass(frozen=True, eq=False)
class PersistentGlauber(CompiledSpinDynamics):
    """Persistent-threshold Glauber dynamics: active spins, out of equilibrium for persistence above 0.

    The energy is

        E(s) = -1/2 sum_{i != j} J_ij s_i s_j - sum_i H_i s_i.

    Each spin carries a threshold z_i with the density of 1/2 log(u / (1 - u)), u uniform on (0, 1). An update of a
    random spin i keeps z_i with probability `persistence`, else draws it again, and sets

        s_i = sign(h_i + T z_i),    h_i = sum_j J_ij s_j + H_i.

    Persistence 0 is exactly heat-bath Glauber dynamics at temperature T, whose steady state is exp(-E / T);
    a redraw rate of 1 - persistence per sweep makes the noise coloured, with correlation exp(-(1 - persistence) t).

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Symmetric with zero diagonal.
    temperature : float
        T > 0, in the units of the couplings.
    persistence : float
        Probability in [0, 1) that an update keeps the threshold.
    fields : array_like of shape (n_spins,), float or None
        External fields H, in the units of the couplings.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the couplings are not symmetric, not finite, or have a diagonal.

    References
    ----------
    Behera, Du, Jagadisan, Sastry, Rao, Vaikuntanathan 2024, arXiv 2410.06269. Glauber 1963, J. Math. Phys. 4, 294.
    """

    couplings: Any
    temperature: float
    persistence: float = 0.0
    fields: ArrayLike | None = None

    def __post_init__(self) -> None:
        check_model(self)
        _check_temperature(self)
        persistence = check_number(self.persistence, "persistence", low=0.0, high=1.0, open_high=True)
        object.__setattr__(self, "persistence", persistence)

    def response(self) -> SpinResponse:
        return PersistentResponse(self.temperature, self.persistence)

    def sources(self, state: NDArray[np.uint32], generators: list[np.random.Generator]) -> Thresholds:
        scale = self.in_units(self.temperature)
        if self.persistence == 0.0:
            return Thresholds(lambda sites, out: kernels.fill_logistic(state, scale, out))
        keep = threshold_of(self.persistence)
        memory = np.array([rng.logistic(scale=0.5, size=self.n_spins) for rng in generators], dtype=np.float32)
        return Thresholds(lambda sites, out: kernels.fill_persistent(state, keep, scale, sites, memory, out), memory)


@dataclass(frozen=True, eq=False)
class ColoredFieldGlauber(CompiledSpinDynamics):
    """Heat-bath Glauber dynamics in a coloured random field.

    An update of a random spin i at time t sets s_i = +1 with probability 1 / (1 + exp(-2 (h_i + v_i(t)) / T)), where
    h_i = sum_j J_ij s_j + H_i and v_i is an Ornstein-Uhlenbeck process of variance T_a / tau and correlation time tau,
    propagated from one update of the spin to the next by its exact law. T_a = 0 is heat-bath Glauber dynamics.

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Symmetric with zero diagonal.
    temperature : float
        T > 0 of the heat bath, in the units of the couplings.
    persistence_time : float
        tau > 0, in sweeps.
    active_temperature : float
        T_a >= 0; the standard deviation of the field is sqrt(T_a / tau), in the units of the couplings.
    fields : array_like of shape (n_spins,), float or None
        External fields H, in the units of the couplings.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the couplings are not symmetric, not finite, or have a diagonal.

    References
    ----------
    Behera, Du, Jagadisan, Sastry, Rao, Vaikuntanathan 2024, arXiv 2410.06269 (the coloured noise); Glauber 1963,
    J. Math. Phys. 4, 294 (the heat bath).
    """

    couplings: Any
    temperature: float
    persistence_time: float
    active_temperature: float
    fields: ArrayLike | None = None

    def __post_init__(self) -> None:
        check_model(self)
        _check_temperature(self)
        _check_temperature(self, "persistence_time")
        noise = check_number(self.active_temperature, "active_temperature", low=0.0)
        object.__setattr__(self, "active_temperature", noise)

    def response(self) -> SpinResponse:
        return ColoredResponse(self.temperature, self.persistence_time, self.active_temperature)

    def sources(self, state: NDArray[np.uint32], generators: list[np.random.Generator]) -> Thresholds:
        scale, tau, unit = self.in_units(self.temperature), self.persistence_time, self.unit
        strength = math.sqrt(self.active_temperature / tau)
        memory = np.array([strength * rng.standard_normal(self.n_spins) for rng in generators])
        last_visit = np.zeros(memory.shape, dtype=np.int64)
        clock = 0

        def fill(sites: NDArray[np.int32], out: NDArray[np.float32]) -> None:
            nonlocal clock
            kernels.fill_coloured(state, scale, tau, strength, unit, sites, clock, last_visit, memory, out)
            clock += sites.shape[1]

        def finish() -> None:
            """Propagate the field of every spin from its last update to the end, by its exact law."""
            elapsed = (clock - last_visit) / self.n_spins / tau
            kicks = np.array([rng.standard_normal(self.n_spins) for rng in generators])
            memory[...] = np.exp(-elapsed) * memory + strength * np.sqrt(-np.expm1(-2 * elapsed)) * kicks

        return Thresholds(fill, memory, finish)


@dataclass(frozen=True, eq=False)
class Glauber(CompiledSpinDynamics):
    """Heat-bath Glauber dynamics, at one temperature (equilibrium) or with a different temperature for every spin.

    An update of a random spin i sets s_i = +1 with probability 1 / (1 + exp(-2 h_i / T_i)). At one temperature detailed
    balance holds and the steady state is exp(-E / T); between spins at different temperatures heat flows, and detailed
    balance does not hold.

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Symmetric with zero diagonal.
    temperature : float or array_like of shape (n_spins,)
        T > 0, in the units of the couplings.
    fields : array_like of shape (n_spins,), float or None
        External fields H, in the units of the couplings.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the couplings are not symmetric, not finite, or have a diagonal.

    References
    ----------
    Glauber 1963, J. Math. Phys. 4, 294, doi:10.1063/1.1703954.
    """

    couplings: Any
    temperature: float | ArrayLike
    fields: ArrayLike | None = None

    def __post_init__(self) -> None:
        check_model(self)
        if np.ndim(self.temperature) == 0:
            _check_temperature(self)
            return
        values = np.array(self.temperature, dtype=np.float64)
        if values.shape != (self.n_spins,):
            raise ValueError(f"temperature must be a number or have shape ({self.n_spins},), got {values.shape}")
        if not (np.isfinite(values) & (values > 0)).all():
            (spin,) = first_place(~(np.isfinite(values) & (values > 0)))
            raise ValueError(f"temperature[{spin}] = {values[spin]:g}: temperatures must be finite and > 0")
        object.__setattr__(self, "temperature", values)

    def response(self) -> SpinResponse | None:
        if np.ndim(self.temperature):
            return None
        return EquilibriumResponse(float(np.asarray(self.temperature)))

    def sources(self, state: NDArray[np.uint32], generators: list[np.random.Generator]) -> Thresholds:
        if np.ndim(self.temperature) == 0:
            scale = self.in_units(float(np.asarray(self.temperature)))
            return Thresholds(lambda sites, out: kernels.fill_logistic(state, scale, out))
        scales = np.array([self.in_units(float(temperature)) for temperature in np.asarray(self.temperature)])
        return Thresholds(lambda sites, out: kernels.fill_logistic_at(state, scales, sites, out))


@dataclass(frozen=True, eq=False)
class Metropolis(CompiledSpinDynamics):
    """Metropolis dynamics: a random spin i flips with probability min(1, exp(-2 s_i h_i / T)).

    Detailed balance holds, and the steady state is exp(-E / T).

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Symmetric with zero diagonal.
    temperature : float
        T > 0, in the units of the couplings.
    fields : array_like of shape (n_spins,), float or None
        External fields H, in the units of the couplings.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the couplings are not symmetric, not finite, or have a diagonal.

    References
    ----------
    Metropolis, Rosenbluth, Rosenbluth, Teller, Teller 1953, J. Chem. Phys. 21, 1087, doi:10.1063/1.1699114.
    """

    couplings: Any
    temperature: float
    fields: ArrayLike | None = None

    metropolis: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_model(self)
        _check_temperature(self)

    def response(self) -> SpinResponse:
        return EquilibriumResponse(self.temperature)

    def sources(self, state: NDArray[np.uint32], generators: list[np.random.Generator]) -> Thresholds:
        scale = self.in_units(self.temperature)
        return Thresholds(lambda sites, out: kernels.fill_exponential(state, scale, out))


@dataclass(frozen=True, eq=False)
class TwoTemperatureGlauber(CompiledSpinDynamics):
    """Heat-bath Glauber dynamics with two baths: each update uses the hot one with probability `share`.

    s_i = +1 with probability share / (1 + exp(-2 h_i / T_hot)) + (1 - share) / (1 + exp(-2 h_i / T)). For shares
    between 0 and 1 detailed balance is broken.

    Parameters
    ----------
    couplings : array_like, scipy sparse matrix (n_spins, n_spins) or PatternCouplings
        Symmetric with zero diagonal.
    temperature, hot_temperature : float
        T > 0 and T_hot > 0, in the units of the couplings.
    share : float, default 0.5
        Probability in [0, 1] of the hot bath.
    fields : array_like of shape (n_spins,), float or None
        External fields H, in the units of the couplings.

    Raises
    ------
    ValueError
        If a parameter is out of its range, or the couplings are not symmetric, not finite, or have a diagonal.

    References
    ----------
    Garrido, Labarta, Marro 1987, J. Stat. Phys. 49, 551.
    """

    couplings: Any
    temperature: float
    hot_temperature: float
    share: float = 0.5
    fields: ArrayLike | None = None

    def __post_init__(self) -> None:
        check_model(self)
        _check_temperature(self)
        _check_temperature(self, "hot_temperature")
        object.__setattr__(self, "share", check_number(self.share, "share", low=0.0, high=1.0))

    def response(self) -> SpinResponse:
        return MixedBathResponse(self.share / self.hot_temperature + (1 - self.share) / self.temperature)

    def sources(self, state: NDArray[np.uint32], generators: list[np.random.Generator]) -> Thresholds:
        hot, cold, share = (
            self.in_units(self.hot_temperature),
            self.in_units(self.temperature),
            threshold_of(self.share),
        )
        return Thresholds(lambda sites, out: kernels.fill_mixture(state, share, hot, cold, out))
