"""Figures: labels and units on all axes, nothing cut off, block means that are means, no traces in global state."""

import functools
import re
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_svg import FigureCanvasSVG

from infer.landscape import figures
from infer.landscape.landscape import energy_landscape
from infer.plot.axes import bounded, plain_label, shrink
from infer.plot.svg import drawing, to_svg
from infer.report import rate_figures
from infer.report.sections import convergence, couplings, dreaming, held_out, misses, time_order

RNG = np.random.default_rng(0)


def symmetric(n):
    matrix = RNG.normal(size=(n, n)) * 0.1
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 0)
    return matrix


def profile(rates):
    return {"cosine": np.exp(-((rates - 0.3) ** 2)), "pearson": 0.99 * np.exp(-((rates - 0.3) ** 2))}


RATES = np.linspace(-0.4, 1.5, 40)
NULLS = {"shuffled eigenvalues": (0.4, 0.3, 0.5), "random couplings": (0.0, -0.02, 0.02)}
SMALL, LARGE = symmetric(8), symmetric(80)
NAMES = [f"a rather long name of unit {k}" for k in range(8)]
FEW, MANY = RNG.normal(size=30) * 0.1, RNG.normal(size=5000)
LANDSCAPE = energy_landscape(5 * SMALL, names=NAMES, n_model_rows=200, seed=0)
RUGGED = energy_landscape(20 * symmetric(14), n_model_rows=200, seed=0)
ENDLESS = np.append(np.linspace(-0.03, 30, 50), 2000.0)
FIGURES = {
    "matrix": lambda: couplings.coupling_matrix(SMALL, 0.3, NAMES),
    "matrix, tiny values": lambda: couplings.coupling_matrix(LARGE * 1e-6, 3e-7),
    "scatter": lambda: dreaming.coupling_scatter(SMALL, SMALL),
    "scatter, many": lambda: dreaming.coupling_scatter(LARGE, LARGE),
    "ranks": lambda: couplings.coupling_ranks(LARGE, np.abs(LARGE)),
    "ranks, sparse": lambda: couplings.coupling_ranks(np.where(abs(LARGE) > 0.15, 10, 1e-3) * LARGE, abs(LARGE)),
    "ranks, no errors": lambda: couplings.coupling_ranks(SMALL),
    "profile": lambda: rate_figures.rate_profile(RATES, profile(RATES), 0.3, (0.2, 0.4), NULLS),
    "profile, endless": lambda: rate_figures.rate_profile(ENDLESS, profile(ENDLESS), np.inf, (4.0, np.inf), NULLS),
    "zoom": lambda: rate_figures.rate_profile(
        RATES, profile(RATES), 0.3, (0.2, 0.4), None, (0.31, 0.25, 0.37), zoom=True
    ),
    "zoom, wide": lambda: rate_figures.rate_profile(RATES, profile(RATES), 0.3, (-0.4, np.inf), zoom=True),
    "spectra": lambda: rate_figures.spectra(
        {name: MANY[:50] * k for k, name in enumerate(("inferred", "Hebbian", "best"), 1)}
    ),
    "nulls": lambda: rate_figures.null_models({"best dreamed": (0.95, None), "Hebbian": (0.93, 0.01)}, NULLS),
    "agreement": lambda: misses.agreement(FEW, FEW, np.full(30, 0.01), np.full(30, 0.01), "3rd cumulant"),
    "agreement, many": lambda: misses.agreement(MANY, MANY, np.full(5000, 0.1), np.full(5000, 0.1), "covariance"),
    "agreement, equal": lambda: misses.agreement(np.zeros(3), np.zeros(3), None, None, "⟨sᵢ⟩"),
    "sum": lambda: misses.count_distribution(
        np.arange(5), [0, 0.2, 0.5, 0.3, 0], [0.01, 0.2, 0.5, 0.29, 0], np.full(5, 0.01), np.full(5, 0.01)
    ),
    "energy": lambda: misses.energy_distribution(np.linspace(-2000, -1000, 11), np.full(10, 0.1), np.full(10, 0.1)),
    "gains": lambda: held_out.held_out_scores({"pair": (0.5, 0.02), "kinetic": (0.7, 0.03)}),
    "reversal": lambda: time_order.time_asymmetry(FEW, FEW, np.full(30, 0.01)),
    "drift": lambda: time_order.drift(np.arange(20), FEW[:20], np.full(20, 0.5)),
    "tree": lambda: figures.disconnectivity_graph(LANDSCAPE),
    "tree, many minima": lambda: figures.disconnectivity_graph(RUGGED),
    "minima": lambda: figures.minima_picture(LANDSCAPE),
    "minima, many": lambda: figures.minima_picture(RUGGED),
    "basins": lambda: figures.shares_of_basins(LANDSCAPE),
    "rhat": lambda: convergence.rhats({"energy": [1.0], "overlaps": [1.02, 1.3], "spins": 1 + 0.001 * np.arange(40)}),
    "rhat, undefined": lambda: convergence.rhats({"energy": [np.nan], "spins": [1.0, np.inf, np.nan]}),
    "rhat, infinite": lambda: convergence.rhats({"spins": [1.0, np.inf]}),
    "ess": lambda: convergence.effective_sample_sizes(
        {"energy": [900], "overlaps": [400, 500], "spins": np.arange(600, 700)}, 400, 8000
    ),
    "ess, undefined": lambda: convergence.effective_sample_sizes({"energy": [np.nan], "spins": [10, np.nan]}, 200, 20),
}


