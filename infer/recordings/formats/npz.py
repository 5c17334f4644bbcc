"""Archives of numpy arrays: a table with counts, runs, names and patterns beside it, or spike times and units."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.formats._packing import check_packing
from infer.recordings.formats.npy import spikes_of_matrix
from infer.recordings.formats.spikeinterface import sorting_of_archive
from infer.recordings.spike_times import SpikeTimes, find_columns, find_trials, spikes_of_labels
from infer.recordings.table import Table, choose
from infer.wording import shown


def read_npz(path: Path, content: str, key: str | None) -> Table:
    """One array of an archive, with counts, chains and names from other arrays."""
    # opened here, since numpy leaves a damaged archive open
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
        check_packing(path, archive)
        shapes = {name: _npz_header(archive, name) for name in archive.files}
        if key is None and content == "spins" and "spins" not in shapes and "spins_packed" in shapes:
            if "n_spins" not in shapes:
                raise InputError(f"{path}: spins_packed needs n_spins, the number of spins in a row, beside it")
            taken = "spins_packed"
            values = _unpack(path, _member(path, archive, "spins_packed"), _member(path, archive, "n_spins"))
        else:
            tables = [name for name, (shape, _) in shapes.items() if len(shape) in (2, 3)]
            taken = choose(path, list(shapes), tables, content, key)
            values = _member(path, archive, taken)
        names = _npz_names(path, archive, shapes, values.shape)
        table = Table(values, names=names, oriented=taken in ("spins", "spins_packed"))
        if content == "spins" and taken == "d" and {"t", "start", "end"} <= shapes.keys():
            _add_support(path, archive, shapes, table)
        if content == "spins":
            # beside a table chosen by key, an array called counts holds counts of spikes, not of rows
            listed = [name for name in ("counts", "weights", "chains") if name in shapes and name != taken]
            for name in [each for each in listed if key is None or len(shapes[each][0]) != 2]:
                setattr(table, name, _member(path, archive, name))
            if "patterns" in shapes and key != "patterns":
                table.patterns = _member(path, archive, "patterns")
        return table


def read_npz_spikes(path: Path, key: str | None) -> SpikeTimes:
    """Two arrays named as times and units, or a table of two columns."""
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
        check_packing(path, archive)
        shapes = {name: _npz_header(archive, name)[0] for name in archive.files}
        if "sampling_frequency" in shapes and {"spike_indexes", "spike_indexes_seg0"} & shapes.keys():
            return sorting_of_archive(path, archive)
        if {"t", "index", "start", "end"} <= shapes.keys():
            return _read_group(path, archive)
        lists = [name for name, shape in shapes.items() if len(shape) == 1]
        if key is None and len(lists) >= 2:
            time, unit = find_columns(str(path), lists, len(lists))
            trial = find_trials(lists)
            taken = [lists[place] for place in (time, unit, *([] if trial is None else [trial]))]
            return spikes_of_labels(str(path), *(_member(path, archive, name) for name in taken))
        tables = [name for name, shape in shapes.items() if len(shape) == 2]
        return spikes_of_matrix(path, _member(path, archive, choose(path, list(shapes), tables, "spikes", key)))


def _read_group(path: Path, archive: Any) -> SpikeTimes:
    """A TsGroup as pynapple saves it: times, unit of each, and the time support."""
    times, index = _member(path, archive, "t"), _member(path, archive, "index")
    ends = [np.ravel(_member(path, archive, name)) for name in ("start", "end")]
    names = np.ravel(_member(path, archive, "keys")) if "keys" in archive.files else np.unique(index)
    spikes = spikes_of_labels(str(path), times, index)
    if len(ends[0]) != len(ends[1]) or not set(spikes.names) <= {str(name) for name in names}:
        raise InputError(f"{path}: keys, index and time support do not go together")
    order = tuple(str(name) for name in names)
    place = np.array([order.index(name) for name in spikes.names], dtype=np.int64)
    return replace(spikes, units=place[spikes.units], names=order, intervals=np.column_stack(ends).astype(np.float64))


def _add_support(path: Path, archive: Any, shapes: Mapping[str, Any], table: Table) -> None:
    """Times and time support of a TsdFrame as pynapple saves it; each interval is a chain."""
    times = np.ravel(_member(path, archive, "t"))
    starts, ends = (np.ravel(_member(path, archive, name)) for name in ("start", "end"))
    if times.shape != (len(table.values),) or len(starts) != len(ends) or not len(starts):
        raise InputError(f"{path}: times and time support do not go with {len(table.values)} rows")
    table.times, table.oriented = times, True
    table.chains = np.maximum(np.searchsorted(starts, times, side="right") - 1, 0)
    size, kind = shapes.get("columns", ((), None))
    if kind is not None and kind.kind == "O":
        note = "the names of the columns are pickled Python objects, which are never loaded"
        table.attributes["notes"] = [note]
    elif size == (table.values.shape[-1],):
        table.names = tuple(str(name) for name in _member(path, archive, "columns"))


def _member(path: Path, archive: Any, name: str) -> NDArray[Any]:
    """One array; numpy returns bytes for a member that is not an array."""
    values = archive[name]
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path}: {shown(name)} is not an array")
    return values


def _npz_header(archive: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any] | None]:
    """Shape and type of one array without loading it; no shape where it is not a plain array."""
    member = name if name in archive.zip.namelist() else f"{name}.npy"
    with archive.zip.open(member) as handle:
        try:
            version = np.lib.format.read_magic(handle)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = reader(handle)
        except ValueError:
            return (), None
    return shape, dtype


def _npz_names(path: Path, archive: Any, shapes: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[str, ...] | None:
    """The names of the columns: the array called names, or the only list of texts with one entry per column."""
    if len(shape) != 2:
        return None
    fitting = [
        name
        for name, (size, dtype) in shapes.items()
        if dtype is not None and dtype.kind == "U" and size == (shape[1],) and shape[0] != shape[1]
    ]
    if "names" in shapes:
        return tuple(str(name) for name in np.ravel(_member(path, archive, "names")))
    return tuple(str(name) for name in _member(path, archive, fitting[0])) if len(fitting) == 1 else None


def _unpack(path: Path, packed: NDArray[Any], n_spins: NDArray[Any]) -> NDArray[np.int8]:
    """Bits to spins: 1 is +1, 0 is -1, eight spins per byte, the first in the highest bit."""
    if packed.dtype != np.uint8 or packed.ndim != 2:
        raise InputError(f"{path}: spins_packed must be uint8 with 2 dimensions, not {packed.dtype} of {packed.shape}")
    n_bytes = packed.shape[1]
    if n_spins.size != 1 or n_spins.dtype.kind not in "iu" or not 8 * (n_bytes - 1) < n_spins.item() <= 8 * n_bytes:
        raise InputError(
            f"{path}: n_spins = {shown(n_spins.tolist())} does not go with {n_bytes} bytes per row in spins_packed"
        )
    spins = np.unpackbits(packed, axis=1, count=n_spins.item()).view(np.int8)
    spins *= 2
    spins -= 1
    return spins


FORMAT = Format(
    name="npz",
    endings=(".npz",),
    magic=(b"PK\x03\x04", b"PK\x05\x06"),
    read_table=read_npz,
    read_spikes=read_npz_spikes,
)
