"""Sentences and tables built from the numbers of a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from infer.verdict.adequacy import Adequacy
    from infer.verdict.paths import UnlearningSimilarity
    from infer.verdict.similarity import Similarity

#: Rate of false alarms that the sentence on goodness of fit allows itself, over all groups of moments.
ADEQUACY_LEVEL = 0.01
#: R-hat above which the model's own chains count as slow to mix.
MIXED_R_HAT = 1.05


def similarity_verdict(found: Similarity) -> str:
    """One sentence on where the couplings stand between Hebbian, dreamed and neither."""
    best, hebbian = found.at_best["cosine"], found.at_hebbian["cosine"]
    random = found.null_models["random couplings"]
    if best <= random["high"]:
        return (
            f"The couplings resemble no member of the family more than random couplings do: the best cosine is "
            f"{best:.3f}, theirs reaches {random['high']:.3f} (97.5th percentile)."
        )
    if found.optimum == "undefined":
        return (
            f"The couplings resemble the Hebbian matrix (cosine {hebbian:.4f}); all its dreamed versions are "
            "proportional to it, so that no rate can be told."
        )
    low, high = found.best_rate_interval
    interval = f"{100 * found.level:g} % interval {number(low)} to {number(high)}"
    scores = f"cosine {best:.4f} against {hebbian:.4f}"
    # couplings and the correlations of the same samples share their noise, which then sets no limit
    if found.noise_ceiling is not None and found.noise_ceiling >= best:
        scores += f", where the noise of the couplings allows {found.noise_ceiling:.4f}"
    apart = found.hebbian_sigma > stats.norm.ppf((1 + found.level) / 2) and not low <= 0.0 <= high
    if not apart:
        text = (
            f"The couplings cannot be told from Hebbian ones: best rate {number(found.best_rate)}, {interval}, "
            f"{sigmas(found.hebbian_sigma)} from Hebbian ({scores})."
        )
    elif found.optimum == "infinite rate":
        limit = "the pseudo-inverse limit" if found.reference == "patterns" else "the mean-field limit"
        text = (
            f"The couplings are closer to {limit} of dreaming (the similarity grows with the rate without end, "
            f"{interval}) than to Hebbian by {sigmas(found.hebbian_sigma)} ({scores})."
        )
    else:
        kind = "dreamed couplings" if found.best_rate > 0 else "couplings of negative rate, the opposite of unlearned,"
        where = "at the lower bound" if found.optimum == "lower bound" else f"rate {number(found.best_rate)}"
        text = (
            f"The couplings are closer to {kind} ({where}, {interval}) than to Hebbian by "
            f"{sigmas(found.hebbian_sigma)} ({scores})."
        ).replace(", (", " (")
    if found.reference == "data correlations":
        text += (
            " The rate is measured from the recording's own correlations, where undriven samples too have a rate "
            "above 0; it is not comparable with a rate measured from patterns."
        )
    return text


def summary(found: Similarity) -> str:
    """Table of the numbers of a Similarity, one a line."""
    low, high = found.best_rate_interval
    size = f"{found.n_spins} spins" + (f", {found.n_patterns} patterns" if found.n_patterns else "")
    lines = [
        f"Similarity to Hebbian and dreamed couplings ({size}, reference: {found.reference})",
        f"  best rate            {number(found.best_rate)} +- {number(found.best_rate_std)}"
        f"   ({100 * found.level:g} % interval {number(low)} to {number(high)}; {found.optimum})",
        f"  inverse temperature  {with_error(found.inverse_temperature, found.inverse_temperature_std)}",
        f"  slope                {with_error(found.slope, found.slope_std)}"
        "   (inverse temperature x (1 + rate): coefficient of the Hebbian matrix)",
        f"  from Hebbian by      {sigmas(found.hebbian_sigma)}",
        f"  {'metric':<20} {'at best rate':>12} {'Hebbian':>10}",
    ]
    for name, value in found.at_best.items():
        lines.append(f"  {name.replace('_', ' '):<20} {value:>12.4f} {found.at_hebbian[name]:>10.4f}")
    if found.noise_ceiling is not None:
        lines.append(f"  {'noise ceiling':<20} {found.noise_ceiling:>12.4f}   (cosine that the noise allows)")
    lines.append(f"  {'null model':<20} {'cosine':>12} {'std':>10}")
    for name, null in found.null_models.items():
        lines.append(f"  {name:<20} {null['mean']:>12.4f} {null['std']:>10.4f}")
    if found.retrieval is not None:
        lines.append(f"  {'retrieval':<20} {'fixed points':>12} {'overlap':>10}   (overlap from 10 % flipped spins)")
        for name, recalled in found.retrieval.items():
            lines.append(f"  {name:<20} {recalled['fixed_points']:>12.3f} {recalled['overlap']:>10.4f}")
    if found.principal_angles is not None:
        angles = np.degrees(found.principal_angles)
        lines.append(f"  principal angles     median {np.median(angles):.1f}, largest {angles.max():.1f} degrees")
    return "\n".join([*lines, f"  {found.verdict}", f"  (interval: {found.interval_method})"])


def number(value: float) -> str:
    """Three significant digits, without exponent where that reads well; infinity in words."""
    if not np.isfinite(value):
        return "infinity" if value > 0 else "minus infinity" if value < 0 else "undefined"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}" if abs(value) < 1 else f"{value:.4g}"
    return f"{value:.3g}"


def with_error(value: float, std: float | None) -> str:
    """A number and its standard error, where there is one."""
    return number(value) + (f" +- {number(std)}" if std is not None else "")


def sigmas(value: float) -> str:
    """A distance in standard errors."""
    return (
        f"{value:.2g} sigma" if value < 10 else f"{value:.0f} sigma" if np.isfinite(value) else "infinitely many sigma"
    )


def adequacy_verdict(found: Adequacy) -> str:
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


def adequacy_summary(found: Adequacy) -> str:
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


def join(parts: list[str]) -> str:
    """Parts with commas and a final "and"."""
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def plain(value: Any) -> Any:
    """Nested floats, lists, dicts and strings for JSON; numbers that are not finite become None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(item) for item in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, bool | str | int) or value is None:
        return value
    return float(value) if np.isfinite(value) else None


def unlearning_verdict(found: UnlearningSimilarity) -> str:
    """One sentence on the number of dreams that couplings amount to."""
    best, hebbian = found.at_best["cosine"], found.at_hebbian["cosine"]
    interval = ""
    if found.best_dreams_interval is not None:
        low, high = found.best_dreams_interval
        interval = f", {100 * found.level:g} % interval {low:.0f} to {high:.0f}"
    scores = f"cosine {best:.4f} against {hebbian:.4f} without dreams"
    if not found.passed_peak:
        return (
            f"The couplings are still getting more similar after {found.dreams[-1]} dreams of strength "
            f"{found.epsilon:g} ({scores}): allow more points."
        )
    if found.best_dreams <= 0:
        return (
            f"Unlearning makes the Hebbian matrix no more similar to the couplings (best without dreams{interval}; "
            f"cosine {hebbian:.4f})."
        )
    return (
        f"The couplings are most similar to the Hebbian matrix after {found.best_dreams:.0f} dreams of strength "
        f"{found.epsilon:g}{interval} ({scores})."
    )