@pytest.fixture(params=FIGURES, ids=lambda name: name)
def draw(request):
    """Draws one figure; a figure is laid out anew whenever it is rendered, so each is rendered once."""
    return FIGURES[request.param]


@pytest.fixture
def figure(draw):
    return draw()


@functools.cache
def svg_of(draw):
    return to_svg(draw(), "unique", "what it shows")


@pytest.fixture
def svg(draw):
    return svg_of(draw)


def test_every_axis_is_labelled(figure):
    assert figure.axes
    for axes in figure.axes:
        colour_bar = axes.get_label() == "<colorbar>"
        assert axes.get_xlabel()
        assert axes.get_ylabel() or colour_bar  # across its direction, a colour bar has no axis
        for label, axis in ((axes.get_xlabel(), axes.xaxis), (axes.get_ylabel(), axes.yaxis)):
            categories = not any(re.fullmatch(r"[−\d.,e∞]+", text.get_text()) for text in axis.get_ticklabels())
            unit = r"\(.+\)|number|probability|share|quantity"
            assert categories or re.search(unit, label), f"no unit in {label!r}"


def test_points_stay_in_view_beside_those_without_a_place():
    low, high = convergence.rhats({"energy": [1.0], "spins": [0.99, 1.7, np.inf, np.nan]}).axes[0].get_ylim()
    assert 0.9 < low < 0.99
    assert 1.7 < high < 1.8


def test_nothing_is_cut_off_and_tick_labels_do_not_touch(figure):
    with drawing():
        FigureCanvasSVG(figure)
        figure.draw_without_rendering()
        renderer = figure.canvas.get_renderer() if hasattr(figure.canvas, "get_renderer") else None
        box = figure.get_tightbbox(renderer)
        width, height = figure.get_size_inches()
        assert box.x0 >= -0.01
        assert box.y0 >= -0.01
        assert box.x1 <= width + 0.01
        assert box.y1 <= height + 0.01
        for axes in figure.axes:
            for axis, ends in ((axes.xaxis, ("x0", "x1")), (axes.yaxis, ("y0", "y1"))):
                texts = [text for text in axis.get_ticklabels() if text.get_text() and text.get_visible()]
                boxes = sorted(tuple(getattr(text.get_window_extent(renderer), end) for end in ends) for text in texts)
                low, high = sorted(getattr(axes.get_window_extent(), end) for end in ends)
                boxes = [pair for pair in boxes if pair[1] >= low - 1 and pair[0] <= high + 1]
                assert all(a[1] <= b[0] + 1 for a, b in pairwise(boxes)), boxes


