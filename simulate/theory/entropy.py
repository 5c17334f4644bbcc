"""Entropy production, a measure of the time-reversal asymmetry of a steady state."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_continuous_lyapunov

from simulate.checks import check_count, check_number
from simulate.theory.effective import full_matrix
from simulate.theory.quadratic import linear_units

__all__ = ["entropy_production", "estimate_entropy_production", "linear_entropy_production"]


def linear_entropy_production(drift: ArrayLike, diffusion: ArrayLike) -> float:
    """Entropy production rate of the linear dynamics dx = -A x dt + noise, ``<noise noise^T> = 2 D``, for any A.

        rate = tr(A^T D^-1 A S) - tr A,    A S + S A^T = 2 D,

    with S the stationary covariance; all x even under time reversal. It is 0 if and only if D^-1 A is symmetric.

    Parameters
    ----------
    drift : array_like, shape (n, n)
        A, whose eigenvalues have positive real parts; inverse time.
    diffusion : array_like, shape (n, n) or (n,)
        D, symmetric and positive definite, or its diagonal.

    Returns
    -------
    float
        In units of Boltzmann's constant per unit of time.

    Raises
    ------
    ValueError
        If A is not stable or D not positive definite, or the shapes differ.

    References
    ----------
    Qian 2001, Proc. R. Soc. A 457, 1645; Godreche, Luck 2019, J. Phys. A 52, 035002 (arXiv 1807.00694).
    """
    a = np.asarray(drift, dtype=np.float64)
    d = np.asarray(diffusion, dtype=np.float64)
    if a.ndim != 2 or a.shape[0] != a.shape[1] or a.size == 0:
        raise ValueError(f"drift must be a square matrix, got shape {a.shape}")
    d = np.diag(d) if d.ndim == 1 else d
    if d.shape != a.shape:
        raise ValueError(f"diffusion must have shape {a.shape} or ({len(a)},), as the drift, got {np.shape(diffusion)}")
    if not (np.isfinite(a).all() and np.isfinite(d).all()):
        raise ValueError("drift and diffusion must be finite")
    slowest = float(np.linalg.eigvals(a).real.min())
    if slowest <= 0:
        raise ValueError(f"drift has an eigenvalue of real part {slowest:.4g}: all must be positive for a steady state")
    if not np.allclose(d, d.T) or np.linalg.eigvalsh(d)[0] <= 0:
        raise ValueError("diffusion must be symmetric and positive definite: every direction needs noise")
    covariance = solve_continuous_lyapunov(a, 2 * d)
    # the mean square of the current velocity, a sum of squares, has no cancellation
    velocity = d @ np.linalg.inv(covariance) - a
    return float(np.trace(velocity.T @ np.linalg.solve(d, velocity) @ covariance))


def entropy_production(dynamics: Any, parity: Literal["even", "odd", "hidden"] = "even") -> float:
    """Entropy production rate of active units in a quadratic potential, by the parity of their coloured noise v.

    Summed over the modes a of A = k I - J,

    - `even`, v keeps its sign under time reversal (a force): sum T_a / (T tau (1 + a tau));
    - `odd`, v changes its sign (a velocity of self-propulsion): sum of
      a C_xv / T - a - 1 / tau + (T C_vv + T_a C_xx / tau^2) / (C_xx C_vv - C_xv^2), where C_vv = T_a / tau,
      C_xv = T_a / (1 + a tau) and C_xx = (T + C_xv) / a;
    - `hidden`, v is not observed, only trajectories of x: 0 at every T. A scalar stationary Gaussian process is
      reversible, and so are all modes of symmetric couplings together. In this sense (with velocities in place of v),
      harmonic units produce no entropy at T = 0 in Fodor et al. 2016.

    Without thermal noise, x is determined by v, its reversal is impossible, and `even` and `odd` are infinite.
    Without coloured noise (tau = 0 or T_a = 0) the dynamics is that of equilibrium: 0.

    Parameters
    ----------
    dynamics : ActiveOrnsteinUhlenbeck
        Units in a harmonic or spherical potential.
    parity : {"even", "odd", "hidden"}

    Returns
    -------
    float
        Of the whole system, in units of Boltzmann's constant per unit of time.

    Raises
    ------
    ValueError
        If the dynamics is another one, the potential is not quadratic, or the parity is unknown.

    References
    ----------
    Fodor, Nardini, Cates, Tailleur, Visco, van Wijland 2016, Phys. Rev. Lett. 117, 038103; Spinney, Ford 2012, Phys.
    Rev. E 85, 051113 (odd variables); Dabelow, Bo, Eichhorn 2019, Phys. Rev. X 9, 021009 (what parity means for v).
    """
    if parity not in ("even", "odd", "hidden"):
        raise ValueError(f"parity must be 'even', 'odd' or 'hidden', got {parity!r}")
    response = linear_units("entropy production", dynamics)
    thermal, active, tau = response.temperature, response.active_temperature, response.persistence_time
    if parity == "hidden" or active == 0 or tau == 0:
        return 0.0
    if thermal == 0:
        return math.inf
    a = response.stiffness - np.linalg.eigvalsh(full_matrix(dynamics.couplings))
    if parity == "even":
        return float((active / (thermal * tau * (1 + a * tau))).sum())
    vv, xv = active / tau, active / (1 + a * tau)
    xx = (thermal + xv) / a
    spread = (thermal * vv + active / tau**2 * xx) / (xx * vv - xv**2)
    return float((a * xv / thermal - a - 1 / tau + spread).sum())


def estimate_entropy_production(
    states: Any, interval: float, *, parity: ArrayLike | None = None, n_batches: int = 20
) -> tuple[float, float]:
    """Entropy production rate from trajectories, for dynamics that are linear.

    Pairs of states one interval apart have covariance [[C(0), C(1)^T], [C(1), C(0)]], of reversed trajectories with
    C(1) transposed (and rows and columns of odd variables changed in sign). From the relative entropies of these
    Gaussian laws,

        rate = (H(pairs) - H(single states)) / interval,    H = (tr(S_reversed^-1 S_forward) - dimension) / 2:

    the rate at which a trajectory observed at these times is distinguished from its reversal. For linear dynamics this
    is the entropy production rate as the interval goes to 0, and less for longer ones. The error comes from
    batches of successive pairs, left out in turn (jackknife), which also removes most of the bias of a finite record.

    Parameters
    ----------
    states : array_like, shape (n_times, n) or (n_chains, n_times, n), or xarray.Dataset
        Trajectories in time order; a Dataset from `trajectory` stands for its variable `spins` or `x`.
    interval : float
        Time between successive states, > 0, in units of time (sweeps for spins).
    parity : array_like of +-1, shape (n,), optional
        -1 for variables that change sign under time reversal; all +1 by default.
    n_batches : int, default 20
        Number of batches, at least 2, each much longer than the correlation time.

    Returns
    -------
    rate, standard_error : float
        In units of Boltzmann's constant per unit of time.

    Raises
    ------
    ValueError
        If there are too few states, they are not finite, or a variable does not vary independently of the others.

    References
    ----------
    Roldan, Parrondo 2010, Phys. Rev. Lett. 105, 150607 (relative entropy of trajectories and their reversals).
    """
    if isinstance(states, xr.Dataset):
        states = states["spins" if "spins" in states else "x"].values
    x = np.asarray(states, dtype=np.float64)
    x = x[None] if x.ndim == 2 else x
    if x.ndim != 3:
        raise ValueError(f"states must have shape (n_times, n) or (n_chains, n_times, n), got {np.shape(states)}")
    if not np.isfinite(x).all():
        raise ValueError("states must be finite")
    interval = check_number(interval, "interval", low=0.0, open_low=True)
    n_batches = check_count(n_batches, "n_batches", low=2)
    n = x.shape[2]
    signs = np.ones(n) if parity is None else np.asarray(parity, dtype=np.float64)
    if signs.shape != (n,) or (abs(signs) != 1).any():
        raise ValueError(f"parity must hold +1 or -1 for each of {n} variables")
    before, after = x[:, :-1].reshape(-1, n), x[:, 1:].reshape(-1, n)
    if len(before) < 10 * n_batches * n:
        raise ValueError(f"states: {len(before)} pairs are too few for {n_batches} batches of {n} variables")
    # moments by batch; the mean of the states is 0 or estimated from all of them
    centre = x.mean(axis=(0, 1))
    before, after = before - centre, after - centre
    parts = np.array_split(np.arange(len(before)), n_batches)
    same = np.array([before[part].T @ before[part] + after[part].T @ after[part] for part in parts]) / 2
    lagged = np.array([after[part].T @ before[part] for part in parts])
    sizes = np.array([len(part) for part in parts], dtype=np.float64)

    def rate(keep: NDArray[np.bool_]) -> float:
        total = sizes[keep].sum()
        zero, one = same[keep].sum(axis=0) / total, lagged[keep].sum(axis=0) / total
        mirror = np.outer(signs, signs)
        forward = np.block([[zero, one.T], [one, zero]])
        backward = np.block([[zero * mirror, one * mirror], [one.T * mirror, zero * mirror]])
        try:
            pairs = np.trace(np.linalg.solve(backward, forward)) - 2 * n
            single = np.trace(np.linalg.solve(zero * mirror, zero)) - n
        except np.linalg.LinAlgError:
            raise ValueError("states: a variable is constant, or determined by the others") from None
        return float((pairs - single) / (2 * interval))

    everything = np.ones(n_batches, dtype=bool)
    whole = rate(everything)
    without = np.array([rate(np.arange(n_batches) != left_out) for left_out in range(n_batches)])
    corrected = n_batches * whole - (n_batches - 1) * float(without.mean())
    error = math.sqrt((n_batches - 1) / n_batches * float(((without - without.mean()) ** 2).sum()))
    return corrected, error
