"""Whether an equilibrium model with pair couplings explains samples: moments predicted against moments observed."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from infer.diagnosis.adequacy_result import Adequacy
from infer.diagnosis.distributions import equal_share_bins, merge_neighbours, shares_in_batches
from infer.model import PairModel
from infer.samples import Samples
from infer.similarity.replicates import blas_threads
from infer.statistics.moments import (
    Estimates,
    batch_moments,
    batches_by_label,
    batches_by_thinning,
    choose_triples,
    cumulants,
)
from infer.statistics.uncertainty import batch_labels, convergence
from simulate.dynamics.sampling import sample
from simulate.dynamics.spins import PersistentGlauber

FloatArray = NDArray[np.float64]

MOMENTS = ("means", "correlations", "third moments")
# moments of one group that the test looks at, at the most
_MOST_FLIPPED = 5000
_N_FLIPS = 999
_FLIP_BLOCK = 2**16
_N_BATCHES = 64
#: Fewest samples: two batches of eight, the least that has an error.
FEWEST_SAMPLES = 16
_CHUNK_ROWS = 16_384


def goodness_of_fit(
    couplings: Any,
    spins: Any,
    *,
    fields: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    chains: ArrayLike | None = None,
    n_draws: int = 2_000,
    n_chains: int = 20,
    burn_in: int = 200,
    thin: int = 2,
    n_triples: int = 2_000,
    random_state: int = 0,
    n_jobs: int | None = 1,
) -> Adequacy:
    r"""Compare samples with the equilibrium model :math:`P(s) \sim \exp(\sum_{i<j} J_{ij} s_i s_j + \sum_i h_i s_i)`.

    The model is sampled by heat-bath Glauber dynamics, and means, connected correlations and third cumulants of its
    samples are set against the observed ones, each with its error. A pairwise model can be made to agree on means and
    correlations whatever the samples come from; third moments are the first that it can fail on.

    Parameters
    ----------
    couplings : array (n_spins, n_spins) or fitted estimator
        Inferred couplings, which contain the inverse temperature. An estimator gives ``couplings_`` and ``fields_``.
    spins : array (n_rows, n_spins) of +-1, Dataset from ``simulate.sample``, or Recording
        A Dataset or Recording also gives ``chains`` and ``counts``.
    fields : array (n_spins,), optional
        Inferred fields; zero by default, or those of the estimator.
    counts : array of int (n_rows,), optional
        How often each row was seen; samples are then taken as independent.
    chains : array of int (n_rows,), optional
        The time-ordered run that each row belongs to.
    n_draws, n_chains, burn_in, thin : int
        Draws from each chain of the model, number of chains, sweeps before the first interval, sweeps between draws.
    n_triples : int
        Third moments looked at: all, or a random choice of so many.
    random_state : int
        Seed of everything drawn.
    n_jobs : int or None
        Threads for the model's chains; the result does not depend on it.

    Returns
    -------
    Adequacy

    Raises
    ------
    ValueError
        If couplings, fields, spins, counts or chains are malformed or do not fit each other.

    Notes
    -----
    The model's chains start from randomly chosen observed rows, so that a model with several basins is not judged by
    where random states happen to fall. Where the chains hardly leave their basins (``r_hat`` well above 1) the
    weights of the basins are those of the data, and only what happens inside the basins is put to the test.

    Errors are those of batch means: one batch for each chain of the model, contiguous batches for observed rows (never
    across a chain boundary), and for rows with counts batches that the samples are dealt out to at random. The p-value
    of a group of moments refers to its rms z: the deviations of the batches get random signs, which leaves
    correlations between entries as they are. For moments that the model was fitted to it errs on the safe side.
    Distributions are tested likewise, by their shares in at most twelve bins that are about equally filled.
    """
    model = PairModel.of(couplings, fields)
    matrix, field = model.couplings, model.fields
    rows, number, runs = check_observed(spins, counts, chains, len(matrix))
    for name, value, least in (("n_draws", n_draws, 2), ("n_chains", n_chains, 4), ("n_triples", n_triples, 1)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    seeds = np.random.SeedSequence(random_state).spawn(6)
    start_seed, chain_seed, triple_seed, batch_seed, flip_seed, shape_seed = seeds

    with blas_threads(len(matrix)):
        triples = choose_triples(len(matrix), n_triples, triple_seed)
        n_samples = len(rows) if number is None else int(number.sum())
        n_batches = int(np.clip(n_samples // 8, 2, _N_BATCHES))
        if number is None:
            labels = batch_labels(len(rows), runs, n_batches=n_batches)
            observed_batches = functools.partial(batches_by_label, labels)
            method = "batch means over contiguous batches of rows" + ("" if runs is None else " within chains")
        else:
            observed_batches = functools.partial(batches_by_thinning, number, n_batches, batch_seed)
            method = "samples with counts taken as independent, dealt out to batches at random"
        observed = batch_moments(rows, observed_batches(), triples)

        weight = None if number is None else number / number.sum()
        starts = rows[np.sort(np.random.default_rng(start_seed).choice(len(rows), size=n_chains, p=weight))]
        dynamics = PersistentGlauber(couplings=matrix, temperature=1.0, persistence=0.0, fields=field)
        drawn = sample(
            dynamics,
            draws=n_draws,
            chains=n_chains,
            burn_in=burn_in,
            thin=thin,
            seed=chain_seed,
            n_jobs=n_jobs,
            initial=starts,
            check=False,  # R-hat is part of the answer below
        )
        states = np.ascontiguousarray(drawn["spins"].transpose("chain", "draw", "spin").values)
        flat = states.reshape(-1, len(matrix))
        predicted_batches = functools.partial(batches_by_label, np.repeat(np.arange(n_chains), n_draws))
        predicted = batch_moments(flat, predicted_batches(), triples)

        ours, theirs = cumulants(observed), cumulants(predicted)
        upper = np.argwhere(np.triu(np.ones(matrix.shape, dtype=bool), 1))
        indices = {"means": np.arange(len(matrix))[:, None], "correlations": upper, "third moments": triples}
        moments = {
            name: {
                **moment_test(ours[name], theirs[name], (observed.n_samples, predicted.n_samples), seed),
                "indices": indices[name],
            }
            for name, seed in zip(MOMENTS, flip_seed.spawn(3), strict=True)
            if len(indices[name])  # two spins have no third moments
        }
        row_energies, model_energies = model.energies(rows), model.energies(flat)
        edges = equal_share_bins(row_energies, weight, model_energies)
        shapes = (
            merge_neighbours(ours["sum of spins"], theirs["sum of spins"]),
            (
                shares_in_batches(row_energies, observed_batches(), edges),
                shares_in_batches(model_energies, predicted_batches(), edges),
            ),
        )
        sizes = (observed.n_samples, predicted.n_samples)
        sum_test, energy_test = (
            _score(moment_test(ours_seen, theirs_seen, sizes, seed))
            for (ours_seen, theirs_seen), seed in zip(shapes, shape_seed.spawn(2), strict=True)
        )
        return Adequacy(
            moments=moments,
            sum_of_spins=_sum_of_spins(ours["sum of spins"], theirs["sum of spins"]) | sum_test,
            energies=_energy_histogram(row_energies, number, model_energies) | energy_test,
            r_hat=_r_hat(states, matrix, model_energies),
            n_samples=n_samples,
            n_batches=len(observed.weights),
            n_draws=n_draws,
            n_chains=n_chains,
            error_method=method,
        )


def moment_test(
    observed: Estimates, predicted: Estimates, n_samples: tuple[int, int], seed: np.random.SeedSequence
) -> dict[str, Any]:
    """Numbers of one group of moments; ``n_samples`` observed and predicted bound the errors by one sample's weight."""
    # a moment of n samples is a multiple of 1/n: no error is taken as smaller, not even that of spins that never change
    floors = tuple(1.0 / n for n in n_samples)
    stds = tuple(np.maximum(each.std, floor) for each, floor in zip((observed, predicted), floors, strict=True))
    difference = observed.values - predicted.values
    freedoms = tuple(len(each.deviations) - 1 for each in (observed, predicted))
    z = _normal_scores(difference**2, stds[0] ** 2, stds[1] ** 2, freedoms)
    rms_z = float(np.sqrt(np.mean(z**2)))

    rng = np.random.default_rng(seed)
    larger = 0
    # the test of many moments is made with some of them, drawn without looking: the others are told by these
    chosen = np.arange(len(z))
    if len(z) > _MOST_FLIPPED:
        chosen = np.sort(rng.choice(len(z), size=_MOST_FLIPPED, replace=False))
    statistic = float(np.mean(z[chosen] ** 2))
    scaled, squares = [], []
    for each in (observed, predicted):
        n_batches = len(each.deviations)
        # centring the deviations took one degree of freedom
        scaled.append(each.deviations[:, chosen] * np.sqrt(n_batches / (n_batches - 1)))
        squares.append(np.einsum("bk,bk->k", scaled[-1], scaled[-1]))
    # in blocks that stay in the cache
    size = max(1, _FLIP_BLOCK // len(chosen))
    for start in range(0, _N_FLIPS, size):
        n = min(size, _N_FLIPS - start)
        shift, variances = np.zeros((n, len(chosen))), []
        for part, square, floor, sign in zip(scaled, squares, floors, (1.0, -1.0), strict=True):
            n_batches = len(part)
            moved = rng.choice([-1.0, 1.0], size=(n, n_batches)) @ part
            variances.append(np.maximum((square - moved**2 / n_batches) * n_batches / (n_batches - 1), floor**2))
            shift += sign * moved
        flipped = _normal_scores(shift**2, variances[0], variances[1], freedoms)
        larger += int(np.count_nonzero(np.mean(flipped**2, axis=1) >= statistic))
    spread = np.std(observed.values) * np.std(predicted.values)
    pearson = float(np.corrcoef(observed.values, predicted.values)[0, 1]) if spread > 1e-15 else float("nan")
    return {
        "observed": observed.values,
        "predicted": predicted.values,
        "observed_std": stds[0],
        "predicted_std": stds[1],
        "rms_difference": float(np.sqrt(np.mean(difference**2))),
        "rms_observed": float(np.sqrt(np.mean(observed.values**2))),
        "rms_std": float(np.sqrt(np.mean(stds[0] ** 2 + stds[1] ** 2))),
        "pearson": pearson,
        "rms_z": rms_z,
        "max_z": float(z.max()),
        "p_value": (1 + larger) / (1 + _N_FLIPS),
    }


def _normal_scores(
    squares: FloatArray, variance: FloatArray, other_variance: FloatArray, freedoms: tuple[int, ...]
) -> FloatArray:
    """|z| with the tail probability of t = sqrt(squares/(sum of variances)): Welch's degrees, Wallace's map (1959)."""
    total = variance + other_variance
    freedom = total**2 / (variance**2 / freedoms[0] + other_variance**2 / freedoms[1])
    return (8 * freedom + 1) / (8 * freedom + 3) * np.sqrt(freedom * np.log1p(squares / (total * freedom)))


def check_observed(
    spins: Any, counts: ArrayLike | None, chains: ArrayLike | None, n_spins: int
) -> tuple[NDArray[np.int8], NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """Rows of spins, their counts and their chains, checked."""
    samples = Samples.of(spins, counts, chains=chains)
    rows = samples.spins
    if rows.shape[1] != n_spins:
        raise ValueError(f"spins: expected shape (n_rows, {n_spins}) to fit the couplings, got {rows.shape}")
    number = None
    if samples.weights is not None:
        if samples.weight_kind != "counts":
            raise ValueError("counts: weights must be whole numbers here, how often each row was seen")
        number = np.asarray(samples.weights).astype(np.int64)
        if samples.chains is not None:
            raise ValueError("give either counts or chains: rows with counts have no order in time")
    if samples.n_samples < FEWEST_SAMPLES:
        raise ValueError(
            f"spins: {samples.n_samples:g} samples; at least {FEWEST_SAMPLES} are needed for errors of the moments"
        )
    return rows, number, samples.chains


def _energy_histogram(observed: FloatArray, counts: NDArray[np.int64] | None, predicted: FloatArray) -> dict[str, Any]:
    """Shares of observed and predicted energies in common bins, and both means."""
    edges = np.histogram_bin_edges(np.concatenate([observed, predicted]), bins=40)
    weight = np.full(len(observed), 1.0 / len(observed)) if counts is None else counts / counts.sum()
    return {
        "edges": edges,
        "observed": np.histogram(observed, edges, weights=weight)[0],
        "predicted": np.histogram(predicted, edges)[0] / len(predicted),
        "observed_mean": float(observed @ weight),
        "predicted_mean": float(predicted.mean()),
    }


def _score(test: dict[str, Any]) -> dict[str, float]:
    """What a test of a distribution tells."""
    return {key: test[key] for key in ("rms_z", "p_value")}


def _sum_of_spins(observed: Estimates, predicted: Estimates) -> dict[str, Any]:
    """P(sum_i s_i), observed and predicted."""
    n_spins = len(observed.values) - 1
    return {
        "values": np.arange(-n_spins, n_spins + 1, 2, dtype=np.float64),
        "observed": observed.values,
        "predicted": predicted.values,
        "observed_std": observed.std,
        "predicted_std": predicted.std,
    }


def _r_hat(states: NDArray[np.int8], couplings: FloatArray, energies: FloatArray) -> float:
    """Largest R-hat of the energy and of the states along the three leading eigenvectors of the couplings."""
    _, vectors = np.linalg.eigh(couplings)
    modes = states @ vectors[:, -3:]
    watched = np.concatenate([energies.reshape(states.shape[:2])[..., None], modes], axis=2)
    if states.shape[1] < 4:
        return float("nan")
    values = convergence(xr.Dataset({"watched": (("chain", "draw", "quantity"), watched)}))["watched_r_hat"].values
    return float(np.nanmax(values)) if np.isfinite(values).any() or np.isinf(values).any() else float("nan")
