"""Options of several commands, and their allowed values."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infer.estimators.registry import METHODS
from infer.options import Constant, Missing

if TYPE_CHECKING:

    class Method(StrEnum):
        """Method of fitting couplings."""

    class PairMethod(StrEnum):
        """Method of fitting pair couplings and fields."""

else:  # names of the registry of estimators
    Method = StrEnum("Method", {method.name.upper().replace("-", "_"): method.name for method in METHODS})
    PairMethod = StrEnum("PairMethod", {method.name: method.name for method in METHODS if method.only_pairs})


class Rule(StrEnum):
    """Rule by which synapses compute the contrast between clamped and free state."""

    TEMPORAL = "temporal"
    IDEAL = "ideal"


class FreeState(StrEnum):
    """State of the free network whose correlations are unlearned."""

    FIXED_POINT = "fixed-point"
    GRADED = "graded"
    THERMAL = "thermal"


class Backend(StrEnum):
    """Workers that compute the cells of a sweep."""

    LOKY = "loky"
    THREADING = "threading"
    DASK = "dask"


Data = Annotated[
    Path,
    typer.Argument(
        help="Recording: npy, npz, csv, tsv, txt, dat (.gz), parquet, feather, mat, h5, nc, a folder of suite2p; with "
        "--bin-width spike times: nwb, a folder of phy or spikeinterface, or a table of times and units."
    ),
]
Key = Annotated[str | None, typer.Option(help="Array of an npz, mat, h5 or nc file, or units of an nwb file, to read.")]
BinWidth = Annotated[
    float | None, typer.Option(help="Read spike times, and put them into bins of this width (unit of the times).")
]
ZeroOne = Annotated[bool, typer.Option("--zero-one", help="Values are 0 and 1 and mean -1 and +1.")]
MissingOption = Annotated[
    Missing,
    typer.Option(
        help="Missing values: refuse them, drop their rows, fill in the spin's more common value, or mask them, that "
        "is, average over their possible values."
    ),
]
ThresholdOption = Annotated[
    str | None,
    typer.Option(
        "--threshold",
        help="Real values: +1 above this number, or above the 'median' or the 'mean' of the column, else -1.",
    ),
]
ConstantOption = Annotated[
    Constant, typer.Option(help="Spins that never change: refuse them, keep them without couplings, or drop them.")
]
Patterns = Annotated[Path | None, typer.Option(help="Stored patterns, one per row; by default those in the data file.")]
Alpha = Annotated[float | None, typer.Option(help="Strength of the l2 penalty. [default: by the number of samples]")]
Events = Annotated[
    Path | None, typer.Option(help="Text file with one label for each row: compare also with average states of events.")
]
Estimated = Annotated[
    int | None, typer.Option(min=1, help="Compare also with this number of patterns estimated from the data.")
]
Order = Annotated[bool, typer.Option("--time-order/--no-time-order", help="Are rows without counts in time order?")]
Fields = Annotated[
    bool | None,
    typer.Option("--fields/--no-fields", help="Fit a field for every spin. [default: unless simulated without fields]"),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]
Jobs = Annotated[int, typer.Option("--n-jobs", help="Threads, -1 for all processors; results do not depend on it.")]
FigureFile = Annotated[Path | None, typer.Option(help="Figure of the results (.svg, .pdf or .png).")]
Progress = Annotated[
    bool | None,
    typer.Option(
        "--progress/--no-progress",
        help="Show bars, or no progress at all. [default: live on a terminal, else one line a step]",
    ),
]
