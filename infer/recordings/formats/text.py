"""Numbers from csv, tsv and other delimited text, with the row, line and column of errors."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from infer.errors import InputError
from infer.recordings.format import Format
from infer.recordings.formats._layout import GZIP, Layout, after_names, layout_of, numbered, open_text, skip_comments
from infer.recordings.spike_times import SpikeTimes, find_columns, find_trials, spikes_of_labels
from infer.recordings.table import MISSING_WORDS, Table, place
from infer.wording import shown

#: Letters of numbers that are not whole: 1.0, 1e0, nan, inf.
PART = re.compile("[.eEnN]")


def read_text(path: Path, content: str, key: str | None) -> Table:
    """Numbers between delimiters, with or without one line of names, and with empty cells as NaN."""
    layout = layout_of(path)
    if layout.bits:
        return _read_bits(path, layout)
    attempts: list[dict[str, Any]] = [
        {"dtype": np.int8},
        {"dtype": float},
        {"dtype": float, "converters": layout.number},
    ]
    for attempt in attempts:
        with open_text(path) as handle:
            lines = after_names(skip_comments(path, handle), layout)
            lines = _lines_of_data(lines, whole=attempt["dtype"] is np.int8)
            try:
                values = np.loadtxt(lines, delimiter=layout.delimiter, comments=None, quotechar='"', ndmin=2, **attempt)
            except ValueError as error:
                if isinstance(error, UnicodeDecodeError | InputError):
                    raise
                failure = error
                continue
        return Table(values, names=layout.names, line_of_row=lambda row: _line_of_row(path, layout, row))
    found = _read_cells(path, layout, content)
    if found is None:
        raise failure
    return found


def _lines_of_data(lines: Iterator[str], whole: bool) -> Iterator[str]:
    """The lines, or a ValueError where there are none, or where numbers are to be whole and some are written as 1.0.

    numpy would read these as int8 with a warning, 1.5 as 1.
    """
    found = False
    for line in lines:
        if whole and PART.search(line):
            raise ValueError("not all numbers are whole")
        found = found or bool(line.strip())
        yield line
    if not found:
        raise ValueError("no data")


def _line_of_row(path: Path, layout: Layout, row: int) -> int:
    """The line of the file, counted from 1 as in editors, that contains a row of data."""
    with open_text(path) as handle:
        for number, (line, _) in enumerate(numbered(handle, layout)):
            if number == row:
                return line
    raise InputError(f"{path} has changed while it was read")


def _read_bits(path: Path, layout: Layout) -> Table:
    """Rows such as 0110 or -++-: one value for each character."""
    rows: list[Any] = []
    with open_text(path) as handle:
        for line, words in numbered(handle, layout):
            word = words[0]
            if len(words) > 1 or (rows and len(word) != len(rows[0])) or set(word) - set("01+-"):
                raise InputError(
                    f"{path}: row {len(rows)} (line {line}) holds {shown(' '.join(words))}, where words of "
                    f"{len(rows[0]) if rows else len(word)} letters 0 and 1, or + and -, are expected"
                )
            rows.append(np.frombuffer(word.encode(), dtype=np.uint8))
    letters = np.array(rows)
    values = np.zeros(letters.shape, dtype=np.int8)
    values[(letters == ord("1")) | (letters == ord("+"))] = 1
    values[letters == ord("-")] = -1
    return Table(values, line_of_row=lambda row: _line_of_row(path, layout, row))


def _read_cells(path: Path, layout: Layout, content: str) -> Table | None:
    """Columns of numbers and columns of text; errors name rows of another length and cells that are not numbers."""
    width = len(layout.names) if layout.names else None
    rows: list[list[str]] = []
    with open_text(path) as handle:
        for row, (line, cells) in enumerate(numbered(handle, layout)):
            width = width or len(cells)
            if len(cells) != width:
                raise InputError(f"{path}: row {row} (line {line}) has {len(cells)} cells, where {width} are expected")
            rows.append(cells)
    if not rows or width is None:
        raise InputError(f"{path} holds names but no data")
    values, labels = np.full((len(rows), width), np.nan), {}
    for column in range(width):
        texts = [cells[column] for cells in rows]
        wrong = next((row for row, text in enumerate(texts) if not layout.is_number(text)), None)
        if wrong is None:
            values[:, column] = [layout.number(text) for text in texts]
        elif content == "spins" and not any(_is_value(layout, text) for text in texts):
            labels[column] = [text.strip() for text in texts]
        else:
            hint = "; leave a column of labels out of the file" if column == 0 else ""
            where = place(wrong, column, layout.names, _line_of_row(path, layout, wrong))
            raise InputError(f"{path}: {where} holds {shown(texts[wrong])}, which is not a number{hint}")
    if not labels:  # all are numbers, though numpy could not read them
        return None
    return Table(values, names=layout.names, labels=labels, line_of_row=lambda row: _line_of_row(path, layout, row))


def _is_value(layout: Layout, text: str) -> bool:
    """Whether a cell holds a number, not a word for a missing value."""
    return layout.is_number(text) and text.strip().lower() not in MISSING_WORDS


def read_spike_text(path: Path, key: str | None) -> SpikeTimes:
    """Spike times, units and perhaps trials from delimited text; units and trials may be numbers or names."""
    layout = layout_of(path, mixed=True)
    with open_text(path) as handle:
        width = len(next(numbered(handle, layout), (0, layout.names or ()))[1])
    width = len(layout.names) if layout.names else width
    time, unit = find_columns(str(path), layout.names or (), width)
    trial = find_trials(layout.names) if layout.names else None
    times, labels, trials = [], [], []
    with open_text(path) as handle:
        for row, (line, cells) in enumerate(numbered(handle, layout)):
            if len(cells) != width:
                raise InputError(f"{path}: row {row} (line {line}) has {len(cells)} cells, where {width} are expected")
            if not layout.is_number(cells[time]):
                where = place(row, time, layout.names, line)
                raise InputError(f"{path}: {where} holds {shown(cells[time])}, which is not a time")
            times.append(layout.number(cells[time]))
            labels.append(cells[unit].strip())
            if trial is not None:
                trials.append(cells[trial].strip())
    if not times:
        raise InputError(f"{path} holds names but no data")
    return spikes_of_labels(str(path), np.array(times), np.array(labels), None if trial is None else _plain(trials))


def _plain(words: list[str]) -> Any:
    """Integers where all words are integers, else the words."""
    try:
        return np.array([int(word) for word in words], dtype=np.int64)
    except (ValueError, OverflowError):
        return np.array(words)


FORMATS = (
    Format(
        name="text",
        endings=(".csv", ".tsv", ".txt", ".dat"),
        read_table=read_text,
        read_spikes=read_spike_text,
        has_keys=False,
    ),
    Format(
        name="packed text",
        endings=(".csv.gz", ".tsv.gz", ".txt.gz", ".dat.gz"),
        magic=(GZIP,),
        read_table=read_text,
        read_spikes=read_spike_text,
        has_keys=False,
        data="gzip",
    ),
)
