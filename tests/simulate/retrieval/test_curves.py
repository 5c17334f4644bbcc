from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy.integrate import quad

from simulate import (
    ActiveOrnsteinUhlenbeck,
    ColoredFieldGlauber,
    Glauber,
    Harmonic,
    KineticIsing,
    PatternCouplings,
    PersistentGlauber,
    SoftSpin,
    Spherical,
    SphericalHopfield,
    TwoTemperatureGlauber,
    hebbian,
    random_patterns,
    retrieval,
    sample,
    theory,
)
from simulate.retrieval.curves import _best_by_halves, _lifetime
from tests.exact import all_states
from tests.simulate.theory.test_cavity import write

PATTERNS = random_patterns(1, 60, seed=0)
ONE = hebbian(PATTERNS)


def temperature(dynamics, notion):
    found = retrieval.equilibrium_counterpart(dynamics, notion)
    np.testing.assert_array_equal(found.couplings, dynamics.couplings)
    return found.temperature


def test_persistent_thresholds_have_the_noise_of_their_temperature():
    dynamics = PersistentGlauber(ONE, 0.4, 0.9, fields=0.1)
    for notion in ("active-temperature", "variance"):
        found = retrieval.equilibrium_counterpart(dynamics, notion)
        assert isinstance(found, Glauber)
        assert found.temperature == 0.4
        np.testing.assert_array_equal(found.fields, np.full(60, 0.1))


@pytest.mark.parametrize(
    ("potential", "stiffness"), [(SoftSpin(1.0), 5.0), (SoftSpin(0.5), 4.0), (Harmonic(1.7), 1.7), (Spherical(), 1.0)]
)
def test_continuous_units_by_the_stiffness_of_a_stored_pattern(potential, stiffness):
    dynamics = ActiveOrnsteinUhlenbeck(ONE, 2.0, 0.3, 0.05, potential)
    assert temperature(dynamics, "active-temperature") == pytest.approx(0.35)
    assert temperature(dynamics, "variance") == pytest.approx(0.05 + 0.3 / (1 + 2 * stiffness), rel=1e-9)
    still = retrieval.equilibrium_counterpart(dynamics, "variance")
    assert (still.active_temperature, still.persistence_time) == (0, 0)


@pytest.mark.slow
def test_soft_spins_have_equal_variances_where_noise_is_small():
    # 60 spins at one pattern: one mode of 60 is softer
    dynamics = ActiveOrnsteinUhlenbeck(ONE, 2.0, 0.02, potential=SoftSpin(1.0))
    spreads = []
    for one in (dynamics, retrieval.equilibrium_counterpart(dynamics, "variance")):
        x = sample(one, 30, chains=8, burn_in=8, thin=2, initial=PATTERNS, seed=0)["x"].values
        assert (x * PATTERNS).mean() == pytest.approx(np.sqrt(2 - 1 / 60), rel=3e-3)  # less for noise
        spreads.append((x * PATTERNS).var())
    assert spreads[0] / spreads[1] == pytest.approx(1, abs=0.08)  # 8 % is more than 4 standard errors


def test_spherical_spins_have_the_overlap_of_their_counterpart_at_a_single_pattern():
    dynamics = SphericalHopfield(PatternCouplings(PATTERNS), 2.0, 0.1, 0.5, 1.3)
    found = temperature(dynamics, "variance")
    overlap = theory.spherical_retrieval(0.0, 2.0, 0.1, 0.5, 1.3).overlap
    assert theory.spherical_retrieval(0.0, 2.0, found).overlap == pytest.approx(overlap, rel=1e-9)
    # with a load modes are softer than that, and the activity loses
    assert (
        theory.spherical_retrieval(0.1, 2.0, 0.1, 0.5, 1.3).overlap
        < theory.spherical_retrieval(0.1, 2.0, found).overlap
    )
    with pytest.raises(ValueError, match="no pattern is retrieved"):
        temperature(replace(dynamics, active_temperature=30.0), "variance")


def test_coloured_spins_have_the_overlap_of_their_counterpart_at_a_single_pattern():
    dynamics = ColoredFieldGlauber(ONE, 0.3, 2.0, 0.2)
    t = temperature(dynamics, "variance")
    m = 0.9
    for _ in range(500):
        m = np.tanh(m / t)
    width = np.sqrt(0.1)
    mean = quad(lambda v: np.tanh((m + v) / 0.3) * np.exp(-(v**2) / 0.2), -8 * width, 8 * width)[0]
    assert mean / np.sqrt(2 * np.pi * 0.1) == pytest.approx(m, rel=1e-7)
    with pytest.raises(ValueError, match="squared coupling"):
        temperature(dynamics, "active-temperature")
    with pytest.raises(ValueError, match="no pattern is retrieved"):
        temperature(replace(dynamics, temperature=3.0), "variance")


