"""Fits to samples with missing values, which are drawn repeatedly from the fitted model.

Let ``g(s, theta)`` be the gradient of the log pseudo-likelihood of a complete sample. Its mean vanishes at the true
parameters. Where being missing does not depend on the missing values, a sample completed by a draw from
``p(missing | observed; theta)`` at the true ``theta`` has the distribution of a complete sample, so the mean of ``g``
over completed samples vanishes there as well: the fixed point of drawing and fitting is consistent (stochastic EM; G.
Celeux, J. Diebolt 1985; S. F. Nielsen 2000, Bernoulli 6, 457, doi:10.2307/3318671). To leave missing neighbours out of
the local field is not consistent: it fits the model of the observed spins, whose couplings differ by
``sum_k f_k J_ik J_kj`` to lowest order (``f_k``: share missing). For Hebbian couplings this is the effect of a change
of the dreaming rate by ``-f``.

An error shrinks in each round by the share of information that is missing. First the same random numbers are used in
every round, so that changes from round to round are smooth, until they are small compared with standard errors; then
rounds with new random numbers are averaged.

A completed sample has information on ``J_ij`` only where both spins were observed: standard errors are those of the
completed samples, divided by the root of the share of such samples. This is valid to lowest order in the couplings and
for values missing completely at random: at N = 10, couplings of 0.9 / sqrt(N) and 6000 samples errors were 5 % too
small with a tenth of the values missing, and 14 % (couplings) and 20 % (fields) with three tenths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from infer.checks import name_spins, passing_rows
from infer.estimators.pseudolikelihood.influence import Influence
from infer.estimators.pseudolikelihood.missing_kernels import draw_entries
from infer.model import PairModel
from infer.samples import Samples
from simulate.threads import check_stop

KEPT_ROUNDS = 8  # independent ones, averaged: draws then add an eighth of the variance due to missing values
SWEEPS = 10  # of heat-bath draws over the missing values of a row, per round
COMPLETING_SWEEPS = 50
MOST_ROUNDS = 200
STEADY = 0.1  # largest remainder of the initial error, in units of 1 / sqrt(number of samples)
STALLED = 0.5  # changes in that unit that may be due to single draws
SLOWEST = 0.9  # share of missing information up to which more rounds are averaged
MOST_REPEATS = 16  # largest number of ways in which a row with a count is completed
DRAWN_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Gaps:
    """Samples with their missing values (0), places and shares."""

    samples: Samples
    rows: NDArray[np.int64]  # of the missing values of spins that vary
    columns: NDArray[np.int64]
    pair_shares: NDArray[np.float64]  # (n_spins, n_spins), share of the samples in which both spins were observed
    means: NDArray[np.float64]  # (n_spins,), of the observed values

    def missing_share(self) -> float:
        """Largest share of the samples in which one of two spins was missing, among the spins that vary."""
        varying = np.abs(self.means) < 1.0
        return float(1.0 - self.pair_shares[np.ix_(varying, varying)].min(initial=1.0))

    def completed(self, rng: np.random.Generator) -> NDArray[np.int8]:
        """A copy with independent draws of the observed means, exact for spins that are constant where observed."""
        out = np.array(self.samples.spins)
        rows, columns = np.nonzero(out == 0)
        out[rows, columns] = np.where(rng.random(len(rows)) < 0.5 * (1.0 + self.means[columns]), 1, -1)
        return out


def find_gaps(samples: Samples) -> Gaps:
    """Missing values of the samples; rows with missing values and a count above one are repeated."""
    spins, weight = samples.spins, samples.weight
    if weight is not None:
        incomplete = ~spins.all(axis=1)
        repeats = np.where(incomplete, np.clip(np.ceil(weight), 1, MOST_REPEATS), 1).astype(np.int64)
        chains = None if samples.chains is None else np.repeat(samples.chains, repeats)
        spins, weight = np.repeat(spins, repeats, axis=0), np.repeat(weight / repeats, repeats)
        # repeated rows share the weight of the row
        samples = samples.with_values(spins, weights=weight, chains=chains, n_effective=samples.n_samples)
    n_spins = spins.shape[1]
    together = np.zeros((n_spins, n_spins))
    ups, downs = np.zeros(n_spins), np.zeros(n_spins)
    for part in passing_rows(spins):
        share = np.ones(len(spins[part])) if weight is None else weight[part]
        observed = (spins[part] != 0).astype(np.float64)
        together += observed.T @ (observed * share[:, None])
        ups += share @ (spins[part] == 1)
        downs += share @ (spins[part] == -1)
    seen = ups + downs
    if not seen.all():
        unseen = name_spins(np.flatnonzero(seen == 0), samples.names)
        raise ValueError(f"{unseen} are never observed: drop these columns")
    means = (ups - downs) / seen  # exactly -1 or 1 for spins that never change, for any weights
    rows, columns = np.nonzero(spins == 0)
    open_entries = np.abs(means[columns]) < 1.0
    total = len(spins) if weight is None else weight.sum()
    return Gaps(samples, rows[open_entries], columns[open_entries], together / total, means)


def redraw(
    spins: NDArray[np.int8],
    entries: tuple[NDArray[np.int64], NDArray[np.int64]],
    couplings: NDArray[np.float64],
    fields: NDArray[np.float64],
    rng: np.random.Generator,
    n_sweeps: int = SWEEPS,
) -> None:
    """Redraw the entries (rows, columns), in order of rows, of completed samples in place; rows are independent."""
    rows, columns = entries
    step = max(1, DRAWN_AT_ONCE // n_sweeps)
    start = 0
    while start < len(rows):
        check_stop()
        # entries of one row are in the same chunk, so that each sweep includes all of them
        stop = int(np.searchsorted(rows, rows[min(start + step, len(rows)) - 1], side="right"))
        uniforms = rng.random((n_sweeps, stop - start))
        draw_entries(spins, rows[start:stop], columns[start:stop], couplings, fields, uniforms)
        start = stop


def fit_by_completion(
    gaps: Gaps, fit: Callable[[NDArray[np.int8], bool], tuple[NDArray, NDArray]], seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Alternate fits and draws; couplings by node and fields, averaged over the last rounds, and whether it converged.

    ``fit(spins, last)`` returns couplings by node and fields of completed samples; ``last`` is True in the last round.
    """
    start, entries = gaps.completed(np.random.default_rng(seed)), (gaps.rows, gaps.columns)
    n_samples = gaps.samples.n_samples
    spins = start
    found = fit(spins, False)
    changes: list[float] = []
    rate, steady = SLOWEST, False
    while not steady and len(changes) < MOST_ROUNDS:
        spins = start.copy()
        redraw(spins, entries, *_symmetric(found), np.random.default_rng(seed))
        previous, found = found, fit(spins, False)
        changes.append(max(np.abs(new - old).max() for new, old in zip(found, previous, strict=True)))
        rate, steady = _progress(np.array(changes) * np.sqrt(n_samples), gaps.missing_share())
    # successive rounds are correlated by about this rate: this many of them equal one independent round
    n_kept = int(np.ceil(KEPT_ROUNDS * (1.0 + rate) / (1.0 - rate)))
    rng = np.random.default_rng(seed + 1)
    couplings, fields = np.zeros(gaps.pair_shares.shape), np.zeros(len(gaps.means))
    for number in range(n_kept):
        redraw(spins, entries, *_symmetric(found), rng)
        found = fit(spins, number == n_kept - 1)
        couplings += found[0] / n_kept
        fields += found[1] / n_kept
    return couplings, fields, steady


