"""Section on the energy landscape of few spins: minima, saddles between them, and shares of the rows."""

import numpy as np
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.ticker import MaxNLocator

from infer.landscape.figures import tree_lines
from infer.landscape.result import EnergyLandscape
from infer.plot.axes import legend_above, short
from infer.plot.svg import BLUE, INK, VERMILION, drawing, new_axes
from infer.report.layout import Number, Table, number, with_error
from infer.report.results import Analysis
from infer.report.section import Figure, Numbers, Section
from infer.report.sections.couplings import LONGEST_NAME, MAX_NAMES

MOST_DRAWN = 16  # minima whose numbers fit along an axis
MOST_ROWS = 30
Row = tuple[str | Number, ...]


def tree(found: EnergyLandscape) -> MatplotlibFigure:
    """Disconnectivity tree of the lowest minima.

    Parameters
    ----------
    found : EnergyLandscape

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_drawn = min(found.n_minima, MOST_DRAWN)
    order, lines = tree_lines(found.merges, found.energies, n_drawn)
    with drawing():
        figure, axes = new_axes(height=3.4)
        for x, y in lines:
            axes.plot(x, y, color=INK, linewidth=1.0)
        axes.plot(range(len(order)), found.energies[order], "o", color=BLUE, markersize=5)
        axes.set_xticks(range(len(order)), [str(k) for k in order])
        axes.set_xlim(-0.6, len(order) - 0.4)
        axes.grid(visible=False, axis="x")
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.set_xlabel("minimum (number, 0 is the lowest)")
        axes.set_ylabel("energy E / T (dimensionless)")
    return figure


def minima_map(found: EnergyLandscape) -> MatplotlibFigure:
    """Map of the lowest minima: states of all spins, one row per minimum.

    Parameters
    ----------
    found : EnergyLandscape

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_drawn = min(found.n_minima, MOST_DRAWN)
    numbered = all(name == str(k) for k, name in enumerate(found.names))
    places = np.arange(0, found.n_spins, -(-found.n_spins // MAX_NAMES))
    with drawing():
        figure, axes = new_axes(height=2.4 + 0.2 * n_drawn)
        axes.grid(False)
        axes.imshow(found.minima[:n_drawn], cmap="RdBu_r", vmin=-1.6, vmax=1.6, aspect="auto", interpolation="none")
        labels = [short(found.names[k], LONGEST_NAME) for k in places.tolist()]
        axes.set_xticks(places, labels, rotation=90)
        axes.set_yticks(np.arange(0, n_drawn, -(-n_drawn // 6)))
        axes.set_xlabel(f"spin ({'number' if numbered else 'name'})")
        axes.set_ylabel("minimum (number)")
    return figure


def basin_shares(found: EnergyLandscape) -> MatplotlibFigure:
    """Share of the rows in each basin beside the probability of the basin in the model.

    Parameters
    ----------
    found : EnergyLandscape

    Returns
    -------
    matplotlib.figure.Figure
    """
    n_drawn = min(found.n_minima, MOST_DRAWN)
    x = np.arange(n_drawn)
    with drawing():
        figure, axes = new_axes()
        if found.shares is not None:
            axes.bar(x, found.shares[:n_drawn], width=0.8, color=BLUE, alpha=0.6, label="rows")
        std = found.model_shares_std[:n_drawn]
        axes.errorbar(x, found.model_shares[:n_drawn], std, fmt="o", color=VERMILION, markersize=4, label="model")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.set_ylim(bottom=0.0)
        axes.set_xlabel("minimum (number)")
        axes.set_ylabel("share of the basin")
        legend_above(axes)
    return figure


def _landscape(analysis: Analysis) -> EnergyLandscape:
    assert analysis.landscape is not None
    return analysis.landscape


def _text(analysis: Analysis) -> str:
    text = (
        f"{_landscape(analysis).verdict} A minimum is a state whose energy is lowered by no flip of a single spin; its "
        "basin holds the states from which steepest descent leads to it."
    )
    if not analysis.diagnosis.accepted:
        text += " The fit was not accepted, and so the landscape is unreliable."
    return text


def _several(analysis: Analysis) -> bool:
    return _landscape(analysis).n_minima > 1


def _minima(analysis: Analysis, numbers: Numbers) -> Table:
    found = numbers["landscape"]
    n = min(len(found["energies"]), MOST_ROWS)
    none = [None] * n
    shares, sizes = found["shares"] or none, found["basin_sizes"] or none
    rows: list[Row] = []
    for k in range(n):
        depth = found["depths"][k]
        rows.append(
            (
                str(k),
                number(found["energies"][k]),
                "–" if depth is None else number(depth, 3),
                "–" if sizes[k] is None else number(sizes[k]),
                "–" if shares[k] is None else number(shares[k], 3),
                with_error(found["model_shares"][k], found["model_shares_std"][k])[0],
            )
        )
    head = ("minimum", "energy E / T", "depth", "states in its basin", "share of the rows", "share in the model")
    note = "Depth: the lowest saddle to another minimum, less the own energy."
    if n < len(found["energies"]):
        note += f" The {n} lowest of {len(found['energies'])}; all are among the numbers."
    return Table("Minima", head, rows, note)


def _accuracy(analysis: Analysis, numbers: Numbers) -> Table | None:
    """Entropies of rows and models, and the share that pairs explain."""
    found = numbers["landscape"]["accuracy"]
    if found is None:
        return None
    rows: list[Row] = [(name, number(value, 4)) for name, value in found.items() if isinstance(value, float)]
    return Table("Accuracy of the pair model (plain, not corrected for bias)", ("quantity", "value"), rows)


SECTION = Section(
    "landscape",
    "Energy landscape",
    _text,
    [
        Figure(
            "tree",
            "Tree of the minima",
            lambda analysis: tree(_landscape(analysis)),
            "Every line ends at the energy of a minimum; lines meet at the lowest saddle between them. Long lines are "
            "states that are hard to leave.",
            needs=_several,
        ),
        Figure(
            "minima",
            "Minima",
            lambda analysis: minima_map(_landscape(analysis)),
            "One row for each minimum, the lowest on top: red spins are +1, blue ones −1.",
        ),
        Figure(
            "basins",
            "Shares of the basins",
            lambda analysis: basin_shares(_landscape(analysis)),
            "Share of the rows in each basin beside its probability in the model. A departure is a state that the "
            "model makes too likely, or too rare.",
            needs=_several,
        ),
    ],
    [_minima, _accuracy],
    needs=lambda analysis: analysis.landscape is not None,
)
