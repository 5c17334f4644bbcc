"""Types of arrays that signatures use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infer.options import Constant, Missing

__all__ = ["Constant", "FloatArray", "IntArray", "Missing", "SpinArray"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
SpinArray = NDArray[np.int8]