def _progress(changes: NDArray[np.float64], missing_share: float) -> tuple[float, bool]:
    """Factor by which changes (in units of 1 / sqrt(n_samples)) shrink from round to round, and whether to stop.

    Iteration stops when the remainder of the geometric series is small, or when small changes no longer shrink, since
    draws are discrete. Where changes were small from the start, the factor is the missing share.
    """
    if len(changes) < 2 or not changes[0] > 0:
        return min(SLOWEST, missing_share), not changes[0] > 0
    last = np.argmax(changes < STALLED) if changes[-1] < STALLED else len(changes) - 1
    shrinkage = (changes[last] / changes[0]) ** (1.0 / last) if last else missing_share
    rate = float(np.clip(shrinkage, 0.0, SLOWEST))
    stalled = len(changes) > 4 and changes[-3:].max() < STALLED and changes[-1] > 0.8 * changes[-4]
    return rate, bool(stalled or changes[-1] * rate / (1.0 - rate) <= STEADY)


def _symmetric(found: tuple[NDArray, NDArray]) -> tuple[NDArray, NDArray]:
    """Symmetric couplings, and fields."""
    return (found[0] + found[0].T) / 2, found[1]


def observed_score(
    spins: NDArray[np.int8], completed: NDArray[np.int8], model: PairModel, weight: NDArray[np.float64] | None
) -> float:
    """Sum over spins of the mean log conditional probability where the spin was observed."""
    total, seen = np.zeros(model.n_spins), np.zeros(model.n_spins)
    for part in passing_rows(spins):
        share = np.ones(len(spins[part])) if weight is None else weight[part]
        margins = spins[part] * model.local_fields(completed[part])
        observed = spins[part] != 0
        total += share @ (-np.logaddexp(0.0, -2.0 * margins) * observed)
        seen += share @ observed
    return float((total[seen > 0] / seen[seen > 0]).sum())


def complete(
    spins: NDArray[np.int8],
    couplings: NDArray[np.float64],
    fields: NDArray[np.float64],
    seed: int = 0,
    known: NDArray[np.int8] | None = None,
) -> NDArray[np.int8]:
    """A copy of the samples with missing values drawn from the model, given the observed values of the same row.

    Spins that are not 0 in ``known`` (n_spins,) are not drawn but have that value.
    """
    rng = np.random.default_rng(seed)
    completed = np.array(spins)
    rows, columns = np.nonzero(spins == 0)
    given = np.zeros(len(columns), dtype=np.int8) if known is None else known[columns]
    # values are drawn from the model only, since there may be few samples, even a single row
    completed[rows, columns] = np.where(given != 0, given, np.where(rng.random(len(rows)) < 0.5, 1, -1))
    redraw(completed, (rows[given == 0], columns[given == 0]), couplings, fields, rng, COMPLETING_SWEEPS)
    return completed


def widened(influence: Influence, pair_shares: NDArray[np.float64]) -> Influence:
    """Influences on an estimate from incomplete samples, from those on one from completed samples."""
    with np.errstate(divide="ignore"):
        factor = 1.0 / np.sqrt(pair_shares)
    factor[~np.isfinite(factor)] = np.nan  # the samples do not determine such a coupling
    return replace(
        influence,
        couplings=influence.couplings * factor.astype(np.float32),
        fields=influence.fields * factor.diagonal().astype(np.float32),
    )
