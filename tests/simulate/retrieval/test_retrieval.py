import numpy as np
import pytest
from scipy import sparse

from simulate import (
    ActiveOrnsteinUhlenbeck,
    PatternCouplings,
    PersistentGlauber,
    SoftSpin,
    hebbian,
    pseudo_inverse,
    random_patterns,
    retrieval,
    sample,
    unlearn,
)
from simulate.memory import relaxation_kernels as kernels
from tests import exact


def plain_settle(couplings, spins, rng):
    """One spin at a time, fields computed anew for each: the twin of the compiled relaxation."""
    orders = np.empty((1, len(spins)), dtype=np.int64)
    for sweep in range(1000):
        kernels.shuffled_orders(rng, orders)
        before = spins.copy()
        for i in orders[0]:
            if spins[i] * (couplings[i] @ spins) < -1e-12:
                spins[i] = -spins[i]
        if np.array_equal(before, spins):
            return sweep + 1
    return -1


@pytest.mark.parametrize("symmetric", [True, False])
def test_relaxation_equals_its_plain_twin(symmetric):
    rng = np.random.default_rng(0)
    couplings = hebbian(random_patterns(12, 60, seed=1))
    if not symmetric:
        couplings += 0.02 * rng.standard_normal((60, 60))
        np.fill_diagonal(couplings, 0.0)
    states = rng.choice([-1.0, 1.0], size=(20, 60))
    expected = states.copy()
    generator = np.random.default_rng(5)
    expected_sweeps = [plain_settle(couplings, state, generator) for state in expected]
    sweeps = np.empty(20, dtype=np.int64)
    kernels.settle_all(np.ascontiguousarray(couplings.T), states, np.random.default_rng(5), 1000, sweeps)
    np.testing.assert_array_equal(states, expected)
    np.testing.assert_array_equal(sweeps, expected_sweeps)
    assert len(set(expected_sweeps)) > 2


def test_relaxation_ends_in_local_minima_of_the_enumerated_energy():
    couplings = exact.random_couplings(10, 1.0, seed=0)
    states = exact.all_states(10)
    energies = exact.energies(couplings)
    ends = retrieval.relax(couplings, states, seed=0)
    assert ends.dtype == np.int8
    at = exact.state_index(ends)
    for spin in range(10):
        neighbours = ends.copy()
        neighbours[:, spin] *= -1
        assert (energies[at] <= energies[exact.state_index(neighbours)]).all()
    assert (energies[at] <= energies).all()
    # a state that is a minimum stays, and so does the shape of what is handed in
    np.testing.assert_array_equal(retrieval.relax(couplings, ends[0], seed=1), ends[0])
    assert set(np.unique(states)) == {-1, 1}


def test_relaxation_without_fixed_point_says_so():
    # the first spin follows the second, the second flees the first
    with pytest.warns(RuntimeWarning, match="1 of 1 states did not settle in 7 sweeps"):
        retrieval.relax([[0.0, 1.0], [-1.0, 0.0]], [1, 1], max_sweeps=7, seed=0)


def test_overlaps_of_arrays_and_of_samples():
    patterns = random_patterns(3, 40, seed=0)
    np.testing.assert_allclose(retrieval.overlaps(patterns, patterns), patterns.astype(float) @ patterns.T / 40)
    dynamics = PersistentGlauber(hebbian(patterns), 0.5, 0.3)
    samples = sample(dynamics, 4, chains=2, burn_in=2, seed=0)
    found = retrieval.overlaps(samples, patterns)
    assert found.shape == (2, 4, 3)
    assert found[1, 2, 0] == pytest.approx(np.mean(samples["spins"].values[1, 2] * patterns[0].astype(float)))


def test_stability_is_the_aligned_field_over_the_norm_of_the_row():
    patterns = random_patterns(5, 30, seed=0)
    couplings = np.random.default_rng(0).standard_normal((30, 30))  # asymmetric: rows act on the spin
    np.fill_diagonal(couplings, 0.0)
    aligned = retrieval.stability(couplings, patterns, normalised=False)
    for pattern, row in zip(patterns, aligned, strict=True):
        np.testing.assert_allclose(row, [pattern[i] * couplings[i] @ pattern for i in range(30)])
    np.testing.assert_allclose(
        retrieval.stability(couplings, patterns), aligned / np.linalg.norm(couplings, axis=1), rtol=1e-12
    )
    # the projector has every pattern as eigenvector with eigenvalue 1; without its diagonal the field is 1 - J_ii
    xi = patterns.astype(float)
    diagonal = np.diag(xi.T @ np.linalg.inv(xi @ xi.T) @ xi)
    np.testing.assert_allclose(
        retrieval.stability(pseudo_inverse(patterns), patterns, normalised=False),
        np.tile(1 - diagonal, (5, 1)),
        atol=1e-12,
    )
    assert not retrieval.stability(np.zeros((30, 30)), patterns).any()


