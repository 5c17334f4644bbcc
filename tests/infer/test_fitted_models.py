"""Fitted models as values: shown without work, copied with all they need, true to their fit; data in any container."""

import copy
import dataclasses
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import infer
from infer import GaussianCouplings, MaximumLikelihood, MeanField, PseudoLikelihood, compare
from infer.samples import Samples
from simulate import PersistentGlauber, hebbian, random_patterns, sample, trajectory
from tests import exact

ROWS = exact.draw(exact.random_couplings(5, 0.7, np.random.default_rng(0)), 600, seed=0)
PATTERNS = random_patterns(2, 5, seed=1)
MODELS = [
    PseudoLikelihood(),
    PseudoLikelihood(symmetrisation="joint"),
    PseudoLikelihood("firth"),
    MaximumLikelihood(),
    MeanField(),
]
COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("model", [*MODELS, GaussianCouplings()], ids=repr)
def test_showing_a_fitted_model_computes_nothing(model, monkeypatch):
    """A repr, its HTML and the completion of names visit every property: scikit-learn 1.9 and notebooks do so."""
    fitted = copy.deepcopy(model).fit(ROWS.astype(float) if isinstance(model, GaussianCouplings) else ROWS)
    before = set(vars(fitted))

    def refuse(*_, **__):
        raise AssertionError("a matrix was solved while a model was shown")

    for name in ("inv", "solve", "eigh", "cholesky", "pinv"):
        monkeypatch.setattr(np.linalg, name, refuse)
    for name in ("of", "spins", "moments"):
        monkeypatch.setattr(Samples, name, property(refuse) if name == "spins" else refuse)
    for name in dir(fitted):
        if not name.startswith("_"):
            getattr(fitted, name, None)
    assert len(repr(fitted)) < 1000
    assert "<" in fitted._repr_html_()
    assert set(vars(fitted)) == before


@pytest.mark.parametrize("name", infer.__all__)
def test_results_with_arrays_have_reprs_of_their_own(name):
    """Those that dataclasses make print all arrays: `Similarity` took 17,000 characters."""
    public = getattr(infer, name)
    if not dataclasses.is_dataclass(public) or name == "Fit":  # what a solver hands on
        return
    arrays = [field.name for field in dataclasses.fields(public) if "rray" in str(field.type)]
    assert not arrays or not hasattr(public.__repr__, "__wrapped__")  # as theirs has


def test_results_are_shown_in_a_line():
    rng = np.random.default_rng(2)
    patterns = random_patterns(3, 20, seed=1)
    rows = exact.draw(exact.random_couplings(5, 0.7, rng), 300, seed=0)
    model = infer.PairModel.of(hebbian(patterns))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = compare(model.couplings, patterns, n_null=20, seed=0)
    path = infer.penalty_path(PseudoLikelihood("l1"), rows, [0.1, 0.01])
    assert repr(found) == f"Similarity({found.verdict!r})"
    assert repr(model) == "PairModel(couplings=<float64 20x20>, fields=<float64 20>)"
    assert "couplings=<float64 2x5x5>" in repr(path)
    assert all(len(repr(each)) < 600 for each in (found, model, path))


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_what_a_model_needs_goes_with_it(model, how):
    fitted = copy.deepcopy(model).fit(ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = compare(fitted, PATTERNS, n_null=20, seed=0)
        found = compare(COPIES[how](fitted), PATTERNS, n_null=20, seed=0)
    assert found.best_rate == expected.best_rate
    assert found.best_rate_interval == expected.best_rate_interval
    assert np.isfinite(found.best_rate_interval).any()


@pytest.mark.parametrize("model", MODELS[:4], ids=repr)
def test_errors_belong_to_the_fit(model):
    """Not to parameters that are set later, nor to what a buffer of the user holds later."""
    buffer = ROWS.copy()
    fitted = copy.deepcopy(model).fit(buffer)
    expected = copy.deepcopy(model).fit(ROWS).couplings_std_.copy()
    fitted.set_params(alpha=1.0)
    buffer[:] = 1
    np.testing.assert_array_equal(fitted.couplings_std_, expected)


# --- containers and labels


def samples_of_two_chains():
    return sample(PersistentGlauber(hebbian(PATTERNS), 1.0, 0.5), 100, chains=2, burn_in=10, seed=0, check=False)


def test_parts_of_samples_go_in():
    data = samples_of_two_chains()
    one = data.sel(chain=0)
    found, of_array, of_rows = (
        PseudoLikelihood(fit_fields=False).fit(X).couplings_ for X in (one, one["spins"], data["spins"].values[0])
    )
    np.testing.assert_array_equal(of_array, found)
    np.testing.assert_array_equal(of_rows, found)
    path = trajectory(PersistentGlauber(hebbian(PATTERNS), 1.0, 0.5), 200, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rows that differ by one update are slow
        assert PseudoLikelihood(constant="field").fit(path).couplings_.shape == (5, 5)


@pytest.mark.parametrize("kind", ["Dataset", "DataFrame"])
def test_spins_in_another_order_are_not_scored(kind):
    names = list("abcde")
    rows = xr.Dataset({"spins": (("draw", "spin"), ROWS)}, {"spin": names})
    rows = rows if kind == "Dataset" else pd.DataFrame(ROWS, columns=names)
    model = PseudoLikelihood().fit(rows)
    order = names[::-1]
    other = rows.sel(spin=order) if kind == "Dataset" else rows[order]
    with pytest.raises(ValueError, match=r"order|names"):
        model.score(other)


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="this numpy has no StringDType")
def test_names_of_any_string_type_survive():
    names = np.array(["ab", "a long name", "c", "d", "é"], dtype=np.dtypes.StringDType())
    model = PseudoLikelihood().fit(pd.DataFrame(ROWS, columns=names))
    assert list(model.feature_names_in_) == ["ab", "a long name", "c", "d", "é"]
    assert Samples.of(ROWS, names=names).names == ("ab", "a long name", "c", "d", "é")


def test_masks_are_honoured_or_refused():
    values = np.ma.array(ROWS, mask=np.zeros(ROWS.shape, dtype=bool))
    values[3, 2] = np.ma.masked
    with pytest.raises(ValueError, match="mask"):
        PseudoLikelihood().fit(values)
    plain = ROWS.astype(float)
    plain[3, 2] = np.nan
    found = PseudoLikelihood(missing="mask").fit(values).couplings_
    np.testing.assert_array_equal(found, PseudoLikelihood(missing="mask").fit(plain).couplings_)


def test_warnings_point_to_the_line_of_the_user_once():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        PseudoLikelihood(alpha=0.0, max_iter=1).fit(ROWS)
    assert len(caught) == 1
    assert caught[0].filename == __file__
