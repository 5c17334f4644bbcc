"""Options that select a part of a file, and the decorator that adds them to a command."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from infer.cli.console import complain

OPTIONS: dict[str, tuple[Any, Any]] = {
    "units": (
        Annotated[str | None, typer.Option(help='Units by name (a,b,c), or by their table ("quality=good").')],
        None,
    ),
    "columns": (Annotated[str | None, typer.Option(help="Columns that are spins, by name or number (a,b,3).")], None),
    "index_column": (
        Annotated[str | None, typer.Option(help="Columns that are not spins, such as labels of rows (a,b,3).")],
        None,
    ),
    "time_column": (Annotated[str | None, typer.Option(help="Column of times.")], None),
    "transpose": (
        Annotated[bool | None, typer.Option("--transpose/--no-transpose", help="Is each row a unit, not a sample?")],
        None,
    ),
    "axes": (Annotated[str | None, typer.Option(help="Axes of an array in their order, as in trial,unit,time.")], None),
    "epochs": (
        Annotated[
            str | None,
            typer.Option(help="Intervals to read, each a run: a table of the file (trials), or a file of intervals."),
        ],
        None,
    ),
    "start": (Annotated[float | None, typer.Option(help="Start of the bins (unit of the times).")], None),
    "stop": (Annotated[float | None, typer.Option(help="End of the bins (unit of the times).")], None),
}


def with_selection(function: Callable[..., None]) -> Callable[..., None]:
    """Replace the parameter `selection`, a dict of these options, by one command-line option for each."""

    @functools.wraps(function)
    def wrapped(**given: Any) -> None:
        selection = {name: given.pop(name) for name in OPTIONS}
        function(**given, selection=selection)

    own = inspect.signature(function).parameters.values()
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
        for name, (annotation, default) in OPTIONS.items()
    ]
    kept = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own if each.name != "selection"]
    wrapped.__signature__ = inspect.Signature([*kept, *added])  # type: ignore[attr-defined]  # typer reads the options from it
    wrapped.__annotations__ = {each.name: each.annotation for each in [*kept, *added]}
    return wrapped


def say_notes(recording: Any) -> None:
    """Print the notes made on reading, one line each, on standard error."""
    for note in recording.attributes.get("notes", ()):
        complain(note, "note")
