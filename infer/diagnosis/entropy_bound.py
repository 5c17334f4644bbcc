"""A lower bound of entropy production from a record of spins, evaluated on rows that it was not fitted to."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from infer.diagnosis.blocks import TimeBlocks

FloatArray = NDArray[np.float64]
#: Strengths of the quadratic penalty, from strong to weak; without a penalty the fit would overfit.
RIDGES = (100.0, 10.0, 1.0, 0.1, 0.01)
_N_GROUPS = 3
_ITERATIONS = 12
_MOST_PAIRS = 20_000
_FEWEST_PAIRS = 100
_SMALL = 1e-12


def entropy_production_bound(rows: NDArray[np.int8], blocks: TimeBlocks) -> tuple[float, float]:
    r"""Lower bound of the entropy production per row, and its standard error, in units of Boltzmann's constant.

    For two successive rows x, x' of a steady state whose variables are all even under time reversal, the entropy
    production is at least the relative entropy of p(x, x') and p(x', x), and that is at least

    .. math:: \langle f\rangle - \ln\,\langle e^{-f}\rangle, \qquad
              f(x, x') = \sum_{ij} W_{ij}\, \delta x'_i\, \delta x_j,\quad W = -W^T,

    for every antisymmetric W (Donsker and Varadhan's formula for an f that changes its sign under reversal). W is
    fitted on two thirds of the blocks, one of which chooses the penalty, and the bound is evaluated on the last third;
    each third is the last one in turn. So the value is a bound for any W that the fit returns, up to its standard
    error. For records that look the same backwards it is about zero, more often below than above. Entropy produced
    between rows, by spins that were not recorded, or by correlations of higher order than two is not included, so the
    true value may be larger.

    Parameters
    ----------
    rows : ndarray of int8 (n_rows, n_spins)
        Spins of +-1 in time order.
    blocks : TimeBlocks

    Returns
    -------
    bound, standard_error : float
        nan where there are fewer than 100 pairs of rows in a third, or no spin changes.

    References
    ----------
    Aguilera, Ito, Kolchinsky 2026, Phys. Rev. Lett. 136, 077101, arXiv 2505.10444; Kim, Bae, Lee, Jeong 2020, Phys.
    Rev. Lett. 125, 140604, arXiv 2003.04166; Roldan, Parrondo 2010, Phys. Rev. Lett. 105, 150607.
    """
    lengths = blocks.lengths - 1
    chosen = np.arange(len(lengths))
    if lengths.sum() > _MOST_PAIRS:  # whole blocks, spread evenly over the record
        n_kept = max(_N_GROUPS * 4, int(len(lengths) * _MOST_PAIRS / lengths.sum()))
        chosen = np.unique(np.linspace(0, len(lengths) - 1, min(n_kept, len(lengths))).astype(int))
    spins = np.flatnonzero(rows.min(axis=0) != rows.max(axis=0))
    groups = [chosen[k::_N_GROUPS] for k in range(_N_GROUPS)]
    if len(spins) < 2 or min(int(lengths[group].sum()) for group in groups) < _FEWEST_PAIRS:
        return math.nan, math.nan
    mean = rows[:, spins].mean(axis=0, dtype=np.float64)

    def pairs_of(group: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
        parts = [(rows[blocks.slices[b]][:, spins] - mean).astype(np.float32) for b in group]
        return np.concatenate([x[1:] for x in parts]), np.concatenate([x[:-1] for x in parts])

    data = [pairs_of(group) for group in groups]
    values, influences = [], []
    for turn in range(_N_GROUPS):
        train, validation, test = (data[(turn + k) % _N_GROUPS] for k in range(_N_GROUPS))
        ridge = _choose_ridge(train, validation)
        if ridge is None:
            f = np.zeros(len(test[0]))
        else:
            both = (np.concatenate([train[0], validation[0]]), np.concatenate([train[1], validation[1]]))
            f = _projection(test, _fit(both, ridge))
        value, tilted = _bound(f)
        values.append(value)
        influence = f - f.mean() - (tilted * len(f) - 1.0)
        ends = np.cumsum(lengths[groups[(turn + 2) % _N_GROUPS]])[:-1]
        influences += [part.sum() / len(f) for part in np.split(influence, ends)]
    spread = np.sqrt(np.sum(np.square(influences)) * len(influences) / (len(influences) - 1))
    return float(np.mean(values)), float(spread / _N_GROUPS)


def _projection(pairs: tuple[FloatArray, FloatArray], W: FloatArray) -> FloatArray:
    """f of each pair of rows."""
    after, before = pairs
    return np.einsum("ti,ti->t", after @ W.astype(np.float32), before).astype(np.float64)


def _bound(f: FloatArray) -> tuple[float, FloatArray]:
    """``<f> - ln <exp(-f)>``, and the weights exp(-f)/sum exp(-f)."""
    low = f.min()
    weights = np.exp(low - f)
    total = weights.sum()
    return float(f.mean() + low - np.log(total / len(f))), weights / total


def _fit(pairs: tuple[FloatArray, FloatArray], ridge: float, start: FloatArray | None = None) -> FloatArray:
    """Antisymmetric W that maximises the bound less ``ridge/2 sum_{i<j} W_ij^2``."""
    after, before = pairs
    n_spins = after.shape[1]
    upper = np.triu_indices(n_spins, 1)
    average = after.T.astype(np.float64) @ before / len(after)

    def objective(w: FloatArray) -> tuple[float, FloatArray]:
        W = _matrix(w, n_spins)
        value, weights = _bound(_projection(pairs, W))
        gradient = average + after.T @ (before * weights[:, None].astype(np.float32))
        slope = (gradient - gradient.T)[upper]
        return -value + 0.5 * ridge * float(w @ w), ridge * w - slope

    initial = np.zeros(len(upper[0])) if start is None else start[upper]
    found = minimize(objective, initial, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS})
    return _matrix(found.x, n_spins)


def _matrix(w: FloatArray, n_spins: int) -> FloatArray:
    """The antisymmetric matrix with the given upper triangle."""
    W = np.zeros((n_spins, n_spins))
    W[np.triu_indices(n_spins, 1)] = w
    return W - W.T


def _choose_ridge(train: tuple[FloatArray, FloatArray], validation: tuple[FloatArray, FloatArray]) -> float | None:
    """The penalty with the largest bound on the validation pairs; None where no W has a bound above zero."""
    best, chosen, W = _SMALL, None, None
    for ridge in RIDGES:
        W = _fit(train, ridge, W)
        value, _ = _bound(_projection(validation, W))
        if value > best:
            best, chosen = value, ridge
        elif chosen is not None and value < 0.9 * best:
            break
    return chosen
