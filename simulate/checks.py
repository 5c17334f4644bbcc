"""Checks of what a user hands in: each says in one line what is wrong, where, and what to do."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


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


def seed_sequence(seed: Any) -> np.random.SeedSequence:
    """Seed sequence of a run; a copy of one that was handed in, which spawning would change.

    A numpy Generator gives 128 random bits, and another sequence each time it is handed in.
    """
    if isinstance(seed, np.random.SeedSequence):
        return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key)
    if isinstance(seed, np.random.Generator):
        return np.random.SeedSequence(int.from_bytes(seed.bytes(16), "little"))
    return np.random.SeedSequence(None if seed is None else check_count(seed, "seed"))
