"""Recordings are read correctly, and errors in a file give one line that names the place."""

import io
import os
import pickle
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infer.errors import InputError
from infer.recordings.recording import (
    Recording,
    match_patterns,
    read_couplings,
    read_patterns,
    read_recording,
    read_spins,
)
from tests.data import recording

SPINS = np.random.default_rng(5).choice(np.array([-1, 1], dtype=np.int8), size=(24, 5))
PATTERNS = np.array([[1, 1, -1, 1, -1], [1, -1, -1, 1, 1]], dtype=np.int8)
NAMES = ["ann", "bob", "c,d", "é", "<script>"]


def write_text(path: Path, values: Any, delimiter: str = ",", header: str = "", fmt: str = "%d") -> None:
    np.savetxt(path, values, fmt=fmt, delimiter=delimiter, header=header, comments="", encoding="utf-8")


def write_netcdf(path: Path, names: list[str] | None = None) -> None:
    """As `simulate.sample` and `reverie simulate` write: two chains, patterns in a group of their own."""
    spins = SPINS.reshape(2, 12, 5)
    dataset = xr.Dataset({"spins": (("chain", "draw", "spin"), spins)}, attrs={"seed": 7, "temperature": 1.5, "a": "é"})
    if names:
        dataset = dataset.assign_coords(spin=names)
    dataset.to_netcdf(path, engine="h5netcdf")
    patterns = xr.Dataset({"patterns": (("pattern", "spin"), PATTERNS)})
    patterns.to_netcdf(path, group="patterns", mode="a", engine="h5netcdf")


def complaint(read: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """The message of the error, which must be one line."""
    with pytest.raises(InputError) as caught:
        read(*args, **kwargs)
    message = str(caught.value)
    assert message.isprintable()
    return message


# --- what can be read


@pytest.mark.parametrize("dtype", [np.int8, np.int64, ">i4", np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path: Path, dtype: str, order: str) -> None:
    np.save(tmp_path / "s.npy", np.asarray(SPINS, dtype=dtype, order=order))
    spins = read_spins(tmp_path / "s.npy")
    assert spins.dtype == np.int8
    np.testing.assert_array_equal(spins, SPINS)


def test_int8_npy_stays_a_memory_map(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", SPINS)
    assert isinstance(read_recording(tmp_path / "s.npy").spins, np.memmap)


@pytest.mark.parametrize("rows", [1, 7, 23, 24, 100])
def test_chunks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr("infer.recordings.two_values.CHUNK_VALUES", 5 * rows)
    values = SPINS.astype(float)
    values[[3, 20], [1, 4]] = np.nan
    np.save(tmp_path / "s.npy", values)
    recording = read_recording(tmp_path / "s.npy", missing="drop")
    np.testing.assert_array_equal(recording.spins, np.delete(SPINS, [3, 20], axis=0))
    values[22, 2] = 5
    np.save(tmp_path / "s.npy", values)
    assert "row 22, column 2" in complaint(read_spins, tmp_path / "s.npy")


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, bool, float])
def test_zero_one(tmp_path: Path, dtype: type) -> None:
    np.save(tmp_path / "s.npy", (SPINS > 0).astype(dtype))
    np.testing.assert_array_equal(read_spins(tmp_path / "s.npy", zero_one=True), SPINS)
    assert "zero_one=True" in complaint(read_spins, tmp_path / "s.npy")
    assert "--zero-one" in complaint(read_spins, tmp_path / "s.npy", missing="drop")


def test_npz(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "s.npz", spins=SPINS, other=PATTERNS, patterns=PATTERNS, names=NAMES, chains=np.repeat([0, 1], 12)
    )
    recording = read_recording(tmp_path / "s.npz")
    np.testing.assert_array_equal(recording.spins, SPINS)
    np.testing.assert_array_equal(recording.patterns, PATTERNS)
    np.testing.assert_array_equal(recording.chains, np.repeat([0, 1], 12))
    assert recording.names == tuple(NAMES)
    np.testing.assert_array_equal(read_patterns(tmp_path / "s.npz"), PATTERNS)


def test_npz_packed_bits_with_counts(tmp_path: Path) -> None:
    counts = np.arange(1, 25)
    np.savez_compressed(tmp_path / "s.npz", spins_packed=np.packbits(SPINS > 0, axis=1), n_spins=5, counts=counts)
    recording = read_recording(tmp_path / "s.npz")
    np.testing.assert_array_equal(recording.spins, SPINS)
    np.testing.assert_array_equal(recording.counts, counts)
    assert recording.chains is None
    assert recording.n_samples == counts.sum()
    np.testing.assert_array_equal(read_spins(tmp_path / "s.npz"), np.repeat(SPINS, counts, axis=0))


def test_npz_takes_the_only_table_or_the_one_asked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "one.npz", votes=SPINS, name=NAMES, day=np.arange(24))
    recording = read_recording(tmp_path / "one.npz")
    np.testing.assert_array_equal(recording.spins, SPINS)
    assert recording.names == tuple(NAMES)
    np.savez(tmp_path / "two.npz", first=SPINS, second=-SPINS)
    assert "'first', 'second': choose one with key=" in complaint(read_spins, tmp_path / "two.npz")
    np.testing.assert_array_equal(read_spins(tmp_path / "two.npz", key="second"), -SPINS)
    assert "no array 'third'" in complaint(read_spins, tmp_path / "two.npz", key="third")


