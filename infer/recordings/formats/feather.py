"""Columns of numbers, or of spike times and units, from feather files, read with pyarrow."""

from pathlib import Path
from typing import Any

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.formats._arrow import spikes_of_arrow, table_of_arrow
from infer.recordings.spike_times import SpikeTimes
from infer.recordings.table import Table


def read_feather(path: Path, content: str, key: str | None) -> Table:
    """All columns with their names."""
    return table_of_arrow(path, _read(path))


def read_spike_feather(path: Path, key: str | None) -> SpikeTimes:
    """Spike times and units, recognised by the names of the columns."""
    return spikes_of_arrow(path, _read(path))


def _read(path: Path) -> Any:
    """The table, read by pyarrow and checked."""
    try:
        from pyarrow import feather
    except ImportError as error:
        raise InputError(f"{path}: feather files need pyarrow; install it with: pip install pyarrow") from error
    table = feather.read_table(path, memory_map=False, use_threads=False)
    table.validate(full=True)
    return table


FORMAT = Format(
    name="feather",
    endings=(".feather", ".arrow"),
    magic=(b"ARROW1", b"FEA1"),
    read_table=read_feather,
    read_spikes=read_spike_feather,
    guarded=True,
    has_keys=False,
    libraries=("pyarrow.feather", "pandas"),
)
