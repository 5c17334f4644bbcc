"""Sweeps: numbers do not depend on interruptions or workers, and cells that did not settle have none."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from threadpoolctl import threadpool_info, threadpool_limits
from typer.testing import CliRunner

from infer import DreamingModel, average_repeats, read_sweep, sweep, sweep_map
from infer.cli.commands import app
from infer.sweeps import run as driver
from infer.sweeps import store as storage
from infer.sweeps.cell import NUMBERS, Outcome, compute_cell
from infer.sweeps.plan import plan_sweep
from infer.sweeps.store import Store
from infer.sweeps.table import describe_sweep
from simulate import PersistentGlauber, hebbian, random_patterns, sample, theory

TOML = """
n_spins = 20
repeats = 2
load = [0.15, 0.25]
temperature = [2.0, 3.0]
chains = 2
draws = 400
burn_in = 20

[[dynamics]]
name = "persistent-threshold"
persistence = [0.0, 0.5]

[[dynamics]]
name = "coloured-field"
persistence_time = 2
active_temperature = 1
"""
SMALL: dict[str, Any] = {
    "n_spins": 16,
    "load": [0.2, 0.3],
    "temperature": 3.0,
    "chains": 2,
    "draws": 300,
    "burn_in": 10,
    "dynamics": [{"name": "persistent-threshold", "persistence": [0.0, 0.4]}, {"name": "glauber"}],
}


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal to the last bit, nan included."""
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    numbers = list(NUMBERS)
    assert one[numbers].to_numpy().tobytes() == other[numbers].to_numpy().tobytes()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "map.toml"
    path.write_text(TOML)
    return path


@pytest.fixture(scope="module")
def whole(config: Path) -> pd.DataFrame:
    """The sweep, computed in one go in this process."""
    return sweep(config, config.with_name("whole.sqlite"))


# --- what a cell is


@pytest.mark.slow
def test_a_cell_is_the_whole_way_by_hand(whole: pd.DataFrame, config: Path):
    place = 5
    cell, row = plan_sweep(config).cells[place], whole.iloc[place]
    patterns = random_patterns(cell.n_patterns, 20, seed=cell.pattern_seed())
    dynamics = PersistentGlauber(hebbian(patterns), row["temperature"], row["persistence"])
    samples = sample(dynamics, 400, chains=2, burn_in=20, thin=4, seed=cell.chain_seed(), check=False)
    model = DreamingModel(patterns).fit(samples)
    for name in ("rate", "rate_std", "inverse_temperature", "slope", "slope_std", "degrees_of_freedom"):
        assert row[name] == getattr(model, f"{name}_")
    assert row["theory_rate"] == theory.dreaming_rate(dynamics)
    assert row["theory_slope"] == theory.effective_slope(dynamics)
    assert (row["formula_rate"], row["formula_slope"]) == theory.fitted_rate_and_slope(dynamics)
    assert row["load"] == cell.n_patterns / 20
    critical = theory.transition_temperature(row["load"], row["persistence"])
    assert row["reduced_temperature"] == pytest.approx(row["temperature"] / critical)


def test_activity_raises_the_rate_and_theory_is_noted(tmp_path: Path):
    config = {
        "n_spins": 60,
        "load": 0.3,
        "temperature": 2.0,
        "draws": 2500,
        "dynamics": {"name": "persistent-threshold", "persistence": [0.0, 0.8]},
    }
    table = sweep(config, tmp_path / "s.sqlite")
    assert list(table["status"]) == ["settled", "settled"]
    still, driven = table["rate"]
    # fixed seed; the false alarm of each over other seeds is that of four standard errors
    assert abs(still) < 4 * table["rate_std"][0]
    assert abs(driven - table["formula_rate"][1]) < 4 * table["rate_std"][1] + 0.05 * driven
    assert driven > 4 * table["rate_std"][1]


# --- the same numbers whatever happens on the way