@pytest.mark.parametrize(
    ("ending", "delimiter"), [("csv", ","), ("csv", ";"), ("tsv", "\t"), ("txt", " "), ("txt", "\t")]
)
@pytest.mark.parametrize("fmt", ["%d", "%.1f", "%+d"])
def test_text(tmp_path: Path, ending: str, delimiter: str, fmt: str) -> None:
    path = tmp_path / f"s.{ending}"
    write_text(path, SPINS, delimiter, fmt=fmt)
    np.testing.assert_array_equal(read_spins(path), SPINS)
    write_text(path, SPINS, delimiter, header=delimiter.join("abcde"), fmt=fmt)
    recording = read_recording(path)
    np.testing.assert_array_equal(recording.spins, SPINS)
    assert recording.names == tuple("abcde")


@pytest.mark.parametrize("header", ["# made by hand\n\n", "\ufeff", "0,1,2,3,4\n"])
def test_text_with_something_before_the_data(tmp_path: Path, header: str) -> None:
    write_text(tmp_path / "s.csv", SPINS)
    text = header + (tmp_path / "s.csv").read_text().replace("\n", "\r\n\r\n")
    (tmp_path / "s.csv").write_text(text, encoding="utf-8", newline="")
    np.testing.assert_array_equal(read_spins(tmp_path / "s.csv"), SPINS)


def test_text_with_names_in_quotes(tmp_path: Path) -> None:
    write_text(tmp_path / "s.csv", SPINS, header='ann,"bob\nor two","c,d",é,<script>')
    assert read_recording(tmp_path / "s.csv").names == ("ann", "bob\nor two", "c,d", "é", "<script>")


@pytest.mark.parametrize("names", [None, NAMES])
def test_netcdf_of_samples(tmp_path: Path, names: list[str] | None) -> None:
    write_netcdf(tmp_path / "s.nc", names)
    recording = read_recording(tmp_path / "s.nc")
    np.testing.assert_array_equal(recording.spins, SPINS)
    np.testing.assert_array_equal(recording.chains, np.repeat([0, 1], 12))
    np.testing.assert_array_equal(recording.patterns, PATTERNS)
    assert recording.names == tuple(names or "01234")
    assert [recording.attributes[key] for key in ("seed", "temperature", "a")] == [7, 1.5, "é"]
    np.testing.assert_array_equal(read_patterns(tmp_path / "s.nc"), PATTERNS)


