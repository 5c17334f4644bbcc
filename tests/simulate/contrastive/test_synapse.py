from time import process_time

import numpy as np
import pytest
from scipy.integrate import simpson
from scipy.signal import lfilter

from simulate.contrastive import (
    ContrastiveRule,
    IdealContrast,
    Kernel,
    Sawtooth,
    chemotaxis_kernel,
    cubic,
    feedback_kernel,
    gamma_kernel,
    hard_threshold,
    linear,
    signed_square,
    soft_threshold,
    theory,
    weight_update,
)
from simulate.contrastive.response import gamma_density

NONLINEARITIES = {
    "hard threshold": hard_threshold(8.0),
    "soft threshold": soft_threshold(8.0),
    "signed square": signed_square(),
    "cubic": cubic(3.0),
    "linear": linear(),
}


def chemotaxis_formula(t, rate, area):
    a = rate**3 + 3 * area * rate**2
    c = (rate**2 + 2 * rate * area) / (6 * area + 2 * rate)
    return a * np.exp(-rate * t) * (t - c * t**2)


def test_chemotaxis_kernel_is_its_formula_and_the_published_numbers():
    t = np.linspace(0, 1, 301)
    for area in (0.0, 0.05, 2.0):
        kernel = chemotaxis_kernel(20.0, area)
        np.testing.assert_allclose(kernel(t), chemotaxis_formula(t, 20.0, area), rtol=1e-10, atol=1e-10)
        assert kernel.area == pytest.approx(area, abs=1e-12)
        assert kernel.first_moment == pytest.approx(-1, abs=1e-12)
    kernel = chemotaxis_kernel()
    np.testing.assert_allclose(kernel([0.05, 0.2]), [73.5758882, -29.3050222], rtol=1e-8)
    fine = np.linspace(0, 0.5, 5001)
    values = kernel(fine)
    assert values.max() == pytest.approx(92.2317512, rel=1e-6)
    assert values.min() == pytest.approx(-31.7732442, rel=1e-6)
    assert fine[values.argmax()] == pytest.approx(0.0293, abs=1e-4)
    assert fine[values.argmin()] == pytest.approx(0.1707, abs=1e-4)
    assert kernel(-0.1) == 0


@pytest.mark.parametrize("order", [2, 3, 5])
def test_gamma_kernel_is_the_derivative_of_the_gamma_density(order):
    kernel = gamma_kernel(20.0, order)
    t = np.linspace(0, 1, 101)
    np.testing.assert_allclose(kernel.step_response(t), gamma_density(t, 20.0, order), atol=1e-10)
    assert kernel.area == pytest.approx(0, abs=1e-13)
    assert kernel.first_moment == pytest.approx(-1, abs=1e-12)
    np.testing.assert_allclose(gamma_kernel(20.0, 3)(t), chemotaxis_kernel(20.0)(t), atol=1e-9)


@pytest.mark.parametrize(("fast", "slow", "leak"), [(0.1, 1.0, 0.0), (0.1, 0.4, 0.5), (2.0, 0.3, 0.1)])
def test_feedback_kernel_has_the_area_and_first_moment_of_the_closed_form(fast, slow, leak):
    kernel = feedback_kernel(fast, slow, leak)
    d = leak + 1 / slow
    assert kernel.area == pytest.approx(leak * slow / (1 + leak * slow), abs=1e-12)
    assert kernel.first_moment == pytest.approx(-(d - leak * (1 + leak * fast)) / d**2, rel=1e-10)
    t = np.linspace(0, 60, 60_001)
    assert kernel.area == pytest.approx(simpson(kernel(t), x=t), abs=1e-6)
    assert kernel.first_moment == pytest.approx(simpson(t * kernel(t), x=t), abs=1e-6)
    assert kernel.normalised().first_moment == pytest.approx(-1)


@pytest.mark.parametrize(
    "kernel", [chemotaxis_kernel(5.0, 0.3), feedback_kernel(0.5, 2.0, 0.2)], ids=["chemotaxis", "feedback"]
)
def test_periodic_response_is_the_convolution_with_the_whole_past(kernel):
    protocol = Sawtooth(0.7, 2.3)
    rule = ContrastiveRule(kernel, protocol, linear())
    chosen = np.linspace(0, len(rule.times) - 1, 12).astype(int)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    for time, value in zip(rule.times[chosen], rule.response[chosen], strict=True):
        corners = np.unique(time - np.add.outer(np.arange(-25, 2) * 3.0, [0.0, 0.7]))
        edges = np.concatenate([[0.0], corners[(corners > 0) & (corners < 45)], [45.0]])
        x = (edges[:-1, None] + np.diff(edges)[:, None] * (1 + nodes) / 2).ravel()
        areas = (np.diff(edges)[:, None] * weights / 2).ravel()
        assert value == pytest.approx(areas @ (kernel(x) * protocol.signal(time - x)), abs=2e-6)


