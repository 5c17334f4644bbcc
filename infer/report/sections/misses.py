"""Section on the second claim: statistics of the rows that were not fitted, against draws of the pair model."""

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from infer.diagnosis.check import percent
from infer.diagnosis.residuals import MOST_PAIRS
from infer.plot.axes import FEW_POINTS, bar_ends, cloud, identity, legend_above, log_ticks
from infer.plot.svg import BLUE, VERMILION, drawing, new_axes
from infer.report.layout import Number, Table, number, p_number, readable, typeset
from infer.report.results import Analysis
from infer.report.section import Figure, Numbers, Section

Row = tuple[str | Number, ...]


def agreement(
    observed: ArrayLike,
    predicted: ArrayLike,
    observed_std: ArrayLike | None,
    predicted_std: ArrayLike | None,
    quantity: str,
) -> MatplotlibFigure:
    """Moments of the data against those of the fitted equilibrium model.

    Parameters
    ----------
    observed, predicted : array_like, shape (n_moments,)
        Moments of +-1 spins, dimensionless.
    observed_std, predicted_std : array_like, shape (n_moments,), optional
        Standard errors.
    quantity : str
        Name and formula of the moments, for the labels of the axes.

    Returns
    -------
    matplotlib.figure.Figure
    """
    y, x = np.asarray(observed, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    error_y, error_x = (None if e is None else np.asarray(e, dtype=np.float64) for e in (observed_std, predicted_std))
    with drawing():
        figure, axes = new_axes(height=3.6)
        cloud(axes, x, y, BLUE, error_x, error_y)
        ends = bar_ends(x, error_x), bar_ends(y, error_y)
        identity(axes, *ends)
        axes.set_xlabel(f"model: {quantity} (dimensionless)")
        axes.set_ylabel(f"data: {quantity} (dimensionless)")
        legend_above(axes)
    return figure


def count_distribution(
    values: ArrayLike,
    observed: ArrayLike,
    predicted: ArrayLike,
    observed_std: ArrayLike | None = None,
    predicted_std: ArrayLike | None = None,
) -> MatplotlibFigure:
    """Distribution of the number of spins at +1, in the data and in the fitted model.

    Parameters
    ----------
    values : array_like, shape (n_values,)
        Possible numbers.
    observed, predicted : array_like, shape (n_values,)
        Probabilities.
    observed_std, predicted_std : array_like, shape (n_values,), optional
        Their standard errors.

    Returns
    -------
    matplotlib.figure.Figure
    """
    values, observed, predicted = (np.asarray(v, dtype=np.float64) for v in (values, observed, predicted))
    seen = np.flatnonzero((observed > 0) | (predicted > 0))
    part = slice(seen[0], seen[-1] + 1) if len(seen) else slice(None)
    with drawing():
        figure, axes = new_axes()
        sets = ((observed, observed_std, BLUE, "o", "data"), (predicted, predicted_std, VERMILION, "s", "fitted model"))
        for probability, std, colour, marker, label in sets:
            kept = np.where(probability[part] > 0, probability[part], np.nan)
            axes.plot(
                values[part], kept, marker, color=colour, markersize=3.2, linewidth=1.0, linestyle="-", label=label
            )
            if std is not None:
                error = np.asarray(std, dtype=np.float64)[part]
                low = np.maximum(probability[part] - error, probability[part] / 10)
                axes.fill_between(values[part], low, probability[part] + error, color=colour, alpha=0.25, linewidth=0)
        axes.set_yscale("log")
        log_ticks(axes.yaxis, *axes.get_ylim())
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("spins at +1 (number)")
        axes.set_ylabel("probability")
        legend_above(axes)
    return figure


def energy_distribution(edges: ArrayLike, observed: ArrayLike, predicted: ArrayLike) -> MatplotlibFigure:
    """Distribution of the energy under the fitted model, in the data and in the model.

    Parameters
    ----------
    edges : array_like, shape (n_bins + 1,)
        Edges of the bins; energies in units of the temperature.
    observed, predicted : array_like, shape (n_bins,)
        Shares of samples in the bins.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with drawing():
        figure, axes = new_axes()
        for values, colour, dashes, label in (
            (observed, BLUE, "-", "data"),
            (predicted, VERMILION, (0, (4, 2)), "fitted model"),
        ):
            axes.stairs(
                np.asarray(values), np.asarray(edges), color=colour, linestyle=dashes, linewidth=1.6, label=label
            )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("energy E / T (dimensionless)")
        axes.set_ylabel("share of samples in the bin")
        axes.xaxis.set_major_locator(MaxNLocator(6))
        legend_above(axes)
    return figure


def _text(analysis: Analysis) -> str:
    text = (
        f"{analysis.diagnosis.claims['model']} Rows drawn from the fitted model are set against the data, also in what "
        f"was not fitted: {_triples(analysis)}, the number of spins at +1, and the energy."
    )
    escaped = analysis.runaway
    if escaped is None:
        return f"{text} Runaway check: not done, since the couplings are not finite."
    if escaped.ran_away:
        return f"{text} Runaway check: {escaped.sentence}."
    return (
        f"{text} Runaway check: chains of the model, from the data and from independent spins, stay where the data are "
        f"({percent(escaped.activity_from_data)} and {percent(escaped.activity_from_independent)} of the spins at "
        "+1; "
        f"data {percent(escaped.activity)})."
    )


def _triples(analysis: Analysis) -> str:
    """Triples of spins, and how many of them where not all are compared."""
    moments = analysis.adequacy.moments
    total = math.comb(len(moments["means"]["observed"]), 3)
    compared = len(moments["third moments"]["observed"]) if "third moments" in moments else 0
    return "triples of spins" + (f" ({compared:,} of {total:,}, chosen at random)" if 0 < compared < total else "")


def _moments(name: str, title: str, quantity: str, caption: str) -> Figure:
    """Moments of the data against those of the fitted model."""

    def drawn(analysis: Analysis) -> MatplotlibFigure:
        keys = ("observed", "predicted", "observed_std", "predicted_std")
        observed, predicted, *errors = (analysis.adequacy.moments[name][key] for key in keys)
        return agreement(observed, predicted, errors[0], errors[1], quantity)

    def says(analysis: Analysis) -> str:
        single = len(analysis.adequacy.moments[name]["observed"]) <= FEW_POINTS
        return f"{caption} " + ("Bars: standard errors." if single else "The cross is a typical standard error.")

    return Figure(name, title, drawn, says, needs=lambda analysis: name in analysis.adequacy.moments)


def _drawn_count(analysis: Analysis) -> MatplotlibFigure:
    found: dict[str, Any] = analysis.adequacy.sum_of_spins
    count = (analysis.data.n_spins + np.asarray(found["values"])) / 2
    keys = ("observed", "predicted", "observed_std", "predicted_std")
    return count_distribution(count, *(found[key] for key in keys))


def _drawn_energy(analysis: Analysis) -> MatplotlibFigure:
    found = analysis.adequacy.energies
    return energy_distribution(*(found[key] for key in ("edges", "observed", "predicted")))


def _checks(analysis: Analysis, numbers: Numbers) -> Table:
    """All checks with their p-values and outcomes."""
    outcomes = {True: "passes", False: "fails", None: "not judged"}
    rows: list[Row] = [
        (
            item.name,
            outcomes[item.passed],
            p_number(item.p_value),
            item.judges,
            typeset(item.effect),
        )
        for item in analysis.diagnosis.checks
    ]
    note = (
        "The p-value is the chance of a deviation as large if what is judged were right. Outcomes of the checks of the "
        f"model after Holm’s correction, {100 * analysis.diagnosis.false_alarms:g} % false alarms together."
    )
    if analysis.diagnosis.without_time:
        note += f" Not judged over time: {analysis.diagnosis.without_time}."
    return Table("Checks", ("check", "outcome", "p", "judges the", "largest deviation"), rows, note)


def _table_of_moments(analysis: Analysis, numbers: Numbers) -> Table:
    rows: list[Row] = [
        (
            name,
            f"{len(shown['observed']):,}",
            *(number(shown[key], 3) for key in ("rms_observed", "rms_difference", "rms_z", "pearson")),
        )
        for name, shown in numbers["adequacy"]["moments"].items()
    ]
    head = ("moments", "number", "rms", "rms difference", "rms difference / error", "correlation")
    drawn = "annealed states" if analysis.adequacy.annealed else "chains"
    note = (
        f"Errors: {analysis.adequacy.error_method}. A ratio near 1 is what noise alone gives (below 1 for moments that "
        f"were fitted). Largest R-hat of the model’s own {drawn}: "
        f"{readable(analysis.adequacy.r_hat, 4)}."
    )
    n_pairs = math.comb(len(analysis.adequacy.moments["means"]["observed"]), 2)
    if n_pairs > MOST_PAIRS:
        note += f" Of the correlations, {MOST_PAIRS:,} of {n_pairs:,} are divided by their errors."
    return Table("Data against fitted model", head, rows, note)


SECTION = Section(
    "model",
    "What does the pair model miss?",
    _text,
    [
        _moments(
            "means",
            "Means",
            "⟨sᵢ⟩",
            "Mean of each spin. Points on the dashed line: the model reproduces them.",
        ),
        _moments(
            "correlations",
            "Correlations",
            "covariance",
            "Covariances ⟨sᵢsⱼ⟩ − ⟨sᵢ⟩⟨sⱼ⟩ of pairs of spins, which were fitted. A departure from the line means a fit "
            "that did not converge or a penalty that is too strong.",
        ),
        _moments(
            "third moments",
            "Third moments",
            "3rd cumulant",
            "Third cumulants of triples of spins, which were not fitted. A slope other than 1, or a cloud wider than "
            "the error bars, points to interactions of three or more spins, or to a common drive.",
        ),
        Figure(
            "count",
            "Number of spins at +1",
            _drawn_count,
            "Not fitted either; it depends on correlations of every order. Look for tails or peaks of the data that "
            "the model lacks. Shaded: standard errors.",
        ),
        Figure(
            "energy",
            "Energy",
            _drawn_energy,
            "Energy under the fitted model. If energies of the data are higher or lower than those of the model’s own "
            "draws, the model has other typical states than the data.",
        ),
    ],
    [_checks, _table_of_moments],
)
