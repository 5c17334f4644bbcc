"""The command line: exit status, one line for bad input, atomic output files."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from threadpoolctl import threadpool_info, threadpool_limits
from typer.testing import CliRunner

from infer import KineticCouplings
from infer.cli.commands import app
from infer.cli.simulate import DYNAMICS
from infer.fits import ARRAYS, write_similarity
from infer.recordings.recording import read_recording
from simulate import random_patterns

REVERIE = Path(sys.executable).with_name("reverie")
COMMANDS = ("simulate", "fit", "compare", "report", "sweep", "demo")
SMALL = ("--n-spins", 12, "--n-patterns", 3, "--draws", 300, "--chains", 2, "--burn-in", 50, "--temperature", 1.5)


def run(*arguments: Any) -> Any:
    """The result of a command that runs in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def succeed(*arguments: Any) -> Any:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refuse(*arguments: Any, status: int = 1) -> str:
    """The one line that a command writes when its input is bad."""
    result = run(*arguments)
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.endswith("\n")
    assert result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("samples") / "samples.nc"
    succeed("simulate", "--output", path, *SMALL, "--seed", 3, "--n-jobs", 1)
    return path


@pytest.fixture(scope="module")
def fitted(samples: Path) -> Path:
    path = samples.with_name("fit.nc")
    succeed("fit", samples, "--output", path, "--n-jobs", 1)
    return path


@pytest.fixture(scope="module")
def analysis(samples: Path) -> Any:
    from infer.report.analysis import analyse

    return analyse(read_recording(samples), seed=0)


# --- help and usage


@pytest.mark.parametrize("command", COMMANDS)
def test_help(command: str) -> None:
    text = succeed(command, "--help").stdout
    for option in ("--help", "--seed", "--n-jobs", "--progress", "--output"):
        assert option in text


def test_the_list_of_commands_has_whole_sentences() -> None:
    text = succeed("--help").stdout.partition("Commands")[2]
    assert text
    assert "..." not in text
    assert "fit, compare, report." in " ".join(text.split())