def test_svg_is_deterministic_scales_and_names_no_host(draw, svg):
    assert to_svg(draw(), "unique", "what it shows") == svg
    assert re.match(r'<svg [^>]*viewBox="0 0 288 [\d.]+"', svg)
    head = svg[: svg.index(">")]
    assert "width" not in head
    assert "height" not in head
    assert "http" not in svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "<metadata" not in svg
    assert "<style" not in svg


def test_ids_carry_the_prefix_and_resolve(svg):
    ids = re.findall(r' id="([^"]+)"', svg)
    assert all(name.startswith("unique-") for name in ids)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', svg)) | set(re.findall(r"url\(#([^)]+)\)", svg)) == set(ids)


def test_text_is_at_least_eleven_pixels_on_a_telephone(svg):
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", svg)]
    card = 360 - 2 * 10 - 2 * 6 - 2  # page 360 px wide, less the margins and borders of page.html.jinja
    assert sizes
    assert min(sizes) * card / 288 >= 11


def test_drawing_leaves_matplotlib_as_it_was_and_ignores_its_settings():
    with mpl.rc_context({"axes.facecolor": "red", "font.size": 30, "svg.fonttype": "path", "text.usetex": True}):
        before = dict(mpl.rcParams)
        styled = to_svg(FIGURES["spectra"](), "a", "x")
        assert dict(mpl.rcParams) == before
    assert mpl._pylab_helpers.Gcf.figs == {}
    assert "ff0000" not in styled
    assert max(float(size) for size in re.findall(r"font-size: ([\d.]+)px", styled)) == 10


def test_names_are_text_whatever_they_contain():
    names = ["<script>alert(1)</script>", "$\\frac{", "a\x00b\x1b", "\ud800", "神経", "&amp;", "x" * 50, "{0}"]
    svg = to_svg(couplings.coupling_matrix(SMALL, 0.3, names), "a", "<b> & \x00")
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg
    assert "$\\frac{" in svg
    assert "\x00" not in svg
    assert "&lt;b&gt; &amp; �" in svg


def test_large_matrices_are_shown_as_means_of_blocks():
    matrix = RNG.normal(size=(600, 600))
    shown, block = shrink(matrix)
    assert block == 3
    assert shown.shape == (200, 200)
    np.testing.assert_allclose(shown[5, 7], matrix[15:18, 21:24].mean())
    ragged, block = shrink(matrix[:257, :257])
    assert (block, ragged.shape) == (2, (129, 129))
    np.testing.assert_allclose(ragged[-1, -1], matrix[256, 256])
    assert shrink(matrix[:256, :256])[1] == 1


def test_error_bars_lie_within_the_axes():
    observed, error = np.array([-0.5, 0.0, 0.5]), np.array([0.1, 0.2, 0.3])
    figure = misses.agreement(observed, observed, error, 2 * error, "mean")
    low, high = figure.axes[0].get_ylim()
    assert low < -0.7
    assert high > 1.1


def test_models_have_the_names_of_the_sentences():
    (axes,) = held_out.held_out_scores({"pair": (1.0, 0.1), "k-pairwise": (1.1, 0.1)}).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["independent", "pair", "population\ncount"]


def test_bounded_rates():
    np.testing.assert_allclose(bounded([0.0, 1.0, -0.5, np.inf]), [0.0, 0.5, -1.0, 1.0])


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (-0.25, "−0.25"), (1000, "1000"), (2e-5, "2×10⁻⁵"), (1e6, "10⁶"), (0.1 + 0.2, "0.3")]
)
def test_tick_labels(value, text):
    assert plain_label(value) == text
