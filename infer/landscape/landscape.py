"""Energy landscape of a fitted model: minima, basins, saddles, visits, thermodynamics."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from infer.count_model import model_of
from infer.errors import InputError
from infer.landscape.accuracy import Accuracy, accuracy
from infer.landscape.exact import AllStates, all_energies, exact_landscape, states_of
from infer.landscape.landscape_kernels import walk_states
from infer.landscape.overlaps import Memories, memories
from infer.landscape.result import EnergyLandscape, assign_rows
from infer.landscape.search import FoundMinima, descend, find_minima, model_rows
from infer.landscape.thermodynamics import (
    FEWEST_EFFECTIVE,
    Thermodynamics,
    annealed_thermodynamics,
    check_temperatures,
    exact_thermodynamics,
)
from infer.landscape.visits import Visits, visits
from infer.model import PairModel
from infer.samples import Samples
from infer.types import FloatArray, SpinArray
from simulate.checks import Seed, check_count, check_patterns, seed_sequence

__all__ = ["MOST_EXACT_SPINS", "energy_landscape"]

MOST_EXACT_SPINS = 20  # a million states
N_MODEL_ROWS = 20_000
N_CHAINS = 100


def energy_landscape(
    model: Any,
    samples: Any = None,
    *,
    fields: ArrayLike | None = None,
    patterns: ArrayLike | None = None,
    temperatures: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    n_model_rows: int = N_MODEL_ROWS,
    seed: Seed = None,
    progress: bool = False,
) -> EnergyLandscape:
    r"""Local minima of the energy of a model, their basins, the saddles between them, and the visits of samples.

    A local minimum is a state whose energy is lowered by no flip of a single spin. Connected states of equal energy
    (differences below 1e-11 of the range are rounding) are one minimum if none of them has a lower neighbour; otherwise
    they belong to the basin that is reached over them by the shortest path. Steepest descent flips the spin that lowers
    the energy most, the first among equals. The saddle of two minima is the lowest energy at which single flips connect
    them: the smallest possible highest energy of a path from one to the other.

    Up to 20 spins all states are enumerated and the answer is exact. For more spins, minima are those found by
    descent from all distinct rows and from samples of the model, basin sizes are not known, and saddles are upper
    bounds.

    Parameters
    ----------
    model : fitted estimator, PairModel, array_like (n_spins, n_spins), or any model with ``n_spins`` and ``energies``
        Couplings that contain 1/T, for example of `MaximumLikelihood`. Models with more than pairs, recognised by their
        methods, are accepted up to 20 spins.
    samples : array_like (n_rows, n_spins) of +-1, xarray.Dataset, Recording or Samples, optional
        Rows that are assigned to basins. Rows with missing values have none; transitions are counted inside runs only.
    fields : array_like (n_spins,), optional
        Fields for couplings that were given as a matrix.
    patterns : array_like (n_patterns, n_spins), optional
        Patterns of +-1 that the minima are compared with; by default those that came with the samples.
    temperatures : array_like, shape (n,), optional
        Factors of the model's temperature for the thermodynamics; 0.5 to 2 by default. 1 is added.
    names : sequence of str, optional
        Names of the spins; by default those of the samples.
    n_model_rows : int, default 20000
        Rows of heat-bath chains of the model, one sweep apart, whose visits are compared with those of the samples.
    seed : int, SeedSequence, Generator or None
        Seed of those chains and, above 20 spins, of all random draws.
    progress : bool, default False
        Show a progress bar, above 20 spins.

    Returns
    -------
    EnergyLandscape

    Raises
    ------
    ValueError
        If the model is not fitted or not finite, samples or patterns have another number of spins, or a model with more
        than pairs has more than 20 spins.

    References
    ----------
    T. Ezaki et al. 2017, Phil. Trans. R. Soc. A 375, 20160287, doi:10.1098/rsta.2016.0287. N. Masuda, S. Islam, S.
    Aung, T. Watanabe 2024, arXiv:2411.16979. O. M. Becker, M. Karplus 1997, J. Chem. Phys. 106, 1495
    (disconnectivity graphs), doi:10.1063/1.473299.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import energy_landscape
    >>> found = energy_landscape(np.full((4, 4), 0.5), seed=0)
    >>> found.minima.tolist(), found.basin_sizes.tolist()
    ([[-1, -1, -1, -1], [1, 1, 1, 1]], [8, 8])
    >>> round(float(found.depths[0]), 3)
    4.0
    """
    value = _value_of(model, fields)
    n_spins = int(value.n_spins)
    given = None if samples is None else Samples.of(samples)
    if given is not None:
        _check_samples(given, n_spins)
    spins, weights = (None, None) if given is None else (given.spins, given.weight)
    own_names = None if given is None else given.names
    names = tuple(map(str, own_names or range(n_spins))) if names is None else tuple(map(str, names))
    if len(names) != n_spins:
        raise InputError(f"names: {len(names)} were given for {n_spins} spins; give one for each, or none")
    stored = given.patterns if patterns is None and given is not None else patterns
    checked = None if stored is None else check_patterns(stored)
    if checked is not None and checked.shape[1] != n_spins:
        raise InputError(f"patterns: expected shape (n_patterns, {n_spins}) to fit the model, got {checked.shape}")
    factors = check_temperatures(temperatures)
    n_model_rows = check_count(n_model_rows, "n_model_rows", low=2 * N_CHAINS)
    exact = n_spins <= MOST_EXACT_SPINS
    if not exact and not isinstance(value, PairModel):
        raise InputError(
            f"a {type(value).__name__} of {n_spins} spins: above {MOST_EXACT_SPINS} spins landscapes are those of pair "
            "models (couplings and fields)"
        )
    of_chains, of_annealing, of_orders = seed_sequence(seed).spawn(3)
    states: AllStates | FoundMinima
    if exact:
        states = exact_landscape(all_energies(value, n_spins))
        thermodynamics = exact_thermodynamics(states.energies, factors)
        minima = states_of(states.minima, n_spins)
        # equal energies may differ by rounding, against the order of their states
        energies = np.maximum.accumulate(states.energies[states.minima])
        shares, model_visits = _exact_model_visits(states, n_model_rows, of_chains)
        shares_std = np.zeros(len(minima))
    else:
        thermodynamics, starts, chances = annealed_thermodynamics(value, factors, of_annealing, progress)
        rows, chain = model_rows(value, starts, n_model_rows, of_chains)
        settled = descend(value, rows)
        complete = None if spins is None else spins[(spins != 0).all(axis=1)]
        states = find_minima(
            value, settled if complete is None else np.concatenate([descend(value, complete), settled])
        )
        minima, energies = states.minima, states.energies
        labels = states.labels(settled)
        model_visits = visits(labels, len(minima), np.repeat(chances, len(labels) // len(starts)), chain)
        shares = model_visits.shares
        shares_std = _share_errors(labels, chances, shares)
        if 1.0 / (chances @ chances) < FEWEST_EFFECTIVE:  # few chains dominate the weights: annealing was too fast
            shares, shares_std = np.full((2, len(minima)), np.nan)
            model_visits = dataclasses.replace(model_visits, shares=shares)
    seen = None
    if given is not None:
        labels = assign_rows(value, states, given.spins)
        seen = visits(labels, len(minima), _of_complete_rows(given.spins, weights), _runs_of(given))
    return EnergyLandscape(
        minima=minima,
        energies=energies,
        exact=exact,
        basin_sizes=np.bincount(states.labels, minlength=len(minima)) if isinstance(states, AllStates) else None,
        plateau_sizes=states.plateaus if isinstance(states, AllStates) else None,
        merges=states.merges,
        shares=None if seen is None else seen.shares,
        model_shares=shares,
        model_shares_std=shares_std,
        visits=seen,
        model_visits=model_visits,
        memories=None if checked is None else _memories(value, minima, energies, checked, of_orders),
        accuracy=None if spins is None else _accuracy(value, spins, weights, thermodynamics),
        thermodynamics=thermodynamics,
        names=names,
        n_dropped=0 if given is None else int(given.attributes.get("dropped_rows", 0)),
        n_left_out=0 if isinstance(states, AllStates) else states.n_left_out,
        _model=value,
        _states=states,
    )


def _value_of(model: Any, fields: ArrayLike | None) -> Any:
    """A model with `n_spins` and `energies`: one that has them, or the pair model of an estimator or a matrix."""
    if type(model) is PairModel:
        model = PairModel.of(model.couplings, model.fields if fields is None else fields)
    for value in (model, getattr(model, "model_", None)):
        if hasattr(value, "energies") and hasattr(value, "n_spins"):
            return value if fields is None else model_of(value, fields)
    return model_of(model, fields)


def _check_samples(samples: Samples, n_spins: int) -> None:
    """Raise an error for samples that do not fit the model, or have no complete row."""
    if samples.spins.shape[1] != n_spins:
        raise InputError(f"samples: expected shape (n_rows, {n_spins}) to fit the model, got {samples.spins.shape}")
    if not (samples.spins != 0).all(axis=1).any():
        raise InputError("samples: every row has missing values, so that none lies in a basin; fill them first")


def _runs_of(samples: Samples) -> NDArray[Any] | None:
    """Run of each row, None where rows have no order in time."""
    if not samples.ordered:
        return None
    return np.zeros(samples.n_rows, dtype=np.int64) if samples.chains is None else samples.chains


def _of_complete_rows(spins: SpinArray, weights: FloatArray | None) -> FloatArray | None:
    """Weights of rows, 0 where a value is missing."""
    complete = (spins != 0).all(axis=1)
    if complete.all():
        return weights
    return complete.astype(np.float64) if weights is None else weights * complete


def _exact_model_visits(states: AllStates, n_rows: int, seed: np.random.SeedSequence) -> tuple[FloatArray, Visits]:
    """Probabilities of the basins, and visits of heat-bath chains that start from states of the model."""
    probability = np.exp(states.energies.min() - states.energies)
    probability /= probability.sum()
    n_minima = len(states.minima)
    shares = np.bincount(states.labels, probability, minlength=n_minima).astype(np.float64)
    rng = np.random.default_rng(seed)
    starts = np.searchsorted(np.cumsum(probability), rng.random(N_CHAINS) * (1.0 - 1e-12))
    rows = np.empty((N_CHAINS, -(-n_rows // N_CHAINS)), dtype=np.int64)
    walk_states(states.energies, states.n_spins, rng, np.minimum(starts, len(probability) - 1), rows)
    chains = np.repeat(np.arange(N_CHAINS), rows.shape[1])
    return shares, visits(states.labels[rows.ravel()], n_minima, chains=chains)


def _share_errors(labels: NDArray[Any], weights: FloatArray, shares: FloatArray) -> FloatArray:
    """Standard errors of weighted shares of basins, from the scatter between independent chains (equal pieces)."""
    pieces = np.split(labels, len(weights))
    each = np.array([np.bincount(part[part >= 0], minlength=len(shares)) / len(part) for part in pieces])
    variance = ((weights / weights.sum())[:, None] ** 2 * (each - shares) ** 2).sum(axis=0)
    return np.sqrt(variance * len(weights) / (len(weights) - 1))


def _memories(
    model: Any, minima: SpinArray, energies: FloatArray, patterns: SpinArray, seed: np.random.SeedSequence
) -> Memories:
    """Overlaps of minima with patterns; mirrored where every minimum and its negative have the same energy."""
    mirrored = bool(np.allclose(model.energies(-minima), energies, rtol=1e-9, atol=1e-9))
    return memories(minima, patterns, mirrored, seed)


def _accuracy(model: Any, spins: SpinArray, weights: FloatArray | None, thermodynamics: Thermodynamics) -> Accuracy:
    """Indices of accuracy from the complete rows."""
    complete = (spins != 0).all(axis=1)
    rows = spins[complete]
    weight = None if weights is None else weights[complete]
    k = thermodynamics.at(1.0)
    return accuracy(
        rows,
        weight,
        model.energies(rows),
        float(thermodynamics.energy[k]),
        float(thermodynamics.entropy[k]),
        float(thermodynamics.entropy_std[k]),
    )
