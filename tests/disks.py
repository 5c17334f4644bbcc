"""Small and read-only file systems for tests, where the superuser may mount them."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory with these options, such as "size=1m"; the test is skipped where it cannot be mounted."""
    folder.mkdir()
    refused = not hasattr(os, "geteuid") or os.geteuid()
    if not refused:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        refused = subprocess.run(command, capture_output=True).returncode
    if refused:
        pytest.skip("mounting a small file system takes root and a system that allows it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path, left: int = 0) -> None:
    """Fill a small disk up to so many bytes."""
    free = os.statvfs(folder)
    with (folder / "filling").open("wb", buffering=0) as file:
        file.write(bytes(max(0, free.f_bavail * free.f_frsize - left)))
