import numpy as np
import pytest

from simulate import hebbian, random_patterns, retrieval, thermal_unlearn
from simulate.memory import mean_field_correlations
from simulate.memory.thermal import sampled_correlations
from tests import exact


def removed(before, after, epsilon):
    """What one dream took away, in units of epsilon / N, with unit diagonal."""
    difference = (before - after) * len(before) / epsilon
    np.fill_diagonal(difference, 1.0)
    return difference


@pytest.mark.parametrize("temperature", [0.7, 2.0])
def test_monte_carlo_dream_takes_away_the_exact_correlations(temperature):
    couplings = exact.random_couplings(7, 1.0, seed=0)
    _, expected = exact.moments(couplings, temperature=temperature)
    # 40 independent runs: their scatter is the error of the mean, whatever the autocorrelation
    runs = [
        removed(couplings, thermal_unlearn(couplings, temperature, 1, 0.3, draws=500, seed=k), 0.3) for k in range(40)
    ]
    pairs = np.triu_indices(7, 1)
    error = np.std(runs, axis=0, ddof=1)[pairs] / np.sqrt(40)
    z = (np.mean(runs, axis=0)[pairs] - expected[pairs]) / error
    assert abs(z).max() < 4.5  # 21 Student variables of 39 degrees: false alarm about 1e-3
    assert error.max() < 0.02


def test_thermal_run_equals_its_plain_twin(monkeypatch):
    couplings = hebbian(random_patterns(4, 20, seed=0))
    total = 5 * sampled_correlations(couplings, 0.8, 3, 5, np.random.default_rng(1))
    # in parts of two sweeps, between which an interrupt would be heeded
    monkeypatch.setattr("simulate.memory.thermal._AT_ONCE", 2 * 20**2)
    in_parts = 5 * sampled_correlations(couplings, 0.8, 3, 5, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    spins = np.array([1.0 if rng.random() < 0.5 else -1.0 for _ in range(20)])
    expected = np.zeros((20, 20))
    for sweep in range(8):
        for _ in range(20):
            i = rng.integers(0, 20)
            up = 1 / (1 + np.exp(-2 * (couplings[i] @ spins) / 0.8))
            spins[i] = 1.0 if rng.random() < up else -1.0
        if sweep >= 3:
            expected += np.outer(spins, spins)
    np.testing.assert_allclose(total, expected, atol=1e-12)
    np.testing.assert_array_equal(in_parts, total)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 3.0])
def test_mean_field_correlations_solve_their_equations(temperature):
    couplings = hebbian(random_patterns(12, 60, seed=0))
    correlations = mean_field_correlations(couplings, temperature)
    np.testing.assert_allclose(np.diag(correlations), 1, atol=1e-9)
    inverse = np.linalg.inv(correlations)
    np.fill_diagonal(inverse, 0.0)
    np.testing.assert_allclose(inverse, -couplings / temperature, atol=1e-6 / temperature)


def test_mean_field_correlations_are_right_to_second_order():
    # exact - mean field is of third order in J / T: it falls by 8 when T doubles
    couplings = exact.random_couplings(6, 1.0, seed=1)
    gap = [
        abs(exact.moments(couplings, temperature=t)[1] - mean_field_correlations(couplings, t)).max() for t in (20, 40)
    ]
    assert gap[0] < 2 * (1 / 20) ** 3
    assert 6 < gap[0] / gap[1] < 10


def test_mean_field_dream_takes_away_its_correlations():
    couplings = hebbian(random_patterns(6, 40, seed=0))
    before = couplings.copy()
    result = thermal_unlearn(couplings, 1.5, 1, 0.2, method="mean-field")
    np.testing.assert_allclose(removed(couplings, result, 0.2), mean_field_correlations(couplings, 1.5), atol=1e-10)
    np.testing.assert_array_equal(couplings, before)
    # dream after dream, each starting from the last, as one by one
    twice = thermal_unlearn(result, 1.5, 1, 0.2, method="mean-field")
    np.testing.assert_allclose(thermal_unlearn(couplings, 1.5, 2, 0.2, method="mean-field"), twice, atol=1e-10)


def test_both_methods_agree_where_the_couplings_are_weak():
    # N = 200, T = 3 above the transition at 1 + sqrt(0.1): mean field is right up to 1 / N
    patterns = random_patterns(20, 200, seed=0)
    couplings = hebbian(patterns)
    exact_run = thermal_unlearn(couplings, 3.0, 30, 1.0, draws=200, seed=0)
    mean_field = thermal_unlearn(couplings, 3.0, 30, 1.0, method="mean-field")
    taken, expected = (couplings - exact_run).ravel(), (couplings - mean_field).ravel()
    # the noise of the run is orthogonal to the expectation on the average: slope 1, error about 1 / sqrt(30 * 200)
    assert taken @ expected / (expected @ expected) == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("method", ["monte-carlo", "mean-field"])
def test_unlearning_thermal_correlations_makes_memory_better(method):
    patterns = random_patterns(20, 100, seed=0)
    couplings = hebbian(patterns)
    dreamt = thermal_unlearn(couplings, 0.5, 60, 0.1, method=method, seed=0)
    overlap = [
        float(retrieval.basins(J, patterns, [0.1], n_repeats=3, seed=0)["mean_overlap"][0]) for J in (couplings, dreamt)
    ]
    assert overlap[0] < 0.9
    assert overlap[1] > 0.97
    np.testing.assert_array_equal(dreamt, thermal_unlearn(couplings, 0.5, 60, 0.1, method=method, seed=0))
    np.testing.assert_allclose(dreamt, dreamt.T, atol=1e-14)
    assert not np.diag(dreamt).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"temperature": 0}, "temperature must be > 0"),
        ({"n_dreams": -1}, "n_dreams must be at least 0"),
        ({"epsilon": 0}, "epsilon must be > 0"),
        ({"draws": 0}, "draws must be at least 1"),
        ({"method": "exact"}, "method must be 'monte-carlo' or 'mean-field', got 'exact'"),
        ({"couplings": [[0.0, 1.0], [0.5, 0.0]]}, "must be symmetric"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        thermal_unlearn(**{"couplings": np.zeros((3, 3)), "temperature": 1.0, "n_dreams": 1, **arguments})
