"""The command `reverie sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from infer.cli.console import wants_progress, wants_steps
from infer.cli.options import Backend, FigureFile, Progress


def sweep(
    config: Annotated[Path, typer.Argument(help="TOML file: dynamics, loads, temperatures, persistences, repeats.")],
    output: Annotated[
        Path | None,
        typer.Option(
            help="Store (SQLite file), or a folder for it; an existing store is resumed. [default: CONFIG.sqlite here]"
        ),
    ] = None,
    figure: FigureFile = None,
    backend: Annotated[Backend | None, typer.Option(help="Place of the computation. [default: processes]")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, tcp://host:port.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Compute failed cells again.")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all random numbers. [default: the config's]")] = None,
    n_jobs: Annotated[
        int | None,
        typer.Option("--n-jobs", help="Worker processes, -1 for all processors. [default: all]"),
    ] = None,
    progress: Progress = None,
) -> None:
    """Measure dreaming rates over a grid, print them as a table; a sweep that was stopped is resumed."""
    from infer.fits import check_output
    from infer.progress import shown_steps, step
    from infer.sweeps.run import default_store, sweep
    from infer.sweeps.summary import rate_table
    from infer.sweeps.table import describe_sweep, refuse_failures

    if figure:
        check_output(figure, ".svg", ".pdf", ".png", inputs=[config])
    bar = wants_progress(progress)
    with shown_steps(wants_steps(progress)), step("cells", live=not bar):
        table = sweep(
            config,
            output,
            n_jobs=-1 if n_jobs is None else n_jobs,
            backend=None if backend is None else backend.value,
            scheduler=scheduler,
            seed=seed,
            retry_failed=retry_failed,
            progress=bar,
        )
    typer.echo(f"{default_store(config, output)}: {describe_sweep(table)}")
    typer.echo(rate_table(table))
    if figure:
        from infer.plot.write import write_figure
        from infer.sweeps.figures import rate_panels

        write_figure(figure, rate_panels(table))
        typer.echo(f"figure: {figure}")
    refuse_failures(table)
