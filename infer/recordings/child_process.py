"""Reading a file first in a process of its own, which may crash or never come back without harm to this one.

The HDF5 and parquet libraries are fast and written for files that programs made. On damaged or forged ones they can be
busy for a long time inside a call that nothing in this process can end: of 12 000 NetCDF files with one to four damaged
places, five kept HDF5 2.0 busy for about ten seconds, and none crashed it. One such process serves all files and ends
after a while without any.
"""

import atexit
import importlib
import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from infer.errors import InputError

SECONDS = 4.0  # for a small file, which takes milliseconds
BYTES_PER_SECOND = 10_000_000  # that a large file may take longer
STARTING_SECONDS = 60.0  # for Python itself to start on a busy machine
IDLE_SECONDS = 30.0

_lock = threading.Lock()
_worker: "_Worker | None" = None


def try_reading(function: str, path: Path, *arguments: Any) -> None:
    """Call ``function`` ("module:name") with path and arguments elsewhere; an InputError if that crashes or hangs.

    What the function raises there is of no interest: it is raised again when it is called here.
    """
    global _worker
    request = json.dumps([function, str(path), *arguments])
    limit = SECONDS + path.stat().st_size / BYTES_PER_SECOND
    with _lock:
        for attempt in range(2):
            if _worker is None:
                try:
                    _worker = _Worker()
                except OSError:  # no processes here, so no trial either
                    return
            answer = _worker.ask(request, limit)
            if answer == "done":
                return
            _worker.end()
            _worker = None
            if answer == "late":
                raise InputError(
                    f"{path} is damaged: after {limit:.0f} seconds it was still not read, though it is not large"
                )
            # the first may have ended for want of work, just now
            if attempt:
                raise InputError(f"{path} is damaged: reading it ends in a crash")


class _Worker:
    """A process that reads files on request."""

    def __init__(self) -> None:
        # a numpy.py that came with the data must not run: -P keeps the working directory out, and where "" stood for it
        # in the path, as in an interactive session, the folder that holds this package takes its place
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
        threading.Thread(target=self._listen, daemon=True).start()
        with suppress(queue.Empty):
            self.answers.get(timeout=STARTING_SECONDS)

    def _listen(self) -> None:
        """Hand on the lines of the process, and an empty one when it has ended."""
        assert self.process.stdout is not None
        with suppress(ValueError):  # closed while it was read
            for line in self.process.stdout:
                self.answers.put(line.strip())
        self.answers.put("")

    def ask(self, request: str, limit: float) -> str:
        """ "done", "late" or "" (ended)."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
            return self.answers.get(timeout=limit)
        except queue.Empty:
            return "late"
        except OSError:
            return ""

    def end(self) -> None:
        """Stop the process, whatever it does."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                if stream is not None:
                    stream.close()


@atexit.register
def _end() -> None:
    """Leave no process behind."""
    global _worker
    if _worker is not None:
        _worker.end()
        _worker = None


def _serve() -> None:
    """Read files as requested, one line each, until the requests end or none comes for a while."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what libraries print must not look like an answer
    importlib.import_module("infer.recordings.read")  # the clock of the first file starts when its libraries are there
    out.write("ready\n")
    out.flush()
    while True:
        clock = threading.Timer(IDLE_SECONDS, os._exit, (0,))
        clock.daemon = True
        clock.start()
        line = sys.stdin.readline()
        clock.cancel()
        if not line:
            return
        function, path, *arguments = json.loads(line)
        with suppress(Exception):
            module, name = function.split(":")
            getattr(importlib.import_module(module), name)(Path(path), *arguments)
        out.write("done\n")
        out.flush()


if __name__ == "__main__":
    _serve()
