"""Damaged and hostile files of the formats of labs: one line and status 1, or a result, in time, and nothing else."""

import gzip
import shutil
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import xarray as xr
from typer.testing import CliRunner

import infer.recordings.child_process
from infer.cli.commands import app
from infer.recordings.formats.registry import FORMATS
from tests.infer.recordings.lab_files import FILES, SPINS, arguments, cells
from tests.infer.recordings.test_hostile_files import Trap, array, damaged, npy, run

# the bytes of a file that are damaged are drawn by chance; text needs less of it, folders have several files
NAMES = (
    *("MATLAB 5", "MATLAB 5, struct", "MATLAB 5, cells", "MATLAB 4", "MATLAB 7.3", "MATLAB 7.3, cells"),
    *("HDF5", "HDF5, times", "phy", "suite2p", "feather", "csv.gz", "spikes in tsv.gz", "csv of R", "table of R"),
    *("dat of words", "decimal commas", "votes", "csv with times", "NWB", "npz of a TsGroup", "npz of a TsdFrame"),
    *("spikeinterface npz", "spikeinterface folder", "spikeinterface zarr"),
)
DAMAGED_PER_FORMAT = 6


def check(folder: Path, path: Path, options: dict[str, Any]) -> str:
    """Run `reverie fit` on a file or folder; what it complained of, "" if it did not; warnings and notes left out."""
    before = {item: item.read_bytes() for item in sorted(folder.rglob("*")) if item.is_file()}
    output = folder / "result.nc"
    command = ["fit", str(path), "--output", str(output), "--replicates", "0", "--n-jobs", "1", "--no-progress"]
    result = run([*command, *arguments(options)])
    lines = result.stderr.splitlines(keepends=True)
    assert all(line.isprintable() for line in map(str.rstrip, lines))
    assert all(line.startswith(("error: ", "warning: ", "note: ")) and line.endswith("\n") for line in lines)
    assert "Traceback" not in result.stderr
    if result.exit_code == 0:
        with xr.open_dataset(output, engine="h5netcdf") as found:
            assert np.isfinite(found["couplings"]).all()
        output.unlink()
    else:
        assert result.exit_code == 1
        assert result.stdout == ""
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("error: ")
    assert {item: item.read_bytes() for item in sorted(folder.rglob("*")) if item.is_file()} == before
    return result.stderr if result.exit_code else ""


@pytest.fixture(scope="module", autouse=True)
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kernels are compiled once, which is not to be counted."""
    folder = tmp_path_factory.mktemp("first")
    np.save(folder / "s.npy", SPINS)
    command = ["fit", str(folder / "s.npy"), "--output", str(folder / "f.nc"), "--replicates", "0", "--n-jobs", "1"]
    assert CliRunner().invoke(app, command).exit_code == 0


def made(name: str, folder: Path) -> Path:
    """A good file or folder."""
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FILES[name].make(folder)


def run_damaged(tmp_path: Path, name: str, seeds: range) -> tuple[int, int]:
    """How many damaged files or folders were refused and how many read."""
    good = made(name, tmp_path / "good")
    refused = 0
    for seed in seeds:
        rng = np.random.default_rng([NAMES.index(name), seed])
        folder = tmp_path / "bad"
        shutil.copytree(tmp_path / "good", folder)
        path = folder / good.name
        inside = [path] if path.is_file() else [item for item in sorted(path.rglob("*")) if item.is_file()]
        target = inside[int(rng.integers(len(inside)))]
        content = target.read_bytes()
        if name.endswith(".gz") and rng.random() < 0.5:  # damage that unpacks
            target.write_bytes(gzip.compress(damaged(gzip.decompress(content), rng)))
        else:
            target.write_bytes(damaged(content, rng))
        options = {"constant": "keep", "missing": str(rng.choice(["error", "drop", "fill", "mask"]))}
        refused += bool(check(folder, path, {**FILES[name].options, **options}))
        shutil.rmtree(folder)
    return refused, len(seeds) - refused


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(tmp_path: Path, name: str) -> None:
    run_damaged(tmp_path, name, range(DAMAGED_PER_FORMAT))


def test_matlab_files_are_read_in_the_child_process_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chance decides whether a damaged file crashes scipy: of 150 files one crashed this process, not the child."""
    path = made("MATLAB 5, struct", tmp_path / "files")
    for name in ("loadmat", "whosmat"):
        monkeypatch.setattr(f"scipy.io.{name}", lambda *_, **__: pytest.fail("read in this process"))
    assert check(tmp_path / "files", path, FILES["MATLAB 5, struct"].options) == ""


