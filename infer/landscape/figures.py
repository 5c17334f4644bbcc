"""Figures of an energy landscape: disconnectivity graph, minima, visits and transitions, thermodynamics.

Reports and the command line draw the same ones; each alone is as wide as a telephone shows it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from infer.landscape.exact import Merges
from infer.landscape.result import EnergyLandscape
from infer.landscape.visits import Visits
from infer.plot.axes import legend_above, spin_places
from infer.plot.svg import BLUE, GREY, INK, VERMILION, WIDTH, drawing, new_axes
from infer.types import FloatArray

__all__ = [
    "disconnectivity_graph",
    "landscape_panels",
    "minima_picture",
    "shares_of_basins",
    "thermodynamics_curves",
    "transition_tables",
]

MOST_DRAWN = 16  # the lowest minima: more numbers do not fit along an axis


def disconnectivity_graph(found: EnergyLandscape) -> Figure:
    """Tree of the minima: each line ends at the energy of a minimum, and lines meet at the lowest saddle between them.

    Parameters
    ----------
    found : EnergyLandscape
        Landscape; at most the lowest 16 minima are drawn.

    Returns
    -------
    matplotlib.figure.Figure

    References
    ----------
    O. M. Becker, M. Karplus 1997, J. Chem. Phys. 106, 1495, doi:10.1063/1.473299.
    """
    return _alone(lambda axes: _tree(axes, found), 3.4)


def minima_picture(found: EnergyLandscape) -> Figure:
    """Image of the minima, one row each: red spins are +1, blue ones -1.

    Parameters
    ----------
    found : EnergyLandscape
        Landscape; at most the lowest 16 minima are drawn.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return _alone(lambda axes: _picture(axes, found), 2.4 + 0.2 * min(found.n_minima, MOST_DRAWN))


def shares_of_basins(found: EnergyLandscape) -> Figure:
    """Share of the rows in each basin, compared with that of the model.

    Parameters
    ----------
    found : EnergyLandscape

    Returns
    -------
    matplotlib.figure.Figure
    """
    return _alone(lambda axes: _shares(axes, found))


def transition_tables(found: EnergyLandscape) -> Figure:
    """Probability of the next row's basin given that of a row, for the samples and for chains of the model.

    Parameters
    ----------
    found : EnergyLandscape
        Landscape with samples in time order.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If there are no transitions, since there are no samples in time order.
    """
    if not _has_steps(found.visits):
        raise ValueError("there are no transitions to draw: give samples whose rows follow each other in time")
    draws = [lambda axes: _transitions(axes, found.visits, "rows")]
    if _has_steps(found.model_visits):
        draws.append(lambda axes: _transitions(axes, found.model_visits, "model, one sweep per row"))
    return _panels(draws)


def thermodynamics_curves(found: EnergyLandscape) -> Figure:
    """Entropy and heat capacity along a factor of the temperature, with standard errors.

    Parameters
    ----------
    found : EnergyLandscape

    Returns
    -------
    matplotlib.figure.Figure
    """
    return _panels([lambda axes: _entropy(axes, found), lambda axes: _heat_capacity(axes, found)])


def landscape_panels(found: EnergyLandscape) -> Figure:
    """All available figures as panels of one figure.

    Parameters
    ----------
    found : EnergyLandscape

    Returns
    -------
    matplotlib.figure.Figure
    """
    draws: list[Callable[[Axes], None]] = [lambda axes: _tree(axes, found), lambda axes: _picture(axes, found)]
    draws.append(lambda axes: _shares(axes, found))
    if _has_steps(found.visits):
        draws.append(lambda axes: _transitions(axes, found.visits, "rows"))
    if _has_steps(found.model_visits) and found.n_minima > 1:
        draws.append(lambda axes: _transitions(axes, found.model_visits, "model, one sweep per row"))
    draws += [lambda axes: _entropy(axes, found), lambda axes: _heat_capacity(axes, found)]
    return _panels(draws)


def _tree(axes: Axes, found: EnergyLandscape) -> None:
    n_drawn = min(found.n_minima, MOST_DRAWN)
    order, lines = tree_lines(found.merges, found.energies, n_drawn)
    for x, y in lines:
        axes.plot(x, y, color=INK, linewidth=1.0)
    place = np.empty(n_drawn)
    place[order] = np.arange(n_drawn)
    axes.plot(place, found.energies[:n_drawn], "o", color=BLUE, markersize=5)
    axes.set_xticks(range(n_drawn), [str(k) for k in order])
    axes.set_xlim(-0.6, n_drawn - 0.4)
    axes.grid(visible=False, axis="x")
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel(_minimum(found))
    unit = "dimensionless" if found.exact else "saddles: upper bounds"
    axes.set_ylabel(f"energy E / T ({unit})")


