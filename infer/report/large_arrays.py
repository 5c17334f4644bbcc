"""Large arrays of an analysis, which go to a NetCDF file beside the page and its JSON."""

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from infer.files.netcdf import write_datasets

__all__ = ["parted", "write_arrays"]

#: Size from which an array counts as large.
LARGE = 5_000


def parted(numbers: dict[str, Any]) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Split numbers into those without large arrays, and the large arrays by their place.

    Parameters
    ----------
    numbers : dict
        Nested dicts and lists of JSON values.

    Returns
    -------
    dict
        The same, with ``{"variable": name, "shape": [...]}`` in the place of each large array.
    dict of ndarray
        By place, such as "adequacy.moments.correlations.observed"; None is nan, "inf" infinity.
    """
    arrays: dict[str, NDArray[np.float64]] = {}

    def without(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {key: without(item, f"{path}.{key}" if path else key) for key, item in value.items()}
        if not isinstance(value, list) or _size(value) < LARGE:
            return value
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):  # names, or rows of different lengths
            return value
        arrays[path] = array
        return {"variable": path, "shape": list(array.shape)}

    return without(numbers, ""), arrays


def _size(value: Any) -> int:
    """Number of entries in nested lists of equal lengths."""
    size = 1
    while isinstance(value, list) and value:
        size *= len(value)
        value = value[0]
    return size


def write_arrays(path: Path, arrays: dict[str, NDArray[np.float64]]) -> None:
    """Write arrays as compressed variables of a NetCDF file."""
    variables: dict[str, Any] = {
        name: ([f"{name}.axis_{k}" for k in range(array.ndim)], array, {}, {"zlib": True, "complevel": 4})
        for name, array in arrays.items()
    }
    write_datasets(path, {None: xr.Dataset(variables)})
