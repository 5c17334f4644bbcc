"""Conversion of tables of numbers to spins -1 and +1, in chunks; errors name the place of invalid values."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.table import Table
from infer.wording import shown

CHUNK_VALUES = 8_000_000
# -1 stored in an unsigned type of 8, 16, 32 or 64 bits
WRAPPED = {2**bits - 1: f"uint{bits}" for bits in (8, 16, 32, 64)}
ZERO_ONE_REMEDY = "pass zero_one=True (--zero-one on the command line) if 0 and 1 stand for -1 and +1"


@dataclass
class Absent:
    """Missing values: their number, the rows that have any, and the place of the first."""

    rows: NDArray[np.bool_]
    total: int = 0
    complaint: str = ""


def _chunks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices of rows that hold a bounded number of values."""
    step = max(1, CHUNK_VALUES // n_columns)
    return (slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step))


def binarised(source: str, table: Table, threshold: float | str) -> Table:
    """The table with +1 where a value is above the threshold, -1 where it is not, and 0 where it is missing."""
    values = table.values
    if isinstance(threshold, str) and threshold not in ("median", "mean"):
        try:
            threshold = float(threshold)
        except ValueError:
            raise InputError(f"threshold must be a number, 'median' or 'mean', got {threshold!r}") from None
    if not isinstance(threshold, str) and not np.isfinite(threshold):
        raise InputError(f"threshold must be a finite number, 'median' or 'mean', got {threshold:g}")
    spins = np.empty(values.shape, dtype=np.int8)
    own = threshold in ("median", "mean")
    runs = _runs(table.chains, len(values)) if own else [slice(None)]
    for column in range(values.shape[1]):
        value = np.asarray(values[:, column], dtype=np.float64)
        known = ~np.isnan(value)
        level = np.full(len(value), np.nan if own else threshold)
        for run in runs if own else ():
            present = value[run][known[run]]
            found = getattr(np, str(threshold))(present) if len(present) else 0.0
            if not np.isfinite(found):
                row = int(np.argmax(~np.isfinite(value) & known))
                raise InputError(
                    f"{source}: {table.place(row, column)} holds {value[row]:g}, without a finite {threshold}"
                )
            level[run] = found
        above = value > level
        if own and known.any() and not above.any():
            raise InputError(_nothing_above(source, table, value[known], column, str(threshold)))
        spins[:, column] = np.where(known, np.where(above, 1, -1), 0)
    return replace(table, values=spins)


def _runs(chains: NDArray[Any] | None, n_rows: int) -> list[Any]:
    """Rows of each run, in which its own median or mean is taken; all rows where there are no runs."""
    if chains is None or np.shape(chains) != (n_rows,):
        return [slice(None)]
    distinct, numbers = np.unique(chains, return_inverse=True)
    order = np.argsort(numbers.reshape(-1), kind="stable")
    return list(np.split(order, np.cumsum(np.bincount(numbers.reshape(-1), minlength=len(distinct)))[:-1]))


def _nothing_above(source: str, table: Table, value: NDArray[np.float64], column: int, threshold: str) -> str:
    """Error message where no value of a column lies above its median or mean, since most equal the largest."""
    name = f" {shown(table.names[column])}" if table.names else ""
    distinct = np.unique(value)
    share = 100 * float((value == distinct[-1]).mean())
    if len(distinct) == 1:
        return f"{source}: column {column}{name} is {distinct[0]:g} in all rows; leave it out with columns= (--columns)"
    number = float(f"{(distinct[-1] + distinct[-2]) / 2:.6g}")
    return (
        f"{source}: {share:.0f} % of column {column}{name} equals its largest value, {distinct[-1]:g}, so that nothing "
        f"lies above its {threshold}; give a number, such as threshold={number:g} (--threshold {number:g})"
    )


