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
        numbers_shown = (shown[key] for key in ("rms_observed", "rms_difference", "rms_z", "pearson"))
        rows.append((name, str(len(moment["observed"])), *(number(value, 3) for value in numbers_shown)))
    total = (found.sum_of_spins[key] for key in ("values", "observed", "predicted", "observed_std", "predicted_std"))
    energies = (found.energies[key] for key in ("edges", "observed", "predicted"))
    cards += [
        card("sum", "Sum of all spins", fit_figures.sum_distribution(*total)),
        card("energy", "Energy", fit_figures.energy_distribution(*energies)),
    ]
    gains = _gains(analysis)
    cards.append(card("held-out", "Rows that were held out", diagnosis_figures.held_out_scores(gains)))
    head = ("moments", "number", "rms", "rms difference", "rms difference / error", "correlation")
    note = (
        f"Errors: {found.error_method}. A ratio near 1 is what noise alone gives (below 1 for moments that were "
        f"fitted). Largest R-hat of the model’s own chains: {readable(found.r_hat, 4)}."
    )
    tables = [
        _checks(analysis, numbers),
        Table("Data against fitted model", head, rows, note),
        _held_out(numbers),
    ]
    claims = analysis.diagnosis.claims
    text = f"{SECTIONS['goodness']} {typeset(claims['couplings'])} {typeset(claims['model'])}"
    return Section("goodness", "Does an equilibrium model fit?", text, cards, tables)


def _gains(analysis: Analysis) -> dict[str, tuple[float, float]]:
    """What models gain on independent spins, and its standard error, in nats per sample."""
    found = analysis.diagnosis.gains
    gains = {}
    if "pair - independent" in found:
        gains["pair"] = found["pair - independent"]
        if "kinetic - pair" in found:
            gains["kinetic"] = (gains["pair"][0] + found["kinetic - pair"][0], found["kinetic - pair"][1])
    return gains


def _checks(analysis: Analysis, numbers: Numbers) -> Table:
    """All checks with their p-values and outcomes."""
    outcomes = {True: "passes", False: "fails", None: "not judged"}
    rows: list[Row] = [
        (item.name, item.judges, typeset(item.effect), number(item.p_value, 3), outcomes[item.passed])
        for item in analysis.diagnosis.checks
    ]
    note = (
        "The p-value is the chance of a deviation as large if what is judged were right. Outcomes of the checks of the "
        f"model after Holm’s correction, {100 * analysis.diagnosis.false_alarms:g} % false alarms together."
    )
    if analysis.diagnosis.without_time:
        note += f" Not judged over time: {analysis.diagnosis.without_time}."
    return Table("Checks", ("check", "judges the", "largest deviation", "p-value", "outcome"), rows, note)


def _held_out(numbers: Numbers) -> Table:
    """Scores of held-out rows and their differences."""
    held = numbers["diagnosis"]["held_out"]
    rows: list[Row] = [
        (name, number(value), number(held["scores_std"][name], 2)) for name, value in held["scores"].items()
    ]
    for name, (gain, std) in held["gains"].items():
        rows.append((name.replace(" - ", " − "), number(gain), number(std, 2)))
    text = f"Mean over {held['n_rows']:,} samples that were not fitted to, in {held['n_folds']} "
    text += "fold" if held["n_folds"] == 1 else "folds"
    text += "".join(f". No score of the {name} model: {why}" for name, why in held["withheld"].items())
    head = ("model", "log-likelihood (nats per sample)", "standard error")
    return Table("Held-out scores", head, rows, f"{text}.")


def time_and_drift(analysis: Analysis, numbers: Numbers) -> Section:
    """Whether the record looks the same backwards, and in all its parts."""
    reversal, moved = analysis.diagnosis.time_reversal, analysis.diagnosis.drift
    title = "Does the record have a direction in time, or a drift?"
    claim = typeset(analysis.diagnosis.claims["time"])
    if reversal is None and moved is None:
        return Section("time", title, claim)
    cards: list[FigureCard] = []
    rows: list[Row] = []
    notes: list[str] = []
    found = numbers["diagnosis"]
    if reversal is not None:
        drawn = diagnosis_figures.time_asymmetry(reversal.forward, reversal.backward, reversal.asymmetry_std)
        cards.append(card("reversal", "Forwards against backwards", drawn))
    if moved is not None:
        drawn = diagnosis_figures.drift(moved.time, moved.energy, moved.energy_std)
        cards.append(card("drift", "Early and late", drawn))
    for kind, test in (("time reversal", found["time_reversal"]), ("drift", found["drift"])):
        if test is None:
            continue
        rows += [
            (f"{kind}: {name}", number(test["rms_z"][name], 3), number(p_value, 3))
            for name, p_value in test["p_values"].items()
        ]
        rows.append((f"{kind}: all together", "–", number(test["p_value"], 3)))
        notes.append(f"{kind}: {test['n_blocks']} blocks of {test['block_length']:,} rows")
    times = [part.correlation_time for part in (reversal, moved) if part is not None]
    note = f"{'; '.join(notes)}; longest autocorrelation time: {readable(times[0], 3)} rows."
    tables = [Table("Time reversal and drift", ("test", "rms z", "p-value"), rows, note)]
    bound = found["time_reversal"]
    if bound is not None and bound["entropy_production"] is not None:
        entropy: list[Row] = [
            ("lower bound (nats per row)", number(bound["entropy_production"], 3)),
            ("standard error", number(bound["entropy_production_std"], 2)),
        ]
        note = (
            "Evaluated on rows that it was not fitted to, from correlations of pairs one row apart; negative values "
            "are noise about zero. What happens between rows, or in what was not recorded, adds to it."
        )
        tables.append(Table("Entropy production", ("quantity", "value"), entropy, note))
    if moved is not None and found["drift"]["largest"]:
        names = numbers["names"]
        drifting: list[Row] = [
            (names[item["spin"]], number(item["first"], 3), number(item["last"], 3), number(item["z"], 3))
            for item in found["drift"]["largest"]
        ]
        head = ("spin", "mean in the first quarter", "mean in the last quarter", "change / error")
        tables.append(Table("Spins that change most", head, drifting))
    return Section("time", title, f"{SECTIONS['time']} {claim}", cards, tables)


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
