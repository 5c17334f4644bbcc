"""Model of spins with pair couplings and fields, exchanged between estimators and other functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from infer.checks import passing_rows
from infer.types import FloatArray
from infer.wording import brief
from simulate.couplings import check_symmetric

__all__ = ["PairModel", "SpinModel", "fitted_estimator", "off_diagonal", "symmetric_matrix"]


@dataclass(frozen=True, eq=False)
class SpinModel:
    """Pair couplings and fields of spins of -1 and +1, with the energies and local fields that follow from them.

    ``E(s) = -1/2 sum_{i != j} J_ij s_i s_j - sum_i h_i s_i``; couplings and fields contain the inverse temperature.
    A model with a further term of the energy adds it to `energies` and to `local_fields`.

    Parameters
    ----------
    couplings : ndarray of float64, shape (n_spins, n_spins)
        ``J``, symmetric with zero diagonal, in units of the temperature.
    fields : ndarray of float64, shape (n_spins,)
        ``h``, in units of the temperature.
    """

    couplings: FloatArray
    fields: FloatArray

    @property
    def n_spins(self) -> int:
        """Number of spins."""
        return len(self.fields)

    def local_fields(self, spins: ArrayLike) -> FloatArray:
        """Local fields of every spin in every row, in units of the temperature.

        ``(E(s with s_i = -1) - E(s with s_i = +1)) / 2``, which is ``sum_j J_ij s_j + h_i`` of pair couplings.

        Parameters
        ----------
        spins : array_like, shape (n_rows, n_spins)
            Values -1 and +1.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_spins)
        """
        return np.asarray(spins, dtype=np.float64) @ self.couplings + self.fields

    def energies(self, spins: ArrayLike) -> FloatArray:
        """Energies ``E(s)`` of rows of spins, in units of the temperature.

        Parameters
        ----------
        spins : array_like, shape (n_rows, n_spins)
            Values -1 and +1.

        Returns
        -------
        ndarray of float64, shape (n_rows,)
        """
        rows = np.asarray(spins)
        energy = np.empty(len(rows))
        for part, block in self.chunks(rows):
            energy[part] = -np.einsum("ri,ri->r", block, 0.5 * (block @ self.couplings) + self.fields)
        return energy

    def log_pseudolikelihood(self, spins: ArrayLike) -> FloatArray:
        """``sum_i log p(s_i | all other spins)`` of rows of spins, in nats.

        Parameters
        ----------
        spins : array_like, shape (n_rows, n_spins)
            Values -1 and +1.

        Returns
        -------
        ndarray of float64, shape (n_rows,)
        """
        rows = np.asarray(spins)
        values = np.empty(len(rows))
        for part, block in self.chunks(rows):
            values[part] = -np.logaddexp(0.0, -2.0 * block * self.local_fields(block)).sum(axis=1)
        return values

    def chunks(self, rows: Any) -> Iterator[tuple[slice, FloatArray]]:
        """Rows in double precision, some at a time.

        Parameters
        ----------
        rows : array, shape (n_rows, n_spins)

        Yields
        ------
        (slice, ndarray of float64), shapes (n_chunk, n_spins)

        Raises
        ------
        ValueError
            If the rows have another number of spins than the model.
        """
        if rows.ndim != 2 or rows.shape[1] != self.n_spins:
            raise ValueError(f"spins: expected shape (n_rows, {self.n_spins}) to fit the couplings, got {rows.shape}")
        for part in passing_rows(rows):
            yield part, rows[part].astype(np.float64)


@dataclass(frozen=True, eq=False)
class PairModel(SpinModel):
    """Distribution of spins ``s`` of -1 and +1 with pair couplings and fields, ``P(s) ~ exp(-E(s))``.

    ``E(s) = -1/2 sum_{i != j} J_ij s_i s_j - sum_i h_i s_i``; couplings and fields contain the inverse temperature.

    Parameters
    ----------
    couplings : ndarray of float64, shape (n_spins, n_spins)
        ``J``, symmetric with zero diagonal, in units of the temperature.
    fields : ndarray of float64, shape (n_spins,)
        ``h``, in units of the temperature.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import PairModel
    >>> model = PairModel.of([[0.0, 0.5], [0.5, 0.0]])
    >>> model.energies(np.array([[1, 1], [1, -1]]))
    array([-0.5,  0.5])
    """

    __repr__ = brief

    @classmethod
    def of(cls, model: Any, fields: ArrayLike | None = None, *, name: str = "couplings") -> Self:
        """Model of a fitted estimator, of matrices, or a given model unchanged.

        Parameters
        ----------
        model : PairModel, fitted estimator, or array_like of shape (n_spins, n_spins)
            Couplings; the diagonal is ignored. Entries that should be equal are averaged where they differ by up to
            1e-6 of the largest one.
        fields : array_like, shape (n_spins,), optional
            By default those of the model, zero for a bare matrix.
        name : str
            Name of the couplings in messages.

        Returns
        -------
        PairModel

        Raises
        ------
        ValueError
            If an estimator is not fitted, couplings are not square, symmetric and finite, or fields do not fit them.
        """
        if isinstance(model, PairModel):
            if fields is None and isinstance(model, cls):
                return model
            couplings: Any = model.couplings
            own: Any = model.fields
        elif hasattr(model, "fit"):
            if fitted_estimator(model) is None:
                raise ValueError(f"{name}: this {type(model).__name__} is not fitted; call fit first")
            couplings, own = model.couplings_, getattr(model, "fields_", None)
        else:
            couplings, own = model, None
        matrix = symmetric_matrix(couplings, name)
        return cls(matrix, _check_fields(own if fields is None else fields, len(matrix)))


def fitted_estimator(model: Any) -> Any:
    """The model itself if it is a fitted estimator; None for matrices and models.

    Parameters
    ----------
    model : object
        Any argument of `PairModel.of`.

    Returns
    -------
    SpinEstimator or None
    """
    return model if hasattr(model, "couplings_") else None


def symmetric_matrix(couplings: ArrayLike, name: str = "couplings", *, diagonal: bool = False) -> FloatArray:
    """Check a matrix (n_spins, n_spins) such as couplings; return a float64 copy that is exactly symmetric.

    Parameters
    ----------
    couplings : array_like, shape (n_spins, n_spins)
    name : str
        Name of the matrix in messages.
    diagonal : bool, default False
        Whether to keep the diagonal, as of correlations; that of couplings is set to zero.

    Returns
    -------
    ndarray of float64, shape (n_spins, n_spins)

    Raises
    ------
    ValueError
        If it is not a square matrix of finite real numbers of at least two spins, or not symmetric.
    """
    array = np.asarray(couplings)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(f"{name}: expected a square matrix (n_spins, n_spins), got shape {array.shape}")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected real numbers, got dtype {array.dtype}")
    if array.shape[0] < 2:
        raise ValueError(f"{name}: at least two spins are needed, got shape {array.shape}")
    matrix = array.astype(np.float64)
    if not diagonal:
        np.fill_diagonal(matrix, 0.0)
    bad = np.argwhere(~np.isfinite(matrix))
    if bad.size:
        i, j = bad[0]
        raise ValueError(f"{name}: entry [{i}, {j}] is {matrix[i, j]}; all entries must be finite")
    return np.asarray(check_symmetric(matrix, name))


def off_diagonal(couplings: ArrayLike, name: str = "couplings") -> FloatArray:
    """`symmetric_matrix` for comparisons, which need couplings that are not all zero."""
    matrix = symmetric_matrix(couplings, name)
    if not matrix.any():
        raise ValueError(f"{name}: all entries off the diagonal are 0, so that there is nothing to compare")
    return matrix


def _check_fields(fields: ArrayLike | None, n_spins: int) -> FloatArray:
    """Fields (n_spins,) as a float64 copy, zero by default."""
    vector = np.zeros(n_spins) if fields is None else np.array(fields, dtype=np.float64)
    if vector.shape != (n_spins,):
        raise ValueError(f"fields: expected shape ({n_spins},), one for each spin, got {vector.shape}")
    bad = np.flatnonzero(~np.isfinite(vector))
    if bad.size:
        raise ValueError(f"fields: entry {bad[0]} is {vector[bad[0]]}; all entries must be finite")
    return vector
