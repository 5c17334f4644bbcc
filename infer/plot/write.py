"""Figures as files."""

import os
from pathlib import Path

from matplotlib.figure import Figure

from infer.files.atomic import atomic_write
from infer.plot.svg import drawing

__all__ = ["write_figure"]


def write_figure(path: str | os.PathLike[str], figure: Figure) -> None:
    """Write a figure as SVG, PDF or PNG, by the ending of the name (atomic).

    Parameters
    ----------
    path : str or path-like
        Ends in .svg, .pdf or .png.
    figure : matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If `path` ends otherwise or cannot be written to.
    """
    kind = Path(path).suffix.lower().lstrip(".")
    # without the date, so that the same figure has the same bytes
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    if kind not in dates:
        raise ValueError(f"{path}: the name of a figure must end in .svg, .pdf or .png")
    with atomic_write(path) as temporary, drawing():
        figure.savefig(temporary, format=kind, dpi=150, facecolor="white", metadata=dates[kind])
