"""Checkpoints of a long training: named arrays in an npz file, written atomically and read without unpickling."""

from __future__ import annotations

import os
import secrets
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np


def check_folder(path: str | os.PathLike[str]) -> Path:
    """The path of a checkpoint, whose folder must exist before long work begins."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise ValueError(f"checkpoint {path} is a folder; give the name of a file")
    if not target.parent.is_dir():
        raise ValueError(f"checkpoint {path}: the folder {target.parent} does not exist; create it first")
    return target


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write arrays to a temporary file in the same folder, then rename it (atomic)."""
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.part")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        # missing after a successful rename
        with suppress(FileNotFoundError):
            temporary.unlink()


def read_arrays(path: Path, names: list[str]) -> dict[str, Any]:
    """The arrays of a checkpoint by name; a ValueError of one line if the file is not a checkpoint."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a checkpoint of this training: {error}; remove it or name another") from None