def test_help_and_version_without_heavy_imports() -> None:
    assert all(command in succeed("--help").stdout for command in COMMANDS)
    assert succeed("--version").stdout.startswith("reverie ")
    code = "import sys, infer.cli.commands; print(sorted({'numba', 'numpy', 'arviz', 'matplotlib'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("fit",),
        ("fit", "data.npy"),
        ("fit", "data.npy", "--output", "fit.nc", "--nonsense"),
        ("fit", "data.npy", "--output", "fit.nc", "--method", "guess"),
        ("fit", "data.npy", "--output", "fit.nc", "--missing", "guess"),
        ("simulate", "--output", "s.nc", "--seed", "-1"),
        ("simulate", "--output", "s.nc", "--temperature", "warm"),
    ],
)
def test_bad_usage(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


# --- what the commands do


def test_simulate_gives_the_same_bytes_for_any_number_of_jobs(tmp_path: Path, samples: Path) -> None:
    succeed("simulate", "--output", tmp_path / "two.nc", *SMALL, "--seed", 3, "--n-jobs", 2)
    succeed("simulate", "--output", tmp_path / "other.nc", *SMALL, "--seed", 4, "--n-jobs", 1)
    one, two, other = (read_recording(path) for path in (samples, tmp_path / "two.nc", tmp_path / "other.nc"))
    assert one.spins.tobytes() == two.spins.tobytes()
    assert one.patterns is not None
    np.testing.assert_array_equal(one.patterns, two.patterns)
    np.testing.assert_array_equal(one.patterns, random_patterns(3, 12, seed=3))
    assert one.spins.tobytes() != other.spins.tobytes()
    with xr.open_dataset(samples, engine="h5netcdf") as dataset:
        assert dataset["spins"].dims == ("chain", "draw", "spin")
        assert dataset["spins"].shape == (2, 300, 12)
        assert (dataset.attrs["temperature"], dataset.attrs["seed"], dataset.attrs["rate"]) == (1.5, "3", 0.0)


def test_simulate_given_patterns_and_rate(tmp_path: Path) -> None:
    patterns = random_patterns(3, 9, seed=8)
    np.savetxt(tmp_path / "p.csv", patterns, fmt="%d", delimiter=",")
    arguments = ("--patterns", tmp_path / "p.csv", "--draws", 5, "--chains", 1, "--burn-in", 0)
    for rate in (0.0, 0.7):
        succeed("simulate", "--output", tmp_path / f"{rate}.nc", "--rate", rate, *arguments)
    plain, dreamed = (read_recording(tmp_path / f"{rate}.nc", constant="keep") for rate in (0.0, 0.7))
    np.testing.assert_array_equal(plain.patterns, patterns)
    assert plain.attributes["couplings_sha256"] != dreamed.attributes["couplings_sha256"]


SHORT = ("--draws", 3, "--chains", 2, "--burn-in", 1, "--thin", 1, "--n-jobs", 1, "--n-spins", 9, "--n-patterns", 2)


@pytest.mark.parametrize(
    ("name", "options", "kept"),
    [
        ("coloured-field", ("--persistence-time", 2, "--active-temperature", 0.3), {"persistence_time": 2.0}),
        ("glauber", ("--temperature", 2), {"temperature": 2.0}),
        ("metropolis", (), {"temperature": 1.2}),
        ("two-temperature", ("--hot-temperature", 4, "--share", 0.2), {"hot_temperature": 4.0, "share": 0.2}),
        ("kinetic-ising", ("--update", "parallel"), {"update": "parallel"}),
        ("block-gibbs", (), {"temperature": 1.2}),
        (
            "active-ornstein-uhlenbeck",
            ("--persistence-time", 1, "--active-temperature", 1, "--potential", "harmonic", "--stiffness", 9),
            {"active_temperature": 1.0, "stiffness": 9.0, "temperature": 0.0},
        ),
        ("spherical-hopfield", ("--quartic", 2), {"quartic": 2.0, "temperature": 1.2}),
    ],
)
def test_simulate_knows_every_dynamics(
    tmp_path: Path, name: str, options: tuple[Any, ...], kept: dict[str, Any]
) -> None:
    succeed("simulate", "--dynamics", name, "--output", tmp_path / "s.nc", *SHORT, *options)
    with xr.open_dataset(tmp_path / "s.nc", engine="h5netcdf") as found:
        kind = DYNAMICS[name][0]
        assert found.attrs["dynamics"] == kind
        assert found["x" if name.startswith(("active", "spherical")) else "spins"].shape == (2, 3, 9)
        for key, value in kept.items():
            assert str(value) in str(found.attrs.get(key, found.attrs.get("potential")))


def test_dynamics_of_the_command_line_are_all_there_are() -> None:
    import simulate

    named = {getattr(simulate, kind) for kind, _, _ in DYNAMICS.values()}
    public = {getattr(simulate, name) for name in simulate.__all__}
    kinds = {each for each in public if isinstance(each, type) and issubclass(each, simulate.Dynamics)}
    assert named == kinds - {simulate.Dynamics, simulate.SpinDynamics}


def test_simulate_by_a_file_of_options(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", random_patterns(2, 7, seed=5))
    config = tmp_path / "c.toml"
    config.write_text(
        'dynamics = "coloured-field"\npersistence-time = 3\nactive_temperature = 0.5\ndraws = 4\nchains = 2\n'
        'burn_in = 1\nthin = 1\npatterns = "p.npy"\n'
    )
    result = succeed("simulate", "--config", config, "--active-temperature", 0.25, "--output", tmp_path / "s.nc")
    assert result.stdout.endswith("2 chains x 4 draws of 7 spins, 2 patterns\n")
    with xr.open_dataset(tmp_path / "s.nc", engine="h5netcdf") as found:
        assert (found.attrs["persistence_time"], found.attrs["active_temperature"]) == (3.0, 0.25)
    for text, words in (
        ("persistense = 0.5", "persistense is not a key here; did you mean persistence?"),
        ("draws = true", "draws must be a number, got True"),
        ('dynamics = "warm"', "dynamics must be one of persistent-threshold, "),
        ("draws =", "not a TOML file"),
    ):
        config.write_text(text)
        assert words in refuse("simulate", "--config", config, "--output", tmp_path / "o.nc")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("glauber", "--persistence", 0.5), "--persistence does not go with glauber, which has --temperature"),
        (("coloured-field",), "coloured-field needs --persistence-time"),
        (
            ("active-ornstein-uhlenbeck", "--persistence-time", 1, "--active-temperature", 1, "--barrier", 1),
            "--barrier does not go with the potential spherical",
        ),
    ],
)
def test_parameters_of_other_dynamics_are_refused(tmp_path: Path, options: tuple[Any, ...], words: str) -> None:
    assert words in refuse("simulate", "--output", tmp_path / "s.nc", "--dynamics", *options)


