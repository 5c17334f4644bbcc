"""Sections that judge the model: does it fit, does the record have a direction in time or a drift, do chains agree."""

from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure as MatplotlibFigure

from infer.plot.svg import to_svg
from infer.report import diagnosis_figures, fit_figures
from infer.report.captions import CAPTIONS, SECTIONS
from infer.report.layout import FigureCard, Number, Section, Table, number, readable, typeset
from infer.report.results import Analysis

__all__ = ["card", "convergence", "goodness", "time_and_drift"]

Numbers = dict[str, Any]
Row = tuple[str | Number, ...]

# which moments are shown, with their names on the axes: cumulants, so that means do not pass for correlations
MOMENTS = {
    "means": ("Means", "⟨sᵢ⟩"),
    "correlations": ("Correlations", "covariance"),
    "third moments": ("Third moments", "3rd cumulant"),
}


def card(key: str, title: str, drawn: MatplotlibFigure, **values: str) -> FigureCard:
    """A drawn figure with its caption."""
    identifier = key.replace(" ", "-")
    caption = CAPTIONS[key].format(**values)
    return FigureCard(f"figure-{identifier}", title, Markup(to_svg(drawn, identifier, title)), caption)


def goodness(analysis: Analysis, numbers: Numbers) -> Section:
    """Moments, energies and the sum of spins: data against the fitted model."""
    found, values = analysis.adequacy, numbers["adequacy"]
    cards = []
    rows: list[Row] = []
    for name, moment in found.moments.items():
        (title, formula), shown = MOMENTS[name], values["moments"][name]
        observed, predicted, *errors = (
            moment[key] for key in ("observed", "predicted", "observed_std", "predicted_std")
        )
        cards.append(card(name, title, fit_figures.agreement(observed, predicted, errors[0], errors[1], formula)))
        numbers_shown = (shown[key] for key in ("rms_observed", "rms_difference", "rms_z", "p_value", "pearson"))
        rows.append((name, str(len(moment["observed"])), *(number(value, 3) for value in numbers_shown)))
    for name, shape in (("number of +1", values["sum_of_spins"]), ("energy", values["energies"])):
        rows.append((name, "–", "–", "–", number(shape["rms_z"], 3), number(shape["p_value"], 3), "–"))
    total = (found.sum_of_spins[key] for key in ("values", "observed", "predicted", "observed_std", "predicted_std"))
    energies = (found.energies[key] for key in ("edges", "observed", "predicted"))
    cards += [
        card("sum", "Sum of all spins", fit_figures.sum_distribution(*total)),
        card("energy", "Energy", fit_figures.energy_distribution(*energies)),
    ]
    held = analysis.diagnosis.held_out
    gains = _gains(analysis)
    cards.append(card("held-out", "Rows that were held out", diagnosis_figures.held_out_scores(gains)))
    head = ("moments", "number", "rms", "rms difference", "rms difference / error", "p-value", "correlation")
    note = (
        f"Errors of the data: {found.error_method}. A ratio near 1 is what noise alone gives (below 1 for moments that "
        f"were fitted). Largest R-hat of the model’s own chains: {readable(found.r_hat, 4)}."
    )
    tables = [
        _checks(analysis, numbers),
        Table("Data against fitted model", head, rows, note),
        _held_out(numbers, held.note),
    ]
    text = f"{SECTIONS['goodness']} {typeset(found.verdict)} {typeset(held.verdict)}"
    return Section("goodness", "Does an equilibrium model fit?", text, cards, tables)


def _gains(analysis: Analysis) -> dict[str, tuple[float, float]]:
    """What models gain on independent spins, and its standard error, in nats per sample."""
    held = analysis.diagnosis.held_out
    first = held.differences["pairwise - independent"]
    gains = {"pairwise": (first["difference"], first["std"])}
    if "kinetic Ising" in held.scores:
        second = held.differences["kinetic Ising - pairwise"]
        gains["kinetic Ising"] = (first["difference"] + second["difference"], second["std"])
    return gains


def _checks(analysis: Analysis, numbers: Numbers) -> Table:
    """All checks with their p-values and outcomes."""
    checks = numbers["diagnosis"]["checks"]
    rows: list[Row] = [
        (
            item["name"],
            item["statistic"],
            number(item["value"], 3),
            number(item["p_value"], 3),
            "passes" if item["passed"] else "fails",
        )
        for item in checks
    ]
    note = (
        "The p-value is the chance of a value as far off if the model were right. Outcomes after Holm’s correction for "
        f"{len(checks)} checks, level {analysis.diagnosis.level:g} together."
    )
    if analysis.diagnosis.without_time:
        note += f" Time reversal and drift were not judged: {analysis.diagnosis.without_time}."
    return Table("Checks", ("check", "statistic", "value", "p-value", "outcome"), rows, note)


