"""One variable of a NetCDF (HDF5) file with its labels and attributes.

Read with h5py and not with xarray, whose backends follow many more references: in a damaged file each of them may make
the HDF5 library hang or print to the standard error stream.
"""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.formats._hdf5 import MAGIC, check_heaps, is_group, read_values
from infer.recordings.table import Table, choose

BOOKKEEPING = {"CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "_FillValue", "coordinates"}


def read_netcdf(path: Path, content: str, key: str | None) -> Table:
    """The variable `key`, or `content` (also in a group of that name), or the only table, with its attributes."""
    with h5py.File(path, "r") as file:
        check_heaps(path)
        variables = _variables(file)
        inner = _variables(file[content]) if is_group(file, content) else {}
        if key is None and content not in variables and content in inner:
            variable = inner[content]
        elif key is None and content == "spins" and "spins" not in variables and "x" in variables:
            raise InputError(f"{path} holds continuous units x and no spins; spins are needed here")
        else:
            tables = [name for name, variable in variables.items() if variable.ndim == 2]
            variable = variables[choose(path, list(variables), tables, content, key)]
        values, dimensions = read_values(path, variable), _dimensions(file, variable)
        table = Table(values)
        if content == "spins" and values.ndim == 3:
            if set(dimensions) == {"chain", "draw", "spin"}:
                order = [dimensions.index(name) for name in ("chain", "draw", "spin")]
                values, dimensions = values.transpose(order), [dimensions[i] for i in order]
            n_chains, n_draws, n_spins = values.shape
            table.values = values.reshape(n_chains * n_draws, n_spins)
            table.chains = np.repeat(np.arange(n_chains), n_draws)
        table.names = _labels(file, dimensions, table.values.shape[-1] if table.values.ndim else 0)
        table.attributes = {**_attributes(file), **_attributes(variable)}
        if content == "spins":
            table.oriented = True
            for name in ("counts", "weights"):
                if name in variables and variables[name].ndim == 1:
                    setattr(table, name, read_values(path, variables[name]))
            stored = _variables(file["patterns"]) if is_group(file, "patterns") else variables
            if "patterns" in stored and key != "patterns":
                table.patterns = read_values(path, stored["patterns"])
        return table


def read_arrays(path: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Those of the variables that exist in the file or in a group of the same name."""
    found = {}
    with h5py.File(path, "r") as file:
        check_heaps(path)
        for name in names:
            variables = _variables(file[name]) if is_group(file, name) else _variables(file)
            if name in variables:
                found[name] = read_values(path, variables[name])
    return found


def _variables(group: h5py.Group) -> dict[str, h5py.Dataset]:
    """The variables in the file itself that are not coordinates."""
    inside = (name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink))
    members = ((name, group[name]) for name in inside)
    return {name: item for name, item in members if isinstance(item, h5py.Dataset) and "CLASS" not in item.attrs}


def _dimensions(file: h5py.File, variable: h5py.Dataset) -> list[str]:
    """The names of the dimensions, none in an HDF5 file that is not NetCDF."""
    if "DIMENSION_LIST" not in variable.attrs:
        return []
    return [file[references[0]].name.rsplit("/", 1)[-1] for references in variable.attrs["DIMENSION_LIST"]]


def _labels(file: h5py.File, dimensions: list[str], size: int) -> tuple[str, ...] | None:
    """The labels along the last dimension, where the file gives any."""
    if not dimensions or not isinstance(file.get(dimensions[-1], getlink=True), h5py.HardLink):
        return None
    labels = file[dimensions[-1]]
    if not isinstance(labels, h5py.Dataset) or labels.shape != (size,) or labels.external or labels.is_virtual:
        return None
    kind = _text(labels.attrs.get("NAME", ""))
    if kind.startswith("This is a netCDF dimension but not a netCDF variable"):
        return None
    if h5py.check_string_dtype(labels.dtype):
        return tuple(str(label) for label in labels.asstr()[...])
    return tuple(_text(label) for label in labels[...]) if labels.dtype.kind in "biufS" else None


def _attributes(item: h5py.File | h5py.Dataset) -> dict[str, Any]:
    """Attributes as plain Python values, without those that are internal to HDF5 and NetCDF."""
    names = [name for name in item.attrs if name not in BOOKKEEPING and not name.startswith(("_Netcdf4", "_NC", "_nc"))]
    return {name: _plain(item.attrs[name]) for name in names}


def _plain(value: Any) -> Any:
    """A Python value for a numpy one; arrays of one element become scalars, which NetCDF lacks."""
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, np.ndarray | np.generic):
        return value.item() if value.size == 1 else value.tolist()
    return value


def _text(value: Any) -> str:
    """Text for a label or an attribute."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


FORMAT = Format(
    name="NetCDF",
    endings=(".nc",),
    magic=(MAGIC,),
    read_table=read_netcdf,
    guarded=True,
    data="HDF5",
    no_spikes="spike times are not read from NetCDF; leave the bin width out for spins",
)
