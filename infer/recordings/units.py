"""Choice of units by name, or by conditions on the table of units."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.spike_times import SpikeTimes
from infer.wording import shown

CONDITION = re.compile(r"^\s*([^=<>!]+?)\s*(==|!=|<=|>=|=|<|>)\s*(.+?)\s*$")
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


ALL = "all"


def listed(choice: Any) -> list[str]:
    """Names from a text with commas, one number, or a list."""
    if isinstance(choice, str):
        return [name.strip() for name in choice.split(",") if name.strip()]
    if isinstance(choice, Sequence | np.ndarray):
        return [str(name) for name in choice]
    return [str(choice)]


def chosen_units(source: str, spikes: SpikeTimes, units: Any) -> SpikeTimes:
    """The spikes of the chosen units: names, or conditions such as "quality=good"."""
    if units is None or (isinstance(units, str) and units == ALL and ALL not in spikes.names):
        return spikes
    if isinstance(units, str) and CONDITION.match(units) and units not in spikes.names:
        keep = np.ones(len(spikes.names), dtype=bool)
        for part in units.split(","):
            keep &= _meets(source, spikes, part)
        numbers = np.flatnonzero(keep)
    else:
        place = {name: i for i, name in enumerate(spikes.names)}
        unknown = [name for name in listed(units) if name not in place]
        if unknown:
            raise InputError(
                f"{source} has no unit {shown(unknown[0])}; it has {', '.join(map(shown, spikes.names[:10]))}"
                f"{', ...' if len(spikes.names) > 10 else ''}"
            )
        numbers = np.array([place[name] for name in dict.fromkeys(listed(units))], dtype=np.int64)
    if len(numbers) < 2:
        raise InputError(f"{source}: units={shown(str(units))} leaves {len(numbers)} units; couplings need two")
    note = f"{len(numbers)} of {len(spikes.names)} units were chosen: {shown(str(units))}"
    return with_units(spikes, numbers, (*spikes.notes, note))


def _meets(source: str, spikes: SpikeTimes, condition: str) -> NDArray[np.bool_]:
    """Mask of the units that satisfy a condition on a column of the table of units."""
    match = CONDITION.match(condition)
    if match is None:
        raise InputError(f"{source}: units={shown(condition)} is no condition such as 'quality=good'")
    name, sign, wanted = match.groups()
    if name not in spikes.unit_table:
        known = ", ".join(map(shown, spikes.unit_table)) or "no columns"
        raise InputError(f"{source}: the table of units has no column {shown(name)}; it has {known}")
    values, compare = spikes.unit_table[name], OPERATORS[sign]
    try:
        number = float(wanted)
        return np.array([compare(float(value), number) for value in values])
    except (TypeError, ValueError):
        return np.array([compare(str(value), wanted) for value in values])


def with_units(spikes: SpikeTimes, numbers: NDArray[np.int64], notes: tuple[str, ...]) -> SpikeTimes:
    """The spikes of some units, in the order given."""
    place = np.full(len(spikes.names), -1)
    place[numbers] = np.arange(len(numbers))
    kept = place[spikes.units] >= 0
    return replace(
        spikes,
        times=spikes.times[kept],
        units=place[spikes.units[kept]],
        names=tuple(spikes.names[i] for i in numbers),
        observed=None if spikes.observed is None else tuple(spikes.observed[i] for i in numbers),
        trials=None if spikes.trials is None else spikes.trials[kept],
        unit_table={name: [values[i] for i in numbers] for name, values in spikes.unit_table.items()},
        notes=notes,
    )
