"""Reading of a file or an object, with options, as one table with samples in rows and spins in columns."""

import os
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from infer.errors import InputError
from infer.recordings.axes import in_rows
from infer.recordings.bins import bin_spikes
from infer.recordings.columns import spin_columns
from infer.recordings.epochs import chosen_epochs, recorded_trials, rows_in_epochs
from infer.recordings.objects import recording_of_object
from infer.recordings.plausible import strange_spins, strange_times
from infer.recordings.read import NO_WIDTH, read_spikes, read_table
from infer.recordings.spike_times import SpikeTimes
from infer.recordings.table import Table, check_two_dimensional
from infer.recordings.units import chosen_units
from infer.wording import shown


@dataclass(frozen=True)
class Reading:
    """Keywords of `read_recording` that select the data and the method of reading."""

    key: str | None = None
    zero_one: bool = False
    threshold: float | str | None = None
    bin_width: float | None = None
    units: Any = None
    columns: Any = None
    index_column: Any = None
    time_column: Any = None
    transpose: bool | None = None
    axes: Any = None
    epochs: Any = None
    start: float | None = None
    stop: float | None = None


def load(data: Any, how: Reading) -> tuple[str, Table]:
    """Name of the source in messages, and its table of values or of binned spike times."""
    width = how.bin_width
    if width is not None and not (isinstance(width, Real) and 0 < width < np.inf):
        raise InputError(f"bin_width must be a number above 0, in the unit of the times, got {shown(width)}")
    for name, value in (("start", how.start), ("stop", how.stop)):
        if value is not None and not (isinstance(value, Real) and np.isfinite(value)):
            raise InputError(f"{name} must be a finite number, in the unit of the times, got {shown(value)}")
    if how.threshold is not None and (how.zero_one or width is not None):
        other = "zero_one" if how.zero_one else "bin_width"
        raise InputError(f"threshold is for real values and {other} is not; give one of the two")
    if isinstance(data, str | os.PathLike):
        source = os.fspath(data)
        found: Table | SpikeTimes = (
            read_table(source, "spins", how.key) if width is None else read_spikes(source, how.key)
        )
    else:
        source, found = recording_of_object(data, spikes=width is not None)
        if how.key is not None:
            raise InputError(f"{source} takes no key; leave it out")
    with np.errstate(all="ignore"):  # numbers that overflow are refused with a message
        return source, _binned(source, found, how) if isinstance(found, SpikeTimes) else _rows(source, found, how)


def _binned(source: str, spikes: SpikeTimes, how: Reading) -> Table:
    """Table of binned spike times."""
    if how.bin_width is None:
        raise InputError(f"{source} holds spike times: {NO_WIDTH}")
    _refuse(source, how, "values", columns=how.columns, transpose=how.transpose, axes=how.axes)
    spikes = chosen_units(source, spikes, spikes.default_units if how.units is None else how.units)
    notes, warned = list(spikes.notes), list[str]()
    epochs = chosen_epochs(source, how.epochs, spikes.epochs)
    name = how.epochs if isinstance(how.epochs, str) else None
    if how.epochs is None:
        found = recorded_trials(source, spikes)
        if found is not None:
            name, epochs, said = found
            warned.append(said)
    warned += strange_times(source, spikes, fixed=epochs is not None or how.start is not None)
    table = bin_spikes(source, spikes, how.bin_width, epochs=epochs, start=how.start, stop=how.stop)
    table.attributes = {**spikes.attributes, **table.attributes}
    if name is not None:
        table.attributes["epochs"] = name
    notes += table.attributes.get("notes", ())
    if notes:
        table.attributes["notes"] = notes
    warned += [*table.attributes.get("warnings", ()), *strange_spins(source, table)]
    if warned:
        table.attributes["warnings"] = warned
    return table


def _rows(source: str, table: Table, how: Reading) -> Table:
    """Table of the chosen rows and columns."""
    if how.bin_width is not None:
        raise InputError(f"{source} holds values, not spike times; leave the bin width out")
    _refuse(source, how, "spike times", start=how.start, stop=how.stop)
    if how.units is not None and how.columns is not None:
        raise InputError("units and columns choose the same thing in a table; give one of the two")
    table = in_rows(source, table, how.transpose, how.axes)
    check_two_dimensional(source, table)
    table = spin_columns(
        source,
        table,
        columns=how.columns if how.units is None else how.units,
        index_column=how.index_column,
        time_column=how.time_column,
        zero_one=how.zero_one,
        real=how.threshold is not None,
    )
    epochs = chosen_epochs(source, how.epochs, table.epochs)
    return table if epochs is None else rows_in_epochs(source, table, epochs)


def _refuse(source: str, how: Reading, what: str, **options: Any) -> None:
    """Raise an error for options that do not apply to the data."""
    for name, value in options.items():
        if value is not None:
            raise InputError(f"{source}: {name} goes with {what}; leave it out here")
