"""Description of a file format: its recognition and its reading functions."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infer.recordings.spike_times import SpikeTimes
from infer.recordings.table import Table

Content = Literal["spins", "patterns", "couplings", "intervals"]


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    name : str
        Name in messages.
    endings : tuple of str
        Endings of file names, in lower case, with the first dot.
    magic : tuple of bytes
        Possible first bytes of such a file; empty for text, which must not start with those of another format.
    read_table : callable (path, content, key) -> Table, or None
        Reads the array called `key` (or `content`, or the only possible one); None: the format holds spike times only.
    read_spikes : callable (path, key) -> SpikeTimes, or None
        Reads spike times; None: the format holds none. Both functions may raise any exception: `infer.recordings.read`
        turns it into one line. For a guarded format they are module-level functions, which the child process imports by
        name.
    guarded : bool
        Whether files are read in a child process first, since the library may crash or hang on damaged ones.
    by_chance : bool
        Whether chance decides if the library crashes on a damaged file, so that a file that was read in a child process
        may crash this one: what the child process has read is taken.
    has_keys : bool
        Whether a file may hold several arrays to choose from.
    libraries : tuple of str
        Modules that the child process loads before the time for the file starts.
    data : str
        Name in messages of data with this magic; the name of the format by default.
    is_folder : callable (path) -> bool, or None
        Recognises a folder of several files that are one recording.
    no_spikes : str
        Message where a bin width was given and `read_spikes` is None.
    """

    name: str
    endings: tuple[str, ...]
    magic: tuple[bytes, ...] = ()
    read_table: Callable[[Path, str, str | None], Table] | None = None
    read_spikes: Callable[[Path, str | None], SpikeTimes] | None = None
    guarded: bool = False
    by_chance: bool = False
    has_keys: bool = True
    libraries: tuple[str, ...] = ()
    data: str = ""
    is_folder: Callable[[Path], bool] | None = None
    no_spikes: str = ""

    @property
    def content_name(self) -> str:
        """Name in messages of the data of such a file."""
        return self.data or self.name
