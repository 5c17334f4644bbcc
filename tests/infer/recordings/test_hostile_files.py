"""Malformed and hostile files, read by the commands: one line and status 1, or a result, in time, and nothing else."""

import io
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

import infer.recordings.child_process
from infer.cli.commands import app
from infer.errors import InputError
from infer.recordings.recording import read_recording

REVERIE = Path(sys.executable).with_name("reverie")
SPINS = np.random.default_rng(5).choice(np.array([-1, 1], dtype=np.int8), size=(24, 5))
NAMES = ["ann", "bob", "c,d", "é", "<script>"]
TIMES = np.random.default_rng(6).uniform(0, 30, 60).round(3)
UNITS = np.arange(60) % 4
SECONDS = 10.0  # of the processor: how long that takes depends on what else the machine does
PATIENCE = 60.0

DAMAGED_PER_FORMAT = 18


# --- good files, which are then damaged


def written(save: Callable[[Any], Any]) -> bytes:
    """What a function writes to a file that it is given."""
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def hdf5(path: Path, fill: Callable[[h5py.File], Any]) -> bytes:
    with h5py.File(path, "w") as file:
        fill(file)
    return path.read_bytes()


def fill_nwb(file: h5py.File) -> None:
    """The part of an NWB file that is read, as pynwb lays it out."""
    order = np.lexsort((TIMES, UNITS))
    units = file.create_group("units")
    units.attrs["colnames"] = ["spike_times"]
    units["id"] = np.arange(4)
    units["unit_name"] = ["a", "b", "c", "d"]
    units["spike_times"] = TIMES[order]
    units["spike_times_index"] = np.cumsum(np.bincount(UNITS))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One file of each format; what follows a name's first dot is its ending."""
    folder = tmp_path_factory.mktemp("good")
    samples = xr.Dataset({"spins": (("chain", "draw", "spin"), SPINS.reshape(2, 12, 5))}, attrs={"seed": 7, "a": "é"})
    samples.assign_coords(spin=NAMES).to_netcdf(folder / "s.nc", engine="h5netcdf")
    packed = {"spins_packed": np.packbits(SPINS > 0, axis=1), "n_spins": 5, "counts": np.ones(24, dtype=int)}
    frame = pd.DataFrame(SPINS, columns=list("abcde"))
    spikes = pd.DataFrame({"time": TIMES, "unit": UNITS})
    return {
        "spins.npy": written(lambda f: np.save(f, SPINS)),
        "spins.npz": written(lambda f: np.savez(f, spins=SPINS, names=NAMES)),
        "packed.npz": written(lambda f: np.savez_compressed(f, **packed)),
        "spins.csv": frame.to_csv(index=False).encode(),
        "spins.tsv": frame.astype(float).to_csv(index=False, sep="\t").encode(),
        "spins.parquet": written(lambda f: frame.to_parquet(f)),
        "spins.nc": (folder / "s.nc").read_bytes(),
        "spikes.csv": spikes.to_csv(index=False).encode(),
        "spikes.npz": written(lambda f: np.savez(f, times=TIMES, units=UNITS)),
        "spikes.parquet": written(lambda f: spikes.astype({"unit": str}).to_parquet(f)),
        "spikes.nwb": hdf5(folder / "s.nwb", fill_nwb),
    }


FORMATS = (
    *("spins.npy", "spins.npz", "packed.npz", "spins.csv", "spins.tsv", "spins.parquet", "spins.nc"),
    *("spikes.csv", "spikes.npz", "spikes.parquet", "spikes.nwb"),
)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut short, bits flipped, stretches overwritten, removed, doubled or moved."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        kind, at, length = rng.integers(7), int(rng.integers(len(data) or 1)), int(rng.integers(1, 24))
        if kind == 0:
            data[at:] = b""
        elif kind <= 2:
            data[at : at + 1] = bytes([data[at] ^ (1 << int(rng.integers(8)))]) if data else b"\0"
        elif kind == 3:
            data[at : at + length] = rng.bytes(length)
        elif kind == 4:
            data[at : at + length] = bytes([int(rng.choice([0, 255, 48, 44, 10, 45]))]) * length
        elif kind == 5:
            del data[at : at + length]
        else:
            data[at:at] = data[int(rng.integers(len(data) or 1)) :][:length]
    return bytes(data)


# --- what must hold for every file


