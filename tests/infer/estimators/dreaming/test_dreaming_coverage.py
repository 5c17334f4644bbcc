"""Long validations of the dreaming model: coverage of intervals, false alarms of tests. Results: VALIDATION.md."""

from datetime import date

import numpy as np
import pytest
from scipy import stats

from infer.estimators.dreaming.estimator import DreamingModel
from simulate import BlockGibbs, PatternCouplings, random_patterns, sample
from simulate.couplings import dreaming
from tests import exact
from tests.data import ROOT

VALIDATION = ROOT / "tests" / "VALIDATION.md"
# the standard error of a share of 95 % is 0.7 % and 1.5 %
REPEATS, REPEATS_OF_THE_MACHINE = 1000, 200
TESTS = ("wald", "score", "likelihood_ratio")
COLUMNS = "| rate | interval of the rate | interval of the inverse temperature | Wald | score | likelihood ratio |"


def figures(fits):
    """Shares of intervals that hold the truth, and tests of the true rate, from (model, data, rate, beta)."""
    covered, p_values, scores = [], [], []
    for model, data, rate, beta in fits:
        truths = {"rate": rate, "inverse_temperature": beta}
        intervals = {name: model.confidence_interval(0.95, name) for name in truths}
        covered.append([low <= truths[name] <= high for name, (low, high) in intervals.items()])
        test = model.rate_test(data, rate=rate)
        p_values.append([getattr(test, f"{name}_p_value") for name in TESTS])
        scores.append((model.rate_ - rate) / model.rate_std_)
    return np.mean(covered, axis=0), np.array(p_values), np.array(scores)


def judge(covered, p_values, scores):
    # three binomial standard deviations (2.07 % of 1000 repeats): each bound is left by chance once in 370
    window = 3 * np.sqrt(0.05 * 0.95 / len(scores))
    assert np.all(np.abs(covered - 0.95) <= window)
    assert np.all(np.abs(np.mean(p_values < 0.05, axis=0) - 0.05) <= window)
    for column in p_values.T[1:]:  # of the score and of the likelihood ratio, which do not depend on a parametrisation
        assert stats.kstest(column, "uniform").pvalue > 1e-3
    # of t variables, whose standard deviation is 1.02; estimates of it scatter by 1 / sqrt(2 repeats)
    assert np.std(scores) == pytest.approx(1.02, abs=3 * 1.02 / np.sqrt(2 * len(scores)))
    assert np.mean(scores) == pytest.approx(0.0, abs=0.3)  # bias under a third of a standard error


def write_row(heading, text, rate, covered, p_values):
    """Put the row of a rate into the table under a heading of VALIDATION.md, in place of an older one."""
    before, _, rest = VALIDATION.read_text(encoding="utf-8").partition(heading + "\n")
    old, separator, after = rest.partition("\n## ")
    rows = {
        float(line.split("|")[1]): line for line in old.splitlines() if line.startswith("| ") and "rate" not in line
    }
    shares = [*(100 * covered), *(100 * np.mean(p_values < 0.05, axis=0))]
    rows[rate] = f"| {rate:g} | " + " | ".join(f"{share:.1f} %" for share in shares) + " |"
    lines = [heading, "", *text, "", COLUMNS, "|---|---|---|---|---|---|", *(rows[key] for key in sorted(rows)), ""]
    VALIDATION.write_text(before.rstrip() + "\n\n" + "\n".join(lines) + separator + after, encoding="utf-8")


@pytest.mark.validation
@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5, 1.0, 2.0])
def test_coverage_and_false_alarms_at_a_hundred_spins(rate):
    patterns, beta = random_patterns(20, 100, seed=20), 0.5
    dynamics = BlockGibbs(PatternCouplings(patterns, rate), 1 / beta)
    draws = sample(dynamics, draws=1500, chains=2 * REPEATS, burn_in=200, thin=2, seed=int(10 * rate), check=False)
    data = [draws.isel(chain=[2 * k, 2 * k + 1]) for k in range(REPEATS)]
    covered, p_values, scores = figures((DreamingModel(patterns).fit(X), X, rate, beta) for X in data)
    text = [
        f"`pytest -m validation tests/infer/estimators/dreaming/test_dreaming_coverage.py`, {date.today()}, "
        "seeds 10 x rate.",
        "",
        "Equilibrium samples of `dreaming(patterns, rate)`, N = 100, P = 20, T = 2, 2 chains of 1500 draws every 2",
        "sweeps, 1000 repeats, fitted by pseudo-likelihood: share of the 95 % intervals that hold the true value, and",
        "share of the tests of the true rate whose p-value is below 5 %. The standard error of a share is 0.7 %.",
    ]
    write_row("## Intervals and tests of the dreaming rate", text, rate, covered, p_values)
    judge(covered, p_values, scores)


@pytest.mark.validation
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_coverage_and_false_alarms_of_the_hybrid_machine(rate):
    patterns, beta, rng = random_patterns(6, 12, seed=21), 0.5, np.random.default_rng(22)
    couplings = beta * dreaming(patterns, rate)
    data = [exact.draw(couplings, 4000, seed=rng) for _ in range(REPEATS_OF_THE_MACHINE)]
    covered, p_values, scores = figures((DreamingModel(patterns, "hybrid-rbm").fit(X), X, rate, beta) for X in data)
    text = [
        f"`pytest -m validation tests/infer/estimators/dreaming/test_dreaming_coverage.py`, {date.today()}, seed 22.",
        "",
        "As for pseudo-likelihood, by the likelihood in the hybrid machine: 4000 independent exact samples, N = 12,",
        "P = 6, T = 2, 200 repeats.",
    ]
    write_row("## Intervals and tests of the dreaming rate by the hybrid machine", text, rate, covered, p_values)
    judge(covered, p_values, scores)