def plain_update(rule, free, clamped):
    """Integral of g(u) over a cycle by the trapezoidal rule, 32 parts to a piece: the twin of the tables."""
    x = np.linspace(0, 1, 33)
    phi = rule.response[:-1, None] + x * np.diff(rule.response)[:, None]
    g = rule.nonlinearity(rule.kernel.area * free + (clamped - free) * phi)
    return np.diff(rule.times) @ np.trapezoid(g, x, axis=1)


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_tables_equal_the_plain_integral(name):
    rule = ContrastiveRule(chemotaxis_kernel(20.0, 0.4), Sawtooth(1.0, 5.0), NONLINEARITIES[name])
    rng = np.random.default_rng(0)
    free, clamped = rng.normal(size=(2, 8)) * 30
    expected = [plain_update(rule, *pair) for pair in zip(free, clamped, strict=True)]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(rule.update(free, clamped), expected, rtol=2e-4, atol=2e-5 * scale)


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_updates_are_odd_and_keep_to_the_limits_of_tiny_and_large_signals(name):
    rule = ContrastiveRule(chemotaxis_kernel(20.0, 0.4), Sawtooth(1.0, 5.0), NONLINEARITIES[name])
    free, clamped = np.random.default_rng(1).normal(size=(2, 1000)) * 30
    np.testing.assert_array_equal(rule.update(-free, -clamped), -rule.update(free, clamped))
    # a signal that does not change: u = area s all the time
    still = np.array([-100.0, -3.0, 0.0, 1.0, 70.0])
    expected = 6.0 * rule.nonlinearity(0.4 * still)
    np.testing.assert_allclose(rule.update(still, still), expected, rtol=1e-12)
    np.testing.assert_allclose(rule.update(still, still + 1e-9), expected, rtol=1e-7, atol=1e-6)
    assert rule.update(0.0, 0.0) == 0


HARD = hard_threshold(100 / 9)


def test_updates_reproduce_the_published_numbers():
    rule = ContrastiveRule(chemotaxis_kernel(), Sawtooth(1, 9), HARD)
    amplitudes = np.array([10, 15, 20, 40, 80, -40.0])
    updates = rule.update(-amplitudes / 2, amplitudes / 2)
    np.testing.assert_allclose(updates, [0, 12.8349, 18.1223, 37.9639, 76.9241, -37.9639], rtol=1e-3)
    np.testing.assert_allclose(updates, [0, 12.8361, 18.1242, 37.9684, 76.9331, -37.9684], rtol=1e-5)
    assert updates[0] == 0
    wide = weight_update(chemotaxis_kernel(), Sawtooth(1, 19), hard_threshold(4), 0, [10, 20, 40])
    np.testing.assert_allclose(wide, [9.4293, 19.3700, 39.0838], rtol=1e-3)
    smooth = weight_update(chemotaxis_kernel(), Sawtooth(1, 9), cubic(1), 0, [10, 20])
    np.testing.assert_allclose(smooth, [833.32, 6666.57], rtol=1e-3)
    leaky = ContrastiveRule(chemotaxis_kernel(20, 0.05), Sawtooth(1, 9), HARD)
    amplitudes = np.array([20, 40])
    for mean, expected in ((0, [18.2542, 38.2559]), (25, [19.7295, 39.7369])):
        np.testing.assert_allclose(leaky.update(mean - amplitudes / 2, mean + amplitudes / 2), expected, rtol=1e-3)
    for rise, expected in ((0.5, 0.8984), (1, 0.9492), (2, 0.9746), (5, 0.9898)):
        update = weight_update(chemotaxis_kernel(), Sawtooth(rise, 9 * rise), hard_threshold(100 / (9 * rise)), -20, 20)
        assert update / 40 == pytest.approx(expected, rel=1e-3)


def test_convolution_by_brute_force_agrees():
    # first-order filters in a row, driven by many periods of a finely sampled sawtooth: nothing shared with the code
    step, rate = 2e-4, 20.0
    protocol = Sawtooth(1, 9)
    signal = 40 * protocol.signal(np.arange(round(20 / step)) * step) - 20
    stages = [signal - signal[0]]
    half = rate * step / 2
    for _ in range(3):
        stages.append(lfilter([half, half], [1 + half, half - 1], stages[-1]))
    u = rate * (stages[2] - stages[3])[-round(10 / step) :]
    brute = np.where(np.abs(u) >= 100 / 9, u, 0).sum() * step
    assert weight_update(chemotaxis_kernel(rate), protocol, HARD, -20, 20) == pytest.approx(brute, rel=2e-4)


