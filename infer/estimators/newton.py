"""Newton's method with conjugate gradients, for convex functions of symmetric couplings and fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulate.threads import check_stop

FloatArray = NDArray[np.float64]

# value, gradient and a function that applies the Hessian to a direction
Local = tuple[float, FloatArray, Callable[[FloatArray], FloatArray]]

Step = Callable[[Any, FloatArray], FloatArray]

SETTLED = 0.1  # converged when, besides a small gradient, the last step was below this
MOST_PRODUCTS = 100  # conjugate gradient steps for one Newton direction


@dataclass(frozen=True)
class Minimum:
    """Result of Newton's method."""

    point: FloatArray
    gradient_norm: float  # largest absolute component
    unbounded: bool  # the function has no minimum: gradients vanish while steps do not
    n_iter: int


def minimise(
    function: Callable[[FloatArray], Local], start: FloatArray, tol: float, max_iter: int, step: Step | None = None
) -> Minimum:
    """
    Minimise a convex function by Newton steps, computed by conjugate gradients and halved until it decreases.

    Parameters
    ----------
    function : callable
        Returns value, gradient, and a function that applies the Hessian.
    start : ndarray (n,)
    tol : float
        Largest absolute component of the gradient at the minimum.
    max_iter : int
        Most Newton steps.
    step : callable, optional
        Newton step from the function that applies the Hessian, and the gradient; by default conjugate gradients.

    Returns
    -------
    Minimum
    """
    point = start.copy()
    value, gradient, curve = function(point)
    length_of_last, too_many, n_iter = 0.0, 0, 0
    while True:
        norm = float(np.abs(gradient).max())
        if (norm <= tol and length_of_last <= SETTLED) or n_iter == max_iter:
            return Minimum(point, norm, False, n_iter)
        too_many += norm <= tol
        if too_many > 2:
            # where terms decrease like exp(-x), so do gradients, but Newton steps keep their length
            return Minimum(point, norm, True, n_iter)
        n_iter += 1
        check_stop()
        direction = newton_direction(gradient, curve) if step is None else step(curve, gradient)
        slope = float(gradient @ direction)
        length = 1.0
        while True:
            trial = point + length * direction
            found, trial_gradient, trial_curve = function(trial)
            if found <= value + 1e-4 * length * slope + 1e-13 * (1.0 + abs(value)):
                break
            length /= 2.0
            if length < 1e-10:
                return Minimum(point, norm, False, n_iter)
        point, value, gradient, curve = trial, found, trial_gradient, trial_curve
        length_of_last = length * float(np.abs(direction).max())


def newton_direction(gradient: FloatArray, curve: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Approximate solution d of H d = -g by conjugate gradients; more accurate for smaller gradients."""
    direction = np.zeros_like(gradient)
    residual = -gradient
    search = residual.copy()
    square = float(residual @ residual)
    norm = np.sqrt(square)
    enough = norm * min(0.1, np.sqrt(norm)) if norm > 0 else 0.0
    for _ in range(MOST_PRODUCTS):
        if np.sqrt(square) <= enough:
            break
        curved = curve(search)
        curvature = float(search @ curved)
        if curvature <= 1e-15 * float(search @ search):
            # curvature is zero up to rounding: no information along this direction
            return direction if direction.any() else search
        length = square / curvature
        direction += length * search
        residual -= length * curved
        new_square = float(residual @ residual)
        search = residual + (new_square / square) * search
        square = new_square
    return direction


@dataclass(frozen=True)
class Pairs:
    """Symmetric couplings above the diagonal and fields, as one vector and back."""

    n_spins: int
    fit_fields: bool

    @property
    def size(self) -> int:
        """Number of free parameters."""
        return self.n_spins * (self.n_spins - 1) // 2 + (self.n_spins if self.fit_fields else 0)

    @property
    def n_pairs(self) -> int:
        """Number of couplings."""
        return self.n_spins * (self.n_spins - 1) // 2

    def unpack(self, vector: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Symmetric couplings (n_spins, n_spins) and fields (n_spins,)."""
        couplings = np.zeros((self.n_spins, self.n_spins))
        couplings[np.triu_indices(self.n_spins, 1)] = vector[: self.n_pairs]
        couplings += couplings.T
        return couplings, vector[self.n_pairs :] if self.fit_fields else np.zeros(self.n_spins)

    def pack(self, matrix: FloatArray, fields: FloatArray) -> FloatArray:
        """Entries above the diagonal, followed by the fields if there are any."""
        above = matrix[np.triu_indices(self.n_spins, 1)]
        return np.concatenate([above, fields]) if self.fit_fields else above
