"""Steps of a long command as a reader follows them: one live line on a terminal, one line a step elsewhere.

On a terminal the step that runs is shown with its seconds, and at the end the steps with their share of the time. Where
standard error is a pipe or a file each step is one line, to which a dot is added every four seconds. Commands that
end within four seconds, or refuse their input by then, show nothing.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["end_line", "shown_steps", "step"]

#: Seconds at the start in which nothing is shown, and between two dots.
QUIET = 4.0
#: Seconds between two views of the live line of a terminal.
REFRESH = 0.5
#: Steps with a smaller share of the time are not named at the end.
_LEAST_SHARE = 0.01


class _Display:
    """The steps of one command: the names and seconds of those that have ended, and the text of the running one."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.ended: list[tuple[str, float]] = []
        self.waiting: list[str] = []  # lines of steps that ended before anything was shown
        self.open = False  # whether the last line on standard error is not ended yet
        self.dots = 0  # on that line
        self.terminal = sys.stderr.isatty()

    def write(self, text: str) -> None:
        """Write at once; a closed pipe does not stop the command."""
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            pass

    def watch(self, name: str, over: threading.Event) -> None:
        """Show a running step, from a thread of its own, until it is over."""
        begun = time.monotonic()
        if self.terminal:
            while not over.wait(REFRESH):
                self.write(f"\r\x1b[K{name} ({time.monotonic() - begun:.0f} s)")
                self.open = True
            return
        if over.wait(max(QUIET - (time.monotonic() - self.started), 0.0)):
            return
        self.begin(name)
        while not over.wait(QUIET):
            if not self.open:  # a warning ended the line
                self.begin(name)
            self.write(" ." if self.dots == 0 else ".")
            self.dots += 1

    def begin(self, name: str) -> None:
        """Begin the line of a step, after those of the steps before it."""
        self.write("".join(self.waiting) + name)
        self.waiting, self.open, self.dots = [], True, 0

    def end(self, name: str, seconds: float) -> None:
        """Show that a step is over; its thread has stopped."""
        self.ended.append((name, seconds))
        if self.terminal:
            self.clear()
            return
        line = f" {seconds:.1f} s\n" if self.open else f"{name} {seconds:.1f} s\n"
        self.open = False
        if time.monotonic() - self.started < QUIET:
            self.waiting.append(line)
        else:
            self.write("".join(self.waiting) + line)
            self.waiting = []

    def clear(self) -> None:
        """End the line that is open, or erase it on a terminal."""
        if self.open:
            self.open = False
            self.write("\r\x1b[K" if self.terminal else "\n")

    def summary(self) -> None:
        """Steps with their share of the time, on a terminal."""
        total = sum(seconds for _, seconds in self.ended)
        if self.terminal and total >= QUIET:
            shares = [f"{name} {s / total:.0%}" for name, s in self.ended if s >= _LEAST_SHARE * total]
            self.write(f"{total:.0f} s: {', '.join(shares)}\n")


_current: _Display | None = None


@contextmanager
def shown_steps(wanted: bool) -> Iterator[None]:
    """Show the steps inside, where it is wanted; within another command's steps, these are among them.

    Parameters
    ----------
    wanted : bool
        False: steps inside are shown only if those around them are.
    """
    global _current
    if not wanted or _current is not None:
        yield
        return
    _current = _Display()
    try:
        yield
        _current.summary()
    finally:
        _current.clear()
        _current = None


@contextmanager
def step(name: str, *, live: bool = True) -> Iterator[None]:
    """One step of what is shown by `shown_steps`; of nothing, where nothing is shown.

    Parameters
    ----------
    name : str
        A few words.
    live : bool, default True
        False where the step has a progress bar of its own: it is counted, not shown while it runs.
    """
    display = _current
    if display is None:
        yield
        return
    begun = time.monotonic()
    over = threading.Event()
    watcher = threading.Thread(target=display.watch, args=(name, over), daemon=True) if live else None
    if watcher is not None:
        watcher.start()
    try:
        yield
    except BaseException:
        _stop(watcher, over)
        display.clear()
        raise
    _stop(watcher, over)
    display.end(name, time.monotonic() - begun)


def _stop(watcher: threading.Thread | None, over: threading.Event) -> None:
    """End the thread that shows a step."""
    over.set()
    if watcher is not None:
        watcher.join()


def end_line() -> None:
    """End a line that is open, so that other messages get lines of their own."""
    if _current is not None:
        _current.clear()
