"""Reads files in a child process first, so that a crash or a hang cannot stop the caller.

On damaged or forged files the HDF5 and parquet libraries can run for a long time inside a call that cannot be
interrupted in this process: of 12 000 NetCDF files with one to four damaged bytes, five kept HDF5 2.0 running for about
ten seconds, and none crashed it. One child process reads all files and ends after some time without requests. It
imports the modules of a format when the first file of that format is read, so that this module imports no format.

Most files are then read in this process, which saves a copy of large ones. Where chance decides whether a damaged file
crashes the library, what the child process has read is handed over.
"""

import atexit
import importlib
import json
import os
import pickle
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
    _call(function, path, arguments, libraries, False)


def read_in_child(function: Callable[..., Any], path: Path, *arguments: Any, libraries: Sequence[str] = ()) -> Any:
    """As `try_reading`, but what the function returns or raises there is returned or raised here."""
    answer = _call(function, path, arguments, libraries, True)
    if answer is None:
        return function(path, *arguments)
    raised, result = pickle.loads(answer)
    if raised:
        raise result
    return result


def _call(
    function: Callable[..., Any] | str, path: Path, arguments: Sequence[Any], libraries: Sequence[str], wanted: bool
) -> bytes | None:
    """Result or exception of the function, pickled, where it is wanted; None where there are no child processes."""
    global _worker
    name = function if isinstance(function, str) else f"{function.__module__}:{function.__qualname__}"
    modules = (name.split(":")[0], *libraries)
    limit = SECONDS + _bytes_of(path) / BYTES_PER_SECOND
    request = json.dumps([name, limit, wanted, _working_directory(), str(path), *arguments])
    with _lock:
        for attempt in range(2):
            if _worker is None:
                try:
                    _worker = _Worker()
                except OSError:  # no child processes on this platform
                    return None
            try:
                answer, result = (_worker.load(modules) and _worker.ask(request, limit)) or ("", b"")
            except BaseException:  # Ctrl-C: its answer must not be taken for that to the next request
                _worker.end()
                _worker = None
                raise
            if answer == "" and _worker.used_up():
                answer = "late"
            if answer == "done":
                return result
            _worker.end()
            _worker = None
            if answer == "late":
                raise InputError(
                    f"{path} is damaged: after {limit:.0f} seconds it was still not read, though it is not large"
                )
            # the first process may just have ended because it had no requests
            if attempt:
                raise InputError(f"{path} is damaged: reading it ends in a crash")
    raise AssertionError("not reached")


def _working_directory() -> str:
    """The folder that paths are relative to, which may have changed since the child process was started."""
    try:
        return os.getcwd()
    except OSError:  # it was removed: only absolute paths can be read
        return os.sep


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
            env={**os.environ, "PYTHONPATH": paths},
        )
        self.answers: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self.loaded: set[str] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        """Forward the answers of the process, "done N" and N bytes, and an empty one when it has ended."""
        stream = self.process.stdout
        assert stream is not None
        with suppress(ValueError, OSError):  # the pipe was closed during the read
            for line in iter(stream.readline, b""):
                result = stream.read(int(line.split()[1]))
                self.answers.put(("done", result))
        self.answers.put(("", b""))

    def load(self, modules: Sequence[str]) -> bool:
        """Load modules; whether they are there in time."""
        new = [module for module in modules if module not in self.loaded]
        answer, _ = self.ask(json.dumps(new), STARTING_SECONDS / PATIENCE) if new else ("done", b"")
        self.loaded |= set(new)
        return answer == "done"

    def ask(self, request: str, limit: float) -> tuple[str, bytes]:
        """ "done", "late" or "" (ended), and what the function returned or raised where it is wanted."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(request.encode() + b"\n")
            self.process.stdin.flush()
            return self.answers.get(timeout=PATIENCE * limit)
        except queue.Empty:
            return "late", b""
        except OSError:
            return "", b""

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
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
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
        result = b""
        with suppress(Exception):
            result = _answer(request)
        out.write(b"done %d\n" % len(result))
        out.write(result)
        out.flush()


def _answer(request: list[Any]) -> bytes:
    """Load modules, or call a function with a path and arguments; what it returned or raised, where that is wanted."""
    if not request or ":" not in request[0]:
        for module in request:
            with suppress(ImportError):
                importlib.import_module(module)
        return b""
    function, limit, wanted, folder, path, *arguments = request
    os.chdir(folder)
    module, name = function.split(":")
    read = getattr(importlib.import_module(module), name)
    # the system ends the process when this processor time is used up, also inside a library call
    timer = getattr(signal, "setitimer", None)
    if timer is not None:
        timer(signal.ITIMER_PROF, limit)
    try:
        answer: tuple[bool, Any] = False, read(Path(path), *arguments)
    except Exception as error:
        answer = True, error
    finally:
        if timer is not None:
            timer(signal.ITIMER_PROF, 0)
    if not wanted:
        return b""
    try:
        return pickle.dumps(answer, protocol=5)
    except Exception:  # of an exception that holds more than text
        return pickle.dumps((True, ValueError(str(answer[1]))))


if __name__ == "__main__":
    _serve()