# processes start slowly; the cluster below has some, and joblib's own are in the long run
@pytest.mark.slow
@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.validation)])
def test_workers_and_order_change_nothing(tmp_path: Path, config: Path, whole: pd.DataFrame, backend, monkeypatch):
    # the other way round than in one go
    monkeypatch.setattr(driver, "sha256", lambda key: type("Order", (), {"digest": lambda self: key[::-1]})())
    assert_same(sweep(config, tmp_path / "s.sqlite", n_jobs=2, backend=backend), whole)


@pytest.mark.slow
def test_joblib_context_is_heeded_and_the_process_left_as_it_was(tmp_path: Path):
    with threadpool_limits(limits=2, user_api="blas"):
        filters = list(warnings.filters)
        with parallel_config(backend="threading", n_jobs=2):
            table = sweep(SMALL, tmp_path / "two.sqlite")
        assert list(warnings.filters) == filters
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {2}
    assert_same(table, sweep(SMALL, tmp_path / "one.sqlite"))


def test_everything_in_a_cell_is_computed_on_one_thread(monkeypatch: pytest.MonkeyPatch):
    threads = []

    def formula(*arguments, compute=theory.fitted_rate_and_slope):
        threads.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return compute(*arguments)

    monkeypatch.setattr(theory, "fitted_rate_and_slope", formula)
    with threadpool_limits(limits=2, user_api="blas"):
        compute_cell(plan_sweep(SMALL).cells[0])
    assert set(threads) == {1}


def test_a_grid_inside_another_has_the_same_numbers(tmp_path: Path, whole: pd.DataFrame, config: Path):
    part = plan_sweep(config).config | {"repeats": 1, "dynamics": [plan_sweep(config).config["dynamics"][1]]}
    inner = sweep(part, tmp_path / "part.sqlite")
    outer = whole[(whole["dynamics"] == "coloured-field") & (whole["repeat"] == 0)].reset_index(drop=True)
    assert_same(inner, outer)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.validation)])
def test_killed_at_random_moments_it_goes_on_where_it_was(
    tmp_path: Path, config: Path, whole: pd.DataFrame, kills: int
):
    store = tmp_path / "killed.sqlite"
    script = Path(__file__).with_name("kill_and_resume.py")
    command = [sys.executable, script, config, store, kills, 1]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    kept = found["kept"]
    assert len(kept) >= kills
    assert kept == sorted(kept)  # nothing is lost
    # and many kills fall on different stages of the work; on how many depends on what else the machine does meanwhile
    assert kills < 10 or len(set(kept)) >= 2
    assert kept[0] < found["cells"] == len(whole)
    assert_same(read_sweep(store), whole)
    # nothing that was kept is done again: at most the cell at work at each kill is
    computed = store.with_suffix(".computed").read_text().splitlines()
    assert len(whole) <= len(computed) <= len(whole) + len(kept)
    assert list(store.parent.glob("*journal*")) == []


@pytest.mark.slow
def test_a_real_dask_cluster(tmp_path: Path, config: Path, whole: pd.DataFrame):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as cluster:
        table = sweep(config, tmp_path / "s.sqlite", backend="dask", scheduler=cluster.scheduler_address)
        with distributed.Client(cluster):  # the current client serves as well, and the one of joblib
            again = sweep(SMALL, tmp_path / "small.sqlite", backend="dask")
            with parallel_config(backend="dask"):
                thrice = sweep(SMALL, tmp_path / "thrice.sqlite")
    assert_same(table, whole)
    assert_same(again, sweep(SMALL, tmp_path / "here.sqlite"))
    assert_same(again, thrice)


def test_what_is_kept_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "s.sqlite"
    calls: list[str] = []

    def stop_after_two(cell, compute=driver.try_cell):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(cell.key)
        return compute(cell)

    monkeypatch.setattr(driver, "try_cell", stop_after_two)
    with pytest.raises(KeyboardInterrupt, match=r"2 of 6 cells are kept in .*s\.sqlite, run again to resume"):
        sweep(SMALL, path)
    before = read_sweep(path)
    assert list(before["status"]).count("missing") == 4
    assert "4 missing" in describe_sweep(before)
    monkeypatch.undo()
    after: list[str] = []
    monkeypatch.setattr(driver, "try_cell", lambda cell, one=driver.try_cell: after.append(cell.key) or one(cell))
    sweep(SMALL, path)
    assert len(after) == 4
    assert not set(after) & set(calls)
    sweep(SMALL, path)
    assert len(after) == 4