def tree_lines(
    merges: Merges, energies: FloatArray, n_drawn: int
) -> tuple[list[int], list[tuple[list[float], list[float]]]]:
    """Order of the lowest minima along the axis, and the lines of their tree as x and y of their points."""
    leaves: dict[int, list[int]] = {k: [k] if k < n_drawn else [] for k in range(len(energies))}
    joined = []
    for a, b, height in zip(merges.first, merges.second, merges.energies, strict=True):
        if leaves[int(a)] and leaves[int(b)]:
            joined.append((int(a), int(b), float(height)))
        leaves[int(a)] = leaves[int(a)] + leaves[int(b)]
    order = leaves[0]
    # position and lower end of the line of each group, by its lowest minimum
    at = {k: (float(place), float(energies[k])) for place, k in enumerate(order)}
    lines = []
    for a, b, height in joined:
        (xa, ya), (xb, yb) = at[a], at[b]
        lines.append(([xa, xa, xb, xb], [ya, height, height, yb]))
        at[a] = ((xa + xb) / 2.0, height)
    return order, lines


def _picture(axes: Axes, found: EnergyLandscape) -> None:
    n_drawn = min(found.n_minima, MOST_DRAWN)
    axes.imshow(found.minima[:n_drawn], cmap="RdBu_r", vmin=-1.6, vmax=1.6, aspect="auto", interpolation="none")
    axes.grid(visible=False)
    axes.set_yticks(np.arange(0, n_drawn, -(-n_drawn // 6)))
    places, labels, kind = spin_places(found.n_spins, found.names)
    axes.set_xticks(places, labels, rotation=90)
    axes.set_xlabel(f"spin ({kind}; red: +1)")
    axes.set_ylabel(_minimum(found))


def _shares(axes: Axes, found: EnergyLandscape) -> None:
    n_drawn = min(found.n_minima, MOST_DRAWN)
    x = np.arange(n_drawn)
    if found.shares is not None:
        axes.bar(x, found.shares[:n_drawn], width=0.8, color=BLUE, alpha=0.6, label="rows")
    std = found.model_shares_std[:n_drawn]
    axes.errorbar(x, found.model_shares[:n_drawn], std, fmt="o", color=VERMILION, markersize=4, label="model")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel(_minimum(found))
    axes.set_ylabel("share of the basin")


def _has_steps(seen: Visits | None) -> bool:
    """Whether there are transitions."""
    return seen is not None and seen.transitions is not None and seen.n_steps > 0


def _transitions(axes: Axes, seen: Visits | None, whose: str) -> None:
    assert seen is not None
    assert seen.transitions is not None
    n_drawn = min(len(seen.shares), MOST_DRAWN)
    leaving = seen.transitions.sum(axis=1, keepdims=True)
    probability = np.where(leaving > 0, seen.transitions / np.maximum(leaving, 1), np.nan)[:n_drawn, :n_drawn]
    image = axes.imshow(probability, cmap="Blues", vmin=0, vmax=1, interpolation="none")
    axes.grid(visible=False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("basin of the next row")
    axes.set_ylabel("basin of a row")
    axes.set_title(whose)
    axes.figure.colorbar(image, ax=axes, shrink=0.8, label="probability")


def _entropy(axes: Axes, found: EnergyLandscape) -> None:
    along = found.thermodynamics
    _curve(axes, along.temperatures, along.entropy, along.entropy_std)
    axes.set_ylabel("entropy (bits)")


def _heat_capacity(axes: Axes, found: EnergyLandscape) -> None:
    along = found.thermodynamics
    _curve(axes, along.temperatures, along.heat_capacity, along.heat_capacity_std)
    axes.set_ylabel("heat capacity / k")


def _curve(axes: Axes, x: FloatArray, y: FloatArray, std: FloatArray) -> None:
    """Plot of values with errors against the temperature."""
    axes.axvline(1.0, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.fill_between(x, y - std, y + std, color=BLUE, alpha=0.25, linewidth=0)
    axes.plot(x, y, color=BLUE)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("temperature / fitted temperature")


def _minimum(found: EnergyLandscape) -> str:
    """Label of an axis of minima, which says where not all of them are drawn."""
    return (
        f"minimum (the {MOST_DRAWN} lowest of {found.n_minima})" if found.n_minima > MOST_DRAWN else "minimum (number)"
    )


def _alone(draw: Callable[[Axes], None], height: float = 3.2) -> Figure:
    """A figure with one panel."""
    with drawing():
        figure, axes = new_axes(height)
        FigureCanvasAgg(figure)
        draw(axes)
        legend_above(axes)
    return figure


def _panels(draws: list[Callable[[Axes], None]]) -> Figure:
    """A figure with two to four panels in each row, so that the last row has more than one where there are several."""
    columns = {4: 2, 7: 4}.get(len(draws), min(3, len(draws)))
    rows = -(-len(draws) // columns)
    with drawing():
        figure = Figure(figsize=(WIDTH * columns, 3.2 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        for k, draw in enumerate(draws):
            axes = figure.add_subplot(rows, columns, k + 1)
            draw(axes)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="upper right")
    return figure