def _held_out(numbers: Numbers, note: str) -> Table:
    """Scores of held-out rows and their differences."""
    held = numbers["diagnosis"]["held_out"]
    rows: list[Row] = [
        (name, number(value), number(held["scores_std"][name], 2), "–") for name, value in held["scores"].items()
    ]
    for name, item in held["differences"].items():
        rows.append(
            (name.replace(" - ", " − "), number(item["difference"]), number(item["std"], 2), number(item["z"], 3))
        )
    text = f"Mean over {held['n_samples']:,} samples that were not fitted to, in {held['n_folds']} "
    text += "fold" if held["n_folds"] == 1 else "folds"
    head = ("model", "log-likelihood (nats per sample)", "standard error", "difference / error")
    return Table("Held-out scores", head, rows, f"{text}." + (f" Note: {note}." if note else ""))


def time_and_drift(analysis: Analysis, numbers: Numbers) -> Section:
    """Whether the record looks the same backwards, and early and late."""
    reversal, moved = analysis.diagnosis.time_reversal, analysis.diagnosis.drift
    title = "Does the record have a direction in time, or a drift?"
    if reversal is None or moved is None:
        return Section("time", title, f"This was not judged: {analysis.diagnosis.without_time}.")
    drawn = diagnosis_figures.time_asymmetry(reversal.forward, reversal.backward, reversal.asymmetry_std)
    cards = [
        card("reversal", "Forwards against backwards", drawn),
        card("drift", "Early and late", diagnosis_figures.drift(moved.time, moved.energy, moved.energy_std)),
    ]
    found = numbers["diagnosis"]
    rows: list[Row] = []
    for kind, test in (("time reversal", found["time_reversal"]), ("drift", found["drift"])):
        rows += [
            (f"{kind}: {name}", number(test["rms_z"][name], 3), number(p_value, 3))
            for name, p_value in test["p_values"].items()
        ]
        rows.append((f"{kind}: all together", "–", number(test["p_value"], 3)))
    bound = found["time_reversal"]
    note = (
        f"Null distributions from {reversal.n_blocks} blocks of {reversal.block_length:,} rows (longest "
        f"autocorrelation time: {readable(reversal.correlation_time, 3)} rows), reversed at random, and in random "
        "order."
    )
    tables = [Table("Time reversal and drift", ("test", "rms z", "p-value"), rows, note)]
    if bound["entropy_production"] is not None:
        entropy: list[Row] = [
            ("lower bound (nats per row)", number(bound["entropy_production"], 3)),
            ("standard error", number(bound["entropy_production_std"], 2)),
        ]
        note = (
            "Evaluated on rows that it was not fitted to, from correlations of pairs one row apart; negative values "
            "are noise about zero. What happens between rows, or in what was not recorded, adds to it."
        )
        tables.append(Table("Entropy production", ("quantity", "value"), entropy, note))
    if found["drift"]["largest"]:
        names = numbers["names"]
        drifting: list[Row] = [
            (names[item["spin"]], number(item["first"], 3), number(item["last"], 3), number(item["z"], 3))
            for item in found["drift"]["largest"]
        ]
        head = ("spin", "mean in the first quarter", "mean in the last quarter", "change / error")
        tables.append(Table("Spins that change most", head, drifting))
    return Section(
        "time", title, f"{SECTIONS['time']} {typeset(reversal.verdict)} {typeset(moved.verdict)}", cards, tables
    )


def convergence(analysis: Analysis, numbers: Numbers) -> Section:
    """R-hat and effective sample sizes."""
    found, values = analysis.convergence, numbers["convergence"]
    if not found["applicable"]:
        return Section("convergence", "Did the chains converge?", found["note"])
    r_hats, sizes = ({name: group[key] for name, group in found["groups"].items()} for key in ("r_hat", "ess"))
    drawn = fit_figures.effective_sample_sizes(sizes, found["ess_threshold"], analysis.data["n_samples"])
    cards = [
        card("rhat", "Do the chains agree?", fit_figures.rhats(r_hats, found["r_hat_threshold"])),
        card("ess", "How many are independent?", drawn),
    ]
    keys = ("number", "largest_r_hat", "smallest_ess", "median_ess")
    rows: list[Row] = [
        (name, *(number(group[key], 4 if key == "largest_r_hat" else 3) for key in keys))
        for name, group in values["groups"].items()
    ]
    head = ("quantity", "number", "largest R-hat", "smallest effective sample size", "median effective sample size")
    table = Table("Convergence", head, rows, "Energy is that of the fitted model, in units of the temperature.")
    return Section("convergence", "Did the chains converge?", found["note"], cards, [table])
