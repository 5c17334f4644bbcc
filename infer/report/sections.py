"""What stands on the page and in which order: headline, sections of figures with captions, tables of numbers."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from infer.plot.axes import MAX_PIXELS, MAX_POINTS
from infer.report import diagnosis_figures, figures
from infer.report.captions import MEASURES, SECTIONS
from infer.report.judgement import card, convergence, goodness, time_and_drift
from infer.report.layout import FigureCard, Number, Section, Table, entry, interval_text, number, readable, typeset
from infer.report.results import Analysis
from infer.similarity.compare import Similarity

__all__ = ["build_sections", "headline", "subtitle", "verdicts"]

Numbers = dict[str, Any]
LABELS = {"hebbian": "Hebbian"}
MOST_SPINS = 100
Row = tuple[str | Number, ...]


def subtitle(analysis: Analysis) -> str:
    """What the samples are, in a line."""
    data = analysis.data
    text = f"{data['n_samples']:,} samples of {data['n_spins']} spins"
    if data["n_rows"] != data["n_samples"]:
        text += f" ({data['n_rows']:,} different rows with counts)"
    if data["n_chains"] is not None and data["n_chains"] > 1:
        text += f" in {data['n_chains']} chains"
    return f"{text}; " + (f"{data['n_patterns']} stored patterns." if data["n_patterns"] else "no patterns given.")


def headline(analysis: Analysis, numbers: Numbers) -> list[dict[str, Any]]:
    """The cards on top: rate, inverse temperature, cosines."""
    top = numbers["headline"]
    likelihood = analysis.dreaming is not None and analysis.dreaming["converged"]
    road = "by likelihood, given the patterns" if likelihood else "most similar member of the family"
    given = "the patterns" if analysis.similarity.reference == "patterns" else "the recording’s own correlations"
    error = top["inverse_temperature_std"]
    return [
        {
            "name": "Dreaming rate λ",
            "number": number(top["rate"], 3),
            "detail": (
                f"{100 * top['confidence']:g} % interval {interval_text(top['rate_interval'])}; measured from {given}, "
                f"where 0 is Hebbian; {road}"
            ),
        },
        {
            "name": "Inverse temperature β",
            "number": number(top["inverse_temperature"], 3),
            "detail": ("" if error is None else f"± {readable(error, 2)} (standard error); ")
            + "scale of the couplings against the reference at this rate (dimensionless)",
        },
        {
            "name": "Cosine with dreamed couplings",
            "number": number(top["cosine_best"]),
            "detail": f"against {readable(top['cosine_hebbian'])} with Hebbian ones; 1 means the same up to scale",
        },
    ]


def verdicts(analysis: Analysis) -> list[str]:
    """Sentences that sum up similarity, diagnosis and convergence."""
    judged = analysis.diagnosis
    found = [analysis.similarity.verdict, *judged.claims.values()]
    found.append(analysis.convergence["note"])
    found[1:1] = [f"Compared with {name}: {other.verdict}" for name, other in analysis.references.items()]
    fitted = analysis.dreaming
    if fitted is not None and not fitted["converged"]:
        found.insert(1, "Fitted to the samples directly, by likelihood, no finite dreaming rate is the best one.")
    elif fitted is not None:
        sentence = (
            f"Fitted to the samples directly, by likelihood, the dreaming rate is {readable(fitted['rate'], 3)} "
            f"({100 * fitted['confidence']:g} % interval {interval_text(fitted['rate_interval'])}) and the inverse "
            f"temperature {readable(fitted['inverse_temperature'], 3)} ± "
            f"{readable(fitted['inverse_temperature_std'], 2)}."
        )
        found.insert(1, sentence)
    return [typeset(text) for text in found]


def build_sections(analysis: Analysis, numbers: Numbers) -> list[Section]:
    """Everything between the headline and the methods.

    Parameters
    ----------
    analysis : Analysis
    numbers : dict
        `analysis.to_dict()`, the only place where tables take their numbers from.

    Returns
    -------
    list of Section
    """
    return [
        _couplings(analysis, numbers),
        _similarity(analysis, numbers),
        goodness(analysis, numbers),
        time_and_drift(analysis, numbers),
        convergence(analysis, numbers),
        _background(numbers),
    ]


def _couplings(analysis: Analysis, numbers: Numbers) -> Section:
    """Matrices, scatter, ranks and the strongest couplings."""
    found = analysis.similarity
    pictures = {
        "inferred": ("Inferred couplings", found.couplings),
        "reference": ("Most similar dreamed couplings", found.reference_couplings),
        "hebbian": ("Hebbian couplings", found.hebbian_couplings),
    }
    above = np.triu_indices(found.n_spins, 1)
    sizes = np.concatenate([np.abs(matrix[above]) for _, matrix in pictures.values()])
    limit = float(np.quantile(sizes, 0.995)) or float(sizes.max()) or 1.0
    scale = f"Colours are the same in all three panels and end at ±{readable(limit, 2)}, which holds 99.5 % of them."
    block = -(-found.n_spins // MAX_PIXELS)
    if block > 1:
        scale += f" Each pixel is the mean of {block} × {block} couplings."
    rate = readable(found.best_rate, 3)
    cards = [
        card(key, title, figures.coupling_matrix(matrix, limit, analysis.names), scale=scale, rate=rate)
        for key, (title, matrix) in pictures.items()
    ]
    cards += [
        card(
            "scatter",
            "Inferred against dreamed",
            figures.coupling_scatter(found.couplings, found.reference_couplings),
            density=" Stronger colour means more pairs." if len(above[0]) > MAX_POINTS else "",
        ),
        card("ranks", "Couplings by strength", figures.coupling_ranks(analysis.couplings, analysis.couplings_std)),
        card(
            "transpose",
            "Both estimates of each coupling",
            diagnosis_figures.transpose_scatter(analysis.couplings_by_node),
            correlation=readable(analysis.network["transpose_correlation"], 3),
        ),
        _degree_card(analysis.network),
    ]
    names = numbers["names"]
    rows: list[Row] = [
        (names[pair["i"]], names[pair["j"]], number(pair["coupling"]), number(pair["std"], 2), number(pair["z"], 3))
        for pair in numbers["strongest_couplings"]
    ]
    head = ("spin i", "spin j", "β J", "standard error", "β J / error")
    tables = [
        Table(f"The {len(rows)} strongest couplings", head, rows, "Press a heading to sort."),
        _network_table(numbers),
        _spins(numbers),
    ]
    return Section("couplings", "Couplings", f"{SECTIONS['couplings']} {_connections(analysis)}", cards, tables)


def _connections(analysis: Analysis) -> str:
    """Which couplings there are, in words, and how many samples stand behind them."""
    found, data = analysis.network, analysis.data
    text = (
        f"{data['n_samples']:,} samples are {readable(data['samples_per_squared_spin'], 3)} for each of the N² = "
        f"{data['n_spins'] ** 2:,} numbers that couplings and fields are: "
    )
    text += (
        "enough to look at single couplings."
        if data["samples_per_squared_spin"] >= 10
        else "look at single couplings with their errors."
        if data["samples_per_squared_spin"] >= 1
        else "too few to look at single couplings."
    )
    if math.isfinite(found["transpose_correlation"]):
        text += f" Both estimates of each coupling correlate at {readable(found['transpose_correlation'], 3)}."
    text += (
        f" {found['n_significant']:,} of {data['n_couplings']:,} couplings differ from 0 by more than "
        f"{readable(found['z_threshold'], 3)} standard errors; a spin has {_range(found['degrees'])} of them."
    )
    if found["gap"] is not None:
        gap = found["gap"]
        text += (
            f" The strengths show a gap: {gap['rank']:,} couplings reach {readable(gap['above'], 3)} or more, the next "
            f"one {readable(gap['below'], 3)}; a spin has {_range(gap['degrees'])} of these strong ones."
        )
    return text


def _range(degrees: Any) -> str:
    """Least, most and mean of degrees."""
    low, high = int(np.min(degrees)), int(np.max(degrees))
    return f"{low} to {high} (mean {readable(float(np.mean(degrees)), 2)})" if high > low else f"{low}"


def _degree_card(network: dict[str, Any]) -> FigureCard:
    """Histogram of the couplings that spins have."""
    counts = {"differ from 0": network["degrees"]}
    if network["gap"] is not None:
        counts["above the gap"] = network["gap"]["degrees"]
    threshold = readable(network["z_threshold"], 3)
    return card("degrees", "Couplings of a spin", diagnosis_figures.degrees(counts), threshold=threshold)


def _network_table(numbers: Numbers) -> Table:
    """Numbers of couplings that are there at all."""
    found, gap = numbers["network"], numbers["network"]["gap"]
    rows: list[Row] = [
        ("correlation of J with its transpose, before averaging", number(found["transpose_correlation"])),
        ("standard errors beyond which a coupling differs from 0", number(found["z_threshold"], 3)),
        ("couplings that differ from 0", number(found["n_significant"])),
    ]
    if gap is not None:
        rows += [
            ("couplings above the gap", number(gap["rank"])),
            ("strength above the gap", number(gap["above"], 3)),
            ("strength below the gap", number(gap["below"], 3)),
        ]
    note = "5 % false alarms for all couplings together (Bonferroni)." + (
        "" if gap is not None else " The strengths show no clear gap."
    )
    return Table("Connections", ("quantity", "value"), rows, note)


def _spins(numbers: Numbers) -> Table:
    """Mean, field and couplings of each spin, those with most couplings first where not all can be shown."""
    degrees = np.asarray(numbers["network"]["degrees"])
    order = np.arange(len(degrees))
    if len(order) > MOST_SPINS:
        order = np.sort(np.argsort(-degrees, kind="stable")[:MOST_SPINS])
    rows: list[Row] = [
        (
            numbers["names"][k],
            number(numbers["means"][k], 3),
            number(numbers["fields"][k], 3),
            number(numbers["network"]["degrees"][k]),
        )
        for k in order.tolist()
    ]
    note = "" if len(order) == len(degrees) else f"The {MOST_SPINS} with most couplings; all are among the numbers."
    return Table("Spins", ("spin", "mean", "field β h", "couplings that differ from 0"), rows, note)


def _similarity(analysis: Analysis, numbers: Numbers) -> Section:
    """Profile along the rate, spectra, null models."""
    found, fitted = analysis.similarity, analysis.dreaming
    nulls = {
        name: (null["mean"], null["low"], null["high"]) for name, null in found.null_models.items() if "low" in null
    }
    profile = {name: found.profile[name] for name in ("cosine", "pearson")}
    common = (found.rates, profile, found.best_rate, found.best_rate_interval)
    level = f"{100 * found.confidence:g} %"
    cards = [
        card("profile", "Similarity along the dreaming rate", figures.rate_profile(*common, nulls=nulls), level=level)
    ]
    if math.isfinite(found.best_rate):
        likelihood, remark = None, ""
        if fitted is not None and fitted["converged"] and all(map(math.isfinite, fitted["rate_interval"])):
            likelihood = (fitted["rate"], *fitted["rate_interval"])
            remark = "The diamond is the rate by likelihood with its interval; it should agree with the peak."
        drawn = figures.rate_profile(*common, likelihood=likelihood, zoom=True)
        cards.append(card("zoom", "From Hebbian to the best rate", drawn, likelihood=remark))
    spectra = {LABELS.get(name, name): values for name, values in found.spectra.items()}
    measured = {
        "best dreamed": (found.at_best["cosine"], None),
        "Hebbian": (found.at_hebbian["cosine"], found.null_models["hebbian"]["std"]),
    }
    cards += [
        card(
            "spectra",
            "Spectra",
            figures.spectra(spectra),
        ),
        card(
            "nulls",
            "Is it more than chance?",
            figures.null_models(measured, nulls),
            difference=readable(found.at_best["cosine"] - found.at_hebbian["cosine"], 2),
            sigma=readable(found.hebbian_sigma, 2),
        ),
    ]
    tables = _similarity_tables(numbers, f"Interval of the cosine’s rate ({level}): {found.interval_method}.")
    if analysis.references:
        profiles = {name: (other.rates, other.profile["cosine"]) for name, other in all_references(analysis).items()}
        cards.append(card("references", "Other references", diagnosis_figures.reference_profiles(profiles)))
        tables.insert(1, _references(numbers))
    return Section("similarity", "How dreamed?", SECTIONS[found.reference], cards, tables)


def _similarity_tables(numbers: Numbers, note: str) -> list[Table]:
    """Measures, rates, null models, retrieval, angles."""
    values = numbers["similarity"]
    measures: list[Row] = [
        (MEASURES.get(name, name.replace("_", " ")), number(value), number(values["at_hebbian"][name]))
        for name, value in values["at_best"].items()
    ]
    # couplings and the correlations of the same samples share their noise, which then sets no limit
    if values["noise_ceiling"] is not None and values["noise_ceiling"] >= values["at_best"]["cosine"]:
        measures.append(("largest cosine that the noise of the couplings allows", number(values["noise_ceiling"]), "–"))
    null_rows: list[Row] = [
        (LABELS.get(name, name), *(entry(null.get(key), 3) for key in ("mean", "std", "low", "high")))
        for name, null in values["null_models"].items()
    ]
    null_head = ("model", "mean", "standard deviation", "2.5th percentile", "97.5th percentile")
    tables = [
        Table("Rates and temperatures", ("quantity", "value", "standard error", "interval"), _rates(numbers), note),
        Table("Similarity to the reference", ("measure", "at the best rate", "Hebbian"), measures),
        Table("Null models of the cosine", null_head, null_rows),
    ]
    if values["retrieval"] is not None:
        head = ("couplings", "patterns that are fixed points (share)", "overlap after retrieval")
        rows: list[Row] = [
            (LABELS.get(name, name), number(share["fixed_points"], 3), number(share["overlap"], 3))
            for name, share in values["retrieval"].items()
        ]
        note = "At zero temperature; retrieval starts from patterns with 10 % of the spins turned."
        tables.append(Table("Retrieval of the patterns", head, rows, note))
    if values["principal_angles"]:
        angles = values["principal_angles"]
        rows = [("smallest", number(angles[0], 3)), ("largest", number(angles[-1], 3))]
        title = "Principal angles between patterns and leading eigenvectors"
        tables.append(Table(title, ("angle", "radians"), rows))
    return tables


def all_references(analysis: Analysis) -> dict[str, Similarity]:
    """The main reference, then those that were asked for, by name."""
    main = "stored patterns" if analysis.similarity.reference == "patterns" else "own correlations"
    return {main: analysis.similarity, **analysis.references}


def _references(numbers: Numbers) -> Table:
    """Rates and cosines with each reference."""
    main = "stored patterns" if numbers["similarity"]["reference"] == "patterns" else "own correlations"
    rows: list[Row] = [
        (
            name,
            number(found["best_rate"], 3),
            interval_text(found["best_rate_interval"]),
            number(found["at_best"]["cosine"]),
            number(found["at_hebbian"]["cosine"]),
            number(found["hebbian_sigma"], 3),
        )
        for name, found in {main: numbers["similarity"], **numbers["references"]}.items()
    ]
    head = ("reference", "best rate λ", "interval", "cosine there", "cosine with Hebbian", "from Hebbian (errors)")
    note = "Rates of different references are measured on different scales: compare cosines. References count as known."
    return Table("How dreamed, by reference", head, rows, note)


def _rates(numbers: Numbers) -> list[Row]:
    """Rates and inverse temperatures, from the cosine and by likelihood."""
    values, fitted = numbers["similarity"], numbers["dreaming"]

    def row(name: str, value: Any, std: Any, interval: Sequence[Any] | None = None) -> Row:
        return (
            name,
            number(value),
            "–" if std is None else number(std, 2),
            "–" if interval is None else interval_text(interval),
        )

    rows = [
        row("rate λ of greatest cosine", values["best_rate"], values["best_rate_std"], values["best_rate_interval"]),
        row("inverse temperature β there", values["inverse_temperature"], values["inverse_temperature_std"]),
        row("slope β (1 + λ) there", values["slope"], values["slope_std"]),
    ]
    rows.append(("distance from Hebbian couplings (standard errors)", number(values["hebbian_sigma"], 3), "–", "–"))
    if fitted is not None:
        beta = (fitted["inverse_temperature"], fitted["inverse_temperature_std"])
        road = "by likelihood" if fitted["converged"] else "by likelihood (not converged)"
        rows += [
            row(f"rate λ {road}", fitted["rate"], fitted["rate_std"], fitted["rate_interval"]),
            row(f"inverse temperature β {road}", *beta),
            row(f"slope β (1 + λ) {road}", fitted["slope"], fitted["slope_std"]),
        ]
    return rows


def _background(numbers: Numbers) -> Section:
    """Data, fit, parameters and versions."""
    names = {
        "n_samples": "samples",
        "n_rows": "rows",
        "n_spins": "spins",
        "n_chains": "chains",
        "n_patterns": "stored patterns",
        "load": "load (patterns per spin)",
        "n_couplings": "couplings",
        "samples_per_coupling": "samples per coupling",
        "samples_per_squared_spin": "samples per N²",
        "mean_absolute_mean": "mean over spins of |⟨sᵢ⟩|",
        "time_ordered": "rows in time order",
    }
    data, fit, parameters = numbers["data"], numbers["fit"], dict(numbers["parameters"])
    seconds = parameters.pop("seconds")
    about: list[Row] = [
        (text, number(data[key]) if type(data[key]) is int else entry(data[key]))
        for key, text in names.items()
        if data[key] is not None
    ]
    metadata: list[Row] = [(key.replace("_", " "), entry(value)) for key, value in data["attributes"].items()]
    fitted: list[Row] = [
        ("estimator", fit["estimator"]),
        ("penalty", "l2: alpha/2 times the sum of squared couplings of each spin"),
        ("alpha", entry(fit["alpha"])),
        ("alpha chosen by", "held-out pseudo-likelihood" if fit["alpha_tried"] else "default or user"),
        ("fields fitted", "yes" if fit["fit_fields"] else "no, held at 0"),
        ("tolerance (largest gradient)", entry(fit["tol"])),
        ("passes over the samples", entry(fit["n_iter"])),
        ("converged", entry(fit["converged"])),
        ("log pseudo-likelihood (nats per spin)", number(fit["score_per_spin"])),
        ("the same for free spins, −log 2", number(fit["score_per_spin_free"])),
    ]
    settings: list[Row] = [(key.replace("_", " "), entry(value)) for key, value in parameters.items()]
    settings += [(f"time for {key} (seconds)", number(value, 3)) for key, value in seconds.items()]
    packages: list[Row] = [(name, version) for name, version in numbers["versions"].items()]
    tables = [
        Table("Data", ("quantity", "value"), about),
        *([Table("Recorded with the data", ("attribute", "value"), metadata)] if metadata else []),
        Table("Fit of the couplings", ("quantity", "value"), fitted),
        Table("Parameters and times", ("parameter", "value"), settings),
        Table("Versions", ("package", "version"), packages),
    ]
    return Section("background", "Data, parameters and versions", SECTIONS["background"], [], tables)
