"""Parallel tempering: exact distribution, plain twin, and states that single chains do not reach."""

import numpy as np
import pytest

from infer import DreamingModel
from simulate import Glauber, hebbian, parallel_tempering, random_patterns, sample
from simulate.dynamics import tempering_kernels as kernels
from tests import exact


def test_samples_have_the_exact_moments_where_one_chain_gets_stuck():
    couplings = exact.random_couplings(9, 1.0, seed=3)
    fields = np.linspace(-0.1, 0.1, 9)
    probabilities = exact.boltzmann(couplings, fields, 0.25)
    samples = parallel_tempering(couplings, 0.25, fields, draws=1500, chains=16, burn_in=100, n_temperatures=6, seed=0)
    spins = samples["spins"].values.astype(float)
    states = exact.all_states(9).astype(float)
    pairs = np.triu_indices(9, 1)
    for found, truth in [
        (spins.mean(axis=1), probabilities @ states),
        (np.einsum("cdi,cdj->cij", spins, spins)[:, *pairs] / 1500, (states.T * probabilities @ states)[pairs]),
    ]:
        # 16 independent chains: Student's t of 15 degrees of freedom beyond 6 in 3e-5 of components, of 45
        error = found.std(axis=0, ddof=1) / 4
        assert (abs(found.mean(axis=0) - truth) < 6 * error + 1e-3).all()
    assert probabilities.max() < 0.9  # several states share the weight
    assert (samples.attrs["exchanges"] > 0.1).all()


def test_kernel_equals_its_plain_twin():
    rng = np.random.default_rng(0)
    couplings, external = exact.random_couplings(6, 1.0, seed=1), rng.normal(size=6) / 5
    inverse = np.array([2.0, 1.0, 0.5])
    start = rng.choice([-1.0, 1.0], size=(3, 6))
    records, accepted, order = np.empty((20, 6), dtype=np.int8), np.zeros(2, dtype=np.int64), np.arange(3)
    kernels.temper(
        couplings, external, inverse, start.copy(), start @ couplings + external, order, np.random.default_rng(5), 2,
        records, accepted, 0,
    )  # fmt: skip

    def energy(spins):
        return -spins @ couplings @ spins / 2 - external @ spins

    twin, places, swaps = np.random.default_rng(5), [0, 1, 2], [0, 0]
    states = start.copy()
    for step in range(40):
        for k, replica in enumerate(places):
            for _ in range(6):
                i = twin.integers(0, 6)
                field = couplings[i] @ states[replica] + external[i]
                states[replica, i] = 1.0 if twin.random() * (1 + np.exp(-2 * inverse[k] * field)) < 1 else -1.0
        for k in range(step % 2, 2, 2):
            gain = (inverse[k] - inverse[k + 1]) * (energy(states[places[k]]) - energy(states[places[k + 1]]))
            if gain >= 0 or twin.random() < np.exp(gain):
                places[k], places[k + 1] = places[k + 1], places[k]
                swaps[k] += 1
        if step % 2:
            assert records[step // 2].tolist() == states[places[0]].tolist()
    assert accepted.tolist() == swaps
    assert min(swaps) > 0


def test_both_signs_of_a_pattern_are_visited():
    patterns = random_patterns(2, 40, seed=0)
    couplings = hebbian(patterns)
    found = parallel_tempering(couplings, 0.4, draws=800, chains=2, burn_in=50, seed=0)
    overlap = found["spins"].values @ patterns[0] / 40
    stuck = sample(Glauber(couplings, 0.4), 800, chains=2, burn_in=50, seed=0, check=False)
    assert np.ptp(np.sign(stuck["spins"].values @ patterns[0]), axis=1).max() == 0  # no chain crosses the barrier
    # of each chain both signs, dozens of times
    assert (np.abs(np.diff(np.sign(overlap[abs(overlap) > 0.5]))) > 0).sum() > 20
    model = DreamingModel(patterns).fit(found)
    assert abs(model.rate_) < 4 * model.rate_std_


def test_chains_do_not_depend_on_their_number():
    couplings = exact.random_couplings(6, 1.0, seed=0)
    few = parallel_tempering(couplings, 0.5, draws=5, chains=1, burn_in=3, n_temperatures=2, seed=1)
    more = parallel_tempering(couplings, 0.5, draws=5, chains=3, burn_in=3, n_temperatures=2, seed=1)
    assert few["spins"].values[0].tolist() == more["spins"].values[0].tolist()
    assert more.attrs["dynamics"] == "Glauber"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hottest": 0.2}, "hottest must be > 0.5"),
        ({"n_temperatures": 1}, "n_temperatures must be at least 2"),
        ({"draws": 0}, "draws must be at least 1"),
        ({"temperature": 0.0}, "temperature must be > 0"),
    ],
)
def test_bad_numbers_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        parallel_tempering(**({"couplings": np.zeros((3, 3)), "temperature": 0.5} | change))
