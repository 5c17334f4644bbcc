"""Numbers for each row of a recording: counts, weights and runs."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from infer.errors import InputError

WeightKind = Literal["counts", "shares"]


def row_integers(source: str, name: str, values: NDArray[Any], n_rows: int, least: int | None) -> NDArray[np.int64]:
    """One integer per row, such as counts."""
    if values.shape != (n_rows,) or values.dtype.kind not in "iuf":
        raise InputError(
            f"{source}: {name} must be {n_rows} numbers, one per row; got {values.dtype} of {values.shape}"
        )
    with np.errstate(invalid="ignore"):
        integers = values.astype(np.int64)
    wrong = np.flatnonzero((integers != values) | (integers < (np.iinfo(np.int64).min if least is None else least)))
    if len(wrong):
        rule = "whole numbers" if least is None else f"whole numbers from {least} up; leave out rows never seen"
        raise InputError(
            f"{source}: {name} of row {wrong[0]} (counted from 0) is {values[wrong[0]]}; {name} are {rule}"
        )
    return integers


def row_weights(source: str, values: NDArray[Any], n_rows: int) -> tuple[NDArray[Any], WeightKind]:
    """Weights of the rows: counts where all are whole numbers, shares otherwise, which must not add up to 1 only."""
    if values.shape != (n_rows,) or values.dtype.kind not in "iuf":
        raise InputError(
            f"{source}: weights must be {n_rows} numbers, one per row; got {values.dtype} of {values.shape}"
        )
    weights = values.astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise InputError(
            f"{source}: weights of row {wrong[0]} (counted from 0) is {weights[wrong[0]]}; weights are finite and not "
            "negative"
        )
    total = float(weights.sum())
    if total <= 1.0 + 1e-6:
        raise InputError(
            f"{source}: the weights add up to {total:g}, so that they do not say how many samples there are; multiply "
            "them by the number of samples that they stand for"
        )
    whole = bool((weights == np.floor(weights)).all()) and bool((weights > 0).all())
    return weights, "counts" if whole else "shares"
