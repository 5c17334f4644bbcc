"""Order of the axes of arrays: samples in rows, spins in columns, runs concatenated along rows."""

from dataclasses import replace
from typing import Any

import numpy as np

from infer.errors import InputError
from infer.recordings.table import Table
from infer.recordings.units import listed

WORDS = {
    "run": ("run", "runs", "trial", "trials", "chain", "epoch", "segment", "session", "sweep", "repeat"),
    "time": ("time", "times", "draw", "sample", "samples", "bin", "bins", "row", "rows", "frame", "frames"),
    "unit": ("unit", "units", "spin", "spins", "neuron", "neurons", "cell", "cells", "column", "columns", "region"),
}
MEANING = {word: axis for axis, words in WORDS.items() for word in words}
REMEDY = (
    "pass transpose=True (--transpose on the command line) if each row is a unit, transpose=False (--no-transpose) if "
    "each row is a sample"
)


def in_rows(source: str, table: Table, transpose: bool | None, axes: Any) -> Table:
    """The table with samples in rows, from an array with two or three axes; the runs of three axes become chains."""
    shape = table.values.shape
    if transpose is not None and axes is not None:
        raise InputError("transpose and axes both give the order of the axes; give one of the two")
    if len(shape) == 3:
        return _flat(source, table, axes)
    order = _order(source, axes, 2) if axes is not None else None
    if len(shape) != 2 or 0 in shape:
        return table
    if transpose or order == (1, 0):
        if table.counts is not None or table.chains is not None:
            raise InputError(f"{source} has counts or chains for its rows, so that rows are samples; do not transpose")
        return _transposed(table)
    known = table.oriented or transpose is False or order is not None or table.counts is not None
    n_rows, n_columns = shape
    if not known and n_rows > 1 and n_columns > n_rows:
        raise InputError(
            f"{source} has {n_rows} rows and {n_columns} columns, where rows are samples and columns spins; {REMEDY}"
        )
    label = next((column for column in table.labels), None)
    if not known and label == 0 and table.names and len(table.labels) == 1 and _numbers_in_order(table.names[1:]):
        raise InputError(
            f"{source}: the rows are named like units ({table.labels[0][0]!r}, ...) and the columns like times "
            f"({table.names[1]}, {table.names[2]}, ...); {REMEDY}"
        )
    return table


def _numbers_in_order(names: tuple[str, ...]) -> bool:
    """Whether all names are increasing numbers."""
    try:
        return len(names) > 2 and bool((np.diff([float(name) for name in names]) > 0).all())
    except ValueError:
        return False


def _transposed(table: Table) -> Table:
    """The transposed table; labels of rows, where there is one column of them, become names of columns."""
    names = None
    values = table.values
    if list(table.labels) == [0]:
        names, values = tuple(table.labels[0]), values[:, 1:]
    return replace(table, values=np.ascontiguousarray(values.T), names=names, labels={}, line_of_row=None, times=None)


def _order(source: str, axes: Any, n_axes: int) -> tuple[int, ...]:
    """Positions of run, time and unit among the axes."""
    words = [word.strip().lower() for word in listed(axes.replace(" ", ",") if isinstance(axes, str) else axes)]
    found = [MEANING.get(word) for word in words]
    wanted = ["time", "unit"] if n_axes == 2 else ["run", "time", "unit"]
    if sorted(map(str, found)) != wanted:
        raise InputError(
            f"{source}: axes={','.join(words)!r} must name {' and '.join(wanted)} once each, in the order of the "
            f"{n_axes} axes of the array"
        )
    return tuple(found.index(axis) for axis in wanted)


def _flat(source: str, table: Table, axes: Any) -> Table:
    """Runs concatenated along rows, each of them a chain."""
    if axes is not None:
        values = table.values.transpose(_order(source, axes, 3))
    else:
        values = table.values
        if values.shape[1] < values.shape[2]:
            raise InputError(
                f"{source} holds an array of shape {values.shape}, read as trials x time x units, with fewer times "
                "than units; name the axes in their order, as in axes='trial,unit,time' (--axes on the command line)"
            )
    n_runs, n_times, n_units = values.shape
    if 0 in values.shape:
        raise InputError(f"{source} holds no data: its shape is {table.values.shape}")
    names = table.names if table.names is not None and len(table.names) == n_units else None
    chains = np.repeat(np.arange(n_runs), n_times)
    return replace(table, values=values.reshape(n_runs * n_times, n_units), names=names, chains=chains, oriented=True)
