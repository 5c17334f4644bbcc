"""Names that the pages of the API reference list."""

import re
from pathlib import Path

DIRECTIVE = re.compile(r"^\.\. api:: (\S+)\n\n((?:   \S+\n?)+)", re.MULTILINE)


def names_on_pages() -> list[tuple[str, str]]:
    """Module and name of everything that the pages list."""
    pages = sorted((Path(__file__).parents[1] / "api").glob("*.rst"))
    found = [match.groups() for page in pages for match in DIRECTIVE.finditer(page.read_text(encoding="utf-8"))]
    return [(module, name) for module, names in found for name in names.split()]
