"""Columns of numbers, or of spike times and units, from parquet files, read with pyarrow."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.spike_times import SpikeTimes, find_columns, spikes_of_labels
from infer.recordings.table import Table
from infer.wording import shown

# runs of equal values take next to no room, so a small file may well hold many of them, but not without limit
FREE_VALUES, VALUES_PER_BYTE = 10_000_000, 2000
INDEX = "__index_level_"  # how pandas names the column of row labels that it adds


def read_parquet(path: Path, content: str, key: str | None) -> Table:
    """All columns, which must be numbers or booleans, with their names; null values are NaN."""
    with _opened(path) as file:
        names = [name for name in file.schema_arrow.names if not name.startswith(INDEX)]
        _check_size(path, file, len(names))
        kinds = {name: str(file.schema_arrow.field(i).type) for i, name in enumerate(file.schema_arrow.names)}
        for name in names:
            if not kinds[name].startswith(("int", "uint", "float", "double", "halffloat", "bool")):
                raise InputError(
                    f"{path}: column {shown(name)} holds values of type {shown(kinds[name])}, not numbers; leave "
                    "columns of labels or times out of the file (or give a bin width if it is a table of spike times)"
                )
        columns = [_numbers(file, name) for name in names]
    if not columns:
        raise InputError(f"{path} holds no columns")
    return Table(np.column_stack(columns), names=tuple(names))


def read_spike_parquet(path: Path, key: str | None) -> SpikeTimes:
    """Spike times and units, told by the names of the columns."""
    with _opened(path) as file:
        names = [name for name in file.schema_arrow.names if not name.startswith(INDEX)]
        _check_size(path, file, len(names))
        time, unit = find_columns(str(path), names, len(names))
        labels = file.read(columns=[names[unit]], use_threads=False).column(0).to_pylist()
        if any(label is None for label in labels):
            raise InputError(f"{path}: row {labels.index(None)} (counted from 0) has no unit")
        return spikes_of_labels(str(path), _numbers(file, names[time]), np.array(labels))


def _opened(path: Path) -> Any:
    """The file, opened by pyarrow."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InputError(
            f"{path}: parquet files need pyarrow; install it with: pip install reverie[parquet]"
        ) from error
    return ParquetFile(path, memory_map=False)


def _check_size(path: Path, file: Any, n_columns: int) -> None:
    """Refuse a claim that no file of this size can make good."""
    n_values = file.metadata.num_rows * n_columns
    if not 0 <= n_values <= FREE_VALUES + VALUES_PER_BYTE * path.stat().st_size:
        raise InputError(f"{path} claims {n_values} values; the file is too small for that, it is damaged")


def _numbers(file: Any, name: str) -> NDArray[Any]:
    """One column; NaN where there is no value."""
    table = file.read(columns=[name], use_threads=False)
    if table.num_columns != 1:
        raise ValueError(f"{table.num_columns} columns are called {name!r}")
    column = table.column(0)
    return column.cast("float64").to_numpy() if column.null_count else column.to_numpy()


FORMAT = Format(
    name="parquet",
    endings=(".parquet",),
    magic=(b"PAR1",),
    read_table=read_parquet,
    read_spikes=read_spike_parquet,
    guarded=True,
    has_keys=False,
    libraries=("pyarrow.parquet", "pandas"),
)
