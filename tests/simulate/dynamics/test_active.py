import numpy as np
import pytest
from scipy import linalg, sparse, stats

from simulate import (
    ActiveOrnsteinUhlenbeck,
    Harmonic,
    PatternCouplings,
    SoftSpin,
    Spherical,
    hebbian,
    random_patterns,
    sample,
    theory,
)
from simulate.dynamics.heun import NoiseLaw
from simulate.dynamics.linear_modes import mode_transition
from simulate.dynamics.potentials import spherical_stiffness
from simulate.dynamics.spin_dynamics import generator_state
from simulate.dynamics.threshold_kernels import fill_normals

PATTERNS = random_patterns(3, 12, seed=1)
COUPLINGS = hebbian(PATTERNS)


def plain_run(dynamics, chain_seeds, units):
    """The stated scheme, written out chain by chain with an explicit matrix product: the twin of the kernels."""
    matrix = np.asarray(dynamics.couplings.toarray() if hasattr(dynamics.couplings, "toarray") else dynamics.couplings)
    dt = 1 / dynamics.steps_per_unit
    tau, noise_strength = dynamics.persistence_time, np.sqrt(dynamics.active_temperature / dynamics.persistence_time)

    def force(x):
        if isinstance(dynamics.potential, SoftSpin):
            own = dynamics.potential.barrier * x * (x**2 - 1)
        else:
            own = dynamics.stiffness * x
        return matrix @ x - own + (0 if dynamics.fields is None else dynamics.fields)

    ends = []
    for seed in chain_seeds:
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(dynamics.n_spins)
        if isinstance(dynamics.potential, SoftSpin):
            x = np.where(x < 0, -1.0, 1.0)
        v = noise_strength * rng.standard_normal(dynamics.n_spins)
        normals: list = []
        state = generator_state([seed], 16)
        for _ in range(units):  # a unit of time is drawn in one go, after burn-in and between draws
            noise = np.empty((dynamics.steps_per_unit, 2, dynamics.n_spins), dtype=np.float32)
            fill_normals(state, noise.reshape(-1))
            normals += list(noise)
        for first, second in normals:
            after = np.exp(-dt / tau) * v + noise_strength * np.sqrt(1 - np.exp(-2 * dt / tau)) * first
            spread = noise_strength**2 * tau**2 * (2 * dt / tau - 4 * np.tanh(dt / tau / 2))
            impulse = tau * np.tanh(dt / tau / 2) * (v + after)
            impulse += np.sqrt(2 * dynamics.temperature * dt + spread) * second
            ahead = x + dt * force(x) + impulse
            x = x + dt / 2 * (force(x) + force(ahead)) + impulse
            v = after
        ends.append(x)
    return np.array(ends)


@pytest.mark.parametrize("kind", ["dense", "patterns", "sparse"])
@pytest.mark.parametrize("potential", [Harmonic(2.5), Spherical(), SoftSpin(1.5)])
def test_kernels_follow_their_plain_twin(kind, potential):
    couplings = {"dense": COUPLINGS, "patterns": PatternCouplings(PATTERNS), "sparse": sparse.csr_array(COUPLINGS)}
    dynamics = ActiveOrnsteinUhlenbeck(
        couplings[kind],
        0.7,
        0.4,
        temperature=0.2,
        potential=potential,
        fields=np.linspace(-1, 1, 12),
        time_step=0.02,
    )
    samples = sample(dynamics, draws=1, chains=5, burn_in=1, thin=1, seed=3)["x"].values[:, 0]
    _, *seeds = np.random.SeedSequence(3).spawn(6)
    np.testing.assert_allclose(samples, plain_run(dynamics, seeds, 2), atol=2e-5)  # float32


def test_normals_are_normal_and_independent():
    values = np.empty(1_000_001, dtype=np.float32)
    fill_normals(generator_state([np.random.SeedSequence(1)], 16), values)
    values = values.astype(float)
    assert stats.kstest(values, stats.norm.cdf).pvalue > 1e-3
    assert abs((values**4).mean() - 3) < 5 * np.sqrt(96 / len(values))
    for lag in (1, 16, 32):  # neighbours, and the two that come from one radius
        products = values[lag:] * values[:-lag]
        assert abs(products.mean()) < 5 / np.sqrt(len(products))
        squares = (values[lag:] ** 2 - 1) * (values[:-lag] ** 2 - 1)
        assert abs(squares.mean()) < 5 * 2 / np.sqrt(len(squares))


