"""Figures of the paper in their own axes: labelled, and holding the numbers of their tables."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from infer.contrastive import protocol_figures
from simulate.contrastive import protocols


def drawn(figure: Figure, label: str) -> tuple[np.ndarray, np.ndarray]:
    line = next(line for line in figure.axes[0].lines if label in str(line.get_label()))
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


def test_range_is_drawn_as_logarithms_and_leaves_out_what_has_no_window() -> None:
    figure = protocol_figures.range_by_asymmetry(protocols.range_of_protocols([3.0, 10.0], [1.0, 2.0]))
    x, y = drawn(figure, "= 1")
    assert x[1] == pytest.approx(np.log(10))
    assert np.exp(y[1]) == pytest.approx(1.95, abs=0.005)
    assert np.isnan(y[0])
    assert figure.axes[0].get_ylabel() == r"$\ln(A_{\max} / A_{\min})$"


def test_offsets_are_those_of_the_tables() -> None:
    table = protocols.offset_of_protocols([20.0, 40.0], [1000.0])
    _, y = drawn(protocol_figures.offset_by_rise(table), "period")
    np.testing.assert_array_equal(y, table["offset"].values[0])
    table = protocols.offset_against_dissipation([0.9, 0.01], signals=[200.0], switching_rates=[25.0])
    x, y = drawn(protocol_figures.offset_by_dissipation(table), "step")
    np.testing.assert_array_equal(x, table["dissipation"].values[0])
    np.testing.assert_allclose(np.exp(y), abs(table["offset"].values.ravel()))


def test_update_is_drawn_beside_its_closed_form_with_formulas_set() -> None:
    figure = protocol_figures.update_by_rise(protocols.update_against_rise_time([2.0, 20.0]))
    np.testing.assert_allclose(drawn(figure, "kernel")[1], drawn(figure, "closed form")[1], rtol=1e-4)
    assert figure.axes[0].xaxis.label.get_parse_math()
    figure.canvas.draw()
