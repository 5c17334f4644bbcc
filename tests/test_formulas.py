"""No formula is read as markup: `<x_i x_j>` in running text is a tag to HTML, and is not shown."""

import ast
import json
import re
from pathlib import Path

import pytest

from tests.extensions import extension

ROOT = Path(__file__).parents[1]
DOCSTRINGS = extension("docstrings")
blocks, escaped, to_rst = DOCSTRINGS.blocks, DOCSTRINGS.escaped, DOCSTRINGS.to_rst

MODULES = sorted(path for package in ("simulate", "infer", "reverie") for path in (ROOT / package).rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "notebooks").glob("*.md")])
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# what HTML and Markdown take for the beginning of a tag, a comment or a declaration
TAG = re.compile(r"<[A-Za-z/!?][^<]*")
CODE_OR_FORMULA = re.compile(
    r"<!--.*?-->|^```.*?^```|``.+?``|`[^`]+`|\$\$.+?\$\$|\$[^$]+\$|^    .*?$", re.DOTALL | re.MULTILINE
)
# the web addresses and pictures of a page
MEANT = re.compile(r"</?(https?://|(img|a|p|br|sub|sup|picture|source|details|summary|div|em|strong)\b)")


def tags_in_docstring(text: str) -> list[str]:
    """Tags in the running text of a docstring; formulas that are indented, or stand between backticks, are none."""
    found = []
    for kind, lines in blocks(text.splitlines()):
        if kind in ("text", "item"):
            running = DOCSTRINGS.SPAN.sub(
                lambda match: "" if match.group()[:1] in "`:" else match.group(), "\n".join(lines)
            )
            found += TAG.findall(running)
    return found


def tags_in_page(text: str) -> list[str]:
    return [tag for tag in TAG.findall(CODE_OR_FORMULA.sub("", text)) if not MEANT.match(tag)]


def docstrings(path: Path) -> list[str]:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]
    return [text for node in nodes if (text := ast.get_docstring(node))]


@pytest.mark.slow
@pytest.mark.parametrize("package", ["simulate", "infer", "reverie"])
def test_formulas_of_docstrings_are_no_tags(package: str) -> None:
    paths = [path for path in MODULES if path.relative_to(ROOT).parts[0] == package]
    found = {path.name: [tag for text in docstrings(path) for tag in tags_in_docstring(text)] for path in paths}
    assert {name: tags for name, tags in found.items() if tags} == {}


@pytest.mark.parametrize("path", [*PAGES, *NOTEBOOKS], ids=lambda path: path.name)
def test_formulas_of_pages_are_no_tags(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells)
    assert tags_in_page(text) == []


def test_a_formula_that_is_a_tag_would_be_found() -> None:
    lost = "where v has the covariance <v_i(t) v_j(t')> = 1."
    assert len(tags_in_docstring(lost)) == len(tags_in_page(lost)) == 1
    kept = "Means ``<s_i>``, :math:`i<j`, a < b,\n\n    <s_i s_j> = tanh\n\nand 1 <= 2."
    assert tags_in_docstring(kept) == []
    assert tags_in_page("Means `<s_i>`, $i<j$, <https://a.b>\n\n    <s_i s_j>\n") == []


def test_docstrings_become_restructuredtext() -> None:
    assert escaped("|x| of a_ and b*c, **d** *e*") == r"\|x\| of a\_ and b\*c, **d** *e*"
    assert escaped("`fit` `a b`s :math:`x_` ``c_``") == r"`fit` ``a b``\ s :math:`x_` ``c_``"
    lines = [
        "Sum",
        "",
        "    a_ = |b|,",
        "",
        "of c_.",
        "",
        "Parameters",
        "----------",
        "x_ : int",
        "    Of d_.",
        "",
        "    E.",
    ]
    expected = ["Sum", "", "::", "", "    a_ = |b|,", "", r"of c\_.", "", *lines[6:9], r"    Of d\_.", "", "    E."]
    assert to_rst(lines) == expected
    math = [".. math:: a_", "", "   b_", "", "c_"]
    assert to_rst(math) == [*math[:4], r"c\_"]
