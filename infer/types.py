"""Types of arrays that signatures use."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
SpinArray = NDArray[np.int8]


class Missing(StrEnum):
    """Treatments of missing values."""

    ERROR = "error"
    DROP = "drop"
    FILL = "fill"
    MASK = "mask"


class Constant(StrEnum):
    """Treatments of spins that never change."""

    ERROR = "error"
    KEEP = "keep"
    DROP = "drop"