def test_a_linear_synapse_learns_nothing_and_neither_does_a_threshold_of_zero():
    free, clamped = np.random.default_rng(0).normal(size=(2, 1000)) * 100
    for nonlinearity in (linear(), hard_threshold(0.0), soft_threshold(0.0)):
        for kernel in (chemotaxis_kernel(), gamma_kernel(3.0, 4), feedback_kernel(0.3, 1.0)):
            assert np.abs(weight_update(kernel, Sawtooth(1, 9), nonlinearity, free, clamped)).max() < 1e-10


def test_a_protocol_that_is_even_in_time_learns_nothing_and_the_reversed_one_unlearns():
    amplitude = np.array([15.0, 20.0, 40.0])
    for kernel in (chemotaxis_kernel(), gamma_kernel(60.0, 5)):
        even = weight_update(kernel, Sawtooth(2, 2), hard_threshold(5), -amplitude, amplitude)
        assert np.abs(even).max() < 1e-10
        forward = weight_update(kernel, Sawtooth(1, 9), HARD, -amplitude / 2, amplitude / 2)
        backward = weight_update(kernel, Sawtooth(9, 1), HARD, -amplitude / 2, amplitude / 2)
        np.testing.assert_allclose(backward, -forward, rtol=1e-4, atol=1e-10)
        assert (forward > 0).all()


def test_error_of_a_short_memory_falls_as_one_over_the_rise_time():
    loss = []
    for rise in (10.0, 20.0, 40.0):
        rule = ContrastiveRule(chemotaxis_kernel(), Sawtooth(rise, 9 * rise), hard_threshold(100 / (9 * rise)))
        loss.append(1 - rule.update(-20, 20) / 40)
    np.testing.assert_allclose(np.array(loss[:-1]) / loss[1:], 2, rtol=1e-2)


def test_products_of_states_are_updated_like_any_signal():
    rule = ContrastiveRule(chemotaxis_kernel(20, 0.1), Sawtooth(1, 19), hard_threshold(0.2))
    rng = np.random.default_rng(0)
    free_before, clamped_before = rng.random((2, 5, 7)) * (rng.random((5, 7)) < 0.7)
    free_after, clamped_after = rng.random((2, 5, 4))
    for one in (rule, IdealContrast()):
        total = one.outer_update(free_before, free_after, clamped_before, clamped_after)
        expected = one.update(
            free_before[:, :, None] * free_after[:, None, :], clamped_before[:, :, None] * clamped_after[:, None, :]
        ).sum(axis=0)
        np.testing.assert_allclose(total, expected, atol=1e-12)
        assert np.abs(total).max() > 0.1


def test_a_million_synapses_take_less_than_two_seconds_of_the_processor():
    rule = ContrastiveRule(chemotaxis_kernel(20, 0.05), Sawtooth(1, 9), HARD)
    free, clamped = np.random.default_rng(0).normal(size=(2, 10**6)) * 20
    rule.update(free[:10], clamped[:10])
    best = np.inf
    for _ in range(3):
        start = process_time()
        rule.update(free, clamped)
        best = min(best, process_time() - start)
    assert best < 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Sawtooth(0, 1), "rise_time must be > 0"),
        (lambda: Sawtooth(1, -1), "fall_time must be > 0"),
        (lambda: chemotaxis_kernel(-1), "rate must be > 0"),
        (lambda: chemotaxis_kernel(3, -1), "area must be > -1"),
        (lambda: gamma_kernel(20, 1), "order must be at least 2"),
        (lambda: feedback_kernel(1, 0), "memory_time must be > 0"),
        (lambda: hard_threshold(-1), "threshold must be >= 0"),
        (lambda: cubic(0), "scale must be > 0"),
        (lambda: Kernel(np.eye(2), np.ones(2), np.ones(2)), "real part 1, not below 0"),
        (lambda: Kernel(-np.eye(2), np.ones(3), np.ones(2)), r"source must have shape \(2,\)"),
        (lambda: Kernel(-np.eye(1), np.ones(1), np.ones(1)).normalised(), "no contrastive memory"),
        (lambda: ContrastiveRule(1, Sawtooth(), linear()), "kernel must be a Kernel, got int"),
        (
            lambda: weight_update(gamma_kernel(), Sawtooth(), linear(), [0, 1, np.nan], 1),
            r"free\[2\] is not finite",
        ),
        (lambda: IdealContrast().update(np.ones(2), np.ones(3)), "do not fit together"),
        (
            lambda: theory.learning_window(ContrastiveRule(gamma_kernel(), Sawtooth(), linear())),
            "no threshold, so there is no learning window",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
