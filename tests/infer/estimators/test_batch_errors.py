"""Standard errors by batches of rows, of screening, probability flow and mean field."""

from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from infer import InteractionScreening, MeanField, MinimumProbabilityFlow, PseudoLikelihood, Samples
from infer.estimators import batch_errors
from infer.estimators.batch_errors import RowBatches, node_curvatures, pair_errors, screening_roots
from infer.estimators.mean_field import METHODS, mean_field_couplings
from infer.estimators.rows import SpinRows
from tests import exact
from tests.data import ROOT

VALIDATION = ROOT / "tests" / "VALIDATION.md"
ESTIMATORS = [
    InteractionScreening("rise", alpha=0.0),
    InteractionScreening("logrise", alpha=0.0),
    MinimumProbabilityFlow(alpha=0.0),
    PseudoLikelihood(symmetrisation="joint", alpha=0.0),
    *(MeanField(method) for method in METHODS),
]


def name_of(model):
    return f"{type(model).__name__} {getattr(model, 'method', getattr(model, 'objective', ''))}".strip()


def truth(n_spins, seed):
    rng = np.random.default_rng(seed)
    couplings = np.triu(rng.normal(0.0, 0.25, (n_spins, n_spins)), 1)
    return couplings + couplings.T, rng.normal(0.0, 0.3, n_spins)


def limit_of(model, couplings, fields):
    """Couplings and fields that an estimator finds in infinitely many samples."""
    if not isinstance(model, MeanField):
        return couplings, fields
    means, second = exact.moments(couplings, fields)
    covariance = second - np.outer(means, means)
    return mean_field_couplings(means, covariance, model.method)[:2]


def sticky(couplings, fields, n_rows, stay, rng):
    """Rows of which each repeats the one before with some probability: the integrated time is (1 + stay)/(1 - stay)."""
    fresh = exact.draw(couplings, n_rows, fields, seed=rng)
    last = np.maximum.accumulate(np.where(rng.random(n_rows) >= stay, np.arange(n_rows), 0))
    return fresh[last]


def scores_and_covered(model, n_fits, n_rows, n_spins, stay=0.0, seed=0):
    """Deviations from the limit in standard errors (n_fits, n_parameters), and whether 95 % intervals hold it."""
    couplings, fields = truth(n_spins, seed)
    limit, limit_fields = limit_of(model, couplings, fields)
    above, rng = np.triu_indices(n_spins, 1), np.random.default_rng(seed + 1)
    scores, covered = [], []
    for _ in range(n_fits):
        model.fit(sticky(couplings, fields, n_rows, stay, rng))
        pairs = (model.couplings_ - limit)[above] / model.couplings_std_[above]
        scores.append(np.append(pairs, (model.fields_ - limit_fields) / model.fields_std_))
        low, high = model.confidence_interval()
        low_fields, high_fields = model.confidence_interval(parameter="fields")
        inside = ((low <= limit) & (limit <= high))[above]
        covered.append(np.append(inside, (low_fields <= limit_fields) & (limit_fields <= high_fields)))
    return np.array(scores), np.array(covered)


@pytest.mark.slow
@pytest.mark.parametrize("model", ESTIMATORS, ids=name_of)
def test_deviations_have_variance_one_in_standard_errors(model):
    scores, _ = scores_and_covered(model, 40, 1500, 5)
    # mean of squares of 40 x 15 t variables of 37 degrees of freedom (mean 1.06), at most 40 x 15 independent ones and
    # at least 40 x 5: standard deviation 0.06 to 0.1; left by chance, either way, once in 300
    assert np.mean(scores**2) == pytest.approx(1.06, abs=0.3)


@pytest.mark.slow
def test_errors_know_of_rows_that_repeat_those_before():
    stay = 0.6  # an integrated time of 4: errors that took rows as independent would have squares of 4
    for model in (InteractionScreening(alpha=0.0), MinimumProbabilityFlow(), MeanField("tap")):
        scores, _ = scores_and_covered(model, 25, 6000, 5, stay)
        # as above, of 77 degrees of freedom: 1.03, standard deviation at most 0.13
        assert np.mean(scores**2) == pytest.approx(1.03, abs=0.39)


