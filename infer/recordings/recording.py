"""Recordings of two-valued units: from files to rows of spins, checked, with names, counts and runs."""

import os
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError
from infer.recordings.formats.pynapple import kind_of_object, spikes_of_group, table_of_frame
from infer.recordings.read import NO_WIDTH, check_two_dimensional, read_spikes, read_table
from infer.recordings.spike_times import bin_spikes
from infer.recordings.table import Table
from infer.recordings.two_values import binarised, complete, constant_columns, filled, two_valued
from infer.samples import Samples
from infer.wording import shown

__all__ = [
    "InputError",
    "Recording",
    "match_patterns",
    "read_couplings",
    "read_patterns",
    "read_recording",
    "read_spins",
]

Missing = Literal["error", "drop", "fill", "mask"]
Constant = Literal["error", "keep", "drop"]
MOST_SAMPLES = 2**53  # sums of counts up to here are exact in double precision


@dataclass(frozen=True, eq=False, repr=False)
class Recording(Samples):
    """Samples of spins with their provenance.

    Attributes
    ----------
    spins : ndarray of int8, shape (n_rows, n_spins)
        Values -1 and +1, and 0 where a value is missing and ``missing="mask"`` was asked for; a read-only memory map
        where a large npy file could be used as it is.
    counts : ndarray of int64, shape (n_rows,), or None
        How often each row was seen; None: once.
    chains : ndarray of int64, shape (n_rows,), or None
        Which time-ordered run a row belongs to, the rows of a run following each other in time; None where the rows
        carry no time order, as in a list of configurations with counts.
    names : tuple of str
        One name per spin; the column numbers "0", "1", ... where the file gives none.
    source : str
        The file it was read from, or the type of the object.
    patterns : ndarray of int8, shape (n_patterns, n_spins), or None
        Stored patterns that came in the same file, as `reverie simulate` writes them.
    columns : ndarray of int64, shape (n_spins,)
        Which columns of the file the spins are (all, unless constant ones were dropped).
    attributes : dict
        The metadata of the file and what was done on reading: "missing" (the option), "missing_values",
        "dropped_rows", "filled_values", "masked_values" (numbers), "constant" (the option), "constant_spins" (names,
        kept or dropped). For spike times also "bin_width", "first_bin_edge", "spikes" (in bins), "spikes_outside_bins"
        and "spikes_sharing_a_bin" (with another one of the same unit).
    """

    source: str = ""
    columns: NDArray[np.int64] = field(default_factory=lambda: np.arange(0))

    @property
    def counts(self) -> NDArray[np.int64] | None:
        """How often each row was seen; None: once."""
        return self.weights if self.weight_kind == "counts" else None