@pytest.mark.slow
def test_the_shell_completes_commands_and_options() -> None:
    for words, expected in (("reverie sim", "simulate"), ("reverie simulate --dyn", "--dynamics")):
        environment = {"_REVERIE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        result = subprocess.run(
            [REVERIE], env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )
        assert expected in result.stdout.split(), result


def test_fit_writes_what_the_estimator_finds(samples: Path, fitted: Path) -> None:
    from infer.estimators.pseudolikelihood.estimator import PseudoLikelihood

    recording = read_recording(samples)
    model = PseudoLikelihood(alpha=1 / recording.n_samples).fit(recording)
    with xr.open_dataset(fitted, engine="h5netcdf") as found:
        np.testing.assert_allclose(found["couplings"], model.couplings_, atol=1e-12)
        np.testing.assert_allclose(found["couplings_std"], model.couplings_std_, atol=1e-12)
        assert not found["fields"].any()  # simulated without fields
        assert found["replicates"].shape == (200, 66)
        assert list(found["spin"].values) == [str(i) for i in range(12)]
        assert found.attrs["samples"] == 600
        assert found.attrs["converged"] == 1
        assert found.attrs["score"] == pytest.approx(model.score(recording))


def test_fit_of_a_recording_with_names_and_constant_spins(tmp_path: Path) -> None:
    spins = np.random.default_rng(0).choice([0, 1], size=(60, 4))
    spins[:, 2] = 1
    np.savetxt(tmp_path / "r.csv", spins, fmt="%d", delimiter=",", header="ann,bob,cid,dan", comments="")
    output = tmp_path / "fit.nc"
    base = ("fit", tmp_path / "r.csv", "--output", output, "--zero-one", "--n-jobs", 1)
    assert "1 of 4 spins never change, column 2 'cid'" in refuse(*base)
    result = succeed(*base, "--constant", "keep")
    assert result.stderr.startswith("warning: ")
    assert result.stderr.count("\n") == 1
    assert "cid" in result.stderr
    with xr.open_dataset(output, engine="h5netcdf") as found:
        assert list(found["spin"].values) == ["ann", "bob", "cid", "dan"]
        assert not found["couplings"].sel(spin="cid").any()
        assert found["fields"].sel(spin="cid") > 1
        assert found.attrs["constant"] == "keep"
    assert succeed(*base, "--constant", "drop", "--no-fields", "--replicates", 0).stderr == ""
    with xr.open_dataset(output, engine="h5netcdf") as found:
        assert list(found["spin"].values) == ["ann", "bob", "dan"]
        assert "replicates" not in found
        assert not found["fields"].any()


