"""A pair model with a potential of the number of +1, the population count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from infer.errors import InputError
from infer.model import PairModel, SpinModel
from infer.types import FloatArray, IntArray
from infer.wording import brief

__all__ = ["CountModel", "model_of", "pairs_only"]


@dataclass(frozen=True, eq=False)
class CountModel(SpinModel):
    """Distribution of spins ``s`` of -1 and +1 with pair couplings, fields and a potential of the population count.

    ``P(s) ~ exp(-E(s))``, ``E(s) = -1/2 sum_{i != j} J_ij s_i s_j - sum_i h_i s_i - V(K)``, K the number of +1.

    Parameters
    ----------
    couplings : ndarray of float64, shape (n_spins, n_spins)
        ``J``, symmetric with zero diagonal, in units of the temperature.
    fields : ndarray of float64, shape (n_spins,)
        ``h``, in units of the temperature.
    potential : ndarray of float64, shape (n_spins + 1,)
        ``V`` of the counts 0, 1, ..., n_spins, in units of the temperature.

    References
    ----------
    G. Tkacik, O. Marre, D. Amodei, E. Schneidman, W. Bialek, M. J. Berry 2014, PLoS Comput. Biol. 10, e1003408,
    doi:10.1371/journal.pcbi.1003408.

    Examples
    --------
    >>> import numpy as np
    >>> from infer import CountModel
    >>> model = CountModel.of(np.zeros((2, 2)), potential=[0.0, 0.0, 1.0])
    >>> model.energies(np.array([[1, 1], [1, -1]]))
    array([-1., -0.])
    """

    potential: FloatArray

    __repr__ = brief

    @classmethod
    def of(cls, model: Any, fields: ArrayLike | None = None, potential: ArrayLike | None = None) -> Self:
        """Model of a fitted estimator, of matrices, or a given model unchanged.

        Parameters
        ----------
        model : CountModel, PairModel, fitted estimator, or array_like of shape (n_spins, n_spins)
        fields : array_like, shape (n_spins,), optional
        potential : array_like, shape (n_spins + 1,), optional
            By default that of the model, zero where it has none.

        Returns
        -------
        CountModel

        Raises
        ------
        ValueError
            As `PairModel.of`, or if the potential does not fit the couplings.
        """
        own = getattr(model, "potential", getattr(model, "count_potential_", None))
        if isinstance(model, CountModel):
            model = PairModel(model.couplings, model.fields)
        pair = PairModel.of(model, fields)
        chosen = own if potential is None else potential
        values = np.zeros(pair.n_spins + 1) if chosen is None else np.array(chosen, dtype=np.float64)
        if values.shape != (pair.n_spins + 1,):
            raise InputError(
                f"potential: expected shape ({pair.n_spins + 1},), one for each number of +1 from 0 to {pair.n_spins}, "
                f"got {values.shape}"
            )
        if not np.isfinite(values).all():
            count = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(f"potential: entry {count} is {values[count]}; all entries must be finite")
        return cls(pair.couplings, pair.fields, values)

    @property
    def half_steps(self) -> FloatArray:
        """``(V(k + 1) - V(k)) / 2``, the field on a spin when k others are +1; shape (n_spins,)."""
        return np.asarray(np.diff(self.potential) / 2.0)

    def local_fields(self, spins: ArrayLike) -> FloatArray:
        """Local fields of every spin in every row, with the half steps of V, in units of the temperature.

        Parameters
        ----------
        spins : array_like, shape (n_rows, n_spins)
            Values -1 and +1.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_spins)
        """
        rows = np.asarray(spins)
        up = rows > 0
        others = up.sum(axis=1, keepdims=True) - up
        return np.asarray(super().local_fields(rows) + self.half_steps[others])

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
        return np.asarray(super().energies(rows) - self.potential[self.counts(rows)])

    def counts(self, spins: ArrayLike) -> IntArray:
        """Number of +1 in each row.

        Parameters
        ----------
        spins : array_like, shape (n_rows, n_spins)
            Values -1 and +1.

        Returns
        -------
        ndarray of int64, shape (n_rows,)
        """
        return np.asarray((np.asarray(spins) > 0).sum(axis=1, dtype=np.int64))

    def without_quadratic(self, weight: ArrayLike) -> tuple[Self, float]:
        """The same distribution with a small potential, its quadratic part moved to couplings and fields.

        With ``S = sum_i s_i`` and ``K = (N + S) / 2``, a part ``a + b K + c K^2`` of V is a constant, fields
        ``b/2 + c N/2`` and uniform couplings ``c/2``.

        Parameters
        ----------
        weight : array_like, shape (n_spins + 1,)
            Weights of the counts in the least-squares fit of the quadratic part, such as their shares.

        Returns
        -------
        model : CountModel
        constant : float
            Energy of each state in the new model less that in this one.
        """
        n = self.n_spins
        counts = np.arange(n + 1.0)
        powers = np.stack([np.ones(n + 1), counts, counts**2], axis=1)
        root = np.sqrt(np.asarray(weight, dtype=np.float64))
        scale = np.array([1.0, n, n**2])
        a, b, c = np.linalg.lstsq(powers / scale * root[:, None], self.potential * root, rcond=None)[0] / scale
        couplings = self.couplings + c / 2.0
        np.fill_diagonal(couplings, 0.0)
        fields = self.fields + b / 2.0 + c * n / 2.0
        constant = a + b * n / 2.0 + c * (n**2 + n) / 4.0
        return type(self)(couplings, fields, self.potential - powers @ (a, b, c)), float(constant)


def model_of(model: Any, fields: ArrayLike | None = None) -> PairModel | CountModel:
    """Convert a model to a `CountModel` where it has a potential of the population count, else to a `PairModel`.

    Parameters
    ----------
    model : CountModel, PairModel, fitted estimator, or array_like of shape (n_spins, n_spins)
    fields : array_like, shape (n_spins,), optional

    Returns
    -------
    PairModel or CountModel
    """
    if hasattr(model, "potential") or hasattr(model, "count_potential_"):
        return CountModel.of(model, fields)
    return PairModel.of(model, fields)


def pairs_only(model: Any, fields: ArrayLike | None, use: str) -> PairModel:
    """A model as a `PairModel`, refused where it has a potential of the population count, which would be lost.

    Parameters
    ----------
    model : PairModel, fitted estimator, or array_like of shape (n_spins, n_spins)
    fields : array_like, shape (n_spins,), optional
    use : str
        What needs a pair model, for the message.

    Returns
    -------
    PairModel

    Raises
    ------
    InputError
        If the model has a potential of the population count.
    ValueError
        As `PairModel.of`.
    """
    if hasattr(model, "potential") or hasattr(model, "count_potential_"):
        raise InputError(
            f"model: {use} takes pair models only, and this {type(model).__name__} has a potential of the number of +1 "
            "besides couplings and fields; pass a pair model, such as MaximumLikelihood().fit(X), and compare the two "
            "on held-out rows with compare_models(X)"
        )
    return PairModel.of(model, fields)
