"""Checks of users' input: each error names in one line the problem, its place and the remedy."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: What functions take as `seed`; estimators have `random_state`, as scikit-learn's.
Seed = int | np.random.SeedSequence | np.random.Generator | None


def first_place(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    """Index of the first True entry of a mask, which must have one."""
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
    """Check a finite real number inside an interval; return it as float."""
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
    """Check an integer of at least `low`; return it as int."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}")
    return int(value)


def check_patterns(patterns: ArrayLike, name: str = "patterns") -> NDArray[np.int8]:
    """Check patterns of +-1; return them as int8 (n_patterns, n_spins)."""
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
    """Check external fields; return float64 (n_spins,). A number is the same field on every spin."""
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


def seed_sequence(seed: Seed) -> np.random.SeedSequence:
    """Seed sequence of a run; one passed by the caller is copied, since spawning would change it.

    From a numpy Generator 128 random bits are drawn, so that each call with the same Generator returns another
    sequence.
    """
    if isinstance(seed, np.random.SeedSequence):
        return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
    if isinstance(seed, np.random.Generator):
        return np.random.SeedSequence(int.from_bytes(seed.bytes(16), "little"))
    return np.random.SeedSequence(None if seed is None else check_count(seed, "seed"))
