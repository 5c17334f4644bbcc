"""Statistics that a model was not fitted to, less their regression on the fitted ones; null distribution from draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from infer.diagnosis.blocks import smallest_p_value
from infer.diagnosis.draws import Draws, parts_of
from infer.diagnosis.indicators import (
    IndicatorSums,
    SomePairs,
    above_pairs,
    apply_above_pairs,
    indicator_sums,
    pooled,
    rarer_state,
)
from infer.model import PairModel
from infer.types import FloatArray, IntArray, SpinArray

#: Spins up to which statistics are regressed on all means and pairs; above, on those of their own spins only.
MOST_FULL_SPINS = 50
#: Number of parts of a set from which replicates are combined where there are few sets.
N_PARTS = 16
N_REPLICATES = 999
_FEWEST_DIRECT = 199
_TRAINING_ROWS = 10_000
#: Coincidences of a pair in the rows of a regression below which rows with this pair are added.
_FEW_COINCIDENCES = 30
_LOCAL_ROWS, _CHUNK_ROWS = 40_000, 4096
_RIDGE = 1e-4
N_ENERGY_BINS = 12
MOST_PAIRS = 2_000


@dataclass(frozen=True, eq=False)
class Statistics:
    """Counts taken in rows: triples of rarer states, the number of +1 in bins, the energy in bins.

    Parameters
    ----------
    model : PairModel
    rare : ndarray of int8, shape (n_spins,)
        Rarer state of each spin.
    triples : ndarray of int64, shape (n_triples, 3)
    count_bins : ndarray of int64, shape (n_spins + 1,)
        Bin of each number of +1.
    energy_edges : ndarray
        Inner edges of the bins of the energy.
    pairs : ndarray of int64, shape (n_pairs, 2)
        Pairs of spins whose coincidences are compared with the model's, to judge the fit.
    """

    model: PairModel
    rare: SpinArray
    triples: IntArray
    count_bins: IntArray
    energy_edges: FloatArray
    pairs: IntArray

    def moments(self, k: int) -> IntArray:
        """The spin, or the pair of spins, of the k-th of "means and correlations"."""
        n_spins = len(self.rare)
        return np.array([k]) if k < n_spins else self.pairs[k - n_spins]

    @property
    def sizes(self) -> dict[str, int]:
        """Number of statistics of each group, in their order; a distribution in one bin has none."""
        bins = int(self.count_bins[-1]) + 1, len(self.energy_edges) + 1
        return {
            "third moments": len(self.triples),
            "number of +1": bins[0] if bins[0] > 1 else 0,
            "energy": bins[1] if bins[1] > 1 else 0,
            "means and correlations": len(self.rare) + len(self.pairs),
        }

    @property
    def bins(self) -> tuple[int, int]:
        """Bins of the number of +1 and of the energy that are counted."""
        sizes = self.sizes
        return sizes["number of +1"], sizes["energy"]

    @cached_property
    def counted_pairs(self) -> SomePairs | None:
        """Pairs of spins that are counted: those compared and those of the triples; None for all."""
        if len(self.rare) <= MOST_FULL_SPINS:
            return None
        of_triples = (self.triples[:, list(two)] for two in ((0, 1), (0, 2), (1, 2)))
        return SomePairs.of(np.concatenate([self.pairs, *of_triples]), len(self.rare))

    def labels(self, rows: SpinArray, energies: FloatArray | None = None) -> tuple[IntArray, IntArray]:
        """Bins of the number of +1 and of the energy of each row."""
        up = (rows > 0).sum(axis=1)
        energies = self.model.energies(rows) if energies is None else energies
        return self.count_bins[up], np.searchsorted(self.energy_edges, energies, side="right")

    def sums(
        self, rows: SpinArray, parts: Sequence[slice], weight: FloatArray | None = None, binned: bool = True
    ) -> Sums:
        """Sums over parts of the indicators, the bins, and what the bins are regressed on."""
        indicators = indicator_sums(rows, self.rare, self.triples, parts, weight, self.counted_pairs)
        if not binned:
            return Sums(indicators, np.zeros((len(parts), 0)), np.zeros((len(parts), 2)))
        energies = self.model.energies(rows)
        labels = self.labels(rows, energies)
        table = [
            np.array([np.bincount(each[part], None if weight is None else weight[part], size) for part in parts])
            for each, size in zip(labels, self.bins, strict=True)
            if size
        ]
        collective = self.collective(rows, energies)
        ones = np.ones(len(rows)) if weight is None else weight
        return Sums(
            indicators,
            np.concatenate(table, axis=1).astype(np.float64) if table else np.zeros((len(parts), 0)),
            np.array([ones[part] @ collective[part] for part in parts]),
        )

    def collective(self, rows: SpinArray, energies: FloatArray) -> FloatArray:
        """For each row ``(sum_i r_i x_i)^2`` and ``sum_ij J_ij r_i r_j x_i x_j``, (n_rows, 2), from its energy.

        ``x_i`` is 1 in spin i's rarer state ``r_i``, so that ``r_i x_i = (s_i + r_i) / 2``.
        """
        rare, couplings = self.rare.astype(np.float64), self.model.couplings
        total = (rows.sum(axis=1, dtype=np.float64) + rare.sum()) / 2.0
        pull = couplings @ rare
        linear = np.empty((len(rows), 2))
        for part, block in self.model.chunks(rows):
            linear[part] = block @ np.column_stack([pull, self.model.fields])
        pair_part = -2.0 * (energies + linear[:, 1])  # sum_ij J_ij s_i s_j
        return np.column_stack([total**2, (pair_part + 2.0 * linear[:, 0] + rare @ pull) / 4.0])


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over parts of rows: of indicators, of bins (n_parts, n_bins), and of what bins are regressed on.

    ``collective`` (n_parts, 2): square of the number of rarer states, pair part of the energy in indicators.
    """

    indicators: IndicatorSums
    binned: FloatArray
    collective: FloatArray


