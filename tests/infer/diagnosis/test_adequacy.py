"""Goodness of fit: moments against enumeration, known truths, and what it refuses."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from infer import CountModel, KPairwise, PseudoLikelihood, Samples, analyse, diagnose, goodness_of_fit
from infer.diagnosis.adequacy import cumulants
from infer.diagnosis.indicators import indicator_sums, rarer_state
from infer.diagnosis.model_checks import MeansAndCorrelations, ModelCheck, SampledModel, ThirdMoments
from infer.errors import InputError
from infer.statistics.moments import choose_triples
from simulate import Glauber, sample
from tests import exact

N = 8
COUPLINGS = exact.random_couplings(N, 0.8, seed=3)
FIELDS = np.random.default_rng(0).normal(0.0, 0.3, size=N)
ALL = choose_triples(N, 1000, np.random.SeedSequence(0))
MOMENTS = ("means", "correlations", "third moments")


def plain_cumulants(spins, triples):
    means = spins.mean(axis=0)
    delta = spins - means
    upper = np.triu_indices(spins.shape[1], 1)
    third = [(delta[:, i] * delta[:, j] * delta[:, k]).mean() for i, j, k in triples]
    return means, (delta.T @ delta / len(spins))[upper], np.array(third)


def test_cumulants_are_those_of_plain_numpy():
    spins = exact.draw(COUPLINGS, 3001, FIELDS, seed=1)
    rare = rarer_state(spins.mean(axis=0))
    ours = cumulants(indicator_sums(spins, rare, ALL, [slice(0, 3001)]), rare, ALL)
    for one, plain in zip(ours, plain_cumulants(spins, ALL), strict=True):
        np.testing.assert_allclose(one, plain, atol=1e-12)


def test_predictions_are_those_of_enumeration():
    spins = exact.draw(COUPLINGS, 1000, FIELDS)
    states, weight = exact.all_states(N).astype(float), exact.boltzmann(COUPLINGS, FIELDS)
    delta = states - weight @ states
    truth = {
        "means": weight @ states,
        "correlations": np.array(
            [weight @ (delta[:, i] * delta[:, j]) for i, j in zip(*np.triu_indices(N, 1), strict=True)]
        ),
        "third moments": np.array([weight @ (delta[:, i] * delta[:, j] * delta[:, k]) for i, j, k in ALL]),
    }
    found = goodness_of_fit(COUPLINGS, spins, fields=FIELDS)
    for name, values in truth.items():
        group = found.moments[name]
        squares = ((group["predicted"] - values) / group["predicted_std"]) ** 2
        assert 0.2 < np.mean(squares) < 2.5
        assert group["indices"].shape == (len(values), MOMENTS.index(name) + 1)
    sums = found.sum_of_spins
    plain = [weight @ (states.sum(axis=1) == value) for value in sums["values"]]
    np.testing.assert_allclose(sums["predicted"], plain, atol=0.005)
    energy = exact.energies(COUPLINGS, FIELDS)
    assert found.energies["predicted_mean"] == pytest.approx(weight @ energy, abs=0.02)
    assert found.energies["observed_mean"] == pytest.approx(
        np.mean(exact.energies(COUPLINGS, FIELDS)[exact.state_index(spins)]), abs=1e-9
    )


@pytest.mark.parametrize("data_seed", range(4))
def test_samples_of_the_model_itself_pass(data_seed):
    # three p-values in each of four cases: one below 0.002 by chance in 2.4 % of choices of the seeds
    found = goodness_of_fit(COUPLINGS, exact.draw(COUPLINGS, 20_000, FIELDS, seed=data_seed), fields=FIELDS)
    assert all(check.p_value > 0.002 for check in found.model_checks.values())
    assert found.fit.accepted
    assert found.mixed


def test_three_body_terms_fail_on_third_moments_only():
    # exp(K s0 s1 s2) on disjoint triples leaves means and correlations at zero: no pair couplings can see it
    states = exact.all_states(9)
    energy = -0.2 * sum(states[:, 3 * k : 3 * k + 3].prod(axis=1) for k in range(3))
    weight = np.exp(-energy) / np.exp(-energy).sum()
    spins = states[np.random.default_rng(0).choice(len(states), size=20_000, p=weight)]
    found = goodness_of_fit(np.zeros((9, 9)), spins)
    third = found.checks["third moments"]
    assert third.p_value <= 0.001
    assert found.fit.accepted
    assert "third moments" in found.failed()
    assert "misses" in found.verdict
    assert "third moments" in found.verdict
    group = found.moments["third moments"]
    inside = [tuple(t) in {(0, 1, 2), (3, 4, 5), (6, 7, 8)} for t in group["indices"]]
    np.testing.assert_allclose(group["observed"][inside], np.tanh(0.2), atol=0.04)
    # one such term in coins gains log cosh K - ... = K tanh K - log cosh K
    assert third.nats == pytest.approx(0.2 * np.tanh(0.2) - np.log(np.cosh(0.2)), rel=0.3)


@pytest.mark.slow
def test_wrong_couplings_and_wrong_fields_are_no_accepted_fit():
    spins = exact.draw(COUPLINGS, 20_000, FIELDS, seed=1)
    for found in (goodness_of_fit(0.8 * COUPLINGS, spins, fields=FIELDS), goodness_of_fit(COUPLINGS, spins)):
        assert not found.fit.accepted
        assert found.fit.p_value <= 0.001
        assert "does not have the means and correlations" in found.verdict
        assert "not judged" in found.verdict


def test_energies_are_not_compared_where_one_state_holds_all_but_a_few_rows():
    # 2000 rows of which three are not silent: bins of the energy merge, and rounding is no deviation
    rows = -np.ones((2000, 5), dtype=np.int8)
    rows[[3, 500, 900], [0, 1, 0]] = 1
    fields = np.arctanh(np.clip(rows.mean(axis=0), -0.9995, 1))
    found = goodness_of_fit(np.zeros((5, 5)), rows, fields=fields)
    for check in found.model_checks.values():
        assert check.p_value > 0.05


@pytest.mark.slow
def test_sparse_samples_of_the_model_itself_pass():
    # P(+1) = 0.1, 2000 rows: p <= 0.05 in 5 % of 30 checks; more than 6 with probability 0.1 %
    alarms = 0
    for number in range(10):
        rng = np.random.default_rng(number)
        couplings, fields = exact.random_couplings(N, 0.3, rng), np.full(N, np.arctanh(-0.8))
        rows = exact.draw(couplings, 2000, fields, seed=rng)
        found = goodness_of_fit(couplings, rows, fields=fields, seed=number)
        alarms += sum(check.p_value <= 0.05 for check in found.model_checks.values())
    assert alarms <= 6


def test_checks_share_the_draws_of_a_model():
    samples = Samples.of(exact.draw(COUPLINGS, 500, FIELDS))
    model = SampledModel(COUPLINGS, FIELDS)
    first = MeansAndCorrelations.run(model, samples, np.random.SeedSequence(0))
    draws = model.compare(samples, np.random.SeedSequence(1)).draws
    ThirdMoments.run(model, samples, np.random.SeedSequence(2))
    assert model.compare(samples, np.random.SeedSequence(3)).draws is draws
    assert first.name == "means and correlations"


@pytest.mark.slow
def test_same_seed_same_result_whatever_the_number_of_jobs():
    spins = exact.draw(COUPLINGS, 500, FIELDS, seed=1)
    one, two = (goodness_of_fit(COUPLINGS, spins, seed=4, n_jobs=n) for n in (1, 2))
    assert one.to_dict() == two.to_dict()
    assert goodness_of_fit(COUPLINGS, spins, seed=5).to_dict() != one.to_dict()


@pytest.mark.slow
def test_estimators_datasets_and_counts_are_understood():
    spins = exact.draw(COUPLINGS, 600, FIELDS, seed=1)
    fitted = SimpleNamespace(fit=None, couplings_=COUPLINGS, fields_=FIELDS)
    plain = goodness_of_fit(COUPLINGS, spins, fields=FIELDS, chains=np.repeat([0, 1, 2], 200))
    dataset = xr.Dataset({"spins": (("chain", "draw", "spin"), spins.reshape(3, 200, N))})
    assert goodness_of_fit(fitted, dataset).to_dict() == plain.to_dict()
    rows, counts = np.unique(spins, axis=0, return_counts=True)
    with_counts = goodness_of_fit(fitted, rows, sample_weight=counts)
    unordered = goodness_of_fit(fitted, spins, ordered=False)
    assert with_counts.n_samples == 600
    for name in MOMENTS:
        np.testing.assert_allclose(with_counts.moments[name]["observed"], plain.moments[name]["observed"], atol=1e-12)
    for name, check in with_counts.checks.items():
        assert check.rms_z == pytest.approx(unordered.checks[name].rms_z, rel=0.2)
    assert "independent" in with_counts.error_method
    with pytest.raises(ValueError, match="not fitted"):
        goodness_of_fit(SimpleNamespace(fit=None), spins)


def test_spins_that_never_change_do_no_harm():
    spins = exact.draw(COUPLINGS, 500, FIELDS, seed=1)
    spins[:, 2] = 1
    found = goodness_of_fit(COUPLINGS, spins, fields=FIELDS)
    json.dumps(found.to_dict(), allow_nan=False)
    assert all(np.isfinite(group["rms_z"]) for group in found.moments.values())


def test_results_are_ready_for_json_and_terminals():
    found = goodness_of_fit(COUPLINGS, exact.draw(COUPLINGS, 500, FIELDS), fields=FIELDS)
    numbers = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert numbers["checks"]["energy"]["p_value"] == found.checks["energy"].p_value
    assert numbers["verdict"] == found.verdict
    assert found.verdict in found.summary()


def test_triples_are_all_or_a_choice_without_repeats():
    assert len(ALL) == 56
    some = choose_triples(30, 500, np.random.SeedSequence(1))
    assert len(np.unique(some, axis=0)) == 500
    assert np.all((some[:, 0] < some[:, 1]) & (some[:, 1] < some[:, 2]) & (some[:, 2] < 30))
    np.testing.assert_array_equal(some, choose_triples(30, 500, np.random.SeedSequence(1)))
    # every spin is met about equally often: chi-square of 30 counts, 3e-4 above 62
    met = np.bincount(some.ravel(), minlength=30)
    assert np.sum((met - 50) ** 2 / 50) < 62


def test_two_spins_have_no_third_moments():
    couplings = np.array([[0.0, 0.4], [0.4, 0.0]])
    found = goodness_of_fit(couplings, exact.draw(couplings, 400, np.zeros(2), seed=1))
    assert list(found.moments) == ["means", "correlations"]
    assert found.moments["correlations"]["observed"].shape == (1,)
    assert "third" not in found.verdict + found.summary()
    json.dumps(found.to_dict(), allow_nan=False)


def test_bad_input_is_named():
    spins = exact.draw(COUPLINGS, 50, FIELDS)
    broken = COUPLINGS.copy()
    broken[1, 2] = np.inf
    wrong = spins.copy()
    wrong[3, 4] = 0
    cases = [
        ((broken, spins), {}, r"couplings: entry \[1, 2\] is inf"),
        ((COUPLINGS, wrong), {}, "row 3, column 4"),
        ((COUPLINGS, spins[:, :5]), {}, r"expected shape \(n_rows, 8\)"),
        ((COUPLINGS, spins), {"fields": np.zeros(3)}, r"fields: expected shape \(8,\)"),
        ((COUPLINGS, spins), {"fields": np.full(N, np.nan)}, "fields: entry 0 is nan"),
        ((COUPLINGS, spins), {"chains": np.zeros(49)}, r"chains: expected shape \(50,\)"),
        ((COUPLINGS, spins[:5]), {}, "5 are too few; at least 16"),
        ((COUPLINGS, spins), {"n_triples": 0}, "n_triples must be at least 1"),
    ]
    for arguments, options, message in cases:
        with pytest.raises(ValueError, match=message):
            goodness_of_fit(*arguments, **options)


def test_a_potential_of_the_count_is_not_lost_in_silence():
    spins = exact.draw(COUPLINGS, 200, FIELDS, seed=1)
    model = CountModel.of(COUPLINGS, FIELDS, np.linspace(0.0, 1.0, N + 1) ** 3)
    fitted = KPairwise(errors=False).fit(spins)
    for judge in (goodness_of_fit, diagnose):
        for each in (model, fitted):
            with pytest.raises(
                InputError, match=f"{judge.__name__} takes pair models only, and this {type(each).__name__}"
            ):
                judge(each, spins)
    with pytest.raises(InputError, match="reverie fit --method population-count"):
        analyse(spins, method="population-count")


def test_a_check_that_does_not_say_its_effect_is_named():
    class Silent(ModelCheck):
        name = "third moments"

    samples = Samples.of(exact.draw(COUPLINGS, 100, FIELDS))
    with pytest.raises(NotImplementedError, match=r"Silent does not say how large its deviation is: write _effect\(\)"):
        Silent.run(SampledModel(COUPLINGS, FIELDS), samples, np.random.SeedSequence(0))


@pytest.mark.slow
def test_a_penalty_that_shrinks_all_pairs_is_not_taken_for_more_than_pairs(monkeypatch):
    # a thousand units with 3000 rows, a penalty of 3 and pairs only were said to miss energy and number of +1; single
    # pairs cannot show what the penalty took, the energy of all of them does
    monkeypatch.setattr("infer.diagnosis.draws.ROWS", 8_000)
    rng = np.random.default_rng(0)
    couplings = np.triu(np.where(rng.random((60, 60)) < 0.1, rng.normal(0.0, 0.15, (60, 60)), 0.0), 1)
    dynamics = Glauber(couplings + couplings.T, temperature=1.0, fields=np.full(60, -0.8))
    drawn = sample(dynamics, draws=400, chains=1, thin=3, burn_in=50, seed=2, check=False)
    rows = drawn["spins"].values[0]
    shrunk = goodness_of_fit(PseudoLikelihood(alpha=0.5, errors=False).fit(rows), rows)
    assert shrunk.fit.rms_z < 1.0
    assert shrunk.fit.shrunk
    assert not shrunk.fit.accepted
    assert "the penalty of the fit takes something from all pairs" in shrunk.verdict
    weaker = goodness_of_fit(PseudoLikelihood(alpha=0.1, errors=False).fit(rows), rows)
    assert weaker.fit.accepted
    assert weaker.fit.collective < shrunk.fit.collective / 1.5


@pytest.mark.parametrize("depth", [0.0, 500.0])
def test_the_stated_energies_hold_the_stated_share_of_rows(depth):
    # spins that always agree in twos lower all energies by the same amount, so that they need more digits
    tied = np.kron(np.eye(4), [[0.0, 1.0], [1.0, 0.0]])
    couplings = COUPLINGS + depth * tied
    states, weight = exact.all_states(N), exact.boltzmann(0.8 * COUPLINGS + depth * tied, FIELDS)
    spins = states[np.random.default_rng(0).choice(len(states), 2000, p=weight)].astype(np.int8)
    stated = goodness_of_fit(couplings, spins, fields=FIELDS).checks["energy"].effect
    energies = exact.energies(couplings, FIELDS)[exact.state_index(spins)]
    low, high = -np.inf, np.inf
    if found := re.match(r"energies between (\S+) and (\S+) in", stated):
        low, high = map(float, found.groups())
    elif found := re.match(r"energies (below|above) (\S+) in", stated):
        low, high = (low, float(found[2])) if found[1] == "below" else (float(found[2]), high)
    share = 100 * np.mean((energies > low) & (energies < high))
    # levels of energy may lie closer to an edge than its digits, in a few of the 2,000 rows
    assert float(re.search(r"in (\S+) % of the rows", stated)[1]) == pytest.approx(share, abs=0.3)