def capacity(**arguments):
    schedule = {"n_repeats": 4, "n_starts": 2, "burn_in": 10, "draws": 10, "seed": 1}
    return retrieval.capacity(hebbian, [0.05, 0.2], 40, **(schedule | arguments))


def test_curves_of_equal_noise_are_those_of_the_counterpart():
    def driven(J):
        return ActiveOrnsteinUhlenbeck(J, 2.0, 0.3, potential=SoftSpin(1.0))

    found = capacity(dynamics=driven, equal_noise="variance")
    by_hand = capacity(dynamics=lambda J: retrieval.equilibrium_counterpart(driven(J), 0.3 / 11))
    np.testing.assert_array_equal(found["overlap"], by_hand["overlap"])
    assert found.attrs["equal_noise"] == "variance"


def test_the_best_temperature_is_chosen_on_other_patterns():
    temperatures = [0.1, 0.4, 0.8]
    curves = [capacity(dynamics=lambda J: PersistentGlauber(J, 0.5, 0.9), equal_noise=t) for t in temperatures]
    best = capacity(
        dynamics=lambda J: PersistentGlauber(J, 0.5, 0.9), equal_noise="best-temperature", temperatures=temperatures
    )
    for load in range(2):
        for repeat in range(4):
            others = [k for k in range(4) if (k - repeat) % 2]
            means = [float(curve["overlap"][load, others].mean()) for curve in curves]
            at = int(np.argmax(means))
            assert float(best["temperature"][load, repeat]) == temperatures[at]
            np.testing.assert_array_equal(best["overlap"][load, repeat], curves[at]["overlap"][load, repeat])
    # where all choices are alike, choosing gains nothing: 5 standard errors of 400 means
    alike = np.random.default_rng(0).standard_normal((6, 400, 2, 1))
    chosen = np.take_along_axis(alike, _best_by_halves(alike)[None, ..., None], axis=0)
    assert abs(chosen.mean()) < 5 / np.sqrt(800)


def test_lifetime_of_greatest_likelihood():
    # equal intervals: lost with the share p of those that were there, a geometric law
    kept = (np.random.default_rng(0).integers(1, 9, (50, 1)) > np.arange(1, 6)).astype(float)
    lost = (kept[:, -1] == 0).sum()
    trials = kept[:, :-1].sum() + 50
    times = 3.0 * np.arange(1, 6)
    assert _lifetime(kept, times) == pytest.approx(-3 / np.log1p(-lost / trials), rel=1e-9)
    assert _lifetime(np.ones((4, 5)), times) == np.inf
    assert _lifetime(np.zeros((4, 5)), times) == 0
    # any times: an exponential law of lifetime 20, 3000 states
    ends = np.random.default_rng(1).exponential(20, (3000, 1))
    edges = np.array([1.0, 5, 6, 30, 100])
    assert _lifetime((ends > edges).astype(float), edges) == pytest.approx(20, rel=4 / np.sqrt(3000))


@pytest.mark.slow
def test_remaining_states_of_four_spins_by_enumeration():
    states = all_states(4)
    field = states @ hebbian(np.ones((1, 4), dtype=np.int8))
    update = np.zeros((16, 16))  # a random spin is drawn from its heat bath
    for state in range(16):
        for spin in range(4):
            up = 1 / (1 + np.exp(-2 * field[state, spin] / 0.4))
            update[state, state | (1 << spin)] += up / 4
            update[state, state & ~(1 << spin)] += (1 - up) / 4
    near = states.mean(axis=1) >= 0.4
    law, exact, past = (states.sum(axis=1) == 4).astype(float), [], 0
    times = [1, 2, 4, 8]
    for time in times:
        law, past = near * (law @ np.linalg.matrix_power(update, 4 * (time - past))), time
        exact.append(law.sum())
    found = retrieval.lifetimes(
        hebbian, 0.25, 4, times, dynamics=lambda J: Glauber(J, 0.4), threshold=0.4, n_repeats=80, n_starts=2, seed=0
    )
    error = np.sqrt(np.array(exact) * (1 - np.array(exact)) / 80)
    assert (abs(found["remaining"].values[0] - exact) < 4 * error).all()  # false alarm 3e-4
    assert found["overlap"].isel(start=1).isnull().all()  # a single pattern
    many = (np.arange(100_000)[:, None] + 0.5 < 100_000 * np.array(exact)).astype(float)
    expected = _lifetime(many, np.array(times, dtype=float))
    lifetime, spread = float(found["lifetime"][0]), float(found["lifetime_std"][0])
    assert abs(lifetime - expected) < 4 * spread
    assert 0 < spread < 0.5 * expected