@pytest.mark.validation
@pytest.mark.parametrize("name", NAMES)
def test_many_damaged_files(tmp_path: Path, name: str) -> None:
    refused, read = run_damaged(tmp_path, name, range(1000, 1150))
    print(f"| {name} | {refused} | {read} |")  # noqa: T201  # for the record
    assert refused > 0


@pytest.mark.parametrize("name", ["MATLAB 5", "MATLAB 7.3", "HDF5", "phy", "suite2p", "feather", "csv.gz"])
def test_files_under_a_false_name(tmp_path: Path, name: str) -> None:
    path = made(name, tmp_path / "good")
    content = (path if path.is_file() else next(iter(sorted(path.rglob("*.npy"))))).read_bytes()
    own = {ending for form in FORMATS for ending in form.endings if path.name.endswith(ending)}
    (tmp_path / "bad").mkdir()
    for ending in (ending for form in FORMATS for ending in form.endings if ending not in own):
        other = tmp_path / "bad" / f"s{ending}"
        other.write_bytes(content)
        found = check(tmp_path / "bad", other, {"bin_width": 0.5})
        assert found or ending in (".hdf5", ".hdf", ".nc", ".h5", ".npy", ".mat")
        other.unlink()


def test_no_trap_springs(tmp_path: Path) -> None:
    """What is pickled stays so, and params.py and what lies beside it are text."""
    trap = Trap(tmp_path / "sprung")
    objects = array_of(trap)
    script = f"import os\nos.mkdir({str(trap.path)!r})\nsample_rate = 1000.0\n"
    for name in ("phy", "suite2p", "spikeinterface folder"):
        try:
            made(name, tmp_path / name)
        except pytest.skip.Exception:
            shutil.rmtree(tmp_path / name)
            continue
        path = tmp_path / name
        folder = next(item for item in sorted(path.rglob("*")) if item.is_dir() and list(item.glob("*.npy")))
        for module in ("params.py", "numpy.py", "__init__.py", "sitecustomize.py"):
            (folder / module).write_text(script)
        root = next(item for item in path.iterdir() if item.is_dir())
        assert check(path, root, FILES[name].options) == ""
        for file in sorted(folder.rglob("*.npy")):
            content = file.read_bytes()
            file.write_bytes(objects)
            check(path, root, FILES[name].options)
            file.write_bytes(content)
    assert not trap.path.exists()


