"""Section on the first claim: log-likelihood of held-out rows under independent spins, pair couplings and others."""

from collections.abc import Mapping

from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator

from infer.diagnosis.comparison import SIGMAS
from infer.diagnosis.multi_information import CORRECTION
from infer.plot.axes import MARKERS
from infer.plot.svg import COLOURS, GREY, drawing, new_axes
from infer.report.layout import Number, Table, number, p_number, with_error
from infer.report.results import Analysis
from infer.report.section import Figure, Numbers, Section

Row = tuple[str | Number, ...]
MOST_PAIRS = 20
#: Models by the names that sentences use, where they differ from those of the numbers.
NAMES = {"k-pairwise": "population count"}


def held_out_scores(gains: Mapping[str, tuple[float, float]]) -> MatplotlibFigure:
    """Log-likelihood of held-out samples above that of independent spins, model by model.

    Parameters
    ----------
    gains : mapping
        Name of a model to its gain and the standard error, in nats per row.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with drawing():
        figure, axes = new_axes(height=1.1 + 0.45 * (1 + len(gains)))
        axes.axvline(0.0, color=GREY, linewidth=1.2, linestyle=(0, (2, 2)))
        names = ["independent", *gains]
        axes.plot([0.0], [0], MARKERS[0], color=GREY, markersize=7)
        for k, (value, std) in enumerate(gains.values(), start=1):
            axes.errorbar([value], [k], xerr=[std], fmt=MARKERS[k], color=COLOURS[k - 1], markersize=7, capsize=4)
        axes.set_yticks(range(len(names)), [NAMES.get(name, name).replace(" ", "\n") for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlabel("gain on independent (nats per row)")
        axes.set_ylabel("model")
        axes.xaxis.set_major_locator(MaxNLocator(5))
    return figure


def _text(analysis: Analysis) -> str:
    text = analysis.diagnosis.claims["couplings"]
    held_out = analysis.diagnosis.held_out
    gains = [held_out.gains.get("kinetic - pair"), held_out.over_independent.get("kinetic")]
    if analysis.diagnosis.couplings_needed and all(gain is not None and gain[0] > SIGMAS * gain[1] for gain in gains):
        text += (
            " A kinetic model, which predicts each row from the one before, is better still: successive rows "
            "depend on each other."
        )
    return f"{text} All models were fitted to the same rows and scored on the same other rows."


def _caption(analysis: Analysis) -> str:
    drawn = analysis.diagnosis.held_out.over_independent
    text = "Log-likelihood of rows that were not fitted to, above that of independent spins; bars are standard errors."
    if "pair" in drawn:
        text += " Pair to the right of independent: couplings are worth having."
    if "kinetic" in drawn:
        text += " The kinetic model knows the row before instead of the rest of the row."
    return text


def _scores(analysis: Analysis, numbers: Numbers) -> Table:
    """Scores of held-out rows and their differences."""
    held = numbers["diagnosis"]["held_out"]
    rows: list[Row] = [
        (NAMES.get(name, name), *with_error(value, held["scores_std"][name])) for name, value in held["scores"].items()
    ]
    for name, (gain, std) in held["gains"].items():
        rows.append((" − ".join(NAMES.get(each, each) for each in name.split(" - ")), *with_error(gain, std)))
    text = f"Mean over {held['n_rows']:,} samples that were not fitted to, in {held['n_folds']} "
    text += "fold" if held["n_folds"] == 1 else "folds"
    if unsure := max(held["partition_std"].values(), default=0.0):
        text += f". Errors contain that of the partition function, {unsure:.1g} nats at most"
    text += "".join(f". No score of the {NAMES.get(name, name)} model: {why}" for name, why in held["withheld"].items())
    head = ("model", "log-likelihood (nats per row)", "standard error")
    return Table("Held-out scores", head, rows, f"{text}.")


def _information(analysis: Analysis, numbers: Numbers) -> Table | None:
    """Entropies and the share of the multi-information."""
    found = numbers["diagnosis"]["information"]
    if found is None or analysis.diagnosis.couplings_needed is False:  # the share would be a ratio of two noisy numbers
        return None
    rows: list[Row] = [
        ("entropy of independent spins (nats)", number(found["independent"])),
        ("entropy of the pair model (nats)", number(found["pair"])),
        ("entropy of the rows (nats)", number(found["all"])),
        ("share of the multi-information, corrected", number(found["share"], 3)),
        ("the same without correction", number(found["plain_share"], 3)),
        ("probability of the states that were seen", number(found["coverage"], 3)),
    ]
    note = f"Entropies with {CORRECTION} correction for bias."
    if found["withheld"]:
        note += f" The corrected share is withheld: {found['withheld']}."
    return Table("Multi-information", ("quantity", "value"), rows, note)


def _pairs(analysis: Analysis, numbers: Numbers) -> Table | None:
    """Pairs that stand out from independent spins."""
    found = numbers["diagnosis"]["independence"]
    if found is None:
        return None
    names = numbers["names"]
    rows: list[Row] = [("all pairs together", "p-value", p_number(found["p_value"]))]
    for (i, j), z in list(zip(found["pairs"], found["z"], strict=True))[:MOST_PAIRS]:
        rows.append((names[i], names[j], number(z, 2)))
    note = "Pair correlations against spins that were shifted against each other, or shuffled where rows have no order."
    return Table("Test of independence", ("spin i", "spin j", "correlation (standard deviations)"), rows, note)


SECTION = Section(
    "pays",
    "Do pair couplings pay?",
    _text,
    [
        Figure(
            "held-out",
            "Models compared on held-out rows",
            lambda analysis: held_out_scores(analysis.diagnosis.held_out.over_independent),
            _caption,
        ),
    ],
    [_scores, _information, _pairs],
)
