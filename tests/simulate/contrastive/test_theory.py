import numpy as np
import pytest

from simulate.contrastive import (
    ContrastiveRule,
    Sawtooth,
    chemotaxis_kernel,
    cubic,
    gamma_kernel,
    hard_threshold,
    linear,
    signed_square,
    theory,
    weight_update,
)

PROTOCOL = Sawtooth(1, 9)
THETA = 100 / 9


def test_closed_form_reproduces_the_derived_numbers():
    amplitudes = [10, 15, 20, 40, 80, -40]
    updates = theory.fast_memory_update(amplitudes, PROTOCOL, THETA)
    np.testing.assert_allclose(updates, [0, 12.8361, 18.1242, 37.9684, 76.9331, -37.9684], atol=6e-5)
    for rise, expected in ((0.5, 0.8984), (1, 0.9492), (2, 0.9746), (5, 0.9898)):
        update = theory.fast_memory_update(40, Sawtooth(rise, 9 * rise), 100 / (9 * rise))
        assert update / 40 == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(("rate", "order"), [(20.0, 3), (30.0, 2), (60.0, 6)])
def test_exact_convolution_agrees_with_the_closed_form(rate, order):
    amplitudes = np.array([5.0, 11.5, 12.0, 15.0, 20.0, 40.0, 80.0, 95.0])
    expected = theory.fast_memory_update(amplitudes, PROTOCOL, THETA, rate=rate, order=order)
    updates = weight_update(gamma_kernel(rate, order), PROTOCOL, hard_threshold(THETA), 0, amplitudes)
    np.testing.assert_allclose(updates, expected, rtol=2e-5, atol=1e-9)


@pytest.mark.parametrize(
    "nonlinearity",
    [hard_threshold(THETA), signed_square(), cubic(2.0), linear()],
    ids=["hard", "square", "cubic", "linear"],
)
def test_a_short_memory_comes_to_the_ideal_limit_as_its_time_goes_to_zero(nonlinearity):
    amplitudes = np.array([-50.0, 20.0, 80.0])
    ideal = theory.ideal_update(amplitudes, PROTOCOL, nonlinearity)
    errors = [
        np.abs(weight_update(chemotaxis_kernel(rate), PROTOCOL, nonlinearity, 0, amplitudes) - ideal).max()
        for rate in (200.0, 400.0, 800.0)
    ]
    if nonlinearity == linear():
        np.testing.assert_allclose(ideal, 0, atol=1e-12)
        assert max(errors) < 1e-10
    else:
        np.testing.assert_allclose(np.array(errors[:-1]) / errors[1:], 2, rtol=0.02)


def test_ideal_limit_in_closed_form():
    np.testing.assert_allclose(theory.ideal_update([10, 20, 99, 101], PROTOCOL, hard_threshold(THETA)), [0, 20, 99, 0])
    np.testing.assert_allclose(theory.ideal_update(10, PROTOCOL, cubic(1)), 1000 * (1 - 1 / 81))


def test_learning_window_is_where_updates_begin_and_the_fall_passes_the_threshold():
    for area, mean in ((0.0, 0.0), (0.05, 25.0), (0.05, -25.0)):
        rule = ContrastiveRule(chemotaxis_kernel(20, area), PROTOCOL, hard_threshold(THETA))
        onset, end = theory.learning_window(rule, mean)

        def update(amplitude, rule=rule, mean=mean):
            return float(rule.update(mean - amplitude / 2, mean + amplitude / 2))

        assert update(onset * (1 - 1e-9)) == 0
        assert update(onset * (1 + 1e-6)) > 0
        # beyond the end the fall counts too, all of it at once without area, against what the rise has brought
        assert update(end * 0.999) > 0.8 * end
        assert update(end * 1.02) < update(end * 0.999) - (0.03 if area else 0.8) * end
    assert theory.learning_window(ContrastiveRule(chemotaxis_kernel(20), PROTOCOL, hard_threshold(THETA))) == (
        pytest.approx(THETA, rel=1e-5),
        pytest.approx(9 * THETA, rel=1e-5),
    )


@pytest.mark.parametrize("fall", [4.0, 9.0, 30.0])
def test_learning_range_is_the_asymmetry_of_the_protocol(fall):
    rule = ContrastiveRule(chemotaxis_kernel(100), Sawtooth(1, fall), hard_threshold(1.0))
    curve = theory.learning_curve(rule)
    assert curve.learning_range == pytest.approx(fall, rel=1e-3)
    assert curve.slope == pytest.approx(1, abs=0.05)
    assert abs(curve.offset) < 0.05
    assert len(curve.amplitudes) == len(curve.updates) == 101


def test_area_adds_the_mean_signal_in_proportion_to_the_rise_time():
    # dw = (1 + I tau_f / 2) clamped - (1 - I tau_f / 2) free: slope 1, offset I tau_f mean
    area, mean = 0.02, 100.0
    rule = ContrastiveRule(chemotaxis_kernel(2000, area), PROTOCOL, hard_threshold(THETA))
    flat = ContrastiveRule(chemotaxis_kernel(2000), PROTOCOL, hard_threshold(THETA))
    shift = theory.learning_curve(rule, mean).offset - theory.learning_curve(flat, mean).offset
    assert shift == pytest.approx(area * mean, rel=0.02)
    rng = np.random.default_rng(0)
    free = rng.uniform(50, 100, 400)
    clamped = free + rng.choice([-1, 1], 400) * rng.uniform(20, 70, 400)
    fit = theory.contrast_fit(free, clamped, rule.update(free, clamped))
    assert fit["clamped"] == pytest.approx(1 + area / 2, abs=0.003)
    assert fit["free"] == pytest.approx(1 - area / 2, abs=0.003)
    assert fit["ratio"] == pytest.approx((1 - area / 2) / (1 + area / 2), abs=0.003)
    assert fit["unexplained"] < 1e-3


def test_contrast_fit_finds_what_was_put_in():
    free, clamped = np.random.default_rng(0).normal(size=(2, 50, 3))
    fit = theory.contrast_fit(free, clamped, 2 * clamped - 0.5 * free)
    assert fit["ratio"] == pytest.approx(0.25)
    assert fit["unexplained"] < 1e-20
    with pytest.raises(ValueError, match="proportional"):
        theory.contrast_fit(free, 2 * free, free)
    with pytest.raises(ValueError, match="must have one shape"):
        theory.contrast_fit(free, clamped[:3], free)


def test_closed_forms_say_where_they_do_not_hold():
    with pytest.raises(ValueError, match="threshold fall_time = 100 only"):
        theory.fast_memory_update([120.0], PROTOCOL, THETA)
    leaky = ContrastiveRule(chemotaxis_kernel(20, 0.5), PROTOCOL, hard_threshold(1.0))
    with pytest.raises(ValueError, match="without any contrast"):
        theory.learning_window(leaky, 3.0)
    with pytest.raises(ValueError, match="rise must be the faster"):
        theory.learning_curve(ContrastiveRule(chemotaxis_kernel(), Sawtooth(9, 1), hard_threshold(1.0)))
