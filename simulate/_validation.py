"""Checks of what a user hands in: each says in one line what is wrong, where, and what to do."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse


def first_place(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Index of the first True entry of a mask that has one."""
    return tuple(int(index) for index in np.unravel_index(int(np.argmax(mask)), mask.shape))


def check_number(
    value: Any,
    name: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
    """A finite real number inside an interval, as float."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    number = float(value)
    below = number <= low if open_low else number < low
    above = number >= high if open_high else number > high
    if below or above:
        left = "" if low == -math.inf else f"{'>' if open_low else '>='} {low:g}"
        right = "" if high == math.inf else f"{'<' if open_high else '<='} {high:g}"
        raise ValueError(f"{name} must be {' and '.join(part for part in (left, right) if part)}, got {number:g}")
    return number


def check_count(value: Any, name: str, *, low: int = 0) -> int:
    """An integer of at least `low`, as int."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}")
    return int(value)


def check_patterns(patterns: ArrayLike, name: str = "patterns") -> NDArray[np.int8]:
    """Patterns of +-1 as int8 (n_patterns, n_spins)."""
    values = np.asarray(patterns)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"{name} must be an array (n_patterns, n_spins) that is not empty, got shape {values.shape}")
    if values.dtype == object or not (np.issubdtype(values.dtype, np.number)) or np.iscomplexobj(values):
        raise ValueError(f"{name} must hold the numbers +1 and -1, got dtype {values.dtype}")
    wrong = (values != 1) & (values != -1)
    if wrong.any():
        row, column = first_place(wrong)
        raise ValueError(f"{name}[{row}, {column}] = {values[row, column]}: patterns hold only +1 and -1")
    return values.astype(np.int8)


def check_fields(fields: ArrayLike | None, n_spins: int, name: str = "fields") -> NDArray[np.float64] | None:
    """External fields as float64 (n_spins,); a number stands for the same field on every spin."""
    if fields is None:
        return None
    values = np.asarray(fields, dtype=np.float64)
    if values.ndim == 0:
        values = np.full(n_spins, float(values))
    if values.shape != (n_spins,):
        raise ValueError(f"{name} must have shape ({n_spins},), one for each spin, got {values.shape}")
    if not np.isfinite(values).all():
        (spin,) = first_place(~np.isfinite(values))
        raise ValueError(f"{name}[{spin}] = {values[spin]}: fields must be finite")
    return values.copy()


def check_couplings(
    couplings: Any, name: str = "couplings", *, symmetric: bool = True, zero_diagonal: bool = True
) -> Any:
    """Couplings as they are computed with: a float64 matrix, a CSR array, or the patterns that stand for one.

    Symmetry is asked for up to rounding (1e-10 of the largest coupling), since products in another order differ in
    the last digit; the diagonal must vanish exactly where asked for.
    """
    from simulate.memory.couplings import PatternCouplings

    if isinstance(couplings, PatternCouplings):
        return couplings
    if sparse.issparse(couplings):
        matrix: Any = sparse.csr_array(couplings, dtype=np.float64, copy=True)
        matrix.sum_duplicates()
    else:
        try:
            matrix = np.array(couplings, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{name} must be a matrix of numbers (n_spins, n_spins)") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise ValueError(f"{name} must be a square matrix (n_spins, n_spins), got shape {matrix.shape}")
    entries = matrix.data if sparse.issparse(matrix) else matrix
    if not np.isfinite(entries).all():
        place = _entry(matrix, ~np.isfinite(entries))
        raise ValueError(f"{name}[{place[0]}, {place[1]}] = {matrix[place]}: couplings must be finite")
    if zero_diagonal and matrix.diagonal().any():
        (spin,) = first_place(matrix.diagonal() != 0)
        raise ValueError(
            f"{name}[{spin}, {spin}] = {matrix.diagonal()[spin]:g}: a spin does not act on itself, "
            "set the diagonal to zero"
        )
    if symmetric:
        difference = abs(matrix - matrix.T)
        scale = float(np.abs(entries).max(initial=0.0))
        if difference.max() > 1e-10 * scale:
            row, column = np.unravel_index(int(difference.argmax()), matrix.shape)
            raise ValueError(
                f"{name} must be symmetric: {name}[{row}, {column}] = {matrix[row, column]:g} but "
                f"{name}[{column}, {row}] = {matrix[column, row]:g}"
            )
    return matrix


def full_matrix(couplings: Any, *, symmetric: bool = True) -> NDArray[np.float64]:
    """Checked couplings of any kind as a full matrix of our own, exactly symmetric where asked for."""
    checked = check_couplings(couplings, symmetric=symmetric)
    matrix: NDArray[np.float64] = np.array(checked.toarray() if hasattr(checked, "toarray") else checked)
    return (matrix + matrix.T) / 2 if symmetric else matrix


def seed_sequence(seed: Any) -> np.random.SeedSequence:
    """Seed sequence of a run; a copy of one that was handed in, which spawning would change."""
    if isinstance(seed, np.random.SeedSequence):
        return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
    return np.random.SeedSequence(None if seed is None else check_count(seed, "seed"))


def _entry(matrix: Any, wrong: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of the first wrong entry of a dense or CSR matrix."""
    if not sparse.issparse(matrix):
        row, column = first_place(wrong)
        return row, column
    at = int(np.argmax(wrong))
    return int(np.searchsorted(matrix.indptr, at, side="right") - 1), int(matrix.indices[at])
