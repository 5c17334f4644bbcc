"""Docstrings as reStructuredText.

They are written to be read in an editor: indented formulas in plain letters (`x_i |s|^2`), names and code between
single or double backticks, formulas of LaTeX with `:math:` or `.. math::`. Here indented formulas become literal
blocks, code between backticks literals, and letters that mean something to reStructuredText are escaped.
"""

import re
from collections.abc import Iterator
from typing import Any

NAME = re.compile(r"[A-Za-z_][\w.]*(\(\))?")
SECTION = re.compile(r"-{3,}|={3,}")
#: Sections whose unindented lines are ``name : type``, which numpydoc reads.
LISTS = {"Parameters", "Returns", "Yields", "Attributes", "Raises", "Warns", "Methods", "Other Parameters"}
ROLE = re.compile(r":(func|class):`~?([\w.]+)`")
SPAN = re.compile(
    r"(?P<literal>``.+?``)"
    r"|(?P<role>:[a-z:]+:`[^`]+`)"
    r"|(?P<code>`[^`]+`)"
    r"|(?P<url>https?://\S+)"
    r"|(?P<strong>(?<![\w*])\*\*(?=[^\s*])[^*`]+(?<=\S)\*\*(?![\w*]))"
    r"|(?P<emphasis>(?<![\w*])\*(?=[^\s*])[^*`]+(?<=\S)\*(?![\w*]))"
    r"|(?P<special>[*|\\`]|_(?!\w))",
    re.DOTALL,
)


def _span(match: re.Match[str]) -> str:
    text, kind = match.group(), match.lastgroup
    if kind == "special":
        return "\\" + text
    if kind == "code":
        inner = " ".join(text[1:-1].split())
        text = f"`{inner}`" if NAME.fullmatch(inner) else f"``{inner}``"
    after = match.string[match.end() : match.end() + 1]
    # a letter may follow the end of a span only behind an escaped space
    return text + ("\\ " if kind in ("literal", "code", "role") and after.isalnum() else "")


def escaped(text: str) -> str:
    """Running text with its code, formulas and emphasis kept, and everything else taken literally."""
    return SPAN.sub(_span, text)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Parts of a docstring: "text", "formula" (indented under text, behind an empty line), "item" and "kept"."""
    section, i = "", 0
    before, empty = 0, False  # indentation of the last line of text, and whether an empty line follows it
    while i < len(lines):
        line = lines[i]
        if not line.strip():
            yield "kept", [line]
            empty, i = True, i + 1
            continue
        indent = _indent(line)
        if i + 1 < len(lines) and SECTION.fullmatch(lines[i + 1].strip()) and indent == 0:
            section = line.strip()
            yield "kept", lines[i : i + 2]
            before, empty, i = 0, False, i + 2
            continue
        directive = line.lstrip().startswith(".. ")
        formula = empty and indent > before
        end = i + 1
        if directive or formula:
            floor = indent if directive else before
            while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > floor):
                end += 1
            while not lines[end - 1].strip():
                end -= 1
            yield ("kept" if directive else "formula"), lines[i:end]
            empty, i = False, end
            continue
        if line.lstrip().startswith(">>>"):
            while end < len(lines) and lines[end].strip():
                end += 1
            yield "kept", lines[i:end]
            before, empty, i = indent, False, end
            continue
        if section in LISTS and indent == 0:
            yield "item", [line]
            before, empty, i = 0, False, end
            continue
        while end < len(lines) and lines[end].strip() and _indent(lines[end]) == indent:
            if end + 1 < len(lines) and SECTION.fullmatch(lines[end + 1].strip()):
                break
            end += 1
        yield "text", lines[i:end]
        before, empty, i = indent, False, end


def to_rst(lines: list[str]) -> list[str]:
    """Lines of a docstring as reStructuredText in the form that numpydoc reads."""
    found: list[str] = []
    margin = 0
    for kind, part in blocks(lines):
        if kind == "formula":
            found += [" " * margin + "::", "", *part]
            continue
        if kind == "text":
            margin = _indent(part[0])
            part = escaped("\n".join(part)).split("\n")
            if part[-1].endswith("::"):
                found += part
                continue
        elif kind == "item":
            margin = 0
        found += part
    return found


def with_public_targets(text: str, public: dict[str, str]) -> str:
    """Roles that name a function where it is defined, pointed to the name under which it is public."""

    def target(match: re.Match[str]) -> str:
        name = match[2].rpartition(".")[2]
        return f":{match[1]}:`~{public[name]}`" if name in public else match[0]

    return ROLE.sub(target, text)


def _process(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    from listed import names_on_pages

    public = {name: f"{module}.{name}" for module, name in names_on_pages()}
    lines[:] = with_public_targets("\n".join(to_rst(lines)), public).split("\n")


def setup(app: Any) -> dict[str, bool]:
    """Before numpydoc, which listens with the priority 500."""
    app.connect("autodoc-process-docstring", _process, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
