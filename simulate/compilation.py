"""A place for compiled code where numba finds none, as with read-only packages and no home."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from pathlib import Path

__all__ = ["ensure_cache"]


def ensure_cache() -> None:
    """Let numba keep compiled code in a temporary folder, for this process, where it can write it nowhere.

    numba writes to the folder NUMBA_CACHE_DIR, beside the source, or to the cache of the user, and refuses to import
    kernels otherwise.

    Warns
    -----
    RuntimeWarning
        If it is so: compilation takes seconds in each process.
    """
    if _is_writable(Path(__file__).parent / "__pycache__") or _numba_finds_one():
        return
    folder, owner = tempfile.mkdtemp(prefix="reverie-"), os.getpid()
    import numba

    # processes started from here find it in the environment
    os.environ["NUMBA_CACHE_DIR"] = numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]

    def remove() -> None:
        if os.getpid() == owner:  # not a fork of this process
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    warnings.warn(
        "numba can write compiled code neither beside this package nor into the home directory, so that functions are "
        "compiled again in each process, which takes seconds: set NUMBA_CACHE_DIR to a folder that can be written to",
        RuntimeWarning,
        stacklevel=3,
    )


def _is_writable(folder: Path) -> bool:
    """Whether numba can write beside the source, found without importing it, which takes longer than all else here."""
    try:
        folder.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _numba_finds_one() -> bool:
    import numba

    try:
        numba.njit(cache=True)(_is_writable)  # nothing is compiled yet
    except RuntimeError:  # "no locator available"
        return False
    return True
