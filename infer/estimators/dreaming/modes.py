"""The dreaming family in the eigenbasis of the pattern correlations.

Couplings are `beta * dreaming(patterns, rate)`. In the basis of the non-zero eigenvalues c_k of `C = xi xi^T / N`, with
orthonormal spin-space vectors v_k, a sample enters through its R <= min(P, N) overlaps `m = v^T s` only.
Solvers work with the amplitude `A` of the family

    J = A sum_k w_k v_k v_k^T  (off the diagonal),   w_k = (c_k - c0) (1 + rate c1) / (1 + rate c_k),

which is the dreaming family up to the factor between A and beta, and stays finite and different from zero at both ends
of the range of rates. Here c1 is the largest eigenvalue; c0, which changes the diagonal only, is the mean eigenvalue
when the modes span all spins and 0 otherwise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulate.modes import DreamingModes

FloatArray = NDArray[np.float64]

LOWEST, HIGHEST = 1e-5, 1e5  # 1 + rate c beyond these: the rate is at an end of its range


class PatternModes(DreamingModes):
    """Non-zero modes of the pattern correlations, and the dreaming family by an amplitude and a rate."""

    @property
    def vectors(self) -> FloatArray:
        """Eigenvectors (N, R)."""
        return self.eigenvectors

    @property
    def centre(self) -> float:
        """The largest eigenvalue c1."""
        return float(self.eigenvalues[0])

    def weights(self, rate: float) -> FloatArray:
        """Mode weights w and their first two derivatives by the rate, (3, R)."""
        q = 1.0 + rate * self.eigenvalues
        shifted, distance = self.eigenvalues - self.offset, self.centre - self.eigenvalues
        return np.stack(
            [
                shifted * (1.0 + rate * self.centre) / q,
                shifted * distance / q**2,
                -2.0 * shifted * distance * self.eigenvalues / q**3,
            ]
        )

    def rate_matters(self) -> bool:
        """Whether rates differ in more than the scale of the couplings off the diagonal."""
        w, slope, _ = self.weights(0.0)
        squares = self.vectors**2
        gram = np.eye(len(w)) - squares.T @ squares
        inner, length, slope_length = w @ gram @ slope, w @ gram @ w, slope @ gram @ slope
        return bool(length * slope_length - inner**2 > 1e-10 * length * max(slope_length, length))

    def inverse_temperature(self, amplitude: float, rate: float) -> float:
        """Inverse temperature beta: beta dreaming(rate) = A sum_k w_k v_k v_k^T off the diagonal."""
        return amplitude * (1.0 + rate * self.offset) * (1.0 + rate * self.centre) / (1.0 + rate)

    def amplitude(self, inverse_temperature: float, rate: float) -> float:
        """Amplitude of the couplings with this beta."""
        return inverse_temperature * (1.0 + rate) / ((1.0 + rate * self.offset) * (1.0 + rate * self.centre))

    def jacobian(self, amplitude: float, rate: float) -> FloatArray:
        """Derivatives of (rate, beta) by (amplitude, rate), (2, 2)."""
        beta = self.inverse_temperature(amplitude, rate)
        logarithmic = self.offset / (1.0 + rate * self.offset) + self.centre / (1.0 + rate * self.centre)
        by_amplitude = self.inverse_temperature(1.0, rate)
        return np.array([[0.0, 1.0], [by_amplitude, beta * (logarithmic - 1.0 / (1.0 + rate))]])

    def at_end(self, rate: float) -> bool:
        """Whether the rate is at an end of its range, where the likelihood hardly depends on it."""
        return 1.0 + rate * self.eigenvalues[0] < LOWEST or 1.0 + rate * self.eigenvalues[-1] > HIGHEST

    def unit_couplings(self, rate: float) -> FloatArray:
        """Couplings of amplitude one and their first two derivatives by the rate, (3, N, N) with zero diagonals."""
        result = np.stack([(self.vectors * w) @ self.vectors.T for w in self.weights(rate)])
        every = np.arange(len(self.vectors))
        result[:, every, every] = 0.0
        return result
