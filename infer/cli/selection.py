"""Options of reading a recording, and the decorator that adds them to a command."""

import functools
import inspect
import os
import shlex
from collections.abc import Callable
from typing import Annotated, Any

import typer

from infer.cli.console import complain
from infer.cli.options import BinWidth, ConstantOption, Key, MissingOption, ThresholdOption, ZeroOne
from infer.options import Constant, Missing

#: Keywords of `read_recording` as options, each with its default.
OPTIONS: dict[str, tuple[Any, Any]] = {
    "key": (Key, None),
    "zero_one": (ZeroOne, False),
    "threshold": (ThresholdOption, None),
    "bin_width": (BinWidth, None),
    "missing": (MissingOption, Missing.MASK),
    "constant": (ConstantOption, Constant.ERROR),
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


def with_reading(**defaults: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator that replaces the parameter `reading`, a dict of these options, by one command-line option for each.

    Parameters
    ----------
    **defaults
        Defaults of this command where they are not those of `OPTIONS`.
    """

    def decorated(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def wrapped(**given: Any) -> None:
            reading = {name: given.pop(name) for name in OPTIONS}
            function(**given, reading=reading)

        own = inspect.signature(function).parameters.values()
        added = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=defaults.get(name, default), annotation=annotation
            )
            for name, (annotation, default) in OPTIONS.items()
        ]
        kept = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own if each.name != "reading"]
        signature = inspect.Signature([*kept, *added])
        wrapped.__signature__ = signature  # type: ignore[attr-defined]  # typer reads the options from it
        wrapped.__annotations__ = {each.name: each.annotation for each in signature.parameters.values()}
        return wrapped

    return decorated


def reading_words(reading: dict[str, Any]) -> str:
    """The options of a reading that are not the defaults of `OPTIONS`, each after a space, for a shell."""
    words = ""
    for name, (_, default) in OPTIONS.items():
        value = reading[name]
        if value == default:
            continue
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words += f" --{option}" if value else f" --no-{option}"
        else:
            text = os.path.basename(value) if name == "epochs" else str(value)  # without folders, for privacy
            words += f" --{option} {shlex.quote(text)}"
    return words


def say_notes(recording: Any) -> None:
    """Print the notes made on reading, one line each, on standard error."""
    for note in recording.attributes.get("notes", ()):
        complain(note, "note")