@pytest.mark.parametrize("dtype", [np.int8, np.float32, bool])
def test_parquet(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "s.parquet"
    frame = pd.DataFrame((SPINS > 0) if dtype is bool else SPINS.astype(dtype), columns=NAMES)
    frame.to_parquet(path)
    recording = read_recording(path, zero_one=dtype is bool)
    np.testing.assert_array_equal(recording.spins, SPINS)
    assert recording.names == tuple(NAMES)
    # row labels of pandas are no column
    frame.set_axis([f"day {i}" for i in range(24)], axis="index").to_parquet(path)
    np.testing.assert_array_equal(read_spins(path, zero_one=dtype is bool), SPINS)
    frame.assign(day="monday").to_parquet(path)
    assert "'day' (counted from 0) holds" in complaint(read_recording, path)
    assert "hold one table" in complaint(read_recording, path, key="spins")


def test_parquet_with_null_values(tmp_path: Path) -> None:
    frame = pd.DataFrame(SPINS, columns=NAMES).astype("Int8")
    frame.iloc[4, 2] = pd.NA
    frame.to_parquet(tmp_path / "s.parquet")
    assert "row 4, column 2 'c,d' (counted from 0) holds no value" in complaint(read_spins, tmp_path / "s.parquet")
    spins = read_spins(tmp_path / "s.parquet", missing="drop")
    np.testing.assert_array_equal(spins, np.delete(SPINS, 4, axis=0))


def test_parquet_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pd.DataFrame(SPINS, columns=NAMES).to_parquet(tmp_path / "s.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "pip install pyarrow" in complaint(read_spins, tmp_path / "s.parquet")


def test_netcdf_dimensions_are_taken_by_name(tmp_path: Path) -> None:
    spins = xr.Dataset({"spins": (("chain", "draw", "spin"), SPINS.reshape(2, 12, 5))}).transpose(
        "spin", "chain", "draw"
    )
    spins.to_netcdf(tmp_path / "s.nc", engine="h5netcdf")
    np.testing.assert_array_equal(read_spins(tmp_path / "s.nc"), SPINS)


def test_netcdf_with_fill_values(tmp_path: Path) -> None:
    values = SPINS.astype(float)
    values[4, 2] = np.nan
    dataset = xr.Dataset({"spins": (("row", "spin"), values)})
    dataset.to_netcdf(tmp_path / "s.nc", engine="h5netcdf", encoding={"spins": {"dtype": "int8", "_FillValue": -9}})
    assert "row 4, column 2 (counted from 0) holds no value" in complaint(read_spins, tmp_path / "s.nc")
    np.testing.assert_array_equal(read_spins(tmp_path / "s.nc", missing="drop"), np.delete(SPINS, 4, axis=0))


# --- missing values and constant spins


@pytest.mark.parametrize("empty", ["", "NaN", "NA", "0", "null", " "])
def test_missing_values(tmp_path: Path, empty: str) -> None:
    rows = [[str(value) for value in row] for row in SPINS]
    rows[2][3] = empty
    (tmp_path / "s.csv").write_text("\n".join(["a,b,c,d,e", *map(",".join, rows)]))
    message = complaint(read_spins, tmp_path / "s.csv")
    assert "s.csv: row 2 (line 4), column 3 'd' (counted from 0)" in message
    assert "1 of 120" in message
    assert "--missing" in message
    dropped = read_recording(tmp_path / "s.csv", missing="drop")
    np.testing.assert_array_equal(dropped.spins, np.delete(SPINS, 2, axis=0))
    assert (dropped.attributes["missing"], dropped.attributes["dropped_rows"]) == ("drop", 1)
    filled = read_recording(tmp_path / "s.csv", missing="fill")
    expected = SPINS.copy()
    expected[2, 3] = 1 if np.delete(SPINS[:, 3], 2).sum() >= 0 else -1
    np.testing.assert_array_equal(filled.spins, expected)
    assert (filled.attributes["missing"], filled.attributes["filled_values"]) == ("fill", 1)


def test_masked_values_stay_open(tmp_path: Path) -> None:
    values = SPINS.astype(float)
    values[2, 3], values[5, 0] = np.nan, 0
    np.savez(tmp_path / "s.npz", spins=values, names=NAMES)
    masked = read_recording(tmp_path / "s.npz", missing="mask")
    np.testing.assert_array_equal(masked.spins, np.nan_to_num(values))
    assert masked.spins.dtype == np.int8
    assert [masked.attributes[key] for key in ("missing", "missing_values", "masked_values")] == ["mask", 2, 2]
    np.testing.assert_array_equal(read_spins(tmp_path / "s.npz", missing="mask"), masked.spins)
    bits = np.where(np.nan_to_num(values) == 0, np.nan, values > 0)
    np.save(tmp_path / "bits.npy", bits)
    np.testing.assert_array_equal(read_spins(tmp_path / "bits.npy", missing="mask", zero_one=True), masked.spins)
    # what is missing does not count as a change
    values[:, 1], values[:, 2] = np.abs(SPINS[:, 1]), np.nan
    values[4, 1] = np.nan
    np.savez(tmp_path / "s.npz", spins=values, names=NAMES)
    message = complaint(read_recording, tmp_path / "s.npz", missing="mask")
    assert "2 of 5 spins never change, column 1 'bob', 2 'c,d' (counted from 0; the first is 1 in all rows)" in message
    assert read_recording(tmp_path / "s.npz", missing="mask", constant="drop").names == ("ann", "é", "<script>")


def test_filling_goes_by_counts(tmp_path: Path) -> None:
    spins = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1], [0, 1, 1]])
    np.savez(tmp_path / "s.npz", spins=spins, counts=[10, 1, 1, 3])
    recording = read_recording(tmp_path / "s.npz", missing="fill")
    assert recording.spins[3, 0] == -1
    assert recording.n_samples == 15


