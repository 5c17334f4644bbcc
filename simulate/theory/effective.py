"""Common parts of the theory: couplings as a matrix, and errors where no closed form is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.couplings import PatternCouplings
from simulate.dynamics.responses import Response


def full_matrix(couplings: Any) -> NDArray[np.float64]:
    """Convert couplings of any kind to a full matrix."""
    return np.asarray(couplings.toarray() if hasattr(couplings, "toarray") else couplings, dtype=np.float64)


def couplings_of_modes(vectors: NDArray[np.float64], variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minus the off-diagonal part of the inverse of a covariance, from its modes: vectors (n_spins, n_spins)."""
    precision = (vectors / variances) @ vectors.T
    couplings: NDArray[np.float64] = -(precision + precision.T) / 2
    np.fill_diagonal(couplings, 0.0)
    return couplings


def no_closed_form(what: str, dynamics: Any) -> str:
    """Error message for a dynamics without a closed form, with the remedy."""
    potential = f" with {type(dynamics.potential).__name__} potential" if hasattr(dynamics, "potential") else ""
    return f"no closed form of the {what} is known for {type(dynamics).__name__}{potential}; sample it and fit instead"


def known_response(what: str, dynamics: Any) -> Response:
    """The closed forms of a dynamics; raises a ValueError where there are none."""
    response: Response | None = dynamics.response() if hasattr(dynamics, "response") else None
    if response is None:
        raise ValueError(no_closed_form(what, dynamics))
    return response


def refuse_fields(what: str, dynamics: Any) -> None:
    """Raise a ValueError where there are external fields, for which driven spins have no closed form."""
    fields = getattr(dynamics, "fields", None)
    if fields is not None and np.any(fields):
        raise ValueError(
            f"{what}: known for {type(dynamics).__name__} without external fields only; sample it and fit instead"
        )


def lost_diagonal(couplings: Any) -> float:
    """Diagonal P / N that was set to zero in Hebbian couplings, in units of their scale; an error for other couplings.

    A Hebbian matrix is recognised by its entries: N J_ij are integers, all odd or all even, up to a scale.
    The diagonal follows from the lowest eigenvalue where there are fewer patterns than spins; otherwise
    `PatternCouplings` are needed.
    """
    if isinstance(couplings, PatternCouplings):
        if couplings.rate != 0:
            raise ValueError(
                f"couplings must be Hebbian, these have the dreaming rate {couplings.rate:g} already; "
                "sample and fit with DreamingModel instead"
            )
        return float(couplings.self_couplings.mean())
    matrix = full_matrix(couplings)
    entries = np.sort(matrix[np.triu_indices(len(matrix), 1)])
    scale = float(abs(entries).max(initial=0.0))
    if scale == 0:
        return 0.0
    steps = np.diff(entries)
    steps = steps[steps > 1e-6 * scale]
    unit = float(steps.min()) if len(steps) else 2 * scale
    if not (_whole(entries * len(matrix)) or _whole(2 * entries / unit)):
        raise ValueError(
            "couplings must be Hebbian, and these are not (N J would be whole numbers up to a scale): "
            "sample and fit with DreamingModel instead"
        )
    lowest = np.linalg.eigvalsh(matrix)[:2]
    if len(matrix) > 2 and lowest[1] - lowest[0] > 1e-9 * len(matrix) * scale:
        raise ValueError(
            "couplings: the number of patterns cannot be found from a matrix if they span all spins; "
            "give PatternCouplings(patterns)"
        )
    return -float(lowest[0])


def _whole(values: NDArray[np.float64]) -> bool:
    """Whether these are integers, all odd or all even."""
    whole = np.round(values)
    return bool(abs(values - whole).max() < 1e-2 and len(np.unique(whole % 2)) == 1)
