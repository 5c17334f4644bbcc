"""Long validations of the dreaming model: coverage of intervals, false alarms of tests. Results: VALIDATION.md."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from infer.estimators.dreaming import DreamingModel
from simulate import BlockGibbs, PatternCouplings, random_patterns, sample
from simulate.memory.couplings import dreaming
from tests import exact

VALIDATION = Path(__file__).parents[2] / "VALIDATION.md"
REPEATS = 200
TESTS = ("wald", "score", "likelihood_ratio")
COLUMNS = "| rate | interval of the rate | interval of the inverse temperature | Wald | score | likelihood ratio |"
# three binomial standard deviations of 200 at 95 %: each bound is left by chance once in 370
WINDOW = 3 * np.sqrt(0.05 * 0.95 / REPEATS)


def figures(fits):
    """Shares of intervals that hold the truth, and tests of the true rate, from (model, data, rate, beta)."""
    covered, p_values, scores = np.zeros(2), [], []
    for model, data, rate, beta in fits:
        for k, (parameter, truth) in enumerate([("rate", rate), ("inverse_temperature", beta)]):
            low, high = model.confidence_interval(0.95, parameter)
            covered[k] += low <= truth <= high
        test = model.rate_test(data, rate=rate)
        p_values.append([getattr(test, f"{name}_p_value") for name in TESTS])
        scores.append((model.rate_ - rate) / model.rate_std_)
    return covered / REPEATS, np.array(p_values), np.array(scores)


def judge(covered, p_values, scores):
    assert np.all(np.abs(covered - 0.95) <= WINDOW)
    assert np.all(np.abs(np.mean(p_values < 0.05, axis=0) - 0.05) <= WINDOW)
    for column in p_values.T[1:]:  # of the score and of the likelihood ratio, which do not depend on a parametrisation
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    assert np.std(scores) == pytest.approx(1.0, abs=0.16)  # of t variables; three standard deviations of its estimate
    assert np.mean(scores) == pytest.approx(0.0, abs=0.3)  # bias under a third of a standard error (scatter 0.07)


def table_row(rate, covered, p_values):
    shares = [*(100 * covered), *(100 * np.mean(p_values < 0.05, axis=0))]
    return f"| {rate:g} | " + " | ".join(f"{share:.1f} %" for share in shares) + " |"


def write_section(heading, text, rows):
    lines = [heading, "", *text, "", COLUMNS, "|---|---|---|---|---|---|", *rows, ""]
    before, _, rest = VALIDATION.read_text(encoding="utf-8").partition(heading)
    _, separator, after = rest.partition("\n## ")
    VALIDATION.write_text(before.rstrip() + "\n\n" + "\n".join(lines) + separator + after, encoding="utf-8")


@pytest.mark.validation
def test_coverage_and_false_alarms_at_a_hundred_spins():
    patterns, beta, results = random_patterns(20, 100, seed=20), 0.5, {}
    for number, rate in enumerate([0.0, 0.2, 0.5, 1.0, 2.0]):
        dynamics = BlockGibbs(PatternCouplings(patterns, rate), 1 / beta)
        draws = sample(dynamics, draws=1500, chains=2 * REPEATS, burn_in=200, thin=2, seed=number, check=False)
        data = [draws.isel(chain=[2 * k, 2 * k + 1]) for k in range(REPEATS)]
        results[rate] = figures((DreamingModel(patterns).fit(X), X, rate, beta) for X in data)
    rows = [table_row(rate, covered, p_values) for rate, (covered, p_values, _) in results.items()]
    pooled = np.mean([covered for covered, _, _ in results.values()], axis=0)
    rows.append(
        table_row(0, pooled, np.concatenate([p for _, p, _ in results.values()])).replace("| 0 |", "| pooled |")
    )
    text = [
        f"`pytest -m validation tests/infer/estimators/test_dreaming_coverage.py`, {date.today()}, seeds 0 to 4.",
        "",
        "Equilibrium samples of `dreaming(patterns, rate)`, N = 100, P = 20, T = 2, 2 chains of 1500 draws every 2",
        "sweeps, 200 repeats, fitted by pseudo-likelihood: share of the 95 % intervals that hold the true value, and of",
        "the tests of the true rate whose p-value is below 5 %. Standard error of a share: 1.5 %, of the pooled 0.7 %.",
    ]
    write_section("## Intervals of the dreaming rate", text, rows)
    for found in results.values():
        judge(*found)


@pytest.mark.validation
def test_coverage_and_false_alarms_of_the_hybrid_machine():
    patterns, beta, rng, results = random_patterns(6, 12, seed=21), 0.5, np.random.default_rng(22), {}
    for rate in (0.0, 0.5):
        couplings = beta * dreaming(patterns, rate)
        data = [exact.draw(couplings, 4000, seed=rng) for _ in range(REPEATS)]
        results[rate] = figures((DreamingModel(patterns, "hybrid-rbm").fit(X), X, rate, beta) for X in data)
    text = [
        f"`pytest -m validation tests/infer/estimators/test_dreaming_coverage.py`, {date.today()}, seed 22.",
        "",
        "As above, by the likelihood in the hybrid machine: 4000 independent exact samples, N = 12, P = 6, T = 2, 200",
        "repeats.",
    ]
    rows = [table_row(rate, covered, p_values) for rate, (covered, p_values, _) in results.items()]
    write_section("## Intervals of the dreaming rate by the hybrid machine", text, rows)
    for found in results.values():
        judge(*found)
