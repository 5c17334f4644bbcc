"""Selection of the columns of a table that are spins; times, row numbers and trials are not."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.spike_times import TIME_NAMES, TRIAL_NAMES
from infer.recordings.table import MISSING_WORDS, Table
from infer.recordings.units import listed
from infer.wording import shown

INDEX_NAMES = ("", "unnamed: 0", "index", "level_0", "row", "row_number", "rownames", "row_names", "rowid")
RUN_NAMES = (*TRIAL_NAMES, "run", "runs", "chain", "chains", "epoch", "session", "block")
WORDS = {"y": 1, "yes": 1, "yea": 1, "n": 0, "no": 0, "nay": 0, "true": 1, "t": 1, "false": 0, "f": 0, "+": 1, "-": 0}
TRUTH = {"true", "false", "t", "f"}
ENOUGH_ROWS = 10  # probability of an increasing sequence of this length by chance: one in three million
LEAVE_OUT = "index_column={} (--index-column {} on the command line)"


def spin_columns(
    source: str,
    table: Table,
    *,
    columns: Any = None,
    index_column: Any = None,
    time_column: Any = None,
    zero_one: bool = False,
    real: bool = False,
) -> Table:
    """The columns that are spins, with the trials and times of other columns.

    Row numbers, times and trials are recognised by their names, and reported in the attribute "notes". Where values are
    `real` (a threshold turns them into spins) an increasing column without such a name is an error, since it may be a
    time.
    """
    n_columns = table.values.shape[1]
    out = dict.fromkeys([*_places(source, table, index_column), *_places(source, table, time_column)], "")
    if len(_places(source, table, time_column)) > 1:
        raise InputError(f"{source}: time_column={shown(str(time_column))} names more than one column")
    times, chains = table.times, table.chains
    for place in _places(source, table, time_column):
        times = _times(source, table, place)
    values = table.values
    chosen = [place for place in _places(source, table, columns) if place not in out] if columns is not None else None
    notes = []
    for place in [each for each in range(n_columns) if each not in out] if chosen is None else chosen:
        role = _role(table, place)
        if role == "text":
            read = _words(source, table, place, zero_one)
            if values is table.values:
                values = values.copy()
            values[:, place] = read
        elif chosen is None and role in ("index", "time", "trial"):
            said = f"column {place}{_named(table, place)} "
            out[place] = role
            if role == "trial" and chains is None and table.counts is None:
                chains = _runs(table, place)
                notes.append(said + "was taken as the runs")
            elif role == "time":
                times = _times(source, table, place) if times is None else times
                notes.append(said + "was read as times and left out")
            else:
                rows = "row names" if place in table.labels else "row numbers"
                notes.append(said + (f"holds {rows} and was left out" if role == "index" else "was left out"))
        elif real and chosen is None and _grows(np.asarray(values[:, place])):
            remedy = LEAVE_OUT.format(*[repr(table.names[place]) if table.names else place] * 2)
            raise InputError(
                f"{source}: column {place}{_named(table, place)} only grows, from {values[0, place]:g} to "
                f"{values[-1, place]:g}, as times and row numbers do; leave it out with {remedy}, or "
                "name the columns that are spins with columns= (--columns)"
            )
    kept = [place for place in range(n_columns) if place not in out] if chosen is None else chosen
    if len(kept) < n_columns or chosen is not None:
        values = values[:, kept]
    attributes = dict(table.attributes)
    if notes:
        attributes["notes"] = [*attributes.get("notes", ()), *notes]
    return replace(
        table,
        values=values,
        names=None if table.names is None else tuple(table.names[place] for place in kept),
        patterns=_of_patterns(table.patterns, n_columns, kept),
        labels={},
        times=times,
        chains=chains,
        attributes=attributes,
    )


def _of_patterns(patterns: NDArray[Any] | None, n_columns: int, kept: Sequence[int]) -> NDArray[Any] | None:
    """Stored patterns restricted to the columns that are kept, where they cover all columns."""
    if patterns is None or patterns.ndim != 2 or patterns.shape[1] != n_columns or len(kept) == n_columns:
        return patterns
    return patterns[:, kept]


def _places(source: str, table: Table, choice: Any) -> list[int]:
    """Numbers of columns given by names or numbers."""
    if choice is None:
        return []
    names = list(table.names or ())
    n_columns, places = table.values.shape[1], []
    for name in listed(choice):
        if name in names:
            if names.count(name) > 1:
                raise InputError(f"{source} has {names.count(name)} columns called {shown(name)}; give their numbers")
            places.append(names.index(name))
        elif name.isdecimal() and int(name) < n_columns:
            places.append(int(name))
        else:
            held = ", ".join(map(shown, names[:10])) if names else f"the numbers 0 to {n_columns - 1}"
            raise InputError(f"{source} has no column {shown(name)}; it has {held}{', ...' if len(names) > 10 else ''}")
    return list(dict.fromkeys(places))


def _named(table: Table, place: int) -> str:
    """The name of a column for a message, empty where there is none."""
    return f" {shown(table.names[place])}" if table.names and table.names[place].strip() else ""


def _role(table: Table, place: int) -> str:
    """Kind of a column: "index", "time", "trial", "text", or "" for a possible spin."""
    name = table.names[place].strip().lower().replace(" ", "_") if table.names else "0"
    name = "unnamed: 0" if name == "unnamed:_0" else name
    if place in table.labels:
        if name in ("", "unnamed: 0", "rownames", "row_names"):
            return "index"
        return "trial" if name in RUN_NAMES and _contiguous(np.asarray(table.labels[place])) else "text"
    if name not in (*INDEX_NAMES, *TIME_NAMES, *RUN_NAMES):
        return ""
    values = np.asarray(table.values[:, place])
    if name in INDEX_NAMES and len(values) > 1 and (np.diff(values) == 1).all():
        return "index"
    if (
        name in TIME_NAMES
        and len(values) > 2
        and (np.diff(values) >= 0).all()
        and values[0] + 2 < len(np.unique(values)) + values[0]
    ):
        return "time"
    if name in RUN_NAMES and not np.isnan(values.astype(float)).any() and _contiguous(values):
        return "trial"
    return ""


def _contiguous(values: NDArray[Any]) -> bool:
    """Whether equal values are contiguous, and most values repeat the one before."""
    n_runs = 1 + int((values[1:] != values[:-1]).sum())
    return n_runs == len(np.unique(values)) and n_runs <= len(values) / 2


def _runs(table: Table, place: int) -> NDArray[np.int64]:
    """Runs of rows, counted from 0 in the order of the file."""
    values = np.asarray(table.labels[place]) if place in table.labels else np.asarray(table.values[:, place])
    return np.concatenate([[0], np.cumsum(values[1:] != values[:-1])]).astype(np.int64)


def _times(source: str, table: Table, place: int) -> NDArray[np.float64] | None:
    """The times of the rows; None where the column holds text, such as dates."""
    return None if place in table.labels else np.asarray(table.values[:, place], dtype=np.float64)


def _grows(values: NDArray[Any]) -> bool:
    """Whether each value is larger than the one before, over enough rows."""
    if len(values) < ENOUGH_ROWS or not (np.diff(values[:ENOUGH_ROWS].astype(float)) > 0).all():
        return False
    return bool((np.diff(values.astype(float)) > 0).all())


def _words(source: str, table: Table, place: int, zero_one: bool) -> NDArray[np.float64]:
    """A column of words such as yes and no as numbers; other text is refused."""
    texts = [text.strip().lower() for text in table.labels[place]]
    known = WORDS.keys() | MISSING_WORDS
    strange = next((row for row, text in enumerate(texts) if text not in known), None)
    if strange is not None:
        held = table.labels[place][strange]
        remedy = LEAVE_OUT.format(*[repr(table.names[place]) if table.names else place] * 2)
        raise InputError(
            f"{source}: {table.place(strange, place)} holds {shown(held)}, which is not a number; leave a column of "
            f"labels out with {remedy}"
        )
    truth = any(text in TRUTH for text in texts)
    low = 0.0 if truth or zero_one else -1.0
    return np.array([np.nan if text not in WORDS else (1.0 if WORDS[text] else low) for text in texts])
