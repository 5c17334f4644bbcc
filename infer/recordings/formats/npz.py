"""Archives of numpy arrays: a table with counts, runs, names and patterns beside it, or spike times and units."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.formats.npy import spikes_of_matrix
from infer.recordings.spike_times import SpikeTimes, find_columns, spikes_of_labels
from infer.recordings.table import Table, choose
from infer.wording import shown

# spikes in narrow bins may well pack a hundred to one; an archive that claims more, and much of it, is a trap
FREE_BYTES, LARGEST_PACKING = 1 << 28, 500


def read_npz(path: Path, content: str, key: str | None) -> Table:
    """One array of an archive and its companions: counts, chains, names."""
    # opened here, since numpy leaves a damaged archive open
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
        _check_packing(path, archive)
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
        if content == "spins":
            # a table of two dimensions called counts holds counts of spikes, not how often rows were seen
            listed = [name for name in ("counts", "weights", "chains") if name in shapes and name != taken]
            for name in [each for each in listed if not (each == "counts" and len(shapes[each][0]) == 2)]:
                setattr(table, name, _member(path, archive, name))
            if "patterns" in shapes and key != "patterns":
                table.patterns = _member(path, archive, "patterns")
        return table


def read_npz_spikes(path: Path, key: str | None) -> SpikeTimes:
    """Two arrays named as times and units, or a table of two columns."""
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
        _check_packing(path, archive)
        shapes = {name: _npz_header(archive, name)[0] for name in archive.files}
        lists = [name for name, shape in shapes.items() if len(shape) == 1]
        if key is None and len(lists) >= 2:
            time, unit = find_columns(str(path), lists, len(lists))
            return spikes_of_labels(str(path), _member(path, archive, lists[time]), _member(path, archive, lists[unit]))
        tables = [name for name, shape in shapes.items() if len(shape) == 2]
        return spikes_of_matrix(path, _member(path, archive, choose(path, list(shapes), tables, "spikes", key)))


def _member(path: Path, archive: Any, name: str) -> NDArray[Any]:
    """One array; numpy gives a member that is none as bytes."""
    values = archive[name]
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path}: {shown(name)} is not an array")
    return values


def _check_packing(path: Path, archive: Any) -> None:
    """Refuse an archive of a few bytes that would fill memory."""
    for member in archive.zip.infolist():
        if member.file_size > max(FREE_BYTES, LARGEST_PACKING * member.compress_size):
            raise InputError(
                f"{path}: {shown(member.filename)} claims to unpack from {member.compress_size} to {member.file_size} "
                "bytes, more than any recording does; it is damaged, or not meant to be read"
            )


def _npz_header(archive: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any] | None]:
    """Shape and type of one array without loading it; what is no plain array has no shape."""
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
    """The names of the columns: the array called names, or the only list of texts with one entry a column."""
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
    """Bits to spins: 1 is +1, 0 is -1, eight spins a byte, the first in the highest bit."""
    if packed.dtype != np.uint8 or packed.ndim != 2:
        raise InputError(f"{path}: spins_packed must be uint8 with 2 dimensions, not {packed.dtype} of {packed.shape}")
    n_bytes = packed.shape[1]
    if n_spins.size != 1 or n_spins.dtype.kind not in "iu" or not 8 * (n_bytes - 1) < n_spins.item() <= 8 * n_bytes:
        raise InputError(
            f"{path}: n_spins = {shown(n_spins.tolist())} does not go with {n_bytes} bytes a row in spins_packed"
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
