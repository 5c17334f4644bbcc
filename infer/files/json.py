"""Conversion of results to strict JSON, and metadata of output files: attributes, versions, date."""

import dataclasses
import datetime
import math
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.wording import clean_text

PACKAGES = ("reverie", "numpy", "scipy", "scikit-learn", "numba", "xarray", "arviz", "matplotlib")
LONGEST_TEXT = 300


def fields_of(result: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Fields of a dataclass, unconverted, and its verdict where it has one."""
    names = [item.name for item in dataclasses.fields(result)] + ["verdict"] * hasattr(result, "verdict")
    return {name: getattr(result, name) for name in names if name not in without}


def to_plain_dict(result: Any) -> dict[str, Any]:
    """The fields of a dataclass (`fields_of`), converted by `plain`."""
    return {name: plain(value) for name, value in fields_of(result).items()}


def plain(value: Any) -> Any:
    """A value converted to strict JSON: NaN becomes None, infinity a text, arrays keep 9 significant digits."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f":
            rounded = _rounded(value).tolist()
            return rounded if np.isfinite(value).all() else plain(rounded)
        return value.tolist() if value.dtype.kind in "iub" else plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return plain(fields_of(value))
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return value if math.isfinite(value) else str(value)
    return value


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nine significant digits: shorter text than a float64 needs, finer than any standard error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = 8 - np.floor(np.log10(np.abs(values)))
    scale = 10.0 ** np.where(np.isfinite(digits), np.clip(digits, -290, 290), 0.0)
    return np.round(values * scale) / scale


def readable_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes short enough for a table, without characters that XML forbids."""
    shown: dict[str, Any] = {}
    for key, value in attributes.items():
        value = value.item() if isinstance(value, np.generic) else value
        if not isinstance(value, (bool, int, float)):
            value = value.tolist() if isinstance(value, np.ndarray) else value
            words = isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
            value = clean_text(", ".join(value) if words else str(value))
            value = value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
        shown[clean_text(str(key))] = value
    return shown


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries used."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def now() -> str:
    """Date and time in UTC, or SOURCE_DATE_EPOCH where that is set, so that files can be reproduced byte by byte."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = (
        datetime.datetime.fromtimestamp(float(epoch), datetime.UTC) if epoch else datetime.datetime.now(datetime.UTC)
    )
    return moment.strftime("%Y-%m-%d %H:%M UTC")
