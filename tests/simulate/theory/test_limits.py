from datetime import date

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize

from simulate import (
    ActiveOrnsteinUhlenbeck,
    ColoredFieldGlauber,
    PatternCouplings,
    PersistentGlauber,
    hebbian,
    random_patterns,
    sample,
    theory,
)
from simulate.theory.projection import nearest_member
from tests.simulate.theory.test_cavity import write


@pytest.mark.parametrize("load", [1e-3, 0.2, 1.0, 1.7])
def test_moments_of_the_hebbian_spectrum(load):
    eigenvalues, shares = theory.hebbian_spectrum(load)
    assert (np.diff(eigenvalues) >= 0).all()
    # of the law of Marchenko and Pastur: sums over Narayana numbers times powers of the load
    for power, moment in enumerate([1, load, load + load**2, load + 3 * load**2 + load**3]):
        assert shares @ eigenvalues**power == pytest.approx(moment, rel=1e-12)
    assert theory.hebbian_spectrum(load, 50)[0][-1] < (1 + np.sqrt(load)) ** 2


@pytest.mark.parametrize(("load", "expected"), [(0.05, 2.48), (0.1, 2.70), (0.2, 3.02), (0.3, 3.27), (0.5, 3.68)])
def test_transition_of_active_units(load, expected):
    found = theory.transition_active_temperature(load)
    assert found == pytest.approx(expected, rel=3e-3)  # the figures were given with two decimals
    # the integral itself, in the angle that takes away the roots at both ends
    root = np.sqrt(load)

    def weight(angle):
        gap = 4 * root * np.sin(angle / 2) ** 2
        x = (1 + root) ** 2 - gap
        return (2 * root * np.sin(angle)) ** 2 / (2 * np.pi * x) / (gap * (1 + gap))

    mean = quad(weight, 1e-12, np.pi)[0] + (1 - load) / ((1 + root) ** 2 * (1 + (1 + root) ** 2))
    assert found == pytest.approx(1 / mean, rel=1e-8)


@pytest.mark.parametrize(("load", "tau", "thermal"), [(0.3, 0.0, 0.0), (0.3, 5.0, 0.7), (1.4, 1e6, 0.2)])
def test_at_the_transition_the_stiffness_is_at_the_edge(load, tau, thermal):
    critical = theory.transition_active_temperature(load, tau, thermal)
    edge = (1 + np.sqrt(load)) ** 2 - load
    above, condensed = theory.limiting_stiffness(load, thermal, 1.001 * critical, tau)
    assert above > edge
    assert condensed == 0
    below, condensed = theory.limiting_stiffness(load, thermal, 0.999 * critical, tau)
    assert below == pytest.approx(edge)
    assert 0 < condensed < 1.1e-3
    assert theory.transition_active_temperature(load, tau, 1.0001 + np.sqrt(load)) == 0
    if tau == 0:
        assert critical == pytest.approx(1 + np.sqrt(load) - thermal, rel=1e-12)


@pytest.mark.parametrize(("ratio", "low", "high"), [(0.6, 0.35, 0.65), (1.6, 0.0, 0.2)])
def test_samples_of_active_units_condense_below_the_transition_only(ratio, low, high):
    load, tau = 0.3, 1.0
    patterns = random_patterns(60, 200, seed=0)
    critical = theory.transition_active_temperature(load, tau)
    dynamics = ActiveOrnsteinUhlenbeck(hebbian(patterns), tau, ratio * critical)
    x = sample(dynamics, draws=100, chains=8, burn_in=500, thin=20, seed=0, check=False)["x"].values
    _, vectors = np.linalg.eigh(hebbian(patterns))
    # the share expected is 1 - ratio below the transition, taken by the few modes next to the edge at N = 200, and 0
    # above it, where they have a few percent each
    share = float(((x @ vectors[:, -3:]) ** 2).sum(axis=-1).mean()) / 200
    assert low < share < high