def two_valued(source: str, table: Table, zero_one: bool) -> tuple[NDArray[np.int8], Absent]:
    """The values as int8: -1, +1, and 0 where missing; an int8 array of such values is returned unchanged."""
    values = table.values
    if values.dtype == np.bool_ and not zero_one:
        raise InputError(f"{source} holds booleans; {ZERO_ONE_REMEDY.replace('0 and 1', 'false and true')}")
    as_it_is = values.dtype == np.int8 and not zero_one
    spins = values if as_it_is else np.empty(values.shape, dtype=np.int8)
    absent = Absent(np.zeros(len(values), dtype=bool))
    low, high = (0, 1) if zero_one else (-1, 1)
    any_low = any_zero = False
    first: tuple[int, int] | None = None
    for rows in _chunks(*values.shape):
        chunk = values[rows]
        is_low, is_high = chunk == low, chunk == high
        any_low = any_low or bool(is_low.any())
        if not (is_low | is_high).all():
            other = ~(is_low | is_high)
            is_missing = np.isnan(chunk) if chunk.dtype.kind == "f" else np.zeros(chunk.shape, dtype=bool)
            if not zero_one:
                any_zero = any_zero or bool((chunk == 0).any())
                is_missing |= chunk == 0
            if (other & ~is_missing).any():
                row, column = np.argwhere(other & ~is_missing)[0]
                where = table.place(rows.start + int(row), int(column))
                raise InputError(
                    f"{source}: {where} holds {_complaint(chunk[row, column].item(), int(column), zero_one)}"
                )
            absent.rows[rows] = is_missing.any(axis=1)
            absent.total += int(is_missing.sum())
            if first is None:
                row, column = np.argwhere(is_missing)[0]
                first = rows.start + int(row), int(column)
        if not as_it_is:
            spins[rows] = is_high.astype(np.int8) - is_low.astype(np.int8)
    if any_zero and not any_low:
        raise InputError(f"{source} holds 0 and 1 where spins are -1 and +1; {ZERO_ONE_REMEDY}")
    if first is not None:
        what = "0, which stands for a missing value" if values[first] == 0 else "no value"
        absent.complaint = (
            f"{source}: {table.place(*first)} holds {what} ({absent.total} of {values.size} are missing); "
            "choose missing='drop' to leave such rows out, 'fill' to put the more common value, or 'mask' to average "
            "over their possible values (--missing on the command line)"
        )
    return spins, absent


def _complaint(value: Any, column: int, zero_one: bool) -> str:
    """Part of a message on a value that cannot be a spin."""
    if value in WRAPPED:
        return f"{value}, which is -1 wrapped in {WRAPPED[value]}; convert the array with astype(numpy.int8)"
    hint = ""
    if np.isfinite(value) and value == round(value) and value > 1:
        hint = "; counts take threshold=0 (--threshold 0), which makes one or more +1"
    elif isinstance(value, float) and np.isfinite(value) and value != round(value):
        hint = "; real values take a threshold (--threshold on the command line)"
    if column == 0:
        hint += "; leave out a column of row numbers or times with index_column=0 (--index-column 0)"
    if zero_one and value == -1:
        return f"{shown(value)}, not 0 or 1; leave out zero_one=True (--zero-one) if the values are -1 and +1"
    return f"{shown(value)}, {'not 0 or 1' if zero_one else 'and spins are -1 or +1'}{hint}"


def complete(source: str, table: Table, zero_one: bool) -> NDArray[np.int8]:
    """Values -1 and +1 with none missing."""
    spins, absent = two_valued(source, table, zero_one)
    if absent.total:
        raise InputError(absent.complaint.split("; choose")[0] + "; patterns have a value everywhere")
    return spins


def filled(spins: NDArray[np.int8], counts: NDArray[Any] | None) -> NDArray[np.int8]:
    """A copy with the more common value of each spin, +1 in a tie, where a value is missing."""
    weights = np.ones(len(spins)) if counts is None else counts.astype(float)
    sums = sum(weights[rows] @ spins[rows] for rows in _chunks(*spins.shape))
    common = np.where(sums >= 0, 1, -1).astype(np.int8)
    return np.where(spins == 0, common, spins)


def constant_columns(spins: NDArray[np.int8]) -> NDArray[np.intp]:
    """The columns that do not hold both values; 0 (missing) is not a value."""
    up, down = np.zeros((2, spins.shape[1]), dtype=bool)
    for rows in _chunks(*spins.shape):
        up |= (spins[rows] == 1).any(axis=0)
        down |= (spins[rows] == -1).any(axis=0)
        if (up & down).all():
            break
    return np.flatnonzero(~(up & down))
