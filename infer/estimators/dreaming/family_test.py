"""Test whether samples of spins are those of a dreaming family, against couplings outside of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy import stats

from infer.estimators.dreaming.errors import Grouping
from infer.estimators.dreaming.modes import PatternModes
from infer.wording import shown

__all__ = ["FamilyTest", "score_test_of_family"]

FloatArray = NDArray[np.float64]
_CHUNK = 8192


@dataclass(frozen=True)
class FamilyTest:
    """
    Are the samples those of couplings of the dreaming family? Score test against couplings outside of it.

    Attributes
    ----------
    statistic : float
        Of Hotelling's test that the scores along the directions outside of the family vanish, as an F variable.
    p_value : float
        Probability of one at least as large where the family holds; accounts for autocorrelation.
    gain : float
        Nats of log pseudo-likelihood per row that couplings outside of the family gain at best along these directions,
        to second order; unbiased by noise, so that it may come out negative where the family holds.
    n_directions : int
    degrees_of_freedom : float
        Of the denominator.
    """

    statistic: float
    p_value: float
    gain: float
    n_directions: int
    degrees_of_freedom: float

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        numbers = f"p = {self.p_value:.2g}, gain {self.gain:.2g} nats a row"
        if self.p_value < 0.05:
            return (
                f"The samples are not those of any dreamed couplings ({numbers}): the rate is that of the nearest, "
                "and depends on the method."
            )
        return f"Nothing shows that the samples are not those of dreamed couplings ({numbers})."

    def to_dict(self) -> dict[str, float | int]:
        """The numbers as a dictionary.

        Returns
        -------
        dict
        """
        return asdict(self)


def score_test_of_family(
    spins: NDArray[np.int8],
    weight: FloatArray,
    modes: PatternModes,
    grouping: Grouping,
    amplitude: float,
    rate: float,
    n_directions: int,
) -> FamilyTest:
    """
    Score test of the maximum pseudo-likelihood (amplitude, rate) against further functions of the pattern modes.

    The couplings of the family are sum_k f(g_k) v_k v_k^T without diagonal, over the modes of the pattern correlations,
    with an f of two parameters. The alternatives add to f the functions g P_m(g), m = 2, 3, ..., P_m the Chebyshev
    polynomials over the range of g, of which the score is taken orthogonally to the two parameters.

    Parameters
    ----------
    spins : ndarray (n_rows, n_spins)
    weight : ndarray (n_rows,)
    modes : PatternModes
    grouping : Grouping
    amplitude, rate : float
        Where the pseudo-likelihood is largest.
    n_directions : int

    Returns
    -------
    FamilyTest

    Raises
    ------
    ValueError
        If there are too few modes, or batches, for so many directions.
    """
    g, vectors = modes.eigenvalues, modes.vectors
    if len(np.unique(np.round(g, 9))) < n_directions + 2:
        raise ValueError(f"{n_directions} directions need at least {n_directions + 2} different modes; take fewer")
    value, slope, _ = modes.weights(rate)
    inside = 2 * (g - g[-1]) / (g[0] - g[-1]) - 1
    outside = [g * chebyshev.chebval(inside, np.eye(n_directions + 2)[m]) for m in range(2, n_directions + 2)]
    functions = np.array([value, amplitude * slope, *outside])  # (2 + n_directions, n_modes)
    functions /= np.linalg.norm(functions, axis=1)[:, None]
    diagonals = functions @ (vectors**2).T  # of the matrices that they stand for
    scores, hessian = np.empty((len(spins), len(functions))), np.zeros((len(functions),) * 2)
    for first in range(0, len(spins), _CHUNK):
        rows = np.asarray(spins[first : first + _CHUNK], dtype=np.float64)
        along = rows @ vectors
        fields = [(along * f) @ vectors.T - rows * d for f, d in zip(functions, diagonals, strict=True)]
        local = amplitude * ((along * value) @ vectors.T - rows * (value @ (vectors**2).T))
        mean = np.tanh(local)
        for m, one in enumerate(fields):
            scores[first : first + len(rows), m] = ((rows - mean) * one).sum(axis=1)
            weighted = (1 - mean**2) * one * weight[first : first + len(rows), None]
            for n in range(m + 1):
                hessian[m, n] += (weighted * fields[n]).sum()
    hessian = (hessian + np.tril(hessian, -1).T) / weight.sum()
    # scores of the alternatives, less what the two parameters of the family take up
    share = np.linalg.solve(hessian[:2, :2], hessian[:2, 2:])
    free = hessian[2:, 2:] - hessian[2:, :2] @ share
    found = grouping.mean_covariance(scores[:, 2:] - scores[:, :2] @ share, weight)
    freedom = found.degrees_of_freedom - n_directions + 1
    if freedom < 1:
        raise ValueError(
            f"{shown(n_directions)} directions need more than {n_directions} batches, but there are "
            f"{found.n_batches}: raise n_batches, or take fewer directions"
        )
    square = float(found.mean @ np.linalg.solve(found.covariance, found.mean))
    statistic = square * freedom / (n_directions * found.degrees_of_freedom)
    best = np.linalg.solve(free, found.mean)
    gain = 0.5 * float(found.mean @ best - np.trace(np.linalg.solve(free, found.covariance)))
    return FamilyTest(
        statistic, float(stats.f.sf(statistic, n_directions, freedom)), gain, n_directions, float(freedom)
    )