def test_noise_and_its_integral_have_their_exact_joint_covariance():
    # (v, int v) over one step solves a linear equation; its covariance from the matrix exponential (Van Loan 1978)
    _, decay, kick, carry, jitter = NoiseLaw.of(0.1, 0.0, 0.4, 0.7)
    dt, tau = 0.1, 0.7
    drift = np.array([[-1 / tau, 0.0], [1.0, 0.0]])
    diffusion = np.diag([2 * 0.4 / tau**2, 0.0])
    block = linalg.expm(dt * np.block([[-drift, diffusion], [np.zeros((2, 2)), drift.T]]))
    propagator = block[2:, 2:].T
    covariance = propagator @ block[:2, 2:]
    assert decay == pytest.approx(propagator[0, 0], rel=1e-12)
    assert carry * (1 + decay) == pytest.approx(propagator[1, 0], rel=1e-12)
    assert kick**2 == pytest.approx(covariance[0, 0], rel=1e-10)
    assert carry * kick**2 == pytest.approx(covariance[0, 1], rel=1e-9)
    assert (carry * kick) ** 2 + jitter**2 == pytest.approx(covariance[1, 1], rel=1e-7)


@pytest.mark.parametrize("thermal", [0.0, 0.2])
@pytest.mark.parametrize("tau", [0.0, 0.4, 0.5, 8.0])
@pytest.mark.parametrize("duration", [0.01, 1.0, 1000.0])
def test_mode_transition_is_the_exact_law(thermal, tau, duration):
    # against the matrix exponential (Van Loan 1978); 1 / tau = 2 is the rate of one of the modes
    stiffness = np.array([0.05, 2.0, 7.0])
    law = mode_transition(stiffness, thermal, 0.6, tau, duration)
    for i, a in enumerate(stiffness):
        if tau == 0:
            assert law.own[i] ** 2 == pytest.approx((thermal + 0.6) / a * (1 - np.exp(-2 * a * duration)), rel=1e-12)
            continue
        drift = np.array([[-a, 1.0], [0.0, -1 / tau]])
        diffusion = np.diag([2 * thermal, 2 * 0.6 / tau**2])
        # Q = S - M S M^T with S from the Lyapunov equation, in which nothing grows with the duration
        propagator = linalg.expm(drift * duration)
        stationary = linalg.solve_continuous_lyapunov(drift, -diffusion)
        np.testing.assert_allclose([[law.decay[i], law.carry[i]], [0, law.keep]], propagator, atol=1e-13)
        factor = np.array([[law.shared[i], law.own[i]], [law.kick, 0.0]])
        expected = stationary - propagator @ stationary @ propagator.T
        np.testing.assert_allclose(factor @ factor.T, expected, atol=1e-12 * stationary.max())


def test_exact_modes_and_small_steps_have_one_law_in_time():
    # covariance of x(0) and x(t) along a trajectory from far away: means relax along exp(-A t), step by step or at once
    start = np.linspace(-3, 3, 12)
    fields = np.linspace(1, -1, 12)
    ends = []
    for step in (None, 0.02):
        dynamics = ActiveOrnsteinUhlenbeck(
            COUPLINGS, 0.7, 0.4, temperature=0.2, potential=Harmonic(2.5), fields=fields, time_step=step
        )
        assert dynamics.exact == (step is None)
        run = sample(dynamics, draws=1, chains=2000, burn_in=0, thin=1, seed=5, initial=start, check=False)
        ends.append(run["x"].values[:, 0].astype(float))
    stiffness = 2.5 * np.eye(12) - COUPLINGS
    rest = np.linalg.solve(stiffness, fields)
    mean = rest + linalg.expm(-stiffness) @ (start - rest)
    for end in ends:
        # 12 means at 4.5 standard errors: false alarm 8e-5
        assert (abs(end.mean(axis=0) - mean) < 4.5 * end.std(axis=0) / np.sqrt(2000) + 0.002).all()
    spread = [np.linalg.eigvalsh(np.cov(end.T)) for end in ends]
    # eigenvalues of two sample covariances, each known to sqrt(2 / 2000) = 3 %, ordered alike
    np.testing.assert_allclose(spread[0], spread[1], rtol=0.2)


