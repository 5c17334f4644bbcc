"""Faults around commands: disks that are full or read-only, places that are no files, files cut while they are read.

Each ends in one line and status 1, and leaves nothing behind. Signals: test_signals.py; killed workers: test_sweeps.py.
"""

import os
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import infer.recordings.read as reading
from infer import PseudoLikelihood, diagnose, read_recording
from infer.cli.commands import app
from infer.samples import Samples
from infer.sweeps import run as driver
from infer.sweeps.cell import NUMBERS, Outcome
from infer.sweeps.plan import plan_sweep
from infer.sweeps.store import Store
from tests.disks import fill, mounted

MAP = 'n_spins = 12\nload = [0.25, 0.5]\ntemperature = 2.0\nrepeats = {}\ndynamics = [{{ name = "glauber" }}]\n'
ROWS = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), (300, 5))
QUICK = ("--n-spins", 8, "--draws", 40, "--burn-in", 2, "--n-patterns", 2)
#: Arguments of each command, and the name of what it writes.
COMMANDS = {
    "fit": (("fit", "rows.npy"), "o.nc"),
    "report": (("report", "rows.npy"), "o.html"),
    "sweep": (("sweep", "map.toml"), "o.sqlite"),
    "simulate": (("simulate", *QUICK), "o.nc"),
    "landscape": (("landscape", "couplings.npy"), "o.json"),
    "landscape to NetCDF": (("landscape", "couplings.npy"), "o.nc"),
    "landscape to a figure": (("landscape", "couplings.npy"), "o.svg"),
    "compare": (("compare", "couplings.npy", "--patterns", "patterns.npy"), "o.json"),
}
HEAVY = ("report",)


