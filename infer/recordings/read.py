"""From a file of any format that we read to one table of numbers; what libraries raise on the way becomes one line."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.child_process import try_reading
from infer.recordings.formats.netcdf import read_netcdf
from infer.recordings.formats.nwb import read_nwb
from infer.recordings.formats.parquet import read_parquet, read_spike_parquet
from infer.recordings.formats.text import read_spike_text, read_text
from infer.recordings.spike_times import SpikeTimes, bin_spikes, find_columns, spikes_of_labels
from infer.recordings.table import Table, choose
from infer.wording import one_line, shown

Content = Literal["spins", "patterns", "couplings"]

MAGIC = {
    b"\x93NUMPY": "npy",
    b"PK\x03\x04": "npz",
    b"PK\x05\x06": "npz",
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"PAR1": "parquet",
    b"CDF": "classic NetCDF",
}
FORMATS = {
    ".npy": "npy",
    ".npz": "npz",
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".parquet": "parquet",
    ".nc": "NetCDF",
    ".nwb": "NWB",
}
CONTAINERS = {"NetCDF": "HDF5", "NWB": "HDF5"}
ONE_TABLE = ("npy", "text", "parquet")
# spikes in narrow bins may well pack a hundred to one; an archive that claims more, and much of it, is a trap
FREE_BYTES, LARGEST_PACKING = 1 << 28, 500
NO_WIDTH = "give the width of the bins with bin_width= (--bin-width on the command line), in the unit of the times"


def read_table(path: str | os.PathLike[str], content: Content, key: str | None = None) -> Table:
    """Read the array called `key` (or `content`, or the only possible one) from a file of any known format."""
    source = Path(path)
    kind = _format_of(source)
    _check_key(source, kind, key)
    if kind == "NWB":
        raise InputError(f"{source} is read as spike times: {NO_WIDTH} (it holds no {content})")
    with one_line_errors(source, kind):
        if kind == "npy":
            table = Table(np.load(source, mmap_mode="r", allow_pickle=False))
        elif kind == "npz":
            table = _read_npz(source, content, key)
        elif kind == "text":
            table = read_text(source)
        elif kind == "parquet":
            try_reading("infer.recordings.formats.parquet:read_parquet", source)
            table = read_parquet(source)
        else:
            try_reading("infer.recordings.formats.netcdf:read_netcdf", source, content, key)
            table = read_netcdf(source, content, key)
    check_two_dimensional(str(source), table)
    return table


def read_spikes(path: str | os.PathLike[str], key: str | None, width: float) -> Table:
    """Read spike times from a file of any known format and put them into bins."""
    source = Path(path)
    kind = _format_of(source)
    _check_key(source, kind, key)
    with one_line_errors(source, kind):
        if kind == "npy":
            spikes = _spikes_of_matrix(source, np.load(source, allow_pickle=False))
        elif kind == "npz":
            spikes = _read_npz_spikes(source, key)
        elif kind == "text":
            spikes = read_spike_text(source)
        elif kind == "parquet":
            try_reading("infer.recordings.formats.parquet:read_spike_parquet", source)
            spikes = read_spike_parquet(source)
        elif kind == "NWB":
            try_reading("infer.recordings.formats.nwb:read_nwb", source, key)
            spikes = read_nwb(source, key)
        else:
            raise InputError(f"{source}: spike times are not read from NetCDF; leave the bin width out for spins")
        return bin_spikes(str(source), spikes, width)


def _check_key(source: Path, kind: str, key: str | None) -> None:
    """Refuse a choice where there is none."""
    if key is not None and kind in ONE_TABLE:
        raise InputError(
            f"{source}: key={shown(key)} was given, but {source.suffix} files hold one table; leave it out"
        )


def _format_of(path: Path) -> str:
    """The format by the ending of the name, held against the first bytes of the file."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the name of a file")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file")
    try:
        with path.open("rb") as handle:
            start = handle.read(8)
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror or error}") from error
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"{path}: unknown ending {shown(path.suffix)}; known are {', '.join(FORMATS)}")
    if not start:
        raise InputError(f"{path} is empty")
    found = next((name for magic, name in MAGIC.items() if start.startswith(magic)), "text")
    if found == "classic NetCDF" and kind == "NetCDF":
        raise InputError(f"{path} is a classic NetCDF file; save it as NetCDF 4 (for xarray: engine='h5netcdf')")
    if found != CONTAINERS.get(kind, kind):
        what = "no such data" if found == "text" else f"{found} data"
        raise InputError(f"{path} is named as {kind} but holds {what}; rename it, or check that it was written in full")
    return kind