@pytest.mark.parametrize("method", ["naive", "tap", "bethe", "sessak-monasson", "independent-pair"])
def test_fit_by_mean_field(tmp_path: Path, samples: Path, method: str) -> None:
    from infer.estimators.mean_field import MeanField

    succeed("fit", samples, "--output", tmp_path / "fit.nc", "--method", method)
    expected = MeanField(method=method, fit_fields=False).fit(read_recording(samples)).couplings_
    with xr.open_dataset(tmp_path / "fit.nc", engine="h5netcdf") as found:
        np.testing.assert_allclose(found["couplings"], expected, atol=1e-12)
    line = refuse("fit", samples, "--output", tmp_path / "no.nc", "--method", method, "--alpha", 0.1)
    assert "has no alpha; it has shrinkage: leave alpha out" in line
    assert "has no shrinkage; it has alpha: leave shrinkage out" in refuse(
        "fit", samples, "--output", tmp_path / "no.nc", "--shrinkage", 0.1
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("interaction-screening", "InteractionScreening"),
        ("probability-flow", "MinimumProbabilityFlow"),
        ("maximum-likelihood", "MaximumLikelihood"),
    ],
)
def test_fit_by_other_objectives(tmp_path: Path, samples: Path, method: str, name: str) -> None:
    import infer

    recording = read_recording(samples)
    base = ("fit", samples, "--output", tmp_path / "fit.nc", "--method", method)
    default = None if method == "interaction-screening" else 1 / recording.n_samples
    for options, alpha in [((), default), (("--alpha", 0.05), 0.05)]:
        succeed(*base, *options)
        expected = getattr(infer, name)(alpha=alpha).fit(recording)
        with xr.open_dataset(tmp_path / "fit.nc", engine="h5netcdf") as found:
            np.testing.assert_allclose(found["couplings"], expected.couplings_, atol=1e-9)
            assert found.attrs["method"] == method
            assert found.attrs["alpha"] == pytest.approx(getattr(expected, "alpha_", alpha))
            assert "replicates" not in found
    assert "has no shrinkage; it has alpha: leave shrinkage out" in refuse(*base, "--shrinkage", 0.1)


@pytest.mark.slow
def test_fit_of_a_kinetic_model(tmp_path: Path) -> None:
    """Rows in time order: each spin follows the one before it in the row before."""
    rng = np.random.default_rng(3)
    rows = np.ones((400, 3), dtype=np.int8)
    for t in range(1, 400):
        rows[t] = np.where(rng.random(3) < 1.0 / (1.0 + np.exp(-2.0 * np.roll(rows[t - 1], 1))), 1, -1)
    np.save(tmp_path / "rows.npy", rows)
    result = succeed("fit", tmp_path / "rows.npy", "--method", "kinetic", "--output", tmp_path / "fit.nc")
    assert "mean log-likelihood given the row before" in result.output
    expected = KineticCouplings().fit(rows)
    with xr.open_dataset(tmp_path / "fit.nc", engine="h5netcdf") as kept:
        np.testing.assert_allclose(kept["couplings"], expected.couplings_, rtol=1e-6)
        np.testing.assert_allclose(kept["couplings_std"], expected.couplings_std_, rtol=1e-6)
        assert kept.attrs["alpha"] == pytest.approx(1 / 399)
        # 1 and 0, with errors of 0.06
        assert float(kept["couplings"][1, 0]) > 0.7 > 0.3 > abs(float(kept["couplings"][0, 1]))
    refused = run("report", tmp_path / "rows.npy", "--method", "kinetic", "--output", tmp_path / "page.html")
    assert refused.exit_code == 2


@pytest.mark.parametrize("shrinkage", ["0.25", "ledoit-wolf"])
def test_fit_with_shrinkage(tmp_path: Path, samples: Path, shrinkage: str) -> None:
    from infer.estimators.mean_field import MeanField

    base = ("fit", samples, "--output", tmp_path / "fit.nc", "--method", "tap")
    succeed(*base, "--shrinkage", shrinkage)
    value: Any = shrinkage if shrinkage == "ledoit-wolf" else float(shrinkage)
    expected = MeanField(method="tap", shrinkage=value, fit_fields=False).fit(read_recording(samples)).couplings_
    with xr.open_dataset(tmp_path / "fit.nc", engine="h5netcdf") as found:
        np.testing.assert_allclose(found["couplings"], expected, atol=1e-12)
    assert "got 'much'" in refuse(*base, "--shrinkage", "much")


