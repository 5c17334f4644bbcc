"""Random calls of the public interface: the result of the plain array, or one clear error; inputs stay as they were.

`python -m pytest -m validation tests/test_random_calls.py` makes 1000 calls.
"""

import os
import tempfile
import warnings
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infer import (
    DreamingModel,
    GaussianCouplings,
    InteractionScreening,
    MaximumLikelihood,
    MeanField,
    MinimumProbabilityFlow,
    PairModel,
    PseudoLikelihood,
    Samples,
    ScoreMatching,
    compare,
    log_partition,
)
from infer.samples import is_dask
from simulate import Glauber, hebbian, random_patterns, sample
from tests import exact

N_SPINS = 4
COUPLINGS = exact.random_couplings(N_SPINS, 0.5, 0)
PATTERNS = random_patterns(2, 5, seed=1)[:, :N_SPINS]
ESTIMATORS = [
    PseudoLikelihood(),
    PseudoLikelihood("l1", 0.02, errors=False),
    PseudoLikelihood(symmetrisation="joint", alpha=0.1),
    MeanField("tap", shrinkage=0.1),
    MinimumProbabilityFlow(),
    MaximumLikelihood("exact"),
    InteractionScreening(),
    DreamingModel(random_patterns(2, 5, seed=0)[:, :N_SPINS]),
    GaussianCouplings(0.1),
    ScoreMatching(quartic=False, alpha=0.1),
]
DTYPES = [
    "int8",
    "int16",
    "int64",
    "float32",
    "float64",
    "uint8",
    "bool",
    "object",
    "complex128",
    "U2",
    ">i4",
    "float16",
]
#: Types that hold -1 and +1, of which every array must be accepted.
NUMBERS = {"int8", "int16", "int64", "float32", "float64", ">i4", "float16"}
ERRORS = (ValueError, TypeError)


@cache
def plain_rows(seed, n_rows):
    return exact.draw(COUPLINGS, n_rows, np.zeros(N_SPINS), seed=np.random.default_rng(seed)).astype(np.float64)


ORDERS = {
    "C": np.ascontiguousarray,
    "F": np.asfortranarray,
    "every second row of another": lambda a: np.repeat(a, 2, axis=0)[::2],
    "backwards": lambda a: np.ascontiguousarray(a[::-1])[::-1],
    "columns of another": lambda a: np.concatenate([a, a], axis=1)[:, : a.shape[1]],
    "read-only": lambda a: _read_only(a.copy()),
    "map to copy": partial(lambda mode, a: _mapped(a, mode), "c"),
    "map to read": partial(lambda mode, a: _mapped(a, mode), "r"),
    "map to write": partial(lambda mode, a: _mapped(a, mode), "r+"),
}


def _read_only(array):
    array.flags.writeable = False
    return array


def _mapped(array, mode):
    if array.dtype.hasobject:
        return array
    handle, path = tempfile.mkstemp(suffix=".npy")
    os.close(handle)
    np.save(path, array)
    found = np.load(path, mmap_mode=mode if array.size else None)
    os.unlink(path)  # the map keeps the file
    return found


def _chains(array):
    if array.ndim != 2 or len(array) % 2:
        return array
    return xr.Dataset({"spins": (("chain", "draw", "spin"), array.reshape(2, -1, array.shape[1]))})


def _frame(array):
    return pd.DataFrame(array) if array.ndim == 2 else array


def _dask(array):
    dask = pytest.importorskip("dask.array")
    return array if array.dtype.hasobject or not array.size else dask.from_array(array, chunks=7)


HOLDERS = {
    "array": lambda a: a,
    "list": lambda a: a.tolist(),
    "frame": _frame,
    "array with names": lambda a: xr.DataArray(a),
    "chains": _chains,
    "masked array": np.ma.asarray,
    "dask array": _dask,
    "samples": lambda a: Samples.of(a),
}
FAULTS = {
    "one dimension": lambda a: a[:, 0],
    "three dimensions": lambda a: a[None],
    "no rows": lambda a: a[:0],
    "one row": lambda a: a[:1],
    "one column": lambda a: a[:, :1],
    "another value": lambda a: np.where(np.arange(a.size).reshape(a.shape) == 5, 3.0, a),
    "infinity": lambda a: np.where(np.arange(a.size).reshape(a.shape) == 5, np.inf, a),
    "a constant column": lambda a: np.where(np.arange(a.shape[1]) == 1, 1.0, a),
}
WEIGHTS = {
    "none": lambda n, rng: None,
    "ones": lambda n, rng: np.ones(n, dtype=np.int32),
    "counts": lambda n, rng: rng.integers(0, 4, n),
    "shares": lambda n, rng: rng.random(n).astype(np.float32),
    "read-only": lambda n, rng: _read_only(rng.random(n)),
    "backwards": lambda n, rng: rng.random(n)[::-1],
    "list": lambda n, rng: rng.random(n).tolist(),
    "too few": lambda n, rng: np.ones(max(n - 1, 0)),
    "negative": lambda n, rng: -np.ones(n),
    "nan": lambda n, rng: np.full(n, np.nan),
    "zero": lambda n, rng: np.zeros(n),
    "a matrix": lambda n, rng: np.ones((n, 2)),
    "text": lambda n, rng: np.full(n, "many"),
}
BAD_WEIGHTS = {"too few", "negative", "nan", "zero", "a matrix", "text"}