# --- failures


def failing(cell, compute=driver.try_cell):
    """One kind of cell ends in an error."""
    if cell.persistence == 0.4:
        return Outcome(cell.key, error="ValueError: broken")
    return compute(cell)


def test_failed_cells_are_kept_with_their_error_and_can_be_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "s.sqlite"
    monkeypatch.setattr(driver, "try_cell", failing)
    table = sweep(SMALL, path)
    failed = table[table["status"] == "failed"]
    assert list(failed["persistence"]) == [0.4, 0.4]
    assert set(failed["reason"]) == {"ValueError: broken"}
    assert failed["rate"].isna().all()
    monkeypatch.undo()
    assert_same(sweep(SMALL, path), table)
    assert_same(sweep(SMALL, path, retry_failed=True), sweep(SMALL, tmp_path / "other.sqlite"))


def test_errors_inside_a_cell_are_caught(tmp_path: Path):
    config = SMALL | {
        "dynamics": {
            "name": "active-ornstein-uhlenbeck",
            "persistence_time": 1,
            "active_temperature": 1,
            "temperature": 0,
            "stiffness": 0.1,
        }
    }
    table = sweep(config, tmp_path / "s.sqlite")
    assert set(table["status"]) == {"failed"}
    assert table["reason"].str.startswith("ValueError: potential: the stiffness 0.1 must be above").all()


def killed_by_one(cell, compute=driver.try_cell):
    """One kind of cell takes its process with it."""
    if cell.dynamics == "glauber":
        os._exit(1)
    return compute(cell)


@pytest.mark.slow
def test_a_killed_worker_of_a_cluster_ends_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
    monkeypatch.setattr(driver, "try_cell", killed_by_one)
    path = tmp_path / "s.sqlite"
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
        ) as cluster,
        pytest.raises(ChildProcessError, match=r"a worker was killed, .* cells are kept in .*s\.sqlite, run again"),
    ):
        sweep(SMALL, path, backend="dask", scheduler=cluster.scheduler_address)
    monkeypatch.undo()
    assert_same(sweep(SMALL, path), sweep(SMALL, tmp_path / "whole.sqlite"))


def test_a_worker_that_cannot_compute_ends_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    distributed = pytest.importorskip("distributed")

    def not_installed(cell):
        raise ModuleNotFoundError("No module named 'infer'")

    monkeypatch.setattr(driver, "try_cell", not_installed)
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", silence_logs=50
        ) as cluster,
        pytest.raises(ChildProcessError, match=r"No module named 'infer'\); it needs this version of reverie"),
    ):
        sweep(SMALL, tmp_path / "s.sqlite", backend="dask", scheduler=cluster.scheduler_address)


# --- cells without a steady state


def test_cells_that_did_not_settle_are_left_open(tmp_path: Path):
    config = SMALL | {"temperature": [0.05, 3.0], "chains": 4, "dynamics": {"name": "glauber"}}
    table = sweep(config, tmp_path / "s.sqlite")
    cold, warm = table[table["temperature"] == 0.05], table[table["temperature"] == 3.0]
    assert set(warm["status"]) == {"settled"}
    assert set(cold["status"]) == {"open"}
    assert cold["reason"].str.contains(r"R-hat|effective size").all()
    for name in ("rate", "rate_std", "inverse_temperature", "slope"):
        assert cold[name].isna().all()
        assert warm[name].notna().all()
    strict = read_sweep(tmp_path / "s.sqlite", least_effective_size=1e9)
    assert set(strict["status"]) == {"open"}
    found = sweep_map(table)
    assert dict(found.sizes) == {"load": 2, "temperature": 2}
    assert np.isnan(found["rate"].sel(temperature=0.05)).all()
    assert found["status"].sel(temperature=0.05).values.tolist() == ["open", "open"]
    assert "open: glauber, load 0.1875, temperature 0.05: " in describe_sweep(table)