def test_compare_uses_what_the_fit_knows(tmp_path: Path, samples: Path, fitted: Path) -> None:
    from infer.similarity.compare import compare

    text = succeed("compare", fitted, "--output", tmp_path / "c.json").stdout
    assert "12 spins, 3 patterns" in text
    assert "bootstrap replicates" in text
    with xr.open_dataset(fitted, engine="h5netcdf") as found:
        couplings = found["couplings"].values
    patterns = random_patterns(3, 12, seed=3)
    expected = compare(couplings, patterns)
    numbers = json.loads((tmp_path / "c.json").read_text())
    assert numbers["best_rate"] == pytest.approx(expected.best_rate)
    # the same couplings as a bare matrix: same rate, interval from residuals
    np.savetxt(tmp_path / "j.csv", couplings, delimiter=",", fmt="%.17g")
    np.save(tmp_path / "p.npy", patterns)
    matrix = ("compare", tmp_path / "j.csv")
    assert "give --patterns" in refuse(*matrix)
    succeed(*matrix, "--patterns", tmp_path / "p.npy", "--output", tmp_path / "m.json")
    bare = json.loads((tmp_path / "m.json").read_text())
    assert bare["best_rate"] == pytest.approx(numbers["best_rate"])
    assert bare["interval_method"] != numbers["interval_method"]
    succeed("compare", fitted, "--output", tmp_path / "c.nc")
    with xr.open_dataset(tmp_path / "c.nc", engine="h5netcdf") as found:
        assert "cosine" in found
        stored = json.loads(found.attrs["numbers"])
        assert set(numbers) == {*stored, *ARRAYS}
        assert {*ARRAYS} - {"rates", "profile", "spectra"} <= {*found}
    assert all(stored[name] == numbers[name] for name in stored)


def test_compare_writes_infinity_as_a_report_does(tmp_path: Path) -> None:
    from infer.files.json import plain
    from infer.similarity.compare import compare

    couplings = np.diag(np.ones(7), 1) + np.diag(np.ones(7), -1)
    similarity = compare(couplings, random_patterns(3, 8, seed=0))
    object.__setattr__(similarity, "best_rate", np.inf)  # as it is where the couplings are a projector
    write_similarity(tmp_path / "c.json", similarity)
    write_similarity(tmp_path / "c.nc", similarity)
    with xr.open_dataset(tmp_path / "c.nc", engine="h5netcdf") as found:
        stored = json.loads(found.attrs["numbers"])
    for written in (json.loads((tmp_path / "c.json").read_text()), stored):
        assert written["best_rate"] == plain(np.inf) == "inf"


def test_compare_gives_the_same_bytes_on_any_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fitted: Path
) -> None:
    import infer.similarity.compare

    threads = []

    def compared(*arguments: Any, compare: Any = infer.similarity.compare.compare, **options: Any) -> Any:
        threads.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return compare(*arguments, **options)

    monkeypatch.setattr(infer.similarity.compare, "compare", compared)
    with threadpool_limits(limits=2, user_api="blas"):
        succeed("compare", fitted, "--n-jobs", 2)
    assert set(threads) == {1}


def test_compare_with_the_recordings_own_correlations(tmp_path: Path, samples: Path) -> None:
    np.save(tmp_path / "s.npy", read_recording(samples).spins)
    succeed("fit", tmp_path / "s.npy", "--output", tmp_path / "fit.nc", "--n-jobs", 1)
    assert "data correlations" in succeed("compare", tmp_path / "fit.nc").stdout


