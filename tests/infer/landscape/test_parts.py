"""Visits, accuracy, thermodynamics and overlaps against their definitions."""

import itertools

import numpy as np
import pytest

from infer.landscape.accuracy import accuracy
from infer.landscape.overlaps import memories
from infer.landscape.thermodynamics import annealed_thermodynamics, check_temperatures, exact_thermodynamics
from infer.landscape.visits import visits
from infer.model import PairModel
from tests import exact
from tests.infer.landscape import brute


def test_transitions_stay_inside_runs_and_jump_over_nothing():
    labels = np.array([0, 0, 1, 1, -1, 1, 0, 0, 2, 2])
    chains = np.array([0, 0, 0, 0, 0, 0, 0, 1, 1, 1])
    found = visits(labels, 3, chains=chains)
    np.testing.assert_array_equal(found.transitions, brute.transitions(labels, chains, 3))
    assert found.n_steps == 6
    assert found.n_rows == 9
    # basin 0 was left twice in three steps from it, 1 once in two, 2 never
    np.testing.assert_allclose(found.dwell_times, [1.5, 2.0, np.nan])


def test_a_label_of_a_run_that_comes_back_is_another_run_beside_it():
    found = visits(np.array([0, 1, 0, 1]), 2, chains=np.array([0, 0, 1, 1]))
    assert found.transitions.tolist() == [[0, 2], [0, 0]]


def test_dwell_time_is_not_biased_by_short_runs():
    # two states that are left with probability 0.1: stays of 10 rows on average, runs of 5 rows only
    rng = np.random.default_rng(0)
    flips = rng.random((20_000, 5)) < 0.1
    labels = np.cumsum(flips, axis=1) % 2
    found = visits(labels.ravel(), 2, chains=np.repeat(np.arange(20_000), 5))
    assert np.abs(found.dwell_times - 10.0).max() < 0.8  # five standard errors of some 4000 exits


def test_weights_count_in_shares_and_rows_without_order_have_no_transitions():
    found = visits(np.array([0, 1, 1]), 2, weights=np.array([3.0, 0.5, 0.5]))
    np.testing.assert_allclose(found.shares, [0.75, 0.25])
    assert found.transitions is None
    assert found.dwell_times is None


def test_accuracy_by_its_definitions():
    rng = np.random.default_rng(3)
    couplings, fields = exact.random_couplings(4, 1.5, rng), rng.normal(0, 0.3, 4)
    rows = exact.draw(couplings, 500, fields, seed=rng)
    weights = rng.integers(1, 4, 500).astype(float)
    p = exact.boltzmann(couplings, fields)
    observed = np.bincount(exact.state_index(rows), weights, minlength=16) / weights.sum()
    up = observed @ (exact.all_states(4) > 0)
    free = np.array([np.prod(np.where(s > 0, up, 1 - up)) for s in exact.all_states(4)])

    def entropy(q):
        return -(q[q > 0] @ np.log2(q[q > 0]))

    def divergence(q):
        some = observed > 0
        return observed[some] @ np.log2(observed[some] / q[some])

    model = PairModel(couplings, fields)
    found = accuracy(rows, weights, model.energies(rows), p @ exact.energies(couplings, fields), entropy(p))
    assert found.entropy_independent == pytest.approx(entropy(free))
    assert found.entropy_samples == pytest.approx(entropy(observed))
    assert found.divergence_independent == pytest.approx(divergence(free))
    assert found.divergence_model == pytest.approx(divergence(p))
    assert found.r == pytest.approx((entropy(free) - entropy(p)) / (entropy(free) - entropy(observed)))
    assert found.r_divergence == pytest.approx((divergence(free) - divergence(p)) / divergence(free))


def test_accuracy_counts_states_seen_once():
    rows = np.array([[1, 1], [1, 1], [1, -1], [-1, -1]])
    assert accuracy(rows, None, np.zeros(4), 0.0, 2.0).seen_once == pytest.approx(0.5)
    assert accuracy(rows[1:], np.array([5.0, 1.0, 1.0]), np.zeros(3), 0.0, 2.0).seen_once == pytest.approx(2 / 7)


def test_no_multi_information_has_no_index():
    rows = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    assert np.isnan(accuracy(rows, None, np.zeros(4), 0.0, 2.0).r)