@pytest.mark.parametrize("potential", [Harmonic(2.5), Spherical()])
def test_exact_modes_depend_neither_on_jobs_nor_on_the_length_of_the_run(potential):
    dynamics = ActiveOrnsteinUhlenbeck(COUPLINGS, 0.7, 0.4, potential=potential)
    shapes = ((40, 1), (40, 2), (300, 1))
    short, jobs, longer = (
        sample(dynamics, draws, chains=6, burn_in=5, thin=2, seed=2, n_jobs=n_jobs, check=False)["x"].values
        for draws, n_jobs in shapes
    )
    np.testing.assert_array_equal(short, jobs)
    np.testing.assert_array_equal(short, longer[:, :40])


@pytest.mark.parametrize("time_step", [None, 0.045])
@pytest.mark.parametrize("persistence_time", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("potential", [Harmonic(2.2), Spherical()])
def test_covariance_agrees_with_theory(potential, persistence_time, time_step):
    """Each mode's variance within five standard errors of the Monte Carlo run, and the modes uncorrelated."""
    dynamics = ActiveOrnsteinUhlenbeck(
        COUPLINGS, persistence_time, 0.6, temperature=0.2, potential=potential, time_step=time_step
    )
    samples = sample(dynamics, draws=700, chains=32, burn_in=50, thin=4, seed=4)["x"].values.astype(float)
    expected = theory.stationary_covariance(dynamics)
    values, modes = np.linalg.eigh(expected)
    amplitudes = samples @ modes / np.sqrt(values)
    for i in range(12):
        for j in range(i + 1):
            products = (amplitudes[..., i] * amplitudes[..., j]).mean(axis=1)  # one number a chain: independent
            error = products.std(ddof=1) / np.sqrt(len(products))
            # 78 pairs at five standard errors with 31 degrees of freedom: false alarm 0.2 %;
            # and the time step may bias the stiffest mode by 0.3 %
            assert abs(products.mean() - (i == j)) < 5 * error + 0.003


def test_that_comparison_can_fail():
    dynamics = ActiveOrnsteinUhlenbeck(COUPLINGS, 0.3, 0.6, temperature=0.2, potential=Harmonic(2.2))
    wrong = ActiveOrnsteinUhlenbeck(COUPLINGS, 0.45, 0.6, temperature=0.2, potential=Harmonic(2.2))
    samples = sample(dynamics, draws=700, chains=32, burn_in=50, thin=4, seed=4)["x"].values.astype(float)
    values, modes = np.linalg.eigh(theory.stationary_covariance(wrong))
    amplitudes = ((samples @ modes / np.sqrt(values)) ** 2).mean(axis=1)
    errors = amplitudes.std(axis=0, ddof=1) / np.sqrt(32)
    assert (abs(amplitudes.mean(axis=0) - 1) > 5 * errors + 0.003).any()


def test_time_step_error_is_of_second_order():
    # one unit without couplings: the stationary variance of the scheme, solved exactly, against T / a
    for tau in (0.0, 0.8):
        errors = []
        for dt in (0.1, 0.05):
            linear = 2.0
            step, decay, kick, carry, jitter = NoiseLaw.of(dt, 0.0, 0.5, tau)
            shrink, gain = 1 - linear * step + (linear * step) ** 2 / 2, 1 - linear * step / 2
            matrix = np.array([[shrink, gain * carry * (1 + decay)], [0.0, decay]])
            noise = np.array([[gain * carry * kick, gain * jitter], [kick, 0.0]])
            stationary = linalg.solve_discrete_lyapunov(matrix, noise @ noise.T)
            errors.append(stationary[0, 0] / theory.mode_variance(2.0, 0.0, 0.5, tau) - 1)
        if tau == 0:  # -(a dt)^2 / 4 to leading order
            assert errors[0] == pytest.approx(-((2.0 * 0.1) ** 2) / 4, rel=0.2)
        assert abs(errors[0]) < 0.012
        assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)


