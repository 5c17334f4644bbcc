from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from simulate.contrastive import (
    ContrastiveRule,
    ReceptorLadder,
    Sawtooth,
    accuracy_law,
    critical_driving,
    hard_threshold,
)


def plain_generator(gamma, rate, signal):
    """Entry by entry from the definition; states (active, m) by name."""
    states = [(active, m) for active in (1, 0) for m in range(5)]
    matrix = np.zeros((10, 10))
    for j, (active, m) in enumerate(states):
        energy = 2 * (1 - m) + np.log((1 + signal / 18.2) / (1 + signal / 3000))
        moves = {(1 - active, m): rate * max(1, np.exp(energy if active else -energy))}
        if m < 4:
            moves[(active, m + 1)] = np.e * gamma if active else 1.0
        if m > 0:
            moves[(active, m - 1)] = 1.0 if active else np.e * gamma
        for target, speed in moves.items():
            matrix[states.index(target), j] += speed
            matrix[j, j] -= speed
    return matrix


@pytest.mark.parametrize(("gamma", "signal"), [(1.0, 0.0), (0.1, 200.0), (0.01, 5000.0)])
def test_rates_and_steady_state_are_those_of_the_definition(gamma, signal):
    ladder = ReceptorLadder(gamma)
    plain = plain_generator(gamma, 25.0, signal)
    np.testing.assert_allclose(ladder.generator(signal), plain, rtol=1e-12, atol=1e-11)
    values, vectors = np.linalg.eig(plain)
    null = vectors[:, np.abs(values).argmin()].real
    np.testing.assert_allclose(ladder.steady_state(signal), null / null.sum(), rtol=1e-9)


def test_detailed_balance_holds_exactly_without_driving():
    ladder = ReceptorLadder(1.0)
    for signal in (0.0, 200.0):
        rates, state = ladder.rates(signal), ladder.steady_state(signal)
        flows = rates * state
        np.testing.assert_allclose(flows, flows.T, atol=1e-14)
        assert abs(ladder.dissipation(signal)) < 1e-12
        # Boltzmann weights, level by level and active against inactive
        energy = 2.0 * (1 - np.arange(5)) + np.log1p(signal / 18.2) - np.log1p(signal / 3000)
        np.testing.assert_allclose(state[5:] / state[:5], np.exp(energy), rtol=1e-12)
    assert ladder.affinity == 0


@pytest.mark.parametrize("gamma", [1.0, 0.3, 0.01])
def test_affinity_of_every_loop_is_minus_two_log_gamma(gamma):
    for signal in (0.0, 200.0):
        rates = ReceptorLadder(gamma).rates(signal)
        for m in range(4):
            around = [m, m + 5, m + 6, m + 1, m]
            forward = np.prod([rates[b, a] for a, b in pairwise(around)])
            backward = np.prod([rates[a, b] for a, b in pairwise(around)])
            assert np.log(forward / backward) == pytest.approx(-2 * np.log(gamma), abs=1e-12)
    assert ReceptorLadder(gamma).affinity == pytest.approx(-2 * np.log(gamma))


@pytest.mark.parametrize(
    ("gamma", "dissipation", "before", "after"),
    [
        (1.0, 0.0, 0.8807971, 0.3966479),
        (0.3, 0.52371526, 0.6624229, 0.4668543),
        (0.1, 1.76172964, 0.5585118, 0.4906547),
        (0.01, 4.36182049, 0.5195160, 0.4986698),
    ],
)
def test_dissipation_and_activity_are_the_published_numbers(gamma, dissipation, before, after):
    ladder = ReceptorLadder(gamma)
    assert ladder.dissipation() == pytest.approx(dissipation, rel=1e-7, abs=1e-12)
    assert ladder.affinity * ladder.loop_currents().sum() == pytest.approx(dissipation, rel=1e-7, abs=1e-12)
    assert ladder.activity() == pytest.approx(before, abs=6e-8)
    assert ladder.activity(200.0) == pytest.approx(after, abs=6e-8)
    assert ladder.adaptation_error(200.0) == pytest.approx(before - after, abs=1.2e-7)