def command(name):
    return pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else [])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with input of all commands."""
    place = tmp_path / "work"
    place.mkdir()
    np.save(place / "rows.npy", ROWS)
    np.save(place / "patterns.npy", ROWS[:2])
    couplings = np.random.default_rng(1).normal(0, 0.3, (5, 5))
    np.save(place / "couplings.npy", np.triu(couplings, 1) + np.triu(couplings, 1).T)
    (place / "map.toml").write_text(MAP.format(1))
    monkeypatch.chdir(place)
    return place


def refuse(*arguments):
    """The one line of a command that ends with status 1; nothing appears in the working directory or below."""
    before = sorted(Path().rglob("*"))
    result = CliRunner().invoke(app, [*(str(argument) for argument in arguments), "--no-progress"])
    lines = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
    assert (result.exit_code, result.stdout, len(lines)) == (1, "", 1), result.output
    assert sorted(Path().rglob("*")) == before
    return lines[0].removeprefix("error: ")


# --- disks


@pytest.mark.parametrize("name", [command(name) for name in COMMANDS])
def test_full_disk(folder, name):
    arguments, output = COMMANDS[name]
    with mounted(folder / "disk", "size=64k") as disk:
        (disk / output).write_text("older")
        if name == "sweep":  # which goes on with what it finds
            (disk / output).unlink()
        fill(disk)
        line = refuse(*arguments, "--output", Path("disk") / output)
        assert "disk" in line
        assert any(text in line for text in ("No space left on device", "is full")), line
        assert name == "sweep" or (disk / output).read_text() == "older"


@pytest.mark.slow
def test_checkpoints_of_a_training_on_a_full_disk(folder):
    """The last whole checkpoint is kept, from which the training goes on as if nothing had been."""
    digits = ("contrastive", "digits", "--epochs", 2, "--n-hidden", 3)
    with mounted(folder / "disk", "size=1m") as disk:
        checkpoints = disk / "kept"
        checkpoints.mkdir()
        fill(disk, left=3 * 4096)  # a checkpoint takes two pages of 4096 bytes, beside the one that it replaces
        before = sorted(disk.rglob("*"))
        line = CliRunner().invoke(app, [*map(str, digits), "--checkpoints", str(checkpoints), "--no-progress"])
        assert line.exit_code == 1, line.output
        assert "No space left on device" in line.stderr
        assert len(line.stderr.splitlines()) == 1
        new = set(disk.rglob("*")) - set(before)
        assert [path.suffix for path in new] == [".npz"]
        (disk / "filling").unlink()
        again = CliRunner().invoke(app, [*map(str, digits), "--checkpoints", str(checkpoints), "--no-progress"])
        assert again.exit_code == 0, again.output
    fresh = CliRunner().invoke(app, [*map(str, digits), "--no-progress"])
    assert again.stdout == fresh.stdout


def test_a_disk_that_fills_during_a_sweep_loses_no_cell(folder, monkeypatch):
    def quick(cell):
        return Outcome(cell.key, dict.fromkeys(NUMBERS, 1.0))

    monkeypatch.setattr(driver, "try_cell", quick)
    again = ["sweep", "map.toml", "--output", "disk/o.sqlite", "--n-jobs", "1"]
    (folder / "map.toml").write_text(MAP.format(200))
    with mounted(folder / "disk", "size=1m") as disk:
        fill(disk, left=65536)
        before = sorted(folder.rglob("*"))
        result = CliRunner().invoke(app, [*again, "--no-progress"])
        assert result.exit_code == 1
        assert result.stderr == "error: disk/o.sqlite: database or disk is full\n"
        assert set(folder.rglob("*")) - set(before) == {disk / "o.sqlite"}  # no journal
        with Store.open(disk / "o.sqlite") as store:
            kept = store.outcomes()
        cells = {cell.key for cell in plan_sweep("map.toml").cells}
        assert 10 < len(kept) < len(cells)
        assert all(outcome.numbers == dict.fromkeys(NUMBERS, 1.0) for outcome in kept.values())
        (disk / "filling").unlink()
        computed = []
        monkeypatch.setattr(driver, "try_cell", lambda cell: computed.append(cell.key) or quick(cell))
        result = CliRunner().invoke(app, [*again, "--no-progress"])
        assert result.exit_code == 0, result.output
        assert sorted(computed) == sorted(cells - set(kept))


@pytest.mark.parametrize("name", list(COMMANDS))
def test_read_only_folder(folder, name):
    arguments, output = COMMANDS[name]
    if hasattr(os, "geteuid") and os.geteuid():
        (folder / "closed").mkdir(mode=0o500)
        line = refuse(*arguments, "--output", Path("closed") / output)
    else:
        with mounted(folder / "closed", "ro,size=64k"):
            line = refuse(*arguments, "--output", Path("closed") / output)
    assert "closed may not be written to; choose another one" in line


# --- places that are no files


@pytest.mark.parametrize("name", list(COMMANDS))
def test_output_that_is_a_folder_or_a_pipe(folder, name):
    arguments, output = COMMANDS[name]
    pipe = Path(f"pipe{Path(output).suffix}")
    os.mkfifo(pipe)
    assert f"{pipe} is not a regular file; give the name of a file" in refuse(*arguments, "--output", pipe)
    if name == "sweep":  # a folder is one for the store, named after the config
        (folder / "map.sqlite").mkdir()
        assert "map.sqlite is a folder; give the name of a file" in refuse(*arguments, "--output", ".")
    else:
        (folder / output).mkdir()
        assert f"{output} is a folder; give the name of a file" in refuse(*arguments, "--output", output)


PIPES = {
    "npy": ("fit", "pipe.npy", "--output", "o.nc"),
    "csv": ("fit", "pipe.csv", "--output", "o.nc"),
    "NetCDF": ("report", "pipe.nc", "--output", "o.html"),
    "couplings": ("landscape", "pipe.npy", "--output", "o.json"),
    "samples of a landscape": ("landscape", "couplings.npy", "--samples", "pipe.npy", "--output", "o.json"),
    "patterns": ("simulate", "--patterns", "pipe.npy", "--output", "o.nc"),
    "patterns to compare": ("compare", "couplings.npy", "--patterns", "pipe.npy", "--output", "o.json"),
    "events": ("report", "rows.npy", "--events", "pipe.csv", "--output", "o.html"),
    "config": ("sweep", "pipe.toml", "--output", "o.sqlite"),
}


@pytest.mark.parametrize("case", PIPES)
def test_a_pipe_as_input_is_not_waited_for(folder, case):
    """Opening a pipe into which nobody writes has no end: the sweep waited so for its config."""
    for ending in ("npy", "csv", "nc", "toml"):
        os.mkfifo(f"pipe.{ending}")
    assert "not a regular file" in refuse(*PIPES[case])


# --- files cut while they are read


@pytest.fixture
def large(tmp_path):
    """A memory map of several pages and its file."""
    path = tmp_path / "large.npy"
    np.save(path, np.tile(ROWS, (200, 1)))
    return read_recording(path), path


@pytest.mark.parametrize("use", ["fit", "score", "diagnose", "a view"])
def test_a_memory_map_that_was_cut_is_refused(large, use):
    """Reading where the file is no more ends a process with SIGBUS, without a word."""
    recording, path = large
    model = PseudoLikelihood().fit(ROWS)
    os.truncate(path, 5000)
    calls = {
        "fit": lambda: PseudoLikelihood().fit(recording),
        "score": lambda: model.score(recording),
        "diagnose": lambda: diagnose(model, recording),
        "a view": lambda: PseudoLikelihood().fit(np.asarray(recording.spins)[100:][:, 1:]),
    }
    with pytest.raises(ValueError, match=r"large\.npy was cut from 300,128 to 5,000 bytes after it was opened"):
        calls[use]()


def test_a_memory_map_that_is_cut_between_two_chunks_is_refused(large, monkeypatch):
    recording, path = large
    monkeypatch.setattr("infer.estimators.rows.CHUNK_ROWS", 1000)
    solve = PseudoLikelihood.solve

    def cut_and_solve(self, samples):
        os.truncate(path, 100_000)
        return solve(self, samples)

    monkeypatch.setattr(PseudoLikelihood, "solve", cut_and_solve)
    with pytest.raises(ValueError, match=r"was cut from 300,128 to 100,000 bytes"):
        PseudoLikelihood().fit(recording)


def test_a_map_of_a_part_of_a_file_is_no_shorter_than_its_pages(tmp_path):
    path = tmp_path / "raw"
    path.write_bytes(bytes([1]) * 20_000)
    part = np.memmap(path, dtype=np.int8, mode="r", offset=9000, shape=(500, 4))
    os.truncate(path, 11_000)  # what the map shows is there
    assert Samples.of(part).spins.sum() == 2000
    os.truncate(path, 10_999)
    with pytest.raises(ValueError, match=r"raw was cut from 11,000 to 10,999 bytes"):
        _ = Samples.of(part).spins


def write_csv(path):
    pd.DataFrame(ROWS).to_csv(path, index=False)


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("spins", data=np.tile(ROWS, (50, 1)), chunks=(100, 5), compression="gzip")


WRITERS = {
    "npy": lambda path: np.save(path, ROWS.astype(float)),
    "npz": lambda path: np.savez(path, spins=ROWS),
    "csv": write_csv,
    "csv.gz": write_csv,
    "h5": write_hdf5,
    "nc": write_hdf5,
}
GUARDED = ("h5", "nc")  # read in a child process first


@pytest.mark.parametrize(
    ("ending", "moment"),
    [
        *((ending, "once it is known") for ending in WRITERS),
        *((e, "once a child process has read it") for e in GUARDED),
    ],
)
def test_a_file_that_is_cut_while_it_is_read(folder, ending, moment, monkeypatch):
    path = folder / f"cut.{ending}"
    WRITERS[ending](path)
    cuts = []

    def cut():
        if not cuts:
            cuts.append(1)
            # text in the middle of a row, so that what is left is no whole table
            middle = path.stat().st_size // 2
            os.truncate(path, middle if ending != "csv" else path.read_bytes().index(b"\n", middle) + 4)

    if moment == "once it is known":
        read = reading._read
        monkeypatch.setattr(reading, "_read", lambda *arguments: cut() or read(*arguments))
    else:
        attempt = reading.try_reading
        monkeypatch.setattr(reading, "try_reading", lambda *a, **k: (attempt(*a, **k), cut())[0])
    line = refuse("fit", path, "--output", "o.nc")
    assert cuts
    assert f"cut.{ending}" in line
