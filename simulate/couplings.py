"""Couplings that store patterns, in closed form: Hebbian, dreaming, pseudo-inverse."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from simulate.checks import check_number, check_patterns, first_place
from simulate.modes import DreamingModes

__all__ = [
    "PatternCouplings",
    "check_couplings",
    "check_symmetric",
    "dreaming",
    "full_matrix",
    "hebbian",
    "lowest_rate",
    "pattern_correlation",
    "pseudo_inverse",
]


def pattern_correlation(patterns: ArrayLike) -> NDArray[np.float64]:
    """Correlation of the patterns, C = xi xi^T / N.

    Parameters
    ----------
    patterns : array_like of +-1, shape (n_patterns, n_spins)

    Returns
    -------
    ndarray, shape (n_patterns, n_patterns)

    Raises
    ------
    ValueError
        If the patterns contain values other than +1 and -1.
    """
    xi = check_patterns(patterns).astype(np.float64)
    return xi @ xi.T / xi.shape[1]


def lowest_rate(patterns: ArrayLike) -> float:
    """Open lower bound of the dreaming rate, -1 / max eig(C): at it, I + rate C becomes singular.

    Parameters
    ----------
    patterns : array_like of +-1, shape (n_patterns, n_spins)

    Returns
    -------
    float
        Negative, dimensionless.

    Raises
    ------
    ValueError
        If the patterns contain values other than +1 and -1.
    """
    return DreamingModes.from_patterns(patterns).lower_bound


class PatternCouplings:
    """Dreaming couplings stored as patterns, with O(P) numbers per spin instead of O(N).

    Represents the matrix ``dreaming(patterns, rate)``,

        J_ij = (1/N) sum_{mu nu} xi_i^mu [(1 + rate) (I + rate C)^-1]_{mu nu} xi_j^nu   (i != j),   J_ii = 0,

    and is accepted wherever couplings are; a single-spin update then costs O(P).

    Parameters
    ----------
    patterns : array_like of +-1, shape (n_patterns, n_spins)
    rate : float, default 0
        Dreaming rate, above -1 / max eig(C); 0 is Hebbian.

    Attributes
    ----------
    patterns : ndarray of int8, shape (n_patterns, n_spins)
    rate : float
    kernel : ndarray, shape (n_patterns, n_patterns)
        (1 + rate) (I + rate C)^-1 / N on the span of the patterns; where patterns span all spins and the rate is not 0,
        without the part that only adds to the diagonal of the couplings, since rounding of that part would exceed the
        couplings at large rates.
    weighted_patterns : ndarray, shape (n_patterns, n_spins)
        kernel @ patterns; off the diagonal J = patterns^T weighted_patterns.
    self_couplings : ndarray, shape (n_spins,)
        Diagonal that is subtracted, sum_mu xi_i^mu weighted_i^mu.

    Raises
    ------
    ValueError
        If the patterns contain values other than +1 and -1, or the rate is at or below its bound.

    References
    ----------
    Fachechi, Agliari, Barra 2019, Neural Networks 112, 24 (arXiv 1810.12217).
    """

    def __init__(self, patterns: ArrayLike, rate: float = 0.0) -> None:
        self.patterns = check_patterns(patterns)
        self.rate = check_number(rate, "rate")
        n_patterns, n_spins = self.patterns.shape
        self._modes: DreamingModes | None = None
        if self.rate == 0.0:
            self.kernel = np.eye(n_patterns) / n_spins
            self.weighted_patterns: NDArray[np.float64] = self.kernel @ self.patterns
        else:
            modes = DreamingModes.from_patterns(self.patterns)
            if self.rate <= modes.lower_bound:
                bound = f"-1 / max eig(C) = {modes.lower_bound:.6g}"
                raise ValueError(f"rate must be above {bound} for these patterns, got {self.rate:g}")
            self._modes = modes
            strengths = modes.factor(self.rate) * modes.direction(self.rate) / (modes.eigenvalues * n_spins)
            # orthonormal in pattern space, as the eigenvectors are in spin space
            left = self.patterns @ (modes.eigenvectors / np.sqrt(modes.eigenvalues * n_spins))
            # linearly dependent patterns have no effect along some directions: any positive number is correct there
            rest = 0.0 if modes.complete else float(strengths.min())
            self.kernel = rest * np.eye(n_patterns) + (left * (strengths - rest)) @ left.T
            self.weighted_patterns = (left * (strengths * np.sqrt(modes.eigenvalues * n_spins))) @ modes.eigenvectors.T
        self.self_couplings: NDArray[np.float64] = np.einsum("mi,mi->i", self.patterns, self.weighted_patterns)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the matrix, (n_spins, n_spins)."""
        return self.patterns.shape[1], self.patterns.shape[1]

    def toarray(self) -> NDArray[np.float64]:
        """The couplings as a matrix.

        Returns
        -------
        ndarray of float64, shape (n_spins, n_spins)
            Symmetric with zero diagonal, in units of temperature.
        """
        if self._modes is not None:
            return self._modes.couplings(self.rate)
        matrix = self.patterns.T @ self.weighted_patterns
        matrix = (matrix + matrix.T) / 2  # the product is symmetric up to rounding only
        np.fill_diagonal(matrix, 0.0)
        return matrix

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the matrix of PatternCouplings is computed on request and cannot be given without a copy")
        return self.toarray().astype(dtype or np.float64, copy=False)

    def __matmul__(self, states: ArrayLike) -> NDArray[np.float64]:
        """J @ states for states (n_spins,) or (n_spins, n_columns), in O(P N) per column."""
        columns = np.asarray(states, dtype=np.float64)
        diagonal = self.self_couplings if columns.ndim == 1 else self.self_couplings[:, None]
        return self.patterns.T @ (self.weighted_patterns @ columns) - diagonal * columns

    def __repr__(self) -> str:
        n_patterns, n_spins = self.patterns.shape
        return f"PatternCouplings({n_patterns} patterns of {n_spins} spins, rate={self.rate:g})"


