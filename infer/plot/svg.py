"""Matplotlib figures as inline SVG text: one style, no global state, deterministic bytes, unique ids.

Figures are drawn 4 inches (288 points) wide with 10 point text, so that on a telephone (about 325 CSS pixels of
figure) text is still 11 pixels high. Colours are written as CSS variables with the printed colour as fallback: the page
recolours them in dark mode.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from infer.wording import clean_text
from simulate.user_warnings import libraries_silenced

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "GRID",
    "INK",
    "ORANGE",
    "PURPLE",
    "VERMILION",
    "WIDTH",
    "drawing",
    "new_axes",
    "to_svg",
]

WIDTH = 4.0  # inches

# Okabe and Ito's colours, which are distinguishable with all common kinds of colour vision
BLUE, VERMILION, GREEN, ORANGE, PURPLE = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#b5609a"
INK, GREY, GRID = "#1b1f24", "#6b7580", "#dde2e7"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, GREY)
CSS_COLOURS = {
    INK: "currentColor",
    GREY: f"var(--fig-grey, {GREY})",
    GRID: f"var(--fig-grid, {GRID})",
    BLUE: f"var(--fig-blue, {BLUE})",
    VERMILION: f"var(--fig-vermilion, {VERMILION})",
    GREEN: f"var(--fig-green, {GREEN})",
    ORANGE: f"var(--fig-orange, {ORANGE})",
    PURPLE: f"var(--fig-purple, {PURPLE})",
}
STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.formatter.use_mathtext": False,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",  # comes with matplotlib and is wide: system fonts need less room
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "image.composite_image": False,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "path.simplify": True,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "reverie",
    "svg.image_inline": True,
    "text.color": INK,
    "text.parse_math": False,  # names of units are never parsed as formulas
    "xtick.color": INK,
    "xtick.labelsize": 10,
    "ytick.color": INK,
    "ytick.labelsize": 10,
}
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
FONT_FAMILY = re.compile(r"font-family:[^;]*;?|font: (?:(?:normal|italic|bold|\d+) )*([\d.]+px)[^;]*;?")
LOCAL_REFERENCE = re.compile(r"url\(#([^)]+)\)")


@contextmanager
def drawing() -> Iterator[None]:
    """Context with the style of all figures, based on matplotlib's defaults, so that users' settings have no effect."""
    with mpl.rc_context():
        mpl.rcParams.update({key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith("backend")})
        mpl.rcParams.update(STYLE)  # type: ignore[arg-type]  # a key misspelt raises
        yield


def new_axes(height: float = 3.2, width: float = WIDTH) -> tuple[Figure, Axes]:
    """A new figure (not registered with pyplot) and its axes."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))
    return figure, figure.add_subplot()


def to_svg(figure: Figure, prefix: str, label: str) -> str:
    """Render a figure as one `<svg>` element for inlining in HTML.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Drawn inside `drawing()`.
    prefix : str
        Put before every id, so that several figures can share one page.
    label : str
        Description of the figure for screen readers.

    Returns
    -------
    str
        The element: without metadata or date, `viewBox` kept and width and height left to the page, the same bytes for
        the same figure.
    """
    buffer = io.BytesIO()
    # letters missing in the layout font, of which matplotlib warns, are drawn with the reader's own fonts
    with drawing(), libraries_silenced():
        canvas = FigureCanvasSVG(figure)
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for child in list(root):
        # in a page, the style sheet would apply to other figures too; its two properties are set on the root instead
        if child.tag == f"{{{SVG}}}metadata" or child.find(f"{{{SVG}}}style") is not None:
            root.remove(child)
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    _rename_ids(root, prefix)
    for element in root.iter():
        element.tail = None
        if element.text is not None and not element.text.strip():
            element.text = None
        style = element.get("style")
        if style is not None:
            style = FONT_FAMILY.sub(lambda match: f"font-size: {match.group(1)};" if match.group(1) else "", style)
            for printed, css in CSS_COLOURS.items():
                style = style.replace(printed, css)
            element.set("style", style.strip("; "))
    del root.attrib["width"], root.attrib["height"]
    root.attrib.pop("version", None)
    root.set("role", "img")
    root.set("aria-label", clean_text(label))
    root.set("font-family", "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif")
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _rename_ids(root: ElementTree.Element, prefix: str) -> None:
    """Prefix the ids that something refers to, drop all others."""
    reference = f"{{{XLINK}}}href"
    used: set[str] = set()
    for element in root.iter():
        if element.get(reference, "").startswith("#"):
            used.add(element.attrib[reference][1:])
        for value in element.attrib.values():
            used.update(LOCAL_REFERENCE.findall(value))
    for element in root.iter():
        if "id" in element.attrib:
            if element.attrib["id"] in used:
                element.set("id", f"{prefix}-{element.attrib['id']}")
            else:
                del element.attrib["id"]
        if reference in element.attrib:
            target = element.attrib.pop(reference)
            element.set("href", f"#{prefix}-{target[1:]}" if target.startswith("#") else target)
        for key, value in element.attrib.items():
            if "url(#" in value:
                element.set(key, LOCAL_REFERENCE.sub(rf"url(#{prefix}-\1)", value))
