"""Sortings saved by spikeinterface: folders (numpy, npz, zarr) and, from `npz`, single npz files."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.formats._packing import check_packing
from infer.recordings.spike_times import SpikeTimes

MOST_BYTES = 50_000_000
INFO = "numpysorting_info.json"
CACHED = "sorting_cached.npz"


def is_sorting(path: Path) -> bool:
    """Whether a folder is a sorting of spikeinterface."""
    return _is_numpy(path) or (path / CACHED).is_file() or _is_zarr(path)


def _is_numpy(path: Path) -> bool:
    """Whether a folder has the current format, numpy_folder."""
    return (path / INFO).is_file() and (path / "spikes.npy").is_file()


def _is_zarr(path: Path) -> bool:
    """Whether a folder has the zarr format."""
    return (path / "spikes" / "sample_index").is_dir() and (path / "unit_ids").is_dir()


def read_sorting(path: Path, key: str | None) -> SpikeTimes:
    """Spike times in seconds; segments are runs."""
    properties = _properties(path / "properties")
    if _is_numpy(path):
        info = _json(path / INFO)
        spikes = np.load(path / "spikes.npy", allow_pickle=False)
        if spikes.dtype.names is None or not {"sample_index", "unit_index"} <= set(spikes.dtype.names):
            raise InputError(f"{path}: spikes.npy has no fields sample_index and unit_index")
        segments = spikes["segment_index"] if "segment_index" in spikes.dtype.names else np.zeros(len(spikes), int)
        rate, names = info.get("sampling_frequency"), info.get("unit_ids")
        return sorting(path, spikes["sample_index"], spikes["unit_index"], segments, rate, names, properties)
    if (path / CACHED).is_file():
        with (path / CACHED).open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
            check_packing(path, archive)
            return sorting_of_archive(path, archive, properties)
    return _read_zarr(path)


def sorting_of_archive(path: Path, archive: Any, properties: Mapping[str, Any] | None = None) -> SpikeTimes:
    """The spikes of an npz file of spikeinterface."""
    n_segments = int(archive["num_segment"][0]) if "num_segment" in archive.files else 1
    if not 0 < n_segments <= len(archive.files):
        raise InputError(f"{path}: {n_segments} segments in an archive of {len(archive.files)} arrays")
    samples, labels, segments = [], [], []
    for segment in range(n_segments):
        ending = f"_seg{segment}" if f"spike_indexes_seg{segment}" in archive.files else ""
        samples.append(archive[f"spike_indexes{ending}"])
        labels.append(archive[f"spike_labels{ending}"])
        segments.append(np.full(len(samples[-1]), segment))
    units = archive["unit_ids"]
    label = np.concatenate(labels)
    order = np.argsort(units)
    place = np.clip(np.searchsorted(units[order], label), 0, max(len(units) - 1, 0))
    if not len(units) or (units[order][place] != label).any():
        raise InputError(f"{path}: a spike has a label that is not among unit_ids")
    rate = archive["sampling_frequency"].reshape(-1)[0]
    return sorting(
        path, np.concatenate(samples), order[place], np.concatenate(segments), rate, units.tolist(), properties or {}
    )


def sorting(
    path: Path,
    samples: NDArray[Any],
    units: NDArray[Any],
    segments: NDArray[Any],
    rate: Any,
    names: Any,
    properties: Mapping[str, Any],
) -> SpikeTimes:
    """Spike times from samples, units (numbers of the names) and segments."""
    if not isinstance(rate, int | float | np.number) or not 0 < float(rate) < np.inf:
        raise InputError(f"{path} does not give the sampling rate (sampling_frequency)")
    if not isinstance(names, list) or not names:
        raise InputError(f"{path} does not name its units (unit_ids)")
    if not (samples.shape == units.shape == segments.shape and samples.ndim == 1) or any(
        each.dtype.kind not in "iu" for each in (samples, units, segments)
    ):
        raise InputError(f"{path}: samples, units and segments of spikes are not lists of whole numbers of one length")
    if len(units) and not 0 <= int(units.min()) <= int(units.max()) < len(names):
        raise InputError(f"{path}: a spike has unit {int(units.max())} of {len(names)}")
    distinct, numbers = np.unique(segments, return_inverse=True)
    many = len(distinct) > 1
    table = {name: values for name, values in properties.items() if len(values) == len(names)}
    return SpikeTimes(
        samples / float(rate),
        units.astype(np.int64),
        tuple(str(name) for name in names),
        trials=numbers.reshape(-1).astype(np.int64) if many else None,
        n_trials=len(distinct) if many else 0,
        same_window=False,
        unit_table={"unit_id": names, **table},
        notes=(f"{len(distinct)} segments were taken as runs, each from its first spike to its last",) if many else (),
    )


def _json(path: Path) -> dict[str, Any]:
    """Read a JSON file, which must hold an object."""
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path} is too large")
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise InputError(f"{path} does not hold an object of JSON")
    return found


def _properties(folder: Path) -> dict[str, list[Any]]:
    """Properties of the units that are plain lists."""
    found = {}
    for file in sorted(folder.glob("*.npy"))[:200] if folder.is_dir() else ():
        try:
            values = np.load(file, allow_pickle=False)
        except ValueError:  # Python objects, which are never loaded
            continue
        if values.ndim == 1 and values.dtype.kind in "biufU":
            found[file.stem] = values.tolist()
    return found


def _read_zarr(path: Path) -> SpikeTimes:
    """Spike times of a sorting in zarr."""
    try:
        zarr = importlib.import_module("zarr")
    except ImportError as error:
        raise InputError(f"{path}: zarr folders need zarr; install it with: pip install zarr") from error
    root = zarr.open(str(path), mode="r")
    samples, units = np.asarray(root["spikes/sample_index"]), np.asarray(root["spikes/unit_index"])
    slices = np.asarray(root["spikes/segment_slices"])
    segments = np.zeros(len(samples), dtype=np.int64)
    for number, (start, stop) in enumerate(slices.tolist()):
        segments[start:stop] = number
    properties = {}
    if "properties" in root:
        for name in list(root["properties"])[:200]:
            values = root["properties"][name]
            if values.ndim == 1 and values.dtype.kind in "biufU":
                properties[str(name)] = np.asarray(values).tolist()
    names = np.asarray(root["unit_ids"]).tolist()
    return sorting(path, samples, units, segments, root.attrs.get("sampling_frequency"), names, properties)


FORMAT = Format(
    name="spikeinterface",
    endings=(),
    is_folder=is_sorting,
    read_spikes=read_sorting,
    guarded=True,
    has_keys=False,
)
