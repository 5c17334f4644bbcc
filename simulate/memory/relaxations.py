"""Relaxations of learning rules in parts, with a progress bar and a warning where they were cut short."""

from __future__ import annotations

from collections.abc import Callable

from simulate.progress_bars import tqdm
from simulate.user_warnings import warn

__all__ = ["MAX_SWEEPS", "in_parts", "warn_unsettled"]

# the energy decreases with every flip; N = 1000 at load 0.5 settles within 20 sweeps, so this limit is not reached
MAX_SWEEPS = 1000
# steps between two updates of the progress bar
_AT_ONCE = 200


def in_parts(run: Callable[[int], int], total: int, progress: bool, unit: str) -> int:
    """Run so many steps in parts; `run` takes a number of steps and returns how many of them did not settle."""
    unsettled = 0
    with tqdm(total=total, disable=not progress, unit=unit) as bar:
        for first in range(0, total, _AT_ONCE):
            count = min(_AT_ONCE, total - first)
            unsettled += run(count)
            bar.update(count)
    return unsettled


def warn_unsettled(unsettled: int, total: int) -> None:
    """Warn at the line that called the learning rule, where relaxations did not reach a fixed point."""
    if unsettled:
        warn(
            f"{unsettled} of {total} relaxations did not reach a fixed point in {MAX_SWEEPS} sweeps",
            RuntimeWarning,
            stacklevel=3,
        )
