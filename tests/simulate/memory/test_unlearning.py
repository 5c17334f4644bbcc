import numpy as np
import pytest

from simulate import daydream, eigenvector_dreaming, hebbian, random_patterns, retrieval, unlearn
from simulate.memory import relaxation_kernels as kernels


def plain_relax(couplings, spins, orders):
    """One spin at a time, fields computed anew for each: the twin of the compiled relaxation."""
    spins = spins.copy()
    for order in orders:
        before = spins.copy()
        for i in order:
            field = couplings[i] @ spins
            if spins[i] * field < -1e-12:
                spins[i] = -spins[i]
        if np.array_equal(before, spins):
            return spins, True
    return spins, False


def test_relaxation_equals_its_plain_twin_and_ends_in_a_fixed_point():
    rng = np.random.default_rng(0)
    couplings = hebbian(random_patterns(12, 60, seed=1))
    for seed in range(20):
        start = rng.choice([-1.0, 1.0], size=60)
        orders = np.empty((50, 60), dtype=np.int64)
        kernels.shuffled_orders(np.random.default_rng(seed), orders)
        spins = start.copy()
        sweeps = kernels.settle(couplings, spins, np.random.default_rng(seed), 50)
        expected, expected_settled = plain_relax(couplings, start, orders)
        assert 0 < sweeps <= 50
        assert expected_settled
        np.testing.assert_array_equal(spins, expected)
        assert (spins * (couplings @ spins) >= -1e-12).all()
        assert spins @ couplings @ spins >= start @ couplings @ start


def test_shuffled_orders_are_permutations_of_even_chance():
    orders = np.empty((60_000, 3), dtype=np.int64)
    kernels.shuffled_orders(np.random.default_rng(0), orders)
    seen, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(seen) == 6
    # each of the six about 10 000 times; five standard deviations of a binomial
    assert abs(counts - 10_000).max() < 5 * np.sqrt(60_000 / 6 * 5 / 6)


def test_one_dream_takes_away_the_outer_product_of_a_fixed_point():
    couplings = hebbian(random_patterns(5, 30, seed=0))
    difference = (couplings - unlearn(couplings, 1, 0.02, seed=5)) * 30 / 0.02
    np.fill_diagonal(difference, 1.0)
    values, vectors = np.linalg.eigh(difference)
    np.testing.assert_allclose(values[:-1], 0, atol=1e-10)  # of rank one
    spins = np.sign(vectors[:, -1])
    np.testing.assert_allclose(difference, np.outer(spins, spins), atol=1e-10)
    assert (spins * (couplings @ spins) >= -1e-12).all()


def test_unlearn_is_symmetric_seeded_and_leaves_its_input():
    couplings = hebbian(random_patterns(8, 50, seed=0))
    before = couplings.copy()
    result = unlearn(couplings, 300, 0.01, seed=1)
    np.testing.assert_array_equal(couplings, before)
    np.testing.assert_array_equal(result, unlearn(couplings, 300, 0.01, seed=1))
    assert not np.array_equal(result, unlearn(couplings, 300, 0.01, seed=2))
    np.testing.assert_allclose(result, result.T, atol=1e-14)
    assert not np.diag(result).any()
    np.testing.assert_array_equal(unlearn(couplings, 0), couplings)


def recalled(couplings, patterns):
    """Mean overlap after relaxation from 10 % flipped spins."""
    return float(retrieval.basins(couplings, patterns, [0.1], n_repeats=3, seed=0)["mean_overlap"][0])


def test_daydreaming_makes_memory_better():
    patterns = random_patterns(20, 100, seed=0)
    couplings = daydream(patterns, 8000, 0.01, seed=0)
    np.testing.assert_allclose(couplings, couplings.T, atol=1e-12)
    assert recalled(hebbian(patterns), patterns) < 0.9
    assert recalled(couplings, patterns) > 0.97


@pytest.mark.parametrize("choice", ["leading", "all"])
def test_eigenvector_dreaming_lowers_eigenvalues_and_keeps_eigenvectors(choice):
    couplings = hebbian(random_patterns(6, 30, seed=0))
    before = couplings.copy()
    result = eigenvector_dreaming(couplings, 40, 0.02, choice=choice, seed=1)
    np.testing.assert_array_equal(couplings, before)
    # off the diagonal, the difference is sum_u loss_u zeta_u zeta_u^T with losses >= 0 that add up to 40 * 0.02
    _, vectors = np.linalg.eigh(couplings)
    upper = np.triu_indices(30, 1)
    products = np.array([np.outer(zeta, zeta)[upper] for zeta in vectors.T]).T
    losses, *_ = np.linalg.lstsq(
        np.vstack([products, np.ones(30)]), np.append((couplings - result)[upper], 0.8), rcond=None
    )
    np.testing.assert_allclose(products @ losses, (couplings - result)[upper], atol=1e-10)
    assert losses.min() > -1e-10
    assert losses[-6:].sum() > 0.5 * losses.sum()  # mostly those of the patterns
    if choice == "leading":
        np.testing.assert_allclose(losses / 0.02, np.round(losses / 0.02), atol=1e-7)


@pytest.mark.parametrize("choice", ["leading", "all"])
def test_eigenvector_dreaming_equals_its_plain_twin(choice):
    couplings = hebbian(random_patterns(5, 24, seed=0))
    _, vectors = np.linalg.eigh(couplings)
    expected, rng = couplings.copy(), np.random.default_rng(3)
    for _ in range(30):
        spins = np.array([1.0 if rng.random() < 0.5 else -1.0 for _ in range(24)])
        kernels.settle(expected, spins, rng, 1000)
        weights = (vectors.T @ spins) ** 2 / 24
        if choice == "leading":
            weights = (np.arange(24) == np.argmax(weights)).astype(float)
        expected -= 0.05 * (vectors * weights) @ vectors.T
        np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(eigenvector_dreaming(couplings, 30, 0.05, choice=choice, seed=3), expected, atol=1e-12)


@pytest.mark.parametrize("choice", ["leading", "all"])
def test_eigenvector_dreaming_makes_memory_better(choice):
    patterns = random_patterns(20, 100, seed=0)
    result = eigenvector_dreaming(hebbian(patterns), 600, 0.01, choice=choice, seed=0)
    assert recalled(hebbian(patterns), patterns) < 0.9
    assert recalled(result, patterns) > 0.97
    np.testing.assert_array_equal(result, result.T)


def test_unknown_choice_is_named():
    with pytest.raises(ValueError, match="choice must be 'leading' or 'all', got 'best'"):
        eigenvector_dreaming(np.zeros((3, 3)), 1, choice="best")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"couplings": [[0.0, 1.0], [0.5, 0.0]]},
            r"must be symmetric: couplings\[0, 1\] = 1 but couplings\[1, 0\] = 0.5",
        ),
        ({"couplings": [[0.0, np.inf], [np.inf, 0.0]]}, r"couplings\[0, 1\] = inf"),
        ({"couplings": [[1.0, 0.0], [0.0, 0.0]]}, r"couplings\[0, 0\] = 1: a spin does not act on itself"),
        ({"couplings": np.zeros((2, 3))}, "square matrix"),
        ({"couplings": np.zeros((3, 3)), "n_dreams": -1}, "n_dreams must be at least 0"),
        ({"couplings": np.zeros((3, 3)), "epsilon": 0}, "epsilon must be > 0"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        unlearn(**{"n_dreams": 3, **arguments})
