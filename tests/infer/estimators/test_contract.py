"""What holds for every estimator: scikit-learn's contract, weights, tools, and no failure without a word.

`DreamingModel` takes patterns that fix the number of columns of X, while scikit-learn's checks fit data of many widths:
they do not apply to it, and what can be checked stands in its own tests.
"""

import pickle
import unittest
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from infer import (
    GaussianCouplings,
    InteractionScreening,
    MaximumLikelihood,
    MeanField,
    MinimumProbabilityFlow,
    PseudoLikelihood,
    ScoreMatching,
)
from infer.estimators.mean_field import METHODS
from tests import exact

BATTERY = [
    PseudoLikelihood(threshold=0.0, alpha=0.0, fit_fields=False),
    PseudoLikelihood("l1", 0.1, threshold=0.0, fit_fields=True),
    PseudoLikelihood("firth", threshold=0.0, fit_fields=False),
    PseudoLikelihood(symmetrisation="joint", threshold=0.0, alpha=0.0, fit_fields=False),
    InteractionScreening(threshold=0.0, fit_fields=False),
    InteractionScreening("logrise", alpha=0.1, threshold=0.0, fit_fields=False),
    MinimumProbabilityFlow(threshold=0.0, alpha=0.0, fit_fields=False),
    MinimumProbabilityFlow(0.1, threshold=0.0, fit_fields=False),
    MaximumLikelihood(threshold=0.0, alpha=0.0, fit_fields=False),
    MaximumLikelihood("pcd", 0.1, max_iter=2, tol=0.5, threshold=0.0, fit_fields=False),
    MeanField(threshold=0.0),
    MeanField("tap", shrinkage=0.1, threshold=0.0),
    GaussianCouplings(0.1),
    GaussianCouplings("ledoit-wolf", fit_fields=False),
    ScoreMatching(quartic=False, alpha=0.1),
    GaussianCouplings(),
    ScoreMatching(quartic=False),
    ScoreMatching(),
    ScoreMatching(alpha=0.1),
]


def expected_failures(estimator):
    """The two checks whose data determine no couplings, which is an error that says so; with shrinkage they pass."""
    failures = {}
    if not isinstance(estimator, GaussianCouplings | ScoreMatching):
        return failures
    if getattr(estimator, "shrinkage", None) is None and not getattr(estimator, "alpha", 0.0):
        few = "fits fewer rows than units: the covariance has no inverse"
        failures |= {"check_sample_weight_equivalence_on_dense_data": few, "check_array_api_input": few}
    return failures