@dataclass(frozen=True)
class Call:
    estimator: int
    seed: int
    n_rows: int
    dtype: str
    order: str
    holder: str
    weights: str
    missing: str
    fault: str | None


calls = st.builds(
    Call,
    st.integers(0, len(ESTIMATORS) - 1),
    st.integers(0, 3),
    st.sampled_from([40, 60]),
    st.sampled_from(DTYPES),
    st.sampled_from(sorted(ORDERS)),
    st.sampled_from(sorted(HOLDERS)),
    st.sampled_from(sorted(WEIGHTS)),
    st.sampled_from(["none", "none", "none", "nan", "zero", "mask"]),
    st.sampled_from([None, None, None, *sorted(FAULTS)]),
)


def frozen(value):
    """The bytes of all that a value holds."""
    if value is None:
        return None
    if is_dask(value):  # made of an array that is looked at itself
        return None
    if isinstance(value, np.ma.MaskedArray):
        return frozen(value.data), np.ma.getmaskarray(value).tobytes()
    if isinstance(value, xr.Dataset):
        return frozen(value["spins"].values)
    if isinstance(value, Samples):
        return frozen(value.values)
    array = np.asarray(value)
    return array.dtype.str, array.shape, repr(array.tolist()) if array.dtype.hasobject else array.tobytes()


def as_numbers(array):
    """The plain array of the same numbers; None where it holds no real numbers."""
    if array.dtype.kind in "cU":
        return None
    return np.array(array, dtype=np.float64)