def test_basins_of_one_pattern_are_half_of_all_states():
    pattern = random_patterns(1, 31, seed=0)
    found = retrieval.basins(hebbian(pattern), pattern, [0.0, 0.3, 0.7, 1.0], n_repeats=6, seed=0)
    np.testing.assert_array_equal(found["mean_overlap"], [1, 1, -1, -1])
    np.testing.assert_array_equal(found["retrieval"], [1, 1, 0, 0])
    np.testing.assert_array_equal(found["mean_overlap_std"], 0)
    np.testing.assert_array_equal(found["settled"], 1)
    assert found["overlap"].dims == ("flipped", "pattern", "repeat")
    assert found["overlap"].shape == (4, 1, 6)


def test_standard_errors_come_from_the_scatter_of_patterns():
    patterns = random_patterns(16, 80, seed=0)
    found = retrieval.basins(hebbian(patterns), patterns, [0.1, 0.25], n_repeats=4, threshold=0.9, seed=0)
    overlap = found["overlap"].values
    assert 0 < found["retrieval"][0] < 1
    np.testing.assert_allclose(found["mean_overlap"], overlap.mean(axis=(1, 2)))
    np.testing.assert_allclose(found["mean_overlap_std"], overlap.mean(axis=2).std(axis=1, ddof=1) / 4)
    rate = (overlap >= 0.9 - 1e-9).mean(axis=2)
    np.testing.assert_allclose(found["retrieval"], rate.mean(axis=1))
    np.testing.assert_allclose(found["retrieval_std"], rate.std(axis=1, ddof=1) / 4)


def test_any_kind_of_couplings_and_any_number_of_jobs_give_the_same():
    patterns = random_patterns(6, 64, seed=0)
    couplings = hebbian(patterns)
    before = couplings.copy()
    one = retrieval.basins(couplings, patterns, [0.2, 0.4], n_repeats=3, seed=3)
    assert one.identical(retrieval.basins(couplings, patterns, [0.2, 0.4], n_repeats=3, seed=3, n_jobs=2))
    assert one.identical(retrieval.basins(sparse.csr_array(couplings), patterns, [0.2, 0.4], n_repeats=3, seed=3))
    assert one.identical(retrieval.basins(PatternCouplings(patterns), patterns, [0.2, 0.4], n_repeats=3, seed=3))
    assert not one.identical(retrieval.basins(couplings, patterns, [0.2, 0.4], n_repeats=3, seed=4))
    np.testing.assert_array_equal(couplings, before)

    def curve(n_jobs):
        return retrieval.capacity(
            PatternCouplings,
            [0.05, 0.2],
            60,
            dynamics=lambda J: PersistentGlauber(J, 0.2, 0.5),
            n_repeats=3,
            n_starts=2,
            burn_in=10,
            draws=5,
            seed=1,
            n_jobs=n_jobs,
        )

    assert curve(1).identical(curve(2))


@pytest.mark.slow
def test_unlearning_widens_basins_until_it_is_overdone():
    # load 0.2, N = 100, dreams of strength 0.01, mean overlap after relaxation from 10 % flipped spins:
    # 0.775 +- 0.014 for 40 Hebbian networks, 0.9996 +- 0.0003 after 700 dreams, 0.174 +- 0.005 after 3000
    found = {}
    for dreams in (0, 700, 3000):
        curve = retrieval.capacity(
            lambda xi, dreams=dreams: unlearn(hebbian(xi), dreams, 0.01, seed=0),
            [0.2],
            100,
            flipped=0.1,
            n_repeats=12 if dreams == 0 else 4,
            n_starts=20,
            seed=1,
        )
        found[dreams] = float(curve["mean_overlap"][0]), float(curve["mean_overlap_std"][0])
    hebb, error = found[0]
    assert abs(hebb - 0.775) < 4 * np.hypot(error, 0.014)  # four standard errors: false alarm about 1e-4
    assert found[700][0] > 0.97
    assert found[3000][0] < 0.3


def test_capacity_is_passed_between_low_and_high_load():
    # Amit, Gutfreund, Sompolinsky 1985: capacity 0.138 for N -> infinity; far from it on both sides
    curve = retrieval.capacity(hebbian, [0.05, 0.1, 0.3], 300, n_repeats=4, n_starts=4, seed=0)
    np.testing.assert_allclose(curve["load"], [0.05, 0.1, 0.3])
    assert curve["mean_overlap"][0] > 0.99
    assert curve["mean_overlap"][1] > 0.9
    assert curve["mean_overlap"][2] < 0.6
    assert (curve["mean_overlap_std"][1:] > 0).all()


def test_overlap_in_a_steady_state_agrees_with_theory():
    # one pattern: m = tanh(m / T) for N -> infinity, with corrections of order 1 / N
    temperature, magnetisation = 0.6, 1.0
    for _ in range(200):
        magnetisation = np.tanh(magnetisation / temperature)
    curve = retrieval.capacity(
        hebbian,
        [1 / 500],
        500,
        dynamics=lambda J: PersistentGlauber(J, temperature),
        n_repeats=8,
        n_starts=1,
        draws=200,
        seed=0,
    )
    error = float(curve["mean_overlap_std"][0])
    assert abs(float(curve["mean_overlap"][0]) - magnetisation) < 5 * error + 2 / 500