def outcome(key: str, **numbers: float) -> Outcome:
    """A cell that settled, but for what is given."""
    good = dict.fromkeys(NUMBERS, 1.0) | {"ess_energy": 500.0, "ess_overlap": 500.0, "batch_correlation": 0.0}
    return Outcome(key, good | numbers)


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ({}, ""),
        ({"r_hat_energy": 1.2}, "R-hat of the energy is 1.2 (at most 1.05)"),
        ({"r_hat_overlap": np.inf}, "R-hat of the overlap is inf"),
        ({"r_hat_overlap": np.nan}, "R-hat of the overlap is nan"),
        ({"ess_overlap": 99.0}, "effective size of the overlap is 99 (at least 100)"),
        ({"converged": 0.0}, "the fit did not converge"),
        ({"batch_correlation": 0.9}, "successive batches are correlated (0.90)"),
    ],
)
def test_reasons_for_leaving_a_cell_open(tmp_path: Path, numbers: dict[str, float], reason: str):
    plan = plan_sweep(SMALL)
    with Store.open_for(tmp_path / "s.sqlite", plan.config) as store:
        store.put(outcome(plan.cells[0].key, **numbers))
    row = read_sweep(tmp_path / "s.sqlite").iloc[0]
    assert row["reason"].startswith(reason)
    assert row["status"] == ("open" if reason else "settled")
    assert np.isnan(row["rate"]) == bool(reason)


def test_averages_over_repeats(tmp_path: Path):
    plan = plan_sweep(SMALL | {"repeats": 3})
    first, second = plan.cells[:3], plan.cells[3:6]
    with Store.open_for(tmp_path / "s.sqlite", plan.config) as store:
        for cell, rate in zip(first, (0.1, 0.2, 0.3), strict=True):
            store.put(outcome(cell.key, rate=rate, rate_std=0.03, slope=2.0, slope_std=0.3))
        for cell, r_hat in zip(second, (1.0, 1.0, 1.3), strict=True):
            store.put(outcome(cell.key, r_hat_overlap=r_hat))
    table = average_repeats(read_sweep(tmp_path / "s.sqlite"))
    assert len(table) == len(plan.cells) // 3
    row, open_row, missing = table.iloc[0], table.iloc[1], table.iloc[2]
    assert row["rate"] == pytest.approx(0.2)
    assert row["rate_std"] == pytest.approx(0.1 / np.sqrt(3))  # the scatter, which is larger here
    assert row["slope_std"] == pytest.approx(0.3 / np.sqrt(3))  # the cells' own errors, without scatter
    assert (open_row["n_settled"], missing["n_settled"]) == (2, 0)
    assert np.isnan([open_row["rate"], open_row["rate_std"], missing["rate"]]).all()
    assert open_row["r_hat_overlap"] == pytest.approx(3.3 / 3)
    found = sweep_map(table, "persistent-threshold")
    assert dict(found.sizes) == {"load": 2, "persistence": 2}
    assert found.attrs["temperature"] == 3.0
    with pytest.raises(ValueError, match="choose one of the dynamics of this table: persistent-threshold, glauber"):
        sweep_map(table)
    with pytest.raises(ValueError, match="no rows of magic"):
        sweep_map(table, "magic")


# --- the store


