"""Sentences and tables of a diagnosis: held-out scores, time reversal, drift, and all checks together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from infer.verdict._wording import join, number, with_error

if TYPE_CHECKING:
    from infer.verdict.diagnosis import Diagnosis
    from infer.verdict.held_out import HeldOut
    from infer.verdict.stationarity import Drift
    from infer.verdict.time_reversal import TimeReversal

#: Standard errors beyond which a bound of the entropy production is told as larger than zero.
BOUND_SIGMA = 2.0


def p_text(value: float) -> str:
    """A p-value in a few digits."""
    return "p <= 0.001" if value <= 0.001 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def time_reversal_verdict(found: TimeReversal) -> str:
    """One sentence on the direction of time, and one on dissipation."""
    if found.reversible:
        text = f"The record cannot be told from its reversal in time ({p_text(found.p_value)})"
    else:
        which = [name for name, p in found.p_values.items() if p <= found.level] or list(found.p_values)
        text = (
            f"The record differs from its reversal in time ({p_text(found.p_value)}; seen in {join(which)}): it does "
            "not come from equilibrium dynamics of these spins"
        )
    text += f"; {found.n_blocks} blocks of {found.block_length:,} rows were reversed at random."
    bound, std = found.entropy_production, found.entropy_production_std
    if np.isfinite(bound) and bound > BOUND_SIGMA * std:
        text += f" It produces at least {with_error(bound, std)} nats of entropy per row."
    elif np.isfinite(bound):
        text += f" The lower bound of its entropy production is not above zero ({with_error(bound, std)} nats per row)."
    return text


def drift_verdict(found: Drift) -> str:
    """One sentence on whether the record is the same early and late."""
    where = f"({p_text(found.p_value)}; {found.n_blocks} blocks of {found.block_length:,} rows)"
    if found.stationary:
        return f"No drift is seen: the quarters of the record differ no more than blocks in random order do {where}."
    which = [name for name, p in found.p_values.items() if p <= found.level] or list(found.p_values)
    text = f"The record drifts in {join(which)}: its quarters differ by more than blocks in random order do {where}."
    if not found.long_enough:
        text += " It is short against its autocorrelation time, so that slow fluctuations may pass for drift."
    return text


def held_out_verdict(found: HeldOut) -> str:
    """One sentence on how pair couplings do against independent spins, and against the row before."""
    gain = found.differences["pairwise - independent"]
    size = f"{number(abs(gain['difference']))} +- {number(gain['std'])} nats per sample"
    held = "held-out rows" if found.refitted else "the rows"
    if gain["z"] > 2:
        text = f"Pair couplings predict {held} better than independent spins by {size}"
    elif gain["z"] < -2:
        text = f"Pair couplings predict {held} worse than independent spins by {size}: they are overfitted, raise alpha"
    else:
        text = (
            f"Pair couplings predict {held} no better than independent spins (difference {number(gain['difference'])}"
        )
        text += f" +- {number(gain['std'])} nats per sample)"
    kinetic = found.differences.get("kinetic Ising - pairwise")
    if kinetic is not None:
        size = f"{number(abs(kinetic['difference']))} +- {number(kinetic['std'])}"
        if kinetic["z"] > 2:
            text += f"; an asymmetric kinetic model, which knows the row before, does better still by {size}"
        elif kinetic["z"] < -2:
            text += f"; an asymmetric kinetic model, which knows the row before, does worse than they by {size}"
        else:
            text += "; an asymmetric kinetic model, which knows the row before, does as well"
    return text + "."


def diagnosis_verdict(found: Diagnosis) -> str:
    """One line: which checks an equilibrium model with pair couplings fails, all of them taken together."""
    failed = [check for check in found.checks if not check.passed]
    n, together = len(found.checks), f"level {found.level:g} for all checks together"
    if not failed:
        text = f"An equilibrium model with pair couplings is good enough for these samples: it passes all {n} checks"
    else:
        names = join([f"{check.name} ({p_text(check.p_value)})" for check in failed])
        text = f"An equilibrium model with pair couplings is not good enough: it fails {len(failed)} of {n} checks, "
        text += names
    text += f" ({together})."
    if any(check.name in ("means", "correlations", "energy") for check in failed):
        text += " Means, correlations and with them the energy are what is fitted: where they fail, look at the penalty"
        text += " and at the number of samples before the form of the model."
    if found.time_reversal is None:
        text += f" Time reversal and drift were not judged: {found.without_time}."
    return text


def diagnosis_summary(found: Diagnosis) -> str:
    """Table of the checks for a terminal."""
    lines = [
        f"Is an equilibrium pairwise model good enough? ({found.n_samples:,} samples of {found.n_spins} spins)",
        f"  {'check':<22} {'statistic':<34} {'value':>10} {'p':>8}  outcome",
    ]
    for check in found.checks:
        outcome = "passes" if check.passed else "FAILS"
        lines.append(
            f"  {check.name:<22} {check.statistic:<34} {number(check.value):>10} {check.p_value:>8.4f}  {outcome}"
        )
    parts = [found.held_out.verdict]
    parts += [part.verdict for part in (found.time_reversal, found.drift) if part is not None]
    return "\n".join([*lines, f"  {found.verdict}", *(f"  {part}" for part in parts)])
