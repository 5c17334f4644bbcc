"""Files and objects of labs are read right: each made by the library that makes it, held to the same spins."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from infer.cli.commands import app
from infer.recordings.recording import read_recording
from tests.infer.recordings.lab_files import FILES, OBJECTS, SPINS, Lab, arguments


def made(lab: Lab, folder: Path) -> Any:
    """The file or object; what its library warns of is its own affair."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return lab.make(folder)


@pytest.mark.parametrize("name", [*FILES, *OBJECTS])
def test_spins_and_names(tmp_path: Path, name: str) -> None:
    lab = {**FILES, **OBJECTS}[name]
    recording = read_recording(made(lab, tmp_path), **lab.options)
    np.testing.assert_array_equal(recording.spins, SPINS)
    if lab.names is not None:
        assert recording.names == lab.names


def test_runs_of_three_axes_and_of_ragged_trials(tmp_path: Path) -> None:
    for name, lengths in [("array of runs", [20, 20, 20]), ("ragged trials", [17, 12, 31])]:
        recording = read_recording(made(OBJECTS[name], tmp_path), **OBJECTS[name].options)
        np.testing.assert_array_equal(recording.chains, np.repeat(np.arange(3), lengths))
    recording = read_recording(made(FILES["npy of runs"], tmp_path), axes=("run", "cell", "time"))
    np.testing.assert_array_equal(recording.chains, np.repeat(np.arange(3), 20))


@pytest.mark.parametrize("name", FILES)
def test_one_command_fits_the_file(tmp_path: Path, name: str) -> None:
    path = made(FILES[name], tmp_path)
    command = ["fit", str(path), "--output", str(tmp_path / "f.nc"), "--replicates", "0", "--n-jobs", "1"]
    result = CliRunner().invoke(app, [*command, *arguments(FILES[name].options)])
    assert result.exit_code == 0, result.output
    assert "couplings of 4 spins from 60 samples" in result.stdout