def read_recording(
    data: Any,
    *,
    key: str | None = None,
    zero_one: bool = False,
    threshold: float | str | None = None,
    missing: Missing = "error",
    constant: Constant = "error",
    bin_width: float | None = None,
) -> Recording:
    """Read a recording of two-valued units from a file, or from an object of pynapple.

    Formats, by the ending of the name: npy (2-D; large int8 files stay memory maps), npz ("spins"; or "spins_packed"
    with "n_spins", bit 1 being +1; or the only 2-D array; "counts" or "chains", "names" and "patterns" beside it
    are used), csv, tsv and txt (a first row of names is recognised), parquet (columns of numbers or booleans; needs the
    extra ``parquet``), and nc, the NetCDF of `simulate.sample` ("spins" with dims chain, draw, spin, stacked chain by
    chain). Nothing is ever unpickled. Of pynapple, a ``TsdFrame`` holds values, each interval of its time support being
    a chain.

    With a bin width, spike times are read instead and a spin is +1 in the bins in which its unit fired: from a table of
    times and units (csv, tsv, txt, parquet and npz tell them by the names of the columns, "time" and "unit" for
    example; without names the time comes first), the units of an NWB file, or a ``TsGroup``. Bins are half-open and
    their edges exact: whole multiples of the width from the bin of the first spike to that of the last, or, for a
    ``TsGroup``, the whole bins that fit into each interval of its time support, from the start of the interval on.

    Parameters
    ----------
    data : str, path-like, pynapple.TsdFrame or pynapple.TsGroup
        The file or the object.
    key : str, optional
        Which array of an npz, variable of a NetCDF file, or table of units of an NWB file to read.
    zero_one : bool, default False
        Values are 0 and 1 (or booleans) and mean -1 and +1. By default they must be -1 and +1.
    threshold : float, "median" or "mean", optional
        Values are real; a spin is +1 above the threshold, or above the median or the mean of its column, and -1 else.
    missing : {"error", "drop", "fill", "mask"}, default "error"
        What to do about missing values: NaN, empty cells, and 0 among -1 and +1. "drop" leaves out rows that have any;
        "fill" puts the more common value of that spin (+1 in a tie), which weakens the couplings that are inferred;
        "mask" leaves them open, as 0 in the spins, for ``PseudoLikelihood(missing="mask")`` to average over.
    constant : {"error", "keep", "drop"}, default "error"
        What to do about spins that have the same value in all rows, about whose couplings a recording says nothing:
        "keep" them, or "drop" their columns.
    bin_width : float, optional
        Width of the bins for spike times, in the unit of the times (seconds in NWB files and pynapple).

    Returns
    -------
    Recording
        Spins (n_rows, n_spins), int8, with counts, runs and names.

    Raises
    ------
    InputError
        A ValueError of one line that names the file, and the row, column and value where there is one to blame: no
        such file, an unknown ending, a damaged or truncated file, pickled objects, values other than the two allowed,
        missing values, constant spins, counts beside chains, fewer than two rows or two spins; spike times without a
        bin width, or bins so wide that most spikes share one with another spike of their unit.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp(), "votes.csv")
    >>> _ = path.write_text("ann,bob\\n1,-1\\n-1,-1\\n1,1\\n")
    >>> recording = read_recording(path)
    >>> recording.names, recording.spins.shape
    (('ann', 'bob'), (3, 2))
    """
    _check_option("missing", missing, get_args(Missing))
    _check_option("constant", constant, get_args(Constant))
    if threshold is not None and (zero_one or bin_width is not None):
        other = "zero_one" if zero_one else "bin_width"
        raise InputError(f"threshold is for real values and {other} is not; give one of the two")
    source, table = _load(data, key, bin_width)
    zero_one = zero_one and bin_width is None  # bins are spins already
    n_rows, n_columns = table.values.shape
    if n_rows < 2:
        raise InputError(f"{source} has one row only; couplings need many samples, one a row (transpose the table?)")
    if n_columns < 2:
        raise InputError(f"{source} has one column only; couplings need at least two spins, one a column")
    counts = None if table.counts is None else _row_integers(source, "counts", table.counts, n_rows, 1)
    if counts is not None and counts.sum(dtype=np.float64) > MOST_SAMPLES:
        raise InputError(f"{source}: the counts add up to {counts.sum(dtype=np.float64):.4g} samples; check them")
    chains = None if table.chains is None else _row_integers(source, "chains", table.chains, n_rows, None)
    if counts is not None and chains is not None:
        raise InputError(
            f"{source} holds both counts and chains, but rows with counts have no order in time; leave out the counts, "
            "or the chains where rows are in no order"
        )
    if counts is None and chains is None:
        chains = np.zeros(n_rows, dtype=np.int64)
    if threshold is not None:
        table = binarised(source, table, threshold)
    spins, absent = two_valued(source, table, zero_one)
    attributes = dict(table.attributes)
    if threshold is not None:
        attributes["threshold"] = str(threshold)
    attributes |= {"missing": missing, "missing_values": absent.total}
    attributes |= {"dropped_rows": 0, "filled_values": 0, "masked_values": 0}
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
        counts = None if counts is None else counts[keep]
        chains = None if chains is None else chains[keep]
        attributes["dropped_rows"] = n_rows - len(spins)
    elif absent.total and missing == "mask":
        attributes["masked_values"] = absent.total
    elif absent.total:
        spins = filled(spins, counts)
        attributes["filled_values"] = absent.total
    columns, names = np.arange(n_columns), table.names or tuple(str(i) for i in range(n_columns))
    still = constant_columns(spins)
    attributes |= {"constant": constant, "constant_spins": [names[i] for i in still]}
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
    return Recording(
        spins,
        weights=counts,
        chains=chains,
        ordered=chains is not None,
        names=names,
        patterns=patterns,
        attributes=attributes,
        gaps=missing == "mask",
        source=source,
        columns=columns,
    )


def read_spins(
    data: Any,
    *,
    key: str | None = None,
    zero_one: bool = False,
    threshold: float | str | None = None,
    missing: Missing = "error",
    constant: Constant = "error",
    bin_width: float | None = None,
) -> NDArray[np.int8]:
    """Read the spins of a recording as one array, rows with counts repeated so that statistics come out right.

    Parameters
    ----------
    data, key, zero_one, threshold, missing, constant, bin_width
        As for `read_recording`, which also keeps names, counts and runs.

    Returns
    -------
    ndarray of int8, shape (n_samples, n_spins)
        Values -1 and +1, and 0 for missing values with ``missing="mask"``.

    Raises
    ------
    InputError
        A ValueError of one line, as for `read_recording`.
    """
    recording = read_recording(
        data,
        key=key,
        zero_one=zero_one,
        threshold=threshold,
        missing=missing,
        constant=constant,
        bin_width=bin_width,
    )
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
    """Read patterns from a file of any format that `read_recording` knows.

    Parameters
    ----------
    path : str or path-like
        The file, one pattern a row. In npz and NetCDF files the array "patterns" or else the only 2-D array is taken.
    key : str, optional
        Which array of an npz or variable of a NetCDF file holds the patterns.
    zero_one : bool, default False
        Values are 0 and 1 (or booleans) and mean -1 and +1. By default they must be -1 and +1.

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
    """Bring patterns to the spins of a recording: where constant spins were dropped, drop them from the patterns too.

    Parameters
    ----------
    recording : Recording
        What `read_recording` gave.
    patterns : ndarray, shape (n_patterns, n_spins)
        Over the spins of the recording, or over all columns of its file.

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


