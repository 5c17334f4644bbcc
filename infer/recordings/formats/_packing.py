"""Archives of a few bytes that would fill memory."""

from pathlib import Path
from typing import Any

from infer.errors import InputError
from infer.wording import shown

# spikes in narrow bins may well pack a hundred to one; an archive that claims more, and much of it, is a trap
FREE_BYTES, LARGEST_PACKING = 1 << 28, 500


def check_packing(path: Path, archive: Any) -> None:
    """Refuse an archive of a few bytes that would fill memory."""
    for member in archive.zip.infolist():
        if member.file_size > max(FREE_BYTES, LARGEST_PACKING * member.compress_size):
            raise InputError(
                f"{path}: {shown(member.filename)} claims to unpack from {member.compress_size} to {member.file_size} "
                "bytes, more than any recording does; it is damaged, or not meant to be read"
            )