def hebbian(patterns: ArrayLike) -> NDArray[np.float64]:
    """Hebbian couplings J = xi^T xi / N with zero diagonal.

    Parameters
    ----------
    patterns : array_like of +-1, shape (n_patterns, n_spins)

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric, zero diagonal; an energy for each pair of spins, in units of temperature.

    Raises
    ------
    ValueError
        If the patterns contain values other than +1 and -1.

    References
    ----------
    Hopfield 1982, Proc. Natl. Acad. Sci. 79, 2554, doi:10.1073/pnas.79.8.2554.
    """
    xi = check_patterns(patterns).astype(np.float64)
    couplings = xi.T @ xi / xi.shape[1]
    np.fill_diagonal(couplings, 0.0)
    return couplings


def dreaming(patterns: ArrayLike, rate: float) -> NDArray[np.float64]:
    """Couplings after dreaming, J = (1/N) xi^T (1 + rate) (I + rate C)^-1 xi with zero diagonal.

    The rate (lambda) is the time spent dreaming: 0 gives the Hebbian couplings, infinity the projector on the patterns
    (`pseudo_inverse`). Negative rates, down to -1 / max eig(C), have the opposite effect of unlearning.

    Parameters
    ----------
    patterns : array_like of +-1, shape (n_patterns, n_spins)
    rate : float
        Dreaming rate, dimensionless, above -1 / max eig(C).

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric, zero diagonal; in units of temperature.

    Raises
    ------
    ValueError
        If the patterns contain values other than +1 and -1, or the rate is at or below its bound.

    References
    ----------
    Fachechi, Agliari, Barra 2019, Neural Networks 112, 24 (arXiv 1810.12217).
    """
    return PatternCouplings(patterns, rate).toarray()


def pseudo_inverse(patterns: ArrayLike) -> NDArray[np.float64]:
    """Pseudo-inverse (projector) couplings J = (1/N) xi^T C^-1 xi with zero diagonal.

    With the diagonal, J would project on the span of the patterns; it is zero here as in all couplings of this package.
    Where patterns depend linearly on each other, C^-1 is the Moore-Penrose inverse and the projector is the same; where
    they span all spins it is the identity, and all couplings are 0.

    Parameters
    ----------
    patterns : array_like of +-1, shape (n_patterns, n_spins)

    Returns
    -------
    ndarray, shape (n_spins, n_spins)
        Symmetric, zero diagonal; in units of temperature.

    Raises
    ------
    ValueError
        If the patterns contain values other than +1 and -1.

    References
    ----------
    Personnaz, Guyon, Dreyfus 1985, J. Physique Lett. 46, L359; Kanter, Sompolinsky 1987, Phys. Rev. A 35, 380.
    """
    modes = DreamingModes.from_patterns(patterns)
    if modes.complete:
        return np.zeros((modes.n_spins, modes.n_spins))
    return modes.couplings(np.inf)


#: Largest difference between J_ij and J_ji that counts as noise, relative to the largest coupling.
ASYMMETRY = 1e-6