def read_couplings(path: str | os.PathLike[str], *, key: str | None = None) -> NDArray[np.float64]:
    """Read a matrix of couplings from npy, npz, csv, tsv, txt, parquet or NetCDF, such as `reverie fit` writes.

    Parameters
    ----------
    path : str or path-like
        The file. In npz and NetCDF files the array "couplings" or else the only 2-D array is taken.
    key : str, optional
        Which array of an npz or variable of a NetCDF file holds the couplings.

    Returns
    -------
    ndarray of float64, shape (n_spins, n_spins)
        Symmetric; the diagonal as it is in the file.

    Raises
    ------
    InputError
        A ValueError of one line: not square, an entry that is not finite, or two entries that should be equal and
        differ by more than 1e-8 of the largest one (named by row and column).
    """
    source = os.fspath(path)
    table = read_table(path, "couplings", key)
    n_rows, n_columns = table.values.shape
    if n_rows != n_columns or n_rows < 2:
        raise InputError(
            f"{source} holds {n_rows} x {n_columns} values; couplings are a square matrix of at least 2 x 2"
        )
    couplings = np.array(table.values, dtype=np.float64)
    wrong = np.argwhere(~np.isfinite(couplings))
    if len(wrong):
        row, column = wrong[0]
        raise InputError(f"{source}: {table.place(row, column)} holds {couplings[row, column]}; couplings are finite")
    difference = np.abs(couplings - couplings.T)
    if difference.max() > 1e-8 * np.abs(couplings).max():
        row, column = np.unravel_index(difference.argmax(), difference.shape)
        raise InputError(
            f"{source}: {table.place(int(row), int(column))} holds {couplings[row, column]:.6g}, but row {column}, "
            f"column {row} holds {couplings[column, row]:.6g}; couplings are symmetric: save (J + J.T) / 2"
        )
    return couplings


def _load(data: Any, key: str | None, bin_width: float | None) -> tuple[str, Table]:
    """What messages call the source, and its table: values as they are, or spike times in bins."""
    if bin_width is not None and not (isinstance(bin_width, Real) and 0 < bin_width < np.inf):
        raise InputError(f"bin_width must be a number above 0, in the unit of the times, got {shown(bin_width)}")
    kind = kind_of_object(data)
    if kind is None:
        if not isinstance(data, str | os.PathLike):
            raise InputError(
                f"a recording is read from a file or from a TsGroup or TsdFrame of pynapple, not from "
                f"{type(data).__name__}; estimators take arrays as they are"
            )
        source = os.fspath(data)
        return source, read_table(source, "spins", key) if bin_width is None else read_spikes(source, key, bin_width)
    source = f"the {kind}"
    if key is not None:
        raise InputError(f"{source} takes no key; leave it out")
    if kind == "TsGroup":
        if bin_width is None:
            raise InputError(f"{source} holds spike times: {NO_WIDTH}")
        return source, bin_spikes(source, spikes_of_group(data), bin_width)
    if bin_width is not None:
        raise InputError(f"{source} holds values, not spike times; leave the bin width out")
    table = table_of_frame(data)
    check_two_dimensional(source, table)
    return source, table


def _check_option(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse an unknown choice."""
    if value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def _row_integers(source: str, name: str, values: NDArray[Any], n_rows: int, least: int | None) -> NDArray[np.int64]:
    """One integer per row, such as counts."""
    if values.shape != (n_rows,) or values.dtype.kind not in "iuf":
        raise InputError(f"{source}: {name} must be {n_rows} numbers, one a row; got {values.dtype} of {values.shape}")
    with np.errstate(invalid="ignore"):
        integers = values.astype(np.int64)
    wrong = np.flatnonzero((integers != values) | (integers < (np.iinfo(np.int64).min if least is None else least)))
    if len(wrong):
        rule = "whole numbers" if least is None else f"whole numbers from {least} up; leave out rows never seen"
        raise InputError(
            f"{source}: {name} of row {wrong[0]} (counted from 0) is {values[wrong[0]]}; {name} are {rule}"
        )
    return integers
