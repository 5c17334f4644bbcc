"""One small recording in the files and objects of many libraries, each made by the library that makes it."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.io

N_BINS, WIDTH, RATE = 60, 0.5, 1000.0
NAMES = ("a", "b", "c", "d")
_rng = np.random.default_rng(31)
SPINS = np.where(_rng.random((N_BINS, 4)) < 0.4, 1, -1).astype(np.int8)
SPINS[[0, -1]] = 1  # so that the bins are those from the first spike to the last
BITS = (SPINS > 0).astype(np.int8)
REAL = np.where(SPINS > 0, 1.5, 0.25) + 0.1 * np.arange(4)
# times of unit k, in the middle of its bins, one more in the first bin
TIMES = [np.sort(np.r_[WIDTH * np.flatnonzero(SPINS[:, k] > 0) + 0.2, 0.1]) for k in range(4)]
ALL_TIMES, ALL_UNITS = np.concatenate(TIMES), np.repeat(np.arange(4), [len(times) for times in TIMES])
ORDER = np.lexsort((ALL_UNITS, ALL_TIMES))
SAMPLES = np.round(ALL_TIMES * RATE).astype(np.int64)


@dataclass(frozen=True)
class Lab:
    """How a file is made, and the options that read it; `names` are those that it gives."""

    make: Callable[[Path], Any]
    options: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] | None = None


def cells(values: list[Any]) -> np.ndarray:
    """A cell array of one row."""
    found = np.empty((1, len(values)), dtype=object)
    for i, value in enumerate(values):
        found[0, i] = value
    return found


def mat5(path: Path) -> Path:
    scipy.io.savemat(path / "s.mat", {"data": BITS, "fs": RATE, "who": "me"})
    return path / "s.mat"


def mat5_units_by_time(path: Path) -> Path:
    scipy.io.savemat(path / "s.mat", {"X": np.ascontiguousarray(SPINS.T).astype(float)}, do_compression=True)
    return path / "s.mat"


def mat5_struct(path: Path) -> Path:
    scipy.io.savemat(path / "s.mat", {"session": {"spins": SPINS, "names": cells(list(NAMES))}, "other": SPINS.T})
    return path / "s.mat"


def mat5_cells(path: Path) -> Path:
    scipy.io.savemat(path / "s.mat", {"spikes": cells(TIMES), "rate": RATE})
    return path / "s.mat"


def mat4(path: Path) -> Path:
    scipy.io.savemat(path / "s.mat", {"data": SPINS.astype(float)}, format="4")
    return path / "s.mat"


def mat73(path: Path) -> Path:
    with h5py.File(path / "s.mat", "w", userblock_size=512) as file:
        file["spins"] = SPINS.T.astype(float)  # MATLAB writes its columns one after another
        file["spins"].attrs["MATLAB_class"] = np.bytes_("double")
    with (path / "s.mat").open("r+b") as handle:
        handle.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return path / "s.mat"


def mat73_cells(path: Path) -> Path:
    with h5py.File(path / "s.mat", "w") as file:
        for k, times in enumerate(TIMES):
            file[f"#refs#/{k}"] = times[:, None]
        references = np.array([[file[f"#refs#/{k}"].ref for k in range(4)]], dtype=h5py.ref_dtype).T
        file.create_dataset("spikes", data=references, dtype=h5py.ref_dtype).attrs["MATLAB_class"] = np.bytes_("cell")
    return path / "s.mat"


def h5(path: Path) -> Path:
    with h5py.File(path / "s.h5", "w") as file:
        file["data/raster"] = BITS
        file["data/names"] = list(NAMES)
        file["data/rate"] = RATE
    return path / "s.h5"


def caiman(path: Path) -> Path:
    with h5py.File(path / "s.hdf5", "w") as file:
        file["estimates/S"], file["estimates/C"] = REAL.T, REAL.T + 1
        file["params/data/fr"] = 30
    return path / "s.hdf5"


def h5_times(path: Path) -> Path:
    with h5py.File(path / "s.h5", "w") as file:
        for name, times in zip(NAMES, TIMES, strict=True):
            file[f"spikes/{name}"] = times
        file["rate"] = RATE
    return path / "s.h5"


def phy(path: Path) -> Path:
    folder = path / "sorted"
    folder.mkdir()
    noise = np.r_[SAMPLES, [3, 5000, 12000]], np.r_[ALL_UNITS + 10, [7, 7, 7]]
    order = np.argsort(noise[0], kind="stable")
    np.save(folder / "spike_times.npy", noise[0][order].astype(np.uint64)[:, None])
    np.save(folder / "spike_clusters.npy", noise[1][order].astype(np.int32))
    (folder / "params.py").write_text(f"dat_path = 'x.dat'\nsample_rate = {RATE}\nraise SystemExit\n")
    labels = [f"{k + 10}\tgood" for k in range(4)]
    (folder / "cluster_group.tsv").write_text("\n".join(["cluster_id\tgroup", "7\tnoise", *labels]))
    (folder / "cluster_info.tsv").write_text("cluster_id\tdepth\n7\t1.5\n10\t20\n11\t30\n12\t40\n13\t50\n")
    return folder


def suite2p(path: Path) -> Path:
    folder = path / "suite2p" / "plane0"
    folder.mkdir(parents=True)
    regions = np.zeros((6, N_BINS), dtype=np.float32)
    regions[[0, 2, 3, 5]] = REAL.T
    np.save(folder / "spks.npy", regions)
    np.save(folder / "F.npy", regions + 7)
    np.save(folder / "iscell.npy", np.array([[1, 0.9], [0, 0.1], [1, 0.8], [1, 0.6], [0, 0.2], [1, 0.7]]))
    np.save(folder / "stat.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    return path / "suite2p"


def _sorting() -> Any:
    core = pytest.importorskip("spikeinterface.core", reason="spikeinterface is not installed")
    maker = getattr(core.NumpySorting, "from_samples_and_labels", None) or core.NumpySorting.from_times_labels
    found = maker([SAMPLES[ORDER]], [ALL_UNITS[ORDER]], RATE)
    found.set_property("quality", np.array(["good", "good", "mua", "good"]))
    return found


def si_npz(path: Path) -> Path:
    core = pytest.importorskip("spikeinterface.core", reason="spikeinterface is not installed")
    core.NpzSortingExtractor.write_sorting(_sorting(), path / "s.npz")
    return path / "s.npz"


@pytest.mark.filterwarnings("ignore")
def si_folder(path: Path) -> Path:
    _sorting().save(folder=path / "folder", format="numpy_folder")
    return path / "folder"


def si_zarr(path: Path) -> Path:
    pytest.importorskip("zarr", reason="zarr is not installed")
    _sorting().save(folder=path / "s.zarr", format="zarr")
    return path / "s.zarr"


def feather(path: Path) -> Path:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    pd.DataFrame(SPINS, columns=NAMES).to_feather(path / "s.feather")
    return path / "s.feather"


def polars_parquet(path: Path) -> Path:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    polars.DataFrame(SPINS, schema=list(NAMES)).write_parquet(path / "s.parquet")
    return path / "s.parquet"


def indexed_parquet(path: Path) -> Path:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    frame = pd.DataFrame(SPINS, columns=NAMES, index=pd.RangeIndex(5, 5 + 2 * N_BINS, 2, name="frame").to_numpy())
    frame.rename_axis("frame").to_parquet(path / "s.parquet")
    return path / "s.parquet"


def csv_gz(path: Path) -> Path:
    pd.DataFrame(SPINS, columns=NAMES).to_csv(path / "s.csv.gz", index=False)
    return path / "s.csv.gz"


def spikes_gz(path: Path) -> Path:
    table = pd.DataFrame({"time": ALL_TIMES[ORDER], "unit": np.array(NAMES)[ALL_UNITS[ORDER]]})
    (path / "s.tsv.gz").write_bytes(gzip.compress(table.to_csv(index=False, sep="\t").encode()))
    return path / "s.tsv.gz"


def pandas_csv(path: Path) -> Path:
    pd.DataFrame(SPINS, columns=NAMES).to_csv(path / "s.csv")
    return path / "s.csv"


def pandas_csv_without_names(path: Path) -> Path:
    pd.DataFrame(SPINS).to_csv(path / "s.csv")
    return path / "s.csv"


def r_csv(path: Path) -> Path:
    """As write.csv(frame, "s.csv") of R writes."""
    rows = [f'"{i + 1}",' + ",".join(map(str, row)) for i, row in enumerate(SPINS)]
    (path / "s.csv").write_text('"","a","b","c","d"\n' + "\n".join(rows) + "\n")
    return path / "s.csv"


def r_table(path: Path) -> Path:
    """As write.table(frame, "s.txt") of R writes."""
    rows = [f'"{i + 1}" ' + " ".join(map(str, row)) for i, row in enumerate(SPINS)]
    (path / "s.txt").write_text('"a" "b" "c" "d"\n' + "\n".join(rows) + "\n")
    return path / "s.txt"


def r_table_with_row_names(path: Path) -> Path:
    rows = [f'"day {i}" ' + " ".join(map(str, row)) for i, row in enumerate(SPINS)]
    (path / "s.txt").write_text('"a" "b" "c" "d"\n' + "\n".join(rows) + "\n")
    return path / "s.txt"


def dat_words(path: Path) -> Path:
    (path / "s.dat").write_text("\n".join("".join(map(str, row)) for row in BITS))
    return path / "s.dat"


def decimal_commas(path: Path) -> Path:
    pd.DataFrame(REAL, columns=NAMES).to_csv(path / "s.csv", sep=";", decimal=",", index=False)
    return path / "s.csv"


def votes(path: Path) -> Path:
    pd.DataFrame(np.where(SPINS > 0, "y", "n"), columns=NAMES).to_csv(path / "s.csv", index=False)
    return path / "s.csv"


def truths(path: Path) -> Path:
    pd.DataFrame(SPINS > 0, columns=NAMES).to_csv(path / "s.csv", index=False)
    return path / "s.csv"


def timed_csv(path: Path) -> Path:
    frame = pd.DataFrame(REAL, columns=NAMES)
    frame.insert(0, "time", WIDTH * np.arange(N_BINS))
    frame.to_csv(path / "s.csv", index=False)
    return path / "s.csv"


def transposed_csv(path: Path) -> Path:
    frame = pd.DataFrame(REAL.T, index=pd.Index(NAMES, name="unit"), columns=WIDTH * np.arange(N_BINS))
    frame.to_csv(path / "s.csv")
    return path / "s.csv"


def npy_runs(path: Path) -> Path:
    np.save(path / "s.npy", SPINS.reshape(3, 20, 4).transpose(0, 2, 1))
    return path / "s.npy"


def nwb(path: Path) -> Path:
    pytest.importorskip("pynwb", reason="pynwb is not installed")
    import datetime

    from pynwb import NWBHDF5IO, NWBFile

    file = NWBFile("test", "test", datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC))
    for times in TIMES:
        file.add_unit(spike_times=times, obs_intervals=[[0.0, N_BINS * WIDTH]])
    with NWBHDF5IO(path / "s.nwb", "w") as io:
        io.write(file)
    return path / "s.nwb"


def _group() -> Any:
    nap = pytest.importorskip("pynapple", reason="pynapple is not installed")
    support = nap.IntervalSet(0, N_BINS * WIDTH)
    return nap.TsGroup({k: nap.Ts(times) for k, times in enumerate(TIMES)}, time_support=support)


def nap_group_file(path: Path) -> Path:
    _group().save(path / "s.npz")
    return path / "s.npz"


def nap_frame(path: Path) -> Any:
    nap = pytest.importorskip("pynapple", reason="pynapple is not installed")
    return nap.TsdFrame(t=WIDTH * np.arange(N_BINS), d=SPINS, columns=list(NAMES))


def nap_frame_file(path: Path) -> Path:
    nap_frame(path).save(path / "s.npz")
    return path / "s.npz"


def neo_trains(path: Path) -> list[Any]:
    neo = pytest.importorskip("neo", reason="neo is not installed")
    stop = 1000 * N_BINS * WIDTH
    return [
        neo.SpikeTrain(1000 * times, units="ms", t_stop=stop, name=name)
        for name, times in zip(NAMES, TIMES, strict=True)
    ]


def elephant_bins(path: Path) -> Any:
    elephant = pytest.importorskip("elephant.conversion", reason="elephant is not installed")
    quantities = pytest.importorskip("quantities", reason="quantities is not installed")
    return elephant.BinnedSpikeTrain(neo_trains(path), bin_size=WIDTH * quantities.s)


REAL_LEVEL = {"threshold": "mean"}
SPIKES = {"bin_width": WIDTH}
NUMBERS = ("0", "1", "2", "3")

FILES: dict[str, Lab] = {
    "MATLAB 5": Lab(mat5, {"zero_one": True}),
    "MATLAB 5, units x time": Lab(mat5_units_by_time, {"transpose": True}),
    "MATLAB 5, struct": Lab(mat5_struct, {"key": "session.spins"}),
    "MATLAB 5, cells": Lab(mat5_cells, SPIKES, NUMBERS),
    "MATLAB 4": Lab(mat4),
    "MATLAB 7.3": Lab(mat73),
    "MATLAB 7.3, cells": Lab(mat73_cells, SPIKES, NUMBERS),
    "HDF5": Lab(h5, {"key": "data/raster", "zero_one": True}),
    "HDF5 of CaImAn": Lab(caiman, {"key": "estimates/S", "transpose": True, **REAL_LEVEL}),
    "HDF5, times": Lab(h5_times, {"key": "spikes", **SPIKES}, NAMES),
    "phy": Lab(phy, SPIKES, ("10", "11", "12", "13")),
    "suite2p": Lab(suite2p, REAL_LEVEL, ("0", "2", "3", "5")),
    "spikeinterface npz": Lab(si_npz, SPIKES, NUMBERS),
    "spikeinterface folder": Lab(si_folder, SPIKES, NUMBERS),
    "spikeinterface zarr": Lab(si_zarr, SPIKES, NUMBERS),
    "feather": Lab(feather, {}, NAMES),
    "parquet of polars": Lab(polars_parquet, {}, NAMES),
    "parquet with an index": Lab(indexed_parquet, {}, NAMES),
    "csv.gz": Lab(csv_gz, {}, NAMES),
    "spikes in tsv.gz": Lab(spikes_gz, SPIKES, NAMES),
    "csv of pandas": Lab(pandas_csv, {}, NAMES),
    "csv of pandas without names": Lab(pandas_csv_without_names, {}, NUMBERS),
    "csv of R": Lab(r_csv, {}, NAMES),
    "table of R": Lab(r_table, {}, NAMES),
    "table of R with row names": Lab(r_table_with_row_names, {}, NAMES),
    "dat of words": Lab(dat_words, {"zero_one": True}, NUMBERS),
    "decimal commas": Lab(decimal_commas, REAL_LEVEL, NAMES),
    "votes": Lab(votes, {}, NAMES),
    "true and false": Lab(truths, {"zero_one": True}, NAMES),
    "csv with times": Lab(timed_csv, REAL_LEVEL, NAMES),
    "csv, units x time": Lab(transposed_csv, {"transpose": True, **REAL_LEVEL}, NAMES),
    "npy of runs": Lab(npy_runs, {"axes": "trial,unit,time"}, NUMBERS),
    "NWB": Lab(nwb, SPIKES, NUMBERS),
    "npz of a TsGroup": Lab(nap_group_file, SPIKES, NUMBERS),
    "npz of a TsdFrame": Lab(nap_frame_file),
}
OBJECTS: dict[str, Lab] = {
    "TsGroup": Lab(lambda path: _group(), SPIKES, NUMBERS),
    "TsdFrame": Lab(nap_frame, {}, NAMES),
    "SpikeTrain": Lab(neo_trains, SPIKES, NAMES),
    "BinnedSpikeTrain": Lab(elephant_bins, {}),
    "DataFrame": Lab(lambda path: pd.DataFrame(SPINS, columns=NAMES), {}, NAMES),
    "dict of times": Lab(lambda path: dict(zip(NAMES, TIMES, strict=True)), SPIKES, NAMES),
    "list of times": Lab(lambda path: TIMES, SPIKES, NUMBERS),
    "array": Lab(lambda path: SPINS, {}, NUMBERS),
    "array of runs": Lab(lambda path: SPINS.reshape(3, 20, 4), {}, NUMBERS),
    "ragged trials": Lab(lambda path: [SPINS[:17], SPINS[17:29], SPINS[29:]], {}, NUMBERS),
}


def arguments(options: dict[str, Any]) -> list[str]:
    """Options of the command line for those of `read_recording`."""
    words = []
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return words
