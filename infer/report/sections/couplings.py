"""Section on the couplings: map, strengths, both estimates of each coupling, the strongest ones, and each spin."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike

from infer.plot.axes import MAX_PIXELS, cloud, identity, legend_above, log_ticks, plain_label, shrink, spin_places
from infer.plot.svg import BLUE, GREY, INK, VERMILION, drawing, new_axes
from infer.report.layout import Number, Table, number, readable, with_error
from infer.report.network import cluster_order
from infer.report.results import Analysis
from infer.report.section import Figure, Numbers, Section
from infer.wording import method_words

MOST_SPINS = 100
Row = tuple[str | Number, ...]


def coupling_matrix(
    couplings: ArrayLike,
    limit: float,
    names: Sequence[str] | None = None,
    order: ArrayLike | None = None,
) -> MatplotlibFigure:
    """Map of the couplings on a symmetric colour scale from `-limit` to `limit`.

    Parameters
    ----------
    couplings : array_like, shape (n_spins, n_spins)
        beta J, dimensionless. More than 256 spins are shown as block means.
    limit : float
        End of the colour scale; the same in all maps that are compared.
    names : sequence of str, optional
        Names of the spins along both axes, where there is room; by default their numbers.
    order : array_like of int, shape (n_spins,), optional
        Spins in the order in which they are drawn.

    Returns
    -------
    matplotlib.figure.Figure
    """
    matrix = np.asarray(couplings, dtype=np.float64)
    n_spins = len(matrix)
    order = np.arange(n_spins) if order is None else np.asarray(order)
    shown, block = shrink(matrix[np.ix_(order, order)])
    end = len(shown) * block - 0.5
    places, labels, kind = spin_places(n_spins, names, order)
    with drawing():
        figure, axes = new_axes(height=4.6)
        axes.grid(False)
        image = axes.imshow(
            shown, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="none", extent=(-0.5, end, end, -0.5)
        )
        axes.set_xlim(-0.5, n_spins - 0.5)
        axes.set_ylim(n_spins - 0.5, -0.5)
        axes.set_xlabel(f"spin j ({kind})")
        axes.set_ylabel(f"spin i ({kind})")
        axes.set_xticks(places, labels, rotation=90)
        axes.set_yticks(places, labels)
        for spine in axes.spines.values():
            spine.set_visible(True)
        bar = figure.colorbar(image, ax=axes, orientation="horizontal", shrink=0.9, aspect=28, pad=0.02)
        bar.set_label("coupling β J (dimensionless)")
        bar.outline.set_edgecolor(INK)
        bar.ax.xaxis.set_major_locator(MaxNLocator(5))
        bar.ax.xaxis.set_major_formatter(FuncFormatter(plain_label))
    return figure


def coupling_ranks(couplings: ArrayLike, std: ArrayLike | None = None) -> MatplotlibFigure:
    """Strength of the couplings in decreasing order, with standard errors.

    Parameters
    ----------
    couplings : array_like, shape (n_spins, n_spins)
        beta J, dimensionless.
    std : array_like, shape (n_spins, n_spins), optional
        Standard errors.

    Returns
    -------
    matplotlib.figure.Figure
    """
    above = np.triu_indices(len(np.asarray(couplings)), 1)
    values = np.asarray(couplings)[above]
    order = np.argsort(-np.abs(values), kind="stable")
    ranks = np.arange(1, len(values) + 1)
    few = np.unique(np.geomspace(1, len(values), 600).astype(int)) - 1 if len(values) > 1500 else np.arange(len(values))
    with drawing():
        figure, axes = new_axes()
        if std is not None:
            axes.plot(
                ranks[few], np.asarray(std)[above][order][few], ".", color=GREY, markersize=2.5, label="standard error"
            )
        axes.plot(ranks[few], np.abs(values[order])[few], color=BLUE, linewidth=1.6, label="|β J|")
        axes.set_xscale("log")
        log_ticks(axes.xaxis, 1, len(values))
        positive = np.abs(values[values != 0])
        if len(positive) and positive.max() > 30 * np.median(positive):
            axes.set_yscale("log")
            axes.set_ylim(bottom=positive.max() * 1e-4)  # the smallest of many noisy numbers are close to 0
            log_ticks(axes.yaxis, *axes.get_ylim())
        else:
            axes.set_ylim(0, rank_limit(couplings, std))
        axes.set_xlabel("rank of the pair, strongest first (number)")
        axes.set_ylabel("|β J| (dimensionless)")
        legend_above(axes)
    return figure


def rank_limit(couplings: ArrayLike, std: ArrayLike | None) -> float:
    """End of the axis of strengths: holds all couplings, and standard errors as far as they are not much larger."""
    above = np.triu_indices(len(np.asarray(couplings)), 1)
    size = float(np.abs(np.asarray(couplings)[above]).max())
    errors = np.zeros(1) if std is None else np.asarray(std)[above]
    errors = errors[np.isfinite(errors)]
    return max(1.08 * size, min(1.08 * float(errors.max(initial=0.0)), 3.0 * size)) or 1.0


def transpose_scatter(by_node: ArrayLike) -> MatplotlibFigure:
    """Both estimates of each coupling against each other.

    Parameters
    ----------
    by_node : array_like, shape (n_spins, n_spins)
        beta J, dimensionless, row i fitted by spin i.

    Returns
    -------
    matplotlib.figure.Figure
    """
    matrix = np.asarray(by_node, dtype=np.float64)
    above = np.triu_indices(len(matrix), 1)
    x, y = matrix[above], matrix.T[above]
    with drawing():
        figure, axes = new_axes(height=3.6)
        cloud(axes, x, y, BLUE)
        identity(axes, x, y)
        axes.set_xlabel("β Jᵢⱼ as spin i estimates it (dimensionless)")
        axes.set_ylabel("β Jⱼᵢ as spin j estimates it")
        legend_above(axes)
    return figure


def degrees(counts: Mapping[str, ArrayLike]) -> MatplotlibFigure:
    """Histogram of the number of couplings of a spin.

    Parameters
    ----------
    counts : mapping
        Name of a choice of couplings to their number for each spin, shape (n_spins,).

    Returns
    -------
    matplotlib.figure.Figure
    """
    with drawing():
        figure, axes = new_axes()
        for (name, values), colour, dashes in zip(counts.items(), (BLUE, VERMILION), ("-", (0, (4, 2))), strict=False):
            least = int(np.min(np.asarray(values)))
            numbers = np.bincount(np.asarray(values, dtype=np.int64) - least)
            edges = least + np.arange(len(numbers) + 1) - 0.5
            axes.stairs(numbers, edges, color=colour, linestyle=dashes, linewidth=1.6, label=name)
        axes.set_xlabel("couplings of a spin (number)")
        axes.set_ylabel("spins (number)")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_ylim(bottom=0)
        legend_above(axes)
    return figure


def colour_limit(*matrices: ArrayLike) -> float:
    """End of a colour scale that covers 99.5 % of the couplings of some matrices."""
    sizes = np.concatenate(
        [np.abs(np.asarray(matrix))[np.triu_indices(len(np.asarray(matrix)), 1)] for matrix in matrices]
    )
    sizes = sizes[np.isfinite(sizes)]
    return float(np.quantile(sizes, 0.995)) or float(sizes.max()) or 1.0 if len(sizes) else 1.0


def drawn_order(analysis: Analysis) -> Any:
    """Order of the spins in maps of couplings: as given for simulations, groups of coupled spins for recordings."""
    return None if analysis.data.kind == "simulation" else cluster_order(analysis.couplings)


def _map_caption(analysis: Analysis) -> str:
    limit = readable(colour_limit(analysis.couplings), 2)
    text = f"Fitted by {method_words(analysis.fit.method)}. Colours end at ±{limit}, which holds 99.5 % of them."
    if analysis.data.kind == "recording":
        text += " Spins are ordered so that coupled groups stand together (average linkage of |β J|)."
    block = -(-analysis.data.n_spins // MAX_PIXELS)
    return text + (f" Each pixel is the mean of {block} × {block} couplings." if block > 1 else "")


def _ranks_caption(analysis: Analysis) -> str:
    text = "Look for a gap: it separates pairs that are connected from pairs that are not; a smooth decline has none."
    errors = analysis.couplings_std[np.triu_indices(analysis.data.n_spins, 1)]
    if not np.isfinite(errors).any():
        return text
    text += " Couplings near their standard error (dots) cannot be told from 0."
    beyond = int((errors > rank_limit(analysis.couplings, analysis.couplings_std)).sum())
    return text + (f" {beyond:,} {'errors lie' if beyond > 1 else 'error lies'} above the axis." if beyond else "")


def _range(degrees: Any) -> str:
    """Smallest, largest and mean degree, as text."""
    low, high = int(np.min(degrees)), int(np.max(degrees))
    return f"{low} to {high} (mean {readable(float(np.mean(degrees)), 2)})" if high > low else f"{low}"


def _text(analysis: Analysis) -> str:
    """Text on the samples per coupling, the couplings that differ from 0, and the gap in their strengths."""
    found, data = analysis.network, analysis.data
    text = (
        f"Couplings contain the inverse temperature: the probability of a state is proportional to exp(−E). There are "
        f"{readable(data.samples_per_coupling, 3)} samples for each of the {data.n_couplings:,} couplings."
    )
    if analysis.diagnosis.couplings_needed is False:
        text += " Since these rows say nothing against independent spins, what is shown here is noise."
    if math.isfinite(found.transpose_correlation):
        text += f" Both estimates of each coupling correlate at {readable(found.transpose_correlation, 3)}."
    if np.isfinite(analysis.couplings_std[np.triu_indices(data.n_spins, 1)]).any():
        text += (
            f" {found.n_significant:,} of {data.n_couplings:,} couplings differ from 0 by more than "
            f"{readable(found.z_threshold, 3)} standard errors (5 % false alarms for all together)"
        )
        text += f"; a spin has {_range(found.degrees)} of them." if found.n_significant else "."
    if found.gap is not None:
        gap = found.gap
        text += (
            f" The strengths show a gap: {gap['rank']:,} couplings reach {readable(gap['above'], 3)} or more, the next "
            f"one {readable(gap['below'], 3)}; a spin has {_range(gap['degrees'])} of these strong ones."
        )
    return text


def _drawn_map(analysis: Analysis) -> MatplotlibFigure:
    limit = colour_limit(analysis.couplings)
    return coupling_matrix(analysis.couplings, limit, analysis.names, drawn_order(analysis))


def _drawn_degrees(analysis: Analysis) -> MatplotlibFigure:
    counts = {"differ from 0": analysis.network.degrees}
    if analysis.network.gap is not None:
        counts["above the gap"] = analysis.network.gap["degrees"]
    return degrees(counts)


def _strongest(analysis: Analysis, numbers: Numbers) -> Table:
    names = numbers["names"]
    rows: list[Row] = [
        (names[pair["i"]], names[pair["j"]], *with_error(pair["coupling"], pair["std"]), number(pair["z"], 2))
        for pair in numbers["strongest_couplings"]
    ]
    head = ("spin i", "spin j", "β J", "standard error", "β J / error")
    note = "Couplings below their standard error come last. Press a heading to sort."
    return Table(f"The {len(rows)} strongest couplings", head, rows, note)


def _network(analysis: Analysis, numbers: Numbers) -> Table:
    found, gap = numbers["network"], numbers["network"]["gap"]
    rows: list[Row] = []
    if found["transpose_correlation"] is not None:
        rows.append(
            ("correlation of J with its transpose, before averaging", number(found["transpose_correlation"], 3))
        )
    rows += [
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


def _spins(analysis: Analysis, numbers: Numbers) -> Table:
    """Mean, field and couplings of each spin, those with most couplings first where not all can be shown."""
    counts = np.asarray(numbers["network"]["degrees"])
    order = np.arange(len(counts))
    if len(order) > MOST_SPINS:
        order = np.sort(np.argsort(-counts, kind="stable")[:MOST_SPINS])
    rows: list[Row] = [
        (
            numbers["names"][k],
            with_error(numbers["means"][k], math.sqrt((1.0 - numbers["means"][k] ** 2) / analysis.data.n_samples))[0],
            number(numbers["fields"][k], 3),
            number(numbers["network"]["degrees"][k]),
        )
        for k in order.tolist()
    ]
    note = "" if len(order) == len(counts) else f"The {MOST_SPINS} with most couplings; all are among the numbers."
    return Table("Spins", ("spin", "mean", "field β h", "couplings that differ from 0"), rows, note)


SECTION = Section(
    "couplings",
    "Couplings",
    _text,
    [
        Figure("inferred", "Couplings", _drawn_map, _map_caption),
        Figure(
            "ranks",
            "Couplings by strength",
            lambda analysis: coupling_ranks(analysis.couplings, analysis.couplings_std),
            _ranks_caption,
        ),
        Figure(
            "transpose",
            "Both estimates of each coupling",
            lambda analysis: transpose_scatter(analysis.couplings_by_node),  # type: ignore[arg-type]
            lambda analysis: (
                "Every coupling is estimated twice, once by each of its two spins, then averaged. Samples of an "
                "equilibrium model put all points on the dashed line up to noise (correlation "
                f"{readable(analysis.network.transpose_correlation, 3)}); a wide cloud means too few samples, a "
                "systematic departure means couplings that act in one direction only."
            ),
            needs=lambda analysis: analysis.couplings_by_node is not None,
        ),
        Figure(
            "degrees",
            "Couplings of a spin",
            _drawn_degrees,
            lambda analysis: (
                "Number of couplings of a spin that differ from 0 by more than "
                f"{readable(analysis.network.z_threshold, 3)} standard errors"
                + ("" if analysis.network.gap is None else ", and of those above the gap in strength")
                + ". Spins with many couplings are on the right."
            ),
            needs=lambda analysis: analysis.network.n_significant > 0,
        ),
    ],
    [_strongest, _spins, _network],
)
