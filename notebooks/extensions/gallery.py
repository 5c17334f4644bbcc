"""Directive `gallery`: a card for each notebook, with its title, its first sentence and a picture that it holds."""

import base64
import html
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

HERE = Path(__file__).parents[1]
#: Letters of formulas in a sentence that stands without formulas.
GREEK = {"alpha": "α", "lambda": "λ", "tau": "τ", "beta": "β"}
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))


def pictures(cells: list[dict[str, Any]]) -> list[bytes]:
    """PNG outputs of a notebook, in order."""
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    found = [data["image/png"] for data in outputs if "image/png" in data]
    return [base64.b64decode(text if isinstance(text, str) else "".join(text)) for text in found]


def title_and_sentence(cells: list[dict[str, Any]]) -> tuple[str, str]:
    """Heading of the first cell, and the first sentence under it as plain text."""
    text = "".join(cells[0]["source"])
    heading, _, rest = text.partition("\n")
    rest = re.sub(r"\[([^\]]*)\]\([^)]*\)|[*`$]", r"\1", " ".join(rest.split()))
    rest = re.sub(r"\\([a-z]+)", lambda match: GREEK.get(match[1], match[0]), rest)
    return heading.lstrip("# ").strip(), re.split(r"(?<=[.?])\s", rest.strip())[0]


def write_pictures() -> Path:
    """The first picture of each notebook in a new folder, to be copied beside the pages."""
    folder = Path(tempfile.mkdtemp(prefix="reverie-site-"))
    for path in NOTEBOOKS:
        found = pictures(json.loads(path.read_text(encoding="utf-8"))["cells"])
        (folder / f"picture-{path.stem}.png").write_bytes(found[0])
    return folder


class Gallery(SphinxDirective):
    """Cards that link to the notebooks named, or to all."""

    optional_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """One raw block of HTML; the pictures are static files."""
        cards = []
        named = self.arguments[0].split() if self.arguments else [path.stem for path in NOTEBOOKS]
        for path in (HERE / f"{name}.ipynb" for name in named):
            self.env.note_dependency(str(path))
            title, sentence = title_and_sentence(json.loads(path.read_text(encoding="utf-8"))["cells"])
            cards.append(
                f'<a class="card" href="{path.stem}.html"><img src="_static/picture-{path.stem}.png" alt="">'
                f"<strong>{html.escape(title)}</strong><span>{html.escape(sentence)}</span></a>"
            )
        return [nodes.raw("", f'<div class="gallery">{"".join(cards)}</div>', format="html")]


def setup(app: Any) -> dict[str, bool]:
    """Register the directive, and hand the pictures to the builder."""
    app.add_directive("gallery", Gallery)
    app.connect("config-inited", lambda app, config: config.html_static_path.append(str(write_pictures())))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
