"""Fit a pair model to published means and correlations, without rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning

from infer.estimators.likelihood.maximise import N_CHAINS, MomentFit, maximise
from infer.estimators.likelihood.standard_errors import independent_row_errors
from infer.model import PairModel
from infer.types import FloatArray
from infer.wording import brief
from simulate.checks import Seed
from simulate.user_warnings import warn

__all__ = ["MomentModel", "fit_from_moments"]

LARGEST_EXCESS = 1e-6  # by which moments may exceed the bounds of +-1 spins, from rounding


@dataclass(frozen=True, eq=False)
class MomentModel(PairModel):
    """A pair model with standard errors for independent rows.

    Parameters
    ----------
    couplings : ndarray (n_spins, n_spins)
    fields : ndarray (n_spins,)
    couplings_std : ndarray (n_spins, n_spins)
        Standard errors of the couplings for ``n_samples`` independent rows of the fitted model.
    fields_std : ndarray (n_spins,)
        Standard errors of the fields for ``n_samples`` independent rows of the fitted model.
    converged : bool
        Whether the model has the moments that were given.
    mismatch : float
        Difference of moments: the largest (at most 20 spins), or root mean square in units of the standard errors of
        ``n_samples`` independent rows.
    n_iter : int
    """

    couplings_std: FloatArray
    fields_std: FloatArray
    converged: bool
    mismatch: float
    n_iter: int

    __repr__ = brief


def fit_from_moments(
    means: ArrayLike,
    second_moments: ArrayLike,
    n_samples: float,
    *,
    alpha: float | None = None,
    fit_fields: bool = True,
    method: str = "auto",
    n_chains: int = N_CHAINS,
    max_iter: int | None = None,
    tol: float | None = None,
    seed: Seed = 0,
) -> MomentModel:
    r"""
    Couplings and fields of maximum likelihood from means and second moments alone.

    Maximises :math:`\sum_{i<j} J_{ij} \langle s_i s_j \rangle + \sum_i h_i \langle s_i \rangle - \log Z -
    \frac\alpha2 \sum_{i<j} J_{ij}^2`, as `MaximumLikelihood` does from rows.

    Parameters
    ----------
    means : array-like (n_spins,)
        :math:`\langle s_i \rangle` of spins of -1 and +1, between -1 and 1; ``2 p - 1`` for the probability p of +1.
    second_moments : array-like (n_spins, n_spins)
        :math:`\langle s_i s_j \rangle`; the diagonal is ignored. For covariances c it is ``c + outer(means, means)``.
    n_samples : float
        Number of independent rows that the moments come from.
    alpha : float, optional
        Strength of the penalty; by default that of one prior sample, 1 / n_samples.
    fit_fields : bool, default True
        Whether to fit fields to the means; otherwise they are zero.
    method : {"auto", "exact", "pcd"}, default "auto"
        "auto" is "exact" up to 20 spins, "pcd" above.
    n_chains, max_iter, tol
        As in `MaximumLikelihood`.
    seed : int, SeedSequence, Generator or None, default 0

    Returns
    -------
    MomentModel

    Raises
    ------
    ValueError
        If moments are not those of any spins of -1 and +1 (the message names the pair), or a parameter is out of range.

    Warns
    -----
    ConvergenceWarning
        If the model does not have these moments, or no finite couplings do; the message gives reason and remedy.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import fit_from_moments
    >>> model = fit_from_moments([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]], n_samples=1000, alpha=0.0)
    >>> round(model.couplings[0, 1], 4)  # arctanh(1/2)
    0.5493
    """
    first, second = check_moments(means, second_moments)
    if not (np.isfinite(n_samples) and n_samples >= 1):
        raise ValueError(f"n_samples must be at least 1, got {n_samples}")
    if alpha is not None and not alpha >= 0:
        raise ValueError(f"alpha must be at least 0, got {alpha}")
    if method not in ("auto", "exact", "pcd"):
        raise ValueError(f"method must be 'auto', 'exact' or 'pcd', got {method!r}")
    fit: MomentFit = maximise(
        first, second, n_samples, alpha, fit_fields, seed, method=method, n_chains=n_chains, max_iter=max_iter, tol=tol
    )
    if not fit.converged:
        warn(fit.message, ConvergenceWarning, stacklevel=2)
    std = independent_row_errors(fit, first, second, n_samples)
    return MomentModel(
        fit.couplings, fit.fields, std.couplings, std.fields, fit.converged, fit.mismatch, fit.n_iter
    )  # fmt: skip


def check_moments(means: ArrayLike, second_moments: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Means and second moments in double precision; an error where no spins of +-1 can have them."""
    first, second = np.array(means, dtype=np.float64), np.array(second_moments, dtype=np.float64)
    if first.ndim != 1 or len(first) < 2:
        raise ValueError(f"means must have shape (n_spins,) with at least two spins, got {first.shape}")
    n = len(first)
    if second.shape != (n, n):
        raise ValueError(f"second_moments must have shape ({n}, {n}) to fit the means, got {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("means and second_moments must be finite")
    np.fill_diagonal(second, 1.0)
    if np.abs(second - second.T).max() > LARGEST_EXCESS:
        i, j = (int(k) for k in np.unravel_index(np.argmax(np.abs(second - second.T)), second.shape))
        raise ValueError(
            f"second_moments must be symmetric, but [{i}, {j}] is {second[i, j]:.6g} and [{j}, {i}] is "
            f"{second[j, i]:.6g}; if only one triangle is filled, pass S + S.T"
        )
    constant = np.flatnonzero(np.abs(first) >= 1.0)
    if len(constant):
        i = int(constant[0])
        raise ValueError(
            f"means[{i}] is {first[i]:g}: the mean of a spin that varies lies between -1 and 1; leave out spins that "
            "never change, and turn a probability p of +1 into 2 p - 1"
        )
    second = (second + second.T) / 2.0
    low = np.abs(first[:, None] + first) - 1.0 - second
    high = second - 1.0 + np.abs(first[:, None] - first)
    excess = np.maximum(low, high)
    if excess.max() > LARGEST_EXCESS:
        i, j = (int(k) for k in np.unravel_index(np.argmax(excess), excess.shape))
        raise ValueError(
            f"no two spins have means {first[i]:.4g} and {first[j]:.4g} and <s_i s_j> = {second[i, j]:.4g} (spins {i} "
            f"and {j}): it lies between {abs(first[i] + first[j]) - 1:.4g} and {1 - abs(first[i] - first[j]):.4g}; "
            "for covariances pass covariances + outer(means, means)"
        )
    return first, second
