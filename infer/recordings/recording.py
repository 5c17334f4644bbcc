"""Recordings of two-valued units: from files to rows of spins, checked, with names, counts and runs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.options import Constant, Missing
from infer.recordings.couplings import read_couplings
from infer.recordings.load import Reading, load
from infer.recordings.read import read_table
from infer.recordings.row_weights import WeightKind, row_integers, row_weights
from infer.recordings.table import Table
from infer.recordings.two_values import binarised, complete, constant_columns, filled, two_valued
from infer.samples import Samples
from infer.wording import path_text, shown
from simulate.user_warnings import warn

__all__ = [
    "InputError",
    "Recording",
    "match_events",
    "match_patterns",
    "read_couplings",
    "read_patterns",
    "read_recording",
    "read_spins",
]

E = TypeVar("E", bound=StrEnum)
MOST_SAMPLES = 2**53  # sums of counts up to here are exact in double precision


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Samples):
    """Samples of spins with their provenance.

    Parameters
    ----------
    values : ndarray of int8, shape (n_rows, n_spins)
        Spins -1 and +1, and 0 where a value is missing with ``missing="mask"``; a read-only memory map where a large
        npy file holds the values in this form.
    weights, weight_kind, n_effective, chains, ordered, names, patterns
        As for `infer.Samples`. Rows with counts carry no order in time.
    attributes : dict
        Metadata of the file and a record of the reading: "missing" (the option), "missing_values",
        "dropped_rows", "filled_values", "masked_values" (numbers), "constant" (the option), "constant_spins" (names,
        kept or dropped), "notes" and "warnings" (sentences). For spike times also "bin_width", "first_bin_edge",
        "spikes" (in bins), "spikes_outside_bins", "spikes_sharing_a_bin" (with another one of the same unit),
        "unobserved_values" and "epochs".
    gaps, table, source
        As for `infer.Samples`.
    columns : ndarray of int64, shape (n_spins,)
        Numbers of the columns of the file that are the spins (all, unless constant ones were dropped).
    kept_rows : ndarray of int64, shape (n_rows,), or None
        Numbers of the rows of the file that are kept, where ``missing="drop"`` left some out; None: all.
    """

    columns: NDArray[np.int64] = field(default_factory=lambda: np.arange(0))
    kept_rows: NDArray[np.int64] | None = None

    @property
    def counts(self) -> NDArray[np.int64] | None:
        """Counts of the rows; None: each row counts once."""
        return self.weights if self.weight_kind == "counts" else None


def read_recording(
    data: Any,
    *,
    key: str | None = None,
    zero_one: bool = False,
    threshold: float | str | None = None,
    missing: Missing | str = Missing.ERROR,
    constant: Constant | str = Constant.ERROR,
    bin_width: float | None = None,
    units: Any = None,
    columns: Any = None,
    index_column: Any = None,
    time_column: Any = None,
    transpose: bool | None = None,
    axes: Any = None,
    epochs: Any = None,
    start: float | None = None,
    stop: float | None = None,
) -> Recording:
    """Read a recording of two-valued units from a file, a folder, or a Python object.

    Formats: npy and npz ("spins"; or "spins_packed" with "n_spins", bit 1 being +1; or the only table; "counts",
    "weights", "chains", "names" and "patterns" beside it are used), csv, tsv, txt and dat, packed with gzip or not
    (names in the first row and row numbers as pandas and R write them are recognised), parquet and feather (extra
    ``parquet``), nc as `simulate.sample` writes, h5, mat (all versions), and folders of suite2p. Nothing is ever
    unpickled or run. Python objects: arrays (samples, spins) or (runs, samples, spins), lists of trials, DataFrames,
    ``TsdFrame`` of pynapple and ``BinnedSpikeTrain`` of elephant.

    With a bin width, spike times are read instead and a spin is +1 in the bins in which its unit fired: from tables of
    times and units (and trials), cells of mat files, groups of h5 files, NWB files, folders of phy and spikeinterface;
    Python objects: `SpikeTimes`, a dict or a list of times, lists of trials and units, ``TsGroup``, ``SpikeTrain`` of
    neo. Bins are half-open and their edges exact. They are the whole bins that fit into each observed or chosen
    interval, counted from its start. Where no interval is known, edges are integer multiples of the width, from the bin
    of the first spike to that of the last. Values of units outside their observed time are missing, not -1.

    Parameters
    ----------
    data : str, path-like or object
        The file, folder or object.
    key : str, optional
        Array of an npz, mat, h5 or nc file (or of suite2p), or table of units of an NWB file to read.
    zero_one : bool, default False
        Whether values are 0 and 1 (or booleans), for -1 and +1. By default they must be -1 and +1.
    threshold : float, "median" or "mean", optional
        For real values: a spin is +1 above the threshold, or above the median or the mean of its column in each run,
        and -1 otherwise.
    missing : {"error", "drop", "fill", "mask"}, default "error"
        Treatment of missing values: NaN, empty cells, 0 among -1 and +1, bins in which a unit was not observed.
        "drop" leaves out rows that have any; "fill" inserts the more common value of that spin (+1 in a tie), which
        weakens the inferred couplings; "mask" keeps them as 0 in the spins, for ``PseudoLikelihood(missing="mask")``
        to average over.
    constant : {"error", "keep", "drop"}, default "error"
        Treatment of spins that have the same value in all rows, whose couplings a recording does not determine:
        "keep" them, or "drop" their columns.
    bin_width : float, optional
        Width of the bins for spike times, in the unit of the times (seconds in NWB files, phy, pynapple and neo).
    units : str or sequence, optional
        Units by name, or by conditions on the table of units, such as ``"quality=good"`` or ``"depth>=20"``; "all". By
        default all; for phy, the clusters labelled good.
    columns : str or sequence, optional
        Columns that are spins, by name or number (counted from 0), as a sequence or a text with commas.
    index_column, time_column : str, int or sequence, optional
        Columns that are not spins. Times select rows where there are ``epochs``.
    transpose : bool, optional
        Whether each row is a unit. By default rows are samples, and a table with more columns than rows is refused.
    axes : str or sequence, optional
        Names of the axes, in their order, such as ``"run,unit,time"``.
    epochs : str, path-like, or intervals, optional
        Intervals to read, each a run: the name of a table of intervals in the file ("trials"), a file with columns
        start and stop, an array (n_intervals, 2), or an ``IntervalSet``; "all" for all of the time. Where units of an
        NWB file fire within its trials only, the trials are the epochs.
    start, stop : float, optional
        Start of the first bin and end of the last, so that the number of rows is known beforehand; they apply to each
        trial where trials have clocks of their own.

    Returns
    -------
    Recording
        Spins (n_rows, n_spins), int8, with counts, runs and names.

    Raises
    ------
    InputError
        A ValueError of one line that names the file, and the row, column and value where there is one to blame: no
        such file, an unknown ending, a damaged or truncated file, pickled objects, values other than the two allowed,
        missing values, constant spins, counts beside chains, fewer than two rows or two spins; more columns than rows;
        spike times without a bin width.

    Warns
    -----
    UserWarning
        For times that seem to be in another unit, times that go back, single negative times, long silence of all units,
        and bins so wide that most spikes share one with another spike of the same unit.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "votes.csv")
    >>> _ = path.write_text("ann,bob\\n1,-1\\n-1,-1\\n1,1\\n")
    >>> recording = read_recording(path)
    >>> recording.names, recording.spins.shape
    (('ann', 'bob'), (3, 2))
    """
    missing, constant = _option("missing", missing, Missing), _option("constant", constant, Constant)
    how = Reading(
        key=key,
        zero_one=zero_one,
        threshold=threshold,
        bin_width=bin_width,
        units=units,
        columns=columns,
        index_column=index_column,
        time_column=time_column,
        transpose=transpose,
        axes=axes,
        epochs=epochs,
        start=start,
        stop=stop,
    )
    source, table = load(data, how)
    zero_one = zero_one and bin_width is None  # bins are spins already
    n_rows, n_columns = table.values.shape
    if n_rows < 2:
        raise InputError(f"{source} has one row only; couplings need many samples, one per row (transpose the table?)")
    if n_columns < 2:
        raise InputError(f"{source} has one column only; couplings need at least two spins, one per column")
    counts = None if table.counts is None else row_integers(source, "counts", table.counts, n_rows, 1)
    if counts is not None and counts.sum(dtype=np.float64) > MOST_SAMPLES:
        raise InputError(f"{source}: the counts add up to {counts.sum(dtype=np.float64):.4g} samples; check them")
    chains = None if table.chains is None else row_integers(source, "chains", table.chains, n_rows, None)
    if counts is not None and chains is not None:
        raise InputError(
            f"{source} holds both counts and chains, but rows with counts have no order in time; leave out the counts, "
            "or the chains where rows are in no order"
        )
    weights: NDArray[Any] | None = counts
    kind: WeightKind = "counts"
    if table.weights is not None:
        if counts is not None:
            raise InputError(f"{source} holds both counts and weights for its rows; leave one of them out")
        weights, kind = row_weights(source, table.weights, n_rows)
    if weights is None and chains is None:
        chains = np.zeros(n_rows, dtype=np.int64)
    if threshold is not None:
        table = binarised(source, table, threshold)
    spins, absent = two_valued(source, table, zero_one)
    attributes = dict(table.attributes)
    if threshold is not None:
        attributes["threshold"] = str(threshold)
    attributes |= {"missing": str(missing), "missing_values": absent.total}
    attributes |= {"dropped_rows": 0, "filled_values": 0, "masked_values": 0}
    kept_rows = None
    if absent.total and missing == "error":
        raise InputError(absent.complaint)
    if absent.total and missing == "drop":
        keep = ~absent.rows
        if keep.sum() < 2:
            raise InputError(
                f"{source}: missing='drop' would leave {keep.sum()} of {n_rows} rows, since almost all have missing "
                "values; use missing='mask' (--missing mask on the command line) or leave out columns with many of them"
            )
        spins = spins[keep]
        weights = None if weights is None else weights[keep]
        chains = None if chains is None else chains[keep]
        attributes["dropped_rows"] = n_rows - len(spins)
        kept_rows = np.flatnonzero(keep)
    elif absent.total and missing == "mask":
        attributes["masked_values"] = absent.total
    elif absent.total:
        spins = filled(spins, weights)
        attributes["filled_values"] = absent.total
    columns, names = np.arange(n_columns), table.names or tuple(str(i) for i in range(n_columns))
    still = constant_columns(spins)
    attributes |= {"constant": str(constant), "constant_spins": [names[i] for i in still]}
    if len(still) and constant == "error":
        column = spins[:, still[0]]
        value = f"{column[np.argmax(column != 0)]} in all rows" if column.any() else "missing in all rows"
        listed = ", ".join(f"{i} {shown(names[i])}" if table.names else str(i) for i in still[:10])
        raise InputError(
            f"{source}: {len(still)} of {n_columns} spins never change, column {listed}"
            f"{', ...' if len(still) > 10 else ''} (counted from 0; the first is {value}); "
            "leave them out with constant='drop', or keep them with constant='keep' (--constant on the command line)"
        )
    if len(still) and constant == "drop":
        columns = np.setdiff1d(columns, still)
        if len(columns) < 2:
            raise InputError(f"{source}: constant='drop' would leave {len(columns)} spins of {n_columns}; it needs two")
        spins = spins[:, columns]
        names = tuple(names[i] for i in columns)
    patterns = None
    if table.patterns is not None:
        found = Table(table.patterns)
        if found.values.ndim != 2 or found.values.shape[1] != n_columns or found.values.dtype.kind not in "iuf":
            raise InputError(f"{source}: patterns of shape {found.values.shape} do not go with {n_columns} spins")
        patterns = complete(f"{source}, patterns", found, False)[:, columns]
    for text in attributes.get("warnings", ()):
        warn(text, UserWarning, stacklevel=2)
    return Recording(
        spins,
        weights=weights,
        weight_kind=kind,
        chains=chains,
        ordered=chains is not None,
        names=names,
        patterns=patterns,
        attributes=attributes,
        gaps=missing == "mask",
        source=path_text(source),
        columns=columns,
        kept_rows=kept_rows,
    )


def read_spins(data: Any, **options: Any) -> NDArray[np.int8]:
    """Read the spins of a recording as one array, with rows repeated by their counts.

    Parameters
    ----------
    data : str, path-like or object
        As for `read_recording`, which also keeps names, counts and runs.
    **options
        The keywords of `read_recording`.

    Returns
    -------
    ndarray of int8, shape (n_samples, n_spins)
        Values -1 and +1, and 0 for missing values with ``missing="mask"``.

    Raises
    ------
    InputError
        A ValueError of one line, as for `read_recording`.
    """
    recording = read_recording(data, **options)
    if recording.counts is None:
        return recording.spins
    try:
        return np.repeat(recording.spins, recording.counts, axis=0)
    except MemoryError as error:
        raise InputError(
            f"{recording.source}: {recording.n_samples:.0f} samples do not fit into memory; use read_recording, which "
            "keeps rows and counts, and which estimators take as it is"
        ) from error


def read_patterns(path: str | os.PathLike[str], *, key: str | None = None, zero_one: bool = False) -> NDArray[np.int8]:
    """Read patterns from a file of any format of `read_recording`.

    Parameters
    ----------
    path : str or path-like
        The file, one pattern per row. In npz and NetCDF files the array "patterns" or else the only 2-D array is taken.
    key : str, optional
        Name of the array (npz) or variable (NetCDF) that holds the patterns.
    zero_one : bool, default False
        Whether values are 0 and 1 (or booleans), for -1 and +1. By default they must be -1 and +1.

    Returns
    -------
    ndarray of int8, shape (n_patterns, n_spins)
        Values -1 and +1. One pattern is enough, and columns may be constant.

    Raises
    ------
    InputError
        A ValueError of one line that names the file, and the row, column and value where there is one to blame.
    """
    return complete(os.fspath(path), read_table(path, "patterns", key), zero_one)


def match_patterns(recording: Recording, patterns: NDArray[np.int8]) -> NDArray[np.int8]:
    """Restrict patterns to the spins of a recording: spins that were dropped are dropped from the patterns too.

    Parameters
    ----------
    recording : Recording
        As returned by `read_recording`.
    patterns : ndarray, shape (n_patterns, n_spins)
        Patterns over the spins of the recording, or over all columns of its file.

    Returns
    -------
    ndarray of int8, shape (n_patterns, recording.n_spins)
        The patterns over the spins of the recording.

    Raises
    ------
    InputError
        If the patterns have another number of spins.
    """
    if patterns.shape[1] == recording.n_spins:
        return patterns
    n_columns = recording.n_spins + len(recording.attributes.get("constant_spins", ()))
    if patterns.shape[1] == n_columns and len(recording.columns) < n_columns:
        return patterns[:, recording.columns]
    raise InputError(
        f"the patterns have {patterns.shape[1]} spins and {recording.source} has {recording.n_spins}; "
        "they must be over the same spins"
    )


def match_events(recording: Recording, labels: Sequence[str]) -> list[str]:
    """Restrict labels to the rows of a recording: labels of rows that were dropped are dropped too.

    Parameters
    ----------
    recording : Recording
        As returned by `read_recording`.
    labels : sequence of str
        One label for each row of the recording, or for each row of its file.

    Returns
    -------
    list of str, length recording.n_rows
        The labels of the rows that are left.

    Raises
    ------
    InputError
        If there is another number of labels.
    """
    dropped = recording.attributes.get("dropped_rows", 0)
    if len(labels) == recording.n_rows:
        return list(labels)
    if recording.kept_rows is not None and len(labels) == recording.n_rows + dropped:
        return [labels[row] for row in recording.kept_rows]
    left = ""
    if recording.kept_rows is not None:
        first = ", ".join(str(row) for row in recording.kept_rows[:5])
        left = f" (rows {first}, ... of {recording.n_rows + dropped} are left, counted from 0, since missing='drop')"
    raise InputError(
        f"events: {len(labels)} labels were given for {recording.n_rows} rows of {recording.source}{left}; give one "
        "for each row of the file"
    )


def _option(name: str, value: str, allowed: type[E]) -> E:
    """The option of this value; an InputError for an unknown one."""
    try:
        return allowed(value)
    except ValueError:
        raise InputError(
            f"{name} must be one of {', '.join(repr(str(each)) for each in allowed)}, got {value!r}"
        ) from None
