"""Numbers from csv, tsv and other delimited text, with the row, line and column of whatever is wrong in it."""

import csv
import warnings
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.spike_times import SpikeTimes, find_columns, spikes_of_labels
from infer.recordings.table import Table, place
from infer.wording import shown

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})


def read_text(path: Path, content: str, key: str | None) -> Table:
    """Numbers between delimiters, with or without one line of names, and with empty cells as NaN."""
    delimiter = _delimiter(path)
    with _open_text(path) as handle:
        names = _header(path, next(_rows(handle, delimiter)), delimiter)
    attempts: list[dict[str, Any]] = [{"dtype": np.int8}, {"dtype": float}, {"dtype": float, "converters": _number}]
    for attempt in attempts:
        with _open_text(path) as handle, warnings.catch_warnings():
            warnings.simplefilter("error")  # numpy warns of "1.0" read as int8, which is for the next attempt
            lines: Iterator[str] = _skip_comments(handle)
            if names is not None:
                lines = _after_first(lines, delimiter)
            try:
                values = np.loadtxt(lines, delimiter=delimiter, comments=None, quotechar='"', ndmin=2, **attempt)
            except (ValueError, UserWarning) as error:
                if isinstance(error, UnicodeDecodeError):
                    raise
                failure = error
                continue
        return Table(values, names=names, line_of_row=lambda row: _line_of_row(path, delimiter, names, row))
    _explain(path, delimiter, names)
    raise failure


def _open_text(path: Path) -> TextIO:
    """UTF-8 with or without a mark at the start; line ends as they are, which is what the csv module asks for."""
    return path.open(encoding="utf-8-sig", newline="")


def _number(cell: str) -> float:
    """A cell as a number, NaN where it is empty or says that the value is missing."""
    if "_" in cell:  # Python reads 1_0 as 10
        raise ValueError(f"{cell!r} is not a number")
    return np.nan if cell.strip().lower() in MISSING_WORDS else float(cell)


def _skip_comments(handle: TextIO) -> Iterator[str]:
    """The lines from the first that is neither empty nor starts with #."""
    for line in handle:
        if line.strip() and not line.lstrip().startswith("#"):
            return chain([line], handle)
    raise InputError(f"{handle.name} holds no data")


def _rows(handle: TextIO, delimiter: str | None) -> Iterator[list[str]]:
    """The rows of cells."""
    return _cells(_skip_comments(handle), delimiter)


def _cells(lines: Iterable[str], delimiter: str | None) -> Iterator[list[str]]:
    """Lines split into cells."""
    if delimiter is None:
        return (line.split() for line in lines)
    return iter(csv.reader(lines, delimiter=delimiter))


def _after_first(lines: Iterator[str], delimiter: str | None) -> Iterator[str]:
    """What follows the first row, which may span lines where a name in quotes does."""
    next(_cells(lines, delimiter))
    return lines


def _delimiter(path: Path) -> str | None:
    """Tab for tsv; otherwise the commonest of comma, semicolon and tab in the first row; None for white space."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    with _open_text(path) as handle:
        first = next(_skip_comments(handle))
    best = max(",;\t", key=first.count)
    return best if best in first else None


def _is_number(cell: str) -> bool:
    """Whether a cell can be data."""
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _header(path: Path, first: list[str], delimiter: str | None) -> tuple[str, ...] | None:
    """The names, if the first row is one: all texts, or the column numbers 0, 1, 2, ... that pandas writes."""
    numbers = [_is_number(cell) for cell in first]
    if not any(numbers) or (first == [str(i) for i in range(len(first))] and len(first) > 2):
        return tuple(cell.strip() for cell in first)
    if all(numbers):
        return None
    column = numbers.index(False)
    raise InputError(
        f"{path}: row 0, column {column} (counted from 0) holds {shown(first[column])}, which is not a number, while "
        f"column {numbers.index(True)} holds {shown(first[numbers.index(True)])}; "
        "the first row must hold either a name for every column or data only"
    )


def _line_of_row(path: Path, delimiter: str | None, names: tuple[str, ...] | None, row: int) -> int:
    """The line of the file, counted from 1 as editors do, on which a row of data stands."""
    with _open_text(path) as handle:
        for number, (line, _) in enumerate(_numbered(handle, delimiter, names)):
            if number == row:
                return line
    raise InputError(f"{path} has changed while it was read")


def _numbered(handle: TextIO, delimiter: str | None, names: tuple[str, ...] | None) -> Iterator[tuple[int, list[str]]]:
    """Rows of data with the line that each ends on; empty lines are left out."""
    line_number = 0

    def counted() -> Iterator[str]:
        nonlocal line_number
        started = False
        for line in handle:
            line_number += 1
            started = started or (bool(line.strip()) and not line.lstrip().startswith("#"))
            if started:
                yield line

    rows = ((line_number, cells) for cells in _cells(counted(), delimiter) if cells)
    return islice(rows, int(names is not None), None)


def _explain(path: Path, delimiter: str | None, names: tuple[str, ...] | None) -> None:
    """Find the row that is too short or too long, or the cell that is not a number, and name it."""
    width = len(names) if names else None
    with _open_text(path) as handle:
        row = -1
        for row, (line, cells) in enumerate(_numbered(handle, delimiter, names)):
            width = width or len(cells)
            if len(cells) != width:
                raise InputError(f"{path}: row {row} (line {line}) has {len(cells)} cells, where {width} are expected")
            for column, cell in enumerate(cells):
                if not _is_number(cell):
                    hint = "; leave a column of labels out of the file" if column == 0 else ""
                    where = place(row, column, names, line)
                    raise InputError(f"{path}: {where} holds {shown(cell)}, which is not a number{hint}")
        if row < 0:
            raise InputError(f"{path} holds names but no data")


def read_spike_text(path: Path, key: str | None) -> SpikeTimes:
    """Spike times and units from delimited text; units may be numbers or names."""
    delimiter = _delimiter(path)
    with _open_text(path) as handle:
        first = [cell.strip() for cell in next(_rows(handle, delimiter))]
    named = not any(_is_number(cell) for cell in first)  # a time is a number in every row but that of names
    time, unit = find_columns(str(path), first if named else (), len(first))
    times, labels = [], []
    with _open_text(path) as handle:
        for row, (line, cells) in enumerate(_numbered(handle, delimiter, tuple(first) if named else None)):
            if len(cells) != len(first):
                raise InputError(
                    f"{path}: row {row} (line {line}) has {len(cells)} cells, where {len(first)} are expected"
                )
            if not _is_number(cells[time]):
                where = place(row, time, tuple(first) if named else None, line)
                raise InputError(f"{path}: {where} holds {shown(cells[time])}, which is not a time")
            times.append(_number(cells[time]))
            labels.append(cells[unit].strip())
    if not times:
        raise InputError(f"{path} holds names but no data")
    return spikes_of_labels(str(path), np.array(times), np.array(labels))


FORMAT = Format(
    name="text",
    endings=(".csv", ".tsv", ".txt"),
    read_table=read_text,
    read_spikes=read_spike_text,
    has_keys=False,
)
