"""One self-contained HTML page of an analysis, and the JSON of all its numbers."""

import base64
import contextlib
import hashlib
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from infer.files.atomic import atomic_write, check_writable
from infer.report.large_arrays import parted, write_arrays
from infer.report.layout import ShownSection, typeset
from infer.report.results import Analysis
from infer.report.sections import SECTIONS
from infer.report.sections.first import cards, claims, first_line, remarks, subtitle
from infer.report.sections.methods import methods
from infer.report.sections.next_steps import next_steps
from infer.wording import path_bytes, path_text

__all__ = ["render_page", "write_report"]

#: Largest size in bytes of numbers inside page and JSON; above it, large arrays go to a NetCDF file beside them.
MOST_EMBEDDED = 4_000_000

# sorts a table by the column whose head is pressed: by the exact numbers where there are any, else by the text; offers
# the numbers of the page, and every table, as downloads
SCRIPT = r"""
const download = (text, type, name) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type}));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
};
const press = (text, place, action) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "download";
  button.textContent = text;
  button.addEventListener("click", action);
  place.append(button);
};
const stem = document.documentElement.dataset.stem;
for (const place of document.querySelectorAll(".download-numbers")) {
  const numbers = document.getElementById("numbers").textContent;
  press("Download all numbers (JSON)", place, () => download(numbers, "application/json", stem + ".json"));
}
for (const table of document.querySelectorAll("table")) {
  const exact = (cell) => (cell.querySelector("data") ? cell.querySelector("data").value : cell.textContent.trim());
  // a text that a spreadsheet would take for a formula is made a text
  const quoted = (text) => '"' + (/^[=@+\t]|^-(?![0-9.])/.test(text) ? "'" + text : text).replaceAll('"', '""') + '"';
  const line = (row) => Array.from(row.cells, (cell) => quoted(exact(cell))).join(",");
  const name = stem + "-" + table.caption.textContent.trim().toLowerCase().replace(/[^a-z0-9]+/g, "-") + ".csv";
  const head = table.tHead.rows[0], heading = line(head);
  press("CSV", table.caption, () => {
    const text = [heading, ...Array.from(table.tBodies[0].rows, line)].join("\r\n") + "\r\n";
    download("\ufeff" + text, "text/csv", name);
  });
}
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") === "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => {
        const cell = row.cells[column], data = cell.querySelector("data");
        return data && data.value ? Number(data.value.replace("inf", "Infinity")) : cell.textContent;
      };
      // numbers before texts, such as a dash
      const kind = (a) => (typeof a === "number" ? 0 : 1);
      const compare = (a, b) => kind(a) - kind(b) || (kind(a) ? a.localeCompare(b) : a - b);
      const rows = Array.from(table.tBodies[0].rows);
      rows.sort((a, b) => (up ? 1 : -1) * compare(key(a), key(b)));
      table.tBodies[0].append(...rows);
    });
  });
}
"""


def render_page(analysis: Analysis, numbers: dict[str, Any], json_name: str | None = None) -> str:
    """Render the page.

    Parameters
    ----------
    analysis : Analysis
    numbers : dict
        `analysis.to_dict()`.
    json_name : str, optional
        Name of the JSON file beside the page, to link to.

    Returns
    -------
    str
        HTML without any reference to other files except the links to publications and to the JSON file. Text from
        outside, such as names of spins and files, is escaped, in the figures too.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    template = environment.from_string(resources.files("infer.report").joinpath("page.html.jinja").read_text("utf-8"))
    embedded, complete = embed(numbers)
    paragraphs, references = methods(analysis)
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return template.render(
        title=f"Dreaming report: {analysis.source}" if analysis.has_patterns else f"Report: {analysis.source}",
        subtitle=subtitle(analysis),
        first_line=typeset(first_line(analysis)),
        headline=cards(analysis, numbers),
        claims=claims(analysis),
        remarks=remarks(analysis),
        steps=next_steps(analysis),
        warnings=[typeset(text) for text in analysis.warnings],
        sections=shown_sections(analysis, numbers),
        methods=paragraphs,
        references=references,
        versions=analysis.versions,
        created=analysis.created,
        json_name=None if json_name is None else path_text(json_name),
        json_link=None if json_name is None else quote(path_bytes(json_name)),
        stem=path_text(os.path.splitext(json_name)[0]) if json_name else "report",
        embedded=Markup(embedded),
        complete=complete,
        script=Markup(SCRIPT),
        script_hash=f"sha256-{digest}",
    )


def shown_sections(analysis: Analysis, numbers: dict[str, Any]) -> list[ShownSection]:
    """The sections that an analysis has numbers for, with drawn figures."""
    return [section.show(analysis, numbers) for section in SECTIONS if section.needs(analysis)]


def embed(numbers: dict[str, Any]) -> tuple[str, bool]:
    """JSON of the numbers for a script element, and whether it holds all of them."""
    small, arrays = fitting(numbers)
    text, complete = json_text(small), not arrays
    # "<" is escaped, so that no text ends the element or begins a comment
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"), complete


def fitting(numbers: dict[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Numbers for page and JSON, and the large arrays that go to a file of their own."""
    return parted(numbers) if len(json_text(numbers)) > MOST_EMBEDDED else (numbers, {})


def write_report(analysis: Analysis, path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write the page and, beside it under the same stem, the JSON with every number on it.

    For large analyses, arrays of more than 5,000 numbers go to a third file, ``report-arrays.nc``, whose variables the
    JSON names in their place.

    Parameters
    ----------
    analysis : Analysis
    path : str or path-like
        Path of the page, for example ``report.html``; the numbers go to ``report.json``.

    Returns
    -------
    tuple of pathlib.Path
        The page and the JSON file.

    Raises
    ------
    ValueError
        If the folder does not exist or may not be written to, or if `path` itself ends in ``.json``.
    """
    page, numbers = Path(path), Path(path).with_suffix(".json")
    if page == numbers:
        raise ValueError(f"{path}: the page needs another ending than .json, which its numbers get; use .html")
    data = analysis.to_dict()
    small, arrays = fitting(data)
    files = [page, numbers]
    if arrays:
        files.append(page.with_name(f"{page.stem}-arrays.nc"))
        small = {"arrays_file": files[2].name, **small}
    for file in files:
        check_writable(file)
    html, text = render_page(analysis, data, numbers.name), json_text(small)
    before = {file for file in files if file.exists()}
    try:
        with contextlib.ExitStack() as stack:
            new = [stack.enter_context(atomic_write(file)) for file in files]
            new[0].write_text(html, encoding="utf-8")
            new[1].write_text(text, encoding="utf-8")
            if arrays:
                write_arrays(new[2], arrays)
    except BaseException:
        # the second of the two renames failed: remove the first file, which would look like a complete report
        for file in set(files) - before:
            file.unlink(missing_ok=True)
        raise
    return page, numbers


def json_text(data: dict[str, Any]) -> str:
    """Strict JSON (no NaN), one line for each top-level entry so that the file is readable."""
    entries = (f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in data.items())
    return "{\n" + ",\n".join(entries) + "\n}\n"