@pytest.mark.parametrize("model", ESTIMATORS, ids=name_of)
def test_counted_rows_have_the_errors_of_the_same_rows_one_by_one(model):
    couplings, fields = truth(5, 3)
    spins = exact.draw(couplings, 4000, fields, seed=4)
    states, counts = np.unique(spins, axis=0, return_counts=True)
    one_by_one = model.fit(spins).couplings_std_
    counted = model.fit(Samples.of(states, counts)).couplings_std_
    above = np.triu_indices(5, 1)
    # 62 batches know an error to 9 %; fewer than 200 rows of counts are batches of their own, which is exact
    assert counted[above] == pytest.approx(one_by_one[above], rel=0.4)
    assert np.mean(counted[above] / one_by_one[above]) == pytest.approx(1.0, abs=0.12)
    # twice the counts: errors smaller by the root of two, but for the correction for the number of parameters
    assert model.fit(Samples.of(states, 2 * counts)).couplings_std_[above] * np.sqrt(2) == pytest.approx(
        counted[above], rel=2e-3
    )


def test_counted_rows_give_the_sandwich_of_the_mean_field_formula():
    # moments of counted rows have the covariance of independent samples: naive couplings of two spins by hand
    states, counts = exact.all_states(2), np.array([70, 30, 20, 80])
    share = counts / counts.sum()
    model = MeanField("independent-pair").fit(Samples.of(states, counts))
    # J = 1/4 sum of +-log p: variance 1/16 sum 1/count (B. Woolf 1955, Annals of Human Genetics 19, 251)
    assert model.couplings_std_[0, 1] == pytest.approx(np.sqrt(np.sum(1 / counts)) / 4, rel=1e-5)
    assert share @ states[:, 0] == pytest.approx(model.means_[0])


def test_zero_couplings_of_the_penalty_have_no_error():
    couplings, fields = np.zeros((6, 6)), np.zeros(6)
    couplings[0, 1] = couplings[1, 0] = 0.6
    model = InteractionScreening().fit(exact.draw(couplings, 3000, fields, seed=5))
    assert np.all((model.couplings_std_ > 0) == (model.couplings_ != 0.0))
    assert 2 <= np.count_nonzero(model.couplings_std_) < 20
    assert np.all(model.fields_std_ > 0)


def test_pair_errors_are_those_of_the_dense_hessian():
    couplings, fields = truth(6, 6)
    spins = exact.draw(couplings, 2000, fields, seed=7)
    rows, batches = SpinRows(spins), RowBatches.of(Samples.of(spins))
    std, field_std = pair_errors(rows, batches, couplings, fields, True, 0.02, 1e9)
    # plain twin: one row at a time, derivatives by all parameters of the margins of all nodes
    first, second = np.triu_indices(6, 1)
    hessian, gradients = np.diag(np.append(np.full(15, 0.02), np.zeros(6))), np.zeros((2000, 21))
    for k, s in enumerate(spins.astype(float)):
        for u in range(6):
            slope = np.zeros(21)
            slope[:15] = s[u] * ((first == u) * s[second] + (second == u) * s[first])
            slope[15 + u] = s[u]
            term = np.exp(-s[u] * (couplings[u] @ s + fields[u]))
            hessian += term * np.outer(slope, slope) / 2000
            gradients[k] -= term * slope
    changes = gradients @ np.linalg.inv(hessian)
    sums = np.add.reduceat(changes / 2000, batches.edges[:-1])
    lengths = np.diff(batches.edges) / 2000
    centred = (sums - lengths[:, None] * changes.mean(axis=0)) / np.sqrt(1 - np.sum(lengths**2))
    expected = np.sqrt((centred**2).sum(axis=0))
    assert std[first, second] == pytest.approx(expected[:15], rel=1e-4)
    assert field_std == pytest.approx(expected[15:], rel=1e-4)