def run(command: list[str]) -> Any:
    """The result of a command in this process, which must take little time of the processor and end as it should."""
    before = time.process_time()
    result = CliRunner().invoke(app, command)
    assert time.process_time() - before < SECONDS
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture(scope="module", autouse=True)
def _compiled(good: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Kernels are compiled once, which is not to be counted."""
    assert check(tmp_path_factory.mktemp("first"), "spins.npy", good["spins.npy"]) == ""


def check(folder: Path, name: str, content: bytes | None, *options: str) -> str:
    """Run `reverie fit` on a file; what it complained of, "" if it did not."""
    path, output = folder / name, folder / "result.nc"
    if content is not None:
        path.write_bytes(content)
    options = (*options, "--bin-width", "0.5") if name.startswith("spikes") else options
    command = ["fit", str(path), "--output", str(output), "--replicates", "0", "--n-jobs", "1", "--no-progress"]
    result = run([*command, *options])
    assert result.exit_code in (0, 1), result.exception
    left = {item.name for item in folder.iterdir()} - {name}
    if result.exit_code == 1:
        assert result.stdout == ""
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert result.stderr.endswith("\n")
        assert result.stderr[:-1].isprintable()
        assert "Traceback" not in result.stderr
        assert not left
        path.unlink(missing_ok=True)
        return result.stderr
    assert left == {"result.nc"}
    with xr.open_dataset(output, engine="h5netcdf") as found:
        assert np.isfinite(found["couplings"]).all()
    output.unlink()
    path.unlink()
    return ""


@pytest.mark.parametrize("name", FORMATS)
def test_good_files_are_read(tmp_path: Path, good: dict[str, bytes], name: str) -> None:
    assert check(tmp_path, name, good[name]) == ""


def run_damaged(folder: Path, good: dict[str, bytes], name: str, seeds: range) -> tuple[int, int]:
    """How many damaged files were refused and how many read."""
    refused = 0
    for seed in seeds:
        rng = np.random.default_rng([FORMATS.index(name), seed])
        options = ("--constant", "keep", "--missing", str(rng.choice(["error", "drop", "fill", "mask"])))
        refused += bool(check(folder, name, damaged(good[name], rng), *options))
    return refused, len(seeds) - refused


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files(tmp_path: Path, good: dict[str, bytes], name: str) -> None:
    refused, _ = run_damaged(tmp_path, good, name, range(DAMAGED_PER_FORMAT))
    assert refused > DAMAGED_PER_FORMAT / 10  # the damage is real


@pytest.mark.parametrize("name", FORMATS)
def test_files_under_a_false_name(tmp_path: Path, good: dict[str, bytes], name: str) -> None:
    for ending in ("npy", "npz", "csv", "tsv", "txt", "parquet", "nc", "nwb"):
        if not name.endswith((ending, "sv")):
            assert check(tmp_path, f"{name.split('.')[0]}.{ending}", good[name])


# --- files that are made to do harm


class Trap:
    """Leaves a folder behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def npy(shape: str, descr: str = "'|i1'", order: str = "False", version: bytes = b"\x01\x00") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".ljust(117) + "\n"
    size = 2 if version == b"\x01\x00" else 4
    return b"\x93NUMPY" + version + len(header).to_bytes(size, "little") + header.encode("utf-8") + b"\x01" * 200


def archive(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    def save(file: io.BytesIO) -> None:
        with zipfile.ZipFile(file, "w", packing) as handle:
            for name, content in members.items():
                handle.writestr(name, content)

    return written(save)


def array(values: Any) -> bytes:
    return written(lambda f: np.save(f, values))


HEADERS = {
    "huge": npy("(9999999999, 99999)"),
    "too long": npy("(2, 1000000)"),
    "negative": npy("(-5, 5)"),
    "overflow": npy("(99999999999999999999, 2)"),
    "deep": npy("(1,)*99"),
    "code": npy("(__import__('os').getpid(), 2)"),
    "call": npy("(2, 2)", "__import__('os').system('true')"),
    "objects": npy("(2, 2)", "'|O'"),
    "void": npy("(2, 2)", "'|V3'"),
    "fields": npy("(2, 2)", "[('a', '<i4'), ('b', '<i4')]"),
    "dates": npy("(2, 2)", "'<M8[s]'"),
    "complex": npy("(2, 2)", "'<c16'"),
    "no order": npy("(2, 2)", order="'yes'"),
    "version 9": npy("(2, 2)", version=b"\x09\x00"),
    "version 3": npy("(2, 2)", "[('é', '<i4')]", version=b"\x03\x00"),
    "text shape": npy("'ab'"),
    "no tuple": npy("5"),
    "brackets": npy("(" * 5000 + ")" * 5000),
    "nothing": b"\x93NUMPY",
    "long header": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 300,
}


@pytest.mark.parametrize("case", HEADERS)
def test_npy_headers(tmp_path: Path, case: str) -> None:
    assert check(tmp_path, "s.npy", HEADERS[case])
    assert check(tmp_path, "s.npz", archive({"spins.npy": HEADERS[case]}))
    assert check(tmp_path, "s.npz", archive({"spins.npy": array(SPINS), "counts.npy": HEADERS[case]}))
    assert check(tmp_path, "spikes.npy", HEADERS[case])


@pytest.mark.slow
def test_no_trap_springs(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    trap = Trap(tmp_path / "sprung")
    objects = written(lambda f: np.save(f, np.array([[trap, trap]], dtype=object), allow_pickle=True))
    bare = pickle.dumps(trap)
    for content in (objects, bare):
        for name in ("s.npy", "s.csv", "s.parquet", "s.nc", "spikes.npy", "spikes.nwb"):
            assert check(folder, name, content)
        for member in ("spins.npy", "spins", "names.npy", "counts.npy", "chains.npy", "patterns.npy", "n_spins.npy"):
            for others in ({"spins.npy": array(SPINS)}, {"spins_packed.npy": array(np.packbits(SPINS > 0, axis=1))}):
                check(folder, "s.npz", archive({**others, member: content}))
        check(folder, "spikes.npz", archive({"times.npy": array(TIMES), "units.npy": content}))
    frame = pd.DataFrame({"a": [1, -1], "b": [1, 1]})
    frame.attrs = {"x": repr(bare)}
    check(folder, "s.parquet", written(lambda f: frame.to_parquet(f)))
    assert not trap.path.exists()


ARCHIVES = {
    "empty": archive({}),
    "only text": archive({"readme.txt": b"hello"}),
    "elsewhere": archive({"../../spins.npy": b"no array"}),
    "nested": archive({"spins.npz": archive({"spins.npy": array(SPINS)})}),
    "bomb": archive({"spins.npy": npy("(100000000, 5)") + bytes(300_000_000)}),
    "wrong sum": archive({"spins.npy": array(SPINS)}, zipfile.ZIP_STORED).replace(SPINS.tobytes(), bytes(120)),
    "many": archive({f"{i}.npy": array(SPINS) for i in range(300)}),
    "two names": archive({"spins.npy": array(SPINS), "names.npy": array(["a", "b"])}),
    "odd letters": archive(
        {"spins.npy": array(SPINS), "names.npy": array(np.full(5, 0x7FFFFFFF, np.uint32).view("U1"))}
    ),
    "half letters": archive({"spins.npy": array(SPINS), "names.npy": array(np.full(5, 0xD800, np.uint32).view("U1"))}),
    "counts": archive({"spins.npy": array(SPINS), "counts.npy": array(np.full(24, 2**62))}),
    "counts of inf": archive({"spins.npy": array(SPINS), "counts.npy": array(np.full(24, np.inf))}),
    "counts of text": archive({"spins.npy": array(SPINS), "counts.npy": array(np.full(24, "1"))}),
    "counts of table": archive({"spins.npy": array(SPINS), "counts.npy": array(SPINS)}),
    "chains": archive({"spins.npy": array(SPINS), "chains.npy": array(np.full(24, 0.5))}),
    "patterns": archive({"spins.npy": array(SPINS), "patterns.npy": array(np.ones((2, 3)))}),
    "bad patterns": archive({"spins.npy": array(SPINS), "patterns.npy": array(np.full((2, 5), 7))}),
    "packed wrong": archive({"spins_packed.npy": array(np.packbits(SPINS > 0, axis=1)), "n_spins.npy": array(2**62)}),
    "packed pair": archive({"spins_packed.npy": array(np.packbits(SPINS > 0, axis=1)), "n_spins.npy": array([5, 5])}),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_archives(tmp_path: Path, case: str) -> None:
    assert check(tmp_path, "s.npz", ARCHIVES[case])
    assert check(tmp_path, "spikes.npz", ARCHIVES[case])


TEXTS = {
    "nothing": b"",
    "a newline": b"\n",
    "a null": b"\0",
    "nulls": b"\0" * 5000,
    "one cell": b"1",
    "quote": b'"1,-1\n1,1\n',
    "long quote": b'a,b\n"' + b"x" * 200_000 + b'",1\n1,1\n',
    "long line": b"1," * 100_000,
    "wide": b"\n".join([b",".join([value] * 40_000) for value in (b"1", b"-1", b"1")]),
    "long number": b"1,-1\n1," + b"9" * 100_000 + b"\n",
    "long exponent": b"1,-1\n1,1e" + b"9" * 50 + b"\n",
    "hex": b"0x1,-0x1\n0x1,0x1\n",
    "underscore": b"1_0,-1\n1,1\n",
    "other digits": "١,٢\n١,١\n".encode(),
    "right to left": "\u202e1,-1\n1,1\n".encode(),
    "bell": b"a\x07,b\x1b[31m\n1,-1\n1,2\n",
    "lines in names": b'"a\nb","c\nd"\n1,-1\n1,2\n',
    "formula": b"=cmd|'/C calc'!A0,b\n1,-1\n1,2\n",
    "half a mark": b"\xef\xbb1,-1\n1,1\n",
    "latin": "é,b\n1,-1\n1,1\n".encode("latin-1"),
    "utf-16": "a,b\n1,-1\n1,1\n".encode("utf-16"),
    "html": b"<html><body>not found</body></html>",
    "json": b'{"spins": [[1, -1], [1, 1]]}',
    "returns": b"1,-1\r1,1\r1,x\r",
    "ragged": b"1,-1\n1\n1,1,1\n",
    "same names": b"a,a\n1,-1\n1,2\n",
    "pipe": b"a|b\n1|-1\n1|1\n",
    "comments": b"#\n" * 10_000,
    "all missing": b"a,b\n,\n,\n",
    "constant": b"a,b\n1,1\n1,1\n1,1\n",
}


@pytest.mark.parametrize("case", TEXTS)
def test_texts(tmp_path: Path, case: str) -> None:
    for name in ("s.csv", "s.tsv", "s.txt", "spikes.csv", "spikes.txt"):
        assert check(tmp_path, name, TEXTS[case])


TABLES = {
    "far": b"time,unit\n0,a\n1e15,b\n",
    "farther": b"time,unit\n-1e308,a\n1e308,b\n",
    "nan": b"time,unit\n0,a\nnan,b\n",
    "inf": b"time,unit\n0,a\ninf,b\n",
    "no unit": b"time,unit\n0.1\n",
    "three": b"time,unit,unit_id\n0.1,1,1\n",
}


@pytest.mark.parametrize("case", TABLES)
def test_spike_tables(tmp_path: Path, case: str) -> None:
    assert check(tmp_path, "spikes.csv", TABLES[case])


def fill_with(**values: Any) -> Callable[[h5py.File], Any]:
    return lambda file: [file.create_dataset(name, data=value) for name, value in values.items()]


HDF5: dict[str, Callable[[h5py.File], Any]] = {
    "nothing": lambda file: None,
    "claims": lambda file: file.create_dataset("spins", (2**40, 10), "i1", chunks=(1024, 10)),
    "texts": fill_with(spins=[["a", "b"], ["c", "d"]]),
    "compound": fill_with(spins=np.zeros((3, 3), dtype=[("a", "i4"), ("b", "f8")])),
    "scalar": fill_with(spins=1),
    "empty": lambda file: file.create_dataset("spins", data=h5py.Empty("i1")),
    "four dimensions": fill_with(spins=np.ones((2, 2, 2, 2))),
    "group": lambda file: file.create_group("spins"),
    "circle": lambda file: file.create_group("a").__setitem__("spins", file["/"]),
    "soft link": lambda file: file.__setitem__("spins", h5py.SoftLink("/spins")),
    "external link": lambda file: file.__setitem__("spins", h5py.ExternalLink("/etc/hostname", "spins")),
    "external values": lambda file: file.create_dataset("spins", (2, 4), "i1", external="/etc/hostname"),
    "references": lambda file: file.create_dataset("spins", data=np.array([[file.ref] * 2] * 2, dtype=h5py.ref_dtype)),
    "units": lambda file: file.create_group("units").create_dataset("spike_times", data=np.ones(3)),
    "unit lengths": lambda file: [
        file.create_dataset(f"units/{name}", data=value)
        for name, value in {"id": [0, 1], "spike_times": [0.5, 1.5], "spike_times_index": [2**63, 1]}.items()
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("case", HDF5)
def test_hdf5(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, case: str) -> None:
    content = hdf5(tmp_path_factory.mktemp("made") / "s.h5", HDF5[case])
    assert check(tmp_path, "s.nc", content)
    assert check(tmp_path, "spikes.nwb", content)


def test_parquet_of_other_things(tmp_path: Path) -> None:
    for frame in (
        pd.DataFrame({"a": ["x", "y"], "b": [1, -1]}),
        pd.DataFrame({"a": [[1], [2]], "b": [1, -1]}),
        pd.DataFrame({"a": pd.to_datetime(["2020-01-01", "2020-01-02"]), "b": [1, -1]}),
        pd.DataFrame({"a": pd.Categorical(["x", "y"]), "b": [1, -1]}),
        pd.DataFrame({"a": [1, -1]}),
        pd.DataFrame({"a": [], "b": []}),
        pd.DataFrame(),
        pd.DataFrame({"a": [1.0, np.nan], "b": [1, -1]}),
    ):
        content = written(lambda f, frame=frame: frame.to_parquet(f))
        assert check(tmp_path, "s.parquet", content)
        assert check(tmp_path, "spikes.parquet", content)
    frame = pd.DataFrame({"a\n\x1b[0m": [1, 5], "b": [1, -1]})
    assert check(tmp_path, "s.parquet", written(lambda f: frame.to_parquet(f)))


@pytest.mark.parametrize(
    "option",
    [("--key", "\x1b[31m\n"), ("--key", "../x"), ("--bin-width", "nan"), ("--bin-width", "-1"), ("--alpha", "nan")],
)
def test_options(tmp_path: Path, good: dict[str, bytes], option: tuple[str, str]) -> None:
    for name in ("s.nc", "s.npz", "s.csv"):
        assert check(tmp_path, name, good[f"spins.{name[2:]}"], *option)


# --- the other commands, and the program as it is installed


@pytest.fixture(scope="module")
def fitted(good: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("fitted")
    (folder / "s.npy").write_bytes(good["spins.npy"])
    result = CliRunner().invoke(app, ["fit", str(folder / "s.npy"), "--output", str(folder / "f.nc"), "--n-jobs", "1"])
    assert result.exit_code == 0
    return (folder / "f.nc").read_bytes()


@pytest.mark.slow
def test_damaged_fits(tmp_path: Path, fitted: bytes) -> None:
    for seed in range(30):
        (tmp_path / "f.nc").write_bytes(damaged(fitted, np.random.default_rng([100, seed])))
        command = ["compare", str(tmp_path / "f.nc"), "--output", str(tmp_path / "c.json"), "--n-jobs", "1"]
        result = run(command)
        assert result.exit_code in (0, 1)
        assert (tmp_path / "c.json").exists() == (result.exit_code == 0)
        if result.exit_code == 1:
            assert result.stderr.startswith("error: ")
            assert result.stderr.count("\n") == 1
        (tmp_path / "c.json").unlink(missing_ok=True)
        assert [item.name for item in tmp_path.iterdir()] == ["f.nc"]


def test_reports_on_damaged_files(tmp_path: Path, good: dict[str, bytes]) -> None:
    for name in ("spins.npz", "spins.csv", "spins.nc"):
        for content in (good[name][:-7], good[name][: len(good[name]) // 2], good[name].replace(b"1", b"7")):
            (tmp_path / name).write_bytes(content)
            command = ["report", str(tmp_path / name), "--output", str(tmp_path / "r.html"), "--n-jobs", "1"]
            result = run(command)
            assert result.exit_code == 1, result.exception
            assert result.stderr.count("\n") == 1
            assert [item.name for item in tmp_path.iterdir()] == [name]
            (tmp_path / name).unlink()


@pytest.mark.slow
def test_the_program_itself(tmp_path: Path, good: dict[str, bytes]) -> None:
    for name, content in [("s.npy", HEADERS["huge"]), ("s.nc", good["spins.nc"][:-100]), ("s\n.csv", b"a,b\n1,x\n")]:
        (tmp_path / name).write_bytes(content)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [REVERIE, "fit", name, "--output", "fit.nc"]
        result = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=2 * PATIENCE
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert [item.name for item in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()


# --- reading in a process of its own


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new process for each test, which finds modules in its folder, and none afterwards."""
    infer.recordings.child_process._end()
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "readers_for_tests.py").write_text(
        "import os, time\n"
        "def fine(path): print('done')\n"
        "def fails(path): raise ValueError('no matter')\n"
        "def hangs(path): time.sleep(100)\n"
        "def spins(path):\n    while True: pass\n"
        "def crashes(path): os.abort()\n"
        "def process(path): return os.getpid()\n"
        "def unpicklable(path):\n    error = KeyError('a lambda')\n    error.by = lambda: 0\n    raise error\n"
        "def slow(path): time.sleep(0.5); return 'slow'\n"
    )
    yield
    infer.recordings.child_process._end()


@pytest.mark.slow
def test_hanging_and_crashing_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: None) -> None:
    path = tmp_path / "readers_for_tests.py"

    def attempt(name: str) -> str:
        try:
            infer.recordings.child_process.try_reading(f"readers_for_tests:{name}", path)
        except InputError as error:
            return str(error)
        return ""

    assert attempt("fine") == attempt("fails") == ""
    process = infer.recordings.child_process._worker.process
    monkeypatch.setattr(infer.recordings.child_process, "SECONDS", 0.5)
    monkeypatch.setattr(infer.recordings.child_process, "PATIENCE", 1.0)
    assert "after 1 seconds it was still not read" in attempt("hangs").replace("0 seconds", "1 seconds")
    assert process.poll() is not None
    # one that only uses the processor is ended by it, long before the clock would end it
    monkeypatch.setattr(infer.recordings.child_process, "PATIENCE", 1000.0)
    assert "it was still not read" in attempt("spins")
    monkeypatch.setattr(infer.recordings.child_process, "SECONDS", 60.0)
    assert "ends in a crash" in attempt("crashes")
    assert attempt("fine") == ""
    # one that has ended for want of work is started again
    infer.recordings.child_process._worker.process.kill()
    infer.recordings.child_process._worker.process.wait()
    assert attempt("fine") == ""


@pytest.mark.slow
def test_what_the_child_process_returns_or_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: None
) -> None:
    import readers_for_tests

    read_in_child = infer.recordings.child_process.read_in_child
    path = tmp_path / "readers_for_tests.py"
    assert read_in_child(readers_for_tests.process, path) == infer.recordings.child_process._worker.process.pid
    with pytest.raises(ValueError, match="no matter"):
        read_in_child(readers_for_tests.fails, path)
    with pytest.raises(ValueError, match="a lambda"):
        read_in_child(readers_for_tests.unpicklable, path)
    with pytest.raises(InputError, match="ends in a crash"):
        read_in_child(readers_for_tests.crashes, path)
    # the answer to a request that was interrupted is not taken for that to the next one
    read_in_child(readers_for_tests.process, path)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what runs behind
    clock = threading.Timer(0.1, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    clock.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            read_in_child(readers_for_tests.slow, path)
    finally:
        signal.signal(signal.SIGINT, before)
    assert read_in_child(readers_for_tests.process, path) == infer.recordings.child_process._worker.process.pid
    del sys.modules["readers_for_tests"]


def test_relative_paths_are_those_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_in_child = infer.recordings.child_process.read_in_child
    for size in (3, 5):  # the process that the first one started reads the second, too
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / "spins.mat").write_bytes(bytes(size))
        monkeypatch.chdir(folder)
        assert read_in_child(os.path.getsize, Path("spins.mat")) == size


def test_without_processes_files_are_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: dict[str, bytes]
) -> None:
    infer.recordings.child_process._end()
    monkeypatch.setattr(infer.recordings.child_process.sys, "executable", str(tmp_path / "no such program"))
    assert check(tmp_path, "spins.nc", good["spins.nc"]) == ""


@pytest.mark.parametrize("interactive", [False, True])
def test_nothing_beside_the_data_is_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: dict[str, bytes], interactive: bool
) -> None:
    for module in ("numpy", "json", "infer"):
        (tmp_path / f"{module}.py").write_text(f"open('{module} ran', 'w').close()")
    infer.recordings.child_process._end()
    monkeypatch.chdir(tmp_path)
    if interactive:
        monkeypatch.syspath_prepend("")
    (tmp_path / "spins.nc").write_bytes(good["spins.nc"])
    assert len(read_recording("spins.nc").spins) > 1
    assert infer.recordings.child_process._worker.process.poll() is None
    infer.recordings.child_process._end()
    assert list(tmp_path.glob("* ran")) == []


# --- many more


@pytest.mark.validation
@pytest.mark.parametrize("name", FORMATS)
def test_many_damaged_files(tmp_path: Path, good: dict[str, bytes], name: str) -> None:
    refused, read = run_damaged(tmp_path, good, name, range(1000, 1300))
    print(f"| {name} | {refused} | {read} |")  # noqa: T201  # for the record
