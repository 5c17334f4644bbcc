"""The terms of an energy (pairs, fields, population count) as one vector of parameters and of their statistics."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from infer.types import FloatArray


@dataclass(frozen=True, eq=False)
class Parameters:
    """Couplings (n_spins, n_spins), fields (n_spins,) and potential V (n_spins + 1,) of the number of +1."""

    couplings: FloatArray
    fields: FloatArray
    potential: FloatArray

    @property
    def half_steps(self) -> FloatArray:
        """(V(k + 1) - V(k)) / 2, the field on a spin when k others are +1; (n_spins,)."""
        return np.asarray(np.diff(self.potential) / 2.0)


@dataclass(frozen=True)
class Terms:
    """The free parameters as a vector: couplings above the diagonal, fields, then V of the larger counts.

    A constant, linear or quadratic V is the same as a constant, fields and uniform couplings, so that V is 0 for the
    counts 0, 1, 2 (without fields for 0 and 1).
    """

    n_spins: int
    fit_fields: bool = True
    with_counts: bool = False

    @property
    def n_pairs(self) -> int:
        """Number of couplings."""
        return self.n_spins * (self.n_spins - 1) // 2

    @property
    def n_fields(self) -> int:
        """Number of fitted fields."""
        return self.n_spins if self.fit_fields else 0

    @property
    def first_count(self) -> int:
        """Smallest count whose potential is free."""
        return 3 if self.fit_fields else 2

    @property
    def n_counts(self) -> int:
        """Number of fitted values of the potential."""
        return max(0, self.n_spins + 1 - self.first_count) if self.with_counts else 0

    @property
    def size(self) -> int:
        """Number of free parameters."""
        return self.n_pairs + self.n_fields + self.n_counts

    @cached_property
    def above(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns above the diagonal."""
        return np.triu_indices(self.n_spins, 1)

    def pack(self, pairs: FloatArray, fields: FloatArray, counts: FloatArray | None = None) -> FloatArray:
        """One vector (..., size) of matrices (..., n_spins, n_spins), fields (..., n_spins) and counts' values."""
        parts = [pairs[(..., *self.above)]]
        if self.fit_fields:
            parts.append(fields)
        if self.n_counts:
            assert counts is not None
            parts.append(counts[..., self.first_count :])
        return np.concatenate(parts, axis=-1)

    def unpack(self, vector: FloatArray) -> Parameters:
        """Couplings, fields and potential from a vector (size,)."""
        couplings = np.zeros((self.n_spins, self.n_spins))
        couplings[self.above] = vector[: self.n_pairs]
        couplings += couplings.T
        fields, potential = np.zeros(self.n_spins), np.zeros(self.n_spins + 1)
        if self.fit_fields:
            fields[:] = vector[self.n_pairs : self.n_pairs + self.n_spins]
        if self.n_counts:
            potential[self.first_count :] = vector[self.n_pairs + self.n_fields :]
        return Parameters(couplings, fields, potential)

    def centred(self, direction: FloatArray, centre: FloatArray) -> FloatArray:
        """Convert plain parameters to those of ``sum J_ij (s_i - c_i)(s_j - c_j)``, a centred energy."""
        return self._shift(direction, centre, 1.0)

    def plain(self, direction: FloatArray, centre: FloatArray) -> FloatArray:
        """The inverse of `centred`."""
        return self._shift(direction, centre, -1.0)

    def _shift(self, direction: FloatArray, centre: FloatArray, sign: float) -> FloatArray:
        """Add or subtract ``J c``, by which the fields of plain and centred parameters differ."""
        if not self.fit_fields:
            return direction
        result = direction.copy()
        own = slice(self.n_pairs, self.n_pairs + self.n_spins)
        result[own] += sign * (self.unpack(direction).couplings @ centre)
        return result

    def centred_gradient(self, gradient: FloatArray, centre: FloatArray) -> FloatArray:
        """Gradient (size,) with respect to centred parameters from that with respect to plain ones."""
        if not self.fit_fields:
            return gradient
        i, j = self.above
        fields = gradient[self.n_pairs : self.n_pairs + self.n_spins]
        result = gradient.copy()
        result[: self.n_pairs] -= centre[i] * fields[j] + centre[j] * fields[i]
        return result


@dataclass(frozen=True, eq=False)
class Penalty:
    """``alpha/2 sum_{i<j} J_ij^2 + smoothness/2 sum_k (third difference of V at k)^2``."""

    terms: Terms
    alpha: float
    smoothness: float = 0.0

    @cached_property
    def on_counts(self) -> FloatArray:
        """Matrix (n_counts, n_counts) of the quadratic form on the free values of V."""
        third = np.diff(np.eye(self.terms.n_spins + 1), n=3, axis=0)[:, self.terms.first_count :]
        return np.asarray(self.smoothness * third.T @ third)

    def gradient(self, vector: FloatArray) -> FloatArray:
        """Gradient (size,), which is the penalty's matrix times the vector."""
        result = np.zeros_like(vector)
        result[: self.terms.n_pairs] = self.alpha * vector[: self.terms.n_pairs]
        if self.terms.n_counts:
            result[-self.terms.n_counts :] = self.on_counts @ vector[-self.terms.n_counts :]
        return result

    def matrix(self) -> FloatArray:
        """Curvature of the penalty (size, size); the same for centred parameters."""
        result = np.diag(np.where(np.arange(self.terms.size) < self.terms.n_pairs, self.alpha, 0.0))
        if self.terms.n_counts:
            result[-self.terms.n_counts :, -self.terms.n_counts :] = self.on_counts
        return result

    def value(self, vector: FloatArray) -> float:
        """The penalty, in nats."""
        return 0.5 * float(vector @ self.gradient(vector))
