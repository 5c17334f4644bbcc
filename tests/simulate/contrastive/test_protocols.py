import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import gamma

from simulate.contrastive import ReceptorLadder, protocols


def exact_range(rise, asymmetry):
    """End over onset from u(t) = -1/tau_s + (1/tau_f + 1/tau_s) sum_k [F_3(t + k P) - F_3(t + k P - tau_f)], B = 1."""
    fall = asymmetry * rise
    period = rise + fall
    past = period * np.arange(int(80 / period) + 2)[:, None]
    times = np.linspace(0, period, 20_001)
    steps = gamma.cdf(times + past, 3) - gamma.cdf(times + past - rise, 3)
    u = -1 / fall + (1 / rise + 1 / fall) * steps.sum(axis=0)
    return u.max() / -u.min()


@pytest.mark.parametrize(("rise", "expected"), [(1.0, 1.95), (2.0, 4.50)])
def test_range_where_the_rise_is_not_slow(rise, expected):
    table = protocols.range_of_protocols([10.0], [rise])
    found = float(table["learning_range"].squeeze())
    assert found == pytest.approx(expected, abs=0.005)
    assert found == pytest.approx(exact_range(rise, 10.0), rel=1e-4)


def test_range_comes_to_the_diagonal_as_the_rise_gets_slow():
    asymmetries, rises = [3.0, 20.0, 300.0], [1.0, 5.0, 20.0, 100.0]
    table = protocols.range_of_protocols(asymmetries, rises)
    expected = np.array([[exact_range(rise, asymmetry) for asymmetry in asymmetries] for rise in rises])
    expected[expected <= 1] = np.nan  # the fall passes the threshold before the rise does
    assert np.isnan(expected).sum() == 1
    np.testing.assert_allclose(table["learning_range"], expected, rtol=1e-3)
    np.testing.assert_allclose(table["learning_range"].sel(rise_time=100.0), asymmetries, rtol=1e-3)


def test_offset_is_area_times_rise_times_mean_signal_where_the_rise_is_slow():
    rises = np.array([20.0, 40.0, 80.0])
    table = protocols.offset_of_protocols(rises, [100.0, 1000.0])
    np.testing.assert_allclose(table["slow_rise"], 0.0025 * rises * 25 / 100)
    # what a rise of finite speed misses is at most a tenth of that
    short = table["slow_rise"] - table["offset"].sel(period=1000.0)
    assert ((short > 0) & (short < 0.1 * table["slow_rise"])).all()
    assert np.isnan(table["offset"].sel(period=100.0, rise_time=80.0))  # the rise is the slower part
    # without an area nothing but the loss is left
    flat = protocols.offset_of_protocols(rises, [1000.0], area=0.0)
    assert (flat["offset"] < 0).all()
    np.testing.assert_array_equal(flat["slow_rise"], 0.0)


def test_offset_of_a_ladder_agrees_with_a_plain_convolution():
    gamma_, signal, rate, mean, largest = 0.01, 200.0, 25.0, 10.0, 50.0
    table = protocols.offset_against_dissipation([gamma_], signals=[signal], switching_rates=[rate])
    ladder = ReceptorLadder(gamma_, rate)
    assert float(table["dissipation"].squeeze()) == ladder.dissipation()
    # increments of the step response in each time step, five methylation times a unit of time
    dt = 0.002
    start, step = ladder.steady_state(), expm(5.0 * dt * ladder.generator(signal))
    states = [start]
    for _ in range(3000):
        states.append(step @ states[-1])
    kernel = -np.diff(np.array(states)[:, :5].sum(axis=1))
    kernel /= abs(kernel @ (dt * (np.arange(3000) + 0.5)))
    times = dt * (np.arange(9000) + 0.5)
    wave = np.where(times < 3, times / 3, (18 - times) / 15) - 0.5
    half = np.fft.rfft(np.append(kernel, np.zeros(6000)))
    psi = np.fft.irfft(half * np.fft.rfft(wave), 9000)
    area = kernel.sum()
    theta = -largest * psi.min() - area * mean
    amplitudes = np.linspace((theta - area * mean) / psi.max(), largest, 101)
    u = area * mean + amplitudes[:, None] * psi
    updates = dt * np.where(abs(u) >= theta, u, 0).sum(axis=1)
    expected = np.polyfit(amplitudes, updates, 1)[1] / largest / mean
    assert float(table["offset"].squeeze()) == pytest.approx(expected, rel=0.02)
    assert float(table["area"].squeeze()) == pytest.approx(area, rel=3e-3)


def test_offset_falls_with_dissipation_to_what_adaptation_leaves():
    table = protocols.offset_against_dissipation([0.9, 0.1, 0.01, 1e-3, 1e-5], signals=[200.0], switching_rates=[25.0])
    offset = abs(table["offset"].values.ravel())
    assert np.isnan(offset[0])  # above the critical driving: no contrastive memory
    assert (np.diff(offset[1:]) < 0).all()
    assert offset[-2] / offset[-1] < 1.05
    assert (np.diff(table["dissipation"].values.ravel()) > 0).all()


def test_update_comes_to_the_amplitude_as_the_rise_gets_slow():
    rises = np.array([2.0, 5.0, 20.0, 100.0])
    table = protocols.update_against_rise_time(rises)
    np.testing.assert_allclose(table["relative_update"], table["closed_form"], rtol=1e-4)
    assert (np.diff(table["relative_update"]) > 0).all()
    # beside a far slower fall what is missing is a fixed time, some tau_K, of the rise
    missing = 1 - protocols.update_against_rise_time([20.0, 100.0], period=1e6)["relative_update"].values
    assert missing[0] / missing[1] == pytest.approx(5, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: protocols.range_of_protocols([0.5], [1.0]), "asymmetries must be above 1"),
        (lambda: protocols.range_of_protocols([2.0], [0.0]), "rise_times must be above 0"),
        (lambda: protocols.offset_of_protocols([1.0], [-1.0]), "periods must be above 0"),
        (lambda: protocols.offset_against_dissipation([2.0]), "gamma must be > 0 and <= 1"),
        (lambda: protocols.update_against_rise_time([250.0]), "rise_times must be below half the period"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