def choose_statistics(model: PairModel, draws: Draws, triples: IntArray) -> Statistics:
    """Bins that the model fills: at least two expected rows for a number of +1, equal shares for the energy."""
    means, _ = draws.moments
    n_sets, _, n_spins = draws.sets.shape
    counts = np.zeros(n_spins + 1)
    energies = []
    for rows in draws.sets:
        counts += np.bincount((rows > 0).sum(axis=1), minlength=n_spins + 1)
        energies.append(model.energies(rows))
    pairs = np.argwhere(np.triu(np.ones((n_spins, n_spins), dtype=bool), 1))
    pairs = pairs[np.unique(np.linspace(0, len(pairs) - 1, min(len(pairs), MOST_PAIRS)).astype(np.int64))]
    count_bins, edges = merged_bins(counts / n_sets, 2.0), energy_edges(np.concatenate(energies))
    return Statistics(model, rarer_state(means), triples, count_bins, edges, pairs)


def merged_bins(expected: FloatArray, least: float) -> IntArray:
    """Bin of each value: values in order, neighbours merged until at least ``least`` is expected in a bin."""
    labels = np.empty(len(expected), dtype=np.int64)
    current, filled = 0, 0.0
    for value, size in enumerate(expected):
        labels[value] = current
        filled += size
        if filled >= least:
            current, filled = current + 1, 0.0
    # the remainder at the end joins the last full bin
    last = max(current - 1, 0)
    return np.minimum(labels, last)


def energy_edges(energies: FloatArray, n_bins: int = N_ENERGY_BINS) -> FloatArray:
    """Inner edges of bins with about equal shares, half-way between energies that differ by more than rounding."""
    ordered = np.sort(energies)
    scale = max(float(np.abs(ordered).max()), 1.0)
    # starts of energy levels that differ by more than rounding
    starts = np.flatnonzero(np.diff(ordered) > 1e-9 * scale) + 1
    if not len(starts):
        return np.empty(0)
    wanted = np.append(np.arange(1, n_bins) / n_bins, 0.99) * len(ordered)
    places = starts[np.minimum(np.searchsorted(starts, wanted), len(starts) - 1)]
    places = np.unique(places)
    return 0.5 * (ordered[places - 1] + ordered[places])


