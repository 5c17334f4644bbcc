"""Warnings of implausible times: another unit of time, a clock that was reset, single negative times."""

import numpy as np

from infer.recordings.spike_times import SpikeTimes
from infer.recordings.table import Table

SPARSE, MANY_ROWS = 5e-4, 100_000  # share of +1, and rows, from which another unit of time is likely
FEW = 0.02  # share of spikes that may go back in time where a clock was reset
LONE = 0.001  # share of negative times up to which they are implausible
SILENCE, EXPECTED = 0.05, 100.0  # longest silence as a share of all time, and spikes expected in it, for a warning


def strange_times(source: str, spikes: SpikeTimes, fixed: bool) -> list[str]:
    """Warnings of negative times, times that go back, and long silence of all units."""
    times = spikes.times
    if len(times) < 3 or not np.isfinite(times).all():
        return []
    found = []
    negative = times < 0
    if 0 < negative.sum() <= max(1, LONE * len(times)) and not fixed:
        found.append(
            f"{source}: {int(negative.sum())} of {len(times)} times is negative (the first is "
            f"{times[negative][0]:g}), which makes the bins begin there; leave it out, or pass start=0 (--start 0)"
        )
    order = (
        np.argsort(spikes.units, kind="stable") if spikes.trials is None else np.lexsort((spikes.trials, spikes.units))
    )
    same = np.diff(spikes.units[order]) == 0
    if spikes.trials is not None:
        same &= np.diff(spikes.trials[order]) == 0
    steps = np.where(same, np.diff(times[order]), 0.0)
    span = float(times.max() - times.min())
    back = steps < -0.1 * span
    if back.sum() > 0 and (steps < 0).sum() <= max(FEW * len(times), len(spikes.names)):
        at = int(np.flatnonzero(back)[0])
        found.append(
            f"{source}: times go back from {times[order][at]:g} to {times[order][at + 1]:g} within a unit, as those of "
            "a clock that was reset do; give the parts a column called trial, or add what the clock lost"
        )
    known = (spikes.intervals, spikes.observed, spikes.trials, spikes.unseen)
    if all(each is None for each in known) and not fixed:
        ordered = np.sort(times)
        gaps = np.diff(ordered)
        longest = int(gaps.argmax())
        expected = gaps[longest] * len(times) / max(span - gaps[longest], 1e-300)
        if gaps[longest] > SILENCE * span and expected > EXPECTED and 0 < longest < len(gaps) - 1:
            found.append(
                f"{source}: no unit fires between {ordered[longest]:g} and {ordered[longest + 1]:g}, where about "
                f"{expected:.0f} spikes are expected; if nothing was recorded then, name the times that were with "
                "epochs= (--epochs), since silence makes units look coupled"
            )
    return found


def strange_spins(source: str, table: Table) -> list[str]:
    """Warnings of bins that are nearly all empty."""
    n_rows, n_units = table.values.shape
    active = table.attributes["spikes"] / (n_rows * n_units)
    if active < SPARSE and n_rows >= MANY_ROWS:
        width = table.attributes["bin_width"]
        return [
            f"{source}: {100 * active:.2g} % of the values are +1 in {n_rows} rows; times in milliseconds take a width "
            f"in milliseconds (bin_width={1000 * width:g}, --bin-width {1000 * width:g})"
        ]
    return []
