"""Statistics less their regression: bins, exactness of the null distribution, ties, long-run variance."""

import tracemalloc

import numpy as np
import pytest

from infer.diagnosis.draws import MOST_VALUES, Draws, draw, number_of_sets
from infer.diagnosis.residuals import (
    FullRegression,
    LocalRegression,
    choose_statistics,
    energy_edges,
    group_p_value,
    indicator_sums,
    merged_bins,
    residuals,
    scores,
    variance_ratios,
)
from infer.model import PairModel
from infer.statistics.batches import batch_labels
from infer.statistics.moments import choose_triples
from tests import exact

N = 6
MODEL = PairModel(exact.random_couplings(N, 0.7, seed=3), np.random.default_rng(0).normal(-0.3, 0.3, N))
TRIPLES = choose_triples(N, 100, np.random.SeedSequence(0))


def seed(value=0):
    return np.random.SeedSequence(value)


def drawn(n_rows, number=0, model=MODEL):
    means = exact.moments(model.couplings, model.fields)[0]
    return draw(model, n_rows, np.ones((4, model.n_spins), dtype=np.int8), means, seed(number))


def test_draws_have_the_moments_of_enumeration(monkeypatch):
    means, second = exact.moments(MODEL.couplings, MODEL.fields)
    found = drawn(1000)
    np.testing.assert_allclose(found.moments[0], means, atol=1e-12)
    np.testing.assert_allclose(found.rows.mean(axis=0), means, atol=5 / np.sqrt(len(found.rows)))
    assert found.r_hat == 1.0
    # the same from chains, which are thinned within a set: errors as of independent rows, five of them
    monkeypatch.setattr("infer.diagnosis.draws.MOST_EXACT_SPINS", 2)
    chains = drawn(1000)
    np.testing.assert_allclose(chains.moments[0], means, atol=8 / np.sqrt(len(chains.rows)))
    np.testing.assert_allclose(chains.moments[1], second, atol=8 / np.sqrt(len(chains.rows)))
    assert chains.mixed
    spread = chains.sets.mean(axis=1, dtype=float).std(axis=0) / np.sqrt((1 - means**2) / 1000)
    np.testing.assert_allclose(spread, 1.0, atol=0.25)  # 400 sets: a spread is known to 3.5 %


@pytest.mark.slow
def test_chains_that_do_not_mix_give_way_to_annealed_states(monkeypatch):
    monkeypatch.setattr("infer.diagnosis.draws.MOST_EXACT_SPINS", 2)
    couplings = np.full((N, N), 1.5)
    np.fill_diagonal(couplings, 0.0)
    found = drawn(200, model=PairModel(couplings, np.zeros(N)))
    assert found.annealed
    # at least 2000 independent ones of two states that are each other's mirror image: four standard errors
    assert abs(found.moments[0].mean()) < 4 / np.sqrt(2000)


def test_sets_are_many_for_few_rows_and_fit_into_memory():
    assert number_of_sets(100, 10) == 499
    assert number_of_sets(30_000, 10) == 20
    assert number_of_sets(300_000, 200) * 300_000 * 200 <= MOST_VALUES


def test_bins_hold_what_they_should():
    assert merged_bins(np.array([0.5, 1.0, 5.0, 0.1, 0.2]), 1.0).tolist() == [0, 0, 1, 1, 1]
    assert merged_bins(np.array([0.1, 0.2]), 1.0).tolist() == [0, 0]
    values = np.repeat([0.0, 1.0, 2.0], [50, 30, 20])
    # rounding makes no bins of its own
    edges = energy_edges(values + 1e-13 * np.random.default_rng(0).normal(size=100), 4)
    np.testing.assert_allclose(edges, [0.5, 1.5])
    assert len(energy_edges(np.full(100, 0.7) + 1e-14 * np.arange(100))) == 0


def indicator_counts(draws, i, j):
    """In how many draws both spins are +1."""
    up = draws.rows > 0
    return np.array([np.sum(up[:, a] & up[:, b]) for a, b in zip(i, j, strict=True)])


def test_full_regression_is_weighted_least_squares_over_all_states():
    draws = drawn(2000)
    statistics = choose_statistics(MODEL, draws, TRIPLES)
    states, p = exact.all_states(N), exact.boltzmann(MODEL.couplings, MODEL.fields)
    each = [slice(k, k + 1) for k in range(len(states))]
    sums = indicator_sums(states, statistics.rare, TRIPLES, each)
    found = FullRegression(statistics, draws).apply(statistics.sums(states, each))
    i, j = np.triu_indices(N, 1)
    features = np.column_stack([np.ones(len(states)), sums.first, sums.second[:, i, j]])
    target = np.concatenate([sums.third, statistics.sums(states, each).binned], axis=1)
    root = np.sqrt(p)[:, None]
    left = target - features @ np.linalg.lstsq(features * root, target * root, rcond=None)[0]
    ours = found - p @ found
    # coefficients come from 10 000 draws
    assert np.sqrt(p @ (ours - left) ** 2).max() < 0.05
    assert np.all(p @ ours**2 < 1.05 * (p @ left**2) + 1e-4)


