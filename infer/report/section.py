"""Sections of a report and their figures."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure as MatplotlibFigure

from infer.plot.svg import to_svg
from infer.report.layout import FigureCard, ShownSection, Table, typeset
from infer.report.results import Analysis

__all__ = ["Figure", "Numbers", "Section", "always"]

#: `Analysis.to_dict()`, the only place where tables take their numbers from.
Numbers = dict[str, Any]


def always(analysis: Analysis) -> bool:
    """Condition of figures and sections that every analysis has numbers for."""
    return True


@dataclass(frozen=True)
class Figure:
    """A figure of a report.

    Parameters
    ----------
    key : str
        Unique on the page.
    title : str
    draw : callable
        Takes an `Analysis`, returns a matplotlib figure drawn inside :func:`infer.plot.svg.drawing`.
    caption : str or callable
        Text under the figure; a callable takes the `Analysis`.
    needs : callable
        Whether an `Analysis` has the numbers that are drawn.
    """

    key: str
    title: str
    draw: Callable[[Analysis], MatplotlibFigure]
    caption: str | Callable[[Analysis], str]
    needs: Callable[[Analysis], bool] = always

    def card(self, analysis: Analysis) -> FigureCard:
        """The drawn figure with its caption."""
        identifier = self.key.replace(" ", "-")
        caption = self.caption if isinstance(self.caption, str) else self.caption(analysis)
        svg = Markup(to_svg(self.draw(analysis), identifier, self.title))
        return FigureCard(f"figure-{identifier}", self.title, svg, typeset(caption))


@dataclass(frozen=True)
class Section:
    """A section of a report, in a file of its own in `infer/report/sections`.

    Parameters
    ----------
    key : str
        Unique on the page.
    title : str or callable
    text : callable
        Takes the `Analysis`.
    figures : list of Figure
    tables : list of callable
        Each takes the `Analysis` and its numbers and returns a `Table`, or None where there is nothing to show.
    needs : callable
        Whether the section is on the page of an `Analysis`.
    """

    key: str
    title: str
    text: Callable[[Analysis], str]
    figures: list[Figure] = field(default_factory=list)
    tables: list[Callable[[Analysis, Numbers], Table | None]] = field(default_factory=list)
    needs: Callable[[Analysis], bool] = always

    def show(self, analysis: Analysis, numbers: Numbers) -> ShownSection:
        """The section of an analysis with drawn figures."""
        cards = [figure.card(analysis) for figure in self.figures if figure.needs(analysis)]
        tables = [table for build in self.tables if (table := build(analysis, numbers)) is not None]
        tables = [replace(table, note=typeset(table.note)) for table in tables]
        return ShownSection(self.key, self.title, typeset(self.text(analysis)), cards, tables)