def outcome(function):
    """What a function returns, or the error that it raises; any but those of bad input are faults of the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of convergence and constant spins
        try:
            return function(), None
        except ERRORS as raised:
            error = raised
    if not str(error).strip():
        pytest.fail(f"{type(error).__name__} without a message")
    return None, error


def numbers_of(model, X):
    found = [model.couplings_, model.score(X)]
    for name in ("fields_", "couplings_std_", "rate_", "rate_std_"):
        found.append(getattr(model, name, 0.0))
    return [np.asarray(value, dtype=np.float64) for value in found]


def check_fit(call: Call) -> None:
    rng = np.random.default_rng(call.seed)
    values = plain_rows(call.seed, call.n_rows).copy()
    estimator = ESTIMATORS[call.estimator]
    gaps = rng.random(values.shape) < 0.05
    settings_of: dict[str, Any] = {}
    if call.missing != "none" and "missing" in estimator.get_params() and call.seed % 2:
        settings_of["missing"] = "mask"
    if call.fault is not None:
        values = FAULTS[call.fault](values)
        gaps = np.zeros(values.shape, dtype=bool) if values.shape != gaps.shape else gaps
    if call.missing in ("nan", "zero"):
        values = np.where(gaps, np.nan if call.missing == "nan" else 0.0, values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            given_values = ORDERS[call.order](values.astype(call.dtype))
        except (ValueError, TypeError):
            return  # numpy holds no such values
        plain = as_numbers(given_values)
        if plain is not None and call.missing == "mask":
            given_values = np.ma.array(given_values, mask=gaps)
            plain = np.where(gaps, np.nan, plain)
        if plain is not None and call.missing == "zero" and settings_of:  # 0 is a missing value
            plain = np.where(plain == 0, np.nan, plain)
    weights = WEIGHTS[call.weights](len(values) if values.ndim else 0, rng)
    X, error = outcome(lambda: HOLDERS[call.holder](given_values))
    if error is not None:
        return
    before = frozen(X), frozen(given_values), frozen(weights)

    def fit(rows, weight):
        from sklearn.base import clone

        model = clone(estimator).set_params(**settings_of)
        return numbers_of(model.fit(rows, sample_weight=weight), rows)

    found, error = outcome(lambda: fit(X, weights))
    assert (frozen(X), frozen(given_values), frozen(weights)) == before, "the input has changed"
    chains = call.holder == "chains" and isinstance(X, xr.Dataset)
    if plain is None and call.holder == "frame" and call.dtype.startswith("U"):
        # scikit-learn reads the text of a frame as numbers, where it is numbers
        plain, _ = outcome(lambda: given_values.astype(np.float64))
    if plain is None:
        assert found is None, "numbers in another form were accepted"
        return
    usual, expected_error = outcome(
        lambda: fit(_chains(plain) if chains else plain, None if weights is None else np.asarray(weights))
    )
    if found is not None:
        assert usual is not None, f"accepted, while the plain array is refused: {expected_error}"
        for one, other in zip(found, usual, strict=True):  # solvers stop at a small gradient: 8e-9 apart in blocks
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7, equal_nan=True)
        assert call.weights not in BAD_WEIGHTS
    elif call.dtype in NUMBERS and call.missing == "none" and call.holder in ("array", "list", "frame", "masked array"):
        assert usual is None, f"refused, while the plain array is accepted: {error}"


COUPLED = {
    "pair model": lambda J: PairModel.of(J).energies(plain_rows(0, 40)),
    "partition": lambda J: log_partition(J).value,
    "comparison": lambda J: compare(J, PATTERNS, seed=0).at_hebbian["cosine"],
    "samples": lambda J: sample(Glauber(J, 1.5), 5, chains=2, burn_in=3, seed=0, check=False)["spins"].values,
    "score": lambda J: PairModel.of(J).log_pseudolikelihood(plain_rows(1, 40)),
}
COUPLING_FAULTS = {
    "not square": lambda J: J[:, :2],
    "one dimension": lambda J: J[0],
    "nan": lambda J: np.where(np.eye(N_SPINS)[::-1] > 0, np.nan, J),
    "asymmetric": lambda J: np.triu(J),
    "empty": lambda J: J[:0, :0],
}


def check_couplings(function: str, dtype: str, order: str, fault: str | None) -> None:
    plain = hebbian(PATTERNS) if dtype in ("float32", "float16") else np.round(2 * COUPLINGS)
    if fault is not None:
        plain = COUPLING_FAULTS[fault](plain)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            given_matrix = ORDERS[order](plain.astype(dtype)) if plain.ndim == 2 else plain.astype(dtype)
        except (ValueError, TypeError, IndexError):
            return
    before = frozen(given_matrix)
    found, error = outcome(lambda: COUPLED[function](given_matrix))
    assert frozen(given_matrix) == before, "the input has changed"
    held = as_numbers(given_matrix)
    if held is None:
        assert found is None, "numbers in another form were accepted"
        return
    usual, _ = outcome(lambda: COUPLED[function](held))
    if found is not None:
        assert usual is not None
        np.testing.assert_allclose(found, usual, rtol=1e-6)
    elif dtype in NUMBERS:
        assert usual is None, f"refused, while the plain matrix is accepted: {error}"


QUIET = dict.fromkeys(["deadline"], None) | {"suppress_health_check": list(HealthCheck), "derandomize": True}
matrices = (st.sampled_from(sorted(COUPLED)), st.sampled_from(DTYPES), st.sampled_from(sorted(ORDERS)))
matrix_faults = st.sampled_from([None, None, *sorted(COUPLING_FAULTS)])


@pytest.mark.filterwarnings("error")
def test_masks_of_dask_blocks_and_complex_couplings():
    """Found by the random calls: masks of blocks were passed over, and imaginary parts thrown away."""
    dask = pytest.importorskip("dask.array")
    values = np.ma.array(plain_rows(0, 40), mask=np.arange(160).reshape(40, 4) == 5)
    with pytest.raises(ValueError, match="row 1, column 1 of X is NaN"):
        PseudoLikelihood().fit(dask.from_array(values, chunks=7))
    with pytest.raises(ValueError, match="couplings are complex numbers"):
        Glauber(COUPLINGS.astype(complex), 1.0)
    with pytest.raises(ValueError, match="couplings must be a matrix of numbers"):
        Glauber(np.sign(COUPLINGS).astype(int).astype("U2"), 1.0)


@pytest.mark.slow
@settings(max_examples=40, **QUIET)
@given(calls)
def test_random_fits(call):
    check_fit(call)


@settings(max_examples=20, **QUIET)
@given(*matrices, matrix_faults)
def test_random_couplings(function, dtype, order, fault):
    check_couplings(function, dtype, order, fault)


@pytest.mark.validation
@settings(max_examples=750, **QUIET)
@given(calls)
def test_many_random_fits(call):
    check_fit(call)


@pytest.mark.validation
@settings(max_examples=250, **QUIET)
@given(*matrices, matrix_faults)
def test_many_random_couplings(function, dtype, order, fault):
    check_couplings(function, dtype, order, fault)