@contextmanager
def one_line_errors(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged or hostile file into one line, and drop what it only warns of."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start} of a block); save it as UTF-8") from error
    except MemoryError as error:
        raise InputError(f"{path} claims more data than fits into memory; it may be damaged ({error})") from error
    except Exception as error:
        if "pickle" in str(error) or "Python objects" in str(error):
            raise InputError(
                f"{path} holds pickled Python objects, which are never loaded; save plain arrays of numbers"
            ) from error
        text = one_line(error)[:200]
        raise InputError(f"{path} cannot be read as {kind}, it may be damaged or cut short: {text}") from error


def check_two_dimensional(path: str, table: Table) -> None:
    """Refuse everything but a table of real numbers."""
    values = table.values
    if values.dtype.kind not in "biuf":
        raise InputError(f"{path} holds values of type {values.dtype}, not numbers")
    if values.ndim != 2:
        raise InputError(
            f"{path} holds an array of shape {values.shape}; it must have two dimensions, rows and columns"
        )
    if 0 in values.shape:
        raise InputError(f"{path} holds no data: its shape is {values.shape}")
    if table.names is not None and len(table.names) != values.shape[1]:
        raise InputError(f"{path} holds {len(table.names)} names for {values.shape[1]} columns")


# --- npz


def _read_npz(path: Path, content: Content, key: str | None) -> Table:
    """One array of an archive and its companions: counts, chains, names."""
    # opened here, since numpy leaves a damaged archive open
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
        _check_packing(path, archive)
        shapes = {name: _npz_header(archive, name) for name in archive.files}
        if key is None and content == "spins" and "spins" not in shapes and "spins_packed" in shapes:
            if "n_spins" not in shapes:
                raise InputError(f"{path}: spins_packed needs n_spins, the number of spins in a row, beside it")
            values = _unpack(path, _member(path, archive, "spins_packed"), _member(path, archive, "n_spins"))
        else:
            tables = [name for name, (shape, _) in shapes.items() if len(shape) == 2]
            values = _member(path, archive, choose(path, list(shapes), tables, content, key))
        table = Table(values, names=_npz_names(path, archive, shapes, values.shape))
        if content == "spins":
            table.counts = _member(path, archive, "counts") if "counts" in shapes else None
            table.chains = _member(path, archive, "chains") if "chains" in shapes else None
            if "patterns" in shapes and key != "patterns":
                table.patterns = _member(path, archive, "patterns")
        return table


def _read_npz_spikes(path: Path, key: str | None) -> SpikeTimes:
    """Two arrays named as times and units, or a table of two columns."""
    with path.open("rb") as handle, np.load(handle, allow_pickle=False) as archive:
        _check_packing(path, archive)
        shapes = {name: _npz_header(archive, name)[0] for name in archive.files}
        lists = [name for name, shape in shapes.items() if len(shape) == 1]
        if key is None and len(lists) >= 2:
            time, unit = find_columns(str(path), lists, len(lists))
            return spikes_of_labels(str(path), _member(path, archive, lists[time]), _member(path, archive, lists[unit]))
        tables = [name for name, shape in shapes.items() if len(shape) == 2]
        return _spikes_of_matrix(path, _member(path, archive, choose(path, list(shapes), tables, "spikes", key)))


def _spikes_of_matrix(path: Path, values: NDArray[Any]) -> SpikeTimes:
    """Rows of time and unit."""
    if values.ndim != 2 or values.shape[1] != 2 or values.dtype.kind not in "iuf":
        raise InputError(
            f"{path} holds {values.dtype} of shape {values.shape}; spike times are rows of time and unit (leave the "
            "bin width out if the values are spins already)"
        )
    return spikes_of_labels(str(path), values[:, 0], values[:, 1])


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
