"""Spectrum of Hebbian couplings of random patterns in the limit of many spins."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulate.checks import check_count, check_number

__all__ = ["distances_from_edge", "hebbian_spectrum", "spectrum_edge"]


def hebbian_spectrum(load: float, n_points: int = 2000) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues of xi^T xi / N for random patterns and N -> infinity, with their shares (Marchenko-Pastur law).

    At load alpha = P / N a share 1 - alpha is at 0 (if alpha < 1), the others have the density sqrt((x+ - x) (x - x-))
    / (2 pi x) between x-+ = (1 -+ sqrt(alpha))^2. Sums of shares times a function of the eigenvalues are averages over
    the spectrum: x = 1 + alpha + 2 sqrt(alpha) cos(angle) at the midpoints of equal intervals of the angle, which
    converges exponentially for smooth functions, and is also valid for poles at the upper edge.

    Parameters
    ----------
    load : float
        alpha > 0.
    n_points : int, default 2000
        Number of eigenvalues other than 0.

    Returns
    -------
    eigenvalues : ndarray, shape (n_points,) or (n_points + 1,)
        Increasing. Couplings with zero diagonal have eigenvalues x - alpha.
    shares : ndarray, of the same shape
        They add up to 1.

    Raises
    ------
    ValueError
        If a number is out of range.

    References
    ----------
    Marchenko, Pastur 1967, Math. USSR Sb. 1, 457.
    """
    distances, shares = distances_from_edge(load, n_points)
    return spectrum_edge(load) - distances, shares


def distances_from_edge(load: float, n_points: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances of the eigenvalues of `hebbian_spectrum` from the upper edge, without loss of precision."""
    alpha = check_number(load, "load", low=0.0, open_low=True)
    n_points = check_count(n_points, "n_points", low=1)
    root = math.sqrt(alpha)
    angles = (np.arange(n_points, 0, -1) - 0.5) * math.pi / n_points
    distances = 4 * root * np.sin(angles / 2) ** 2
    # the weight (2 root sin)^2 / (2 pi x), x from the lower edge: exact where it is near 0, at loads near 1
    eigenvalues = (1 - root) ** 2 + 4 * root * np.cos(angles / 2) ** 2
    shares = 2 * alpha * np.sin(angles) ** 2 / eigenvalues / n_points
    if alpha < 1:
        distances, shares = np.append(spectrum_edge(alpha), distances), np.append(1 - alpha, shares)
    return distances, shares


def spectrum_edge(load: float) -> float:
    """Largest eigenvalue (1 + sqrt(alpha))^2 of the law of Marchenko and Pastur."""
    return (1 + math.sqrt(load)) ** 2
