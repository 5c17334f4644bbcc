"""pynapple's objects as tables; recognised by their type's name, so that pynapple is not loaded by us."""

from typing import Any

import numpy as np

from infer.errors import InputError
from infer.recordings.spike_times import SpikeTimes
from infer.recordings.table import Table


def kind_of_object(data: Any) -> str | None:
    """ "TsGroup" or "TsdFrame" for these objects of pynapple (or types derived from them), None for all else."""
    kinds = [kind.__name__ for kind in type(data).__mro__ if kind.__module__.split(".")[0] == "pynapple"]
    return next((kind for kind in kinds if kind in ("TsGroup", "TsdFrame")), None)


def table_of_frame(frame: Any) -> Table:
    """The values of a TsdFrame, its columns as names; each interval of its time support is a chain."""
    times, starts = np.asarray(frame.t), np.asarray(frame.time_support.start)
    chains = np.searchsorted(starts, times, side="right") - 1
    return Table(np.asarray(frame.values), names=tuple(str(name) for name in frame.columns), chains=chains)


def spikes_of_group(group: Any) -> SpikeTimes:
    """The times of a TsGroup in seconds, its index as names, its time support as what was recorded."""
    keys = list(group.index)
    if not keys:
        raise InputError("the TsGroup has no units")
    times = [np.asarray(group[key].t, dtype=np.float64) for key in keys]
    units = np.repeat(np.arange(len(keys)), [len(each) for each in times])
    intervals = np.column_stack([group.time_support.start, group.time_support.end]).astype(np.float64)
    return SpikeTimes(np.concatenate(times), units, tuple(str(key) for key in keys), intervals)