def check_symmetric(matrix: Any, name: str = "couplings") -> Any:
    """Check a symmetric matrix; return it, or its average with its transpose where the two differ by noise.

    Differences up to 1e-6 of the largest entry count as noise: products in another order, and single precision.

    Parameters
    ----------
    matrix : ndarray or scipy sparse array, shape (n_spins, n_spins)
        Finite numbers.
    name : str
        Name of the matrix in messages.

    Returns
    -------
    ndarray or scipy sparse array, shape (n_spins, n_spins)
        Exactly symmetric; the given object if it was symmetric already.

    Raises
    ------
    ValueError
        If two entries that should be equal differ; triangular matrices are recognised, since averaging would halve
        their couplings.
    """
    difference = abs(matrix - matrix.T)
    largest = difference.max()
    if largest == 0:
        return matrix
    scale = float(abs(matrix).max())
    if largest > ASYMMETRY * scale:
        row, column = (int(k) for k in np.unravel_index(int(difference.argmax()), matrix.shape))
        entries = matrix.toarray() if sparse.issparse(matrix) else matrix
        raise ValueError(
            f"{name} must be symmetric: {name}[{row}, {column}] = {entries[row, column]:.9g} but "
            f"{name}[{column}, {row}] = {entries[column, row]:.9g}; {remedy_of_asymmetry(entries, 'pass')}"
        )
    return (matrix + matrix.T) / 2


def remedy_of_asymmetry(matrix: NDArray[Any], verb: str) -> str:
    """Text that says how to make a matrix symmetric.

    Parameters
    ----------
    matrix : ndarray, shape (n_spins, n_spins)
    verb : str
        What is done with the result, such as "pass".

    Returns
    -------
    str
        For a triangular matrix the sum with its transpose, since averaging would halve its couplings.
    """
    off = matrix - np.diag(np.diag(matrix))
    if not np.triu(off).any() or not np.tril(off).any():
        return f"it is triangular, so that it holds each pair once: {verb} J + J.T (with the diagonal only once)"
    return f"if the difference is noise, {verb} (J + J.T) / 2"


def check_couplings(
    couplings: Any, name: str = "couplings", *, symmetric: bool = True, zero_diagonal: bool = True
) -> Any:
    """Check couplings; return a float64 matrix, a CSR array, or `PatternCouplings`.

    Symmetry is checked by `check_symmetric`; where a zero diagonal is required it must be exactly zero.
    """
    if isinstance(couplings, PatternCouplings):
        return couplings
    if np.iscomplexobj(couplings):
        raise ValueError(f"{name} are complex numbers: couplings must be real")
    if sparse.issparse(couplings):
        matrix: Any = sparse.csr_array(couplings, dtype=np.float64, copy=True)
        matrix.sum_duplicates()
    else:
        try:
            if np.asarray(couplings).dtype.kind in "US":
                raise TypeError("text")
            matrix = np.array(couplings, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{name} must be a matrix of numbers (n_spins, n_spins)") from None
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise ValueError(f"{name} must be a square matrix (n_spins, n_spins), got shape {matrix.shape}")
    entries = matrix.data if sparse.issparse(matrix) else matrix
    if not np.isfinite(entries).all():
        place = _entry(matrix, ~np.isfinite(entries))
        raise ValueError(f"{name}[{place[0]}, {place[1]}] = {matrix[place]}: couplings must be finite")
    if zero_diagonal and matrix.diagonal().any():
        (spin,) = first_place(matrix.diagonal() != 0)
        raise ValueError(
            f"{name}[{spin}, {spin}] = {matrix.diagonal()[spin]:g}: a spin does not act on itself, "
            "set the diagonal to zero"
        )
    if symmetric:
        matrix = check_symmetric(matrix, name)
    return matrix


def full_matrix(couplings: Any, *, symmetric: bool = True) -> NDArray[np.float64]:
    """Checked couplings of any kind as a full matrix (a copy), exactly symmetric where required."""
    checked = check_couplings(couplings, symmetric=symmetric)
    matrix: NDArray[np.float64] = np.array(checked.toarray() if hasattr(checked, "toarray") else checked)
    return (matrix + matrix.T) / 2 if symmetric else matrix


def _entry(matrix: Any, wrong: NDArray[np.bool_]) -> tuple[int, int]:
    """Row and column of the first wrong entry of a dense or CSR matrix."""
    if not sparse.issparse(matrix):
        row, column = first_place(wrong)
        return row, column
    at = int(np.argmax(wrong))
    return int(np.searchsorted(matrix.indptr, at, side="right") - 1), int(matrix.indices[at])