def training_rows(draws: Draws, rare: SpinArray, n_rows: int) -> tuple[SpinArray, FloatArray]:
    """Rows of the draws for a regression on all pairs, with weights that add up to 1.

    Evenly spaced rows, and besides at most as many of those in which a pair coincides that evenly spaced rows would
    hardly contain. Without these the coefficients of such pairs are 0, and what a penalty has added to all of them
    together would count as a deviation of the model.
    """
    means, second = draws.moments
    signs = rare.astype(np.float64)
    share = (1.0 + signs * means + (signs * means)[:, None] + np.outer(signs, signs) * second) / 4.0
    few = (share * n_rows < _FEW_COINCIDENCES).astype(np.float32)
    np.fill_diagonal(few, 0.0)
    total = len(draws.rows)
    with_few = np.zeros(total, dtype=bool)
    if few.any():
        for k, rows in enumerate(draws.sets):
            inside = (rows == rare).astype(np.float32)
            with_few[k * len(rows) : (k + 1) * len(rows)] = np.einsum("ri,ri->r", inside @ few, inside) > 0
    chosen, weights = [], []
    for each in (np.flatnonzero(~with_few), np.flatnonzero(with_few)):
        places = np.linspace(0, len(each) - 1, min(len(each), n_rows)).astype(np.int64)
        chosen.append(each[places])
        weights.append(np.full(len(places), len(each) / max(len(places), 1) / total))
    return draws.rows[np.concatenate(chosen)], np.concatenate(weights)


class FullRegression:
    """Statistics less their linear regression, in the model, on all spins and pairs of spins."""

    def __init__(self, statistics: Statistics, draws: Draws) -> None:
        self.statistics = statistics
        n_spins = draws.sets.shape[2]
        self._pairs = np.triu_indices(n_spins, 1)
        n_features = n_spins * (n_spins + 1) // 2
        rows, weight = training_rows(draws, statistics.rare, max(_TRAINING_ROWS, 12 * n_features))
        x = (rows == statistics.rare).astype(np.float32)
        i, j = self._pairs
        features = np.concatenate([x, x[:, i] * x[:, j]], axis=1)
        features -= weight @ features
        weighted = features * weight.astype(np.float32)[:, None]
        gram = (weighted.T @ features).astype(np.float64)
        gram[np.diag_indices(n_features)] += _RIDGE * np.diag(gram) + 1e-9
        cross = np.zeros((n_features, len(statistics.triples) + sum(statistics.bins)))
        a, b, c = statistics.triples.T
        n_triples = len(a)
        for start in range(0, n_triples, 256):
            part = slice(start, min(start + 256, n_triples))
            products = x[:, a[part]] * x[:, b[part]] * x[:, c[part]]
            cross[:, part] = weighted.T @ products
        column = n_triples
        for values, n_bins in zip(statistics.labels(rows), statistics.bins, strict=True):
            for k in range(n_bins):
                cross[:, column] = weighted.T @ (values == k).astype(np.float32)
                column += 1
        self._coefficients = np.linalg.solve(gram, cross)

    def apply(self, sums: Sums) -> FloatArray:
        """Means of the residuals of the statistics over each part, (n_parts, n_statistics)."""
        found = sums.indicators
        features = np.concatenate([found.first, found.of_pairs(*self._pairs)], axis=1)
        return np.concatenate([found.third, sums.binned], axis=1) - features @ self._coefficients


