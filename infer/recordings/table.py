"""Numbers read from a file, as a table, and descriptions of places in it for messages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.wording import shown

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})


@dataclass
class Table:
    """Two-dimensional numbers with names, runs, weights and metadata of the file."""

    values: NDArray[Any]
    names: tuple[str, ...] | None = None
    counts: NDArray[Any] | None = None
    chains: NDArray[Any] | None = None
    patterns: NDArray[Any] | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    line_of_row: Callable[[int], int] | None = None
    weights: NDArray[Any] | None = None  # real numbers, where counts are whole
    labels: Mapping[int, Sequence[str]] = field(default_factory=dict)  # columns that hold text; NaN in the values
    times: NDArray[Any] | None = None  # of the rows
    epochs: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # intervals that the file names
    oriented: bool = False  # whether it is known that rows are samples and columns are spins

    def of_rows(self, rows: NDArray[np.int64], chains: NDArray[np.int64]) -> "Table":
        """Some rows, with the runs that they belong to."""
        lines = self.line_of_row
        return replace(
            self,
            values=self.values[rows],
            chains=chains,
            counts=None if self.counts is None else self.counts[rows],
            weights=None if self.weights is None else self.weights[rows],
            times=None if self.times is None else self.times[rows],
            line_of_row=None if lines is None else lambda row: lines(int(rows[row])),
        )

    def place(self, row: int, column: int) -> str:
        """Description of the place of a value, with its line where the table comes from text."""
        return place(row, column, self.names, self.line_of_row(row) if self.line_of_row else None)


def place(row: int, column: int, names: tuple[str, ...] | None, line: int | None = None) -> str:
    """Place of a value for messages: row and column, line in a text file (counted from 1, as in editors), name."""
    in_line = f" (line {line})" if line is not None else ""
    name = f" {shown(names[column])}" if names else ""
    return f"row {row}{in_line}, column {column}{name} (counted from 0)"


def choose(path: Path, keys: list[str], tables: list[str], content: str, key: str | None) -> str:
    """The array called `key`, else the one with the expected name, else the only table."""
    if key is not None:
        if key not in keys:
            raise InputError(f"{path} holds no array {shown(key)}; it holds {', '.join(map(shown, keys)) or 'nothing'}")
        return key
    if content in keys:
        return content
    if len(tables) == 1:
        return tables[0]
    raise InputError(
        f"{path} holds no array '{content}' and {len(tables) or 'no'} others that could be it; "
        f"it holds {', '.join(map(shown, keys)) or 'nothing'}: choose one with key= (--key on the command line)"
    )


def check_two_dimensional(path: str, table: Table) -> None:
    """Raise an error unless the values are a table of real numbers."""
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
