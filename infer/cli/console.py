"""Common parts of commands: errors and warnings as one line on standard error, signals, and progress bars."""

import functools
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

import typer

__all__ = [
    "complain",
    "ignore_signals",
    "one_line_errors",
    "open_closed_streams",
    "stop_on_signals",
    "wants_progress",
    "wants_steps",
    "warnings_on_one_line",
]

#: Seconds after which a signal that came at a bad moment is sent again.
_AGAIN = 0.02

#: Beginnings of the names of modules in which no exception is raised for a signal.
_NOT_INSIDE = ("tqdm", "weakref", "_weakrefset", "llvmlite")

#: Exit status where whoever reads standard output has closed it: that of programs that SIGPIPE ends.
BROKEN_PIPE = 141

#: The signals that raised an exception, which compiled code may have turned into another one.
_raised: list[int] = []


def open_closed_streams() -> None:
    """Open the null device in place of standard streams that are closed: the next files would take their numbers.

    What is meant for standard error, or a child process, would then be written into a file of results.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115


def ignore_signals() -> None:
    """Ignore signals from now on: the outcome is decided, and the exit of Python would end with another status."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def stop_on_signals() -> None:
    """SIGTERM raises SystemExit and SIGINT KeyboardInterrupt, so that cleanup runs and unfinished files are removed."""
    _raised.clear()
    for number in (signal.SIGTERM, signal.SIGINT):
        if signal.getsignal(number) != signal.SIG_IGN:  # a shell ignores it for commands in the background
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    """Raise, but not at a bad moment: then the signal is sent again.

    Inside of a progress bar its lock would stay taken, and other threads would wait forever. Where Python takes away an
    object, in `__del__` and in callbacks of weak references, it prints exceptions and goes on. So do the callbacks of
    llvmlite while numba compiles; elsewhere in llvmlite an object would be half made, or given back twice, and its
    `__del__` would print an error or end the process.
    """
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(_NOT_INSIDE) or frame.f_code.co_name == "__del__":
            again = threading.Timer(_AGAIN, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return
        frame = frame.f_back
    _raised.append(number)
    _raise(number)


def _raise(number: int) -> NoReturn:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def one_line_errors(function: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command: it ends with status 0, or with 1 and one line on standard error when its input is bad."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        with warnings_on_one_line():
            try:
                try:
                    function(*args, **kwargs)
                except Exception:
                    if _raised:  # such as "Invalid affine transformation matrix" of matplotlib for any exception inside
                        _raise(_raised[0])
                    raise
            except KeyboardInterrupt as stop:
                complain(str(stop) or "interrupted; no output was written")
                raise typer.Exit(130) from None
            except BrokenPipeError:  # whoever read the results, such as `head`, has enough of them
                with suppress(OSError, AttributeError):  # Python writes the rest of it at exit
                    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(BROKEN_PIPE) from None
            except (ValueError, OSError, MemoryError) as error:
                complain(str(error) or type(error).__name__)
                raise typer.Exit(1) from None

    return wrapped


@contextmanager
def warnings_on_one_line() -> Iterator[None]:
    """Show each warning that is meant for users once, as one line on standard error."""
    seen: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        text = str(message)
        if text not in seen:
            seen.add(text)
            complain(text, "warning")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        warnings.showwarning = show
        yield


def complain(text: str, kind: str = "error") -> None:
    """Print one line on standard error."""
    from infer.progress import end_line
    from infer.wording import one_line  # imports numpy, which simple commands do not need

    end_line()
    typer.echo(f"{kind}: {one_line(text)}", err=True)


def wants_progress(progress: bool | None) -> bool:
    """Whether to show progress bars."""
    return sys.stderr.isatty() if progress is None else progress


def wants_steps(progress: bool | None) -> bool:
    """Whether to name the steps of a command: wherever it is not refused, in a pipe, too."""
    return progress is not False
