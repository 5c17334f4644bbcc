"""Section on convergence: agreement of chains, or of the parts of one run, and effective sample sizes."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure
from numpy.typing import ArrayLike

from infer.plot.axes import groups, legend_above, log_ticks
from infer.plot.svg import GREY, drawing, new_axes
from infer.report.layout import Number, Table, number
from infer.report.results import Analysis
from infer.report.section import Figure, Numbers, Section

Row = tuple[str | Number, ...]


def rhats(values: Mapping[str, ArrayLike], threshold: float = 1.01) -> MatplotlibFigure:
    """R-hat of every monitored quantity, group by group, in increasing order.

    Parameters
    ----------
    values : mapping
        Name of a group ("energy", "overlaps", "spins") to R-hat of its quantities, dimensionless.
    threshold : float
        Threshold above which the chains disagree.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with drawing():
        figure, axes = new_axes()
        groups(axes, values)
        axes.axhline(threshold, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), label=f"threshold {threshold:g}")
        # inf (a spin frozen in every chain, in different states) and nan cannot be drawn
        every = np.concatenate([[1.0, threshold], *(np.ravel(v) for v in values.values())]).astype(np.float64)
        finite = every[np.isfinite(every)]
        top, bottom = float(finite.max()), float(finite.min())
        pad = 0.08 * (top - bottom)
        axes.set_ylim(bottom - pad, top + pad)
        axes.set_ylabel("R-hat (1 = chains agree)")
        legend_above(axes)
    return figure


def effective_sample_sizes(values: Mapping[str, ArrayLike], threshold: float, n_rows: int) -> MatplotlibFigure:
    """Effective sample size of every monitored quantity, group by group, in increasing order.

    Parameters
    ----------
    values : mapping
        Name of a group to the effective sample sizes of its quantities, in independent samples.
    threshold : float
        Threshold below which error bars are unreliable.
    n_rows : int
        Number of samples.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with drawing():
        figure, axes = new_axes()
        groups(axes, values)
        axes.axhline(threshold, color=GREY, linewidth=1.2, linestyle=(0, (4, 3)), label=f"threshold {threshold:g}")
        axes.axhline(n_rows, color=GREY, linewidth=1.0, linestyle=(0, (1, 2)), label=f"all {n_rows:,} samples")
        axes.set_yscale("log")
        log_ticks(axes.yaxis, *axes.get_ylim())
        axes.set_ylabel("effective sample size (samples)")
        legend_above(axes)
    return figure


def _judged(analysis: Analysis) -> bool:
    return analysis.convergence.applicable


def _values(analysis: Analysis, key: str) -> dict[str, ArrayLike]:
    return {name: group[key] for name, group in analysis.convergence.groups.items()}


def _table(analysis: Analysis, numbers: Numbers) -> Table | None:
    if not analysis.convergence.applicable:
        return None
    keys = ("number", "largest_r_hat", "smallest_ess", "median_ess")
    rows: list[Row] = [
        (name, *(number(group[key], 4 if key == "largest_r_hat" else 3) for key in keys))
        for name, group in numbers["convergence"]["groups"].items()
    ]
    head = ("quantity", "number", "largest R-hat", "smallest effective sample size", "median effective sample size")
    return Table("Convergence", head, rows, "Energy is that of the fitted model, in units of the temperature.")


SECTION = Section(
    "convergence",
    "Did the chains converge?",
    lambda analysis: analysis.convergence.note,
    [
        Figure(
            "rhat",
            "Do the chains agree?",
            lambda analysis: rhats(_values(analysis, "r_hat"), analysis.convergence.r_hat_threshold or 1.01),
            "R-hat compares the spread between chains with that within. Above the dashed line, chains have not visited "
            "the same states.",
            needs=_judged,
        ),
        Figure(
            "ess",
            "How many are independent?",
            lambda analysis: effective_sample_sizes(
                _values(analysis, "ess"), analysis.convergence.ess_threshold or 0.0, analysis.data.n_samples
            ),
            "Neighbouring samples are correlated. Below the dashed line, error bars are unreliable; the dotted line is "
            "the number of samples taken.",
            needs=_judged,
        ),
    ],
    [_table],
)
