"""Result of a goodness-of-fit test, with its verdict and its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from infer.diagnosis.check import holm, percent
from infer.diagnosis.draws import MIXED_R_HAT
from infer.diagnosis.model_checks import MeansAndCorrelations, ModelCheck
from infer.files.json import to_plain_dict
from infer.wording import join, p_text

__all__ = ["Adequacy"]

#: Share of draws outside the numbers of +1 of the rows from which the model counts as having a state of its own.
UNVISITED_SHARE = 0.1


@dataclass(frozen=True, eq=False, repr=False)
class Adequacy:
    """Result of :func:`goodness_of_fit`.

    Attributes
    ----------
    checks : dict of ModelCheck
        "means and correlations" (which judges the fit), "third moments", "number of +1" and "energy" (which judge the
        form of the model), with p-values and effects. Checks with nothing to compare are left out.
    moments : dict
        For "means", "correlations" (connected) and "third moments" (third cumulants; left out for two spins, which
        have none) a dict of ``observed``, ``predicted``, ``observed_std``, ``predicted_std`` (k,), ``indices``
        (k, order), and the numbers ``rms_difference``, ``rms_observed``, ``rms_std``, ``pearson``, ``rms_z`` and
        ``max_z``, the last two of what a refit would leave.
    sum_of_spins : dict
        ``values`` of sum_i s_i, their ``observed`` and ``predicted`` probabilities and ``observed_std``,
        ``predicted_std``. The number of spins that are +1 is (n_spins + sum)/2, so this is also its distribution.
    energies : dict
        Energy in units of the temperature: ``edges`` of bins, ``observed`` and ``predicted`` shares,
        ``observed_mean`` and ``predicted_mean``.
    r_hat : float
        Largest R-hat among energy, number of +1 and leading modes of the model's own chains; 1 for exact draws.
    exact : bool
        Whether draws come from the probabilities of all states.
    n_samples : int
    n_sets, n_rows : int
        Number of sets drawn from the model, and rows of each.
    error_method : str
        Method by which the errors of the observed moments were obtained.
    annealed : bool
        Whether draws come from annealed states, since plain chains of the model do not agree.
    """

    checks: dict[str, ModelCheck]
    moments: dict[str, dict[str, Any]]
    sum_of_spins: dict[str, Any]
    energies: dict[str, Any]
    r_hat: float
    exact: bool
    n_samples: int
    n_sets: int
    n_rows: int
    error_method: str
    annealed: bool = False

    @property
    def fit(self) -> MeansAndCorrelations:
        """The check of means and correlations."""
        found = self.checks[MeansAndCorrelations.name]
        assert isinstance(found, MeansAndCorrelations)
        return found

    @property
    def mixed(self) -> bool:
        """Whether the model's own chains agree; without this no model passes."""
        return self.r_hat <= MIXED_R_HAT

    @property
    def refused(self) -> bool:
        """Whether the fit does not have the moments of the rows, or has a state of its own.

        Draws of chains that do not agree have moments that depend on where they started, and refuse no fit.
        """
        return not self.fit.accepted and (self.mixed or bool(_unvisited(self)))

    @property
    def model_checks(self) -> dict[str, ModelCheck]:
        """The checks that judge the form of the model."""
        return {name: check for name, check in self.checks.items() if not isinstance(check, MeansAndCorrelations)}

    def failed(self, false_alarms: float = 0.05) -> tuple[str, ...]:
        """Names of the model checks that fail, after Holm's correction for their number.

        Parameters
        ----------
        false_alarms : float
            Rate of false alarms of all checks together.

        Returns
        -------
        tuple of str
        """
        checks = self.model_checks
        stands = holm([check.p_value for check in checks.values()], false_alarms)
        return tuple(name for name, ok in zip(checks, stands, strict=True) if not ok)

    def to_dict(self) -> dict[str, Any]:
        """Everything as floats, lists and strings, ready for JSON; NaN becomes None, infinity "inf".

        Returns
        -------
        dict
        """
        return to_plain_dict(self)

    def __repr__(self) -> str:
        """The verdict."""
        return f"Adequacy({self.verdict!r})"

    @property
    def verdict(self) -> str:
        """Sentence or two on the deviations of the pair model."""
        return verdict(self)

    def summary(self) -> str:
        """The numbers as a table for a terminal.

        Returns
        -------
        str
        """
        return _summary(self)


def verdict(found: Adequacy, false_alarms: float = 0.05) -> str:
    """Sentence or two on the deviations of the pair model, or on why they were not judged."""
    if found.refused:
        return f"What the pair model misses was not judged. {found.fit.verdict}{_unvisited(found)}"
    if not found.mixed:
        return (
            "What the pair model misses was not judged: its own chains, from the rows and from independent spins, do "
            f"not agree (R-hat {found.r_hat:.3g})."
        )
    checks = found.model_checks
    if not checks:
        return "The pair model was not judged: these rows have nothing beyond means and pairs."
    failed = [checks[name] for name in found.failed(false_alarms)]
    if not failed:
        least = min(check.p_value for check in checks.values())
        return (
            f"The pair model misses nothing that these rows can show: {join(list(checks))} are like its own draws "
            f"(smallest {p_text(least)} of {len(checks)})."
        )
    largest = max(failed, key=lambda check: check.nats)
    names = join([f"{check.name} ({p_text(check.p_value)})" for check in failed])
    text = f"The pair model misses {names}: {largest.effect}."
    return f"{text} A term for that would gain about {largest.nats:.1g} nats per row."


def _unvisited(found: Adequacy) -> str:
    """Sentence on draws of the model outside the numbers of +1 that the rows have; empty for few of them."""
    seen = np.flatnonzero(found.sum_of_spins["observed"])
    predicted = np.asarray(found.sum_of_spins["predicted"])
    low, high = int(seen[0]), int(seen[-1])
    parts = (
        (float(predicted[high + 1 :].sum()), f"more than {high}", "most"),
        (float(predicted[:low].sum()), f"fewer than {low}", "fewest"),
    )
    share, which, extreme = max(parts)
    if share < UNVISITED_SHARE:
        return ""
    return (
        f" The model has a state that the data never visit: {percent(share)} of its draws have {which} spins at +1, "
        f"the {extreme} that any row has."
    )


def _summary(found: Adequacy) -> str:
    """Table of the numbers of an Adequacy."""
    how = "annealed states" if found.annealed else "heat-bath chains"
    drawn = "all states" if found.exact else f"{how}, R-hat {found.r_hat:.3f}"
    lines = [
        f"Goodness of fit ({found.n_samples:,} samples; {found.n_sets} sets of {found.n_rows:,} rows drawn from the "
        f"model: {drawn})",
        f"  {'moments':<16} {'number':>7} {'rms size':>9} {'rms diff.':>10} {'rms error':>10} "
        f"{'Pearson':>8} {'rms z':>6}",
    ]
    for name, group in found.moments.items():
        lines.append(
            f"  {name:<16} {len(group['observed']):>7} {group['rms_observed']:>9.4f} {group['rms_difference']:>10.4f} "
            f"{group['rms_std']:>10.4f} {group['pearson']:>8.4f} {group['rms_z']:>6.2f}"
        )
    lines += [f"  {check.verdict}" for check in found.checks.values()]
    return "\n".join([*lines, f"  {found.verdict}", f"  (errors: {found.error_method})"])