def array_of(trap: Trap) -> bytes:
    """A pickled array of objects."""
    import io

    buffer = io.BytesIO()
    np.save(buffer, np.array([[trap, trap]], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def mat(**values: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        scipy.io.savemat(folder / "s.mat", values, do_compression=True)
        return folder / "s.mat"

    return make


def hdf(ending: str, **values: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        with h5py.File(folder / f"s.{ending}", "w") as file:
            for name, value in values.items():
                file[name] = value
        return folder / f"s.{ending}"

    return make


def files(**contents: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "s").mkdir()
        for name, content in contents.items():
            (folder / "s" / name.replace("__", ".")).write_bytes(content)
        return folder / "s"

    return make


def text(ending: str, content: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / f"s.{ending}").write_bytes(content)
        return folder / f"s.{ending}"

    return make


def bomb(n_bytes: int) -> bytes:
    """A gzip file of spaces."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * (1 << 20)
    return b"".join([*(packer.compress(block) for _ in range(n_bytes >> 20)), packer.flush()])


CLUSTERS = array(np.arange(24) % 3)
CASES: dict[str, Callable[[Path], Path]] = {
    "mat of text": mat(a="hello", b="x"),
    "mat of nothing": mat(),
    "mat of nested cells": mat(spikes=cells([cells([np.ones(3), np.ones(2)]), cells([np.ones(1)])])),
    "mat of structs": mat(spikes=np.zeros((2, 2), dtype=[("a", "f8"), ("b", "f8")])),
    "mat of complex": mat(spins=SPINS * 1j),
    "mat of five axes": mat(spins=np.ones((2, 2, 2, 2, 2))),
    "mat that claims": text("mat", np.array([0, 2**30, 2**30, 0, 6], "<i4").tobytes() + b"spins\0" + bytes(99)),
    "mat of another order": text("mat", b"\0\0\x03\xe8" + bytes(400)),
    "mat header only": text("mat", b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"),
    "h5 of a soft link": hdf("h5", spins=h5py.SoftLink("/spins")),
    "h5 of another file": hdf("h5", spins=h5py.ExternalLink("/etc/hostname", "spins")),
    "h5 of texts": hdf("h5", spins=[["a", "b"], ["c", "d"]]),
    "h5 of groups": hdf("h5", **{f"{'g/' * 30}x": SPINS}),
    "phy without a rate": files(spike_times__npy=CLUSTERS, spike_clusters__npy=CLUSTERS),
    "phy of a rate of 0": files(spike_times__npy=CLUSTERS, spike_clusters__npy=CLUSTERS, params__py=b"sample_rate = 0"),
    "phy of much": files(
        spike_times__npy=npy("(9999999999,)", "'<i8'"), spike_clusters__npy=CLUSTERS, params__py=b"sample_rate = 1"
    ),
    "phy of unequal lengths": files(
        spike_times__npy=array(np.arange(7)), spike_clusters__npy=CLUSTERS, params__py=b"sample_rate = 1"
    ),
    "phy of a strange table": files(
        spike_times__npy=array(np.arange(24)),
        spike_clusters__npy=CLUSTERS,
        params__py=b"sample_rate = 1",
        cluster_group__tsv=b"\xff\xfe\0a\nb",
    ),
    "suite2p of no cells": files(iscell__npy=array(np.zeros((5, 2))), F__npy=array(np.ones((5, 30)))),
    "suite2p of other cells": files(iscell__npy=array(np.ones((4, 2))), F__npy=array(np.ones((5, 30)))),
    "suite2p of text": files(iscell__npy=array(np.full(5, "a")), F__npy=array(np.ones((5, 30)))),
    "spikeinterface of no JSON": files(numpysorting_info__json=b"[" * 100_000, spikes__npy=CLUSTERS),
    "spikeinterface of numbers": files(numpysorting_info__json=b"{}", spikes__npy=CLUSTERS),
    "an empty folder": files(),
    "gzip of nothing": text("csv.gz", gzip.compress(b"")),
    "gzip of gzip": text("csv.gz", gzip.compress(gzip.compress(b"1,-1\n1,1\n"))),
    "gzip cut short": text("csv.gz", gzip.compress(b"1,-1\n1,1\n" * 500)[:-12]),
    "gzip bomb": text("csv.gz", bomb(600 << 20)),
    "words of signs and numbers": text("dat", b"0101\n+-+-\n"),
    "a feather of zeros": text("feather", b"ARROW1" + bytes(300)),
    "a long R header": text("txt", b'"a" "b"\n"1" 1\n"2" -1 1 1\n'),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_hostile_files(tmp_path: Path, case: str) -> None:
    (tmp_path / "work").mkdir()
    path = CASES[case](tmp_path / "work")
    assert check(tmp_path / "work", path, {})
    assert check(tmp_path / "work", path, {"bin_width": 0.5, "key": "spikes"})
    assert check(tmp_path / "work", path, {"bin_width": 0.5, "constant": "keep"}) or case == "phy of a strange table"


def test_options_that_are_hostile(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    path = FILES["HDF5, times"].make(tmp_path / "work")
    for options in (
        {"key": "../" * 50},
        {"key": "\x1b[31m"},
        {"units": "a=b=c,,<"},
        {"units": "x" * 10_000},
        {"epochs": "/etc/passwd"},
        {"epochs": "\x00"},
        {"start": "nan"},
        {"start": 1e308, "stop": 1e309},
        {"axes": "unit,time"},
        {"columns": "a"},
    ):
        assert check(tmp_path / "work", path, {"bin_width": 0.5, "key": "spikes", **options})
    infer.recordings.child_process._end()
