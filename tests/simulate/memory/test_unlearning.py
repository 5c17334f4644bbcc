import numpy as np
import pytest

from simulate import daydream, hebbian, random_patterns, unlearn
from simulate.memory import _kernels as kernels


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
    for _ in range(20):
        start = rng.choice([-1.0, 1.0], size=60)
        orders = np.array([rng.permutation(60) for _ in range(50)])
        spins = start.copy()
        settled = kernels.relax(couplings, spins, orders)
        expected, expected_settled = plain_relax(couplings, start, orders)
        assert settled
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


def retrieval_rate(couplings, patterns, flipped, rng):
    """Fraction of patterns found again, to an overlap above 0.99, from a fraction of flipped spins."""
    found = 0
    n_spins = patterns.shape[1]
    for pattern in patterns.astype(float):
        spins = pattern.copy()
        spins[rng.choice(n_spins, size=round(flipped * n_spins), replace=False)] *= -1
        kernels.relax(couplings, spins, np.array([rng.permutation(n_spins) for _ in range(200)]))
        found += spins @ pattern / n_spins > 0.99
    return found / len(patterns)


def test_unlearning_makes_memory_better_and_too_much_of_it_worse():
    scores = {0: [], 700: [], 6000: []}
    for seed in range(4):
        patterns = random_patterns(20, 100, seed=seed)
        for dreams in scores:
            couplings = unlearn(hebbian(patterns), dreams, 0.01, seed=seed)
            scores[dreams].append(retrieval_rate(couplings, patterns, 0.1, np.random.default_rng(seed)))
    hebb, best, too_much = (np.mean(scores[dreams]) for dreams in scores)
    assert best > hebb + 0.2
    assert too_much < best - 0.2


def test_daydreaming_makes_memory_better():
    patterns = random_patterns(20, 100, seed=0)
    couplings = daydream(patterns, 20_000, 0.01, seed=0)
    np.testing.assert_allclose(couplings, couplings.T, atol=1e-12)
    rng = np.random.default_rng(0)
    assert retrieval_rate(couplings, patterns, 0.1, rng) > retrieval_rate(hebbian(patterns), patterns, 0.1, rng) + 0.2


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
