"""The result of a goodness-of-fit test, and the sentences that it is told in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infer.files.json import to_plain_dict
from infer.wording import join, number

__all__ = ["Adequacy"]

FloatArray = NDArray[np.float64]

#: Rate of false alarms that the sentence on goodness of fit allows itself, over all groups of moments.
ADEQUACY_LEVEL = 0.01
#: R-hat above which the model's own chains count as slow to mix.
MIXED_R_HAT = 1.05


@dataclass(frozen=True, eq=False)
class Adequacy:
    """What :func:`goodness_of_fit` found.

    Attributes
    ----------
    moments : dict
        For "means", "correlations" (connected) and "third moments" (third cumulants; left out for two spins, which
        have none) a dict of ``observed``, ``predicted``, ``observed_std``, ``predicted_std`` (k,), ``indices``
        (k, order), and the numbers ``rms_difference``, ``rms_observed``, ``rms_std`` (of the difference), ``pearson``,
        ``rms_z``, ``max_z`` and ``p_value``. z is the difference over its standard error, brought from Student's to
        the normal distribution; without any difference rms_z is about 1, and below 1 for moments that the model was
        fitted to.
    sum_of_spins : dict
        ``values`` of sum_i s_i, their ``observed`` and ``predicted`` probabilities and ``observed_std``,
        ``predicted_std``; ``rms_z`` and ``p_value`` of the distribution, as for moments. The number of spins that are
        +1 is (n_spins + sum)/2, so this is its distribution, too.
    energies : dict
        Energy in units of the temperature: ``edges`` of bins, ``observed`` and ``predicted`` shares,
        ``observed_mean``, ``predicted_mean``, and ``rms_z`` and ``p_value`` of its distribution.
    r_hat : float
        Largest R-hat among the energy and the leading modes of the model's own chains; near 1 when they mixed.
    n_samples, n_batches : int
        Samples observed, and batches that their errors come from.
    n_draws, n_chains : int
        Draws a chain and chains of the model.
    error_method : str
        How the errors of the observed moments were obtained.
    verdict : str
        One sentence built from these numbers.
    """

    moments: dict[str, dict[str, Any]]
    sum_of_spins: dict[str, Any]
    energies: dict[str, Any]
    r_hat: float
    n_samples: int
    n_batches: int
    n_draws: int
    n_chains: int
    error_method: str

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON; NaN becomes None, infinity "inf".

        Returns
        -------
        dict
        """
        return to_plain_dict(self)

    def summary(self) -> str:
        """The numbers as a table for a terminal.

        Returns
        -------
        str
        """
        return _summary(self)

    @property
    def verdict(self) -> str:
        """One sentence on which moments an equilibrium model with pair couplings reproduces."""
        return _verdict(self)


def _verdict(found: Adequacy) -> str:
    """One sentence on which moments an equilibrium model with pair couplings reproduces."""
    level = ADEQUACY_LEVEL / len(found.moments)
    failed = [name for name, group in found.moments.items() if group["p_value"] <= level]
    passed = [name for name in found.moments if name not in failed]

    def scores(names: list[str]) -> str:
        return join([f"{name} (rms z {found.moments[name]['rms_z']:.2f})" for name in names])

    if not failed:
        text = f"An equilibrium model with these pair couplings reproduces {scores(passed)} within errors"
    else:
        text = f"An equilibrium model with these pair couplings fails on {scores(failed)}"
        sizes = [
            f"{name} differ by {number(found.moments[name]['rms_difference'])} where their size is "
            f"{number(found.moments[name]['rms_observed'])} (root mean squares)"
            for name in failed
        ]
        text += f": {join(sizes)}"
        if passed:
            text += f"; it reproduces {scores(passed)} within errors"
    text += f" ({found.n_samples:,} samples, level {ADEQUACY_LEVEL:g} for all together)."
    if found.r_hat > MIXED_R_HAT:
        text += (
            f" The model's own chains mix slowly (R-hat {found.r_hat:.2f}): its moments lean towards the observed rows "
            "that the chains started from."
        )
    return text


def _summary(found: Adequacy) -> str:
    """Table of the numbers of an Adequacy."""
    lines = [
        f"Goodness of fit ({found.n_samples:,} samples; model: {found.n_chains} chains x {found.n_draws} draws, "
        f"R-hat {found.r_hat:.3f})",
        f"  {'moments':<16} {'number':>7} {'rms size':>9} {'rms diff.':>10} {'rms error':>10} "
        f"{'Pearson':>8} {'rms z':>6} {'p':>7}",
    ]
    for name, group in found.moments.items():
        lines.append(
            f"  {name:<16} {len(group['observed']):>7} {group['rms_observed']:>9.4f} {group['rms_difference']:>10.4f} "
            f"{group['rms_std']:>10.4f} {group['pearson']:>8.4f} {group['rms_z']:>6.2f} {group['p_value']:>7.4f}"
        )
    return "\n".join([*lines, f"  {found.verdict}", f"  (errors: {found.error_method})"])