def test_curvatures_and_gradients_are_derivatives_of_the_screening_sums():
    couplings, fields = truth(4, 8)
    spins = exact.draw(couplings, 500, fields, seed=9)
    rows = SpinRows(spins)

    def log_sum(row, field, node):
        return np.log(np.mean(np.exp(-spins[:, node] * (spins @ row + field))))

    for node, (curvature, n_averaged) in enumerate(node_curvatures(rows, couplings, fields, logarithm=True)):
        assert n_averaged == np.inf
        step, eye = 1e-4, np.eye(5)

        def value(change, node=node):
            return log_sum(couplings[node] + change[:4], fields[node] + change[4], node)

        for a in range(5):
            for b in range(5):
                four = [i * j * value(step * (i * eye[a] + j * eye[b])) for i in (1, -1) for j in (1, -1)]
                assert curvature[a, b] == pytest.approx(sum(four) / (4 * step**2), abs=1e-6)
    one_each = RowBatches(list(range(501)), np.full(500, 1 / 500), None)
    roots = screening_roots(rows, one_each, couplings, fields)
    terms = np.exp(-spins * (spins @ couplings + fields)) * spins
    gradients = -terms[:, :, None] * np.column_stack([spins, np.ones(500)])[:, None, :]
    assert roots * np.sqrt(1 - 1 / 500) * 500 == pytest.approx(gradients - gradients.mean(axis=0), abs=1e-5)

    def gradient_of_log(weights):
        return np.einsum("k,kui->ui", weights, gradients) / (terms * spins * weights[:, None]).sum(axis=0)[:, None]

    # of logarithms: derivatives by the weight of each row, which do not change where all weights do
    roots = screening_roots(rows, one_each, couplings, fields, logarithm=True)
    for row in range(5):
        change = gradient_of_log((1 + 1e-6 * (np.arange(500) == row)) / 500) - gradient_of_log(np.full(500, 1 / 500))
        assert roots[row] * np.sqrt(1 - 1 / 500) == pytest.approx(change / 1e-6, abs=1e-5)


def test_a_part_of_the_rows_serves_for_curvatures(monkeypatch):
    couplings, fields = truth(5, 10)
    spins = exact.draw(couplings, 20_000, fields, seed=11)
    for model in (InteractionScreening(alpha=0.0), MinimumProbabilityFlow()):
        full = model.fit(spins[:4000]).couplings_std_
        with monkeypatch.context() as patch:
            patch.setattr(batch_errors, "CURVATURE_ROWS", (1000, 1000))
            part = model.fit(spins[:4000]).couplings_std_
        # an inverse from 1000 rows is known to some 1 / sqrt(500), 5 %
        assert np.any(full != part)
        assert part[full > 0] == pytest.approx(full[full > 0], rel=0.2)


def test_no_errors_unless_asked_and_nan_where_nothing_is_known():
    spins = exact.draw(*truth(4, 12)[:1], 200, seed=13)
    for model in (InteractionScreening(errors=False), MinimumProbabilityFlow(errors=False), MeanField(errors=False)):
        with pytest.raises(AttributeError, match="fit with errors=True"):
            _ = model.fit(spins).couplings_std_
    constant = np.column_stack([spins, np.ones(200)])
    for model in (InteractionScreening(), MinimumProbabilityFlow(), MeanField()):
        with pytest.warns(match="never change"):
            model.fit(constant)
        assert np.isnan(model.couplings_std_[0, 4])
        assert np.isfinite(model.couplings_std_[:4, :4]).all()
        assert np.isnan(model.fields_std_[4])
    for model in (InteractionScreening(alpha=0.1), MinimumProbabilityFlow(), MeanField()):
        model.fit(np.array([[1, 1], [1, -1], [-1, 1]]))  # too few rows for two batches
        assert np.isnan(model.couplings_std_[0, 1])