def test_numbers_survive_to_the_last_bit(tmp_path: Path):
    plan = plan_sweep(SMALL)
    odd = dict(zip(NUMBERS, np.random.default_rng(0).normal(size=len(NUMBERS)) * 1e-300, strict=True))
    odd |= {"rate": 0.1 + 0.2, "rate_std": 5e-324, "slope": -np.inf}
    with Store.open_for(tmp_path / "s.sqlite", plan.config) as store:
        store.put(Outcome(plan.cells[0].key, odd | {"slope_std": np.nan}))
    with Store.open(tmp_path / "s.sqlite") as store:
        (found,) = store.outcomes().values()
    assert found.numbers == {name: value for name, value in odd.items() if name != "slope_std"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "its seed is 0, not 1"),
        ({"n_spins": 20}, "its n_spins is 16, not 20"),
        ({"load": [0.2]}, "its dynamics[0].load is [0.2, 0.3], not [0.2]"),
        ({"dynamics": SMALL["dynamics"][:1]}, "its number of [[dynamics]] tables is 2, not 1"),
        ({"draws": 301}, "its dynamics[0].draws is 300, not 301"),
    ],
)
def test_another_config_is_refused(tmp_path: Path, change: dict[str, Any], message: str):
    path = tmp_path / "s.sqlite"
    plan = plan_sweep(SMALL)
    Store.open_for(path, plan.config).close()
    # nothing is lost where no cell was kept yet
    Store.open_for(path, plan_sweep(SMALL | change).config).close()
    with Store.open_for(path, plan.config) as store:
        store.put(outcome(plan.cells[0].key))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="holds another sweep") as caught:
        sweep(SMALL | change, path)
    assert message in str(caught.value)
    assert path.read_bytes() == before


def test_cells_of_other_random_numbers_are_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, plan = tmp_path / "s.sqlite", plan_sweep(SMALL)
    # as earlier versions wrote it
    monkeypatch.setattr(storage, "_with_origin", lambda config: config | {"version": version("reverie")})
    monkeypatch.setattr(Store, "_check_match", lambda store, config: None)
    with Store.open_for(path, plan.config) as store:
        store.put(outcome(plan.cells[0].key))
    monkeypatch.undo()
    with pytest.raises(ValueError, match="was begun by a version of reverie that drew other random numbers"):
        sweep(SMALL, path)
    assert list(read_sweep(path)["status"]).count("settled") == 1


def test_other_files_are_refused_and_left_alone(tmp_path: Path):
    text, database = tmp_path / "notes.txt", tmp_path / "other.sqlite"
    text.write_text("not a store, and long enough to be one" * 30)
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE cells (a)")
    connection.commit()
    connection.close()
    for path in (text, database):
        before = path.read_bytes()
        for action in (lambda path=path: sweep(SMALL, path), lambda path=path: read_sweep(path)):
            with pytest.raises(ValueError, match="is not a sweep store"):
                action()
        assert path.read_bytes() == before
    with pytest.raises(ValueError, match="there is no such store"):
        read_sweep(tmp_path / "none.sqlite")
    with pytest.raises(ValueError, match="does not exist; create it first"):
        sweep(SMALL, tmp_path / "none" / "s.sqlite")


def test_a_store_that_was_only_just_begun_is_begun_again(tmp_path: Path):
    path = tmp_path / "s.sqlite"
    path.touch()
    Store.open_for(path, plan_sweep(SMALL).config).close()
    assert set(read_sweep(path)["status"]) == {"missing"}