@pytest.mark.slow
def test_report(tmp_path: Path, samples: Path) -> None:
    result = succeed("report", samples, "--output", tmp_path / "r.html", "--n-jobs", 1, "--no-progress")
    assert "dreaming rate: " in result.stdout
    assert f"report: {tmp_path / 'r.html'}" in result.stdout
    assert "Traceback" not in result.stderr
    assert all(line.startswith("warning: ") for line in result.stderr.splitlines())
    assert sorted(os.listdir(tmp_path)) == ["r.html", "r.json"]
    assert json.loads((tmp_path / "r.json").read_text())["data"]["n_patterns"] == 3


@pytest.mark.slow
def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infer.cli.demo.DRAWS", 200)
    monkeypatch.setattr("infer.cli.demo.N_SPINS", 16)
    monkeypatch.setattr("infer.cli.demo.N_PATTERNS", 3)
    folder = tmp_path / "reverie-demo"
    lines = succeed("demo", "--output", folder, "--n-jobs", 1).stdout.splitlines()
    starts = [line.split(":")[0] for line in lines]
    assert starts[:4] == ["dreaming rate", "equilibrium control", "inverse temperature", "cosine similarity"]
    assert lines[-1] == f"report: {folder / 'report.html'}"
    assert sorted(os.listdir(folder)) == ["report.html", "report.json", "samples.nc"]
    assert read_recording(folder / "samples.nc").spins.shape == (800, 16)


def test_steps_are_one_line_each_in_a_pipe(tmp_path: Path, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infer.progress.QUIET", 0.0)
    result = succeed("fit", samples, "--output", tmp_path / "f.nc", "--n-jobs", 1)
    lines = [re.sub(r"\.+ ", "", line) for line in result.stderr.splitlines()]
    assert [re.fullmatch(r"(\w+) [\d.]+ s", line)[1] for line in lines] == [
        "reading",
        "couplings",
        "bootstrap",
        "score",
    ]
    assert result.stdout.count("\n") == 3
    assert succeed("fit", samples, "--output", tmp_path / "f.nc", "--no-progress").stderr == ""
    # what is refused at once is one line
    monkeypatch.setattr("infer.progress.QUIET", 1e6)
    refuse("fit", "absent.npy", "--output", tmp_path / "f.nc")


def test_progress_goes_to_standard_error(tmp_path: Path) -> None:
    result = succeed("simulate", "--output", tmp_path / "s.nc", *SMALL, "--progress")
    assert "100%" in result.stderr
    assert result.stdout.count("\n") == 1


# --- bad input


@pytest.mark.parametrize(
    ("command", "source"),
    [
        (("simulate", "--patterns", "a.nc", "--output", "./a.nc"), "samples"),
        (("fit", "a.nc", "--output", "./a.nc"), "samples"),
        (("fit", "a.nc", "--output", "link.nc"), "samples"),
        (("compare", "a.nc", "--output", "./a.nc"), "fitted"),
        (("report", "a.nc", "--events", "r.json", "--output", "r.html"), "samples"),
    ],
)
def test_an_input_is_not_replaced(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    command: tuple[str, ...],
    source: str,
) -> None:
    content = request.getfixturevalue(source).read_bytes()
    monkeypatch.chdir(tmp_path)
    Path("a.nc").write_bytes(content)
    Path("link.nc").symlink_to("a.nc")
    Path("r.json").write_text("label\n")
    assert "is an input too, which the output would replace" in refuse(*command)
    assert Path("a.nc").read_bytes() == content
    assert Path("r.json").read_text() == "label\n"
    assert sorted(os.listdir()) == ["a.nc", "link.nc", "r.json"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--temperature", 0), "temperature"),
        (("--temperature", "nan"), "temperature"),
        (("--persistence", 1), "persistence"),
        (("--persistence", -0.1), "persistence"),
        (("--draws", 0), "draws"),
        (("--chains", 0), "chains"),
        (("--thin", 0), "thin"),
        (("--burn-in", -1), "burn_in"),
        (("--rate", -100), "rate"),
        (("--rate", "inf"), "rate"),
        (("--n-jobs", 0), "n_jobs"),
        (("--patterns", "absent.npy"), "absent.npy: no such file"),
    ],
)
def test_simulate_refuses(tmp_path: Path, options: tuple[Any, ...], words: str) -> None:
    assert words in refuse("simulate", "--output", tmp_path / "s.nc", "--n-spins", 10, "--draws", 5, *options)
    assert os.listdir(tmp_path) == []