def test_dropping_almost_all_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.array([[1, 0], [0, -1], [-1, 1]]))
    assert "would leave 1 of 3 rows" in complaint(read_spins, tmp_path / "s.npy", missing="drop")


def test_constant_spins(tmp_path: Path) -> None:
    spins = SPINS.copy()
    spins[:, 1], spins[:, 3] = 1, -1
    np.savez(tmp_path / "s.npz", spins=spins, names=NAMES, patterns=PATTERNS)
    message = complaint(read_recording, tmp_path / "s.npz")
    assert "2 of 5 spins never change, column 1 'bob', 3 'é' (counted from 0; the first is 1 in all rows)" in message
    assert "constant='drop'" in message
    kept = read_recording(tmp_path / "s.npz", constant="keep")
    np.testing.assert_array_equal(kept.spins, spins)
    dropped = read_recording(tmp_path / "s.npz", constant="drop")
    np.testing.assert_array_equal(dropped.spins, spins[:, [0, 2, 4]])
    np.testing.assert_array_equal(dropped.patterns, PATTERNS[:, [0, 2, 4]])
    np.testing.assert_array_equal(dropped.columns, [0, 2, 4])
    assert dropped.names == ("ann", "c,d", "<script>")
    assert kept.attributes["constant_spins"] == dropped.attributes["constant_spins"] == ["bob", "é"]
    np.testing.assert_array_equal(match_patterns(dropped, PATTERNS), PATTERNS[:, [0, 2, 4]])
    np.testing.assert_array_equal(match_patterns(kept, PATTERNS), PATTERNS)
    assert "have 4 spins" in complaint(match_patterns, kept, PATTERNS[:, :4])