def test_bad_arguments_are_told(tmp_path: Path):
    with pytest.raises(ValueError, match="backend must be one of loky, threading, dask, got 'magic'"):
        sweep(SMALL, tmp_path / "s.sqlite", backend="magic")
    with pytest.raises(ValueError, match="a scheduler needs the backend dask"):
        sweep(SMALL, tmp_path / "s.sqlite", scheduler="tcp://localhost:1")
    with pytest.raises(ValueError, match="the backend dask needs a scheduler"):
        sweep(SMALL, tmp_path / "s.sqlite", backend="dask")
    for backend in (None, "loky", "threading"):
        with pytest.raises(ValueError, match="n_jobs"):
            sweep(SMALL, tmp_path / "s.sqlite", backend=backend, n_jobs=0)
    # a store would refuse the config once it is mended
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_cluster_that_cannot_be_reached_leaves_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver, "SECONDS_FOR_WORKERS", 0.1)
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "200ms"}),
        pytest.raises(OSError, match=r"tcp://127\.0\.0\.1:1"),
    ):
        sweep(SMALL, tmp_path / "s.sqlite", backend="dask", scheduler="tcp://127.0.0.1:1")
    assert list(tmp_path.iterdir()) == []
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address=":0", processes=False, silence_logs=50) as cluster,
        pytest.raises(TimeoutError, match=r"has no worker after 0\.1 seconds"),
    ):
        sweep(SMALL, tmp_path / "s.sqlite", backend="dask", scheduler=cluster.scheduler_address)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_cluster_that_loses_all_workers_ends_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Dask itself waits for new ones without end."""
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(driver, "SECONDS_FOR_WORKERS", 0.5)

    def slow(cell):
        time.sleep(0.2)
        return Outcome(cell.key, dict.fromkeys(NUMBERS, 1.0))

    monkeypatch.setattr(driver, "try_cell", slow)
    path = tmp_path / "s.sqlite"
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", processes=False, silence_logs=50
    ) as cluster:

        def put(self, outcome, put=Store.put):
            put(self, outcome)
            cluster.scale(0)

        monkeypatch.setattr(Store, "put", put)
        with pytest.raises(TimeoutError, match=r"lost all of its workers, .* 0\.5 seconds; results so far are kept"):
            sweep(SMALL | {"repeats": 50}, path, backend="dask", scheduler=cluster.scheduler_address)
    with sqlite3.connect(path) as store:
        (kept,) = store.execute("SELECT count(*) FROM cells WHERE error IS NULL").fetchone()
    store.close()
    assert 1 <= kept < 300


# --- the command


def invoke(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["sweep", *(str(argument) for argument in arguments)])


@pytest.mark.slow
def test_the_command(tmp_path: Path, config: Path, whole: pd.DataFrame, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(config, "--n-jobs", 1, "--progress")
    assert result.exit_code == 0, result.output
    # whether successive batches are correlated is judged in every cell, by chance too
    assert re.match(r"map\.sqlite: 24 cells: (24 settled|2\d settled, \d open)\n", result.stdout)
    assert "24/24" in result.stderr
    assert_same(read_sweep(tmp_path / "map.sqlite"), whole)
    (tmp_path / "folder").mkdir()
    options = ("--output", tmp_path / "folder", "--seed", 0, "--figure", tmp_path / "rates.svg")
    result = invoke(config, "--n-jobs", 1, *options)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert (tmp_path / "rates.svg").read_text().count("<svg") == 1
    assert (tmp_path / "folder" / "map.sqlite").exists()


@pytest.mark.parametrize("arguments", [("--n-jobs", "many"), ("--backend", "magic"), ("--seed", -1)])
def test_bad_usage(config: Path, arguments: tuple[Any, ...]):
    result = invoke(config, *arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_bad_input_and_failed_cells_end_with_status_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "bad.toml"
    result = invoke(path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {path}: there is no such file\n"
    path.write_text(TOML.replace("persistence =", "persistense ="))
    result = invoke(path, "--output", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == f"error: {path}: dynamics[0].persistense is not a key here; did you mean persistence?\n"
    assert list(tmp_path.glob("*.sqlite")) == []
    path.write_text(TOML.replace("[0.0, 0.5]", "0.4"))
    monkeypatch.setattr(driver, "try_cell", failing)
    result = invoke(path, "--output", tmp_path, "--n-jobs", 1)
    assert result.exit_code == 1
    assert "failed: persistent-threshold, load 0.15, temperature 2: ValueError: broken" in result.stdout
    assert result.stderr.startswith("error: 8 of 16 cells failed")
    assert result.stderr.count("\n") == 1


def test_interrupted_it_says_what_is_kept(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupted(cell):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(driver, "try_cell", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background of a shell ignore it
    try:
        result = invoke(config, "--output", tmp_path, "--n-jobs", 1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.exit_code == 130
    assert result.stderr.startswith("error: interrupted; 0 of 24 cells are kept in ")
