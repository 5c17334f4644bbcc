"""Energies of a pair model with a potential of the population count."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from infer.errors import InputError
from infer.model import PairModel
from infer.types import FloatArray

__all__ = ["PairsAndCounts", "pairs_and_counts"]


@dataclass(frozen=True, eq=False)
class PairsAndCounts:
    """``E(s) = -1/2 sum J_ij s_i s_j - sum h_i s_i - V(K)``, K the number of spins at +1."""

    pairs: PairModel
    potential: FloatArray  # (n_spins + 1,)

    @property
    def n_spins(self) -> int:
        """Number of spins."""
        return self.pairs.n_spins

    def energies(self, spins: ArrayLike) -> FloatArray:
        """Energies of rows of spins, in units of the temperature.

        Parameters
        ----------
        spins : array_like, shape (n_rows, n_spins)

        Returns
        -------
        ndarray of float64, shape (n_rows,)
        """
        rows = np.asarray(spins)
        return self.pairs.energies(rows) - self.potential[(rows > 0).sum(axis=1)]


def pairs_and_counts(pairs: PairModel, potential: ArrayLike) -> PairsAndCounts:
    """A pair model with a potential ``V(0), ..., V(n_spins)``, checked.

    Parameters
    ----------
    pairs : PairModel
    potential : array_like, shape (n_spins + 1,)

    Returns
    -------
    PairsAndCounts
    """
    values = np.asarray(potential, dtype=np.float64)
    if values.shape != (pairs.n_spins + 1,) or not np.isfinite(values).all():
        raise InputError(
            f"count potential: expected {pairs.n_spins + 1} finite numbers, one for each count, got {values.shape}"
        )
    return PairsAndCounts(pairs, values)
