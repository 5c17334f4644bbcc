"""Section on dreaming: the couplings against the Hebbian and dreamed ones of the patterns, with the control."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure
from numpy.typing import ArrayLike

from infer.plot.axes import bounded, cloud, identity, legend_above, rate_ticks
from infer.plot.svg import BLUE, COLOURS, GREY, drawing, new_axes
from infer.report.layout import Number, Table, interval_text, measured, number, readable, with_error
from infer.report.rate_figures import LABELS, null_models, rate_profile, spectra
from infer.report.results import Analysis, determined
from infer.report.section import Figure, Numbers, Section
from infer.report.sections.couplings import colour_limit, coupling_matrix, drawn_order
from infer.similarity.compare import Similarity
from infer.wording import p_text

MEASURES = {
    "cosine": "cosine (1 = same)",
    "pearson": "Pearson correlation (1 = same)",
    "frobenius_distance": "Frobenius distance after the best scale, relative (0 = same)",
    "spectrum_distance": "distance of the spectra, each of unit norm (0 = same)",
}
NOT_DETERMINED = "not determined"
#: Rate of false alarms at which samples are said to lie outside of the dreaming family.
FALSE_ALARMS = 0.05
Row = tuple[str | Number, ...]


def coupling_scatter(inferred: ArrayLike, reference: ArrayLike) -> MatplotlibFigure:
    """Inferred against reference couplings, each pair of spins once.

    Parameters
    ----------
    inferred, reference : array_like, shape (n_spins, n_spins)
        beta J, dimensionless; the reference at its best scale.

    Returns
    -------
    matplotlib.figure.Figure
    """
    above = np.triu_indices(len(np.asarray(inferred)), 1)
    x, y = np.asarray(reference)[above], np.asarray(inferred)[above]
    with drawing():
        figure, axes = new_axes(height=3.6)
        cloud(axes, x, y, BLUE)
        identity(axes, x, y, label="equal (best scale)")
        axes.set_xlabel("dreamed β J (dimensionless)")
        axes.set_ylabel("inferred β J (dimensionless)")
        legend_above(axes)
    return figure


def reference_profiles(profiles: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> MatplotlibFigure:
    """Cosine of the couplings with several dreaming families along the rate.

    Parameters
    ----------
    profiles : mapping
        Name of a family to rates and cosines, shape (n_rates,).

    Returns
    -------
    matplotlib.figure.Figure
    """
    styles = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1, 2)))
    with drawing():
        figure, axes = new_axes(height=3.2 + 0.2 * len(profiles))
        lowest, highest = 0.0, 0.0
        for (name, (rates, values)), colour, dashes in zip(profiles.items(), COLOURS, styles, strict=False):
            rates = np.asarray(rates, dtype=np.float64)
            lowest, highest = min(lowest, float(rates.min())), max(highest, float(rates.max()))
            axes.plot(bounded(rates), np.asarray(values), color=colour, linestyle=dashes, linewidth=1.6, label=name)
        axes.axvline(0.0, color=GREY, linewidth=1.2, linestyle=(0, (2, 2)), label="Hebbian (rate 0)")
        rate_ticks(axes, lowest, highest)
        axes.set_xlabel("dreaming rate λ (dimensionless)")
        axes.set_ylabel("cosine (1 = same)")
        legend_above(axes, columns=1)
    return figure


def control_sentence(analysis: Analysis) -> str:
    """Sentence on the rate of the equilibrium control."""
    found = analysis.control
    if found is None:
        return ""
    if not found.determined:
        return "Equilibrium samples of Hebbian couplings at the fitted temperature (the control) determine no rate."
    return (
        "Equilibrium samples of Hebbian couplings at the fitted temperature (the control, true rate 0) give "
        f"{measured(found.rate, found.rate_std)}."
    )


def dreaming_sentence(analysis: Analysis) -> str:
    """Sentences on the dreaming rate and on the control."""
    found = analysis.dreaming
    if found is None:
        return analysis.similarity.verdict
    if not found.converged:
        return "Fitted to the samples directly, by likelihood, no finite dreaming rate is the best one."
    if not found.determined:
        return (
            "Fitted to the samples directly, by likelihood, the dreaming rate is not determined: its interval is open."
        )
    text = (
        f"Fitted to the samples directly, by likelihood, the dreaming rate is {measured(found.rate, found.rate_std)} "
        f"({100 * found.confidence:g} % interval {interval_text(found.rate_interval, found.rate_std)}) and the inverse "
        f"temperature {measured(found.inverse_temperature, found.inverse_temperature_std)}."
    )
    return " ".join(part for part in (text, family_sentence(analysis), control_sentence(analysis)) if part)


def family_sentence(analysis: Analysis) -> str:
    """Sentence on whether the samples are those of dreamed couplings of any rate, and on the rate by other methods."""
    found, similarity = analysis.dreaming, analysis.similarity
    if found is None or math.isnan(found.family_p_value):
        return ""
    chance = p_text(found.family_p_value)
    if found.family_p_value >= FALSE_ALARMS:
        return f"Nothing shows that the samples are not those of dreamed couplings ({chance})."
    text = (
        f"The samples are not exactly those of any dreamed couplings ({chance}): the rate is that of the nearest ones"
    )
    if not determined(similarity.best_rate, similarity.best_rate_std, similarity.best_rate_interval):
        return f"{text}, and depends on the method."
    other = measured(similarity.best_rate, similarity.best_rate_std)
    return f"{text}, and depends on the method; by the cosine of the couplings it is {other}."


def _text(analysis: Analysis) -> str:
    if not analysis.has_patterns:
        return (
            "Couplings along the dreaming families of other references. Rates of different references are measured on "
            "different scales: compare cosines."
        )
    return (
        f"{dreaming_sentence(analysis)} {analysis.similarity.verdict} The reference family runs from the Hebbian "
        "couplings of the patterns (rate 0) to their pseudo-inverse (infinite rate)."
    )


def _has_patterns(analysis: Analysis) -> bool:
    return analysis.has_patterns


def _map(key: str, title: str, caption: str) -> Figure:
    """A matrix of reference couplings on the colour scale of all three."""

    def limit(analysis: Analysis) -> float:
        found = analysis.similarity
        return colour_limit(found.couplings, found.reference_couplings, found.hebbian_couplings)

    def drawn(analysis: Analysis) -> MatplotlibFigure:
        matrix = getattr(analysis.similarity, f"{key}_couplings")
        return coupling_matrix(matrix, limit(analysis), analysis.names, drawn_order(analysis))

    def says(analysis: Analysis) -> str:
        rate = readable(analysis.similarity.best_rate, 3)
        return f"{caption.format(rate=rate)} Colours end at ±{readable(limit(analysis), 2)}."

    return Figure(key, title, drawn, says, needs=_has_patterns)


def null_bands(analysis: Analysis) -> dict[str, tuple[float, float, float]]:
    """Mean and percentiles of the cosine, for null models with several draws."""
    found = analysis.similarity.null_models
    return {name: (null["mean"], null["low"], null["high"]) for name, null in found.items() if "low" in null}


def _by_likelihood(analysis: Analysis) -> bool:
    """Whether a rate by likelihood is drawn."""
    return analysis.dreaming is not None and analysis.dreaming.determined


def _drawn_profile(analysis: Analysis, zoom: bool = False) -> MatplotlibFigure:
    found, fitted = analysis.similarity, analysis.dreaming
    profile = {name: found.profile[name] for name in ("cosine", "pearson")}
    common = (found.rates, profile, found.best_rate, found.best_rate_interval)
    if not zoom:
        return rate_profile(*common, nulls=null_bands(analysis))
    likelihood = (fitted.rate, *fitted.rate_interval) if fitted is not None and _by_likelihood(analysis) else None
    return rate_profile(*common, likelihood=likelihood, zoom=True)


def _drawn_spectra(analysis: Analysis) -> MatplotlibFigure:
    return spectra({LABELS.get(name, name): values for name, values in analysis.similarity.spectra.items()})


def _drawn_nulls(analysis: Analysis) -> MatplotlibFigure:
    found = analysis.similarity
    std = found.null_models["hebbian"]["std"]
    return null_models(
        {"best dreamed": (found.at_best["cosine"], None), "Hebbian": (found.at_hebbian["cosine"], std)},
        null_bands(analysis),
    )


def all_references(analysis: Analysis) -> dict[str, Similarity]:
    """The main reference, then the further ones, by name."""
    main = "stored patterns" if analysis.has_patterns else "own correlations"
    return {main: analysis.similarity, **analysis.references}


def _drawn_references(analysis: Analysis) -> MatplotlibFigure:
    return reference_profiles(
        {name: (other.rates, other.profile["cosine"]) for name, other in all_references(analysis).items()}
    )


def rate_row(name: str, value: Any, std: Any, interval: Sequence[Any] | None = None) -> Row:
    """A rate or temperature; a rate that is not determined has no number."""
    ends = (value, std, *(interval or ()))
    finite = all(isinstance(each, (int, float)) and math.isfinite(each) for each in ends if each is not None)
    if interval is not None and not (finite and std is not None and determined(value, std, tuple(interval))):
        return (name, NOT_DETERMINED, "–", "–")
    return (name, *with_error(value, std), "–" if interval is None else interval_text(interval, std))


def _rates(analysis: Analysis, numbers: Numbers) -> Table | None:
    """Rates and inverse temperatures, from the cosine, by likelihood, and of the control."""
    if not analysis.has_patterns:
        return None
    values = numbers["similarity"]
    rows: list[Row] = [
        rate_row(
            "rate λ of greatest cosine", values["best_rate"], values["best_rate_std"], values["best_rate_interval"]
        ),
        rate_row("inverse temperature β there", values["inverse_temperature"], values["inverse_temperature_std"]),
        rate_row("slope β (1 + λ) there", values["slope"], values["slope_std"]),
        ("distance from Hebbian couplings (standard errors)", number(values["hebbian_sigma"], 2), "–", "–"),
    ]
    for key, where in (("dreaming", "by likelihood"), ("control", "of the control, by likelihood")):
        fitted = numbers[key]
        if fitted is not None and fitted["converged"]:
            beta = (fitted["inverse_temperature"], fitted["inverse_temperature_std"])
            rows += [
                rate_row(f"rate λ {where}", fitted["rate"], fitted["rate_std"], fitted["rate_interval"]),
                rate_row(f"inverse temperature β {where}", *beta),
                rate_row(f"slope β (1 + λ) {where}", fitted["slope"], fitted["slope_std"]),
            ]
    level = f"{100 * analysis.similarity.confidence:g} %"
    note = f"Interval of the cosine’s rate ({level}): {analysis.similarity.interval_method}."
    return Table("Rates and temperatures", ("quantity", "value", "standard error", "interval"), rows, note)


def measures(analysis: Analysis, numbers: Numbers) -> Table:
    """Similarity to the reference at the best rate and at rate 0."""
    values = numbers["similarity"]
    rows: list[Row] = [
        (MEASURES.get(name, name.replace("_", " ")), number(value), number(values["at_hebbian"][name]))
        for name, value in values["at_best"].items()
    ]
    # couplings and correlations of the same samples share their noise, which then does not limit the cosine
    if values["noise_ceiling"] is not None and values["noise_ceiling"] >= values["at_best"]["cosine"]:
        rows.append(("largest cosine that the noise of the couplings allows", number(values["noise_ceiling"]), "–"))
    return Table("Similarity to the reference", ("measure", "at the best rate", "Hebbian"), rows)


def _measures(analysis: Analysis, numbers: Numbers) -> Table | None:
    return measures(analysis, numbers) if analysis.has_patterns else None


def _nulls(analysis: Analysis, numbers: Numbers) -> Table | None:
    if not analysis.has_patterns:
        return None
    rows: list[Row] = []
    for name, null in numbers["similarity"]["null_models"].items():
        ends = ("–" if key not in null else with_error(null[key], null["std"])[0] for key in ("low", "high"))
        rows.append((LABELS.get(name, name), *with_error(null["mean"], null["std"]), *ends))
    head = ("model", "mean", "standard deviation", "2.5th percentile", "97.5th percentile")
    return Table("Null models of the cosine", head, rows)


def _retrieval(analysis: Analysis, numbers: Numbers) -> Table | None:
    found = numbers["similarity"]["retrieval"]
    if found is None:
        return None
    head = ("couplings", "patterns that are fixed points (share)", "overlap after retrieval")
    rows: list[Row] = [
        (LABELS.get(name, name), number(share["fixed_points"], 3), number(share["overlap"], 3))
        for name, share in found.items()
    ]
    note = "At zero temperature; retrieval starts from patterns with 10 % of the spins flipped."
    if numbers["similarity"]["principal_angles"]:
        angles = np.degrees(numbers["similarity"]["principal_angles"])
        note += f" Angles between patterns and leading eigenvectors: {angles.min():.1f} to {angles.max():.1f} degrees."
    return Table("Retrieval of the patterns", head, rows, note)


def _references(analysis: Analysis, numbers: Numbers) -> Table | None:
    """Rates and cosines with each reference."""
    if not analysis.references:
        return None
    main = "stored patterns" if analysis.has_patterns else "own correlations"
    rows: list[Row] = []
    for name, found in {main: numbers["similarity"], **numbers["references"]}.items():
        rate = rate_row(name, found["best_rate"], found["best_rate_std"], found["best_rate_interval"])
        cosines = (number(found["at_best"]["cosine"]), number(found["at_hebbian"]["cosine"]))
        rows.append((rate[0], rate[1], rate[3], *cosines, number(found["hebbian_sigma"], 2)))
    head = ("reference", "best rate λ", "interval", "cosine there", "cosine with Hebbian", "from Hebbian (errors)")
    note = "Rates of different references are measured on different scales: compare cosines. References count as known."
    return Table("How dreamed, by reference", head, rows, note)


def profile_caption(analysis: Analysis) -> str:
    """Caption of the similarity along the rate."""
    text = (
        "From near the lower bound over Hebbian (0) to infinite rate; the axis is linear in λ/(1 + λ). The cosine "
        "peaks at the best rate, whose interval is shaded."
    )
    return text + (" Bands are null models, 2.5th to 97.5th percentile." if null_bands(analysis) else "")


SECTION = Section(
    "similarity",
    "How dreamed?",
    _text,
    [
        Figure("profile", "Similarity along the dreaming rate", _drawn_profile, profile_caption, needs=_has_patterns),
        Figure(
            "zoom",
            "From Hebbian to the best rate",
            lambda analysis: _drawn_profile(analysis, zoom=True),
            lambda analysis: (
                "If Hebbian (dotted) lies inside the shaded interval, the couplings cannot be told from Hebbian ones."
                + (" The diamond is the rate by likelihood with its interval." if _by_likelihood(analysis) else "")
            ),
            needs=lambda analysis: analysis.has_patterns and math.isfinite(analysis.similarity.best_rate),
        ),
        _map(
            "reference",
            "Most similar dreamed couplings",
            "The family at its best rate λ = {rate}, scaled to fit. Look for the same texture as in the inferred "
            "couplings.",
        ),
        _map(
            "hebbian",
            "Hebbian couplings",
            "Rate 0, scaled to fit. Dreaming has to explain the difference from the inferred couplings.",
        ),
        Figure(
            "scatter",
            "Inferred against dreamed",
            lambda analysis: coupling_scatter(analysis.similarity.couplings, analysis.similarity.reference_couplings),
            "Every pair of spins once (stronger colour: more pairs). Points along the dashed line agree; scatter of "
            "constant width is noise of the estimate, a bend or a second branch is structure outside the family.",
            needs=_has_patterns,
        ),
        Figure(
            "spectra",
            "Spectra",
            _drawn_spectra,
            "Dreaming makes the large eigenvalues more equal and keeps the eigenvectors. The inferred eigenvalues "
            "should follow the dreamed ones; a Hebbian spectrum is wider at the top.",
            needs=_has_patterns,
        ),
        Figure(
            "nulls",
            "Is it more than chance?",
            _drawn_nulls,
            "Shuffled eigenvalues keep the subspace of the reference but not its spectrum, random couplings keep "
            "neither; bars run from the 2.5th to the 97.5th percentile. The first two rows share their noise (bar: one "
            "standard error), so that the error of their difference is smaller.",
            needs=_has_patterns,
        ),
        Figure(
            "references",
            "Other references",
            _drawn_references,
            "The inferred couplings along the dreaming families of different references. Look for the reference with "
            "the highest peak; rates of different references are measured on different scales.",
            needs=lambda analysis: bool(analysis.references),
        ),
    ],
    [_rates, _references, _measures, _nulls, _retrieval],
    needs=lambda analysis: analysis.has_patterns or bool(analysis.references),
)