@pytest.mark.parametrize(("load", "expected"), [(1e-4, 1 / 3), (0.05, 0.336), (0.47, 0.362)])
def test_rate_of_active_units_rises_with_the_load_at_fixed_active_temperature(load, expected):
    # without load the gap of a mode x is k - x with k = 1 + ..., T_a = 6, tau = 1: (k - x)(1 + k - x) is met by 1 / 3
    limit = theory.limit_of_active_units(load, 6.0)
    assert limit.rate == pytest.approx(expected, rel=2e-3)
    assert limit.shares @ limit.variances == pytest.approx(1, rel=1e-9)
    if load > 0.01:
        dynamics = ActiveOrnsteinUhlenbeck(hebbian(random_patterns(round(load * 500), 500, seed=0)), 1.0, 6.0)
        assert theory.fitted_rate_and_slope(dynamics) == pytest.approx((limit.rate, limit.slope), rel=3e-2)
        assert theory.dreaming_rate(dynamics) < 0.2  # at second order it falls


def test_rate_of_active_units_falls_with_the_load_at_a_fixed_distance_from_the_transition():
    rates = [theory.limit_of_active_units(a, 1.3 * theory.transition_active_temperature(a)).rate for a in (0.05, 0.5)]
    assert rates == pytest.approx([0.571, 0.436], abs=1.5e-3)