BAD_RECORDINGS = {
    "nan": np.array([[1, -1], [np.nan, 1]]),
    "wrapped": np.array([[1, 255], [255, 1]], dtype=np.uint8),
    "two": np.array([[1, 2], [-1, 1]]),
    "zero_one": np.array([[1, 0], [0, 1]]),
    "constant": np.array([[1, 1], [-1, 1]]),
    "one_row": np.array([[1, -1]]),
    "one_dimension": np.array([1, -1]),
    "pickled": np.array([[{}, 1]], dtype=object),
}


@pytest.mark.parametrize("command", [("fit", "--output", "fit.nc"), ("report", "--output", "r.html")])
@pytest.mark.parametrize("kind", BAD_RECORDINGS)
def test_recordings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("data.npy", BAD_RECORDINGS[kind], allow_pickle=True)
    assert "data.npy" in refuse(*command, "data.npy")
    assert os.listdir() == ["data.npy"]


def test_other_input_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: Path, fitted: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("short.nc").write_bytes(samples.read_bytes()[:5000])
    couplings = np.zeros((12, 12))
    couplings[1, 2] = 0.5
    np.save("asymmetric.npy", couplings)
    couplings[2, 1] = np.inf
    np.save("infinite.npy", couplings)
    np.save("patterns.npy", random_patterns(2, 7, seed=0))
    before = sorted(os.listdir())
    for arguments, words in [
        (("fit", "short.nc", "--output", "o.nc"), "cut short"),
        (("fit", samples, "--output", "o.csv"), "must end in .nc"),
        (("fit", samples, "--output", "absent/o.nc"), "does not exist"),
        (("fit", samples, "--output", "o.nc", "--alpha", -1), "alpha"),
        (("fit", samples, "--output", "o.nc", "--key", "x"), "no array 'x'"),
        (("compare", "asymmetric.npy", "--patterns", "patterns.npy"), "row 1, column 2"),
        (("compare", "infinite.npy", "--patterns", "patterns.npy"), "row 2, column 1 (counted from 0) holds inf"),
        (("compare", fitted, "--patterns", "patterns.npy", "--output", "o.json"), "patterns"),
        (("compare", fitted, "--output", "o.txt"), "must end in .json or .nc"),
        (("compare", samples), "couplings are a square matrix"),
        (("report", samples, "--output", "o.html", "--patterns", "patterns.npy"), "7 spins"),
        (("report", samples, "--output", "o.nc"), "must end in .html"),
        (("demo", "--output", "absent/folder"), "does not exist"),
        (("demo", "--output", "patterns.npy"), "patterns.npy"),
    ]:
        assert words in refuse(*arguments)
    assert sorted(os.listdir()) == before


# --- nothing is left behind


@pytest.mark.slow
@pytest.mark.parametrize(("error", "status"), [(OSError("disk full"), 1), (KeyboardInterrupt(), 130)])
@pytest.mark.parametrize("command", ["simulate", "fit", "compare", "report", "demo"])
def test_failure_while_writing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    samples: Path,
    fitted: Path,
    analysis: Any,
    command: str,
    error: BaseException,
    status: int,
) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr("infer.cli.demo.DRAWS", 100)
    monkeypatch.setattr("infer.cli.demo.N_SPINS", 12)
    monkeypatch.setattr("infer.cli.demo.N_PATTERNS", 3)
    for module in ("infer.report.analysis", "infer.cli.demo"):
        monkeypatch.setattr(f"{module}.analyse", lambda *_, **__: analysis)
    monkeypatch.setattr(os, "replace", fail)
    arguments = {
        "simulate": ("--output", tmp_path / "o.nc", *SMALL),
        "fit": (samples, "--output", tmp_path / "o.nc"),
        "compare": (fitted, "--output", tmp_path / "o.json"),
        "report": (samples, "--output", tmp_path / "o.html"),
        "demo": ("--output", tmp_path / "folder"),
    }[command]
    line = refuse(command, *arguments, status=status)
    assert ("interrupted" if status == 130 else "disk full") in line
    assert os.listdir(tmp_path) == []


