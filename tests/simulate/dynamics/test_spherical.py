import numpy as np
import pytest

from simulate import PatternCouplings, SphericalHopfield, hebbian, random_patterns, sample, theory


def check_against_quadrature(dynamics, states, weights, temperature):
    """Averages of samples against exp(-E / T) over states (n, N) of the sphere with these weights."""
    energy = dynamics.energies(states)
    law = weights * np.exp(-(energy - energy.min()) / temperature)
    x = sample(dynamics, draws=50, chains=32, burn_in=5, seed=0)["x"].values.astype(float)
    np.testing.assert_allclose((x**2).sum(axis=2), dynamics.n_spins, rtol=1e-5)
    for found, exact in (
        (dynamics.energies(x.reshape(-1, x.shape[2])).reshape(x.shape[:2]), energy),
        (x[..., 0] * x[..., 1], states[:, 0] * states[:, 1]),
        (x[..., 0] ** 4, states[:, 0] ** 4),
    ):
        chains, expected = found.mean(axis=1), law @ exact / law.sum()
        # 5 standard errors of 32 chains: false alarm about 1e-4; and the error of the step, below 1 % of the scale
        spread = np.sqrt(law @ (exact - expected) ** 2 / law.sum())
        assert abs(chains.mean() - expected) < 5 * chains.std(ddof=1) / 32**0.5 + 0.01 * spread


@pytest.mark.slow
@pytest.mark.parametrize("quartic", [0.0, 2.0])
def test_two_spins_have_their_boltzmann_law_on_the_circle(quartic):
    dynamics = SphericalHopfield(PatternCouplings([[1, 1], [1, 1], [1, -1]]), quartic, temperature=1.2)
    angles = 2 * np.pi * np.arange(2000) / 2000
    states = np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    check_against_quadrature(dynamics, states, np.ones(2000), 1.2)


def test_three_spins_with_dreamed_couplings_have_their_boltzmann_law_on_the_sphere():
    # tau = 0: the active temperature adds to T
    couplings = PatternCouplings([[1, 1, 1], [1, -1, 1]], rate=0.8)
    dynamics = SphericalHopfield(couplings, 1.5, temperature=0.4, active_temperature=0.6)
    height = np.polynomial.legendre.leggauss(60)
    angles = 2 * np.pi * np.arange(120) / 120
    z, angle = (grid.ravel() for grid in np.meshgrid(height[0], angles, indexing="ij"))
    around = np.sqrt(1 - z**2)
    states = np.sqrt(3) * np.stack([around * np.cos(angle), around * np.sin(angle), z], axis=1)
    check_against_quadrature(dynamics, states, np.repeat(height[1], 120), 1.0)


def test_single_pattern_by_its_free_energy():
    # f(m) = -m^2 / 2 - u m^4 / 4 - (T / 2) ln(1 - m^2) is least at the overlap of the retrieval state
    overlaps = np.linspace(0.5, 0.9999, 200_001)
    for u, t in ((2.0, 0.3), (0.5, 0.1)):
        free_energy = -(overlaps**2) / 2 - u * overlaps**4 / 4 - t / 2 * np.log(1 - overlaps**2)
        found = theory.spherical_retrieval(0.0, u, t)
        assert found.overlap == pytest.approx(overlaps[free_energy.argmin()], abs=1e-5)
        assert found.stiffness == pytest.approx(1 + u * found.overlap**2, rel=1e-9)
    assert theory.spherical_retrieval(0.0, 2.0, 3.0).overlap == 0


@pytest.mark.parametrize("noise", [(0.3, 0.0, 0.0), (0.1, 0.6, 1.5)])
def test_equations_of_retrieval_hold_for_a_large_matrix(noise):
    # the mean state and the sphere written with the matrix of 800 spins in place of the law of Marchenko and Pastur
    n, load, u = 800, 0.05, 3.0
    patterns = random_patterns(round(load * n), n, seed=0)
    found = theory.spherical_retrieval(load, u, *noise)
    values, vectors = np.linalg.eigh(hebbian(patterns))
    gaps = found.stiffness - values
    means = vectors @ ((vectors.T @ patterns.T) * u * found.overlap**3 / gaps[:, None])  # of every pattern retrieved
    assert (means * patterns.T).sum(axis=0).mean() / n == pytest.approx(found.overlap, rel=5e-3)
    assert (means**2).sum(axis=0).mean() / n + theory.mode_variance(gaps, *noise).mean() == pytest.approx(1, rel=5e-3)


@pytest.mark.parametrize("noise", [(0.3, 0.0, 0.0), (0.0, 0.8, 1.5)])
def test_samples_have_the_overlap_of_the_retrieval_state(noise):
    patterns = random_patterns(15, 300, seed=1)
    dynamics = SphericalHopfield(PatternCouplings(patterns), 3.0, *noise)
    run = sample(dynamics, 20, chains=4, burn_in=10, initial=patterns[:4], seed=0, check=False)["x"].values
    overlap = np.einsum("cdi,ci->c", run, patterns[:4]) / (20 * 300)
    expected = theory.spherical_retrieval(0.05, 3.0, *noise).overlap
    assert expected == pytest.approx(0.956 if noise[1] == 0 else 0.982, abs=1e-3)
    assert overlap.mean() == pytest.approx(expected, abs=0.01)  # N = 300: 0.003 from pattern to pattern


def test_any_noise_lowers_the_overlap():
    still = theory.spherical_retrieval(0.05, 3.0).overlap
    for noise in ((0.1,), (0.0, 0.1, 0.5), (0.0, 0.1, 50.0), (0.05, 0.3, 5.0)):
        assert theory.spherical_retrieval(0.05, 3.0, *noise).overlap < still
    # at equal active temperature persistence helps, since it leaves less variance
    warm, active = (theory.spherical_retrieval(0.05, 3.0, 0.0, 0.8, tau).overlap for tau in (0.0, 2.0))
    assert warm < active < still


def test_same_seed_same_samples_for_any_number_of_jobs():
    dynamics = SphericalHopfield(PatternCouplings(random_patterns(4, 20, seed=0), 0.3), 1.0, 0.1, 0.5, 1.0)
    arguments = {"draws": 3, "chains": 7, "burn_in": 2, "check": False}
    one, two = (sample(dynamics, seed=5, n_jobs=jobs, **arguments) for jobs in (1, 2))
    assert one.identical(two)
    assert not np.array_equal(one["x"], sample(dynamics, seed=6, **arguments)["x"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: SphericalHopfield(hebbian(p), 1.0, 0.1), "couplings must be PatternCouplings"),
        (lambda p: SphericalHopfield(PatternCouplings(p), -1.0, 0.1), "quartic must be >= 0"),
        (lambda p: SphericalHopfield(PatternCouplings(p), 1.0), "nothing drives the units"),
        (lambda p: SphericalHopfield(PatternCouplings(p), 1.0, 0.1, time_step=5.0), "time_step must be > 0 and <= 0."),
        (lambda p: theory.spherical_retrieval(0.1, 0.0), "quartic must be > 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(random_patterns(2, 20, seed=0))