class LocalRegression:
    """Statistics less their regression on spins and pairs of their own.

    Triples: their own three spins and pairs. Bins: all spins, the square of the number of +1, and the energy.
    """

    def __init__(self, statistics: Statistics, draws: Draws, sums: IndicatorSums) -> None:
        self.statistics = statistics
        self._triples, _ = above_pairs(sums, statistics.triples, 0.5)
        rows = draws.rows
        rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _LOCAL_ROWS)).astype(np.int64)]
        collective = statistics.collective(rows, statistics.model.energies(rows))
        n_features, n_bins = rows.shape[1] + 2, statistics.bins
        mean = np.append((rows == statistics.rare).mean(axis=0), collective.mean(axis=0))
        scale = np.append(np.sqrt(mean[:-2] * (1.0 - mean[:-2])), collective.std(axis=0))
        inverse = 1.0 / np.where(scale > 0, scale, 1.0)
        labels = statistics.labels(rows)
        gram, cross = np.zeros((n_features, n_features)), np.zeros((n_features, sum(n_bins)))
        for start in range(0, len(rows), _CHUNK_ROWS):
            part = slice(start, start + _CHUNK_ROWS)
            features = np.column_stack([rows[part] == statistics.rare, collective[part]])
            features -= mean
            features *= inverse
            gram += features.T @ features
            inside = [each[part, None] == np.arange(size) for each, size in zip(labels, n_bins, strict=True)]
            cross += features.T @ np.concatenate(inside, axis=1)
        gram /= len(rows)
        gram[np.diag_indices(n_features)] += _RIDGE
        self._bins = np.linalg.solve(gram, cross / len(rows)) / np.where(scale > 0, scale, np.inf)[:, None]

    def apply(self, sums: Sums) -> FloatArray:
        """Means of the residuals of the statistics over each part, (n_parts, n_statistics)."""
        features = np.column_stack([sums.indicators.first, sums.collective])
        return np.concatenate(
            [
                apply_above_pairs(sums.indicators, self.statistics.triples, self._triples),
                sums.binned - features @ self._bins,
            ],
            axis=1,
        )


@dataclass(frozen=True, eq=False)
class Residuals:
    """Residuals of the statistics, for the samples and for replicates drawn from the model.

    ``observed`` (k,) and ``replicates`` (n_replicates, k) have mean zero in the model; ``std`` (k,) is the standard
    error of the model's own sets, ``expected`` (k,) what the model predicts after a refit to the samples' means and
    pairs, ``seen`` (k,) the samples' statistics before the regression. ``collective`` is the largest distance, in
    standard errors, of the samples from the model in what pairs do together: energy, square of the number of +1.
    """

    seen: FloatArray
    expected: FloatArray
    observed: FloatArray
    replicates: FloatArray
    std: FloatArray
    ratio: FloatArray
    collective: float = 0.0


def residuals(
    statistics: Statistics,
    draws: Draws,
    rows: SpinArray,
    weight: FloatArray | None,
    batches: NDArray[np.int64] | None,
    seed: np.random.SeedSequence,
) -> Residuals:
    """Residual statistics of the samples and of replicates.

    Parameters
    ----------
    statistics : Statistics
    draws : Draws
    rows : ndarray of int8, shape (n_rows, n_spins)
    weight : ndarray, shape (n_rows,), optional
    batches : ndarray of int64, shape (n_rows,), optional
        Contiguous batches that the long-run variance of the samples comes from; None for independent rows.
    seed : SeedSequence
        Seed of the replicates.

    Returns
    -------
    Residuals
    """
    n_sets, n_rows, n_spins = draws.sets.shape
    direct = n_sets >= _FEWEST_DIRECT
    parts = parts_of(n_rows, 1 if direct else N_PARTS)
    found = [statistics.sums(each, parts) for each in draws.sets]
    regression: FullRegression | LocalRegression
    if n_spins <= MOST_FULL_SPINS:
        regression = FullRegression(statistics, draws)
    else:
        regression = LocalRegression(statistics, draws, pooled(each.indicators for each in found))
    i, j = statistics.pairs.T

    def every(sums: Sums) -> FloatArray:
        """Residuals of the statistics, then the means and pairs themselves, (n_parts, k)."""
        return np.concatenate([regression.apply(sums), sums.indicators.first, sums.indicators.of_pairs(i, j)], axis=1)

    table = np.stack([every(each) for each in found]) / n_rows  # (n_sets, n_parts, k)
    own = statistics.sums(rows, [slice(0, len(rows))], weight)
    counts = own.indicators
    total = float(counts.sizes[0])
    observed = every(own)[0] / total
    seen = np.concatenate([counts.third, own.binned, counts.first, counts.of_pairs(i, j)], axis=1)[0] / total
    if direct:
        sets = table[:, 0]
        # samples and sets are exchangeable, so the common mean is subtracted from all of them
        centre = (sets.sum(axis=0) + observed) / (n_sets + 1)
        replicates = sets - centre
        spread = sets.std(axis=0, ddof=1)
    else:
        centre = table.sum(axis=1).mean(axis=0)
        picks = np.random.default_rng(seed).integers(0, n_sets, size=(N_REPLICATES, len(parts)))
        deviations = table - table.mean(axis=0)
        # recombined parts have the variance 1 - 1/n_sets, and the centre has an error of its own
        widening = np.sqrt((1 + 1 / n_sets) / (1 - 1 / n_sets))
        replicates = np.zeros((N_REPLICATES, table.shape[2]))
        for part in range(len(parts)):
            replicates += deviations[picks[:, part], part]
        replicates *= widening
        spread = np.sqrt((table.var(axis=0, ddof=1)).sum(axis=0))
    ratio = np.ones(len(observed)) if batches is None else variance_ratios(statistics, rows, batches)
    residual = observed - centre
    together = np.stack([each.collective.sum(axis=0) for each in found]) / n_rows
    gap = np.abs(own.collective[0] / total - together.mean(axis=0))
    error = np.maximum(together.std(axis=0, ddof=1), 1e-12) * np.sqrt(ratio.max())
    return Residuals(
        seen, seen - residual, residual / np.sqrt(ratio), replicates, spread, ratio, float((gap / error).max())
    )