def test_full_regression_knows_pairs_that_rarely_coincide():
    """A pair that few of the rows of a regression contained had the coefficient 0, and counted as a deviation."""
    n_spins = 12  # independent at 0.5 %: each pair coincides once in 40 000 rows, three spins hardly ever
    model = PairModel(np.zeros((n_spins, n_spins)), np.full(n_spins, np.arctanh(-0.99)))
    draws = drawn(20_000, 1, model)
    statistics = choose_statistics(model, draws, choose_triples(n_spins, 10, seed()))
    i, j = np.triu_indices(n_spins, 1)
    states = np.full((1 + len(i), n_spins), -1, dtype=np.int8)
    states[np.arange(1, len(states)), i] = states[np.arange(1, len(states)), j] = 1
    each = [slice(k, k + 1) for k in range(len(states))]
    left = FullRegression(statistics, draws).apply(statistics.sums(states, each))
    of_two = len(statistics.triples) + statistics.count_bins[2]
    # with two spins +1 the number of +1 follows from the pairs: nothing is left but what three spins leave
    drawn_pairs = np.flatnonzero(indicator_counts(draws, i, j) > 0)
    assert len(drawn_pairs) > 60
    assert np.median(np.abs(left[1 + drawn_pairs, of_two] - left[0, of_two])) < 0.05


def test_local_regression_takes_out_means_and_pairs_of_its_own():
    draws = drawn(2000)
    statistics = choose_statistics(MODEL, draws, TRIPLES)
    whole = [slice(0, len(draws.rows))]
    sums = indicator_sums(draws.rows, statistics.rare, TRIPLES, whole)
    regression = LocalRegression(statistics, draws, sums)
    states, p = exact.all_states(N), exact.boltzmann(MODEL.couplings, MODEL.fields)
    each = [slice(k, k + 1) for k in range(len(states))]
    left = regression.apply(statistics.sums(states, each))
    left -= p @ left
    x = (states == statistics.rare).astype(float)
    for column, (a, b, c) in enumerate(TRIPLES):
        for feature in (x[:, a], x[:, b], x[:, a] * x[:, b], x[:, b] * x[:, c]):
            assert abs(p @ (left[:, column] * feature)) < 2e-3
    energy = MODEL.energies(states)
    np.testing.assert_allclose(p @ (left[:, len(TRIPLES) :] * energy[:, None]), 0.0, atol=0.02)


def test_what_bins_are_regressed_on_follows_from_energies():
    rows = drawn(300).sets[0]
    statistics = choose_statistics(MODEL, drawn(2000), TRIPLES)
    rare = statistics.rare.astype(float)
    x = (rows == statistics.rare).astype(float)
    signed = MODEL.couplings * np.outer(rare, rare)
    plain = np.column_stack([(x @ rare) ** 2, np.einsum("ri,ij,rj->r", x, signed, x)])
    np.testing.assert_allclose(statistics.collective(rows, MODEL.energies(rows)), plain, atol=1e-10)
    weight = np.random.default_rng(0).random(300)
    found = statistics.sums(rows, [slice(0, 100), slice(100, 300)], weight)
    np.testing.assert_allclose(found.collective[1], weight[100:] @ plain[100:], rtol=1e-10)
    bins = [
        (each[:, None] == np.arange(size)) for each, size in zip(statistics.labels(rows), statistics.bins, strict=True)
    ]
    np.testing.assert_allclose(found.binned[0], weight[:100] @ np.concatenate(bins, axis=1)[:100], rtol=1e-12)


def test_memory_does_not_grow_with_all_pairs_times_sets(monkeypatch):
    # a thousand units had a table of all pairs for each part of each set, nine gigabytes; here it would be 200 MB
    monkeypatch.setattr("infer.diagnosis.residuals.MOST_PAIRS", 50)
    monkeypatch.setattr("infer.diagnosis.residuals.N_REPLICATES", 99)
    n_spins, rng = 400, np.random.default_rng(0)
    model = PairModel(exact.random_couplings(n_spins, 0.1, seed=1), np.full(n_spins, -1.0))
    sets = np.where(rng.random((10, 100, n_spins)) < 0.1, 1, -1).astype(np.int8)
    draws = Draws(sets, 1.0, None)
    statistics = choose_statistics(model, draws, choose_triples(n_spins, 40, seed()))
    tracemalloc.start()
    try:
        found = residuals(statistics, draws, sets[0], None, batch_labels(100), seed())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found.observed) == 40 + sum(statistics.bins) + n_spins + 50
    assert peak < 25e6


@pytest.mark.slow
@pytest.mark.parametrize("n_rows", [300, 4000])
def test_p_values_of_the_model_itself_are_uniform(n_rows):
    # sets drawn anew, no refit: p <= 0.1 in 10 % of 120 cases; 4 to 24 with probability 0.997
    draws = drawn(n_rows, 1)
    statistics = choose_statistics(MODEL, draws, TRIPLES)
    alarms = 0
    fresh = drawn(n_rows, 2)
    for k in range(8):
        found = residuals(statistics, draws, fresh.sets[k], None, None, seed(k))
        for name, size in statistics.sizes.items():
            start = sum(list(statistics.sizes.values())[: list(statistics.sizes).index(name)])
            alarms += group_p_value(*scores(found, slice(start, start + size), n_rows))[1] <= 0.1
    assert alarms <= 10  # of 32, correlated within a set


def test_nothing_is_made_of_ties():
    # all rows in one state but a few: coincidences are 0 everywhere, in the samples and in most replicates
    z, null = np.zeros(5), np.zeros((199, 5))
    null[0] = 1.0
    several, p_value = group_p_value(z, null)
    assert p_value == 1.0
    assert several == {"all together": 1.0, "largest": 1.0}


def test_long_run_variance_of_repeated_rows_is_seen():
    rng = np.random.default_rng(0)
    rows = exact.draw(MODEL.couplings, 1000, MODEL.fields, seed=rng)
    statistics = choose_statistics(MODEL, drawn(1000), TRIPLES)
    once = variance_ratios(statistics, rows, batch_labels(1000))
    repeated = np.repeat(rows, 4, axis=0)
    four = variance_ratios(statistics, repeated, batch_labels(4000, n_batches=50))
    assert np.all(once >= 1.0)
    assert np.median(once) < 1.4
    assert 3.0 < np.median(four) < 5.0
