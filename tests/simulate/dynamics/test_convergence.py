import numpy as np
import pytest

from simulate import Glauber, PatternCouplings, hebbian, pseudo_inverse, random_patterns, sample
from simulate.dynamics.convergence import convergence

PATTERNS = random_patterns(3, 40, seed=0)
WARM = Glauber(PatternCouplings(PATTERNS), temperature=2.0)


def test_a_settled_run_says_so_in_its_attributes():
    samples = sample(WARM, draws=400, chains=4, burn_in=50, seed=0)
    assert 0.99 < samples.attrs["r_hat_energy"] < 1.05
    assert samples.attrs["r_hat_overlap"] < 1.1
    assert 100 < samples.attrs["effective_size_overlap"] <= samples.attrs["effective_size_energy"]


def test_chains_held_by_different_memories_are_reported():
    cold = Glauber(pseudo_inverse(PATTERNS), temperature=0.05)
    with pytest.warns(RuntimeWarning, match="the run has not settled: R-hat of the"):
        samples = sample(cold, draws=150, chains=3, burn_in=5, seed=0, initial=PATTERNS)
    assert samples.attrs["r_hat_overlap"] > 1.5
    unchecked = sample(cold, draws=150, chains=3, burn_in=5, seed=0, initial=PATTERNS, check=False)
    assert "r_hat_overlap" not in unchecked.attrs
    np.testing.assert_array_equal(samples["spins"], unchecked["spins"])


def test_effective_size_of_independent_and_of_slow_draws():
    fast = sample(WARM, draws=1000, chains=4, burn_in=50, thin=30, seed=0)
    found = convergence(fast, WARM)
    assert list(found["quantity"].values) == ["energy", "overlap 1", "overlap 2", "overlap 3"]
    assert found["effective_size"].values == pytest.approx(4000, rel=0.15)
    slow = convergence(sample(WARM, draws=1000, chains=4, burn_in=50, thin=1, seed=0), WARM)
    assert (slow["effective_size"].values < 0.7 * found["effective_size"].values).all()


def test_overlaps_of_a_matrix_are_taken_along_its_leading_eigenvectors():
    # two strong ferromagnetic blocks: the leading directions are their magnetisations
    couplings = np.kron(np.eye(2), np.ones((10, 10))) / 10
    np.fill_diagonal(couplings, 0)
    dynamics = Glauber(couplings, temperature=0.9)
    samples = sample(dynamics, draws=200, chains=4, seed=1, check=False)
    assert convergence(samples, dynamics)["r_hat"].values[1:3].max() > convergence(samples, dynamics)["r_hat"][3]


def test_no_effective_size_where_nothing_varies():
    frozen = Glauber(1e6 * hebbian(np.ones((1, 6))), 1e-3)
    with pytest.raises(
        ValueError, match="effective_size 10 means nothing: in 200 draws a chain neither the energy nor"
    ):
        sample(frozen, effective_size=10, chains=2, initial=np.ones(6), seed=0)


def test_draws_until_an_effective_size_is_reached():
    samples = sample(WARM, effective_size=1500, chains=4, burn_in=50, seed=3)
    assert convergence(samples, WARM)["effective_size"].min() >= 1500
    assert min(samples.attrs["effective_size_energy"], samples.attrs["effective_size_overlap"]) >= 1500
    again = sample(WARM, draws=samples.sizes["draw"], chains=4, burn_in=50, seed=3)
    np.testing.assert_array_equal(samples["spins"], again["spins"])
    with pytest.raises(ValueError, match="either draws or effective_size"):
        sample(WARM, draws=5, effective_size=10)
    with pytest.raises(ValueError, match="at least 2 chains"):
        sample(WARM, effective_size=10, chains=1)


def test_energies():
    couplings = hebbian(PATTERNS)
    fields = np.linspace(-1, 1, 40)
    states = np.random.default_rng(0).choice([-1.0, 1.0], size=(5, 40))
    expected = [-0.5 * s @ couplings @ s - fields @ s for s in states]
    for kind in (couplings, PatternCouplings(PATTERNS)):
        np.testing.assert_allclose(Glauber(kind, 1.0, fields).energies(states), expected)
