"""From a file of any format that we read to one table of numbers; what libraries raise on the way becomes one line."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from infer._netcdf_reader import read_netcdf
from infer._tables import InputError, Table, choose, one_line, shown
from infer._text_reader import read_text

Content = Literal["spins", "patterns", "couplings"]

MAGIC = {b"\x93NUMPY": "npy", b"PK\x03\x04": "npz", b"PK\x05\x06": "npz", b"\x89HDF\r\n\x1a\n": "NetCDF"}
FORMATS = {".npy": "npy", ".npz": "npz", ".csv": "text", ".tsv": "text", ".txt": "text", ".nc": "NetCDF"}


def read_table(path: str | os.PathLike[str], content: Content, key: str | None = None) -> Table:
    """Read the array called `key` (or `content`, or the only possible one) from a file of any known format."""
    source = Path(path)
    kind = _format_of(source)
    if key is not None and kind in ("npy", "text"):
        raise InputError(
            f"{source}: key={shown(key)} was given, but {source.suffix} files hold one array; leave it out"
        )
    with one_line_errors(source, kind):
        if kind == "npy":
            table = Table(np.load(source, mmap_mode="r", allow_pickle=False))
        elif kind == "npz":
            table = _read_npz(source, content, key)
        elif kind == "text":
            table = read_text(source)
        else:
            table = read_netcdf(source, content, key)
    _check_two_dimensional(source, table)
    return table


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
    if found != kind:
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


def _check_two_dimensional(path: Path, table: Table) -> None:
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
        shapes = {name: _npz_header(archive, name) for name in archive.files}
        if key is None and content == "spins" and "spins" not in shapes and "spins_packed" in shapes:
            if "n_spins" not in shapes:
                raise InputError(f"{path}: spins_packed needs n_spins, the number of spins in a row, beside it")
            values = _unpack(path, archive["spins_packed"], archive["n_spins"])
        else:
            tables = [name for name, (shape, _) in shapes.items() if len(shape) == 2]
            values = archive[choose(path, list(shapes), tables, content, key)]
        if not isinstance(values, np.ndarray):
            raise InputError(f"{path}: {shown(key or content)} is not an array")
        table = Table(values, names=_npz_names(archive, shapes, values.shape))
        if content == "spins":
            table.counts = archive["counts"] if "counts" in shapes else None
            table.chains = archive["chains"] if "chains" in shapes else None
            if "patterns" in shapes and key != "patterns":
                table.patterns = archive["patterns"]
        return table


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


def _npz_names(archive: Any, shapes: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[str, ...] | None:
    """The names of the columns: the array called names, or the only list of texts with one entry a column."""
    if len(shape) != 2:
        return None
    fitting = [
        name
        for name, (size, dtype) in shapes.items()
        if dtype is not None and dtype.kind == "U" and size == (shape[1],) and shape[0] != shape[1]
    ]
    if "names" in shapes:
        return tuple(str(name) for name in np.ravel(archive["names"]))
    return tuple(str(name) for name in archive[fitting[0]]) if len(fitting) == 1 else None


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
