"""Workers of a sweep that are killed from outside: one line, status, cells that are kept. Results: VALIDATION.md."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from infer import sweep
from infer.sweeps import run as driver
from infer.sweeps.plan import plan_sweep
from infer.sweeps.store import Store
from tests.infer.sweeps.test_sweeps import SMALL, TOML, assert_same, killed_by_one

REVERIE = Path(sys.executable).with_name("reverie")
TIMES = max(1, int(os.environ.get("REVERIE_SIGNALS", "20")) // 5)
LONGEST = 60.0  # seconds from the kill to the end


def kept_in(path):
    with Store.open(path) as store:
        return store.outcomes()


@pytest.mark.validation
def test_a_worker_process_that_is_killed_ends_the_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "try_cell", killed_by_one)
    path = tmp_path / "s.sqlite"
    with pytest.raises(
        ChildProcessError, match=r"a worker was killed, .* of 6 cells are kept in .*s\.sqlite, run again"
    ):
        sweep(SMALL, path, n_jobs=2)
    monkeypatch.undo()
    cells = {cell.key: cell for cell in plan_sweep(SMALL).cells}
    assert all(cells[key].dynamics != "glauber" for key in kept_in(path))
    assert_same(sweep(SMALL, path), sweep(SMALL, tmp_path / "whole.sqlite"))


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_worker_ends_with_its_driver():
    """It waited for further cells for five minutes."""
    code = """
import os, signal, sys, time
from infer.sweeps.run import _in_worker
driver = os.getpid()
if os.fork() == 0:
    sys.stdout.write(_in_worker(driver, str.upper, "computed"))
    sys.stdout.flush()
    os.kill(driver, signal.SIGKILL)
    time.sleep(60)
    sys.stdout.write(", waits")
    os._exit(0)
time.sleep(60)
"""
    # the output ends when nobody is left who could write to it
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50, check=False)
    assert (found.returncode, found.stdout) == (-signal.SIGKILL, "COMPUTED"), found.stderr


def workers_of(process):
    """Processes of joblib that compute cells, without its resource tracker."""
    psutil = pytest.importorskip("psutil")
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "popen_loky" in " ".join(child.cmdline())]
    except psutil.Error:
        return []


@pytest.mark.validation
@pytest.mark.parametrize("killed", ["one worker", "all workers", "the driver"])
def test_processes_killed_at_random_moments(tmp_path, killed, record_property):
    config = tmp_path / "map.toml"
    config.write_text(TOML)
    whole = sweep(config, tmp_path / "whole.sqlite")
    rng = random.Random(killed)
    path, statuses, slowest, kept = tmp_path / "s.sqlite", [], 0.0, {}
    for _ in range(TIMES):
        if len(kept) == len(whole):
            path.unlink()
            kept = {}
        command = [REVERIE, "sweep", config, "--output", path, "--n-jobs", "2", "--no-progress"]
        with subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            begin = time.monotonic()
            while len(workers_of(process)) < 2 and process.poll() is None and time.monotonic() - begin < 120:
                time.sleep(0.05)
            time.sleep(rng.uniform(0.0, 8.0))
            workers = workers_of(process)
            for victim in {"one worker": workers[:1], "all workers": workers, "the driver": [process]}[killed]:
                victim.send_signal(signal.SIGKILL)
            sent = time.monotonic()
            try:
                _, text = process.communicate(timeout=LONGEST)
            finally:
                process.kill()
        slowest = max(slowest, time.monotonic() - sent)
        statuses.append(process.returncode)
        before, kept = kept, kept_in(path) if path.exists() else {}
        assert set(before) <= set(kept)  # no cell is lost
        if killed == "the driver":
            assert process.returncode in (0, -signal.SIGKILL)
        else:
            assert process.returncode in (0, 1), text
        if process.returncode == 1:
            # the resource tracker of multiprocessing, a process of its own, may tell of semaphores of the killed worker
            own = [line for line in text.splitlines() if "resource_tracker" not in line]
            assert len(own) == 1, text
            assert own[0].startswith("error: a worker was killed, perhaps for want of memory"), text
            assert f"{len(kept)} of {len(whole)} cells are kept in {path}, run again to resume" in own[0]
        end = time.monotonic() + LONGEST
        while any(worker.is_running() for worker in workers) and time.monotonic() < end:
            time.sleep(0.1)
        assert not any(worker.is_running() for worker in workers)  # none is left behind
    assert_same(sweep(config, path), whole)
    assert list(tmp_path.glob("*journal*")) == []
    counts = {status: statuses.count(status) for status in sorted(set(statuses))}
    record_property(killed, f"statuses {counts}, slowest end {slowest:.1f} s")
    sys.stderr.write(f"{killed}: statuses {counts}, slowest end {slowest:.1f} s\n")


@pytest.mark.validation
def test_killed_workers_of_a_cluster_are_replaced(tmp_path):
    """Dask starts others in their place, and gives them the cells of those that were killed."""
    distributed, psutil = pytest.importorskip("distributed"), pytest.importorskip("psutil")
    config = tmp_path / "map.toml"
    config.write_text(TOML)
    whole = sweep(config, tmp_path / "whole.sqlite")
    path = tmp_path / "s.sqlite"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
    ) as cluster:

        def kill():
            while not (path.exists() and path.stat().st_size and len(kept_in(path)) >= 3):
                time.sleep(0.05)
            for worker in cluster.workers.values():
                psutil.Process(worker.pid).kill()

        killer = threading.Thread(target=kill)
        killer.start()
        table = sweep(config, path, backend="dask", scheduler=cluster.scheduler_address)
        killer.join()
    assert_same(table, whole)
