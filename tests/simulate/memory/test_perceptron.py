import numpy as np
import pytest
from scipy import integrate

from simulate import hebbian, perceptron, pseudo_inverse, random_patterns, retrieval


def plain_pass(couplings, patterns, margin, symmetric, normalised):
    """One pass, matrix by matrix: the twin of the compiled one."""
    couplings = couplings.copy()
    taught = 0
    for xi in patterns.astype(float):
        needed = margin * (np.linalg.norm(couplings, axis=1) if normalised else 1.0)
        lacking = (xi * (couplings @ xi) < needed).astype(float)
        taught += int(lacking.sum())
        share = lacking[:, None] + lacking if symmetric else lacking[:, None]
        couplings += share * np.outer(xi, xi) / len(xi)
        np.fill_diagonal(couplings, 0.0)
    return couplings, taught


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("normalised", [True, False])
def test_learning_equals_its_plain_twin(symmetric, normalised):
    # fields are multiples of 1 / 40: a margin that is none has no ties, in which rounding would decide
    patterns = random_patterns(16, 40, seed=0)
    expected, taught = hebbian(patterns), []
    for _ in range(4):
        expected, still = plain_pass(expected, patterns, 0.93, symmetric, normalised)
        taught.append(still)
    assert min(taught) > 0
    with pytest.warns(RuntimeWarning, match=f"{taught[-1]} of 640 spins were still below it in pass 4"):
        result = perceptron(patterns, 0.93, symmetric=symmetric, normalised=normalised, max_passes=4)
    np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize("symmetric", [True, False])
def test_every_spin_has_its_margin(symmetric):
    patterns = random_patterns(60, 100, seed=0)  # far above what Hebbian couplings can hold
    couplings = perceptron(patterns, 0.3, symmetric=symmetric)
    assert retrieval.stability(couplings, patterns).min() >= 0.3 - 1e-12
    assert retrieval.stability(hebbian(patterns), patterns).min() < 0
    assert not np.diag(couplings).any()
    assert np.array_equal(couplings, couplings.T) == symmetric
    unit = perceptron(patterns, 2.0, symmetric=symmetric, normalised=False)
    assert retrieval.stability(unit, patterns, normalised=False).min() >= 2.0 - 1e-12


def gardner_load(margin):
    """Largest load at which random patterns have couplings of this margin, for N -> infinity (Gardner 1988)."""
    weight = integrate.quad(lambda t: (t + margin) ** 2 * np.exp(-(t**2) / 2) / np.sqrt(2 * np.pi), -margin, 40)[0]
    return 1 / weight


def test_margins_are_found_below_gardners_bound_and_not_above():
    assert gardner_load(0.0) == pytest.approx(2, rel=1e-6)
    assert gardner_load(1.0) == pytest.approx(0.52, abs=0.005)
    patterns = random_patterns(50, 100, seed=1)
    # at load 0.5 the bound on the margin is 1.04
    perceptron(patterns, 0.7, symmetric=False)
    with pytest.warns(
        RuntimeWarning, match=r"margin 1.5 was not reached: \d+ of 5000 spins were still below it in pass 300"
    ):
        perceptron(patterns, 1.5, symmetric=False, max_passes=300)


def test_a_large_margin_widens_basins():
    patterns = random_patterns(20, 100, seed=0)
    overlap = [
        float(retrieval.basins(J, patterns, [0.1], n_repeats=4, seed=0)["mean_overlap"][0])
        for J in (hebbian(patterns), perceptron(patterns, 1.0))
    ]
    assert overlap[0] < 0.9
    assert overlap[1] > 0.97


def test_couplings_that_have_the_margin_stay():
    patterns = random_patterns(10, 50, seed=0)
    start = pseudo_inverse(patterns)
    least = retrieval.stability(start, patterns).min()
    before = start.copy()
    np.testing.assert_array_equal(perceptron(patterns, 0.99 * least, couplings=start), start)
    with pytest.warns(RuntimeWarning, match="was not reached"):
        assert not np.array_equal(perceptron(patterns, 1.01 * least, couplings=start, max_passes=1), start)
    np.testing.assert_array_equal(start, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"margin": -1}, "margin must be >= 0"),
        ({"max_passes": 0}, "max_passes must be at least 1"),
        ({"couplings": np.zeros((3, 3))}, "couplings are for 3 spins, the patterns have 8"),
        ({"couplings": np.triu(np.ones((8, 8)), 1)}, "must be symmetric"),
        ({"patterns": [[1, 0]]}, r"patterns\[0, 1\] = 0"),
        ({"patterns": [[1]]}, "at least 2 spins"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        perceptron(**{"patterns": random_patterns(2, 8, seed=0), **arguments})