def test_thermodynamics_by_enumeration():
    rng = np.random.default_rng(0)
    couplings, fields = exact.random_couplings(6, 1.0, rng), rng.normal(size=6)
    energies = exact.energies(couplings, fields)
    temperatures = check_temperatures([0.7, 1.9])
    assert temperatures.tolist() == [0.7, 1.0, 1.9]
    found = exact_thermodynamics(energies, temperatures)
    for k, temperature in enumerate(temperatures):
        p = exact.boltzmann(couplings, fields, temperature)
        assert found.entropy[k] == pytest.approx(-(p @ np.log2(p)))
        assert found.energy[k] == pytest.approx(p @ energies)
        assert found.heat_capacity[k] == pytest.approx((p @ energies**2 - (p @ energies) ** 2) / temperature**2)
    # C = dE/dT
    near = exact_thermodynamics(energies, np.array([0.999, 1.0, 1.001]))
    assert (near.energy[2] - near.energy[0]) / 0.002 == pytest.approx(near.heat_capacity[1], rel=1e-4)


def test_annealed_thermodynamics_agree_with_enumeration():
    rng = np.random.default_rng(1)
    couplings, fields = exact.random_couplings(8, 1.0, rng), rng.normal(0, 0.5, 8)
    temperatures = np.array([0.6, 1.0, 1.7])
    found, states, weights = annealed_thermodynamics(
        PairModel(couplings, fields), temperatures, np.random.SeedSequence(0)
    )
    assert states.shape == (200, 8)
    assert weights.sum() == pytest.approx(1.0)
    truth = exact_thermodynamics(exact.energies(couplings, fields), temperatures)
    for name in ("energy", "entropy", "heat_capacity"):
        error = getattr(found, f"{name}_std")
        # nine numbers, false alarms at about 1e-4 for a Student distribution of the jackknife
        assert (np.abs(getattr(found, name) - getattr(truth, name)) < 4.5 * error).all(), name
        assert (error < 0.2).all()


def test_bad_temperatures_are_named():
    with pytest.raises(ValueError, match="temperatures: expected a list of finite numbers above 0"):
        check_temperatures([0.5, -1.0])


@pytest.mark.parametrize("mirrored", [False, True])
def test_chance_of_overlaps_by_all_orders_of_the_pattern(mirrored):
    rng = np.random.default_rng(5)
    minima = rng.choice([-1, 1], (3, 7)).astype(np.int8)
    patterns = rng.choice([-1, 1], (3, 7)).astype(np.int8)
    found = memories(minima, patterns, mirrored, np.random.SeedSequence(0))
    np.testing.assert_allclose(found.overlaps, minima @ patterns.T / 7)

    def largest(pattern):
        overlaps = minima @ np.array(pattern) / 7
        return np.abs(overlaps).max() if mirrored else overlaps.max()

    for mu, pattern in enumerate(patterns):
        chance = np.mean([largest(order) >= largest(pattern) for order in itertools.permutations(pattern)])
        # false alarms at 1e-6 for each of six
        assert abs(found.p_values[mu] - chance) < 4.9 * np.sqrt(0.25 / 999) + 0.001
        assert found.nearest[mu] == np.argmax(np.abs(minima @ pattern) if mirrored else minima @ pattern)


def test_patterns_that_are_minima_are_remembered_and_others_are_not():
    rng = np.random.default_rng(0)
    patterns = rng.choice([-1, 1], (3, 30)).astype(np.int8)
    minima = np.vstack([patterns[0], -patterns[1], rng.choice([-1, 1], (20, 30))]).astype(np.int8)
    found = memories(minima, patterns, False, np.random.SeedSequence(0))
    assert found.are_minima.tolist() == [True, False, False]
    assert found.remembered().tolist() == [True, False, False]
    mirrored = memories(minima, patterns, True, np.random.SeedSequence(0))
    assert mirrored.are_minima.tolist() == [True, True, False]
    assert mirrored.remembered().tolist() == [True, True, False]


def test_patterns_from_elsewhere_are_seldom_remembered():
    # 400 random patterns one at a time, each at 5 %: at most 5 % expected, 9.2 % is four standard errors above
    rng = np.random.default_rng(1)
    minima, patterns = (rng.choice([-1, 1], (n, 15)).astype(np.int8) for n in (8, 400))
    found = memories(minima, patterns, True, np.random.SeedSequence(1))
    assert np.mean(found.p_values <= 0.05) < 0.092
    assert found.remembered().sum() <= 1  # all together at 5 %
