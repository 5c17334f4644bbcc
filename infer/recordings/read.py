"""Reading of a file of any supported format as one table of numbers; errors of libraries become one line."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from infer.errors import InputError
from infer.recordings.child_process import read_in_child, try_reading
from infer.recordings.format import Content, Format
from infer.recordings.formats.registry import FORMATS
from infer.recordings.spike_times import SpikeTimes
from infer.recordings.table import Table, check_two_dimensional
from infer.wording import one_line, shown
from simulate.user_warnings import libraries_silenced

NO_WIDTH = "give the width of the bins with bin_width= (--bin-width on the command line), in the unit of the times"
CLASSIC_NETCDF = b"CDF"

Found = TypeVar("Found")


def read_table(path: str | os.PathLike[str], content: Content, key: str | None = None) -> Table:
    """Read the array called `key` (or `content`, or the only possible one) from a file of any known format."""
    source = Path(path)
    form = format_of(source)
    _check_key(source, form, key)
    if form.read_table is None:
        say = f"is read as spike times: {NO_WIDTH}"
        raise InputError(f"{source} {say} (it holds no {content})")
    with one_line_errors(source, form.name):
        table = _read(form, form.read_table, source, content, key)
    if content != "spins":  # those may have a third axis and columns that are none
        check_two_dimensional(str(source), table)
    return table


def read_spikes(path: str | os.PathLike[str], key: str | None = None) -> SpikeTimes:
    """Read spike times from a file of any known format."""
    source = Path(path)
    form = format_of(source)
    _check_key(source, form, key)
    if form.read_spikes is None:
        say = form.no_spikes or f"{form.name} files hold no spike times; leave the bin width out"
        raise InputError(f"{source}: {say}")
    with one_line_errors(source, form.name):
        return _read(form, form.read_spikes, source, key)


def _read(form: Format, function: Callable[..., Found], source: Path, *arguments: Any) -> Found:
    """Call the reading function of a format, in a child process first where it is guarded."""
    if form.by_chance:
        found: Found = read_in_child(function, source, *arguments, libraries=form.libraries)
        return found
    if form.guarded:
        try_reading(function, source, *arguments, libraries=form.libraries)
    return function(source, *arguments)


def _check_key(source: Path, form: Format, key: str | None) -> None:
    """Raise an error for a key where the file holds one table."""
    if key is not None and not form.has_keys:
        raise InputError(
            f"{source}: key={shown(key)} was given, but {source.suffix or form.name} files hold one table; leave it out"
        )


def format_of(path: Path) -> Format:
    """The format by the ending of the name, compared with the first bytes of the file."""
    if path.is_dir():
        for form in FORMATS:
            if form.is_folder is not None and form.is_folder(path):
                return form
        known = ", ".join(form.name for form in FORMATS if form.is_folder is not None)
        raise InputError(f"{path} is a folder, and none that is known ({known}); give the name of a file")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file")
    try:
        with path.open("rb") as handle:
            start = handle.read(max(len(magic) for form in FORMATS for magic in (*form.magic, b"")))
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror or error}") from error
    named = [form for form in FORMATS if path.name.lower().endswith(form.endings)]
    if not named:
        known = ", ".join(ending for form in FORMATS for ending in form.endings)
        raise InputError(f"{path}: unknown ending {shown(path.suffix)}; known are {known}")
    if not start:
        raise InputError(f"{path} is empty")
    magical = [form for form in FORMATS if form.magic and start.startswith(form.magic)]
    for form in named:
        if form in magical or not (form.magic or magical or start.startswith(CLASSIC_NETCDF)):
            return form
    if start.startswith(CLASSIC_NETCDF) and named[0].name == "NetCDF":
        raise InputError(f"{path} is a classic NetCDF file; save it as NetCDF 4 (for xarray: engine='h5netcdf')")
    what = f"{magical[0].content_name} data" if magical else "no such data"
    raise InputError(
        f"{path} is named as {named[0].name} but holds {what}; rename it, or check that it was written in full"
    )


@contextmanager
def one_line_errors(path: Path, kind: str) -> Iterator[None]:
    """Turn any exception of a library on a damaged or malicious file into one line, and suppress its warnings."""
    try:
        with libraries_silenced():
            yield
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start} of a block); save it as UTF-8") from error
    except MemoryError as error:
        raise InputError(f"{path} claims more data than fits into memory; it may be damaged ({error})") from error
    except Exception as error:
        if "pickle" in str(error) or "Python objects" in str(error):
            raise InputError(
                f"{path} holds pickled Python objects, which are never loaded; save plain arrays of numbers"
            ) from error
        text = one_line(error)[:200]
        raise InputError(f"{path} cannot be read as {kind}, it may be damaged or cut short: {text}") from error
