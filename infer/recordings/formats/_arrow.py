"""Tables of pyarrow as tables of numbers, or as spike times and units."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from infer.errors import InputError
from infer.recordings.spike_times import SpikeTimes, find_columns, find_trials, spikes_of_labels
from infer.recordings.table import Table
from infer.wording import shown

INDEX = "__index_level_"  # name that pandas gives to the column of row labels
NUMBERS = ("int", "uint", "float", "double", "halffloat", "bool")
TEXTS = ("string", "large_string", "string_view", "dictionary", "timestamp", "date", "time", "duration")


def own_columns(schema: Any) -> tuple[list[str], list[str]]:
    """Names of the columns, and of those that pandas wrote for an index that has a name."""
    names = [name for name in schema.names if not name.startswith(INDEX)]
    try:
        listed = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))["index_columns"]
    except (ValueError, KeyError, TypeError):
        listed = []
    index = [name for name in listed if isinstance(name, str) and name in names]
    return [name for name in names if name not in index], index


def table_of_arrow(path: Path, table: Any) -> Table:
    """All columns with their names; null values are NaN; columns of text and of dates keep their text."""
    names, index = own_columns(table.schema)
    columns, labels = [], dict[int, list[str]]()
    for place, name in enumerate(names):
        column = _column(table, name)
        kind = str(column.type)
        if kind.startswith(NUMBERS):
            columns.append(column.cast("float64").to_numpy() if column.null_count else column.to_numpy())
        elif kind.startswith(TEXTS):
            labels[place] = ["" if each is None else str(each) for each in column.to_pylist()]
            columns.append(np.full(len(column), np.nan))
        else:
            raise InputError(
                f"{path}: column {shown(name)} holds values of type {shown(kind)}, not numbers; leave it out"
            )
    if not columns:
        raise InputError(f"{path} holds no columns")
    found = Table(np.column_stack(columns), names=tuple(names), labels=labels)
    if index:
        found.attributes["notes"] = [f"the index {', '.join(map(shown, index))} was left out"]
    return found


def spikes_of_arrow(path: Path, table: Any) -> SpikeTimes:
    """Spike times, units and perhaps trials, recognised by the names of the columns."""
    names, _ = own_columns(table.schema)
    time, unit = find_columns(str(path), names, len(names))
    trial = find_trials(names)
    labels = _column(table, names[unit]).to_pylist()
    if any(label is None for label in labels):
        raise InputError(f"{path}: row {labels.index(None)} (counted from 0) has no unit")
    times = _column(table, names[time])
    if not str(times.type).startswith(NUMBERS):
        raise InputError(f"{path}: the times are of type {shown(str(times.type))}, not numbers")
    numbers = times.cast("float64").to_numpy() if times.null_count else times.to_numpy()
    trials = None if trial is None else np.array(_column(table, names[trial]).to_pylist())
    return spikes_of_labels(str(path), numbers, np.array(labels), trials)


def _column(table: Any, name: str) -> Any:
    """One column by its name, which must be unique."""
    if table.schema.names.count(name) != 1:
        raise ValueError(f"{table.schema.names.count(name)} columns are called {name!r}")
    return table.column(name)
