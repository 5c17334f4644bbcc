"""Common parts of the figures of a report: legends, scatter plots, ticks, names."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_rgb
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from infer.plot.svg import COLOURS, GREY, INK
from infer.wording import SUPERSCRIPTS, clean_text

Array = NDArray[np.float64]

MAX_PIXELS = 256  # a larger matrix is shown as block means, so that a report stays small
MAX_NAMES = 12  # more names than this do not fit beside an axis
LONGEST_NAME = 10
FEW_POINTS = 250  # each with error bars; of more, one of typical size stands for all
MAX_POINTS = 1200  # more points than this are shown as a density
DENSITY_BINS = 80
CLOUD = "#2b8fd1"  # between light and dark blue, since images keep their colours in dark mode
MARKERS = ("o", "s", "^", "D", "v", "P")


def legend_above(axes: Axes, columns: int = 2) -> None:
    """A legend above the axes, where it does not cover data."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        # over the whole width of the figure, which reserves space for it
        axes.figure.legend(
            handles, labels, loc="outside upper left", ncols=columns, columnspacing=1.2, handletextpad=0.5
        )


def plain_label(value: float, _position: float | None = None) -> str:
    """A number as a tick label: no mathematics markup, short."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.6g}".replace("-", "−")
    mantissa, exponent = f"{value:.0e}".split("e")
    power = f"10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return power if mantissa == "1" else f"{mantissa}×{power}".replace("-", "−")


def cloud(
    axes: Axes, x: Array, y: Array, colour: str, error_x: Array | None = None, error_y: Array | None = None
) -> None:
    """Points, with error bars where given, or their density on a logarithmic scale when there are many."""
    if len(x) > FEW_POINTS and error_x is not None and error_y is not None:
        _typical_error(axes, x, y, float(np.median(error_x)), float(np.median(error_y)))
    if len(x) <= MAX_POINTS:
        if (error_x is not None or error_y is not None) and len(x) <= FEW_POINTS:
            axes.errorbar(x, y, xerr=error_x, yerr=error_y, fmt="none", ecolor=colour, elinewidth=0.8, alpha=0.5)
        size = 4 if len(x) > 100 else 6
        axes.plot(x, y, ".", color=colour, markersize=size, alpha=0.75, markeredgewidth=0)
        return
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    pad = 0.02 * (high - low) + 1e-9
    # the same on both axes, as `identity` draws them: squares
    counts, edges_x, edges_y = np.histogram2d(x, y, bins=DENSITY_BINS, range=[(low - pad, high + pad)] * 2)
    image = np.empty((DENSITY_BINS, DENSITY_BINS, 4))
    image[..., :3] = to_rgb(CLOUD)
    image[..., 3] = np.where(counts.T > 0, 0.45 + 0.55 * np.log1p(counts.T) / np.log1p(counts.max()), 0.0)
    extent = (float(edges_x[0]), float(edges_x[-1]), float(edges_y[0]), float(edges_y[-1]))
    axes.imshow(image, extent=extent, origin="lower", aspect="auto", interpolation="none", zorder=2)


def _typical_error(axes: Axes, x: Array, y: Array, error_x: float, error_y: float) -> None:
    """One error bar of median size, in the upper left corner of the square that holds all points."""
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    away = 0.06 * (high - low)
    axes.errorbar(
        low + max(away, error_x),
        high - max(away, error_y),
        xerr=error_x,
        yerr=error_y,
        fmt=".",
        color=INK,
        markersize=4,
        elinewidth=1.0,
        capsize=2,
        label="typical error",
    )


def bar_ends(values: Array, error: Array | None) -> Array:
    """Values and the ends of their error bars, as far as `cloud` draws them, for the limits of axes."""
    if error is None or len(values) > FEW_POINTS:
        return values
    return np.concatenate([values - error, values + error])


def identity(axes: Axes, *values: Array, label: str = "equal") -> None:
    """Set limits that include all values on both axes, and draw the line on which both are equal."""
    low = min(float(v.min()) for v in values)
    high = max(float(v.max()) for v in values)
    pad = 0.05 * (high - low) or 0.1
    limits = (low - pad, high + pad)
    axes.plot(limits, limits, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), label=label, zorder=1)
    axes.set_xlim(limits)
    axes.set_ylim(limits)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5))


def shrink(matrix: Array) -> tuple[Array, int]:
    """Block means of a matrix with more rows than a figure can show, and the width of a block."""
    block = -(-len(matrix) // MAX_PIXELS)
    if block == 1:
        return matrix, 1
    padded = np.pad(matrix, (0, -len(matrix) % block), constant_values=np.nan)
    side = len(padded) // block
    return np.nanmean(padded.reshape(side, block, side, block), axis=(1, 3)), block


def short(name: str, length: int = 14) -> str:
    """A name that fits beside an axis."""
    name = clean_text(name)
    return name if len(name) <= length else name[: length - 1] + "…"


def spin_places(
    n_spins: int, names: Sequence[str] | None, order: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], list[str], str]:
    """Ticks and labels of an axis of spins, as many as there is room for, and whether they are names or numbers.

    Parameters
    ----------
    n_spins : int
    names : sequence of str, optional
    order : ndarray of int64, shape (n_spins,), optional
        Spins in the order in which they are drawn.

    Returns
    -------
    places : ndarray of int64
    labels : list of str
    kind : str
        "name" or "number".
    """
    numbered = names is None or all(name == str(k) for k, name in enumerate(names))
    places = np.arange(0, n_spins, -(-n_spins // MAX_NAMES))
    drawn = places if order is None else order[places]
    labels = [str(k) if numbered or names is None else short(names[k], LONGEST_NAME) for k in drawn.tolist()]
    return places, labels, "number" if numbered else "name"


def bounded(rate: ArrayLike) -> Array:
    """lambda / (1 + lambda): 0 is Hebbian, 1 the projector at infinite rate."""
    rate = np.asarray(rate, dtype=np.float64)
    return np.where(np.isinf(rate), 1.0, rate / (1.0 + np.where(np.isinf(rate), 0.0, rate)))


def rate_ticks(axes: Axes, lowest: float, highest: float) -> None:
    """Set limits and readable ticks of an axis that is linear in lambda/(1 + lambda)."""
    low, high = min(float(bounded(lowest)), -0.03), max(float(bounded(highest)), 0.03)
    high = 1.0 if high > 0.9 else high
    readable = np.array([-0.8, -0.6, -0.4, -0.2, -0.1, 0.0, 0.1, 0.3, 0.6, 1.0, 2.0, 5.0, np.inf])
    # ticks closer than a tenth of the axis would overlap; 0 always has a tick
    candidates = [0.0]
    for rate in sorted(readable, key=lambda rate: abs(float(bounded(rate)) - (low + high) / 2), reverse=True):
        place = float(bounded(rate))
        if low <= place <= high and all(abs(place - bounded(other)) > 0.11 * (high - low) for other in candidates):
            candidates.append(float(rate))
    candidates.sort()
    places = bounded(candidates)
    axes.xaxis.set_major_locator(FixedLocator(list(places)))
    axes.set_xticks(places, ["∞" if np.isinf(rate) else plain_label(rate) for rate in candidates])
    pad = 0.02 * (high - low)
    axes.set_xlim(low - pad, high + pad)


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Plain numbers on a logarithmic axis: 1, 2, 5 of each decade for short ranges, else whole decades."""
    subs = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(plain_label))
    axis.set_minor_locator(NullLocator())


def groups(axes: Axes, values: Mapping[str, ArrayLike]) -> None:
    """Groups of quantities side by side, each in increasing order over its own part of the axis."""
    shown = {name: np.sort(np.asarray(v, dtype=np.float64).ravel()) for name, v in values.items() if np.size(v)}
    for k, ordered in enumerate(shown.values()):
        x = k + (np.linspace(-0.35, 0.35, len(ordered)) if len(ordered) > 1 else np.zeros(1))
        axes.plot(x, ordered, MARKERS[k % 6], color=COLOURS[k % 6], markersize=4 if len(ordered) > 20 else 6)
    axes.set_xticks(range(len(shown)), list(shown))
    axes.set_xlim(-0.6, len(shown) - 0.4)
    axes.set_xlabel("quantity, each group in increasing order")
