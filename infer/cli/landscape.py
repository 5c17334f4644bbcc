"""The command `reverie landscape`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from infer.cli.console import complain, wants_progress, wants_steps
from infer.cli.options import (
    FigureFile,
    Missing,
    Patterns,
    Progress,
    Seed,
)
from infer.cli.selection import with_reading

Fit = Annotated[
    Path, typer.Argument(help="Fit, as `reverie fit` writes, or a matrix of couplings: nc, npy, npz, csv, tsv, txt.")
]
Samples = Annotated[
    Path | None,
    typer.Option(help="Recording whose rows are assigned to basins, in any format that `reverie fit` reads."),
]
MissingOption = Annotated[
    Missing,
    typer.Option(help="Missing values: 'mask' leaves their rows out of all basins; or refuse, drop or fill them."),
]
Output = Annotated[
    Path | None, typer.Option(help="File for every number (.nc or .json), or the figure (.svg, .pdf or .png).")
]


@with_reading()
def landscape(
    fit: Fit,
    samples: Samples = None,
    patterns: Patterns = None,
    output: Output = None,
    figure: FigureFile = None,
    seed: Seed = 0,
    n_jobs: Annotated[int, typer.Option("--n-jobs", help="Without effect: one thread is used.")] = 1,
    progress: Progress = None,
    *,
    reading: dict[str, Any],
) -> None:
    """Find local minima of a fitted model, their basins and saddles, and the visits of a recording to them."""
    from infer.fits import check_output
    from infer.landscape.landscape import energy_landscape
    from infer.progress import shown_steps, step
    from infer.recordings.recording import match_patterns, read_patterns, read_recording

    numbers, picture = _outputs(output, figure)
    inputs = [fit, samples, patterns]
    if numbers:
        check_output(numbers, ".nc", ".json", inputs=inputs)
    if picture:
        check_output(picture, ".svg", ".pdf", ".png", inputs=inputs)
    recording = None
    if samples:
        recording = read_recording(samples, **reading)
    model, stored, names = _read_fit(fit)
    if patterns:
        stored = read_patterns(patterns)
        if recording is not None:
            stored = match_patterns(recording, stored)
    _check_spins(fit, names, model.n_spins, recording)
    bar = wants_progress(progress)
    with shown_steps(wants_steps(progress)), step("energy landscape", live=not bar):
        found = energy_landscape(model, recording, patterns=stored, names=names, seed=seed, progress=bar)
    if numbers:
        _write_numbers(numbers, found)
    if picture:
        from infer.landscape.figures import landscape_panels
        from infer.plot.write import write_figure

        write_figure(picture, landscape_panels(found))
    typer.echo(found.summary())
    for path in filter(None, (numbers, picture)):
        typer.echo(f"written: {path}")


def _outputs(output: Path | None, figure: Path | None) -> tuple[Path | None, Path | None]:
    """Paths of numbers and figure; an output with the ending of a figure is a figure."""
    from infer.errors import InputError

    if output is None or output.suffix.lower() not in (".svg", ".pdf", ".png"):
        return output, figure
    if figure is not None:
        raise InputError(
            f"{output} and {figure} are both figures; give --output the ending .nc or .json, or leave one out"
        )
    return None, output


def _read_fit(path: Path) -> tuple[Any, Any, tuple[str, ...] | None]:
    """Model, patterns and names of the spins in a fit, or the model of a matrix of couplings."""
    import numpy as np

    from infer.count_model import CountModel
    from infer.errors import InputError
    from infer.model import PairModel
    from infer.recordings.child_process import try_reading
    from infer.recordings.formats.netcdf import read_arrays
    from infer.recordings.read import one_line_errors, read_table
    from infer.recordings.recording import read_couplings

    couplings = read_couplings(path)
    if path.suffix.lower() != ".nc":
        return PairModel.of(couplings), None, None
    with one_line_errors(path, "NetCDF"):
        wanted = ("fields", "patterns", "count_potential")
        try_reading("infer.recordings.formats.netcdf:read_arrays", path, wanted)
        found = read_arrays(path, wanted)
    fields = found.get("fields")
    if fields is not None and (fields.shape != (len(couplings),) or not np.isfinite(fields).all()):
        raise InputError(
            f"{path}: fields of shape {fields.shape} do not go with {len(couplings)} spins, or are not finite"
        )
    table = read_table(path, "couplings", None)
    if not table.attributes.get("converged", True):
        complain(f"{path}: the fit did not converge, so that its landscape may be wrong", "warning")
    model: Any = PairModel.of(couplings, fields)
    if "count_potential" in found:
        model = CountModel.of(model, potential=found["count_potential"])
    return model, found.get("patterns"), table.names


def _check_spins(path: Path, names: tuple[str, ...] | None, n_spins: int, recording: Any) -> None:
    """Raise an error for a recording of other spins than those of the fit."""
    from infer.errors import InputError

    if recording is None:
        return
    if recording.n_spins != n_spins:
        raise InputError(
            f"{path} has {n_spins} spins and {recording.source} has {recording.n_spins}; read the recording with the "
            "options that it was fitted with (--constant, --key, --bin-width)"
        )
    if names is not None and names != tuple(recording.names):
        k = next(k for k, pair in enumerate(zip(names, recording.names, strict=True)) if pair[0] != pair[1])
        raise InputError(
            f"spin {k} (counted from 0) is {names[k]!r} in {path} and {recording.names[k]!r} in {recording.source}; "
            "the columns must be the same, in the same order"
        )


def _write_numbers(path: Path, found: Any) -> None:
    """Write every number of a landscape, as NetCDF or JSON by the ending of the name."""
    import json

    from infer.files.atomic import atomic_write
    from infer.fits import write_netcdf

    if path.suffix.lower() == ".nc":
        write_netcdf(path, found.to_dataset())
        return
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(found.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
