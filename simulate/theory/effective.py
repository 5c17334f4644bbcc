"""What all answers of theory share: couplings as a matrix, and how to say that no answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def full_matrix(couplings: Any) -> NDArray[np.float64]:
    """Couplings of any kind as a full matrix."""
    return np.asarray(couplings.toarray() if hasattr(couplings, "toarray") else couplings, dtype=np.float64)


def couplings_of_modes(vectors: NDArray[np.float64], variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the off-diagonal part of the inverse of a covariance, from its modes: vectors (n_spins, n_spins)."""
    precision = (vectors / variances) @ vectors.T
    couplings: NDArray[np.float64] = -(precision + precision.T) / 2
    np.fill_diagonal(couplings, 0.0)
    return couplings


def no_closed_form(what: str, dynamics: Any) -> str:
    """Says that nothing is known for a dynamics, and what to do."""
    potential = f" with {type(dynamics.potential).__name__} potential" if hasattr(dynamics, "potential") else ""
    return f"no closed form of the {what} is known for {type(dynamics).__name__}{potential}; sample it and fit instead"
