import numpy as np
import pytest

from simulate import ActiveOrnsteinUhlenbeck, Glauber, PersistentGlauber, boltzmann_learning, theory
from tests import exact
from tests.simulate.theory.test_dissipation import joint_chain, stationary


@pytest.mark.slow
def test_with_an_equilibrium_negative_phase_it_is_maximum_likelihood():
    rng = np.random.default_rng(0)
    truth = np.triu(rng.normal(0, 0.5, (4, 4)), 1)
    truth = truth + truth.T
    data = exact.draw(truth, 3000, rng.normal(0, 0.3, 4), seed=1)
    couplings, fields = boltzmann_learning(
        data, lambda J, h: Glauber(J, 1.0, fields=h), n_steps=200, sweeps=40, rate=0.2, seed=2
    )
    np.testing.assert_array_equal(couplings, couplings.T)
    # the likelihood is largest where the moments of the model, exactly, are those of the data
    means, pairs = exact.moments(couplings, fields)
    rows = data.astype(float)
    # noise of 100 steps of 800 states, correlated over about ten: 0.01
    np.testing.assert_allclose(means, rows.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(pairs, rows.T @ rows / len(rows), atol=0.03)


@pytest.mark.slow
def test_with_a_driven_negative_phase_the_driven_state_has_the_moments_of_the_data():
    data = exact.draw(np.array([[0.0, 0.7], [0.7, 0.0]]), 3000, np.array([0.3, -0.1]), seed=0).astype(float)
    couplings, fields = boltzmann_learning(
        data, lambda J, h: PersistentGlauber(J, 1.0, 0.8, fields=h), n_steps=200, sweeps=40, rate=0.2, seed=1
    )
    spins, label, fresh, kept = joint_chain(couplings, fields, 1.0, 0.8)
    law = np.bincount(label, stationary((fresh + kept).mean(axis=0)), 4)
    np.testing.assert_allclose(law @ spins, data.mean(axis=0), atol=0.03)
    assert law @ (spins[:, 0] * spins[:, 1]) == pytest.approx((data[:, 0] * data[:, 1]).mean(), abs=0.03)
    # activity adds to the correlations of weak couplings by 2 / (2 - a) = 1.67 (linear response), so less is learned
    assert couplings[0, 1] < 0.9 * 0.7
    assert theory.effective_slope(PersistentGlauber(np.zeros((2, 2)), 1.0, 0.8)) == pytest.approx(1 / 0.6)


def test_decay_and_bad_input():
    data = np.array([[1, 1], [1, 1], [-1, -1]])  # the pair never varies: without decay its coupling grows for ever
    couplings, _ = boltzmann_learning(
        data, lambda J, h: Glauber(J, 1.0, fields=h), n_steps=100, decay=0.5, rate=0.2, seed=0
    )
    # 1 - tanh(J) = J / 2 with fields: between 0.5 and 1
    assert 0.3 < couplings[0, 1] < 1.1
    with pytest.raises(ValueError, match="must return a dynamics of spins, got ActiveOrnsteinUhlenbeck"):
        boltzmann_learning(data, lambda J, h: ActiveOrnsteinUhlenbeck(J, 1.0, 0.1))
    with pytest.raises(ValueError, match="data"):
        boltzmann_learning(2 * data, lambda J, h: Glauber(J, 1.0))
    with pytest.raises(ValueError, match="rate must be > 0"):
        boltzmann_learning(data, lambda J, h: Glauber(J, 1.0), rate=0.0)