def variance_ratios(statistics: Statistics, rows: SpinArray, batches: NDArray[np.int64]) -> FloatArray:
    """Long-run variance of each residual statistic of the samples over the variance of a row, at least 1; (k,)."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(batches)) + 1, [len(rows)]])
    parts = [slice(int(a), int(b)) for a, b in pairwise(edges)]
    sums = statistics.sums(rows, parts, binned=False).indicators
    scale = len(parts) / max(len(parts) - 1, 1) / len(rows)
    ratios = []
    if len(statistics.triples):
        coefficients, variance = above_pairs(sums.total(), statistics.triples, 0.5)
        left = apply_above_pairs(sums, statistics.triples, coefficients)
        left -= np.outer(sums.sizes / len(rows), left.sum(axis=0))
        ratios.append(scale * np.sum(left**2, axis=0) / variance)
    up = (rows > 0).sum(axis=1).astype(np.float64)
    features = np.column_stack([np.ones(len(rows)), up, up**2, statistics.model.energies(rows)])
    scales = np.abs(features).max(axis=0)
    features /= np.where(scales > 0, scales, 1.0)
    for values, size in zip(statistics.labels(rows), statistics.bins, strict=True):
        if not size:
            continue
        inside = (values[:, None] == np.arange(size)).astype(np.float64)
        left = inside - features @ np.linalg.lstsq(features, inside, rcond=None)[0]
        variance = np.mean(left**2, axis=0)
        sums_of = np.add.reduceat(left, edges[:-1], axis=0)
        ratios.append(scale * np.sum(sums_of**2, axis=0) / np.where(variance > 1e-12, variance, np.inf))
    i, j = statistics.pairs.T
    moments = np.concatenate([sums.first, sums.of_pairs(i, j)], axis=1)
    share = moments.sum(axis=0) / len(rows)
    left = moments - np.outer(sums.sizes, share)
    variance = share * (1.0 - share)
    ratios.append(scale * np.sum(left**2, axis=0) / np.where(variance > 0, variance, np.inf))
    return np.maximum(np.concatenate(ratios), 1.0)


def scores(found: Residuals, group: slice, n_samples: float) -> tuple[FloatArray, FloatArray]:
    """z of the samples and of the replicates; no error is taken as smaller than that of one row more or less."""
    std = np.hypot(found.std[group], 1.0 / n_samples)
    return found.observed[group] / std, found.replicates[:, group] / std


def group_p_value(z: FloatArray, null: FloatArray) -> tuple[dict[str, float], float]:
    """p-values of the sum of squares and of the largest |z|, and of the smaller of the two."""
    everything = np.abs(np.vstack([z, null]))
    several, p_value = smallest_p_value([np.sum(everything**2, axis=1), everything.max(axis=1)])
    return dict(zip(("all together", "largest"), several, strict=True)), p_value
