"""Entropy and heat capacity of a model along a factor of its temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from infer.errors import InputError
from infer.estimators.likelihood.chains import PersistentChains
from infer.model import PairModel
from infer.types import FloatArray, SpinArray
from simulate.progress_bars import tqdm

__all__ = ["TEMPERATURES", "Thermodynamics", "annealed_thermodynamics", "check_temperatures", "exact_thermodynamics"]

TEMPERATURES = tuple(round(0.5 + 0.05 * k, 2) for k in range(31))
N_CHAINS = 200
N_STEPS = 1000  # of annealing from infinite to the lowest temperature
RECORDED_SWEEPS = 40  # at each temperature
FEWEST_EFFECTIVE = 20.0  # effective number of chains below which an annealed average is not given


@dataclass(frozen=True, eq=False)
class Thermodynamics:
    r"""Thermodynamics of :math:`P_T(s) \propto e^{-E(s)/T}`, T = 1 being the fitted model.

    Attributes
    ----------
    temperatures : ndarray (n,)
        The factor T.
    energy, energy_std : ndarray (n,)
        Mean energy, in the units of the energies of the model.
    entropy, entropy_std : ndarray (n,)
        Bits.
    heat_capacity, heat_capacity_std : ndarray (n,)
        :math:`(\langle E^2 \rangle - \langle E \rangle^2) / T^2` of all spins together, in units of Boltzmann's
        constant.
    method : str
        "enumeration", whose standard errors are 0, or "annealed importance sampling", whose standard errors are those
        of the sampling. The errors of the fitted couplings are not included. NaN where too few chains dominate a value.

    References
    ----------
    G. Tkacik et al. 2015, PNAS 112, 11508, doi:10.1073/pnas.1514188112. R. M. Neal 2001, Statistics and Computing 11,
    125, arXiv:physics/9803008.
    """

    temperatures: FloatArray
    energy: FloatArray
    energy_std: FloatArray
    entropy: FloatArray
    entropy_std: FloatArray
    heat_capacity: FloatArray
    heat_capacity_std: FloatArray
    method: str

    @property
    def peak(self) -> tuple[float, float]:
        """Temperature factor and value of the largest heat capacity among those computed; NaN where there is none."""
        if np.isnan(self.heat_capacity).all():
            return math.nan, math.nan
        k = int(np.nanargmax(self.heat_capacity))
        return float(self.temperatures[k]), float(self.heat_capacity[k])

    def at(self, temperature: float) -> int:
        """Index of a temperature factor in `temperatures`."""
        return int(np.argmin(np.abs(self.temperatures - temperature)))


def check_temperatures(temperatures: ArrayLike | None) -> FloatArray:
    """Temperature factors in increasing order, without repeats, 1 included."""
    given = np.asarray(TEMPERATURES if temperatures is None else temperatures, dtype=np.float64)
    if given.ndim != 1 or not given.size or not (np.isfinite(given).all() and (given > 0).all()):
        raise InputError("temperatures: expected a list of finite numbers above 0, factors of the model's temperature")
    return np.unique(np.append(given, 1.0))


def exact_thermodynamics(energies: FloatArray, temperatures: FloatArray) -> Thermodynamics:
    """Thermodynamics from the energies of all states.

    Parameters
    ----------
    energies : ndarray (2^n_spins,)
    temperatures : ndarray (n,)

    Returns
    -------
    Thermodynamics
    """
    above = energies - energies.min()
    mean, entropy, capacity = np.empty((3, len(temperatures)))
    for k, temperature in enumerate(temperatures):
        weight = np.exp(above / -temperature)
        total = weight.sum()
        mean[k] = weight @ above / total
        # centred, since the difference of two squares would lose precision at low temperature
        capacity[k] = weight @ (above - mean[k]) ** 2 / total / temperature**2
        entropy[k] = (math.log(total) + mean[k] / temperature) / math.log(2)
    zero = np.zeros(len(temperatures))
    return Thermodynamics(temperatures, mean + energies.min(), zero, entropy, zero, capacity, zero, "enumeration")


def annealed_thermodynamics(
    model: PairModel, temperatures: FloatArray, seed: np.random.SeedSequence, progress: bool = False
) -> tuple[Thermodynamics, SpinArray, FloatArray]:
    r"""Thermodynamics by annealed importance sampling from infinite temperature, and states at temperature 1.

    Chains start from random states, where :math:`\log Z = N \log 2`, and are cooled in small equal steps of 1/T, one
    sweep of heat-bath updates each. Their importance weights estimate log Z at every temperature, and weighted averages
    of the energies of recorded sweeps the other quantities. Standard errors by leaving out one chain at a time
    (jackknife).

    Parameters
    ----------
    model : PairModel
    temperatures : ndarray (n,)
        Increasing, 1 included.
    seed : numpy.random.SeedSequence
    progress : bool
        Show a progress bar.

    Returns
    -------
    thermodynamics : Thermodynamics
    states : ndarray of int8 (n_chains, n_spins)
        States at temperature 1.
    weights : ndarray (n_chains,)
        Weights of these states, with sum 1. They correct for the temperature at which chains became confined to a
        basin, where the probabilities of the basins differ from those at temperature 1.
    """
    of_starts, of_chains = seed.spawn(2)
    starts = np.random.default_rng(of_starts).choice(np.array([-1, 1], dtype=np.int8), (N_CHAINS, model.n_spins))
    chains = PersistentChains(starts, int(of_chains.generate_state(1)[0]))
    inverse = np.unique(np.concatenate([np.linspace(0.0, 1.0 / temperatures[0], N_STEPS + 1), 1.0 / temperatures]))
    wanted = {float(1.0 / t): k for k, t in enumerate(temperatures)}
    log_weights = np.zeros(N_CHAINS)
    values = np.full((3, len(temperatures)), np.nan)
    errors = np.full_like(values, np.nan)
    states, weights = chains.spins, np.full(N_CHAINS, 1.0 / N_CHAINS)
    steps = tqdm(pairwise(inverse), total=len(inverse) - 1, disable=not progress, desc="annealing", unit="step")
    for before, beta in steps:
        log_weights -= (beta - before) * model.energies(chains.spins)
        couplings, fields = beta * model.couplings, beta * model.fields
        if float(beta) not in wanted:
            chains.advance(couplings, fields, 1)
            continue
        recorded = chains.advance(couplings, fields, RECORDED_SWEEPS, record=True)
        found = model.energies(recorded.reshape(-1, model.n_spins)).reshape(N_CHAINS, -1)
        k = wanted[float(beta)]
        values[:, k], errors[:, k] = _annealed_values(log_weights, found, float(beta), model.n_spins)
        if temperatures[k] == 1.0:
            states, weights = chains.spins, np.exp(log_weights - log_weights.max())
    energy, entropy, capacity = values
    return (
        Thermodynamics(
            temperatures, energy, errors[0], entropy, errors[1], capacity, errors[2], "annealed importance sampling"
        ),
        states,
        weights / weights.sum(),
    )


def _annealed_values(
    log_weights: FloatArray, energies: FloatArray, beta: float, n_spins: int
) -> tuple[FloatArray, FloatArray]:
    """Mean energy, entropy (bits) and heat capacity from weighted chains (n_chains, n_sweeps), with standard errors."""
    n_chains = len(log_weights)
    weights = np.exp(log_weights - log_weights.max())
    if weights.sum() ** 2 / (weights @ weights) < FEWEST_EFFECTIVE:
        return np.full(3, np.nan), np.full(3, np.nan)
    centre = energies.mean()
    first, second = (energies - centre).mean(axis=1), ((energies - centre) ** 2).mean(axis=1)

    def values(sums: list[FloatArray], count: int) -> FloatArray:
        total, one, two = sums
        mean = one / total
        log_partition = n_spins * math.log(2) + log_weights.max() + np.log(total / count)
        entropy = (log_partition + beta * (mean + centre)) / math.log(2)
        return np.stack([mean + centre, entropy, beta**2 * (two / total - mean**2)])

    sums = [weights, weights * first, weights * second]
    whole = values([s.sum(keepdims=True) for s in sums], n_chains)[:, 0]
    left = values([s.sum() - s for s in sums], n_chains - 1)
    spread = (left - left.mean(axis=1, keepdims=True)) ** 2
    return whole, np.sqrt((n_chains - 1) / n_chains * spread.sum(axis=1))
