"""Formatting of names and numbers in sentences and messages; independent of result types."""

from __future__ import annotations

import dataclasses
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

# the longest text of a field in a short repr
_LONGEST_FIELD = 60

#: Digits of exponents.
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

# characters that XML 1.0 does not allow, not even escaped
ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def one_line(text: object) -> str:
    """Text on one line, control characters escaped."""
    words = " ".join(str(text).split())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in words)


def path_text(path: str | os.PathLike[str]) -> str:
    """A path as text that can be written: in UTF-8 whatever the locale, with a sign for each byte that is not."""
    return path_bytes(path).decode("utf-8", errors="replace")


def path_bytes(path: str | os.PathLike[str]) -> bytes:
    """A path as the file system has it, or in UTF-8 where the locale has no sign for one of its letters."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return os.fspath(path).encode("utf-8", errors="replace")


def shown(value: object) -> str:
    """A value or a name for error messages: quoted, cut when it is long."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def number(value: float) -> str:
    """Three significant digits, without exponent where possible; infinity in words."""
    if not math.isfinite(value):
        return "infinity" if value > 0 else "minus infinity" if value < 0 else "undefined"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}" if abs(value) < 1 else f"{value:.4g}"
    return f"{value:.3g}"


def with_error(value: float, std: float | None) -> str:
    """A number and its standard error, both to two digits of the error; alone where there is no finite error."""
    if std is None or not math.isfinite(std) or not math.isfinite(value) or not 1e-6 <= std < 1e5:
        return number(value)
    return f"{to_error(value, std)} +- {to_error(std, std)}"


def to_error(value: float, std: float | None) -> str:
    """A number alone, to two digits of its standard error where there is a finite one."""
    if std is None or not math.isfinite(std) or not math.isfinite(value) or not 1e-6 <= std < 1e5:
        return number(value)
    return f"{value:.{decimals(std)}f}"


def between(interval: Sequence[float], std: float | None) -> str:
    """Both ends of an interval, to two digits of the standard error."""
    low, high = interval
    return f"{to_error(low, std)} to {to_error(high, std)}"


def method_words(method: str) -> str:
    """A method of fitting in words."""
    return "pseudo-likelihood" if method == "pseudolikelihood" else method.replace("-", " ")


def decimals(std: float) -> int:
    """Decimals at which a standard error has two significant digits; the number itself is given to as many."""
    return max(0, 1 - math.floor(math.log10(float(f"{std:.1e}"))))


def sigmas(value: float) -> str:
    """A distance in standard errors."""
    if not math.isfinite(value):
        return "infinitely many sigma"
    return f"{value:.2g} sigma" if value < 10 else f"{value:.0f} sigma"


def join(parts: list[str]) -> str:
    """Parts with commas and a final "and"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def p_text(value: float) -> str:
    """A p-value in a few digits."""
    return "p <= 0.001" if value <= 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def clean_text(text: str) -> str:
    """Text with characters that XML forbids replaced by the replacement character."""
    return ILLEGAL.sub("�", text)


def brief(result: Any) -> str:
    """The repr of a result: its verdict where it has one, else its fields, of arrays the type and the shape only."""
    name = type(result).__name__
    verdict = getattr(result, "verdict", None)
    if isinstance(verdict, str):
        return f"{name}({verdict!r})"
    parts = (f"{field.name}={_brief_field(getattr(result, field.name))}" for field in dataclasses.fields(result))
    return f"{name}({', '.join(parts)})"


def _brief_field(value: Any) -> str:
    """A field in a few characters."""
    if getattr(value, "shape", ()):
        return f"<{value.dtype} {'x'.join(map(str, value.shape))}>" if hasattr(value, "dtype") else "<array>"
    if isinstance(value, Mapping):
        return f"<{len(value)} entries>"
    text = repr(value)
    if len(text) <= _LONGEST_FIELD:
        return text
    return f"<{len(value)} entries>" if isinstance(value, tuple | list) else f"<{type(value).__name__}>"
