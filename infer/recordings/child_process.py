"""Reads files in a child process first, so that a crash or a hang cannot stop the caller.

On damaged or forged files the HDF5 and parquet libraries can run for a long time inside a call that cannot be
interrupted in this process: of 12 000 NetCDF files with one to four damaged bytes, five kept HDF5 2.0 running for about
ten seconds, and none crashed it. One child process reads all files and ends after some time without requests. It
imports the modules of a format when the first file of that format is read, so that this module imports no format.
"""

import atexit
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from infer.errors import InputError

SECONDS = 4.0  # seconds of processor time for a small file, which takes milliseconds
BYTES_PER_SECOND = 10_000_000  # bytes of a large file for each additional second
STARTING_SECONDS = 60.0  # for Python itself and libraries to start on a busy machine
PATIENCE = 15.0  # factor for the wall-clock time on a busy machine
IDLE_SECONDS = 30.0
ENDING_SECONDS = 10.0

_lock = threading.Lock()
_worker: "_Worker | None" = None
_left: "list[_Worker]" = []  # of the parent, after a fork


def try_reading(function: Callable[..., Any] | str, path: Path, *arguments: Any, libraries: Sequence[str] = ()) -> None:
    """Call a function with path and arguments in the child process; an InputError if that crashes or hangs.

    Exceptions of the function there are not reported: they are raised again when it is called here. The function is
    given as itself or as "module:name"; its module and the libraries are loaded before the time for the file starts.
    """
    global _worker
    name = function if isinstance(function, str) else f"{function.__module__}:{function.__qualname__}"
    modules = (name.split(":")[0], *libraries)
    limit = SECONDS + _bytes_of(path) / BYTES_PER_SECOND
    request = json.dumps([name, limit, str(path), *arguments])
    with _lock:
        for attempt in range(2):
            if _worker is None:
                try:
                    _worker = _Worker()
                except OSError:  # no child processes on this platform
                    return
            answer = _worker.load(modules) and _worker.ask(request, limit)
            if answer == "" and _worker.used_up():
                answer = "late"
            if answer == "done":
                return
            _worker.end()
            _worker = None
            if answer == "late":
                raise InputError(
                    f"{path} is damaged: after {limit:.0f} seconds it was still not read, though it is not large"
                )
            # the first process may just have ended because it had no requests
            if attempt:
                raise InputError(f"{path} is damaged: reading it ends in a crash")


def _bytes_of(path: Path) -> int:
    """Size of a file, or of all files in a folder."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(item.stat().st_size for item in path.rglob("*") if item.is_file())


class _Worker:
    """A process that reads files on request."""

    def __init__(self) -> None:
        # a numpy.py beside the data must not be imported: -P removes the working directory from the path, and "" in the
        # path (interactive sessions) is replaced by the folder that holds this package
        paths = os.pathsep.join([*filter(None, sys.path), str(Path(__file__).parents[2])])
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", "-m", "infer.recordings.child_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        )
        self.answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.loaded: set[str] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """Forward the lines of the process, and an empty one when it has ended."""
        assert self.process.stdout is not None
        with suppress(ValueError, OSError):  # the pipe was closed during the read
            for line in self.process.stdout:
                self.answers.put(line.strip())
        self.answers.put("")

    def load(self, modules: Sequence[str]) -> str:
        """ "done", "" (ended) or "late", once the modules are there."""
        new = [module for module in modules if module not in self.loaded]
        answer = self.ask(json.dumps(new), STARTING_SECONDS / PATIENCE) if new else "done"
        self.loaded |= set(new)
        return "" if answer == "late" else answer

    def ask(self, request: str, limit: float) -> str:
        """ "done", "late" or "" (ended)."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            return self.answers.get(timeout=PATIENCE * limit)
        except queue.Empty:
            return "late"
        except OSError:
            return ""

    def used_up(self) -> bool:
        """Whether the process was ended because its processor time was used up."""
        try:
            return -self.process.wait(ENDING_SECONDS) == getattr(signal, "SIGPROF", None)
        except subprocess.TimeoutExpired:
            return False

    def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        with suppress(subprocess.TimeoutExpired):  # a process that cannot be killed is left to the system
            self.process.wait(ENDING_SECONDS)
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()

    def leave_to_parent(self) -> None:
        """After a fork: drop the parent's process without affecting it."""
        # the pipes lead to the null device in this process, so that flushing or closing them does not affect the
        # parent's
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None and not stream.closed:
                os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        self.process.returncode = 0  # it is not a child of this process, which must not wait for it


def _forget_after_fork() -> None:
    """Reset the state in a forked process, which has no listening thread and may hold a locked lock."""
    global _worker, _lock
    left, _worker, _lock = _worker, None, threading.Lock()
    if left is not None:
        _left.append(left)  # kept, so that it is not finalised here
        left.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)


@atexit.register
def _end() -> None:
    """Stop the process at exit."""
    global _worker
    if _worker is not None:
        _worker.end()
        _worker = None


def _serve() -> None:
    """Read files as requested, one line each, until the requests end or none comes for a while."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(
        os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
    )  # output of libraries must not be mistaken for an answer
    while True:
        clock = threading.Timer(IDLE_SECONDS, os._exit, (0,))
        clock.daemon = True
        clock.start()
        line = sys.stdin.readline()
        clock.cancel()
        if not line:
            return
        request = json.loads(line)
        with suppress(Exception):
            _answer(request)
        out.write("done\n")
        out.flush()


def _answer(request: list[Any]) -> None:
    """Load modules, or call a function with a path and arguments."""
    if not request or ":" not in request[0]:
        for module in request:
            with suppress(ImportError):
                importlib.import_module(module)
        return
    function, limit, path, *arguments = request
    module, name = function.split(":")
    read = getattr(importlib.import_module(module), name)
    # the system ends the process when this processor time is used up, also inside a library call
    timer = getattr(signal, "setitimer", None)
    if timer is not None:
        timer(signal.ITIMER_PROF, limit)
    try:
        read(Path(path), *arguments)
    finally:
        if timer is not None:
            timer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    _serve()
