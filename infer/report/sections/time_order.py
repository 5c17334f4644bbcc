"""Section on the third claim: drift of the record, and its time reversal."""

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from infer.plot.axes import cloud, identity, legend_above
from infer.plot.svg import BLUE, GREY, drawing, new_axes
from infer.report.layout import Number, Table, number, p_number, readable, with_error
from infer.report.results import Analysis
from infer.report.section import Figure, Numbers, Section

Row = tuple[str | Number, ...]


def time_asymmetry(forward: ArrayLike, backward: ArrayLike, std: ArrayLike) -> MatplotlibFigure:
    """Correlations of each pair of spins one row apart, in both orders of time.

    Parameters
    ----------
    forward, backward : array_like, shape (n_pairs,)
        Covariances, dimensionless.
    std : array_like, shape (n_pairs,)
        Standard errors of their difference.

    Returns
    -------
    matplotlib.figure.Figure
    """
    x, y, error = (np.asarray(values, dtype=np.float64) for values in (forward, backward, std))
    with drawing():
        figure, axes = new_axes(height=3.6)
        cloud(axes, x, y, BLUE, error / np.sqrt(2), error / np.sqrt(2))
        identity(axes, x, y)
        axes.set_xlabel("i one row after j: Cᵢⱼ(1) (dimensionless)")
        axes.set_ylabel("j one row after i: Cⱼᵢ(1)")
        legend_above(axes)
    return figure


def drift(time: ArrayLike, energy: ArrayLike, std: ArrayLike) -> MatplotlibFigure:
    """Mean energy of successive blocks of a record.

    Parameters
    ----------
    time : array_like, shape (n_blocks,)
        Middle of each block, in rows from the start of its run.
    energy, std : array_like, shape (n_blocks,)
        Mean energy of blocks in standard deviations of single rows, and the standard deviation of blocks.

    Returns
    -------
    matplotlib.figure.Figure
    """
    x, y, error = (np.asarray(values, dtype=np.float64) for values in (time, energy, std))
    with drawing():
        figure, axes = new_axes()
        axes.axhspan(-2 * float(np.median(error)), 2 * float(np.median(error)), color=GREY, alpha=0.25, linewidth=0)
        axes.axhline(0.0, color=GREY, linewidth=1.0)
        axes.plot(x, y, "o", color=BLUE, markersize=4)
        axes.set_xlabel("time (rows from the start of the run)")
        axes.set_ylabel("energy (std of a row)")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return figure


def _text(analysis: Analysis) -> str:
    text = analysis.diagnosis.claims["time"]
    if analysis.diagnosis.time_reversal is None and analysis.diagnosis.drift is None:
        return text
    return (
        f"{text} Blocks of the record are put in random order, or reversed at random, to see how much drift and "
        "asymmetry chance alone produces."
    )


def _drawn_reversal(analysis: Analysis) -> MatplotlibFigure:
    found = analysis.diagnosis.time_reversal
    assert found is not None
    return time_asymmetry(found.forward, found.backward, found.asymmetry_std)


def _drawn_drift(analysis: Analysis) -> MatplotlibFigure:
    found = analysis.diagnosis.drift
    assert found is not None
    return drift(found.time, found.energy, found.energy_std)


def _tests(analysis: Analysis, numbers: Numbers) -> Table | None:
    found = numbers["diagnosis"]
    rows: list[Row] = []
    notes: list[str] = []
    for kind in ("drift", "time_reversal"):
        test = found[kind]
        if test is None:
            continue
        name = kind.replace("_", " ")
        single = kind == "drift" and test["n_runs"] == 1
        rows += [
            (
                f"{name}: {key.removesuffix(' within runs') if single else key}",
                number(test["rms_z"][key], 3),
                p_number(p_value),
            )
            for key, p_value in test["p_values"].items()
        ]
        rows.append((f"{name}: all together", "–", p_number(test["p_value"])))
        notes.append(f"{name}: {test['n_blocks']} blocks of {test['block_length']:,} rows")
    if not rows:
        return None
    parts = (analysis.diagnosis.time_reversal, analysis.diagnosis.drift)
    times = [part.correlation_time for part in parts if part is not None]
    note = f"{'; '.join(notes)}; longest autocorrelation time: {readable(times[0], 3)} rows."
    return Table("Drift and time reversal", ("test", "rms z", "p"), rows, note[0].upper() + note[1:])


def _entropy(analysis: Analysis, numbers: Numbers) -> Table | None:
    bound = numbers["diagnosis"]["time_reversal"]
    if bound is None or bound["entropy_production"] is None:
        return None
    value, error = with_error(bound["entropy_production"], bound["entropy_production_std"])
    rows: list[Row] = [("lower bound (nats per row)", value), ("standard error", error)]
    note = (
        "Evaluated on rows that it was not fitted to, from correlations of pairs one row apart; negative values are "
        "noise about zero. Entropy produced between rows, or by spins that were not recorded, is not included."
    )
    return Table("Entropy production", ("quantity", "value"), rows, note)


def _movers(analysis: Analysis, numbers: Numbers) -> Table | None:
    found = numbers["diagnosis"]["drift"]
    if found is None or not found["largest"]:
        return None
    names = numbers["names"]
    rows: list[Row] = []
    for item in found["largest"]:
        std = abs((item["last"] - item["first"]) / item["z"]) if item["z"] else None
        ends = (with_error(item[key], std)[0] for key in ("first", "last"))
        rows.append((names[item["spin"]], *ends, number(item["z"], 2)))
    head = ("spin", "mean in the first quarter", "mean in the last quarter", "change / error")
    return Table("Spins that change most", head, rows)


SECTION = Section(
    "time",
    "Is one equilibrium model enough over time?",
    _text,
    [
        Figure(
            "drift",
            "Early and late",
            _drawn_drift,
            "Mean energy of successive blocks under the fitted model, relative to the mean of the record. Shaded: two "
            "standard deviations of blocks about their mean. A trend, or a step, means that one set of couplings does "
            "not describe the whole record.",
            needs=lambda analysis: analysis.diagnosis.drift is not None,
        ),
        Figure(
            "reversal",
            "Forwards against backwards",
            _drawn_reversal,
            "Covariance of each pair of spins one row apart. A record that looks the same backwards puts all points on "
            "the dashed line within their error bars; points off the line show cycles, which do not occur in "
            "equilibrium.",
            needs=lambda analysis: analysis.diagnosis.time_reversal is not None,
        ),
    ],
    [_tests, _movers, _entropy],
)
