"""Command line: arguments in, exit status out."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from infer.cli.console import (
    complain,
    ignore_signals,
    one_line_errors,
    open_closed_streams,
    stop_on_signals,
    wants_progress,
    wants_steps,
)
from infer.cli.landscape import landscape
from infer.cli.options import (
    Alpha,
    Data,
    Estimated,
    Events,
    Fields,
    FigureFile,
    FreeState,
    Jobs,
    Key,
    Method,
    Order,
    PairMethod,
    Patterns,
    Progress,
    Rule,
    Seed,
)
from infer.cli.selection import reading_words, say_notes, with_reading
from infer.cli.simulate import simulate
from infer.cli.sweep import sweep
from infer.options import Missing
from infer.wording import between, with_error

DEFAULT_METHOD = Method("pseudolikelihood")

app = typer.Typer(
    help="Fit couplings to spins, simulated or recorded, say what the pair model misses, and measure which dreaming "
    "rate the activity amounts to. `reverie demo` shows all steps on an example; `reverie report` takes a recording; "
    "every command has a --help.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
contrastive = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def command(function: Callable[..., None], group: typer.Typer = app) -> Callable[..., None]:
    """Register a command that ends with status 0, or 1 and one line on standard error when its input is bad."""
    # the first sentence in the list of commands too, which would be cut at 45 letters
    return group.command(short_help=(function.__doc__ or "").split("\n\n")[0])(one_line_errors(function))


def _show_version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        from importlib.metadata import version

        typer.echo(f"reverie {version('reverie')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


@command
def demo(
    output: Annotated[Path, typer.Option(help="Folder for samples and report.")] = Path("reverie-demo"),
    seed: Seed = 0,
    n_jobs: Jobs = -1,
    progress: Progress = None,
) -> None:
    """Run all steps on an example: simulate 100 active spins with 20 patterns, fit, compare, report."""
    from infer.cli.demo import run_demo
    from infer.progress import shown_steps

    bar = wants_progress(progress)
    with shown_steps(wants_steps(progress)):
        analysis, page = run_demo(output, seed=seed, n_jobs=n_jobs, progress=bar)
    _show_headline(analysis)
    typer.echo(f"report: {page}")


command(simulate)


@command
@with_reading(missing=Missing.ERROR)
def fit(
    data: Data,
    output: Annotated[Path, typer.Option(help="NetCDF file for couplings, fields and standard errors (.nc).")],
    method: Annotated[
        Method, typer.Option(help="Method of fitting couplings: an objective, or a closed form (mean field).")
    ] = DEFAULT_METHOD,
    alpha: Annotated[
        float | None,
        typer.Option(
            help="Strength of the l2 penalty; of the l1 penalty for interaction-screening. "
            "[default: by the number of samples]"
        ),
    ] = None,
    shrinkage: Annotated[
        str | None, typer.Option(help="Mean field: shrinkage of covariances, 0 to 1, or ledoit-wolf.")
    ] = None,
    fields: Fields = None,
    errors: Annotated[bool, typer.Option(help="Compute standard errors.")] = True,
    replicates: Annotated[int, typer.Option(min=0, help="Bootstrap replicates kept for `compare`; 0 for none.")] = 200,
    seed: Seed = 0,
    n_jobs: Jobs = -1,
    progress: Progress = None,
    *,
    reading: dict[str, Any],
) -> None:
    """Fit couplings and fields of an equilibrium model, or of a kinetic one, to a recording."""
    from infer.progress import shown_steps, step

    with shown_steps(wants_steps(progress)):
        with step("reading"):
            from infer.fits import check_output, fit_recording, write_netcdf
            from infer.recordings.recording import read_recording

            check_output(output, ".nc", inputs=[data])
            recording = read_recording(data, **reading)
        result = fit_recording(
            recording,
            method.value,
            alpha=alpha,
            shrinkage=shrinkage,
            fit_fields=fields,
            errors=errors,
            n_replicates=replicates,
            seed=seed,
            n_jobs=n_jobs,
        )
    write_netcdf(output, result, recording.patterns)
    say_notes(recording)
    about = result.attrs
    typer.echo(
        f"{output}: couplings of {recording.n_spins} spins from {about['samples']} samples in {about['rows']} rows"
    )
    typer.echo(f"converged: {'yes' if about['converged'] else 'no'}")
    kind = "log-likelihood given the row before" if method.value == "kinetic" else "log pseudo-likelihood"
    typer.echo(f"score: {about['score']:.6g} nats per sample (mean {kind})")


@command
def compare(
    couplings: Annotated[
        Path, typer.Argument(help="Fit (as `reverie fit` writes) or matrix: nc, npy, npz, csv, tsv, txt.")
    ],
    patterns: Patterns = None,
    output: Annotated[Path | None, typer.Option(help="File for every number (.json or .nc).")] = None,
    key: Key = None,
    seed: Seed = 0,
    n_jobs: Annotated[
        int,
        typer.Option(
            "--n-jobs", help="Without effect: one thread is used, so that results are the same on all machines."
        ),
    ] = 1,
    progress: Progress = None,
) -> None:
    """Compare couplings with Hebbian couplings and with their dreamed versions."""
    from infer.fits import check_output, compare_file, write_similarity
    from infer.recordings.recording import read_patterns

    if output:
        check_output(output, ".json", ".nc", inputs=[couplings, patterns])
    stored = read_patterns(patterns) if patterns else None
    similarity = compare_file(couplings, stored, key=key, seed=seed, progress=wants_steps(progress))
    if output:
        write_similarity(output, similarity)
    typer.echo(similarity.summary())


@command
@with_reading()
def report(
    data: Data,
    output: Annotated[Path, typer.Option(help="Page (.html); every number goes to a .json file beside it.")],
    patterns: Patterns = None,
    events: Events = None,
    n_patterns: Estimated = None,
    time_order: Order = True,
    method: Annotated[
        PairMethod | None,
        typer.Option(
            help="Method of fitting couplings. [default: maximum-likelihood for recordings, pseudolikelihood for "
            "simulations and for more than 120 spins]"
        ),
    ] = None,
    alpha: Alpha = None,
    fields: Fields = None,
    seed: Seed = 0,
    n_jobs: Jobs = -1,
    progress: Progress = None,
    *,
    reading: dict[str, Any],
) -> None:
    """Write a report on a recording: gain of couplings, deviations of the pair model, drift and time reversal."""
    from infer.progress import shown_steps, step

    with shown_steps(wants_steps(progress)):
        with step("reading"):
            from infer.fits import check_output
            from infer.recordings.recording import match_events, match_patterns, read_patterns, read_recording
            from infer.report.analysis import analyse
            from infer.report.page import write_report
            from infer.report.references import read_events

            check_output(output, ".html", ".htm", inputs=[data, patterns, events])
            check_output(output.with_suffix(".json"), ".json", inputs=[data, patterns, events])
            recording = read_recording(data, **reading)
            stored = match_patterns(recording, read_patterns(patterns)) if patterns else None
            labels = match_events(recording, read_events(events)) if events else None
        analysis = analyse(
            recording,
            stored,
            seed=seed,
            n_jobs=n_jobs,
            method=None if method is None else method.value,
            alpha=alpha,
            fit_fields=fields,
            ordered=None if time_order else False,
            events=labels,
            n_patterns=n_patterns,
        )
        analysis = analysis.of_file(data.resolve().name, reading_words(reading))
        with step("page"):
            page, numbers = write_report(analysis, output)
    say_notes(recording)
    _show_headline(analysis)
    typer.echo(f"report: {page}")
    typer.echo(f"numbers: {numbers}")


command(landscape)
command(sweep)
LEARNING = "Temporal contrastive learning: couplings learned without explicit memory."
app.add_typer(contrastive, name="contrastive", help=LEARNING, short_help=LEARNING)


@functools.partial(command, group=contrastive)
def memory(
    output: Annotated[Path | None, typer.Option(help="NetCDF file for couplings and every number (.nc).")] = None,
    figure: FigureFile = None,
    n_spins: Annotated[int, typer.Option(min=2, help="Number of spins.")] = 100,
    n_patterns: Annotated[int, typer.Option(min=1, help="Number of random patterns.")] = 20,
    cycles: Annotated[int, typer.Option(min=1, help="Number of training cycles, one pattern each.")] = 5000,
    rule: Annotated[
        Rule, typer.Option(help="Synapses with a memory in time, or the exact difference clamped - free.")
    ] = Rule.TEMPORAL,
    free_state: Annotated[
        FreeState, typer.Option(help="Spins at zero temperature, graded mean-field spins, or thermal averages.")
    ] = FreeState.FIXED_POINT,
    seed: Seed = 0,
    progress: Progress = None,
) -> None:
    """Train an associative memory by contrast; compare its couplings with Hebbian, unlearned and dreamed ones."""
    from infer.contrastive.tasks import check_results, memory_summary, train_memory, write_results
    from infer.progress import shown_steps, step

    check_results(output, figure)
    bar = wants_progress(progress)
    with shown_steps(wants_steps(progress)), step("training", live=not bar):
        table = train_memory(
            n_spins,
            n_patterns,
            cycles,
            rule=rule.value,
            free_state=free_state.value.replace("-", " "),
            seed=seed,
            progress=bar,
        )
    write_results(table, output, figure, "memory_panels")
    typer.echo(memory_summary(table))


@functools.partial(command, group=contrastive)
def digits(
    output: Annotated[Path | None, typer.Option(help="NetCDF file for the error curves (.nc).")] = None,
    figure: FigureFile = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes through the data.")] = 30,
    n_hidden: Annotated[int, typer.Option(min=1, help="Number of hidden units.")] = 100,
    checkpoints: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints; run again with the same folder to resume.")
    ] = None,
    seed: Seed = 0,
    progress: Progress = None,
) -> None:
    """Train classifiers of handwritten digits by contrast, with a control that must not learn."""
    from infer.contrastive.tasks import check_results, digits_summary, train_digits, write_results
    from infer.progress import shown_steps, step

    check_results(output, figure)
    bar = wants_progress(progress)
    with shown_steps(wants_steps(progress)), step("training", live=not bar):
        table = train_digits(epochs, n_hidden=n_hidden, checkpoint_folder=checkpoints, seed=seed, progress=bar)
    write_results(table, output, figure, "digits_errors")
    typer.echo(digits_summary(table))


@functools.partial(command, group=contrastive)
def synapse(
    output: Annotated[Path, typer.Option(help="Figure (.svg, .pdf or .png).")],
    seed: Seed = 0,
) -> None:
    """Draw the learning curve of a synapse with a memory in time, and the dissipation of that memory."""
    from infer.contrastive.figures import synapse_panels, write_figure
    from infer.fits import check_output

    check_output(output, ".svg", ".pdf", ".png")
    write_figure(output, synapse_panels(seed))
    typer.echo(f"figure: {output}")


def _show_headline(analysis: Any) -> None:
    """Print the headline numbers, the claims and the warnings of a report."""
    from infer.report.layout import terminal
    from infer.report.sections.first import claims, first_line

    for text in analysis.warnings:
        complain(text, "warning")
    if analysis.has_patterns:
        found = analysis.headline()
        level = f"{100 * found['confidence']:g} % interval"
        interval = between(found["rate_interval"], found["rate_std"])
        rate = f"{with_error(found['rate'], found['rate_std'])} ({level} {interval})"
        typer.echo(f"dreaming rate: {rate if found['rate_determined'] else 'not determined'}")
        if found["control_rate"] is not None:
            typer.echo(f"equilibrium control: {with_error(found['control_rate'], found['control_rate_std'])}")
        beta = with_error(found["inverse_temperature"], found["inverse_temperature_std"])
        typer.echo(f"inverse temperature: {beta}")
        best, hebbian = found["cosine_best"], found["cosine_hebbian"]
        typer.echo(f"cosine similarity: {best:.4f} at the best rate, {hebbian:.4f} Hebbian")
    else:
        typer.echo(terminal(first_line(analysis)))
    for claim in claims(analysis):
        typer.echo(f"{claim.statement}: {claim.outcome}. {terminal(claim.text)}")


def main() -> None:
    """Entry point of the `reverie` command."""
    open_closed_streams()
    stop_on_signals()
    try:
        app()
    finally:
        ignore_signals()
