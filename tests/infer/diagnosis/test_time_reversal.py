"""Time reversal and entropy production against enumeration, and against dynamics whose direction is known."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize

from infer.diagnosis.blocks import (
    TimeBlocks,
    block_kernel,
    collective_observables,
    smallest_p_value,
    time_blocks,
)
from infer.diagnosis.drift import drift_test
from infer.diagnosis.entropy_bound import entropy_production_bound
from infer.diagnosis.time_reversal import time_reversal_test
from simulate import KineticIsing, sample
from tests import exact


def seed(value=0):
    return np.random.SeedSequence(value)


def couplings_of(n_spins, scale, symmetric, number):
    J = np.random.default_rng(number).normal(0, scale / np.sqrt(n_spins), (n_spins, n_spins))
    np.fill_diagonal(J, 0)
    return (J + J.T) / np.sqrt(2) if symmetric else J


def record(couplings, draws, chains, number, fields=None):
    dynamics = KineticIsing(couplings=couplings, temperature=1.0, fields=fields)
    drawn = sample(dynamics, draws=draws, chains=chains, burn_in=200, thin=1, seed=number, check=False)
    return drawn["spins"].values.reshape(-1, len(couplings)), np.repeat(np.arange(chains), draws)


def judge(rows, runs, couplings, number=0, fields=None):
    h = np.zeros(len(couplings)) if fields is None else fields
    observables = collective_observables(rows, (couplings + couplings.T) / 2, h)
    blocks = time_blocks(observables, runs, 8)
    return (
        time_reversal_test(rows, observables, blocks, seed=seed(number)),
        drift_test(rows, observables, blocks, seed=seed(number)),
    )


def test_asymmetries_are_those_of_plain_numpy():
    rng = np.random.default_rng(0)
    rows = rng.choice(np.array([-1, 1], dtype=np.int8), size=(240, 4))
    observables = rng.normal(size=(240, 3))
    blocks = time_blocks(observables, None, 8)
    found = time_reversal_test(rows, observables, blocks, lags=(1, 3), seed=seed())
    delta = rows - rows.mean(axis=0)
    forward, n = np.zeros((4, 4)), 0
    for part in blocks.slices:
        forward += delta[part][1:].T @ delta[part][:-1]
        n += part.stop - part.start - 1
    i, j = found.pair_indices.T
    np.testing.assert_allclose(found.forward, forward[i, j] / n, atol=1e-12)
    np.testing.assert_allclose(found.backward, forward[j, i] / n, atol=1e-12)
    # less the means: with them the first and last rows of blocks are noise that all pairs of a spin share, and 72 % of
    # the records of test_power_over_200_records were told from their reversal in place of 97 %
    second = []
    for part in blocks.slices:
        d = delta[part]
        second.append([d[k:, a] @ d[:-k, b] - d[k:, b] @ d[:-k, a] for k in (1, 3) for a, b in found.pair_indices])
    second = np.array(second)
    z2 = second.sum(axis=0) ** 2 / (second**2).sum(axis=0)
    assert found.rms_z["pairs of spins"] == pytest.approx(np.sqrt(z2.mean()), rel=1e-9)
    n_pairs = len(found.pair_indices)
    np.testing.assert_allclose(found.asymmetry_std, np.sqrt((second[:, :n_pairs] ** 2).sum(axis=0)) / n, rtol=1e-9)
    squares = observables**2 - (observables**2).mean(axis=0)
    third = []
    for part in blocks.slices:
        y, y2 = observables[part], squares[part]
        third.append(
            [np.sum(y2[k:, a] * y[:-k, b] - y2[:-k, a] * y[k:, b]) for k in (1, 3) for a in range(3) for b in range(3)]
        )
    third = np.array(third)
    z2 = third.sum(axis=0) ** 2 / (third**2).sum(axis=0)
    assert found.rms_z["energy and modes"] == pytest.approx(np.sqrt(z2.mean()), rel=1e-9)


def test_a_record_and_its_reversal_are_judged_alike():
    J = couplings_of(6, 1.0, False, 1)
    rows, _ = record(J, 400, 1, 2)
    observables = collective_observables(rows, J + J.T, np.zeros(6))
    # of equal length, so that they are blocks of the reversed record as well
    blocks = TimeBlocks(tuple(slice(k, k + 20) for k in range(0, 400, 20)), np.zeros(20, dtype=np.int64), 1.0)
    one = time_reversal_test(rows, observables, blocks, seed=seed())
    two = time_reversal_test(rows[::-1], observables[::-1], blocks, seed=seed())
    for name, value in one.rms_z.items():
        assert two.rms_z[name] == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(two.forward - two.backward, one.backward - one.forward, atol=0.02)


def test_blocks_stay_within_runs_and_hold_eight_autocorrelation_times():
    rng = np.random.default_rng(0)
    values = np.zeros((6000, 1))
    for t in range(1, 6000):
        values[t] = 0.8 * values[t - 1] + rng.normal()
    runs = np.repeat([0, 1, 2], 2000)
    blocks = time_blocks(values, runs, 8)
    assert blocks.correlation_time == pytest.approx(9.0, rel=0.3)  # (1 + 0.8)/(1 - 0.8)
    assert blocks.independent
    assert all(runs[part.start] == runs[part.stop - 1] for part in blocks.slices)
    np.testing.assert_array_equal(blocks.runs, runs[[part.start for part in blocks.slices]])
    assert time_blocks(values[:90], None, 8) is None
    assert not time_blocks(values[:200], None, 8).independent


def test_the_smallest_p_value_is_exact():
    # two statistics of the same randomisations: the p-value of the smaller p-value is uniform over the first places
    rng = np.random.default_rng(0)
    p = [smallest_p_value([rng.normal(size=99), rng.normal(size=99)])[1] for _ in range(2000)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.015)  # three standard errors
    same = rng.normal(size=99)
    each, both = smallest_p_value([same, same])
    assert both == each[0] == each[1]


def test_the_kernel_is_the_sum_of_squared_scores():
    values = np.random.default_rng(0).normal(size=(12, 7))
    values[:, 3] = 0.0
    signs = np.random.default_rng(1).choice([-1.0, 1.0], size=12)
    plain = sum((signs @ values[:, k]) ** 2 / np.sum(values[:, k] ** 2) for k in range(7) if k != 3)
    assert signs @ block_kernel(values) @ signs == pytest.approx(plain, rel=1e-12)


def sweep_matrix(couplings):
    """Transition matrix of one sweep of random single updates."""
    n = len(couplings)
    fields = exact.all_states(n).astype(float) @ couplings.T
    matrix = np.zeros((2**n, 2**n))
    states = np.arange(2**n)
    for i in range(n):
        up = 1 / (1 + np.exp(-2 * fields[:, i]))
        matrix[states, states | (1 << i)] += up / n
        matrix[states, states & ~(1 << i)] += (1 - up) / n
    return np.linalg.matrix_power(matrix, n)


@pytest.mark.parametrize(("n_spins", "scale"), [(3, 1.7), (4, 1.2)])
def test_entropy_production_is_the_best_bound_of_enumeration(n_spins, scale):
    J = couplings_of(n_spins, scale, False, n_spins)
    step = sweep_matrix(J)
    values, vectors = np.linalg.eig(step.T)
    stationary = np.real(vectors[:, np.argmax(values.real)])
    stationary /= stationary.sum()
    flow = stationary[:, None] * step
    truth = np.sum(flow * np.log(flow / flow.T))
    states = exact.all_states(n_spins).astype(float)
    delta = states - stationary @ states
    upper = np.triu_indices(n_spins, 1)

    def bound(w):
        W = np.zeros((n_spins, n_spins))
        W[upper] = w
        f = delta @ (W - W.T).T @ delta.T
        return np.sum(flow * f) - np.log(np.sum(flow * np.exp(-f)))

    best = -minimize(lambda w: -bound(w), np.zeros(len(upper[0]))).fun
    assert 0 < best <= truth
    rows, runs = record(J, 10_000, 2, 1)
    blocks = time_blocks(collective_observables(rows, J + J.T, np.zeros(n_spins)), runs, 8)
    found, std = entropy_production_bound(rows, blocks)
    assert abs(found - best) < 4 * std
    assert std < 0.1 * best
    assert found < truth


def test_entropy_production_of_equilibrium_is_zero_or_less():
    J = couplings_of(8, 0.8, True, 3)
    rows, runs = record(J, 2000, 2, 4)
    blocks = time_blocks(collective_observables(rows, J, np.zeros(8)), runs, 8)
    found, std = entropy_production_bound(rows, blocks)
    assert found < 3 * std + 1e-9
    short = time_blocks(collective_observables(rows[:120], J, np.zeros(8)), None, 8)
    assert np.isnan(entropy_production_bound(rows[:120], short)).all()


@pytest.mark.slow
def test_equilibrium_is_reversible_and_stationary_and_asymmetric_couplings_are_seen():
    alarms, drifts, seen = [], [], []
    for number in range(12):
        J = couplings_of(10, 0.5, True, number)
        reversal, drift = judge(*record(J, 500, 1, number), J, number)
        alarms.append(reversal.reversible is False)
        drifts.append(drift.stationary is False)
        J = couplings_of(10, 0.5, False, number)
        seen.append(judge(*record(J, 500, 1, number), J, number)[0].reversible is False)
    # at level 0.05, more than four alarms of twelve have probability 2e-4; with power 0.9, fewer than 8 have 5e-3
    assert sum(alarms) <= 4
    assert sum(drifts) <= 4
    assert sum(seen) >= 8


def test_drift_of_a_mean_and_of_correlations_is_seen():
    rng = np.random.default_rng(0)
    steady = rng.choice(np.array([-1, 1], dtype=np.int8), size=(2000, 6))
    J = np.zeros((6, 6))
    moved = steady.copy()
    rate = np.linspace(0.0, 0.3, 2000)
    moved[:, 2] = np.where(rng.random(2000) < rate, 1, moved[:, 2])
    found = judge(moved, None, J)[1]
    assert found.stationary is False
    assert found.p_values["means within runs"] <= 0.01
    assert found.largest[0]["spin"] == 2
    assert found.largest[0]["last"] > found.largest[0]["first"]
    assert "means" in found.verdict
    coupled = steady.copy()
    coupled[1500:, 1:4] = coupled[1500:, :1]
    found = judge(coupled, None, J)[1]
    assert found.p_values["correlations within runs"] <= 0.01
    assert found.p_values["means within runs"] > 0.01
    assert "correlations" in found.verdict
    # runs of different level: each is steady by itself, but one model does not describe both
    levels = np.where(rng.random((2000, 6)) < 0.5, np.repeat([[1], [-1]], 1000, axis=0), steady).astype(np.int8)
    found = judge(levels, np.repeat([0, 1], 1000), J)[1]
    assert found.tests["within runs"] > 0.01
    assert found.tests["between runs"] <= 0.001
    assert found.stationary is False


def test_results_are_reproducible_and_ready_for_json():
    J = couplings_of(5, 0.8, False, 0)
    rows, runs = record(J, 300, 2, 0)
    first, second = judge(rows, runs, J, 3), judge(rows, runs, J, 3)
    for one, two in zip(first, second, strict=True):
        assert json.dumps(one.to_dict(), allow_nan=False) == json.dumps(two.to_dict(), allow_nan=False)
        assert one.verdict in repr(one)


def test_spins_that_never_change_do_no_harm():
    rows = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), size=(400, 5))
    rows[:, 1] = 1
    for found in judge(rows, None, np.zeros((5, 5))):
        json.dumps(found.to_dict(), allow_nan=False)
        assert 0 < found.p_value <= 1
    still = np.ones((400, 5), dtype=np.int8)
    for found in judge(still, None, np.zeros((5, 5))):
        assert found.p_value == 1.0


@pytest.mark.slow
def test_trials_whose_rates_rise_drift_from_run_to_run():
    # 5 to 95 % over 100 trials, whatever their length; nothing changes inside of a trial
    rng = np.random.default_rng(0)
    for length in (5, 20, 100):
        share = np.repeat(np.linspace(0.05, 0.95, 100), length)
        rows = np.where(rng.random((100 * length, 10)) < share[:, None], 1, -1).astype(np.int8)
        observables = collective_observables(rows, np.zeros((10, 10)), np.zeros(10))
        blocks = time_blocks(observables, np.repeat(np.arange(100), length), 1)
        found = drift_test(rows, observables, blocks, seed=seed())
        assert found.stationary is False
        assert found.tests["run to run"] <= 0.001
        assert "run to run" in found.verdict
        # the same trials in random order
        order = np.concatenate([np.arange(length) + length * k for k in rng.permutation(100)])
        observables = collective_observables(rows[order], np.zeros((10, 10)), np.zeros(10))
        mixed = drift_test(rows[order], observables, blocks, seed=seed())
        assert mixed.tests["run to run"] > 0.01


def test_sentences_name_spins():
    rng = np.random.default_rng(0)
    rows = rng.choice([-1, 1], size=(2000, 3)).astype(np.int8)
    rows[1:, 1] = rows[:-1, 0]  # the second follows the first
    rows[:1000, 2] = np.where(rng.random(1000) < 0.9, 1, -1)
    observables = collective_observables(rows, np.zeros((3, 3)), np.zeros(3))
    blocks = time_blocks(observables, np.zeros(2000, dtype=np.int64), 1)
    reversal = time_reversal_test(rows, observables, blocks, seed=seed(), names=("a", "b", "c"))
    assert reversal.effect.startswith("b follows a more than the reverse")
    assert drift_test(rows, observables, blocks, seed=seed(), names=("a", "b", "c")).effect.startswith("c is +1 in 9")
    assert drift_test(rows, observables, blocks, seed=seed()).effect.startswith("spin 2 is +1 in 9")


def test_a_record_that_is_too_short_for_its_memory_is_not_judged():
    # spins that are redrawn once in 200 rows
    rng = np.random.default_rng(0)
    rows = np.ones((3000, 5), dtype=np.int8)
    for t in range(1, 3000):
        rows[t] = np.where(rng.random(5) < 0.995, rows[t - 1], rng.choice([-1, 1], size=5))
    for found, answer in zip(judge(rows, None, np.zeros((5, 5))), ("reversible", "stationary"), strict=True):
        assert not found.long_enough
        assert getattr(found, answer) is None
        assert "not judged" in found.verdict
    # two blocks: there is nothing to compare
    observables = collective_observables(rows, np.zeros((5, 5)), np.zeros(5))
    two = TimeBlocks((slice(0, 1500), slice(1500, 3000)), np.array([0, 1]), 1.0)
    found = drift_test(rows, observables, two, seed=seed())
    assert found.stationary is None
    assert "not judged" in found.verdict


@pytest.mark.slow
def test_rare_independent_spins_are_reversible():
    # at 0.3 %: twenty records at 5 % false alarms; four or more have probability 1.6 %, six or more 3e-4
    alarms = 0
    for number in range(20):
        rows = np.where(np.random.default_rng(number).random((5000, 10)) < 0.003, 1, -1).astype(np.int8)
        alarms += judge(rows, None, np.zeros((10, 10)), number)[0].reversible is False
    assert alarms < 6


def count_rare(share, n_runs):
    """Of records of ten independent spins that are rarely +1: called irreversible, and drifting."""
    alarms = np.zeros(2, dtype=int)
    for number in range(n_runs):
        rows = np.where(np.random.default_rng([number, 13]).random((5000, 10)) < share, 1, -1).astype(np.int8)
        reversal, drift = judge(rows, None, np.zeros((10, 10)), number)
        alarms += [reversal.reversible is False, drift.stationary is False]
    return alarms


@pytest.mark.validation
@pytest.mark.parametrize("share", [0.003, 0.01, 0.05])
def test_false_alarms_of_rare_independent_spins(share, record_property):
    # 200 records at 5 %: more than 18 with probability 0.6 %; rare events make tests careful, not bold
    alarms = count_rare(share, 200)
    record_property(str(share), str(alarms))
    assert np.all(alarms <= 18), alarms


def count_trials(n_trials, length, last, n_runs):
    """Of records of trials whose rates go from 20 % to that of the last: called drifting, and by the test of runs."""
    alarms = np.zeros(2, dtype=int)
    for number in range(n_runs):
        rng = np.random.default_rng([number, n_trials, length])
        share = np.repeat(np.linspace(0.2, last, n_trials), length)
        rows = np.where(rng.random((n_trials * length, 10)) < share[:, None], 1, -1).astype(np.int8)
        observables = collective_observables(rows, np.zeros((10, 10)), np.zeros(10))
        blocks = time_blocks(observables, np.repeat(np.arange(n_trials), length), 1)
        found = drift_test(rows, observables, blocks, seed=seed(number))
        alarms += [found.stationary is False, found.tests["run to run"] <= 0.05]
    return alarms


@pytest.mark.validation
@pytest.mark.parametrize(("n_trials", "length"), [(12, 200), (40, 50), (100, 20)])
def test_false_alarms_and_power_of_drift_from_trial_to_trial(n_trials, length, record_property):
    # 200 records at 5 %: more than 18 with probability 0.6 %
    still, rising = count_trials(n_trials, length, 0.2, 200), count_trials(n_trials, length, 0.3, 40)
    record_property(f"{n_trials} x {length}", f"{still} of 200, {rising} of 40")
    assert np.all(still <= 18), still
    assert rising[0] >= 36, rising


EQUILIBRIA = [(10, 0.5, 1000, 1, False), (20, 0.8, 500, 4, True), (20, 1.0, 2000, 1, False)]


def count_alarms(n_spins, scale, draws, chains, with_fields):
    """Of 200 records of equilibrium dynamics, how many are called irreversible, drifting, and dissipating."""
    alarms = np.zeros(3, dtype=int)
    for number in range(1000, 1200):
        J = couplings_of(n_spins, scale, True, number)
        fields = np.random.default_rng(number).normal(0, 0.3, n_spins) if with_fields else None
        reversal, drift = judge(*record(J, draws, chains, number, fields), J, number, fields)
        dissipates = reversal.entropy_production > 2 * reversal.entropy_production_std
        alarms += [reversal.reversible is False, drift.stationary is False, dissipates]
    return alarms


@pytest.mark.validation
def test_false_alarms_over_200_records():
    # the standard error of a share of 5 % of 200 is 1.5 %, of 600 it is 0.9 %
    alarms = np.array([count_alarms(*equilibrium) for equilibrium in EQUILIBRIA])
    assert np.all(np.abs(alarms[:, 0] / 200 - 0.05) <= 0.02 + 1e-9), alarms
    assert abs(alarms[:, 1].sum() / 600 - 0.05) <= 0.02, alarms
    assert np.all(alarms[:, 1] <= 22), alarms  # exceeded once in 2500 sets of 200
    assert np.all(alarms[:, 2] <= 12), alarms


def count_seen():
    """Of 200 records of asymmetric couplings, how many are called irreversible, and dissipating."""
    seen = np.zeros(2, dtype=int)
    for number in range(1000, 1200):
        J = couplings_of(20, 0.5, False, number)
        reversal = judge(*record(J, 500, 1, number), J, number)[0]
        seen += [reversal.reversible is False, reversal.entropy_production > 2 * reversal.entropy_production_std]
    return seen


@pytest.mark.validation
def test_power_over_200_records():
    seen = count_seen()
    assert seen[0] > 180, seen
