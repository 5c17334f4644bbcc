"""Inverse temperature of samples of known couplings, against enumeration."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

from infer import CountModel, PairModel, Samples, inverse_temperature
from infer.wording import with_error
from simulate import PersistentGlauber, sample
from tests import exact

VALIDATION = Path(__file__).resolve().parents[2] / "VALIDATION.md"


def known_model(n_spins=8, seed=0):
    rng = np.random.default_rng(seed)
    return exact.random_couplings(n_spins, 1.0, rng), rng.normal(0, 0.2, n_spins)


@pytest.mark.parametrize("beta", [0.02, 0.7, 3.0, -0.4])
def test_exact_probabilities_give_the_exact_value(beta):
    couplings, fields = known_model()
    weights = exact.boltzmann(beta * couplings, beta * fields)
    found = inverse_temperature(couplings, Samples.of(exact.all_states(8), weights, n_effective=500), fields)
    assert found.value == pytest.approx(beta, rel=1e-9)
    # the error is that of 500 samples: variance of the score over the squared curvature, summed over all states
    states = exact.all_states(8).astype(float)
    local = states @ couplings + fields
    slopes = (local * (states - np.tanh(beta * local))).sum(axis=1)
    curvature = weights @ (local**2 / np.cosh(beta * local) ** 2).sum(axis=1)
    assert found.std == pytest.approx(np.sqrt(weights @ slopes**2 / 500) / curvature, rel=1e-9)


def test_agrees_with_maximum_likelihood_by_enumeration():
    """The two differ by far less than either's error: pseudo-likelihood of one number is nearly efficient."""
    couplings, fields = known_model()
    rows = exact.draw(couplings, 4000, fields, temperature=1.5, seed=3)
    energy = PairModel.of(couplings, fields).energies(rows).mean()
    every = exact.energies(couplings, fields)

    def excess(beta):
        return exact.boltzmann(beta * couplings, beta * fields) @ every - energy

    best = brentq(excess, 0.1, 3.0)
    found = inverse_temperature(couplings, rows, fields)
    assert abs(found.value - best) < found.std
    assert abs(found.value - 1 / 1.5) < 3.5 * found.std  # a false alarm in 0.05 %


def coverage(n_runs, correlated):
    """Share of 95 % intervals that hold the truth, of exact samples or of slow chains."""
    inside = 0
    for seed in range(n_runs):
        couplings, fields = known_model(seed=seed)
        if correlated:
            dynamics = PersistentGlauber(couplings=couplings, temperature=1.5, persistence=0.0, fields=fields)
            rows = sample(dynamics, draws=1000, chains=3, burn_in=50, seed=seed)
        else:
            rows = exact.draw(couplings, 1000, fields, temperature=1.5, seed=seed)
        low, high = inverse_temperature(couplings, rows, fields).interval
        inside += low < 1 / 1.5 < high
    return inside / n_runs


@pytest.mark.parametrize("correlated", [False, True])
def test_coverage_in_short(correlated):
    """20 intervals of 95 %: fewer than 16 hold the truth with probability 0.3 %."""
    assert coverage(20, correlated) >= 0.8


@pytest.mark.validation
@pytest.mark.parametrize("correlated", [False, True])
def test_coverage_over_many_runs(correlated):
    """1000 runs scatter by 0.7 %: three of those."""
    found = coverage(1000, correlated)
    with VALIDATION.open("a") as file:
        kind = "chains of sweeps" if correlated else "independent samples"
        file.write(
            f"- `inverse_temperature`, 1000 models of 8 spins, {kind}: {100 * found:.1f} % of intervals of 95 %.\n"
        )
    assert 0.93 <= found <= 0.97


def test_repeated_rows_count_once_where_runs_say_so():
    """Rows that repeat each other ten times know no more than single ones."""
    couplings, fields = known_model()
    rows = exact.draw(couplings, 1000, fields, seed=1)
    once = inverse_temperature(couplings, rows, fields)
    ten = inverse_temperature(couplings, np.repeat(rows, 10, axis=0), fields)
    assert ten.value == pytest.approx(once.value, rel=1e-9)
    assert 0.7 < ten.std / once.std < 1.4  # 31 and 100 batches know it to 13 and 7 %
    counts = inverse_temperature(couplings, Samples.of(rows, np.full(1000, 10)), fields)
    assert counts.value == pytest.approx(once.value, rel=1e-9)
    assert counts.std == pytest.approx(once.std / np.sqrt(10), rel=0.3)


def test_ground_states_bound_it_on_one_side():
    couplings, fields = known_model()
    ground = exact.all_states(8)[np.argmin(exact.energies(couplings, fields))]
    found = inverse_temperature(couplings, np.tile(ground, (50, 1)), fields)
    assert found.value == math.inf
    assert found.std is None
    low, high = found.interval
    assert high == math.inf
    # at the bound the rows are as likely as a one-sided interval of 95 % allows: a fall by 1.645^2 / 2
    loss = -PairModel.of(low * couplings, low * fields).log_pseudolikelihood(ground[None])[0]
    assert 50 * loss == pytest.approx(1.6449**2 / 2, rel=1e-3)
    assert "at least" in found.verdict
    assert found.to_dict()["value"] == "inf"
    assert "inf +- inf" not in found.verdict
    assert inverse_temperature(-couplings, np.tile(ground, (50, 1)), -fields).value == -math.inf


def test_scale_of_the_couplings_and_what_the_sentence_says():
    couplings, fields = known_model()
    rows = exact.draw(couplings, 2000, fields, seed=1)
    before = rows.copy()
    found, small = (
        inverse_temperature(couplings, rows, fields),
        inverse_temperature(1e-6 * couplings, rows, 1e-6 * fields),
    )
    assert small.value == pytest.approx(1e6 * found.value, rel=1e-8)
    assert small.std == pytest.approx(1e6 * found.std, rel=1e-8)
    assert with_error(found.value, found.std) in found.verdict
    assert found.to_dict()["verdict"] == found.verdict
    np.testing.assert_array_equal(rows, before)
    assert found.aligned == pytest.approx(((couplings @ rows.T + fields[:, None]).T * rows > 0).mean())


def test_what_does_not_fit_is_refused():
    couplings, fields = known_model()
    rows = exact.draw(couplings, 50, fields)
    for args, message in (
        ((couplings[:7, :7], rows), "8 spins and the couplings 7"),
        ((np.zeros((8, 8)), rows), "no spin of any row has a local field"),
        ((couplings + np.triu(couplings, 1), rows), "symmetric"),
        ((couplings, np.where(rows > 0, 1, 0)), "spins must be -1 or \\+1"),
    ):
        with pytest.raises(ValueError, match=message):
            inverse_temperature(*args)
    with pytest.raises(ValueError, match="confidence"):
        inverse_temperature(couplings, rows, confidence=95)


def test_a_potential_of_the_count_is_part_of_the_energy():
    beta, states = 0.7, exact.all_states(5)
    model = CountModel.of(exact.random_couplings(5, 0.5, 0), np.full(5, -0.2), [0.0, 0.0, 0.0, -0.8, -1.0, 2.0])
    weight = np.exp(-beta * model.energies(states))
    found = inverse_temperature(model, Samples.of(states, weight / weight.sum(), n_effective=500))
    assert found.value == pytest.approx(beta, abs=1e-8)
