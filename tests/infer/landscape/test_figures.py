"""Figures hold the numbers that they show."""

import numpy as np
import pytest

from infer import energy_landscape
from infer.landscape import figures
from tests import exact


@pytest.fixture(scope="module")
def found():
    couplings = exact.random_couplings(8, 3.0, 3)
    return energy_landscape(couplings, exact.draw(couplings, 100), seed=0)


def test_lines_of_the_tree_end_at_minima_and_meet_at_saddles(found):
    n = found.n_minima
    assert n > 3
    order, lines = figures.tree_lines(found.merges, found.energies, n)
    assert sorted(order) == list(range(n))
    assert len(lines) == n - 1
    heights = sorted(y[1] for _, y in lines)
    np.testing.assert_allclose(heights, np.sort(found.merges.energies))
    ends = {(x[k], y[k]) for x, y in lines for k in (0, 3)}
    assert all((float(order.index(k)), float(found.energies[k])) in ends for k in range(n))


def test_the_tree_of_the_lowest_minima_has_their_saddles(found):
    order, lines = figures.tree_lines(found.merges, found.energies, 3)
    assert sorted(order) == [0, 1, 2]
    assert max(y[1] for _, y in lines) == found.saddles[:3, :3].max()


def test_panels_follow_from_what_there_is(found):
    # samples in time order: tree, picture, shares, two tables with a bar each, two curves
    assert len(figures.landscape_panels(found).axes) == 9
    assert len(figures.transition_tables(found).axes) == 4
    bare = energy_landscape(exact.random_couplings(5, 1.0, 0), seed=0)
    with pytest.raises(ValueError, match="no transitions to draw"):
        figures.transition_tables(bare)


def test_each_figure_alone(found):
    shares = figures.shares_of_basins(found).axes[0]
    np.testing.assert_allclose([bar.get_height() for bar in shares.patches], found.shares[: figures.MOST_DRAWN])
    picture = figures.minima_picture(found).axes[0].images[0]
    np.testing.assert_array_equal(picture.get_array(), found.minima[: figures.MOST_DRAWN])
    (red, _, blue), (other_red, _, other_blue) = (picture.to_rgba(np.array([spin]))[0, :3] for spin in (1, -1))
    assert red > 2 * blue  # +1 is red, as captions say
    assert other_blue > 2 * other_red
    assert figures.disconnectivity_graph(found).axes[0].get_ylabel() == "energy E / T (dimensionless)"
    entropy, capacity = figures.thermodynamics_curves(found).axes
    np.testing.assert_allclose(entropy.lines[1].get_ydata(), found.thermodynamics.entropy)
    np.testing.assert_allclose(capacity.lines[1].get_ydata(), found.thermodynamics.heat_capacity)