def test_options_are_checked(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", SPINS)
    assert "missing must be one of" in complaint(read_spins, tmp_path / "s.npy", missing="guess")
    assert "constant must be one of" in complaint(read_spins, tmp_path / "s.npy", constant="guess")
    assert "leave it out" in complaint(read_spins, tmp_path / "s.npy", key="spins")


# --- what is wrong with values


@pytest.mark.parametrize(
    ("value", "dtype", "words"),
    [
        (2, np.int8, "holds 2, and spins are -1 or +1"),
        (0.5, float, "holds 0.5, and"),
        (np.inf, float, "holds inf"),
        (np.nan, float, "holds no value"),
        (255, np.uint8, "-1 wrapped in uint8; convert the array with astype(numpy.int8)"),
        (65535, np.uint16, "-1 wrapped in uint16"),
    ],
)
def test_values_that_are_no_spins(tmp_path: Path, value: float, dtype: type, words: str) -> None:
    values = np.where(SPINS < 0, 1, SPINS).astype(dtype) if value > 100 else SPINS.astype(dtype)
    values[7, 3] = value
    np.save(tmp_path / "s.npy", values)
    message = complaint(read_spins, tmp_path / "s.npy")
    assert "s.npy: row 7, column 3 (counted from 0)" in message
    assert words in message


def test_wrong_coding(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", SPINS)
    assert "leave out zero_one=True" in complaint(read_spins, tmp_path / "s.npy", zero_one=True)
    write_text(tmp_path / "s.csv", np.column_stack([np.arange(24), SPINS]))
    assert "column of row numbers" in complaint(read_spins, tmp_path / "s.csv")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones(5), "shape (5,)"),
        (np.ones((2, 3, 4)), "shape (2, 3, 4)"),
        (np.array(1.0), "shape ()"),
        (np.ones((0, 5)), ""),
        (np.ones((5, 0)), ""),
        (SPINS[:1], "one row only"),
        (SPINS[:, :1], "one column only"),
        (SPINS * 1j, "type complex128"),
        (np.array([["1", "-1"], ["1", "1"]]), "type <U2"),
        (np.array([[(1, 2)]], dtype=[("a", int), ("b", int)]), "numbers"),
        (np.array([["2020", "2021"]], dtype="datetime64[Y]"), "datetime64"),
    ],
)
def test_arrays_that_are_no_recordings(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "s.npy", array)
    assert words in complaint(read_spins, tmp_path / "s.npy")
    np.savez(tmp_path / "s.npz", spins=array)
    assert words in complaint(read_spins, tmp_path / "s.npz")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,-1\n1,-1,1\n", "row 1 (line 2) has 3 cells, where 2 are expected"),
        ("a,b\n\n1,-1\n1\n", "row 1 (line 4) has 1 cells, where 2 are expected"),
        ("a,b\n1,-1\n1,x\n", "row 1 (line 3), column 1 'b' (counted from 0) holds 'x', which is not a number"),
        ("t1,1,-1\nt2,1,1\n", "row 0, column 0 (counted from 0) holds 't1', which is not a number"),
        ("a,b\nt1,1\nt2,1\n", "leave a column of labels out"),
        ("a,b\n", "names but no data"),
        ("\n \n", "holds no data"),
        ("# only a comment\n", "holds no data"),
        ('1,"-1\n1,1\n', ""),
        ("1,-1\n1,\x00\n", "row 1 (line 2), column 1 (counted from 0)"),
        ("1\n-1\n1\n", "one column only"),
        ("1,-1\n1,1e999\n-1,-1", "holds inf"),
        ("1,-1\n1," + "9" * 200 + "\n", "row 1 (line 2), column 1"),
    ],
)
def test_text_that_is_no_recording(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.csv").write_text(text)
    message = complaint(read_spins, tmp_path / "s.csv")
    assert "s.csv" in message
    assert words in message
    assert len(message) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_text_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "s.csv").write_bytes("é,b\n1,-1\n1,1\n".encode(encoding))
    assert "is not UTF-8 text" in complaint(read_spins, tmp_path / "s.csv")


def test_counts_beside_chains_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", spins=SPINS, counts=np.ones(24), chains=np.zeros(24))
    with pytest.raises(ValueError, match=r"s\.npz holds both counts and chains.*; leave out the counts, or the chains"):
        read_recording(tmp_path / "s.npz")


def test_counts_that_are_none(tmp_path: Path) -> None:
    for counts, words in [
        (np.full(24, 2**62), "counts add up to 1.107e+20 samples"),
        (np.ones(5), "must be 24 numbers"),
        (np.arange(24), "counts of row 0"),
        (np.r_[np.ones(23), 1.5], "counts of row 23 (counted from 0) is 1.5"),
        (np.r_[np.ones(23), np.nan], "counts of row 23"),
    ]:
        np.savez(tmp_path / "s.npz", spins=SPINS, counts=counts)
        assert words in complaint(read_spins, tmp_path / "s.npz")


