"""Arrays and files of the user stay as they are, byte for byte, and memory maps give what the plain array gives."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from typer.testing import CliRunner

from infer import (
    ContinuousDreamingModel,
    DreamingModel,
    GaussianCouplings,
    InteractionScreening,
    KineticCouplings,
    MaximumLikelihood,
    MeanField,
    MinimumProbabilityFlow,
    PseudoLikelihood,
    ScoreMatching,
    analyse,
    compare,
    data_correlations,
    diagnose,
    write_report,
)
from infer.cli.commands import app
from tests import exact

N_ROWS, N_SPINS = 400, 5
PATTERNS = np.array([[1, 1, -1, 1, -1], [1, -1, 1, 1, 1]], dtype=np.int8)
SPIN_ESTIMATORS = [
    PseudoLikelihood(),
    PseudoLikelihood("l1", 0.05),
    PseudoLikelihood("firth"),
    PseudoLikelihood(symmetrisation="joint"),
    PseudoLikelihood(missing="mask"),
    InteractionScreening(),
    MinimumProbabilityFlow(),
    MaximumLikelihood("exact"),
    MeanField(),
    KineticCouplings(),
    DreamingModel(PATTERNS),
]
UNIT_ESTIMATORS = [
    GaussianCouplings(),
    ScoreMatching(quartic=False),
    ContinuousDreamingModel(PATTERNS, method="gaussian"),
    ContinuousDreamingModel(PATTERNS, method="score-matching"),
]
MODES = ["r", "r+", "w+", "c"]


def some_spins():
    rng = np.random.default_rng(5)
    return exact.draw(exact.random_couplings(N_SPINS, 0.7, rng), N_ROWS, rng.normal(0, 0.1, N_SPINS), seed=rng)


def mapped(folder, values, mode):
    """A memory map that shows these values; with "c" they are edits, which are in memory only."""
    path = folder / "values.npy"
    if mode == "w+":
        array = np.lib.format.open_memmap(path, mode="w+", dtype=values.dtype, shape=values.shape)
        array[:] = values
        return array
    np.save(path, (values + 1) // 2 if mode == "c" else values)
    array = np.load(path, mmap_mode=mode)
    if mode == "c":
        array *= 2
        array -= 1
    return array


def in_disguise(array):
    """The map itself, and the ways in which views of it come."""
    return {"itself": array, "plain view": np.asarray(array), "view of a view": np.asarray(array)[:][:]}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("estimator", SPIN_ESTIMATORS + UNIT_ESTIMATORS, ids=repr)
def test_memory_maps_are_left_as_they_are(estimator, mode, tmp_path):
    values = some_spins()
    if estimator in UNIT_ESTIMATORS:  # whole numbers, so that edits are exact
        values = np.rint(100 * (values + np.random.default_rng(6).normal(size=values.shape))) * 2.0 + 1.0
    array = mapped(tmp_path, values, mode)
    stored = (tmp_path / "values.npy").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how well the fit went is not the question here
        expected = clone(estimator).fit(values)
        for view in in_disguise(array).values():
            found = clone(estimator).fit(view)
            np.testing.assert_array_equal(array, values)
            assert found.score(view) == expected.score(values)
            np.testing.assert_array_equal(array, values)
            np.testing.assert_array_equal(found.couplings_, expected.couplings_)
    assert (tmp_path / "values.npy").read_bytes() == stored


@pytest.mark.parametrize("mode", MODES)
def test_scores_comparisons_and_verdicts_leave_maps_as_they_are(mode, tmp_path):
    spins = some_spins()
    array = mapped(tmp_path, spins, mode)
    model = PseudoLikelihood().fit(array)
    model.score_samples(array)
    compare(model, correlations=data_correlations(array), n_null=20, seed=1)
    patterns = PATTERNS.copy()
    compare(model, patterns, n_null=20, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        diagnose(model, array, seed=1)
    np.testing.assert_array_equal(array, spins)
    np.testing.assert_array_equal(patterns, PATTERNS)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["r", pytest.param("r+", marks=pytest.mark.validation), "c"])
def test_reports_leave_maps_as_they_are(mode, tmp_path):
    spins = some_spins()
    array = mapped(tmp_path, spins, mode)
    stored = (tmp_path / "values.npy").read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = analyse(array, PATTERNS, seed=1)
    np.testing.assert_array_equal(array, spins)
    write_report(found, tmp_path / "report.html")
    np.testing.assert_array_equal(array, spins)
    assert (tmp_path / "values.npy").read_bytes() == stored


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fit", "report"])
def test_commands_leave_files_as_they_are(command, tmp_path):
    np.save(tmp_path / "rows.npy", some_spins())
    (tmp_path / "rows.npy").chmod(0o400)
    before = (tmp_path / "rows.npy").read_bytes(), (tmp_path / "rows.npy").stat().st_mtime_ns
    output = tmp_path / ("o.nc" if command == "fit" else "o.html")
    result = CliRunner().invoke(app, [command, str(tmp_path / "rows.npy"), "--output", str(output), "--no-progress"])
    assert result.exit_code == 0, result.output
    assert ((tmp_path / "rows.npy").read_bytes(), (tmp_path / "rows.npy").stat().st_mtime_ns) == before
    written = {"o.nc"} if command == "fit" else {"o.html", "o.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"rows.npy", *written}


@pytest.mark.parametrize("estimator", SPIN_ESTIMATORS, ids=repr)
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_arrays_and_weights_are_left_as_they_are(estimator, order):
    spins = some_spins()
    array = np.repeat(spins, 2, axis=1)[:, ::2] if order == "strided" else np.array(spins, order=order)
    weights = np.random.default_rng(7).integers(1, 4, N_ROWS)
    array.setflags(write=False)
    kept, counts = array.tobytes(), weights.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = clone(estimator).fit(array, sample_weight=weights)
        found.score(array, sample_weight=weights)
    assert array.tobytes() == kept
    np.testing.assert_array_equal(weights, counts)
