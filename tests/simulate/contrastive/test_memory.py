import numpy as np
import pytest

from simulate import hebbian, pseudo_inverse, random_patterns, retrieval
from simulate.contrastive import (
    ContrastiveRule,
    IdealContrast,
    Sawtooth,
    chemotaxis_kernel,
    free_correlations,
    hard_threshold,
    learn_patterns,
    linear,
    memory_rule,
    theory,
)


def retrieved(couplings, patterns):
    """Mean final overlap from 10 % flipped spins."""
    return float(retrieval.basins(couplings, patterns, (0.1,), n_repeats=5, seed=0).mean_overlap[0])


@pytest.mark.slow
def test_contrastive_training_makes_hebbian_memory_nearly_perfect():
    # 12 sets of 20 patterns: the mean overlap of Hebbian retrieval is 0.82, its standard deviation over sets about 0.07
    before, after = [], []
    for seed in range(4):
        patterns = random_patterns(20, 100, seed=seed)
        before.append(retrieved(hebbian(patterns), patterns))
        trained = learn_patterns(patterns, 1000, seed=seed)
        after.append(retrieved(trained, patterns))
        assert retrieval.stability(trained, patterns).min() > 0
    assert 0.67 < np.mean(before) < 0.92
    assert min(after) > 0.98


@pytest.mark.parametrize("free_state", ["graded", "thermal"])
def test_graded_and_thermal_free_states_teach_from_nothing(free_state):
    patterns = random_patterns(12, 60, seed=0)
    trained = learn_patterns(
        patterns, 600, learning_rate=0.1, free_state=free_state, n_sweeps=20, couplings=np.zeros((60, 60)), seed=0
    )
    assert retrieved(hebbian(patterns), patterns) < 0.95
    assert retrieved(trained, patterns) > 0.98


def test_one_cycle_with_ideal_contrast_is_the_outer_products_of_pattern_and_fixed_point():
    patterns = random_patterns(3, 40, seed=0)
    start = hebbian(patterns)
    difference = (learn_patterns(patterns, 1, IdealContrast(), learning_rate=0.2, seed=3) - start) * 40 / 0.2
    # the random numbers are drawn in this order: start, relaxation, pattern
    rng = np.random.default_rng(3)
    free = free_correlations(start, seed=rng)
    pattern = patterns[rng.integers(3)].astype(float)
    expected = np.outer(pattern, pattern) - free
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(difference, expected, atol=1e-10)
    values = np.linalg.eigvalsh(free)
    np.testing.assert_allclose(values[:-1], 0, atol=1e-10)
    spins = np.sign(np.linalg.eigh(free)[1][:, -1])
    assert (spins * (start @ spins) >= -1e-12).all()


def test_in_the_window_a_synapse_learns_as_ideal_contrast_does_up_to_its_pace():
    patterns = random_patterns(20, 100, seed=0)
    rule = memory_rule()
    pace = float(rule.update(-1, 1)) / 2
    assert 0.9 < pace < 1
    temporal = learn_patterns(patterns, 300, rule, learning_rate=0.05, seed=0)
    ideal = learn_patterns(patterns, 300, IdealContrast(), learning_rate=0.05 * pace, seed=0)
    np.testing.assert_allclose(temporal, ideal, atol=1e-10)


def test_without_nonlinearity_or_threshold_nothing_is_learned():
    patterns = random_patterns(20, 100, seed=0)
    for nonlinearity in (linear(), hard_threshold(0.0)):
        rule = ContrastiveRule(chemotaxis_kernel(), Sawtooth(1, 19), nonlinearity)
        trained = learn_patterns(patterns, 200, rule, seed=0)
        np.testing.assert_allclose(trained, hebbian(patterns), atol=1e-9)


def test_an_area_learns_the_free_state_less_than_it_should_be_unlearned():
    couplings = hebbian(random_patterns(20, 100, seed=0))
    pairs = np.triu_indices(100, 1)
    free = free_correlations(couplings, "thermal", temperature=0.5, n_sweeps=200, seed=0)[pairs]
    clamped = np.random.default_rng(0).choice([-1.0, 1.0], len(free))
    inside = np.abs(clamped - free) > 0.3  # smaller contrasts than the window holds are not learned at all
    free, clamped = free[inside], clamped[inside]
    for area in (0.0, 0.01, 0.03):
        rule = ContrastiveRule(chemotaxis_kernel(1000, area), Sawtooth(1, 99), hard_threshold(0.1))
        fit = theory.contrast_fit(free, clamped, rule.update(free, clamped))
        # (1 + I / 2) clamped - (1 - I / 2) free for rise time 1
        assert fit["clamped"] == pytest.approx(1 + area / 2, abs=5e-4)
        assert fit["free"] == pytest.approx(1 - area / 2, abs=5e-4)
        assert fit["unexplained"] < 1e-6


def test_thermal_free_state_is_the_average_over_the_boltzmann_distribution():
    from tests.exact import all_states

    couplings = hebbian(random_patterns(2, 8, seed=3))
    states = all_states(8).astype(float)
    weights = np.exp(np.einsum("si,ij,sj->s", states, couplings, states) / 2 / 0.9)
    exact = states.T @ (states * weights[:, None]) / weights.sum()
    measured = free_correlations(couplings, "thermal", temperature=0.9, n_sweeps=40_000, seed=0)
    # 28 pairs, errors about 1 / sqrt(40 000 / 20 sweeps of correlation time): five of them
    np.testing.assert_allclose(measured, exact, atol=5 * np.sqrt(20 / 40_000))


def test_graded_free_state_solves_the_mean_field_equations():
    couplings = hebbian(random_patterns(4, 50, seed=0))
    free = free_correlations(couplings, "graded", temperature=0.4, seed=1)
    values, vectors = np.linalg.eigh(free)
    spins = np.sqrt(values[-1]) * vectors[:, -1]
    assert np.abs(spins).max() > 0.5
    np.testing.assert_allclose(spins, np.tanh(couplings @ spins / 0.4), atol=1e-4)


def test_learning_is_symmetric_seeded_and_leaves_its_input():
    patterns = random_patterns(5, 30, seed=0)
    start = pseudo_inverse(patterns)
    before = start.copy()
    result = learn_patterns(patterns, 50, couplings=start, seed=1)
    np.testing.assert_array_equal(start, before)
    np.testing.assert_array_equal(result, result.T)
    assert not np.diag(result).any()
    np.testing.assert_array_equal(result, learn_patterns(patterns, 50, couplings=start, seed=1))
    assert not np.array_equal(result, learn_patterns(patterns, 50, couplings=start, seed=2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patterns": [[1, 0]]}, r"patterns\[0, 1\] = 0"),
        ({"n_cycles": -1}, "n_cycles must be at least 0"),
        ({"rule": "ideal"}, "rule must be a ContrastiveRule or IdealContrast, got str"),
        ({"learning_rate": 0}, "learning_rate must be > 0"),
        ({"free_state": "cold"}, "free_state must be one of 'fixed point', 'graded', 'thermal', got 'cold'"),
        ({"temperature": 0}, "temperature must be > 0"),
        ({"couplings": np.zeros((2, 2))}, "couplings are for 2 spins, the patterns have 3"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        learn_patterns(**{"patterns": np.ones((1, 3)), "n_cycles": 2, **arguments})


@pytest.mark.validation
def test_five_thousand_cycles_of_a_hundred_spins_store_their_patterns():
    patterns = random_patterns(20, 100, seed=0)
    trained = learn_patterns(patterns, 5000, seed=0)
    assert retrieved(trained, patterns) > 0.98