def test_failure_in_the_middle_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: Path) -> None:
    def half(self: xr.Dataset, path: Path, **_: Any) -> None:
        path.write_bytes(b"half")
        raise ValueError("cannot be stored")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", half)
    (tmp_path / "o.nc").write_text("older")
    assert "cannot be stored" in refuse("fit", samples, "--output", tmp_path / "o.nc")
    assert os.listdir(tmp_path) == ["o.nc"]
    assert (tmp_path / "o.nc").read_text() == "older"


def test_library_warnings_are_one_line_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, samples: Path) -> None:
    def warn(*_: Any, **__: Any) -> None:
        warnings.warn("first\nsecond", UserWarning, stacklevel=1)
        warnings.warn("first\nsecond", RuntimeWarning, stacklevel=1)
        warnings.warn("for developers", DeprecationWarning, stacklevel=1)
        raise ValueError("and then\nan error")

    monkeypatch.setattr("infer.fits.fit_recording", warn)
    result = run("fit", samples, "--output", tmp_path / "o.nc")
    assert result.exit_code == 1
    assert result.stderr == "warning: first second\nerror: and then an error\n"


@pytest.mark.slow
def test_status_and_one_line_from_the_shell(tmp_path: Path) -> None:
    result = subprocess.run(
        [REVERIE, "fit", "absent.npy", "--output", "o.nc", "--no-progress"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr == "error: absent.npy: no such file\n"
    assert result.stdout == ""
    assert os.listdir(tmp_path) == []


def test_a_signal_waits_for_the_progress_bar_that_it_meets() -> None:
    """Raised inside, it would leave the lock of the bar taken, and other threads would wait for it for ever."""
    code = """
import os, signal, time
from infer.cli.console import stop_on_signals
stop_on_signals()
bar = {"__name__": "tqdm.std", "os": os, "signal": signal, "time": time}
exec("def refresh(): os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.1); print(1, flush=True)", bar)
bar["refresh"]()
time.sleep(20)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=15, check=False)
    assert found.stdout == "1\n"  # the bar was left in peace
    assert found.returncode == 143


def test_a_signal_is_not_lost_where_python_takes_an_object_away() -> None:
    """Python prints exceptions from `__del__` and from callbacks of weak references, and goes on."""
    code = """
import os, signal, time, weakref
from infer.cli.console import stop_on_signals
stop_on_signals()
class Last:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
last = Last()
del last
print(1, flush=True)
time.sleep(20)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=15, check=False)
    assert found.returncode == 143
    assert found.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize(("request_to_stop", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_requests_to_stop(tmp_path: Path, request_to_stop: signal.Signals, status: int) -> None:
    """Stopped in the middle of a simulation that would take hours."""
    command = [REVERIE, "simulate", "--output", "o.nc", "--draws", "1000", "--thin", "10000000", "--progress"]
    # processes in the background of a shell ignore interrupts, and so would those that they start
    heeding = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-c", heeding, *command]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        os.set_blocking(process.stderr.fileno(), False)
        written, deadline = b"", time.monotonic() + 60
        while b"update" not in written and time.monotonic() < deadline:
            written += process.stderr.read() or b""
            time.sleep(0.05)
        assert b"update" in written  # the simulation was under way
        process.send_signal(request_to_stop)
        try:
            assert process.wait(timeout=30) == status
        finally:
            process.kill()
        os.set_blocking(process.stderr.fileno(), True)
        rest = process.stderr.read().decode()
    assert "Traceback" not in rest
    assert os.listdir(tmp_path) == []