@pytest.mark.slow
def test_rate_of_active_units_depends_on_the_size_near_the_transition():
    # exact covariance, load 0.3, 1.2 T_a^c: .427, .448, .474, .479 at N = 100, 200, 400, 800 (errors .003 to .007)
    active = 1.2 * theory.transition_active_temperature(0.3)
    means, errors = [], []
    for n in (100, 800):
        units = [
            ActiveOrnsteinUhlenbeck(hebbian(random_patterns(3 * n // 10, n, seed=k)), 1.0, active) for k in range(8)
        ]
        rates = [theory.fitted_rate_and_slope(one)[0] for one in units]
        means.append(np.mean(rates))
        errors.append(np.std(rates, ddof=1) / 8**0.5)
    assert means[1] / means[0] == pytest.approx(1.12, abs=0.04)
    # the limit is reached from below
    assert means[1] < theory.limit_of_active_units(0.3, active).rate + 3 * errors[1]


@pytest.mark.validation
def test_rate_of_active_units_against_exact_covariance_at_1600_units():
    rows = []
    for load in (0.02, 0.05, 0.1, 0.2, 0.3, 0.47):
        limit = theory.limit_of_active_units(load, 6.0)
        systems = [hebbian(random_patterns(round(load * 1600), 1600, seed=seed)) for seed in range(3)]
        found = np.array([theory.fitted_rate_and_slope(ActiveOrnsteinUhlenbeck(one, 1.0, 6.0)) for one in systems])
        mean, spread = found.mean(axis=0), found.std(axis=0, ddof=1)
        assert mean == pytest.approx((limit.rate, limit.slope), rel=1e-2)
        rows.append(
            f"| {load:g} | {limit.rate:.4f} | {mean[0]:.4f} +- {spread[0]:.4f} | {limit.slope:.4f} | {mean[1]:.4f} |"
        )
    write(
        "## Dreaming rate of active units for N -> infinity",
        [
            f"{date.today()}, spherical, tau = 1, T_a = 6; exact covariance at N = 1600 of three sets of patterns",
            "(mean and spread), against `theory.limit_of_active_units`: `pytest -m validation tests/simulate/theory/`.",
            "",
            "| load | rate, limit | rate, N = 1600 | slope, limit | slope, N = 1600 |",
            "|---|---|---|---|---|",
            *rows,
        ],
    )


def test_inferred_spectrum_and_condensed_units():
    limit = theory.limit_of_active_units(0.3, 5.0, 2.0, 0.5)
    dynamics = ActiveOrnsteinUhlenbeck(hebbian(random_patterns(180, 600, seed=0)), 2.0, 5.0, temperature=0.5)
    found = np.sort(np.linalg.eigvalsh(theory.effective_couplings(dynamics)))
    at = np.searchsorted(np.cumsum(limit.shares), [0.3, 0.8, 0.9, 0.97])
    np.testing.assert_allclose(limit.inferred_eigenvalues[at], found[[180, 480, 540, 582]], atol=0.05)
    # below the transition the fit condenses as the units do: the rate follows from the other modes
    cold = [theory.limit_of_active_units(0.3, ratio * 3.267164) for ratio in (0.7, 0.99, 1.01)]
    assert cold[0].condensed == pytest.approx(0.3, abs=1e-3)
    assert cold[0].rate == pytest.approx(cold[1].rate, rel=1e-9)  # at T = 0 the active temperature is a scale only
    assert cold[2].rate == pytest.approx(cold[1].rate, rel=5e-3)
    finite = ActiveOrnsteinUhlenbeck(hebbian(random_patterns(150, 500, seed=1)), 1.0, 0.7 * 3.267164)
    # corrections shrink as N^(-2/3) there: 0.535 at N = 400, 0.547 at N = 1600, 0.544 in the limit
    assert theory.fitted_rate_and_slope(finite)[0] == pytest.approx(cold[0].rate, rel=4e-2)
    with pytest.raises(ValueError, match="couplings: not known where the leading mode alone"):
        theory.limit_of_active_units(0.3, 1.0, method="couplings")


@pytest.mark.parametrize("method", ["pseudolikelihood", "likelihood", "couplings"])
def test_nearest_member_is_the_minimum_of_what_it_says(method):
    x, shares = theory.hebbian_spectrum(0.4, 60)
    gaps = 1.2 * x.max() - x
    variances = 0.3 / gaps + 2 / (gaps * (1 + 2 * gaps))
    effective = -1 / variances

    def cost(parameters):
        slope, rate, kappa = parameters
        if rate <= -1 / x.max():
            return np.inf
        member = slope * x / (1 + rate * x)
        if method == "likelihood":
            precision = kappa - member
            return np.inf if precision.min() <= 0 else shares @ (variances * precision - np.log(precision))
        difference = member - shares @ member - effective + shares @ effective
        return shares @ ((variances if method == "pseudolikelihood" else 1) * difference**2) + (kappa - 2) ** 2

    start = [0.5, 0.2, 2.0]
    for _ in range(3):
        start = minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15, "maxiter": 4000}).x
    rate, slope = nearest_member(x, shares, variances, method)
    assert (rate, slope) == pytest.approx((start[1], start[0]), rel=1e-5)


@pytest.mark.parametrize("method", ["pseudolikelihood", "likelihood", "couplings"])
def test_every_method_finds_a_member_of_the_family(method):
    x, shares = theory.hebbian_spectrum(0.4, 60)
    precision = 3.0 - 0.8 * x / (1 + 0.7 * x)
    assert nearest_member(x, shares, 1 / precision, method) == pytest.approx((0.7, 0.8), rel=1e-7)


@pytest.mark.slow
def test_spins_in_the_limit_are_those_of_large_systems():
    patterns = PatternCouplings(random_patterns(80, 400, seed=0))
    limit = theory.limit_of_persistent_spins(0.2, 2.0, 0.9)
    found = theory.fitted_rate_and_slope(PersistentGlauber(patterns, 2.0, 0.9))
    assert (limit.rate, limit.slope) == pytest.approx(found, rel=1e-2)
    limit = theory.limit_of_coloured_spins(0.2, 1.6, 2.0, 2.0)
    found = theory.fitted_rate_and_slope(ColoredFieldGlauber(patterns, 1.6, 2.0, 2.0))
    assert (limit.rate, limit.slope) == pytest.approx(found, rel=2e-2)
    still = theory.limit_of_persistent_spins(0.2, 1.6, 0.0)
    assert (still.rate, still.slope) == (0, 1 / 1.6)
    assert still.shares @ still.variances == pytest.approx(1, rel=1e-9)  # the stiffness in closed form
    with pytest.raises(ValueError, match=r"1 \+ sqrt\(load\) = 1.447"):
        theory.limit_of_persistent_spins(0.2, 1.4, 0.0)
    with pytest.raises(ValueError, match="neglects"):
        theory.limit_of_persistent_spins(0.2, 1.6, 0.9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.transition_active_temperature(0.0), "load must be > 0"),
        (lambda: theory.transition_active_temperature(0.1, -1.0), "persistence_time must be >= 0"),
        (lambda: theory.limit_of_active_units(0.1, 0.0), "both 0"),
        (lambda: theory.limit_of_active_units(0.1, 3.0, method="best"), "method must be one of"),
        (lambda: theory.limit_of_persistent_spins(0.1, 3.0, 1.0), "persistence must be"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
