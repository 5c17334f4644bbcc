"""Choice of one recording among the named arrays of a MATLAB or HDF5 file."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.formats.npy import spikes_of_matrix
from infer.recordings.spike_times import SpikeTimes, find_columns, find_trials, spikes_of_labels, times_of_unit
from infer.recordings.table import Table, choose
from infer.wording import shown

NAME_KEYS = ("names", "labels", "unit_names", "channel_names", "roi_names")


class Arrays(Protocol):
    """Named arrays, listed with their shapes and read one by one."""

    shapes: dict[str, tuple[int, ...]]

    def __getitem__(self, name: str) -> Any: ...


def table_of_arrays(path: Path, arrays: Arrays, content: str, key: str | None) -> Table:
    """The array called `key` or `content`, or the only one with 2 or 3 axes, with its names, counts and chains."""
    tables = [name for name, shape in arrays.shapes.items() if len(shape) in (2, 3) and min(shape) > 1]
    taken = choose(path, list(arrays.shapes), tables, content, _full(arrays, key))
    values = arrays[taken]
    if not isinstance(values, np.ndarray) or values.dtype == object:
        what = "text" if isinstance(values, str) else "cells"
        raise InputError(
            f"{path}: {shown(taken)} holds {what}, not a table of numbers (cells of spike times need a bin width)"
        )
    table = Table(values)
    if content == "spins":
        for name in ("counts", "weights", "chains"):
            if name in arrays.shapes and name != taken and max(arrays.shapes[name], default=0) == values.shape[0]:
                setattr(table, name, np.ravel(arrays[name]))
        if "patterns" in arrays.shapes and taken != "patterns":
            table.patterns = np.asarray(arrays["patterns"])
        table.names = _names(arrays, values)
    return table


def _full(arrays: Arrays, key: str | None) -> str | None:
    """The full name of an array given by the last part of its name, where that is unique."""
    if key is None or key in arrays.shapes:
        return key
    plain = key.strip("/")
    found = [name for name in arrays.shapes if name == plain or name.replace(".", "/").endswith(f"/{plain}")]
    return found[0] if len(found) == 1 else key


def _names(arrays: Arrays, values: NDArray[Any]) -> tuple[str, ...] | None:
    """Names of the columns, where a list of texts has one for each."""
    for name in NAME_KEYS:
        if name in arrays.shapes and int(np.prod(arrays.shapes[name])) == values.shape[-1]:
            found = arrays[name]
            texts = list(np.ravel(np.asarray(found, dtype=object)))
            if all(isinstance(text, str) for text in texts):
                return tuple(texts)
    return None


def spikes_of_arrays(path: Path, arrays: Arrays, key: str | None) -> SpikeTimes:
    """Cells of spike times, two lists named as times and units, or rows of time and unit."""
    lists = {name: shape for name, shape in arrays.shapes.items() if max(shape, default=0) == int(np.prod(shape))}
    if key is None:
        plain = [name.rsplit(".", 1)[-1].rsplit("/", 1)[-1] for name in lists]
        try:
            time, unit = find_columns(str(path), plain, max(len(plain), 3))
        except InputError:
            pass
        else:
            names = list(lists)
            trial = find_trials(plain)
            columns = [np.ravel(arrays[names[place]]) for place in (time, unit, *([] if trial is None else [trial]))]
            return spikes_of_labels(str(path), *columns)
        many = [name for name in arrays.shapes if not isinstance(arrays[name], str)]
        key = choose(path, list(arrays.shapes), many, "spikes", None)
    taken = choose(path, list(arrays.shapes), [], "spikes", _full(arrays, key))
    values = arrays[taken]
    if isinstance(values, np.ndarray) and values.dtype == object:
        return _spikes_of_cells(path, values)
    return spikes_of_matrix(path, np.asarray(values))


def _spikes_of_cells(path: Path, cells: NDArray[Any]) -> SpikeTimes:
    """One list of spike times in each cell: units, or trials in rows and units in columns."""
    lists = [times_of_unit(place, _flat(cells[place])) for place in np.ndindex(cells.shape)]
    lengths = [len(times) for times in lists]
    if cells.ndim == 1 or min(cells.shape) == 1:
        units = np.repeat(np.arange(len(lists)), lengths)
        return SpikeTimes(np.concatenate(lists), units, tuple(str(i) for i in range(len(lists))))
    if cells.ndim != 2:
        raise InputError(f"{path} holds cells of shape {cells.shape}; they are units, or trials and units")
    n_trials, n_units = cells.shape
    return SpikeTimes(
        np.concatenate(lists),
        np.repeat(np.tile(np.arange(n_units), n_trials), lengths),
        tuple(str(i) for i in range(n_units)),
        trials=np.repeat(np.repeat(np.arange(n_trials), n_units), lengths),
        n_trials=n_trials,
        notes=(f"{n_trials} trials (rows of cells) were taken as runs",),
    )


def _flat(cell: Any) -> Any:
    """The times of one cell as a list; an empty cell holds none."""
    values = np.asarray([] if cell is None else cell)
    return values.reshape(-1) if values.size == max(values.shape, default=0) else values