@pytest.mark.slow
def test_what_activity_seems_to_gain_is_cooling():
    # soft spins at load 0.14, T = 0, active temperature 0.3 at every persistence time, started at a pattern: overlap
    # of the signs between times 30 and 60, 0.36, 0.57, 0.86 (errors 0.02) at tau = 0, 0.5, 2. All of them go on
    # falling (0.13, 0.17, 0.34 at time 300). Equilibrium at the same single-pattern variance does better.
    overlap = {}
    for tau, equal_noise in ((0.0, None), (2.0, None), (2.0, "variance")):
        curve = retrieval.capacity(
            hebbian,
            [0.14],
            200,
            dynamics=lambda J, tau=tau: ActiveOrnsteinUhlenbeck(J, tau, 0.3, potential=SoftSpin(1.0)),
            equal_noise=equal_noise,
            n_repeats=3,
            n_starts=8,
            burn_in=30,
            draws=30,
            seed=1,
        )
        overlap[tau, equal_noise] = float(curve["mean_overlap"][0])
    assert overlap[0.0, None] < 0.5
    assert 0.8 < overlap[2.0, None] < 0.92
    assert overlap[2.0, "variance"] > 0.94


def test_fewer_patterns_than_starts():
    curve = retrieval.capacity(hebbian, [0.02, 0.1], 50, n_repeats=2, n_starts=3, seed=0)
    assert curve["overlap"].notnull().sum(("repeat", "start")).values.tolist() == [2, 6]
    assert curve["mean_overlap"].notnull().all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda J, xi: retrieval.basins(J, xi[:, :5]), "patterns have 5 spins, the couplings are for 20"),
        (lambda J, xi: retrieval.basins(J, xi, [0.1, 1.2]), r"flipped\[1\] = 1.2: expected numbers from 0 to 1"),
        (lambda J, xi: retrieval.basins(J, xi, []), "flipped must be a list of numbers that is not empty"),
        (lambda J, xi: retrieval.basins(J, xi, n_repeats=0), "n_repeats must be at least 1"),
        (lambda J, xi: retrieval.overlaps(xi[:, :5], xi), "states must have 20 spins along the last axis"),
        (lambda J, xi: retrieval.relax(J, 2 * xi), r"states\[0, 0\] = "),
        (lambda J, xi: retrieval.relax(J, xi[:, :5]), "states have 5 spins, the couplings are for 20"),
        (
            lambda J, xi: retrieval.stability(J + np.eye(20), xi),
            r"couplings\[0, 0\] = 1: a spin does not act on itself",
        ),
        (lambda J, xi: retrieval.capacity(hebbian, [-0.1], 20), r"loads\[0\] = -0.1: expected numbers >= 0"),
        (
            lambda J, xi: retrieval.capacity(lambda patterns: J[:9, :9], [0.1], 20),
            "rule: returned couplings for 9 spins",
        ),
        (
            lambda J, xi: retrieval.capacity(hebbian, [0.1], 20, dynamics=lambda couplings: couplings),
            "dynamics: must return a dynamics such as PersistentGlauber, got ndarray",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    patterns = random_patterns(2, 20, seed=0)
    with pytest.raises(ValueError, match=message):
        call(hebbian(patterns), patterns)


def test_ties_are_counted_alike_at_every_scale_and_rounding():
    # patterns whose fields vanish exactly for some spins: whole numbers say which are fixed points. In floating point
    # one and the same matrix had 0.5, 0.75 and 0.5 of them where the answer is 1
    found_ties = 0
    for seed in range(20):
        patterns = random_patterns(4, 13, seed=seed)
        whole = patterns.T.astype(np.int64) @ patterns
        np.fill_diagonal(whole, 0)
        aligned = patterns * (patterns @ whole)
        expected = (aligned >= 0).all(axis=1)
        found_ties += int((aligned == 0).any())
        for scale in (1.0, 1 / 13, np.pi / 7, 1e-14, 1e200, 1e-200):
            for matrix in (whole * scale, (whole / 13 * scale).astype(np.float32) if 1e-30 < scale < 1e30 else whole):
                np.testing.assert_array_equal(retrieval.fixed_points(matrix, patterns), expected)
                # relaxation from a fixed point goes nowhere, from any other state it ends in one
                np.testing.assert_array_equal(
                    (retrieval.relax(matrix, patterns, seed=0) == patterns).all(axis=1), expected
                )
                states = random_patterns(5, 13, seed=seed + 100)
                assert retrieval.fixed_points(matrix, retrieval.relax(matrix, states, seed=0)).all()
    assert found_ties > 5