def test_packed_bits_that_do_not_fit(tmp_path: Path) -> None:
    packed = np.packbits(SPINS > 0, axis=1)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"spins_packed": packed}, "needs n_spins"),
        ({"spins_packed": packed, "n_spins": 9}, "n_spins = 9 does not go with 1 bytes"),
        ({"spins_packed": packed, "n_spins": 0}, "does not go with"),
        ({"spins_packed": packed, "n_spins": 5.0}, "does not go with"),
        ({"spins_packed": SPINS, "n_spins": 5}, "must be uint8"),
    ]
    for arrays, words in cases:
        np.savez(tmp_path / "s.npz", **arrays)
        assert words in complaint(read_spins, tmp_path / "s.npz")


# --- damaged and hostile files


def test_places_that_are_no_files(tmp_path: Path) -> None:
    assert "no such file" in complaint(read_spins, tmp_path / "absent.npy")
    assert "is a folder" in complaint(read_spins, tmp_path)
    os.mkfifo(tmp_path / "pipe.csv")
    assert "not a regular file" in complaint(read_spins, tmp_path / "pipe.csv")
    (tmp_path / "empty.npy").touch()
    assert "is empty" in complaint(read_spins, tmp_path / "empty.npy")
    (tmp_path / "s.xlsx").write_text("1")
    assert "unknown ending '.xlsx'; known are .npy, .npz" in complaint(read_spins, tmp_path / "s.xlsx")
    np.save(tmp_path / "s.npy", SPINS)
    (tmp_path / "s.npy").rename(tmp_path / "s\n.csv")
    assert "named as text but holds npy data" in complaint(read_spins, tmp_path / "s\n.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_file_without_permission(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", SPINS)
    (tmp_path / "s.npy").chmod(0)
    assert "cannot be opened" in complaint(read_spins, tmp_path / "s.npy")


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trap = Trap(tmp_path / "sprung")
    np.save(tmp_path / "a.npy", np.array([[trap, trap]], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", spins=np.array([[trap, trap]], dtype=object))
    (tmp_path / "b.npy").write_bytes(pickle.dumps(trap))
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("spins.npy", pickle.dumps(trap))
    for name in ("a.npy", "a.npz"):
        assert "pickled Python objects, which are never loaded" in complaint(read_spins, tmp_path / name)
    for name in ("b.npy", "b.npz"):
        complaint(read_spins, tmp_path / name)
    assert not trap.path.exists()


def npy_header(shape: str, descr: str = "|i1") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


@pytest.mark.parametrize(
    "shape", ["(9999999999, 99999)", "(2, 1000000)", "(-5, 5)", "(99999999999999999999, 2)", "(1,)*99"]
)
def test_headers_that_claim_too_much(tmp_path: Path, shape: str) -> None:
    (tmp_path / "s.npy").write_bytes(npy_header(shape) + b"\x01" * 100)
    complaint(read_spins, tmp_path / "s.npy")
    with zipfile.ZipFile(tmp_path / "s.npz", "w") as archive:
        archive.writestr("spins.npy", npy_header(shape) + b"\x01" * 100)
    complaint(read_spins, tmp_path / "s.npz")


def test_netcdf_that_is_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "s.nc"
    xr.Dataset({"x": (("chain", "draw", "spin"), np.ones((2, 3, 4)))}).to_netcdf(path, engine="h5netcdf")
    assert "continuous units" in complaint(read_spins, path)
    with h5py.File(path, "w") as file:
        file.create_dataset("spins", (2**40, 10), "i1", chunks=(1024, 10))
    assert "too small" in complaint(read_spins, path)
    with h5py.File(path, "w") as file:
        file["spins"] = h5py.ExternalLink("/etc/hostname", "spins")
    assert "holds no array 'spins'" in complaint(read_spins, path)
    with h5py.File(path, "w") as file:
        file.create_dataset("spins", (2, 4), "i1", external="/etc/hostname")
    assert "in other files" in complaint(read_spins, path)
    with h5py.File(path, "w") as file:
        file["spins"] = [["a", "b"], ["c", "d"]]
    assert "not numbers" in complaint(read_spins, path)


def test_netcdf_heap_that_never_ends(tmp_path: Path) -> None:
    """The HDF5 library itself goes round for ever on this one."""
    write_netcdf(tmp_path / "s.nc")
    data = bytearray((tmp_path / "s.nc").read_bytes())
    start = position = data.index(b"GCOL")
    position += 16
    while any(data[position : position + 2]):
        position += 16 + -(-int.from_bytes(data[position + 8 : position + 16], "little") // 8) * 8
    data[position + 8 : position + 16] = bytes(8)
    (tmp_path / "s.nc").write_bytes(data)
    assert f"at byte {start} is not consistent" in complaint(read_spins, tmp_path / "s.nc")


def whole_files() -> dict[str, bytes]:
    """One good file of each kind, as bytes."""
    files: dict[str, bytes] = {}
    for name, save in [
        ("npy", lambda f: np.save(f, SPINS)),
        ("npz", lambda f: np.savez(f, spins=SPINS, names=NAMES, patterns=PATTERNS)),
        (
            "packed.npz",
            lambda f: np.savez_compressed(
                f, spins_packed=np.packbits(SPINS > 0, axis=1), n_spins=5, counts=np.ones(24)
            ),
        ),
        ("csv", lambda f: np.savetxt(f, SPINS, fmt="%d", delimiter=",", header="a,b,c,d,e", comments="")),
        ("tsv", lambda f: np.savetxt(f, SPINS, fmt="%.1f", delimiter="\t")),
    ]:
        buffer = io.BytesIO()
        save(buffer)
        files[name] = buffer.getvalue()
    return files


@st.composite
def damages(draw: st.DrawFn, size: int) -> list[tuple[int, int, bytes]]:
    """Replacements (from, to, by) that cut, overwrite, insert and remove bytes."""
    places = st.integers(0, size)
    cut = st.builds(lambda i: (i, size, b""), places)
    change = st.builds(lambda i, b: (i, i + len(b), b), places, st.binary(min_size=1, max_size=8))
    insert = st.builds(lambda i, b: (i, i, b), places, st.binary(min_size=1, max_size=20))
    remove = st.builds(lambda i, n: (i, i + n, b""), places, st.integers(1, 60))
    return draw(st.lists(st.one_of(cut, change, change, insert, remove), min_size=1, max_size=6))


def result_or_message(read: Callable[..., Any], path: Path) -> Any:
    """What is read, or the message of the only error that may be raised."""
    try:
        return read(path)
    except InputError as error:
        return str(error)


@pytest.fixture(scope="module")
def good_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = tmp_path_factory.mktemp("good") / "s.nc"
    write_netcdf(path, NAMES)
    return {**whole_files(), "nc": path.read_bytes()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npy", "npz", "packed.npz", "csv", "tsv", "nc"])
@pytest.mark.parametrize("read", [read_recording, read_couplings])
@settings(max_examples=60, deadline=5000, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_give_one_line(
    tmp_path: Path, good_files: dict[str, bytes], kind: str, read: Callable[..., Any], data: st.DataObject
) -> None:
    content = good_files[kind]
    for start, stop, replacement in data.draw(damages(len(content))):
        content = content[:start] + replacement + content[stop:]
    path = tmp_path / f"s.{kind}"
    path.write_bytes(content)
    result = result_or_message(read, path)
    if isinstance(result, str):
        assert result.isprintable()
        assert "s." in result
    else:
        values = result.spins if isinstance(result, Recording) else result
        assert values.ndim == 2
        assert np.isfinite(values).all()
        assert not isinstance(result, Recording) or bool((np.abs(values) == 1).all())


@settings(
    max_examples=150, deadline=5000, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.sampled_from('01-+.,;\t "\n\r#aNé\x00e'), max_size=60))
def test_any_text_gives_spins_or_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(text.encode())
    result = result_or_message(read_spins, path)
    assert result.isprintable() if isinstance(result, str) else set(np.unique(result)) == {-1, 1}


# --- patterns and couplings


def test_patterns(tmp_path: Path) -> None:
    write_text(tmp_path / "p.csv", np.ones((1, 4)))
    np.testing.assert_array_equal(read_patterns(tmp_path / "p.csv"), np.ones((1, 4)))
    write_text(tmp_path / "p.csv", np.eye(3))
    np.testing.assert_array_equal(read_patterns(tmp_path / "p.csv", zero_one=True), 2 * np.eye(3) - 1)
    write_text(tmp_path / "p.csv", [[1, 0], [-1, 1]])
    assert "row 0 (line 1), column 1" in complaint(read_patterns, tmp_path / "p.csv")


def test_couplings(tmp_path: Path) -> None:
    random = np.random.default_rng(0).normal(size=(4, 4))
    couplings = random + random.T
    np.save(tmp_path / "c.npy", couplings)
    np.savez(tmp_path / "c.npz", couplings=couplings, couplings_std=couplings)
    np.savetxt(tmp_path / "c.csv", couplings, delimiter=",", fmt="%.17g")
    dataset = xr.Dataset({"couplings": (("spin", "other_spin"), couplings), "fields": ("spin", np.zeros(4))})
    dataset.to_netcdf(tmp_path / "c.nc", engine="h5netcdf")
    for name in ("c.npy", "c.npz", "c.csv", "c.nc"):
        np.testing.assert_array_equal(read_couplings(tmp_path / name), couplings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({(1, 2): np.nan}, "row 1, column 2 (counted from 0) holds nan"),
        ({(3, 0): np.inf}, "row 3, column 0 (counted from 0) holds inf"),
        ({(1, 2): 0.25}, "row 1, column 2 (counted from 0) holds 0.25, but row 2, column 1 holds 0.5"),
    ],
)
def test_couplings_that_are_none(tmp_path: Path, change: dict[tuple[int, int], float], words: str) -> None:
    couplings = np.full((4, 4), 0.5)
    for place, value in change.items():
        couplings[place] = value
    np.save(tmp_path / "c.npy", couplings)
    assert words in complaint(read_couplings, tmp_path / "c.npy")


def test_couplings_must_be_square(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.ones((3, 4)))
    assert "3 x 4 values" in complaint(read_couplings, tmp_path / "c.npy")


# --- recordings at large


def test_real_recordings() -> None:
    dwave = read_recording(recording("dwave_2x_lanl.npz"))
    assert dwave.spins.shape == (252_310, 62)
    assert dwave.n_samples == 500_000
    message = complaint(read_recording, recording("senate_114.npz"))
    assert "'CAPITO, Shelley Moore'" in message
    assert "893 of 46686 are missing" in message
    senate = read_recording(recording("senate_114.npz"), missing="drop")
    assert senate.spins.shape == (191, 93)
    paintings = read_recording(recording("bob_ross_538.npz"))
    assert paintings.spins.shape == (403, 32)
    assert paintings.names[0] == "BARN"


@pytest.mark.parametrize(
    ("threshold", "levels"), [(1.5, (1.5, 1.5)), ("1.5", (1.5, 1.5)), ("median", (2, 3)), ("mean", (2.6, 26 / 4))]
)
def test_real_values_take_a_threshold(tmp_path: Path, threshold: float | str, levels: tuple[float, float]) -> None:
    values = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, np.nan], [2.0, 1.0], [5.0, 19.0]])
    np.save(tmp_path / "x.npy", values)
    expected = np.where(np.isnan(values), 0, np.where(values > levels, 1, -1))
    recording = read_recording(tmp_path / "x.npy", threshold=threshold, missing="mask")
    np.testing.assert_array_equal(recording.spins, expected)
    assert recording.attributes["threshold"] == str(threshold)
    np.testing.assert_array_equal(
        read_spins(tmp_path / "x.npy", threshold=threshold, missing="drop"), expected[[0, 1, 3, 4]]
    )


def test_bad_thresholds_are_named(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", [[0.5, 2.0], [2.5, np.inf], [1.0, 1.0]])
    path = tmp_path / "x.npy"
    assert "real values take a threshold" in complaint(read_spins, path)
    assert "a number, 'median' or 'mean', got 'high'" in complaint(read_spins, path, threshold="high")
    assert "a finite number" in complaint(read_spins, path, threshold=np.nan)
    assert "row 1, column 1 (counted from 0) holds inf" in complaint(read_spins, path, threshold="mean")
    assert "zero_one is not" in complaint(read_spins, path, threshold=1.0, zero_one=True)
