import numpy as np
import pytest
from numba import njit

from simulate.theory.one_spin import (
    STEP,
    answered,
    back,
    fresh_visits,
    one_fresh_spin,
    one_spin,
    signs_at_a_crossing,
    since_visit,
    transform,
    two_visits,
)


def test_two_visits_against_drawn_fields_and_thresholds():
    times = np.arange(60) * STEP
    field = 0.3 * np.exp(-times)
    kept, fresh, crossings, gain = two_visits(field)
    rng = np.random.default_rng(0)
    z = rng.logistic(scale=0.5, size=2_000_000)
    first = rng.normal(size=z.size) * np.sqrt(0.3)
    for at in (1, 10, 50):
        correlation = np.exp(-times[at])
        second = correlation * first + np.sqrt(0.3 * (1 - correlation**2)) * rng.normal(size=z.size)
        # errors of means of two million: at most 7e-4
        assert kept[at] == pytest.approx((np.sign(first + z) * np.sign(second + z)).mean(), abs=3e-3)
        assert fresh[at] == pytest.approx((np.tanh(first) * np.tanh(second)).mean(), abs=1e-3)
        # both within 0.1 of a crossing: 4 x 10^4 to 10^5 of them
        near = (abs(first + z) < 0.1) & (abs(second + z) < 0.1)
        if at >= 10:
            assert crossings[at] == pytest.approx(4 * near.mean() / 0.2**2, rel=0.04)
    assert gain == pytest.approx((1 / np.cosh(first) ** 2).mean(), abs=1e-3)


def test_averages_over_visits_in_closed_form():
    times = np.arange(4000) * STEP
    slow = np.exp(-0.3 * times)
    np.testing.assert_allclose(answered(slow), (slow - np.exp(-times)) / 0.7, atol=2e-4)
    np.testing.assert_allclose(since_visit(slow), slow / 1.3, atol=2e-4)


def visits_of_a_spin(rng, past, future, persistence):
    """Times of visits, rising, and the number of the threshold that each leaves."""
    times = np.sort(rng.uniform(-past, future, rng.poisson(past + future)))
    return times, np.cumsum(rng.random(len(times)) >= persistence)


@pytest.mark.slow
def test_signs_at_a_crossing_against_drawn_visits():
    persistence, decay, strength = 0.8, 0.7, 0.05
    times = np.arange(4096) * STEP
    field, reaction = 0.1 * np.exp(-0.4 * times), strength * np.exp(-decay * times)
    found = answered(signs_at_a_crossing(times, reaction, field, persistence))
    rng = np.random.default_rng(1)

    def product(p, q, u):
        def correlation(lag):
            return 0.1 * np.exp(-0.4 * abs(lag))

        own = np.sqrt((0.1 - correlation(p - u)) * (0.1 - correlation(q - u)))
        joint = correlation(p - q) - correlation(p - u) - correlation(q - u) + 0.1
        return 2 / np.pi * np.arcsin(joint / (2 * own))

    for t in (1.0, 4.0):
        total = []
        for _ in range(40_000):
            visits, thresholds = visits_of_a_spin(rng, 60.0, t, persistence)
            age = rng.exponential(1 / decay)  # of density reaction * decay / strength
            last, origin = np.searchsorted(visits, t) - 1, np.searchsorted(visits, 0.0) - 1
            found_here = 0.0
            if last > origin:
                # turned at the last visit before t: the spin at 0 and at the time the reaction comes from
                source = np.searchsorted(visits, visits[last] - age) - 1
                if source != origin and thresholds[source] == thresholds[origin] == thresholds[last]:
                    found_here += product(visits[origin], visits[source], visits[last]) - 1
                # turned at the last visit before 0: the spin at t, and at the time the reaction comes from
                source = np.searchsorted(visits, visits[origin] - age) - 1
                if thresholds[source] == thresholds[origin] == thresholds[last]:
                    found_here += product(visits[last], visits[source], visits[origin])
            total.append(found_here * strength / decay)
        error = np.std(total) / np.sqrt(len(total))
        assert np.interp(t, times, found) == pytest.approx(np.mean(total), abs=4 * error + 1e-4)
        assert abs(np.mean(total)) > 8 * error


