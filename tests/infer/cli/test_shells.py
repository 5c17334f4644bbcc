"""Commands in unusual shells: locales, closed streams, names of files, switches; and forked or spawned workers."""

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from infer import PseudoLikelihood, read_recording
from infer.report.page import render_page
from infer.wording import path_text
from simulate import PersistentGlauber, hebbian, random_patterns, sample

ROOT = Path(__file__).parents[3]
posix = pytest.mark.skipif(os.name != "posix", reason="file names and streams of POSIX")


def shell(folder, line, switches="", **environment):
    """Run a line of a shell, in which `reverie` is the command."""
    return subprocess.run(
        ["sh", "-c", f'reverie() {{ "{sys.executable}" {switches} -m reverie "$@"; }}\n{line}'],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def rows(tmp_path):
    rng = np.random.default_rng(0)
    common = rng.choice([-1, 1], (200, 1))
    np.save(tmp_path / "rows.npy", np.where(rng.random((200, 3)) < 0.7, common, -common).astype(np.int8))
    np.save(tmp_path / "wrong.npy", np.full((5, 2), 7.0))
    return tmp_path


def test_paths_as_text():
    assert path_text("a é.npy") == "a é.npy"
    assert path_text(os.fsdecode(b"\xff.npy")) == "\N{REPLACEMENT CHARACTER}.npy"


@posix
@pytest.mark.slow
def test_names_that_the_locale_cannot_write(rows):
    """In the C locale without UTF-8 mode, names with letters and bytes that are none; warnings are errors."""
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    name = os.fsencode(rows) + b"/-\xc3\xa9 \xff\n.npy"
    os.link(rows / "rows.npy", name)
    found = shell(rows, "umask 077; reverie fit --output 'ö ü.nc' -- ./-*.npy <&-", "-W error", **ascii_only)
    assert found.returncode == 0, found.stderr
    assert (rows / "ö ü.nc").stat().st_mode & 0o777 == 0o600
    with xr.open_dataset(rows / "ö ü.nc", engine="h5netcdf") as fit:
        assert fit.attrs["source"].endswith("-é \N{REPLACEMENT CHARACTER}\n.npy")


@pytest.mark.slow
def test_a_report_links_to_a_file_of_any_name(report_of_rows):
    analysis = report_of_rows
    page = render_page(analysis, analysis.to_dict(), os.fsdecode(b"\xff\xc3\xa9.json"))
    page.encode()
    assert 'href="%FF%C3%A9.json"' in page


@pytest.fixture
def report_of_rows(rows):
    from infer import analyse

    return analyse(read_recording(rows / "rows.npy"), source=os.fsdecode(b"\xff.npy"))


@posix
@pytest.mark.slow
@pytest.mark.parametrize("streams", [">/dev/full", "| true"])
def test_closed_streams(rows, streams):
    found = shell(rows, f"reverie fit rows.npy --output o.nc {streams}")
    assert b"Traceback" not in found.stderr
    assert b"Exception ignored" not in found.stderr
    assert (rows / "o.nc").exists()  # the results that are printed are in there
    lines = [line for line in found.stderr.splitlines() if line.startswith(b"error")]
    assert len(lines) == (streams == ">/dev/full"), found.stderr


@posix
@pytest.mark.slow
def test_nothing_is_written_into_files_that_take_the_numbers_of_closed_streams(rows):
    found = shell(rows, "reverie report rows.npy --output o.html <&- >&- 2>&-; echo $? >status")
    assert (rows / "status").read_text() == "0\n", found
    assert (rows / "o.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@posix
@pytest.mark.slow
def test_an_error_has_its_status_where_it_cannot_be_shown(rows):
    for streams in ("2>&-", "2>/dev/full", ">&- 2>&- <&-"):
        assert shell(rows, f"reverie fit wrong.npy --output o.nc {streams}").returncode == 1, streams


def fit_and_sample(folder):
    """Everything that has threads or processes of its own, after others have used them."""
    spins = read_recording(folder / "rows.npy").spins
    couplings = PseudoLikelihood(n_jobs=2).fit(spins).couplings_
    dynamics = PersistentGlauber(hebbian(random_patterns(2, 10, seed=0)), 1.0, 0.5)
    states = sample(dynamics, draws=20, burn_in=10, chains=4, n_jobs=2, seed=0, check=False)["spins"].values
    return float(np.abs(couplings).sum()), int(states.sum())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_works_after_threads_have(rows):
    expected = fit_and_sample(rows)
    child = os.fork()
    if child == 0:
        os._exit(0 if fit_and_sample(rows) == expected else 1)
    for _ in range(600):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        time.sleep(0.1)
    else:
        os.kill(child, 9)
        os.waitpid(child, 0)
        pytest.fail("the forked process hangs")
    assert status == 0


@pytest.mark.slow
def test_a_spawned_worker_finds_the_same(rows):
    expected = fit_and_sample(rows)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(fit_and_sample, (rows,)).get(timeout=120) == expected
