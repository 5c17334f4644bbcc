"""What a fit of the dreaming family to persistent-threshold spins finds, where linear response is too coarse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simulate.dynamics.spins import PersistentGlauber
from simulate.theory._common import full_matrix, no_closed_form
from simulate.theory.linear_response import dreaming_rate, effective_slope

__all__ = ["fitted_rate_and_slope"]


def fitted_rate_and_slope(dynamics: Any) -> tuple[float, float]:
    """Dreaming rate and slope that `DreamingModel` finds in samples of persistent spins with Hebbian couplings.

    With the load alpha and q = a / (2 - a), a the persistence,

        rate = l2 (1 + (0.99 (1 - sqrt(alpha)) + 0.44 a - 4.16 alpha / T^2) / T),
        slope = 2 / ((2 - a) T) (1 - 0.17 q alpha / T + 1.43 q^3 sqrt(alpha) / T^2),

    where l2 = `dreaming_rate(dynamics)` and 2 / ((2 - a) T) = `effective_slope(dynamics)` are the leading orders in
    1 / T. The five numbers are not derived: they were fitted to 93 simulations (N = 200 and 300, random patterns,
    a = 0.2 to 0.9, T = 2 to 4, alpha = 0.05 to 0.3).

    Parameters
    ----------
    dynamics : PersistentGlauber
        With Hebbian couplings of random patterns, no fields; load up to 0.3, temperature at least 2, persistence up to
        0.9.

    Returns
    -------
    rate : float
        lambda, dimensionless.
    slope : float
        Coefficient of the Hebbian matrix, inverse temperature times (1 + rate), in units of inverse temperature.

    Raises
    ------
    ValueError
        If the dynamics is another one, or outside of the range in which the formula was measured.

    Notes
    -----
    Over 53 of these simulations, with alpha = 0.1 to 0.3 and an error of the rate below 5 %, the rate deviates by 2.8 %
    (root mean square; 7.9 % at most, always within 5 % and two standard errors), the slope over all of them by 0.8 %
    (3.2 % at most); the leading orders alone by 23 % and 2.7 % (34 % and 8.6 % at most). With other patterns and other
    seeds than those fitted to, N = 300, the formula is off by::

        alpha T    a    fitted rate        formula    fitted slope * T   formula
        0.3   2    0.5  0.0906 +- 0.0010   +3.2%      1.3283 +- 0.0023   +0.3%
        0.1   2    0.9  0.2898 +- 0.0029   +0.6%      1.9115 +- 0.0057   +0.3%
        0.2   2.5  0.7  0.1311 +- 0.0019   +1.5%      1.5473 +- 0.0042   +0.3%
        0.3   3    0.9  0.1593 +- 0.0016   -2.3%      1.9065 +- 0.0044   -1.4%
        0.25  2.2  0.3  0.0448 +- 0.0011   +4.3%      1.1638 +- 0.0022   +0.8%
        0.15  3    0.8  0.1379 +- 0.0028   +1.1%      1.6796 +- 0.0057   +0.5%
        0.3   4    0.9  0.1173 +- 0.0023   -2.2%      1.8739 +- 0.0062   -1.4%
        0.1   2    0.5  0.1150 +- 0.0024   -0.5%      1.3315 +- 0.0038   +0.3%
        0.2   2    0.9  0.2623 +- 0.0017   -1.4%      1.9528 +- 0.0040   -0.0%

    References
    ----------
    Measured for this project; see Behera et al. 2024, arXiv 2410.06269 for the dynamics and the question.
    """
    if not isinstance(dynamics, PersistentGlauber):
        raise ValueError(no_closed_form("fitted dreaming rate", dynamics))
    load = -float(np.linalg.eigvalsh(full_matrix(dynamics.couplings))[0])
    temperature, persistence = dynamics.temperature, dynamics.persistence
    if load > 0.305 or temperature < 2.0 or persistence > 0.9:
        raise ValueError(
            "the fitted rate is known for load <= 0.3, temperature >= 2 and persistence <= 0.9, "
            f"got {load:.3g}, {temperature:g} and {persistence:g}"
        )
    kept = persistence / (2 - persistence)
    root = math.sqrt(load)
    correction = 0.99 * (1 - root) + 0.44 * persistence - 4.16 * load / temperature**2
    rate = dreaming_rate(dynamics) * (1 + correction / temperature)
    amplitude = 1 - 0.17 * kept * load / temperature + 1.43 * kept**3 * root / temperature**2
    slope = effective_slope(dynamics) * amplitude
    return rate, slope
