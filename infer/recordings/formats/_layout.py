"""Layout of a text file: its delimiter, and whether its first row and first column hold names."""

import csv
import gzip
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, TextIO, cast

import numpy as np

from infer.errors import InputError
from infer.recordings.table import MISSING_WORDS
from infer.wording import shown

GZIP = b"\x1f\x8b"
FREE_BYTES, LARGEST_PACKING = 1 << 28, 1000  # gzip packs at most 1032 to 1; recordings do not come near that
BITS = re.compile(r"^([01]{2,}|[+-]{2,})$")
DECIMAL_COMMA = re.compile(r"^\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*$")
ROWS_TO_LOOK_AT = 20


@dataclass(frozen=True)
class Layout:
    """Delimiter (None: white space), names of the columns, and format of numbers.

    With `bits` a row is one word of 0 and 1, or of + and -.
    """

    delimiter: str | None
    names: tuple[str, ...] | None
    decimal_comma: bool = False
    bits: bool = False

    def number(self, cell: str) -> float:
        """A cell as a number, NaN where it is empty or a word for a missing value."""
        if "_" in cell:  # Python reads 1_0 as 10
            raise ValueError(f"{cell!r} is not a number")
        if cell.strip().lower() in MISSING_WORDS:
            return np.nan
        return float(cell.replace(",", ".") if self.decimal_comma else cell)

    def is_number(self, cell: str) -> bool:
        """Whether a cell may be data."""
        try:
            self.number(cell)
        except ValueError:
            return False
        return True


class _Limited(io.RawIOBase):
    """Content of a packed file, limited by a multiple of its size."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self.left = max(FREE_BYTES, LARGEST_PACKING * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]  # RawIOBase types the buffer as object
        data = self.file.read(len(view))
        self.left -= len(data)
        if self.left < 0:
            raise InputError(f"{self.path} unpacks to more than any recording does; it is not meant to be read")
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.file.close()
        super().close()


def open_text(path: Path) -> TextIO:
    """Open text as UTF-8, with or without a byte order mark, packed or not; line ends unchanged, for the csv module."""
    if path.suffix.lower() != ".gz":
        return path.open(encoding="utf-8-sig", newline="")
    raw = cast(BinaryIO, gzip.open(path, "rb"))  # noqa: SIM115  # closed with the text that it becomes
    return io.TextIOWrapper(io.BufferedReader(_Limited(raw, path)), encoding="utf-8-sig", newline="")


def layout_of(path: Path, mixed: bool = False) -> Layout:
    """The layout, from the first rows; with `mixed`, rows of data may hold numbers and names."""
    with open_text(path) as handle:
        lines = list(islice(skip_comments(path, handle), ROWS_TO_LOOK_AT))
    words = [line.strip() for line in lines if line.strip()]
    if not mixed and all(BITS.match(word) for word in words) and len({len(word) for word in words}) == 1:
        return Layout(None, None, bits=True)
    delimiter = _delimiter(path, lines[0])
    rows = [row for row in cells(lines, delimiter) if row]
    comma = delimiter in (";", "\t", None) and any(DECIMAL_COMMA.match(cell) for row in rows for cell in row)
    plain = Layout(delimiter, None, decimal_comma=comma)
    return Layout(delimiter, _header(path, plain, rows, mixed), decimal_comma=comma)


def _delimiter(path: Path, first: str) -> str | None:
    """Tab for tsv; otherwise the commonest of comma, semicolon and tab in the first row; None for white space."""
    if ".tsv" in "".join(path.suffixes[-2:]).lower():
        return "\t"
    if ";" in first:
        numbers = Layout(";", None, decimal_comma=True)
        if all(numbers.is_number(cell) for cell in next(cells([first], ";"))):
            return ";"
    best = max(",;\t", key=first.count)
    return best if best in first else None


def _header(path: Path, layout: Layout, rows: list[list[str]], mixed: bool) -> tuple[str, ...] | None:
    """The names, if the first row is one: all texts, or numbers as pandas writes for columns without names."""
    first = rows[0]
    numbers = [layout.is_number(cell) for cell in first]
    counted = [str(i) for i in range(len(first))]
    named = not any(numbers) or (first == counted and len(first) > 2)
    if len(first) > 1 and first[0].strip() == "":  # row numbers or row names without a name
        named = named or not any(numbers[1:]) or first[1:] == counted[:-1]
    if not named and len(rows) > 1 and len(first) > 3 and rows[1] and not layout.is_number(rows[1][0]):
        # times of columns above rows that are named
        named = _grow(layout, first[1:]) and (not numbers[0] or first[0].strip() == "")
    if named:
        names = tuple(cell.strip() for cell in first)
        shifted = len(rows) > 1 and all(len(row) == len(first) + 1 for row in rows[1:])
        return ("", *names) if shifted else names
    if all(numbers) or mixed:
        return None
    column = numbers.index(False)
    raise InputError(
        f"{path}: row 0, column {column} (counted from 0) holds {shown(first[column])}, which is not a number, while "
        f"column {numbers.index(True)} holds {shown(first[numbers.index(True)])}; "
        "the first row must hold either a name for every column or data only"
    )


def _grow(layout: Layout, words: list[str]) -> bool:
    """Whether all cells are numbers, each larger than the one before."""
    return all(map(layout.is_number, words)) and bool((np.diff([layout.number(word) for word in words]) > 0).all())


def skip_comments(path: Path, handle: TextIO) -> Iterator[str]:
    """The lines from the first that is neither empty nor starts with #."""
    for line in handle:
        if line.strip() and not line.lstrip().startswith("#"):
            return chain([line], handle)
    raise InputError(f"{path} holds no data")


def cells(lines: Iterable[str], delimiter: str | None) -> Iterator[list[str]]:
    """Lines split into cells."""
    if delimiter is not None:
        return iter(csv.reader(lines, delimiter=delimiter))
    return (
        next(csv.reader([" ".join(line.split())], delimiter=" ")) if '"' in line else line.split() for line in lines
    )


def after_names(lines: Iterator[str], layout: Layout) -> Iterator[str]:
    """The text after the names, which span several lines where a name in quotes does."""
    if layout.names is not None:
        next(cells(lines, layout.delimiter))
    return lines


def numbered(handle: TextIO, layout: Layout) -> Iterator[tuple[int, list[str]]]:
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

    rows = ((line_number, row) for row in cells(counted(), layout.delimiter) if row)
    return islice(rows, int(layout.names is not None), None)