@pytest.mark.slow
def test_soft_spins_without_noise_memory_have_boltzmann_statistics():
    # uncoupled: P(x) ~ exp(-b (x^2 - 1)^2 / 4 (T + T_a)), moments by quadrature
    dynamics = ActiveOrnsteinUhlenbeck(np.zeros((50, 50)), 0.0, 0.3, temperature=0.2, potential=SoftSpin(1.0))
    x = sample(dynamics, draws=400, chains=16, burn_in=30, thin=5, seed=0)["x"].values.astype(float)
    grid = np.linspace(-5, 5, 20001)
    weight = np.exp(-((grid**2 - 1) ** 2) / 4 / 0.5)
    for power in (2, 4):
        chains = (x**power).mean(axis=(1, 2))
        error = chains.std(ddof=1) / 4
        expected = np.average(grid**power, weights=weight)
        assert abs(chains.mean() - expected) < 5 * error + 0.002 * expected


@pytest.mark.slow
@pytest.mark.parametrize(("temperature", "field"), [(20.0, 0.0), (0.5, 30.0)])
def test_steps_suit_the_noise_and_the_fields(temperature, field):
    # far out of the wells, where the force is much stiffer than in them
    dynamics = ActiveOrnsteinUhlenbeck(
        np.zeros((40, 40)), 0.0, 0.0, temperature=temperature, potential=SoftSpin(1.0), fields=field
    )
    x = sample(dynamics, draws=100, chains=16, burn_in=3, thin=1, seed=0)["x"].values.astype(float)
    grid = np.linspace(-15, 15, 60001)
    energy = (grid**2 - 1) ** 2 / 4 - field * grid
    weight = np.exp(-(energy - energy.min()) / temperature)
    for values, exact in ((x, grid), (x**2, grid**2)):
        chains = values.mean(axis=(1, 2))
        expected = np.average(exact, weights=weight)
        assert abs(chains.mean() - expected) < 5 * chains.std(ddof=1) / 4 + 0.005 * np.sqrt(
            np.average(exact**2, weights=weight)
        )


def test_units_that_run_off_are_an_error():
    # a rare excursion beyond where the step is stable, with a step that passes the check of typical ones
    dynamics = ActiveOrnsteinUhlenbeck(
        np.zeros((40, 40)), 0.0, 0.0, temperature=0.5, potential=SoftSpin(1.0), time_step=0.07
    )
    far = np.full(40, 9.0)
    with (
        np.errstate(all="ignore"),
        pytest.raises(ValueError, match=r"diverged to infinity: the time step 0\.0667 is too"),
    ):
        sample(dynamics, draws=5, chains=2, initial=far, seed=0, check=False)


def test_spherical_constraint_holds():
    for temperatures in ((0.1, 0.0), (0.0, 0.5), (0.2, 3.0)):
        k = spherical_stiffness(np.linalg.eigvalsh(COUPLINGS), *temperatures, 1.3)
        gaps = k - np.linalg.eigvalsh(COUPLINGS)
        assert gaps.min() > 0
        assert theory.mode_variance(gaps, *temperatures, 1.3).mean() == pytest.approx(1, abs=1e-10)


def test_time_step_is_checked():
    with pytest.raises(ValueError, match="time_step 1 is unstable"):
        ActiveOrnsteinUhlenbeck(COUPLINGS, 1.0, 0.3, potential=Harmonic(3.0), time_step=1.0)
    with pytest.warns(RuntimeWarning, match="time_step 0.3 is coarse"):
        ActiveOrnsteinUhlenbeck(COUPLINGS, 1.0, 0.3, potential=Harmonic(3.0), time_step=0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"persistence_time": -1.0}, "persistence_time must be >= 0"),
        ({"active_temperature": 0.0}, "nothing drives the units"),
        ({"temperature": np.inf}, "temperature must be a finite number"),
        ({"potential": Harmonic(0.5)}, "must be above the largest eigenvalue"),
        ({"potential": "harmonic"}, "potential must be Harmonic, Spherical, SoftSpin or another Potential"),
        ({"time_step": 0.0}, "time_step must be > 0"),
        ({"couplings": [[0.0, 1.0], [2.0, 0.0]]}, "must be symmetric"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    valid = {"couplings": COUPLINGS, "persistence_time": 1.0, "active_temperature": 0.5}
    with pytest.raises(ValueError, match=message):
        ActiveOrnsteinUhlenbeck(**(valid | arguments))


def test_potentials_check_their_numbers():
    with pytest.raises(ValueError, match="stiffness must be > 0"):
        Harmonic(0.0)
    with pytest.raises(ValueError, match="barrier must be > 0"):
        SoftSpin(-1.0)
