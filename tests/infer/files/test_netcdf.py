"""NetCDF files on a disk that is full: one line and no file, in place of a crash of the HDF5 library."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from infer.files.netcdf import _OF_FILE, _bytes_of, reserve_space, write_datasets
from tests.disks import mounted


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    with mounted(tmp_path / "disk", "size=1m") as folder:
        yield folder


@pytest.mark.slow
def test_a_simulation_on_a_full_disk_ends_in_one_line(full_disk: Path) -> None:
    command = [Path(sys.executable).with_name("reverie"), "simulate", "--output", full_disk / "samples.nc"]
    options = ["--n-spins", "50", "--draws", "5000", "--burn-in", "0", "--thin", "1", "--n-jobs", "1", "--no-progress"]
    result = subprocess.run([*command, *options], capture_output=True, text=True)
    errors = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
    assert (result.returncode, result.stdout, len(errors)) == (1, "", 1), result.stderr
    assert errors[0].startswith(f"error: there is no room for a file of 1.09 MB in {full_disk}")
    assert os.listdir(full_disk) == []


def test_space_is_reserved_or_refused(full_disk: Path) -> None:
    reserve_space(full_disk / "a", 500_000)
    assert (full_disk / "a").stat().st_size == 500_000
    with pytest.raises(OSError, match=r"no room for a file of 0\.7 MB .* MB are free"):
        reserve_space(full_disk / "b", 700_000)
    assert os.listdir(full_disk) == ["a"]


def test_files_are_not_larger_than_what_is_reserved(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    small = xr.Dataset(attrs={f"a{k}": "text" * k for k in range(30)})
    names = [f"unit {k} ü" for k in range(500)]
    large = xr.Dataset({"x": (("row", "spin"), rng.normal(size=(300, 500)))}, {"spin": names})
    many = xr.Dataset({f"v{k}": ((f"d{k}",), np.arange(3)) for k in range(60)})
    for number, groups in enumerate(({None: small}, {None: large, "patterns": small}, {None: many})):
        path = tmp_path / f"{number}.nc"
        write_datasets(path, groups)
        reserved = _OF_FILE + sum(map(_bytes_of, groups.values()))
        assert path.stat().st_size <= reserved
    with xr.open_dataset(tmp_path / "1.nc", engine="h5netcdf") as found:
        assert list(found["spin"].values) == names
