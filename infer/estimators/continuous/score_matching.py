"""Score matching of pairwise models with quartic potentials, in closed form from moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infer.checks import row_chunks

FloatArray = NDArray[np.float64]

SINGULAR = 1e-10  # smallest eigenvalue of the correlation coefficients below which a covariance has no inverse


@dataclass(frozen=True)
class Moments:
    """Averages over samples of real units."""

    first: FloatArray  # <x_i>
    second: FloatArray  # <x_i x_j>
    cubes: FloatArray  # <x_i^3>
    cubes_with: FloatArray  # <x_i^3 x_j>
    sixth: FloatArray  # <x_i^6>

    def in_units_of(self, scale: FloatArray) -> Moments:
        """Moments of x_i / scale_i."""
        return Moments(
            self.first / scale,
            self.second / np.outer(scale, scale),
            self.cubes / scale**3,
            self.cubes_with / np.outer(scale**3, scale),
            self.sixth / scale**6,
        )


def moments_of(samples: FloatArray, weight: FloatArray | None = None) -> Moments:
    """First, second and higher moments for score matching, in chunks of rows."""
    n = samples.shape[1]
    first, second, cubes, cubes_with, sixth = np.zeros(n), np.zeros((n, n)), np.zeros(n), np.zeros((n, n)), np.zeros(n)
    total = float(len(samples) if weight is None else weight.sum())
    for rows in row_chunks(*samples.shape):
        x = samples[rows]
        share = 1.0 / total if weight is None else weight[rows, None] / total
        weighted, cube = x * share, x**3
        first += weighted.sum(axis=0)
        second += weighted.T @ x
        cubes += (cube * share).sum(axis=0)
        cubes_with += cube.T @ weighted
        sixth += (cube**2 * share).sum(axis=0)
    return Moments(first, (second + second.T) / 2.0, cubes, cubes_with, sixth)


def match_scores(
    moments: Moments, quartic: bool | NDArray[np.bool_] = False, fit_fields: bool = True, alpha: float = 0.0
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    r"""
    Couplings, fields and potentials by score matching, in closed form.

    Row i of the score :math:`\psi_i = \sum_j J_{ij} x_j + h_i - a_i x_i - b_i x_i^3` minimises
    :math:`\langle \frac12 \psi_i^2 + \partial_i \psi_i \rangle + \frac\alpha2 \sum_j J_{ij}^2`, linear least squares.
    The rows share one matrix of moments except for their own cubic term, so that one factorisation is enough.

    Parameters
    ----------
    moments : Moments
    quartic : bool or ndarray of bool (n_units,)
        Whether to fit b_i (of these units); otherwise they are zero.
    fit_fields : bool
        Whether to fit h_i; otherwise they are zero.
    alpha : float

    Returns
    -------
    couplings : ndarray (n_units, n_units)
        Row i as fitted by unit i, zero diagonal; not symmetric.
    fields, stiffnesses, quartics : ndarray (n_units,)
        h, a and b.
    """
    n = len(moments.first)
    # features x_1 ... x_n and, for the field, 1
    shared = np.zeros((n + 1, n + 1))
    shared[:n, :n] = moments.second + alpha * np.eye(n)
    shared[n, n] = 1.0
    if fit_fields:
        shared[n, :n] = shared[:n, n] = moments.first
    # column i of u and v solves for the unit vector of i and for the products of x_i^3 with the features
    with_cube = np.vstack([moments.cubes_with.T, moments.cubes if fit_fields else np.zeros(n)])
    solved = np.linalg.solve(shared, np.hstack([np.eye(n + 1, n), with_cube]))
    u, v = solved[:, :n], solved[:, n:]
    u_own, v_own = np.diag(u[:n]), np.diag(v[:n])
    # a_i has no penalty: with w = -gamma u_i - beta v_i, gamma = 1 - alpha w_ii, beta = -b_i
    beta, fitted = np.zeros(n), np.broadcast_to(quartic, n)
    if fitted.any():
        cube_u, cube_v = np.einsum("ki,ki->i", with_cube, u), np.einsum("ki,ki->i", with_cube, v)
        left = moments.sixth - cube_v
        above = cube_u - 3.0 * np.diag(moments.second) * (1.0 - alpha * u_own)
        below = left * (1.0 - alpha * u_own) - alpha * cube_u * v_own
        beta[fitted] = above[fitted] / below[fitted]
    gamma = (1.0 + alpha * beta * v_own) / (1.0 - alpha * u_own)
    weights = -(gamma * u + beta * v)
    couplings = weights[:n].T.copy()
    stiffnesses = -np.diag(couplings).copy()
    np.fill_diagonal(couplings, 0.0)
    return couplings, weights[n] if fit_fields else np.zeros(n), stiffnesses, -beta


def linear_cubes(moments: Moments, fit_fields: bool) -> NDArray[np.intp]:
    """Units whose cubes are a linear function of their values, such as units of two values: they fit any b_i."""
    first, cubes = (moments.first, moments.cubes) if fit_fields else (0.0, 0.0)
    variance = np.diag(moments.second) - first**2
    explained = cubes**2 + (np.diag(moments.cubes_with) - cubes * first) ** 2 / variance
    return np.flatnonzero(moments.sixth - explained < SINGULAR * moments.sixth)