@pytest.mark.slow
@pytest.mark.parametrize(("persistence", "drive"), [(0.0, 0.0), (0.8, 0.0), (0.0, 1.5)])
def test_one_spin_against_its_simulation(persistence, drive):
    times = np.arange(4096) * STEP
    strength, decay, variance, forgetting = 0.03, 0.7, 0.04, 0.4
    reaction, field = strength * np.exp(-decay * times), variance * np.exp(-forgetting * times)
    if drive:
        response, noise = one_fresh_spin(times, reaction, field, drive * np.exp(-forgetting * times))
    else:
        response, noise = one_spin(times, reaction, field, persistence)
    answer, spectrum = transform(response, even=False), transform(noise, even=True)
    spectrum = spectrum + abs(answer) ** 2 * transform(field, even=True)
    predicted = back(spectrum / abs(1 - transform(reaction, even=False) * answer) ** 2)
    rng = np.random.default_rng(2)
    # the field of the others and that of the drive are alike here, and add up
    spins = simulate_one_spin(rng, 16_000_000, persistence, strength, decay, variance + drive, forgetting)
    spins = spins.astype(np.float32)
    # 1 at time 0, but for the order strength sqrt(variance) = 0.006, which is left out
    assert predicted[0] == pytest.approx(1.0, abs=2.5 * strength * np.sqrt(variance))
    for lag in (1, 2, 4):
        measured = (spins[lag:] * spins[:-lag]).mean(dtype=np.float64)
        # error of the mean 6e-4. Left out, any term for persistent spins, but the 1 in S - 1, makes 0.0024 or more,
        # and those of the noise in a coloured field 0.0015 or more
        error = 1.2e-3 if drive else 2e-3
        assert np.interp(lag, times, predicted) / predicted[0] == pytest.approx(measured, abs=error)


def test_without_drive_fresh_spins_are_spins_without_persistence():
    times = np.arange(2048) * STEP
    reaction, field = 0.01 * np.exp(-0.7 * times), 0.01 * np.exp(-0.4 * times)
    persistent = one_spin(times, reaction, field, 0.0)
    fresh = one_fresh_spin(times, reaction, field, np.zeros_like(times))
    for k in range(2):  # the one keeps the first order in both, the other some of the second
        np.testing.assert_allclose(fresh[k], persistent[k], atol=5e-4)


@pytest.mark.parametrize("variance", [2.0, 64.0])
def test_fresh_visits_against_drawn_fields(variance):
    times = np.arange(60) * STEP
    fresh, slopes, bends, gain, curvature = fresh_visits(variance * np.exp(-times))
    rng = np.random.default_rng(0)
    first = rng.normal(size=2_000_000) * np.sqrt(variance)
    steep = 1 / np.cosh(first) ** 2
    for at in (0, 10, 50):
        correlation = np.exp(-times[at])
        second = correlation * first + np.sqrt(variance * (1 - correlation**2)) * rng.normal(size=first.size)
        # errors of means of two million: at most 7e-4
        assert fresh[at] == pytest.approx((np.tanh(first) * np.tanh(second)).mean(), abs=2e-3)
        assert slopes[at] == pytest.approx((steep / np.cosh(second) ** 2).mean(), abs=2e-3)
        assert bends[at] == pytest.approx((-2 * np.tanh(first) * steep * np.tanh(second)).mean(), abs=2e-3)
    assert gain == pytest.approx(steep.mean(), abs=1e-3)
    assert curvature == pytest.approx((4 * np.tanh(first) ** 2 * steep - 2 * steep**2).mean(), abs=3e-3)


@njit
def simulate_one_spin(rng, n_units, persistence, strength, decay, variance, forgetting):
    """A spin in a Gaussian field, with its own reaction on it, visit after visit; its states at whole times."""
    states = np.empty(n_units, dtype=np.int8)
    spin, reaction, field = 1.0, 0.0, np.sqrt(variance) * rng.standard_normal()
    threshold, now, visit = 0.5 * rng.logistic(), 0.0, 0.0
    for unit in range(n_units):
        while True:
            end = min(visit, unit + 1.0)
            elapsed = end - now
            kept = np.exp(-decay * elapsed)
            reaction = kept * reaction + strength * spin * (1 - kept) / decay
            kept = np.exp(-forgetting * elapsed)
            field = kept * field + np.sqrt(variance * (1 - kept**2)) * rng.standard_normal()
            now = end
            if visit >= unit + 1.0:
                break
            if rng.random() >= persistence:
                threshold = 0.5 * rng.logistic()
            spin = 1.0 if field + reaction + threshold >= 0 else -1.0
            visit = now + rng.exponential()
        states[unit] = np.int8(spin)
    return states
