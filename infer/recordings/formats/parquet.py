"""Columns of numbers, or of spike times and units, from parquet files, read with pyarrow."""

from pathlib import Path
from typing import Any

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.formats._arrow import spikes_of_arrow, table_of_arrow
from infer.recordings.spike_times import SpikeTimes
from infer.recordings.table import Table

# runs of equal values take little space, so that a small file may hold many values, up to a limit
FREE_VALUES, VALUES_PER_BYTE = 10_000_000, 2000


def read_parquet(path: Path, content: str, key: str | None) -> Table:
    """All columns with their names."""
    return table_of_arrow(path, _read(path))


def read_spike_parquet(path: Path, key: str | None) -> SpikeTimes:
    """Spike times and units, recognised by the names of the columns."""
    return spikes_of_arrow(path, _read(path))


def _read(path: Path) -> Any:
    """The table, read by pyarrow; an error where it claims more values than a file of this size can hold."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InputError(f"{path}: parquet files need pyarrow; install it with: pip install pyarrow") from error
    with ParquetFile(path, memory_map=False) as file:
        n_values = file.metadata.num_rows * file.metadata.num_columns
        if not 0 <= n_values <= FREE_VALUES + VALUES_PER_BYTE * path.stat().st_size:
            raise InputError(f"{path} claims {n_values} values; the file is too small for that, it is damaged")
        return file.read(use_threads=False)


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
