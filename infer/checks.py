"""Checks of users' arrays, in chunks of rows, and the texts of the errors."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from infer.errors import InputError

__all__ = [
    "binarise",
    "check_confidence",
    "check_map",
    "check_memory",
    "check_spins",
    "constant_spins",
    "name_spins",
    "passing_rows",
    "release_pages",
    "row_chunks",
    "seed_of",
]

CHUNK_VALUES = 1 << 21  # values per chunk when large (memory-mapped) input is checked or scored
MATRICES = 12  # approximate number of (n_spins, n_spins) arrays in double precision that a fit holds at once
_NAMES_SHOWN = 8


def check_memory(n_spins: int) -> None:
    """Raise a ValueError if couplings cannot fit into the memory of this machine (where its size is known)."""
    try:
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return
    needed = 8 * MATRICES * n_spins**2
    if needed > available:
        raise ValueError(
            f"couplings of {n_spins} spins need about {needed / 1e9:.0f} GB of memory, and there are "
            f"{available / 1e9:.0f} GB; choose fewer spins (transpose the samples if rows are spins)"
        )


def check_confidence(confidence: float) -> float:
    """Check a confidence between 0 and 1, such as 0.95."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    return float(confidence)


def name_spins(indices: ArrayLike, names: tuple[str, ...] | None = None) -> str:
    """List of spins for messages: the first few, and the number of further ones."""
    indices = [int(index) for index in np.atleast_1d(np.asarray(indices))]
    shown = [f"{i} ({names[i]})" if names is not None and names[i] != str(i) else f"{i}" for i in indices]
    more = f" and {len(shown) - _NAMES_SHOWN} more" if len(shown) > _NAMES_SHOWN else ""
    return ("spin " if len(shown) == 1 else "spins ") + ", ".join(shown[:_NAMES_SHOWN]) + more


def release_pages(spins: NDArray) -> None:
    """Release the pages of a memory map, so that reading a file larger than memory does not fill memory.

    Only for maps that are known to be read-only or shared: the pages of a copy-on-write map (``mmap_mode="c"``) hold
    what the user has written, and releasing them would discard it.
    """
    mapped, pages = _map_of(spins)
    if mapped is not None and pages is not None and mapped.mode in ("r", "r+", "w+") and hasattr(pages, "madvise"):
        pages.madvise(mmap.MADV_DONTNEED)


def check_map(values: NDArray) -> None:
    """Raise an InputError if the file of a memory map is shorter than when it was opened.

    The system ends a process that reads where the file is no more (SIGBUS), without a line.
    """
    mapped, pages = _map_of(values)
    if mapped is None or pages is None:
        return
    try:
        found = pages.size()
    except (OSError, ValueError):  # a map that does not keep its file
        return
    # numpy maps whole pages, from the one in which the array begins
    needed = mapped.offset - mapped.offset % mmap.ALLOCATIONGRANULARITY + len(pages)
    if found < needed:
        raise InputError(
            f"{mapped.filename or 'the file of the samples'} was cut from {needed:,} to {found:,} bytes after it was "
            "opened; read it again once it is written in full"
        )


def _map_of(values: NDArray) -> tuple[np.memmap | None, mmap.mmap | None]:
    """The memory map that an array is a view of, and its pages; None for other arrays."""
    base: Any = values
    mapped = None
    while isinstance(base, np.ndarray):
        mapped = base if isinstance(base, np.memmap) and base.mode is not None else mapped
        base = base.base
    return (mapped, base) if mapped is not None and isinstance(base, mmap.mmap) else (None, None)


def row_chunks(n_rows: int, n_spins: int) -> list[slice]:
    """Slices of rows of bounded size."""
    step = max(1, CHUNK_VALUES // max(1, n_spins))
    return [slice(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]


def passing_rows(samples: NDArray) -> Iterator[slice]:
    """``row_chunks`` of an array; pages of a memory map are released after use."""
    for count, rows in enumerate(row_chunks(*samples.shape)):
        check_map(samples)
        yield rows
        if count % 32 == 31:
            release_pages(samples)
    release_pages(samples)


def check_spins(spins: NDArray, gaps: bool = False, first_row: int = 0) -> NDArray[np.int8]:
    """Check samples and return them as int8; errors name the first entry that is not +-1, rows counted from
    `first_row`.

    With ``gaps`` values may be missing: 0 or NaN, which become 0.
    """
    out = spins if spins.dtype == np.int8 else np.empty(spins.shape, dtype=np.int8)
    for rows in passing_rows(spins):
        chunk = spins[rows]
        if gaps and chunk.dtype.kind == "f":
            chunk = np.where(np.isnan(chunk), 0, chunk)
        wrong = (chunk != 1) & (chunk != -1)
        if gaps:
            wrong &= chunk != 0
        if wrong.any():
            row, column = (int(index) for index in np.argwhere(wrong)[0])
            _refuse_value(chunk[row, column], first_row + rows.start + row, column)
        if out is not spins:
            out[rows] = chunk
    return out


def _refuse_value(value: Any, row: int, column: int) -> None:
    """Raise the ValueError for an entry that is not a spin."""
    where = f"row {row}, column {column} of X is"
    if isinstance(value, np.floating) and not np.isfinite(value):
        kind = "NaN" if np.isnan(value) else "infinity"
        remedy = "drop or fill missing values first, or fit with PseudoLikelihood(missing='mask')"
        raise ValueError(f"{where} {kind}: spins must be -1 or +1, so {remedy}")
    shown = value.item() if isinstance(value, np.generic) else value
    if value == 0:
        hint = "for 0/1 data pass threshold=0.5 or convert with 2 * X - 1"
    elif value == 255:
        hint = "255 is -1 wrapped by unsigned bytes, so convert with X.astype('int8')"
    else:
        hint = "pass threshold=... to binarise real data"
    raise ValueError(f"{where} {shown}: spins must be -1 or +1; {hint}")


def binarise(values: NDArray, threshold: float, gaps: bool = False, first_row: int = 0) -> NDArray[np.int8]:
    """+1 where a value exceeds the threshold, else -1; a ValueError names the first value that is not finite.

    With ``gaps`` NaN are missing values and become 0.
    """
    out = np.empty(values.shape, dtype=np.int8)
    for rows in passing_rows(values):
        chunk = values[rows]
        missing = np.isnan(chunk) if gaps and chunk.dtype.kind == "f" else np.zeros(chunk.shape, dtype=bool)
        if chunk.dtype.kind == "f" and not (np.isfinite(chunk) | missing).all():
            row, column = (int(index) for index in np.argwhere(~(np.isfinite(chunk) | missing))[0])
            _refuse_value(chunk[row, column], first_row + rows.start + row, column)
        out[rows] = np.where(missing, 0, np.where(chunk > threshold, 1, -1))
    return out


def constant_spins(spins: NDArray[np.int8], weight: NDArray | None = None) -> NDArray[np.intp]:
    """Indices of the spins that never change in the rows of positive weight."""
    first = int(np.argmax(weight > 0)) if weight is not None else 0
    constant = np.ones(spins.shape[1], dtype=bool)
    for rows in passing_rows(spins):
        chunk = spins[rows][weight[rows] > 0] if weight is not None else spins[rows]
        constant &= (chunk == spins[first]).all(axis=0)
        if not constant.any():
            break
    return np.flatnonzero(constant)


def seed_of(random_state: int | np.random.RandomState | None) -> int:
    """Seed for the functions that an estimator calls, from its `random_state`."""
    from sklearn.utils import check_random_state  # loaded by then: only estimators have a random state

    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