def test_lifetimes_tell_memory_from_a_transient():
    # one pattern is kept for longer by more spins; far above capacity none is kept
    def at(load, t, sizes, times):
        return retrieval.lifetimes(
            hebbian, load, sizes, times, dynamics=lambda J: Glauber(J, t), n_repeats=6, n_starts=4, seed=0
        )

    few = at(1e-3, 0.8, [10, 80], [3, 10, 30, 100])
    assert few["lifetime"].values[1] > 3 * few["lifetime"].values[0]
    assert (few["remaining"].diff("time") <= 0).all()
    lost = at(0.5, 0.8, 60, [3, 10])
    assert float(lost["remaining"][0, -1]) < 0.3
    assert lost.identical(at(0.5, 0.8, 60, [3, 10]))


@pytest.mark.validation
def test_recall_of_soft_spins_at_load_014_is_a_transient():
    times, rows, every = [30, 60, 300, 1000, 3000], [], []
    for name, tau, strength in (("active, tau = 2, T_a = 0.3", 2.0, 0.3), ("equilibrium, T = 0.1", 0.0, 0.1)):
        found = retrieval.lifetimes(
            hebbian,
            0.14,
            [100, 400],
            times,
            dynamics=lambda J, t=tau, s=strength: ActiveOrnsteinUhlenbeck(J, t, s, potential=SoftSpin(1.0)),
            n_repeats=2,
            n_starts=4,
            seed=0,
            n_jobs=2,
        )
        for size in (100, 400):
            part = found.sel(n_spins=size)
            means = [f"{m:.2f} +- {e:.2f}" for m, e in zip(part["mean_overlap"], part["mean_overlap_std"], strict=True)]
            lifetime = f"{float(part['lifetime']):.0f} +- {float(part['lifetime_std']):.0f}"
            rows.append(f"| {name} | {size} | {' | '.join(means)} | {lifetime} |")
        every.append(found)
    write(
        "## Lifetimes of retrieval states of soft spins",
        [
            f"{date.today()}, soft spins (b = 1), Hebbian couplings, load 0.14, two sets of patterns with four",
            "starts each, seed 0: mean overlap of the signs with the pattern of the start, and the lifetime (of states",
            "whose overlap has not been below 1/2).",
            "`pytest -m validation tests/simulate/retrieval/`.",
            "",
            "| network | N | " + " | ".join(f"time {time}" for time in times) + " | lifetime |",
            "|---" * 8 + "|",
            *rows,
        ],
    )
    # at N = 400, time 30 and 3000, for both networks
    for found in every:
        assert found["mean_overlap"].sel(n_spins=400, time=30) > 0.8
        assert found["mean_overlap"].sel(n_spins=400, time=3000) < 0.4


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: capacity(equal_noise="variance"), "give the dynamics whose noise is to be equalled"),
        (lambda: capacity(dynamics=lambda J: Glauber(J, 1.0), equal_noise="loudness"), "best-temperature, or a temp"),
        (lambda: capacity(dynamics=lambda J: Glauber(J, 1.0), equal_noise="best-temperature"), "give those among"),
        (lambda: capacity(dynamics=lambda J: Glauber(J, 1.0), temperatures=[1.0]), "temperatures: they go with"),
        (lambda: temperature(Glauber(ONE, 1.0), "loudness"), "equal_noise must be one of active-temperature, variance"),
        (lambda: temperature(TwoTemperatureGlauber(ONE, 1.0, 2.0), "variance"), "no notion of equal noise is known"),
        (lambda: temperature(KineticIsing(ONE, 1.0), -1.0), "equal_noise must be > 0"),
        (
            lambda: temperature(ActiveOrnsteinUhlenbeck(ONE, 1.0, 0.1, potential=SoftSpin(1.0)), "best-temperature"),
            "equal_noise must be one of",
        ),
        (
            lambda: retrieval.lifetimes(hebbian, 0.1, 20, [5, 3], dynamics=lambda J: Glauber(J, 1.0)),
            r"times must rise, got \[5, 3\]",
        ),
        (
            lambda: retrieval.lifetimes(hebbian, 0.1, 20.5, [5], dynamics=lambda J: Glauber(J, 1.0)),
            "n_spins must be an integer, got",
        ),
        (
            lambda: retrieval.lifetimes(hebbian, 0.1, 20, [5], dynamics=lambda J: J),
            "must return a dynamics such as",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
