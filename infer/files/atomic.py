"""Atomic file writes: a file is either complete or absent."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: What a disk says that takes no more; the system names no file then.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file under a temporary name beside `path` and rename it on success.

    The body of the ``with`` statement writes to the path that it is given (same folder, same ending, a hidden name).
    Without an exception the file is renamed to its final name in one step, replacing an older one; on any exception,
    `KeyboardInterrupt` included, it is removed and an older file is not changed.

    Parameters
    ----------
    path : str or path-like
        Path of the finished file. Its folder must exist. A symbolic link is followed.

    Yields
    ------
    pathlib.Path
        The temporary path to write to.

    Raises
    ------
    ValueError
        If the folder does not exist or may not be written to, or if `path` is a folder or a device.
    OSError
        In one line that names the file, if the disk is full or fails.
    RuntimeError
        If the body ended without an exception and without writing the file.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_write(folder / "numbers.txt") as temporary:
    ...     _ = temporary.write_text("1 2 3")
    >>> [file.name for file in folder.iterdir()]
    ['numbers.txt']
    """
    target = Path(os.path.realpath(path))
    check_writable(path)
    temporary = target.with_name(f".{target.stem[:80]}.{secrets.token_hex(6)}.part{target.suffix}")
    try:
        yield temporary
        if not temporary.exists():
            raise RuntimeError(f"nothing was written to {temporary}, so there is no {target.name}")
        os.replace(temporary, target)
    except OSError as error:
        if error.errno not in _NO_ROOM or error.filename is not None:
            raise
        raise OSError(f"{path} cannot be written: {error.strerror}; nothing was written") from error
    finally:
        # missing after a successful rename
        with suppress(FileNotFoundError):
            temporary.unlink()


def check_writable(path: str | os.PathLike[str]) -> None:
    """Check before a long computation that a result can be written to `path`.

    Parameters
    ----------
    path : str or path-like
        Path of the output file.

    Raises
    ------
    ValueError
        If the folder does not exist or may not be written to, or if `path` is a folder or a device.
    """
    target = Path(os.path.realpath(path))
    folder = target.parent
    if not folder.is_dir():
        raise ValueError(f"{path}: the folder {folder} does not exist; create it first")
    if target.is_dir():
        raise ValueError(f"{path} is a folder; give the name of a file")
    if target.exists() and not target.is_file():
        # renaming over a device or a pipe would remove it
        raise ValueError(f"{path} is not a regular file; give the name of a file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{path}: the folder {folder} may not be written to; choose another one")