# their few rows have constant columns, and quartic terms of uniformly distributed values are what they are
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(BATTERY, expected_failed_checks=expected_failures)
def test_scikit_learn_checks(estimator, check, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # without it one check leaves itself out
    try:
        check(estimator)
    except unittest.SkipTest as skipped:
        pytest.fail(f"left out: {skipped}")


def name_of(check):
    return getattr(check, "func", check).__name__


@pytest.mark.parametrize("estimator", BATTERY, ids=repr)
def test_every_check_is_run(estimator):
    """All checks there are go into the test above, and those expected to fail, which is strict, are among them.

    It counts what is collected, not what has run: one process of several runs only some of the tests.
    """
    there_are = [name_of(check) for _, check in estimator_checks_generator(estimator)]
    marks = test_scikit_learn_checks.pytestmark
    (parameters,) = [mark for mark in marks if mark.name == "parametrize"]
    if not isinstance(parameters.args[1], list):
        pytest.skip("this scikit-learn gives pytest a generator, which is used up by now")
    collected, failing = [], set()
    for value in parameters.args[1]:
        values = getattr(value, "values", value)
        if repr(values[0]) == repr(estimator):
            collected.append(name_of(values[1]))
            failing |= {collected[-1] for mark in getattr(value, "marks", ()) if mark.name == "xfail"}
            assert not [mark for mark in getattr(value, "marks", ()) if mark.name.startswith("skip")]
    assert len(there_are) >= 40
    assert sorted(collected) == sorted(there_are)
    assert failing == set(expected_failures(estimator))


def test_every_class_passes_every_check_in_one_setting_or_another():
    complete = {type(estimator) for estimator in BATTERY if not expected_failures(estimator)}
    assert complete == {type(estimator) for estimator in BATTERY}


SPIN_ESTIMATORS = [
    PseudoLikelihood(fit_fields=True, alpha=0.0),
    PseudoLikelihood(alpha=0.02, fit_fields=False),
    PseudoLikelihood("l1", 0.05, fit_fields=False),
    PseudoLikelihood("elasticnet", 0.05, fit_fields=False),
    PseudoLikelihood("firth", fit_fields=False),
    PseudoLikelihood(symmetrisation="joint", alpha=0.0, fit_fields=False),
    InteractionScreening(fit_fields=False),
    InteractionScreening("logrise", fit_fields=False),
    InteractionScreening(alpha=0.0, fit_fields=False),
    InteractionScreening("logrise", alpha=0.0, fit_fields=False),
    MinimumProbabilityFlow(alpha=0.0, fit_fields=False),
    MinimumProbabilityFlow(0.02, fit_fields=False),
    MaximumLikelihood("exact", alpha=0.0, fit_fields=False),
    MaximumLikelihood("exact", 0.02, fit_fields=False),
    MaximumLikelihood("pcd", n_chains=50, alpha=0.0, fit_fields=False),
    *[MeanField(method) for method in METHODS],
    MeanField(shrinkage=0.1),
]
NAMES = [repr(estimator) for estimator in SPIN_ESTIMATORS]
every_spin_estimator = pytest.mark.parametrize("estimator", SPIN_ESTIMATORS, ids=NAMES)


def some_spins(n_rows=600, n_spins=6, seed=0):
    rng = np.random.default_rng(seed)
    return exact.draw(exact.random_couplings(n_spins, 0.7, rng), n_rows, rng.normal(0, 0.1, n_spins), seed=rng)


@pytest.mark.slow
@every_spin_estimator
def test_weights_count_rows_and_equal_rows_are_collapsed(estimator):
    spins = some_spins()
    counts = np.random.default_rng(1).integers(0, 4, len(spins))
    repeated = np.repeat(spins, counts, axis=0)
    states, numbers = np.unique(repeated, axis=0, return_counts=True)
    by_weight = clone(estimator).fit(spins, sample_weight=counts)
    by_states = clone(estimator).fit(states, sample_weight=numbers)
    shuffled = np.random.default_rng(2).permutation(repeated)
    by_rows = clone(estimator).fit(shuffled)
    # chains of "pcd" start from rows in their order, so that only the noise of a fit stays the same
    tolerance = 0.1 if getattr(estimator, "method", "") == "pcd" else 2e-5
    for found in (by_weight, by_states):
        np.testing.assert_allclose(found.couplings_, by_rows.couplings_, atol=tolerance)
        np.testing.assert_allclose(found.fields_, by_rows.fields_, atol=tolerance)
    assert by_weight.score(spins, sample_weight=counts) == pytest.approx(by_weight.score(repeated))


@every_spin_estimator
def test_goes_with_pipelines_searches_clones_and_pickles(estimator):
    spins = some_spins()
    values = spins * 0.5 + 3.0
    flow = Pipeline([("centre", FunctionTransformer(lambda X: X - 3.0)), ("couplings", clone(estimator))])
    flow.set_params(couplings__threshold=0.0).fit(values)
    alone = clone(estimator).fit(spins)
    np.testing.assert_array_equal(flow["couplings"].couplings_, alone.couplings_)
    assert flow.score(values) == pytest.approx(alone.score(spins))
    grid = {"alpha": [0.01, 0.1]} if hasattr(estimator, "alpha") else {"shrinkage": [0.01, 0.1]}
    if getattr(estimator, "method", "") != "pcd":  # slow, and no other than the rest
        search = GridSearchCV(clone(estimator), grid, cv=KFold(2)).fit(spins)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        assert search.score(spins) < 0
    restored = pickle.loads(pickle.dumps(alone))
    np.testing.assert_array_equal(restored.couplings_, alone.couplings_)
    assert restored.score(spins) == alone.score(spins)
    assert alone.couplings_.shape == (6, 6)
    assert alone.fields_.shape == (6,)
    assert np.all(alone.couplings_ == alone.couplings_.T)
    assert not np.diag(alone.couplings_).any()
    assert isinstance(alone.n_iter_, int)
    assert isinstance(alone.converged_, bool)


def difficult(kind):
    """Samples that do not determine all couplings."""
    rng = np.random.default_rng(3)
    if kind == "all rows equal":
        return np.ones((20, 4), dtype=np.int8)
    if kind == "fewer rows than spins":
        return rng.choice([-1, 1], size=(9, 12))
    spins = rng.choice([-1, 1], size=(300, 5))
    if kind == "constant column":
        spins[:, 2] = -1
    if kind == "repeated column":
        spins[:, 4] = spins[:, 1]
    if kind == "opposite columns":
        spins[:, 3] = -spins[:, 0]
    if kind == "separable":
        spins[:, 4] = np.sign(spins[:, :3].sum(axis=1))
    return spins


KINDS = [
    "all rows equal",
    "constant column",
    "repeated column",
    "opposite columns",
    "fewer rows than spins",
    "separable",
]


def has_an_answer(estimator, kind):
    """Whether the estimator's couplings are finite and unique for these samples, so that there is nothing to say."""
    if kind in ("all rows equal", "constant column"):
        return False
    if isinstance(estimator, MeanField):
        # a matrix or a pair of spins that has no inverse or lacks a state; copies have one when shrunk
        return estimator.shrinkage is not None or kind == "separable"
    if getattr(estimator, "penalty", "") == "firth":
        return kind == "separable"
    if isinstance(estimator, InteractionScreening):
        # the default penalty keeps sums finite, their logarithm not always
        return estimator.alpha is None and estimator.objective == "rise"
    return bool(estimator.alpha)


@pytest.mark.slow
@every_spin_estimator
@pytest.mark.parametrize("kind", KINDS)
def test_no_failure_without_a_word(estimator, kind):
    """Finite couplings, or a warning or error that says what to do; never one without the other."""
    spins = difficult(kind)
    before = spins.copy()
    model = clone(estimator)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(spins)
        except ValueError as error:
            said, refused = [str(error)], True
        else:
            said, refused = [str(w.message) for w in caught], False
    assert all(issubclass(w.category, ConvergenceWarning) for w in caught)
    np.testing.assert_array_equal(spins, before)
    if not refused:
        assert np.isfinite(model.couplings_).all()
        assert np.isfinite(model.fields_).all()
        assert model.converged_ or said
    remedies = ("pass ", "raise ", "give more", "drop these columns", "take ", "use ")
    assert all(any(remedy in text for remedy in remedies) for text in said)
    if has_an_answer(estimator, kind):
        assert not said
    elif not (isinstance(estimator, InteractionScreening) and estimator.alpha is None):
        assert said