def test_step_response_solves_the_master_equation():
    ladder = ReceptorLadder(0.1)
    generator = plain_generator(0.1, 25.0, 200.0)
    times = np.array([0.0, 1e-3, 0.01, 0.1, 1.0, 10.0])
    solution = solve_ivp(
        lambda _, p: generator @ p, (0, 10), ladder.steady_state(), t_eval=times, method="LSODA", rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(ladder.step_response(times, 200.0), solution.y[:5].sum(axis=0), atol=1e-8)
    assert ladder.step_response(200.0, 200.0) == pytest.approx(ladder.activity(200.0), abs=1e-10)


@pytest.mark.parametrize(("gamma", "area"), [(0.1, 0.666655), (0.01, 0.184416)])
def test_kernel_is_the_normalised_response_and_has_the_published_area(gamma, area):
    ladder = ReceptorLadder(gamma)
    kernel = ladder.kernel(200.0)
    assert kernel.first_moment == pytest.approx(-1, abs=1e-9)
    scale = -ladder.first_moment(200.0)
    times = np.array([0.0, 1e-4, 0.01, 0.5, 2.0])
    fallen = ladder.activity() - ladder.step_response(times, 200.0)
    np.testing.assert_allclose(kernel.step_response(times), fallen / scale, atol=1e-10)
    # first moment from the step response itself: int t (-a') dt = int (a - a_inf) dt
    t = np.concatenate([[0.0], np.geomspace(1e-6, 60, 4000)])
    above = ladder.step_response(t, 200.0) - ladder.activity(200.0)
    assert np.trapezoid(above, t) == pytest.approx(-scale, rel=1e-4)
    # the published areas count time in units in which five methylations take place: area is per unit of time
    assert ladder.kernel(200.0, methylation_rate=5.0).area == pytest.approx(area, rel=1e-5)
    assert kernel.area == pytest.approx(area / 5, rel=1e-5)
    assert kernel.area == pytest.approx(ladder.adaptation_error(200.0) / scale, rel=1e-9)


def test_a_ladder_driven_too_weakly_is_no_contrastive_memory():
    edge = critical_driving(200.0)
    assert edge == pytest.approx(0.3670, abs=1e-4)
    assert ReceptorLadder(edge * 0.99).kernel(200.0).first_moment == pytest.approx(-1, abs=1e-6)
    for gamma in (edge * 1.01, 1.0):
        with pytest.raises(ValueError, match=r"no contrastive memory: .* gamma < 0.3670"):
            ReceptorLadder(gamma).kernel(200.0)


def test_cost_of_accuracy_follows_the_law_at_strong_driving():
    law = accuracy_law(200.0)
    assert law.residual_error == pytest.approx(0.01659, abs=5e-6)
    assert law.slope == pytest.approx(0.414, abs=5e-4)
    assert 2 * law.current == pytest.approx(0.968, abs=5e-4)
    assert law.cost_of_halving == pytest.approx(0.67, abs=5e-3)
    misses = []
    for gamma in (1e-2, 1e-3, 1e-4):
        ladder = ReceptorLadder(gamma)
        error = ladder.adaptation_error(200.0)
        assert error == pytest.approx(law.residual_error + law.slope * gamma, abs=3 * gamma**2)
        misses.append(abs(float(law.dissipation(error)) / ladder.dissipation() - 1))
    assert misses[0] < 0.05
    assert misses[2] < 1e-3
    assert misses[0] > misses[1] > misses[2]
    with pytest.raises(ValueError, match="no driving goes below"):
        law.dissipation(0.016)


def test_a_driven_ladder_learns_the_contrast_better_the_harder_it_is_driven():
    offsets = []
    for gamma in (0.1, 0.01):
        rule = ContrastiveRule(ReceptorLadder(gamma).kernel(200.0, 20.0), Sawtooth(1, 9), hard_threshold(100 / 9))
        offsets.append(abs(float(rule.update(15, 35) - rule.update(-35, -15))))
    assert offsets[1] < offsets[0] / 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ReceptorLadder(0.0), "gamma must be > 0"),
        (lambda: ReceptorLadder(1.5), "<= 1, got 1.5"),
        (lambda: ReceptorLadder(0.5, -1), "switching_rate must be > 0"),
        (lambda: ReceptorLadder(0.5).activity(-1), "signal must be >= 0"),
        (lambda: ReceptorLadder(0.1).kernel(0.0), "signal must be > 0"),
        (lambda: ReceptorLadder(0.1).step_response([-1.0], 2.0), "time must not be negative"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
