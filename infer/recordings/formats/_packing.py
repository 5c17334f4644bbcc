"""Check of archives whose unpacked content would fill memory."""

from pathlib import Path
from typing import Any

from infer.errors import InputError
from infer.wording import shown

# spikes in narrow bins may pack a hundred to one; a large archive that claims more is malicious or damaged
FREE_BYTES, LARGEST_PACKING = 1 << 28, 500


def check_packing(path: Path, archive: Any) -> None:
    """Raise an error for a small archive whose unpacked content would fill memory."""
    for member in archive.zip.infolist():
        if member.file_size > max(FREE_BYTES, LARGEST_PACKING * member.compress_size):
            raise InputError(
                f"{path}: {shown(member.filename)} claims to unpack from {member.compress_size} to {member.file_size} "
                "bytes, more than any recording does; it is damaged, or not meant to be read"
            )