@pytest.mark.parametrize("model", [MeanField("naive"), MinimumProbabilityFlow(), InteractionScreening(alpha=0.0)])
def test_without_fields(model):
    model.set_params(fit_fields=False)
    couplings, rng, scores = truth(5, 14)[0], np.random.default_rng(15), []
    means, second = exact.moments(couplings)
    limit = mean_field_couplings(means, second, "naive")[0] if isinstance(model, MeanField) else couplings
    above = np.triu_indices(5, 1)
    for _ in range(30):
        model.fit(exact.draw(couplings, 1500, seed=rng))
        assert not model.fields_std_.any()
        scores.append((model.couplings_ - limit)[above] / model.couplings_std_[above])
    model.set_params(fit_fields="auto")
    # mean of squares of 30 x 10 t variables: standard deviation 0.09 to 0.12, three of them
    assert np.mean(np.square(scores)) == pytest.approx(1.06, abs=0.36)


@pytest.mark.validation
@pytest.mark.parametrize("model", ESTIMATORS, ids=name_of)
def test_intervals_hold_the_truth_as_often_as_they_say(model):
    lines = []
    for stay, n_rows in ((0.0, 2000), (0.6, 8000)):
        scores, covered = scores_and_covered(model, 200, n_rows, 8, stay, seed=20)
        lines.append(
            f"| {name_of(model)} | {stay:g} | {100 * covered[:, :28].mean():.1f} % "
            f"| {100 * covered[:, 28:].mean():.1f} % | {np.mean(scores**2):.2f} |"
        )
        # a share of 95 % of 200 runs has a standard error of at most 0.5 % over 36 parameters that go together partly
        assert 0.93 <= covered.mean() <= 0.97
    write_rows(lines)


def write_rows(lines):
    """Put rows of an estimator into the table of VALIDATION.md, in place of older ones."""
    heading = "## Standard errors of screening, probability flow and mean field"
    before, _, rest = VALIDATION.read_text(encoding="utf-8").partition(heading + "\n")
    old, separator, after = rest.partition("\n## ")
    kept = {line.rsplit("|", 4)[0]: line for line in old.splitlines() if line.startswith("| ") and "rows" not in line}
    kept |= {line.rsplit("|", 4)[0]: line for line in lines}
    text = [
        heading,
        "",
        f"`pytest -m validation tests/infer/estimators/test_batch_errors.py`, {date.today()}, seed 20.",
        "",
        "8 spins (couplings of spread 0.25, fields of spread 0.3), 200 fits without penalty to 2000 independent rows,",
        "or to 8000 of which each repeats the one before with probability 0.6: share of 95 % intervals that hold the",
        "value for infinitely many samples, and mean square of the deviations in standard errors.",
        "",
        "| estimator | rows repeat | intervals of couplings | intervals of fields | mean square |",
        "|---|---|---|---|---|",
        *kept.values(),
        "",
    ]
    VALIDATION.write_text(before.rstrip() + "\n\n" + "\n".join(text) + separator + after, encoding="utf-8")


@pytest.mark.parametrize("method", METHODS)
def test_errors_of_mean_field_are_those_of_leaving_out_batches(method):
    couplings, fields = truth(4, 12)
    spins = exact.draw(couplings, 2500, fields, seed=13)
    model = MeanField(method).fit(spins)
    edges = RowBatches.of(Samples.of(spins)).edges
    without = [
        MeanField(method, errors=False).fit(np.delete(spins, np.arange(first, last), axis=0))
        for first, last in pairwise(edges)
    ]
    n = len(without)
    for name in ("couplings", "fields"):
        found = np.stack([getattr(fit, f"{name}_") for fit in without])
        jackknife = np.sqrt((n - 1) / n * ((found - found.mean(axis=0)) ** 2).sum(axis=0))
        # both are linear in a batch of 2 % of the rows, up to 2 %
        np.testing.assert_allclose(getattr(model, f"{name}_std_"), jackknife, rtol=0.05)
