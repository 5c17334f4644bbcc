"""Elements of a page (figures, tables, sections), and the format of its numbers."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from infer.wording import SUPERSCRIPTS, decimals

__all__ = [
    "FigureCard",
    "Number",
    "ShownSection",
    "Table",
    "entry",
    "interval_text",
    "measured",
    "number",
    "p_number",
    "readable",
    "setting",
    "terminal",
    "typeset",
    "with_error",
]

#: A no-break space.
SPACE = "\u00a0"
PLUS_MINUS = f"{SPACE}±{SPACE}"


@dataclass(frozen=True)
class Number:
    """A number with its rounded text."""

    value: Any
    text: str

    @property
    def exact(self) -> str:
        """All digits."""
        return "" if self.value is None else str(self.value)


@dataclass(frozen=True)
class FigureCard:
    """A figure with its caption."""

    key: str
    title: str
    svg: Markup
    caption: str


@dataclass(frozen=True)
class Table:
    """A table; entries are texts or numbers."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[Sequence[str | Number]]
    note: str = ""

    @property
    def sortable(self) -> bool:
        """Whether the table has enough rows to sort."""
        return len(self.rows) > 1


@dataclass(frozen=True)
class ShownSection:
    """A heading, a text, figures and tables, ready for the page."""

    key: str
    title: str
    text: str
    figures: list[FigureCard] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def readable(value: Any, digits: int = 4) -> str:
    """A number in a few digits, with a true minus sign."""
    if value is None:
        return "not defined"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return {"inf": "∞", "-inf": "−∞"}.get(value, value)
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if math.isnan(value):
        return "not defined"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e6:
        places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:,.{places}f}".replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}×10".replace("-", "−") + str(int(exponent)).translate(SUPERSCRIPTS)


def measured(value: Any, std: Any) -> str:
    """A number with its standard error, both to two digits of the error; without an error, to three digits."""
    number_text, error = (item.text if isinstance(item, Number) else "" for item in with_error(value, std))
    return f"{number_text}{PLUS_MINUS}{error}" if error else number_text


def with_error(value: Any, std: Any) -> tuple[Number, str | Number]:
    """A number and its standard error as two entries of a table; a dash where there is no finite error."""
    known = isinstance(std, (int, float)) and math.isfinite(std) and std > 0
    if not known or not isinstance(value, (int, float)) or not math.isfinite(value):
        return number(value, 3), "–"
    if std < 1e-5 or std >= 1e5:
        return number(value), number(std, 2)
    digits = decimals(std)
    return (
        Number(value, f"{value:,.{digits}f}".replace("-", "−")),
        Number(std, f"{std:,.{digits}f}"),
    )


def p_number(value: Any) -> Number:
    """A p-value; those below 0.001 are shown as one."""
    if value is None or isinstance(value, str) or math.isnan(value):
        return Number(None, "not judged")
    return Number(value, "≤ 0.001" if value <= 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}")


def typeset(text: str) -> str:
    """Replace signs for terminals in a sentence by typographic ones."""
    return re.sub(
        r"(?<=[ (])-(?=\d)",
        "−",
        re.sub(r"(?<=\d) ?%", f"{SPACE}%", text)
        .replace(" +- ", PLUS_MINUS)
        .replace("p <= ", f"p{SPACE}≤{SPACE}")
        .replace("p = ", f"p{SPACE}={SPACE}")
        .replace("<=", "≤")
        .replace("'s ", "’s "),
    )


def terminal(text: str) -> str:
    """Replace typographic signs in a sentence by ASCII ones."""
    return text.replace(SPACE, " ").replace("±", "+-").replace("−", "-").replace("≤", "<=").replace("’", "'")


def setting(value: float) -> str:
    """A setting, without trailing zeros."""
    mantissa, _, exponent = f"{value:.6g}".partition("e")
    power = f"×10{str(int(exponent)).translate(SUPERSCRIPTS)}" if exponent else ""
    return mantissa.replace("-", "−") + power


def number(value: Any, digits: int = 4) -> Number:
    """A number for the page."""
    return Number(value, readable(value, digits))


def interval_text(interval: Sequence[Any], std: Any = None) -> str:
    """Both ends of an interval, to two digits of the standard error where there is one."""
    low, high = (with_error(end, std)[0].text for end in interval)
    return f"{low} to {high}"


def entry(value: Any, digits: int | None = None) -> str | Number:
    """A number (with all its digits unless `digits` is given), or a text."""
    if value is None:
        return "–"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Number(value, setting(value)) if digits is None else number(value, digits)
    return readable(value) if isinstance(value, bool) else str(value)
